/* bench.c - times what a net does: the routines of its fixed points on one block, and predictions, gradients and
 * attacks on a batch.  Every number is the median of repeated calls after a warm-up, with its spread.
 *
 * Two yardsticks are measured in the same run: the multiply-adds a core can do at all (numeric/peak.c), and the times
 * of f and vjp_z.  Solves and gradients with forced step counts are put beside the work that no implementation of them
 * can leave out at those times, so that what is left is the solver's and the engine's own. */
#define _GNU_SOURCE
#include "bench_scaling.h"
#include "sort.h"
#include "run.h"
#include "study.h"
#include "memory.h"
#include "peak.h"
#include "parallel.h"
#include "random.h"
#include "reals.h"
#include "signals.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define REPEATS 400
#define SECONDS_EACH 0.4 /* for one row, once it has been repeated thrice; unless the options say otherwise */
#define SCALING_EACH 0.1 /* for a point of --scaling */
#define MOST                                                                                                           \
    8 /* times as long, and a row of slow calls ends with what it has: with the warm-up itself, if that took so long   \
       */
#define WARM 0.05 /* of it, before a row is timed */
#define BATCH 256 /* unless the options say otherwise */

/* What one row is compared with. */
typedef struct Row {
    const char *name;
    int64_t examples;
    double flops;  /* of one example in products; 0 not known */
    double bound;  /* seconds that f, vjp_z and what stands around them take at the least; 0 not known */
    int64_t bytes; /* read and written by one call at the least, or held for it */
    int threads;   /* that the row can use: the peak it is compared with */
} Row;

/* Of a call: of the clock, or of the processors. */
static double now(const deq_app *app) { return app->options->processor ? deq_processor_now() : deq_now(); }

static double budget_of(const deq_app_options *options) {
    return options->budget > 0 ? options->budget : options->scaling ? SCALING_EACH : SECONDS_EACH;
}

/* Calls `work` again and again; sorted times, at most REPEATS. */
static bool repeat(Bench *b, const char *name, BenchWork *work, const void *what, double times[REPEATS], int *count) {
    double began = deq_now(), budget = budget_of(b->app->options);
    *count = 0;
    do {
        double start = now(b->app);
        if (!work(b, what)) return false;
        times[0] = now(b->app) - start;
    } while (deq_now() - began < WARM * budget);
    if (times[0] > MOST * budget) {
        *count = 1;
        return true;
    }
    began = deq_now();
    while (*count < REPEATS && (*count < 3 || deq_now() - began < budget) &&
           (*count < 1 || deq_now() - began < MOST * budget)) {
        if (deq_interrupted()) return deq_fail(b->e, DEQ_INTERRUPTED, "stopped while timing '%s'", name);
        double start = now(b->app);
        if (!work(b, what)) return false;
        times[(*count)++] = now(b->app) - start;
    }
    deq_sort(times, (size_t)*count);
    return true;
}

bool bench_selected(const deq_app_options *options, const char *row) {
    const char *text = options->rows;
    if (!text) return true;
    for (size_t length; *text; text += length + (text[length] == '|')) {
        length = strcspn(text, "|");
        if (length && memmem(row, strlen(row), text, length)) return true;
    }
    return false;
}

