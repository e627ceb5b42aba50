/* lower_layout.c - operations that move or reduce elements along some axes: scalar loop nests over one row.
 *
 * Correct for every shape; LLVM vectorises the innermost loop where it can.  Large transposes go by squares of registers,
 * and long sums over the last axes by vectors: those of weights, which stand in no loop over rows.  Whole-row reductions and
 * everything elementwise do not come here but through clusters. */
#include "lower.h"
#include <math.h>

typedef struct Nest {
    Emit *e;
    uint32_t rank;
    Loop loops[MAX_RANK];
    Value index[MAX_RANK];
} Nest;

static void nest_begin(Nest *n, Emit *e, uint32_t rank, const uint32_t *dims) {
    n->e = e;
    n->rank = rank;
    for (uint32_t k = 0; k < rank; k++) {
        loop_count(&n->loops[k], e, dims[k]);
        n->index[k] = n->loops[k].index;
    }
}

static void nest_end(Nest *n) {
    for (uint32_t k = n->rank; k-- > 0;) loop_end(&n->loops[k]);
}

/* Row-major position of index + shift in a value of dims `s`; axes of size 1 are not stepped along. */
static Value position(Emit *e, Shape s, Value *index, const int64_t *shift) {
    Value at = emit_i64(e, 0);
    uint64_t stride = 1;
    for (uint32_t k = s.rank; k-- > 0; stride *= s.dims[k]) {
        if (s.dims[k] == 1 && !shift) continue;
        Value i = shift && shift[k] ? emit_index_add(e, index[k], emit_i64(e, (uint64_t)shift[k])) : index[k];
        at = emit_index_add(e, at, emit_index_mul(e, i, stride));
    }
    return at;
}

static Value load_at(Emit *e, Value base, Value at) { return emit_load(e, emit_element(e, base, at)); }
static void store_at(Emit *e, Value v, Value base, Value at) { emit_store(e, v, emit_element(e, base, at)); }

/* Address of the result, its padding zeroed. */
static Value result(const Site *s) {
    Value y = lower_result_row(s);
    emit_zero_padding(s->l->e, y, lower_count(s->node->shape));
    return y;
}

Value lower_slice(const Site *s) {
    Emit *e = s->l->e;
    Value x = lower_argument_row(s, 0), y = result(s);
    const int64_t *start = s->node->attr.slice.start;
    Nest n;
    nest_begin(&n, e, s->node->shape.rank, s->node->shape.dims);
    store_at(e, load_at(e, x, position(e, lower_argument_shape(s->l, s->id, 0), n.index, start)), y,
             position(e, s->node->shape, n.index, NULL));
    nest_end(&n);
    return NULL;
}

/* Copies an argument to `start` in the result. */
static void copy_into(const Site *s, uint32_t k, Value y, const int64_t *start) {
    Emit *e = s->l->e;
    Shape from = lower_argument_shape(s->l, s->id, k);
    Value x = lower_argument_row(s, k);
    Nest n;
    nest_begin(&n, e, from.rank, from.dims);
    store_at(e, load_at(e, x, position(e, from, n.index, NULL)), y, position(e, s->node->shape, n.index, start));
    nest_end(&n);
}

Value lower_pad(const Site *s) {
    Value y = lower_result_row(s);
    lower_zero(s->l->e, y, padded(lower_count(s->node->shape) * s->l->e->real_bytes));
    copy_into(s, 0, y, s->node->attr.pad.before);
    return NULL;
}

Value lower_concat(const Site *s) {
    Value y = result(s);
    int64_t start[MAX_RANK] = {0}, axis = s->node->attr.concat.axis;
    for (uint32_t k = 0; k < s->node->nargs; k++) {
        copy_into(s, k, y, start);
        start[axis] += lower_argument_shape(s->l, s->id, k).dims[axis];
    }
    return NULL;
}

/* ---- transposes ---- */
/* Bytes from which a transpose goes by squares; below, both sides stay in the first-level cache. */
#define SQUARED (32u << 10)

/* One side has runs: along an axis and those after it lie `count` runs of `run` elements.  On the other side that axis is
 * the last one, so `count` elements, one of each run, lie side by side (lower_squares). */
typedef struct Runs {
    Shape runs, other;
    bool read; /* the argument is the side with the runs, else the result is */
    uint32_t axis;
    uint64_t count, run;
    uint32_t to[MAX_RANK]; /* the axis of the other side, of each of the side with the runs */
} Runs;

