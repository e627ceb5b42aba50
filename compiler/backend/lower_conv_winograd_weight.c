/* lower_conv_winograd_weight.c - the adjoint of a 3 x 3 convolution in its weights, in Winograd's form:
 * dw += G' [(A u A') .* (B' x B) summed over the tiles] G, where the sum is a product for each tap, of the tiles'
 * transformed pixels by channel with their transformed cotangents by filter.  Examples are added one after another, but
 * where several share a call: there the sum goes over the tiles of all of them. */
#include "lower_winograd.h"

/* Whether no tap is without tiles, and none has them from several slices: then sums start from nothing. */
static bool once(const WinogradPlan *p) { return p->rows && p->columns && p->slice == p->rows; }

/* Of s->channels channels from s->channel on. */
static void multiply_tiles(const Slice *s, Value tap, uint64_t first, uint64_t tiles) {
    const WinogradPlan *p = s->p;
    Emit *e = s->e;
    Value v = emit_offset_constant(e, s->args[W_WORK], p->v + first * p->v_tile);
    v = emit_element(e, v, s->channel);
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
                       .columns = p->filters,
                       .initial = !once(p)};
    product_tiles(e, product, s->channels);
}

/* Adds the sums of these channels to the weights'. */
static void add_sums(const Slice *s) {
    const WinogradPlan *p = s->p;
    Emit *e = s->e;
    Value to = emit_element(e, s->args[W_WEIGHTS], emit_index_mul(e, s->channel, p->filters));
    emit_call(e, winograd_transform_weights(e),
              (Value[]){emit_offset_constant(e, s->args[W_WORK], p->weights), to, emit_i64(e, s->channels),
                        emit_i64(e, p->filters), emit_i64(e, p->m_tile), emit_i64(e, p->w_tap),
                        emit_i64(e, (uint64_t)p->channels * p->filters * e->real_bytes)},
              U_COUNT);
}

/* All tiles are this slice: sums are made and added a few channels at a time, and stay in the cache between. */
static void sum_channels(Slice *s) {
    const WinogradPlan *p = s->p;
    Emit *e = s->e;
    const uint32_t whole = p->channels / p->some, rest = p->channels % p->some;
    if (whole) {
        Loop loop;
        loop_count(&loop, e, whole);
        s->channels = p->some;
        s->channel = emit_index_mul(e, loop.index, p->some);
        winograd_taps(s, multiply_tiles);
        add_sums(s);
        loop_end(&loop);
    }
    if (!rest) return;
    s->channels = rest;
    s->channel = emit_i64(e, (uint64_t)whole * p->some);
    winograd_taps(s, multiply_tiles);
    add_sums(s);
}

static void sum_slice(const Slice *s) {
    Slice at = *s;
    winograd_transform_slice(s, WINOGRAD_PIXELS);
    winograd_transform_slice(s, WINOGRAD_COTANGENTS);
    if (once(s->p))
        sum_channels(&at);
    else
        winograd_taps(s, multiply_tiles);
}

static void add_weights(Slice *s) {
    const WinogradPlan *p = s->p;
    Emit *e = s->e;
    Value sums = emit_offset_constant(e, s->args[W_WORK], p->weights);
    lower_zero(e, s->args[W_WORK], p->discard);
    s->channel = emit_i64(e, 0);
    s->channels = p->channels;
    if (!once(p)) lower_zero(e, sums, SIDE * SIDE * p->w_tap);
    winograd_slices(s, sum_slice);
    if (!once(p)) add_sums(s);
}

void lower_conv_winograd_weights(const Site *s, const WinogradPlan *p, Value x, Value u, Value w) {
    Emit *e = s->l->e;
    Value args[W_ONE_IMAGE] = {x, w, u, winograd_workspace(s)};
    winograd_call(s, p, winograd_function(e, p, "winograd_weights", add_weights), args, lower_argument(s->l, s->id, 0),
                  lower_argument(s->l, s->id, 1));
}
