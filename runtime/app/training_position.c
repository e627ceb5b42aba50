/* training_position.c - where a run stands: checkpoints of what it goes on with, from session to session.
 *
 * A checkpoint holds parameters, optimiser vectors, what else changes from step to step, the position and the sums of the
 * unfinished epoch, so that a resumed run ends with the same bits as one that was never stopped. */
#include "signals.h"
#include "ranks.h"
#include "training_run.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* "batch", or "step" of several: what positions count. */
static const char *unit_of(const deq_train_spec *t) { return t->accumulate > 1 || t->replay.kind ? "step" : "batch"; }

double training_elapsed(const training_run *r) { return r->before + deq_now() - r->began; }

static json_t *state_json(const training_run *r, double seconds) {
    return json_pack("{s:s, s:o, s:O, s:f}", "key", r->model->key, "sums", deq_training_sums_json(&r->sums), "log",
                     r->model->log, "seconds", seconds);
}

static void restore_state(training_run *r, const json_t *state) {
    const json_t *log = json_object_get(state, "log");
    r->sums = deq_training_sums_of(json_object_get(state, "sums"));
    r->before = json_number_value(json_object_get(state, "seconds"));
    if (json_is_array(log)) {
        json_decref(r->model->log);
        r->model->log = json_deep_copy(log);
    }
}

static bool state_is_ours(const training_run *r, const json_t *state) {
    const char *key = json_string_value(json_object_get(state, "key"));
    return key && !strcmp(key, r->model->key);
}

/* ---- vectors ---- */

/* Those of the run as it goes on. */
static training_vectors live(training_run *r) {
    training_vectors v = {.parameters = deq_engine_parameters(r->engine)};
    void *states = deq_engine_optimiser_states(r->engine, &r->state_bytes);
    if (!r->t->optimiser.states) r->state_bytes = 0;
    if (r->state_bytes) v.states = states;
    v.more[DEQ_VECTOR_previous] = deq_engine_previous(r->engine, &r->more_bytes[DEQ_VECTOR_previous]);
    v.more[DEQ_VECTOR_average] = r->mean.values;
    r->more_bytes[DEQ_VECTOR_average] = r->mean.bytes;
    v.more[DEQ_VECTOR_perturbation] = r->carried.perturbation;
    if (r->carried.perturbation)
        r->more_bytes[DEQ_VECTOR_perturbation] =
            r->t->batch * r->t->accumulate * (int64_t)deq_engine_input_bytes(r->engine);
    return v;
}

static void drop(training_vectors *v) {
    free(v->parameters);
    free(v->states);
    for (int i = 0; i < DEQ_VECTORS; i++) free(v->more[i]);
    *v = (training_vectors){0};
}

static bool make(training_run *r, training_vectors *v) {
    const training_vectors now = live(r);
    bool good = (v->parameters = malloc((size_t)r->vector_bytes)) != NULL;
    if (now.states) good = (v->states = malloc((size_t)r->state_bytes)) && good;
    for (int i = 0; i < DEQ_VECTORS; i++)
        if (now.more[i]) good = (v->more[i] = malloc((size_t)r->more_bytes[i])) && good;
    return good;
}

static void copy(const training_run *r, const training_vectors *to, const training_vectors *from) {
    memcpy(to->parameters, from->parameters, (size_t)r->vector_bytes);
    if (to->states) memcpy(to->states, from->states, (size_t)r->state_bytes);
    for (int i = 0; i < DEQ_VECTORS; i++)
        if (to->more[i]) memcpy(to->more[i], from->more[i], (size_t)r->more_bytes[i]);
}

static deq_checkpoint checkpoint_of(const training_run *r, const training_vectors *v) {
    deq_checkpoint c = {.parameters = v->parameters,
                        .states = v->states,
                        .state_bytes = r->state_bytes,
                        .nstates = r->t->optimiser.states,
                        .key = r->model->key};
    for (int i = 0; i < DEQ_VECTORS; i++) c.more[i].values = v->more[i], c.more[i].bytes = r->more_bytes[i];
    return c;
}

bool training_room(training_run *r) { return make(r, &r->good); }

void training_drop(training_run *r) { drop(&r->good); }

void training_keep_good(training_run *r) {
    const training_vectors now = live(r);
    copy(r, &r->good, &now);
    r->good_epoch = r->epoch;
}

/* ---- the checkpoint ---- */