static bool measure(Bench *b, const Row *row, BenchWork *work, const void *what) {
    double times[REPEATS];
    int count;
    if (!bench_selected(b->app->options, row->name)) return true;
    b->evaluations = NAN;
    if (!repeat(b, row->name, work, what, times, &count)) return false;
    double median = times[count / 2], spread = (times[count * 3 / 4] - times[count / 4]) / median;
    double n = (double)row->examples, rate = row->flops * n / median;
    double share = rate / b->peak[row->threads > 1];
    char work_text[48] = "", bound_text[48] = "", evaluations_text[24] = "";
    if (b->evaluations > 0) snprintf(evaluations_text, sizeof evaluations_text, "%.3g", b->evaluations);
    if (row->flops > 0) snprintf(work_text, sizeof work_text, "%8.1f %4.0f%%", rate * 1e-9, 100 * share);
    if (row->bound > 0)
        snprintf(bound_text, sizeof bound_text, "%10.3f %4.0f%%", 1e3 * row->bound,
                 100 * (median - row->bound) / median);
    deq_report(&b->app->reporter, "  %-46s %5lld %6s %10.3f %10.3f %5.1f%% %14s %16s", row->name,
               (long long)row->examples, evaluations_text, 1e3 * median, 1e3 * times[0], 100 * spread, work_text,
               bound_text);
    json_t *members = json_pack("{s:s, s:s, s:I, s:i, s:i, s:f, s:f, s:f, s:f, s:f, s:I}", "net", b->net->name, "name",
                                row->name, "examples", (json_int_t)row->examples, "threads", row->threads, "repeats",
                                count, "median", median, "min", times[0], "max", times[count - 1], "spread", spread,
                                "examples_per_second", n / median, "bytes", (json_int_t)row->bytes);
    if (row->flops > 0) {
        json_object_set_new(members, "gflops", json_real(rate * 1e-9));
        json_object_set_new(members, "share", json_real(share));
    }
    if (b->evaluations > 0) json_object_set_new(members, "evaluations", json_real(b->evaluations));
    if (row->bound > 0) {
        json_object_set_new(members, "bound", json_real(row->bound));
        json_object_set_new(members, "overhead", json_real((median - row->bound) / median));
    }
    deq_report_event(&b->app->reporter, "bench", members);
    return true;
}

bool bench_time(Bench *b, BenchWork *work, const void *what, double *seconds) {
    double times[REPEATS];
    int count;
    if (!repeat(b, "a call", work, what, times, &count)) return false;
    *seconds = times[count / 2];
    return true;
}

static Row batch_row(const Bench *b, const char *name, double bound) {
    return (Row){name, b->batch, 0, bound, deq_engine_memory(b->engine), b->threads};
}

bool bench_measure(Bench *b, const char *name, double bound, BenchWork *work, const void *what) {
    Row row = batch_row(b, name, bound);
    return measure(b, &row, work, what);
}

/* --- the most arithmetic of this machine --- */

typedef struct Peak {
    int bits;
    bool many;
    int64_t rounds;
} Peak;

static void peak_task(void *context, int worker, int64_t task) {
    (void)worker, (void)task;
    const Peak *p = context;
    (p->bits == 32 ? deq_peak_work_f32 : deq_peak_work_f64)(p->rounds, p->many);
}

/* FLOP/s of `threads` threads, all of them busy (of each second of processors, those of one): the best of a few attempts
 * of some milliseconds. */
static bool measure_peak(const deq_app *app, int bits, int threads, double *best, deq_error *e) {
    deq_pool *pool = deq_pool_new(threads);
    if (!pool) return deq_fail(e, DEQ_MEMORY, "threads for the measurement of the peak");
    *best = 0;
    for (int attempt = 0; attempt < 12; attempt++) {
        Peak p = {bits, attempt & 1, 2000000};
        double flops = (bits == 32 ? deq_peak_work_f32 : deq_peak_work_f64)(1, p.many) * (double)p.rounds;
        double start = now(app);
        deq_pool_run(pool, threads, peak_task, &p);
        double rate = flops * threads / (now(app) - start);
        if (rate > *best) *best = rate;
    }
    deq_pool_free(pool);
    return true;
}

static void report_machine(Bench *b) {
    char cpu[256];
    deq_cpu_name(cpu, sizeof cpu);
    deq_report(&b->app->reporter, "%s: peak of multiply-adds in registers %.1f GFLOP/s on one thread, %.1f on %d", cpu,
               1e-9 * b->peak[0], 1e-9 * b->peak[1], b->threads);
    deq_report_event(&b->app->reporter, "bench_machine",
                     json_pack("{s:s, s:s, s:s, s:i, s:f, s:f}", "cpu", cpu, "target", b->app->manifest->target, "real",
                               b->app->manifest->real, "threads", b->threads, "peak_gflops", 1e-9 * b->peak[0],
                               "peak_gflops_threads", 1e-9 * b->peak[1]));
}

