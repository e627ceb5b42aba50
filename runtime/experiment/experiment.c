/* experiment.c - the cells of an experiment in order, then its tables, figures and claims. */
#define _GNU_SOURCE
#include "experiment.h"
#include "run.h"
#include "claims.h"
#include "figure.h"
#include "lines.h"
#include "output.h"
#include "verdicts.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- training runs ---- */
/* Trained, and with its picture and its diagnosis. */
static deq_model *train_model(deq_app *app, const deq_train_spec *t, char *label, char *stem, deq_error *e) {
    deq_model *model = label && stem ? deq_app_train(app, t, label, stem, e) : NULL;
    if (!label || !stem) deq_fail(e, DEQ_MEMORY, "out of memory");
    free(label);
    free(stem);
    return model && deq_app_diagnose(app, model, e) && deq_app_plot(app, model, e) ? model : NULL;
}

bool deq_experiment_train(deq_arrays *g, int array, const int *at, deq_error *e) {
    const deq_array_spec *a = &g->x->arrays[array];
    deq_cell *c = deq_arrays_cell(g, array, at);
    int *place = calloc((size_t)g->x->naxes + 1, sizeof *place);
    bool ok = place ? deq_arrays_choose(g, array, at, place, e) : deq_fail(e, DEQ_MEMORY, "out of memory");
    const int spec = ok ? deq_axes_cell(g->x, a->cells, a->ncells, place) : 0;
    const deq_train_spec *t = &a->trains[spec];
    ok = ok && (!t->start.of || deq_experiment_model(g, t->start.train, place, e)); /* with its own name and pictures */
    if (ok) {
        c->model = train_model(g->app, t, deq_axes_label(g->x, -1, a->cells, a->ncells, place, a->name),
                               deq_experiment_stem(g->app, g->x, a, spec), e);
        ok = c->model != NULL;
    }
    free(place);
    return ok;
}

/* A training run of the file, trained now if nothing ran it before. */
static deq_model *model_of_file(deq_app *app, const char *name, deq_error *e) {
    const deq_train_spec *t = deq_manifest_train(app->manifest, name, NULL);
    if (!t) return deq_fail(e, DEQ_MODULE, "there is no model '%s'", name), NULL;
    deq_model *kept = deq_app_kept(app, t);
    return kept ? kept : train_model(app, t, strdup(name), deq_path_component(name), e);
}

static int train_named(const deq_experiment_spec *x, const char *name) {
    for (int i = 0; i < x->narrays; i++)
        if (x->arrays[i].kind == DEQ_ARRAY_train && !strcmp(x->arrays[i].name, name)) return i;
    return -1;
}

deq_model *deq_experiment_model(deq_arrays *g, const char *name, const int *at, deq_error *e) {
    const int train = train_named(g->x, name);
    if (train < 0) return model_of_file(g->app, name, e);
    return deq_arrays_need(g, train, at, e) ? deq_arrays_cell(g, train, at)->model : NULL;
}

/* ---- evaluations ---- */
/* The nets that the parts of an attack ask, in this cell. */
static bool find_against(deq_arrays *g, deq_attack_spec *a, const int *at, deq_error *e) {
    for (; a; a = a->next)
        if (a->against.model && !(a->against.found = deq_experiment_model(g, a->against.model, at, e))) return false;
    return true;
}

static bool same_settings(const deq_value_spec *a, const deq_value_spec *b) {
    if (a->noverrides != b->noverrides) return false;
    for (int i = 0; i < a->noverrides; i++)
        if (strcmp(a->overrides[i].path, b->overrides[i].path) || strcmp(a->overrides[i].value, b->overrides[i].value))
            return false;
    return true;
}

static bool same_examples(const deq_value_spec *a, const deq_value_spec *b) {
    return a->data.data == b->data.data && a->data.test == b->data.test && a->data.from == b->data.from &&
           a->data.to == b->data.to;
}

/* The first of the evaluations that have been made which `takes` says yes to, or NULL. */
static const deq_cell *find_evaluation(const deq_arrays *g, const deq_cell *of,
                                       bool (*takes)(const deq_cell *made, const deq_cell *of)) {
    for (int i = 0; i < g->x->narrays; i++) {
        const deq_array_spec *a = &g->x->arrays[i];
        const int n = a->kind == DEQ_ARRAY_evaluate ? deq_axes_count(g->x, a->axes, a->naxes) : 0;
        for (int k = 0; k < n; k++)
            if (g->cells[i][k].done && g->cells[i][k].sampled && takes(&g->cells[i][k], of)) return &g->cells[i][k];
    }
    return NULL;
}

