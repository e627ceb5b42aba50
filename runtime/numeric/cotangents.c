/* cotangents.c - see cotangents.h. */
#include "cotangents.h"
#include <math.h>
#include <string.h>

HOT static double row_norm(const vec *x, int64_t n) { return sqrt((double)row_dot(x, x, n)); }
/* A power of two near the norm of g; its squares may have vanished, or grown too large, where g itself did not.  1 for what
 * is zero or not finite; *zero says which. */
static double scale_of(const vec *g, int64_t vectors, bool *zero) {
    const int most = sizeof(real) == 4 ? 100 : 1000; /* whose inverse is a normal number */
    double norm = row_norm(g, vectors);
    if (norm == 0 || isinf(norm)) {
        norm = 0;
        for (int64_t k = 0; k < vectors * LANES; k++) norm = fmax(norm, fabs((double)((const real *)g)[k]));
    }
    *zero = norm == 0;
    if (*zero || !isfinite(norm)) return 1;
    const int power = ilogb(norm);
    return ldexp(1, power < -100 ? -100 : power > most ? most : power);
}

HOT static void scaled(vec *out, const vec *x, real c, int64_t n) { row_scale(out, c, x, n); }

cotangents NAME(cotangents_take)(const deq_fixed *fixed, deq_space *space, int64_t n) {
    size_t bytes = (size_t)n * (size_t)fixed->state_bytes, count = (size_t)n;
    cotangents b;
    b.u = deq_space_take(space, bytes);
    b.v = deq_space_take(space, bytes);
    b.out = deq_space_take(space, bytes);
    b.result = deq_space_take(space, bytes);
    b.scale = deq_space_take(space, count * sizeof *b.scale);
    b.bad = deq_space_take(space, count * sizeof *b.bad);
    b.fell = deq_space_take(space, count * sizeof *b.fell);
    return b;
}

size_t NAME(cotangents_bytes)(const deq_fixed *fixed, int64_t n) {
    deq_space space = {NULL, 0};
    NAME(cotangents_take)(fixed, &space, n);
    return space.used;
}

bool NAME(cotangents_cut)(const deq_worker *worker, const deq_fixed *fixed, int64_t row) {
    const deq_kept *kept = &worker->kept[fixed->index];
    return kept->bad[row] || (worker->request.settings[fixed->index].on_fail == DEQ_ZERO_GRADIENT && kept->failed[row]);
}

void NAME(cotangents_load)(const deq_frame *frame, const deq_fixed *fixed, int64_t n, cotangents *b) {
    deq_worker *worker = frame->host;
    int64_t vectors = fixed->state_bytes / (int64_t)sizeof(vec);
    for (int64_t row = 0; row < n; row++) {
        const vec *u = (const vec *)frame->arg1 + row * vectors;
        bool zero;
        b->scale[row] = scale_of(u, vectors, &zero);
        if (NAME(cotangents_cut)(worker, fixed, row)) b->scale[row] = 1, zero = true;
        if (zero)
            memset((vec *)b->u + row * vectors, 0, (size_t)fixed->state_bytes);
        else
            scaled((vec *)b->u + row * vectors, u, (real)(1 / b->scale[row]), vectors);
    }
    memset(frame->drest, 0, (size_t)n * (size_t)fixed->rest_bytes);
}

void NAME(cotangents_unload)(const deq_frame *frame, const deq_fixed *fixed, int64_t n, cotangents *b,
                             const real *from) {
    deq_worker *worker = frame->host;
    deq_kept *kept = &worker->kept[fixed->index];
    int64_t vectors = fixed->state_bytes / (int64_t)sizeof(vec);
    for (int64_t i = 0; i < n; i++) {
        int64_t row = kept->rows[i];
        vec *v = (vec *)b->v + i * vectors;
        scaled(v, (const vec *)from + row * vectors, (real)b->scale[row], vectors);
        b->bad[i] = kept->bad[row] || !NAME(row_finite)(v, vectors);
        if (b->bad[i]) deq_worker_left_out(worker, fixed, row, frame->example ? frame->example[row] : row);
    }
}

deq_frame NAME(cotangents_frame)(const deq_frame *frame, const deq_fixed *fixed, void *in, void *out) {
    const deq_kept *kept = &((deq_worker *)frame->host)->kept[fixed->index];
    deq_frame inner = *frame;
    inner.rows = kept->rows;
    inner.tape = kept->tape;
    inner.example = NULL;
    inner.arg0 = in;
    inner.arg1 = out;
    return inner;
}

double NAME(scale_right)(vec *out, const vec *g, int64_t vectors) {
    bool zero;
    const double scale = scale_of(g, vectors, &zero);
    if (zero)
        memset(out, 0, (size_t)vectors * sizeof(vec));
    else
        scaled(out, g, (real)(1 / scale), vectors);
    return scale;
}