/* --- routines of a fixed point, called as a solver calls them --- */

typedef struct Routine {
    deq_routine_fn *function;
    deq_frame *frame;
    int64_t n;
} Routine;

static bool call_routine(Bench *b, const void *what) {
    (void)b;
    const Routine *r = what;
    r->function(r->frame, r->n);
    return true;
}

static void *block_of(int64_t bytes) {
    size_t size = ((size_t)bytes + 2 * DEQ_ALIGN) & ~(size_t)(DEQ_ALIGN - 1);
    void *p = deq_memory_new(size); /* as workers have theirs: on huge pages, where it is large */
    if (p) memset(p, 0, size);
    return p;
}

static void fill_random(void *values, int64_t count, int real_bits, double scale) {
    for (int64_t i = 0; i < count; i++) deq_real_put(real_bits, values, i, scale * deq_uniform(5, (uint64_t)i));
}

int64_t bench_blocks(const Bench *b, int64_t batch, int64_t threads) {
    int64_t unused[2];
    const bool coupled = deq_engine_parts(b->engine, batch, &unused[0], &unused[1]) > 0;
    return coupled ? deq_engine_attack_blocks(b->engine, batch, threads) : deq_engine_blocks(b->engine, batch);
}

/* Seconds of one call times the rounds in which the threads take the blocks of a batch. */
static bool of_batch(Bench *b, const Routine *r, double *seconds) {
    int64_t blocks = bench_blocks(b, b->batch, b->threads);
    double times[REPEATS];
    int count;
    *seconds = 0;
    if (!r->function) return true;
    if (!repeat(b, "a routine", call_routine, r, times, &count)) return false;
    const int64_t side = b->app->options->processor ? 1 : b->threads; /* blocks at a time */
    *seconds = times[count / 2] * (double)((blocks + side - 1) / side);
    return true;
}

static bool bench_fixed(Bench *b, const deq_fixed *fixed, const char *path, double flops) {
    int64_t blocks = bench_blocks(b, b->batch, b->threads), n = (b->batch + blocks - 1) / blocks;
    int64_t scratch = fixed->f_base_bytes + n * fixed->f_row_bytes;
    int bits = (int)b->app->module->real_bits;
    int32_t *rows = malloc((size_t)n * sizeof *rows);
    deq_frame frame = {.shared = deq_engine_parameters(b->engine),
                       .accum = block_of(b->net->accum_bytes),
                       .rest = block_of(n * fixed->rest_bytes),
                       .drest = block_of(n * fixed->rest_bytes),
                       .rows = rows,
                       .tape = block_of(n * fixed->tape_bytes),
                       .scratch = block_of(scratch),
                       .example = b->index,
                       .arg0 = block_of(n * fixed->state_bytes),
                       .arg1 = block_of(n * fixed->state_bytes)};
    bool ok =
        rows && frame.accum && frame.rest && frame.drest && frame.tape && frame.scratch && frame.arg0 && frame.arg1;
    if (!ok) deq_fail(b->e, DEQ_MEMORY, "out of memory for a benchmark");
    if (ok) {
        for (int64_t i = 0; i < n; i++) rows[i] = (int32_t)i;
        fill_random(frame.arg0, n * fixed->state_bytes / (bits / 8), bits, 1);
        int64_t state = n * fixed->state_bytes, rest = n * fixed->rest_bytes, tape = n * fixed->tape_bytes;
        const struct {
            const char *name;
            deq_routine_fn *function;
            double flops;
            int64_t bytes;
        } list[] = {{"f", fixed->f, flops, 2 * state + rest},
                    {"lin", fixed->lin, flops, 2 * state + rest + tape},
                    {"vjp_z", fixed->vjp_z, flops, 2 * state + rest + tape},
                    {"vjp_rest", fixed->vjp_rest, 0, state + 2 * rest + tape + 2 * b->net->accum_bytes},
                    {"vjp_all", fixed->vjp_all, 0, 2 * state + 2 * rest + tape + 2 * b->net->accum_bytes}};
        for (size_t i = 0; ok && i < sizeof list / sizeof list[0]; i++) {
            if (!list[i].function) continue;
            char name[200];
            snprintf(name, sizeof name, "%s%s%s (one block)", path, *path ? "." : "", list[i].name);
            Row row = {name, n, list[i].flops, 0, list[i].bytes, 1};
            ok = b->app->options->scaling || measure(b, &row, call_routine, &(Routine){list[i].function, &frame, n});
        }
        ok = ok && of_batch(b, &(Routine){fixed->f, &frame, n}, &b->f) &&
             of_batch(b, &(Routine){fixed->vjp_z, &frame, n}, &b->vjp_z) &&
             of_batch(b, &(Routine){fixed->vjp_rest, &frame, n}, &b->vjp_rest);
    }
    void *held[] = {rows, frame.accum, frame.rest, frame.drest, frame.tape, frame.scratch, frame.arg0, frame.arg1};
    for (size_t i = 0; i < sizeof held / sizeof held[0]; i++) free(held[i]);
    return ok;
}

