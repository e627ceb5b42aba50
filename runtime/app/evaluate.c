/* evaluate.c - a trained net on a slice of data, clean or attacked: the records of its examples, found in the journal of
 * everything that decides them or made now, and what they say together. */
#include "measure.h"
#include "checkpoint.h"
#include "defence.h"
#include "journal.h"
#include "signals.h"
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

deq_attack deq_app_attack(const deq_attack_spec *spec, double *scalars) {
    for (int i = 0; i < spec->nscalars; i++) scalars[i] = spec->scalars[i].value;
    return (deq_attack){.routine = spec->routine, .scalars = scalars, .gradient = spec->gradient};
}

#define AT_ONCE 64 /* records copied at a time */

bool deq_app_load_model(deq_app *app, deq_engine *engine, const deq_model *model, deq_error *e) {
    (void)e;
    memcpy(deq_engine_parameters(engine), model->parameters,
           (size_t)deq_net_vector_bytes(model->spec->net, (int)app->module->real_bits));
    deq_engine_prepare(engine);
    return true;
}

/* What an evaluation is told while it goes on. */
typedef struct Watch {
    deq_app *app;
    const deq_value_spec *value;
    double began, last; /* seconds; when records came last */
    atomic_llong done;  /* examples with a record */
    int64_t from, total;
    deq_record *records; /* of examples from `from` on */
    deq_journal *journal;
    deq_error unwritten; /* why it is done without: it could not be written */
} Watch;

static bool on_progress(void *context, int64_t pass_done, int64_t pass) {
    Watch *w = context;
    const bool joined = w->value->attack && w->value->attack->joined; /* records come at the end of a piece */
    const int64_t done = w->done + (joined ? pass_done : 0), total = w->total;
    (void)pass;
    double elapsed = deq_now() - w->began;
    deq_progress_state s = {.what = w->value->name, .step = done, .steps = total, .row = deq_log_empty(), .left = NAN};
    if (pass_done && done && elapsed > 0) {
        s.row.examples_per_second = (double)done / elapsed;
        s.left = elapsed / (double)done * (double)(total - done);
    }
    if (done < total) deq_report_step(&w->app->reporter, &s);
    return !deq_interrupted();
}

/* Records of n examples, which came since the last ones. */
static void on_records(void *context, const deq_record *made, int64_t n) {
    Watch *w = context;
    const double now = deq_now();
    deq_record own[AT_ONCE];
    for (int64_t at = 0; at < n; at += AT_ONCE) {
        const int64_t count = n - at < AT_ONCE ? n - at : AT_ONCE;
        for (int64_t k = 0; k < count; k++) {
            own[k] = made[at + k];
            own[k].seconds = (float)((now - w->last) / (double)n);
            w->records[own[k].id - w->from] = own[k];
        }
        if (w->journal && !deq_journal_append(w->journal, own, count, &w->unwritten)) w->journal = NULL;
    }
    w->last = now;
    w->done += n;
}

/* ---- what the records say ---- */
static double ratio(int64_t part, int64_t whole) { return whole ? (double)part / (double)whole : NAN; }

static void add_attack(deq_attack_totals *t, const deq_record *r) {
    t->queries += r->queries;
    t->gradients += r->gradients;
    t->zero += r->zero_gradients;
    t->lost += r->lost_gradients;
    t->solves += r->attack_solves;
    t->unconverged += r->attack_unconverged;
    t->diverged += r->attack_diverged;
    t->adjoints += r->adjoint_solves;
    t->adjoints_unconverged += r->adjoint_unconverged;
}

static deq_interval interval_of(const deq_evaluation *v, uint64_t key) {
    double *values = malloc((size_t)(v->examples + 1) * sizeof *values);
    deq_interval out = {NAN, NAN, NAN};
    for (int64_t i = 0; values && i < v->examples; i++)
        values[i] = v->by_loss ? v->records[i].loss : v->records[i].metric;
    if (values) out = deq_mean_interval(values, v->examples, key);
    free(values);
    return out;
}

