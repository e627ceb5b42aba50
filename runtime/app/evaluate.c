/* evaluate.c - a trained net on a slice of data, clean or attacked; results are cached by everything that decides them.
 */
#include "app_state.h"
#include "random.h"
#include "checkpoint.h"
#include "defence.h"
#include "signals.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TRACE_EXAMPLES 256

deq_attack deq_app_attack(const deq_attack_spec *spec, double *scalars) {
    for (int i = 0; i < spec->nscalars; i++) scalars[i] = spec->scalars[i].value;
    return (deq_attack){.routine = spec->routine, .scalars = scalars, .gradient = spec->gradient};
}

bool deq_app_load_model(deq_app *app, deq_engine *engine, const deq_model *model, deq_error *e) {
    (void)e;
    memcpy(deq_engine_parameters(engine), model->parameters,
           (size_t)deq_net_vector_bytes(model->spec->net, (int)app->module->real_bits));
    deq_engine_prepare(engine);
    return true;
}

static json_t *evaluation_json(const deq_evaluation *v) {
    json_t *o = json_object();
    json_object_set_new(o, "metric", deq_json_number(v->metric));
    json_object_set_new(o, "loss", deq_json_number(v->loss));
    json_object_set_new(o, "examples", json_integer(v->examples));
    json_object_set_new(o, "steps", deq_json_number(v->steps));
    json_object_set_new(o, "residual", deq_json_number(v->residual));
    json_object_set_new(o, "converged", deq_json_number(v->converged));
    json_object_set_new(o, "attack_unconverged", deq_json_number(v->attack_unconverged));
    json_object_set_new(o, "adjoint_unconverged", deq_json_number(v->adjoint_unconverged));
    json_object_set_new(o, "undefined", json_integer(v->undefined));
    json_object_set_new(o, "seconds", deq_json_number(v->seconds));
    return o;
}

static deq_evaluation evaluation_of(const json_t *o) {
    return (deq_evaluation){.metric = deq_json_double(json_object_get(o, "metric")),
                            .loss = deq_json_double(json_object_get(o, "loss")),
                            .examples = json_integer_value(json_object_get(o, "examples")),
                            .steps = deq_json_double(json_object_get(o, "steps")),
                            .residual = deq_json_double(json_object_get(o, "residual")),
                            .converged = deq_json_double(json_object_get(o, "converged")),
                            .attack_unconverged = deq_json_double(json_object_get(o, "attack_unconverged")),
                            .adjoint_unconverged = deq_json_double(json_object_get(o, "adjoint_unconverged")),
                            .undefined = json_integer_value(json_object_get(o, "undefined")),
                            .seconds = deq_json_double(json_object_get(o, "seconds")),
                            .cached = true};
}

typedef struct Watch {
    deq_app *app;
    const char *name;
    double began;
} Watch;

static bool on_progress(void *context, int64_t done, int64_t total) {
    Watch *w = context;
    double elapsed = deq_now() - w->began;
    deq_progress_state s = {.what = w->name, .step = done, .steps = total, .row = deq_journal_empty(), .left = NAN};
    if (done && elapsed > 0) {
        s.row.examples_per_second = (double)done / elapsed;
        s.left = elapsed / (double)done * (double)(total - done);
    }
    if (done < total) deq_report_step(&w->app->reporter, &s);
    return !deq_interrupted();
}

/* Per-example results to means.  The shares of solves are of all that were made: under an attack its own too. */
static void summarise(deq_evaluation *out, const deq_results *r, int64_t n, bool attacked) {
    double metric = 0, loss = 0, steps = 0, residual = 0;
    int64_t undefined = 0;
    for (int64_t i = 0; i < n; i++) {
        undefined += r->prediction[i] < 0;
        metric += r->metric ? r->metric[i] : NAN;
        loss += r->loss ? r->loss[i] : NAN;
        steps += (double)r->steps[i];
        residual += (double)r->residual[i];
    }
    bool solves = r->forward.solves > 0;
    double share = solves ? (double)r->forward.unconverged / (double)r->forward.solves : NAN;
    *out = (deq_evaluation){.metric = metric / (double)n,
                            .loss = loss / (double)n,
                            .examples = n,
                            .undefined = undefined,
                            .steps = solves ? steps / (double)n : NAN,
                            .residual = solves ? residual / (double)n : NAN,
                            .converged = 1 - share,
                            .attack_unconverged = attacked ? share : NAN,
                            .adjoint_unconverged =
                                r->adjoint.solves ? (double)r->adjoint.unconverged / (double)r->adjoint.solves : NAN};
}

