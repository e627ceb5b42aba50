/* manifest.c - the only reader of the manifest: JSON to the structures of manifest.h. */
#include "manifest.h"
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is being read, for error messages and memory. */
typedef struct Reader {
    deq_manifest *m;
    deq_error *e;
    const char *where;
} Reader;

void *deq_manifest_alloc(deq_manifest *m, size_t bytes) {
    if (m->nblocks == m->blocks_cap) {
        int cap = m->blocks_cap ? 2 * m->blocks_cap : 64;
        void **grown = realloc(m->blocks, (size_t)cap * sizeof *grown);
        if (!grown) return NULL;
        m->blocks = grown;
        m->blocks_cap = cap;
    }
    void *block = calloc(1, bytes ? bytes : 1);
    if (block) m->blocks[m->nblocks++] = block;
    return block;
}

static void *make(Reader *r, size_t count, size_t size) {
    void *p = deq_manifest_alloc(r->m, count * size);
    if (!p) deq_fail(r->e, DEQ_MEMORY, "out of memory reading the manifest");
    return p;
}

static void missing(Reader *r, const char *key, const char *kind) {
    deq_fail(r->e, DEQ_MODULE, "manifest: %s has no %s '%s'", r->where, kind, key);
}

static const char *text(Reader *r, const json_t *o, const char *key) {
    const char *s = json_string_value(json_object_get(o, key));
    if (!s) missing(r, key, "text");
    return s ? s : "";
}

static const char *text_or_null(const json_t *o, const char *key) { return json_string_value(json_object_get(o, key)); }

static int64_t integer(Reader *r, const json_t *o, const char *key) {
    const json_t *v = json_object_get(o, key);
    if (!json_is_integer(v)) missing(r, key, "integer");
    return json_integer_value(v);
}

static int64_t integer_or(const json_t *o, const char *key, int64_t other) {
    const json_t *v = json_object_get(o, key);
    return json_is_integer(v) ? json_integer_value(v) : other;
}

static const json_t *list(Reader *r, const json_t *o, const char *key, int *count) {
    const json_t *v = json_object_get(o, key);
    if (!json_is_array(v)) missing(r, key, "list");
    *count = (int)json_array_size(v);
    return v;
}

static const json_t *optional_list(const json_t *o, const char *key, int *count) {
    const json_t *v = json_object_get(o, key);
    *count = json_is_array(v) ? (int)json_array_size(v) : 0;
    return v;
}

static const char **texts(Reader *r, const json_t *o, const char *key, int *count) {
    const json_t *v = list(r, o, key, count);
    const char **out = make(r, (size_t)*count, sizeof *out);
    for (int i = 0; out && i < *count; i++)
        if (!(out[i] = json_string_value(json_array_get(v, (size_t)i)))) {
            missing(r, key, "list of texts");
            out[i] = "";
        }
    return out;
}

static deq_shape shape(Reader *r, const json_t *v, const char *key) {
    deq_shape s = {.elements = 1};
    if (!json_is_array(v) || json_array_size(v) > DEQ_RANK) {
        missing(r, key, "shape");
        return s;
    }
    s.rank = (int)json_array_size(v);
    for (int i = 0; i < s.rank; i++) {
        s.dim[i] = json_integer_value(json_array_get(v, (size_t)i));
        if (s.dim[i] < 1 || __builtin_mul_overflow(s.elements, s.dim[i], &s.elements)) {
            missing(r, key, "positive shape");
            s.elements = 1;
            break;
        }
    }
    return s;
}

static deq_target target(Reader *r, const json_t *o) {
    const json_t *v = json_object_get(o, "target"), *label = json_object_get(v, "label");
    if (json_is_integer(label) && json_integer_value(label) > 0)
        return (deq_target){.labels = json_integer_value(label), .shape = {.elements = 1}};
    return (deq_target){.shape = shape(r, json_object_get(v, "shape"), "target")};
}

