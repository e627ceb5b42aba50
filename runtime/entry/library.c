/* library.c - contexts: made, shared, their failures, parameters and sizes; what all functions check of their arguments. */
#include "library_internal.h"
#include "checkpoint.h"
#include "dense.h"
#include "reals.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Thread_local deq_error own_error; /* of calls without a context */
static _Thread_local char own_text[4200];

/* ---- failures ---- */
static const char *coded(const deq_error *e, char *text, size_t size) {
    if (e->failure == DEQ_OK) return "";
    snprintf(text, size, "%s: %s", deq_failure_code(e->failure), e->text);
    return text;
}

const char *deq_library_error(const deq_library *l) {
    return l && l->process == getpid() ? l->text : coded(&own_error, own_text, sizeof own_text); /* library_refused */
}

const deq_error *library_own_error(void) { return &own_error; }

/* -804 for E0804. */
static int code_of(const deq_error *e) { return -atoi(deq_failure_code(e->failure) + 1); }

int library_refused(const deq_library *l) {
    own_error = (deq_error){0};
    deq_fail(&own_error, DEQ_ARGUMENT, "%s",
             l ? "the context was made before a fork: its threads are not in this process; make it in the child"
               : "the context is NULL");
    return code_of(&own_error);
}

bool library_enter(deq_library *l) {
    if (!l || l->process != getpid()) return false;
    pthread_mutex_lock(&l->lock);
    l->error = (deq_error){0};
    l->text[0] = 0;
    return true;
}

int library_leave(deq_library *l, bool ok) {
    coded(&l->error, l->text, sizeof l->text);
    const int code = ok ? 0 : code_of(&l->error);
    pthread_mutex_unlock(&l->lock);
    return code;
}

/* ---- arguments ---- */
bool library_given(deq_library *l, const void *pointer, const char *argument, int64_t n) {
    return pointer || n == 0 || deq_fail(&l->error, DEQ_ARGUMENT, "'%s' is NULL", argument);
}

bool library_count(deq_library *l, int64_t n) {
    if (n < 0) return deq_fail(&l->error, DEQ_ARGUMENT, "n is %lld, which is no number of examples", (long long)n);
    if (n > INT64_C(1) << 31)
        return deq_fail(&l->error, DEQ_ARGUMENT, "n is %lld: at most 2^31 examples in a call", (long long)n);
    return true;
}

bool library_ready(deq_library *l) {
    /* Solvers and modes are set one after the other, so that only now they have to go together. */
    if (!l->checked) l->checked = deq_engine_check_settings(l->engine, NULL, &l->error);
    return l->checked;
}

bool library_finite(deq_library *l, int64_t n, const void *rows, int64_t elements, const char *argument) {
    if (!library_given(l, rows, argument, n)) return false;
    for (int64_t k = 0; k < n * elements; k++)
        if (!isfinite(deq_real_get((int)l->module->real_bits, rows, k)))
            return deq_fail(&l->error, DEQ_DATA_VALUE, "element %lld of '%s' of example %lld is %g",
                            (long long)(k % elements), argument, (long long)(k / elements),
                            deq_real_get((int)l->module->real_bits, rows, k));
    return true;
}

/* A class index goes into generated code as an offset: it must be checked here. */
bool library_labels(deq_library *l, int64_t n, const void *target) {
    if (!library_given(l, target, "target", n)) return false;
    for (int64_t i = 0; l->net->target.labels && i < n; i++) {
        const double v = deq_real_get((int)l->module->real_bits, target, i);
        if (!(v >= 0 && v < (double)l->net->target.labels) || v != floor(v))
            return deq_fail(&l->error, DEQ_DATA_VALUE, "target %lld is %g, not a label below %lld", (long long)i, v,
                            (long long)l->net->target.labels);
    }
    return l->net->target.labels || library_finite(l, n, target, l->net->target.shape.elements, "target");
}

void *library_reals_of(deq_library *l, int64_t n, const int64_t *labels) {
    if (!l->net->target.labels) deq_fail(&l->error, DEQ_ARGUMENT, "the target of %s is no label", l->net->name);
    if (!l->net->target.labels || !library_count(l, n) || !library_given(l, labels, "labels", n)) return NULL;
    void *reals = malloc((size_t)(n ? n : 1) * 8);
    if (!reals) deq_fail(&l->error, DEQ_MEMORY, "out of memory for %lld labels", (long long)n);
    for (int64_t i = 0; reals && i < n; i++) {
        /* A label that no float can hold is out of range, and stays so. */
        const int64_t label = labels[i] < 0 || labels[i] >= l->net->target.labels ? -1 : labels[i];
        if (label < 0)
            deq_fail(&l->error, DEQ_DATA_VALUE, "target %lld is %lld, not a label below %lld", (long long)i,
                     (long long)labels[i], (long long)l->net->target.labels);
        deq_real_put((int)l->module->real_bits, reals, i, (double)label);
    }
    if (l->error.failure == DEQ_OK) return reals;
    free(reals);
    return NULL;
}

