/* backend_check.h - every routine of a unit against the interpreter, on ragged batches.  Included once by a test
 * program. */
#ifndef DEQ_TESTS_BACKEND_CHECK_H
#define DEQ_TESTS_BACKEND_CHECK_H
#include "backend_support.h"

static const int64_t batches[] = {1, 13, 14, 15, 33};

/* The runtime is not under test: what generated code calls is here. */
void deq_fixed_solve(void *frame, void *fixed, int64_t n, void *rest, void *z, int64_t want_gradient, void *cotangent) {
    (void)cotangent;
    (void)frame, (void)fixed, (void)n, (void)rest, (void)z, (void)want_gradient;
}
void deq_fixed_gradient(void *frame, void *fixed, int64_t n, void *rest, void *drest, void *u,
                        int64_t want_parameters) {
    (void)frame, (void)fixed, (void)n, (void)rest, (void)drest, (void)u, (void)want_parameters;
}
void deq_linear_solve(void *frame, void *fixed, int64_t n, void *rest, void *u) {
    (void)frame, (void)fixed, (void)n, (void)rest, (void)u;
}

void deq_batch_sum(void *frame, void *sum, int64_t count) { (void)frame, (void)sum, (void)count; }
void deq_meet(void *frame) { (void)frame; }

#define RANDOM(bits, real)                                                                                             \
    void deq_random_f##bits(void *frame, void *out, int64_t stride, int64_t count, int64_t n, int64_t kind,            \
                            int64_t site, int64_t iteration) {                                                         \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            double draws[4096];                                                                                        \
            keyed_draws(NULL, kind, site, i, iteration, (uint64_t)count, draws);                                       \
            for (int64_t k = 0; k < count; k++) ((real *)((char *)out + i * stride))[k] = (real)draws[k];              \
        }                                                                                                              \
        (void)frame;                                                                                                   \
    }
RANDOM(32, float)
RANDOM(64, double)
#define PRODUCT(bits, real)                                                                                            \
    void deq_product_f##bits(void *a, void *b, void *c, int64_t m, int64_t n, int64_t k, int64_t ta, int64_t tb) {     \
        for (int64_t i = 0; i < m; i++)                                                                                \
            for (int64_t j = 0; j < n; j++) {                                                                          \
                double s = 0;                                                                                          \
                for (int64_t q = 0; q < k; q++)                                                                        \
                    s += (double)((real *)a)[ta ? q * m + i : i * k + q] *                                             \
                         (double)((real *)b)[tb ? j * k + q : q * n + j];                                              \
                ((real *)c)[i * n + j] = (real)s;                                                                      \
            }                                                                                                          \
    }
PRODUCT(32, float)
PRODUCT(64, double)

static inline double tolerance_of(const Unit *u) { return u->layout.real_bytes == 4 ? 2e-5 : 1e-12; }

/* Runs every routine of the unit with every batch size. */
static void check_batches(const Unit *u, const char *cpu, double low, double high, double tolerance,
                          const int64_t *batches, size_t nbatches) {
    Loaded loaded = unit_load(u, cpu, "inline");
    for (uint32_t k = 0; k < u->nroutines; k++) {
        const Routine *r = u->routines[k];
        for (size_t b = 0; b < nbatches; b++) {
            rng_state = 1000 + k;
            Memory m = compare_routine(&loaded, k, r->rows ? batches[b] : 1, low, high, tolerance, NULL);
            memory_release(&m);
            if (!r->rows) break;
        }
    }
}

static inline void check_unit(const Unit *u, const char *cpu, double low, double high, double tolerance) {
    check_batches(u, cpu, low, high, tolerance, batches, sizeof batches / sizeof *batches);
}
#endif