static deq_named *scalars(Reader *r, const json_t *o, int *count) {
    const json_t *v = optional_list(o, "scalars", count);
    if (*count > DEQ_MOST_SCALARS) {
        deq_fail(r->e, DEQ_MODULE, "manifest: %s has more than %d settings", r->where, DEQ_MOST_SCALARS);
        *count = 0;
    }
    deq_named *out = make(r, (size_t)*count, sizeof *out);
    for (int i = 0; out && i < *count; i++) {
        const json_t *s = json_array_get(v, (size_t)i), *value = json_object_get(s, "value");
        out[i] = (deq_named){.name = text(r, s, "name"),
                             .value = json_number_value(value),
                             .whole = json_is_true(json_object_get(s, "whole")),
                             .count = json_is_true(json_object_get(s, "count")),
                             .computed = json_is_true(json_object_get(s, "computed")),
                             .low = -INFINITY,
                             .high = INFINITY};
        const json_t *low = json_object_get(s, "low"), *high = json_object_get(s, "high");
        if (json_is_number(low)) out[i].low = json_number_value(low);
        if (json_is_number(high)) out[i].high = json_number_value(high);
        if (!json_is_number(value)) missing(r, "value", "number");
        if (fabs(out[i].value) == DBL_MAX) out[i].value *= 2; /* infinity, which JSON has not */
    }
    return out;
}

json_t *deq_scalars_json(const deq_named *scalars, int n) {
    json_t *out = json_object();
    for (int i = 0; i < n; i++) {
        const double v = scalars[i].value;
        json_object_set_new(out, scalars[i].name, isinf(v) ? json_string(v > 0 ? "inf" : "-inf") : json_real(v));
    }
    return out;
}

static deq_override *overrides(Reader *r, const json_t *o, const char *key, int *count) {
    const json_t *v = optional_list(o, key, count);
    deq_override *out = make(r, (size_t)*count, sizeof *out);
    for (int i = 0; out && i < *count; i++) {
        const json_t *pair = json_array_get(v, (size_t)i);
        out[i].path = json_string_value(json_array_get(pair, 0));
        out[i].value = json_string_value(json_array_get(pair, 1));
        if (!out[i].path || !out[i].value) missing(r, key, "list of pairs");
    }
    return out;
}

static deq_attack_spec *attack(Reader *r, const json_t *o, const char *key) {
    const json_t *v = json_object_get(o, key);
    if (!json_is_object(v)) return NULL;
    deq_attack_spec *a = make(r, 1, sizeof *a);
    if (!a) return NULL;
    a->joined = text_or_null(v, "joined");
    a->all = json_is_true(json_object_get(v, "all"));
    a->restart = (int)integer_or(v, "restart", 0);
    a->next = attack(r, v, "next");
    a->name = text(r, v, "name");
    a->definition = text_or_null(v, "definition");
    if (!a->definition) a->definition = a->name;
    a->routine = text(r, v, "routine");
    a->gradient = text_or_null(v, "gradient");
    a->differentiates = !json_is_false(json_object_get(v, "differentiates"));
    a->allow_masking = json_is_true(json_object_get(v, "allow_masking"));
    a->surrogate = json_is_true(json_object_get(v, "surrogate"));
    a->hash = text_or_null(v, "hash");
    a->scalars = scalars(r, v, &a->nscalars);
    return a;
}

bool deq_transform_find(const char *name, const json_t *given, deq_transform *out, deq_error *e) {
    const deq_row *row = deq_row_find(&deq_transform_family, deq_part_of(name));
    if (!row) return deq_fail(e, DEQ_MODULE, "this runtime has no transformation '%s' of examples", name);
    *out = (deq_transform){.name = row->name, .kind = (int)(row - deq_transform_family.rows)};
    deq_arguments_default(&deq_transform_family, row, out);
    const char *argument;
    json_t *value;
    json_object_foreach((json_t *)given, argument, value) {
        char text[40];
        deq_number_print(json_number_value(value), text, sizeof text);
        if (!deq_arguments_set(&deq_transform_family, row, 0, deq_part_of(argument), deq_part_of(text), out, e))
            return false;
    }
    return true;
}

