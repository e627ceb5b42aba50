/* engine.h - one net, ready to run: parameters, settings, workspaces and worker threads.
 *
 * The batch is cut into blocks of deq_engine_block() examples; a worker takes a block, gathers it, and runs whole
 * routines (attack, forward, gradient) on it before the next.  Sums over examples are made per shard: shard s of S
 * takes blocks s, s + S, ... in order, and shards are added in an order that S alone decides (engine_shards.h), so
 * results do not depend on the thread count. A net with statistics of the batch computes its training gradient in parts
 * that meet, a shard each; attacks on it run block by block before. Everything works in the module's precision
 * (real_bits); the interface speaks double where single values cross it.
 * Files: engine*.c. */
#ifndef DEQ_RUNTIME_ENGINE_H
#define DEQ_RUNTIME_ENGINE_H
#include "deq_runtime.h"
#include "error.h"
#include "manifest.h"
#include "settings.h"
#include "statistics.h"
#include <jansson.h>

#define DEQ_SHARDS 64 /* at most */

typedef struct deq_engine deq_engine;

/* Where examples come from.  `gather` is called from worker threads: writes n rows of inputs (input_bytes apart) and,
 * unless y is NULL, targets (target_bytes apart; a label is its index as a real), padding zero, in the module's
 * precision. */
typedef struct deq_source {
    void *context;
    void (*gather)(void *context, const int64_t *index, int64_t n, int real_bits, void *x, int64_t input_bytes, void *y,
                   int64_t target_bytes);
} deq_source;

typedef struct deq_engine_options {
    int threads;
    int block; /* 0: chosen */
    bool
        dealt; /* deq_engine_evaluate, .._gradient and .._input_gradients are dealt to all ranks: all make these calls alike */
    deq_engine *share; /* another engine of the same net, whose parameters are this one's too; it lives longer.  NULL */
} deq_engine_options;

/* `net` is one of the manifest's, and lives as long as the engine.  Parameters are zero until initialised or loaded. */
deq_engine *deq_engine_new(const deq_module *module, const deq_net_spec *net, const deq_engine_options *options,
                           deq_error *e);
void deq_engine_free(deq_engine *engine);

/* Draws every parameter from its initialiser, keyed by (seed, path). */
bool deq_engine_init(deq_engine *engine, uint64_t seed, deq_error *e);
/* The parameter vector (parameter_bytes of reals, offsets as in the manifest) and, after it, the buffers.  Call
 * deq_engine_prepare after writing to it. */
void *deq_engine_parameters(deq_engine *engine);
void deq_engine_prepare(deq_engine *engine);
uint64_t deq_engine_prepared(const deq_engine *engine);         /* how often the parameters were prepared */
int64_t deq_engine_block(const deq_engine *engine);             /* most examples of a block */
int64_t deq_engine_blocks(const deq_engine *engine, int64_t n); /* into which a call on n examples is cut */
const deq_net_spec *deq_engine_net(const deq_engine *engine);
size_t deq_engine_input_bytes(const deq_engine *engine); /* of a dense input, in the module's precision */
int deq_engine_threads(const deq_engine *engine);        /* of its pool, the caller's among them */
int64_t deq_engine_memory(const deq_engine *engine);     /* bytes held: parameters, shards, workspaces */

/* Settings by path: "body.forward.tol"; "gradient" alone sets the mode of every fixed point; "defence" (defence.h) what
 * the predictions of deq_engine_evaluate and deq_engine_forward are read off: gradients, attacks and traces are those
 * of the undefended net. */
bool deq_engine_set(deq_engine *engine, const char *path, const char *value, deq_error *e);
/* Whether the forward solvers serve the gradient modes, and the mode of an attack (NULL: none of its own). */
bool deq_engine_check_settings(const deq_engine *engine, const char *attack_gradient, deq_error *e);
/* Bytes that the solves of one example more take, under the settings in force and the mode of an attack (NULL: none of its
 * own), with the defence if there is one; -1: no memory to find out, or they do not go together. */
int64_t deq_engine_example_bytes(deq_engine *engine, const char *attack_gradient);
void deq_engine_settings(const deq_engine *engine, json_t *out); /* resolved settings as an object path -> text */
const deq_mode *deq_engine_mode(const deq_engine *engine,
                                int fixed);                        /* of fixed point `fixed`; until the next setting */
