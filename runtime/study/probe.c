#include "probe.h"
#include "random.h"
#include "reals.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_BYTES ((int64_t)1 << 30)

static int64_t loss_targets(const deq_net_spec *net, const char *loss) {
    return strcmp(loss, "projection") ? deq_target_elements(&net->target) : net->output.elements;
}

bool deq_probe_open(deq_probe *p, const deq_module *module, const deq_net_spec *net, const char *loss, int64_t n,
                    int threads, int block, deq_error *e) {
    int64_t real = module->real_bits / 8;
    *p = (deq_probe){.net = net, .loss = loss, .real_bits = (int)module->real_bits, .n = n};
    p->inputs = net->input.elements;
    p->targets = loss_targets(net, loss);
    p->parameters = net->parameter_bytes / real;
    p->length = p->parameters + n * p->inputs;
    p->engine = deq_engine_new(module, net, &(deq_engine_options){.threads = threads, .block = block}, e);
    p->x = calloc((size_t)(n * p->inputs), (size_t)real);
    p->y = calloc((size_t)(n * p->targets), (size_t)real);
    p->index = deq_index_range(n);
    p->groups = calloc((size_t)net->nparameters + 1, sizeof *p->groups);
    if (!p->engine) return false;
    if (!p->x || !p->y || !p->index || !p->groups)
        return deq_fail(e, DEQ_MEMORY, "out of memory for %lld examples of net '%s'", (long long)n, net->name);
    p->data = (deq_dense){p->x, p->y, p->inputs, p->targets};
    for (int i = 0; i < net->nparameters; i++) {
        const deq_parameter *q = &net->parameters[i];
        if (q->trained) p->groups[p->ngroups++] = (deq_group){q->path, q->offset / real, q->shape.elements, false};
    }
    p->groups[p->ngroups++] = (deq_group){"input", p->parameters, n * p->inputs, true};
    return true;
}

void deq_probe_close(deq_probe *p) {
    deq_engine_free(p->engine);
    free(p->x);
    free(p->y);
    free(p->index);
    free(p->groups);
    *p = (deq_probe){0};
}

static void put(const deq_probe *p, void *values, int64_t i, double v) { deq_real_put(p->real_bits, values, i, v); }

static double get(const deq_probe *p, const void *values, int64_t i) { return deq_real_get(p->real_bits, values, i); }

bool deq_probe_random(deq_probe *p, uint64_t seed, deq_error *e) {
    const deq_net_spec *net = p->net;
    if (!deq_engine_init(p->engine, seed, e)) return false;
    void *parameters = deq_engine_parameters(p->engine);
    for (int i = 0; i + 1 < p->ngroups; i++) {
        const deq_group *g = &p->groups[i];
        uint64_t key = deq_key_text(seed + 1, g->name);
        for (int64_t k = g->first; k < g->first + g->count; k++)
            put(p, parameters, k, get(p, parameters, k) + 0.05 * deq_normal(key, (uint64_t)(k - g->first)));
    }
    deq_engine_prepare(p->engine);
    bool label = net->target.labels && strcmp(p->loss, "projection");
    for (int64_t i = 0; i < p->n * p->inputs; i++) put(p, p->x, i, deq_normal(seed + 2, (uint64_t)i));
    for (int64_t i = 0; i < p->n * p->targets; i++)
        put(p, p->y, i,
            label ? floor(deq_uniform(seed + 3, (uint64_t)i) * (double)net->target.labels)
                  : deq_normal(seed + 3, (uint64_t)i));
    return true;
}

bool deq_probe_examples(deq_probe *p, const deq_source *source, const int64_t *index, deq_error *e) {
    int64_t real = p->real_bits / 8;
    int64_t xb = (p->inputs * real + DEQ_ALIGN - 1) / DEQ_ALIGN * DEQ_ALIGN,
            yb = (p->targets * real + DEQ_ALIGN - 1) / DEQ_ALIGN * DEQ_ALIGN;
    char *x = aligned_alloc(DEQ_ALIGN, (size_t)(p->n * xb)), *y = aligned_alloc(DEQ_ALIGN, (size_t)(p->n * yb));
    if (!x || !y) {
        free(x);
        free(y);
        return deq_fail(e, DEQ_MEMORY, "out of memory for %lld examples", (long long)p->n);
    }
    source->gather(source->context, index, p->n, p->real_bits, x, xb, y, yb);
    for (int64_t i = 0; i < p->n; i++) {
        memcpy((char *)p->x + i * p->inputs * real, x + i * xb, (size_t)(p->inputs * real));
        memcpy((char *)p->y + i * p->targets * real, y + i * yb, (size_t)(p->targets * real));
    }
    free(x);
    free(y);
    return true;
}

int deq_probe_most_steps(const deq_probe *p, const deq_module *module, int wanted) {
    int64_t bytes = 1;
    for (int i = 0; i < p->net->nfixed; i++)
        for (int64_t k = 0; k < module->fixed_count; k++)
            if (!strcmp(module->fixed[k]->name, p->net->fixed[i].name) && module->fixed[k]->state_bytes > bytes)
                bytes = module->fixed[k]->state_bytes;
    int64_t most = MOST_BYTES / (2 * bytes * deq_engine_block(p->engine));
    return (int)(most > wanted ? wanted : most < 30 ? 30 : most);
}

