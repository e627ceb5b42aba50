/* mode_bench.h - gradients of a loss of the tanh cell's state by every mode, and dense references, for tests of modes.
 */
#ifndef DEQ_TEST_MODE_BENCH_H
#define DEQ_TEST_MODE_BENCH_H
#include "cell_bench.h"

/* loss = sum (z - y)^2 / 2 + z^4 / 40, y keyed by the example's row. */
static inline double target(int64_t row, int k) { return deq_normal(21, (uint64_t)(row * 64 + k)); }
static int64_t first_row; /* of the rows solved now */
static inline double loss_of(int64_t row, const double *z, int d) {
    double sum = 0;
    for (int k = 0; k < d; k++) sum += pow(z[k] - target(row, k), 2) / 2 + pow(z[k], 4) / 40;
    return sum;
}
static inline void loss_slope(int64_t row, const double *z, int d, double *out) {
    for (int k = 0; k < d; k++) out[k] = z[k] - target(row, k) + pow(z[k], 3) / 10;
}

#define COTANGENT(T, REAL)                                                                                             \
    static void T(cell_cotangent)(const deq_frame *f, int64_t n) {                                                     \
        int d = ((const T(record) *)f->shared)->d;                                                                     \
        int64_t stride = T(cell_bytes)(d);                                                                             \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            const REAL *z = (const REAL *)((char *)f->arg0 + i * stride);                                              \
            REAL *out = (REAL *)((char *)f->arg1 + i * stride);                                                        \
            memset(out, 0, (size_t)stride);                                                                            \
            for (int k = 0; k < d; k++)                                                                                \
                out[k] = (REAL)((double)z[k] - target(first_row + f->rows[i], k) + pow((double)z[k], 3) / 10);         \
        }                                                                                                              \
    }
#define F32(name) name##_f32
#define F64(name) name##_f64
COTANGENT(F32, float)
COTANGENT(F64, double)

/* As bench_new, with inputs of one size. */
static inline bench mode_bench_new(int bits, cell_kind kind, int d, int64_t n, double gain) {
    bench b = bench_new(bits, kind, d, n, gain);
    b.settings.finish.kind = DEQ_FINISH_trained;
    for (int i = 0; i < n * d; i++) put(&b, b.rest, i / d, i % d, deq_normal(8, (uint64_t)i) * 0.7);
    return b;
}

/* State, head and gradient of rows from .. from + n. */
static inline void bench_rows(bench *b, int64_t from, int64_t n) {
    deq_routine_fn *cotangent = b->bits == 32 ? cell_cotangent_f32 : cell_cotangent_f64;
    void *pointer;
    int64_t at = from * b->stride;
    first_row = from;
    memcpy(&pointer, &cotangent, sizeof pointer);
    b->frame.example = b->example + from;
    deq_fixed_solve(&b->frame, (void *)b->fixed, n, (char *)b->rest + at, (char *)b->z + at, 1, pointer);
    deq_frame head = b->frame;
    int32_t rows[BLOCK];
    for (int i = 0; i < BLOCK; i++) rows[i] = i;
    head.arg0 = (char *)b->z + at;
    head.arg1 = (char *)b->u + at;
    head.rows = rows;
    cotangent(&head, n);
    deq_fixed_gradient(&b->frame, (void *)b->fixed, n, (char *)b->rest + at, (char *)b->drest + at, (char *)b->u + at,
                       1);
}

static inline void bench_run(bench *b, const char *forward, const char *gradient) {
    bench_set(b, forward, gradient);
    bench_plan(b);
    memset(b->accum, 0, (size_t)(b->d * b->d) * 8);
    bench_rows(b, 0, b->n);
}

static inline void bench_runf(bench *b, const char *forward, const char *gradient, ...)
    __attribute__((format(printf, 3, 4)));
static inline void bench_runf(bench *b, const char *forward, const char *gradient, ...) {
    char text[256];
    va_list args;
    va_start(args, gradient);
    vsnprintf(text, sizeof text, gradient, args);
    va_end(args);
    bench_run(b, forward, text);
}

/* ---- dense references, f64 ---- */

static inline void apply(const bench *b, int64_t row, const double *z, double *out, double *J, double *D) {
    double to[CELL_MOST + 32], in[CELL_MOST + 32] = {0};
    memcpy(in, z, (size_t)b->d * sizeof *in);
    cell_f64(b->shared, in, (const double *)((char *)b->rest + row * b->stride), to, J, D);
    memcpy(out, to, (size_t)b->d * sizeof *out);
}

/* dc = D (I - J')^-1 g at the state z. */
static inline void exact_at(const bench *b, int64_t row, const double *z, double *dc) {
    int d = b->d;
    double f[CELL_MOST], J[CELL_MOST * CELL_MOST], D[CELL_MOST + 32], a[CELL_MOST * CELL_MOST];
    apply(b, row, z, f, J, D);
    loss_slope(row, z, d, dc);
    for (int i = 0; i < d; i++)
        for (int k = 0; k < d; k++) a[i * d + k] = (i == k) - J[k * d + i];
    dense_solve(d, a, dc);
    for (int k = 0; k < d; k++) dc[k] *= D[k];
}

static inline void equilibrium(const bench *b, int64_t row, double *z) {
    double f[CELL_MOST];
    memset(z, 0, (size_t)b->d * sizeof *z);
    for (int step = 0; step < 3000; step++) {
        apply(b, row, z, f, NULL, NULL);
        memcpy(z, f, (size_t)b->d * sizeof *z);
    }
}

static double *exact_gradients __attribute__((unused)); /* BLOCK x CELL_MOST, at the equilibria */
static inline void find_exact(const bench *b) {
    static double kept[BLOCK * CELL_MOST];
    double z[CELL_MOST];
    for (int64_t row = 0; row < b->n; row++) {
        equilibrium(b, row, z);
        exact_at(b, row, z, kept + row * CELL_MOST);
    }
    exact_gradients = kept;
}

/* Of drest to the exact gradient, over all rows: norm of the difference over norm; *cosine may be NULL. */
static inline double distance(const bench *b, double *cosine) {
    double apart = 0, norm = 0, mine = 0, dot = 0;
    for (int64_t row = 0; row < b->n; row++)
        for (int k = 0; k < b->d; k++) {
            double got = get(b, b->drest, row, k), want = exact_gradients[row * CELL_MOST + k];
            apart += (got - want) * (got - want), norm += want * want, mine += got * got, dot += got * want;
        }
    if (cosine) *cosine = dot / sqrt(norm * mine);
    return sqrt(apart / norm);
}

static inline double difference(const bench *b, const void *x, const void *y) {
    double apart = 0, norm = 0;
    for (int64_t row = 0; row < b->n; row++)
        for (int k = 0; k < b->d; k++)
            apart += pow(get(b, x, row, k) - get(b, y, row, k), 2), norm += pow(get(b, x, row, k), 2);
    return sqrt(apart / norm);
}

static inline double weight_gradient(const bench *b, int i) {
    return b->bits == 32 ? (double)((float *)b->accum)[i] : ((double *)b->accum)[i];
}

#define TIGHT "broyden(tol: 1e-14, max: 200)"
#endif
