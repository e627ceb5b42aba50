/* lower_product.c - products: the register-tiled kernel and what is built from it.
 *
 * The kernel keeps m rows x 2 vectors of sums in registers and runs over k with one broadcast element of a for each
 * row. Every sum adds its terms in order of k, so a row's bits do not depend on m, nor on how
 * k is divided. */
#include "lower.h"
#include <stdio.h>

enum { K_A, K_A_ROW, K_A_STEP, K_B, K_B_PANEL, K_B_STEP, K_C, K_C_ROW, K_K, K_PANELS, K_INITIAL, K_COUNT };

static LLVMTypeRef kernel_type(Emit *e) {
    LLVMTypeRef p[K_COUNT] = {e->ptr, e->i64, e->i64, e->ptr, e->i64, e->i64, e->ptr, e->i64, e->i64, e->i64, e->i1};
    return LLVMFunctionType(e->none, p, K_COUNT, false);
}

/* Loads (sums NULL) or stores the rows of c, one address from the one before: constant multiples of the row stride
 * would fill the integer registers. */
static void kernel_rows(Emit *e, Value c, Value c_row, uint32_t m, uint32_t vectors, Value *loaded, const Value *sums) {
    for (uint32_t i = 0; i < m; i++) {
        for (uint32_t v = 0; v < vectors; v++) {
            Value at = emit_offset_constant(e, c, (uint64_t)v * e->lanes * e->real_bytes);
            if (sums)
                emit_store_vector(e, sums[i * vectors + v], at, e->real_bytes);
            else
                loaded[i * vectors + v] = emit_load_vector(e, at, e->real_bytes);
        }
        c = emit_offset(e, c, c_row);
    }
}

/* Brings c into the sums where `initial` says so.  `add`: to what is summed, since a sum of many blocks of examples errs
 * least if c is added at the end: by the roundings of its longest block and of as many additions as there are blocks.
 * Else the sums are zeros, and go on from c. */
static void kernel_initial(Emit *e, bool add, Value initial, Value c, Value c_row, uint32_t m, uint32_t vectors,
                           Value *sums) {
    LLVMBasicBlockRef before = emit_here(e), load = emit_block(e, "load"), end = emit_block(e, "end");
    Value old[LOOP_VALUES];
    LLVMBuildCondBr(e->builder, initial, load, end);
    emit_at(e, load);
    kernel_rows(e, c, c_row, m, vectors, old, NULL);
    for (uint32_t i = 0; add && i < m * vectors; i++) old[i] = emit_add(e, old[i], sums[i]);
    LLVMBuildBr(e->builder, end);
    emit_at(e, end);
    for (uint32_t i = 0; i < m * vectors; i++) {
        Value phi = LLVMBuildPhi(e->builder, e->vector, "");
        LLVMAddIncoming(phi, (Value[]){sums[i], old[i]}, (LLVMBasicBlockRef[]){before, load}, 2);
        sums[i] = phi;
    }
}

#define FETCHERS 4 /* tiles that share the fetching of a stretch: a power of two */

typedef enum Kind {
    ADDS,        /* to c, when all is summed, where asked to */
    GOES_ON,     /* from c, where asked to: a stretch of a tall tile */
    FETCHES_TOO, /* the same; and fetches a part of the next stretch, K_B_PANEL bytes behind b */
} Kind;

