/* resolve.c - names to declarations.
 *
 * needs: every module parsed.  ensures: `ref` of every NAME, MEMBER (behind a module's alias) and IMPORT name is its
 * declaration, or NULL for what the language itself provides (tables.h); anything else has been reported.
 * changes: `ref`; gives a `fn` without brackets the sizes its parameters' types mention (fn silu(x: f32[N])).
 *
 * A local name refers to: a SIZE_PARAM, BINDING (input, state of a fixed point), PARAM, BUFFER, USE, FN, FOR, STATE,
 * SWEEP or TRAIN node, or for `let` to the NAME node of its pattern.  A name at the top level to its declaration.
 * Words (`relative`, `keep_best`), solvers, gradient modes and settings are no names: the checker reads them. */
#include "resolver.h"
#include "axes.h"
#include "labels.h"
#include <string.h>

static void resolve_expr(Resolver *r, Ast *e);
static void resolve_items(Resolver *r, Ast *list, const char *block);
static void resolve_fn(Resolver *r, Ast *fn);

/* ---- expressions ---- */

/* Finds `name` given its local entry `e`; true with *decl (NULL: built in) when it is known. */
static bool lookup_beyond(Resolver *r, Entry *e, const char *name, const Ast **decl) {
    const Builtin *b = builtin_find(name, r->context);
    if (!e && b && b->contexts != CTX_ANY) {
        /* x, loss, states ... of this kind of declaration come before the module's names; elsewhere a module may
         * import what is also built in, such as std.metrics' accuracy */
        if (!(b->contexts & CTX_PIPELINE)) {
            *decl = NULL;
            return true;
        }
    }
    if (!e) e = scope_find(r->top, name);
    if (e && b && e->decl && e->decl->kind == AST_EXPERIMENT) e = NULL; /* nothing uses an experiment's name */
    if (e) {
        e->used = true;
        *decl = e->decl;
        return true;
    }
    *decl = NULL;
    return b != NULL;
}

static bool lookup(Resolver *r, const char *name, const Ast **decl) {
    return lookup_beyond(r, find_local(r, name), name, decl);
}

/* As the callee of a call; a value of that name where there is nothing to call. */
static bool lookup_called(Resolver *r, const char *name, const Ast **decl) {
    return lookup_beyond(r, find_called(r, name), name, decl) || lookup(r, name, decl);
}

static void resolve_args(Resolver *r, Ast *list, bool words);

/* The dotted name of a mode or solver an expression spells, or NULL. */
static const char *spelled(const Ast *e, char *buffer, size_t size) {
    return ast_path(e, buffer, size) ? buffer : NULL;
}

static bool is_mode(const char *path) { return mode_find(path); }

static bool is_solver(const char *path) { return solver_find(path); }

/* a() else b(): as settings' values, whose words and callees are the checker's. */
static bool resolve_chain(Resolver *r, Ast *value) {
    if (!value || value->kind != AST_BINARY || strcmp(value->name, "else") != 0) return false;
    for (uint32_t i = 0; i < value->nkids; i++) {
        Ast *one = value->kids[i];
        const Ast *callee = one->kind == AST_CALL ? AST_SLOT(one, CALL, callee) : one, *decl;
        if (resolve_chain(r, one)) continue;
        if (callee->kind != AST_NAME || (!is_solver(callee->name) && lookup(r, callee->name, &decl)))
            resolve_expr(r, one);
        else if (one->kind == AST_CALL)
            resolve_args(r, AST_SLOT(one, CALL, inputs), true);
    }
    return true;
}

static void resolve_args(Resolver *r, Ast *list, bool words) {
    for (uint32_t i = 0; list && i < list->nkids; i++) {
        Ast *arg = list->kids[i];
        if (arg->kind != AST_ARG) continue;
        Ast *value = AST_SLOT(arg, ARG, value);
        if (words && value && value->kind == AST_NAME && arg->name && (!find_local(r, value->name)) &&
            !scope_find(r->top, value->name))
            continue; /* stop: relative; the checker knows the words */
        if (words && resolve_chain(r, value)) continue;
        const Ast *callee = words && value && value->kind == AST_CALL ? AST_SLOT(value, CALL, callee) : NULL, *decl;
        if (callee && callee->kind == AST_NAME && !lookup(r, callee->name, &decl)) {
            resolve_args(r, AST_SLOT(value, CALL, inputs),
                         true); /* implicit(newton()): the checker lists the solvers */
            continue;
        }
        resolve_expr(r, value);
    }
}

