/* attack_fn.c - functions that run: with states and loops, called in an attack.
 *
 * Loops end pieces, so such a function is run before the statement that calls it, in the order of evaluation; when the
 * statement is evaluated, its result is at hand (Scope.ready). */
#include "attack.h"
#include <string.h>

/* The function that `callee` names, if it runs. */
static const Ast *running(const Scope *s, const Ast *callee, const Module **owner) {
    char path[512];
    if (callee->kind == AST_INDEX) callee = AST_SLOT(callee, INDEX, base);
    if (callee->kind == AST_NAME && env_find(s->env, callee->name)) return NULL;
    const Ast *fn = ast_path(callee, path, sizeof path) ? module_find(s->module, path, owner) : NULL;
    return fn && fn->kind == AST_FN && fn->number != 0 ? fn : NULL;
}

static bool run(Scope *s, Attack *k, const Ast *fn, const Module *owner, const Ast *call, const Value *piped,
                Range piped_at) {
    Machine *m = k->machine;
    const Ast *callee = call->kind == AST_CALL ? AST_SLOT(call, CALL, callee) : call;
    const Ast *sizes = callee->kind == AST_INDEX ? AST_SLOT(callee, INDEX, indices) : NULL;
    const Ast *body = AST_SLOT(fn, FN, body), *outer = k->fn;
    Args args = call_args(s, call, piped, piped_at);
    Frame frame;
    Scope inner;
    Value result = {0}, *const taken = k->result;
    const uint32_t base = m->base;
    bool returned = body->kind != AST_LIST, ok;
    if (!fn_begin(s, &(Value){.kind = VALUE_FN, .ast = fn, .module = owner}, sizes, &args, &frame, &inner))
        return false;
    inner.host = attack_host;
    inner.host_data = k;
    inner.live = &inner;
    k->result = &result;
    k->fn = fn;
    m->base = m->ncells;
    if (returned) {
        ok = attack_functions(&inner, k, body);
        if (ok) result = eval(&inner, body);
    } else
        ok = attack_block(&inner, k, body, &returned);
    m->ncells = m->base;
    m->base = base;
    s->build = inner.build;
    k->result = taken;
    k->fn = outer;
    if (!ok || !returned) return false;
    result = fn_result(&inner, fn, result);
    struct Ready *r = arena_alloc(s->elab->arena, sizeof *r);
    *r = (struct Ready){s->ready, call, result};
    s->ready = r;
    return result.kind != VALUE_NONE;
}

bool attack_functions(Scope *s, Attack *k, const Ast *e) {
    const Module *owner = NULL;
    if (!e || e->kind == AST_FN) return true;
    const bool pipe = e->kind == AST_BINARY && strcmp(e->name, "|>") == 0;
    const Ast *call = pipe ? AST_SLOT(e, BINARY, right) : e;
    if (pipe && !attack_functions(s, k, AST_SLOT(e, BINARY, left))) return false;
    if (!pipe || call->kind == AST_CALL)
        for (uint32_t i = 0; i < call->nkids; i++)
            if (!attack_functions(s, k, call->kids[i])) return false;
    if (call->kind != AST_CALL && !pipe) return true;
    const Ast *fn = running(s, call->kind == AST_CALL ? AST_SLOT(call, CALL, callee) : call, &owner);
    if (!fn) return true;
    if (!pipe) return run(s, k, fn, owner, call, NULL, call->range);
    const Ast *left = AST_SLOT(e, BINARY, left);
    const Value piped = eval(s, left);
    return piped.kind != VALUE_NONE && run(s, k, fn, owner, call, &piped, left->range);
}
