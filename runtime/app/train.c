/* train.c - one training run: epochs of shuffled batches, validation, log, checkpoints, resumption.
 *
 * A run is a function of its key (net, settings, seed, data): the order of examples is keyed by (seed, epoch), an
 * attack's draws by (seed, step).  A checkpoint holds parameters, optimiser vectors, position and the sums of the
 * unfinished epoch, so that a resumed run ends with the same bits as one that was never stopped. */
#include "app_state.h"
#include "keep.h"
#include "checkpoint.h"
#include "output.h"
#include "own.h"
#include "random.h"
#include "signals.h"
#include "spectral.h"
#include "training_sums.h"
#include "transform.h"
#include "weights.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct Run {
    deq_app *app;
    const deq_train_spec *t;
    const deq_model *first; /* whose parameters the run begins with; NULL: none */
    deq_model *model;
    deq_engine *engine;
    deq_dataset *data, *validate;
    int64_t from, to, validate_from, validate_to;
    int64_t epoch_examples, epoch_steps; /* of one epoch */
    int64_t epoch, batch;                /* position: finished epochs, finished batches of the next */
    const char *metric;
    double attack_scalars[DEQ_MOST_SCALARS], update_scalars[2 + DEQ_MOST_SCALARS];
    deq_attack attack;
    int64_t *order, *index;
    double *loss, *value;
    double *penalty, *correction; /* NULL: the net has none */
    deq_training_sums sums;
    json_t *settings;         /* of the net as it is trained; goes with its parameters */
    deq_row_counts *counts;   /* of the attack's queries, a row an example; NULL: no attack */
    double began, before;     /* this session's start; seconds of earlier sessions */
    char *partial;            /* path of the checkpoint while training goes on */
    bool in_cache;            /* it is in the cache, not among the results */
    bool stepped;             /* at least once in this session */
    void *good, *good_states; /* parameters and optimiser vectors at the last epoch's end, */
    void *good_previous;      /* and the examples' last states, when the solver starts from them */
    deq_best kept;            /* `keep:` */
    int64_t previous_bytes;
    int64_t good_epoch, vector_bytes, state_bytes;
} Run;

static double elapsed(const Run *r) { return r->before + deq_now() - r->began; }

static json_t *state_json(const Run *r, double seconds) {
    return json_pack("{s:s, s:o, s:O, s:f}", "key", r->model->key, "sums", deq_training_sums_json(&r->sums), "log",
                     r->model->log, "seconds", seconds);
}

static void restore_state(Run *r, const json_t *state) {
    const json_t *log = json_object_get(state, "log");
    r->sums = deq_training_sums_of(json_object_get(state, "sums"));
    r->before = json_number_value(json_object_get(state, "seconds"));
    if (json_is_array(log)) {
        json_decref(r->model->log);
        r->model->log = json_deep_copy(log);
    }
}

static bool state_is_ours(const Run *r, const json_t *state) {
    const char *key = json_string_value(json_object_get(state, "key"));
    return key && !strcmp(key, r->model->key);
}

static bool write_partial(Run *r, const void *parameters, const void *states, const void *previous, int64_t epoch,
                          int64_t batch, deq_error *e) {
    deq_checkpoint c = {.epoch = epoch,
                        .step = batch,
                        .parameters = (void *)parameters,
                        .states = (void *)states,
                        .state_bytes = r->state_bytes,
                        .nstates = r->t->optimiser.states,
                        .previous = (void *)previous,
                        .previous_bytes = r->previous_bytes,
                        .key = r->model->key,
                        .settings = r->settings,
                        .state = state_json(r, elapsed(r))};
    int bits = (int)r->app->module->real_bits;
    deq_error own = {0};
    bool ok = deq_checkpoint_write(r->partial, r->t->net, bits, &c, &own);
    if (!ok && r->in_cache) { /* the cache is no condition of a run: its place is in the results, then */
        r->app->store.usable = r->in_cache = false;
        snprintf(r->app->store.problem, sizeof r->app->store.problem, "%.290s", own.text);
        free(r->partial);
        r->partial = deq_app_file(r->app, r->model->stem, ".partial.safetensors");
        own = (deq_error){0};
        ok = r->partial ? deq_checkpoint_write(r->partial, r->t->net, bits, &c, &own)
                        : deq_fail(&own, DEQ_MEMORY, "out of memory");
    }
    json_decref(c.state);
    return ok || deq_fail(e, own.failure, "%s", own.text);
}

