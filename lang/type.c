/* type.c - construction, comparison and printing of types; see type.h. */
#include "type.h"
#include <string.h>

const Type type_error = {.kind = TYPE_ERROR}, type_number = {.kind = TYPE_NUMBER}, type_flex = {.kind = TYPE_FLEX},
           type_real = {.kind = TYPE_TENSOR, .elem = ELEM_REAL}, type_f64 = {.kind = TYPE_TENSOR, .elem = ELEM_F64},
           type_counter = {.kind = TYPE_TENSOR, .elem = ELEM_INT}, type_int = {.kind = TYPE_TENSOR, .elem = ELEM_INT},
           type_bool = {.kind = TYPE_TENSOR, .elem = ELEM_BOOL}, type_string = {.kind = TYPE_STRING},
           type_word = {.kind = TYPE_WORD}, type_range = {.kind = TYPE_RANGE}, type_schedule = {.kind = TYPE_SCHEDULE},
           type_attack = {.kind = TYPE_ATTACK}, type_defence = {.kind = TYPE_DEFENCE},
           type_optimiser = {.kind = TYPE_OPTIMISER}, type_mode = {.kind = TYPE_MODE},
           type_solver = {.kind = TYPE_SOLVER}, type_penalty = {.kind = TYPE_PENALTY},
           type_finish = {.kind = TYPE_FINISH}, type_record = {.kind = TYPE_RECORD},
           type_statistics = {.kind = TYPE_STATISTICS}, type_attack_statistics = {.kind = TYPE_STATISTICS},
           type_verdict = {.kind = TYPE_VERDICT}, type_log = {.kind = TYPE_STATISTICS},
           type_check = {.kind = TYPE_CHECK}, type_weights = {.kind = TYPE_WEIGHTS},
           type_evaluation = {.kind = TYPE_TENSOR, .elem = ELEM_REAL};

const Type *type_tensor(Arena *a, Elem elem, uint32_t rank, const Size *const *dims) {
    Type *t = arena_alloc(a, sizeof *t);
    t->kind = TYPE_TENSOR, t->elem = elem, t->rank = rank;
    t->dims = rank ? arena_copy(a, dims, sizeof *dims * rank) : NULL;
    return t;
}

const Type *type_label(Arena *a, const Size *classes) {
    Type *t = arena_alloc(a, sizeof *t);
    t->kind = TYPE_TENSOR, t->elem = ELEM_LABEL, t->classes = classes;
    return t;
}

const Type *type_pack(Arena *a, const Ast *pack) {
    const Size *dim = size_variable(a, pack);
    Type *t = (Type *)type_tensor(a, ELEM_REAL, 1, &dim);
    t->pack = 1;
    return t;
}

bool type_has_rank(const Type *t, uint32_t rank) {
    return t->kind == TYPE_TENSOR && !t->pack && t->rank == rank && t->elem != ELEM_LABEL;
}

const Type *type_of_items(Arena *a, TypeKind kind, uint32_t n, const Type *const *items) {
    Type *t = arena_alloc(a, sizeof *t);
    t->kind = kind, t->nitems = n;
    t->items = n ? arena_copy(a, items, sizeof *items * n) : NULL;
    return t;
}

const Type *type_with_elem(Arena *a, const Type *t, Elem elem) {
    if (t->kind != TYPE_TENSOR || t->elem == elem) return t;
    Type *u = arena_copy(a, t, sizeof *t);
    u->elem = elem, u->classes = NULL;
    return u;
}

/* The dims with a pack that is known taken apart. */
static void substitute_dims(Arena *a, Type *t, const Type *from, const SizeBinding *b, uint32_t n) {
    const Type *axes = NULL;
    for (uint32_t i = 0; from->pack && i < n; i++)
        if (b[i].var == size_as_variable(from->dims[from->pack - 1])) axes = b[i].axes;
    uint32_t rank = from->rank + (axes ? axes->rank - 1 : 0), k = 0;
    t->dims = arena_alloc(a, sizeof *t->dims * (rank + 1));
    for (uint32_t i = 0; i < from->rank; i++)
        if (axes && i == from->pack - 1)
            for (uint32_t j = 0; j < axes->rank; j++) t->dims[k++] = axes->dims[j];
        else
            t->dims[k++] = size_substitute(a, from->dims[i], b, n);
    t->rank = rank;
    if (axes) t->pack = axes->pack ? from->pack - 1 + axes->pack : 0;
}

const Type *type_substitute(Arena *a, const Type *t, const SizeBinding *b, uint32_t n) {
    const bool holds = t && (t->kind == TYPE_TENSOR || t->kind == TYPE_TUPLE || t->kind == TYPE_LAYER ||
                             (t->kind == TYPE_FN && t->nitems));
    if (!holds || n == 0) return t;
    Type *u = arena_copy(a, t, sizeof *t);
    if (t->rank) substitute_dims(a, u, t, b, n);
    if (t->classes) u->classes = size_substitute(a, t->classes, b, n);
    if (t->nitems) {
        u->items = arena_alloc(a, sizeof *u->items * t->nitems);
        for (uint32_t i = 0; i < t->nitems; i++) u->items[i] = type_substitute(a, t->items[i], b, n);
    }
    if (t->nbound) {
        SizeBinding *bound = arena_copy(a, t->bound, sizeof *bound * t->nbound);
        for (uint32_t i = 0; i < t->nbound; i++) {
            bound[i].value = bound[i].value ? size_substitute(a, bound[i].value, b, n) : NULL;
            bound[i].axes = type_substitute(a, bound[i].axes, b, n);
        }
        u->bound = bound;
    }
    return u;
}