static deq_slice slice(Reader *r, const json_t *v, const char *key) {
    deq_slice s = {.to = -1};
    if (!json_is_object(v)) {
        missing(r, key, "slice");
        return s;
    }
    const char *name = text(r, v, "data"), *split = text(r, v, "split");
    for (int i = 0; i < r->m->ndata; i++)
        if (!strcmp(r->m->data[i].name, name)) s.data = &r->m->data[i];
    if (!s.data) deq_fail(r->e, DEQ_MODULE, "manifest: %s uses the data '%s', which is not there", r->where, name);
    s.test = !strcmp(split, "test");
    s.from = integer_or(v, "from", 0);
    s.to = integer_or(v, "to", -1);
    s.line = (int)integer_or(v, "line", 0);
    s.transforms_json = optional_list(v, "transforms", &s.ntransforms);
    s.transforms = s.ntransforms ? make(r, (size_t)s.ntransforms, sizeof *s.transforms) : NULL;
    for (int i = 0; s.transforms && i < s.ntransforms; i++) {
        const json_t *t = json_array_get(s.transforms_json, (size_t)i);
        const char *transform = json_string_value(json_array_get(t, 0));
        deq_transform_find(transform ? transform : "", json_array_get(t, 1), &s.transforms[i], r->e);
    }
    return s;
}

const deq_net_spec *deq_manifest_net(const deq_manifest *m, const char *name) {
    for (int i = 0; i < m->nnets; i++)
        if (!strcmp(m->nets[i].name, name)) return &m->nets[i];
    return NULL;
}

static const deq_net_spec *net_named(Reader *r, const json_t *o) {
    const char *name = text(r, o, "net");
    const deq_net_spec *net = deq_manifest_net(r->m, name);
    if (!net) deq_fail(r->e, DEQ_MODULE, "manifest: %s uses the net '%s', which is not there", r->where, name);
    return net;
}

static void read_data(Reader *r, const json_t *o, deq_data_spec *d) {
    r->where = "data";
    d->name = text(r, o, "name");
    d->reader = text(r, o, "reader");
    if (!json_is_object(json_object_get(o, "arguments"))) json_object_set_new((json_t *)o, "arguments", json_object());
    d->arguments = json_object_get(o, "arguments");
    d->input = shape(r, json_object_get(o, "input"), "input");
    d->target = target(r, o);
    d->line = (int)integer_or(o, "line", 0);
}

static bool flag(const json_t *o, const char *key) { return json_is_true(json_object_get(o, key)); }

static void read_field(Reader *r, const json_t *o, deq_extern_field *f) {
    const json_t *size = json_object_get(o, "size"), *number = json_object_get(o, "number");
    f->name = text(r, o, "name");
    if (size)
        f->value.size = integer(r, o, "size");
    else if (number)
        f->value.number = json_number_value(number);
    if (size || number) return;
    const char *in = text(r, o, "in");
    f->place = !strcmp(in, "shared") ? DEQ_AT_SHARED : !strcmp(in, "rest") ? DEQ_AT_REST : DEQ_AT_STATE;
    f->offset = integer(r, o, "offset");
    f->elements = integer(r, o, "elements");
    f->accum = integer(r, o, "accum");
    f->cotangent = flag(o, "cotangent");
    f->parameter = flag(o, "parameter");
    if (f->elements < 1) missing(r, "elements", "positive");
}