bool deq_probe_hold(deq_probe *p, deq_error *e) { return deq_engine_hold(p->engine, p->steps ? p->n : 0, e); }

bool deq_probe_loss(deq_probe *p, double *loss, deq_error *e) {
    double *losses = malloc((size_t)p->n * sizeof *losses);
    void *dx = malloc((size_t)(p->n * p->inputs * p->real_bits / 8)); /* what an input gradient leaves beside them */
    deq_source source = deq_dense_source(&p->data);
    bool ok = losses && dx;
    if (!ok) deq_fail(e, DEQ_MEMORY, "out of memory for %lld losses", (long long)p->n);
    p->last = (deq_results){.loss = losses};
    if (ok && p->training)
        ok = deq_engine_gradient(p->engine, &source, p->index, p->n, p->loss, NULL, NULL, 0, 0, &p->last, e);
    else if (ok && p->steps)
        ok = deq_engine_input_gradient(p->engine, p->n, p->x, p->y, p->loss, dx, &p->last, e);
    else if (ok)
        ok = deq_engine_evaluate(p->engine, &source, p->index, p->n, p->loss, NULL, NULL, 0, NULL, NULL, &p->last, e);
    *loss = 0;
    for (int64_t i = 0; ok && i < p->n; i++) *loss += losses[i] / (double)p->n;
    p->last.loss = NULL;
    free(losses);
    free(dx);
    return ok;
}

static void add_statistics(deq_solve_statistics *sum, const deq_solve_statistics *s) {
    sum->solves += s->solves;
    sum->unconverged += s->unconverged;
    sum->diverged += s->diverged;
    sum->steps += s->steps;
    sum->residual += s->residual;
    if (s->worst_residual > sum->worst_residual) {
        sum->worst_residual = s->worst_residual;
        sum->worst_example = s->worst_example;
        sum->worst_fixed = s->worst_fixed;
    }
}

bool deq_probe_gradient(deq_probe *p, double *out, deq_error *e) {
    deq_source source = deq_dense_source(&p->data);
    deq_results input = {0};
    void *dx = malloc((size_t)(p->n * p->inputs * p->real_bits / 8));
    if (!dx) return deq_fail(e, DEQ_MEMORY, "out of memory for the gradient of %lld inputs", (long long)p->n);
    p->last = (deq_results){0};
    bool ok = deq_probe_hold(p, e) && /* in training the states may be others */
              deq_engine_gradient(p->engine, &source, p->index, p->n, p->loss, NULL, NULL, 0, 0, &p->last, e) &&
              deq_probe_hold(p, e) && deq_engine_input_gradient(p->engine, p->n, p->x, p->y, p->loss, dx, &input, e);
    if (ok) {
        add_statistics(&p->last.forward, &input.forward);
        add_statistics(&p->last.adjoint, &input.adjoint);
        const void *gradient = deq_engine_gradients(p->engine);
        for (int64_t i = 0; i < p->parameters; i++) out[i] = get(p, gradient, i);
        for (int64_t i = 0; i < p->n * p->inputs; i++)
            out[p->parameters + i] = get(p, dx, i) / (double)p->n; /* of the mean loss */
    }
    free(dx);
    return ok;
}

bool deq_probe_in_training(const deq_probe *p, const deq_group *g) {
    return !g->input && deq_engine_training(p->engine);
}

bool deq_probe_shifted(deq_probe *p, const deq_group *g, const double *direction, double h, double *above,
                       double *below, deq_error *e) {
    if (p->real_bits != 64) return deq_fail(e, DEQ_MODULE, "finite differences need a module compiled for f64");
    double *values =
        g->input ? (double *)p->x + (g->first - p->parameters) : (double *)deq_engine_parameters(p->engine) + g->first;
    double *saved = malloc((size_t)(g->count ? g->count : 1) * sizeof *saved);
    if (!saved) return deq_fail(e, DEQ_MEMORY, "out of memory for a finite difference");
    memcpy(saved, values, (size_t)g->count * sizeof *saved);
    bool ok = true, training = p->training;
    p->training = deq_probe_in_training(p, g);
    for (int side = 0; ok && side < 2; side++) {
        for (int64_t i = 0; i < g->count; i++) values[i] = saved[i] + (side ? -h : h) * direction[i];
        if (!g->input) deq_engine_prepare(p->engine);
        ok = deq_probe_loss(p, side ? below : above, e);
    }
    memcpy(values, saved, (size_t)g->count * sizeof *saved);
    if (!g->input) deq_engine_prepare(p->engine);
    p->training = training;
    free(saved);
    return ok;
}

void deq_probe_direction(uint64_t key, int64_t count, double *out) {
    double norm = 0;
    for (int64_t i = 0; i < count; i++) {
        out[i] = deq_normal(key, (uint64_t)i);
        norm += out[i] * out[i];
    }
    for (int64_t i = 0; i < count; i++) out[i] /= sqrt(norm);
}

bool deq_probe_set(deq_probe *p, const char *path, const char *key, const char *value, deq_error *e) {
    char name[300];
    snprintf(name, sizeof name, "%s%s%s", path, *path ? "." : "", key);
    return deq_engine_set(p->engine, name, value, e);
}
