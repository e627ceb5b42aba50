/* resolve_sizes.c - sizes that a declaration does not declare: those that a function's types imply, those that a layer
 * lacks; and the example that an attack must declare. */
#include "resolver.h"
#include <string.h>

static void implicit_sizes(Resolver *r, Ast *type, Ast ***found, uint32_t *n, uint32_t *cap) {
    if (!type || type->kind == AST_FN_TYPE) return;
    for (uint32_t i = 0; type->kind != AST_TYPE && i < type->nkids; i++)
        implicit_sizes(r, type->kids[i], found, n, cap);
    Ast *dims = type->kind == AST_TYPE ? AST_SLOT(type, TYPE, dims) : NULL;
    for (uint32_t i = 0; dims && i < dims->nkids; i++) {
        bool pack = dims->kids[i]->kind == AST_SPREAD;
        const Ast *dim = pack ? AST_SLOT(dims->kids[i], SPREAD, value) : dims->kids[i];
        bool known = dim->kind != AST_NAME || find_local(r, dim->name) || scope_find(r->top, dim->name) ||
                     builtin_find(dim->name, r->context);
        for (uint32_t k = 0; !known && k < *n; k++) known = strcmp((*found)[k]->name, dim->name) == 0;
        if (known) continue;
        Ast *size = ast_new(r->arena, AST_SIZE_PARAM, dim->range, 1);
        size->name = dim->name, size->name_range = dim->range, size->number = pack;
        *ARENA_PUSH(r->arena, *found, *n, *cap) = size;
    }
}

void resolve_function_sizes(Resolver *r, Ast *type) {
    Ast *inputs = AST_SLOT(type, FN_TYPE, inputs), **found = NULL;
    uint32_t n = 0, cap = 0;
    for (uint32_t i = 0; i < inputs->nkids; i++) implicit_sizes(r, inputs->kids[i], &found, &n, &cap);
    implicit_sizes(r, AST_SLOT(type, FN_TYPE, result), &found, &n, &cap);
    Ast *list = AST_SLOT(type, FN_TYPE, sizes) = ast_new(r->arena, AST_LIST, type->range, n);
    for (uint32_t i = 0; i < n; i++) {
        list->kids[i] = found[i];
        declare(r, found[i]->name, found[i], found[i]->range);
    }
}

Ast *resolve_implied_sizes(Resolver *r, const Ast *fn, Ast *declared) {
    Ast *params = ast_params(fn), **found = NULL;
    uint32_t n = 0, cap = 0;
    for (uint32_t part = 0; params && part < 2; part++)
        for (uint32_t i = 0; params->kids[part] && i < params->kids[part]->nkids; i++)
            if (params->kids[part]->kids[i]->kind == AST_BINDING)
                implicit_sizes(r, AST_SLOT(params->kids[part]->kids[i], BINDING, type), &found, &n, &cap);
    uint32_t kept = 0; /* beside sizes that are declared, packs are implied still */
    for (uint32_t i = 0; i < n; i++)
        if (!declared || found[i]->number != 0) found[kept++] = found[i];
    n = kept;
    if (declared && n) {
        const Ast *old = AST_SLOT(declared, SIZES, inferred);
        Ast *list = ast_new(r->arena, AST_LIST, declared->range, n + (old ? old->nkids : 0));
        for (uint32_t i = 0; i < list->nkids; i++) list->kids[i] = i < n ? found[i] : old->kids[i - n];
        AST_SLOT(declared, SIZES, inferred) = list;
    }
    if (declared || n == 0) return declared;
    Ast *sizes = ast_new(r->arena, AST_SIZES, fn->name_range, 2);
    AST_SLOT(sizes, SIZES, given) = ast_new(r->arena, AST_LIST, fn->name_range, 0);
    AST_SLOT(sizes, SIZES, inferred) = ast_new(r->arena, AST_LIST, fn->name_range, n);
    memcpy(AST_SLOT(sizes, SIZES, inferred)->kids, found, sizeof *found * n);
    return sizes;
}

void resolve_layer_sizes(Resolver *r, Ast *layer) {
    Ast *params = AST_SLOT(layer, LAYER, inputs), **found = NULL;
    uint32_t n = 0, cap = 0;
    for (uint32_t part = 0; params && part < 2; part++)
        for (uint32_t i = 0; params->kids[part] && i < params->kids[part]->nkids; i++)
            if (params->kids[part]->kids[i]->kind == AST_BINDING)
                implicit_sizes(r, AST_SLOT(params->kids[part]->kids[i], BINDING, type), &found, &n, &cap);
    implicit_sizes(r, AST_SLOT(layer, LAYER, result), &found, &n, &cap);
    uint32_t plain = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (found[i]->number == 0) {
            found[plain++] = found[i];
            continue;
        }
        diag_help(diag_report(r->diags, DIAG_E0327, found[i]->range,
                              "the shapes of a layer are declared: '%s' has no pack", layer->name),
                  "a pack of axes belongs to a function or an attack");
        declare(r, found[i]->name, found[i], found[i]->range);
    }
    n = plain;
    if (n) report_sizes(r, layer, found, n);
}

static bool is_example(const Ast *binding) {
    const Ast *type = binding->kind == AST_BINDING ? AST_SLOT(binding, BINDING, type) : NULL;
    return type && type->kind == AST_TYPE && AST_SLOT(type, TYPE, dims) && !AST_SLOT(binding, BINDING, fallback);
}

void resolve_example(Resolver *r, const Ast *attack) {
    const Ast *params = ast_params(attack), *example = AST_SLOT(params, PARAMS, state),
              *settings = AST_SLOT(params, PARAMS, inputs);
    static const char *const built_in[] = {"x", "y", "t"};
    if (example && example->nkids) return;
    Diagnostic *d =
        diag_report(r->diags, DIAG_E0208, name_place(attack), "attack '%s' does not declare its example", attack->name);
    const char *text = "", *declared = "";
    uint32_t first = 0; /* what is no number is the example, without the ';' behind it */
    for (; first < settings->nkids && first < 2 && is_example(settings->kids[first]); first++) {
        Range at = settings->kids[first]->range;
        declared = arena_printf(r->arena, "%s%s%.*s", declared, first ? ", " : "", (int)(at.end - at.start),
                                at.source->text + at.start);
    }
    if (!first) declared = "x: f32[..S], y: label[K]";
    for (uint32_t i = first; i < settings->nkids; i++) {
        Range at = settings->kids[i]->range;
        text = arena_printf(r->arena, "%s%s%.*s", text, i > first ? ", " : "", (int)(at.end - at.start),
                            at.source->text + at.start);
    }
    diag_help(d, "its first line is: attack %s(%s;%s%s)", attack->name, declared, *text ? " " : "", text);
    for (uint32_t i = 0; i < sizeof built_in / sizeof *built_in; i++)
        if (!find_local(r, built_in[i]))
            scope_add(r->arena, r->scope,
                      (Entry){built_in[i], ast_new(r->arena, AST_ERROR, name_place(attack), 0), name_place(attack),
                              true, false, false, NULL});
}