/* Of the same net, v is the evaluation `of` without its attack. */
static bool is_clean(const deq_value_spec *v, const deq_value_spec *of) {
    return !v->attack && !v->compared.of && same_examples(v, of) && same_settings(v, of);
}

static bool is_clean_of(const deq_cell *made, const deq_cell *of) {
    return made->model == of->model && is_clean(made->spec, of->spec);
}

static bool judge(deq_arrays *g, deq_cell *c, deq_error *e) {
    deq_audit *audit = NULL;
    deq_evaluation *v = c->evaluation;
    if (!c->spec->attack) return true;
    if ((g->x->audit || g->app->options->audit) &&
        !deq_app_audit(g->app, c->model, c->spec, v, g->x->whole_audit, &audit, e))
        return false;
    const deq_cell *clean = find_evaluation(g, c, is_clean_of);
    c->verdict = deq_judge(&(deq_judged){v->records, clean ? clean->evaluation->records : NULL, v->examples,
                                         (int)g->app->module->real_bits, audit,
                                         deq_attack_transfers(c->spec->attack, c->model)});
    g->app->masked += c->verdict.level == DEQ_MASKED;
    deq_audit_free(audit);
    return true;
}

/* Whether a statistic of the evaluation is this mean over its examples. */
static bool is_asked(const deq_experiment_spec *x, const deq_array_spec *of, int mean) {
    for (int i = 0; i < x->narrays; i++) {
        const deq_array_spec *a = &x->arrays[i];
        if (a->kind == DEQ_ARRAY_statistic && &x->arrays[a->inputs[0]] == of && deq_mean_of(a->what) == mean)
            return true;
    }
    return false;
}

/* The values of its examples, for what is computed from it. */
static bool sample(deq_arrays *g, const deq_array_spec *a, deq_cell *c, deq_error *e) {
    const deq_evaluation *v = c->evaluation;
    const int group = deq_resamples_group(g, &v->slice, e);
    if (group < 0) return false;
    double *values = malloc((size_t)(v->examples + 1) * sizeof *values);
    c->sampled = calloc(1, sizeof *c->sampled);
    bool ok = values && c->sampled;
    for (int k = 0; k < DEQ_MEANS; k++)
        if (is_asked(g->x, a, k)) ok = (c->means[k] = malloc((size_t)(v->examples + 1) * sizeof(float))) && ok;
    if (!ok) return free(values), deq_fail(e, DEQ_MEMORY, "out of memory for an evaluation");
    for (int64_t i = 0; i < v->examples; i++) {
        values[i] = v->by_loss ? v->records[i].loss : v->records[i].metric;
        for (int k = 0; k < DEQ_MEANS; k++)
            if (c->means[k]) c->means[k][i] = deq_mean_value(&v->records[i], k);
    }
    *c->sampled = (deq_sampled){.values = values,
                                .share = v->share && !v->by_loss,
                                .n = v->examples,
                                .group = group,
                                .from = v->slice.from - g->groups[group].from};
    return true;
}

static bool evaluate(deq_arrays *g, const deq_array_spec *a, deq_cell *c, const int *place, deq_error *e) {
    c->spec = &a->values[deq_axes_cell(g->x, a->cells, a->ncells, place)];
    c->model = deq_experiment_model(g, c->spec->model, place, e);
    if (!c->model || !find_against(g, c->spec->attack, place, e) || !find_against(g, c->spec->audit.margin, place, e))
        return false;
    c->evaluation = calloc(1, sizeof *c->evaluation);
    if (!c->evaluation) return deq_fail(e, DEQ_MEMORY, "out of memory for an evaluation");
    if (!deq_app_evaluate(g->app, c->model, c->spec, c->evaluation, e) || !judge(g, c, e) || !sample(g, a, c, e))
        return false;
    c->value = c->spec->metric ? c->evaluation->metric : c->evaluation->loss;
    c->interval = c->evaluation->interval;
    c->examples = c->evaluation->examples;
    return true;
}

