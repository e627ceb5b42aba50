/* manifest.h - the manifest as C structures (schema: MANIFEST.md).
 *
 * Texts point into the parsed JSON; everything lives until deq_manifest_free.  Numbers that --set may change are plain
 * members of the structures and are meant to be written before a run starts.
 * Files: manifest.c (all of it, and what is asked of it), manifest_train.c (what a step is made of), manifest_experiment.c
 * (experiments, and walks over them), manifest_net.c (nets); how they read is manifest_reader.h. */
#ifndef DEQ_RUNTIME_MANIFEST_H
#define DEQ_RUNTIME_MANIFEST_H
#include "deq_runtime.h"
#include "error.h"
#include "families.h"
#include <jansson.h>

#define DEQ_RANK 8

typedef struct deq_shape {
    int rank;
    int64_t dim[DEQ_RANK], elements;
} deq_shape;
typedef struct deq_target {
    int64_t labels;
    deq_shape shape;
} deq_target; /* labels: number of classes, 0: a shape */
typedef struct deq_named {
    const char *name;
    double value;
    bool whole, count, computed;  /* an int; an int >= 0; computed when compiled, so that it cannot be set alone */
    double low, high;             /* the values that have a meaning; infinite where the script gives none */
    const char *low_by, *high_by; /* the same, as they depend on other settings; NULL */
    const double *choices;        /* or these alone */
    int nchoices;
} deq_named;
/* An object name -> value, for records and keys; infinity is the text "inf". */
json_t *deq_scalars_json(const deq_named *scalars, int n);
typedef struct deq_override {
    const char *path, *value;
} deq_override;

typedef struct deq_data_spec {
    const char *name, *reader;
    const json_t *arguments;
    deq_shape input;
    deq_target target;
    int line;
} deq_data_spec;

typedef struct deq_parameter {
    const char *path, *init; /* initialisers.def */
    deq_shape shape;
    int64_t offset;
    bool trained;
} deq_parameter;

typedef struct deq_solve_spec { /* one solve(K, b, SOLVER) of a gradient by hand */
    const char *name, *solver;  /* of K's routines */
} deq_solve_spec;

typedef enum deq_extern_place { DEQ_AT_NUMBER, DEQ_AT_SHARED, DEQ_AT_REST, DEQ_AT_STATE } deq_extern_place;

typedef struct deq_extern_field { /* an argument of a gradient in C */
    const char *name;
    deq_extern_place place;
    union {
        int64_t size;
        double number;
    } value;                         /* AT_NUMBER */
    int64_t offset, elements, accum; /* accum: -1 when nobody wants its cotangent summed */
    bool cotangent, parameter;
} deq_extern_field;

typedef struct deq_hand_spec { /* a gradient by hand */
    const char *name;
    bool approximate;               /* the script says so */
    const char *input, *parameters; /* its routines, */
    deq_solve_spec *solves;
    int nsolves;
    const char *symbol, *signature, *where; /* or, in C: the symbol and "net.deq:33" (symbol NULL: not in C) */
    deq_extern_field *fields;
    int nfields;
} deq_hand_spec;

typedef struct deq_fixed_spec {
    const char *name, *path, *forward, *gradient;
    const char *state;                              /* its name in the layer; NULL: there are several */
    const char *on_fail, *start, *finish, *penalty; /* NULL: the default */
    const char *certificate;                        /* "monotone", "contraction"; NULL: none */
    double claimed, proved;                         /* its number; what the compiler proved, NaN: nothing */
    double flops;                                   /* of the products of one application to one example */
    deq_hand_spec *hands;
    int nhands;
} deq_fixed_spec;
typedef struct deq_loss_spec {
    const char *name, *loss, *input, *parameters;
    const char *replay;           /* likewise with the gradient in the input; NULL: not compiled */
    const char *clean, *attacked; /* of a loss of two outputs, which has no others: its derivatives in them */
    const char *routines;         /* the loss in the names of its routines, which several may share */
    double *settings;             /* scalars of its routines; of two outputs: behind the other and the target */
    int nsettings;
} deq_loss_spec;
typedef struct deq_metric_spec {
    const char *name, *routine;
    bool share;       /* 0 or 1 for every example */
    const char *hash; /* of what it computes, beside the net's */
} deq_metric_spec;

typedef struct deq_net_spec {
    const char *name, *predict, *prepare;
    const char *hash; /* of all that it computes but its metrics, which have their own, and objectives of attacks */
    const char *finish, *statistics; /* routines; NULL: none */
    const char *objective; /* prefix of _input and _parameters, gradients of any function of the output; NULL: none */
    bool training;         /* computes something else in training */
    deq_shape input, output;
    deq_target target;
    deq_parameter *parameters;
    int nparameters;
    int64_t parameter_bytes, shared_bytes, accum_bytes;
    deq_fixed_spec *fixed;
    int nfixed;
    deq_loss_spec *losses;
    int nlosses;
    deq_metric_spec *metrics;
    int nmetrics;
} deq_net_spec;

