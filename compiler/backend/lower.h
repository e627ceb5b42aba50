/* lower.h - planned routines to LLVM functions.  The header of the lowering.
 * Files: lower.c (the skeleton of a routine), lower_cluster.c, lower_element.c, lower_form.c, lower_product.c,
 * lower_layout.c, lower_conv.c, lower_conv_kernel.c, lower_conv_winograd.c, lower_conv_winograd_weight.c,
 * lower_math.c, lower_transpose.c, lower_pack.c, lower_pack_winograd.c, lower_call.c, lower_drop.c, lower_module.c,
 * lower_profile.c. */
#ifndef DEQ_BACKEND_LOWER_H
#define DEQ_BACKEND_LOWER_H
#include "conv.h"
#include "plan.h"

enum FrameField {
#define FRAME(field, type, doc) FRAME_##field,
#include "frame.def"
#undef FRAME
    FRAME_COUNT
};

typedef struct Lower {
    Emit *e;
    const PlanUnit *unit;
    RoutinePlan *routine;
    StepPlan *step;
    /* of the function under construction */
    Value frame, fields[FRAME_COUNT];
    Value n, rows; /* examples that run here, and those that the routine was called with: addresses depend on them */
    Value tile_region, once_region, row_region;
    Value record_slot; /* stands in for frame->rows when that is NULL */
    Value iteration;   /* mixed counters of the loops around */
    Value held;        /* addresses and strides of what the routine holds by row, where loops drop examples */
    uint64_t nheld;
    Value piece, pieces; /* of a routine called in pieces; else NULL */
    uint32_t *nparts;    /* functions that the routine's groups were divided into */
    /* of the function of a form */
    const Group *form;     /* NULL elsewhere */
    const Value *operands; /* addresses, as form->operands */
    /* of the loop under construction */
    Value tile_start, tile_rows; /* first row and number of rows; NULL outside tiles */
    Value image;                 /* that a run is at, counted from the first row; NULL outside runs */
    Value record;                /* of that row, where rows come one by one; else NULL */
} Lower;

/* What lower_<op> gets.  Elementwise operations return their vector; others write the node's slot and return NULL.
 * Row operations are called once for each row (`row` counts from the start of the tile; 0 for unbatched nodes),
 * products and batch_sum once for each tile, block operations once. */
typedef struct Site {
    Lower *l;
    NodeId id;
    const Node *node;
    Value x[3]; /* elementwise arguments */
    Value row;
} Site;
typedef Value LowerFn(const Site *s);
#define OP(name, arity, class, shape, linear, cost, view, doc) LowerFn lower_##name;
#include "ops.def"
#undef OP
Value lower_node(const Site *s); /* by its op */
const char *lower_op_name(Op op);

/* ---- lower.c ---- */
void lower_unit(Emit *e, const PlanUnit *unit, uint32_t module); /* every routine of the module */
Value lower_routine(Emit *e, const RoutinePlan *p);              /* its function, which another module may have */
Value lower_slot(Lower *l, Slot slot,
                 Value row);               /* address of a value's elements; `row` counts from the tile's start */
Value lower_slot_all(Lower *l, Slot slot); /* address of row 0 of all rows, for block operations */
static inline const Node *lower_node_of(const Lower *l, NodeId id) { return graph_node(l->step->step->graph, id); }
static inline NodeId lower_argument(const Lower *l, NodeId id, uint32_t k) { /* the node that holds its bytes */
    return l->step->nodes[graph_arg(l->step->step->graph, id, k)].canonical;
}
static inline Shape lower_argument_shape(const Lower *l, NodeId id, uint32_t k) { /* as the user sees it */
    return lower_node_of(l, graph_arg(l->step->step->graph, id, k))->shape;
}
static inline uint64_t lower_count(Shape s) {
    uint64_t c = 1;
    for (uint32_t k = 0; k < s.rank; k++) c *= s.dims[k];
    return c;
}
Value lower_argument_row(const Site *s, uint32_t k); /* address of argument k at the site's row */
Value lower_result_row(const Site *s);               /* address of the result at the site's row */
/* Whether a node is shared by the pieces of its routine: the packing of what the routine is given. */
bool lower_in_pieces(const Lower *l, NodeId id);
void lower_zero(Emit *e, Value address, uint64_t bytes); /* multiple of 64, aligned */
void lower_transpose_square(Emit *e, Value *rows);       /* a square block of vectors */
/* Two sides with the same elements.  On one they lie in `count` runs of `run`, `apart` bytes from each other; on the other
 * those of all runs lie side by side, for element k of a run at k / inner * outer_step + k % inner * step bytes (where
 * inner is all of a run, outer_step means nothing).  Writes one side from the other, as far as whole squares of registers
 * go along both. */
