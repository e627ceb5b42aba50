#include "deq_library.h"
#include "app_state.h"
#include "checkpoint.h"
#include "dense.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct deq_library {
    const deq_module *module;
    deq_manifest *manifest;
    const deq_net_spec *net;
    deq_engine *engine;
    deq_error error;
};

static _Thread_local deq_error creation_error;

static int status_code(deq_library *l, bool ok) { return ok ? 0 : -(int)l->error.failure; }
static void begin(deq_library *l) { l->error = (deq_error){0}; }

void deq_library_free(deq_library *l) {
    if (!l) return;
    if (l->engine) deq_engine_free(l->engine);
    deq_manifest_free(l->manifest);
    free(l);
}

static bool same_settings(const deq_train_spec *a, const deq_train_spec *b) {
    bool same = a->nsettings == b->nsettings;
    for (int i = 0; same && i < a->nsettings; i++)
        same = !strcmp(a->settings[i].path, b->settings[i].path) && !strcmp(a->settings[i].value, b->settings[i].value);
    return same;
}

/* The net called `name`, and the training run whose settings it has (NULL: none trains it). */
static bool find_net(deq_library *l, const char *name, const deq_train_spec **train, deq_error *e) {
    const deq_manifest *m = l->manifest;
    *train = NULL;
    for (int i = 0; name && i < m->ntrains; i++)
        if (!strcmp(m->trains[i].name, name)) return *train = &m->trains[i], l->net = (*train)->net, true;
    l->net = name ? deq_manifest_net(m, name) : m->nnets ? &m->nets[m->nnets - 1] : NULL;
    if (!l->net) return deq_fail(e, DEQ_MODULE, "there is no net '%s' in '%s'", name ? name : "", m->name);
    for (int i = 0; i < m->ntrains; i++) {
        const deq_train_spec *t = &m->trains[i];
        if (t->net != l->net) continue;
        if (*train && !same_settings(*train, t))
            return deq_fail(e, DEQ_SETTING,
                            "'%s' is trained with different settings by '%s' and '%s': name one of them", l->net->name,
                            (*train)->name, t->name);
        *train = t;
    }
    return true;
}

deq_library *deq_library_new(const deq_module *module, const char *name, const deq_library_options *options) {
    static const deq_library_options defaults = {0};
    deq_error *e = &creation_error;
    if (!options) options = &defaults;
    *e = (deq_error){0};
    deq_library *l = calloc(1, sizeof *l);
    if (!l) {
        deq_fail(e, DEQ_MEMORY, "out of memory");
        return NULL;
    }
    l->module = module;
    l->manifest = deq_manifest_read(module, e);
    const deq_train_spec *train = NULL;
    if (l->manifest && find_net(l, name, &train, e))
        l->engine = deq_engine_new(module, l->net, &(deq_engine_options){.threads = options->threads}, e);
    if (l->engine && deq_engine_init(l->engine, options->seed, e) &&
        (!train || deq_app_as_trained(l->engine, train, NULL, 0, e))) {
        deq_engine_prepare(l->engine);
        return l;
    }
    deq_library_free(l);
    return NULL;
}

const char *deq_library_error(const deq_library *l) { return l ? l->error.text : creation_error.text; }

int deq_library_load(deq_library *l, const char *path) {
    begin(l);
    deq_checkpoint c = {.parameters = deq_engine_parameters(l->engine)};
    bool ok = deq_checkpoint_read(path, l->net, (int)l->module->real_bits, false, &c, &l->error);
    if (ok) deq_engine_prepare(l->engine);
    json_decref(c.state);
    return status_code(l, ok);
}

int deq_library_set(deq_library *l, const char *path, const char *value) {
    begin(l);
    return status_code(l, deq_engine_set(l->engine, path, value, &l->error));
}

int64_t deq_library_input_size(const deq_library *l) { return l->net->input.elements; }
int64_t deq_library_target_size(const deq_library *l) { return deq_target_elements(&l->net->target); }
int64_t deq_library_output_size(const deq_library *l) { return l->net->output.elements; }
int64_t deq_library_parameter_size(const deq_library *l) {
    return l->net->parameter_bytes / (l->module->real_bits / 8);
}
void *deq_library_parameters(deq_library *l) { return deq_engine_parameters(l->engine); }
void deq_library_prepare(deq_library *l) { deq_engine_prepare(l->engine); }

