/* compiled_net.h - one net of a program, compiled, in an engine, with random parameters, inputs and targets. */
#ifndef DEQ_TESTS_COMPILED_NET_H
#define DEQ_TESTS_COMPILED_NET_H
#include "compile.h"
#include "net_spec.h"
#include "dense.h"
#include "engine.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct CompiledNet {
    Compilation c;
    json_t *manifest, *net;
    deq_engine *engine;
    int64_t inputs, outputs, elements, real; /* elements of the parameter vector; bytes of a real */
} CompiledNet;

static inline double random_real(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) / 9007199254740992.0 * 2 - 1;
}

static inline int64_t json_count(const json_t *dims) {
    int64_t n = 1;
    size_t i;
    json_t *d;
    json_array_foreach(dims, i, d) n *= json_integer_value(d);
    return n;
}

static inline void net_put(const CompiledNet *f, void *at, int64_t k, double v) {
    if (f->real == 4)
        ((float *)at)[k] = (float)v;
    else
        ((double *)at)[k] = v;
}

static inline double net_get(const CompiledNet *f, const void *at, int64_t k) {
    return f->real == 4 ? (double)((const float *)at)[k] : ((const double *)at)[k];
}

static inline void net_open_with(CompiledNet *f, const CompileOptions *o, const char *net, int threads, int block,
                                 double size) {
    const char *path = o->path;
    const bool f64 = o->f64;
    memset(f, 0, sizeof *f);
    int code = compile(o, &f->c);
    if (code) diags_print(f->c.diags, stderr, false);
    assert_int_equal(code, 0);
    assert_int_equal(compile_load(&f->c), 0);
    f->manifest = json_loads(f->c.module->manifest, 0, NULL);
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(f->manifest, "nets"), i,
                       item) if (!strcmp(json_string_value(json_object_get(item, "name")), net)) f->net = item;
    if (!f->net) fail_msg("%s has no net %s", path, net);
    deq_error e = {0};
    const deq_manifest *read = net_manifest(f->c.module, &e);
    if (!read) fail_msg("%s", e.text);
    f->engine = deq_engine_new(f->c.module, deq_manifest_net(read, net),
                               &(deq_engine_options){.threads = threads, .block = block}, &e);
    if (!f->engine) fail_msg("%s", e.text);
    f->real = f64 ? 8 : 4;
    f->inputs = json_count(json_object_get(f->net, "input"));
    f->outputs = json_count(json_object_get(f->net, "output"));
    f->elements = json_integer_value(json_object_get(f->net, "parameter_bytes")) / f->real;
    uint64_t state = 7;
    json_t *parameters = json_object_get(f->net, "parameters");
    json_array_foreach(parameters, i, item) { /* zeros would hide terms */
        int64_t at = json_integer_value(json_object_get(item, "offset")) / f->real;
        for (int64_t k = 0; k < json_count(json_object_get(item, "shape")); k++)
            net_put(f, deq_engine_parameters(f->engine), at + k, size * random_real(&state));
    }
    deq_engine_prepare(f->engine);
}

/* A net that a test names. */
static inline void net_open(CompiledNet *f, const char *path, const char *net, bool f64, int threads, int block,
                            double size) {
    CompileOptions o = {.path = path, .f64 = f64, .tests = true, .optimise = 2, .last = STAGE_compile};
    net_open_with(f, &o, net, threads, block, size);
}

static inline void net_close(CompiledNet *f) {
    deq_engine_free(f->engine);
    json_decref(f->manifest);
    compile_free(&f->c);
}

static inline void net_set(CompiledNet *f, const char *path, const char *value) {
    deq_error e = {0};
    if (!deq_engine_set(f->engine, path, value, &e)) fail_msg("%s=%s: %s", path, value, e.text);
}

/* n rows of `width` reals, the same whatever n is. */
static inline void *net_rows(const CompiledNet *f, int64_t n, int64_t width, uint64_t seed) {
    void *rows = calloc((size_t)(n * width + 1), (size_t)f->real);
    assert_non_null(rows);
    for (int64_t k = 0; k < n * width; k++) {
        uint64_t state = (uint64_t)k * 977 + seed;
        random_real(&state);
        net_put(f, rows, k, random_real(&state));
    }
    return rows;
}

/* A program's text in a file of its own. */
static inline const char *net_program(const char *text) {
    static char path[256];
    snprintf(path, sizeof path, "/tmp/deq_compiled_net_%d.deq", (int)getpid());
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return path;
}
#endif
