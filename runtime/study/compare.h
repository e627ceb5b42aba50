/* compare.h - the gradient of one net on one batch, by every mode, beside a reference.
 * Files: compare.c, compare_reference.c, compare_write.c. */
#ifndef DEQ_RUNTIME_COMPARE_H
#define DEQ_RUNTIME_COMPARE_H
#include "app_state.h"
#include "probe.h"

typedef struct deq_agreement { /* of a mode's gradient with the reference, in one group */
    double norm;               /* of the mode's gradient */
    double reference;          /* norm of the reference */
    bool estimated;            /* it was estimated from slopes in random directions */
    double error;              /* norm of the difference over the reference's */
    double cosine, angle;      /* angle: 1 - cosine, without its cancellation */
} deq_agreement;

typedef struct deq_compared { /* one mode */
    char mode[400];           /* canonical text; what a script says where its fixed points differ */
    char note[300];           /* what had to be changed for it, or why it failed */
    bool failed;
    deq_agreement *groups;                  /* of the comparison, in order */
    double forward_steps, forward_residual; /* mean of the solves, worst */
    double adjoint_steps, adjoint_residual; /* NaN: there was no adjoint solve */
    double unconverged;                     /* share of all solves, forward and adjoint */
    double seconds;                         /* of one gradient in the parameters: median of several */
    int64_t bytes;                          /* parameters, gradients and workspaces */
    double *by_state[2];                    /* 1 - cosine of all parameters [0] and inputs [1] at state 1 .. states */
} deq_compared;

typedef struct deq_comparison {
    char label[200], stem[100]; /* heading, ending of file names ("" with one comparison) */
    const deq_net_spec *net;
    const char *loss;
    char batch[200], parameters[200]; /* what it was measured on, in words */
    int64_t examples;
    char reference[400];
    double reference_residual; /* worst forward residual of its states */
    double reference_adjoint;  /* worst adjoint residual, NaN: differences */
    double reference_error;    /* implicit: error beside finite differences; differences: their own; NaN unknown */
    deq_group *groups;         /* parameters, "input", "all parameters" */
    int ngroups;
    deq_compared *modes;
    int nmodes;
    int states; /* of the sweep over states, 0: none */
} deq_comparison;

typedef struct CompareSubject {  /* what is compared */
    const deq_check_spec *check; /* NULL: every mode */
    const deq_train_spec *train; /* NULL: random parameters and examples */
    const deq_net_spec *net;
    const char *loss;
} CompareSubject;

typedef struct CompareWork {
    deq_app *app, *trainer; /* trainer: the app whose module trains; may be app itself */
    const char *checkpoint;
    CompareSubject subject;
    deq_comparison *c;
    deq_probe probe;     /* of the reference: holds parameters and examples */
    double *reference;   /* gradient; or NULL: */
    double *differences; /* by group, then direction */
    double *norms;       /* with them: of the whole gradient, by group; negative: of that estimated */
    int directions;
    double *gradient, *direction;
} CompareWork;

/* ---- compare.c ---- */
/* The script's settings for the subject; a solve that fails is counted, never the end. */
bool compare_script_settings(const CompareWork *w, deq_probe *p, deq_error *e);
/* The forward solver that the mode of this text needs, where the script has another; says so in `note`. */
bool compare_fitting_forward(deq_probe *p, const char *text, char *note, size_t size, deq_error *e);

/* ---- compare_reference.c ---- */
/* Fills the reference of `w` and what the comparison says of it; the probe holds the point. */
bool compare_take_reference(CompareWork *w, deq_error *e);
deq_agreement compare_agreement(CompareWork *w, int group, const double *gradient);

/* ---- compare_write.c: results/NAME/compare.md, .csv and a picture a comparison; the Markdown goes to the terminal too
 */
bool deq_compare_write(deq_app *app, const deq_comparison *list, int n, deq_error *e);
#endif
