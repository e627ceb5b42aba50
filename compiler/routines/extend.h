/* extend.h - `fixed` nodes that capture more than their bodies read: values for gradients by hand, first states. */
#ifndef DEQ_COMPILER_EXTEND_H
#define DEQ_COMPILER_EXTEND_H
#include "model.h"

typedef struct Extras { /* what a `fixed` node captures besides its body's values */
    NodeId *nodes;
    bool *stop; /* read only: no cotangent returns */
    uint32_t n, cap, stop_cap;
} Extras;

/* graph_copy, with the further arguments of `fixed` nodes: extras by fixed point of the net. */
NodeId extend_copy(Arena *a, const Graph *g, const Extras *extras, Graph *dst, NodeId root, NodeId *map);

/* Given first states become the first extra arguments of their `fixed` nodes.  Outputs of g from `first` on are these
 * states, fixed point by fixed point; they are no outputs of the result. */
Graph *extend_starts(Arena *a, const Model *model, const Graph *g, uint32_t first);
#endif
