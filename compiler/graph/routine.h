/* routine.h - what the back end compiles: routines, each a few graphs with their inputs and outputs bound to storage.
 *
 * Files: print.c (routine_print).
 *
 * Row buffers by routine (frame->argK; a buffer's row stride is the value's padded size, routine->arg_bytes[K]):
 *   NET_prepare             no rows: computes derived shared values (weight norm, packed weights) from the parameters.
 *                           Called for pieces step = 0 .. seed - 1, in any order and at once, which share the values;
 *                           seed 0: everything in one call
 *   NET_predict             0 x, 2 output
 *   NET_LOSS_loss           0 x, 1 y, 2 output, 3 loss; scalars, of all NET_LOSS_*: settings of the loss that are data
 *   NET_LOSS_input          0 x, 1 y, 2 output, 3 loss, 4 dloss/dx of each example's own loss
 *   NET_LOSS_parameters     0 x, 1 y, 2 output, 3 loss; adds the sum over examples of dloss/dshared to accum
 *   NET_finish              no rows: pushes accumulated cotangents of derived shared values back to the parameters; in
 *                           pieces too
 *   NET_statistics          no rows: moves buffers towards the statistics that NET_LOSS_parameters has left in accum
 *                           (times the number of examples, as accum is divided by it); of nets with `in_training` nodes
 *                           that have them
 *   NET_metric_METRIC       0 output, 1 y, 2 metric
 *   FIXED_f, _lin, _jvp, _vjp_z, _vjp_x, _vjp_rest, _vjp_zx, _vjp_all, _vjp_jvp: see runtime/include/fixed.def
 *   FIXED_LOSS_cotangent    0 state, 1 dloss/dstate through what follows the fixed point (rest: captured values, then
 *                           what the loss reads)
 *   FIXED_LOSS_correction   0 state, 1 w dloss/dstate, 2 w loss, w = scalars[0]; adds w dloss to drest and accum
 *                           likewise
 *   NET_objective_input     0 x, 2 output, 3 value, 4 gradient of each example's own objective in x
 *   NET_objective_parameters  0 x, 2 output, 3 value; adds the sum over examples of the gradient in shared values to
 *                           accum
 *   NET_objective_vjp       as NET_objective_input, and the sum to accum: both of the net as it predicts
 *   OBJECTIVE               0 output, 1 value, 2 its derivative in the output; rest: what it captures.  The function
 *                           that frame->objective names while routines with `objective` in their name run
 *   ATTACK (NET_LOSS_NAME)  0 x, 1 y, 2 adversarial; scalars: its numeric arguments
 *   OPTIMISER (NAME_update) rows of DEQ_CHUNK elements: 0 w, 1 dw, 2.. its states; scalars: t, steps, then its
 *                           arguments
 *   FUNCTION (scalar)       no rows: scalars in, scalar out (arg0, one element) */
#ifndef DEQ_COMPILER_ROUTINE_H
#define DEQ_COMPILER_ROUTINE_H
#include "model.h"

typedef enum Place {
    PLACE_SHARED, /* offset into frame->shared; unbatched */
    PLACE_ACCUM,  /* offset into frame->accum; outputs are added */
    PLACE_REST,   /* offset in the rest record, row rows[i] */
    PLACE_DREST,  /* offset in the drest record, row rows[i]; outputs are added */
    PLACE_TAPE,   /* offset in the tape record, row i */
    PLACE_ARG,    /* frame->arg<index>, row i, at byte `offset` of the row; unbatched when the routine has no rows */
    PLACE_SCALAR, /* frame->scalars[index]; unbatched scalar, input only */
    PLACE_BLOCK   /* the routine's own row buffer `index` (attack states), row i */
} Place;

typedef struct Binding {
    NodeId node; /* input or output node of the step's graph */
    Place place;
    uint32_t index;
    uint64_t offset; /* bytes, multiple of DEQ_ALIGN */
} Binding;

typedef enum StepKind { STEP_GRAPH, STEP_LOOP, STEP_DROP } StepKind;

typedef struct Step {
    StepKind kind;
    /* STEP_GRAPH: evaluates the graph for all rows; every output is computed from the inputs' old values.
     * What model_routines() makes keeps these rules: graph->outputs may hold more than `out` binds, and those
     * (fixed_gradient nodes that are `shared`) are run for what they add to ACCUM; in routines of rows an ACCUM output
     * is a batch_sum or batch_outer of batched values, several may add to one slot, and nothing in the graph reads such
     * a node (other sums over examples are read in `coupled` routines only); `fixed` nodes have batched arguments only
     * (bodies read shared values by themselves); an input that holds packed weights says so (attr.input.packed).
     * Unbatched nodes other than these are inputs, constants, iota, and their reshapes and broadcasts. */
    Graph *graph;
    Binding *in, *out;
    uint32_t nin, nout;
    /* STEP_LOOP: runs the body frame->scalars[trip_scalar] times (rounded; none when <= 0).  Random draws inside are
     * keyed by the loop counters as well. */
    uint32_t trip_scalar;
    struct Step *body;
    uint32_t nbody;
    /* STEP_DROP, in a loop of a routine of rows: examples for which the PLACE_BLOCK buffer `flags` holds 1 leave the
     * loop; what the routine holds of them stays as it is.  The loop ends when none is left. */
    uint32_t flags;
} Step;

