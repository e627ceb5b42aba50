/* interpreter.h - reference interpreter of graphs and routines, in double precision: the oracle of the tests.
 *
 * Slow and plain on purpose: one loop per op, nothing fused, nothing reordered. */
#ifndef DEQ_TESTS_INTERPRETER_H
#define DEQ_TESTS_INTERPRETER_H
#include "routine.h"
#include "deq_runtime.h"

typedef struct InterpretCalls { /* what is not in the graph; members may be NULL when no node needs them */
    void *user;
    /* `count` draws of example `row`; iteration: 0 outside loops, else (that of the enclosing loop) * 65536 + counter +
     * 1 */
    void (*random)(void *user, int64_t kind, int64_t site, int64_t row, int64_t iteration, uint64_t count, double *out);
    /* Graphs: fills values[id] of a CLASS_CALL node (all n examples, row after row); tokens may stay unset. */
    void (*call)(void *user, const Graph *g, NodeId id, int64_t n, double *const *values);
    /* Routines: the functions of abi.def, on records of the layout. */
    void (*solve)(void *user, const FixedLayout *f, int64_t n, void *rest, void *z, bool want_gradient);
    void (*gradient)(void *user, const FixedLayout *f, int64_t n, void *rest, void *drest, void *u,
                     bool want_parameters);
    /* A query at x (n examples, dense doubles): fills out[2] output, out[3] loss, out[4] gradient, those not NULL. */
    void (*query)(void *user, const char *routine, int64_t n, const double *x, double *const out[5]);
} InterpretCalls;

/* Values of every node: result[id] holds n * count doubles when batched, else count.  inputs[k] belongs to
 * g->inputs[k]. Arrays live in the arena. */
double **interpret_graph(Arena *a, const Graph *g, int64_t n, const double *const *inputs, const InterpretCalls *calls);

/* Runs a routine on a frame whose buffers hold float or double (layout->real_bytes), as abi.def and frame.def say.
 * frame->scratch is not used. */
void interpret_routine(Arena *a, const Routine *r, const Layout *layout, const deq_frame *frame, int64_t n,
                       const InterpretCalls *calls);
#endif
