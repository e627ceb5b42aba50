/* export_adversarial.c - deq export --adversarial: the attacked inputs of one evaluation as arrays, and what rounding
 * them to 8 bits leaves of the attack. */
#define _GNU_SOURCE
#include "run.h"
#include "adversarial.h"
#include "arrays.h"
#include "measure.h"
#include "output.h"
#include "results.h"
#include "signals.h"
#include "tensors.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One evaluation under an attack, in one cell of its axes. */
typedef struct Chosen {
    const deq_experiment_spec *x;
    const deq_array_spec *array;
    int spec; /* which of the array's */
    const deq_value_spec *value;
} Chosen;

/* ---- which evaluation is meant ---- */
/* "robust (mode = jfb, seed = 0)", after "experiment." where `full`. */
static void print_chosen(FILE *out, const Chosen *c, bool full) {
    if (full) fprintf(out, "%s.", c->x->name);
    int *at = calloc((size_t)c->x->naxes + 1, sizeof *at);
    if (at) deq_axes_place(c->x, c->array->cells, c->array->ncells, c->spec, at);
    char *text = at ? deq_axes_label(c->x, -1, c->array->cells, c->array->ncells, at, c->array->name) : NULL;
    fputs(text ? text : c->array->name, out);
    free(text);
    free(at);
}

static bool is_called(const Chosen *c, const char *name) {
    bool same = !strcmp(c->value->name, name);
    for (int full = 0; full < 2 && !same; full++) {
        char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);
        if (!f) return false;
        print_chosen(f, c, full);
        fclose(f);
        same = !strcmp(text, name);
        free(text);
    }
    return same;
}

/* Calls `each` with every evaluation under an attack. */
static void go_through(const deq_manifest *m, void (*each)(void *context, const Chosen *c), void *context) {
    for (int i = 0; i < m->nexperiments; i++)
        for (int k = 0; k < m->experiments[i].narrays; k++) {
            const deq_array_spec *a = &m->experiments[i].arrays[k];
            for (int c = 0; a->values && c < a->nspecs; c++)
                if (a->values[c].attack) each(context, &(Chosen){&m->experiments[i], a, c, &a->values[c]});
        }
}

typedef struct Search {
    const char *name;
    bool full; /* experiments are named too: there are several */
    Chosen found;
    int matches, listed;
    FILE *list;
} Search;

#define MOST_LISTED 12

static void match(void *context, const Chosen *c) {
    Search *s = context;
    if (!is_called(c, s->name)) return;
    if (!s->matches++) s->found = *c;
}

static void list(void *context, const Chosen *c) {
    Search *s = context;
    if (s->matches > 1 && !is_called(c, s->name)) return;
    if (s->listed++ >= MOST_LISTED) return;
    fputs(s->listed > 1 ? ", '" : " '", s->list);
    print_chosen(s->list, c, s->full);
    fputc('\'', s->list);
}

static bool choose(const deq_manifest *m, const char *name, Chosen *out, deq_error *e) {
    char *text = NULL;
    size_t size = 0;
    Search s = {.name = name, .full = m->nexperiments > 1};
    go_through(m, match, &s);
    *out = s.found;
    if (s.matches == 1) return true;
    s.list = open_memstream(&text, &size);
    if (!s.list) return deq_fail(e, DEQ_MEMORY, "out of memory");
    go_through(m, list, &s);
    if (s.listed > MOST_LISTED) fprintf(s.list, ", and %d more", s.listed - MOST_LISTED);
    fclose(s.list);
    if (s.matches)
        deq_fail(e, DEQ_SETTING, "--adversarial '%s' means %d evaluations:%s", name, s.matches, text);
    else if (s.listed)
        deq_fail(e, DEQ_SETTING, "--adversarial: no evaluation under an attack is called '%s'; there are%s", name,
                 text);
    else
        deq_fail(e, DEQ_SETTING, "--adversarial: no experiment of %s evaluates under an attack", m->name);
    free(text);
    return false;
}

/* ---- rounded to 8 bits ---- */
typedef struct Rounded {
    uint8_t *bytes;
    void *inputs;          /* of the module's reals: bytes divided by 255 */
    deq_record *records;   /* of the net there */
    deq_interval interval; /* of the metric or loss there */
    double furthest;       /* the largest change of an element after rounding */
    /* As a source: examples by id. */
    const deq_adversarial *of;
    int64_t first;
} Rounded;

static void gather(void *context, const int64_t *index, int64_t n, int real_bits, void *x, int64_t input_bytes, void *y,
                   int64_t target_bytes) {
    const Rounded *r = context;
    const size_t input = (size_t)(r->of->elements * real_bits / 8);
    const size_t target = (size_t)(r->of->target_elements * real_bits / 8);
    memset(x, 0, (size_t)(n * input_bytes));
    if (y) memset(y, 0, (size_t)(n * target_bytes));
    for (int64_t i = 0; i < n; i++) {
        const size_t row = (size_t)(index[i] - r->first);
        memcpy((char *)x + i * input_bytes, (char *)r->inputs + row * input, input);
        if (y) memcpy((char *)y + i * target_bytes, (char *)r->of->targets + row * target, target);
    }
}