/* A setting names a row of the language's tables, whatever the module declares; where that could be meant, it is said. */
static void say_which(Resolver *r, const Ast *value) {
    const Ast *callee = value->kind == AST_CALL ? AST_SLOT(value, CALL, callee) : value;
    Entry *e = callee->kind == AST_NAME ? scope_find(r->top, callee->name) : NULL;
    bool row = e && (is_mode(e->name) || is_solver(e->name) || penalty_find(e->name) || finish_find(e->name));
    if (!row || e->told || !e->decl || (e->decl->kind != AST_FN && e->decl->kind != AST_LAYER)) return;
    e->told = true;
    diag_note(diag_report(r->diags, DIAG_W0212, callee->range, "'%s' is the one of the language here, not this %s",
                          e->name, ast_kind_name(e->decl->kind)),
              e->at, "declared here");
}

static void resolve_call(Resolver *r, Ast *e) {
    Ast *callee = AST_SLOT(e, CALL, callee);
    char buffer[256];
    const char *path = spelled(callee, buffer, sizeof buffer);
    bool called = path && find_called(r, path), top = path && scope_find(r->top, path);
    bool pipeline = r->context & CTX_PIPELINE; /* where no function of the module is called but with a net */
    bool table = path && ((is_mode(path) && (strchr(path, '.') || (!called && (pipeline || !top)))) ||
                          ((is_solver(path) || penalty_find(path) || finish_find(path)) && !called && !top));
    ReductionCall reduction;
    if (table) say_which(r, e);
    GradientsCompared gradients;
    if (pipeline && !called && (reduction_of(e, &reduction) || gradients_compared(e, &gradients))) {
        /* a word of the language */
    } else if (!table && callee->kind == AST_NAME) {
        const Ast *decl;
        if (lookup_called(r, callee->name, &decl))
            callee->ref = decl;
        else if (!data_provides(callee->name))
            report_unknown(r, callee, "function");
    } else if (!table) {
        resolve_expr(r, callee);
    }
    resolve_args(r, AST_SLOT(e, CALL, state), table);
    resolve_args(r, AST_SLOT(e, CALL, inputs), table);
}

/* The row of `torch` for torch, torch.nn and so on, unless the program declares the name. */
static const Foreign *foreign_module(Resolver *r, const Ast *base) {
    const Ast *decl;
    while (base->kind == AST_MEMBER) base = AST_SLOT(base, MEMBER, base);
    const Foreign *row = base->kind == AST_NAME ? foreign_find(FOREIGN_MODULE, base->name) : NULL;
    return row && !lookup(r, base->name, &decl) ? row : NULL;
}

static void resolve_member(Resolver *r, Ast *e) {
    char buffer[256];
    const char *path = spelled(e, buffer, sizeof buffer);
    if (path && is_mode(path)) return;
    Ast *base = AST_SLOT(e, MEMBER, base);
    const Foreign *foreign = foreign_module(r, base);
    if (foreign) {
        report_foreign(r, e, foreign);
        return;
    }
    resolve_expr(r, base);
    if (base->ref && base->ref->kind == AST_EXPERIMENT) {
        resolve_item_of(r, base->ref, e);
        return;
    }
    if (base->kind != AST_NAME || !base->ref || base->ref->kind != AST_IMPORT) return;
    for (uint32_t i = 0, k = 0; i < r->module->unit->nkids; i++) {
        if (r->module->unit->kids[i]->kind != AST_IMPORT) continue;
        if (r->module->unit->kids[i] == base->ref && k < r->module->nimports && r->module->imports[k]) {
            const Module *m = r->module->imports[k];
            e->ref = module_names_find(m, e->name);
            if (!e->ref) {
                Diagnostic *d =
                    diag_report(r->diags, DIAG_E0204, name_place(e), "'%s' declares no '%s'", base->ref->name, e->name);
                const char *near = module_names_nearest(r->arena, m, e->name);
                if (near) diag_help(d, "did you mean '%s'?", near);
            }
        }
        k++;
    }
}

