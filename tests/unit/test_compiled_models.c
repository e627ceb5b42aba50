/* The routines of whole models as native code against the interpreter: every routine that solves nothing itself, in
 * both precisions, on records and tapes of their own layouts. */
#include "backend_support.h"
#include "routines.h"
#include "models.h"

static void set_outputs(const Loaded *loaded, const Routine *r, Memory *m, int byte) {
    for (uint32_t out = 0; out < r->steps->nout; out++) {
        const Node *node = graph_node(r->steps->graph, r->steps->out[out].node);
        uint64_t bytes = padded64(stored_count(&loaded->unit->layout, node) * loaded->unit->layout.real_bytes);
        memset(output_row(r, m, &r->steps->out[out], 0), byte, bytes);
    }
}

/* In pieces, last one first, the routine writes what it writes in one call, to the bit; to ACCUM it adds. */
static void check_pieces(const Loaded *loaded, uint32_t k, const Memory *ran) {
    const Routine *r = loaded->unit->routines[k];
    const int before = r->steps->out[0].place == PLACE_ACCUM ? 0 : 0xFF;
    Memory whole = memory_copy(ran);
    set_outputs(loaded, r, &whole, before);
    memory_run(loaded, k, &whole, 1);
    for (uint64_t pieces = 2; pieces <= 5; pieces += 3) {
        Memory m = memory_copy(ran);
        set_outputs(loaded, r, &m, before);
        m.frame.seed = pieces;
        for (m.frame.step = pieces; m.frame.step-- > 0;) memory_run(loaded, k, &m, 1);
        assert_memory_equal(m.frame.shared, whole.frame.shared, whole.bytes[0]);
        assert_memory_equal(m.frame.accum, whole.frame.accum, whole.bytes[1]);
        memory_release(&m);
    }
    memory_release(&whole);
}

static void check_net(Net *net, uint32_t real_bytes, double tolerance) {
    static const int64_t batches[] = {1, 3, 17};
    Unit *u = unit_new(net->arena, real_bytes, "native");
    ModelRoutines *r = model_routines(u, &net->model);
    Loaded loaded = unit_load(u, "native", "inline");
    uint32_t compared = 0, in_pieces = 0, wanted = 0;
    for (uint32_t k = 0; k < u->nroutines; k++) {
        const Routine *routine = u->routines[k];
        wanted += strstr(routine->name, "_prepare") != NULL || strstr(routine->name, "_finish") != NULL;
        if (routine->fixed) continue; /* these need the runtime's solvers: tests of gradients run them */
        for (size_t b = 0; b < sizeof batches / sizeof *batches; b++) {
            rng_state = 77 + k;
            Memory m = compare_routine(&loaded, k, routine->rows ? batches[b] : 1, -0.9, 0.9, tolerance, NULL);
            if (routine->pieces) {
                check_pieces(&loaded, k, &m);
                in_pieces++;
            }
            memory_release(&m);
            if (!routine->rows) break;
        }
        compared++;
    }
    assert_true(compared >= 10 * r->nfixed); /* nine of each fixed point, the metric, prepare */
    assert_true(in_pieces >= 1);
    assert_int_equal(in_pieces, wanted);
    arena_free(net->arena);
}

#define NET(name)                                                                                                      \
    static void test_##name(void **state) {                                                                            \
        (void)state;                                                                                                   \
        check_net(name##_net(), 8, 1e-11);                                                                             \
        check_net(name##_net(), 4, 1e-4);                                                                              \
    }
NET(tanh)
NET(norm)
NET(chain)
NET(matrix)

static void test_random(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) check_net(random_net(seed), 8, 1e-10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tanh),   cmocka_unit_test(test_norm),   cmocka_unit_test(test_chain),
        cmocka_unit_test(test_matrix), cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests_name("compiled_models", tests, NULL, NULL);
}