/* Records under an attack have said what they have to say; those without one tell later which examples were right. */
static void forget_records(const deq_arrays *g, deq_cell *c) {
    if (!c->spec->attack || (g->app->options->json && g->app->options->examples)) return;
    free(c->evaluation->records);
    c->evaluation->records = NULL;
}

/* Whether every place of array `of` is one of array a too, without a choice that may wait for it. */
static bool has_place(const deq_experiment_spec *x, const deq_array_spec *a, const deq_array_spec *of) {
    bool all = true;
    for (int k = 0; k < a->ncells && all; k++) {
        bool found = false;
        for (int j = 0; j < of->ncells; j++) found = found || of->cells[j] == a->cells[k];
        all = found && x->axes[a->cells[k]].choice < 0;
    }
    return all;
}

/* The verdict on an accuracy under attack compares it with the clean one, which may stand further down: it is made
 * before it, so that the order of lines changes no verdict.  place: that of `array`, with its choices. */
static bool need_clean(deq_arrays *g, int array, const int *at, const int *place, deq_error *e) {
    const deq_experiment_spec *x = g->x;
    const deq_array_spec *a = &x->arrays[array];
    const deq_value_spec *of = &a->values[deq_axes_cell(x, a->cells, a->ncells, place)];
    for (int i = 0; i < x->narrays && of->attack; i++) {
        const deq_array_spec *b = &x->arrays[i];
        if (b->kind != DEQ_ARRAY_evaluate || !has_place(x, b, a)) continue;
        const deq_value_spec *v = &b->values[deq_axes_cell(x, b->cells, b->ncells, place)];
        if (!strcmp(v->model, of->model) && is_clean(v, of) && !deq_arrays_cell(g, i, at)->waiting)
            return deq_arrays_need(g, i, at, e);
    }
    return true;
}

bool deq_experiment_evaluate(deq_arrays *g, int array, const int *at, deq_error *e) {
    const deq_array_spec *a = &g->x->arrays[array];
    deq_cell *c = deq_arrays_cell(g, array, at);
    int *place = calloc((size_t)g->x->naxes + 1, sizeof *place);
    bool ok = place ? deq_arrays_choose(g, array, at, place, e) : deq_fail(e, DEQ_MEMORY, "out of memory");
    ok = ok && need_clean(g, array, at, place, e) && evaluate(g, a, c, place, e) &&
         deq_experiment_picture(g, array, at, e);
    if (ok) forget_records(g, c);
    free(place);
    return ok;
}

/* Trained in the cell that has this place, with nothing drawn or said of it; the net that it begins with before it, under
 * its own name. */
static deq_model *model_alone(deq_app *app, const deq_experiment_spec *x, const char *name, const int *place,
                              deq_error *e) {
    const int train = train_named(x, name);
    if (train < 0) return model_of_file(app, name, e);
    const deq_array_spec *a = &x->arrays[train];
    const int cell = deq_axes_cell(x, a->cells, a->ncells, place);
    const deq_train_spec *t = &a->trains[cell];
    if (t->start.of && !model_alone(app, x, t->start.train, place, e)) return NULL;
    char *label = deq_axes_label(x, -1, a->cells, a->ncells, place, a->name),
         *stem = deq_experiment_stem(app, x, a, cell);
    deq_model *model = label && stem ? deq_app_train(app, t, label, stem, e) : NULL;
    if (!label || !stem) deq_fail(e, DEQ_MEMORY, "out of memory");
    free(label);
    free(stem);
    return model;
}

const deq_model *deq_app_evaluate_alone(deq_app *app, const deq_experiment_spec *x, const deq_array_spec *a, int spec,
                                        deq_evaluation *out, deq_error *e) {
    const deq_value_spec *v = &a->values[spec];
    int *place = calloc((size_t)x->naxes + 1, sizeof *place);
    bool ok = place || deq_fail(e, DEQ_MEMORY, "out of memory");
    if (ok) deq_axes_place(x, a->cells, a->ncells, spec, place);
    const deq_model *model = ok ? model_alone(app, x, v->model, place, e) : NULL;
    ok = model != NULL;
    for (deq_attack_spec *part = v->attack; ok && part; part = part->next)
        if (part->against.model) ok = (part->against.found = model_alone(app, x, part->against.model, place, e));
    free(place);
    return ok && deq_app_evaluate(app, model, v, out, e) ? model : NULL;
}