static bool write_partial(training_run *r, const training_vectors *v, int64_t epoch, int64_t step, deq_error *e) {
    deq_checkpoint c = checkpoint_of(r, v);
    c.epoch = epoch;
    c.step = step;
    c.settings = r->settings;
    c.state = state_json(r, training_elapsed(r));
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

bool training_write(training_run *r, deq_error *e) {
    const training_vectors now = live(r);
    r->written = deq_now();
    return write_partial(r, &now, r->epoch, r->step, e);
}

static void go_on(training_run *r, const deq_checkpoint *c, const training_vectors *read) {
    const training_vectors now = live(r);
    copy(r, &now, read);
    deq_engine_prepare(r->engine);
    restore_state(r, c->state);
    r->epoch = c->epoch;
    r->step = c->step;
    deq_report(&r->app->reporter, "%s: resumed after epoch %lld, %s %lld of %lld", r->model->label, (long long)c->epoch,
               unit_of(r->t), (long long)c->step, (long long)r->epoch_steps);
    deq_report_event(&r->app->reporter, "resumed",
                     json_pack("{s:s, s:I, s:I}", "name", r->model->label, "epoch", (json_int_t)c->epoch, "step",
                               (json_int_t)c->step));
}

/* The checkpoint of rank 0 on all ranks; false: it has none of this run. */
static bool share_checkpoint(const training_run *r, bool found, deq_checkpoint *c, const training_vectors *v) {
    if (!deq_ranks_share_bool(found)) return false;
    c->state = deq_ranks_share_json(c->state);
    deq_ranks_share(&c->epoch, sizeof c->epoch);
    deq_ranks_share(&c->step, sizeof c->step);
    deq_ranks_share(v->parameters, r->vector_bytes);
    if (v->states) deq_ranks_share(v->states, r->state_bytes);
    for (int i = 0; i < DEQ_VECTORS; i++)
        if (v->more[i]) deq_ranks_share(v->more[i], r->more_bytes[i]);
    return true;
}

void training_resume(training_run *r) {
    const bool there = deq_ranks_first() && !access(r->partial, R_OK);
    if (r->app->options->fresh || !deq_ranks_share_bool(there)) return;
    deq_error e = {0};
    training_vectors read = {0};
    if (make(r, &read)) {
        deq_checkpoint c = checkpoint_of(r, &read);
        memcpy(read.parameters, deq_engine_parameters(r->engine), (size_t)r->vector_bytes);
        bool found = there && deq_checkpoint_read(r->partial, r->t->net, (int)r->app->module->real_bits, true, &c, &e);
        if (there && !found) deq_report_warning(&r->app->reporter, "W0811", "%s; training starts anew", e.text);
        found = found && state_is_ours(r, c.state);
        if (share_checkpoint(r, found, &c, &read) &&
            deq_best_resume(&r->kept, json_object_get(c.state, "log"), r->partial))
            go_on(r, &c, &read);
        deq_checkpoint_drop(&c);
    } else
        deq_ranks_stop(deq_failure_exit(DEQ_MEMORY)); /* the others wait for what this one cannot hold */
    drop(&read);
}

bool training_found(training_run *r, const char *path) {
    const bool there = deq_ranks_first() && path && !access(path, R_OK);
    if (r->app->options->fresh || !deq_ranks_share_bool(there)) return false;
    deq_error e = {0};
    deq_checkpoint c = {.parameters = r->model->parameters, .key = r->model->key};
    const bool read = there && deq_checkpoint_read(path, r->t->net, (int)r->app->module->real_bits, true, &c, &e);
    if (there && !read) deq_report_warning(&r->app->reporter, "W0811", "%s; training starts anew", e.text);
    const training_vectors parameters = {.parameters = r->model->parameters};
    const bool ours = share_checkpoint(r, read && state_is_ours(r, c.state), &c, &parameters);
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

void training_write_finished(training_run *r, const char *path) {
    deq_error own = {0};
    deq_checkpoint c = {.epoch = r->t->epochs,
                        .parameters = r->model->parameters,
                        .key = r->model->key,
                        .settings = r->settings,
                        .state = state_json(r, r->model->seconds)};
    if (!deq_checkpoint_write(path, r->t->net, (int)r->app->module->real_bits, &c, &own)) {
        r->app->store.usable = false;
        snprintf(r->app->store.problem, sizeof r->app->store.problem, "%.290s", own.text);
    }
    json_decref(c.state);
}

/* ---- runs that end early ---- */

bool training_diverged(training_run *r, const char *what, deq_error *e) {
    deq_error own = {0};
    r->sums = (deq_training_sums){0}; /* the state written is that of the last good epoch */
    bool kept = write_partial(r, &r->good, r->good_epoch, 0, &own);
    return deq_fail(e, DEQ_DIVERGED, "training of '%s' diverged: %s at step %lld (epoch %lld, %s %lld); %s %s",
                    r->model->label, what, (long long)(r->epoch * r->epoch_steps + r->step + 1),
                    (long long)r->epoch + 1, unit_of(r->t), (long long)r->step + 1,
                    !kept           ? "the last good parameters could not be kept:"
                    : r->good_epoch ? "the parameters of the last good epoch are kept in"
                                    : "the initial parameters are kept in",
                    kept ? r->partial : own.text);
}

bool training_interrupted(training_run *r, deq_error *e) {
    deq_error own = {0};
    if (!training_write(r, &own))
        return deq_fail(e, deq_interruption(), "training of '%s' was stopped and could not be kept: %s",
                        r->model->label, own.text);
    return deq_fail(e, deq_interruption(),
                    "training of '%s' was stopped after epoch %lld, %s %lld of %lld; all of it is kept in %s; run "
                    "the same command again%s to go on",
                    r->model->label, (long long)r->epoch, unit_of(r->t), (long long)r->step, (long long)r->epoch_steps,
                    r->partial, r->app->options->fresh ? " without --fresh" : "");
}
