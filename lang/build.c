/* build.c - nodes from grammar actions: depth limits, text of tokens, documentation, and the checks of form that a
 * context-free grammar would say badly: which statement may stand where, what can be a target or a key. */
#include "syntax.h"
#include <stdlib.h>
#include <string.h>

static void add_depth(Parser *ps, Ast *node, Ast **kid) {
    if (!*kid) return;
    if ((*kid)->depth >= AST_MAX_DEPTH) {
        Range at = (*kid)->range;
        Diagnostic *d = syntax_error(ps, DIAG_E0104, (Loc){at.start, at.end}, "this is more than %d operations deep",
                                     AST_MAX_DEPTH);
        if (d) diag_help(d, "name a part of it with 'let'");
        ps->stop = true;
        *kid = ast_new(ps->arena, AST_ERROR, at, 0);
    }
    if ((*kid)->depth >= node->depth) node->depth = (*kid)->depth + 1;
}

Ast *build(Parser *ps, AstKind kind, Loc at, Loc point, const char *name, uint32_t n, Ast *const *kids) {
    Ast *node = ast_new(ps->arena, kind, syntax_range(ps, at), n);
    node->name_range = syntax_range(ps, point);
    node->name = name;
    for (uint32_t i = 0; i < n; i++) {
        node->kids[i] = kids[i];
        add_depth(ps, node, &node->kids[i]);
    }
    return node;
}

Ast *build_named(Parser *ps, AstKind kind, Loc at, const Ast *name, uint32_t n, Ast *const *kids) {
    Ast *node = build(ps, kind, at, at, NULL, n, kids);
    if (name) {
        node->name = name->name;
        node->name_range = name->range;
    }
    return node;
}

void build_set(Parser *ps, Ast *node, uint32_t slot, Ast *kid) {
    node->kids[slot] = kid;
    add_depth(ps, node, &node->kids[slot]);
}

static const char *unescape(Parser *ps, const char *text, size_t n) {
    char *result = arena_alloc(ps->arena, n + 1), *out = result;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (c == '\\' && i + 1 < n) {
            c = text[++i];
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c;
        }
        *out++ = c;
    }
    return result;
}

Ast *build_leaf(Parser *ps, AstKind kind, Loc at) {
    const char *text = ps->source->text + at.start;
    size_t n = at.end - at.start;
    Ast *node = ast_new(ps->arena, kind, syntax_range(ps, at), 0);
    switch (kind) {
    case AST_NAME: node->name = arena_strndup(ps->arena, text, n); break;
    case AST_NUMBER:
        node->name = arena_strndup(ps->arena, text, n);
        node->number = strtod(node->name, NULL);
        if (node->number > 1.7976931348623157e308)
            syntax_error(ps, DIAG_E0108, at, "the number is larger than any that can be represented");
        break;
    case AST_STRING: {
        bool closed = n >= 2 && text[n - 1] == '"';
        node->name = n ? unescape(ps, text + 1, n - 1 - closed) : "";
        break;
    }
    case AST_BOOL: node->number = text[0] == 't'; break;
    default: break;
    }
    return node;
}

Ast *build_list(Parser *ps, Loc at, Ast *first) {
    Ast *list = ast_new(ps->arena, AST_LIST, syntax_range(ps, at), 0);
    return first ? build_append(ps, list, first, at) : list;
}

Ast *build_append(Parser *ps, Ast *list, Ast *item, Loc at) {
    uint32_t n = list->nkids;
    if ((n & (n - 1)) == 0) { /* 0, 1, 2, 4, ...: room for as many again */
        Ast **kids = arena_alloc(ps->arena, (n ? 2 * n : 1) * sizeof *kids);
        if (n) memcpy(kids, list->kids, n * sizeof *kids);
        list->kids = kids;
    }
    list->nkids = n + 1;
    build_set(ps, list, n, item);
    if (at.end > list->range.end) list->range.end = at.end;
    if (n == 0) list->range.start = at.start;
    list->name_range = list->range;
    return list;
}

Ast *build_operator(Parser *ps, Ast *left, Loc op, Ast *right, Loc at) {
    const char *name = arena_strndup(ps->arena, ps->source->text + op.start, op.end - op.start);
    if (!left) return build(ps, AST_UNARY, at, op, name, 1, &right);
    return build(ps, AST_BINARY, at, op, name, 2, (Ast *[]){left, right});
}

const char *build_path(Parser *ps, const Ast *path) {
    Range r = path->range;
    char *buffer = arena_alloc(ps->arena, r.end - r.start + 1);
    return ast_path(path, buffer, r.end - r.start + 1) ? buffer : "";
}