static Runs runs_of(const Site *s, bool read) {
    const Shape from = lower_argument_shape(s->l, s->id, 0), to = s->node->shape;
    const int64_t *axes = s->node->attr.transpose.axes;
    Runs r = {.runs = read ? from : to, .other = read ? to : from, .read = read, .run = 1};
    for (uint32_t k = 0; k < to.rank; k++) r.to[read ? (uint32_t)axes[k] : k] = read ? k : (uint32_t)axes[k];
    while (r.to[r.axis] != to.rank - 1) r.axis++;
    r.count = r.runs.dims[r.axis];
    for (uint32_t k = r.axis + 1; k < to.rank; k++) r.run *= r.runs.dims[k];
    return r;
}

static uint64_t stride_of(const Shape *s, uint32_t axis) {
    uint64_t stride = 1;
    for (uint32_t k = axis + 1; k < s->rank; k++) stride *= s->dims[k];
    return stride;
}

/* The axes of a run as at most two on the other side, neighbours of both sides being one. */
static bool two_axes(const Runs *r, uint32_t real_bytes, Squares *q) {
    uint32_t parts = 0;
    uint64_t outer = 1;
    *q = (Squares){.inner = 1};
    for (uint32_t k = r->runs.rank; k-- > r->axis + 1;) {
        const uint64_t step = stride_of(&r->other, r->to[k]) * real_bytes;
        if (r->runs.dims[k] == 1) continue;
        if (parts == 0) {
            q->inner = r->runs.dims[k], q->step = step, parts = 1;
        } else if (parts == 1 && step == q->inner * q->step) {
            q->inner *= r->runs.dims[k];
        } else if (parts == 1) {
            q->outer_step = step, parts = 2, outer = r->runs.dims[k];
        } else if (step == outer * q->outer_step) {
            outer *= r->runs.dims[k];
        } else {
            return false;
        }
    }
    return true;
}

/* Whether the transpose goes by squares, of the side that leaves fewer elements over. */
static bool squared(const Site *s, Runs *out, Squares *squares) {
    const uint32_t lanes = s->l->e->lanes, real_bytes = s->l->e->real_bytes;
    uint64_t best = 0;
    if (s->node->shape.rank < 2 || lower_count(s->node->shape) * real_bytes < SQUARED) return false;
    for (int read = 0; read < 2; read++) {
        const Runs r = runs_of(s, read);
        Squares q;
        const uint64_t whole = r.count / lanes * lanes * (r.run / lanes * lanes), runs = r.count * r.run;
        if (whole * (lower_count(r.runs) / runs) <= best || !two_axes(&r, real_bytes, &q)) continue;
        best = whole * (lower_count(r.runs) / runs), *out = r, *squares = q;
    }
    return best > 0;
}

typedef struct Places {
    Emit *e;
    const Runs *r;
    Value x, y, index[MAX_RANK]; /* of the side with the runs: before the axis */
} Places;

/* Where element `at` of run `n` stands: on the side with the runs, and on the other. */
static void places(const Places *p, Value n, Value at, Value *runs, Value *other) {
    Emit *e = p->e;
    const Runs *r = p->r;
    Value index[MAX_RANK] = {0}, there[MAX_RANK];
    for (uint32_t k = 0; k < r->axis; k++) index[k] = p->index[k];
    index[r->axis] = n;
    for (uint32_t k = r->runs.rank; k-- > r->axis + 1;) {
        Value size = emit_i64(e, r->runs.dims[k]);
        index[k] = LLVMBuildURem(e->builder, at, size, "");
        at = LLVMBuildUDiv(e->builder, at, size, "");
    }
    for (uint32_t k = 0; k < r->runs.rank; k++) there[r->to[k]] = index[k];
    *runs = emit_element(e, r->read ? p->x : p->y, position(e, r->runs, index, NULL));
    *other = emit_element(e, r->read ? p->y : p->x, position(e, r->other, there, NULL));
}

/* Of runs from..to-1 elements first..last-1, each by itself. */
static void move_rest(const Places *p, uint64_t from, uint64_t to, uint64_t first, uint64_t last) {
    Emit *e = p->e;
    Loop n, at;
    Value runs, other;
    if (from == to || first == last) return;
    loop_begin(&n, e, emit_i64(e, from), emit_i64(e, to), emit_i64(e, 1), false);
    loop_begin(&at, e, emit_i64(e, first), emit_i64(e, last), emit_i64(e, 1), false);
    places(p, n.index, at.index, &runs, &other);
    emit_store(e, emit_load(e, p->r->read ? runs : other), p->r->read ? other : runs);
    loop_end(&at);
    loop_end(&n);
}