static void resolve_settings(Resolver *r, Ast *list, const char *block);

/* The items of the experiment that is resolved, or NULL. */
static const Ast *items_of(const Resolver *r) {
    return r->decl && r->decl->kind == AST_EXPERIMENT ? AST_SLOT(r->decl, EXPERIMENT, items) : NULL;
}

/* Labels come before names. */
static void resolve_labels(Resolver *r, const Ast *sweep, Ast *value) {
    if (value->kind == AST_ARRAY)
        for (uint32_t i = 0; i < value->nkids; i++) resolve_labels(r, sweep, value->kids[i]);
    else if (label_place(sweep, value) < 0 && (value->kind != AST_NAME || find_local(r, value->name)))
        resolve_expr(r, value); /* another name is a label that the sweep does not have: the checker lists them */
}

/* v[mode: jfb, seed: 0] */
static void resolve_picks(Resolver *r, Ast *e) {
    Ast *list = AST_SLOT(e, INDEX, indices);
    resolve_expr(r, AST_SLOT(e, INDEX, base));
    for (uint32_t i = 0; i < list->nkids; i++) {
        Ast *pick = list->kids[i];
        const Ast *decl = NULL;
        if (pick->kind != AST_ARG) {
            resolve_expr(r, pick);
            continue;
        }
        if (lookup(r, pick->name, &decl) && decl && decl->kind == AST_SWEEP) pick->ref = decl;
        const Ast *mentioned =
            items_of(r) ? sweep_mentioned(r->arena, r->decl, AST_SLOT(e, INDEX, base), pick->name) : NULL;
        if (mentioned) pick->ref = mentioned; /* perhaps of another experiment */
        if (pick->ref) resolve_labels(r, pick->ref, AST_SLOT(pick, ARG, value));
    }
}

/* choice == label */
static bool resolve_comparison(Resolver *r, Ast *e) {
    if (!items_of(r) || (strcmp(e->name, "==") != 0 && strcmp(e->name, "!=") != 0)) return false;
    for (int side = 0; side < 2; side++) {
        const AstKind kind = e->kids[side]->kind;
        if (kind == AST_NUMBER || (kind == AST_NAME && !find_local(r, e->kids[side]->name))) continue;
        resolve_expr(r, e->kids[side]);
        const Ast *sweep = sweep_of_value(items_of(r), e->kids[side]);
        if (sweep && e->kids[1 - side]->kind == AST_NAME && !find_local(r, e->kids[1 - side]->name)) return true;
        if (sweep && label_place(sweep, e->kids[1 - side]) >= 0) return true;
        resolve_expr(r, e->kids[1 - side]);
        return true;
    }
    return false;
}

/* [f(n) for n in A for m in B]: a variable is known in what stands behind it, and in f. */
static void resolve_each(Resolver *r, Ast *e) {
    Ast *variables = AST_SLOT(e, EACH, variables);
    scope_push(r, NULL);
    for (uint32_t i = 0; i < variables->nkids; i++) {
        resolve_expr(r, AST_SLOT(variables->kids[i], SWEEP, values));
        declare(r, variables->kids[i]->name, variables->kids[i], name_place(variables->kids[i]));
    }
    resolve_expr(r, AST_SLOT(e, EACH, item));
    scope_pop(r);
}

static void resolve_expr(Resolver *r, Ast *e) {
    const Ast *decl;
    if (!e) return;
    switch (e->kind) {
    case AST_NAME:
        if (lookup(r, e->name, &decl))
            e->ref = decl;
        else if (!is_solver(e->name) && !is_mode(e->name) && !data_provides(e->name) && strcmp(e->name, "none") != 0)
            report_unknown(r, e, "name");
        return;
    case AST_CALL: resolve_call(r, e); return;
    case AST_BINARY:
        if (resolve_chain(r, e) || resolve_comparison(r, e)) return;
        for (uint32_t i = 0; i < e->nkids; i++) resolve_expr(r, e->kids[i]);
        return;
    case AST_MEMBER: resolve_member(r, e); return;
    case AST_EACH: resolve_each(r, e); return;
    case AST_INDEX:
        if (is_pick(e))
            resolve_picks(r, e);
        else
            for (uint32_t i = 0; i < e->nkids; i++) resolve_expr(r, e->kids[i]);
        return;
    case AST_WITH:
        resolve_expr(r, AST_SLOT(e, WITH, base));
        resolve_settings(r, AST_SLOT(e, WITH, settings), "net_with");
        return;
    case AST_RECORD: resolve_settings(r, AST_SLOT(e, RECORD, settings), "record"); return;
    case AST_NUMBER:
    case AST_STRING:
    case AST_BOOL:
    case AST_ERROR: return;
    default:
        for (uint32_t i = 0; i < e->nkids; i++) resolve_expr(r, e->kids[i]);
    }
}

