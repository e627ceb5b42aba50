/* lower_pack.c - weights as the product kernel reads them: [k, n] to [panel][k][columns of the panel]. */
#include "lower.h"

typedef struct Pack {
    Value x, y;
    uint64_t k, n; /* of the product */
    bool transposed;
} Pack;

/* Element (row, column) of the product's right operand. */
static void pack_element(Emit *e, const Pack *p, Value row, Value panel, Value column) {
    Value j = emit_index_add(e, emit_index_mul(e, panel, e->panel), column);
    Value from = p->transposed ? emit_index_add(e, emit_index_mul(e, j, p->k), row)
                               : emit_index_add(e, emit_index_mul(e, row, p->n), j);
    Value to = emit_index_add(e, emit_index_mul(e, panel, p->k), row);
    to = emit_index_add(e, emit_index_mul(e, to, e->panel), column);
    emit_store(e, emit_load(e, emit_element(e, p->x, from)), emit_element(e, p->y, to));
}

/* Rows start .. k-1 of a panel, `columns` of its columns. */
static void pack_rows(Emit *e, const Pack *p, Value panel, uint64_t start, uint64_t columns) {
    Loop rows, inner;
    if (start >= p->k) return;
    loop_begin(&rows, e, emit_i64(e, start), emit_i64(e, p->k), emit_i64(e, 1), false);
    loop_count(&inner, e, columns);
    pack_element(e, p, rows.index, panel, inner.index);
    loop_end(&inner);
    loop_end(&rows);
}

/* A full panel of a transposed matrix, whose columns are rows of x: squares, then the rows that are left. */
static void pack_squares(Emit *e, const Pack *p, Value panel) {
    const Squares q = {.runs = emit_element(e, p->x, emit_index_mul(e, panel, e->panel * p->k)),
                       .other = emit_element(e, p->y, emit_index_mul(e, panel, e->panel * p->k)),
                       .read = true,
                       .count = e->panel,
                       .run = p->k,
                       .apart = p->k * e->real_bytes,
                       .inner = p->k,
                       .step = (uint64_t)e->panel * e->real_bytes};
    lower_squares(e, &q);
    pack_rows(e, p, panel, p->k / e->lanes * e->lanes, e->panel);
}

/* What is read past the end, and the columns after the last full panel.  Comes before the panels: the padding is zeroed
 * with a vector that may hold the last elements too. */
static void pack_end(Emit *e, const Pack *p, uint64_t full, uint64_t rest) {
    emit_zero_padding(e, p->y, (full + (rest > 0)) * p->k * e->panel);
    if (!rest) return;
    LLVMBuildMemSet(e->builder, emit_offset_constant(e, p->y, full * p->k * e->panel * e->real_bytes),
                    LLVMConstNull(e->i8), emit_i64(e, p->k * e->panel * e->real_bytes), e->real_bytes);
    pack_rows(e, p, emit_i64(e, full), 0, rest);
}

Value lower_pack(const Site *s) {
    Lower *l = s->l;
    Emit *e = l->e;
    uint64_t k = s->node->shape.dims[0], n = s->node->shape.dims[1], full = n / e->panel, rest = n % e->panel;
    Pack p = {lower_argument_row(s, 0), lower_result_row(s), k, n, s->node->attr.pack.transposed};
    Value from = emit_i64(e, 0), to = emit_i64(e, full);
    if (lower_in_pieces(l, s->id)) { /* panels from .. to are this piece's; the last one has the end too */
        Value next = emit_index_add(e, l->piece, emit_i64(e, 1));
        from = LLVMBuildUDiv(e->builder, emit_index_mul(e, l->piece, full), l->pieces, "from");
        to = LLVMBuildUDiv(e->builder, emit_index_mul(e, next, full), l->pieces, "to");
        LLVMBasicBlockRef last = emit_block(e, "last"), after = emit_block(e, "after");
        LLVMBuildCondBr(e->builder, LLVMBuildICmp(e->builder, LLVMIntEQ, next, l->pieces, ""), last, after);
        emit_at(e, last);
        pack_end(e, &p, full, rest);
        LLVMBuildBr(e->builder, after);
        emit_at(e, after);
    } else {
        pack_end(e, &p, full, rest);
    }
    if (!full) return NULL;
    Loop panels;
    loop_begin(&panels, e, from, to, emit_i64(e, 1), true);
    if (p.transposed)
        pack_squares(e, &p, panels.index);
    else
        pack_rows(e, &p, panels.index, 0, e->panel);
    loop_end(&panels);
    return NULL;
}