/* --- whole calls --- */

/* Of a call without an attack, whose solves would count too. */
static bool counted(Bench *b, const deq_results *r) {
    b->evaluations = (double)r->forward.evaluations / (double)b->batch;
    return true;
}

bool bench_call_forward(Bench *b, const void *what) {
    (void)what;
    deq_results r = {0};
    return deq_engine_forward(b->engine, b->batch, b->x, b->output, &r, b->e) && counted(b, &r);
}

static bool call_loss(Bench *b, const void *what) {
    deq_results r = {0};
    deq_source source = deq_dense_source(&b->data);
    return deq_engine_evaluate(b->engine, &source, b->index, b->batch, what, NULL, NULL, 0, NULL, NULL, &r, b->e) &&
           counted(b, &r);
}

bool bench_call_input(Bench *b, const void *what) {
    deq_results r = {0};
    return deq_engine_input_gradient(b->engine, b->batch, b->x, b->y, what, b->dx, &r, b->e) && counted(b, &r);
}

static bool call_parameters(Bench *b, const void *what) {
    deq_results r = {0};
    deq_source source = deq_dense_source(&b->data);
    return deq_engine_gradient(b->engine, &source, b->index, b->batch, what, NULL, NULL, 0, 0, &r, b->e) &&
           counted(b, &r);
}

bool bench_call_attack(Bench *b, const void *what) {
    const deq_train_spec *t = what;
    double scalars[DEQ_MOST_SCALARS];
    deq_attack attack = deq_app_attack(t->attack, scalars);
    deq_results r = {0};
    deq_source source = deq_dense_source(&b->data);
    return deq_engine_evaluate(b->engine, &source, b->index, b->batch, t->loss, NULL, &attack, 0, NULL, NULL, &r, b->e);
}

bool bench_call_step(Bench *b, const void *what) {
    const BenchStep *s = what;
    deq_results r = {0};
    deq_source source = deq_dense_source(&b->data);
    return deq_engine_gradient(b->engine, &source, b->index, b->batch, s->train->loss, NULL, s->attack, 0, 1, &r,
                               b->e) &&
           deq_engine_update(b->engine, s->train->optimiser.routine, s->train->optimiser.states, s->scalars, b->e);
}

