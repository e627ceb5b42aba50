/* line_module.h - a module written by hand: softmax regression of two classes from two inputs, f32, its routines in C.
 *
 * It lets the application's tests run without a compiler, count the optimiser's steps and raise a signal at one of
 * them. */
#ifndef DEQ_TEST_LINE_MODULE_H
#define DEQ_TEST_LINE_MODULE_H
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "runtime/app.h"

#define ROW 16                  /* floats of a padded row */
static int line_updates;        /* optimiser calls so far */
static int line_signal_at = -1; /* raises SIGINT at this call */

static const float *row(const void *base, int64_t i) { return (const float *)base + i * ROW; }
static float *row_of(void *base, int64_t i) { return (float *)base + i * ROW; }

/* Parameters: W[2, 2] at byte 0, b[2] at byte 64. */
static void line_output(const deq_frame *f, const float *x, float *out) {
    const float *w = f->shared, *b = w + ROW;
    memset(out, 0, ROW * sizeof *out);
    for (int k = 0; k < 2; k++) out[k] = x[0] * w[k] + x[1] * w[2 + k] + b[k];
}

/* Cross-entropy and its gradient in the output. */
static float line_cross_entropy(const float *out, int label, float g[2]) {
    float m = out[0] > out[1] ? out[0] : out[1], e0 = expf(out[0] - m), e1 = expf(out[1] - m), s = e0 + e1;
    g[0] = e0 / s - (label == 0);
    g[1] = e1 / s - (label == 1);
    return logf(s) + m - out[label];
}

static void line_prepare(const deq_frame *f, int64_t n) { (void)f, (void)n; }

static void line_predict(const deq_frame *f, int64_t n) {
    for (int64_t i = 0; i < n; i++) line_output(f, row(f->arg0, i), row_of(f->arg2, i));
}

static void line_loss(const deq_frame *f, int64_t n) {
    float g[2];
    line_predict(f, n);
    for (int64_t i = 0; i < n; i++) {
        memset(row_of(f->arg3, i), 0, ROW * sizeof(float));
        *row_of(f->arg3, i) = line_cross_entropy(row(f->arg2, i), (int)*row(f->arg1, i), g);
    }
}

static void line_input(const deq_frame *f, int64_t n) {
    const float *w = f->shared;
    line_loss(f, n);
    for (int64_t i = 0; i < n; i++) {
        float g[2], *dx = row_of(f->arg4, i);
        line_cross_entropy(row(f->arg2, i), (int)*row(f->arg1, i), g);
        memset(dx, 0, ROW * sizeof(float));
        for (int k = 0; k < 2; k++) dx[k] = w[2 * k] * g[0] + w[2 * k + 1] * g[1];
    }
}

static void line_parameters(const deq_frame *f, int64_t n) {
    float *dw = f->accum, *db = dw + ROW;
    line_loss(f, n);
    for (int64_t i = 0; i < n; i++) {
        float g[2];
        const float *x = row(f->arg0, i);
        line_cross_entropy(row(f->arg2, i), (int)*row(f->arg1, i), g);
        for (int k = 0; k < 2; k++) {
            dw[k] += x[0] * g[k];
            dw[2 + k] += x[1] * g[k];
            db[k] += g[k];
        }
    }
}

static void line_accuracy(const deq_frame *f, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const float *out = row(f->arg0, i);
        memset(row_of(f->arg2, i), 0, ROW * sizeof(float));
        *row_of(f->arg2, i) = (out[1] > out[0]) == ((int)*row(f->arg1, i) == 1);
    }
}

/* One signed step: adversarial = x + radius sign(dloss/dx). */
static void line_attack(const deq_frame *f, int64_t n) {
    float *out = f->arg2, *scratch = calloc((size_t)n * ROW * 3, sizeof *scratch);
    deq_frame inner = *f;
    inner.arg2 = scratch;
    inner.arg3 = scratch + n * ROW;
    inner.arg4 = scratch + 2 * n * ROW;
    line_input(&inner, n);
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < ROW; k++) {
            float g = row(inner.arg4, i)[k];
            row_of(out, i)[k] = row(f->arg0, i)[k] + (float)f->scalars[0] * (float)((g > 0) - (g < 0));
        }
    free(scratch);
}

