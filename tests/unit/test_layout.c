/* test_layout.c - a first state that is given does not keep convolutions from running channels last. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "compiled_net.h"
#include "conv.h"

/* Three plain steps from a given start, by the solver and written out; mix is called before low in both, which is the
 * order of the parameters. */
static const char text[] = "import std.layers (Conv)\n\n"
                           "layer Given(x: f32[2, 6, 5]) -> f32[5, 6, 5] {\n"
                           "  use inject = Conv[2, 5]\n"
                           "  use mix    = Conv[5, 5]\n"
                           "  use low    = Conv[5, 5](stride: 2)\n"
                           "  let u = inject(x)\n"
                           "  fixed point (z: f32[5, 6, 5], y: f32[5, 3, 3]) {\n"
                           "    z = tanh(mix(z) + u)\n"
                           "    y = tanh(low(z) + y)\n"
                           "    start:   (0.5 * tanh(u), tanh(low(u)))\n"
                           "    forward: picard(tol: 0, max: 3, return: last)\n"
                           "    finish:  none\n"
                           "  }\n"
                           "  return z * mean(y)\n}\n\n"
                           "layer Written(x: f32[2, 6, 5]) -> f32[5, 6, 5] {\n"
                           "  use inject = Conv[2, 5]\n"
                           "  use mix    = Conv[5, 5]\n"
                           "  use low    = Conv[5, 5](stride: 2)\n"
                           "  let u = inject(x)\n"
                           "  let z0 = 0.5 * tanh(u)\n"
                           "  let z1 = tanh(mix(z0) + u)\n"
                           "  let y0 = tanh(low(u))\n"
                           "  let y1 = tanh(low(z0) + y0)\n"
                           "  let z2 = tanh(mix(z1) + u)\n"
                           "  let y2 = tanh(low(z1) + y1)\n"
                           "  let z3 = tanh(mix(z2) + u)\n"
                           "  let y3 = tanh(low(z2) + y2)\n"
                           "  return z3 * mean(y3)\n}\n\n"
                           "test \"1\" { check: gradcheck(Given, directions: 1, tol: 1) }\n"
                           "test \"2\" { check: gradcheck(Written, directions: 1, tol: 1) }\n";

static int64_t convolutions(const Unit *unit, int64_t *last) {
    int64_t n = 0;
    for (uint32_t k = 0; k < unit->nroutines; k++)
        for (uint32_t s = 0; s < unit->routines[k]->nsteps; s++) {
            const Graph *g = unit->routines[k]->steps[s].graph;
            for (NodeId id = 0; id < g->nnodes; id++) {
                const Node *node = graph_node(g, id);
                if (node->op != OP_conv && node->op != OP_conv_input && node->op != OP_batch_conv_weight) continue;
                n++;
                *last += node->attr.conv.last != 0;
            }
        }
    return n;
}

static void test_given_start(void **state) {
    (void)state;
    enum { N = 3 };
    CompiledNet nets[2];
    double *outputs[2];
    const char *path = net_program(text);
    for (int k = 0; k < 2; k++) {
        CompiledNet *f = &nets[k];
        deq_error e = {0};
        int64_t last = 0;
        net_open(f, path, k ? "Written" : "Given", true, 1, 0, 0.4);
        outputs[k] = net_rows(f, N, f->outputs, 0);
        void *x = net_rows(f, N, f->inputs, 5);
        assert_true(deq_engine_forward(f->engine, N, x, outputs[k], NULL, &e));
        int64_t all = convolutions(f->c.unit, &last);
        if (!all || last != all) fail_msg("%d of %d convolutions are channels last", (int)last, (int)all);
        free(x);
    }
    for (int64_t i = 0; i < N * nets[0].outputs; i++) assert_true(fabs(outputs[0][i] - outputs[1][i]) < 1e-14);
    unlink(path);
    for (int k = 0; k < 2; k++) free(outputs[k]), net_close(&nets[k]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_given_start)};
    return cmocka_run_group_tests_name("layout", tests, NULL, NULL);
}
