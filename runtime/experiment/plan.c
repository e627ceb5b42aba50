/* plan.c - deq run --plan: what a script would train, attack and evaluate, before anything runs.
 *
 * What two experiments, or two nets of one, have together is made once: the keys of the cache decide whether training
 * runs, or evaluations, are the same. */
#include "arrays.h"
#include "run.h"
#include "expected.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Plan {
    int trainings, evaluations, attacks;
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

/* ---- training runs ---- */
static bool plan_train(Plan *plan, const deq_train_spec *t, deq_error *e) {
    const deq_model *model = deq_expected_model(&plan->expected, t, e);
    if (!model) return false;
    if (!is_new(plan, json_pack("{s:s}", "trained", model->key))) return true;
    plan->trainings++;
    return deq_expected_train(&plan->expected, t, e);
}

/* ---- evaluations ---- */
/* Evaluations that differ in their defence alone share where the attack leads; those under an attack against another net
 * share it whatever they are of. */
static bool attacks_anew(deq_app *app, const deq_found *of, Plan *plan) {
    const deq_value_spec *v = of->value;
    const deq_model *net = v->attack->against.found ? v->attack->against.found : of->model;
    const deq_override *own = v->attack->against.found ? v->attack->against.settings : v->overrides;
    const int n = v->attack->against.found ? v->attack->against.nsettings : v->noverrides;
    json_t *settings = json_array(),
           *key = json_pack("{s:s, s:s, s:b, s:I, s:I, s:o, s:o}", "net", net->key, "data", v->data.data->name, "test",
                            v->data.test, "from", (json_int_t)of->from, "to", (json_int_t)of->to, "attack",
                            deq_app_attack_key(app, v->attack), "settings", settings);
    for (int i = 0; i < n; i++)
        if (strcmp(own[i].path, "defence"))
            json_array_append_new(settings, json_pack("[s, s]", own[i].path, own[i].value));
    return is_new(plan, key);
}

/* One that waits for a choice is like no other: what it is of is not known. */
static bool evaluates_anew(const deq_array_spec *a, const deq_found *of, Plan *plan) {
    return a->ncells > a->naxes || is_new(plan, json_pack("{s:s, s:I, s:I}", "evaluated", of->key, "from",
                                                          (json_int_t)of->from, "to", (json_int_t)of->to));
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
static int count_cells(deq_app *app, const deq_experiment_spec *x, const deq_array_spec *a, Plan *plan, deq_error *e) {
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
        deq_found found;
        if (!(ok = likeliest(plan, x, a, at, &found, e))) continue;
        const bool new = evaluates_anew(a, &found, plan);
        const bool attacks = found.value->attack && attacks_anew(app, &found, plan) && new;
        plan->evaluations += new;
        plan->attacks += attacks;
        ok = !new || deq_expected_evaluate(&plan->expected, &found, attacks, e);
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
    Plan plan = {.seen = json_object()};
    bool ok = deq_expected_open(&plan.expected, app, e);
    for (int i = 0; ok && i < m->nrun; i++) {
        const deq_experiment_spec *x = m->run[i].experiment;
        if (m->run[i].train) deq_report(&app->reporter, "train %s", m->run[i].train->name);
        if (m->run[i].train) ok = plan_train(&plan, m->run[i].train, e);
        if (!x) continue;
        deq_report(&app->reporter, "experiment %s", x->name);
        for (int k = 0; ok && k < x->narrays; k++) {
            const deq_array_spec *a = &x->arrays[k];
            if (!a->trains && !a->values) continue;
            const int cells = count_cells(app, x, a, &plan, e);
            ok = cells >= 0;
            if (ok) say(app, x, a, cells);
        }
    }
    if (ok) conclude(app, &plan);
    deq_expected_close(&plan.expected);
    json_decref(plan.seen);
    return ok;
}
