/* experiment_alone.c - which settings a sweep of one value gives.  Settings that longer sweeps give differ between cells,
 * and the runtime sees it; of these it must be told, since --set of one would make tables name a value that was not used. */
#include "experiment_parts.h"
#include <string.h>

typedef struct Alone {
    Experiment *x;
    AxisSet single; /* axes of one value, and choices among such */
    json_t *list;
    bool attack; /* settings of an attack are read, else those of the net */
} Alone;

static void walk(Alone *w, const Ast *e, const char *path);

static const char *behind(const Alone *w, const char *path, const char *key) {
    return *path ? arena_printf(w->x->pipe->elab->arena, "%s.%s", path, key) : key;
}

static AxisSet mentioned(const Alone *w, const Ast *e) {
    return (axes_shown(&w->x->axes, e) | axes_hidden(&w->x->axes, e)) & w->single;
}

static void add(Alone *w, AxisSet axes, const char *path) {
    if (!*path || !axes) return;
    json_t *j = json_pack("{s:i, s:s}", "axis", __builtin_ctz(axes), "key", path);
    if (w->attack) json_object_set_new(j, "attack", json_true());
    json_array_append_new(w->list, j);
}

/* All that a record says. */
static void add_record(Alone *w, AxisSet axes, Scope *s, const Ast *record, const char *path) {
    const Ast *settings = scope_settings(s, AST_SLOT(record, RECORD, settings));
    char key[256];
    for (uint32_t i = 0; i < settings->nkids; i++)
        if (ast_path(AST_SLOT(settings->kids[i], SETTING, key), key, sizeof key))
            add(w, axes, behind(w, path, arena_strndup(w->x->pipe->elab->arena, key, strlen(key))));
}

/* The variable of a sweep, or a choice: its one value gives the setting at `path`, or is settings itself. */
static void walk_value(Alone *w, AxisSet axes, const char *path) {
    const Element *element = experiment_element(w->x, (uint32_t)__builtin_ctz(axes));
    Scope s = experiment_scope(w->x), from;
    const Ast *value = element ? resolve_ast(element->scope ? (Scope *)element->scope : &s, element->ast, &from) : NULL;
    if (value && value->kind == AST_RECORD)
        add_record(w, axes, &from, value, path);
    else
        add(w, axes, path);
}

static bool is_choice(const Axes *x, const Ast *let) {
    for (uint32_t k = x->nsweeps; k < x->n; k++)
        if (x->axis[k].choice == let) return true;
    return false;
}

static void walk_name(Alone *w, const Ast *e, const char *path) {
    const Axes *x = &w->x->axes;
    for (uint32_t k = 0; e->ref && k < x->items->nkids; k++) {
        const Ast *item = x->items->kids[k];
        if (item->kind != AST_LET || !item_declares(item, e->ref) || is_choice(x, item)) continue;
        walk(w, AST_SLOT(item, LET, value), path);
        return;
    }
    walk_value(w, mentioned(w, e), path);
}

static void walk_setting(Alone *w, const Ast *e, const char *path) {
    char text[256];
    const Ast *key = AST_SLOT(e, SETTING, key), *value = AST_SLOT(e, SETTING, value),
              *block = AST_SLOT(e, SETTING, block);
    if (!ast_path(key, text, sizeof text)) return;
    const char *own = behind(w, path, arena_strndup(w->x->pipe->elab->arena, text, strlen(text)));
    walk(w, value, own);
    walk(w, block, own);
    if (w->attack || strcmp(own, "attack") != 0) return;
    w->attack = true; /* of a training run: known by the attack's name too, without the path */
    walk(w, value, "");
    w->attack = false;
}

static void walk(Alone *w, const Ast *e, const char *path) {
    if (!e || !mentioned(w, e)) return;
    const bool attack = w->attack;
    switch (e->kind) {
    case AST_SETTING: walk_setting(w, e, path); return;
    case AST_ARG: walk(w, AST_SLOT(e, ARG, value), e->name ? behind(w, path, e->name) : path); return;
    case AST_UNDER:
        walk(w, AST_SLOT(e, UNDER, base), path);
        w->attack = true;
        walk(w, AST_SLOT(e, UNDER, attack), path);
        w->attack = attack;
        return;
    case AST_NAME: walk_name(w, e, path); return;
    case AST_LIST:
    case AST_RECORD:
    case AST_SPREAD:
    case AST_WITH:
    case AST_CALL: break;
    default:
        if (*path) {
            add(w, mentioned(w, e), path);
            return;
        }
    }
    for (uint32_t i = 0; i < e->nkids; i++) walk(w, e->kids[i], path);
}

json_t *experiment_alone(Experiment *x, AxisSet cells, const Ast *e) {
    Alone w = {.x = x, .list = json_array()};
    for (uint32_t k = 0; k < x->axes.n; k++)
        if (cells & AXIS(k) && x->values[k].all.n == 1) w.single |= AXIS(k);
    memset(x->at, 0, x->axes.n * sizeof *x->at);
    for (uint32_t i = 0; w.single && i < e->nkids; i++) walk(&w, e->kids[i], "");
    return w.list;
}