static bool bench_train(Bench *b, const deq_train_spec *t) {
    double scalars[2 + DEQ_MOST_SCALARS] = {1, 1000}, attack_scalars[DEQ_MOST_SCALARS];
    if (!t->optimiser.routine) return true;
    for (int i = 0; i < t->optimiser.nscalars; i++) scalars[2 + i] = t->optimiser.scalars[i].value;
    deq_attack attack = t->attack ? deq_app_attack_in_training(t->attack, attack_scalars) : (deq_attack){0};
    uint32_t token = deq_engine_save_settings(b->engine);
    char name[200];
    snprintf(name, sizeof name, "train %s: predict", t->name);
    bool ok = deq_app_as_trained(b->engine, t, NULL, 0, b->e) && bench_measure(b, name, 0, bench_call_forward, NULL);
    deq_engine_restore_settings(b->engine, token);
    token = deq_engine_save_settings(b->engine);
    ok = ok && deq_app_in_training(b->engine, t, b->e) && deq_engine_optimiser(b->engine, t->optimiser.states, b->e);
    if (ok && t->attack) {
        snprintf(name, sizeof name, "train %s: attack %s, loss", t->name, t->attack->name);
        ok = bench_measure(b, name, 0, bench_call_attack, t);
    }
    snprintf(name, sizeof name, t->attack ? "train %s: step under %s" : "train %s: step", t->name,
             t->attack ? t->attack->name : "");
    ok = ok && bench_measure(b, name, 0, bench_call_step, &(BenchStep){t, scalars, t->attack ? &attack : NULL});
    deq_engine_restore_settings(b->engine, token);
    return ok;
}

static bool bench_calls(Bench *b) {
    const deq_net_spec *net = b->net;
    const deq_manifest *m = b->app->manifest;
    char name[200];
    bool ok = bench_measure(b, "predict", 0, bench_call_forward, NULL);
    for (int i = 0; ok && i < net->nlosses; i++) {
        const char *loss = net->losses[i].name;
        snprintf(name, sizeof name, "%s: loss", loss);
        ok = bench_measure(b, name, 0, call_loss, loss);
        snprintf(name, sizeof name, "%s: gradient in the input", loss);
        ok = ok && bench_measure(b, name, 0, bench_call_input, loss);
        snprintf(name, sizeof name, "%s: gradient in parameters", loss);
        ok = ok && bench_measure(b, name, 0, call_parameters, loss);
    }
    for (int i = 0; ok && i < m->ntrains; i++)
        if (bench_trains(b, &m->trains[i])) ok = bench_train(b, &m->trains[i]);
    uint32_t token = deq_engine_save_settings(b->engine);
    ok = ok && (!net->nfixed || (bench_solves(b) && bench_works(b)));
    deq_engine_restore_settings(b->engine, token);
    return ok;
}

static int64_t batch_of(const deq_app_options *options) { return options->batch > 0 ? options->batch : BATCH; }

bool bench_trains(const Bench *b, const deq_train_spec *t) {
    const char *only = b->app->options->only;
    return t->net == b->net && (!only || !strcmp(only, b->net->name) || !strcmp(only, t->name));
}

bool bench_data(Bench *b, int64_t rows) {
    int bits = (int)b->app->module->real_bits;
    int64_t inputs = b->net->input.elements, targets = deq_target_elements(&b->net->target), real = bits / 8;
    b->x = block_of(rows * inputs * real);
    b->y = block_of(rows * targets * real);
    b->dx = block_of(rows * inputs * real);
    b->output = block_of(rows * b->net->output.elements * real);
    b->index = deq_index_range(rows);
    if (!b->x || !b->y || !b->dx || !b->output || !b->index)
        return deq_fail(b->e, DEQ_MEMORY, "out of memory for a benchmark");
    fill_random(b->x, rows * inputs, bits, 1);
    if (!b->net->target.labels) fill_random(b->y, rows * targets, bits, 1); /* labels stay 0 */
    b->data = (deq_dense){b->x, b->y, inputs, targets};
    return true;
}