static void summarise(deq_evaluation *v, uint64_t key) {
    const int64_t n = v->examples;
    double metric = 0, loss = 0, steps = 0, residual = 0;
    int64_t failed = 0, solved = 0;
    v->seconds = 0;
    for (int64_t i = 0; i < n; i++) {
        const deq_record *r = &v->records[i];
        metric += r->metric;
        loss += r->loss;
        steps += (double)r->steps;
        residual += (double)r->residual;
        solved += r->solves;
        failed += r->unconverged;
        v->undefined += r->prediction < 0;
        v->seconds += (double)r->seconds;
        add_attack(&v->attack, r);
    }
    v->metric = metric / (double)n;
    v->loss = loss / (double)n;
    v->steps = solved ? steps / (double)n : NAN;
    v->residual = solved ? residual / (double)n : NAN;
    v->converged = solved ? 1 - ratio(failed, solved) : NAN;
    v->interval = interval_of(v, key);
}

/* One function a row of statistics.def. */
static double solve_steps(const deq_evaluation *v) { return v->steps; }
static double solve_residual(const deq_evaluation *v) { return v->residual; }
static double solve_converged(const deq_evaluation *v) { return v->converged; }
static double attack_converged(const deq_evaluation *v) { return 1 - ratio(v->attack.unconverged, v->attack.solves); }
static double attack_adjoint_converged(const deq_evaluation *v) {
    return 1 - ratio(v->attack.adjoints_unconverged, v->attack.adjoints);
}
static double attack_zero_gradients(const deq_evaluation *v) { return ratio(v->attack.zero, v->attack.gradients); }
static double attack_lost_gradients(const deq_evaluation *v) { return ratio(v->attack.lost, v->attack.gradients); }
static double attack_queries(const deq_evaluation *v) { return ratio(v->attack.queries, v->examples); }
static double attack_gradients(const deq_evaluation *v) { return ratio(v->attack.gradients, v->examples); }

#define SPELLING_SOLVE(name) #name
#define SPELLING_ATTACK(name) "attack." #name
#define FUNCTION_SOLVE(name) solve_##name
#define FUNCTION_ATTACK(name) attack_##name

