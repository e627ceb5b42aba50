/* eval.c - see eval.h.  The net is a context of the C library (library.def), which checks what it is given. */
#include "eval.h"
#include "dataset.h"
#include "dense.h"
#include "expected.h"
#include "init.h"
#include "library_internal.h"
#include "output.h"
#include "reals.h"
#include "tensors.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_ROWS = 8, SHOWN = 10 }; /* of a value on a terminal: the rest is in -o and --json */

typedef struct Evaluation {
    const deq_eval *what;
    deq_library *net;
    int bits;
    int64_t n;
    void *x, *y; /* dense rows; y NULL: there are no targets */
    deq_array value;
    deq_status status;
    enum { INITIAL, FROM_CACHE, FROM_FILE } parameters;
} Evaluation;

static bool room(const Evaluation *v, int64_t elements, void **out, deq_error *e) {
    *out = calloc((size_t)(elements > 0 ? elements : 1), (size_t)v->bits / 8);
    return *out || deq_fail(e, DEQ_MEMORY, "out of memory for '%s'", v->what->text);
}

/* ---- inputs ---- */
static void print_target(const deq_target *t, char *out, size_t size) {
    if (t->labels)
        snprintf(out, size, "label[%" PRId64 "]", t->labels);
    else
        deq_shape_print(&t->shape, out, size);
}

/* Whether the net takes the examples as they are; their targets count only where a loss does. */
static bool fits(const Evaluation *v, const deq_data_spec *spec, deq_error *e) {
    const deq_net_spec *net = v->net->net;
    const deq_target *a = &spec->target, *b = &net->target;
    char have[128], want[128];
    deq_shape_print(&spec->input, have, sizeof have);
    deq_shape_print(&net->input, want, sizeof want);
    if (!deq_shape_same(&spec->input, &net->input))
        return deq_fail(e, DEQ_DATA_SHAPE, "an example of '%s' is %s, an input of '%s' is %s", spec->name, have,
                        net->name, want);
    if (!v->what->loss || (a->labels == b->labels && (a->labels || deq_shape_same(&a->shape, &b->shape)))) return true;
    print_target(a, have, sizeof have);
    print_target(b, want, sizeof want);
    return deq_fail(e, DEQ_DATA_SHAPE, "a target of '%s' is %s, one of '%s' is %s", spec->name, have, net->name, want);
}

static bool from_data(Evaluation *v, deq_error *e) {
    const deq_eval *w = v->what;
    const deq_manifest *m = v->net->manifest;
    const deq_data_spec *spec = NULL;
    for (int i = 0; i < m->ndata; i++)
        if (!strcmp(m->data[i].name, w->data)) spec = &m->data[i];
    if (!spec)
        return deq_fail(
            e, DEQ_ARGUMENT,
            "'%s' is no data that the compiled net comes with: name a training run, or take random(n) or a file",
            w->data);
    if (!fits(v, spec, e)) return false;
    deq_dataset *d = deq_dataset_new(spec, NULL, e);
    int64_t from = 0, to = 0;
    const deq_slice slice = {.data = spec, .test = w->test, .from = w->from, .to = w->to < 0 ? w->from + 1 : w->to};
    bool ok = d && deq_dataset_check(d, w->test, e) && deq_dataset_slice(d, &slice, &from, &to, e) &&
              deq_dataset_load(d, w->test, e);
    v->n = to - from;
    const int64_t inputs = spec->input.elements, targets = deq_target_elements(&spec->target);
    ok = ok && room(v, v->n * inputs, &v->x, e) && room(v, v->n * targets, &v->y, e);
    int64_t *index = ok ? deq_index_range(v->n) : NULL;
    if (ok && !index) ok = deq_fail(e, DEQ_MEMORY, "out of memory for '%s'", w->text);
    for (int64_t i = 0; ok && i < v->n; i++) index[i] += from;
    if (ok) {
        const deq_source source = deq_dataset_source(d, w->test);
        source.gather(source.context, index, v->n, v->bits, v->x, inputs * v->bits / 8, v->y, targets * v->bits / 8);
    }
    free(index);
    if (d) deq_dataset_free(d);
    return ok;
}