static bool write_position(Run *r, deq_error *e) {
    return write_partial(r, deq_engine_parameters(r->engine),
                         r->state_bytes ? deq_engine_optimiser_states(r->engine, &r->state_bytes) : NULL,
                         deq_engine_previous(r->engine, &r->previous_bytes), r->epoch, r->batch, e);
}

static void keep_good(Run *r) {
    memcpy(r->good, deq_engine_parameters(r->engine), (size_t)r->vector_bytes);
    if (r->state_bytes)
        memcpy(r->good_states, deq_engine_optimiser_states(r->engine, &r->state_bytes), (size_t)r->state_bytes);
    if (r->previous_bytes)
        memcpy(r->good_previous, deq_engine_previous(r->engine, &r->previous_bytes), (size_t)r->previous_bytes);
    r->good_epoch = r->epoch;
}

/* Goes on where an earlier run of the same key stopped, if one did. */
static void try_resume(Run *r) {
    if (r->app->options->fresh || access(r->partial, R_OK)) return;
    deq_error e = {0};
    deq_checkpoint c = {.parameters = malloc((size_t)r->vector_bytes),
                        .states = r->state_bytes ? malloc((size_t)r->state_bytes) : NULL,
                        .state_bytes = r->state_bytes,
                        .nstates = r->t->optimiser.states,
                        .previous = r->previous_bytes ? malloc((size_t)r->previous_bytes) : NULL,
                        .previous_bytes = r->previous_bytes,
                        .key = r->model->key};
    if (c.parameters && (c.states || !r->state_bytes) && (c.previous || !r->previous_bytes)) {
        memcpy(c.parameters, deq_engine_parameters(r->engine), (size_t)r->vector_bytes);
        bool ok = deq_checkpoint_read(r->partial, r->t->net, (int)r->app->module->real_bits, true, &c, &e);
        if (!ok) {
            deq_report_warning(&r->app->reporter, "W0811", "%s; training starts anew", e.text);
        } else if (state_is_ours(r, c.state) &&
                   deq_best_resume(&r->kept, json_object_get(c.state, "log"), r->partial)) {
            memcpy(deq_engine_parameters(r->engine), c.parameters, (size_t)r->vector_bytes);
            if (r->state_bytes)
                memcpy(deq_engine_optimiser_states(r->engine, &r->state_bytes), c.states, (size_t)r->state_bytes);
            if (r->previous_bytes)
                memcpy(deq_engine_previous(r->engine, &r->previous_bytes), c.previous, (size_t)r->previous_bytes);
            deq_engine_prepare(r->engine);
            restore_state(r, c.state);
            r->epoch = c.epoch;
            r->batch = c.step;
            deq_report(&r->app->reporter, "%s: resumed after epoch %lld, batch %lld of %lld", r->model->label,
                       (long long)c.epoch, (long long)c.step, (long long)r->epoch_steps);
            deq_report_event(&r->app->reporter, "resumed",
                             json_pack("{s:s, s:I, s:I}", "name", r->model->label, "epoch", (json_int_t)c.epoch, "step",
                                       (json_int_t)c.step));
        }
        deq_checkpoint_drop(&c);
    }
    free(c.parameters);
    free(c.states);
    free(c.previous);
}