/* One attack (or none) on some of the examples, and room for the outcome of each. */
typedef struct Outcome {
    double *loss, *metric;
    float *steps, *residual;
    int32_t *prediction;
    bool *right; /* NULL: the target is no label */
} Outcome;

static bool make_outcome(const deq_value_spec *v, bool label, int64_t n, Outcome *o) {
    o->loss = v->loss ? malloc((size_t)n * sizeof *o->loss) : NULL;
    o->metric = v->metric ? malloc((size_t)n * sizeof *o->metric) : NULL;
    o->steps = calloc((size_t)n, sizeof *o->steps);
    o->residual = calloc((size_t)n, sizeof *o->residual);
    o->prediction = calloc((size_t)n, sizeof *o->prediction);
    o->right = label ? calloc((size_t)n, sizeof *o->right) : NULL;
    return o->steps && o->residual && o->prediction && (o->right || !label) && (o->loss || !v->loss) &&
           (o->metric || !v->metric);
}

static void free_outcome(Outcome *o) {
    free(o->loss);
    free(o->metric);
    free(o->steps);
    free(o->residual);
    free(o->prediction);
    free(o->right);
}

/* Whether outcome j of `b` is worse for the net than outcome i of `a`: wrong where that is right, or else of a larger
 * loss.  The metric has no say: whatever it is, it is read at the input so chosen. */
static bool is_worse(const Outcome *a, int64_t i, const Outcome *b, int64_t j) {
    if (a->right && a->right[i] != b->right[j]) return a->right[i];
    return a->loss && b->loss[j] > a->loss[i];
}

static void keep_worse(Outcome *to, int64_t i, const Outcome *from, int64_t j) {
    if (!is_worse(to, i, from, j)) return;
    if (to->metric) to->metric[i] = from->metric[j];
    if (to->loss) to->loss[i] = from->loss[j];
    if (to->right) to->right[i] = from->right[j];
    to->prediction[i] = from->prediction[j];
    to->steps[i] = from->steps[j];
    to->residual[i] = from->residual[j];
}

static void add_statistics(deq_solve_statistics *to, const deq_solve_statistics *from) {
    to->solves += from->solves;
    to->unconverged += from->unconverged;
    to->diverged += from->diverged;
    to->steps += from->steps;
    to->residual += from->residual;
}

typedef struct Measuring {
    deq_app *app;
    deq_engine *engine;
    const deq_value_spec *value;
    deq_source source;
    uint64_t seed;
    Watch watch;
    deq_results sums; /* statistics of all solves */
} Measuring;

static bool measure_once(Measuring *m, const deq_attack_spec *spec, const int64_t *index, int64_t n, Outcome *out,
                         deq_error *e) {
    double scalars[64];
    if (spec && spec->nscalars > 64)
        return deq_fail(e, DEQ_MODULE, "attack '%s' has more than 64 settings", spec->name);
    deq_attack attack = spec ? deq_app_attack(spec, scalars) : (deq_attack){0};
    uint64_t seed = spec && spec->restart ? deq_key_mix(m->seed, (uint64_t)spec->restart) : m->seed;
    deq_results results = {.loss = out->loss,
                           .metric = out->metric,
                           .steps = out->steps,
                           .residual = out->residual,
                           .prediction = out->prediction,
                           .right = out->right};
    bool ok = deq_engine_evaluate(m->engine, &m->source, index, n, m->value->loss, m->value->metric,
                                  spec ? &attack : NULL, seed, on_progress, &m->watch, &results, e);
    add_statistics(&m->sums.forward, &results.forward);
    add_statistics(&m->sums.adjoint, &results.adjoint);
    return ok;
}

/* Several attacks: the examples as they are, then each attack from there, on every example or on those that are still
 * right; the worst outcome of an example counts. */
