/* eval.c - see eval.h.  The net is a context of the C library (library.def), which checks what it is given. */
#include "eval.h"
#include "dataset.h"
#include "dense.h"
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
} Evaluation;

static bool room(const Evaluation *v, int64_t elements, void **out, deq_error *e) {
    *out = calloc((size_t)(elements > 0 ? elements : 1), (size_t)v->bits / 8);
    return *out || deq_fail(e, DEQ_MEMORY, "out of memory for '%s'", v->what->text);
}

/* ---- inputs ---- */
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
    if (spec->input.elements != v->net->net->input.elements)
        return deq_fail(e, DEQ_DATA_SHAPE, "an example of '%s' is no input of '%s'", w->data, v->net->net->name);
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

static bool from_file(Evaluation *v, deq_error *e) {
    const int64_t each = v->net->net->input.elements;
    deq_tensors file;
    deq_array a = {0};
    char have[128], want[128];
    if (!deq_tensors_open(v->what->file, &file, e)) return false;
    const deq_tensor *t = file.count == 1 ? &file.list[0] : deq_tensors_find(&file, "input");
    bool ok =
        t || deq_fail(e, DEQ_DATA_FORMAT, "'%s' has %d arrays and none called 'input'", v->what->file, file.count);
    if (ok && t->problem) ok = deq_fail(e, DEQ_DATA_FORMAT, "'%s': %s %s", v->what->file, t->name, t->problem);
    ok = ok && deq_tensors_read(&file, t, &a, e);
    if (ok) {
        const deq_shape *s = &v->net->net->input;
        bool same = a.rank == s->rank || a.rank == s->rank + 1; /* one example, or n */
        for (int k = 0; same && k < s->rank; k++) same = a.dim[a.rank - s->rank + k] == s->dim[k];
        deq_dims_print(a.dim, a.rank, have, sizeof have);
        deq_shape_print(s, want, sizeof want);
        if (!same)
            ok = deq_fail(e, DEQ_DATA_SHAPE,
                          "'%s' holds %s; an input of '%s' is %s, several have one axis more in front", v->what->file,
                          have, v->net->net->name, want);
        v->n = same && a.rank > s->rank ? a.dim[0] : 1;
    }
    ok = ok && room(v, v->n * each, &v->x, e);
    for (int64_t i = 0; ok && i < v->n * each; i++) deq_real_put(v->bits, v->x, i, deq_array_value(&a, i));
    deq_array_free(&a);
    deq_tensors_close(&file);
    return ok;
}

static bool from_nowhere(Evaluation *v, deq_error *e) {
    const deq_shape *s = &v->net->net->input;
    int64_t dim[DEQ_RANK + 1] = {v->n = v->what->random};
    memcpy(dim + 1, s->dim, sizeof s->dim);
    if (v->n < 1) return deq_fail(e, DEQ_ARGUMENT, "random(n) draws at least one input");
    return room(v, v->n * s->elements, &v->x, e) &&
           deq_initialise("uniform(low: 0, high: 1)", dim, s->rank + 1, v->what->seed, "input", v->bits, v->x, e);
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

static bool evaluate(Evaluation *v, deq_error *e) {
    const deq_eval *w = v->what;
    if (w->fixed) {
        const char *path = path_of(v, e);
        if (!path) return false;
        const int64_t size = deq_library_state_size(v->net, path);
        shape_value(v, &(deq_shape){.rank = 1, .dim = {size}, .elements = size});
        return room(v, v->value.elements, &v->value.values, e) &&
               called(v,
                      deq_library_solve(v->net, v->n, v->x, path, 1, 1, NULL, NULL, v->value.values, NULL, &v->status),
                      e);
    }
    if (w->loss) {
        if (!v->y) return deq_fail(e, DEQ_ARGUMENT, "a gradient of '%s' needs targets: take inputs of data", w->loss);
        shape_value(v, &v->net->net->input);
        return room(v, v->value.elements, &v->value.values, e) &&
               called(v,
                      deq_library_gradient(v->net, v->n, v->x, v->y, w->loss, NULL, v->value.values, NULL, &v->status),
                      e);
    }
    shape_value(v, &v->net->net->output);
    return room(v, v->value.elements, &v->value.values, e) &&
           called(v, deq_library_forward(v->net, v->n, v->x, v->value.values, &v->status), e);
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
    json_t *o = json_pack("{s:s, s:s, s:o, s:I, s:I, s:o}", "expression", v->what->text, "type",
                          v->bits == 64 ? "f64" : "f32", "shape", shape, "solves", (json_int_t)v->status.solves,
                          "unconverged", (json_int_t)v->status.unconverged, "value", nested(v, 0, &at));
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
    if (!v->what->checkpoint)
        printf("parameters are initial ones (seed %" PRIu64 "); --checkpoint FILE takes others\n", v->what->seed);
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
    v.net = deq_library_new(module, what->net, &(deq_library_options){.threads = what->threads, .seed = what->seed});
    if (!v.net) {
        fprintf(stderr, "deq eval: %s\n", deq_library_error(NULL));
        return 3;
    }
    bool ok = !what->checkpoint || called(&v, deq_library_load(v.net, what->checkpoint), &e);
    ok = ok &&
         (what->data   ? from_data(&v, &e)
          : what->file ? from_file(&v, &e)
                       : from_nowhere(&v, &e)) &&
         evaluate(&v, &e) && (!what->output || write_arrays(&v, &e));
    if (ok && what->json)
        print_json(&v);
    else if (ok)
        print_text(&v);
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
        printf("%s: %.17g\n", text, value);
    }
    return 0;
}