/* From a row of transforms.def by name, its other arguments by their defaults; DEQ_MODULE when this runtime has none. */
bool deq_transform_find(const char *name, const json_t *arguments, deq_transform *out, deq_error *e);

typedef struct deq_slice {
    const deq_data_spec *data;
    bool test;
    int64_t from, to;
    int line;
    deq_transform *transforms; /* of examples while a net trains */
    int ntransforms;
    const json_t *transforms_json;
} deq_slice; /* to: -1 the end */

/* Settings of an attack or of an optimiser: a manifest with more is refused, so that their values have room. */
enum { DEQ_MOST_SCALARS = 64 };

typedef struct deq_attack_spec {
    const char *name, *definition, *routine, *hash, *gradient; /* gradient NULL: the net's own */
    deq_named *scalars;
    int nscalars;
    const char *in_batch,
        *in_batch_hash;           /* the routine that sees the statistics of the batch it is run on, and its text;
                                             NULL: none */
    const char *joined;           /* of the first of several: what they are called together; else NULL */
    struct deq_attack_spec *next; /* the next of several; NULL: none */
    bool differentiates;          /* asks for gradients of the loss */
    bool allow_masking;           /* also through gradients that on_fail cuts to zero */
    bool surrogate;               /* judges its steps by the states at which its gradients are taken */
    bool all;                     /* on every example, not only on those that the ones before left right */
    int restart;                  /* other draws for each */
    struct {
        const char *model; /* the trained net that it asks; NULL: the one that is evaluated, without its defence */
        deq_override *settings;
        int nsettings;
        const struct deq_model *found; /* that net, once the cell that uses the attack runs */
    } against;
} deq_attack_spec;

/* Which epoch's parameters a net has in the end: DEQ_KEEP(name), in the order of settings.def. */
#define DEQ_KEEPS(X) X(last) X(best_clean) X(best_robust)
typedef enum deq_keep {
#define X(name) DEQ_KEEP_##name,
    DEQ_KEEPS(X)
#undef X
} deq_keep;
/* False: there is no such word. */
bool deq_keep_find(const char *word, deq_keep *out);
const char *deq_keep_word(deq_keep keep);

/* What a step of a training run is made of and what becomes of it, in its order: settings that are a row of a table of
 * training.def each, of which `none`, the first, changes nothing. */
#define DEQ_STEP_RULES(X) X(replay) X(intermediate) X(clip) X(average)

typedef struct deq_rate { /* a factor of the steps of the parameters at the path and below it */
    const char *path;
    double factor;
} deq_rate;

typedef struct deq_train_spec {
    const char *name;
    const deq_net_spec *net;
    deq_slice data;
    const char *loss;
    int64_t batch, epochs, examples; /* examples: -1 all */
    uint64_t seed;
    struct {
        const char *name, *routine, *hash; /* routine NULL: no epochs, the net is taken as it is in the file */
        int states;
        deq_named *scalars;
        int nscalars;
    } optimiser;
    deq_attack_spec *attack; /* NULL: none */
    deq_override *settings;  /* of the net that is trained, then and from then on */
    int nsettings;
    deq_override *overrides; /* hold while training */
    int noverrides;
    deq_override *set; /* from --set: hold in training and evaluation, after the others */
    int nset;
    deq_override
        *carried; /* finishes that a net taken as it is was trained with elsewhere: where the script says none */
    int ncarried;
    deq_slice *validate; /* NULL: none */
    deq_keep keep;
    int64_t accumulate; /* batches of a step */
#define X(rule) deq_##rule rule;
    DEQ_STEP_RULES(X)
#undef X
    const char **freeze; /* paths of parameters that stay */
    int nfreeze;
    deq_rate *rates;
    int nrates;
    struct {
        const char *routine, *name; /* as the net knows it, and as the script does; NULL: there is none */
    } metric;                       /* logged beside the loss */
    struct {
        const char *file, *map;
        const char *train;               /* the name of an earlier training run, in place of file */
        int cell;                        /* of an experiment: which of its cells; -1: it is of the file */
        const struct deq_train_spec *of; /* that one */
    } start;                             /* weights the run begins with; neither: initialised as declared */
    double checkpoint; /* minutes after which one is written within an epoch too; 0: only after each epoch */
    int64_t spectrum;  /* examples whose Jacobian's spectrum is measured after each epoch; 0: not measured */
    int line;
} deq_train_spec;