static void kernel_body(Emit *e, uint32_t m, uint32_t vectors, Kind kind) {
    Value p[K_COUNT];
    for (uint32_t k = 0; k < K_COUNT; k++) p[k] = LLVMGetParam(e->function, k);
    uint32_t vector = e->lanes * e->real_bytes, n = m * vectors;
    Loop panels;
    loop_begin(&panels, e, emit_i64(e, 0), p[K_PANELS], emit_i64(e, 1), false);
    Value b = loop_carry(&panels, p[K_B]), c = loop_carry(&panels, p[K_C]);
    Loop inner;
    Value sum[LOOP_VALUES], bv[2];
    for (uint32_t i = 0; i < n; i++) sum[i] = LLVMConstNull(e->vector);
    if (kind != ADDS) kernel_initial(e, false, p[K_INITIAL], c, p[K_C_ROW], m, vectors, sum);
    Value fetched = emit_offset(e, b, p[K_B_PANEL]),
          fetch_step = LLVMBuildUDiv(e->builder, p[K_B_STEP], emit_i64(e, FETCHERS), "");
    loop_begin(&inner, e, emit_i64(e, 0), p[K_K], emit_i64(e, 1), false);
    for (uint32_t i = 0; i < n; i++) sum[i] = loop_carry(&inner, sum[i]);
    Value ap = loop_carry(&inner, p[K_A]), bp = loop_carry(&inner, b), at = ap;
    if (kind == FETCHES_TOO) {
        Value next = loop_carry(&inner, fetched);
        emit_fetch(e, next);
        loop_next(&inner, n + 2, emit_offset(e, next, fetch_step));
    }
    for (uint32_t v = 0; v < vectors; v++) bv[v] = emit_load_vector(e, emit_offset_constant(e, bp, v * vector), vector);
    for (uint32_t i = 0; i < m; i++) {
        Value a = emit_splat(e, emit_load(e, at));
        at = emit_offset(e, at, p[K_A_ROW]);
        for (uint32_t v = 0; v < vectors; v++)
            loop_next(&inner, i * vectors + v, emit_fma(e, a, bv[v], sum[i * vectors + v]));
    }
    loop_next(&inner, n, emit_offset(e, ap, p[K_A_STEP]));
    loop_next(&inner, n + 1, emit_offset(e, bp, p[K_B_STEP]));
    loop_end(&inner);
    for (uint32_t i = 0; i < n; i++) sum[i] = loop_result(&inner, i);
    if (kind == ADDS) kernel_initial(e, true, p[K_INITIAL], c, p[K_C_ROW], m, vectors, sum);
    kernel_rows(e, c, p[K_C_ROW], m, vectors, NULL, sum);
    loop_next(&panels, 0, emit_offset(e, b, p[K_B_PANEL]));
    loop_next(&panels, 1, emit_offset_constant(e, c, (uint64_t)vectors * vector));
    loop_end(&panels);
    LLVMBuildRetVoid(e->builder);
}

static const char *const suffixes[] = {[ADDS] = "", [GOES_ON] = "_on", [FETCHES_TOO] = "_ahead"};

static Value kernel(Emit *e, uint32_t m, uint32_t vectors, Kind kind) {
    char name[64];
    snprintf(name, sizeof name, "product_%ux%u%s", m, vectors, suffixes[kind]);
    LLVMTypeRef params[K_COUNT];
    Aside aside;
    LLVMGetParamTypes(kernel_type(e), params);
    Value f = emit_aside(e, name, e->none, params, K_COUNT, &aside);
    if (!aside.made) return f;
    kernel_body(e, m, vectors, kind);
    emit_aside_end(e, &aside);
    return f;
}

/* ---- tiles ---- */
/* Kernels for every number of rows would be half of all generated code: some sizes do, and rows are divided among them
 * so that the whole costs least. */
static bool has_kernel(const Emit *e, uint32_t m) {
    return m <= 2 || m == 4 || (m >= 8 && m % 2 == 0) || m + 1 >= e->tile_rows;
}

#define LEAST_ROWS 7      /* a tile of fewer rows waits for the weights */
#define LEAST_TALL_ROWS 4 /* of a tall tile: for its own sums */
#define DIVIDED 128       /* from so many rows on, a full tile comes first */

/* first[r]: rows of the first tile when r are left. */
static void divide_rows(const Emit *e, uint32_t least, uint32_t first[DIVIDED]) {
    double best[DIVIDED] = {0};
    for (uint32_t r = 1; r < DIVIDED; r++) {
        best[r] = 1e9;
        for (uint32_t m = 1; m <= e->tile_rows && m <= r; m++) {
            if (!has_kernel(e, m)) continue;
            /* cycles for each element of k: m rows at one a cycle, but no less than b takes to come from the
             * third-level cache, where larger weights stay: every tile reads them again */
            double cost = (m > least ? m : least) + 0.5 + best[r - m];
            if (cost <= best[r]) best[r] = cost, first[r] = m;
        }
    }
}