Ast *build_document(Parser *ps, Ast *node) {
    uint32_t low = 0, high = ps->ndocs; /* docs are in order of `next` */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (ps->docs[middle].next < node->range.start)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < ps->ndocs && ps->docs[low].next == node->range.start) node->doc = scan_doc_text(ps, ps->docs[low]);
    return node;
}

static bool is_target(const Ast *e) {
    switch (e->kind) {
    case AST_NAME:
    case AST_ERROR: return true;
    case AST_TUPLE:
        for (uint32_t i = 0; i < e->nkids; i++)
            if (!is_target(e->kids[i]) || e->kids[i]->kind == AST_TUPLE) return false;
        return true;
    case AST_CALL: { /* d(W): a cotangent */
        const Ast *callee = AST_SLOT(e, CALL, callee), *inputs = AST_SLOT(e, CALL, inputs);
        return callee->kind == AST_NAME && !strcmp(callee->name, "d") && !AST_SLOT(e, CALL, state) &&
               inputs->nkids == 1 && !inputs->kids[0]->name && AST_SLOT(inputs->kids[0], ARG, value)->kind == AST_NAME;
    }
    default: return false;
    }
}

Ast *build_target(Parser *ps, Ast *target) {
    if (is_target(target)) return target;
    Range at = target->range;
    Diagnostic *d = syntax_error(ps, DIAG_E0110, (Loc){at.start, at.end}, "an equation cannot define this");
    if (d) diag_help(d, "the left side of '=' is a name, d(name), or several of them in ( )");
    return ast_new(ps->arena, AST_ERROR, at, 0);
}

Ast *build_key(Parser *ps, Ast *key) {
    const Ast *base = key;
    if (base->kind == AST_CALL) base = AST_SLOT(base, CALL, callee);
    while (base->kind == AST_MEMBER) base = AST_SLOT(base, MEMBER, base);
    if (base->kind == AST_NAME || base->kind == AST_ERROR) return key;
    Range at = key->range;
    Diagnostic *d = syntax_error(ps, DIAG_E0110, (Loc){at.start, at.end}, "a setting cannot have this name");
    if (d) diag_help(d, "a setting is 'name: value', where the name may be a path such as body.forward.tol");
    return ast_new(ps->arena, AST_ERROR, at, 0);
}

/* ---- which statement may stand where ---- */

enum { MOST_ALLOWED = 12 };
static const struct {
    AstKind owner;
    const char *name;
    bool returns;                  /* must end in `return` */
    AstKind allowed[MOST_ALLOWED]; /* beside `let`; what is left is 0, a LIST, which is no statement */
} bodies[] = {
    {AST_LAYER,
     "a layer",
     true,
     {AST_PARAM, AST_BUFFER, AST_USE, AST_FN, AST_EQUATION, AST_RETURN, AST_FOR, AST_FIXED}},
    {AST_FN, "a function", true, {AST_FN, AST_EQUATION, AST_RETURN, AST_FOR, AST_STATE, AST_REPEAT}},
    {AST_FOR, "a 'for'", false, {AST_FN, AST_EQUATION, AST_FOR, AST_FIXED, AST_USE, AST_PARAM, AST_STATE, AST_REPEAT}},
    {AST_FIXED, "a fixed point", false, {AST_FN, AST_EQUATION, AST_FOR, AST_SETTING}},
    {AST_ATTACK_DEF, "an attack", true, {AST_FN, AST_STATE, AST_REPEAT, AST_EQUATION, AST_RETURN, AST_FOR}},
    {AST_DEFENCE_DEF, "a defence", true, {AST_FN, AST_STATE, AST_REPEAT, AST_EQUATION, AST_RETURN, AST_FOR}},
    {AST_OPTIMISER_DEF, "an optimiser", false, {AST_FN, AST_STATE, AST_EQUATION, AST_FOR}},
    {AST_SCHEDULE_DEF, "a schedule", true, {AST_FN, AST_RETURN}},
    {AST_REPEAT, "a 'repeat'", false, {AST_FN, AST_STATE, AST_REPEAT, AST_EQUATION, AST_FOR}},
    {AST_GRADIENT, "a gradient", false, {AST_FN, AST_EQUATION, AST_FOR}},
    {AST_CHECK, "a check", false, {AST_FN, AST_SETTING, AST_TRAIN}},
    {AST_TEST, "a test", false, {AST_FN, AST_SETTING, AST_TRAIN}},
    {AST_EXPERIMENT,
     "an experiment",
     false,
     {AST_FN, AST_SETTING, AST_TRAIN, AST_SWEEP, AST_TABLE, AST_FIGURE, AST_CLAIM}},
    {AST_TRAIN, "a block of settings", false, {AST_SETTING, AST_SPREAD}},
    {AST_TABLE, "a block of settings", false, {AST_SETTING}},
    {AST_FIGURE, "a block of settings", false, {AST_SETTING}},
    {AST_WITH, "a block of settings", false, {AST_SETTING, AST_SPREAD}},
    {AST_RECORD, "a block of settings", false, {AST_SETTING, AST_SPREAD}},
    {AST_SETTING, "a block of settings", false, {AST_SETTING}},
};