static bool measure_joined(Measuring *m, const int64_t *index, int64_t n, Outcome *worst, deq_error *e) {
    Outcome one = {0};
    int64_t *left = malloc((size_t)n * sizeof *left), *rows = malloc((size_t)n * sizeof *rows);
    bool ok = (make_outcome(m->value, worst->right != NULL, n, &one) && left && rows) ||
              deq_fail(e, DEQ_MEMORY, "out of memory for the results of %lld examples", (long long)n);
    ok = ok && measure_once(m, NULL, index, n, worst, e);
    for (const deq_attack_spec *a = m->value->attack; ok && a && !deq_interrupted(); a = a->next) {
        int64_t count = 0;
        for (int64_t i = 0; i < n; i++)
            if (a->all || !worst->right || worst->right[i]) {
                rows[count] = i;
                left[count++] = index[i];
            }
        ok = !count || measure_once(m, a, left, count, &one, e);
        for (int64_t k = 0; ok && k < count; k++) keep_worse(worst, rows[k], &one, k);
    }
    free_outcome(&one);
    free(left);
    free(rows);
    return ok;
}

static bool measure(deq_app *app, deq_engine *engine, const deq_model *model, const deq_value_spec *v, int64_t from,
                    int64_t to, deq_evaluation *out, deq_error *e) {
    int64_t n = to - from;
    deq_dataset *data = deq_app_data(app, v->data.data, e);
    if (!data || !deq_dataset_load(data, v->data.test, e) || !deq_app_load_model(app, engine, model, e)) return false;
    Measuring m = {app, engine, v, deq_dataset_source(data, v->data.test), model->spec->seed, {app, v->name, deq_now()},
                   {0}};
    Outcome worst = {0};
    int64_t *index = malloc((size_t)n * sizeof *index);
    bool ok = make_outcome(v, model->spec->net->target.labels > 0, n, &worst) && index;
    if (!ok) deq_fail(e, DEQ_MEMORY, "out of memory for the results of %lld examples", (long long)n);
    for (int64_t i = 0; ok && i < n; i++) index[i] = from + i;
    deq_error own = {0};
    ok = ok && (v->attack && v->attack->joined ? measure_joined(&m, index, n, &worst, &own)
                                               : measure_once(&m, v->attack, index, n, &worst, &own));
    if (deq_interrupted())
        ok = deq_fail(e, DEQ_INTERRUPTED,
                      "stopped during the evaluation '%s' of '%s'; what was finished before is kept in the cache; run "
                      "the same command again to go on",
                      v->name, model->label);
    else if (own.failure != DEQ_OK)
        ok = deq_fail(e, own.failure, "%s", own.text);
    m.sums.loss = worst.loss;
    m.sums.metric = worst.metric;
    m.sums.steps = worst.steps;
    m.sums.residual = worst.residual;
    m.sums.prediction = worst.prediction;
    if (ok) summarise(out, &m.sums, n, v->attack != NULL);
    if (ok) out->seconds = deq_now() - m.watch.began;
    free(index);
    free_outcome(&worst);
    return ok;
}

static void warn(deq_app *app, deq_engine *engine, const deq_model *model, const deq_value_spec *v,
                 const deq_evaluation *x) {
    const char *under = v->attack ? " (the attack's solves counted)" : "";
    if (x->undefined)
        deq_report_warning(&app->reporter, "W0914",
                           "%s of %s: %lld of %lld predictions are not a number (NaN); they count as wrong", v->name,
                           model->label, (long long)x->undefined, (long long)x->examples);
    if (x->converged < 1)
        deq_report_warning(&app->reporter, "W0912",
                           "%s of %s: %.3g%% of the forward solves stopped short of their tolerance%s; mean residual "
                           "of the predictions %.1e after %.1f steps",
                           v->name, model->label, 100 * (1 - x->converged), under, x->residual, x->steps);
    if (x->adjoint_unconverged > 0)
        deq_report_warning(&app->reporter, "W0912", "%s of %s: under the attack %.3g%% of the %s", v->name,
                           model->label, 100 * x->adjoint_unconverged,
                           deq_app_adjoint_words(engine, model->spec->net, v->attack ? v->attack->gradient : NULL));
}

