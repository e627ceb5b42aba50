/* cell_bench.h - solves of the cells of cells.h by the runtime's own functions, for tests of solvers.  The interface
 * speaks double; rows are dense. */
#ifndef DEQ_TEST_CELL_BENCH_H
#define DEQ_TEST_CELL_BENCH_H
#include "memory.h"
#include "numeric.h"
#include "worker_plan.h"
#include <stdio.h>
#include "cells_both.h"
#include "dense_solve.h"
#include "random.h"
#include <stdlib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* One bench: n examples of one cell. */
#define BLOCK 16
typedef struct bench {
    int bits, d;
    int64_t n;
    int64_t stride;
    deq_worker *worker;
    const deq_fixed *fixed;
    deq_fixed_settings settings;
    deq_frame frame;
    int64_t example[BLOCK];
    void *shared, *accum, *rest, *drest, *z, *u;
} bench;

static inline void put(const bench *b, void *base, int64_t row, int k, double value) {
    char *at = (char *)base + row * b->stride;
    if (b->bits == 32)
        ((float *)at)[k] = (float)value;
    else
        ((double *)at)[k] = value;
}

static inline double get(const bench *b, const void *base, int64_t row, int k) {
    const char *at = (const char *)base + row * b->stride;
    return b->bits == 32 ? (double)((const float *)at)[k] : ((const double *)at)[k];
}

static inline double weight(const bench *b, int i, int k) {
    return b->bits == 32 ? (double)((record_f32 *)b->shared)->W[i * b->d + k]
                         : ((record_f64 *)b->shared)->W[i * b->d + k];
}

static inline void set_weight(bench *b, int i, int k, double value) {
    if (b->bits == 32)
        ((record_f32 *)b->shared)->W[i * b->d + k] = (float)value;
    else
        ((record_f64 *)b->shared)->W[i * b->d + k] = value;
}

static inline void *clear(size_t bytes) {
    void *at = deq_memory_new(bytes);
    assert_non_null(at);
    return memset(at, 0, bytes);
}

/* W random with norm about `gain`, c normal. */
static inline bench bench_new(int bits, cell_kind kind, int d, int64_t n, double gain) {
    bench b = {.bits = bits, .d = d, .n = n, .stride = bits == 32 ? cell_bytes_f32(d) : cell_bytes_f64(d)};
    b.settings.finish.kind = DEQ_FINISH_none; /* the state that the solver returns */
    b.fixed = bits == 32 ? cell_describe_f32(d) : cell_describe_f64(d);
    b.shared = clear(bits == 32 ? sizeof(record_f32) : sizeof(record_f64));
    if (bits == 32)
        ((record_f32 *)b.shared)->kind = kind, ((record_f32 *)b.shared)->d = d;
    else
        ((record_f64 *)b.shared)->kind = kind, ((record_f64 *)b.shared)->d = d;
    b.accum = clear((size_t)(d * d) * 8);
    size_t rows = (size_t)(BLOCK * b.stride);
    b.rest = clear(rows), b.drest = clear(rows), b.z = clear(rows), b.u = clear(rows);
    for (int i = 0; i < d * d; i++) set_weight(&b, i / d, i % d, gain * 0.5 / sqrt(d) * deq_normal(7, (uint64_t)i));
    for (int i = 0; i < n * d; i++) {
        put(&b, b.rest, i / d, i % d, deq_normal(8, (uint64_t)i) * (1 + i / d));
        put(&b, b.u, i / d, i % d, deq_normal(9, (uint64_t)i));
    }
    for (int i = 0; i < BLOCK; i++) b.example[i] = 1000 + i;
    return b;
}

static inline void bench_set(bench *b, const char *forward, const char *gradient) {
    deq_error e = {0};
    if (!deq_solver_parse(forward, false, &b->settings.forward, &e)) fail_msg("%s", e.text);
    if (!deq_mode_parse(gradient, &b->settings.gradient, &e)) fail_msg("%s", e.text);
}