/* One array of the file as rows: one row of this shape, or n with an axis in front. */
static bool read_rows(Evaluation *v, deq_tensors *file, const deq_tensor *t, const char *what, const deq_shape *s,
                      int64_t *n, void **out, deq_error *e) {
    deq_array a = {0};
    char have[128], want[128];
    if (t->problem) return deq_fail(e, DEQ_DATA_FORMAT, "'%s': %s %s", v->what->file, t->name, t->problem);
    if (!deq_tensors_read(file, t, &a, e)) return false;
    bool same = a.rank == s->rank || a.rank == s->rank + 1;
    for (int k = 0; same && k < s->rank; k++) same = a.dim[a.rank - s->rank + k] == s->dim[k];
    deq_dims_print(a.dim, a.rank, have, sizeof have);
    deq_shape_print(s, want, sizeof want);
    *n = same && a.rank > s->rank ? a.dim[0] : 1;
    bool ok =
        same || deq_fail(e, DEQ_DATA_SHAPE, "'%s' holds %s; %s of '%s' is %s, several have one axis more in front",
                         v->what->file, have, what, v->net->net->name, want);
    ok = ok && room(v, *n * s->elements, out, e);
    for (int64_t i = 0; ok && i < *n * s->elements; i++)
        deq_real_put(v->bits, *out, i,
                     s->rank ? deq_array_value(&a, i) : deq_array_plain(&a, i)); /* a label as it is */
    deq_array_free(&a);
    return ok;
}

static bool from_file(Evaluation *v, deq_error *e) {
    deq_tensors file;
    if (!deq_tensors_open(v->what->file, &file, e)) return false;
    const deq_tensor *t = file.count == 1 ? &file.list[0] : deq_tensors_find(&file, "input"),
                     *target = deq_tensors_find(&file, "target");
    const deq_target *of = &v->net->net->target;
    const deq_shape label = {.elements = 1};
    int64_t targets;
    bool ok =
        t || deq_fail(e, DEQ_DATA_FORMAT, "'%s' has %d arrays and none called 'input'", v->what->file, file.count);
    ok = ok && read_rows(v, &file, t, "an input", &v->net->net->input, &v->n, &v->x, e);
    if (ok && target && target != t) {
        ok = read_rows(v, &file, target, "a target", of->labels ? &label : &of->shape, &targets, &v->y, e);
        if (ok && targets != v->n)
            ok = deq_fail(e, DEQ_DATA_SHAPE, "'%s' has %lld inputs and %lld targets", v->what->file, (long long)v->n,
                          (long long)targets);
    }
    deq_tensors_close(&file);
    return ok;
}

static bool from_nowhere(Evaluation *v, deq_error *e) {
    const deq_shape *s = &v->net->net->input;
    int64_t dim[DEQ_RANK + 1] = {v->n = v->what->random};
    memcpy(dim + 1, s->dim, sizeof s->dim);
    if (v->n < 1) return deq_fail(e, DEQ_ARGUMENT, "random(n) draws at least one input");
    return room(v, v->n * s->elements, &v->x, e) &&
           deq_initialise("uniform(low: 0, high: 1)", dim, s->rank + 1, v->what->run.seed, "input", v->bits, v->x, e);
}

/* ---- the value ---- */
static void shape_value(Evaluation *v, const deq_shape *each) {
    v->value = (deq_array){.type = v->bits == 64 ? DEQ_F64 : DEQ_F32,
                           .rank = each->rank + 1,
                           .dim = {v->n},
                           .elements = v->n * each->elements};
    memcpy(v->value.dim + 1, each->dim, (size_t)each->rank * sizeof *each->dim);
}

static bool called(const Evaluation *v, int code, deq_error *e) {
    if (code == 0) return true;
    *e = v->net->error;
    return false;
}

/* The path of the fixed point that is asked for: by its path, or, as that of the net's own layer is empty, there by its
 * state.  NULL: there is none, and the message has those that there are. */
static const char *path_of(const Evaluation *v, deq_error *e) {
    const deq_net_spec *net = v->net->net;
    const char *asked = v->what->fixed;
    char all[1024] = "";
    for (int i = 0; i < net->nfixed; i++) {
        const deq_fixed_spec *f = &net->fixed[i];
        const char *name = *f->path ? f->path : f->state;
        if (!name) continue;
        if (!strcmp(name, asked)) return f->path;
        const size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, "%s%s", used ? ", " : "", name);
    }
    deq_fail(e, DEQ_ARGUMENT, "'%s' has no fixed point '%s'%s%s", net->name, asked, *all ? "; there are: " : "", all);
    return NULL;
}

