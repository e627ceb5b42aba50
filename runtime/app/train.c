/* train.c - one training run: epochs of shuffled batches, validation, log, results.
 *
 * A run is a function of its key (net, settings, seed, data): the order of examples is keyed by (seed, epoch), an
 * attack's draws by (seed, step). */
#include "output.h"
#include "own.h"
#include "random.h"
#include "rank_costs.h"
#include "ranks.h"
#include "signals.h"
#include "spectral.h"
#include "training_run.h"
#include "weights.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Means of the epoch so far; validation columns are those of the last epoch. */
static deq_log_row row_of(const training_run *r) {
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
    row.step = (double)(r->epoch * r->epoch_steps + r->step);
    deq_training_sums_row(&r->sums, &row);
    row.seconds = training_elapsed(r);
    return row;
}

static deq_progress_state progress_of(const training_run *r, const deq_log_row *row) {
    int64_t total = r->t->epochs * r->epoch_steps, done = r->epoch * r->epoch_steps + r->step;
    double per_step = done ? row->seconds / (double)done : NAN;
    return (deq_progress_state){.what = r->model->label,
                                .epoch = r->epoch + (r->step < r->epoch_steps),
                                .epochs = r->t->epochs,
                                .step = r->step,
                                .steps = r->epoch_steps,
                                .row = *row,
                                .metric = r->t->metric.name,
                                .share = deq_train_share(r->t),
                                .left = per_step * (double)(total - done),
                                .cost = r->cost};
}

static bool not_interrupted(void *context, int64_t done, int64_t total) {
    (void)context, (void)done, (void)total;
    return !deq_interrupted_here();
}

