/* manifest.c - the manifest is read here and in the files of manifest_reader.h, nowhere else: JSON to the structures of
 * manifest.h. */
#include "manifest_reader.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

json_t *deq_scalars_json(const deq_named *scalars, int n) {
    json_t *out = json_object();
    for (int i = 0; i < n; i++) {
        const double v = scalars[i].value;
        json_object_set_new(out, scalars[i].name, isinf(v) ? json_string(v > 0 ? "inf" : "-inf") : json_real(v));
    }
    return out;
}

static deq_attack_spec *attack(manifest_reader *r, const json_t *o, const char *key) {
    const json_t *v = json_object_get(o, key);
    if (!json_is_object(v)) return NULL;
    deq_attack_spec *a = manifest_make(r, 1, sizeof *a);
    if (!a) return NULL;
    a->joined = manifest_text_or_null(v, "joined");
    a->all = json_is_true(json_object_get(v, "all"));
    a->restart = (int)manifest_integer_or(v, "restart", 0);
    a->next = attack(r, v, "next");
    a->name = manifest_text(r, v, "name");
    a->definition = manifest_text_or_null(v, "definition");
    if (!a->definition) a->definition = a->name;
    a->routine = manifest_text(r, v, "routine");
    a->gradient = manifest_text_or_null(v, "gradient");
    a->differentiates = !json_is_false(json_object_get(v, "differentiates"));
    a->allow_masking = json_is_true(json_object_get(v, "allow_masking"));
    a->surrogate = json_is_true(json_object_get(v, "surrogate"));
    a->hash = manifest_text_or_null(v, "hash");
    a->scalars = manifest_scalars(r, v, &a->nscalars);
    a->in_batch = manifest_text_or_null(v, "in_batch");
    a->in_batch_hash = manifest_text_or_null(v, "in_batch_hash");
    const json_t *against = json_object_get(v, "against");
    if (json_is_object(against)) {
        a->against.model = manifest_text(r, against, "model");
        a->against.settings = manifest_overrides(r, against, "settings", &a->against.nsettings);
    }
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

static deq_slice slice(manifest_reader *r, const json_t *v, const char *key) {
    deq_slice s = {.to = -1};
    if (!json_is_object(v)) {
        manifest_missing(r, key, "slice");
        return s;
    }
    const char *name = manifest_text(r, v, "data"), *split = manifest_text(r, v, "split");
    for (int i = 0; i < r->m->ndata; i++)
        if (!strcmp(r->m->data[i].name, name)) s.data = &r->m->data[i];
    if (!s.data) deq_fail(r->e, DEQ_MODULE, "manifest: %s uses the data '%s', which is not there", r->where, name);
    s.test = !strcmp(split, "test");
    s.from = manifest_integer_or(v, "from", 0);
    s.to = manifest_integer_or(v, "to", -1);
    s.line = (int)manifest_integer_or(v, "line", 0);
    s.transforms_json = manifest_optional_list(v, "transforms", &s.ntransforms);
    s.transforms = s.ntransforms ? manifest_make(r, (size_t)s.ntransforms, sizeof *s.transforms) : NULL;
    for (int i = 0; s.transforms && i < s.ntransforms; i++) {
        const json_t *t = json_array_get(s.transforms_json, (size_t)i);
        const char *transform = json_string_value(json_array_get(t, 0));
        deq_transform_find(transform ? transform : "", json_array_get(t, 1), &s.transforms[i], r->e);
    }
    return s;
}

deq_attack_spec *deq_attack_copy(deq_manifest *m, const deq_attack_spec *a) {
    const size_t bytes = (size_t)a->nscalars * sizeof *a->scalars;
    deq_attack_spec *copy = deq_manifest_alloc(m, sizeof *copy);
    deq_named *scalars = deq_manifest_alloc(m, bytes + 1);
    if (!copy || !scalars) return NULL;
    *copy = *a;
    if (bytes) memcpy(scalars, a->scalars, bytes);
    copy->scalars = scalars;
    if (a->next && !(copy->next = deq_attack_copy(m, a->next))) return NULL;
    return copy;
}

deq_named *deq_attack_scalar(deq_attack_spec *a, const char *name) {
    for (int i = 0; i < a->nscalars; i++)
        if (!strcmp(a->scalars[i].name, name)) return &a->scalars[i];
    return NULL;
}

const deq_net_spec *deq_manifest_net(const deq_manifest *m, const char *name) {
    for (int i = 0; i < m->nnets; i++)
        if (!strcmp(m->nets[i].name, name)) return &m->nets[i];
    return NULL;
}

deq_train_spec *deq_manifest_train(const deq_manifest *m, const char *name, const deq_train_spec *above) {
    for (int i = 0; i < m->ntrains && &m->trains[i] != above; i++)
        if (!strcmp(m->trains[i].name, name)) return &m->trains[i];
    return NULL;
}

static const deq_net_spec *net_named(manifest_reader *r, const json_t *o) {
    const char *name = manifest_text(r, o, "net");
    const deq_net_spec *net = deq_manifest_net(r->m, name);
    if (!net) deq_fail(r->e, DEQ_MODULE, "manifest: %s uses the net '%s', which is not there", r->where, name);
    return net;
}

static void read_data(manifest_reader *r, const json_t *o, deq_data_spec *d) {
    r->where = "data";
    d->name = manifest_text(r, o, "name");
    d->reader = manifest_text(r, o, "reader");
    if (!json_is_object(json_object_get(o, "arguments"))) json_object_set_new((json_t *)o, "arguments", json_object());
    d->arguments = json_object_get(o, "arguments");
    d->input = manifest_shape(r, json_object_get(o, "input"), "input");
    d->target = manifest_target(r, o);
    d->line = (int)manifest_integer_or(o, "line", 0);
}

static const char *const keep_words[] = {
#define X(name) #name,
    DEQ_KEEPS(X)
#undef X
};

bool deq_keep_find(const char *word, deq_keep *out) {
    for (size_t i = 0; i < sizeof keep_words / sizeof *keep_words; i++)
        if (!strcmp(keep_words[i], word)) return *out = (deq_keep)i, true;
    return false;
}

const char *deq_keep_word(deq_keep keep) { return keep_words[keep]; }

static void read_train(manifest_reader *r, const json_t *o, deq_train_spec *t) {
    r->where = "train";
    t->name = manifest_text(r, o, "name");
    t->net = net_named(r, o);
    t->data = slice(r, json_object_get(o, "data"), "data");
    t->loss = manifest_text(r, o, "loss");
    t->batch = manifest_integer(r, o, "batch");
    t->epochs = manifest_integer(r, o, "epochs");
    t->examples = manifest_integer_or(o, "examples", -1);
    t->seed = (uint64_t)manifest_integer_or(o, "seed", 0);
    const json_t *opt = json_object_get(o, "optimiser");
    const json_t *start = json_object_get(o, "start");
    if (json_is_object(start)) {
        t->start.train = manifest_text_or_null(start, "train");
        if (!t->start.train) t->start.file = manifest_text(r, start, "file");
        t->start.map = manifest_text_or_null(start, "map");
        t->start.cell = (int)manifest_integer_or(start, "cell", -1);
    }
    t->optimiser.name = "none";
    if (t->epochs || (!t->start.file && !t->start.train) || json_is_object(opt)) {
        t->optimiser.name = manifest_text(r, opt, "name");
        t->optimiser.routine = manifest_text(r, opt, "routine");
        t->optimiser.hash = manifest_text_or_null(opt, "hash");
        t->optimiser.states = (int)manifest_integer(r, opt, "states");
        t->optimiser.scalars = manifest_scalars(r, opt, &t->optimiser.nscalars);
    }
    t->attack = attack(r, o, "attack");
    t->settings = manifest_overrides(r, o, "settings", &t->nsettings);
    t->overrides = manifest_overrides(r, o, "overrides", &t->noverrides);
    const json_t *validate = json_object_get(o, "validate");
    if (json_is_object(validate) && (t->validate = manifest_make(r, 1, sizeof *t->validate)))
        *t->validate = slice(r, validate, "validate");
    t->spectrum = manifest_integer_or(o, "spectrum", 0);
    t->checkpoint = json_number_value(json_object_get(o, "checkpoint"));
    const char *keep = manifest_text_or_null(o, "keep");
    if (keep && (!deq_keep_find(keep, &t->keep) || !t->validate || (t->keep == DEQ_KEEP_best_robust && !t->attack)))
        deq_fail(r->e, DEQ_MODULE, "manifest: train '%s' cannot keep '%s'", t->name, keep);
    manifest_steps(r, o, t);
    t->line = (int)manifest_integer_or(o, "line", 0);
    if (t->batch < 1 || t->epochs < 0 || t->examples == 0 || t->examples < -1)
        deq_fail(r->e, DEQ_MODULE, "manifest: train '%s' has a batch, epochs or examples out of range", t->name);
}

deq_train_spec *manifest_trains(manifest_reader *r, const json_t *o, int *count) {
    const json_t *v = manifest_optional_list(o, "trains", count);
    deq_train_spec *out = manifest_make(r, (size_t)*count, sizeof *out);
    for (int i = 0; out && i < *count; i++) { /* null, in experiments: there is no such cell */
        const json_t *train = json_array_get(v, (size_t)i);
        if (json_is_object(train)) read_train(r, train, &out[i]);
    }
    return out;
}

static bool same_parameters(const deq_net_spec *a, const deq_net_spec *b) {
    bool same = a->nparameters == b->nparameters && a->parameter_bytes == b->parameter_bytes;
    for (int i = 0; same && i < a->nparameters; i++) {
        const deq_parameter *p = &a->parameters[i], *q = &b->parameters[i];
        same = !strcmp(p->path, q->path) && p->offset == q->offset && deq_shape_same(&p->shape, &q->shape);
    }
    return same;
}

void manifest_start(manifest_reader *r, deq_train_spec *t, const deq_array_spec *arrays, int n) {
    if (!t->start.train) return;
    const deq_train_spec *of = t->start.cell < 0 ? deq_manifest_train(r->m, t->start.train, t) : NULL;
    for (int i = 0; i < n && t->start.cell >= 0; i++)
        if (arrays[i].trains && !strcmp(arrays[i].name, t->start.train) && t->start.cell < arrays[i].nspecs)
            of = &arrays[i].trains[t->start.cell];
    if (!of || !of->name || !of->net || !t->net || !same_parameters(of->net, t->net))
        deq_fail(r->e, DEQ_MODULE, "manifest: '%s' cannot begin with the weights of '%s'", t->name ? t->name : "?",
                 t->start.train);
    else
        t->start.of = of;
}

void manifest_value(manifest_reader *r, const json_t *o, deq_value_spec *v) {
    r->where = "value";
    v->name = manifest_text(r, o, "name");
    v->metric = manifest_text_or_null(o, "metric");
    v->loss = manifest_text_or_null(o, "loss");
    v->model = manifest_text(r, o, "model");
    v->data = slice(r, json_object_get(o, "data"), "data");
    v->attack = attack(r, o, "attack");
    v->compared.of = manifest_text_or_null(o, "of");
    v->compared.to = manifest_text_or_null(o, "to");
    const json_t *audit = json_object_get(o, "audit");
    v->audit.margin = attack(r, audit, "margin");
    v->audit.search = attack(r, audit, "search");
    v->overrides = manifest_overrides(r, o, "overrides", &v->noverrides);
}

static void read_run(manifest_reader *r, const json_t *o) {
    deq_manifest *m = r->m;
    const json_t *v = manifest_optional_list(o, "run", &m->nrun);
    m->run = manifest_make(r, (size_t)m->nrun, sizeof *m->run);
    for (int i = 0; m->run && i < m->nrun; i++) {
        const json_t *item = json_array_get(v, (size_t)i);
        const char *train = manifest_text_or_null(item, "train"),
                   *experiment = manifest_text_or_null(item, "experiment");
        if (train) m->run[i].train = deq_manifest_train(m, train, NULL);
        for (int k = 0; experiment && k < m->nexperiments; k++)
            if (!strcmp(m->experiments[k].name, experiment)) m->run[i].experiment = &m->experiments[k];
        if (!m->run[i].train && !m->run[i].experiment)
            deq_fail(r->e, DEQ_MODULE, "manifest: item %d of \"run\" names nothing that is there", i);
    }
}

static void read_tests(manifest_reader *r, const json_t *o) {
    deq_manifest *m = r->m;
    const json_t *v = manifest_optional_list(o, "tests", &m->ntests);
    m->tests = manifest_make(r, (size_t)m->ntests, sizeof *m->tests);
    for (int i = 0; m->tests && i < m->ntests; i++) {
        const json_t *t = json_array_get(v, (size_t)i), *tol = json_object_get(t, "tol");
        deq_test_spec *test = &m->tests[i];
        r->where = "test";
        test->name = manifest_text(r, t, "name");
        test->check = manifest_text(r, t, "check");
        test->loss = manifest_text(r, t, "loss");
        test->net = net_named(r, t);
        test->directions = (int)manifest_integer_or(t, "directions", 8);
        test->tol = json_is_number(tol) ? json_number_value(tol) : 1e-3;
        test->overrides = manifest_overrides(r, t, "overrides", &test->noverrides);
        test->line = (int)manifest_integer_or(t, "line", 0);
    }
}

static void read_checks(manifest_reader *r, const json_t *o) {
    deq_manifest *m = r->m;
    const json_t *v = manifest_optional_list(o, "checks", &m->nchecks);
    m->checks = manifest_make(r, (size_t)m->nchecks, sizeof *m->checks);
    for (int i = 0; m->checks && i < m->nchecks; i++) {
        const json_t *c = json_array_get(v, (size_t)i);
        deq_check_spec *check = &m->checks[i];
        r->where = "check";
        check->name = manifest_text(r, c, "name");
        check->loss = manifest_text(r, c, "loss");
        check->reference = manifest_text(r, c, "reference");
        check->train = manifest_text_or_null(c, "train");
        check->net = net_named(r, c);
        check->modes = manifest_texts(r, c, "modes", &check->nmodes);
        check->overrides = manifest_overrides(r, c, "overrides", &check->noverrides);
        check->line = (int)manifest_integer_or(c, "line", 0);
    }
}

static void read_all(manifest_reader *r, const deq_module *module) {
    deq_manifest *m = r->m;
    const json_t *o = m->json, *v;
    r->where = "the file";
    if (!json_is_object(o)) {
        deq_fail(r->e, DEQ_MODULE, "manifest: not a JSON object");
        return;
    }
    int64_t abi = manifest_integer(r, o, "abi");
    if (abi != DEQ_ABI_VERSION || module->abi_version != DEQ_ABI_VERSION) {
        deq_fail(r->e, DEQ_MODULE, "compiled for ABI version %lld, this runtime has version %d: compile again",
                 (long long)(abi != DEQ_ABI_VERSION ? abi : module->abi_version), DEQ_ABI_VERSION);
        return;
    }
    m->name = manifest_text(r, o, "name");
    m->source = manifest_text_or_null(o, "source");
    m->compiler = manifest_text_or_null(o, "compiler");
    m->target = manifest_text_or_null(o, "target");
    m->hash = manifest_text(r, o, "hash");
    m->real = manifest_text(r, o, "real");
    if (strcmp(m->real, module->real_bits == 64 ? "f64" : "f32"))
        deq_fail(r->e, DEQ_MODULE, "manifest says real is %s, the module has %lld bits", m->real,
                 (long long)module->real_bits);
    v = manifest_optional_list(o, "data", &m->ndata);
    m->data = manifest_make(r, (size_t)m->ndata, sizeof *m->data);
    for (int i = 0; m->data && i < m->ndata; i++) read_data(r, json_array_get(v, (size_t)i), &m->data[i]);
    v = manifest_optional_list(o, "nets", &m->nnets);
    m->nets = manifest_make(r, (size_t)m->nnets, sizeof *m->nets);
    for (int i = 0; m->nets && i < m->nnets; i++) manifest_net(r, json_array_get(v, (size_t)i), &m->nets[i]);
    m->trains = manifest_trains(r, o, &m->ntrains);
    for (int i = 0; m->trains && i < m->ntrains; i++) manifest_start(r, &m->trains[i], NULL, 0);
    v = manifest_optional_list(o, "experiments", &m->nexperiments);
    m->experiments = manifest_make(r, (size_t)m->nexperiments, sizeof *m->experiments);
    for (int i = 0; m->experiments && i < m->nexperiments; i++)
        manifest_experiment(r, json_array_get(v, (size_t)i), &m->experiments[i]);
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
        read_all(&(manifest_reader){.m = m, .e = &own}, module);
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

const char *deq_net_metric_hash(const deq_net_spec *net, const char *name) {
    const deq_metric_spec *metric = deq_net_metric(net, name);
    return metric && metric->hash ? metric->hash : "";
}

bool deq_shape_same(const deq_shape *a, const deq_shape *b) {
    return a->rank == b->rank && !memcmp(a->dim, b->dim, (size_t)a->rank * sizeof *a->dim);
}

void deq_shape_print(const deq_shape *s, char *out, size_t size) {
    size_t have = (size_t)snprintf(out, size, "[");
    for (int i = 0; i < s->rank && have < size; i++)
        have += (size_t)snprintf(out + have, size - have, "%s%lld", i ? ", " : "", (long long)s->dim[i]);
    if (have < size) snprintf(out + have, size - have, "]");
}
