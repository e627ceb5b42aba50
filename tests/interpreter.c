/* interpreter.c - interpret_<op> for every row of ops.def, and the places of routines. */
#include "interpreter.h"
#include "conv.h"
#include <math.h>
#include <string.h>

typedef struct Eval {
    Arena *arena;
    const Graph *g;
    int64_t n, iteration;
    double **values;
    const InterpretCalls *calls;
} Eval;

typedef struct At { /* one node at one example */
    const Eval *e;
    const Node *node;
    uint64_t count;
    int64_t row;
    const double *x[3]; /* first arguments */
    double *y;
} At;

static Shape arg_shape(const At *at, uint32_t k) { return at->e->g->nodes[at->e->g->args[at->node->args + k]].shape; }

static const double *arg_row(const Eval *e, const Node *n, uint32_t k, int64_t row) {
    NodeId a = e->g->args[n->args + k];
    const Node *an = &e->g->nodes[a];
    return e->values[a] + (an->batched ? row * (int64_t)shape_count(an->shape) : 0);
}

/* ---- elementwise ---- */
#define EACH(name, expression)                                                                                         \
    static void interpret_##name(At *at) {                                                                             \
        for (uint64_t k = 0; k < at->count; k++) {                                                                     \
            double a = at->x[0][k], b = at->x[1] ? at->x[1][k] : 0, c = at->x[2] ? at->x[2][k] : 0;                    \
            (void)a, (void)b, (void)c;                                                                                 \
            at->y[k] = (expression);                                                                                   \
        }                                                                                                              \
    }
EACH(neg, -a)
EACH(abs, fabs(a))
EACH(sign, a > 0 ? 1 : a < 0 ? -1 : 0)
EACH(step, a > 0 ? 1 : 0)
EACH(floor, floor(a))
EACH(round, nearbyint(a))
EACH(not, 1 - a)
EACH(exp, exp(a))
EACH(log, log(a))
EACH(expm1, expm1(a))
EACH(log1p, log1p(a))
EACH(sqrt, sqrt(a))
EACH(sin, sin(a))
EACH(cos, cos(a))
EACH(tanh, tanh(a))
EACH(sigmoid, 1 / (1 + exp(-a)))
EACH(softplus, a > 0 ? a + log1p(exp(-a)) : log1p(exp(a)))
EACH(relu, a < 0 ? 0 : a)
EACH(stop_gradient, a)
EACH(add, a + b)
EACH(sub, a - b)
EACH(mul, a *b)
EACH(div, a / b)
EACH(pow, pow(a, b))
EACH(max, a >= b ? a : b)
EACH(min, a <= b ? a : b)
EACH(lt, a < b)
EACH(le, a <= b)
EACH(eq, a == b)
EACH(and, a != 0 && b != 0)
EACH(or, a != 0 || b != 0)
EACH(select, a != 0 ? b : c)

/* ---- leaves ---- */
static void interpret_input(At *at) { (void)at; } /* filled by the caller */
static void interpret_constant(At *at) { at->y[0] = at->node->attr.value; }
static void interpret_iota(At *at) {
    for (uint64_t k = 0; k < at->count; k++) at->y[k] = (double)k;
}
static void interpret_random(At *at) {
    struct random_attributes r = at->node->attr.random;
    at->e->calls->random(at->e->calls->user, r.normal, r.site, at->row, at->e->iteration, at->count, at->y);
}

/* ---- layout ---- */
static void unravel(uint64_t k, Shape s, int64_t *index) {
    for (uint32_t d = s.rank; d-- > 0; k /= s.dims[d]) index[d] = (int64_t)(k % s.dims[d]);
}

static uint64_t ravel(const int64_t *index, Shape s) {
    uint64_t k = 0;
    for (uint32_t d = 0; d < s.rank; d++) k = k * s.dims[d] + (uint64_t)index[d];
    return k;
}

static void interpret_reshape(At *at) { memcpy(at->y, at->x[0], at->count * sizeof(double)); }