static Value rows_of_tile(Emit *e, Value left, const char *name, uint32_t least) {
    Value table = LLVMGetNamedGlobal(e->module, name), all[DIVIDED];
    if (!table) {
        uint32_t first[DIVIDED] = {0};
        divide_rows(e, least, first);
        for (uint32_t r = 0; r < DIVIDED; r++)
            all[r] = LLVMConstInt(e->i8, r + 1 < DIVIDED ? first[r] : e->tile_rows, false);
        table = LLVMAddGlobal(e->module, LLVMArrayType2(e->i8, DIVIDED), name);
        LLVMSetInitializer(table, LLVMConstArray2(e->i8, all, DIVIDED));
        LLVMSetLinkage(table, LLVMPrivateLinkage);
        LLVMSetGlobalConstant(table, true);
        LLVMSetUnnamedAddress(table, LLVMGlobalUnnamedAddr);
    }
    Value at = emit_offset(e, table, emit_index_min(e, left, emit_i64(e, DIVIDED - 1)));
    return LLVMBuildZExt(e->builder, LLVMBuildLoad2(e->builder, e->i8, at, ""), e->i64, "rows");
}

Value product_rows(Emit *e, Value left) { return rows_of_tile(e, left, "tile_rows", LEAST_ROWS); }

/* Kernels of two vectors by number of rows, 1 first. */
static Value kernel_table(Emit *e, Kind kind) {
    char name[32];
    snprintf(name, sizeof name, "products%s", suffixes[kind]);
    Value table = LLVMGetNamedGlobal(e->module, name), all[64];
    if (table) return table;
    for (uint32_t m = 1; m <= e->tile_rows; m++)
        all[m - 1] = has_kernel(e, m) ? kernel(e, m, 2, kind) : LLVMConstNull(e->ptr);
    table = LLVMAddGlobal(e->module, LLVMArrayType2(e->ptr, e->tile_rows), name);
    LLVMSetInitializer(table, LLVMConstArray2(e->ptr, all, e->tile_rows));
    LLVMSetLinkage(table, LLVMPrivateLinkage);
    LLVMSetGlobalConstant(table, true);
    LLVMSetUnnamedAddress(table, LLVMGlobalUnnamedAddr);
    return table;
}

/* Narrow products are a small share of any model: rows are split into 8 + 4 + 2 + 1, so that four kernels do. */
static Value narrow_kernel(Emit *e, Kind kind) {
    char name[32];
    snprintf(name, sizeof name, "product_narrow%s", suffixes[kind]);
    LLVMTypeRef params[K_COUNT + 1];
    Aside aside;
    LLVMGetParamTypes(kernel_type(e), params);
    params[K_COUNT] = e->i64; /* rows, at most 15 */
    Value f = emit_aside(e, name, e->none, params, K_COUNT + 1, &aside), p[K_COUNT];
    if (!aside.made) return f;
    Value kernels[4] = {kernel(e, 8, 1, kind), kernel(e, 4, 1, kind), kernel(e, 2, 1, kind), kernel(e, 1, 1, kind)};
    for (uint32_t k = 0; k < K_COUNT; k++) p[k] = LLVMGetParam(f, k);
    Value m = LLVMGetParam(f, K_COUNT);
    for (uint32_t k = 0, rows = 8; k < 4; k++, rows /= 2) {
        LLVMBasicBlockRef before = emit_here(e), some = emit_block(e, "rows"), after = emit_block(e, "next");
        Value bit = LLVMBuildAnd(e->builder, m, emit_i64(e, rows), "");
        LLVMBuildCondBr(e->builder, LLVMBuildICmp(e->builder, LLVMIntNE, bit, emit_i64(e, 0), ""), some, after);
        emit_at(e, some);
        LLVMBuildCall2(e->builder, kernel_type(e), kernels[k], p, K_COUNT, "");
        Value a = emit_offset(e, p[K_A], emit_index_mul(e, p[K_A_ROW], rows));
        Value c = emit_offset(e, p[K_C], emit_index_mul(e, p[K_C_ROW], rows));
        LLVMBuildBr(e->builder, after);
        emit_at(e, after);
        Value next_a = LLVMBuildPhi(e->builder, e->ptr, ""), next_c = LLVMBuildPhi(e->builder, e->ptr, "");
        LLVMAddIncoming(next_a, (Value[]){p[K_A], a}, (LLVMBasicBlockRef[]){before, some}, 2);
        LLVMAddIncoming(next_c, (Value[]){p[K_C], c}, (LLVMBasicBlockRef[]){before, some}, 2);
        p[K_A] = next_a;
        p[K_C] = next_c;
    }
    LLVMBuildRetVoid(e->builder);
    emit_aside_end(e, &aside);
    return f;
}