/* States, residuals or the value of a fixed point. */
static bool solve(Evaluation *v, deq_error *e) {
    const deq_eval *w = v->what;
    const char *path = w->fixed ? path_of(v, e) : NULL;
    if (w->fixed && !path) return false;
    const int64_t size = deq_library_state_size(v->net, path), states = w->last - w->first + 1;
    if (size < 0) return deq_fail(e, DEQ_ARGUMENT, "'%s' has no fixed point", v->net->net->name);
    deq_shape each = {.rank = 1, .dim = {size}, .elements = size};
    if (w->what == DEQ_EVAL_states) each = (deq_shape){.rank = 2, .dim = {states, size}, .elements = states * size};
    if (w->what == DEQ_EVAL_residuals) each = (deq_shape){.rank = 1, .dim = {states}, .elements = states};
    shape_value(v, &each);
    if (!room(v, v->value.elements, &v->value.values, e)) return false;
    void *values = v->value.values, *residuals = NULL;
    if (w->what == DEQ_EVAL_residuals && !room(v, v->value.elements, &residuals, e)) return false;
    const bool ok = called(v,
                           deq_library_solve(v->net, v->n, v->x, path, w->first, w->last,
                                             w->what == DEQ_EVAL_states ? values : NULL, residuals,
                                             w->what == DEQ_EVAL_value ? values : NULL, NULL, &v->status),
                           e);
    for (int64_t i = 0; ok && residuals && i < v->value.elements; i++)
        deq_real_put(v->bits, values, i, (double)((float *)residuals)[i]);
    free(residuals);
    return ok;
}

/* Losses, or their gradients. */
static bool differentiate(Evaluation *v, deq_error *e) {
    const deq_eval *w = v->what;
    const bool gradient = w->what == DEQ_EVAL_gradient;
    if (!v->y)
        return deq_fail(e, DEQ_ARGUMENT,
                        "'%s' needs targets: take inputs of data, or a file with arrays input and target", w->loss);
    shape_value(v, gradient ? &v->net->net->input : &(deq_shape){.elements = 1});
    double *losses = calloc((size_t)(v->n > 0 ? v->n : 1), sizeof *losses);
    bool ok = losses || deq_fail(e, DEQ_MEMORY, "out of memory for '%s'", w->text);
    ok = ok && room(v, v->value.elements, &v->value.values, e) &&
         called(v,
                deq_library_gradient(v->net, v->n, v->x, v->y, w->loss, losses, gradient ? v->value.values : NULL, NULL,
                                     &v->status),
                e);
    for (int64_t i = 0; ok && !gradient && i < v->n; i++) deq_real_put(v->bits, v->value.values, i, losses[i]);
    free(losses);
    return ok;
}

static bool evaluate(Evaluation *v, deq_error *e) {
    switch (v->what->what) {
    case DEQ_EVAL_value:
    case DEQ_EVAL_states:
    case DEQ_EVAL_residuals: return solve(v, e);
    case DEQ_EVAL_loss:
    case DEQ_EVAL_gradient: return differentiate(v, e);
    case DEQ_EVAL_output: break;
    }
    shape_value(v, &v->net->net->output);
    return room(v, v->value.elements, &v->value.values, e) &&
           called(v, deq_library_forward(v->net, v->n, v->x, v->value.values, &v->status), e);
}

/* ---- parameters ---- */
/* The checkpoint that is given, or the one that the cache has of the training run, under the settings of --set; then these
 * settings are the net's too. */
static bool take_parameters(Evaluation *v, const deq_module *module, deq_error *e) {
    const deq_eval *w = v->what;
    deq_app app;
    deq_expected x;
    deq_error unknown = {0}; /* data that are not here, say: then nothing can be known of what was trained on them */
    char *found = NULL;
    const char *train = v->net->train ? v->net->train->name : NULL;
    bool ok = deq_app_open(&app, module, &w->run, e) && deq_app_apply_settings(&app, e);
    const deq_train_spec *t = ok && train ? deq_manifest_train(app.manifest, train, NULL) : NULL;
    if (t && !w->checkpoint && !w->run.fresh) {
        const bool opened = deq_expected_open(&x, &app, &unknown);
        const deq_model *model = opened ? deq_expected_model(&x, t, &unknown) : NULL;
        if (model && model->cached) found = deq_store_path(&app.store, "nets", model->key, "safetensors");
        if (opened) deq_expected_close(&x);
    }
    const char *file = w->checkpoint ? w->checkpoint : found;
    ok = ok && (!file || called(v, deq_library_load(v->net, file), e)) &&
         (!t || deq_app_override(v->net->engine, t->set, t->nset, e));
    v->parameters = w->checkpoint ? FROM_FILE : found ? FROM_CACHE : INITIAL;
    free(found);
    deq_app_close(&app);
    return ok;
}

/* ---- what is said ---- */
static json_t *nested(const Evaluation *v, int axis, int64_t *at) {
    if (axis == v->value.rank) {
        const double x = deq_real_get(v->bits, v->value.values, (*at)++);
        return isfinite(x) ? json_real(x) : json_null();
    }
    json_t *list = json_array();
    for (int64_t i = 0; i < v->value.dim[axis]; i++) json_array_append_new(list, nested(v, axis + 1, at));
    return list;
}