static void transpose_squares(Emit *e, const Runs *r, Squares q, Value x, Value y) {
    Places p = {.e = e, .r = r, .x = x, .y = y};
    Loop before[MAX_RANK];
    for (uint32_t k = 0; k < r->axis; k++) {
        loop_count(&before[k], e, r->runs.dims[k]);
        p.index[k] = before[k].index;
    }
    q.read = r->read, q.count = r->count, q.run = r->run, q.apart = r->run * e->real_bytes;
    places(&p, emit_i64(e, 0), emit_i64(e, 0), &q.runs, &q.other);
    lower_squares(e, &q);
    move_rest(&p, 0, r->count / e->lanes * e->lanes, r->run / e->lanes * e->lanes, r->run);
    move_rest(&p, r->count / e->lanes * e->lanes, r->count, 0, r->run);
    for (uint32_t k = r->axis; k-- > 0;) loop_end(&before[k]);
}

Value lower_transpose(const Site *s) {
    Emit *e = s->l->e;
    Value x = lower_argument_row(s, 0), y = result(s), from[MAX_RANK];
    Runs r;
    Squares q;
    if (squared(s, &r, &q)) {
        transpose_squares(e, &r, q, x, y);
        return NULL;
    }
    Nest n;
    nest_begin(&n, e, s->node->shape.rank, s->node->shape.dims);
    for (uint32_t k = 0; k < s->node->shape.rank; k++) from[s->node->attr.transpose.axes[k]] = n.index[k];
    store_at(e, load_at(e, x, position(e, lower_argument_shape(s->l, s->id, 0), from, NULL)), y,
             position(e, s->node->shape, n.index, NULL));
    nest_end(&n);
    return NULL;
}

/* Axes that stand together and are both repeated, or both not, are one: a number for each output channel of a kernel is
 * then repeated in one long loop instead of many of three. */
Value lower_broadcast(const Site *s) {
    Emit *e = s->l->e;
    const Shape from = lower_argument_shape(s->l, s->id, 0), to = s->node->shape;
    Value x = lower_argument_row(s, 0), y = result(s);
    Shape small = {.rank = 0}, large = {.rank = 0};
    bool repeated = false;
    for (uint32_t k = 0; k < to.rank; k++) {
        const uint32_t given = k < from.rank ? from.dims[k] : 1;
        if (to.dims[k] == 1) continue;
        if (!large.rank || repeated != (given == 1)) small.dims[small.rank++] = large.dims[large.rank++] = 1;
        repeated = given == 1;
        small.dims[small.rank - 1] *= given;
        large.dims[large.rank - 1] *= to.dims[k];
    }
    Nest n;
    nest_begin(&n, e, large.rank, large.dims);
    store_at(e, load_at(e, x, position(e, small, n.index, NULL)), y, position(e, large, n.index, NULL));
    nest_end(&n);
    return NULL;
}

/* ---- windows ---- */
/* Index in the larger image of element `at` of window `window`. */
static void window_index(const Site *s, Value *large, Value *window, const Value *element) {
    const struct window_attributes *w = &s->node->attr.window;
    Emit *e = s->l->e;
    for (int64_t k = 0; k < 3; k++) {
        int64_t j = k - w->axis;
        large[k] = window[k];
        if (j == 0 || j == 1)
            large[k] = emit_index_add(e, emit_index_mul(e, window[k], (uint64_t)w->apart[j]), element[j]);
    }
}

/* The sum is in order of the window's rows: element after element of each image, so that the innermost loop runs over
 * images or channels and vectorises. */
static Value window(const Site *s, bool spread) {
    Emit *e = s->l->e;
    const int64_t *size = s->node->attr.window.size;
    Shape from = lower_argument_shape(s->l, s->id, 0), small = spread ? from : s->node->shape;
    Shape large = spread ? s->node->shape : from;
    Value x = lower_argument_row(s, 0), y = lower_result_row(s), at[MAX_RANK];
    lower_zero(e, y, padded(lower_count(s->node->shape) * e->real_bytes));
    Nest n, elements;
    nest_begin(&elements, e, 2, (uint32_t[]){(uint32_t)size[0], (uint32_t)size[1]});
    nest_begin(&n, e, 3, small.dims);
    window_index(s, at, n.index, elements.index);
    Value in_small = position(e, small, n.index, NULL);
    static const int64_t none[MAX_RANK];
    Value in_large = position(e, large, at, none);
    Value from_at = spread ? in_small : in_large, to_at = spread ? in_large : in_small;
    store_at(e, emit_add(e, load_at(e, y, to_at), load_at(e, x, from_at)), y, to_at);
    nest_end(&n);
    nest_end(&elements);
    return NULL;
}