/* One vector is enough for narrow results, but only where a row is padded to no more than that. */
static uint32_t vectors_for(const Emit *e, uint64_t columns) {
    return columns <= e->lanes && e->lanes * e->real_bytes == DEQ_ALIGN ? 1 : 2;
}

static void call_kernel(Emit *e, const Product *p, uint32_t vectors, Value panels, Value b, Value c) {
    Value initial = p->more ? p->more : LLVMConstInt(e->i1, p->initial, false);
    Value args[K_COUNT + 1] = {p->a, p->a_row, p->a_step, b,      p->b_panel, p->b_step,
                               c,    p->c_row, p->k,      panels, initial,    p->m};
    if (vectors == 1) {
        emit_call(e, narrow_kernel(e, p->more ? GOES_ON : ADDS), args, K_COUNT + 1);
    } else if (LLVMIsConstant(p->m)) {
        emit_call(e, kernel(e, (uint32_t)LLVMConstIntGetZExtValue(p->m), 2, ADDS), args, K_COUNT);
    } else {
        Value at[2] = {emit_i64(e, 0), LLVMBuildNSWSub(e->builder, p->m, emit_i64(e, 1), "")},
              table = kernel_table(e, p->more ? GOES_ON : ADDS), from = table;
        if (p->fetches) from = emit_select(e, p->fetches, kernel_table(e, FETCHES_TOO), table);
        Value entry = LLVMBuildInBoundsGEP2(e->builder, LLVMGlobalGetValueType(table), from, at, 2, "");
        Value f = LLVMBuildLoad2(e->builder, e->ptr, entry, "kernel");
        LLVMBuildCall2(e->builder, kernel_type(e), f, args, K_COUNT, "");
    }
}

static void product_tile(Emit *e, const Product *p) {
    uint64_t full = p->columns / e->panel, rest = p->columns % e->panel;
    if (full) call_kernel(e, p, 2, emit_i64(e, full), p->b, p->c);
    if (!rest) return;
    Value b = emit_offset(e, p->b, emit_index_mul(e, p->b_panel, full));
    call_kernel(e, p, vectors_for(e, rest), emit_i64(e, 1), b,
                emit_offset_constant(e, p->c, full * e->panel * e->real_bytes));
}

#define STRETCH 256 /* of k: of a panel of weights, as much as stays in the first-level cache or near it */

/* The rows of a tall tile against one stretch of one panel.  The first tiles fetch the next stretch, a part each: weights
 * come from the memory all the time, and not at once.  `packed`: the next stretch is what stands behind this one. */
static void tall_stretch(Emit *e, Product p, uint32_t vectors, bool packed) {
    const Value rows = p.m, a = p.a, c = p.c, part = emit_index_mul_value(e, p.k, p.b_step);
    Loop down;
    loop_begin(&down, e, emit_i64(e, 0), rows, emit_i64(e, 1), false);
    const Value tile = loop_carry(&down, emit_i64(e, 0));
    p.m = down.step =
        rows_of_tile(e, LLVMBuildNSWSub(e->builder, rows, down.index, ""), "tall_tile_rows", LEAST_TALL_ROWS);
    if (packed) {
        p.fetches = LLVMBuildICmp(e->builder, LLVMIntULT, tile, emit_i64(e, FETCHERS), "");
        Value before = LLVMBuildUDiv(e->builder, emit_index_mul_value(e, tile, part), emit_i64(e, FETCHERS), "");
        p.b_panel = LLVMBuildAdd(e->builder, part, before, "");
    }
    p.a = emit_offset(e, a, emit_index_mul_value(e, down.index, p.a_row));
    p.c = emit_offset(e, c, emit_index_mul_value(e, down.index, p.c_row));
    call_kernel(e, &p, vectors, emit_i64(e, 1), p.b, p.c);
    loop_next(&down, 0, emit_index_add(e, tile, emit_i64(e, 1)));
    loop_end(&down);
}

