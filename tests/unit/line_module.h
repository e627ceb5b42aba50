/* line_module.h - a module written by hand: softmax regression of two classes from two inputs, its routines in C.
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
#include "app.h"

#define TEXT_OF(x) #x
#define TEXT_OF_VALUE(x) TEXT_OF(x)
#define MANIFEST_ABI "\"abi\": " TEXT_OF_VALUE(DEQ_ABI_VERSION) /* the member as the compiler writes it */

#ifndef LINE_REAL
#define LINE_REAL float
#define LINE_REAL_NAME "f32"
#endif
typedef LINE_REAL real;
#define ROW ((int64_t)(64 / sizeof(real))) /* reals of a padded row */
static int line_updates;                   /* optimiser calls so far */
static int line_signal_at = -1;            /* raises SIGINT at this call */
static double line_error;                  /* relative error put into the gradient in b */

static const real *row(const void *base, int64_t i) { return (const real *)base + i * ROW; }
static real *row_of(void *base, int64_t i) { return (real *)base + i * ROW; }

/* Parameters: W[2, 2] at byte 0, b[2] at byte 64. */
static void line_output(const deq_frame *f, const real *x, real *out) {
    const real *w = f->shared, *b = w + ROW;
    memset(out, 0, ROW * sizeof *out);
    for (int k = 0; k < 2; k++) out[k] = x[0] * w[k] + x[1] * w[2 + k] + b[k];
}

/* Cross-entropy and its gradient in the output. */
static real line_cross_entropy(const real *out, int label, real g[2]) {
    real m = out[0] > out[1] ? out[0] : out[1];
    real e0 = (real)exp((double)(out[0] - m)), e1 = (real)exp((double)(out[1] - m)), s = e0 + e1;
    g[0] = e0 / s - (label == 0);
    g[1] = e1 / s - (label == 1);
    return (real)log((double)s) + m - out[label];
}

static void line_prepare(const deq_frame *f, int64_t n) { (void)f, (void)n; }

static void line_predict(const deq_frame *f, int64_t n) {
    for (int64_t i = 0; i < n; i++) line_output(f, row(f->arg0, i), row_of(f->arg2, i));
}

static void line_loss(const deq_frame *f, int64_t n) {
    real g[2];
    line_predict(f, n);
    for (int64_t i = 0; i < n; i++) {
        memset(row_of(f->arg3, i), 0, ROW * sizeof(real));
        *row_of(f->arg3, i) = line_cross_entropy(row(f->arg2, i), (int)*row(f->arg1, i), g);
    }
}

static void line_input(const deq_frame *f, int64_t n) {
    const real *w = f->shared;
    line_loss(f, n);
    for (int64_t i = 0; i < n; i++) {
        real g[2], *dx = row_of(f->arg4, i);
        line_cross_entropy(row(f->arg2, i), (int)*row(f->arg1, i), g);
        memset(dx, 0, ROW * sizeof(real));
        for (int k = 0; k < 2; k++) dx[k] = w[2 * k] * g[0] + w[2 * k + 1] * g[1];
    }
}

static void line_parameters(const deq_frame *f, int64_t n) {
    real *dw = f->accum, *db = dw + ROW;
    line_loss(f, n);
    for (int64_t i = 0; i < n; i++) {
        real g[2];
        const real *x = row(f->arg0, i);
        line_cross_entropy(row(f->arg2, i), (int)*row(f->arg1, i), g);
        for (int k = 0; k < 2; k++) {
            dw[k] += x[0] * g[k];
            dw[2 + k] += x[1] * g[k];
            db[k] += g[k] * (real)(1 + line_error);
        }
    }
}

static void line_accuracy(const deq_frame *f, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const real *out = row(f->arg0, i);
        memset(row_of(f->arg2, i), 0, ROW * sizeof(real));
        *row_of(f->arg2, i) = (out[1] > out[0]) == ((int)*row(f->arg1, i) == 1);
    }
}

/* One signed step: adversarial = x + radius sign(dloss/dx). */
static void line_attack(const deq_frame *f, int64_t n) {
    real *out = f->arg2, *scratch = aligned_alloc(64, (size_t)n * 3 * 64);
    memset(scratch, 0, (size_t)n * 3 * 64);
    deq_frame inner = *f;
    inner.arg2 = scratch;
    inner.arg3 = scratch + n * ROW;
    inner.arg4 = scratch + 2 * n * ROW;
    line_input(&inner, n);
    /* as compiled code counts it */
    (sizeof(real) == 4 ? deq_query_f32 : deq_query_f64)((void *)f, n, inner.arg3, 1, 64, inner.arg4, 64, inner.arg2, 2,
                                                        64);
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < ROW; k++) {
            real g = row(inner.arg4, i)[k];
            row_of(out, i)[k] = row(f->arg0, i)[k] + (real)f->scalars[0] * (real)((g > 0) - (g < 0));
        }
    free(scratch);
}

/* Momentum: scalars t, steps, rate. */
static void line_sgd(const deq_frame *f, int64_t n) {
    real *w = f->arg0, *m = f->arg2;
    const real *d = f->arg1;
    if (++line_updates == line_signal_at) raise(SIGINT);
    for (int64_t i = 0; i < n * DEQ_CHUNK; i++) {
        m[i] = (real)0.5 * m[i] + d[i];
        w[i] -= (real)f->scalars[2] * m[i];
    }
}

static void line_gap(const deq_frame *f, int64_t n) {
    (void)n;
    *(real *)f->arg0 = (real)(f->scalars[0] - f->scalars[1]);
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

/* %s: the folder of x, y; %d: bytes of a chunk; then the members after "nets". */
static const char line_head[] =
    "{" MANIFEST_ABI
    ", \"name\": \"line\", \"source\": \"line.deq\", \"compiler\": \"hand\", \"target\": \"any\", \"real\": "
    "\"" LINE_REAL_NAME "\", \"hash\": \"00\",\n"
    "\"data\": [{\"name\": \"points\", \"reader\": \"idx\", \"arguments\": {\"images\": \"%s/x\", \"labels\": "
    "\"%s/y\"},"
    " \"input\": [2], \"target\": {\"label\": 2}, \"line\": 3}],\n"
    "\"nets\": [{\"name\": \"Line\", \"input\": [2], \"output\": [2], \"target\": {\"label\": 2}, \"hash\": \"11\","
    " \"parameters\": [{\"path\": \"W\", \"shape\": [2, 2], \"offset\": 0, \"trained\": true, \"init\": \"normal(std: "
    "0.5)\"},"
    " {\"path\": \"b\", \"shape\": [2], \"offset\": 64, \"trained\": true, \"init\": \"zeros()\"}],"
    " \"parameter_bytes\": %d, \"shared_bytes\": %d, \"accum_bytes\": %d, \"prepare\": \"Line_prepare\", "
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

/* The head for data in `folder`; gives where the tail goes. */
static inline char *line_begin(char *text, size_t size, const char *folder) {
    int bytes = DEQ_CHUNK * (int)sizeof(real);
    return text + snprintf(text, size, line_head, folder, folder, bytes, bytes, bytes);
}

static deq_module line_module(const char *manifest) {
    return (deq_module){.abi_version = DEQ_ABI_VERSION,
                        .real_bits = 8 * sizeof(real),
                        .manifest = manifest,
                        .manifest_length = (int64_t)strlen(manifest),
                        .routines = line_routines,
                        .routine_count = sizeof line_routines / sizeof line_routines[0]};
}
#endif
