/* expected.c - see expected.h. */
#include "expected.h"
#include "arrays.h"
#include "checkpoint.h"
#include "measure.h"
#include "reals.h"
#include "signals.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FEW 8          /* examples of a first look at an evaluation */
#define MORE 64        /* of a second one, where the first was short */
#define SHORT 0.3      /* seconds */
#define PATIENCE 20.0  /* seconds of measuring: then what is left counts as the mean of what was measured of its kind */
#define ABOUT_MORE 1.3 /* bytes of a file beyond its numbers */

bool deq_expected_open(deq_expected *x, deq_app *app, deq_error *e) {
    *x = (deq_expected){.app = app, .measured = json_object(), .began = deq_now()};
    return x->measured || deq_fail(e, DEQ_MEMORY, "out of memory for a plan");
}

void deq_expected_close(deq_expected *x) { json_decref(x->measured); }

int64_t deq_expected_memory(const deq_expected *x) {
    int64_t bytes = 0;
    for (int i = 0; i < x->app->manifest->nnets; i++)
        if (x->app->engines[i]) bytes += deq_engine_memory(x->app->engines[i]);
    return bytes;
}

/* ---- nets ---- */
/* The parameters of the cache, or those that it begins with. */
static bool find_parameters(deq_expected *x, deq_engine *engine, deq_model *model, deq_error *e) {
    const deq_train_spec *t = model->spec;
    const int bits = (int)x->app->module->real_bits;
    const size_t bytes = (size_t)deq_net_vector_bytes(t->net, bits);
    char *path = x->app->options->fresh ? NULL : deq_store_path(&x->app->store, "nets", model->key, "safetensors");
    deq_error unread = {0};
    deq_checkpoint c = {.parameters = model->parameters = calloc(1, bytes + 1), .key = model->key};
    bool ok = model->parameters || deq_fail(e, DEQ_MEMORY, "out of memory for a plan");
    model->cached = ok && path && !access(path, R_OK) && deq_checkpoint_read(path, t->net, bits, false, &c, &unread);
    deq_checkpoint_drop(&c);
    free(path);
    if (!ok || model->cached) return ok;
    if (!deq_engine_init(engine, t->seed, e)) return false;
    memcpy(model->parameters, deq_engine_parameters(engine), bytes);
    return true;
}

static deq_model *new_model(deq_expected *x, const deq_train_spec *t, deq_error *e) {
    const deq_train_spec *from = t->start.of;
    const deq_model *first = from ? deq_expected_model(x, from, e) : NULL;
    deq_engine *engine = !from || first ? deq_app_engine(x->app, t->net, e) : NULL;
    deq_dataset *data = engine ? deq_app_data(x->app, t->data.data, e) : NULL;
    deq_model *model = data ? calloc(1, sizeof *model) : NULL;
    int64_t start, end;
    if (data && !model) deq_fail(e, DEQ_MEMORY, "out of memory for a plan");
    if (!model) return NULL;
    model->spec = t;
    uint32_t token = deq_engine_save_settings(engine);
    bool ok = (model->label = strdup(t->name)) && (model->stem = strdup(t->name));
    if (!ok) deq_fail(e, DEQ_MEMORY, "out of memory for a plan");
    ok = ok && deq_dataset_slice(data, &t->data, &start, &end, e) && deq_app_in_training(engine, t, e) &&
         deq_app_train_key(x->app, t, first, engine, deq_train_examples(t, end - start), model->key, e) &&
         find_parameters(x, engine, model, e);
    deq_engine_restore_settings(engine, token);
    if (!ok) return deq_model_free(model), NULL;
    return deq_app_keep(x->app, model, e) ? model : NULL;
}

deq_model *deq_expected_model(deq_expected *x, const deq_train_spec *t, deq_error *e) {
    deq_model *kept = deq_app_kept(x->app, t);
    return kept ? kept : new_model(x, t, e);
}