static void read_hand(Reader *r, const json_t *o, deq_hand_spec *h) {
    h->name = text(r, o, "name");
    h->approximate = flag(o, "approximate");
    h->symbol = text_or_null(o, "symbol");
    if (!h->symbol) {
        h->input = text(r, o, "input");
        h->parameters = text(r, o, "parameters");
        const json_t *v = list(r, o, "solves", &h->nsolves);
        h->solves = make(r, (size_t)h->nsolves, sizeof *h->solves);
        for (int i = 0; h->solves && i < h->nsolves; i++) {
            const json_t *s = json_array_get(v, (size_t)i);
            h->solves[i] = (deq_solve_spec){text(r, s, "name"), text(r, s, "solver")};
        }
        return;
    }
    h->signature = text(r, o, "signature");
    h->where = text(r, o, "place");
    const json_t *v = list(r, o, "fields", &h->nfields);
    h->fields = make(r, (size_t)h->nfields, sizeof *h->fields);
    for (int i = 0; h->fields && i < h->nfields; i++) read_field(r, json_array_get(v, (size_t)i), &h->fields[i]);
}

static void read_fixed(Reader *r, const json_t *o, deq_fixed_spec *f) {
    *f = (deq_fixed_spec){.name = text(r, o, "name"),
                          .path = text(r, o, "path"),
                          .forward = text(r, o, "forward"),
                          .gradient = text(r, o, "gradient"),
                          .finish = text_or_null(o, "finish"),
                          .on_fail = text_or_null(o, "on_fail"),
                          .start = text_or_null(o, "start"),
                          .penalty = text_or_null(o, "penalty"),
                          .flops = json_number_value(json_object_get(o, "flops")),
                          .proved = NAN};
    const json_t *c = json_object_get(o, "certificate"), *proved = json_object_get(c, "proved");
    f->certificate = json_string_value(json_object_get(c, "kind"));
    f->claimed = json_number_value(json_object_get(c, "claimed"));
    if (json_is_number(proved)) f->proved = json_number_value(proved);
    const json_t *v = optional_list(o, "gradients", &f->nhands);
    f->hands = make(r, (size_t)f->nhands, sizeof *f->hands);
    for (int i = 0; f->hands && i < f->nhands; i++) read_hand(r, json_array_get(v, (size_t)i), &f->hands[i]);
}

static void read_parameter(Reader *r, const json_t *o, const deq_net_spec *n, deq_parameter *p) {
    const json_t *trained = json_object_get(o, "trained");
    *p = (deq_parameter){text(r, o, "path"), text(r, o, "init"), shape(r, json_object_get(o, "shape"), "shape"),
                         integer(r, o, "offset"), !trained || json_is_true(trained)};
    int64_t real = strcmp(r->m->real, "f64") ? 4 : 8;
    if (p->offset < 0 || p->offset % real || p->shape.elements * real > n->shared_bytes - p->offset)
        deq_fail(r->e, DEQ_MODULE, "manifest: parameter '%s' of '%s' does not fit in shared_bytes", p->path, n->name);
}

static void read_losses(Reader *r, const json_t *o, deq_net_spec *n) {
    const json_t *v = optional_list(o, "losses", &n->nlosses);
    n->losses = make(r, (size_t)n->nlosses, sizeof *n->losses);
    for (int i = 0; n->losses && i < n->nlosses; i++) {
        const json_t *l = json_array_get(v, (size_t)i);
        const bool pair = text_or_null(l, "attacked") != NULL;
        n->losses[i] = (deq_loss_spec){.name = text(r, l, "name"),
                                       .clean = pair ? text(r, l, "clean") : NULL,
                                       .attacked = pair ? text(r, l, "attacked") : NULL,
                                       .loss = pair ? NULL : text(r, l, "loss"),
                                       .input = pair ? NULL : text(r, l, "input"),
                                       .parameters = pair ? NULL : text(r, l, "parameters")};
    }
    v = optional_list(o, "metrics", &n->nmetrics);
    n->metrics = make(r, (size_t)n->nmetrics, sizeof *n->metrics);
    for (int i = 0; n->metrics && i < n->nmetrics; i++) {
        const json_t *l = json_array_get(v, (size_t)i);
        n->metrics[i] =
            (deq_metric_spec){text(r, l, "name"), text(r, l, "routine"), json_is_true(json_object_get(l, "share"))};
    }
}

