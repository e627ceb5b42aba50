/* lower_conv_winograd_weight.c - the adjoint of a 3 x 3 convolution in its weights, in Winograd's form:
 * dw += G' [(A u A') .* (B' x B) summed over the tiles] G, where the sum is a product for each tap, of the tiles'
 * transformed pixels by channel with their transformed cotangents by filter.  Examples are added one after another, but
 * where several share a call: there the sum goes over the tiles of all of them.
 *
 * Some filters' cotangents are transformed, then they are summed with some channels' pixels after others': all that a
 * product reads and writes stays in the cache, and the sums are transformed while they are there. */
#include "lower_winograd.h"

#define PARTS (SIDE * SIDE / 9)

/* The weights' cotangent, to which the sums are added after the last tap, comes to the cache meanwhile: with each tap a
 * part of the rows of one of the nine. */
static void fetch_weights(const Slice *s, Value tap) {
    const WinogradPlan *p = s->p;
    Emit *e = s->e;
    const uint32_t rows = (s->channels.count + PARTS - 1) / PARTS;
    const uint64_t row_bytes = (uint64_t)p->filters * e->real_bytes;
    Value of = LLVMBuildUDiv(e->builder, tap, emit_i64(e, PARTS), "");
    Value part = LLVMBuildURem(e->builder, tap, emit_i64(e, PARTS), "");
    Value row = emit_index_add(e, emit_index_mul(e, of, p->channels), emit_index_mul(e, part, rows));
    row = emit_index_add(e, row, s->channels.first);
    Value at = emit_offset(e, s->args[W_WEIGHTS], emit_index_mul(e, row, row_bytes));
    Loop down, across;
    loop_count(&down, e, rows);
    at = emit_element(e, emit_offset(e, at, emit_index_mul(e, down.index, row_bytes)), s->filters.first);
    loop_begin(&across, e, emit_i64(e, 0), emit_i64(e, s->filters.count), emit_i64(e, e->lanes), false);
    emit_fetch(e, emit_element(e, at, across.index));
    loop_end(&across);
    loop_end(&down);
}

static void multiply_tiles(const Slice *s, Value tap, uint64_t first, uint64_t tiles) {
    const WinogradPlan *p = s->p;
    Emit *e = s->e;
    fetch_weights(s, tap);
    Value v = emit_offset_constant(e, s->args[W_WORK], p->v + first * p->v_tile);
    if (p->kept) v = emit_element(e, v, s->channels.first);
    Value u = emit_offset_constant(e, s->args[W_WORK], p->products + first * p->m_tile);
    Value sums = emit_offset_constant(e, s->args[W_WORK], p->weights);
    Product product = {.a = emit_offset(e, v, emit_index_mul(e, tap, p->v_tap)),
                       .a_row = emit_i64(e, e->real_bytes),
                       .a_step = emit_i64(e, p->v_tile),
                       .b = emit_offset(e, u, emit_index_mul(e, tap, p->m_tap)),
                       .b_panel = emit_i64(e, (uint64_t)e->panel * e->real_bytes),
                       .b_step = emit_i64(e, p->m_tile),
                       .c = emit_offset(e, sums, emit_index_mul(e, tap, p->w_tap)),
                       .c_row = emit_i64(e, p->m_tile),
                       .k = p->images == 1 ? emit_i64(e, tiles) : emit_index_mul(e, s->args[W_IMAGES], tiles),
                       .columns = s->filters.count};
    product_tiles(e, product, s->channels.count);
}

/* Adds the sums to the weights'. */
static void add_sums(const Slice *s) {
    const WinogradPlan *p = s->p;
    Emit *e = s->e;
    Value place = emit_index_add(e, emit_index_mul(e, s->channels.first, p->filters), s->filters.first);
    const uint64_t row = (uint64_t)p->filters * e->real_bytes;
    emit_call(e, winograd_transform_weights(e),
              (Value[]){emit_offset_constant(e, s->args[W_WORK], p->weights),
                        emit_element(e, s->args[W_WEIGHTS], place), emit_i64(e, s->channels.count),
                        emit_i64(e, s->filters.count), emit_i64(e, p->m_tile), emit_i64(e, p->w_tap), emit_i64(e, row),
                        emit_i64(e, row * p->channels)},
              U_COUNT);
}

/* `some` at a time of all that `part` of s consists of; `run` emits one. */
static void in_parts(Slice *s, Part *part, uint32_t some, void (*run)(Slice *s)) {
    Emit *e = s->e;
    const Part all = *part;
    const uint32_t whole = all.count / some, rest = all.count % some;
    if (whole) {
        Loop loop;
        loop_count(&loop, e, whole);
        *part = (Part){emit_index_mul(e, loop.index, some), some};
        run(s);
        loop_end(&loop);
    }
    *part = (Part){emit_i64(e, (uint64_t)whole * some), rest};
    if (rest) run(s);
    *part = all;
}

static void sum_channels(Slice *s) {
    if (!s->p->kept) winograd_transform_slice(s, WINOGRAD_PIXELS);
    winograd_taps(s, multiply_tiles);
    add_sums(s);
}

static void sum_filters(Slice *s) {
    winograd_transform_slice(s, WINOGRAD_COTANGENTS);
    in_parts(s, &s->channels, s->p->some_channels, sum_channels);
}

static void sum_slice(const Slice *s) {
    Slice at = *s;
    if (s->p->kept) winograd_transform_slice(s, WINOGRAD_PIXELS);
    in_parts(&at, &at.filters, s->p->some_filters, sum_filters);
}

static void add_weights(Slice *s) {
    const WinogradPlan *p = s->p;
    Emit *e = s->e;
    lower_zero(e, s->args[W_WORK], p->discard);
    /* taps of whole tiles, where all are short */
    if (!p->rows || !p->columns)
        lower_zero(e, emit_offset_constant(e, s->args[W_WORK], p->weights), SIDE * SIDE * p->w_tap);
    winograd_slices(s, sum_slice);
}

void lower_conv_winograd_weights(const Site *s, const WinogradPlan *p, Value x, Value u, Value w) {
    Emit *e = s->l->e;
    Value args[W_ONE_IMAGE] = {x, w, u, winograd_workspace(s)};
    winograd_call(s, p, winograd_function(e, p, "winograd_weights", add_weights), args, lower_argument(s->l, s->id, 0),
                  lower_argument(s->l, s->id, 1));
}