int64_t deq_engine_dimension(const deq_engine *engine, int fixed); /* elements of its state */
const deq_solver *deq_engine_solver(const deq_engine *engine, int fixed); /* its forward solver, likewise */
/* Which state is the value of each fixed point (allocated; NULL: no memory), and the same given to those that do not say. */
deq_finish *deq_engine_finishes(const deq_engine *engine);
void deq_engine_settle_finishes(deq_engine *engine, const deq_finish *finishes);
/* A call may fail after it has written results of some examples: `on_fail: stop`, a gradient by hand. */
bool deq_engine_may_stop(const deq_engine *engine);
bool deq_engine_penalised(const deq_engine *engine);                  /* a fixed point has a penalty */
bool deq_engine_corrected(const deq_engine *engine);                  /* a correction among them */
uint32_t deq_engine_save_settings(deq_engine *engine);                /* push the current settings... */
void deq_engine_restore_settings(deq_engine *engine, uint32_t token); /* ...and return to them */
void deq_engine_first_settings(
    deq_engine *engine); /* makes those the current ones that were pushed first, if any were */

/* What `replay:` carries from call to call: row i of `perturbation` (dense rows of the module's reals) moves example i of a
 * call, clamped to low .. high, and is itself moved by `step` along the sign of its loss's gradient there, within `radius`. */
typedef struct deq_carried {
    void *perturbation;
    deq_replay how;
} deq_carried;

typedef struct deq_attack { /* an attack instance on this net */
    const char *routine;
    const double *scalars;
    const char *gradient; /* mode used while attacking, NULL: the net's own */
    const void *known;    /* where it has led these examples before, as deq_results.inputs: it is not run again; NULL */
    bool surrogate;       /* its losses and logits are those of the states at which its gradients are taken */
    bool defended;        /* they, and its gradients, are those of the net's defence, if it has one */
    bool in_batch;        /* deq_engine_gradient: the routine takes statistics of the batch */
    /* In the place of a routine: deq_engine_gradient takes the gradient at inputs moved by it, and moves it along.  Of a
     * loss compiled for it.  NULL. */
    const deq_carried *carried;
} deq_attack;

/* Per-example results; any array may be NULL. */
typedef struct deq_results {
    double *loss, *metric;   /* at the attacked input when there is an attack */
    int32_t *prediction;     /* argmax of the output; -1: an element is NaN */
    double *penalty;         /* deq_engine_gradient: the penalties of the settings, summed over fixed points, which then
                                are part of what is differentiated; NULL: the gradient is the loss's alone */
    double *correction;      /* the same of `penalty: correction(..)`; needs `penalty` */
    float *steps, *residual; /* of the final prediction's forward solve (sum / worst over fixed points) */
    double *margin;          /* output of the label minus the largest other one; NaN where the target is no label */
    int32_t *label;          /* -1: the target is none */
    deq_row_counts *attack, *counts; /* what the attack's queries cost and met; the same of what came after it */
    double *distance[3];             /* of what the attack changed: the largest, the Euclidean length, the sum */
    void *inputs;                    /* dense rows of the module's reals: the inputs that the results are of */
    /* Told of examples from .. from + n - 1 of the call as soon as their results are there, by the thread that made them:
     * several may tell at once.  `inputs`: those that the results are of, rows of the module's reals that begin `apart`
     * bytes after each other, until it returns; NULL where another rank has made clean ones.  `here`: this rank has made
     * them.  NULL: nobody. */
    void (*finished)(void *context, int64_t from, int64_t n, const void *inputs, size_t apart, bool here);
    void *finished_context;
    deq_solve_statistics forward, adjoint; /* filled always; without the solves of the attack's queries */
} deq_results;

typedef bool deq_progress(void *context, int64_t done, int64_t total); /* false: stop early */

/* Evaluates examples index[0..n): output, loss and metric by name (NULL: not wanted), after `attack` unless NULL. */
bool deq_engine_evaluate(deq_engine *engine, const deq_source *source, const int64_t *index, int64_t n,
                         const char *loss, const char *metric, const deq_attack *attack, uint64_t seed,
                         deq_progress *progress, void *context, deq_results *results, deq_error *e);

/* Mean gradient of the loss over the batch (at the attacked input when there is an attack), left in the gradient
 * vector, ready for deq_engine_update.  `step` keys the attack's random draws. */