static bool finite_vector(const void *values, int64_t bytes, int real_bits) {
    /* 0 * x is NaN exactly when x is not finite, and the sum keeps it */
    if (real_bits == 64) {
        const double *v = values;
        double sum = 0;
        for (int64_t i = 0; i < bytes / 8; i++) sum += v[i] * 0.0;
        return sum == 0;
    }
    const float *v = values;
    float sum = 0;
    for (int64_t i = 0; i < bytes / 4; i++) sum += v[i] * 0.0f;
    return sum == 0;
}

static bool diverged(Run *r, const char *what, deq_error *e) {
    deq_error own = {0};
    r->sums = (deq_training_sums){0}; /* the state written is that of the last good epoch */
    bool kept = write_partial(r, r->good, r->good_states, r->good_previous, r->good_epoch, 0, &own);
    return deq_fail(e, DEQ_DIVERGED, "training of '%s' diverged: %s at step %lld (epoch %lld, batch %lld); %s %s",
                    r->model->label, what, (long long)(r->epoch * r->epoch_steps + r->batch + 1),
                    (long long)r->epoch + 1, (long long)r->batch + 1,
                    !kept           ? "the last good parameters could not be kept:"
                    : r->good_epoch ? "the parameters of the last good epoch are kept in"
                                    : "the initial parameters are kept in",
                    kept ? r->partial : own.text);
}

/* Means of the epoch so far; validation columns are those of the last epoch. */
static deq_log_row row_of(const Run *r) {
    deq_log_row row = deq_log_empty();
    size_t rows = json_array_size(r->model->log);
    if (rows) {
        deq_log_row last = deq_log_row_of(json_array_get(r->model->log, rows - 1));
        row.clean = last.clean;
        row.robust = last.robust;
        row.validation_loss = last.validation_loss;
        row.robust_loss = last.robust_loss;
    }
    row.epoch = (double)r->epoch;
    row.step = (double)(r->epoch * r->epoch_steps + r->batch);
    deq_training_sums_row(&r->sums, &row);
    row.seconds = elapsed(r);
    return row;
}

static deq_progress_state progress_of(const Run *r, const deq_log_row *row) {
    int64_t total = r->t->epochs * r->epoch_steps, done = r->epoch * r->epoch_steps + r->batch;
    double per_step = done ? row->seconds / (double)done : NAN;
    return (deq_progress_state){.what = r->model->label,
                                .epoch = r->epoch + (r->batch < r->epoch_steps),
                                .epochs = r->t->epochs,
                                .step = r->batch,
                                .steps = r->epoch_steps,
                                .row = *row,
                                .left = per_step * (double)(total - done)};
}

static bool train_batch(Run *r, deq_error *e) {
    const deq_train_spec *t = r->t;
    int64_t first = r->batch * t->batch, n = r->epoch_examples - first;
    if (n > t->batch) n = t->batch;
    for (int64_t i = 0; i < n; i++) r->index[i] = r->from + r->order[first + i];
    double start = deq_now();
    int64_t step = r->epoch * r->epoch_steps + r->batch + 1;
    deq_augmented changed = {deq_dataset_source(r->data, t->data.test), &t->data, t->seed, r->epoch};
    deq_source source = deq_augmented_source(&changed);
    deq_results results = {.loss = r->loss,
                           .metric = r->metric ? r->value : NULL,
                           .penalty = r->penalty,
                           .correction = r->correction,
                           .attack = r->counts};
    if (!deq_engine_gradient(r->engine, &source, r->index, n, t->loss, r->metric, t->attack ? &r->attack : NULL,
                             t->seed, (uint64_t)step, &results, e))
        return false;
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(r->loss[i]))
            return diverged(r, isnan(r->loss[i]) ? "the loss became NaN" : "the loss became infinite", e);
    r->update_scalars[0] = (double)step;
    r->update_scalars[1] = (double)(t->epochs * r->epoch_steps);
    if (!deq_engine_update(r->engine, t->optimiser.routine, t->optimiser.states, r->update_scalars, e)) return false;
    if (!finite_vector(deq_engine_parameters(r->engine), t->net->parameter_bytes, (int)r->app->module->real_bits))
        return diverged(r, "a parameter became NaN or infinite", e);
    deq_training_sums_add(&r->sums, &results, n);
    r->batch++;
    r->sums.working += deq_now() - start;
    if (!r->stepped) /* how long it took to get to work: compiling, reading data and making room included */
        deq_report_event(&r->app->reporter, "first_step",
                         json_pack("{s:s, s:f}", "name", r->model->label, "since_start", deq_since()));
    r->stepped = true;
    return true;
}