/* The forward solver of fixed point i as it is set now. */
static deq_solver forward_solver(deq_engine *engine, const deq_net_spec *net, int i) {
    char path[300];
    snprintf(path, sizeof path, "%s%sforward", net->fixed[i].path, *net->fixed[i].path ? "." : "");
    json_t *settings = deq_app_resolved(engine);
    const char *text = json_string_value(json_object_get(settings, path));
    deq_solver solver = {0};
    deq_error e = {0};
    if (!deq_solver_parse(text ? text : net->fixed[i].forward, false, &solver, &e)) solver = (deq_solver){.max = 1};
    json_decref(settings);
    return solver;
}

/* A defence may name a state that the solver never makes. */
static void warn_unmade(deq_app *app, deq_engine *engine, const deq_model *model, const deq_value_spec *v) {
    const char *text = deq_value_defence(v);
    deq_defence defence;
    deq_error own = {0};
    if (!text || !deq_defence_parse(text, &defence, &own)) return;
    for (int i = 0; i < model->spec->net->nfixed; i++) {
        int max = forward_solver(engine, model->spec->net, i).max, last = deq_defence_last(&defence);
        if (last > max)
            deq_report_warning(&app->reporter, "W0913",
                               "%s of %s is read off state %d, but %s makes at most %d steps (`max`): its last state "
                               "counts",
                               v->name, model->label, last, model->spec->net->fixed[i].name, max);
    }
}

const char *deq_value_defence(const deq_value_spec *v) {
    const char *text = NULL;
    for (int i = 0; i < v->noverrides; i++)
        if (!strcmp(v->overrides[i].path, "defence")) text = v->overrides[i].value;
    return text;
}

static bool evaluate(deq_app *app, deq_engine *engine, const deq_model *model, const deq_value_spec *v,
                     deq_evaluation *out, deq_error *e) {
    char fingerprint[33];
    int64_t from, to;
    deq_dataset *data = deq_app_data(app, v->data.data, e);
    if (!data || !deq_dataset_slice(data, &v->data, &from, &to, e) ||
        !deq_dataset_fingerprint(data, v->data.test, fingerprint, e))
        return false;
    json_t *what = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:o, s:o}", "abi", DEQ_ABI_VERSION,
                             "kind", "evaluate", "net", model->spec->net->hash, "model", model->key, "metric",
                             v->metric ? v->metric : "", "loss", v->loss ? v->loss : "", "files", fingerprint, "from",
                             (json_int_t)from, "to", (json_int_t)to, "seed", (json_int_t)model->spec->seed, "attack",
                             deq_app_attack_key(app, v->attack), "settings", deq_app_resolved(engine));
    deq_key key;
    deq_app_link_key(app, model->spec->net, what);
    deq_store_key(what, key);
    json_decref(what);
    json_t *stored = deq_store_get(&app->store, "values", key);
    bool ok = true;
    if (stored) {
        *out = evaluation_of(stored);
        json_decref(stored);
    } else if ((ok = measure(app, engine, model, v, from, to, out, e))) {
        json_t *entry = evaluation_json(out);
        deq_store_put(&app->store, "values", key, entry);
        json_decref(entry);
    }
    if (ok) warn(app, engine, model, v, out);
    if (ok) warn_unmade(app, engine, model, v);
    return ok;
}

bool deq_app_evaluate(deq_app *app, const deq_model *model, const deq_value_spec *v, deq_evaluation *out,
                      deq_error *e) {
    deq_engine *engine = deq_app_engine(app, model->spec->net, e);
    if (!engine) return false;
    uint32_t token = deq_engine_save_settings(engine);
    bool ok = deq_app_as_trained(engine, model->spec, v->overrides, v->noverrides, e) &&
              evaluate(app, engine, model, v, out, e);
    deq_engine_restore_settings(engine, token);
    return ok;
}