bool deq_engine_gradient(deq_engine *engine, const deq_source *source, const int64_t *index, int64_t n,
                         const char *loss, const char *metric, const deq_attack *attack, uint64_t seed, uint64_t step,
                         deq_results *results, deq_error *e);
/* start: previous.  From now on the solves of deq_engine_gradient start where the last such call left the same example,
 * first <= index < first + count; at first, and everywhere else, from zero.  count 0: forgets.  Every other call starts
 * from zero, and an attack's solves where the one before them ended. */
bool deq_engine_remember(deq_engine *engine, int64_t first, int64_t count, deq_error *e);
void *deq_engine_previous(deq_engine *engine, int64_t *bytes); /* for checkpoints: all of it; NULL when there is none */
/* From now on the gradient modes that differentiate steps after a state (phantom.unroll, jfb) start from states held
 * constant: of each example below `count`, the one where the next call for a gradient solves to.  Later calls for
 * gradients make the steps from there and do not solve, so that their losses are, as functions of parameters and
 * inputs, just what these modes differentiate.  Called again it lets go of the states; count 0: and holds none. */
bool deq_engine_hold(deq_engine *engine, int64_t count, deq_error *e);
void *deq_engine_gradients(deq_engine *engine); /* same layout as the parameter vector */
/* Does the net compute something else in deq_engine_gradient (statistics of the batch, dropout) than elsewhere? */
bool deq_engine_training(const deq_engine *engine);

/* Makes `states` optimiser vectors, all zero: once before the first update of a training run (a checkpoint is loaded
 * after it). */
bool deq_engine_optimiser(deq_engine *engine, int states, deq_error *e);
/* One optimiser step: w, dw and `states` vectors through routine; scalars are t, steps and the optimiser's own.  Then
 * prepares. */
bool deq_engine_update(deq_engine *engine, const char *routine, int states, const double *scalars, deq_error *e);
/* Whether every parameter is finite. */
bool deq_engine_finite(deq_engine *engine);
/* A step of several batches: adds `share` times the gradient of the last one to the sum, which the first begins and the
 * last leaves in the gradient's place.  Each batch moves the statistics that the net keeps. */
bool deq_engine_gather(deq_engine *engine, double share, bool first, bool last, deq_error *e);
/* From now on the steps of parameter i are `rates[i]` times as long, of 0 none; NULL: all are as the optimiser says. */
bool deq_engine_rates(deq_engine *engine, const double *rates, deq_error *e);
/* Clips the gradient, without that of parameters of rate 0, which becomes 0.  Returns its Euclidean norm before; NaN where
 * nothing is to be clipped. */
double deq_engine_clip(deq_engine *engine, const deq_clip *clip, bool *clipped);
void *deq_engine_optimiser_states(deq_engine *engine, int64_t *bytes); /* for checkpoints: states one after the other */

/* Residual of every forward iteration for examples index[0..n): out[example * max + k], NaN where the solve had ended.
 */
bool deq_engine_residual_trace(deq_engine *engine, const deq_source *source, const int64_t *index, int64_t n, int max,
                               float *out, deq_error *e);

/* Solves of examples index[0..n) and, for the gradient of `loss` in the inputs, of their adjoints: out[fixed * n +
 * example].  A fixed point that the net uses twice leaves its last solve. */
bool deq_engine_solves(deq_engine *engine, const deq_source *source, const int64_t *index, int64_t n, const char *loss,
                       deq_solve_record *forward, deq_solve_record *adjoint, deq_error *e);

/* What deq_engine_states is asked for of fixed point `fixed`; any array may be NULL.  Rows are dense. */
typedef struct deq_state_rows {
    int fixed, first, last;    /* states z_first .. z_last, first >= 1 */
    void *states;              /* [n, last - first + 1, dimension]; after its end an example's last state stands on */
    float *residuals;          /* [n, last - first + 1]; NaN after the end */
    void *equilibrium;         /* [n, dimension]: the state that the net goes on with */
    deq_solve_record *records; /* [fixed points of the net, n] */
} deq_state_rows;
bool deq_engine_states(deq_engine *engine, const deq_source *source, int64_t n, const deq_state_rows *out,
                       deq_results *results, deq_error *e);

