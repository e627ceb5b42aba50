/* attack_step.c - an attack as a step of another: a(x, y; ..) with { loss: .. } is written out where it stands. */
#include "attack.h"
#include <string.h>

bool attack_step_of(Scope *s, const Ast *item, AttackStep *out) {
    const Ast *e = attack_value(item);
    *out = (AttackStep){0};
    for (; e && e->kind == AST_WITH; e = AST_SLOT(e, WITH, base)) {
        const Ast *settings = scope_settings(s, AST_SLOT(e, WITH, settings));
        for (uint32_t k = 0; k < settings->nkids; k++) {
            const Ast *set = settings->kids[k], *key = set->kind == AST_SETTING ? AST_SLOT(set, SETTING, key) : NULL;
            if (key && key->kind == AST_NAME && strcmp(key->name, "loss") == 0)
                out->loss = out->loss ? out->loss : AST_SLOT(set, SETTING, value); /* the outermost `with` wins */
            else
                out->extra = set;
        }
    }
    char path[512];
    if (!e || e->kind != AST_CALL || !AST_SLOT(e, CALL, state)) return false;
    out->call = e;
    out->definition =
        ast_path(AST_SLOT(e, CALL, callee), path, sizeof path) ? module_find(s->module, path, &out->owner) : NULL;
    return out->definition && out->definition->kind == AST_ATTACK_DEF;
}

/* The example and the settings of the step, bound in its scope. */
static bool bind_step(Scope *s, Scope *inner, Attack *k, const AttackStep *step) {
    const Ast *params = AST_SLOT(step->definition, ATTACK_DEF, inputs);
    const Ast *lists[2] = {AST_SLOT(params, PARAMS, state), AST_SLOT(params, PARAMS, inputs)};
    Args args = call_args(s, step->call, NULL, step->call->range);
    for (int part = 0; part < 2; part++)
        for (uint32_t i = 0; lists[part] && i < lists[part]->nkids; i++) {
            const Ast *b = lists[part]->kids[i], *fallback = AST_SLOT(b, BINDING, fallback);
            Arg *arg = args_take(&args, b->name, part == 0);
            Value v = arg ? arg->value : fallback ? eval(inner, fallback) : (Value){0};
            if (!arg && !fallback)
                return elab_error(s, DIAG_E0303, step->call->range, "'%s' needs its argument '%s'",
                                  step->definition->name, b->name),
                       false;
            if (v.kind == VALUE_NONE || match_type(inner, AST_SLOT(b, BINDING, type), &v, arg ? arg->at : b->range) < 0)
                return false;
            if (part == 0 && i == 1) k->queries.y = v;
            scope_bind(inner, b->name, v);
        }
    return args_all_used(s, &args, step->definition->name);
}

/* Writes the step out where it stands, and gives its result to the item. */
bool attack_step_run(Scope *s, Attack *k, const Ast *item, const AttackStep *step) {
    Machine *m = k->machine;
    if (step->extra)
        return elab_error(s, DIAG_E0501, step->extra->range, "an attack that is a step takes the setting 'loss'"),
               false;
    const Attack outer = *k;
    const uint32_t base = m->base;
    LossUse use;
    Value result = {0};
    Frame frame = {arena_printf(s->elab->arena, "in attack '%s', used here", step->definition->name), step->call->range,
                   s->frame};
    Scope inner = scope_of_module(s->elab, step->owner);
    inner.build = s->build;
    inner.host = attack_host;
    inner.host_data = k;
    inner.live = &inner;
    inner.frame = &frame;
    if (!bind_step(s, &inner, k, step)) return false;
    if (step->loss) {
        if (!loss_read(s, step->loss, &use)) return false;
        k->queries.loss = NULL;
        k->queries.use = &use;
    }
    k->result = &result;
    k->fn = NULL;
    m->base = m->ncells;
    bool returned = false, ok = attack_block(&inner, k, AST_SLOT(step->definition, ATTACK_DEF, body), &returned);
    m->ncells = m->base;
    m->base = base;
    s->build = inner.build;
    k->result = outer.result;
    k->fn = outer.fn;
    k->queries.y = outer.queries.y;
    k->queries.loss = outer.queries.loss;
    k->queries.use = outer.queries.use;
    if (!ok || !returned || result.kind == VALUE_NONE) return false;
    switch (item->kind) {
    case AST_LET: scope_bind(s, AST_SLOT(item, LET, pattern)->name, result); return true;
    case AST_STATE: return machine_declare(m, s, item->name, result, item->range);
    case AST_EQUATION: return machine_assign_value(m, s, AST_SLOT(item, EQUATION, target), result, item->range);
    default: machine_settle(m, s); return attack_return(s, k, result, item->range);
    }
}