/* Dims of types are expressions; the name of a type is the checker's. */
static void resolve_type(Resolver *r, Ast *type) {
    if (!type) return;
    if (type->kind == AST_TYPE)
        resolve_expr(r, AST_SLOT(type, TYPE, dims));
    else if (type->kind == AST_FN_TYPE) {
        Ast *inputs = AST_SLOT(type, FN_TYPE, inputs);
        scope_push(r, NULL);
        resolve_function_sizes(r, type);
        for (uint32_t i = 0; i < inputs->nkids; i++) resolve_type(r, inputs->kids[i]);
        resolve_type(r, AST_SLOT(type, FN_TYPE, result));
        scope_pop(r);
    } else
        for (uint32_t i = 0; i < type->nkids; i++) resolve_type(r, type->kids[i]);
}

/* ---- settings: their words and callees are the checker's, their arguments are names ---- */

static const char *last_key(const Ast *key) {
    return key && (key->kind == AST_NAME || key->kind == AST_MEMBER) ? key->name : NULL;
}

/* Names of penalties come before those of the module: what stands here is a penalty or a mistake. */
static void resolve_penalty(Resolver *r, Ast *value) {
    if (value->kind == AST_CALL) {
        say_which(r, value);
        resolve_args(r, AST_SLOT(value, CALL, inputs), true);
    } else if (value->kind == AST_ARRAY) {
        for (uint32_t i = 0; i < value->nkids; i++) resolve_penalty(r, value->kids[i]);
    } else if (value->kind != AST_NAME || (strcmp(value->name, "none") != 0 && !penalty_find(value->name))) {
        resolve_expr(r, value);
    }
}

/* The same of finishes. */
static void resolve_finish(Resolver *r, Ast *value) {
    const Ast *callee = value->kind == AST_CALL ? AST_SLOT(value, CALL, callee) : value, *decl;
    if (value->kind == AST_CALL && callee->kind == AST_NAME) {
        say_which(r, value);
        resolve_args(r, AST_SLOT(value, CALL, inputs), true);
    } else if (callee->kind != AST_NAME || (!finish_find(callee->name) && lookup(r, callee->name, &decl))) {
        resolve_expr(r, value); /* of another name the checker lists the finishes */
    }
}

/* The argument of a solver, mode or penalty that a path ends in: body.gradient.combine. */
static bool takes_word(const char *key) {
    const deq_family *const families[] = {&deq_solver_family, &deq_mode_family, &deq_penalty_family};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        const deq_argument *a = deq_argument_find(families[i], NULL, deq_part_of(key));
        if (a && a->type == DEQ_WORD) return true;
    }
    return false;
}

/* Its value is a row of a table, which no sweep goes over. */
static bool is_row(Kind kind) {
    return kind == KIND_CLIP || kind == KIND_AVERAGE || kind == KIND_REPLAY || kind == KIND_INTERMEDIATE;
}