typedef struct Routine {
    const char *name; /* symbol */
    bool rows;        /* false: evaluated once (prepare, finish, scalar functions); every node is unbatched */
    Step *steps;
    uint32_t nsteps;
    uint64_t arg_bytes[8];           /* row strides of arg0..arg7; 0 when unused */
    uint64_t rest_bytes, tape_bytes; /* record strides where the routine touches them */
    uint32_t *block_counts;          /* elements per example of each PLACE_BLOCK buffer */
    uint32_t nblocks;
    const struct FixedLayout *fixed; /* what its `fixed` (or `solve`) nodes refer to, by index; NULL if none */
    uint32_t nfixed;
    bool pieces;             /* prepare, finish: may be called in pieces */
    bool halves;             /* of rows: two threads may share a call (frame->meeting), where it is worth while */
    bool objective;          /* it is an OBJECTIVE */
    const char **objectives; /* of its queries: attr.query.objective - 1 is the number of one */
    uint32_t nobjectives;
    /* Sums over examples that the graph reads are those of a whole batch, of which the rows may be a part: the runtime
     * completes them (deq_batch_sum).  What goes to ACCUM is a sum over the rows of the part. */
    bool coupled;
} Routine;

/* Ends the names of routines that an attack asks in training where it sees the statistics of the batch. */
#define IN_BATCH "_in_batch"

typedef struct FixedLayout { /* becomes a deq_fixed constant named NAME_fixed */
    const char *name;
    uint32_t index; /* in its net */
    uint64_t state_bytes, dimension, rest_bytes, tape_bytes;
    uint64_t *state_offsets; /* byte offset of each component in a state row */
    Shape *state_shapes;
    uint32_t nstate;
    /* captured value k of the `fixed` node: offset in the rest record, or UINT64_MAX when it is shared */
    uint64_t *rest_offsets;
    uint32_t nrest;
    /* NAME_LOSS_cotangent, by loss of the net (ncotangents of them).  What it reads of the net beside the state follows
     * the captured values in the rest record: a `fixed` node for that loss has `extra` more arguments for it. */
    struct FixedCotangent *cotangents;
    uint32_t ncotangents;
    uint64_t extra_bytes;   /* of the rest record: the most that a loss needs; they end it */
    const char *downstream; /* a fixed point that reads this one's state, NULL none */
    /* z = prox(L z + c) (split.h): NAME_linear, _transposed, _constant, _prox, _slope, _diagonal exist. */
    bool splits, shared_linear, projection;
    const char *unsplit;   /* why not; NULL when it splits */
    bool given;            /* `start: EXPRESSION`: the first state stands in the rest record, */
    uint64_t start_offset; /* here, laid out as a state row */
} FixedLayout;

typedef struct FixedCotangent {
    const char
        *routine; /* symbol; NULL: another fixed point stands between state and loss, or the loss does not read it */
    const char *correction; /* NAME_LOSS_correction; NULL: not made */
    NodeId *values;         /* of the net's graph; a record for each example */
    uint64_t *offsets;      /* in the rest record */
    uint32_t n;
    const char *training; /* NAME_LOSS_training: the same with the batch's statistics, on all its examples at once;
                             NULL: none stands between state and loss */
} FixedCotangent;

/* What the routines are laid out for.  Filled by target_layout() from the precision and vector width. */
typedef struct Layout {
    uint32_t real_bytes; /* 4 or 8 */
    uint32_t
        panel; /* columns of a packed weight panel: pack turns [k, n] into [ceil(n / panel)][k][panel], zero-filled */
} Layout;

typedef struct Unit { /* one compilation */
    Arena *arena;
    Layout layout;
    Routine **routines;
    uint32_t nroutines, routines_cap;
    FixedLayout **fixed;
    uint32_t nfixed, fixed_cap;
    const char *manifest;
    const struct PassWatch *watch; /* --emit=ir:PASS (pass_list.h); NULL: nobody looks */
} Unit;

void routine_print(const Routine *r, FILE *out); /* --emit=ir */
#endif
