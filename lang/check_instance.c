/* check_instance.c - sizes that only an instantiation decides: H / 2 with H = 7.
 *
 * needs: the program checked without errors for all sizes, calls recorded.  Walks a layer with numbers for its sizes,
 * and the layers and functions it calls with the numbers they get, and looks at every dim that becomes a number. Each
 * pair of declaration and numbers is walked once. */
#include "checker.h"
#include <string.h>

typedef struct Visit Visit;
struct Visit {
    const Ast *decl;
    const SizeBinding *b;
    uint32_t n;
    Visit *next;
};

typedef struct Walk {
    Checker *c;
    const SizeBinding *b;
    uint32_t n;
    const Ast *decl;
    Range used;
    bool reported;
    Visit **seen;
    uint32_t *left; /* visits that remain, against runaway instantiation */
    const struct Walk *outer;
} Walk;

static void walk_instance(Walk *outer, const Ast *decl, const SizeBinding *b, uint32_t n, Range used);

static const char *values_text(Walk *w, const Size *s) {
    const char *t = "";
    const Ast *v;
    for (uint32_t i = 0; (v = size_variable_at(s, i)); i++) {
        const SizeBinding *b = binding_of(w->b, w->n, v);
        if (b && b->value)
            t = arena_printf(w->c->arena, "%s%s%s = %s", t, *t ? ", " : "", v->name, size_text(w->c->arena, b->value));
    }
    return t;
}

static void look_at(Walk *w, Range at, const Size *s) {
    const Size *v = size_substitute(w->c->arena, s, w->b, w->n);
    int64_t num = 1, den = 1;
    bool wrong = !size_valid(v) || (size_rational(v, &num, &den) && (den != 1 || num < 1));
    if (!wrong || w->reported) return;
    w->reported = true;
    const char *values = values_text(w, s);
    const Walk *user = w; /* what went wrong inside the library is told at the line that uses it */
    Range place = at;
    for (; source_embedded(place.source) && user && user->used.source; user = user->outer) place = user->used;
    Diagnostic *d = diag_report(w->c->diags, DIAG_E0310, place, "%s%s%s is %s, not a positive whole number",
                                size_text(w->c->arena, s), *values ? " with " : "", values,
                                size_valid(v) ? size_text(w->c->arena, v) : "too large");
    if (place.source != at.source)
        diag_note(d, at, "a size in '%s'", w->decl->name ? w->decl->name : "this");
    else if (w->used.source)
        diag_note(d, w->used, "'%s' is used here", w->decl->name ? w->decl->name : "this");
}

static void look_at_type(Walk *w, Range at, const Type *t) {
    for (uint32_t i = 0; t->kind == TYPE_TENSOR && i < t->rank; i++) look_at(w, at, t->dims[i]);
    if (t->kind == TYPE_TENSOR && t->classes) look_at(w, at, t->classes);
    for (uint32_t i = 0; t->kind == TYPE_TUPLE && i < t->nitems; i++) look_at_type(w, at, t->items[i]);
}

static void walk(Walk *w, const Ast *e) {
    if (!e || e->kind == AST_FN) return; /* a local function is walked where it is called */
    if (e->type) look_at_type(w, e->range, e->type);
    const Ast *callee;
    const SizeBinding *b;
    uint32_t n;
    if ((e->kind == AST_CALL || e->kind == AST_BINARY) && checker_recorded_call(w->c, e, &callee, &b, &n)) {
        SizeBinding *inner = arena_alloc(w->c->arena, sizeof *inner * (n + w->n + 1));
        for (uint32_t i = 0; i < n; i++)
            inner[i] = (SizeBinding){b[i].var, b[i].value ? size_substitute(w->c->arena, b[i].value, w->b, w->n) : NULL,
                                     type_substitute(w->c->arena, b[i].axes, w->b, w->n)};
        uint32_t total = n;
        for (uint32_t i = 0; i < w->n; i++) /* a local function sees the sizes around it */
            if (!binding_of(inner, n, w->b[i].var)) inner[total++] = w->b[i];
        walk_instance(w, callee, inner, total, e->range);
    }
    for (uint32_t i = 0; i < e->nkids; i++) walk(w, e->kids[i]);
}

static bool same_values(const Visit *v, const Ast *decl, const SizeBinding *b, uint32_t n) {
    if (v->decl != decl || v->n != n) return false;
    for (uint32_t i = 0; i < n; i++)
        if (v->b[i].var != b[i].var || (v->b[i].value != NULL) != (b[i].value != NULL) ||
            (b[i].value && !size_equal(v->b[i].value, b[i].value)) ||
            (b[i].axes && !type_equal(v->b[i].axes, b[i].axes)))
            return false;
    return true;
}

static void walk_instance(Walk *outer, const Ast *decl, const SizeBinding *b, uint32_t n, Range used) {
    for (Visit *v = *outer->seen; v; v = v->next)
        if (same_values(v, decl, b, n)) return;
    if (*outer->left == 0) return;
    --*outer->left;
    Visit *v = arena_alloc(outer->c->arena, sizeof *v);
    *v = (Visit){decl, b, n, *outer->seen};
    *outer->seen = v;
    Walk w = {outer->c, b, n, decl, used, false, outer->seen, outer->left, outer};
    for (uint32_t i = 0; i < decl->nkids; i++) walk(&w, decl->kids[i]);
}

void check_concrete(Checker *c, const Type *layer, Range used) {
    uint32_t left = 2000;
    if (diags_errors(c->diags)) return; /* types may be incomplete; the errors come first */
    Walk w = {c, layer->bound, layer->nbound, layer->decl, used, false, c->visits, &left, NULL};
    walk_instance(&w, layer->decl, layer->bound, layer->nbound, used);
}