typedef struct deq_value_spec { /* an evaluation: a net, examples, a metric */
    const char *name;
    const char *metric, *model, *loss;
    deq_slice data;
    deq_attack_spec *attack;
    struct {
        deq_attack_spec *margin, *search; /* the attack on the margin; a random search.  NULL: not compiled */
    } audit;
    struct {
        const char *of, *to; /* gradient modes whose gradients are compared, as the metric says; NULL: none are */
    } compared;
    deq_override *overrides;
    int noverrides;
} deq_value_spec;

/* What experiments do, and what they compute from it. */
typedef enum deq_array_kind {
#define ARRAY(kind, doc) DEQ_ARRAY_##kind,
#include "arrays.def"
#undef ARRAY
    DEQ_ARRAY_KINDS
} deq_array_kind;

typedef enum deq_reduction {
#define REDUCTION(name, kind, doc) DEQ_REDUCE_##name,
#include "reductions.def"
#undef REDUCTION
    DEQ_REDUCTIONS
} deq_reduction;

/* A value of an experiment, or its training run: one for each cell of its axes, the last axis fastest. */
typedef struct deq_alone_spec { /* a setting that a sweep of one value gives */
    int axis;
    bool attack; /* of an attack of this key, else of the net */
    const char *key;
} deq_alone_spec;

typedef struct deq_array_spec {
    const char *name;
    deq_array_kind kind;
    int *axes, naxes;       /* positions among the experiment's, ascending */
    int *cells, ncells;     /* these and the choices it waits for, in order: the axes of its specifications */
    deq_train_spec *trains; /* train: by cell */
    deq_value_spec *values; /* evaluate: by cell */
    int nspecs;
    deq_alone_spec *alone; /* train, evaluate */
    int nalone;
    double *numbers;      /* coordinate: by cell; chosen, and a reduction by ranks: by position */
    const char *routine;  /* expression */
    int *inputs, ninputs; /* positions of arrays: of an expression; of a statistic or reduction, the one it is of */
    const char *what;     /* statistic, log */
    const char *train;    /* log: the training run, an array or one of the file */
    struct deq_pick_spec *picks;
    int npicks;
    deq_reduction reduction;
    int *over, nover;
    double share; /* of a quantile */
} deq_array_spec;

typedef struct deq_pick_spec { /* of one axis: one of these */
    int axis;
    int at;           /* a place; -1 */
    int choice;       /* an array that chooses it; -1 */
    int *keep, nkeep; /* places that stay; the axis stays too */
} deq_pick_spec;

typedef struct deq_axis_spec {
    const char *name;
    const char **values;
    int nvalues;
    const char ***members; /* of an axis of families: the labels of each one's members, which the next axis counts */
    int *nmembers;         /* NULL: it is no such axis */
    int *given, ngiven;    /* the axes that decide which of the values there are; 0: there are all */
    int **present;         /* by cell of those: for each value 1 or 0; of families, how many members it has */
    bool seed;             /* training runs take their seed from it */
    int choice;            /* the array that chooses one of them; -1: it is a sweep */
} deq_axis_spec;

typedef struct deq_column_spec {
    int *by, nby; /* axes that it is spread over */
    const char *title;
    int value; /* position of the array */
    bool percent;
    int names;    /* the axis whose values it shows, by their positions; -1: numbers */
    bool verdict; /* its numbers are positions in verdicts.def */
} deq_column_spec;

typedef struct deq_row_spec { /* what one column of coordinates shows */
    int *axes, naxes;
} deq_row_spec;

typedef struct deq_table_spec {
    const char *name;
    deq_row_spec *rows;
    int nrows;
    deq_column_spec *columns;
    int ncolumns;
    int *join, njoin; /* axes whose values are joined */
    int *bold, nbold; /* arrays: cells of what they reduce are bold where they are equal */
    bool mean_std;
} deq_table_spec;

typedef enum deq_figure_kind {
#define FIGURE(kind, several, doc) DEQ_FIGURE_##kind,
#include "figures.def"
    DEQ_FIGURES
} deq_figure_kind;

typedef enum deq_band {
#define BAND(word, samples, doc) DEQ_BAND_##word,
#include "figures.def"
    DEQ_BANDS
} deq_band;

typedef struct deq_figure_spec {
    const char *name;
    deq_figure_kind kind;
    deq_column_spec *values; /* not spread: `by` is the figure's */
    int nvalues;
    deq_column_spec x;      /* the number along the x axis; value -1: places of the sweeps are */
    int *along, nalong;     /* axes that the points of a line, or the columns, go along */
    int *by, nby;           /* axes of the lines; of `heat`, those that make rows */
    int *samples, nsamples; /* axes of seeds that the band goes over; none: a band goes over examples */
    deq_band band;
    double low, high; /* quantiles */
    bool logarithmic, x_logarithmic;
    const char *label, *x_label; /* NULL: not given */
} deq_figure_spec;

