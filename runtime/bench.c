/* bench.c - times what a net does: the routines of its fixed points on one block, and predictions, gradients and
 * attacks on a batch.  Every number is the median of repeated calls after a warm-up, with the least and the most. */
#include "app_state.h"
#include "dense.h"
#include "random.h"
#include "signals.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define REPEATS 15
#define SECONDS_EACH 1.0 /* at most, for one row */
#define BATCH 256        /* unless the options say otherwise */

typedef struct Bench {
    deq_app *app;
    const deq_net_spec *net;
    deq_engine *engine;
    deq_dense data;
    void *x, *y, *dx, *output;
    int64_t *index, batch;
    deq_error *e;
} Bench;

typedef bool Work(Bench *b, const void *what);

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* flops: of one example, 0 when not known. */
static bool measure(Bench *b, const char *name, int64_t n, double flops, Work *work, const void *what) {
    double times[REPEATS], began = deq_now();
    int count = 0;
    if (!work(b, what)) return false;
    while (count < REPEATS && (count < 3 || deq_now() - began < SECONDS_EACH)) {
        if (deq_interrupted()) return deq_fail(b->e, DEQ_INTERRUPTED, "stopped while timing '%s'", name);
        double start = deq_now();
        if (!work(b, what)) return false;
        times[count++] = deq_now() - start;
    }
    qsort(times, (size_t)count, sizeof times[0], by_value);
    double median = times[count / 2];
    char rate[32] = "";
    if (flops > 0) snprintf(rate, sizeof rate, "%10.1f", flops * (double)n / median * 1e-9);
    deq_report(&b->app->reporter, "  %-34s %6lld %11.3f %11.3f %11.3f %12.0f %s", name, (long long)n, 1e3 * median,
               1e3 * times[0], 1e3 * times[count - 1], (double)n / median, rate);
    json_t *members = json_pack("{s:s, s:s, s:I, s:i, s:f, s:f, s:f, s:f}", "net", b->net->name, "name", name,
                                "examples", (json_int_t)n, "repeats", count, "median", median, "min", times[0], "max",
                                times[count - 1], "examples_per_second", (double)n / median);
    if (flops > 0) json_object_set_new(members, "gflops", json_real(flops * (double)n / median * 1e-9));
    deq_report_event(&b->app->reporter, "bench", members);
    return true;
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
    void *p = aligned_alloc(DEQ_ALIGN, size);
    if (p) memset(p, 0, size);
    return p;
}

static void fill_random(void *values, int64_t count, int real_bits, double scale) {
    for (int64_t i = 0; i < count; i++) {
        double v = scale * deq_uniform(5, (uint64_t)i);
        if (real_bits == 64)
            ((double *)values)[i] = v;
        else
            ((float *)values)[i] = (float)v;
    }
}

static bool bench_fixed(Bench *b, const deq_fixed *fixed, const char *path, double flops) {
    int64_t n = deq_engine_block(b->engine);
    int bits = (int)b->app->module->real_bits;
    int32_t *rows = malloc((size_t)n * sizeof *rows);
    deq_frame frame = {.shared = deq_engine_parameters(b->engine),
                       .accum = block_of(b->net->accum_bytes),
                       .rest = block_of(n * fixed->rest_bytes),
                       .drest = block_of(n * fixed->rest_bytes),
                       .rows = rows,
                       .tape = block_of(n * fixed->tape_bytes),
                       .scratch = block_of(fixed->f_base_bytes + n * fixed->f_row_bytes),
                       .example = b->index,
                       .arg0 = block_of(n * fixed->state_bytes),
                       .arg1 = block_of(n * fixed->state_bytes)};
    bool ok =
        rows && frame.accum && frame.rest && frame.drest && frame.tape && frame.scratch && frame.arg0 && frame.arg1;
    if (!ok) deq_fail(b->e, DEQ_MEMORY, "out of memory for a benchmark");
    if (ok) {
        for (int64_t i = 0; i < n; i++) rows[i] = (int32_t)i;
        fill_random(frame.arg0, n * fixed->state_bytes / (bits / 8), bits, 1);
        const struct {
            const char *name;
            deq_routine_fn *function;
            double flops;
        } list[] = {{"f", fixed->f, flops},
                    {"lin", fixed->lin, flops},
                    {"vjp_z", fixed->vjp_z, flops},
                    {"vjp_rest", fixed->vjp_rest, 0},
                    {"vjp_all", fixed->vjp_all, 0}};
        for (size_t i = 0; ok && i < sizeof list / sizeof list[0]; i++) {
            if (!list[i].function) continue;
            char name[200];
            snprintf(name, sizeof name, "%s%s%s (one block)", path, *path ? "." : "", list[i].name);
            ok = measure(b, name, n, list[i].flops, call_routine, &(Routine){list[i].function, &frame, n});
        }
    }
    void *blocks[] = {rows, frame.accum, frame.rest, frame.drest, frame.tape, frame.scratch, frame.arg0, frame.arg1};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) free(blocks[i]);
    return ok;
}

