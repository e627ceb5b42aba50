/* bench.h - what the parts of `deq bench` share: one net, a batch for it, and rows that time calls on them.
 * Files: bench.c, bench_works.c, bench_scaling.c, bench_predict.c. */
#ifndef DEQ_RUNTIME_BENCH_H
#define DEQ_RUNTIME_BENCH_H
#include "app_state.h"
#include "dense.h"

typedef struct Bench {
    deq_app *app;
    const deq_net_spec *net;
    deq_engine *engine;
    deq_dense data;
    void *x, *y, *dx, *output;
    int64_t *index, batch;
    double peak[2]; /* multiply-adds of one thread and of all threads, FLOP/s */
    int threads;
    /* of a whole batch: seconds of one f, vjp_z, vjp_rest when every thread takes its blocks */
    double f, vjp_z, vjp_rest;
    double evaluations; /* of f, with its tape or without, that the last call has made for an example; NaN not known */
    deq_error *e;
} Bench;

typedef bool BenchWork(Bench *b, const void *what);

/* What a training step needs beside the data. */
typedef struct BenchStep {
    const deq_train_spec *train;
    double *scalars;
    deq_attack *attack;
} BenchStep;

/* --- bench.c --- */
bool bench_selected(const deq_app_options *options, const char *row); /* the options want this row */
/* A training run of this net; where the options name one, only that. */
bool bench_trains(const Bench *b, const deq_train_spec *t);
/* Inputs, targets and room for `rows` examples; */
bool bench_data(Bench *b, int64_t rows);
/* A row of a whole batch on all threads; bound: as in bench.c's rows, 0 not known. */
bool bench_measure(Bench *b, const char *name, double bound, BenchWork *work, const void *what);
/* Blocks in which a batch calls the routines of fixed points: attacks on a coupled one, and its parts in pairs; else all. */
int64_t bench_blocks(const Bench *b, int64_t batch, int64_t threads);
/* Median seconds of a call, without a row for it. */
bool bench_time(Bench *b, BenchWork *work, const void *what, double *seconds);
bool bench_call_forward(Bench *b, const void *what);
bool bench_call_input(Bench *b, const void *loss);
bool bench_call_attack(Bench *b, const void *train);
bool bench_call_step(Bench *b, const void *step);

/* --- bench_works.c --- */
/* Forward solver and gradient mode (NULL: as it is) of every fixed point; false when this version lacks the mode. */
bool bench_set_work(Bench *b, const char *forward, const char *gradient);
bool bench_solves(Bench *b);
bool bench_works(Bench *b);
/* By how much training steps on `b->net` make the peak of resident memory grow, each in a process of its own.  Before
 * anything else has used memory or threads: b has its app, net, batch and error, no engine. */
bool bench_memory(Bench *b);

/* --- bench_predict.c --- */
/* What the training runs of this net take on the machines that the options name. */
bool bench_predict(Bench *b);
#endif