static void interpret_broadcast(At *at) {
    Shape from = arg_shape(at, 0);
    for (uint64_t k = 0; k < at->count; k++) {
        int64_t index[MAX_RANK];
        unravel(k, at->node->shape, index);
        for (uint32_t d = 0; d < from.rank; d++)
            if (from.dims[d] == 1) index[d] = 0;
        at->y[k] = at->x[0][ravel(index, from)];
    }
}

static void interpret_transpose(At *at) {
    Shape from = arg_shape(at, 0);
    for (uint64_t k = 0; k < at->count; k++) {
        int64_t to[MAX_RANK], index[MAX_RANK];
        unravel(k, at->node->shape, to);
        for (uint32_t d = 0; d < from.rank; d++) index[at->node->attr.transpose.axes[d]] = to[d];
        at->y[k] = at->x[0][ravel(index, from)];
    }
}

static void interpret_slice(At *at) {
    for (uint64_t k = 0; k < at->count; k++) {
        int64_t index[MAX_RANK];
        unravel(k, at->node->shape, index);
        for (uint32_t d = 0; d < at->node->shape.rank; d++) index[d] += at->node->attr.slice.start[d];
        at->y[k] = at->x[0][ravel(index, arg_shape(at, 0))];
    }
}

static void interpret_pad(At *at) {
    Shape from = arg_shape(at, 0);
    for (uint64_t k = 0; k < at->count; k++) {
        int64_t index[MAX_RANK];
        bool inside = true;
        unravel(k, at->node->shape, index);
        for (uint32_t d = 0; d < from.rank; d++) {
            index[d] -= at->node->attr.pad.before[d];
            inside = inside && index[d] >= 0 && index[d] < from.dims[d];
        }
        at->y[k] = inside ? at->x[0][ravel(index, from)] : 0;
    }
}

static void interpret_concat(At *at) {
    int64_t axis = at->node->attr.concat.axis;
    for (uint64_t k = 0; k < at->count; k++) {
        int64_t index[MAX_RANK];
        unravel(k, at->node->shape, index);
        for (uint32_t arg = 0;; arg++) {
            Shape from = arg_shape(at, arg);
            if (index[axis] < from.dims[axis]) {
                at->y[k] = arg_row(at->e, at->node, arg, at->row)[ravel(index, from)];
                break;
            }
            index[axis] -= from.dims[axis];
        }
    }
}

/* Every pair of an element of the small image and an element of its window in the large one. */
static void window(At *at, bool spread) {
    struct window_attributes w = at->node->attr.window;
    Shape from = arg_shape(at, 0), small = spread ? from : at->node->shape, large = spread ? at->node->shape : from;
    for (uint64_t k = 0; k < at->count; k++) at->y[k] = 0;
    for (uint64_t k = 0; k < shape_count(small); k++)
        for (int64_t p = 0; p < w.size[0] * w.size[1]; p++) {
            int64_t index[MAX_RANK];
            unravel(k, small, index);
            index[w.axis] = index[w.axis] * w.apart[0] + p / w.size[1];
            index[w.axis + 1] = index[w.axis + 1] * w.apart[1] + p % w.size[1];
            uint64_t in_large = ravel(index, large);
            at->y[spread ? in_large : k] += at->x[0][spread ? k : in_large];
        }
}

static void interpret_window_sum(At *at) { window(at, false); }
static void interpret_window_spread(At *at) { window(at, true); }

/* ---- reductions ---- */
static uint64_t reduced_place(const At *at, uint64_t k) {
    Shape from = arg_shape(at, 0);
    int64_t index[MAX_RANK], kept[MAX_RANK];
    uint32_t rank = 0;
    unravel(k, from, index);
    for (uint32_t d = 0; d < from.rank; d++)
        if (!(at->node->attr.reduce.axes >> d & 1)) kept[rank++] = index[d];
    return ravel(kept, at->node->shape);
}

static void interpret_reduce_sum(At *at) {
    for (uint64_t k = 0; k < at->count; k++) at->y[k] = 0;
    for (uint64_t k = 0; k < shape_count(arg_shape(at, 0)); k++) at->y[reduced_place(at, k)] += at->x[0][k];
}

