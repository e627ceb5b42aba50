/* lower_conv_winograd_weight.c - the adjoint of a 3 x 3 convolution in its weights, in Winograd's form:
 * dw += G' [(A u A') .* (B' x B) summed over the tiles] G, where the sum is a product for each tap, of the tiles'
 * transformed pixels by channel with their transformed cotangents by filter.  Examples are added one after another. */
#include "lower_winograd.h"

/* Whether no tap is without tiles, and none has them from several slices: then sums start from nothing. */
static bool once(const WinogradPlan *p) { return p->rows && p->columns && p->slice == p->rows; }

static void multiply_tiles(const Slice *s, Value tap, uint64_t first, uint64_t tiles) {
    const WinogradPlan *p = s->p;
    Emit *e = s->e;
    Value v = emit_offset_constant(e, s->args[W_WORK], p->v + first * p->v_tile);
    Value u = emit_offset_constant(e, s->args[W_WORK], p->products + first * p->m_tile);
    Value sums = emit_offset_constant(e, s->args[W_WORK], p->weights);
    Product product = {.a = emit_offset(e, v, emit_index_mul(e, tap, p->v_tap)),
                       .a_row = emit_i64(e, e->real_bytes),
                       .a_step = emit_i64(e, p->v_tile),
                       .b = emit_offset(e, u, emit_index_mul(e, tap, p->m_tap)),
                       .b_panel = emit_i64(e, (uint64_t)e->panel * e->real_bytes),
                       .b_step = emit_i64(e, p->m_tile),
                       .c = emit_offset(e, sums, emit_index_mul(e, tap, p->channels * p->m_tile)),
                       .c_row = emit_i64(e, p->m_tile),
                       .k = emit_i64(e, tiles),
                       .columns = p->filters,
                       .initial = !once(p)};
    product_tiles(e, product, p->channels);
}

static void sum_slice(const Slice *s) {
    winograd_transform_slice(s, WINOGRAD_PIXELS);
    winograd_transform_slice(s, WINOGRAD_COTANGENTS);
    winograd_taps(s, multiply_tiles);
}

static void add_weights(Slice *s) {
    const WinogradPlan *p = s->p;
    Emit *e = s->e;
    Value sums = emit_offset_constant(e, s->args[W_WORK], p->weights);
    lower_zero(e, s->args[W_WORK], p->discard);
    if (!once(p)) lower_zero(e, sums, SIDE * SIDE * p->channels * p->m_tile);
    winograd_slices(s, sum_slice);
    emit_call(e, winograd_transform_weights(e),
              (Value[]){sums, s->args[W_WEIGHTS], emit_i64(e, p->channels), emit_i64(e, p->filters),
                        emit_i64(e, p->m_tile), emit_i64(e, p->channels * p->m_tile)},
              U_COUNT);
}

void lower_conv_winograd_weights(const Site *s, const WinogradPlan *p, Value x, Value u, Value w) {
    Emit *e = s->l->e;
    emit_call(e, winograd_function(e, p, "winograd_weights", add_weights), (Value[]){x, w, u, winograd_workspace(s)},
              W_COUNT);
}