Value lower_window_sum(const Site *s) { return window(s, false); }
Value lower_window_spread(const Site *s) { return window(s, true); }

/* ---- reductions along some axes ---- */
#define LONG_SUM 256 /* elements, from which a sum is made in blocks, and these in blocks (lower_cluster.c) */
#define BLOCK 32
#define LEVELS 4

/* Sums of this block, of this block of blocks, and so on; elements so far. */
typedef struct Accumulator {
    Value sum[LEVELS], count;
    uint32_t levels;
} Accumulator;

static void accumulator_clear(Emit *e, const Accumulator *a, Op op) {
    for (uint32_t k = 0; k < a->levels; k++)
        emit_store(e, emit_real(e, op == OP_reduce_sum ? 0 : -INFINITY), a->sum[k]);
    if (a->levels > 1) LLVMBuildStore(e->builder, emit_i64(e, 0), a->count);
}

static Accumulator accumulator_new(Emit *e, Op op, uint64_t count) { /* all becomes registers */
    Accumulator a = {.levels = op == OP_reduce_sum && count >= LONG_SUM ? LEVELS : 1};
    for (uint32_t k = 0; k < a.levels; k++) a.sum[k] = emit_alloca(e, e->real, emit_i32(e, 1), e->real_bytes);
    if (a.levels > 1) a.count = emit_alloca(e, e->i64, emit_i32(e, 1), 8);
    return a;
}

static void accumulate(Emit *e, const Accumulator *a, Op op, Value x) {
    emit_store(e, lower_combine(e, op, emit_load(e, a->sum[0]), x), a->sum[0]);
    if (a->levels == 1) return;
    Value count = emit_index_add(e, LLVMBuildLoad2(e->builder, e->i64, a->count, ""), emit_i64(e, 1));
    LLVMBuildStore(e->builder, count, a->count);
    for (uint64_t k = 1, block = BLOCK; k < LEVELS; k++, block *= BLOCK) {
        Value low = LLVMBuildAnd(e->builder, count, emit_i64(e, block - 1), "");
        Value full = LLVMBuildICmp(e->builder, LLVMIntEQ, low, emit_i64(e, 0), "");
        Value below = emit_load(e, a->sum[k - 1]), here = emit_load(e, a->sum[k]);
        emit_store(e, emit_select(e, full, emit_add(e, here, below), here), a->sum[k]);
        emit_store(e, emit_select(e, full, emit_real(e, 0), below), a->sum[k - 1]);
    }
}

static Value accumulated(Emit *e, const Accumulator *a) {
    Value sum = emit_load(e, a->sum[0]);
    for (uint32_t k = 1; k < a->levels; k++) sum = emit_add(e, emit_load(e, a->sum[k]), sum);
    return sum;
}

/* The axes stand together at the end. */
static bool last_axes(uint32_t axes, uint32_t rank) {
    uint32_t k = rank;
    while (k > 0 && axes >> (k - 1) & 1) k--;
    return (axes & ((1u << k) - 1)) == 0;
}

/* The sums, lane by lane, of `count` vectors that stand one after the other: in blocks, and these in blocks.  A lane errs
 * by BLOCK roundings for each power of BLOCK in the count. */
static Value sum_of_vectors(Emit *e, Value from, uint64_t count) {
    uint64_t block = 1;
    while (block * BLOCK < count) block *= BLOCK;
    const uint64_t bytes = block * e->lanes * e->real_bytes, whole = count / block;
    Loop l;
    loop_count(&l, e, whole);
    Value sum = loop_carry(&l, emit_splat_constant(e, 0)), at = emit_offset(e, from, emit_index_mul(e, l.index, bytes));
    Value part = block == 1 ? emit_load_vector(e, at, e->real_bytes) : sum_of_vectors(e, at, block);
    loop_next(&l, 0, emit_add(e, sum, part));
    loop_end(&l);
    sum = loop_result(&l, 0);
    if (count == whole * block) return sum;
    return emit_add(e, sum, sum_of_vectors(e, emit_offset_constant(e, from, whole * bytes), count - whole * block));
}