static int64_t bytes(Reader *r, const json_t *o, const char *key) {
    int64_t n = integer(r, o, key);
    if (n < 0 || n % (strcmp(r->m->real, "f64") ? 4 : 8)) missing(r, key, "whole number of reals");
    return n;
}

static void read_net(Reader *r, const json_t *o, deq_net_spec *n) {
    r->where = "net";
    n->name = text(r, o, "name");
    n->hash = text(r, o, "hash");
    n->predict = text(r, o, "predict");
    n->prepare = text_or_null(o, "prepare");
    n->finish = text_or_null(o, "finish");
    n->statistics = text_or_null(o, "statistics");
    n->objective = text_or_null(o, "objective");
    n->training = flag(o, "training");
    n->input = shape(r, json_object_get(o, "input"), "input");
    n->output = shape(r, json_object_get(o, "output"), "output");
    n->target = target(r, o);
    n->parameter_bytes = bytes(r, o, "parameter_bytes");
    n->shared_bytes = bytes(r, o, "shared_bytes");
    n->accum_bytes = bytes(r, o, "accum_bytes");
    if (n->parameter_bytes > n->shared_bytes || n->parameter_bytes > n->accum_bytes)
        missing(r, "parameter_bytes", "small enough");
    const json_t *v = list(r, o, "parameters", &n->nparameters);
    n->parameters = make(r, (size_t)n->nparameters, sizeof *n->parameters);
    for (int i = 0; n->parameters && i < n->nparameters; i++)
        read_parameter(r, json_array_get(v, (size_t)i), n, &n->parameters[i]);
    v = optional_list(o, "fixed", &n->nfixed);
    n->fixed = make(r, (size_t)n->nfixed, sizeof *n->fixed);
    for (int i = 0; n->fixed && i < n->nfixed; i++) read_fixed(r, json_array_get(v, (size_t)i), &n->fixed[i]);
    read_losses(r, o, n);
}

static void read_train(Reader *r, const json_t *o, deq_train_spec *t) {
    r->where = "train";
    t->name = text(r, o, "name");
    t->net = net_named(r, o);
    t->data = slice(r, json_object_get(o, "data"), "data");
    t->loss = text(r, o, "loss");
    t->batch = integer(r, o, "batch");
    t->epochs = integer(r, o, "epochs");
    t->examples = integer_or(o, "examples", -1);
    t->seed = (uint64_t)integer_or(o, "seed", 0);
    const json_t *opt = json_object_get(o, "optimiser");
    const json_t *start = json_object_get(o, "start");
    if (json_is_object(start)) {
        t->start.train = text_or_null(start, "train");
        if (!t->start.train) t->start.file = text(r, start, "file");
        t->start.map = text_or_null(start, "map");
    }
    t->optimiser.name = "none";
    if (t->epochs || (!t->start.file && !t->start.train) || json_is_object(opt)) {
        t->optimiser.name = text(r, opt, "name");
        t->optimiser.routine = text(r, opt, "routine");
        t->optimiser.hash = text_or_null(opt, "hash");
        t->optimiser.states = (int)integer(r, opt, "states");
        t->optimiser.scalars = scalars(r, opt, &t->optimiser.nscalars);
    }
    t->attack = attack(r, o, "attack");
    t->settings = overrides(r, o, "settings", &t->nsettings);
    t->overrides = overrides(r, o, "overrides", &t->noverrides);
    const json_t *validate = json_object_get(o, "validate");
    if (json_is_object(validate) && (t->validate = make(r, 1, sizeof *t->validate)))
        *t->validate = slice(r, validate, "validate");
    t->spectrum = integer_or(o, "spectrum", 0);
    t->line = (int)integer_or(o, "line", 0);
    t->sweeps = (int)integer_or(o, "sweeps", INT32_MAX);
    if (t->batch < 1 || t->epochs < 0 || t->examples == 0 || t->examples < -1)
        deq_fail(r->e, DEQ_MODULE, "manifest: train '%s' has a batch, epochs or examples out of range", t->name);
}

