/* plan.c - deq run --plan: what a script would train, attack and evaluate, before anything runs.
 *
 * What two experiments have together is made once, as the cache does: what the manifest says of two training runs, or
 * evaluations, without their names decides whether they are the same. */
#include "arrays.h"
#include <stdlib.h>
#include <string.h>

typedef struct Plan {
    int trainings, evaluations, attacks;
    json_t *nets; /* the number of each training run, by its address: equal runs have one */
    json_t *seen; /* by what decides them */
} Plan;

/* Whether nothing with this text has been met before; the object is let go of. */
static bool is_new(Plan *plan, json_t *what) {
    char *text = what ? json_dumps(what, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    const bool fresh = text && !json_object_get(plan->seen, text);
    if (fresh) json_object_set_new(plan->seen, text, json_true());
    free(text);
    json_decref(what);
    return fresh;
}

/* What the manifest says, without names and lines. */
static json_t *unnamed(const json_t *said, const char *kind) {
    json_t *what = json_copy((json_t *)(uintptr_t)said);
    json_object_del(what, "name");
    json_object_del(what, "line");
    json_object_del(what, "audit");
    json_object_set_new(what, "kind", json_string(kind));
    static const char *const slices[] = {"data", "validate"};
    for (size_t i = 0; i < sizeof slices / sizeof *slices; i++) {
        json_t *slice = json_copy(json_object_get(what, slices[i]));
        if (slice) json_object_del(slice, "line"), json_object_set_new(what, slices[i], slice);
    }
    return what;
}

/* ---- training runs ---- */
static json_int_t net_of(const Plan *plan, const deq_train_spec *t) {
    char address[32];
    snprintf(address, sizeof address, "%p", (const void *)t);
    return json_integer_value(json_object_get(plan->nets, address));
}

static void number_train(Plan *plan, json_t *numbers, const deq_train_spec *t, const json_t *said) {
    char address[32];
    json_t *what = json_is_object(said) ? unnamed(said, "train") : NULL;
    char *text = what ? json_dumps(what, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(what);
    if (!text) return;
    if (!json_object_get(numbers, text))
        json_object_set_new(numbers, text, json_integer(1 + (json_int_t)json_object_size(numbers)));
    snprintf(address, sizeof address, "%p", (const void *)t);
    json_object_set(plan->nets, address, json_object_get(numbers, text));
    free(text);
}

static const json_t *item(const json_t *o, const char *list, int at) {
    return json_array_get(json_object_get(o, list), (size_t)at);
}

static void number_trains(Plan *plan, const deq_manifest *m) {
    json_t *numbers = json_object();
    for (int i = 0; i < m->ntrains; i++) number_train(plan, numbers, &m->trains[i], item(m->json, "trains", i));
    for (int i = 0; i < m->nexperiments; i++)
        for (int k = 0; k < m->experiments[i].narrays; k++) {
            const deq_array_spec *a = &m->experiments[i].arrays[k];
            const json_t *said = item(item(m->json, "experiments", i), "arrays", k);
            for (int c = 0; a->trains && c < a->nspecs; c++)
                number_train(plan, numbers, &a->trains[c], item(said, "trains", c));
        }
    json_decref(numbers);
}

static bool trains_anew(Plan *plan, const deq_train_spec *t) {
    return is_new(plan, json_pack("{s:I}", "trained", net_of(plan, t)));
}

/* ---- evaluations ---- */
/* Evaluations that differ in their defence alone share where the attack leads; those under an attack against another net
 * share it whatever they are of. */
static bool attacks_anew(deq_app *app, const deq_experiment_spec *x, const deq_value_spec *v, const int *at,
                         Plan *plan) {
    const char *other = v->attack->against.model;
    const deq_override *own = other ? v->attack->against.settings : v->overrides;
    const int n = other ? v->attack->against.nsettings : v->noverrides;
    const json_int_t net = net_of(plan, deq_axes_train(app->manifest, x, other ? other : v->model, at));
    json_t *settings = json_array(),
           *key = json_pack("{s:I, s:s, s:b, s:I, s:I, s:o, s:o}", "net", net, "data", v->data.data->name, "test",
                            v->data.test, "from", (json_int_t)v->data.from, "to", (json_int_t)v->data.to, "attack",
                            deq_app_attack_key(app, v->attack), "settings", settings);
    for (int i = 0; i < n; i++)
        if (strcmp(own[i].path, "defence"))
            json_array_append_new(settings, json_pack("[s, s]", own[i].path, own[i].value));
    return is_new(plan, key);
}

/* One that waits for a choice is like no other: what it is of is not known. */
static bool evaluates_anew(deq_app *app, const deq_experiment_spec *x, const deq_array_spec *a, const json_t *said,
                           const deq_value_spec *v, const int *at, Plan *plan) {
    if (a->ncells > a->naxes) return true;
    json_t *what = unnamed(said, "evaluate");
    for (const deq_attack_spec *part = v->attack; part; part = part->next)
        if (part->against.model) json_object_set_new(what, "experiment", json_string(x->name)); /* its net, by name */
    json_object_set_new(what, "model", json_integer(net_of(plan, deq_axes_train(app->manifest, x, v->model, at))));
    return is_new(plan, what);
}

/* Cells that exist; of those that wait for a choice one stands for all. */
static int count_cells(deq_app *app, int experiment, int array, Plan *plan) {
    const deq_experiment_spec *x = &app->manifest->experiments[experiment];
    const deq_array_spec *a = &x->arrays[array];
    const json_t *said = item(item(app->manifest->json, "experiments", experiment), "arrays", array);
    int *at = calloc((size_t)x->naxes + 1, sizeof *at), cells = 0;
    const int n = at ? deq_axes_count(x, a->axes, a->naxes) : 0;
    for (int i = 0; i < n; i++) {
        deq_axes_place(x, a->axes, a->naxes, i, at);
        if (deq_axes_absent(x, a->axes, a->naxes, at)) continue;
        const int spec = deq_axes_cell(x, a->cells, a->ncells, at);
        cells++;
        if (a->trains) {
            plan->trainings += trains_anew(plan, &a->trains[spec]);
            continue;
        }
        plan->evaluations += evaluates_anew(app, x, a, item(said, "cells", spec), &a->values[spec], at, plan);
        if (a->values[spec].attack) plan->attacks += attacks_anew(app, x, &a->values[spec], at, plan);
    }
    free(at);
    return cells;
}

static void say(deq_app *app, const deq_experiment_spec *x, const deq_array_spec *a, int cells) {
    char axes[400] = "", waits[200] = "";
    for (int k = 0; k < a->ncells; k++) {
        const bool choice = x->axes[a->cells[k]].choice >= 0;
        char *to = choice ? waits : axes;
        const size_t size = choice ? sizeof waits : sizeof axes, used = strlen(to);
        snprintf(to + used, size - used, "%s%s", used ? ", " : "", x->axes[a->cells[k]].name);
    }
    deq_report(&app->reporter, "  %s: %d %s%s%s%s%s%s", a->name, cells,
               a->trains    ? cells == 1 ? "training" : "trainings"
               : cells == 1 ? "evaluation"
                            : "evaluations",
               *axes ? " over " : "", axes, a->values && a->values[0].attack ? ", under attack" : "",
               *waits ? ", waits for " : "", waits);
}

void deq_app_plan(deq_app *app) {
    const deq_manifest *m = app->manifest;
    Plan plan = {.nets = json_object(), .seen = json_object()};
    number_trains(&plan, m);
    for (int i = 0; i < m->nrun; i++) {
        const deq_experiment_spec *x = m->run[i].experiment;
        if (m->run[i].train) deq_report(&app->reporter, "train %s", m->run[i].train->name);
        if (m->run[i].train) plan.trainings += trains_anew(&plan, m->run[i].train);
        if (!x) continue;
        deq_report(&app->reporter, "experiment %s", x->name);
        for (int k = 0; k < x->narrays; k++) {
            const deq_array_spec *a = &x->arrays[k];
            if (!a->trains && !a->values) continue;
            say(app, x, a, count_cells(app, (int)(x - m->experiments), k, &plan));
        }
    }
    deq_report(&app->reporter,
               "in all %d trainings and %d evaluations, which share %d attacks; what the cache holds is not made again",
               plan.trainings, plan.evaluations, plan.attacks);
    deq_report_event(&app->reporter, "plan",
                     json_pack("{s:i, s:i, s:i}", "trainings", plan.trainings, "evaluations", plan.evaluations,
                               "attacks", plan.attacks));
    json_decref(plan.nets);
    json_decref(plan.seen);
}