/* --- whole calls --- */

static bool call_forward(Bench *b, const void *what) {
    (void)what;
    deq_results r = {0};
    return deq_engine_forward(b->engine, b->batch, b->x, b->output, &r, b->e);
}

static bool call_loss(Bench *b, const void *what) {
    deq_results r = {0};
    deq_source source = deq_dense_source(&b->data);
    return deq_engine_evaluate(b->engine, &source, b->index, b->batch, what, NULL, NULL, 0, NULL, NULL, &r, b->e);
}

static bool call_input(Bench *b, const void *what) {
    deq_results r = {0};
    return deq_engine_input_gradient(b->engine, b->batch, b->x, b->y, what, b->dx, &r, b->e);
}

static bool call_parameters(Bench *b, const void *what) {
    deq_results r = {0};
    deq_source source = deq_dense_source(&b->data);
    return deq_engine_gradient(b->engine, &source, b->index, b->batch, what, NULL, NULL, 0, 0, &r, b->e);
}

static bool call_attack(Bench *b, const void *what) {
    const deq_train_spec *t = what;
    double scalars[64];
    deq_attack attack = deq_app_attack(t->attack, scalars);
    deq_results r = {0};
    deq_source source = deq_dense_source(&b->data);
    return deq_engine_evaluate(b->engine, &source, b->index, b->batch, t->loss, NULL, &attack, 0, NULL, NULL, &r, b->e);
}

typedef struct Step {
    const deq_train_spec *train;
    double *scalars;
    deq_attack *attack;
} Step;

static bool call_step(Bench *b, const void *what) {
    const Step *s = what;
    deq_results r = {0};
    deq_source source = deq_dense_source(&b->data);
    return deq_engine_gradient(b->engine, &source, b->index, b->batch, s->train->loss, NULL, s->attack, 0, 1, &r,
                               b->e) &&
           deq_engine_update(b->engine, s->train->optimiser.routine, s->train->optimiser.states, s->scalars, b->e);
}

static bool bench_train(Bench *b, const deq_train_spec *t) {
    double scalars[66] = {1, 1000}, attack_scalars[64];
    if (t->optimiser.nscalars > 64 || (t->attack && t->attack->nscalars > 64)) return true;
    for (int i = 0; i < t->optimiser.nscalars; i++) scalars[2 + i] = t->optimiser.scalars[i].value;
    deq_attack attack = t->attack ? deq_app_attack(t->attack, attack_scalars) : (deq_attack){0};
    uint32_t token = deq_engine_save_settings(b->engine);
    char name[200];
    bool ok = deq_app_override(b->engine, t->overrides, t->noverrides, b->e) &&
              deq_app_override(b->engine, t->set, t->nset, b->e) &&
              deq_engine_optimiser(b->engine, t->optimiser.states, b->e);
    if (ok && t->attack) {
        snprintf(name, sizeof name, "train %s: attack %s, loss", t->name, t->attack->name);
        ok = measure(b, name, b->batch, 0, call_attack, t);
    }
    snprintf(name, sizeof name, "train %s: step", t->name);
    ok = ok && measure(b, name, b->batch, 0, call_step, &(Step){t, scalars, t->attack ? &attack : NULL});
    deq_engine_restore_settings(b->engine, token);
    return ok;
}

/* --- the work of the literature: forced step counts, so that every implementation does the same --- */

