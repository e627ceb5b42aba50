/* Groups that need the same code share one function, and a unit is the same program in one object and in several. */
#include "backend_check.h"

static const Range nowhere = {0};

static NodeId input(Graph *g, Shape s, bool batched) {
    return graph_input(g, s, batched, arena_printf(g->arena, "x%u", g->ninputs), nowhere);
}

/* tanh(x + w), and its sum times a number: a cluster of its own for each size and number. */
static void add_routine(Unit *u, uint32_t size, double factor, bool rest) {
    Graph *g = graph_new(u->arena, "shifted");
    NodeId x = input(g, shape_of(1, &size), true), w = input(g, shape_of(1, &size), false);
    NodeId y = graph_unary(g, OP_tanh, graph_binary(g, OP_add, x, w, nowhere), nowhere);
    graph_output(g, y);
    graph_output(
        g, graph_binary(g, OP_mul, graph_reduce(g, OP_reduce_sum, y, 1, nowhere), graph_constant(g, factor), nowhere));
    unit_add(u, g, (Placement){.rest = rest});
}

static BackendResult compiled(const Unit *u, bool single, bool text) {
    BackendOptions o = {.cpu = "native", .optimise = 2, .single = single, .emit_ll = text};
    BackendResult r;
    if (!backend()->compile(u, &o, &r)) fail_msg("%s", r.error);
    return r;
}

static void discard(BackendResult *r) {
    for (uint32_t k = 0; k < r->nobjects; k++) free(r->objects[k].bytes);
    free(r->ll);
    free(r->row_bytes);
    free(r->base_bytes);
}

static uint32_t forms(uint32_t copies, const uint32_t *sizes, const double *factors) {
    Arena *a = arena_new();
    Unit *u = unit_new(a, 4, "native");
    for (uint32_t k = 0; k < copies; k++) add_routine(u, sizes[k % 2], factors[k % 2], false);
    BackendResult r = compiled(u, true, true);
    uint32_t n = 0;
    for (const char *at = r.ll; (at = strstr(at, "\ndefine ")); at++) {
        const char *end = strchr(at + 1, '\n'), *form = strstr(at, "@form_");
        n += form && form < end;
    }
    discard(&r);
    arena_free(a);
    return n;
}

static void test_shared(void **state) {
    (void)state;
    const uint32_t same[] = {40, 40}, other[] = {40, 41};
    const double one[] = {0.5, 0.5}, two[] = {0.5, 0.25};
    assert_int_equal(forms(2, same, one), 2); /* the row, and the number */
    assert_int_equal(forms(12, same, one), 2);
    assert_int_equal(forms(12, other, one), 3); /* two kinds of rows */
    assert_int_equal(forms(12, same, two), 3);  /* two kinds of numbers */
}

static void test_modules(void **state) {
    (void)state;
    Arena *a = arena_new();
    Unit *u = unit_new(a, 4, "native");
    for (uint32_t k = 0; k < 120; k++) add_routine(u, 16 + k / 2 % 40, 0.5, k % 2);
    BackendResult several = compiled(u, false, false), one = compiled(u, true, false),
                  again = compiled(u, false, false);
    assert_true(several.nobjects > 1);
    assert_int_equal(one.nobjects, 1);
    assert_int_equal(again.nobjects, several.nobjects); /* whoever was first: the same bytes */
    for (uint32_t k = 0; k < again.nobjects; k++) {
        assert_int_equal(again.objects[k].size, several.objects[k].size);
        assert_memory_equal(again.objects[k].bytes, several.objects[k].bytes, again.objects[k].size);
    }
    char *error = NULL;
    Loaded x = {u, backend()->load(several.objects, several.nobjects, &error)},
           y = {u, backend()->load(one.objects, one.nobjects, &error)};
    if (!x.module || !y.module) fail_msg("%s", error);
    for (uint32_t k = 0; k < u->nroutines; k++) {
        Memory m = compare_routine(&x, k, 3, 0.1, 1, 1e-5, NULL);
        memory_release(&m);
        m = memory_new(u->routines[k], &u->layout, 3, -1, 1);
        Memory copy = memory_copy(&m);
        memory_run(&x, k, &m, 3);
        memory_run(&y, k, &copy, 3);
        for (uint32_t p = 0; p < m.nparts; p++)
            if (m.bytes[p]) assert_memory_equal(m.part[p], copy.part[p], m.bytes[p]);
        memory_release(&m);
        memory_release(&copy);
    }
    discard(&several);
    discard(&one);
    discard(&again);
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shared), cmocka_unit_test(test_modules)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