static void interpret_reduce_max(At *at) {
    for (uint64_t k = 0; k < at->count; k++) at->y[k] = -INFINITY;
    for (uint64_t k = 0; k < shape_count(arg_shape(at, 0)); k++) {
        double *y = &at->y[reduced_place(at, k)];
        if (at->x[0][k] > *y || isnan(at->x[0][k])) *y = at->x[0][k];
    }
}

static void interpret_argmax(At *at) {
    uint64_t best = 0;
    bool number = !isnan(at->x[0][0]);
    for (uint64_t k = 1; k < shape_count(arg_shape(at, 0)); k++) {
        if (at->x[0][k] > at->x[0][best]) best = k;
        number = number && !isnan(at->x[0][k]);
    }
    at->y[0] = number ? (double)best : NAN;
}

/* ---- products ---- */
static void interpret_matmul(At *at) {
    Shape a = arg_shape(at, 0), b = arg_shape(at, 1);
    bool ta = at->node->attr.matmul.transpose_a, tb = at->node->attr.matmul.transpose_b;
    uint32_t inner = a.rank == 1 ? a.dims[0] : a.dims[!ta];
    uint32_t rows = a.rank == 1 ? 1 : a.dims[ta], columns = b.rank == 1 ? 1 : b.dims[!tb];
    for (uint32_t i = 0; i < rows; i++)
        for (uint32_t j = 0; j < columns; j++) {
            double s = 0;
            for (uint32_t k = 0; k < inner; k++)
                s += at->x[0][ta ? k * rows + i : i * inner + k] * at->x[1][tb ? j * inner + k : k * columns + j];
            at->y[i * columns + j] = s;
        }
}

static void interpret_outer(At *at) {
    Shape s = at->node->shape;
    for (uint32_t i = 0; i < s.dims[0]; i++)
        for (uint32_t j = 0; j < s.dims[1]; j++) at->y[i * s.dims[1] + j] = at->x[0][i] * at->x[1][j];
}

static void interpret_pack(At *at) { /* the [k, n] matrix it stands for; panels exist only in storage */
    Shape s = at->node->shape;
    for (uint32_t i = 0; i < s.dims[0]; i++)
        for (uint32_t j = 0; j < s.dims[1]; j++)
            at->y[i * s.dims[1] + j] = at->x[0][at->node->attr.pack.transposed ? j * s.dims[0] + i : i * s.dims[1] + j];
}

/* Convolution from its definition; `visit` is called for each term with the places of x, y and w. */
typedef void Visit(At *at, uint64_t x, uint64_t y, uint64_t w);

static void each_term(At *at, Visit *visit) {
    ConvShape c;
    const Attr *attr = &at->node->attr;
    if (conv_shape(at->node->op, attr, arg_shape(at, 0), arg_shape(at, 1), &c)) return;
    bool last = attr->conv.last;
    uint32_t channels = c.channels / c.groups, filters = c.filters / c.groups;
    for (uint32_t o = 0; o < c.filters; o++)
        for (uint32_t k = 0; k < channels; k++)
            for (uint32_t a = 0; a < c.rows; a++)
                for (uint32_t b = 0; b < c.columns; b++)
                    for (uint32_t i = 0; i < c.out_height; i++)
                        for (uint32_t j = 0; j < c.out_width; j++) {
                            int64_t u = (int64_t)i * c.stride + (int64_t)a * c.dilation - c.padding;
                            int64_t v = (int64_t)j * c.stride + (int64_t)b * c.dilation - c.padding;
                            if (u < 0 || v < 0 || u >= c.height || v >= c.width) continue;
                            uint64_t channel = o / filters * channels + k, row = (uint64_t)u, column = (uint64_t)v;
                            uint64_t x = last ? (row * c.width + column) * c.channels + channel
                                              : (channel * c.height + row) * c.width + column;
                            uint64_t y = last ? ((uint64_t)i * c.out_width + j) * c.filters + o
                                              : ((uint64_t)o * c.out_height + i) * c.out_width + j;
                            uint64_t w = last ? (((uint64_t)a * c.columns + b) * channels + k) * c.filters + o
                                              : (((uint64_t)o * channels + k) * c.rows + a) * c.columns + b;
                            visit(at, x, y, w);
                        }
}