static bool not_interrupted(void *context, int64_t done, int64_t total) {
    (void)context, (void)done, (void)total;
    return !deq_interrupted();
}

static bool validate(Run *r, deq_log_row *row, deq_error *e) {
    const deq_train_spec *t = r->t;
    row->clean = row->robust = row->validation_loss = row->robust_loss = NAN;
    if (!t->validate) return true;
    int64_t n = r->validate_to - r->validate_from;
    int64_t *index = malloc((size_t)n * sizeof *index);
    double *loss = malloc((size_t)n * sizeof *loss), *metric = malloc((size_t)n * sizeof *metric);
    bool ok = index && loss && metric;
    if (!ok) deq_fail(e, DEQ_MEMORY, "out of memory for the validation of %lld examples", (long long)n);
    for (int64_t i = 0; ok && i < n; i++) index[i] = r->validate_from + i;
    deq_source source = deq_dataset_source(r->validate, t->validate->test);
    for (int attacked = 0; ok && attacked <= (t->attack != NULL); attacked++) {
        deq_results results = {.loss = loss, .metric = r->metric ? metric : NULL};
        ok = deq_engine_evaluate(r->engine, &source, index, n, t->loss, r->metric, attacked ? &r->attack : NULL,
                                 t->seed, not_interrupted, r, &results, e);
        if (!ok || deq_interrupted()) break;
        double sums[2] = {0, 0};
        for (int64_t i = 0; i < n; i++) {
            sums[0] += loss[i];
            sums[1] += r->metric ? metric[i] : NAN;
        }
        *(attacked ? &row->robust_loss : &row->validation_loss) = sums[0] / (double)n;
        *(attacked ? &row->robust : &row->clean) = sums[1] / (double)n;
    }
    free(index);
    free(loss);
    free(metric);
    return ok;
}

/* On the validation examples, else on the first training examples. */
static bool measure_spectrum(Run *r, deq_log_row *row, deq_error *e) {
    const deq_train_spec *t = r->t;
    int64_t from = t->validate ? r->validate_from : r->from, to = t->validate ? r->validate_to : r->to;
    int64_t n = to - from < t->spectrum ? to - from : t->spectrum, nfixed = t->net->nfixed;
    if (n < 1 || nfixed < 1) return true;
    deq_spectrum *s = malloc((size_t)(n * nfixed) * sizeof *s);
    int64_t *index = malloc((size_t)n * sizeof *index);
    bool ok =
        s && index ? true : deq_fail(e, DEQ_MEMORY, "out of memory for the spectrum of %lld examples", (long long)n);
    for (int64_t i = 0; ok && i < n; i++) index[i] = from + i;
    deq_source source =
        t->validate ? deq_dataset_source(r->validate, t->validate->test) : deq_dataset_source(r->data, t->data.test);
    ok = ok && deq_engine_spectrum(r->engine, &source, index, n, s, e);
    for (int64_t i = 0; ok && i < n; i++)
        for (int64_t k = 1; k < nfixed; k++) { /* the fixed point that contracts least */
            s[i].radius = fmax(s[i].radius, s[k * n + i].radius);
            s[i].norm2 = fmax(s[i].norm2, s[k * n + i].norm2);
            s[i].frobenius = fmax(s[i].frobenius, s[k * n + i].frobenius);
        }
    if (ok) {
        deq_quantiles radius = deq_quantiles_of(s, n, sizeof *s, offsetof(deq_spectrum, radius));
        row->radius = radius.median;
        row->radius_most = radius.most;
        row->norm2 = deq_quantiles_of(s, n, sizeof *s, offsetof(deq_spectrum, norm2)).median;
        row->frobenius = deq_quantiles_of(s, n, sizeof *s, offsetof(deq_spectrum, frobenius)).median;
    }
    free(s);
    free(index);
    return ok;
}

