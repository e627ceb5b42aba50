/* audit.c - attacks through gradients that `on_fail` cuts to zero are refused; what an audit attacks a sample with.
 *
 * An audit needs an attack once more, on the margin, and a random search.  They are made when every net has its hash: a
 * net that is audited is the same net, found again in the cache. */
#include "declarations.h"
#include <string.h>

/* The last value that the list of overrides gives to the path; else `otherwise`. */
static const char *overridden(const json_t *list, const char *path, const char *otherwise) {
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *pair = json_array_get(list, i);
        if (strcmp(json_string_value(json_array_get(pair, 0)), path) == 0)
            otherwise = json_string_value(json_array_get(pair, 1));
    }
    return otherwise;
}

/* The net that a part of an attack asks, with its settings there. */
static const TrainUse *asked(Pipe *p, const TrainUse *train, const json_t *part, const json_t **overrides) {
    const json_t *against = json_object_get(part, "against");
    if (!against) return train;
    *overrides = json_object_get(against, "settings");
    const char *name = json_string_value(json_object_get(against, "model"));
    const TrainUse *own = p->in_cell ? p->in_cell(p->cell, NULL, name) : NULL;
    if (own) return own;
    for (uint32_t k = p->nuses; k-- > 0;)
        if (!p->uses[k]->in_cell && strcmp(p->uses[k]->name, name) == 0) return p->uses[k];
    return train;
}

/* The setting that cuts the gradients of this net; NULL. */
static const char *cutting(Arena *a, const TrainUse *train, const json_t *overrides) {
    const Model *m = train->net->model;
    for (uint32_t k = 0; k < m->nfixed; k++) {
        const FixedPoint *f = &m->fixed[k];
        const char *path = arena_printf(a, "%s%son_fail", f->path, *f->path ? "." : "");
        const char *on_fail = overridden(overrides, path, overridden(train->settings, path, f->on_fail));
        if (strcmp(on_fail, "zero_gradient") == 0) return path;
    }
    return NULL;
}

bool pipe_unmasked(Pipe *p, Scope *s, const TrainUse *train, const json_t *overrides, json_t *attack, bool allowed,
                   const Ast *at) {
    Arena *a = s->elab->arena;
    for (json_t *part = attack; json_is_object(part); part = json_object_get(part, "next")) {
        if (allowed) json_object_set_new(part, "allow_masking", json_true());
        if (json_is_true(json_object_get(part, "allow_masking")) ||
            json_is_false(json_object_get(part, "differentiates")))
            continue;
        const json_t *settings = overrides;
        const TrainUse *of = asked(p, train, part, &settings);
        const char *path = cutting(a, of, settings);
        if (!path) continue;
        elab_error_help(s, DIAG_E0521, at->range,
                        arena_printf(a,
                                     "%s with { %s: warn } has the same predictions and shows its gradients as "
                                     "they are; allow_masking: true in the experiment keeps it so",
                                     of->name, path),
                        "'%s' of '%s' is zero_gradient: where a solve falls short this attack gets no gradient", path,
                        of->name);
        return false;
    }
    return true;
}

void pipe_audit_later(Pipe *p, json_t *value, const TrainUse *train, const Ast *asked_net, const Slice *slice,
                      void *cell) {
    *ARENA_PUSH(p->elab->arena, p->audits, p->naudits, p->audits_cap) =
        (AuditUse){value, train->net, train->loss, slice->attack, slice->attack_scope, cell, asked_net};
}

static const Module *module_named(const Program *p, const char *path) {
    for (uint32_t k = 0; k < p->nmodules; k++)
        if (strcmp(p->modules[k]->path, path) == 0) return p->modules[k];
    return NULL;
}

/* A declaration of the standard library by name, whatever the script imports. */
static const Ast *library(Elab *e, const char *module, const char *name, Scope *out) {
    const Module *m = module_named(e->program, module);
    Ast leaf = {.kind = AST_NAME, .name = name};
    if (!m) return NULL;
    *out = scope_of_module(e, m);
    return arena_copy(e->arena, &leaf, sizeof leaf);
}

const char *pipe_margin(Elab *e, Net *net) {
    const Shape out = value_shape(net->output);
    Scope s;
    const Ast *name = library(e, "std.losses", "margin", &s);
    if (!name || !net->target.classes || out.rank != 1 || out.dims[0] != net->target.classes) return NULL;
    return net_loss(&s, net, name, false);
}

bool pipe_audits(Pipe *p) {
    for (uint32_t k = 0; k < p->naudits; k++) {
        AuditUse *u = &p->audits[k];
        Scope s;
        p->cell = u->cell;
        p->elab->asked_net = u->asked_net;
        eval_anew(p->elab);
        const char *margin = pipe_margin(p->elab, u->net);
        json_t *attack = margin ? pipe_attacks(p, &u->scope, u->attack, u->net, margin, true) : json_null();
        const Ast *name = library(p->elab, "std.attacks", "random_search", &s);
        json_t *search = name ? pipe_attacks(p, &s, name, u->net, margin ? margin : u->loss, false) : json_null();
        if (!attack || !search) return false;
        json_object_set_new(u->value, "audit", json_pack("{s:o, s:o}", "margin", attack, "search", search));
    }
    return true;
}
