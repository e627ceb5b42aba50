/* adversarial.c - the inputs at which the records of an evaluation were made: as given, or where an attack has led. */
#include "adversarial.h"
#include "attacked.h"
#include "dense.h"
#include "measure.h"
#include "reals.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Reading {
    deq_app *app;
    deq_engine *engine;
    const deq_model *model;
    const deq_value_spec *value;
    deq_source source;
    const char *fingerprint;
    deq_adversarial *out;
    size_t bytes; /* of a row */
} Reading;

/* Runs one attack on the examples whose numbers among the records are rows[0 .. n). */
static bool attack_again(const Reading *r, const deq_attack_spec *a, const int64_t *rows, int64_t n, deq_error *e) {
    double scalars[DEQ_MOST_SCALARS];
    int64_t *ids = malloc((size_t)n * sizeof *ids);
    char *inputs = malloc((size_t)n * r->bytes);
    bool ok = (ids && inputs) || deq_fail(e, DEQ_MEMORY, "out of memory for %lld attacked inputs", (long long)n);
    for (int64_t i = 0; ok && i < n; i++) ids[i] = r->out->records[rows[i]].id;
    const deq_attack attack = deq_app_attack(a, scalars);
    deq_asked asked;
    ok = deq_app_ask(r->app, a, r->engine, r->model, &asked, e) && ok;
    if (ok) deq_app_load_model(r->app, asked.engine, asked.model);
    const uint64_t seed = deq_app_attack_seed(a, asked.model->spec->seed);
    deq_results results = {.inputs = inputs};
    ok = ok && deq_engine_evaluate(asked.engine, &r->source, ids, n,
                                   a->against.model ? asked.model->spec->loss : r->value->loss, NULL, &attack, seed,
                                   NULL, NULL, &results, e);
    deq_app_asked(&asked);
    for (int64_t i = 0; ok && i < n; i++)
        memcpy((char *)r->out->attacked + (size_t)rows[i] * r->bytes, inputs + (size_t)i * r->bytes, r->bytes);
    free(ids);
    free(inputs);
    return ok;
}

/* Of the examples whose numbers are rows[0 .. *n) those that are known; the others are left in `rows`. */
static bool take_known(const Reading *r, const deq_attacked *kept, int64_t *rows, int64_t *n, deq_error *e) {
    const size_t count = (size_t)*n;
    int64_t *ids = malloc(count * sizeof *ids), known = 0, left = 0;
    bool *there = malloc(count * sizeof *there);
    char *inputs = malloc(count * r->bytes);
    deq_row_counts *counts = malloc(count * sizeof *counts);
    const bool ok = (ids && there && inputs && counts) || deq_fail(e, DEQ_MEMORY, "out of memory for attacked inputs");
    for (int64_t i = 0; ok && i < *n; i++) ids[i] = r->out->records[rows[i]].id;
    if (ok) deq_attacked_get(kept, ids, *n, there, inputs, counts);
    for (int64_t i = 0; ok && i < (int64_t)count; i++) {
        char *to = (char *)r->out->attacked + (size_t)rows[i] * r->bytes;
        if (there[i])
            memcpy(to, inputs + (size_t)known++ * r->bytes, r->bytes);
        else
            rows[left++] = rows[i];
    }
    if (ok) *n = left;
    free(ids);
    free(there);
    free(inputs);
    free(counts);
    return ok;
}

/* The examples that this attack, number `part` of those that are joined, has decided. */
static bool read_part(const Reading *r, const deq_attack_spec *a, int part, deq_error *e) {
    const bool joined = r->value->attack->joined != NULL;
    int64_t *missing = malloc((size_t)(r->out->n + 1) * sizeof *missing), n = 0;
    if (!missing) return deq_fail(e, DEQ_MEMORY, "out of memory for the attacked inputs");
    deq_attacked *kept = deq_attacked_open(r->app, r->engine, r->model, r->value, a, r->fingerprint);
    for (int64_t i = 0; i < r->out->n; i++)
        if (!joined || r->out->records[i].attack == part) missing[n++] = i;
    if (kept && n && !take_known(r, kept, missing, &n, e)) {
        deq_attacked_close(kept);
        free(missing);
        return false;
    }
    deq_attacked_close(kept);
    const bool ok = !n || attack_again(r, a, missing, n, e);
    free(missing);
    return ok;
}