/* ---- what was measured ---- */
/* Negative: it has not been measured, and there is time to, or nothing of its kind has been. */
static double known_seconds(const deq_expected *x, const struct deq_expected_mean *kind, const char *key) {
    const json_t *found = json_object_get(x->measured, key);
    if (found) return json_number_value(found);
    return kind->count && deq_now() - x->began > PATIENCE ? kind->sum / kind->count : -1;
}

static void remember_seconds(deq_expected *x, struct deq_expected_mean *kind, const char *key, double seconds) {
    json_object_set_new(x->measured, key, json_real(seconds));
    kind->sum += seconds;
    kind->count++;
}

/* ---- training ---- */
/* Seconds of an example of a step, on one batch: what processors spent, as of an evaluation. */
static bool time_batch(deq_expected *x, const deq_model *model, deq_engine *engine, int64_t from, int64_t n,
                       double *seconds, deq_error *e) {
    const deq_train_spec *t = model->spec;
    deq_dataset *data = deq_app_data(x->app, t->data.data, e);
    double scalars[DEQ_MOST_SCALARS];
    deq_attack attack = {0};
    deq_carried carried = {.how = t->replay};
    if (!data || !deq_dataset_load(data, t->data.test, e)) return false;
    deq_app_load_model(x->app, engine, model);
    if (t->replay.kind)
        attack.carried = &carried;
    else if (t->attack)
        attack = deq_app_attack_in_training(t->attack, scalars);
    const deq_source source = deq_dataset_source(data, t->data.test);
    int64_t *index = malloc((size_t)n * sizeof *index);
    double *loss = malloc(3 * (size_t)n * sizeof *loss);
    carried.perturbation = calloc((size_t)n, deq_engine_input_bytes(engine));
    bool ok = (index && loss && carried.perturbation) || deq_fail(e, DEQ_MEMORY, "out of memory for a plan");
    for (int64_t i = 0; ok && i < n; i++) index[i] = from + i;
    deq_results results = {.loss = loss};
    if (ok && deq_engine_penalised(engine)) results.penalty = loss + n;
    if (ok && deq_engine_corrected(engine)) results.correction = loss + 2 * n;
    for (int k = 0; ok && k < 2; k++) { /* the first call also makes rooms that stay */
        const double began = deq_processor_now();
        ok = deq_engine_gradient(engine, &source, index, n, t->loss, NULL,
                                 attack.routine || attack.carried ? &attack : NULL, t->seed, 0, &results, e);
        *seconds = (deq_processor_now() - began) / (double)n / deq_engine_threads(engine);
    }
    free(index);
    free(loss);
    free(carried.perturbation);
    return ok;
}