static bool make_rounded(Rounded *r, const deq_adversarial *a, deq_error *e) {
    const int64_t count = a->n * a->elements;
    r->of = a;
    r->first = a->records[0].id;
    r->bytes = malloc((size_t)count);
    r->inputs = malloc((size_t)count * (size_t)a->real_bits / 8);
    r->records = malloc((size_t)a->n * sizeof *r->records);
    if (!r->bytes || !r->inputs || !r->records)
        return deq_fail(e, DEQ_MEMORY, "out of memory for %lld rounded inputs", (long long)a->n);
    for (int64_t i = 0; i < count; i++) {
        const double v = 255 * deq_adversarial_value(a, a->attacked, 0, i);
        r->bytes[i] = (uint8_t)lrint(fmin(fmax(v, 0), 255));
        if (a->real_bits == 32)
            ((float *)r->inputs)[i] = (float)r->bytes[i] / 255.0f; /* as data are read */
        else
            ((double *)r->inputs)[i] = r->bytes[i] / 255.0;
        const double change = fabs(r->bytes[i] / 255.0 - deq_adversarial_value(a, a->clean, 0, i));
        if (change > r->furthest) r->furthest = change;
    }
    return true;
}

/* The net at the rounded inputs, with the settings of the evaluation. */
static bool evaluate_rounded(deq_app *app, const deq_model *model, const deq_value_spec *v, Rounded *r, deq_error *e) {
    deq_engine *engine = deq_app_engine(app, model->spec->net, e);
    if (!engine) return false;
    deq_value_spec plain = *v;
    plain.attack = NULL;
    const deq_measuring m = {.engine = engine, .value = &plain, .source = {r, gather}, .seed = model->spec->seed};
    const int64_t n = r->of->n;
    int64_t *ids = malloc((size_t)n * sizeof *ids);
    double *values = malloc((size_t)n * sizeof *values);
    bool ok = (ids && values) || deq_fail(e, DEQ_MEMORY, "out of memory for %lld rounded inputs", (long long)n);
    for (int64_t i = 0; ok && i < n; i++) ids[i] = r->first + i;
    const uint32_t token = deq_engine_save_settings(engine);
    ok = ok && deq_app_as_trained(engine, model->spec, v->overrides, v->noverrides, e);
    if (ok) deq_app_load_model(app, engine, model);
    ok = ok && deq_measure(&m, ids, n, r->records, e);
    deq_engine_restore_settings(engine, token);
    for (int64_t i = 0; ok && i < n; i++) values[i] = v->metric ? r->records[i].metric : r->records[i].loss;
    const deq_metric_spec *metric = deq_net_metric(model->spec->net, v->metric);
    if (ok) r->interval = deq_mean_interval(values, n, model->spec->seed, metric && metric->share);
    free(ids);
    free(values);
    return ok;
}

static void free_rounded(Rounded *r) {
    free(r->bytes);
    free(r->inputs);
    free(r->records);
}

/* ---- the file ---- */
static deq_tensor_out rows_of(const char *name, deq_element type, const deq_shape *shape, int64_t n,
                              const void *values) {
    deq_tensor_out t = {name, {.type = type, .rank = 1, .dim = {n}, .values = (void *)(uintptr_t)values}};
    for (int d = 0; shape && d < shape->rank && t.array.rank < DEQ_ARRAY_RANK; d++)
        t.array.dim[t.array.rank++] = shape->dim[d];
    deq_array_count(&t.array);
    return t;
}

/* A whole number of each record. */
static void *column(const deq_record *records, int64_t n, size_t offset, size_t size) {
    char *out = malloc((size_t)n * size);
    for (int64_t i = 0; out && i < n; i++) memcpy(out + (size_t)i * size, (const char *)&records[i] + offset, size);
    return out;
}