static void resolve_setting(Resolver *r, Ast *s, const char *block) {
    Ast *value = AST_SLOT(s, SETTING, value);
    const char *key = last_key(AST_SLOT(s, SETTING, key));
    const Setting *row = key ? setting_find(block, key) : NULL;
    bool is_name = value && value->kind == AST_NAME;
    char buffer[256];
    bool record = strcmp(block, "record") == 0, paths = record || strcmp(block, "net_with") == 0; /* body.forward.tol */
    if (record && key) row = setting_find("train", key); /* whose settings these are, is known where they are used */
    if (record && key && !row) row = setting_find("net_with", key);
    if (paths && key && !row) row = setting_find("attack_with", key);
    if (!key || (!row && !paths && *block) || (row && (row->kind == KIND_WORD || row->kind == KIND_BAND) && is_name) ||
        (row && row->kind == KIND_SCALE) ||
        (row && row->kind == KIND_START && is_name && strcmp(value->name, "previous") == 0) ||
        (is_name && takes_word(key)) || resolve_chain(r, value)) {
        /* a word */
    } else if (row && value && row->kind == KIND_PENALTY) {
        resolve_penalty(r, value);
    } else if (row && value && row->kind == KIND_FINISH) {
        resolve_finish(r, value);
    } else if (row && value && value->kind == AST_CALL &&
               (row->kind == KIND_CERTIFY || row->kind == KIND_CELLS || row->kind == KIND_BAND || is_row(row->kind))) {
        resolve_args(r, AST_SLOT(value, CALL, inputs), false);
    } else if (row && row->kind == KIND_PATHS) {
        /* names of a net's layers and parameters: the compiler looks for them */
    } else if (is_name && row && is_row(row->kind) && !find_local(r, value->name) && !scope_find(r->top, value->name)) {
        /* the checker lists what there is */
    } else if (is_name && row && row->kind == KIND_FORWARD && !find_local(r, value->name)) {
        /* a solver without parentheses: the checker says so */
    } else if (is_name && row && row->kind == KIND_MODE && !find_local(r, value->name) &&
               !scope_find(r->top, value->name)) {
        /* an unknown mode: the checker lists the modes */
    } else if (value && value->kind == AST_CALL && row && (row->kind == KIND_MODE || row->kind == KIND_FORWARD) &&
               spelled(AST_SLOT(value, CALL, callee), buffer, sizeof buffer) && !find_called(r, buffer)) {
        say_which(r, value);
        resolve_args(r, AST_SLOT(value, CALL, state), true);
        resolve_args(r, AST_SLOT(value, CALL, inputs), true);
    } else {
        resolve_expr(r, value);
    }
    Ast *inner = AST_SLOT(s, SETTING, block);
    if (inner) resolve_settings(r, inner, row && row->kind == KIND_COMPARE ? "compare" : "");
}

static void resolve_settings(Resolver *r, Ast *list, const char *block) {
    for (uint32_t i = 0; list && i < list->nkids; i++)
        if (list->kids[i]->kind == AST_SETTING)
            resolve_setting(r, list->kids[i], block);
        else if (list->kids[i]->kind == AST_SPREAD)
            resolve_expr(r, AST_SLOT(list->kids[i], SPREAD, value));
}

/* ---- statements and items ---- */

static void resolve_let(Resolver *r, Ast *let) {
    Ast *pattern = AST_SLOT(let, LET, pattern);
    resolve_type(r, AST_SLOT(let, LET, type));
    resolve_expr(r, AST_SLOT(let, LET, value));
    if (pattern && pattern->kind == AST_NAME) declare(r, pattern->name, pattern, pattern->range);
    for (uint32_t i = 0; pattern && pattern->kind == AST_LIST && i < pattern->nkids; i++)
        declare(r, pattern->kids[i]->name, pattern->kids[i], pattern->kids[i]->range);
}

static void resolve_fixed(Resolver *r, Ast *f) {
    Ast *state = AST_SLOT(f, FIXED, state);
    for (uint32_t i = 0; state && i < state->nkids; i++) {
        if (state->kids[i]->kind != AST_BINDING) continue;
        resolve_type(r, AST_SLOT(state->kids[i], BINDING, type));
        resolve_expr(r, AST_SLOT(state->kids[i], BINDING, fallback));
        resolve_expr(r, AST_SLOT(state->kids[i], BINDING, bounds));
        declare(r, state->kids[i]->name, state->kids[i], name_place(state->kids[i]));
    }
    scope_push(r, AST_SLOT(f, FIXED, items));
    resolve_items(r, AST_SLOT(f, FIXED, items), "fixed");
    scope_pop(r);
}

static void resolve_train(Resolver *r, Ast *t) {
    resolve_expr(r, AST_SLOT(t, TRAIN, model));
    resolve_expr(r, AST_SLOT(t, TRAIN, data));
    resolve_settings(r, AST_SLOT(t, TRAIN, settings), "train");
}