void library_status(deq_status *status, const deq_results *r) {
    if (!status) return;
    const deq_solve_statistics *f = &r->forward, *a = &r->adjoint;
    *status = (deq_status){.solves = f->solves,
                           .unconverged = f->unconverged,
                           .diverged = f->diverged,
                           .mean_steps = f->solves ? f->steps / (double)f->solves : 0,
                           .mean_residual = f->solves ? f->residual / (double)f->solves : 0,
                           .worst_residual = f->worst_residual,
                           .worst_example = f->solves ? f->worst_example : -1,
                           .adjoint_solves = a->solves,
                           .adjoint_unconverged = a->unconverged > a->left_out ? a->unconverged : a->left_out,
                           .adjoint_mean_steps = a->solves ? a->steps / (double)a->solves : 0,
                           .adjoint_worst_residual = a->worst_residual};
}

/* ---- contexts ---- */
void deq_library_free(deq_library *l) {
    if (!l) return;
    if (l->engine && l->process == getpid()) deq_engine_free(l->engine); /* after a fork there are no threads to join */
    if (l->owner == l) deq_manifest_free(l->manifest);
    json_decref(l->own);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static bool same_settings(const deq_train_spec *a, const deq_train_spec *b) {
    bool same = a->nsettings == b->nsettings;
    for (int i = 0; same && i < a->nsettings; i++)
        same = !strcmp(a->settings[i].path, b->settings[i].path) && !strcmp(a->settings[i].value, b->settings[i].value);
    return same;
}

/* The net called `name`, and the training run whose settings it has. */
static bool find_net(deq_library *l, const char *name, deq_error *e) {
    const deq_manifest *m = l->manifest;
    const deq_train_spec *named = name ? deq_manifest_train(m, name, NULL) : NULL;
    if (named) return l->train = named, l->net = named->net, true;
    l->net = name ? deq_manifest_net(m, name) : m->nnets ? &m->nets[m->nnets - 1] : NULL;
    if (!l->net) return deq_fail(e, DEQ_NET, "there is no net '%s' in '%s'", name ? name : "", m->name);
    for (int i = 0; i < m->ntrains; i++) {
        const deq_train_spec *t = &m->trains[i];
        if (t->net != l->net) continue;
        if (l->train && !same_settings(l->train, t))
            return deq_fail(e, DEQ_SETTING,
                            "'%s' is trained with different settings by '%s' and '%s': name one of them", l->net->name,
                            l->train->name, t->name);
        l->train = t;
    }
    return true;
}

static deq_library *blank(const deq_module *module, deq_error *e) {
    deq_library *l = calloc(1, sizeof *l);
    if (!l) return deq_fail(e, DEQ_MEMORY, "out of memory"), NULL;
    *l = (deq_library){.module = module, .owner = l, .own = json_array(), .process = getpid()};
    pthread_mutex_init(&l->lock, NULL);
    return l;
}

static bool takes_threads(int threads, deq_error *e) {
    return (threads >= 0 && threads <= DEQ_MOST_THREADS) ||
           deq_fail(e, DEQ_ARGUMENT, "'threads' is %d: from 1 to %d, 0 is one for each core", threads,
                    DEQ_MOST_THREADS);
}

deq_library *deq_library_new(const deq_module *module, const char *name, const deq_library_options *options) {
    static const deq_library_options defaults = {0};
    deq_error *e = &own_error;
    *e = (deq_error){0};
    if (!options) options = &defaults;
    deq_library *l = takes_threads(options->threads, e) ? blank(module, e) : NULL;
    if (!l) return NULL;
    l->manifest = deq_manifest_read(module, e);
    if (l->manifest && find_net(l, name, e))
        l->engine = deq_engine_new(module, l->net, &(deq_engine_options){.threads = options->threads}, e);
    if (l->engine && deq_engine_init(l->engine, options->seed, e) &&
        (!l->train || deq_app_as_trained(l->engine, l->train, NULL, 0, e)))
        return l;
    deq_library_free(l);
    return NULL;
}

/* Gives `l` the settings that the other context has now. */
static bool settings_of(deq_library *l, const deq_library *other, deq_error *e) {
    json_t *settings = json_object();
    const char *path;
    json_t *value;
    bool ok = settings != NULL;
    deq_engine_settings(other->engine, settings);
    json_object_foreach(settings, path, value) ok = ok && deq_engine_set(l->engine, path, json_string_value(value), e);
    json_decref(settings);
    return ok;
}

deq_library *deq_library_share(deq_library *other, const deq_library_options *options) {
    if (!library_enter(other)) return library_refused(other), NULL;
    const int threads = options ? options->threads : 0;
    deq_library *l = takes_threads(threads, &other->error) ? blank(other->module, &other->error) : NULL;
    if (l) {
        l->manifest = other->manifest;
        l->net = other->net;
        l->train = other->train;
        l->owner = other->owner;
        l->engine = deq_engine_new(l->module, l->net, &(deq_engine_options){.threads = threads, .share = other->engine},
                                   &other->error);
    }
    const bool ok = l && l->engine && settings_of(l, other, &other->error);
    if (!ok) deq_library_free(l);
    library_leave(other, ok);
    return ok ? l : NULL;
}

/* ---- parameters, settings, sizes ---- */
/* What decides the value: the rest of a checkpoint's settings is of its training. */
static bool decides_value(const char *path) {
    static const char *const keys[] = {"start", "forward", "finish"};
    const char *dot = strrchr(path, '.'), *key = dot ? dot + 1 : path;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (!strcmp(key, keys[i])) return true;
    return false;
}

/* The net is then the one that was trained, but for what NET_set has said. */
static bool take_settings(deq_library *l, const json_t *settings) {
    const char *path;
    json_t *value;
    size_t i;
    bool ok = true;
    json_object_foreach((json_t *)(uintptr_t)settings, path, value) {
        const char *text = json_string_value(value);
        if (ok && text && decides_value(path)) ok = deq_engine_set(l->engine, path, text, &l->error);
    }
    json_array_foreach(l->own, i, value) ok =
        ok && deq_engine_set(l->engine, json_string_value(json_array_get(value, 0)),
                             json_string_value(json_array_get(value, 1)), &l->error);
    return ok;
}

static bool load(deq_library *l, const char *path) {
    const size_t bytes = (size_t)deq_net_vector_bytes(l->net, (int)l->module->real_bits);
    deq_checkpoint c = {.parameters = malloc(bytes + 1)};
    if (!c.parameters) return deq_fail(&l->error, DEQ_MEMORY, "out of memory loading '%s'", path);
    memcpy(c.parameters, deq_engine_parameters(l->engine), bytes);
    const uint32_t token = deq_engine_save_settings(l->engine);
    bool ok = deq_checkpoint_read(path, l->net, (int)l->module->real_bits, false, &c, &l->error);
    ok = ok && take_settings(l, c.settings);
    deq_engine_restore_settings(l->engine, token);
    if (ok) {
        (void)take_settings(l, c.settings); /* as just now */
        l->checked = false;
        memcpy(deq_engine_parameters(l->engine), c.parameters, bytes);
        deq_engine_prepare(l->engine);
    }
    deq_checkpoint_drop(&c);
    free(c.parameters);
    return ok;
}

int deq_library_load(deq_library *l, const char *path) {
    if (!library_enter(l)) return library_refused(l);
    return library_leave(l, library_given(l, path, "checkpoint", 1) && load(l, path));
}

int deq_library_set(deq_library *l, const char *path, const char *value) {
    if (!library_enter(l)) return library_refused(l);
    bool ok = library_given(l, path, "path", 1) && library_given(l, value, "value", 1);
    ok = ok && deq_engine_set(l->engine, path, value, &l->error);
    if (ok && json_array_append_new(l->own, json_pack("[s, s]", path, value)))
        ok = deq_fail(&l->error, DEQ_MEMORY, "out of memory for the setting `%s`", path);
    l->checked = l->checked && !ok;
    return library_leave(l, ok);
}

int deq_library_prepare(deq_library *l) {
    if (!library_enter(l)) return library_refused(l);
    deq_engine_prepare(l->engine);
    return library_leave(l, true);
}

void *deq_library_parameters(deq_library *l) { return l ? deq_engine_parameters(l->engine) : NULL; }
int deq_library_threads(const deq_library *l) { return l ? deq_engine_threads(l->engine) : 0; }
int64_t deq_library_input_size(const deq_library *l) { return l ? l->net->input.elements : -1; }
int64_t deq_library_target_size(const deq_library *l) { return l ? deq_target_elements(&l->net->target) : -1; }
int64_t deq_library_output_size(const deq_library *l) { return l ? l->net->output.elements : -1; }

int64_t deq_library_parameter_size(const deq_library *l) {
    const int bits = l ? (int)l->module->real_bits : 8;
    return l ? deq_net_vector_bytes(l->net, bits) / (bits / 8) : -1;
}

int64_t deq_library_parameter(const deq_library *l, const char *path, int64_t *elements) {
    for (int i = 0; l && path && i < l->net->nparameters; i++) {
        const deq_parameter *p = &l->net->parameters[i];
        if (strcmp(p->path, path)) continue;
        if (elements) *elements = p->shape.elements;
        return p->offset / (l->module->real_bits / 8);
    }
    return -1;
}