static void bench_data_free(Bench *b) {
    free(b->x);
    free(b->y);
    free(b->dx);
    free(b->output);
    free(b->index);
}

static bool bench_net(deq_app *app, const deq_net_spec *net, const double peak[2], int threads, Scaling *scaling,
                      deq_error *e) {
    Bench b = {.app = app,
               .net = net,
               .e = e,
               .engine = deq_app_engine(app, net, e),
               .peak = {peak[0], peak[1]},
               .threads = threads};
    if (!b.engine || !deq_engine_init(b.engine, 0, e)) return false;
    deq_engine_prepare(b.engine);
    int64_t batch = b.batch = batch_of(app->options);
    int64_t rows = deq_engine_block(b.engine) > batch ? deq_engine_block(b.engine) : batch;
    bool ok = bench_data(&b, rows);
    if (ok && !app->options->scaling) report_machine(&b);
    if (ok && !app->options->scaling && !app->options->predict)
        deq_report(&app->reporter,
                   "%s, %s, batch %lld in %lld blocks, %d thread%s\n  %-46s %5s %6s %10s %10s %6s %14s %16s", net->name,
                   app->manifest->real, (long long)batch, (long long)bench_blocks(&b, batch, threads), threads,
                   threads > 1 ? "s" : "", "", "rows", "f each", "median ms", "least ms", "spread", "GFLOP/s, peak",
                   "bound ms, over");
    if (app->options->predict) {
        ok = ok && bench_predict(&b);
        bench_data_free(&b);
        return ok;
    }
    for (int i = 0; ok && i < net->nfixed; i++)
        for (int64_t k = 0; k < app->module->fixed_count && ok; k++)
            if (!strcmp(app->module->fixed[k]->name, net->fixed[i].name))
                ok = bench_fixed(&b, app->module->fixed[k], net->fixed[i].path, net->fixed[i].flops);
    ok = ok && (app->options->scaling ? bench_scaling(&b, scaling) : bench_calls(&b));
    bench_data_free(&b);
    return ok;
}

/* Without a name in the options every net. */
static bool is_asked(const deq_app *app, const deq_net_spec *net) {
    const Bench b = {.app = (deq_app *)app, .net = net};
    bool found = !app->options->only || !strcmp(app->options->only, net->name);
    for (int i = 0; !found && i < app->manifest->ntrains; i++) found = bench_trains(&b, &app->manifest->trains[i]);
    return found;
}

int deq_app_bench(const deq_module *module, const deq_app_options *options) {
    deq_app app;
    deq_error e = {0};
    deq_signals_install();
    int bits = (int)module->real_bits, threads = deq_threads(options->threads);
    double peak[2] = {0, 0};
    Scaling scaling = {0};
    bool ok = deq_app_open(&app, module, options, &e);
    for (int i = 0; ok && !options->scaling && !options->predict && i < app.manifest->nnets; i++)
        ok = !is_asked(&app, &app.manifest->nets[i]) ||
             bench_memory(&(Bench){.app = &app, .net = &app.manifest->nets[i], .batch = batch_of(options), .e = &e});
    ok = ok && deq_app_apply_settings(&app, &e) &&
         (options->scaling || /* no row is put beside them */
          (measure_peak(&app, bits, 1, &peak[0], &e) && measure_peak(&app, bits, threads, &peak[1], &e)));
    for (int i = 0; ok && i < app.manifest->nnets; i++)
        ok = !is_asked(&app, &app.manifest->nets[i]) ||
             bench_net(&app, &app.manifest->nets[i], peak, threads, &scaling, &e);
    ok = ok && (!options->scaling || bench_scaling_write(&app, &scaling, &e));
    free(scaling.lines);
    if (!ok) deq_report_error(&app.reporter, &e);
    deq_app_close(&app);
    deq_signals_restore();
    return ok ? 0 : deq_failure_exit(e.failure);
}
