/* queries.h - what an attack asks of its net: outputs, losses, and gradients of objectives, at points.
 *
 * An objective is a function to one number, of its arguments and of the net's outputs: a local `fn` of the attack, or
 * the attack's loss.  Its gradient is a closure conversion.  The function is evaluated once more in a graph of its own,
 * in which every logits(e) is a site: its point, and an input that stands for the output there.  For each site whose
 * point moves with the arguments
 *
 *   a routine (output, record) -> value and derivative in the output is made (an OBJECTIVE, see routine.h); the record
 *   holds what else the derivative reads, which is constant in it: captured values, outputs of other sites;
 *   one query of NET_objective_input gives the output, and carries the derivative back to the point,
 *
 * and the chain rule from points and arguments to the result is written out in the attack itself.  So the net's
 * routines are made once, whatever the objectives are. */
#ifndef DEQ_COMPILER_QUERIES_H
#define DEQ_COMPILER_QUERIES_H
#include "machine.h"

typedef struct Point { /* a query that has been made */
    const Build *build;
    NodeId at, query;
    const char *loss;                                                         /* of POINT_LOSS and POINT_GRADIENT */
    enum { POINT_OUTPUT, POINT_LOSS, POINT_GRADIENT, POINT_OBJECTIVE } gives; /* beside the output */
} Point;

typedef struct Collector Collector; /* the objective being evaluated */

typedef struct Queries { /* of one attack on one net */
    Machine *machine;
    Net *net;
    const char *loss;   /* a loss of the net, which has routines of its own; NULL: `use` is another function */
    const LossUse *use; /* the function that loss(a) is */
    Value y;            /* the example's target */
    Point *points;
    uint32_t n, cap;
    const char **objectives; /* what becomes routine->objectives */
    uint32_t nobjectives, objectives_cap;
    const char *hash; /* of their texts; NULL: there are none */
    Collector *collecting;
    bool differentiates;
    bool in_batch; /* the net is asked with the statistics of the batch */
} Queries;

typedef struct Record { /* what an objective reads beside the output: nodes of its graph, one after the other */
    NodeId *values;
    uint32_t n, cap;
} Record;

/* The OBJECTIVE of `value`, a number, in the input `output` of g; equal ones are made once.  An empty record becomes
 * what it reads, and the result is NULL if the value changes with the output in jumps only.  A record that is given holds it all. */
const char *objective_routine(Elab *e, const char *prefix, const Graph *g, NodeId value, NodeId output, Record *record,
                              const char **hash);
/* The net's output, or the loss, at a point: an expression of the input's shape. */
Value query_logits(Scope *s, Queries *q, const Ast *point, Range at);
Value query_loss(Scope *s, Queries *q, const Ast *point, Range at);
/* Whether the largest output there is another than the target. */
Value query_wrong(Scope *s, Queries *q, const Ast *point, Range at);
/* gradient(f, at: point): of the shape of the point; of a tuple of points a tuple. */
Value query_gradient(Scope *s, Queries *q, const Ast *f, const Ast *point, Range at);
/* A piece is finished: queries of an output at a point where an objective is asked for too become one with it.  The
 * graph with what `roots` need; map as for graph_copy. */
Graph *queries_shared(Arena *a, const Graph *g, const NodeId *roots, uint32_t nroots, NodeId *map);
#endif