/* Momentum: scalars t, steps, rate. */
static void line_sgd(const deq_frame *f, int64_t n) {
    float *w = f->arg0, *m = f->arg2;
    const float *d = f->arg1;
    if (++line_updates == line_signal_at) raise(SIGINT);
    for (int64_t i = 0; i < n * DEQ_CHUNK; i++) {
        m[i] = 0.5f * m[i] + d[i];
        w[i] -= (float)f->scalars[2] * m[i];
    }
}

static void line_gap(const deq_frame *f, int64_t n) {
    (void)n;
    *(float *)f->arg0 = (float)(f->scalars[0] - f->scalars[1]);
}

static const deq_routine line_routines[] = {{"Line_prepare", line_prepare, 0, 0},
                                            {"Line_predict", line_predict, 0, 0},
                                            {"Line_cross_entropy_loss", line_loss, 0, 0},
                                            {"Line_cross_entropy_input", line_input, 0, 0},
                                            {"Line_cross_entropy_parameters", line_parameters, 0, 0},
                                            {"Line_metric_accuracy", line_accuracy, 0, 0},
                                            {"Line_cross_entropy_step", line_attack, 0, 0},
                                            {"sgd_update", line_sgd, 0, 0},
                                            {"gap", line_gap, 0, 0}};

/* %s: the folder of x, y; then the members after "nets". */
static const char line_head[] =
    "{\"abi\": 1, \"name\": \"line\", \"source\": \"line.deq\", \"compiler\": \"hand\", \"target\": \"any\", \"real\": "
    "\"f32\", \"hash\": \"00\",\n"
    "\"data\": [{\"name\": \"points\", \"reader\": \"idx\", \"arguments\": {\"images\": \"%s/x\", \"labels\": "
    "\"%s/y\"},"
    " \"input\": [2], \"target\": {\"label\": 2}, \"line\": 3}],\n"
    "\"nets\": [{\"name\": \"Line\", \"input\": [2], \"output\": [2], \"target\": {\"label\": 2}, \"hash\": \"11\","
    " \"parameters\": [{\"path\": \"W\", \"shape\": [2, 2], \"offset\": 0, \"trained\": true, \"init\": \"normal(std: "
    "0.5)\"},"
    " {\"path\": \"b\", \"shape\": [2], \"offset\": 64, \"trained\": true, \"init\": \"zeros()\"}],"
    " \"parameter_bytes\": 4096, \"shared_bytes\": 4096, \"accum_bytes\": 4096, \"prepare\": \"Line_prepare\", "
    "\"finish\": null,"
    " \"predict\": \"Line_predict\", \"fixed\": [],"
    " \"losses\": [{\"name\": \"cross_entropy\", \"loss\": \"Line_cross_entropy_loss\", \"input\": "
    "\"Line_cross_entropy_input\","
    " \"parameters\": \"Line_cross_entropy_parameters\"}],"
    " \"metrics\": [{\"name\": \"accuracy\", \"routine\": \"Line_metric_accuracy\"}]}],\n";

#define LINE_SLICE(from, to) "{\"data\": \"points\", \"split\": \"train\", \"from\": " from ", \"to\": " to "}"
#define LINE_ATTACK                                                                                                    \
    "{\"name\": \"step\", \"definition\": \"step\", \"routine\": \"Line_cross_entropy_step\","                         \
    " \"scalars\": [{\"name\": \"radius\", \"value\": 0.125}], \"gradient\": null}"
#define LINE_TRAIN(name, seed)                                                                                         \
    "{\"name\": \"" name "\", \"net\": \"Line\", \"data\": " LINE_SLICE(                                               \
        "0", "160") ", \"loss\": \"cross_entropy\","                                                                   \
                    " \"batch\": 16, \"epochs\": 3, \"seed\": " seed ", \"examples\": 100,"                            \
                    " \"optimiser\": {\"name\": \"sgd\", \"routine\": \"sgd_update\", \"states\": 1, \"scalars\": "    \
                    "[{\"name\": \"rate\", \"value\": 0.25}]},"                                                        \
                    " \"attack\": " LINE_ATTACK                                                                        \
                    ", \"overrides\": [], \"validate\": " LINE_SLICE("160", "null") ", \"line\": 9}"

static deq_module line_module(const char *manifest) {
    return (deq_module){.abi_version = DEQ_ABI_VERSION,
                        .real_bits = 32,
                        .manifest = manifest,
                        .manifest_length = (int64_t)strlen(manifest),
                        .routines = line_routines,
                        .routine_count = sizeof line_routines / sizeof line_routines[0]};
}
#endif
