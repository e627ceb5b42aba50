/* resolvents.c - inverses of I + step (I - L), and the spectrum of the symmetric part of I - L, by LAPACK.
 *
 * Both in double whatever the working precision: an inverse rounded once is as good as its precision allows. */
#include "resolvents.h"
#include "blas.h"
#include "memory.h"
#include "numeric.h"
#include "reals.h"
#include <cblas.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void dgetrf_(const blasint *m, const blasint *n, double *a, const blasint *lda, blasint *pivots, blasint *info);
void dgetri_(const blasint *n, double *a, const blasint *lda, const blasint *pivots, double *work, const blasint *lwork,
             blasint *info);
void dsyev_(const char *jobz, const char *uplo, const blasint *n, double *a, const blasint *lda, double *w,
            double *work, const blasint *lwork, blasint *info, size_t, size_t);

/* The matrix of L, column by column, with room for `more` numbers after it, and where the elements stand in a row; NULL
 * when memory is short. */
static double *linear_matrix(const deq_worker *w, const deq_frame *frame, const deq_fixed *f, int64_t more,
                             int64_t **place, deq_error *e) {
    int64_t n = f->dimension, lanes = DEQ_ALIGN / (w->real_bits / 8), at = 0, start = 0;
    double *a = malloc((size_t)(n * n + more) * sizeof *a);
    *place = malloc((size_t)n * sizeof **place);
    for (int64_t c = 0; a && *place && c < f->components; c++) {
        for (int64_t k = 0; k < f->counts[c]; k++) (*place)[at++] = start + k;
        start += (f->counts[c] + lanes - 1) / lanes * lanes;
    }
    if (a && *place && (w->real_bits == 32 ? deq_linear_matrix_f32 : deq_linear_matrix_f64)(w, frame, f, *place, n, a))
        return a;
    deq_fail(e, DEQ_MEMORY, "%lld bytes for the linear part of fixed point %s as a matrix",
             (long long)((n * n + more) * (int64_t)sizeof *a), f->name);
    free(a);
    free(*place);
    return NULL;
}

/* Where the machine has no LAPACK: Gauss-Jordan elimination with row pivoting; a is column-major. */
static bool plain_inverse(int64_t n, double *a, double *inverse) {
    for (int64_t i = 0; i < n * n; i++) inverse[i] = i % (n + 1) == 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t pivot = i;
        for (int64_t r = i + 1; r < n; r++)
            if (fabs(a[i * n + r]) > fabs(a[i * n + pivot])) pivot = r;
        double divisor = a[i * n + pivot];
        if (!(fabs(divisor) > 0)) return false;
        for (int64_t c = 0; c < n; c++) {
            double t = a[c * n + i], u = inverse[c * n + i];
            a[c * n + i] = a[c * n + pivot] / divisor, inverse[c * n + i] = inverse[c * n + pivot] / divisor;
            if (pivot != i) a[c * n + pivot] = t, inverse[c * n + pivot] = u;
        }
        for (int64_t r = 0; r < n; r++) {
            double factor = a[i * n + r];
            for (int64_t c = 0; r != i && c < n; c++) {
                a[c * n + r] -= factor * a[c * n + i];
                inverse[c * n + r] -= factor * inverse[c * n + i];
            }
        }
    }
    memcpy(a, inverse, (size_t)(n * n) * sizeof *a);
    return true;
}

/* a becomes its inverse; `work` holds as much. */
static bool invert(int64_t n, double *a, double *work) {
    blasint order = (blasint)n, info = 0, length = (blasint)(n * n), *pivots;
    if (!deq_blas_ready()) return plain_inverse(n, a, work);
    pivots = malloc((size_t)n * sizeof *pivots);
    if (!pivots) return false;
    DEQ_BLAS(dgetrf_)(&order, &order, a, &order, pivots, &info);
    if (info == 0) DEQ_BLAS(dgetri_)(&order, a, &order, pivots, work, &length, &info);
    free(pivots);
    return info == 0;
}