static void add_y(At *at, uint64_t x, uint64_t y, uint64_t w) { at->y[y] += at->x[0][x] * at->x[1][w]; }
static void add_x(At *at, uint64_t x, uint64_t y, uint64_t w) { at->y[x] += at->x[0][y] * at->x[1][w]; }
static void add_w(At *at, uint64_t x, uint64_t y, uint64_t w) { at->y[w] += at->x[0][x] * at->x[1][y]; }

static void convolve(At *at, Visit *visit) {
    memset(at->y, 0, at->count * sizeof(double));
    each_term(at, visit);
}

static void interpret_conv(At *at) { convolve(at, add_y); }
static void interpret_conv_input(At *at) { convolve(at, add_x); }
static void interpret_conv_weight(At *at) { convolve(at, add_w); }
static void interpret_pack_conv(At *at) { memcpy(at->y, at->x[0], at->count * sizeof(double)); }

/* ---- across examples ---- */
static void interpret_batch_conv_weight(At *at) {
    memset(at->y, 0, at->count * sizeof(double));
    for (int64_t row = 0; row < at->e->n; row++) {
        for (uint32_t k = 0; k < 2; k++) at->x[k] = arg_row(at->e, at->node, k, row);
        each_term(at, add_w);
    }
}

static void interpret_batch_sum(At *at) {
    memset(at->y, 0, at->count * sizeof(double));
    for (int64_t row = 0; row < at->e->n; row++)
        for (uint64_t k = 0; k < at->count; k++) at->y[k] += arg_row(at->e, at->node, 0, row)[k];
}

static void interpret_batch_outer(At *at) {
    Shape s = at->node->shape;
    memset(at->y, 0, at->count * sizeof(double));
    for (int64_t row = 0; row < at->e->n; row++) {
        const double *a = arg_row(at->e, at->node, 0, row), *b = arg_row(at->e, at->node, 1, row);
        for (uint32_t i = 0; i < s.dims[0]; i++)
            for (uint32_t j = 0; j < s.dims[1]; j++) at->y[i * s.dims[1] + j] += a[i] * b[j];
    }
}

/* ---- calls: once for all examples ---- */
#define CALLED(name)                                                                                                   \
    static void interpret_##name(At *at) {                                                                             \
        if (at->row == 0)                                                                                              \
            at->e->calls->call(at->e->calls->user, at->e->g, (NodeId)(at->node - at->e->g->nodes), at->e->n,           \
                               at->e->values);                                                                         \
    }
CALLED(fixed)
CALLED(fixed_state)
CALLED(fixed_gradient)
CALLED(fixed_cotangent)
CALLED(solve)
CALLED(query)
CALLED(query_result)
CALLED(objective)
CALLED(objective_result)

static void interpret_counted(At *at) { memcpy(at->y, at->x[0], at->count * sizeof(double)); }
static void interpret_fence(At *at) { memcpy(at->y, at->x[0], at->count * sizeof(double)); }
static void interpret_in_training(At *at) { memcpy(at->y, at->x[1], at->count * sizeof(double)); } /* evaluation */

static void evaluate(Eval *e, NodeId id) {
    static void (*const rules[])(At *) = {
#define OP(name, arity, class, shape, linear, cost, view, doc) interpret_##name,
#include "ops.def"
#undef OP
    };
    const Node *n = &e->g->nodes[id];
    At at = {e, n, shape_count(n->shape), 0, {NULL, NULL, NULL}, NULL};
    if (n->op == OP_input) return;
    for (at.row = 0; at.row < (n->batched ? e->n : 1); at.row++) {
        for (uint32_t k = 0; k < 3 && k < n->nargs; k++) at.x[k] = arg_row(e, n, k, at.row);
        at.y = e->values[id] + at.row * (int64_t)at.count;
        rules[n->op](&at);
    }
}

static Eval eval_new(Arena *a, const Graph *g, int64_t n, int64_t iteration, const InterpretCalls *calls) {
    Eval e = {a, g, n, iteration, arena_alloc(a, (g->nnodes + 1) * sizeof(double *)), calls};
    for (NodeId id = 0; id < g->nnodes; id++)
        e.values[id] = arena_alloc(a, sizeof(double) * shape_count(g->nodes[id].shape) *
                                          (uint64_t)(g->nodes[id].batched && n > 0 ? n : 1));
    return e;
}