/* ---- order ---- */
/* Sweeps that a training run or an evaluation has together go round together: those of another experiment stand apart
 * from the own ones, and a grid of all would be as large as their product. */
typedef struct Round {
    int *sweeps, nsweeps; /* ascending; choices follow from them */
    bool *arrays;         /* whose axes are among them */
} Round;

/* The first axis that each is connected with; choices: -1. */
static void find_groups(const deq_experiment_spec *x, int *group) {
    for (int k = 0; k < x->naxes; k++) group[k] = x->axes[k].choice < 0 ? k : -1;
    for (bool changed = true; changed;) {
        changed = false;
        for (int i = 0; i < x->narrays; i++) {
            const deq_array_spec *a = &x->arrays[i];
            if (a->kind != DEQ_ARRAY_train && a->kind != DEQ_ARRAY_evaluate) continue;
            for (int k = 1; k < a->naxes; k++) {
                int *one = &group[a->axes[k]], *other = &group[a->axes[k - 1]];
                if (*one == *other) continue;
                *one = *other = *one < *other ? *one : *other;
                changed = true;
            }
        }
    }
}

static bool round_open(Round *r, const deq_experiment_spec *x, const int *group, int which) {
    *r = (Round){.sweeps = calloc((size_t)x->naxes + 1, sizeof *r->sweeps),
                 .arrays = calloc((size_t)x->narrays + 1, sizeof *r->arrays)};
    if (!r->sweeps || !r->arrays) return false;
    for (int k = 0; k < x->naxes; k++)
        if (group[k] == which && x->axes[k].choice < 0) r->sweeps[r->nsweeps++] = k;
    for (int i = 0; i < x->narrays; i++) {
        r->arrays[i] = true;
        for (int k = 0; k < x->arrays[i].naxes; k++)
            r->arrays[i] = r->arrays[i] && group[x->arrays[i].axes[k]] == which;
    }
    return true;
}

static void round_close(Round *r) {
    free(r->sweeps);
    free(r->arrays);
}

/* Whether something of the combination has not been made before it, as far as its place tells. */
static bool is_first(const deq_experiment_spec *x, const Round *r, const int *at) {
    for (int i = 0; i < x->narrays; i++) {
        const deq_array_spec *a = &x->arrays[i];
        bool others = r->arrays[i]; /* the first of all with this place on the array's axes */
        if (a->kind != DEQ_ARRAY_train && a->kind != DEQ_ARRAY_evaluate) continue;
        for (int k = 0; k < r->nsweeps && others; k++) {
            bool own = false;
            for (int j = 0; j < a->naxes; j++) own = own || a->axes[j] == r->sweeps[k];
            others = own || at[r->sweeps[k]] == 0;
        }
        if (others) return true;
    }
    return false;
}

static bool is_new(const deq_arrays *g, const Round *r, const int *at) {
    for (int i = 0; i < g->x->narrays; i++)
        if (r->arrays[i] && !deq_arrays_cell(g, i, at)->done) return true;
    return false;
}

static int count_first(const deq_experiment_spec *x, const Round *r, int *at) {
    int total = 0;
    for (int c = 0; c < deq_axes_count(x, r->sweeps, r->nsweeps); c++) {
        deq_axes_place(x, r->sweeps, r->nsweeps, c, at);
        total += !deq_axes_absent(x, r->sweeps, r->nsweeps, at) && is_first(x, r, at);
    }
    return total;
}

/* How far a grid is: cells are told as they begin. */
typedef struct Grid {
    int number, total;
    double began, last; /* of the cell that is being made */
    double sum; /* of the cells that took some time: those of the cache take none, and say nothing of the others */
    int made;
} Grid;

#define SOME_TIME 0.02 /* seconds */