int64_t deq_library_parameter(const deq_library *l, const char *path, int64_t *elements) {
    for (int i = 0; i < l->net->nparameters; i++) {
        const deq_parameter *p = &l->net->parameters[i];
        if (strcmp(p->path, path)) continue;
        if (elements) *elements = p->shape.elements;
        return p->offset / (l->module->real_bits / 8);
    }
    return -1;
}

static void fill_status(deq_status *status, const deq_results *r) {
    if (!status) return;
    const deq_solve_statistics *f = &r->forward, *a = &r->adjoint;
    *status = (deq_status){.solves = f->solves,
                           .unconverged = f->unconverged,
                           .diverged = f->diverged,
                           .mean_steps = f->solves ? f->steps / (double)f->solves : 0,
                           .mean_residual = f->solves ? f->residual / (double)f->solves : 0,
                           .worst_residual = f->worst_residual,
                           .worst_example = f->worst_example,
                           .adjoint_solves = a->solves,
                           .adjoint_unconverged = a->unconverged > a->left_out ? a->unconverged : a->left_out,
                           .adjoint_mean_steps = a->solves ? a->steps / (double)a->solves : 0,
                           .adjoint_worst_residual = a->worst_residual};
}

int deq_library_forward(deq_library *l, int64_t n, const void *input, void *output, deq_status *status) {
    begin(l);
    deq_results r = {0};
    bool ok = n <= 0 ? deq_fail(&l->error, DEQ_DATA_EMPTY, "forward was called for %lld examples", (long long)n)
                     : deq_engine_forward(l->engine, n, input, output, &r, &l->error);
    if (ok) fill_status(status, &r);
    return status_code(l, ok);
}

/* A class index goes into generated code as an offset: it must be checked here. */
static bool check_labels(deq_library *l, int64_t n, const void *target) {
    for (int64_t i = 0; l->net->target.labels && i < n; i++) {
        double v = l->module->real_bits == 64 ? ((const double *)target)[i] : (double)((const float *)target)[i];
        if (!(v >= 0 && v < (double)l->net->target.labels) || v != floor(v))
            return deq_fail(&l->error, DEQ_DATA_VALUE, "target %lld is %g, not a label below %lld", (long long)i, v,
                            (long long)l->net->target.labels);
    }
    return true;
}

static bool parameter_gradient(deq_library *l, int64_t n, const void *input, const void *target, const char *loss,
                               void *out, double *losses, deq_results *r) {
    deq_dense dense = {input, target, l->net->input.elements, deq_target_elements(&l->net->target)};
    deq_source source = deq_dense_source(&dense);
    int64_t *index = deq_index_range(n);
    if (!index) return deq_fail(&l->error, DEQ_MEMORY, "out of memory for %lld examples", (long long)n);
    r->loss = losses;
    bool ok = deq_engine_gradient(l->engine, &source, index, n, loss, NULL, NULL, 0, 0, r, &l->error);
    if (ok) memcpy(out, deq_engine_gradients(l->engine), (size_t)l->net->parameter_bytes);
    free(index);
    return ok;
}

int deq_library_gradient(deq_library *l, int64_t n, const void *input, const void *target, const char *loss,
                         double *losses, void *dinput, void *dparameters, deq_status *status) {
    begin(l);
    bool known = false;
    if (!loss && l->net->nlosses) loss = l->net->losses[0].name;
    for (int i = 0; loss && i < l->net->nlosses; i++) known |= !strcmp(l->net->losses[i].name, loss);
    if (!known)
        return status_code(l, deq_fail(&l->error, DEQ_SETTING, "'%s' was not compiled with the loss '%s'", l->net->name,
                                       loss ? loss : ""));
    if (n <= 0)
        return status_code(l,
                           deq_fail(&l->error, DEQ_DATA_EMPTY, "gradient was called for %lld examples", (long long)n));
    if (!check_labels(l, n, target)) return status_code(l, false);
    deq_results r = {0};
    bool ok = true;
    if (dinput || !dparameters) {
        r.loss = losses;
        ok = deq_engine_input_gradient(l->engine, n, input, target, loss, dinput, &r, &l->error);
    }
    if (ok && dparameters) ok = parameter_gradient(l, n, input, target, loss, dparameters, losses, &r);
    if (ok) fill_status(status, &r);
    return status_code(l, ok);
}
