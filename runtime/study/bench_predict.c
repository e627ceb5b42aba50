/* bench_predict.c - `deq bench --predict`: how long the script's training runs take on several machines, from what a step
 * costs here and what the ranks send each other (predict.h). */
#include "bench.h"
#include "predict.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_NODES 32 /* numbers in a list of nodes */
#define NODES "1,8,32"
#define CORES 16

typedef struct Asked { /* by the command line */
    deq_network network;
    int nodes[MOST_NODES], count, cores;
} Asked;

static bool read_nodes(const char *text, Asked *a, deq_error *e) {
    for (const char *c = text;; c++) {
        char *end;
        errno = 0;
        const long n = strtol(c, &end, 10);
        if (end == c || errno || n < 1 || n > 100000 || (*end && *end != ',') || a->count == MOST_NODES)
            return deq_fail(e, DEQ_SETTING, "--nodes takes up to %d numbers from 1 to 100000, as 1,8,32, not '%s'",
                            MOST_NODES, text);
        a->nodes[a->count++] = (int)n;
        c = end;
        if (!*c) return true;
    }
}

static bool read_asked(const deq_app_options *o, Asked *a, deq_error *e) {
    *a = (Asked){.cores = o->cores > 0 ? o->cores : CORES};
    return deq_network_of(o->predict, &a->network, e) && read_nodes(o->nodes ? o->nodes : NODES, a, e);
}

/* ---- what a step costs ---- */
static bool call_update(Bench *b, const void *what) {
    const BenchStep *s = what;
    return deq_engine_update(b->engine, s->train->optimiser.routine, s->train->optimiser.states, s->scalars, b->e);
}

/* Seconds of one core for an example of a call of so many seconds that all threads share. */
static double of_example(const Bench *b, double seconds) {
    const int tasks = deq_engine_shards(b->engine, b->batch);
    const double cores = b->app->options->processor ? 1 : tasks < b->threads ? tasks : b->threads;
    return seconds * cores / (double)b->batch;
}

/* Of the attack, what a block takes and what each of its examples takes: from a batch of one beside the whole batch. */
static bool measure_block(Bench *b, const BenchStep *attacked, double attack, deq_step_cost *c) {
    const int64_t batch = b->batch, blocks = bench_blocks(b, batch, b->threads);
    double plain, whole;
    c->attack = attack;
    if (blocks >= batch) return true;
    b->batch = 1;
    const bool ok = bench_time(b, bench_call_step, &(BenchStep){attacked->train, attacked->scalars, NULL}, &plain) &&
                    bench_time(b, bench_call_step, attacked, &whole);
    b->batch = batch;
    if (!ok) return false;
    const double each = (attack * (double)batch - (double)blocks * fmax(whole - plain, 0)) / (double)(batch - blocks);
    c->attack = fmin(fmax(each, 0), attack);
    c->attack_block = (attack - c->attack) * (double)batch / (double)blocks;
    return true;
}

/* As the training does it, at the batch of the benchmark. */
static bool measure(Bench *b, const deq_train_spec *t, deq_step_cost *c) {
    double scalars[2 + DEQ_MOST_SCALARS] = {1, 1000}, attack_scalars[DEQ_MOST_SCALARS], plain, whole;
    for (int i = 0; i < t->optimiser.nscalars; i++) scalars[2 + i] = t->optimiser.scalars[i].value;
    deq_attack attack = t->attack ? deq_app_attack_in_training(t->attack, attack_scalars) : (deq_attack){0};
    int64_t before[2], after[2];
    /* With the statistics of the batch an attack runs in its parts, and meets as the gradient does: they are one. */
    const BenchStep attacked = {t, scalars, &attack}, bare = {t, scalars, attack.in_batch ? &attack : NULL};
    if (!bench_time(b, call_update, &bare, &c->update) || !bench_time(b, bench_call_step, &bare, &plain)) return false;
    if (t->attack && !attack.in_batch &&
        (!bench_time(b, bench_call_step, &attacked, &whole) ||
         !measure_block(b, &attacked, of_example(b, fmax(whole - plain, 0)), c)))
        return false;
    c->gradient = of_example(b, fmax(plain - c->update, 0));
    if (deq_engine_in_pairs(b->engine, b->batch)) {
        c->paired = c->gradient;
        deq_engine_apart(b->engine, true);
        const bool ok = bench_time(b, bench_call_step, &bare, &plain);
        deq_engine_apart(b->engine, false);
        if (!ok) return false;
        c->gradient = of_example(b, fmax(plain - c->update, 0));
    }
    deq_engine_parts(b->engine, b->batch, &before[0], &before[1]);
    if (!bench_call_step(b, &bare)) return false;
    deq_engine_parts(b->engine, b->batch, &after[0], &after[1]);
    c->meetings = (double)(after[0] - before[0]);
    c->meeting_bytes = (double)(after[1] - before[1]);
    return true;
}

