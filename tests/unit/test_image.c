/* Pooling and resizing (compiler/image.c) against direct loops, on sizes that do not divide, with padding and ties. */
#include "elaborate.h"
#include "graph_numbers.h"

typedef struct Image {
    uint32_t channels, height, width;
    const double *at;
} Image;

static double element(const Image *x, uint32_t c, int64_t i, int64_t j, double outside) {
    if (i < 0 || j < 0 || i >= x->height || j >= x->width) return outside;
    return x->at[(c * x->height + i) * x->width + j];
}

static double pooled(const Image *x, const Pool *p, uint32_t c, uint32_t i, uint32_t j) {
    double sum = 0, most = -INFINITY;
    for (uint32_t k = 0; k < p->kernel * p->kernel; k++) {
        int64_t row = (int64_t)(i * p->stride + k / p->kernel) - p->padding;
        int64_t column = (int64_t)(j * p->stride + k % p->kernel) - p->padding;
        double v = element(x, c, row, column, p->largest ? -INFINITY : 0);
        sum += v;
        most = v > most ? v : most;
    }
    return p->largest ? most : sum / (p->kernel * p->kernel);
}

/* Where element `i` of `to` lies among `from`, edges repeated: a whole part and what is left. */
static int64_t place(uint32_t i, uint32_t from, uint32_t to, double *part) {
    double at = (i + 0.5) * from / to - 0.5;
    at = at < 0 ? 0 : at > from - 1 ? from - 1 : at;
    *part = at - floor(at);
    return (int64_t)at;
}

static double interpolated(const Image *x, uint32_t c, uint32_t i, uint32_t j, uint32_t height, uint32_t width) {
    double a, b, sum = 0;
    int64_t row = place(i, x->height, height, &a), column = place(j, x->width, width, &b);
    for (int k = 0; k < 4; k++) {
        double weight = (k / 2 ? a : 1 - a) * (k % 2 ? b : 1 - b);
        if (weight > 0) sum += weight * element(x, c, row + k / 2, column + k % 2, NAN);
    }
    return sum;
}

typedef struct Fixture {
    Arena *arena;
    Graph *g;
    NodeId in;
    Image x;
} Fixture;

static Fixture fixture(uint32_t channels, uint32_t height, uint32_t width) {
    Fixture f = {.arena = arena_new(), .x = {channels, height, width, NULL}};
    f.g = graph_new(f.arena, "image");
    f.in = graph_input(f.g, (Shape){3, {channels, height, width}}, true, "x", (Range){0});
    f.x.at = random_values(f.arena, channels * height * width, -1, 1);
    return f;
}

static void pools(void **state) {
    (void)state;
    for (uint32_t round = 0; round < 60; round++) {
        Fixture f = fixture(rng_int(1, 3), rng_int(2, 9), rng_int(2, 9));
        uint32_t small = f.x.height < f.x.width ? f.x.height : f.x.width;
        Pool p = {rng_int(1, small), rng_int(1, 3), 0, round % 2};
        p.padding = rng_int(0, p.kernel / 2);
        NodeId y = image_pool(f.g, f.in, &p, (Range){0});
        graph_verify(f.g);
        Shape s = graph_node(f.g, y)->shape;
        assert_int_equal(s.dims[1], (f.x.height + 2 * p.padding - p.kernel) / p.stride + 1);
        double **v = interpret_graph(f.arena, f.g, 1, &f.x.at, &test_calls);
        for (uint32_t k = 0; k < shape_count(s); k++)
            assert_close(v[y][k],
                         pooled(&f.x, &p, k / (s.dims[1] * s.dims[2]), k / s.dims[2] % s.dims[1], k % s.dims[2]),
                         1e-12);
        arena_free(f.arena);
    }
}

static void resizing(void **state) {
    (void)state;
    for (uint32_t round = 0; round < 40; round++) {
        Fixture f = fixture(rng_int(1, 3), rng_int(1, 6), rng_int(1, 6));
        uint32_t factor = rng_int(1, 3), height = rng_int(1, 9), width = rng_int(1, 9);
        NodeId up = image_upsample(f.g, f.in, factor, (Range){0});
        NodeId to = image_bilinear(f.g, f.in, height, width, (Range){0});
        graph_verify(f.g);
        double **v = interpret_graph(f.arena, f.g, 1, &f.x.at, &test_calls);
        uint32_t wide = f.x.width * factor, high = f.x.height * factor;
        for (uint32_t k = 0; k < f.x.channels * high * wide; k++)
            assert_close(v[up][k], element(&f.x, k / (high * wide), k / wide % high / factor, k % wide / factor, NAN),
                         1e-12);
        for (uint32_t k = 0; k < f.x.channels * height * width; k++)
            assert_close(v[to][k],
                         interpolated(&f.x, k / (height * width), k / width % height, k % width, height, width), 1e-12);
        arena_free(f.arena);
    }
}

/* Of equal elements in a window the first, row by row, gets the whole derivative. */
static void ties(void **state) {
    (void)state;
    Arena *a = arena_new();
    Graph *g = graph_new(a, "ties");
    NodeId x = graph_input(g, (Shape){3, {1, 2, 4}}, true, "x", (Range){0}), dx;
    NodeId y = image_pool(g, x, &(Pool){2, 2, 0, true}, (Range){0});
    NodeId u = graph_input(g, graph_node(g, y)->shape, true, "u", (Range){0});
    reverse(g, &y, &u, 1, &x, 1, NULL, &dx, NULL, NULL);
    double at[8] = {5, 1, 2, 7, 3, 5, 7, 7}, cotangent[2] = {1, 10}, tangent[8] = {0};
    const double *in[3] = {at, cotangent, tangent}, expected[8] = {1, 0, 0, 10, 0, 0, 0, 0};
    double **v = interpret_graph(a, g, 1, in, &test_calls);
    for (int k = 0; k < 8; k++) assert_close(v[dx][k], expected[k], 1e-12);
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(pools), cmocka_unit_test(resizing), cmocka_unit_test(ties)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