double **interpret_graph(Arena *a, const Graph *g, int64_t n, const double *const *inputs,
                         const InterpretCalls *calls) {
    Eval e = eval_new(a, g, n, 0, calls);
    for (uint32_t k = 0; k < g->ninputs; k++) {
        const Node *in = &g->nodes[g->inputs[k]];
        memcpy(e.values[g->inputs[k]], inputs[k],
               sizeof(double) * shape_count(in->shape) * (uint64_t)(in->batched ? n : 1));
    }
    for (NodeId id = 0; id < g->nnodes; id++) evaluate(&e, id);
    return e.values;
}

/* ---- routines ---- */
typedef struct Run {
    Arena *arena;
    const Routine *r;
    const Layout *layout;
    const deq_frame *frame;
    int64_t n;
    const InterpretCalls *calls;
    char **blocks;
    /* of the step running: records of each fixed point */
    char **z, **rest, **drest, **u;
    bool *differentiated;
} Run;

static uint64_t padded(uint64_t bytes) { return (bytes + DEQ_ALIGN - 1) / DEQ_ALIGN * DEQ_ALIGN; }

static double load(const Run *run, const char *at, uint64_t k) {
    return run->layout->real_bytes == 4 ? (double)((const float *)at)[k] : ((const double *)at)[k];
}

static void store(const Run *run, char *at, uint64_t k, double v) {
    if (run->layout->real_bytes == 4)
        ((float *)at)[k] = (float)v;
    else
        ((double *)at)[k] = v;
}

static char *place(const Run *run, const Binding *b, uint64_t count, int64_t row) {
    const deq_frame *f = run->frame;
    void *const args[] = {f->arg0, f->arg1, f->arg2, f->arg3, f->arg4, f->arg5, f->arg6, f->arg7};
    uint64_t record = f->rows ? (uint64_t)f->rows[row] : (uint64_t)row;
    switch (b->place) {
    case PLACE_SHARED: return (char *)f->shared + b->offset;
    case PLACE_ACCUM: return (char *)f->accum + b->offset;
    case PLACE_REST: return (char *)f->rest + record * run->r->rest_bytes + b->offset;
    case PLACE_DREST: return (char *)f->drest + record * run->r->rest_bytes + b->offset;
    case PLACE_TAPE: return (char *)f->tape + (uint64_t)row * run->r->tape_bytes + b->offset;
    case PLACE_ARG: return (char *)args[b->index] + (uint64_t)row * run->r->arg_bytes[b->index] + b->offset;
    case PLACE_BLOCK: return run->blocks[b->index] + (uint64_t)row * padded(count * run->layout->real_bytes);
    default: ICE("a binding has no storage");
    }
}

/* Where element k of a packed [rows, columns] matrix stands. */
static uint64_t panel_place(const Run *run, Shape s, uint64_t k) {
    uint64_t i = k / s.dims[1], j = k % s.dims[1], p = run->layout->panel;
    return (j / p * s.dims[0] + i) * p + j % p;
}

static uint64_t packed_place(const Run *run, const Node *n, uint64_t k) {
    ConvPacking packing;
    if (conv_packing(n, &packing)) return conv_packed_place(&packing, run->layout->panel, k);
    bool packed = n->op == OP_pack || (n->op == OP_input && n->attr.input.packed);
    return packed ? panel_place(run, n->shape, k) : k;
}

/* Winograd's weights in memory are G g G' of each channel and filter; the interpreter keeps g.  To memory:
 * `value` is transformed; from memory: by a left inverse of G. */
