/* probe.h - the mean loss of a net on a few examples as a function of its parameters and inputs: values, gradients and
 * differences of it.  What gradcheck and compare measure with.
 *
 * All of a gradient is one vector of doubles: the parameters in the engine's layout, then the examples' inputs. */
#ifndef DEQ_RUNTIME_PROBE_H
#define DEQ_RUNTIME_PROBE_H
#include "dense.h"

typedef struct deq_group { /* a part of the gradient vector: a parameter, all of them, or the inputs */
    const char *name;
    int64_t first, count;
    bool input;
} deq_group;

typedef struct deq_probe {
    const deq_net_spec *net;
    const char *loss;
    deq_engine *engine; /* its own */
    int real_bits;
    int64_t n, inputs, targets; /* examples; elements of a row */
    int64_t parameters, length; /* elements of the parameter vector; of a gradient: with n * inputs */
    void *x, *y;                /* dense rows of the module's reals */
    deq_dense data;
    int64_t *index;
    deq_group *groups; /* trained parameters in order, then "input" */
    int ngroups;
    deq_results last; /* statistics of the last loss or gradient */
    bool training;    /* losses are those whose gradient deq_engine_gradient gives: statistics of the batch, dropout */
    bool steps;       /* losses are those of the states that the gradient modes attach to, after steps from held states:
                         functions whose derivatives phantom.unroll, jfb and backprop compute, converged or not */
} deq_probe;

/* `block` 0: the engine's own choice.  Parameters are zero, examples are zero. */
bool deq_probe_open(deq_probe *p, const deq_module *module, const deq_net_spec *net, const char *loss, int64_t n,
                    int threads, int block, deq_error *e);
void deq_probe_close(deq_probe *p);
/* Initialised parameters, each moved by 0.05 normal draws (what starts at zero or one would hide terms); normal inputs;
 * random targets. */
bool deq_probe_random(deq_probe *p, uint64_t seed, deq_error *e);
/* The examples index[0..n) of the source. */
bool deq_probe_examples(deq_probe *p, const deq_source *source, const int64_t *index, deq_error *e);
/* The most steps, up to `wanted`, whose vectors (one a step for each example of a block) fit a gigabyte. */
int deq_probe_most_steps(const deq_probe *p, const deq_module *module, int wanted);

bool deq_probe_loss(deq_probe *p, double *loss, deq_error *e);
/* Under `steps`: the next loss solves again, and its states are held from then on. */
bool deq_probe_hold(deq_probe *p, deq_error *e);
/* out[0 .. length): of the mean loss.  Statistics in `last` cover both calls it takes. */
bool deq_probe_gradient(deq_probe *p, double *out, deq_error *e);
/* Is the group's gradient that of the net in training?  (That of the inputs is not.) */
bool deq_probe_in_training(const deq_probe *p, const deq_group *g);
/* Loss at the group's values + h * direction and - h * direction (f64 modules only); the values are put back. */
bool deq_probe_shifted(deq_probe *p, const deq_group *g, const double *direction, double h, double *above,
                       double *below, deq_error *e);
/* A direction of norm 1, drawn by key. */
void deq_probe_direction(uint64_t key, int64_t count, double *out);
/* A setting of the fixed point at `path`. */
bool deq_probe_set(deq_probe *p, const char *path, const char *key, const char *value, deq_error *e);
#endif