static bool allocate(Reading *r, int64_t n, deq_error *e) {
    const int64_t targets = deq_target_elements(&r->value->data.data->target);
    deq_adversarial *out = r->out;
    out->n = n;
    out->elements = r->model->spec->net->input.elements;
    out->real_bits = (int)r->app->module->real_bits;
    out->target_elements = targets;
    out->clean = malloc((size_t)(n + 1) * r->bytes);
    out->attacked = malloc((size_t)(n + 1) * r->bytes);
    out->targets = malloc((size_t)(n + 1) * (size_t)targets * (size_t)out->real_bits / 8);
    return (out->clean && out->attacked && out->targets) ||
           deq_fail(e, DEQ_MEMORY, "out of memory for %lld attacked inputs", (long long)n);
}

static bool gather(Reading *r, deq_error *e) {
    deq_adversarial *out = r->out;
    int64_t *ids = malloc((size_t)(out->n + 1) * sizeof *ids);
    if (!ids) return deq_fail(e, DEQ_MEMORY, "out of memory for the attacked inputs");
    for (int64_t i = 0; i < out->n; i++) ids[i] = out->records[i].id;
    r->source.gather(r->source.context, ids, out->n, out->real_bits, out->clean, (int64_t)r->bytes, out->targets,
                     out->target_elements * out->real_bits / 8);
    free(ids);
    memcpy(out->attacked, out->clean, (size_t)out->n * r->bytes);
    return true;
}

static bool read_all(Reading *r, int64_t n, deq_error *e) {
    int part = 0;
    bool ok = allocate(r, n, e) && gather(r, e);
    for (const deq_attack_spec *a = r->value->attack; ok && a; a = a->next) ok = read_part(r, a, part++, e);
    return ok;
}

bool deq_adversarial_read(deq_app *app, const deq_model *model, const deq_value_spec *v, const deq_record *records,
                          int64_t n, deq_adversarial *out, deq_error *e) {
    char fingerprint[33];
    *out = (deq_adversarial){.records = records};
    deq_engine *engine = deq_app_engine(app, model->spec->net, e);
    deq_dataset *data = deq_app_data(app, v->data.data, e);
    if (!engine || !data || !deq_dataset_load(data, v->data.test, e) ||
        !deq_dataset_fingerprint(data, v->data.test, fingerprint, e))
        return false;
    Reading r = {.app = app,
                 .engine = engine,
                 .model = model,
                 .value = v,
                 .source = deq_dataset_source(data, v->data.test),
                 .fingerprint = fingerprint,
                 .out = out,
                 .bytes = deq_engine_input_bytes(engine)};
    const uint32_t token = deq_engine_save_settings(engine);
    const bool ok = deq_app_as_trained(engine, model->spec, v->overrides, v->noverrides, e) && read_all(&r, n, e);
    deq_engine_restore_settings(engine, token);
    if (!ok) deq_adversarial_free(out);
    return ok;
}

void deq_adversarial_free(deq_adversarial *a) {
    free(a->clean);
    free(a->attacked);
    free(a->targets);
    *a = (deq_adversarial){0};
}

double deq_adversarial_value(const deq_adversarial *a, const void *rows, int64_t row, int64_t element) {
    return deq_real_get(a->real_bits, rows, row * a->elements + element);
}

deq_planes deq_planes_of(const deq_shape *s) {
    if (s->rank < 2 || s->rank > 3) return (deq_planes){0};
    const int64_t *last = s->dim + s->rank - 2;
    if (last[0] < 2 || last[1] < 2) return (deq_planes){0};
    const int64_t count = s->rank == 3 ? s->dim[0] : 1;
    return count == 1 || count == 3 ? (deq_planes){(int)count, last[0], last[1]} : (deq_planes){0};
}

bool deq_adversarial_bytes(const deq_adversarial *a, const deq_shape *shape) {
    if (!deq_planes_of(shape).count) return false;
    for (int64_t i = 0; i < a->n * a->elements; i++) {
        const double v = 255 * deq_adversarial_value(a, a->clean, 0, i);
        if (!(v >= 0 && v <= 255 && fabs(v - nearbyint(v)) < 1e-3)) return false;
    }
    return a->n > 0;
}
