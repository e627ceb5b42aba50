/* spectrum.c - the spectrum of J at a block of states: Arnoldi, power iteration and random vectors, every product with
 * J or J' made for all examples at once.
 *
 * Components of a state are padded with zeros and nothing here knows where, so a vector is used only after J or J'
 * wrote it; random entries in the padding are ignored by the routines that read them. */
#include "memory.h"
#include "numeric.h"
#include "vector.h"
#include "random.h"
#include "spectral.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ARNOLDI_STEPS 60
#define ARNOLDI_BYTES ((int64_t)256 << 20)
#define LOOK_BACK 5 /* steps over which the radius must have settled */
#define POWER_ITERATIONS 100
#define POWER_CHANGE 1e-4
#define SAMPLES 16

HOT static double dot(const vec *x, const vec *y, int64_t n) { return (double)row_dot(x, y, n); }
HOT static void subtract(vec *w, real c, const vec *x, int64_t n) { row_axpy(w, -c, x, n); }
HOT static void scale(vec *out, real c, const vec *x, int64_t n) { row_scale(out, c, x, n); }

typedef struct block {
    const deq_fixed *fixed;
    deq_frame frame;
    int64_t n, vectors; /* examples; vectors of a state row */
} block;

static void apply(block *b, deq_routine_fn *routine, const void *in, void *out) {
    b->frame.arg0 = (void *)in;
    b->frame.arg1 = out;
    routine(&b->frame, b->n);
}

static vec *at(const block *b, void *rows, int64_t i) { return (vec *)rows + i * b->vectors; }

static void fill_random(const block *b, void *rows, uint64_t key, bool signs) {
    real *values = rows;
    for (int64_t i = 0; i < b->n * b->vectors * LANES; i++)
        values[i] = signs ? (deq_uniform(key, (uint64_t)i) < 0.5 ? -1 : 1) : (real)deq_normal(key, (uint64_t)i);
}

/* Normalises row i; its norm before, 0 for one that vanishes or is not finite. */
static double normalise(const block *b, void *rows, int64_t i) {
    vec *v = at(b, rows, i);
    double norm = sqrt(dot(v, v, b->vectors));
    if (!(norm > 0) || !isfinite(norm)) {
        memset(v, 0, (size_t)b->vectors * sizeof(vec));
        return isfinite(norm) ? 0 : norm;
    }
    scale(v, (real)(1 / norm), v, b->vectors);
    return norm;
}

static int64_t stride_of(const block *b, int steps) { return b->vectors * (steps + 1); }

/* Krylov space of J' and one start vector; basis: by example, then step.  `h` is (steps + 1) x steps, column-major. */
static void arnoldi(block *b, int steps, vec *basis, void *v, void *w, double *h, double *work, deq_spectrum *out) {
    int64_t n = b->n, ld = steps + 1, each = ld * steps;
    int *length = calloc((size_t)n, sizeof *length); /* steps made; negative: ended */
    if (!length) return;
    memset(h, 0, (size_t)(n * each) * sizeof *h);
    fill_random(b, w, 0x5eed, false);
    apply(b, b->fixed->vjp_z, w, v);
    for (int64_t i = 0; i < n; i++) {
        double norm = normalise(b, v, i);
        out[i].radius = out[i].radius_change = norm == 0 ? 0 : NAN;
        if (norm == 0 || !isfinite(norm)) length[i] = -1;
        memcpy(basis + i * stride_of(b, steps), at(b, v, i), (size_t)b->vectors * sizeof(vec));
    }
    for (int k = 0; k < steps; k++) {
        apply(b, b->fixed->vjp_z, v, w);
        for (int64_t i = 0; i < n; i++) {
            if (length[i] < 0) continue;
            vec *x = at(b, w, i), *q = basis + i * stride_of(b, steps);
            double *column = h + i * each + k * ld, before = sqrt(dot(x, x, b->vectors));
            for (int pass = 0; pass < 2; pass++) /* twice is enough */
                for (int j = 0; j <= k; j++) {
                    double c = dot(x, q + j * b->vectors, b->vectors);
                    subtract(x, (real)c, q + j * b->vectors, b->vectors);
                    column[j] += c;
                }
            double below = sqrt(dot(x, x, b->vectors));
            column[k + 1] = below;
            length[i] = k + 1;
            bool ended = !(below > 16 * REAL_EPSILON * before) || !isfinite(below);
            if (ended || k + 1 == steps) { /* the space is invariant, or this must do */
                int back = k + 1 > LOOK_BACK ? k + 1 - LOOK_BACK : 1;
                out[i].radius = isfinite(below) ? deq_hessenberg_radius(h + i * each, k + 1, (int)ld, work) : NAN;
                double earlier = ended ? out[i].radius : deq_hessenberg_radius(h + i * each, back, (int)ld, work);
                out[i].radius_change =
                    out[i].radius > 0 ? fabs(out[i].radius - earlier) / out[i].radius : fabs(earlier);
                length[i] = -(k + 1);
                continue;
            }
            scale(x, (real)(1 / below), x, b->vectors);
            memcpy(q + (k + 1) * b->vectors, x, (size_t)b->vectors * sizeof(vec));
            memcpy(at(b, v, i), x, (size_t)b->vectors * sizeof(vec));
        }
    }
    free(length);
}