/* Sums over the last axes, `length` elements each: whole vectors, then what is left. */
static Value reduce_last(const Site *s, uint64_t length) {
    Emit *e = s->l->e;
    Value x = lower_argument_row(s, 0), y = result(s);
    const uint64_t whole = length / e->lanes, rest = length % e->lanes;
    Loop l;
    loop_count(&l, e, lower_count(s->node->shape));
    Value from = emit_element(e, x, emit_index_mul(e, l.index, length));
    Value sum = lower_across_lanes(e, OP_reduce_sum, sum_of_vectors(e, from, whole));
    for (uint64_t k = 0; k < rest; k++)
        sum = emit_add(e, sum, emit_load(e, emit_offset_constant(e, from, (whole * e->lanes + k) * e->real_bytes)));
    store_at(e, sum, y, l.index);
    loop_end(&l);
    return NULL;
}

static Value reduce(const Site *s) {
    Emit *e = s->l->e;
    const Op op = s->node->op;
    Shape from = lower_argument_shape(s->l, s->id, 0);
    const uint64_t length = lower_count(from) / lower_count(s->node->shape);
    if (op == OP_reduce_sum && length >= LONG_SUM && last_axes(s->node->attr.reduce.axes, from.rank))
        return reduce_last(s, length);
    Value x = lower_argument_row(s, 0), y = result(s), index[MAX_RANK];
    uint32_t kept[MAX_RANK], reduced[MAX_RANK], nkept = 0, nreduced = 0;
    for (uint32_t k = 0; k < from.rank; k++) {
        if (s->node->attr.reduce.axes >> k & 1)
            reduced[nreduced++] = k;
        else
            kept[nkept++] = k;
    }
    uint32_t outer_dims[MAX_RANK], inner_dims[MAX_RANK];
    for (uint32_t k = 0; k < nkept; k++) outer_dims[k] = from.dims[kept[k]];
    for (uint32_t k = 0; k < nreduced; k++) inner_dims[k] = from.dims[reduced[k]];
    Accumulator acc = accumulator_new(e, op, length);
    Nest outer, inner;
    nest_begin(&outer, e, nkept, outer_dims);
    accumulator_clear(e, &acc, op);
    nest_begin(&inner, e, nreduced, inner_dims);
    for (uint32_t k = 0; k < nkept; k++) index[kept[k]] = outer.index[k];
    for (uint32_t k = 0; k < nreduced; k++) index[reduced[k]] = inner.index[k];
    accumulate(e, &acc, op, load_at(e, x, position(e, from, index, NULL)));
    nest_end(&inner);
    store_at(e, accumulated(e, &acc), y, position(e, s->node->shape, outer.index, NULL));
    nest_end(&outer);
    return NULL;
}

Value lower_reduce_sum(const Site *s) { return reduce(s); }
Value lower_reduce_max(const Site *s) { return reduce(s); }

Value lower_argmax(const Site *s) {
    Emit *e = s->l->e;
    uint64_t count = lower_count(lower_argument_shape(s->l, s->id, 0));
    Value x = lower_argument_row(s, 0), best = emit_real(e, 0), first = emit_load(e, x), last = first;
    if (count > 1) {
        Loop l;
        loop_begin(&l, e, emit_i64(e, 1), emit_i64(e, count), emit_i64(e, 1), false);
        Value place = loop_carry(&l, emit_i64(e, 0)), largest = loop_carry(&l, first), none = loop_carry(&l, first);
        Value v = load_at(e, x, l.index), larger = emit_compare(e, LLVMRealOGT, v, largest);
        loop_next(&l, 0, emit_select(e, larger, l.index, place));
        loop_next(&l, 1, emit_select(e, larger, v, largest));
        loop_next(&l, 2, emit_select(e, emit_compare(e, LLVMRealUNO, v, v), v, none));
        loop_end(&l);
        best = LLVMBuildSIToFP(e->builder, loop_result(&l, 0), e->real, "");
        last = loop_result(&l, 2); /* NaN when an element is */
    }
    best = emit_select(e, emit_compare(e, LLVMRealUNO, last, last), last, best);
    emit_store_single(e, best, lower_result_row(s), false);
    return NULL;
}

Value lower_outer(const Site *s) {
    Emit *e = s->l->e;
    Value a = lower_argument_row(s, 0), b = lower_argument_row(s, 1), y = result(s);
    Nest n;
    nest_begin(&n, e, 2, s->node->shape.dims);
    store_at(e, emit_mul(e, load_at(e, a, n.index[0]), load_at(e, b, n.index[1])), y,
             position(e, s->node->shape, n.index, NULL));
    nest_end(&n);
    return NULL;
}