static void resolve_initialised(Resolver *r, Ast *type, Ast *value) {
    unsigned outer = r->context;
    resolve_type(r, type);
    r->context = CTX_INIT;
    resolve_expr(r, value);
    r->context = outer;
}

/* A left side that nobody declares is the checker's to report, with what the place needs; what follows knows it. */
static void resolve_equation(Resolver *r, Ast *e) {
    Ast *target = AST_SLOT(e, EQUATION, target);
    const Ast *decl;
    Range later;
    bool fresh = target && target->kind == AST_NAME && !lookup(r, target->name, &decl) &&
                 !declares_later(r->scope, target->name, &later);
    if (!fresh) resolve_expr(r, target);
    resolve_expr(r, AST_SLOT(e, EQUATION, value));
    if (fresh) declare_equation(r, target);
}

static void resolve_item(Resolver *r, Ast *s, const char *block) {
    switch (s->kind) {
    case AST_LET: resolve_let(r, s); break;
    case AST_EQUATION: resolve_equation(r, s); break;
    case AST_RETURN: resolve_expr(r, AST_SLOT(s, RETURN, value)); break;
    case AST_PARAM:
        resolve_initialised(r, AST_SLOT(s, PARAM, type), AST_SLOT(s, PARAM, value));
        declare(r, s->name, s, name_place(s));
        break;
    case AST_BUFFER:
        resolve_initialised(r, AST_SLOT(s, BUFFER, type), AST_SLOT(s, BUFFER, value));
        declare(r, s->name, s, name_place(s));
        break;
    case AST_USE:
        resolve_expr(r, AST_SLOT(s, USE, value));
        declare(r, s->name, s, name_place(s));
        break;
    case AST_FN:
        declare(r, s->name, s, name_place(s));
        resolve_fn(r, s);
        break;
    case AST_FOR:
        resolve_expr(r, AST_SLOT(s, FOR, range));
        resolve_expr(r, AST_SLOT(s, FOR, until));
        scope_push(r, AST_SLOT(s, FOR, body));
        declare(r, s->name, s, name_place(s));
        resolve_items(r, AST_SLOT(s, FOR, body), block);
        scope_pop(r);
        break;
    case AST_STATE:
        resolve_type(r, AST_SLOT(s, STATE, type));
        resolve_expr(r, AST_SLOT(s, STATE, value));
        declare(r, s->name, s, name_place(s));
        break;
    case AST_REPEAT:
        resolve_expr(r, AST_SLOT(s, REPEAT, count));
        resolve_expr(r, AST_SLOT(s, REPEAT, until));
        scope_push(r, AST_SLOT(s, REPEAT, body));
        resolve_items(r, AST_SLOT(s, REPEAT, body), block);
        scope_pop(r);
        break;
    case AST_FIXED: resolve_fixed(r, s); break;
    case AST_SETTING: resolve_setting(r, s, block); break;
    case AST_TRAIN:
        resolve_train(r, s);
        declare(r, s->name, s, name_place(s));
        break;
    case AST_SWEEP:
        resolve_expr(r, AST_SLOT(s, SWEEP, values));
        declare(r, s->name, s, name_place(s));
        break;
    case AST_TABLE: resolve_settings(r, AST_SLOT(s, TABLE, settings), "table"); break;
    case AST_FIGURE: resolve_settings(r, AST_SLOT(s, FIGURE, settings), "figure"); break;
    case AST_CLAIM: resolve_expr(r, AST_SLOT(s, CLAIM, condition)); break;
    default: break;
    }
}

static void resolve_items(Resolver *r, Ast *list, const char *block) {
    for (uint32_t i = 0; list && i < list->nkids; i++) resolve_item(r, list->kids[i], block);
}

/* ---- declarations ---- */

static void resolve_sizes(Resolver *r, Ast *sizes) {
    for (uint32_t part = 0; sizes && part < 2; part++) {
        Ast *list = sizes->kids[part];
        for (uint32_t i = 0; list && i < list->nkids; i++) {
            Ast *p = list->kids[i];
            if (p->kind != AST_SIZE_PARAM) continue;
            resolve_expr(r, AST_SLOT(p, SIZE_PARAM, fallback));
            declare(r, p->name, p, name_place(p));
        }
    }
}

