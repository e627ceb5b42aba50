/* mode.h - a forward solve that a gradient follows, and what a gradient mode is to the numerics.
 *
 * A mode ID of modes.def is a file mode_ID.c that defines NAME(mode_ID). */
#ifndef DEQ_NUMERIC_MODE_H
#define DEQ_NUMERIC_MODE_H
#include "correct.h"
#include "finish.h"
#include "ride.h"

typedef struct forward {
    deq_worker *worker;
    const deq_fixed *fixed;
    const deq_fixed_settings *settings;
    deq_kept *kept; /* kept->mode: the mode */
    int64_t n;
    real *z;                   /* where the value goes with which the net goes on */
    bool surrogate;            /* that is the state at which the mode takes its gradient (judge: surrogate) */
    deq_frame frame;           /* of the cell's routines: without cotangents */
    deq_solver options;        /* of the forward solver */
    problem problem;           /* readied for it, but for the result */
    finish finish;             /* from its state to the value */
    deq_finish given;          /* its settings, where problem.defence is read and nothing is finished after it */
    images images;             /* problem.images, where the finish can use them */
    deq_space space;           /* behind what the problem needs until it is settled */
    bool open;                 /* the problem is solved, and not settled */
    deq_routine_fn *cotangent; /* the loss gradient at a state; not NULL where modes.def says TRAIT_LOSS */
    ride ride;                 /* problem.ride, where the mode has one */
    correct correct;           /* problem.correct, where there is a correction */
} forward;

typedef struct mode_routines {
    /* What n examples need under these settings, beside the forward solver's own memory. */
    deq_needs (*needs)(const deq_fixed *fixed, const deq_fixed_settings *s, int64_t n);
    /* What happens at the states while the solver runs; its mode, first and last state are set.  NULL: nothing. */
    void (*ride)(ride *r);
    /* Makes c->z, and keeps what `gradient` needs: c->kept->failed, bad and the rest. */
    void (*solve)(forward *c);
    /* Makes c->z the state at which the mode takes its gradient, without one.  NULL: that is the value. */
    void (*look)(forward *c);
    /* From the cotangent of z in arg1: fills drest, adds to accum unless NULL.  The frame is that of the linearisation
     * kept first; arg0 = kept->z. */
    void (*gradient)(const deq_frame *frame, const deq_fixed *fixed, int64_t n);
} mode_routines;

#define MODE(id, spelling, traits, forward, doc) extern const mode_routines NAME(mode_##id);
#define MODE_NAMED(id, traits, forward, doc) extern const mode_routines NAME(mode_##id);
#include "modes.def"

/* ---- forward.c ---- */
/* Solves c->problem with c->options; states go to `result`, by row.  ensures: kept->failed, finish.due, known images. */
void NAME(forward_run)(forward *c, real *result);
/* Makes the solver's states z the value, in place. */
void NAME(forward_finish)(forward *c, real *z);
/* Both, into c->z, and reported: the value of modes that take their gradient elsewhere. */
void NAME(forward_value)(forward *c);
/* Both, and what the defence reads off them: c->problem.defence, not NULL. */
void NAME(forward_defended)(forward *c, real *z);
/* The states after which a mode goes on: forward_run, unless they are held (deq_engine_hold) or a defence is read. */
void NAME(forward_start)(forward *c, real *result);
/* Before that: the solver's last evaluation is to leave its record, where the solver can. */
void NAME(forward_record)(forward *c);
/* Steps first .. first+count-1 of a mode, from the states kept->z, which are overwritten: linearised one by one, in its
 * tapes; z becomes the state after the last. */
void NAME(forward_linearise)(forward *c, int first, int count, double damping, bool undamped_first);
/* The solver's states and the value; linearised where f was applied last. */
void NAME(forward_attach)(forward *c);
#endif