static void tell_cell(deq_app *app, Grid *grid, const deq_experiment_spec *x, const Round *r, const int *at) {
    const double now = deq_now(), took = now - grid->last;
    if (grid->number > 1 && took > SOME_TIME) grid->sum += took, grid->made++;
    grid->last = now;
    if (grid->total < 2) return;
    const double each = grid->made ? grid->sum / grid->made : NAN, left = each * (grid->total - grid->number + 1);
    char *label = deq_axes_label(x, -1, r->sweeps, r->nsweeps, at, x->name), text[32], rate[80] = "";
    if (grid->made) deq_print_duration(text, sizeof text, left);
    if (grid->made) snprintf(rate, sizeof rate, ", %.3g s each, about %s left", each, text);
    deq_report(&app->reporter, "cell %d of %d%s: %s", grid->number, grid->total, rate, label ? label : "");
    deq_report_event(&app->reporter, "cell",
                     json_pack("{s:s, s:s, s:i, s:i, s:f, s:o}", "experiment", x->name, "label", label ? label : "",
                               "number", grid->number, "of", grid->total, "seconds", now - grid->began, "left",
                               deq_json_number(left)));
    free(label);
}

/* Every combination of the sweeps, as far as there is something new in it. */
static bool run_round(deq_arrays *g, const Round *r, int *at, Grid *grid, deq_error *e) {
    const deq_experiment_spec *x = g->x;
    for (int c = 0; c < deq_axes_count(x, r->sweeps, r->nsweeps); c++) {
        deq_axes_place(x, r->sweeps, r->nsweeps, c, at);
        if (deq_axes_absent(x, r->sweeps, r->nsweeps, at)) continue;
        const bool first = is_first(x, r, at);
        grid->number += first;
        if (!is_new(g, r, at)) continue; /* a choice has needed it before */
        if (first) tell_cell(g->app, grid, x, r, at);
        for (int i = 0; i < x->narrays; i++)
            if (r->arrays[i] && !deq_arrays_need(g, i, at, e)) return false;
    }
    return true;
}

/* What is computed from several rounds. */
static bool run_rest(deq_arrays *g, int *at, deq_error *e) {
    for (int i = 0; i < g->x->narrays; i++) {
        const deq_array_spec *a = &g->x->arrays[i];
        for (int c = 0; c < deq_axes_count(g->x, a->axes, a->naxes); c++) {
            deq_axes_place(g->x, a->axes, a->naxes, c, at);
            if (!deq_arrays_need(g, i, at, e)) return false;
        }
    }
    return true;
}

/* One round for each group of sweeps; the first has what has no axes as well. */
static bool run_all(deq_arrays *g, deq_error *e) {
    const deq_experiment_spec *x = g->x;
    int *group = calloc((size_t)x->naxes + 1, sizeof *group), *at = calloc((size_t)x->naxes + 1, sizeof *at);
    int n = 0;
    Grid grid = {.began = deq_now(), .last = deq_now()};
    Round *rounds = calloc((size_t)x->naxes + 1, sizeof *rounds);
    bool ok = group && at && rounds;
    if (ok) find_groups(x, group);
    for (int k = 0; ok && k < x->naxes; k++)
        if (group[k] == k) ok = round_open(&rounds[n++], x, group, k);
    if (ok && !n) ok = round_open(&rounds[n++], x, group, 0);
    if (!ok) deq_fail(e, DEQ_MEMORY, "out of memory");
    for (int i = 0; ok && i < n; i++) grid.total += count_first(x, &rounds[i], at);
    for (int i = 0; ok && i < n; i++) {
        memset(at, 0, (size_t)x->naxes * sizeof *at);
        ok = run_round(g, &rounds[i], at, &grid, e);
    }
    ok = ok && run_rest(g, at, e);
    for (int i = 0; rounds && i < n; i++) round_close(&rounds[i]);
    free(rounds);
    free(group);
    free(at);
    return ok;
}

bool deq_app_experiment(deq_app *app, const deq_experiment_spec *x, deq_error *e) {
    deq_arrays g;
    bool ok = deq_arrays_open(&g, app, x, e) && run_all(&g, e);
    for (int t = 0; ok && t < x->ntables; t++) ok = deq_lines_write(&g, &x->tables[t], e);
    for (int k = 0; ok && k < x->nfigures; k++) ok = deq_figure_write(&g, &x->figures[k], e);
    ok = ok && deq_verdicts_write(&g, e) && deq_claims_judge(&g, e);
    deq_arrays_close(&g);
    deq_shortfalls_end(&app->shortfalls, &app->reporter);
    return ok;
}