static deq_train_spec *read_trains(Reader *r, const json_t *o, int *count) {
    const json_t *v = optional_list(o, "trains", count);
    deq_train_spec *out = make(r, (size_t)*count, sizeof *out);
    for (int i = 0; out && i < *count; i++) read_train(r, json_array_get(v, (size_t)i), &out[i]);
    return out;
}

static void read_value(Reader *r, const json_t *o, deq_value_spec *v) {
    r->where = "value";
    v->name = text(r, o, "name");
    const char *kind = text(r, o, "kind");
    if (!strcmp(kind, "evaluate")) {
        v->kind = DEQ_EVALUATE;
        v->metric = text_or_null(o, "metric");
        v->loss = text_or_null(o, "loss");
        v->model = text(r, o, "model");
        v->data = slice(r, json_object_get(o, "data"), "data");
        v->attack = attack(r, o, "attack");
        const json_t *audit = json_object_get(o, "audit");
        v->audit.margin = attack(r, audit, "margin");
        v->audit.search = attack(r, audit, "search");
        v->overrides = overrides(r, o, "overrides", &v->noverrides);
    } else if (!strcmp(kind, "statistic")) {
        v->kind = DEQ_STATISTIC;
        v->of = text(r, o, "of");
        v->what = text(r, o, "what");
    } else if (!strcmp(kind, "expression")) {
        v->kind = DEQ_EXPRESSION;
        v->routine = text(r, o, "routine");
        v->inputs = texts(r, o, "inputs", &v->ninputs);
    } else {
        deq_fail(r->e, DEQ_MODULE, "manifest: value '%s' is of the unknown kind '%s'", v->name, kind);
    }
}

static void read_table(Reader *r, const json_t *o, deq_table_spec *t) {
    r->where = "table";
    t->name = text(r, o, "name");
    t->rows = texts(r, o, "rows", &t->nrows);
    const json_t *v = list(r, o, "columns", &t->ncolumns);
    t->columns = make(r, (size_t)t->ncolumns, sizeof *t->columns);
    for (int i = 0; t->columns && i < t->ncolumns; i++) {
        const json_t *c = json_array_get(v, (size_t)i);
        const char *format = text_or_null(c, "format");
        t->columns[i] =
            (deq_column_spec){text(r, c, "title"), text(r, c, "value"), format && !strcmp(format, "percent")};
    }
    const char *cells = text_or_null(o, "cells");
    t->mean_std = cells && !strcmp(cells, "mean_std");
}

static void read_experiment(Reader *r, const json_t *o, deq_experiment_spec *x) {
    r->where = "experiment";
    x->name = text(r, o, "name");
    x->line = (int)integer_or(o, "line", 0);
    x->audit = json_is_true(json_object_get(o, "audit"));
    const json_t *v = optional_list(o, "sweeps", &x->nsweeps);
    x->sweeps = make(r, (size_t)x->nsweeps, sizeof *x->sweeps);
    for (int i = 0; x->sweeps && i < x->nsweeps; i++) {
        const json_t *s = json_array_get(v, (size_t)i);
        x->sweeps[i].name = text(r, s, "name");
        x->sweeps[i].values = texts(r, s, "values", &x->sweeps[i].nvalues);
    }
    v = list(r, o, "cells", &x->ncells);
    x->cells = make(r, (size_t)x->ncells, sizeof *x->cells);
    for (int i = 0; x->cells && i < x->ncells; i++) {
        const json_t *c = json_array_get(v, (size_t)i), *values;
        deq_cell_spec *cell = &x->cells[i];
        int ncoordinates;
        r->where = "cell";
        cell->coordinates = texts(r, c, "coordinates", &ncoordinates);
        if (ncoordinates != x->nsweeps) missing(r, "coordinates", "value for every sweep in");
        cell->trains = read_trains(r, c, &cell->ntrains);
        values = optional_list(c, "values", &cell->nvalues);
        cell->values = make(r, (size_t)cell->nvalues, sizeof *cell->values);
        for (int k = 0; cell->values && k < cell->nvalues; k++)
            read_value(r, json_array_get(values, (size_t)k), &cell->values[k]);
    }
    const json_t *table = json_object_get(o, "table");
    if (json_is_object(table) && (x->table = make(r, 1, sizeof *x->table))) read_table(r, table, x->table);
}