/* Every stretch is read once for all rows.  Its sums go on from those of the stretch before: the bits are those of a tile
 * that is not tall. */
static void tall_panel(Emit *e, Product p, uint64_t k, uint32_t vectors, bool packed) {
    const Value a = p.a, b = p.b;
    Loop along;
    loop_begin(&along, e, emit_i64(e, 0), emit_i64(e, k), emit_i64(e, STRETCH), false);
    p.k = emit_index_min(e, emit_i64(e, STRETCH), LLVMBuildNSWSub(e->builder, emit_i64(e, k), along.index, ""));
    p.more = LLVMBuildICmp(e->builder, LLVMIntNE, along.index, emit_i64(e, 0), "");
    p.a = emit_offset(e, a, emit_index_mul_value(e, along.index, p.a_step));
    p.b = emit_offset(e, b, emit_index_mul_value(e, along.index, p.b_step));
    tall_stretch(e, p, vectors, packed);
    loop_end(&along);
}

/* Rows against weights that outweigh them, panel by panel: packed ones are read from the first to the last, and a panel's
 * results stay in the first-level cache. */
static void product_tall(Emit *e, Product p, uint64_t k, bool packed) {
    const uint64_t full = p.columns / e->panel, rest = p.columns % e->panel;
    const Value b = p.b, c = p.c;
    if (full) {
        Loop across;
        loop_count(&across, e, full);
        p.b = emit_offset(e, b, emit_index_mul_value(e, across.index, p.b_panel));
        p.c = emit_offset(e, c, emit_index_mul(e, across.index, e->panel * e->real_bytes));
        tall_panel(e, p, k, 2, packed);
        loop_end(&across);
    }
    if (rest) {
        p.b = emit_offset(e, b, emit_index_mul(e, p.b_panel, full));
        p.c = emit_offset_constant(e, c, full * e->panel * e->real_bytes);
        tall_panel(e, p, k, vectors_for(e, rest), packed);
    }
}

void product_tiles(Emit *e, Product p, uint64_t rows) {
    uint32_t first[DIVIDED] = {0};
    divide_rows(e, LEAST_ROWS, first);
    Value a = p.a, c = p.c;
    for (uint64_t done = 0; done < rows;) { /* tiles of one size are a loop */
        uint64_t start = done, m = rows - done < DIVIDED ? first[rows - done] : e->tile_rows;
        while (done < rows && (rows - done < DIVIDED ? first[rows - done] : e->tile_rows) == m) done += m;
        Loop tiles;
        loop_count(&tiles, e, (done - start) / m);
        Value row = emit_index_add(e, emit_index_mul(e, tiles.index, m), emit_i64(e, start));
        p.m = emit_i64(e, m);
        p.a = emit_offset(e, a, emit_index_mul_value(e, row, p.a_row));
        p.c = emit_offset(e, c, emit_index_mul_value(e, row, p.c_row));
        product_tile(e, &p);
        loop_end(&tiles);
    }
}

void product_all(Emit *e, Product p, Value rows) {
    const Value a = p.a, c = p.c;
    Loop down;
    loop_begin(&down, e, emit_i64(e, 0), rows, emit_i64(e, 1), false);
    p.m = down.step = product_rows(e, LLVMBuildNSWSub(e->builder, rows, down.index, ""));
    p.a = emit_offset(e, a, emit_index_mul_value(e, down.index, p.a_row));
    p.c = emit_offset(e, c, emit_index_mul_value(e, down.index, p.c_row));
    product_tile(e, &p);
    loop_end(&down);
}

