/* split.h - fixed points z = prox(L z + c): L linear, prox elementwise and the proximal operator of some function.
 *
 * On the real line these are the functions that do not fall and whose slope is at most 1 (Combettes and Pesquet 2007,
 * Prop. 2.4), so the slope of the activation decides. */
#ifndef DEQ_COMPILER_SPLIT_H
#define DEQ_COMPILER_SPLIT_H
#include "draft.h"

typedef struct Split {
    const char *why; /* NULL: recognised; else a clause that says why not */
    Range where;     /* what is in the way */
    NodeId *inner;   /* by state component: L z + c, a node of the body */
    bool shared;     /* L is the same for all examples */
    bool projection; /* prox is a projection onto an interval (relu, clamp): the same for every step */
    double slope;    /* the largest of prox */
} Split;

/* needs: inputs of the body are nstate states, then what it captures, with their batching. */
Split split_recognise(Arena *a, const Graph *body, uint32_t nstate);

/* L and its transpose as a graph: inputs are the states' tangents and cotangents, then the body's inputs. */
typedef struct SplitParts {
    Graph *graph;                                       /* by component: L v, L'v, c, prox(v), the slope of prox at v */
    uint32_t linear, transposed, constant, prox, slope; /* first output of each */
} SplitParts;
/* needs: recognised; the body's inputs have origins.  v has origin ARG ORIGIN_COTANGENT. */
SplitParts *split_parts(Arena *a, const Graph *body, uint32_t nstate, const Split *s);
#endif