static void transformed(const Run *run, const Node *n, const ConvPacking *p, void *at, double *value, bool to_memory) {
    const uint32_t side = WINOGRAD_TAPS;
    const uint64_t pairs = (uint64_t)n->shape.dims[2] * n->shape.dims[3];
    double g[WINOGRAD_TAPS][3], map[WINOGRAD_TAPS][WINOGRAD_TAPS] = {{0}};
    winograd_weights(g);
    const uint32_t from = to_memory ? 3 : side, to = to_memory ? side : 3;
    for (uint32_t i = 0; i < side && to_memory; i++)
        for (uint32_t a = 0; a < 3; a++) map[i][a] = g[i][a];
    if (!to_memory) { /* the points 0 and infinity, and a pair of opposite ones */
        map[0][0] = 1 / g[0][0], map[2][3] = 1;
        map[1][1] = 0.5 / g[1][1], map[1][2] = -map[1][1];
    }
    for (uint64_t k = 0; k < pairs; k++) {
        double half[WINOGRAD_TAPS][WINOGRAD_TAPS] = {{0}};
        for (uint32_t i = 0; i < from; i++)
            for (uint32_t j = 0; j < from; j++) {
                uint32_t tap = p->adjoint ? 8 - (i * 3 + j) : i * 3 + j;
                double v = to_memory
                               ? value[tap * pairs + k]
                               : load(run, at, conv_packed_place(p, run->layout->panel, (i * side + j) * pairs + k));
                for (uint32_t a = 0; a < to; a++) half[a][j] += map[a][i] * v;
            }
        for (uint32_t a = 0; a < to; a++)
            for (uint32_t b = 0; b < to; b++) {
                uint32_t tap = p->adjoint ? 8 - (a * 3 + b) : a * 3 + b;
                double v = 0;
                for (uint32_t j = 0; j < from; j++) v += half[a][j] * map[b][j];
                if (to_memory)
                    store(run, at, conv_packed_place(p, run->layout->panel, (a * side + b) * pairs + k), v);
                else
                    value[tap * pairs + k] = v;
            }
    }
}

static void read_binding(const Run *run, const Graph *g, const Binding *b, double *value) {
    const Node *n = &g->nodes[b->node];
    uint64_t count = shape_count(n->shape);
    if (b->place == PLACE_SCALAR) {
        *value = run->frame->scalars[b->index];
        return;
    }
    ConvPacking packing;
    if (conv_packing(n, &packing) && packing.winograd) {
        transformed(run, n, &packing, place(run, b, count, 0), value, false);
        return;
    }
    for (int64_t row = 0; row < (n->batched ? run->n : 1); row++) {
        const char *at = place(run, b, count, row);
        for (uint64_t k = 0; k < count; k++) value[(uint64_t)row * count + k] = load(run, at, packed_place(run, n, k));
    }
}

static void write_binding(const Run *run, const Graph *g, const Binding *b, const double *value) {
    const Node *n = &g->nodes[b->node];
    uint64_t count = shape_count(n->shape), elements = count, real = run->layout->real_bytes;
    bool once = b->place == PLACE_SHARED || b->place == PLACE_ACCUM || !run->r->rows;
    bool added = b->place == PLACE_ACCUM || b->place == PLACE_DREST;
    if (once && n->batched) ICE("%s: a batched value goes to a shared place", run->r->name);
    ConvPacking packing;
    if (conv_packing(n, &packing))
        elements = conv_packed_count(&packing, run->layout->panel);
    else if (n->op == OP_pack)
        elements =
            (n->shape.dims[1] + run->layout->panel - 1) / run->layout->panel * run->layout->panel * n->shape.dims[0];
    for (int64_t row = 0; row < (once ? 1 : run->n); row++) {
        char *at = place(run, b, count, row);
        if (!added) memset(at, 0, padded(elements * real));
        if (conv_packing(n, &packing) && packing.winograd) {
            if (added) ICE("%s: transformed weights are added to", run->r->name);
            double *copy = arena_alloc(run->arena, count * sizeof *copy);
            memcpy(copy, value, count * sizeof *copy);
            transformed(run, n, &packing, at, copy, true);
            continue;
        }
        for (uint64_t k = 0; k < count; k++) {
            uint64_t to = packed_place(run, n, k);
            double v = value[(n->batched ? (uint64_t)row * count : 0) + k];
            store(run, at, to, added ? load(run, at, to) + v : v);
        }
    }
}