/* ---- matmul ---- */
/* Copies the tile's rows to a buffer whose rows do not share one cache set. */
static Value compact_rows(const Site *s, Slot from, Slot to, uint64_t count) {
    Lower *l = s->l;
    Emit *e = l->e;
    uint32_t vector = e->lanes * e->real_bytes;
    Loop rows, columns;
    loop_begin(&rows, e, emit_i64(e, 0), l->tile_rows, emit_i64(e, 1), false);
    Value x = lower_slot(l, from, rows.index), y = lower_slot(l, to, rows.index);
    loop_count(&columns, e, padded(count * e->real_bytes) / vector);
    Value at = emit_index_mul(e, columns.index, vector);
    emit_store_vector(e, emit_load_vector(e, emit_offset(e, x, at), vector), emit_offset(e, y, at), vector);
    loop_end(&columns);
    loop_end(&rows);
    return lower_slot(l, to, emit_i64(e, 0));
}

static void lower_product(const Site *s) {
    Lower *l = s->l;
    Emit *e = l->e;
    const NodePlan *y = &l->step->nodes[s->id];
    NodeId a = lower_argument(l, s->id, 0);
    uint64_t k = lower_count(lower_argument_shape(l, s->id, 0)), columns = s->node->shape.dims[s->node->shape.rank - 1];
    const Group *g = l->step->groups[y->group];
    Slot from = l->step->nodes[a].slot;
    bool packed = s->node->attr.matmul.packed;
    Product p = {.m = s->node->batched ? l->tile_rows : emit_i64(e, 1),
                 .a_step = emit_i64(e, e->real_bytes),
                 .b = lower_argument_row(s, 1),
                 .b_panel = emit_i64(e, packed ? k * e->panel * e->real_bytes : e->panel * e->real_bytes),
                 .b_step = emit_i64(e, (packed ? e->panel : columns) * e->real_bytes),
                 .c_row = emit_i64(e, y->slot.stride),
                 .k = emit_i64(e, k),
                 .columns = columns};
    if (g->workspace != UINT32_MAX) {
        Slot to = {SLOT_BUFFER, g->workspace, 0, l->step->buffers[g->workspace].bytes};
        p.a = compact_rows(s, from, to, k);
        p.a_row = emit_i64(e, to.stride);
    } else {
        p.a = lower_argument_row(s, 0);
        p.a_row = emit_i64(e, from.stride);
    }
    p.c = lower_result_row(s);
    uint64_t panel_bytes = e->panel * e->real_bytes, bytes = columns * e->real_bytes;
    if ((bytes + panel_bytes - 1) / panel_bytes * panel_bytes <
        padded(bytes)) { /* the kernel leaves padding unwritten */
        Loop rows;
        loop_begin(&rows, e, emit_i64(e, 0), p.m, emit_i64(e, 1), false);
        emit_zero_padding(e, emit_offset(e, p.c, emit_index_mul(e, rows.index, y->slot.stride)), columns);
        loop_end(&rows);
    }
    if (s->node->batched && l->step->levels[g->level].tall)
        product_tall(e, p, k, packed);
    else
        product_tile(e, &p);
}

typedef struct Dims { /* of op(a) op(b) */
    uint64_t m, n, k;
} Dims;

static Dims matmul_dims(const Site *s) {
    Shape a = lower_argument_shape(s->l, s->id, 0), b = lower_argument_shape(s->l, s->id, 1);
    bool ta = s->node->attr.matmul.transpose_a, tb = s->node->attr.matmul.transpose_b;
    return (Dims){a.rank == 2 ? a.dims[ta] : 1, b.rank == 2 ? b.dims[!tb] : 1, a.rank == 2 ? a.dims[!ta] : a.dims[0]};
}