static bool write_log(Run *r, deq_error *e) {
    char *path = deq_app_file(r->app, r->model->stem, "-log.csv");
    bool ok = path ? deq_log_write(path, r->model->log, e) : deq_fail(e, DEQ_MEMORY, "out of memory");
    free(path);
    return ok;
}

static bool interrupted(Run *r, deq_error *e) {
    deq_error own = {0};
    if (!write_position(r, &own))
        return deq_fail(e, DEQ_INTERRUPTED, "training of '%s' was stopped and could not be kept: %s", r->model->label,
                        own.text);
    return deq_fail(e, DEQ_INTERRUPTED,
                    "training of '%s' was stopped after epoch %lld, batch %lld of %lld; all of it is kept in %s; run "
                    "the same command again%s to go on",
                    r->model->label, (long long)r->epoch, (long long)r->batch, (long long)r->epoch_steps, r->partial,
                    r->app->options->fresh ? " without --fresh" : "");
}

static bool train_epoch(Run *r, deq_error *e) {
    uint64_t key = deq_key_mix(deq_key_text(r->t->seed, "epoch"), (uint64_t)r->epoch);
    deq_permutation(key, r->to - r->from, r->order);
    while (r->batch < r->epoch_steps) {
        if (deq_interrupted()) return interrupted(r, e);
        if (!train_batch(r, e)) return false;
        if (r->batch < r->epoch_steps) {
            deq_log_row row = row_of(r);
            deq_progress_state state = progress_of(r, &row);
            deq_report_step(&r->app->reporter, &state);
        }
    }
    deq_log_row row = row_of(r);
    deq_error own = {0};
    bool valid = validate(r, &row, &own) && measure_spectrum(r, &row, &own);
    if (deq_interrupted()) return interrupted(r, e);
    if (!valid) return deq_fail(e, own.failure, "%s", own.text);
    row.epoch = (double)r->epoch + 1;
    row.seconds = elapsed(r);
    deq_progress_state state = progress_of(r, &row);
    state.epoch = r->epoch + 1;
    deq_report_epoch(&r->app->reporter, &state);
    json_array_append_new(r->model->log, deq_log_json(&row));
    r->epoch++;
    r->batch = 0;
    r->sums = (deq_training_sums){0};
    keep_good(r);
    return deq_best_epoch(&r->kept, r->model->log, deq_engine_parameters(r->engine), r->partial, e) &&
           write_log(r, e) && (r->epoch == r->t->epochs || write_position(r, e));
}

/* A finished run of the same key, from the cache: parameters and log. */
static bool find_finished(Run *r, const char *path) {
    if (!path || r->app->options->fresh || access(path, R_OK)) return false;
    deq_error e = {0};
    deq_checkpoint c = {.parameters = r->model->parameters, .key = r->model->key};
    if (!deq_checkpoint_read(path, r->t->net, (int)r->app->module->real_bits, true, &c, &e)) {
        deq_report_warning(&r->app->reporter, "W0811", "%s; training starts anew", e.text);
        return false;
    }
    bool ours = state_is_ours(r, c.state);
    if (ours) {
        restore_state(r, c.state);
        r->model->seconds = r->before;
        r->model->cached = true;
        deq_report(&r->app->reporter, "%s: found in the cache (%lld epochs, trained in %.1f s)", r->model->label,
                   (long long)c.epoch, r->before);
        deq_report_event(
            &r->app->reporter, "cached",
            json_pack("{s:s, s:s, s:f}", "name", r->model->label, "key", r->model->key, "seconds", r->before));
    }
    deq_checkpoint_drop(&c);
    return ours;
}