/* Calls inside routines: the records of abi.def around the callbacks. */
static void routine_call(void *user, const Graph *g, NodeId id, int64_t n, double *const *values) {
    Run *run = user;
    const Node *node = &g->nodes[id];
    NodeId a0 = g->args[node->args];
    if (node->op == OP_query) return;
    if (node->op == OP_query_result) {
        const Node *q = &g->nodes[a0];
        double *out[5] = {NULL};
        out[node->attr.result.argument] = values[id];
        run->calls->query(run->calls->user, q->attr.name, n, values[g->args[q->args]], out);
        return;
    }
    const Node *owner = node;
    while (owner->op != OP_fixed) owner = &g->nodes[g->args[owner->args]];
    int64_t index = owner->attr.fixed.index;
    const FixedLayout *f = &run->r->fixed[index];
    for (int64_t row = 0; row < n; row++) {
        char *rest = run->rest[index] + (uint64_t)row * f->rest_bytes,
             *z = run->z[index] + (uint64_t)row * f->state_bytes;
        uint64_t count = shape_count(node->shape);
        for (uint32_t k = 0; node->op == OP_fixed && k < node->nargs; k++) {
            const Node *a = &g->nodes[g->args[node->args + k]];
            uint32_t captured = node->nargs - (uint32_t)node->attr.fixed.extra;
            uint64_t offset =
                k < captured ? f->rest_offsets[k] : f->cotangents[node->attr.fixed.loss - 1].offsets[k - captured];
            if (offset == UINT64_MAX) continue;
            for (uint64_t e = 0; e < shape_count(a->shape); e++)
                store(run, rest + offset, e,
                      values[g->args[node->args + k]][(a->batched ? (uint64_t)row * shape_count(a->shape) : 0) + e]);
        }
        for (uint64_t e = 0; node->op == OP_fixed_state && e < count; e++)
            values[id][(uint64_t)row * count + e] = load(run, z + f->state_offsets[node->attr.state.component], e);
        for (uint32_t k = 1; node->op == OP_fixed_gradient && k < node->nargs; k++) {
            NodeId u = g->args[node->args + k];
            uint64_t size = shape_count(g->nodes[u].shape);
            for (uint64_t e = 0; e < size; e++)
                store(run, run->u[index] + (uint64_t)row * f->state_bytes + f->state_offsets[k - 1], e,
                      values[u][(g->nodes[u].batched ? (uint64_t)row * size : 0) + e]);
        }
        uint32_t before = owner->nargs - (uint32_t)owner->attr.fixed.extra,
                 which = (uint32_t)node->attr.cotangent.captured;
        for (uint64_t e = 0; node->op == OP_fixed_cotangent && e < count; e++)
            values[id][(uint64_t)row * count + e] =
                load(run,
                     run->drest[index] + (uint64_t)row * f->rest_bytes +
                         (which < before ? f->rest_offsets[which]
                                         : f->cotangents[owner->attr.fixed.loss - 1].offsets[which - before]),
                     e);
    }
    if (node->op == OP_fixed)
        run->calls->solve(run->calls->user, f, n, run->rest[index], run->z[index], run->differentiated[index]);
    if (node->op == OP_fixed_gradient)
        run->calls->gradient(run->calls->user, f, n, run->rest[index], run->drest[index], run->u[index],
                             node->attr.gradient.shared);
}

static bool run_steps(Run *run, const Step *steps, uint32_t nsteps, int64_t iteration);

static void run_graph(Run *run, const Step *s, int64_t iteration) {
    InterpretCalls calls = {.user = run, .call = routine_call};
    Eval e = eval_new(run->arena, s->graph, run->n, iteration, &calls);
    InterpretCalls random = *run->calls;
    for (uint32_t k = 0; k < run->r->nfixed; k++) {
        const FixedLayout *f = &run->r->fixed[k];
        run->z[k] = arena_alloc(run->arena, f->state_bytes * (uint64_t)run->n + 1);
        run->rest[k] = arena_alloc(run->arena, f->rest_bytes * (uint64_t)run->n + 1);
        run->drest[k] = arena_alloc(run->arena, f->rest_bytes * (uint64_t)run->n + 1);
        run->u[k] = arena_alloc(run->arena, f->state_bytes * (uint64_t)run->n + 1);
        run->differentiated[k] = false;
    }
    for (NodeId id = 0; id < s->graph->nnodes; id++)
        if (s->graph->nodes[id].op == OP_fixed_gradient)
            run->differentiated[s->graph->nodes[id].attr.gradient.index] = true;
    for (uint32_t k = 0; k < s->nin; k++) read_binding(run, s->graph, &s->in[k], e.values[s->in[k].node]);
    for (NodeId id = 0; id < s->graph->nnodes; id++) {
        e.calls = s->graph->nodes[id].op == OP_random ? &random : &calls;
        evaluate(&e, id);
    }
    for (uint32_t k = 0; k < s->nout; k++) write_binding(run, s->graph, &s->out[k], e.values[s->out[k].node]);
}