static inline bool bench_ready(bench *b, deq_error *e) {
    const deq_fixed_settings *settings[1] = {&b->settings};
    deq_worker_free(b->worker);
    b->worker = deq_worker_new(b->bits, BLOCK, &b->fixed, 1);
    if (!deq_worker_plan(b->worker, settings, 1, false, e)) return false;
    b->frame = (deq_frame){.shared = b->shared, .example = b->example, .host = b->worker, .accum = b->accum};
    return true;
}

static inline void bench_plan(bench *b) {
    deq_error e = {0};
    if (!bench_ready(b, &e)) fail_msg("%s", e.text);
}

static inline bool bench_try(bench *b, const char *forward, const char *gradient, deq_error *e) {
    return deq_solver_parse(forward, false, &b->settings.forward, e) &&
           deq_mode_parse(gradient, &b->settings.gradient, e) && bench_ready(b, e);
}

/* Solves rows from .. from + n. */
static inline void bench_solve_rows(bench *b, int64_t from, int64_t n, bool want) {
    b->frame.example = b->example + from;
    deq_fixed_solve(&b->frame, (void *)b->fixed, n, (char *)b->rest + from * b->stride, (char *)b->z + from * b->stride,
                    want, NULL);
}

static inline void bench_gradient_rows(bench *b, int64_t from, int64_t n) {
    deq_fixed_gradient(&b->frame, (void *)b->fixed, n, (char *)b->rest + from * b->stride,
                       (char *)b->drest + from * b->stride, (char *)b->u + from * b->stride, 1);
}

static inline void bench_solve(bench *b, const char *forward, const char *gradient, bool want) {
    bench_set(b, forward, gradient);
    bench_plan(b);
    bench_solve_rows(b, 0, b->n, want);
}

static inline void bench_free(bench *b) {
    deq_worker_free(b->worker);
    free(b->shared), free(b->accum), free(b->rest), free(b->drest), free(b->z), free(b->u);
}

static inline void cell_apply(const bench *b, int64_t row, const double *z, double *out) {
    if (b->bits == 32) {
        float in[CELL_MOST + 32] = {0}, to[CELL_MOST + 32];
        for (int k = 0; k < b->d; k++) in[k] = (float)z[k];
        cell_f32(b->shared, in, (const float *)((char *)b->rest + row * b->stride), to, NULL, NULL);
        for (int k = 0; k < b->d; k++) out[k] = (double)to[k];
    } else {
        double to[CELL_MOST + 32];
        cell_f64(b->shared, z, (const double *)((char *)b->rest + row * b->stride), to, NULL, NULL);
        memcpy(out, to, (size_t)b->d * sizeof *out);
    }
}

/* Relative residual of the returned state. */
static inline double residual_by(const bench *b, int64_t row, bool absolute) {
    double z[CELL_MOST] = {0}, f[CELL_MOST], up = 0, down = 0;
    for (int k = 0; k < b->d; k++) z[k] = get(b, b->z, row, k);
    cell_apply(b, row, z, f);
    for (int k = 0; k < b->d; k++) up += (f[k] - z[k]) * (f[k] - z[k]), down += f[k] * f[k];
    return absolute ? sqrt(up) : sqrt(up) / (sqrt(down) + 1e-9);
}

static inline double residual_of(const bench *b, int64_t row) { return residual_by(b, row, false); }

/* Records states and residuals of row `row`. */
typedef struct recording {
    const bench *b;
    int32_t row;
    int count;
    double z[64][CELL_MOST], residual[64];
} recording;

static inline void listen_to(void *context, const deq_states *s) {
    recording *r = context;
    for (int64_t i = 0; i < s->n; i++) {
        if (s->rows[i] != r->row || r->count == 64) continue;
        assert_int_equal(s->step, r->count + 1);
        assert_int_equal(s->example[i], 1000 + r->row);
        for (int k = 0; k < r->b->d; k++) r->z[r->count][k] = get(r->b, s->z, i, k);
        r->residual[r->count++] = s->residual[i];
    }
}
#endif