static bool is_allowed(size_t body, AstKind statement) {
    if (statement == AST_LET || statement == AST_ERROR) return true;
    for (int k = 0; k < MOST_ALLOWED && bodies[body].allowed[k]; k++)
        if (bodies[body].allowed[k] == statement) return true;
    return false;
}

/* It takes settings and nothing else. */
static bool is_settings(size_t body) {
    for (int k = 0; k < MOST_ALLOWED && bodies[body].allowed[k]; k++)
        if (bodies[body].allowed[k] != AST_SETTING && bodies[body].allowed[k] != AST_SPREAD) return false;
    return true;
}

static const char *where_allowed(AstKind statement) {
    switch (statement) {
    case AST_PARAM: return "parameters belong to a layer";
    case AST_BUFFER: return "buffers belong to a layer";
    case AST_USE: return "layers are instantiated in a layer";
    case AST_EQUATION: return "an equation stands in a fixed point, a gradient or an attack; elsewhere write 'let'";
    case AST_RETURN: return "a layer, a function, an attack, a defence and a schedule return a value";
    case AST_STATE: return "'state' belongs to an attack, a function that attacks call, or an optimiser";
    case AST_REPEAT: return "'repeat' belongs to an attack or a function that attacks call";
    case AST_SETTING: return "settings ('name: value') stand in fixed points, train, with, table, figure and checks";
    case AST_SPREAD: return "'..' takes the settings of a record in: in train, with and records";
    case AST_FIXED: return "a fixed point stands in a layer";
    case AST_TRAIN: return "'train' stands at the top level or in an experiment";
    case AST_SWEEP:
    case AST_CLAIM:
    case AST_FIGURE:
    case AST_TABLE: return "this belongs to an experiment";
    default: return NULL;
    }
}

static void check_body(Parser *ps, AstKind owner, Ast *list) {
    size_t b = 0;
    while (bodies[b].owner != owner)
        if (++b == sizeof bodies / sizeof *bodies) return;
    uint32_t errors = ps->errors;
    bool broken = false;
    const Ast *returned = NULL;
    for (uint32_t i = 0; i < list->nkids; i++) {
        const Ast *item = list->kids[i];
        Loc at = {item->name_range.start, item->name_range.end};
        broken |= item->kind == AST_ERROR;
        if (!is_allowed(b, item->kind)) {
            Diagnostic *d =
                syntax_error(ps, DIAG_E0106, at, "%s %s cannot stand in %s", item->kind == AST_EQUATION ? "an" : "a",
                             ast_kind_name(item->kind), bodies[b].name);
            bool setting = item->kind == AST_EQUATION && is_settings(b);
            const char *help = setting ? "a setting is written 'name: value'" : where_allowed(item->kind);
            if (d && help) diag_help(d, "%s", help);
            list->kids[i] = ast_new(ps->arena, AST_ERROR, item->range, 0);
        } else if (returned && !broken) {
            Diagnostic *d = syntax_error(ps, DIAG_E0107, at, "this comes after 'return' and is never reached");
            if (d) diag_note(d, returned->range, "the value is returned here");
            break;
        }
        if (item->kind == AST_RETURN) returned = item;
    }
    if (bodies[b].returns && !returned && !broken && ps->errors == errors) {
        uint32_t end = list->range.end;
        syntax_error(ps, DIAG_E0107, (Loc){end - 1, end}, "%s must end with 'return'", bodies[b].name);
    }
}

void build_check_bodies(Parser *ps, Ast *node) {
    Ast *last = node->nkids ? node->kids[node->nkids - 1] : NULL; /* in every kind that has one, the body comes last */
    if (last && last->kind == AST_LIST) check_body(ps, node->kind, last);
    for (uint32_t i = 0; i < node->nkids; i++)
        if (node->kids[i]) build_check_bodies(ps, node->kids[i]);
}