static bool write_arrays(const deq_adversarial *a, const deq_shape *shape, const Rounded *r, const char *to,
                         deq_error *e) {
    const deq_element real = a->real_bits == 32 ? DEQ_F32 : DEQ_F64;
    void *ids = column(a->records, a->n, offsetof(deq_record, id), sizeof(int64_t));
    void *labels = column(a->records, a->n, offsetof(deq_record, label), sizeof(int32_t));
    void *predictions = column(a->records, a->n, offsetof(deq_record, prediction), sizeof(int32_t));
    void *rounded = r->records ? column(r->records, a->n, offsetof(deq_record, prediction), sizeof(int32_t)) : NULL;
    const deq_tensor_out all[] = {rows_of("id", DEQ_I64, NULL, a->n, ids),
                                  rows_of("label", DEQ_I32, NULL, a->n, labels),
                                  rows_of("prediction", DEQ_I32, NULL, a->n, predictions),
                                  rows_of("clean", real, shape, a->n, a->clean),
                                  rows_of("attacked", real, shape, a->n, a->attacked),
                                  rows_of("attacked_8bit", DEQ_U8, shape, a->n, r->bytes),
                                  rows_of("prediction_8bit", DEQ_I32, NULL, a->n, rounded)};
    const int count = r->bytes ? 7 : 5; /* the last two are of images only */
    const bool ok = ids && labels && predictions && (!r->records || rounded)
                        ? deq_npz_write(to, all, count, e)
                        : deq_fail(e, DEQ_MEMORY, "out of memory for the arrays of %s", to);
    free(ids);
    free(labels);
    free(predictions);
    free(rounded);
    return ok;
}

static void print_mean(char *out, size_t size, deq_interval i) {
    snprintf(out, size, "%.4g [%.4g, %.4g]", i.value, i.low, i.high);
}

static void say(deq_app *app, const Chosen *c, const deq_evaluation *v, const Rounded *r, const char *to) {
    char as_floats[80], as_bytes[80];
    const char *what = c->value->metric ? c->value->metric : "loss";
    print_mean(as_floats, sizeof as_floats, v->interval);
    print_mean(as_bytes, sizeof as_bytes, r->interval);
    deq_report(&app->reporter, "%s: %lld attacked inputs of %s under %s; %s %s", to, (long long)v->examples,
               c->value->name, v->attacked ? v->attacked : "its attack", what, as_floats);
    if (r->bytes)
        deq_report(&app->reporter, "rounded to 8 bits: %s %s; the largest change of an element is %.4g", what, as_bytes,
                   r->furthest);
    json_t *members = json_pack("{s:s, s:s, s:I, s:o, s:o, s:o}", "file", to, "name", c->value->name, "examples",
                                (json_int_t)v->examples, "value", deq_json_number(v->interval.value), "low",
                                deq_json_number(v->interval.low), "high", deq_json_number(v->interval.high));
    if (r->bytes)
        json_object_set_new(members, "rounded",
                            json_pack("{s:o, s:o, s:o, s:o}", "value", deq_json_number(r->interval.value), "low",
                                      deq_json_number(r->interval.low), "high", deq_json_number(r->interval.high),
                                      "largest_change", deq_json_number(r->furthest)));
    deq_report_event(&app->reporter, "exported", members);
}

static bool export_chosen(deq_app *app, const Chosen *c, const char *to, deq_error *e) {
    deq_evaluation v = {0};
    deq_adversarial a = {0};
    Rounded r = {.interval = {NAN, NAN, NAN}};
    const deq_model *model = deq_app_evaluate_alone(app, c->x, c->array, c->spec, &v, e);
    bool ok = model && deq_adversarial_read(app, model, c->value, v.records, v.examples, &a, e);
    if (ok && deq_adversarial_bytes(&a, &model->spec->net->input))
        ok = make_rounded(&r, &a, e) && evaluate_rounded(app, model, c->value, &r, e);
    ok = ok && write_arrays(&a, &model->spec->net->input, &r, to, e);
    if (ok) say(app, c, &v, &r, to);
    free_rounded(&r);
    deq_adversarial_free(&a);
    deq_evaluation_free(&v);
    return ok;
}

static bool is_npz(const char *path) {
    const size_t n = strlen(path);
    return n > 4 && !strcmp(path + n - 4, ".npz");
}

static bool export_all(deq_app *app, const char *name, const char *to, deq_error *e) {
    Chosen chosen;
    if (!is_npz(to)) return deq_fail(e, DEQ_SETTING, "attacked inputs are written as NPZ: '%s' has another ending", to);
    if (!deq_output_replaceable(to, NULL, 0, e) || !deq_app_apply_settings(app, e) ||
        !choose(app->manifest, name, &chosen, e) || !deq_app_check(app, e) || !deq_results_claim(app, e))
        return false;
    deq_temporaries_sweep(app->results);
    return deq_app_record(app, e) && export_chosen(app, &chosen, to, e);
}

int deq_app_export_adversarial(const deq_module *module, const deq_app_options *options, const char *name,
                               const char *to) {
    deq_app app;
    deq_error e = {0};
    deq_signals_install();
    const bool ok = deq_app_open(&app, module, options, &e) && export_all(&app, name, to, &e);
    if (!ok) deq_report_error(&app.reporter, &e);
    deq_app_close(&app);
    deq_signals_restore();
    return ok ? 0 : deq_failure_exit(e.failure);
}
