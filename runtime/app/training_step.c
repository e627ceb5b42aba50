/* training_step.c - one step of a training run: the gradient of its batches, clipped; the optimiser's step; the average.
 *
 * An attack's draws are keyed by (seed, step, example), so batches of a step attack as one batch of all of them would. */
#include "dataset.h"
#include "random.h"
#include "training_run.h"
#include "transform.h"
#include <math.h>

int64_t training_times(const deq_train_spec *t) { return t->replay.kind ? t->replay.times : 1; }

/* The gradient of the mean loss over examples first .. first + n - 1 of the epoch. */
static bool take_batch(training_run *r, int64_t first, int64_t n, int64_t step, deq_error *e) {
    const deq_train_spec *t = r->t;
    for (int64_t i = 0; i < n; i++) r->index[i] = r->from + r->order[first + i];
    deq_augmented changed = {deq_dataset_source(r->data, t->data.test), &t->data, t->seed, r->epoch};
    deq_source source = deq_augmented_source(&changed);
    deq_results results = {.loss = r->loss,
                           .metric = t->metric.routine ? r->value : NULL,
                           .penalty = r->penalty,
                           .correction = r->correction,
                           .attack = r->counts};
    deq_carried carried = r->carried;
    if (carried.perturbation) /* rows of the batch's places among those of the step */
        carried.perturbation = (char *)carried.perturbation +
                               (size_t)(first % (t->batch * t->accumulate)) * deq_engine_input_bytes(r->engine);
    const deq_attack replayed = {.carried = &carried}, *attack = carried.perturbation ? &replayed
                                                                 : t->attack          ? &r->trained
                                                                                      : NULL;
    if (!deq_engine_gradient(r->engine, &source, r->index, n, t->loss, t->metric.routine, attack, t->seed,
                             (uint64_t)step, &results, e))
        return false;
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(r->loss[i]))
            return training_diverged(r, isnan(r->loss[i]) ? "the loss became NaN" : "the loss became infinite", e);
    deq_training_sums_add(&r->sums, &results, n);
    return true;
}

/* Solves end after so many steps, whatever their residual is then. */
static bool end_after(deq_engine *engine, int steps, deq_error *e) {
    char text[24];
    snprintf(text, sizeof text, "%d", steps);
    return deq_engine_set(engine, "forward.max", text, e) && deq_engine_set(engine, "forward.tol", "0", e);
}

bool training_check_intermediate(training_run *r, deq_error *e) {
    const deq_train_spec *t = r->t;
    if (!t->intermediate.kind) return true;
    const uint32_t token = deq_engine_save_settings(r->engine);
    deq_error own = {0};
    const bool good = end_after(r->engine, t->intermediate.states.first, &own) &&
                      deq_engine_check_settings(r->engine, t->attack ? t->attack->gradient : NULL, &own);
    deq_engine_restore_settings(r->engine, token);
    return good || deq_fail(e, own.failure, "train '%s' with `intermediate`: %s", t->name, own.text);
}

/* Draws of the seed and the step: the same for all its batches, for the attack and for what is differentiated. */
static bool end_at_random(training_run *r, int64_t step, deq_error *e) {
    const deq_range *s = &r->t->intermediate.states;
    const uint64_t key = deq_key_mix(deq_key_text(r->t->seed, "intermediate"), (uint64_t)step);
    return end_after(r->engine, s->first + (int)(key % (uint64_t)(s->limit - s->first)), e);
}

/* Of all its batches. */
static bool take_gradient(training_run *r, int64_t step, deq_error *e) {
    const deq_train_spec *t = r->t;
    const int64_t first = r->step / training_times(t) * t->batch * t->accumulate, left = r->epoch_examples - first,
                  all = left < t->batch * t->accumulate ? left : t->batch * t->accumulate;
    for (int64_t done = 0; done < all; done += t->batch) {
        const int64_t n = all - done < t->batch ? all - done : t->batch;
        if (!take_batch(r, first + done, n, step, e)) return false;
        if (all > n && !deq_engine_gather(r->engine, (double)n / (double)all, done == 0, done + n == all, e))
            return false;
    }
    return true;
}

static void clip(training_run *r) {
    bool clipped;
    const double norm = deq_engine_clip(r->engine, &r->t->clip, &clipped);
    r->sums.updates++;
    r->sums.clipped += r->t->clip.kind ? (double)clipped : NAN;
    r->sums.norm += norm;
}

bool training_step(training_run *r, deq_error *e) {
    const deq_train_spec *t = r->t;
    double start = deq_now();
    const double examples = r->sums.examples;
    const deq_ranks_cost before = deq_ranks_spent();
    int64_t step = r->epoch * r->epoch_steps + r->step + 1;
    const uint32_t token = deq_engine_save_settings(r->engine);
    const bool good = (!t->intermediate.kind || end_at_random(r, step, e)) && take_gradient(r, step, e);
    deq_engine_restore_settings(r->engine, token);
    if (!good) return false;
    clip(r);
    r->update_scalars[0] = (double)step;
    r->update_scalars[1] = (double)(t->epochs * r->epoch_steps);
    if (!deq_engine_update(r->engine, t->optimiser.routine, t->optimiser.states, r->update_scalars, e)) return false;
    if (!deq_engine_finite(r->engine)) return training_diverged(r, "a parameter became NaN or infinite", e);
    deq_moving_average_step(&r->mean, deq_engine_parameters(r->engine), step);
    r->step++;
    r->sums.working += deq_now() - start;
    r->made += r->sums.examples - examples;
    deq_ranks_spend(&r->cost, &before);
    deq_ranks_spend(&r->whole_cost, &before);
    if (!r->stepped) /* how long it took to get to work: compiling, reading data and making room included */
        deq_report_event(&r->app->reporter, "first_step",
                         json_pack("{s:s, s:f}", "name", r->model->label, "since_start", deq_since()));
    r->stepped = true;
    return true;
}