static const char *const solves[] = {"broyden", "anderson", "picard"};
static const int solve_steps[] = {8, 18, 50};

/* Forward solver and gradient mode of every fixed point; false when this version lacks the mode. */
static bool set_work(Bench *b, const char *forward, const char *gradient) {
    deq_error ignored = {0};
    char path[256];
    for (int i = 0; i < b->net->nfixed; i++) {
        snprintf(path, sizeof path, "%s%sforward", b->net->fixed[i].path, *b->net->fixed[i].path ? "." : "");
        if (!deq_engine_set(b->engine, path, forward, &ignored)) return false;
    }
    return !gradient || deq_engine_set(b->engine, "gradient", gradient, &ignored);
}

static bool bench_solves(Bench *b) {
    char name[200], forward[200];
    bool ok = true;
    for (size_t s = 0; s < sizeof solves / sizeof solves[0]; s++)
        for (size_t k = 0; ok && k < sizeof solve_steps / sizeof solve_steps[0]; k++) {
            snprintf(forward, sizeof forward, "%s(tol: 0, max: %d, return: last)", solves[s], solve_steps[k]);
            snprintf(name, sizeof name, "predict, %s %d", solves[s], solve_steps[k]);
            if (set_work(b, forward, NULL)) ok = measure(b, name, b->batch, 0, call_forward, NULL);
        }
    return ok;
}

static const struct {
    const char *name, *forward, *gradient;
} works[] = {
    {"exact 18/20", "broyden(tol: 0, max: 18, return: last)", "implicit(broyden(tol: 0, max: 20, return: last))"},
    {"phantom 8+5", "broyden(tol: 0, max: 8, return: last)", "phantom.unroll(steps: 5, damping: 0.5)"},
    {"simultaneous ensemble 8", "broyden(tol: 0, max: 8, return: last)",
     "simultaneous(states: 1..9, beta: 0.5, combine: mean)"},
    {"unrolled ensemble 8 x 5", "broyden(tol: 0, max: 8, return: last)",
     "unrolled(from: 1..9, steps: 5, damping: 0.5)"},
};

/* Every attack of the script's evaluations on this net, once. */
static bool bench_attacks(Bench *b, const char *work) {
    const deq_manifest *m = b->app->manifest;
    char name[200];
    bool ok = true;
    for (int i = 0; i < m->nexperiments && ok; i++)
        for (int c = 0; c < m->experiments[i].ncells && c < 1 && ok; c++)
            for (int k = 0; k < m->experiments[i].cells[c].nvalues && ok; k++) {
                const deq_value_spec *v = &m->experiments[i].cells[c].values[k];
                if (v->kind != DEQ_EVALUATE || !v->attack || v->attack->gradient || v->attack->nscalars > 64) continue;
                deq_train_spec as = {.attack = v->attack, .loss = v->loss};
                snprintf(name, sizeof name, "attack %s, %s", v->attack->name, work);
                ok = measure(b, name, b->batch, 0, call_attack, &as);
            }
    return ok;
}

static bool bench_works(Bench *b) {
    const deq_manifest *m = b->app->manifest;
    char name[200];
    bool ok = true;
    for (size_t w = 0; ok && w < sizeof works / sizeof works[0]; w++) {
        if (!set_work(b, works[w].forward, works[w].gradient)) continue;
        for (int i = 0; ok && i < b->net->nlosses; i++) {
            snprintf(name, sizeof name, "%s: input gradient, %s", b->net->losses[i].name, works[w].name);
            ok = measure(b, name, b->batch, 0, call_input, b->net->losses[i].name);
        }
        for (int i = 0; ok && i < m->ntrains; i++) {
            const deq_train_spec *t = &m->trains[i];
            double scalars[66] = {1, 1000};
            if (t->net != b->net || t->optimiser.nscalars > 64) continue;
            for (int k = 0; k < t->optimiser.nscalars; k++) scalars[2 + k] = t->optimiser.scalars[k].value;
            snprintf(name, sizeof name, "train %s: step, %s", t->name, works[w].name);
            ok = deq_engine_optimiser(b->engine, t->optimiser.states, b->e) &&
                 measure(b, name, b->batch, 0, call_step, &(Step){t, scalars, NULL});
        }
        ok = ok && bench_attacks(b, works[w].name);
    }
    return ok;
}

