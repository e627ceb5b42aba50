/* experiment_axes.c - the values of every sweep of an experiment: elements of lists, families and comprehensions; and which
 * of them there are in which cells. */
#include "experiment_parts.h"
#include "labels.h"
#include "type.h"
#include <math.h>
#include <string.h>

static Arena *arena_of(const Experiment *x) { return x->pipe->elab->arena; }

static const char *text_of(Arena *a, const Ast *e) { return e->kind == AST_NUMBER ? e->name : range_text(a, e->range); }

static void add(Experiment *x, Elements *out, const Ast *ast, const Scope *scope, const char *label) {
    *ARENA_PUSH(arena_of(x), out->items, out->n, out->cap) = (Element){ast, scope, label};
}

static bool expand(Experiment *x, Scope *s, const Ast *list, Elements *out);

static bool too_many(Scope *s, Range at) {
    return elab_error(s, DIAG_E0601, at, "this list has more than %d values", MOST_CELLS), false;
}

/* [f(n) for n in A for m in B]: one element for each combination, the last variable fastest. */
static bool expand_each(Experiment *x, Scope *s, const Ast *each, uint32_t variable, const char *label, Elements *out) {
    const Ast *variables = AST_SLOT(each, EACH, variables);
    if (variable == variables->nkids) {
        if (out->n == MOST_CELLS) return too_many(s, each->range);
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

/* The number of an element without a label of its own; NaN where it is none, or is known only when the experiment runs. */
static double number_of(Experiment *x, Scope *s, const Ast *element) {
    double number = NAN;
    const bool number_known =
        element->kind != AST_ARG && element->type && type_is_number(element->type) && !experiment_runs(x, s, element);
    return number_known && eval_number(s, element, &number) ? number : NAN;
}

/* Two rows of one name could not be told apart, and what stands twice would count twice in a mean: 0.1 and 0.10, 1 and
 * 2 - 1. */
static bool all_differ(Experiment *x, Scope *s, const Ast *list, const Elements *all) {
    double *numbers = arena_alloc(arena_of(x), (list->nkids + 1) * sizeof *numbers);
    for (uint32_t k = 0; k < list->nkids; k++) numbers[k] = number_of(x, s, list->kids[k]);
    for (uint32_t k = 1; k < list->nkids; k++)
        for (uint32_t i = 0; i < k; i++) {
            if (strcmp(all->items[i].label, all->items[k].label) != 0 && numbers[i] != numbers[k]) continue;
            elab_error(s, DIAG_E0202, list->kids[k]->range,
                       "%s stands in this list already: take it out, or give it a label of its own",
                       all->items[i].label);
            return false;
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
        if (!all_differ(x, s, list, out)) return false;
    } else {
        Value r = eval(s, list);
        const bool good = r.kind == VALUE_RANGE && r.limit > r.number;
        if (good && r.limit - r.number > MOST_CELLS) return too_many(s, list->range);
        for (double number = r.number; good && number < r.limit; number++) {
            Ast node = {.kind = AST_NUMBER, .number = number, .name = number_text(a, number), .range = list->range};
            add(x, out, arena_copy(a, &node, sizeof node), NULL, node.name);
        }
    }
    return out->n > 0 ||
           (elab_error(s, DIAG_E0515, list->range, "a sweep goes over a list or a range that is not empty"), false);
}

/* The families of a list, in a cell. */
static bool expand_families(Experiment *x, Scope *s, const Ast *list, Elements *all, Elements *families) {
    Arena *a = arena_of(x);
    for (uint32_t k = 0; k < list->nkids; k++) {
        const Ast *element = list->kids[k], *value = element_value(element);
        const char *label = element->kind == AST_ARG ? element->name : text_of(a, value);
        if (all->n <= k) add(x, all, value, NULL, label);
        if (!is_family(element))
            add(x, &families[k], value, NULL, label);
        else if (!expand(x, s, value, &families[k]))
            return false;
    }
    return true;
}

/* A list of elements that are written out means in every cell what it says; what a comprehension or a range is made of
 * may mention sweeps above it. */
static bool is_written_out(const Ast *list) {
    for (uint32_t k = 0; list->kind == AST_ARRAY && k < list->nkids; k++)
        if (is_family(list->kids[k]) && !is_written_out(element_value(list->kids[k]))) return false;
    return list->kind == AST_ARRAY;
}

/* The elements of a cell, where those of the others stand. */
static void align(Experiment *x, AxisValues *v, Elements found, Elements *out) {
    for (uint32_t i = 0; i < v->all.n; i++) add(x, out, NULL, NULL, NULL);
    for (uint32_t i = 0; i < found.n; i++) {    /* i places are taken */
        uint32_t place = i == v->all.n ? i : 0; /* of that label, most often the same */
        const char *label = found.items[i].label;
        if (i < v->all.n && strcmp(v->all.items[i].label, label) == 0 && !out->items[i].ast)
            place = i;
        else
            while (place < v->all.n && (out->items[place].ast || strcmp(v->all.items[place].label, label) != 0))
                place++;
        if (place == v->all.n) {
            add(x, &v->all, found.items[i].ast, found.items[i].scope, label);
            add(x, out, NULL, NULL, NULL);
        }
        out->items[place] = found.items[i];
    }
}

static bool expand_cell(Experiment *x, const Ast *list, AxisValues *v, AxisValues *member, uint32_t cell) {
    Scope s = experiment_scope(x);
    if (!member) {
        Elements found = {0};
        if (!expand(x, &s, list, &found)) return false;
        align(x, v, found, &v->cells[cell]);
        return true;
    }
    Arena *a = arena_of(x);
    v->families[cell] = arena_alloc(a, (list->nkids + 1) * sizeof **v->families);
    if (!expand_families(x, &s, list, &v->all, v->families[cell])) return false;
    for (uint32_t k = 0; k < list->nkids; k++)
        while (member->all.n < v->families[cell][k].n)
            add(x, &member->all, NULL, NULL, arena_printf(a, "%u", member->all.n + 1));
    return true;
}

/* Whether the cells differ in which values they have; those of a plain axis are as long as the axis afterwards. */
static bool is_ragged(Experiment *x, AxisValues *v, uint32_t ncells, bool families) {
    bool ragged = false;
    for (uint32_t c = 0; c < ncells; c++) {
        experiment_place(x, v->given, c);
        while (!families && v->cells[c].n < v->all.n) add(x, &v->cells[c], NULL, NULL, NULL);
        if (experiment_absent(x, v->given)) continue;
        for (uint32_t k = 0; k < v->all.n; k++)
            ragged = ragged || (families ? v->families[c][k].n != v->families[0][k].n : !v->cells[c].items[k].ast);
    }
    return ragged;
}

static bool expand_axis(Experiment *x, uint32_t k, const Ast *list) {
    Arena *a = arena_of(x);
    AxisValues *v = &x->values[k], *member = x->axes.axis[k].part == AXIS_FAMILY ? &x->values[k + 1] : NULL;
    v->given = is_written_out(list) ? 0 : x->axes.shown[x->item] | x->axes.hidden[x->item];
    const uint32_t n = experiment_count(x, v->given);
    if (n > MOST_CELLS) {
        Scope s = experiment_scope(x);
        elab_error(&s, DIAG_E0601, list->range, "the sweeps that this list mentions have more than %d cells",
                   MOST_CELLS);
        return false;
    }
    v->cells = arena_alloc(a, (n + 1) * sizeof *v->cells);
    v->families = arena_alloc(a, (n + 1) * sizeof *v->families);
    for (uint32_t c = 0; c < n; c++) {
        experiment_place(x, v->given, c);
        const bool absent = experiment_absent(x, v->given);
        if (absent && member) v->families[c] = arena_alloc(a, (list->nkids + 1) * sizeof **v->families);
        if (!absent && !expand_cell(x, list, v, member, c)) return false;
    }
    v->ragged = is_ragged(x, v, n, member);
    if (v->all.n > MOST_CELLS) {
        Scope s = experiment_scope(x);
        return too_many(&s, list->range);
    }
    memset(x->at, 0, x->axes.n * sizeof *x->at);
    return true;
}

bool experiment_expand(Experiment *x, const Ast *sweep) {
    for (uint32_t k = 0; k < x->axes.nsweeps; k++) {
        const Axis *axis = &x->axes.axis[k];
        if (axis->sweep != sweep) continue;
        if (axis->part != AXIS_MEMBER && !expand_axis(x, k, AST_SLOT(sweep, SWEEP, values))) return false;
    }
    for (uint32_t k = x->axes.nsweeps; k < x->axes.n; k++) /* choices of them */
        for (uint32_t i = 0; i < x->axes.nsweeps && x->axes.axis[k].sweep == sweep; i++)
            if (x->axes.axis[i].sweep == sweep && x->axes.axis[i].part == x->axes.axis[k].part)
                x->values[k] = x->values[i];
    return true;
}

const Element *experiment_element(const Experiment *x, uint32_t axis) {
    const AxisValues *v = &x->values[axis];
    const uint32_t at = x->at[axis], cell = experiment_cell(x, v->given);
    const Element *e = NULL;
    if (x->axes.axis[axis].part == AXIS_WHOLE)
        e = v->cells && at < v->cells[cell].n ? &v->cells[cell].items[at] : NULL;
    else if (x->axes.axis[axis].part == AXIS_FAMILY && !x->axes.axis[axis].choice && v->families)
        e = x->at[axis + 1] < v->families[cell][at].n ? &v->families[cell][at].items[x->at[axis + 1]] : NULL;
    return e && e->ast ? e : NULL;
}

/* Most members that a family has. */
static uint32_t members_of(const Experiment *x, const AxisValues *v, uint32_t family) {
    uint32_t most = 0;
    for (uint32_t c = 0; c < experiment_count(x, v->given); c++)
        if (v->families[c] && v->families[c][family].n > most) most = v->families[c][family].n;
    return most;
}

bool experiment_absent(const Experiment *x, AxisSet axes) {
    for (uint32_t k = 0; k < x->axes.n; k++) {
        const AxisValues *v = &x->values[k];
        if (!(axes & AXIS(k))) continue;
        const bool given = !(v->given & ~axes);
        if (x->axes.axis[k].part == AXIS_WHOLE && v->ragged && given && !experiment_element(x, k)) return true;
        if (x->axes.axis[k].part != AXIS_FAMILY || x->axes.axis[k].choice || !(axes & AXIS(k + 1))) continue;
        if (given ? !experiment_element(x, k) : x->at[k + 1] >= members_of(x, v, x->at[k])) return true;
    }
    return false;
}

/* Of a ragged axis: the axes that decide, and for each of their cells the places of the values that it has, or of families
 * how many members each has. */
static void add_given(const Experiment *x, uint32_t k, json_t *j) {
    const AxisValues *v = &x->values[k];
    Experiment at = *x;
    AxisSet given = v->given;
    for (uint32_t i = x->axes.nsweeps; i < x->axes.n; i++) given &= ~AXIS(i); /* a choice changes no list's length */
    json_t *cells = json_array();
    at.at = arena_alloc(arena_of(x), (x->axes.n + 1) * sizeof *at.at);
    for (uint32_t c = 0; c < experiment_count(x, given); c++) {
        json_t *own = json_array();
        experiment_place(&at, given, c);
        const uint32_t cell = experiment_cell(&at, v->given);
        for (uint32_t i = 0; i < v->all.n; i++)
            if (x->axes.axis[k].part == AXIS_FAMILY)
                json_array_append_new(own, json_integer(v->families[cell][i].n));
            else if (v->cells[cell].items[i].ast)
                json_array_append_new(own, json_integer(i));
        json_array_append_new(cells, own);
    }
    json_object_set_new(j, "given", axes_json(given));
    json_object_set_new(j, "present", cells);
}

/* The members of a family, in the cell where it has most. */
static const Elements *longest_of(const Experiment *x, const AxisValues *v, uint32_t family) {
    const Elements *longest = &v->families[0][family];
    for (uint32_t c = 0; c < experiment_count(x, v->given); c++)
        if (v->families[c][family].n > longest->n) longest = &v->families[c][family];
    return longest;
}

/* What the members at this place are called in the families of the sweep, "2 or 9"; "no. 3" where that is more than two
 * things. */
static const char *member_label(const Experiment *x, const Axis *axis, uint32_t place) {
    const AxisValues *v = NULL;
    const char *labels[2] = {0};
    for (uint32_t k = 0; k < x->axes.nsweeps; k++)
        if (x->axes.axis[k].sweep == axis->sweep && x->axes.axis[k].part == AXIS_FAMILY) v = &x->values[k];
    for (uint32_t f = 0; f < v->all.n; f++) {
        const Elements *members = longest_of(x, v, f);
        const char *label = place < members->n ? members->items[place].label : NULL;
        if (!label || strcmp(label, v->all.items[f].label) == 0) continue; /* a value that stands alone */
        uint32_t k = 0;
        while (k < 2 && labels[k] && strcmp(labels[k], label) != 0) k++;
        if (k == 2) return arena_printf(arena_of(x), "no. %u", place + 1);
        labels[k] = label;
    }
    return !labels[0]   ? arena_printf(arena_of(x), "%u", place + 1)
           : !labels[1] ? labels[0]
                        : arena_printf(arena_of(x), "%s or %s", labels[0], labels[1]);
}

json_t *experiment_axis_json(const Experiment *x, uint32_t k) {
    const AxisValues *v = &x->values[k];
    const Axis *axis = &x->axes.axis[k];
    json_t *texts = json_array();
    for (uint32_t i = 0; i < v->all.n; i++)
        json_array_append_new(
            texts, json_string(axis->part == AXIS_MEMBER ? member_label(x, axis, i) : v->all.items[i].label));
    json_t *j = json_pack("{s:s, s:o}", "name", axis->name, "values", texts);
    if (axis->choice) json_object_set_new(j, "choice", json_string(axis->name));
    if (axes_of_seeds(&x->axes) & AXIS(k)) json_object_set_new(j, "seed", json_true());
    if (v->ragged && !(axis->part == AXIS_FAMILY && axis->choice)) add_given(x, k, j);
    if (axis->part != AXIS_FAMILY || axis->choice) return j;
    json_t *families = json_array();
    for (uint32_t f = 0; f < v->all.n; f++) {
        const Elements *longest = longest_of(x, v, f);
        json_t *members = json_array();
        for (uint32_t i = 0; i < longest->n; i++) json_array_append_new(members, json_string(longest->items[i].label));
        json_array_append_new(families, members);
    }
    json_object_set_new(j, "members", families);
    return j;
}
