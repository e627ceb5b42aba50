/* scalar.c - arithmetic between an experiment's values: a routine of scalars; and the hash of a routine. */
#include "machine.h"
#include <stdlib.h>

const char *scalar_function(Scope *s, const char *name, const Ast *expr, const char *const *inputs, uint32_t n,
                            const ScalarLet *lets, uint32_t nlets) {
    Elab *e = s->elab;
    const char *symbol = elab_name(e, name);
    Machine *m = machine_new(e, symbol, (Shape){.rank = UINT32_MAX}); /* no rows: nothing is batched */
    Scope inner = *s;
    inner.build = machine_build(m);
    for (uint32_t k = 0; k < n; k++)
        scope_bind(&inner, inputs[k], machine_leaf(m, PLACE_SCALAR, k, shape_scalar(), false, inputs[k]));
    for (uint32_t k = 0; k < nlets; k++) scope_bind(&inner, lets[k].name, eval(&inner, lets[k].copy));
    Value v = eval(&inner, expr);
    if (v.kind == VALUE_NONE) return NULL;
    if (v.kind != VALUE_NUMBER && (v.kind != VALUE_NODE || value_shape(v).rank != 0)) {
        elab_error(s, DIAG_E0516, expr->range, "a value of an experiment is a number");
        return NULL;
    }
    if (!machine_store(m, &inner, v, PLACE_ARG, 0, expr->range)) return NULL;
    Routine *r = machine_finish(m, symbol, false);
    r->arg_bytes[0] = machine_row_bytes(m, shape_scalar());
    return symbol;
}

const char *routine_hash(Elab *e, const Routine *r) {
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f) ICE("no memory for the hash of %s", r->name);
    routine_print(r, f);
    fclose(f);
    const char *hash = text_hash(e->arena, text, size);
    free(text);
    return hash;
}