/* Matrices of one row's own: loops, with vectors along the columns of b. */
static void lower_small_product(const Site *s) {
    Emit *e = s->l->e;
    Dims d = matmul_dims(s);
    bool ta = s->node->attr.matmul.transpose_a, tb = s->node->attr.matmul.transpose_b;
    Value a = lower_argument_row(s, 0), b = lower_argument_row(s, 1), y = lower_result_row(s);
    emit_zero_padding(e, y, d.m * d.n);
    uint64_t wide = tb && d.n > 1 ? 0 : d.n / e->lanes, rest = d.n - wide * e->lanes;
    Loop i, j, k;
    loop_count(&i, e, d.m);
    Value a_row = emit_element(e, a, ta ? i.index : emit_index_mul(e, i.index, d.k));
    Value y_row = emit_element(e, y, emit_index_mul(e, i.index, d.n));
    if (wide) {
        loop_count(&j, e, wide);
        Value column = emit_index_mul(e, j.index, e->lanes);
        loop_count(&k, e, d.k);
        Value sum = loop_carry(&k, emit_splat_constant(e, 0));
        Value x = emit_load(e, emit_element(e, a_row, ta ? emit_index_mul(e, k.index, d.m) : k.index));
        Value at = emit_element(e, b, emit_index_add(e, emit_index_mul(e, k.index, d.n), column));
        loop_next(&k, 0, emit_fma(e, emit_splat(e, x), emit_load_vector(e, at, e->real_bytes), sum));
        loop_end(&k);
        emit_store_vector(e, loop_result(&k, 0), emit_element(e, y_row, column), e->real_bytes);
        loop_end(&j);
    }
    if (rest) {
        loop_begin(&j, e, emit_i64(e, wide * e->lanes), emit_i64(e, d.n), emit_i64(e, 1), false);
        loop_count(&k, e, d.k);
        Value sum = loop_carry(&k, emit_real(e, 0));
        Value x = emit_load(e, emit_element(e, a_row, ta ? emit_index_mul(e, k.index, d.m) : k.index));
        Value at = tb ? emit_index_add(e, emit_index_mul(e, j.index, d.k), k.index)
                      : emit_index_add(e, emit_index_mul(e, k.index, d.n), j.index);
        loop_next(&k, 0, emit_fma(e, x, emit_load(e, emit_element(e, b, at)), sum));
        loop_end(&k);
        emit_store(e, loop_result(&k, 0), emit_element(e, y_row, j.index));
        loop_end(&j);
    }
    loop_end(&i);
}

Value lower_matmul(const Site *s) {
    Emit *e = s->l->e;
    if (s->l->step->nodes[s->id].treatment == TREAT_PRODUCT) {
        lower_product(s);
    } else if (s->node->batched) {
        lower_small_product(s);
    } else {
        Dims d = matmul_dims(s);
        Value y = lower_result_row(s);
        emit_zero_padding(e, y, d.m * d.n);
        Value args[8] = {lower_argument_row(s, 0),
                         lower_argument_row(s, 1),
                         y,
                         emit_i64(e, d.m),
                         emit_i64(e, d.n),
                         emit_i64(e, d.k),
                         emit_i64(e, s->node->attr.matmul.transpose_a != 0),
                         emit_i64(e, s->node->attr.matmul.transpose_b != 0)};
        emit_call(e, lower_runtime(e, e->real_bytes == 4 ? "deq_product_f32" : "deq_product_f64"), args, 8);
    }
    return NULL;
}

/* ---- sums over examples: the rows of a block are added in order, then to what there is ---- */
Value lower_batch_sum(const Site *s) {
    Lower *l = s->l;
    Emit *e = l->e;
    uint32_t vector = e->lanes * e->real_bytes;
    uint64_t count = lower_count(s->node->shape), bytes = count * e->real_bytes, rounds = padded(bytes) / vector;
    Slot from = l->step->nodes[lower_argument(l, s->id, 0)].slot;
    Value y = lower_slot(l, l->step->nodes[s->id].slot, NULL);
    Loop columns, rows;
    loop_count(&columns, e, rounds);
    Value offset = emit_index_mul(e, columns.index, vector), at = emit_offset(e, y, offset), mask = NULL;
    if (bytes % DEQ_ALIGN) {
        Value first = LLVMBuildTrunc(e->builder, emit_index_mul(e, columns.index, e->lanes), e->i32, "");
        Value lanes = LLVMBuildAdd(e->builder, emit_splat(e, first), emit_lane_indices(e), "");
        mask = LLVMBuildICmp(e->builder, LLVMIntULT, lanes, emit_splat(e, emit_i32(e, (uint32_t)count)), "");
    }
    loop_begin(&rows, e, emit_i64(e, 0), l->tile_rows, emit_i64(e, 1), false);
    Value sum = loop_carry(&rows, emit_splat_constant(e, 0));
    Value v = emit_load_vector(e, emit_offset(e, lower_slot(l, from, rows.index), offset), vector);
    if (mask) v = emit_select(e, mask, v, emit_splat_constant(e, 0));
    loop_next(&rows, 0, emit_add(e, sum, v));
    loop_end(&rows);
    emit_store_vector(e, emit_add(e, emit_load_vector(e, at, vector), loop_result(&rows, 0)), at, vector);
    loop_end(&columns);
    return NULL;
}