static bool bench_calls(Bench *b) {
    const deq_net_spec *net = b->net;
    const deq_manifest *m = b->app->manifest;
    char name[200];
    bool ok = measure(b, "predict", b->batch, 0, call_forward, NULL);
    for (int i = 0; ok && i < net->nlosses; i++) {
        const char *loss = net->losses[i].name;
        snprintf(name, sizeof name, "%s: loss", loss);
        ok = measure(b, name, b->batch, 0, call_loss, loss);
        snprintf(name, sizeof name, "%s: gradient in the input", loss);
        ok = ok && measure(b, name, b->batch, 0, call_input, loss);
        snprintf(name, sizeof name, "%s: gradient in parameters", loss);
        ok = ok && measure(b, name, b->batch, 0, call_parameters, loss);
    }
    for (int i = 0; ok && i < m->ntrains; i++)
        if (m->trains[i].net == net) ok = bench_train(b, &m->trains[i]);
    uint32_t token = deq_engine_save_settings(b->engine);
    ok = ok && bench_solves(b) && bench_works(b);
    deq_engine_restore_settings(b->engine, token);
    return ok;
}

static bool bench_net(deq_app *app, const deq_net_spec *net, deq_error *e) {
    int bits = (int)app->module->real_bits;
    int64_t inputs = net->input.elements, targets = deq_target_elements(&net->target), real = bits / 8;
    Bench b = {.app = app, .net = net, .e = e, .engine = deq_app_engine(app, net, e)};
    if (!b.engine || !deq_engine_init(b.engine, 0, e)) return false;
    deq_engine_prepare(b.engine);
    int64_t batch = b.batch = app->options->batch > 0 ? app->options->batch : BATCH;
    int64_t rows = deq_engine_block(b.engine) > batch ? deq_engine_block(b.engine) : batch;
    b.x = block_of(batch * inputs * real);
    b.y = block_of(batch * targets * real);
    b.dx = block_of(batch * inputs * real);
    b.output = block_of(batch * net->output.elements * real);
    b.index = deq_index_range(rows);
    bool ok =
        b.x && b.y && b.dx && b.output && b.index ? true : deq_fail(e, DEQ_MEMORY, "out of memory for a benchmark");
    if (ok) {
        fill_random(b.x, batch * inputs, bits, 1);
        if (!net->target.labels) fill_random(b.y, batch * targets, bits, 1); /* labels stay 0 */
        b.data = (deq_dense){b.x, b.y, inputs, targets};
        deq_report(&app->reporter, "%s, %s, block of %lld examples\n  %-34s %6s %11s %11s %11s %12s %10s", net->name,
                   app->manifest->real, (long long)deq_engine_block(b.engine), "", "rows", "median ms", "min ms",
                   "max ms", "examples/s", "GFLOP/s");
    }
    for (int i = 0; ok && i < net->nfixed; i++) {
        double flops =
            json_number_value(json_object_get(json_array_get(json_object_get(net->json, "fixed"), (size_t)i), "flops"));
        for (int64_t k = 0; k < app->module->fixed_count && ok; k++)
            if (!strcmp(app->module->fixed[k]->name, net->fixed[i].name))
                ok = bench_fixed(&b, app->module->fixed[k], net->fixed[i].path, flops);
    }
    ok = ok && bench_calls(&b);
    free(b.x);
    free(b.y);
    free(b.dx);
    free(b.output);
    free(b.index);
    return ok;
}

int deq_app_bench(const deq_module *module, const deq_app_options *options) {
    deq_app app;
    deq_error e = {0};
    deq_signals_install();
    bool ok = deq_app_open(&app, module, options, &e) && deq_app_apply_settings(&app, &e);
    for (int i = 0; ok && i < app.manifest->nnets; i++) ok = bench_net(&app, &app.manifest->nets[i], &e);
    if (!ok) deq_report_error(&app.reporter, &e);
    deq_app_close(&app);
    deq_signals_restore();
    return ok ? 0 : deq_failure_exit(e.failure);
}
