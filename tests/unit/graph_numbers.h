/* graph_numbers.h - random values, evaluation and directional derivatives for the tests of graphs. */
#ifndef DEQ_TESTS_GRAPH_NUMBERS_H
#define DEQ_TESTS_GRAPH_NUMBERS_H
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>
#include "interpreter.h"
#include "adjoint.h"

static uint64_t rng_state = 1;

static uint64_t rng_next(void) { /* splitmix64 */
    uint64_t z = (rng_state += 0x9E3779B97F4A7C15u);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static inline uint32_t rng_int(uint32_t low, uint32_t high) { return low + (uint32_t)(rng_next() % (high - low + 1)); }
static inline double rng_uniform(double low, double high) {
    return low + (high - low) * (double)(rng_next() >> 11) / 9007199254740992.0;
}

static inline bool coin_flip(void) { return rng_next() >> 20 & 1; }

static inline uint64_t value_count(const Graph *g, NodeId id, int64_t n) {
    const Node *node = graph_node(g, id);
    return shape_count(node->shape) * (uint64_t)(node->batched ? n : 1);
}

static inline double *random_values(Arena *a, uint64_t count, double low, double high) {
    double *v = arena_alloc(a, count * sizeof *v + 8);
    for (uint64_t k = 0; k < count; k++) v[k] = rng_uniform(low, high);
    return v;
}

/* Keys draws by everything that identifies them, as the runtime does. */
static inline void keyed_draws(void *user, int64_t kind, int64_t site, int64_t row, int64_t iteration, uint64_t count,
                               double *out) {
    uint64_t kept = rng_state;
    rng_state = (uint64_t)(kind * 31 + site * 1009 + row * 100003 + iteration * 10000019 + 7);
    for (uint64_t k = 0; k < count; k++) out[k] = kind ? rng_uniform(-1, 1) : rng_uniform(0, 1);
    rng_state = kept;
    (void)user;
}

static const InterpretCalls test_calls = {.random = keyed_draws};

static inline double dot(const double *a, const double *b, uint64_t n) {
    double s = 0;
    for (uint64_t k = 0; k < n; k++) s += a[k] * b[k];
    return s;
}

#define assert_close(a, b, tolerance) assert_close_at(a, b, tolerance, __FILE__, __LINE__)
static inline void assert_close_at(double a, double b, double tolerance, const char *file, int line) {
    if (fabs(a - b) <= tolerance * (1 + fabs(a) + fabs(b))) return;
    print_error("%.17g and %.17g differ by %.3g\n", a, b, fabs(a - b));
    _fail(file, line);
}
#endif
