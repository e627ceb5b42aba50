/* fold.h - what the builder does to a node before adding it: constants, identities, one spelling for equal things.
 *
 * Used by graph.c only.  Every rule holds for all finite inputs; x*0 becomes 0. */
#ifndef DEQ_COMPILER_FOLD_H
#define DEQ_COMPILER_FOLD_H
#include "graph.h"

/* Rewrites arguments and attr to the canonical spelling (order of commutative arguments, transposes as flags). */
void fold_canonical(Graph *g, Op op, NodeId *args, uint32_t nargs, Attr *attr);
/* A node equal to the one described, up to broadcasting; NODE_NONE when there is nothing simpler. */
NodeId fold_node(Graph *g, Op op, const NodeId *args, uint32_t nargs, const Attr *attr, Shape shape, bool batched,
                 Range loc);
/* Whether every element of the node is the same known number. */
bool fold_value(const Graph *g, NodeId id, double *value);
#endif