/* v <- J'J v, normalised; norm(J v) grows towards the largest singular value. */
static void largest_singular(block *b, int iterations, void *v, void *w, deq_spectrum *out) {
    for (int64_t i = 0; i < b->n; i++) out[i].norm2 = NAN;
    if (!b->fixed->jvp) return;
    fill_random(b, w, 0x516, false);
    apply(b, b->fixed->vjp_z, w, v);
    for (int64_t i = 0; i < b->n; i++) out[i].norm2 = normalise(b, v, i) > 0 ? 0 : NAN;
    double change = INFINITY;
    for (int k = 0; k < iterations && change > POWER_CHANGE; k++) {
        apply(b, b->fixed->jvp, v, w);
        change = 0;
        for (int64_t i = 0; i < b->n; i++) {
            vec *x = at(b, w, i);
            double norm = sqrt(dot(x, x, b->vectors));
            if (norm > 0) change = fmax(change, fabs(norm - out[i].norm2) / norm);
            out[i].norm2 = norm;
        }
        apply(b, b->fixed->vjp_z, w, v);
        for (int64_t i = 0; i < b->n; i++) normalise(b, v, i);
    }
}

/* The mean of norm(J'v)^2 over vectors of random signs is the sum of J's squared entries. */
static void frobenius(block *b, int samples, void *v, void *w, deq_spectrum *out) {
    for (int64_t i = 0; i < b->n; i++) out[i].frobenius = 0;
    for (int s = 0; s < samples; s++) {
        fill_random(b, w, deq_key_mix(0xf10b, (uint64_t)s), true);
        apply(b, b->fixed->vjp_z, w, v);
        for (int64_t i = 0; i < b->n; i++) out[i].frobenius += dot(at(b, v, i), at(b, v, i), b->vectors) / samples;
    }
    for (int64_t i = 0; i < b->n; i++) out[i].frobenius = sqrt(out[i].frobenius);
}

static void residuals(const block *b, const void *z, void *image, deq_spectrum *out) {
    for (int64_t i = 0; i < b->n; i++) {
        const real *a = (const real *)at(b, (void *)z, i), *f = (const real *)at(b, image, i);
        double gap = 0, norm = 0;
        for (int64_t k = 0; k < b->vectors * LANES; k++) {
            gap += ((double)f[k] - (double)a[k]) * ((double)f[k] - (double)a[k]);
            norm += (double)f[k] * (double)f[k];
        }
        out[i].residual = sqrt(gap) / (sqrt(norm) + 1e-9);
    }
}

bool NAME(deq_spectrum)(const deq_worker *worker, const deq_frame *frame, const deq_fixed *fixed, int64_t n, void *rest,
                        const void *z, const deq_spectrum_options *options, deq_spectrum *out) {
    block b = {.fixed = fixed, .frame = *frame, .n = n, .vectors = fixed->state_bytes / (int64_t)sizeof(vec)};
    size_t rows = (size_t)n * (size_t)fixed->state_bytes;
    int64_t steps = options && options->steps ? options->steps : ARNOLDI_STEPS;
    int64_t room = ARNOLDI_BYTES / (n * fixed->state_bytes);
    if (steps > room) steps = room < 10 ? 10 : room;
    if (steps > fixed->dimension) steps = fixed->dimension;
    char *tape = deq_memory_new((size_t)(n * fixed->tape_bytes) + DEQ_ALIGN), *v = deq_memory_new(rows),
         *w = deq_memory_new(rows), *basis = deq_memory_new(rows * (size_t)(steps + 1));
    double *h = malloc((size_t)(n * (steps + 1) * steps) * sizeof *h),
           *work = malloc((size_t)(steps * steps + 3 * steps) * sizeof *work);
    bool ok = tape && v && w && basis && h && work;
    if (ok) {
        b.frame.rest = rest;
        b.frame.drest = b.frame.accum = NULL;
        b.frame.rows = worker->identity;
        b.frame.tape = tape;
        b.frame.scratch = worker->scratch;
        apply(&b, fixed->lin, z, v);
        residuals(&b, z, v, out);
        arnoldi(&b, (int)steps, (vec *)basis, v, w, h, work, out);
        largest_singular(&b, options && options->iterations ? options->iterations : POWER_ITERATIONS, v, w, out);
        frobenius(&b, options && options->samples ? options->samples : SAMPLES, v, w, out);
    }
    free(tape);
    free(v);
    free(w);
    free(basis);
    free(h);
    free(work);
    return ok;
}