static void finish(Run *r, const char *finished) {
    deq_model *m = r->model;
    if (deq_best_take(&r->kept, deq_engine_parameters(r->engine))) {
        deq_engine_prepare(r->engine);
        deq_report(&r->app->reporter, "%s: keeps the parameters of epoch %lld of %lld, the %s on validate", m->label,
                   (long long)r->kept.epoch, (long long)r->t->epochs,
                   r->t->keep == DEQ_KEEP_best_robust ? "most robust" : "best");
    }
    memcpy(m->parameters, deq_engine_parameters(r->engine), (size_t)r->vector_bytes);
    m->seconds = elapsed(r);
    if (finished) {
        deq_error own = {0};
        deq_checkpoint c = {.epoch = r->t->epochs,
                            .parameters = m->parameters,
                            .key = m->key,
                            .settings = r->settings,
                            .state = state_json(r, m->seconds)};
        if (!deq_checkpoint_write(finished, r->t->net, (int)r->app->module->real_bits, &c, &own)) {
            r->app->store.usable = false;
            snprintf(r->app->store.problem, sizeof r->app->store.problem, "%.290s", own.text);
        }
        json_decref(c.state);
    }
    if (r->partial) unlink(r->partial);
    deq_best_drop(&r->kept, r->partial);
    if (r->t->epochs) deq_report(&r->app->reporter, "%s: trained in %.1f s", m->label, m->seconds);
    deq_app_warn_training(r->app, r->engine, m);
}

static bool prepare_run(Run *r, deq_error *e) {
    deq_app *app = r->app;
    const deq_train_spec *t = r->t;
    r->vector_bytes = deq_net_vector_bytes(t->net, (int)app->module->real_bits);
    r->metric = deq_net_metric(t->net, "accuracy") ? "accuracy" : NULL;
    if (t->attack) r->attack = deq_app_attack(t->attack, r->attack_scalars);
    for (int i = 0; i < t->optimiser.nscalars; i++) r->update_scalars[2 + i] = t->optimiser.scalars[i].value;
    r->data = deq_app_data(app, t->data.data, e);
    if (!r->data || !deq_dataset_slice(r->data, &t->data, &r->from, &r->to, e)) return false;
    if (t->validate) {
        r->validate = deq_app_data(app, t->validate->data, e);
        if (!r->validate || !deq_dataset_slice(r->validate, t->validate, &r->validate_from, &r->validate_to, e))
            return false;
    }
    r->epoch_examples = t->examples > 0 && t->examples < r->to - r->from ? t->examples : r->to - r->from;
    r->epoch_steps = (r->epoch_examples + t->batch - 1) / t->batch;
    r->model->parameters = calloc(1, (size_t)r->vector_bytes);
    r->model->log = json_array();
    return r->model->parameters
               ? true
               : deq_fail(e, DEQ_MEMORY, "out of memory for %lld bytes of parameters", (long long)r->vector_bytes);
}