/* The largest sum of a column's magnitudes; NaN when an element is. */
static double norm1(int64_t n, const double *a) {
    double most = 0;
    for (int64_t c = 0; c < n; c++) {
        double sum = 0;
        for (int64_t r = 0; r < n; r++) sum += fabs(a[c * n + r]);
        if (!(sum <= most)) most = sum;
    }
    return most;
}

static void store(const deq_resolvent *r, int real_bits, const double *inverse, const int64_t *place, int64_t n) {
    int64_t stride = r->fixed->state_bytes / (real_bits / 8);
    memset(r->matrix, 0, (size_t)(stride * r->fixed->state_bytes));
    for (int64_t k = 0; k < n; k++)
        for (int64_t j = 0; j < n; j++) { /* inverse is column-major: column k is what element k adds */
            double v = r->transposed ? inverse[j * n + k] : inverse[k * n + j];
            int64_t to = place[k] * stride + place[j];
            deq_real_put(real_bits, r->matrix, to, v);
        }
}

/* Both directions of one step share the inversion. */
static bool make(deq_resolvent *items, int count, const deq_worker *w, const deq_frame *frame, deq_error *e) {
    const deq_fixed *f = items->fixed;
    int64_t n = f->dimension, *place;
    double *a = linear_matrix(w, frame, f, n * n, &place, e), step = items->step;
    if (!a) return false;
    for (int64_t k = 0; k < n * n; k++) a[k] = (k % (n + 1) == 0 ? 1 + step : 0) - step * a[k];
    double epsilon = w->real_bits == 32 ? (double)FLT_EPSILON : DBL_EPSILON, norm = norm1(n, a);
    bool regular = isfinite(norm) && invert(n, a, a + n * n);
    regular = regular && norm * norm1(n, a) * 1000 * epsilon < 1; /* solutions have three digits or more */
    for (int i = 0; i < count; i++) {
        items[i].singular = !regular;
        if (regular) store(&items[i], w->real_bits, a, place, n);
    }
    free(a);
    free(place);
    return true;
}

static bool want(deq_resolvents *r, const deq_fixed *f, const deq_solver *s, bool transposed, int64_t bytes,
                 deq_error *e) {
    if (s->kind != DEQ_SOLVER_peaceman_rachford && s->kind != DEQ_SOLVER_douglas_rachford) return true;
    for (int i = 0; i < r->count; i++)
        if (r->items[i].fixed == f && r->items[i].step == s->step && r->items[i].transposed == transposed) return true;
    deq_resolvent *grown = realloc(r->items, (size_t)(r->count + 1) * sizeof *grown);
    void *matrix = grown ? deq_memory_new((size_t)bytes) : NULL;
    if (grown) r->items = grown;
    if (!matrix)
        return deq_fail(e, DEQ_MEMORY, "%lld bytes for the inverse that the solver of fixed point %s multiplies with",
                        (long long)bytes, f->name);
    r->items[r->count++] = (deq_resolvent){f, s->step, transposed, false, matrix};
    return true;
}