static void read_run(Reader *r, const json_t *o) {
    deq_manifest *m = r->m;
    const json_t *v = optional_list(o, "run", &m->nrun);
    m->run = make(r, (size_t)m->nrun, sizeof *m->run);
    for (int i = 0; m->run && i < m->nrun; i++) {
        const json_t *item = json_array_get(v, (size_t)i);
        const char *train = text_or_null(item, "train"), *experiment = text_or_null(item, "experiment");
        for (int k = 0; train && k < m->ntrains; k++)
            if (!strcmp(m->trains[k].name, train)) m->run[i].train = &m->trains[k];
        for (int k = 0; experiment && k < m->nexperiments; k++)
            if (!strcmp(m->experiments[k].name, experiment)) m->run[i].experiment = &m->experiments[k];
        if (!m->run[i].train && !m->run[i].experiment)
            deq_fail(r->e, DEQ_MODULE, "manifest: item %d of \"run\" names nothing that is there", i);
    }
}

static void read_tests(Reader *r, const json_t *o) {
    deq_manifest *m = r->m;
    const json_t *v = optional_list(o, "tests", &m->ntests);
    m->tests = make(r, (size_t)m->ntests, sizeof *m->tests);
    for (int i = 0; m->tests && i < m->ntests; i++) {
        const json_t *t = json_array_get(v, (size_t)i), *tol = json_object_get(t, "tol");
        deq_test_spec *test = &m->tests[i];
        r->where = "test";
        test->name = text(r, t, "name");
        test->check = text(r, t, "check");
        test->loss = text(r, t, "loss");
        test->net = net_named(r, t);
        test->directions = (int)integer_or(t, "directions", 8);
        test->tol = json_is_number(tol) ? json_number_value(tol) : 1e-3;
        test->overrides = overrides(r, t, "overrides", &test->noverrides);
        test->line = (int)integer_or(t, "line", 0);
    }
}

static void read_checks(Reader *r, const json_t *o) {
    deq_manifest *m = r->m;
    const json_t *v = optional_list(o, "checks", &m->nchecks);
    m->checks = make(r, (size_t)m->nchecks, sizeof *m->checks);
    for (int i = 0; m->checks && i < m->nchecks; i++) {
        const json_t *c = json_array_get(v, (size_t)i);
        deq_check_spec *check = &m->checks[i];
        r->where = "check";
        check->name = text(r, c, "name");
        check->loss = text(r, c, "loss");
        check->reference = text(r, c, "reference");
        check->train = text_or_null(c, "train");
        check->net = net_named(r, c);
        check->modes = texts(r, c, "modes", &check->nmodes);
        check->overrides = overrides(r, c, "overrides", &check->noverrides);
        check->line = (int)integer_or(c, "line", 0);
    }
}