static void print_json(const Evaluation *v) {
    json_t *shape = json_array();
    int64_t at = 0;
    for (int k = 0; k < v->value.rank; k++) json_array_append_new(shape, json_integer(v->value.dim[k]));
    static const char *const whose[] = {"initial", "cache", "checkpoint"};
    json_t *o = json_pack("{s:s, s:s, s:o, s:s, s:I, s:I, s:o}", "expression", v->what->text, "type",
                          v->bits == 64 ? "f64" : "f32", "shape", shape, "parameters", whose[v->parameters], "solves",
                          (json_int_t)v->status.solves, "unconverged", (json_int_t)v->status.unconverged, "value",
                          nested(v, 0, &at));
    json_dumpf(o, stdout, JSON_COMPACT | JSON_REAL_PRECISION(v->bits == 64 ? 17 : 9));
    putchar('\n');
    json_decref(o);
}

static void print_text(const Evaluation *v) {
    char shape[128];
    const int64_t each = v->n ? v->value.elements / v->n : 0;
    deq_dims_print(v->value.dim, v->value.rank, shape, sizeof shape);
    printf("%s: %s%s\n", v->what->text, v->bits == 64 ? "f64" : "f32", shape);
    for (int64_t i = 0; i < v->n && i < SHOWN_ROWS; i++) {
        double low = INFINITY, high = -INFINITY, sum = 0;
        printf("  %" PRId64 ":", i);
        for (int64_t k = 0; k < each; k++) {
            const double x = deq_real_get(v->bits, v->value.values, i * each + k);
            if (k < SHOWN) printf(" %.6g", x);
            low = fmin(low, x), high = fmax(high, x), sum += x;
        }
        if (each > SHOWN)
            printf(" .. (%" PRId64 " numbers from %.4g to %.4g, mean %.4g)", each, low, high, sum / (double)each);
        putchar('\n');
    }
    if (v->n > SHOWN_ROWS) printf("  .. and %" PRId64 " more; -o FILE.npz has all\n", v->n - SHOWN_ROWS);
    if (v->status.solves)
        printf("%" PRId64 " solves, %" PRId64 " did not converge; %.3g steps each, worst residual %.2g\n",
               v->status.solves, v->status.unconverged, v->status.mean_steps, v->status.worst_residual);
    if (v->parameters == FROM_CACHE) puts("parameters are those that deq run has trained; --fresh takes initial ones");
    if (v->parameters == INITIAL)
        printf("parameters are initial ones (seed %" PRIu64 "); --checkpoint FILE takes others\n", v->what->run.seed);
}

static bool write_arrays(const Evaluation *v, deq_error *e) {
    const deq_shape *s = &v->net->net->input;
    deq_array input = {.type = v->value.type, .rank = s->rank + 1, .dim = {v->n}, .elements = v->n * s->elements};
    memcpy(input.dim + 1, s->dim, (size_t)s->rank * sizeof *s->dim);
    input.values = v->x;
    const deq_tensor_out list[] = {{"value", v->value}, {"input", input}};
    return deq_output_replaceable(v->what->output, NULL, 0, e) && deq_tensors_write(v->what->output, list, 2, NULL, e);
}

int deq_app_eval(const deq_module *module, const deq_eval *what) {
    Evaluation v = {.what = what, .bits = (int)module->real_bits};
    deq_error e = {0};
    deq_reporter reporter;
    v.net = deq_library_new(module, what->net,
                            &(deq_library_options){.threads = what->run.threads, .seed = what->run.seed});
    deq_reporter_open(&reporter, what->run.json, true);
    if (!v.net) e = *library_own_error();
    bool ok = v.net && take_parameters(&v, module, &e) &&
              (what->data   ? from_data(&v, &e)
               : what->file ? from_file(&v, &e)
                            : from_nowhere(&v, &e)) &&
              evaluate(&v, &e) && (!what->output || write_arrays(&v, &e));
    if (ok && what->run.json)
        print_json(&v);
    else if (ok)
        print_text(&v);
    else if (what->run.json)
        deq_report_error(&reporter, &e);
    else
        fprintf(stderr, "deq eval: error[%s]: %s\n", deq_failure_code(e.failure), e.text);
    free(v.value.values);
    free(v.x);
    free(v.y);
    deq_library_free(v.net);
    return ok ? 0 : deq_failure_exit(e.failure);
}

int deq_app_eval_number(const char *text, double value, bool json) {
    if (json) {
        json_t *o = json_pack("{s:s, s:s, s:[], s:o}", "expression", text, "type", "f64", "shape", "value",
                              isfinite(value) ? json_real(value) : json_null());
        json_dumpf(o, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(o);
    } else {
        printf("%s: %.17g\n", text, isnan(value) ? NAN : value); /* that of a processor has a sign */
    }
    return 0;
}