static bool seconds_of_step(deq_expected *x, const deq_model *model, int64_t from, int64_t n, double *seconds,
                            deq_error *e) {
    const deq_train_spec *t = model->spec;
    deq_engine *engine = deq_app_engine(x->app, t->net, e);
    if (!engine) return false;
    uint32_t token = deq_engine_save_settings(engine);
    bool ok = deq_app_in_training(engine, t, e);
    json_t *what = ok ? json_pack("{s:s, s:s, s:o, s:o}", "net", t->net->hash, "loss", t->loss, "attack",
                                  t->replay.kind ? json_string("replay") : deq_app_attack_key(x->app, t->attack),
                                  "settings", deq_app_resolved(engine))
                      : NULL;
    char *key = what ? json_dumps(what, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    *seconds = key ? known_seconds(x, &x->steps, key) : -1;
    if (ok && *seconds < 0) {
        ok = time_batch(x, model, engine, from, n, seconds, e);
        if (ok && key) remember_seconds(x, &x->steps, key, *seconds);
    }
    deq_engine_restore_settings(engine, token);
    free(key);
    json_decref(what);
    return ok;
}

bool deq_expected_train(deq_expected *x, const deq_train_spec *t, deq_error *e) {
    const deq_model *model = deq_expected_model(x, t, e);
    deq_dataset *data = model ? deq_app_data(x->app, t->data.data, e) : NULL;
    int64_t from, to;
    double seconds;
    if (!data || !deq_dataset_slice(data, &t->data, &from, &to, e)) return false;
    if (model->cached) return x->trainings_found++, true;
    x->bytes += (int64_t)(2 * ABOUT_MORE * (double)deq_net_vector_bytes(t->net, (int)x->app->module->real_bits));
    if (!t->epochs) return true;
    const int64_t all = deq_train_examples(t, to - from);
    const int64_t times = t->replay.kind ? t->replay.times : 1;
    if (!seconds_of_step(x, model, from, t->batch < to - from ? t->batch : to - from, &seconds, e)) return false;
    x->seconds += seconds * (double)(t->epochs * all * times);
    return true;
}

/* ---- evaluations ---- */
static bool go_on(void *context, int64_t done, int64_t total) {
    (void)context, (void)done, (void)total;
    return !deq_interrupted();
}

/* A net that is not trained yet is mostly wrong and soon broken, and attacks leave out what is broken already: timed as
 * it is, AutoAttack's parts would look five times shorter than they are for the net to come.  So it is timed at its
 * worst: the net's own predictions are the labels, and no attack may move anything, so that nothing breaks. */
typedef struct Unbroken {
    deq_source source;
    int64_t from;
    const deq_record *records; /* of examples from.. as they are */
} Unbroken;

static void gather_own(void *context, const int64_t *index, int64_t n, int real_bits, void *x, int64_t input_bytes,
                       void *y, int64_t target_bytes) {
    const Unbroken *u = context;
    u->source.gather(u->source.context, index, n, real_bits, x, input_bytes, y, target_bytes);
    for (int64_t i = 0; y && i < n; i++) /* -1, of outputs that are NaN, is no label */
        deq_real_put(real_bits, (char *)y + i * target_bytes, 0, fmax(0, u->records[index[i] - u->from].prediction));
}

/* Every part of the attack without a radius; NULL: out of memory. */
static deq_attack_spec *without_radius(deq_expected *x, const deq_attack_spec *attack, deq_error *e) {
    deq_attack_spec *still = deq_attack_copy(x->app->manifest, attack);
    if (!still) deq_fail(e, DEQ_MEMORY, "out of memory for a plan");
    for (deq_attack_spec *a = still; a; a = a->next) {
        deq_named *radius = deq_attack_scalar(a, "radius");
        if (radius && !radius->computed) radius->value = 0;
    }
    return still;
}

/* Seconds of one of `n` examples where all threads have work: what the threads spent, shared by as many, so that neither
 * few examples, which are few blocks, nor other programs beside this one count. */
static bool time_some(const deq_measuring *m, const int64_t *index, int64_t n, deq_record *records, double *seconds,
                      deq_error *e) {
    if (!deq_measure(m, index, n, records, e)) return false;
    *seconds = 0;
    for (int64_t i = 0; i < n; i++)
        *seconds += records[i].processor_seconds / (double)n / deq_engine_threads(m->engine);
    return true;
}

static bool time_examples(deq_expected *x, const deq_model *model, deq_engine *engine, const deq_value_spec *v,
                          int64_t from, int64_t to, double *seconds, deq_error *e) {
    deq_dataset *data = deq_app_data(x->app, v->data.data, e);
    if (!data || !deq_dataset_load(data, v->data.test, e)) return false;
    deq_app_load_model(x->app, engine, model);
    deq_value_spec value = *v;
    deq_measuring m = {.app = x->app,
                       .model = model,
                       .engine = engine,
                       .value = &value,
                       .source = deq_dataset_source(data, v->data.test),
                       .seed = model->spec->seed,
                       .progress = go_on};
    int64_t index[MORE];
    deq_record records[MORE], clean[MORE];
    Unbroken unbroken = {m.source, from, clean};
    for (int64_t i = 0; i < MORE; i++) index[i] = from + i;
    if (v->attack && !model->cached && model->spec->net->target.labels) {
        value.attack = NULL;
        if (!deq_measure(&m, index, MORE < to - from ? MORE : to - from, clean, e) ||
            !(value.attack = without_radius(x, v->attack, e)))
            return false;
        m.source = (deq_source){&unbroken, gather_own};
        x->at_most = true;
    }
    for (int64_t n = FEW; n <= MORE; n = MORE) {
        const int64_t some = n < to - from ? n : to - from;
        if (!time_some(&m, index, some, records, seconds, e)) return false;
        if (n == MORE || *seconds * (double)some > SHORT || some < n) break;
    }
    return !deq_interrupted() || deq_fail(e, deq_interruption(), "stopped while the plan was timed");
}

static bool seconds_of_example(deq_expected *x, const deq_model *model, const deq_value_spec *v, int64_t from,
                               int64_t to, double *seconds, deq_error *e) {
    deq_engine *engine = deq_app_engine(x->app, model->spec->net, e);
    if (!engine) return false;
    uint32_t token = deq_engine_save_settings(engine);
    bool ok = deq_app_as_trained(engine, model->spec, v->overrides, v->noverrides, e);
    json_t *attack = ok ? deq_app_attack_key(x->app, v->attack) : NULL;
    for (json_t *part = attack; json_is_object(part); part = json_object_get(part, "next"))
        json_object_del(json_object_get(part, "against"), "model"),
            json_object_del(json_object_get(part, "against"), "seed");
    json_t *what = ok ? json_pack("{s:s, s:o, s:o}", "net", model->spec->net->hash, "attack", attack, "settings",
                                  deq_app_resolved(engine))
                      : NULL;
    char *key = what ? json_dumps(what, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    *seconds = key ? known_seconds(x, &x->evaluations, key) : -1;
    if (ok && *seconds < 0) {
        ok = time_examples(x, model, engine, v, from, to, seconds, e);
        if (ok && key) remember_seconds(x, &x->evaluations, key, *seconds);
    }
    deq_engine_restore_settings(engine, token);
    free(key);
    json_decref(what);
    return ok;
}

/* The nets that the parts of an attack ask, for its keys and its work. */
static bool find_against(deq_expected *x, const deq_experiment_spec *of, deq_attack_spec *a, const int *at,
                         deq_error *e) {
    for (; a; a = a->next) {
        if (!a->against.model) continue;
        const deq_train_spec *t = deq_axes_train(x->app->manifest, of, a->against.model, at);
        if (!t) return deq_fail(e, DEQ_MODULE, "attack '%s': there is no model '%s'", a->name, a->against.model);
        if (!(a->against.found = deq_expected_model(x, t, e))) return false;
    }
    return true;
}

bool deq_expected_found(deq_expected *x, const deq_experiment_spec *of, const deq_value_spec *v, const int *at,
                        deq_found *out, deq_error *e) {
    const deq_train_spec *t = deq_axes_train(x->app->manifest, of, v->model, at);
    deq_dataset *data;
    *out = (deq_found){.value = v};
    if (!t) return deq_fail(e, DEQ_MODULE, "evaluation '%s': there is no model '%s'", v->name, v->model);
    return (out->model = deq_expected_model(x, t, e)) && (data = deq_app_data(x->app, v->data.data, e)) &&
           deq_dataset_slice(data, &v->data, &out->from, &out->to, e) && find_against(x, of, v->attack, at, e) &&
           deq_app_known(x->app, out->model, v, out->key, &out->found, e);
}

bool deq_expected_evaluate(deq_expected *x, const deq_found *f, bool attacks, deq_error *e) {
    double seconds = 0;
    x->examples += f->to - f->from;
    x->examples_found += f->found;
    if (f->found == f->to - f->from) return true;
    deq_value_spec made = *f->value;
    if (!attacks) made.attack = NULL; /* its inputs are found, and judged as they are */
    if (!seconds_of_example(x, f->model, &made, f->from, f->to, &seconds, e)) return false;
    const double left = (double)(f->to - f->from - f->found);
    const int64_t input = f->model->spec->net->input.elements * (int64_t)(x->app->module->real_bits / 8);
    x->seconds += seconds * left;
    x->bytes += (int64_t)(ABOUT_MORE * left * (double)sizeof(deq_record));
    for (const deq_attack_spec *a = made.attack; a; a = a->next) x->bytes += (int64_t)left * input;
    return true;
}