static void read_all(Reader *r, const deq_module *module) {
    deq_manifest *m = r->m;
    const json_t *o = m->json, *v;
    r->where = "the file";
    if (!json_is_object(o)) {
        deq_fail(r->e, DEQ_MODULE, "manifest: not a JSON object");
        return;
    }
    int64_t abi = integer(r, o, "abi");
    if (abi != DEQ_ABI_VERSION || module->abi_version != DEQ_ABI_VERSION) {
        deq_fail(r->e, DEQ_MODULE, "compiled for ABI version %lld, this runtime has version %d: compile again",
                 (long long)(abi != DEQ_ABI_VERSION ? abi : module->abi_version), DEQ_ABI_VERSION);
        return;
    }
    m->name = text(r, o, "name");
    m->source = text_or_null(o, "source");
    m->compiler = text_or_null(o, "compiler");
    m->target = text_or_null(o, "target");
    m->hash = text(r, o, "hash");
    m->real = text(r, o, "real");
    if (strcmp(m->real, module->real_bits == 64 ? "f64" : "f32"))
        deq_fail(r->e, DEQ_MODULE, "manifest says real is %s, the module has %lld bits", m->real,
                 (long long)module->real_bits);
    v = optional_list(o, "data", &m->ndata);
    m->data = make(r, (size_t)m->ndata, sizeof *m->data);
    for (int i = 0; m->data && i < m->ndata; i++) read_data(r, json_array_get(v, (size_t)i), &m->data[i]);
    v = optional_list(o, "nets", &m->nnets);
    m->nets = make(r, (size_t)m->nnets, sizeof *m->nets);
    for (int i = 0; m->nets && i < m->nnets; i++) read_net(r, json_array_get(v, (size_t)i), &m->nets[i]);
    m->trains = read_trains(r, o, &m->ntrains);
    v = optional_list(o, "experiments", &m->nexperiments);
    m->experiments = make(r, (size_t)m->nexperiments, sizeof *m->experiments);
    for (int i = 0; m->experiments && i < m->nexperiments; i++)
        read_experiment(r, json_array_get(v, (size_t)i), &m->experiments[i]);
    read_run(r, o);
    read_tests(r, o);
    read_checks(r, o);
}

deq_manifest *deq_manifest_read(const deq_module *module, deq_error *e) {
    deq_manifest *m = calloc(1, sizeof *m);
    if (!m) {
        deq_fail(e, DEQ_MEMORY, "out of memory reading the manifest");
        return NULL;
    }
    json_error_t error;
    deq_error own = {0};
    m->json = json_loadb(module->manifest, (size_t)module->manifest_length, JSON_REJECT_DUPLICATES, &error);
    if (!m->json)
        deq_fail(&own, DEQ_MODULE, "manifest: %s at line %d", error.text, error.line);
    else
        read_all(&(Reader){.m = m, .e = &own}, module);
    if (own.failure == DEQ_OK) return m;
    deq_fail(e, own.failure, "%s", own.text);
    deq_manifest_free(m);
    return NULL;
}

void deq_manifest_free(deq_manifest *m) {
    if (!m) return;
    for (int i = 0; i < m->nblocks; i++) free(m->blocks[i]);
    free(m->blocks);
    json_decref(m->json);
    free(m);
}

const deq_routine *deq_module_routine(const deq_module *module, const char *name) {
    for (int64_t i = 0; i < module->routine_count; i++)
        if (!strcmp(module->routines[i].name, name)) return &module->routines[i];
    return NULL;
}

const deq_metric_spec *deq_net_metric(const deq_net_spec *net, const char *name) {
    for (int i = 0; name && i < net->nmetrics; i++)
        if (!strcmp(net->metrics[i].name, name)) return &net->metrics[i];
    return NULL;
}

void deq_shape_print(const deq_shape *s, char *out, size_t size) {
    size_t have = (size_t)snprintf(out, size, "[");
    for (int i = 0; i < s->rank && have < size; i++)
        have += (size_t)snprintf(out + have, size - have, "%s%lld", i ? ", " : "", (long long)s->dim[i]);
    if (have < size) snprintf(out + have, size - have, "]");
}