/* Buffers that only a run which really trains needs. */
static bool prepare_loop(Run *r, deq_error *e) {
    const deq_train_spec *t = r->t;
    if (t->epochs && (!deq_dataset_load(r->data, t->data.test, e) ||
                      (t->validate && !deq_dataset_load(r->validate, t->validate->test, e))))
        return false;
    if (!deq_engine_init(r->engine, t->seed, e) ||
        (t->start.file && !deq_weights_load(t->start.file, t->start.map, t->net, (int)r->app->module->real_bits,
                                            deq_engine_parameters(r->engine), e)) ||
        !deq_engine_optimiser(r->engine, t->optimiser.states, e))
        return false;
    if (r->first) memcpy(deq_engine_parameters(r->engine), r->first->parameters, (size_t)r->vector_bytes);
    deq_engine_prepare(r->engine);
    (void)deq_engine_optimiser_states(r->engine, &r->state_bytes);
    if (!t->optimiser.states) r->state_bytes = 0;
    r->order = malloc((size_t)(r->to - r->from) * sizeof *r->order);
    r->index = malloc((size_t)t->batch * sizeof *r->index);
    r->loss = malloc((size_t)t->batch * sizeof *r->loss);
    r->value = malloc((size_t)t->batch * sizeof *r->value);
    if (t->attack) r->counts = malloc((size_t)t->batch * sizeof *r->counts);
    if (deq_engine_penalised(r->engine)) r->penalty = malloc((size_t)t->batch * sizeof *r->penalty);
    if (deq_engine_corrected(r->engine)) r->correction = malloc((size_t)t->batch * sizeof *r->correction);
    r->good = malloc((size_t)r->vector_bytes);
    r->good_states = r->state_bytes ? malloc((size_t)r->state_bytes) : NULL;
    if (!deq_engine_remember(r->engine, r->from, r->to - r->from, e)) return false;
    (void)deq_engine_previous(r->engine, &r->previous_bytes);
    r->good_previous = r->previous_bytes ? malloc((size_t)r->previous_bytes) : NULL;
    if (r->previous_bytes && !r->good_previous)
        return deq_fail(e, DEQ_MEMORY, "out of memory for the last states of the examples of '%s'", t->name);
    if (!r->order || !r->index || !r->loss || !r->value || (t->attack && !r->counts) ||
        (deq_engine_penalised(r->engine) && !r->penalty) || (deq_engine_corrected(r->engine) && !r->correction) ||
        !r->good || !deq_best_begin(&r->kept, t, r->model->key, (int)r->app->module->real_bits) ||
        (r->state_bytes && !r->good_states))
        return deq_fail(e, DEQ_MEMORY, "out of memory for the training of '%s'", t->name);
    return true;
}

static void announce(const Run *r) {
    const deq_train_spec *t = r->t;
    if (t->start.file)
        deq_report(&r->app->reporter, "%s: %s begins with the weights of %s%s%s", r->model->label, t->net->name,
                   t->start.file, t->start.map ? ", mapped by " : "", t->start.map ? t->start.map : "");
    if (r->first)
        deq_report(&r->app->reporter, "%s: %s begins with the weights of %s", r->model->label, t->net->name,
                   r->first->label);
    if (!t->epochs) return;
    int64_t parameters = 0;
    for (int i = 0; i < t->net->nparameters; i++)
        if (t->net->parameters[i].trained) parameters += t->net->parameters[i].shape.elements;
    deq_report(&r->app->reporter,
               "%s: %s, %lld parameters, %lld of %lld examples an epoch, %lld epochs of %lld batches of %lld, %s%s%s, "
               "seed %llu",
               r->model->label, t->net->name, (long long)parameters, (long long)r->epoch_examples,
               (long long)(r->to - r->from), (long long)t->epochs, (long long)r->epoch_steps, (long long)t->batch,
               t->optimiser.name, r->model->attack ? ", against " : "", r->model->attack ? r->model->attack : "",
               (unsigned long long)t->seed);
}

static bool train(Run *r, deq_error *e) {
    deq_app *app = r->app;
    char *finished = deq_store_path(&app->store, "nets", r->model->key, "safetensors");
    r->partial = deq_store_path(&app->store, "nets", r->model->key, "partial.safetensors");
    r->in_cache = r->partial != NULL;
    if (!r->partial) r->partial = deq_app_file(app, r->model->stem, ".partial.safetensors");
    r->began = deq_now();
    bool ok = r->partial != NULL;
    if (!find_finished(r, finished)) {
        if (finished) deq_own_clear(finished);
        ok = ok && prepare_loop(r, e);
        if (ok) {
            announce(r);
            try_resume(r);
            if (r->in_cache) deq_own_clear(r->partial);
            keep_good(r);
        }
        while (ok && r->epoch < r->t->epochs) ok = train_epoch(r, e);
        if (ok) finish(r, finished);
    }
    if (ok) deq_app_warn_masked(app, r->engine, r->model);
    ok = ok && write_log(r, e);
    if (ok) {
        char *path = deq_app_file(app, r->model->stem, ".safetensors");
        deq_checkpoint c = {
            .epoch = r->t->epochs, .parameters = r->model->parameters, .key = r->model->key, .settings = r->settings};
        ok = path && deq_checkpoint_write(path, r->t->net, (int)app->module->real_bits, &c, e);
        free(path);
    }
    free(finished);
    return ok;
}