static void resolve_params(Resolver *r, Ast *params) {
    for (uint32_t part = 0; params && part < 2; part++) {
        Ast *list = params->kids[part];
        for (uint32_t i = 0; list && i < list->nkids; i++) {
            Ast *b = list->kids[i];
            if (b->kind != AST_BINDING) continue;
            resolve_type(r, AST_SLOT(b, BINDING, type));
            resolve_expr(r, AST_SLOT(b, BINDING, fallback));
            declare(r, b->name, b, name_place(b));
        }
    }
    for (uint32_t part = 0; params && part < 2; part++) /* bounds may mention all of them */
        for (uint32_t i = 0; params->kids[part] && i < params->kids[part]->nkids; i++)
            if (params->kids[part]->kids[i]->kind == AST_BINDING)
                resolve_expr(r, AST_SLOT(params->kids[part]->kids[i], BINDING, bounds));
}

static void resolve_body(Resolver *r, Ast *body) {
    if (body && body->kind == AST_LIST)
        resolve_items(r, body, "");
    else
        resolve_expr(r, body);
}

static void resolve_fn(Resolver *r, Ast *fn) {
    AST_SLOT(fn, FN, sizes) = resolve_implied_sizes(r, fn, AST_SLOT(fn, FN, sizes));
    Ast *body = AST_SLOT(fn, FN, body);
    scope_push(r, body && body->kind == AST_LIST ? body : NULL);
    resolve_sizes(r, AST_SLOT(fn, FN, sizes));
    resolve_params(r, AST_SLOT(fn, FN, inputs));
    resolve_type(r, AST_SLOT(fn, FN, result));
    resolve_body(r, body);
    scope_pop(r);
}

static void resolve_layer(Resolver *r, Ast *layer) {
    scope_push(r, AST_SLOT(layer, LAYER, body));
    resolve_sizes(r, AST_SLOT(layer, LAYER, sizes));
    resolve_layer_sizes(r, layer);
    resolve_params(r, AST_SLOT(layer, LAYER, inputs));
    resolve_type(r, AST_SLOT(layer, LAYER, result));
    resolve_body(r, AST_SLOT(layer, LAYER, body));
    scope_pop(r);
}

/* A hand-written gradient sees everything its layer declares outside the fixed point's braces. */
static void resolve_gradient(Resolver *r, Ast *g) {
    Ast *target = AST_SLOT(g, GRADIENT, target);
    resolve_expr(r, target);
    scope_push(r, NULL);
    const Ast *layer = target ? target->ref : NULL;
    if (layer && layer->kind == AST_LAYER) {
        const Ast *sizes = AST_SLOT(layer, LAYER, sizes), *params = AST_SLOT(layer, LAYER, inputs);
        const Ast *lists[5] = {sizes ? sizes->kids[0] : NULL, sizes ? sizes->kids[1] : NULL,
                               params ? params->kids[0] : NULL, params ? params->kids[1] : NULL,
                               AST_SLOT(layer, LAYER, body)};
        for (uint32_t l = 0; l < 5; l++)
            for (uint32_t i = 0; lists[l] && i < lists[l]->nkids; i++) {
                const Ast *k = lists[l]->kids[i];
                const Ast *pattern = k->kind == AST_LET ? AST_SLOT(k, LET, pattern) : NULL;
                const Ast *inner = k->kind == AST_FIXED ? AST_SLOT(k, FIXED, state) : pattern;
                if (inner && inner->kind == AST_NAME) declare(r, inner->name, inner, inner->range);
                for (uint32_t j = 0; inner && inner->kind == AST_LIST && j < inner->nkids; j++)
                    declare(r, inner->kids[j]->name, inner->kids[j], name_place(inner->kids[j]));
                if (!inner && k->name) declare(r, k->name, k, name_place(k));
            }
        for (uint32_t i = 0; i < r->scope->n; i++) r->scope->entries[i].report_unused = false;
    }
    if (AST_SLOT(g, GRADIENT, body)) {
        scope_push(r, AST_SLOT(g, GRADIENT, body));
        resolve_items(r, AST_SLOT(g, GRADIENT, body), "");
        scope_pop(r);
    }
    scope_pop(r);
}

