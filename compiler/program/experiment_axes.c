/* experiment_axes.c - the values of every sweep of an experiment: elements of lists, families and comprehensions. */
#include "experiment_parts.h"
#include "labels.h"
#include <string.h>

static Arena *arena_of(const Experiment *x) { return x->pipe->elab->arena; }

static const char *text_of(Arena *a, const Ast *e) { return e->kind == AST_NUMBER ? e->name : range_text(a, e->range); }

static void add(Experiment *x, Elements *out, const Ast *ast, const Scope *scope, const char *label) {
    *ARENA_PUSH(arena_of(x), out->items, out->n, out->cap) = (Element){ast, scope, label};
}

static bool expand(Experiment *x, Scope *s, const Ast *list, Elements *out);

/* [f(n) for n in A for m in B]: one element for each combination, the last variable fastest. */
static bool expand_each(Experiment *x, Scope *s, const Ast *each, uint32_t variable, const char *label, Elements *out) {
    const Ast *variables = AST_SLOT(each, EACH, variables);
    if (variable == variables->nkids) {
        add(x, out, AST_SLOT(each, EACH, item), arena_copy(arena_of(x), s, sizeof *s), label);
        return true;
    }
    const Ast *v = variables->kids[variable];
    Elements values = {0};
    if (!expand(x, s, AST_SLOT(v, SWEEP, values), &values)) return false;
    for (uint32_t k = 0; k < values.n; k++) {
        Scope inner = *s;
        scope_bind(
            &inner, v->name,
            (Value){.kind = VALUE_AST,
                    .ast = values.items[k].ast,
                    .scope = values.items[k].scope ? values.items[k].scope : arena_copy(arena_of(x), s, sizeof *s)});
        const char *text =
            arena_printf(arena_of(x), "%s%s%s = %s", label, *label ? ", " : "", v->name, values.items[k].label);
        if (!expand_each(x, &inner, each, variable + 1, text, out)) return false;
    }
    return true;
}

static bool expand(Experiment *x, Scope *s, const Ast *list, Elements *out) {
    Arena *a = arena_of(x);
    if (list->kind == AST_EACH) return expand_each(x, s, list, 0, "", out);
    if (list->kind == AST_ARRAY) {
        for (uint32_t k = 0; k < list->nkids; k++) {
            const Ast *value = element_value(list->kids[k]);
            add(x, out, value, NULL, list->kids[k]->kind == AST_ARG ? list->kids[k]->name : text_of(a, value));
        }
    } else {
        Value r = eval(s, list);
        const bool good = r.kind == VALUE_RANGE && r.limit > r.number && r.limit - r.number <= MOST_CELLS;
        for (double number = r.number; good && number < r.limit; number++) {
            Ast node = {.kind = AST_NUMBER, .number = number, .name = number_text(a, number), .range = list->range};
            add(x, out, arena_copy(a, &node, sizeof node), NULL, node.name);
        }
    }
    return out->n > 0 ||
           (elab_error(s, DIAG_E0515, list->range, "a sweep goes over a list or a range that is not empty"), false);
}

/* The axes of a family: which one, and which of its elements. */
static bool expand_families(Experiment *x, Scope *s, const Ast *list, AxisValues *family, AxisValues *member) {
    Arena *a = arena_of(x);
    family->families = arena_alloc(a, (list->nkids + 1) * sizeof *family->families);
    for (uint32_t k = 0; k < list->nkids; k++) {
        const Ast *element = list->kids[k], *value = element_value(element);
        const char *label = element->kind == AST_ARG ? element->name : text_of(a, value);
        add(x, &family->all, value, NULL, label);
        if (!is_family(element))
            add(x, &family->families[k], value, NULL, label);
        else if (!expand(x, s, value, &family->families[k]))
            return false;
        while (member->all.n < family->families[k].n)
            add(x, &member->all, NULL, NULL, arena_printf(a, "%u", member->all.n + 1));
    }
    return true;
}

bool experiment_expand(Experiment *x) {
    for (uint32_t k = 0; k < x->axes.n; k++) {
        const Axis *axis = &x->axes.axis[k];
        const Ast *list = AST_SLOT(axis->sweep, SWEEP, values);
        if (axis->choice) {
            for (uint32_t i = 0; i < x->axes.nsweeps; i++)
                if (x->axes.axis[i].sweep == axis->sweep && x->axes.axis[i].part == axis->part)
                    x->values[k] = x->values[i];
            continue;
        }
        for (x->item = 0; x->items->kids[x->item] != axis->sweep;) x->item++;
        Scope s = experiment_scope(x);
        if (axis->part == AXIS_WHOLE && !expand(x, &s, list, &x->values[k].all)) return false;
        if (axis->part == AXIS_FAMILY && !expand_families(x, &s, list, &x->values[k], &x->values[k + 1])) return false;
    }
    x->item = 0;
    return true;
}

const Element *experiment_element(const Experiment *x, uint32_t axis) {
    const AxisValues *v = &x->values[axis];
    const uint32_t at = x->at[axis];
    if (x->axes.axis[axis].part == AXIS_WHOLE) return &v->all.items[at];
    if (x->axes.axis[axis].part != AXIS_FAMILY || x->axes.axis[axis].choice) return NULL;
    const Elements *family = &v->families[at];
    return x->at[axis + 1] < family->n ? &family->items[x->at[axis + 1]] : NULL;
}

bool experiment_absent(const Experiment *x, AxisSet axes) {
    for (uint32_t k = 0; k < x->axes.nsweeps; k++)
        if (x->axes.axis[k].part == AXIS_FAMILY && axes & AXIS(k) && axes & AXIS(k + 1) && !experiment_element(x, k))
            return true;
    return false;
}

json_t *experiment_axis_json(const Experiment *x, uint32_t k) {
    const AxisValues *v = &x->values[k];
    const Axis *axis = &x->axes.axis[k];
    json_t *texts = json_array();
    for (uint32_t i = 0; i < v->all.n; i++) json_array_append_new(texts, json_string(v->all.items[i].label));
    json_t *j = json_pack("{s:s, s:o}", "name", axis->name, "values", texts);
    if (axis->choice) json_object_set_new(j, "choice", json_string(axis->name));
    if (experiment_seeds(x) & AXIS(k)) json_object_set_new(j, "seed", json_true());
    if (axis->part != AXIS_FAMILY || axis->choice) return j;
    json_t *families = json_array();
    for (uint32_t f = 0; f < v->all.n; f++) {
        json_t *members = json_array();
        for (uint32_t i = 0; i < v->families[f].n; i++)
            json_array_append_new(members, json_string(v->families[f].items[i].label));
        json_array_append_new(families, members);
    }
    json_object_set_new(j, "members", families);
    return j;
}