/* False: the one example of the run leaves the loop around. */
static bool run_steps(Run *run, const Step *steps, uint32_t nsteps, int64_t iteration) {
    for (uint32_t k = 0; k < nsteps; k++) {
        if (steps[k].kind == STEP_DROP) {
            if (load(run, run->blocks[steps[k].flags], 0) != 0) return false;
            continue;
        }
        if (steps[k].kind == STEP_GRAPH) {
            run_graph(run, &steps[k], iteration);
            continue;
        }
        int64_t trips = llround(run->frame->scalars[steps[k].trip_scalar]);
        for (int64_t t = 0; t < trips; t++)
            if (!run_steps(run, steps[k].body, steps[k].nbody, iteration * 65536 + t + 1)) break;
    }
    return true;
}

static bool drops(const Step *steps, uint32_t n) {
    for (uint32_t k = 0; k < n; k++)
        if (steps[k].kind == STEP_DROP || drops(steps[k].body, steps[k].kind == STEP_LOOP ? steps[k].nbody : 0))
            return true;
    return false;
}

typedef struct OneRow {
    const InterpretCalls *calls;
    int64_t row;
} OneRow;

static void random_of_row(void *user, int64_t kind, int64_t site, int64_t row, int64_t iteration, uint64_t count,
                          double *out) {
    const OneRow *one = user;
    one->calls->random(one->calls->user, kind, site, one->row + row, iteration, count, out);
}

static void query_of_row(void *user, const char *routine, int64_t n, const double *x, double *const out[5]) {
    const OneRow *one = user;
    one->calls->query(one->calls->user, routine, n, x, out);
}

/* Examples leave loops each in its own turn: they run one after the other. */
static void run_by_row(Arena *a, const Routine *r, const Layout *layout, const deq_frame *frame, int64_t n,
                       const InterpretCalls *calls) {
    for (int64_t row = 0; row < n; row++) {
        OneRow one = {calls, row};
        const InterpretCalls inner = {.user = &one, .random = random_of_row, .query = query_of_row};
        deq_frame f = *frame;
        void **args[] = {&f.arg0, &f.arg1, &f.arg2, &f.arg3, &f.arg4, &f.arg5, &f.arg6, &f.arg7};
        for (int k = 0; k < 8; k++)
            if (r->arg_bytes[k]) *args[k] = (char *)*args[k] + (uint64_t)row * r->arg_bytes[k];
        interpret_routine(a, r, layout, &f, 1, &inner);
    }
}

void interpret_routine(Arena *a, const Routine *r, const Layout *layout, const deq_frame *frame, int64_t n,
                       const InterpretCalls *calls) {
    static const InterpretCalls none = {0};
    if (n > 1 && drops(r->steps, r->nsteps)) {
        run_by_row(a, r, layout, frame, n, calls);
        return;
    }
    Run run = {a, r, layout, frame, n, calls ? calls : &none, NULL, NULL, NULL, NULL, NULL, NULL};
    run.blocks = arena_alloc(a, (r->nblocks + 1) * sizeof(char *));
    for (uint32_t k = 0; k < r->nblocks; k++)
        run.blocks[k] = arena_alloc(a, padded((uint64_t)r->block_counts[k] * layout->real_bytes) * (uint64_t)n + 1);
    run.z = arena_alloc(a, (4 * r->nfixed + 1) * sizeof(char *));
    run.rest = run.z + r->nfixed;
    run.drest = run.rest + r->nfixed;
    run.u = run.drest + r->nfixed;
    run.differentiated = arena_alloc(a, r->nfixed + 1);
    run_steps(&run, r->steps, r->nsteps, 0);
}