/* The spectrum of J at the equilibria of examples index[0..n): out[fixed * n + example] (spectral.h). */
struct deq_spectrum;
bool deq_engine_spectrum(deq_engine *engine, const deq_source *source, const int64_t *index, int64_t n,
                         struct deq_spectrum *out, deq_error *e);

/* Least eigenvalue of the symmetric part of I - L of fixed point `fixed`, whose equation is z = prox(L z + c): its
 * margin as a monotone operator.  NaN when it has no such form, or more than DEQ_RESOLVENT_MOST elements. */
bool deq_engine_margin(deq_engine *engine, int fixed, double *margin, deq_error *e);

/* Single calls for the C library and gradcheck: rows are dense (no padding), in the module's precision. */
bool deq_engine_forward(deq_engine *engine, int64_t n, const void *x, void *output, deq_results *results, deq_error *e);
/* Where the solves of a call on n examples have ended, so that its gradients need no solves. */
typedef struct deq_kept_states deq_kept_states;
deq_kept_states *deq_engine_keep(deq_engine *engine, int64_t n, const void *x, void *output, deq_results *results,
                                 deq_error *e); /* as deq_engine_forward */
void deq_kept_states_free(deq_kept_states *kept);
/* The loss's gradient in the inputs, example by example.  dx NULL: the loss alone. */
bool deq_engine_input_gradient(deq_engine *engine, int64_t n, const void *x, const void *y, const char *loss, void *dx,
                               deq_results *results, deq_error *e);
/* The same of examples of a source, index[0..n); index NULL: 0 .. n-1. */
bool deq_engine_input_gradients(deq_engine *engine, const deq_source *source, const int64_t *index, int64_t n,
                                const char *loss, void *dx, deq_results *results, deq_error *e);
/* The net's vector-Jacobian product, in its gradient mode: `cotangent` of the outputs (rows of output elements) goes to
 * dx (rows of input elements; NULL: not wanted) and, with `parameters`, summed over the examples to
 * deq_engine_gradients().  Modes that differentiate at several states take the same cotangent of the output at each.
 * Of the net as it predicts: with the statistics that it keeps, without dropout.  `kept`: by deq_engine_keep of the same
 * examples and parameters; its solves are taken where the mode needs nothing but where they ended.  NULL: all are made.
 * Needs a module with NET_objective_* (PipelineOptions.cotangents). */
bool deq_engine_vjp(deq_engine *engine, int64_t n, const void *x, const deq_kept_states *kept, const void *cotangent,
                    void *dx, bool parameters, deq_results *results, deq_error *e);

/* ---- what several ranks send each other in a step (engine_ranks.c, engine_run.c) ---- */
typedef struct deq_traffic { /* bytes of one rank */
    int64_t exchanged;       /* shards that it sends to those who add them */
    int64_t fetched;         /* shards that it gets, to add them */
    int64_t gathered;        /* its piece of the sum, to all others */
} deq_traffic;
/* Of the sum of a gradient of so many bytes over `shards` shards, of `ranks` ranks. */
deq_traffic deq_reduction_traffic(int64_t bytes, int shards, int ranks, int rank);
/* Parts of a batch whose statistics couple its examples, as it trains; 0: they do not.  In *meetings how often parts have
 * met so far, in *bytes what one of them has brought. */
int deq_engine_parts(const deq_engine *engine, int64_t n, int64_t *meetings, int64_t *bytes);
int deq_engine_shards(const deq_engine *engine, int64_t n); /* of a batch as it trains: its parts, if they meet */
/* Blocks of the attacks on a batch whose gradient comes later, where so many threads are: no bit depends on them. */
int64_t deq_engine_attack_blocks(const deq_engine *engine, int64_t n, int64_t threads);
/* Whether two parts of a batch at a time make their calls together here, which costs less and changes no bit; from now on
 * each makes its own, or no longer. */
bool deq_engine_in_pairs(const deq_engine *engine, int64_t n);
void deq_engine_apart(deq_engine *engine, bool apart);
int64_t deq_engine_gradient_bytes(const deq_engine *engine); /* as it is summed */
#define DEQ_TOLD_WHOLE 32768 /* bytes that a rank rather sends for nothing than meets the others once more */
/* What all ranks together tell the others of a batch of n examples in so many blocks, before the sum. */
int64_t deq_engine_told_bytes(const deq_engine *engine, int64_t n, int64_t blocks, bool attacked);
#endif