static int by_value(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double quantile(const float *sorted, int64_t n, double q) {
    double at = q * (double)(n - 1);
    int64_t low = (int64_t)at;
    double high = (double)sorted[low + 1 < n ? low + 1 : low];
    return (double)sorted[low] + (at - (double)low) * (high - (double)sorted[low]);
}

/* An ended solve keeps its last residual, so that the bands stay over all examples. */
static json_t *bands(float *trace, int64_t n, int max) {
    json_t *rows = json_array();
    float *column = malloc((size_t)n * sizeof *column);
    for (int k = 0; column && k < max; k++) {
        int64_t running = 0, have = 0;
        for (int64_t i = 0; i < n; i++) {
            float *row = trace + i * max;
            if (!isnan(row[k]))
                running++;
            else if (k)
                row[k] = row[k - 1];
            if (!isnan(row[k])) column[have++] = row[k];
        }
        if (!running) break;
        qsort(column, (size_t)have, sizeof *column, by_value);
        json_array_append_new(rows, json_pack("[i, f, f, f, f]", k + 1, quantile(column, have, 0.1),
                                              quantile(column, have, 0.5), quantile(column, have, 0.9),
                                              (double)running / (double)n));
    }
    free(column);
    return rows;
}

static int most_steps(deq_engine *engine, const deq_net_spec *net) {
    int most = 1;
    for (int i = 0; i < net->nfixed; i++) {
        int max = forward_solver(engine, net, i).max;
        if (max > most) most = max;
    }
    return most;
}

double deq_app_tolerance(deq_app *app, const deq_model *model) {
    const deq_train_spec *t = model->spec;
    deq_error e = {0};
    deq_engine *engine = t->net->nfixed == 1 ? deq_app_engine(app, t->net, &e) : NULL;
    if (!engine) return 0;
    uint32_t token = deq_engine_save_settings(engine);
    double tol = deq_app_as_trained(engine, t, NULL, 0, &e) ? forward_solver(engine, t->net, 0).tol : 0;
    deq_engine_restore_settings(engine, token);
    return tol;
}

static json_t *trace(deq_app *app, deq_engine *engine, const deq_model *model, const deq_slice *slice, int64_t from,
                     int64_t n, deq_error *e) {
    int max = most_steps(engine, model->spec->net);
    deq_dataset *data = deq_app_data(app, slice->data, e);
    if (!data || !deq_dataset_load(data, slice->test, e) || !deq_app_load_model(app, engine, model, e)) return NULL;
    int64_t index[TRACE_EXAMPLES];
    for (int64_t i = 0; i < n; i++) index[i] = from + i;
    float *out = malloc((size_t)n * (size_t)max * sizeof *out);
    deq_source source = deq_dataset_source(data, slice->test);
    json_t *rows = NULL;
    if (!out)
        deq_fail(e, DEQ_MEMORY, "out of memory for residuals");
    else if (deq_engine_residual_trace(engine, &source, index, n, max, out, e))
        rows = bands(out, n, max);
    free(out);
    return rows;
}

json_t *deq_app_residuals(deq_app *app, const deq_model *model, deq_error *e) {
    const deq_train_spec *t = model->spec;
    const deq_slice *slice = t->validate ? t->validate : &t->data;
    char fingerprint[33];
    int64_t from, to;
    if (!t->net->nfixed) return NULL;
    deq_dataset *data = deq_app_data(app, slice->data, e);
    deq_engine *engine = data ? deq_app_engine(app, t->net, e) : NULL;
    if (!engine || !deq_dataset_slice(data, slice, &from, &to, e) ||
        !deq_dataset_fingerprint(data, slice->test, fingerprint, e))
        return NULL;
    int64_t n = to - from < TRACE_EXAMPLES ? to - from : TRACE_EXAMPLES;
    uint32_t token = deq_engine_save_settings(engine);
    json_t *rows = NULL;
    if (deq_app_as_trained(engine, t, NULL, 0, e)) {
        json_t *what = json_pack("{s:i, s:s, s:s, s:s, s:I, s:I, s:o}", "abi", DEQ_ABI_VERSION, "kind", "residuals",
                                 "model", model->key, "files", fingerprint, "from", (json_int_t)from, "n",
                                 (json_int_t)n, "settings", deq_app_resolved(engine));
        deq_key key;
        deq_store_key(what, key);
        json_decref(what);
        rows = deq_store_get(&app->store, "values", key);
        if (!rows && (rows = trace(app, engine, model, slice, from, n, e)))
            deq_store_put(&app->store, "values", key, rows);
    }
    deq_engine_restore_settings(engine, token);
    return rows;
}
