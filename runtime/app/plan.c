/* plan.c - deq run --plan: what a script would train, attack and evaluate, before anything runs. */
#include "arrays.h"
#include <stdlib.h>
#include <string.h>

typedef struct Plan {
    int trainings, evaluations, attacks;
    json_t *seen; /* attacks by what decides where they lead */
} Plan;

/* Evaluations that differ in their defence alone share where the attack leads; those under an attack against another net
 * share it whatever they are of. */
static void count_attack(deq_app *app, const deq_experiment_spec *x, const deq_value_spec *v, const int *at,
                         Plan *plan) {
    if (!v->attack) return;
    const char *other = v->attack->against.model;
    const deq_override *own = other ? v->attack->against.settings : v->overrides;
    const int n = other ? v->attack->against.nsettings : v->noverrides;
    char net[32];
    snprintf(net, sizeof net, "%p", (const void *)deq_axes_train(app->manifest, x, other ? other : v->model, at));
    json_t *settings = json_array(),
           *key = json_pack("{s:s, s:s, s:b, s:I, s:I, s:o, s:o}", "net", net, "data", v->data.data->name, "test",
                            v->data.test, "from", (json_int_t)v->data.from, "to", (json_int_t)v->data.to, "attack",
                            deq_app_attack_key(app, v->attack), "settings", settings);
    for (int i = 0; i < n; i++)
        if (strcmp(own[i].path, "defence"))
            json_array_append_new(settings, json_pack("[s, s]", own[i].path, own[i].value));
    char *text = key ? json_dumps(key, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    if (text && !json_object_get(plan->seen, text)) {
        json_object_set_new(plan->seen, text, json_true());
        plan->attacks++;
    }
    free(text);
    json_decref(key);
}

/* Cells that exist; of those that wait for a choice one stands for all. */
static int count_cells(deq_app *app, const deq_experiment_spec *x, const deq_array_spec *a, Plan *plan) {
    int *at = calloc((size_t)x->naxes + 1, sizeof *at), cells = 0;
    const int n = at ? deq_axes_count(x, a->axes, a->naxes) : 0;
    for (int i = 0; i < n; i++) {
        deq_axes_place(x, a->axes, a->naxes, i, at);
        if (deq_axes_absent(x, a->axes, a->naxes, at)) continue;
        cells++;
        if (a->values) count_attack(app, x, &a->values[deq_axes_cell(x, a->cells, a->ncells, at)], at, plan);
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
    Plan plan = {.trainings = 0, .seen = json_object()};
    for (int i = 0; i < m->nrun; i++) {
        const deq_experiment_spec *x = m->run[i].experiment;
        if (m->run[i].train) deq_report(&app->reporter, "train %s", m->run[i].train->name);
        plan.trainings += m->run[i].train != NULL;
        if (!x) continue;
        deq_report(&app->reporter, "experiment %s", x->name);
        for (int k = 0; k < x->narrays; k++) {
            const deq_array_spec *a = &x->arrays[k];
            if (!a->trains && !a->values) continue;
            const int cells = count_cells(app, x, a, &plan);
            *(a->trains ? &plan.trainings : &plan.evaluations) += cells;
            say(app, x, a, cells);
        }
    }
    deq_report(&app->reporter,
               "in all %d trainings and %d evaluations, which share %d attacks; what the cache holds is not made again",
               plan.trainings, plan.evaluations, plan.attacks);
    deq_report_event(&app->reporter, "plan",
                     json_pack("{s:i, s:i, s:i}", "trainings", plan.trainings, "evaluations", plan.evaluations,
                               "attacks", plan.attacks));
    json_decref(plan.seen);
}