typedef struct deq_claim_spec {
    const char *text;
    int line, condition; /* position of the array: 1 or 0 */
    int value;           /* the number that it is about; -1: none */
    bool percent;        /* of the value */
} deq_claim_spec;

typedef struct deq_experiment_spec {
    const char *name;
    int line;
    deq_axis_spec *axes;
    int naxes;
    deq_array_spec *arrays;
    int narrays;
    deq_table_spec *tables;
    int ntables;
    deq_figure_spec *figures;
    int nfigures;
    deq_claim_spec *claims;
    int nclaims;
    bool audit;
    bool whole_audit; /* every way on the whole sample; by --set only */
} deq_experiment_spec;

typedef struct deq_run_item {
    deq_train_spec *train;
    deq_experiment_spec *experiment;
} deq_run_item; /* one of them */

typedef struct deq_test_spec {
    const char *name, *check, *loss;
    const deq_net_spec *net;
    int directions;
    double tol;
    deq_override *overrides;
    int noverrides;
    int line;
} deq_test_spec;

typedef struct deq_check_spec {          /* what `deq compare` compares */
    const char *name, *loss, *reference; /* name "": none was given; reference: finite_difference(..) or a mode */
    const char *train;                   /* of the file, whose net and data are meant; NULL: random ones */
    const deq_net_spec *net;
    const char **modes;
    int nmodes;
    deq_override *overrides;
    int noverrides;
    int line;
} deq_check_spec;

typedef struct deq_manifest {
    const char *name, *source, *compiler, *target, *real, *hash;
    deq_data_spec *data;
    int ndata;
    deq_net_spec *nets;
    int nnets;
    deq_train_spec *trains;
    int ntrains;
    deq_experiment_spec *experiments;
    int nexperiments;
    deq_run_item *run;
    int nrun;
    deq_test_spec *tests;
    int ntests;
    deq_check_spec *checks;
    int nchecks;
    json_t *json;
    void **blocks; /* what the arrays live in */
    int nblocks, blocks_cap;
} deq_manifest;

/* ---- manifest.c ---- */
/* DEQ_MODULE naming the member when the text is not a manifest of this version. */
deq_manifest *deq_manifest_read(const deq_module *module, deq_error *e);
void deq_manifest_free(deq_manifest *m);
/* Zeroed memory with the manifest's lifetime; NULL when there is none left. */
void *deq_manifest_alloc(deq_manifest *m, size_t bytes);
/* Every part of the attack with scalars of its own, with the manifest's lifetime; NULL: out of memory. */
deq_attack_spec *deq_attack_copy(deq_manifest *m, const deq_attack_spec *a);
deq_named *deq_attack_scalar(deq_attack_spec *a, const char *name); /* NULL: it has none of that name */

const deq_net_spec *deq_manifest_net(const deq_manifest *m, const char *name);
/* The training run of the file that is so called, `above` another one of the file (NULL, or one of an experiment: any).
 * NULL: there is none. */
deq_train_spec *deq_manifest_train(const deq_manifest *m, const char *name, const deq_train_spec *above);
const deq_routine *deq_module_routine(const deq_module *module, const char *name);
const deq_metric_spec *deq_net_metric(const deq_net_spec *net, const char *name); /* NULL: it has none so called */
const char *deq_net_metric_hash(const deq_net_spec *net, const char *name);       /* "": likewise */
bool deq_shape_same(const deq_shape *a, const deq_shape *b);                      /* axis by axis */
void deq_shape_print(const deq_shape *s, char *out, size_t size);                 /* "[1, 28, 28]" */

/* ---- manifest_experiment.c ---- */
/* Calls `visit` for every training run, those of experiments too; false when one call was. */
bool deq_each_train(deq_manifest *m, bool (*visit)(deq_train_spec *, void *), void *context);
/* The same for every evaluation. */
bool deq_each_value(deq_manifest *m, bool (*visit)(deq_value_spec *, void *), void *context);

/* ---- manifest_train.c ---- */
/* Each rule from a text and back: deq_clip_read of "norm(most: 1)", "none". */
#define X(rule)                                                                                                        \
    bool deq_##rule##_read(const char *text, deq_##rule *out, deq_error *e);                                           \
    void deq_##rule##_print(const deq_##rule *rule, char *out, size_t size);
DEQ_STEP_RULES(X)
#undef X
/* The factor of the steps of the parameter of that path: of the longest of the run's paths that it lies at or below; 0:
 * frozen. */
double deq_train_rate(const deq_train_spec *t, const char *path);
int64_t deq_train_examples(const deq_train_spec *t, int64_t there); /* of an epoch, of so many that there are */
bool deq_train_share(const deq_train_spec *t); /* its metric is 0 or 1 for an example: its mean is a share */
bool deq_train_knows(const deq_train_spec *t, const char *path); /* a trained parameter stands at it or below */
#endif