static void count(const Bench *b, const deq_train_spec *t, deq_step_cost *c) {
    int64_t unused[2];
    c->batch = t->batch, c->accumulate = t->accumulate;
    c->coupled = deq_engine_parts(b->engine, t->batch, &unused[0], &unused[1]) > 0;
    c->shards = deq_engine_shards(b->engine, t->batch);
    c->small_blocks = deq_engine_attack_blocks(b->engine, t->batch, t->batch) == t->batch;
    c->blocks = bench_blocks(b, t->batch, 1);
    c->gradient_bytes = deq_engine_gradient_bytes(b->engine);
    c->told_bytes = deq_engine_told_bytes(b->engine, t->batch, c->coupled ? c->shards : c->blocks, t->attack);
    c->attacked_bytes = t->batch * (int64_t)deq_engine_input_bytes(b->engine) +
                        deq_engine_told_bytes(b->engine, t->batch, c->blocks, true);
}

/* ---- what is said ---- */
/* Examples of an epoch: the slice says it, or its data. */
static bool examples_of(Bench *b, const deq_train_spec *t, int64_t *examples) {
    int64_t from = t->data.from, to = t->data.to;
    if (to < 0) {
        deq_dataset *data = deq_app_data(b->app, t->data.data, b->e);
        if (!data || !deq_dataset_slice(data, &t->data, &from, &to, b->e)) return false;
    }
    *examples = deq_train_examples(t, to - from);
    return true;
}

static void report_head(Bench *b, const deq_train_spec *t, const Asked *a, const deq_step_cost *c, int64_t steps) {
    const double attack = c->attack + c->attack_block * (double)c->blocks / (double)c->batch;
    const bool together = t->attack && t->attack->in_batch;
    deq_report(&b->app->reporter,
               "train %s: batches of %lld, %lld steps an epoch, %lld epochs; an example takes %.4g s of a core here "
               "(%s%.4g), the optimiser %.4g s\n"
               "nodes of %d cores, a message takes %.3g us, %.3g GB/s%s\n"
               "%8s %8s %10s %13s %11s %10s %12s %10s %20s",
               t->name, (long long)t->batch, (long long)steps, (long long)t->epochs, attack + c->gradient,
               together ? "the attack in the batch and the gradient " : "attack ", together ? c->gradient : attack,
               c->update, a->cores, 1e6 * a->network.latency, 1e-9 * a->network.bandwidth,
               c->coupled ? "; statistics of the batch make its parts meet" : "", "nodes", "busy", "step s",
               "reductions s", "meetings s", "update s", "MB of a rank", "hours", "hours, all cores busy");
}

static void report_row(Bench *b, const deq_train_spec *t, const Asked *a, int nodes, double steps,
                       const deq_step_prediction *p) {
    const double hours = steps * p->step / 3600, ideal = steps * p->ideal / 3600;
    deq_report(&b->app->reporter, "%8d %8d %10.4g %13.4g %11.4g %10.4g %12.4g %10.4g %20.4g", nodes, p->busy, p->step,
               p->reduction, p->meetings, p->update, 1e-6 * (double)p->reduced, hours, ideal);
    deq_report_event(&b->app->reporter, "predict",
                     json_pack("{s:s, s:s, s:f, s:f, s:i, s:i, s:i, s:f, s:f, s:f, s:f, s:f, s:I, s:f, s:f}", "name",
                               t->name, "net", b->net->name, "latency", a->network.latency, "bandwidth",
                               a->network.bandwidth, "nodes", nodes, "cores", a->cores, "busy", p->busy, "step",
                               p->step, "compute", p->compute, "update", p->update, "reductions", p->reduction,
                               "meetings", p->meetings, "reduced", (json_int_t)p->reduced, "hours", hours,
                               "hours_all_busy", ideal));
}

static bool predict_train(Bench *b, const deq_train_spec *t, const Asked *a) {
    deq_step_cost cost = {0};
    int64_t examples;
    const uint32_t token = deq_engine_save_settings(b->engine);
    bool ok = examples_of(b, t, &examples) && deq_app_in_training(b->engine, t, b->e) &&
              deq_engine_optimiser(b->engine, t->optimiser.states, b->e);
    if (ok) count(b, t, &cost);
    ok = ok && measure(b, t, &cost);
    if (ok) {
        const int64_t each = t->batch * t->accumulate, steps = (examples + each - 1) / each;
        report_head(b, t, a, &cost, steps);
        for (int i = 0; i < a->count; i++) {
            const deq_step_prediction p = deq_predict_step(&cost, &a->network, a->nodes[i], a->cores);
            report_row(b, t, a, a->nodes[i], (double)(steps * t->epochs), &p);
        }
    }
    deq_engine_restore_settings(b->engine, token);
    return ok;
}

bool bench_predict(Bench *b) {
    const deq_manifest *m = b->app->manifest;
    Asked asked;
    if (!read_asked(b->app->options, &asked, b->e)) return false;
    for (int i = 0; i < m->ntrains; i++)
        if (bench_trains(b, &m->trains[i]) && m->trains[i].optimiser.routine &&
            !predict_train(b, &m->trains[i], &asked))
            return false;
    return true;
}
