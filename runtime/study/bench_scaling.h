/* bench_scaling.h - the points of deq bench --scaling, gathered from all nets of a script. */
#ifndef DEQ_RUNTIME_BENCH_SCALING_H
#define DEQ_RUNTIME_BENCH_SCALING_H
#include "bench.h"

enum { MOST_POINTS = 64 };

typedef struct ScalingLine { /* the cost of one work along one axis, by rising x */
    int axis, n;
    char name[200];
    double x[MOST_POINTS], y[MOST_POINTS]; /* y: seconds */
} ScalingLine;

typedef struct Scaling {
    ScalingLine *lines; /* the caller frees them */
    int n;
} Scaling;

/* needs: b->f has been measured.  Leaves the engine's settings as they were. */
bool bench_scaling(Bench *b, Scaling *s);
/* Prints the exponents; scaling.csv, scaling.gp and scaling.png in the folder of results. */
bool bench_scaling_write(deq_app *app, const Scaling *s, deq_error *e);
#endif