static void resolve_machine(Resolver *r, unsigned context, Ast *def) {
    Ast *body = def->kids[def->nkids - 1];
    bool attack = def->kind == AST_ATTACK_DEF;
    if (attack) AST_SLOT(def, ATTACK_DEF, sizes) = resolve_implied_sizes(r, def, NULL);
    scope_push(r, body && body->kind == AST_LIST ? body : NULL);
    if (attack) resolve_sizes(r, AST_SLOT(def, ATTACK_DEF, sizes));
    resolve_params(r, ast_params(def));
    if (attack && body && body->kind == AST_LIST) resolve_example(r, def);
    r->context = body && body->kind == AST_LIST ? context : r->context;
    resolve_body(r, body);
    scope_pop(r);
}

static void resolve_block(Resolver *r, Ast *items, const char *block) {
    scope_push(r, items);
    resolve_items(r, items, block);
    scope_pop(r);
}

static void resolve_declaration(Resolver *r, Ast *d) {
    r->decl = d, r->scope = NULL, r->context = CTX_PIPELINE;
    switch (d->kind) {
    case AST_CONST:
        r->context = CTX_CONST;
        resolve_type(r, AST_SLOT(d, CONST, type));
        if (AST_SLOT(d, CONST, value)->kind == AST_RECORD) r->context = CTX_PIPELINE;
        resolve_expr(r, AST_SLOT(d, CONST, value));
        break;
    case AST_FN: r->context = CTX_FN, resolve_fn(r, d); break;
    case AST_LAYER: r->context = CTX_LAYER, resolve_layer(r, d); break;
    case AST_GRADIENT: r->context = CTX_GRADIENT, resolve_gradient(r, d); break;
    case AST_DATA:
        resolve_type(r, AST_SLOT(d, DATA, type));
        resolve_expr(r, AST_SLOT(d, DATA, value));
        break;
    case AST_ATTACK_DEF: resolve_machine(r, CTX_ATTACK, d); break;
    case AST_DEFENCE_DEF: resolve_machine(r, CTX_DEFENCE, d); break;
    case AST_OPTIMISER_DEF: resolve_machine(r, CTX_OPTIMISER, d); break;
    case AST_SCHEDULE_DEF: resolve_machine(r, CTX_SCHEDULE, d); break;
    case AST_ATTACK:
    case AST_DEFENCE:
    case AST_OPTIMISER:
    case AST_SCHEDULE: resolve_expr(r, d->kids[0]); break;
    case AST_TRAIN: resolve_train(r, d); break;
    case AST_CHECK: resolve_block(r, AST_SLOT(d, CHECK, items), "check"); break;
    case AST_TEST: resolve_block(r, AST_SLOT(d, TEST, items), "test"); break;
    case AST_EXPERIMENT: resolve_block(r, AST_SLOT(d, EXPERIMENT, items), "experiment"); break;
    default: break;
    }
}

static void resolve_module(Program *p, const Module *m) {
    Resolver r = {.program = p, .arena = p->arena, .diags = p->diags, .module = m};
    r.top = arena_alloc(p->arena, sizeof *r.top);
    for (uint32_t i = 0, k = 0; i < m->unit->nkids; i++) {
        Ast *d = m->unit->kids[i];
        if (d->kind == AST_IMPORT) {
            declare_import(&r, k < m->nimports ? m->imports[k] : NULL, d);
            k++;
        } else if (ast_declares(d)) {
            declare_top(&r, d->name, d, name_place(d), NULL);
        }
    }
    for (uint32_t i = 0; i < m->unit->nkids; i++) resolve_declaration(&r, m->unit->kids[i]);
    for (uint32_t i = 0; i < r.top->n; i++)
        if (!r.top->entries[i].used && r.top->entries[i].report_unused && m == p->main)
            diag_report(p->diags, DIAG_W0210, r.top->entries[i].at, "'%s' is imported and never used",
                        r.top->entries[i].name);
}

bool program_resolve(Program *p) {
    uint32_t before = diags_errors(p->diags);
    for (uint32_t i = 0; i < p->nmodules; i++) resolve_module(p, p->modules[i]);
    return diags_errors(p->diags) == before;
}