double deq_evaluation_statistic(const deq_evaluation *v, const char *what) {
#define STATISTIC(group, name, share, doc)                                                                             \
    if (!strcmp(what, SPELLING_##group(name))) return FUNCTION_##group(name)(v);
#include "statistics.def"
#undef STATISTIC
    return NAN;
}

void deq_evaluation_free(deq_evaluation *v) {
    free(v->records);
    free(v->attacked);
    free(v->trained);
    v->records = NULL;
    v->attacked = v->trained = NULL;
}

/* ---- what is not known yet ---- */
/* Examples of one call of deq_measure: joined attacks have their records at its end only; buffers of attacked inputs
 * stay below MOST_INPUTS bytes. */
#define PIECE 4096
#define PIECE_JOINED 512
#define PIECE_LEAST 64
#define MOST_INPUTS ((size_t)64 << 20)

static int64_t piece_of(const deq_engine *engine, const deq_value_spec *v) {
    const int64_t most = v->attack && v->attack->joined ? PIECE_JOINED : PIECE;
    const int64_t fits = (int64_t)(MOST_INPUTS / deq_engine_input_bytes(engine));
    return fits > most ? most : fits < PIECE_LEAST ? PIECE_LEAST : fits;
}

/* The examples of the slice that have no record, a piece at a time. */
static bool measure_missing(const deq_measuring *m, const Watch *w, deq_error *e) {
    int64_t index[PIECE];
    deq_record made[PIECE];
    const int64_t piece = piece_of(m->engine, m->value);
    bool ok = true;
    for (int64_t at = 0; ok && at < w->total && !deq_interrupted();) {
        int64_t count = 0;
        for (; at < w->total && count < piece; at++)
            if (w->records[at].id < 0) index[count++] = w->from + at;
        ok = !count || deq_measure(m, index, count, made, e);
    }
    return ok;
}

/* Where each of the joined attacks has led, as far as the cache knows; free() it after closing them.  NULL: out of
 * memory, and the attacks are run. */
static deq_attacked **attacked_of(deq_app *app, deq_engine *engine, const deq_model *model, const deq_value_spec *v,
                                  const char *fingerprint, int *n) {
    *n = 0;
    for (const deq_attack_spec *a = v->attack; a; a = a->next) ++*n;
    deq_attacked **list = *n ? calloc((size_t)*n, sizeof(deq_attacked *)) : NULL;
    int k = 0;
    for (const deq_attack_spec *a = v->attack; list && a; a = a->next)
        list[k++] = deq_attacked_open(app, engine, model, v, a, fingerprint);
    return list;
}

static bool measure(deq_app *app, deq_engine *engine, const deq_model *model, const deq_value_spec *v,
                    deq_journal *journal, deq_evaluation *out, int64_t from, const char *fingerprint, deq_error *e) {
    deq_dataset *data = deq_app_data(app, v->data.data, e);
    if (!data || !deq_dataset_load(data, v->data.test, e) || !deq_app_load_model(app, engine, model, e)) return false;
    const double now = deq_now();
    int attacks;
    deq_attacked **attacked = attacked_of(app, engine, model, v, fingerprint, &attacks);
    Watch watch = {.app = app,
                   .value = v,
                   .began = now,
                   .last = now,
                   .from = from,
                   .total = out->examples,
                   .records = out->records,
                   .journal = journal};
    for (int64_t i = 0; i < out->examples; i++) watch.done += out->records[i].id >= 0;
    deq_measuring m = {.engine = engine,
                       .value = v,
                       .source = deq_dataset_source(data, v->data.test),
                       .seed = model->spec->seed,
                       .progress = on_progress,
                       .context = &watch,
                       .attacked = attacked,
                       .finished = on_records,
                       .run = &out->attacks_run,
                       .found = &out->attacks_found};
    deq_error own = {0};
    bool ok = measure_missing(&m, &watch, &own);
    for (int k = 0; attacked && k < attacks; k++) deq_attacked_close(attacked[k]);
    free(attacked);
    if (watch.unwritten.failure != DEQ_OK) deq_store_give_up(&app->store, watch.unwritten.text);
    if (deq_interrupted())
        return deq_fail(e, DEQ_INTERRUPTED,
                        "stopped during the evaluation '%s' of '%s'; the examples that were finished are kept in the "
                        "cache; run the same command again to go on",
                        v->name, model->label);
    return ok || deq_fail(e, own.failure, "%s", own.text);
}

/* Silence about a failed solve would be the worst: what fell short is said, with what was done about it. */
static void warn(deq_app *app, deq_engine *engine, const deq_model *model, const deq_value_spec *v,
                 const deq_evaluation *x) {
    const deq_attack_totals *a = &x->attack;
    if (x->converged < 1)
        deq_report_warning(&app->reporter, "W0912",
                           "%s of %s: %.3g%% of the predictions' solves stopped short of their tolerance; mean "
                           "residual %.1e after %.1f steps",
                           v->name, model->label, 100 * (1 - x->converged), x->residual, x->steps);
    if (a->unconverged)
        deq_report_warning(&app->reporter, "W0912",
                           "%s of %s: %.3g%% of the attack's forward solves stopped short of their tolerance", v->name,
                           model->label, 100 * ratio(a->unconverged, a->solves));
    if (a->adjoints_unconverged)
        deq_report_warning(&app->reporter, "W0912", "%s of %s: under the attack %.3g%% of the %s", v->name,
                           model->label, 100 * ratio(a->adjoints_unconverged, a->adjoints),
                           deq_app_adjoint_words(engine, model->spec->net, v->attack ? v->attack->gradient : NULL));
    if (a->lost)
        deq_report_warning(&app->reporter, "W0912",
                           "%s of %s: %.3g%% of the attack's gradients were not finite, or cut to zero by on_fail",
                           v->name, model->label, 100 * ratio(a->lost, a->gradients));
    if (a->zero)
        deq_report_warning(&app->reporter, "W0912",
                           "%s of %s: %.3g%% of the attack's gradients were exactly zero, and say nothing", v->name,
                           model->label, 100 * ratio(a->zero, a->gradients));
    if (x->undefined)
        deq_report_warning(&app->reporter, "W0914",
                           "%s of %s: %lld of %lld predictions are not a number (NaN); they count as wrong", v->name,
                           model->label, (long long)x->undefined, (long long)x->examples);
}

/* A defence may name a state that the solver never makes. */
static void warn_unmade(deq_app *app, deq_engine *engine, const deq_model *model, const deq_value_spec *v) {
    const char *text = deq_value_defence(v);
    deq_defence defence;
    deq_error own = {0};
    if (!text || !deq_defence_parse(text, &defence, &own)) return;
    for (int i = 0; i < model->spec->net->nfixed; i++) {
        int max = deq_engine_solver(engine, i)->max, last = deq_defence_last(&defence);
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

/* Everything that decides the record of an example but the example. */
static json_t *about(deq_app *app, deq_engine *engine, const deq_model *model, const deq_value_spec *v,
                     const char *fingerprint) {
    json_t *what = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:I, s:o, s:o}", "abi", DEQ_ABI_VERSION, "kind",
                             "records", "net", model->spec->net->hash, "model", model->key, "metric",
                             v->metric ? v->metric : "", "loss", v->loss ? v->loss : "", "files", fingerprint, "test",
                             (int)v->data.test, "seed", (json_int_t)model->spec->seed, "attack",
                             deq_app_attack_key(app, v->attack), "settings", deq_app_resolved(engine));
    deq_app_link_key(app, model->spec->net, what);
    return what;
}

/* The journal of what the store knows of this evaluation; NULL: the store is not used.  One that is not what it should
 * be is refused and begun anew. */
static deq_journal *journal_of(deq_app *app, const json_t *what, const deq_key key) {
    char *path = deq_store_path(&app->store, "journal", key, "journal");
    deq_error e = {0}, again = {0};
    if (path && app->store.fresh) unlink(path);
    deq_journal *j = path ? deq_journal_open(path, key, what, &e) : NULL;
    if (path && !j) {
        deq_store_refuse(&app->store, path, e.text);
        unlink(path);
        j = deq_journal_open(path, key, what, &again);
    }
    if (j && deq_journal_damaged(j))
        deq_store_refuse(&app->store, path, "it is damaged; the examples that are missing are made again");
    free(path);
    return j;
}

static bool evaluate(deq_app *app, deq_engine *engine, const deq_model *model, const deq_value_spec *v,
                     deq_evaluation *out, deq_error *e) {
    char fingerprint[33];
    int64_t from, to, found = 0;
    deq_dataset *data = deq_app_data(app, v->data.data, e);
    if (!data || !deq_dataset_slice(data, &v->data, &from, &to, e) ||
        !deq_dataset_fingerprint(data, v->data.test, fingerprint, e))
        return false;
    json_t *what = about(app, engine, model, v, fingerprint);
    deq_store_key(what, out->key);
    out->examples = to - from;
    out->by_loss = !v->metric;
    out->records = malloc((size_t)out->examples * sizeof *out->records);
    if (!out->records) {
        json_decref(what);
        return deq_fail(e, DEQ_MEMORY, "out of memory for the records of %lld examples", (long long)out->examples);
    }
    deq_journal *journal = journal_of(app, what, out->key);
    for (int64_t i = 0; i < out->examples; i++) {
        const deq_record *r = journal ? deq_journal_find(journal, from + i) : NULL;
        out->records[i] = r ? *r : deq_record_empty(-1);
        found += r != NULL;
    }
    out->cached = found == out->examples;
    bool ok = out->cached || measure(app, engine, model, v, journal, out, from, fingerprint, e);
    deq_journal_close(journal);
    json_decref(what);
    if (!ok) return false;
    summarise(out, (uint64_t)model->spec->seed);
    out->attacked = deq_app_attack_name(engine, model->spec->net, v->attack);
    out->trained = deq_app_attack_differs(model, engine, v->attack);
    if (out->trained)
        deq_report(&app->reporter, "note: %s of %s is under %s; the net was trained against %s", v->name, model->label,
                   out->attacked, out->trained);
    warn(app, engine, model, v, out);
    warn_unmade(app, engine, model, v);
    return true;
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