typedef struct Squares {
    Value runs, other;
    bool read; /* from the runs, else to them */
    uint64_t count, run, apart, inner, step, outer_step;
} Squares;
void lower_squares(Emit *e, const Squares *s);

void lower_group_body(Lower *l, const Group *g);

/* ---- lower_form.c ---- */
bool lower_has_form(const Lower *l, const Group *g); /* whether a group is a call of its form's function */
void lower_form(Lower *l, const Group *g);           /* the call */
void lower_form_function(Emit *e, const PlanUnit *unit, const Form *f);
Value lower_operand(const Lower *l, Slot slot); /* within that function: the address of a value */

/* ---- lower_profile.c: a timed piece of code begins; NULL, and nothing emitted, unless the code is to be profiled ----
 */
Value lower_profile_group(Lower *l, const Group *g);
Value lower_profile_block(Lower *l, NodeId id);
void lower_profile_end(Lower *l, Value site);

/* ---- lower_drop.c: examples that leave loops ---- */
void lower_drop_begin(Lower *l);                                             /* of the routine */
void lower_drop(Lower *l, const Step *s, Value kept, LLVMBasicBlockRef end); /* end: of the loop, when none is left */
void lower_drop_end(Lower *l);

/* ---- lower_cluster.c ---- */
Value lower_combine(Emit *e, Op op, Value a, Value b);  /* of a reduction; of numbers or vectors */
Value lower_across_lanes(Emit *e, Op op, Value vector); /* its lanes, as a tree */
void lower_cluster(Lower *l, const Group *g);

/* ---- lower_product.c ---- */
/* c[m, columns] = or += (initial: c holds the start of the sums) a[m, k] b[k, columns], by the register-tiled kernel.
 * Element (i, q) of a is at a + i * a_row + q * a_step; row q of panel p of b at b + p * b_panel + q * b_step; row i of
 * c at c + i * c_row; all in bytes.  m comes from product_rows, or is 1.  The last panel of c is written up to the end
 * of a full vector. */
typedef struct Product {
    Value m, a, a_row, a_step, b, b_panel, b_step, c, c_row, k;
    uint64_t columns;
    bool initial;
    Value more;    /* not NULL: the sums go on from c where this is true, as known when the code runs */
    Value fetches; /* not NULL: and where this is true the next weights are fetched, from b_panel behind b on */
} Product;
void product_tiles(Emit *e, Product p, uint64_t rows); /* any number of rows, tile by tile */
void product_all(Emit *e, Product p, Value rows);      /* the same, of a number that is known when the code runs */
Value product_rows(Emit *e, Value left);               /* rows of the next tile when `left` (at least 1) are left */

/* ---- lower_conv_kernel.c: of what is channels last ---- */
void lower_conv_packed(const Site *s);                             /* conv, conv_input */
void lower_conv_weights(const Site *s, Value x, Value u, Value w); /* adds to w */

/* ---- lower_conv_winograd.c: 3 x 3, by transformed tiles ---- */
void lower_conv_winograd(const Site *s); /* conv, conv_input */

/* ---- lower_pack_winograd.c ---- */
void lower_pack_winograd(const Site *s, const ConvPacking *p);

/* ---- lower_conv_winograd_weight.c ---- */
struct WinogradPlan;
void lower_conv_winograd_weights(const Site *s, const struct WinogradPlan *p, Value x, Value u,
                                 Value w); /* adds to w */

/* ---- lower_math.c: vector functions of the working type ---- */
Value math_exp(Emit *e, Value x);
Value math_log(Emit *e, Value x);
Value math_log1p(Emit *e, Value x);
Value math_expm1(Emit *e, Value x);
Value math_sin(Emit *e, Value x);
Value math_cos(Emit *e, Value x);
Value math_tanh(Emit *e, Value x);
Value math_sigmoid(Emit *e, Value x);
Value math_softplus(Emit *e, Value x);
Value math_pow(Emit *e, Value a, Value b);

/* ---- lower_module.c: descriptors, tables, deq_module ---- */
void lower_module(Emit *e, const PlanUnit *unit);
Value lower_fixed_descriptor(Emit *e, const char *name); /* NAME_fixed, declared on first use */
Value lower_runtime(Emit *e, const char *name);          /* a function of abi.def */
#endif