/* The net that the run begins with: in memory, found in the cache or trained now.  It stands above in the file. */
static const deq_model *first_model(deq_app *app, const deq_train_spec *t, deq_error *e) {
    const deq_manifest *m = app->manifest;
    const deq_train_spec *of = NULL;
    for (int i = 0; i < m->ntrains && &m->trains[i] != t && !of; i++)
        if (!strcmp(m->trains[i].name, t->start.train)) of = &m->trains[i];
    if (!of || of->net != t->net) {
        deq_fail(e, DEQ_MODULE, "'%s' cannot begin with the weights of '%s'", t->name, t->start.train);
        return NULL;
    }
    for (int i = 0; i < app->nmodels; i++)
        if (app->models[i]->spec == of) return app->models[i];
    char *stem = deq_path_component(of->name);
    const deq_model *model = stem ? deq_app_train(app, of, of->name, stem, e) : NULL;
    if (!stem) deq_fail(e, DEQ_MEMORY, "out of memory");
    free(stem);
    return model;
}

deq_model *deq_app_train(deq_app *app, const deq_train_spec *t, const char *label, const char *stem, deq_error *e) {
    const deq_model *first = t->start.train ? first_model(app, t, e) : NULL;
    if (t->start.train && !first) return NULL;
    Run r = {.app = app, .t = t, .first = first, .model = calloc(1, sizeof *r.model)};
    bool ok = r.model && (r.model->label = strdup(label)) && (r.model->stem = strdup(stem));
    if (!ok)
        deq_fail(e, DEQ_MEMORY, "out of memory");
    else
        r.model->spec = t;
    if (ok && t->epochs && !t->optimiser.routine)
        ok = deq_fail(e, DEQ_SETTING, "train '%s' has no optimiser: it cannot be given epochs", t->name);
    r.engine = ok ? deq_app_engine(app, t->net, e) : NULL;
    r.settings = r.engine ? deq_app_trained_settings(r.engine, t, e) : NULL;
    uint32_t token = r.engine ? deq_engine_save_settings(r.engine) : 0;
    ok = r.settings && prepare_run(&r, e) && deq_app_in_training(r.engine, t, e);
    if (ok) r.model->attack = deq_app_attack_name(r.app, r.engine, t->net, t->attack);
    ok = ok && deq_app_train_key(app, t, first, r.engine, r.epoch_examples, r.model->key, e);
    deq_model *known = NULL;
    for (int i = 0; ok && i < app->nmodels && !known; i++)
        if (!strcmp(app->models[i]->key, r.model->key)) known = app->models[i]; /* another cell trained the very same */
    ok = ok && (known || train(&r, e));
    if (r.engine) (void)deq_engine_remember(r.engine, 0, 0, &(deq_error){0});
    if (r.engine) deq_engine_restore_settings(r.engine, token);
    if (ok && !known) deq_app_note_carried(app, r.engine, r.model);
    json_decref(r.settings);
    free(r.partial);
    free(r.order);
    free(r.index);
    free(r.loss);
    free(r.value);
    free(r.counts);
    free(r.penalty);
    free(r.correction);
    free(r.good);
    free(r.good_states);
    deq_best_drop(&r.kept, NULL);
    free(r.good_previous);
    if (!ok || known) {
        deq_model_free(r.model);
        return ok ? known : NULL;
    }
    return deq_app_keep(app, r.model, e) ? r.model : NULL;
}
