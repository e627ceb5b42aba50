/* plan.c - deq run --plan: what a script would train, attack and evaluate, before anything runs.
 *
 * What two experiments have together is made once, as the cache does: what the manifest says of two training runs, or
 * evaluations, without their names decides whether they are the same. */
#include "arrays.h"
#include "run.h"
#include "expected.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Plan {
    int trainings, evaluations, attacks;
    json_t *nets; /* the number of each training run, by its address: equal runs have one */
    json_t *seen; /* by what decides them */
    deq_expected expected;
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
    json_object_del(what, "checkpoint");
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
    if (t->start.of) json_object_set_new(what, "start", json_integer(net_of(plan, t->start.of)));
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

static bool plan_train(Plan *plan, const deq_train_spec *t, deq_error *e) {
    if (!trains_anew(plan, t)) return true;
    plan->trainings++;
    return deq_expected_train(&plan->expected, t, e);
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

/* The next place of the choices that the array waits for; false: that was the last. */
static bool next_choice(const deq_experiment_spec *x, const deq_array_spec *a, int *at) {
    for (int k = a->ncells; k-- > 0;) {
        const int axis = a->cells[k];
        if (x->axes[axis].choice < 0) continue;
        if (++at[axis] < x->axes[axis].nvalues) return true;
        at[axis] = 0;
    }
    return false;
}

/* Of an evaluation that waits for choices: as it is by those of which most is known, which an earlier run has made. */
static bool likeliest(Plan *plan, const deq_experiment_spec *x, const deq_array_spec *a, int *at, deq_found *out,
                      deq_error *e) {
    *out = (deq_found){.found = -1};
    do {
        const deq_value_spec *v = &a->values[deq_axes_cell(x, a->cells, a->ncells, at)];
        deq_found one;
        if (!v->name || deq_axes_absent(x, a->cells, a->ncells, at)) continue; /* no member of its family */
        if (!deq_expected_found(&plan->expected, x, v, at, &one, e)) return false;
        if (one.found > out->found) *out = one;
    } while (next_choice(x, a, at));
    return out->value ||
           deq_fail(e, DEQ_MODULE, "value '%s' of '%s' has a cell without a specification", a->name, x->name);
}

/* Cells that exist, -1 on failure; of those that wait for a choice one stands for all. */
static int count_cells(deq_app *app, int experiment, int array, Plan *plan, deq_error *e) {
    const deq_experiment_spec *x = &app->manifest->experiments[experiment];
    const deq_array_spec *a = &x->arrays[array];
    const json_t *said = item(item(app->manifest->json, "experiments", experiment), "arrays", array);
    int *at = calloc((size_t)x->naxes + 1, sizeof *at), cells = 0;
    const int n = at ? deq_axes_count(x, a->axes, a->naxes) : 0;
    bool ok = at || deq_fail(e, DEQ_MEMORY, "out of memory for a plan");
    for (int i = 0; ok && i < n; i++) {
        deq_axes_place(x, a->axes, a->naxes, i, at);
        if (deq_axes_absent(x, a->axes, a->naxes, at)) continue;
        const int spec = deq_axes_cell(x, a->cells, a->ncells, at);
        cells++;
        if (a->trains) {
            ok = plan_train(plan, &a->trains[spec], e);
            continue;
        }
        const deq_value_spec *v = &a->values[spec];
        const bool new = evaluates_anew(app, x, a, item(said, "cells", spec), v, at, plan);
        const bool attacks = v->attack && attacks_anew(app, x, v, at, plan);
        plan->evaluations += new;
        plan->attacks += attacks;
        deq_found found;
        ok = !new ||
             (likeliest(plan, x, a, at, &found, e) && deq_expected_evaluate(&plan->expected, &found, attacks, e));
    }
    free(at);
    return ok ? cells : -1;
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

/* "about 12.3 MB" and "about 1:05:00", of what is only about right. */
static void print_bytes(char *out, size_t size, double bytes) {
    snprintf(out, size, bytes < 1e6 ? "%.0f kB" : "%.1f MB", bytes < 1e6 ? ceil(bytes / 1e3) : bytes / 1e6);
}

static void conclude(deq_app *app, const Plan *plan) {
    const deq_expected *x = &plan->expected;
    char time[32], disk[32], memory[32];
    deq_print_duration(time, sizeof time, x->seconds);
    print_bytes(disk, sizeof disk, (double)x->bytes);
    print_bytes(memory, sizeof memory, (double)deq_expected_memory(x));
    deq_report(&app->reporter,
               "in all %d trainings and %d evaluations, which share %d attacks; what the cache holds is not made again",
               plan->trainings, plan->evaluations, plan->attacks);
    deq_report(&app->reporter, "the cache holds %d of the trainings, and %lld of %lld evaluated examples",
               x->trainings_found, (long long)x->examples_found, (long long)x->examples);
    deq_report(
        &app->reporter,
        "the rest takes %sabout %s, %s of files and %s of memory, by a batch of each training and a few examples "
        "of each evaluation%s; audits, validation and other programs are not counted",
        x->at_most ? "at most " : "", time, disk, memory,
        x->at_most ? ", with attacks on untrained nets timed as if no example broke" : "");
    deq_report_event(&app->reporter, "plan",
                     json_pack("{s:i, s:i, s:i, s:i, s:I, s:I, s:f, s:b, s:I, s:I}", "trainings", plan->trainings,
                               "evaluations", plan->evaluations, "attacks", plan->attacks, "trainings_found",
                               x->trainings_found, "examples", (json_int_t)x->examples, "examples_found",
                               (json_int_t)x->examples_found, "seconds", x->seconds, "at_most", x->at_most, "bytes",
                               (json_int_t)x->bytes, "memory", (json_int_t)deq_expected_memory(x)));
}

bool deq_app_plan(deq_app *app, deq_error *e) {
    const deq_manifest *m = app->manifest;
    Plan plan = {.nets = json_object(), .seen = json_object()};
    bool ok = deq_expected_open(&plan.expected, app, e);
    number_trains(&plan, m);
    for (int i = 0; ok && i < m->nrun; i++) {
        const deq_experiment_spec *x = m->run[i].experiment;
        if (m->run[i].train) deq_report(&app->reporter, "train %s", m->run[i].train->name);
        if (m->run[i].train) ok = plan_train(&plan, m->run[i].train, e);
        if (!x) continue;
        deq_report(&app->reporter, "experiment %s", x->name);
        for (int k = 0; ok && k < x->narrays; k++) {
            const deq_array_spec *a = &x->arrays[k];
            if (!a->trains && !a->values) continue;
            const int cells = count_cells(app, (int)(x - m->experiments), k, &plan, e);
            ok = cells >= 0;
            if (ok) say(app, x, a, cells);
        }
    }
    if (ok) conclude(app, &plan);
    deq_expected_close(&plan.expected);
    json_decref(plan.nets);
    json_decref(plan.seen);
    return ok;
}