static bool validate(training_run *r, deq_log_row *row, deq_error *e) {
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
        deq_results results = {.loss = loss, .metric = r->t->metric.routine ? metric : NULL};
        ok = deq_engine_evaluate(r->engine, &source, index, n, t->loss, r->t->metric.routine,
                                 attacked ? &r->attack : NULL, t->seed, not_interrupted, r, &results, e);
        if (!ok || deq_interrupted()) break;
        double sums[2] = {0, 0};
        for (int64_t i = 0; i < n; i++) {
            sums[0] += loss[i];
            sums[1] += r->t->metric.routine ? metric[i] : NAN;
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
static bool measure_spectrum(training_run *r, deq_log_row *row, deq_error *e) {
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

static bool write_log(training_run *r, deq_error *e) {
    char *path = deq_app_file(r->app, r->model->stem, "-log.csv");
    bool ok =
        path ? deq_log_write(path, r->model->log, r->t->metric.name, e) : deq_fail(e, DEQ_MEMORY, "out of memory");
    free(path);
    return ok;
}

/* The net becomes the average of its parameters, or again what is trained. */
static void exchange(training_run *r) {
    if (deq_moving_average_exchange(&r->mean, deq_engine_parameters(r->engine))) deq_engine_prepare(r->engine);
}

/* Within an epoch.  Rank 0, which alone writes, goes by its own clock: nobody waits for it, and no bits depend on it. */
static bool write_when_due(training_run *r, deq_error *e) {
    if (!r->t->checkpoint || !deq_ranks_first() || deq_now() - r->written < 60 * r->t->checkpoint) return true;
    return training_write(r, e);
}

static bool train_epoch(training_run *r, deq_error *e) {
    uint64_t key = deq_key_mix(deq_key_text(r->t->seed, "epoch"), (uint64_t)r->epoch);
    deq_permutation(key, r->to - r->from, r->order);
    r->cost = (deq_ranks_cost){0};
    while (r->step < r->epoch_steps) {
        if (deq_interrupted()) return training_interrupted(r, e);
        if (!training_step(r, e)) return false;
        if (r->step < r->epoch_steps) {
            deq_log_row row = row_of(r);
            deq_progress_state state = progress_of(r, &row);
            deq_report_step(&r->app->reporter, &state);
            if (!write_when_due(r, e)) return false;
        }
    }
    deq_log_row row = row_of(r);
    deq_error own = {0};
    exchange(r);
    bool valid = validate(r, &row, &own) && measure_spectrum(r, &row, &own);
    exchange(r);
    if (deq_interrupted()) return training_interrupted(r, e);
    if (!valid) return deq_fail(e, own.failure, "%s", own.text);
    row.epoch = (double)r->epoch + 1;
    row.seconds = training_elapsed(r);
    deq_progress_state state = progress_of(r, &row);
    state.epoch = r->epoch + 1;
    deq_report_epoch(&r->app->reporter, &state);
    json_array_append_new(r->model->log, deq_log_json(&row));
    r->epoch++;
    r->step = 0;
    r->sums = (deq_training_sums){0};
    training_keep_good(r);
    const void *value = r->mean.values ? r->mean.values : deq_engine_parameters(r->engine);
    return deq_best_epoch(&r->kept, r->model->log, value, r->partial, e) && write_log(r, e) &&
           (r->epoch == r->t->epochs || training_write(r, e));
}

static void finish(training_run *r, const char *finished) {
    deq_model *m = r->model;
    if (deq_best_take(&r->kept, deq_engine_parameters(r->engine))) {
        deq_engine_prepare(r->engine);
        deq_report(&r->app->reporter, "%s: keeps the parameters of epoch %lld of %lld, the %s on validate", m->label,
                   (long long)r->kept.epoch, (long long)r->t->epochs,
                   r->t->keep == DEQ_KEEP_best_robust ? "most robust" : "best");
    } else
        exchange(r);
    memcpy(m->parameters, deq_engine_parameters(r->engine), (size_t)r->vector_bytes);
    m->seconds = training_elapsed(r);
    if (finished) training_write_finished(r, finished);
    if (r->partial && deq_ranks_first()) unlink(r->partial);
    deq_best_drop(&r->kept, r->partial);
    if (r->t->epochs) deq_report(&r->app->reporter, "%s: trained in %.1f s", m->label, m->seconds);
    if (r->made > 0) deq_report_ranks(&r->app->reporter, m->label, &r->whole_cost, r->made);
    deq_app_warn_training(r->app, r->engine, m);
}

static bool prepare_run(training_run *r, deq_error *e) {
    deq_app *app = r->app;
    const deq_train_spec *t = r->t;
    r->vector_bytes = deq_net_vector_bytes(t->net, (int)app->module->real_bits);
    if (t->attack) r->attack = deq_app_attack(t->attack, r->attack_scalars);
    if (t->attack) r->trained = deq_app_attack_in_training(t->attack, r->attack_scalars);
    for (int i = 0; i < t->optimiser.nscalars; i++) r->update_scalars[2 + i] = t->optimiser.scalars[i].value;
    r->data = deq_app_data(app, t->data.data, e);
    if (!r->data || !deq_dataset_slice(r->data, &t->data, &r->from, &r->to, e)) return false;
    if (t->validate) {
        r->validate = deq_app_data(app, t->validate->data, e);
        if (!r->validate || !deq_dataset_slice(r->validate, t->validate, &r->validate_from, &r->validate_to, e))
            return false;
    }
    r->epoch_examples = deq_train_examples(t, r->to - r->from);
    r->epoch_steps =
        (r->epoch_examples + t->batch * t->accumulate - 1) / (t->batch * t->accumulate) * training_times(t);
    r->model->parameters = calloc(1, (size_t)r->vector_bytes);
    r->model->log = json_array();
    return r->model->parameters
               ? true
               : deq_fail(e, DEQ_MEMORY, "out of memory for %lld bytes of parameters", (long long)r->vector_bytes);
}

/* Factors of steps by parameter, where the run says some. */
static bool set_rates(training_run *r, deq_error *e) {
    const deq_net_spec *net = r->t->net;
    if (!r->t->nfreeze && !r->t->nrates) return true;
    double *rates = malloc(((size_t)net->nparameters + 1) * sizeof *rates);
    for (int i = 0; rates && i < net->nparameters; i++) rates[i] = deq_train_rate(r->t, net->parameters[i].path);
    bool ok = rates ? deq_engine_rates(r->engine, rates, e) : deq_fail(e, DEQ_MEMORY, "out of memory");
    free(rates);
    return ok;
}

/* Buffers that only a run which really trains needs. */
static bool prepare_loop(training_run *r, deq_error *e) {
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
    r->order = malloc((size_t)(r->to - r->from) * sizeof *r->order);
    r->index = malloc((size_t)t->batch * sizeof *r->index);
    r->loss = malloc((size_t)t->batch * sizeof *r->loss);
    r->value = malloc((size_t)t->batch * sizeof *r->value);
    if (t->replay.kind) {
        const size_t rows = (size_t)(t->batch * t->accumulate);
        r->carried = (deq_carried){calloc(rows, deq_engine_input_bytes(r->engine)), t->replay};
        if (!r->carried.perturbation) return deq_fail(e, DEQ_MEMORY, "out of memory for the perturbation of a batch");
    }
    if (t->attack && !t->replay.kind) r->counts = malloc((size_t)t->batch * sizeof *r->counts);
    if (deq_engine_penalised(r->engine)) r->penalty = malloc((size_t)t->batch * sizeof *r->penalty);
    if (deq_engine_corrected(r->engine)) r->correction = malloc((size_t)t->batch * sizeof *r->correction);
    const int bits = (int)r->app->module->real_bits;
    if (!deq_engine_remember(r->engine, r->from, r->to - r->from, e) || !set_rates(r, e) ||
        !training_check_intermediate(r, e))
        return false;
    if (!r->order || !r->index || !r->loss || !r->value || (t->attack && !t->replay.kind && !r->counts) ||
        (deq_engine_penalised(r->engine) && !r->penalty) || (deq_engine_corrected(r->engine) && !r->correction) ||
        !deq_best_begin(&r->kept, t, r->model->key, bits) ||
        !deq_moving_average_begin(&r->mean, t->average, deq_engine_parameters(r->engine), r->vector_bytes, bits) ||
        !training_room(r))
        return deq_fail(e, DEQ_MEMORY, "out of memory for the training of '%s'", t->name);
    return true;
}

/* ", clip norm(most: 1)": what the run does to gradients and parameters. */
static void put_rules(const deq_train_spec *t, char *out, size_t size) {
    char text[160];
    size_t at = 0;
    *out = 0;
#define X(rule)                                                                                                        \
    deq_##rule##_print(&t->rule, text, sizeof text);                                                                   \
    if (t->rule.kind && at < size) at += (size_t)snprintf(out + at, size - at, ", " #rule " %s", text);
    DEQ_STEP_RULES(X)
#undef X
    if (at < size && t->nfreeze) at += (size_t)snprintf(out + at, size - at, ", frozen");
    for (int i = 0; i < t->nfreeze && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, "%s %s", i ? "," : "", t->freeze[i]);
    for (int i = 0; i < t->nrates && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, ", %s at %g of the rate", t->rates[i].path, t->rates[i].factor);
}

static void announce(const training_run *r) {
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
        if (t->net->parameters[i].trained && deq_train_rate(t, t->net->parameters[i].path) != 0)
            parameters += t->net->parameters[i].shape.elements;
    char rules[600], batch[80];
    put_rules(t, rules, sizeof rules);
    snprintf(batch, sizeof batch, t->accumulate > 1 ? "steps of %lld batches of" : "batches of",
             (long long)t->accumulate);
    deq_report(&r->app->reporter,
               "%s: %s, %lld parameters, %lld of %lld examples an epoch, %lld epochs of %lld %s %lld, %s%s%s%s, "
               "seed %llu",
               r->model->label, t->net->name, (long long)parameters, (long long)r->epoch_examples,
               (long long)(r->to - r->from), (long long)t->epochs, (long long)r->epoch_steps, batch,
               (long long)t->batch, t->optimiser.name, rules,
               !r->model->attack ? ""
               : t->replay.kind  ? ", validated against "
                                 : ", against ",
               r->model->attack ? r->model->attack : "", (unsigned long long)t->seed);
}

static bool train(training_run *r, deq_error *e) {
    deq_app *app = r->app;
    char *finished = deq_store_path(&app->store, "nets", r->model->key, "safetensors");
    r->partial = deq_store_path(&app->store, "nets", r->model->key, "partial.safetensors");
    r->in_cache = r->partial != NULL;
    if (!r->partial) r->partial = deq_app_file(app, r->model->stem, ".partial.safetensors");
    r->began = r->written = deq_now();
    bool ok = r->partial != NULL;
    if (!training_found(r, finished)) {
        if (finished && deq_ranks_first()) deq_own_clear(finished);
        ok = ok && prepare_loop(r, e);
        if (ok) {
            announce(r);
            training_resume(r);
            if (r->in_cache && deq_ranks_first()) deq_own_clear(r->partial);
            training_keep_good(r);
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

/* The net that the run begins with: in memory, found in the cache or trained now. */
static const deq_model *first_model(deq_app *app, const deq_train_spec *t, deq_error *e) {
    const deq_train_spec *of = t->start.of;
    const deq_model *kept = deq_app_kept(app, of);
    if (kept) return kept;
    char *stem = deq_path_component(of->name);
    const deq_model *model = stem ? deq_app_train(app, of, of->name, stem, e) : NULL;
    if (!stem) deq_fail(e, DEQ_MEMORY, "out of memory");
    free(stem);
    return model;
}

deq_model *deq_app_train(deq_app *app, const deq_train_spec *t, const char *label, const char *stem, deq_error *e) {
    const deq_model *first = t->start.train ? first_model(app, t, e) : NULL;
    if (t->start.train && !first) return NULL;
    training_run r = {.app = app, .t = t, .first = first, .model = calloc(1, sizeof *r.model)};
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
    ok = ok && deq_app_train_key(app, t, first, r.engine, r.epoch_examples, r.model->key, e) &&
         deq_ranks_agree("training (settings or data)", r.model->key, e);
    deq_model *known = NULL;
    for (int i = 0; ok && i < app->nmodels && !known; i++)
        if (!strcmp(app->models[i]->key, r.model->key)) known = app->models[i]; /* another cell trained the very same */
    ok = ok && (known || train(&r, e));
    if (r.engine) (void)deq_engine_remember(r.engine, 0, 0, &(deq_error){0});
    if (r.engine) (void)deq_engine_rates(r.engine, NULL, &(deq_error){0});
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
    training_drop(&r);
    deq_moving_average_drop(&r.mean);
    free(r.carried.perturbation);
    deq_best_drop(&r.kept, NULL);
    if (!ok || known) {
        deq_model_free(r.model);
        return ok ? known : NULL;
    }
    return deq_app_keep(app, r.model, e) ? r.model : NULL;
}
