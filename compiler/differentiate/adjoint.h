/* adjoint.h - differentiation of graphs: linearise, transpose, and reverse mode as the one after the other.
 *
 * Rules use graph operations only, so results can be differentiated again.  All three append to the graph they are
 * given; a zero tangent or cotangent is NODE_NONE.  Differentiate before weights are packed.
 * Files: linearise.c, transpose.c. */
#ifndef DEQ_COMPILER_ADJOINT_H
#define DEQ_COMPILER_ADJOINT_H
#include "graph.h"

/* A fixed point as AD sees it: by index (attr.fixed.index). */
typedef struct FixedSignature {
    uint32_t nstate;
    const Shape *states;
    bool shared; /* its body reads shared values whose cotangents are wanted: they reach ACCUM through NAME_vjp_rest */
    bool after;  /* cotangents reach what its `fixed` node has for NAME_LOSS_cotangent, too */
} FixedSignature;

/* Tangents of `outputs`, given those of `wrt`: for y = F(x), out = dF/dx tangents.
 * needs: tangents[k] has the dims of wrt[k]; nothing between wrt and outputs is a call.
 * ensures: out[k] has the dims and batching of outputs[k], and depends on the tangents by linear ops only. */
void linearise(Graph *g, const NodeId *outputs, uint32_t noutputs, const NodeId *wrt, const NodeId *tangents,
               uint32_t nwrt, NodeId *out);
/* For tangent_outputs = L(tangent_inputs), linear: out = L' cotangents.  A value shared by all examples that meets
 * batched ones gets the batch_sum. needs: tangent_inputs are `input` nodes; cotangents[k] has the dims of
 * tangent_outputs[k], or is NODE_NONE. */
void transpose(Graph *g, const NodeId *tangent_outputs, const NodeId *cotangents, uint32_t noutputs,
               const NodeId *tangent_inputs, uint32_t ninputs, NodeId *out);
/* Reverse mode: out[k] = cotangent of wrt[k].  Solved fixed points on the way become fixed_gradient and
 * fixed_cotangent nodes; those that also add to ACCUM are returned in effects (arena array), to be kept alive. */
void reverse(Graph *g, const NodeId *outputs, const NodeId *cotangents, uint32_t noutputs, const NodeId *wrt,
             uint32_t nwrt, const FixedSignature *fixed, NodeId *out, NodeId **effects, uint32_t *neffects);

/* ---- between linearise.c and transpose.c ---- */
typedef struct LinearCall { /* a `fixed` node on the way: opaque, its state tangents are new inputs */
    NodeId node;
    uint32_t index, nstate;
    NodeId *states;    /* placeholders, consecutive ids, all above the tangents of the arguments */
    NodeId *arguments; /* tangents of the captured values; NODE_NONE where inactive or shared */
} LinearCall;

typedef struct Calls {
    const FixedSignature *fixed; /* NULL: no fixed points allowed */
    LinearCall *calls;
    uint32_t n, cap;
    NodeId *effects;
    uint32_t neffects, effects_cap;
} Calls;

void linearise_with(Graph *g, const NodeId *outputs, uint32_t noutputs, const NodeId *wrt, const NodeId *tangents,
                    uint32_t nwrt, Calls *calls, NodeId *out);
#endif