bool deq_resolvents_update(deq_resolvents *r, const deq_worker *worker, const deq_frame *frame,
                           const deq_fixed_settings *const *settings, int count, deq_error *e) {
    deq_resolvents wanted = {NULL, 0};
    bool good = true;
    for (int i = 0; i < worker->fixed_count; i++)
        for (int v = 0; good && v < count; v++) {
            const deq_fixed *f = worker->fixed[i];
            const deq_fixed_settings *s = &settings[v][i];
            int64_t bytes = f->state_bytes / (worker->real_bits / 8) * f->state_bytes;
            const bool solves = deq_mode_has_adjoint(&s->gradient);
            for (int k = 0; good && k < DEQ_CHAIN_MOST; k++) {
                const deq_solver forward = deq_solver_link(&s->forward, k < s->forward.links ? k : s->forward.links),
                                 adjoint =
                                     deq_solver_link(&s->gradient.adjoint,
                                                     k < s->gradient.adjoint.links ? k : s->gradient.adjoint.links);
                good = want(&wanted, f, &forward, false, bytes, e) &&
                       (!solves || want(&wanted, f, &adjoint, true, bytes, e));
            }
        }
    for (int i = 0; good && i < wanted.count; i++) {
        deq_resolvent *w = &wanted.items[i];
        const deq_resolvent *old = deq_resolvents_find(r, w->fixed, w->step, w->transposed);
        bool pair = i + 1 < wanted.count && w[1].fixed == w->fixed && w[1].step == w->step;
        if (old) { /* takes its matrix over */
            void *unused = w->matrix;
            *w = *old;
            ((deq_resolvent *)old)->matrix = unused;
            continue;
        }
        pair = pair && !deq_resolvents_find(r, w[1].fixed, w[1].step, w[1].transposed);
        good = make(w, pair ? 2 : 1, worker, frame, e);
        i += pair;
    }
    if (!good) {
        deq_resolvents_clear(&wanted);
        return false;
    }
    deq_resolvents_clear(r);
    *r = wanted;
    return true;
}

/* Cyclic Jacobi rotations where the machine has no LAPACK: the least eigenvalue of a symmetric matrix. */
static double plain_least(int64_t n, double *a) {
    for (int sweep = 0; sweep < 60; sweep++) {
        double off = 0, on = 0, least = INFINITY;
        for (int64_t i = 0; i < n; i++) {
            on += a[i * n + i] * a[i * n + i];
            least = fmin(least, a[i * n + i]);
            for (int64_t j = 0; j < i; j++) off += a[i * n + j] * a[i * n + j];
        }
        if (off <= 1e-30 * on || sweep == 59) return least;
        for (int64_t p = 0; p < n; p++)
            for (int64_t q = p + 1; q < n; q++) {
                if (a[p * n + q] == 0) continue;
                double theta = (a[q * n + q] - a[p * n + p]) / (2 * a[p * n + q]);
                double t = (theta < 0 ? -1 : 1) / (fabs(theta) + sqrt(theta * theta + 1)), c = 1 / sqrt(t * t + 1),
                       s = t * c;
                for (int64_t k = 0; k < n; k++) {
                    double x = a[k * n + p], y = a[k * n + q];
                    a[k * n + p] = c * x - s * y, a[k * n + q] = s * x + c * y;
                }
                for (int64_t k = 0; k < n; k++) {
                    double x = a[p * n + k], y = a[q * n + k];
                    a[p * n + k] = c * x - s * y, a[q * n + k] = s * x + c * y;
                }
            }
    }
    return NAN;
}

bool deq_resolvent_margin(const deq_worker *worker, const deq_frame *frame, const deq_fixed *fixed, double *margin,
                          deq_error *e) {
    int64_t n = fixed->dimension, *place;
    double *a = linear_matrix(worker, frame, fixed, n * n + 35 * n, &place, e);
    bool finite = true;
    if (!a) return false;
    double *s = a + n * n, *w = s + n * n;
    for (int64_t j = 0; j < n; j++)
        for (int64_t k = 0; k < n; k++) {
            s[j * n + k] = (j == k) - (a[j * n + k] + a[k * n + j]) / 2;
            finite = finite && isfinite(s[j * n + k]);
        }
    blasint order = (blasint)n, length = (blasint)(34 * n), info = 0;
    if (!finite) {
        *margin = NAN;
    } else if (!deq_blas_ready()) {
        *margin = plain_least(n, s);
    } else {
        DEQ_BLAS(dsyev_)("N", "U", &order, s, &order, w, w + n, &length, &info, 1, 1);
        *margin = info == 0 ? w[0] : NAN;
    }
    free(a);
    free(place);
    return true;
}
