/* check_member.c - what stands behind a dot: splits of data, statistics of evaluations, settings and sizes of trained nets. */
#include "checker.h"
#include "foreign.h"
#include "labels.h"
#include <string.h>

/* x.reshape(..), W.T: in other languages functions belong to their values, here they take them. */
static const Type *no_method(Checker *c, const Ast *e, const Ast *base, const Type *t) {
    Range r = base->range;
    const char *value = arena_strndup(c->arena, r.source->text + r.start, r.end - r.start);
    const Foreign *row = foreign_find(FOREIGN_MEMBER, e->name);
    size_t n = strlen(e->name);
    const char *plain = arena_strndup(c->arena, e->name, n && e->name[n - 1] == '_' ? n - 1 : n); /* relu_ */
    const Builtin *b = row ? NULL : builtin_find(plain, c->context);
    if (base->kind != AST_NAME && base->kind != AST_CALL && base->kind != AST_INDEX)
        value = arena_printf(c->arena, "(%s)", value);
    Diagnostic *d =
        diag_report(c->diags, DIAG_E0313, place(e), "%s has no member '%s'", type_text(c->arena, t), e->name);
    if (row)
        foreign_help(d, c->arena, row, value);
    else if (b && b->nargs > 1 && b->args[1].need == NEED_REQUIRED)
        diag_help(d, "a function takes its value: %s", b->signature);
    else if (b && b->nargs)
        diag_help(d, "write %s(%s): a function takes its value", b->name, value);
    else
        diag_help(d, "a tensor has no members; functions take it as an argument, such as relu(%s)", value);
    return &type_error;
}

static const Type *no_member(Checker *c, const Ast *e, const Type *base, const char *members) {
    diag_help(diag_report(c->diags, DIAG_E0313, place(e), "%s has no member '%s'", type_text(c->arena, base), e->name),
              "%s", members);
    return &type_error;
}

const char *members_text(Checker *c, const Type *t) {
    return t == &type_log ? log_column_names(c->arena) : statistic_names(c->arena, t == &type_attack_statistics);
}

/* A row of statistics.def; a name that is none is reported with those that there are. */
static const Type *statistic_member(Checker *c, const Ast *e, const Type *base, bool attack, const char *also) {
    if (statistic_find(attack, e->name)) return &type_real;
    return no_member(c, e, base,
                     arena_printf(c->arena, "its members are %s%s", statistic_names(c->arena, attack), also));
}

/* ---- settings of a trained net: net.gradient, net.forward.max ---- */
static bool is_net_setting(const char *name) {
    return same(name, "forward") || same(name, "gradient") || same(name, "finish");
}

static const Type *setting_type(const char *name) {
    return same(name, "forward") ? &type_solver : same(name, "gradient") ? &type_mode : &type_finish;
}

/* net.forward.max: a number of it */
static const Type *setting_argument(Checker *c, const Ast *e, const Type *base, const char *setting) {
    const deq_family *f = same(setting, "forward")    ? &deq_solver_family
                          : same(setting, "gradient") ? &deq_mode_family
                                                      : &deq_finish_family;
    deq_argument a;
    const bool known = deq_argument_widest(f, same(setting, "forward") ? SOLVER_STATE : 0, deq_part_of(e->name), &a);
    if (known && a.type == DEQ_WHOLE) return &type_int;
    if (known && a.type == DEQ_NUMBER) return &type_real;
    return no_member(c, e, base, arena_printf(c->arena, "it has the numbers of its row, %s.max say", setting));
}

/* A number of an experiment, which may rest on accuracies under attack: whether it does is known when it is written out. */
static bool has_verdict(Checker *c, const Ast *e, const Type *t) {
    ReductionCall call;
    const bool let = (e->kind == AST_NAME || item_experiment(e)) && e->ref && e->ref->kind == AST_NAME;
    if (!c->axes || !type_is_number(t)) return false;
    return let || is_pick(e) || reduction_of(e, &call) || t == &type_evaluation;
}

const Type *check_pipeline_member(Checker *c, Ast *e, const Type *base) {
    const Ast *from = SLOT(e, MEMBER, base);
    if (base->kind == TYPE_DATASET)
        return same(e->name, "train") || same(e->name, "test")
                   ? type_of_items(c->arena, TYPE_EXAMPLES, base->nitems, base->items)
                   : no_member(c, e, base, "its members are train and test");
    if (base == &type_log)
        return log_column_find(e->name)
                   ? &type_real
                   : no_member(c, e, base, arena_printf(c->arena, "its members are %s", members_text(c, base)));
    if (base == &type_statistics && statistic_find(false, e->name) && !statistic_of_solves(e->name))
        return no_member(c, e, base, "an evaluation has it: let clean = accuracy(net, d.test)");
    if (base->kind == TYPE_STATISTICS) return statistic_member(c, e, base, base == &type_attack_statistics, "");
    if (base->kind == TYPE_NET) {
        if (same(e->name, "fixed"))
            return layer_has_fixed(c, base->items[0]->decl) ? &type_statistics
                                                            : no_member(c, e, base, "the net has no fixed point");
        const Ast *body = SLOT(base->items[0]->decl, LAYER, body);
        for (uint32_t i = 0; body && i < body->nkids; i++)
            if (body->kids[i]->kind == AST_USE && same(body->kids[i]->name, e->name) && body->kids[i]->type &&
                body->kids[i]->type->kind == TYPE_LAYER) {
                Type *t = arena_copy(c->arena, base, sizeof *t);
                t->items = arena_copy(c->arena, &body->kids[i]->type, sizeof *t->items);
                return t;
            }
        if (same(e->name, "log")) return &type_log;
        if (same(e->name, "parameters") || same(e->name, "state_bytes")) return &type_real;
        if (is_net_setting(e->name))
            return layer_has_fixed(c, base->items[0]->decl) ? setting_type(e->name)
                                                            : no_member(c, e, base, "the net has no fixed point");
        return no_member(
            c, e, base,
            arena_printf(c->arena,
                         "its members are fixed (%s), log, parameters, state_bytes, forward, gradient, finish and "
                         "the names of its layers",
                         statistic_names(c->arena, false)));
    }
    if (from->kind == AST_MEMBER && is_net_setting(from->name) && base == setting_type(from->name))
        return setting_argument(c, e, base, from->name);
    if (same(e->name, "verdict") && has_verdict(c, from, base)) return &type_verdict;
    /* statistics of an evaluation: let robust = accuracy(..), then robust.steps, robust.attack.converged */
    if (base == &type_evaluation &&
        (from->kind == AST_NAME || from->kind == AST_CALL || is_pick(from) || item_experiment(from)))
        return same(e->name, "attack") ? &type_attack_statistics
                                       : statistic_member(c, e, base, false, ", verdict and attack");
    if (base->kind == TYPE_TENSOR || base->kind == TYPE_LAYER) return no_method(c, e, from, base);
    return no_member(c, e, base, arena_printf(c->arena, "%s has none", type_kind_text(base)));
}