/* The last columns of an outer sum, less than a panel: through a tile of full vectors. */
static void outer_tail(Emit *e, const Product *whole, uint64_t rest) {
    uint32_t vectors = vectors_for(e, rest), vector = e->lanes * e->real_bytes;
    Value tile = emit_alloca(e, e->vector, emit_i32(e, 2 * e->tile_rows), DEQ_ALIGN);
    for (int back = 0; back < 2; back++) {
        Loop rows;
        loop_begin(&rows, e, emit_i64(e, 0), whole->m, emit_i64(e, 1), false);
        Value c = emit_offset(e, whole->c, emit_index_mul_value(e, rows.index, whole->c_row));
        Value t = emit_offset(e, tile, emit_index_mul(e, rows.index, vectors * vector));
        for (uint32_t v = 0; v < vectors && v * e->lanes < rest; v++) {
            uint64_t left = rest - v * e->lanes;
            Value mask = emit_lane_mask(e, left > e->lanes ? e->lanes : (uint32_t)left);
            Value from = emit_offset_constant(e, back ? t : c, v * vector),
                  to = emit_offset_constant(e, back ? c : t, v * vector);
            if (back)
                emit_store_masked(e, emit_load_vector(e, from, vector), to, mask);
            else
                emit_store_vector(e, emit_load_masked(e, from, mask), to, vector);
        }
        loop_end(&rows);
        if (back) break;
        Product p = *whole;
        p.c = tile;
        p.c_row = emit_i64(e, vectors * vector);
        call_kernel(e, &p, vectors, emit_i64(e, 1), p.b, p.c);
    }
}

Value lower_batch_outer(const Site *s) {
    Lower *l = s->l;
    Emit *e = l->e;
    const CallPlan *plan = &l->step->calls[s->id];
    uint64_t k = s->node->shape.dims[0], columns = s->node->shape.dims[1], full = columns / e->panel,
             rest = columns % e->panel;
    Slot operand[2];
    for (uint32_t i = 0; i < 2; i++) {
        operand[i] = l->step->nodes[lower_argument(l, s->id, i)].slot;
        if (plan->operand[i] != UINT32_MAX)
            operand[i] = (Slot){SLOT_BUFFER, plan->operand[i], 0, l->step->buffers[plan->operand[i]].bytes};
    }
    Value a = lower_slot_all(l, operand[0]), b = lower_slot_all(l, operand[1]);
    Value c = lower_slot(l, l->step->nodes[s->id].slot, NULL);
    Loop loop;
    loop_begin(&loop, e, emit_i64(e, 0), emit_i64(e, k), emit_i64(e, 1), false);
    Value start = loop.index, m = emit_i64(e, 1);
    if (k > 1) {
        m = product_rows(e, LLVMBuildNSWSub(e->builder, emit_i64(e, k), start, ""));
        loop.step = m;
    }
    Product p = {.m = m,
                 .a = emit_element(e, a, start),
                 .a_row = emit_i64(e, e->real_bytes),
                 .a_step = emit_i64(e, operand[0].stride),
                 .b = b,
                 .b_panel = emit_i64(e, e->panel * e->real_bytes),
                 .b_step = emit_i64(e, operand[1].stride),
                 .c = emit_offset(e, c, emit_index_mul(e, start, columns * e->real_bytes)),
                 .c_row = emit_i64(e, columns * e->real_bytes),
                 .k = l->n,
                 .columns = full * e->panel,
                 .initial = true};
    if (full) product_tile(e, &p);
    if (rest) {
        p.b = emit_offset_constant(e, b, full * e->panel * e->real_bytes);
        p.c = emit_offset_constant(e, p.c, full * e->panel * e->real_bytes);
        outer_tail(e, &p, rest);
    }
    loop_end(&loop);
    return NULL;
}