bool type_same_shape(const Type *a, const Type *b) {
    if (a->rank != b->rank || a->pack != b->pack) return false;
    for (uint32_t i = 0; i < a->rank; i++)
        if (!size_equal(a->dims[i], b->dims[i])) return false;
    return true;
}

bool type_equal(const Type *a, const Type *b) {
    if (a == b || a->kind == TYPE_ERROR || b->kind == TYPE_ERROR) return true;
    if (a->kind != b->kind || a->nitems != b->nitems) return false;
    if (a->kind == TYPE_TENSOR) {
        if (a->elem != b->elem || !type_same_shape(a, b)) return false;
        return a->elem != ELEM_LABEL || size_equal(a->classes, b->classes);
    }
    for (uint32_t i = 0; i < a->nitems; i++)
        if (!type_equal(a->items[i], b->items[i])) return false;
    return a->decl == b->decl && a->transposed == b->transposed;
}

bool type_is_scalar(const Type *t) {
    return t->kind == TYPE_NUMBER || (t->kind == TYPE_TENSOR && t->rank == 0 && t->elem != ELEM_LABEL);
}

bool type_is_number(const Type *t) { return type_is_scalar(t) && t->elem != ELEM_BOOL; }

bool type_is_condition(const Type *t) { return type_is_scalar(t) && t->elem == ELEM_BOOL; }

bool type_is_real(const Type *t) {
    return t->kind == TYPE_NUMBER || t->kind == TYPE_FLEX ||
           (t->kind == TYPE_TENSOR && (t->elem == ELEM_REAL || t->elem == ELEM_F64));
}

static const char *items_text(Arena *a, const Type *t, uint32_t n) {
    const char *s = "";
    for (uint32_t i = 0; i < n; i++) s = arena_printf(a, "%s%s%s", s, i ? ", " : "", type_text(a, t->items[i]));
    return s;
}

const char *type_text(Arena *a, const Type *t) {
    static const char *const elems[] = {"f32", "f64", "int", "bool", "label"};
    if (t->kind == TYPE_TENSOR) {
        if (t->elem == ELEM_LABEL)
            return arena_printf(a, "%slabel[%s]", t->rank ? "list of " : "", size_text(a, t->classes));
        const Ast *pack = t->pack ? size_as_variable(t->dims[t->pack - 1]) : NULL;
        if (pack && !pack->range.source) return arena_printf(a, "%s[shape of %s]", elems[t->elem], pack->name);
        if (t->rank == 0) return elems[t->elem];
        const char *s = arena_printf(a, "%s[", elems[t->elem]);
        for (uint32_t i = 0; i < t->rank; i++)
            s = arena_printf(a, "%s%s%s%s", s, i ? ", " : "", i + 1 == t->pack ? ".." : "", size_text(a, t->dims[i]));
        return arena_printf(a, "%s]", s);
    }
    if (t->kind == TYPE_TUPLE) return arena_printf(a, "(%s)", items_text(a, t, t->nitems));
    if (t->kind == TYPE_FN && t->nitems)
        return arena_printf(a, "fn(%s) -> %s", items_text(a, t, t->nitems - 1), type_text(a, t->items[t->nitems - 1]));
    if (t->kind == TYPE_LIST)
        return t->nitems ? arena_printf(a, "list of %s", type_text(a, t->items[0])) : "empty list";
    if (t->kind == TYPE_DATASET || t->kind == TYPE_EXAMPLES)
        return arena_printf(a, "%s of (%s)", t->kind == TYPE_DATASET ? "dataset" : "examples",
                            items_text(a, t, t->nitems));
    if ((t->kind == TYPE_FN || t->kind == TYPE_LAYER) && t->decl)
        return arena_printf(a, "%s '%s'", t->kind == TYPE_FN ? "function" : "layer", t->decl->name);
    return type_kind_text(t);
}

const char *type_kind_text(const Type *t) {
    switch (t->kind) {
    case TYPE_ERROR: return "an error";
    case TYPE_NUMBER: return "a number";
    case TYPE_FLEX: return "a tensor of any shape";
    case TYPE_TENSOR: return t->elem == ELEM_LABEL ? "a label" : type_is_scalar(t) ? "a scalar" : "a tensor";
    case TYPE_TUPLE: return "a tuple";
    case TYPE_LIST: return "a list";
    case TYPE_RANGE: return "a range";
    case TYPE_STRING: return "a string";
    case TYPE_WORD: return "a word";
    case TYPE_FN: return "a function";
    case TYPE_LAYER: return "a layer";
    case TYPE_MODULE: return "a module";
    case TYPE_SCHEDULE: return "a schedule";
    case TYPE_DATASET: return "a dataset";
    case TYPE_EXAMPLES: return "a set of examples";
    case TYPE_NET: return "a trained net";
    case TYPE_ATTACK: return "an attack";
    case TYPE_DEFENCE: return "a defence";
    case TYPE_OPTIMISER: return "an optimiser";
    case TYPE_MODE: return "a gradient mode";
    case TYPE_SOLVER: return "a solver";
    case TYPE_PENALTY: return "a penalty";
    case TYPE_FINISH: return "a finish";
    case TYPE_STATES: return "the solver's states";
    case TYPE_STATISTICS: return t == &type_log ? "the log of a training" : "solver statistics";
    case TYPE_VERDICT: return "a verdict";
    case TYPE_WEIGHTS: return "weights of a file";
    case TYPE_RECORD: return "a record of settings";
    case TYPE_CHECK: return "a check";
    }
    return "?";
}
