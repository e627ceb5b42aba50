/* app_state.h - what the parts of the application share while a manifest is executed.
 * Files: app.c, app_settings.c, swept.c, set_steps.c, setting_bounds.c, engine_as_trained.c, app_keys.c, carried.c,
 * one_experiment.c, train.c, training_warnings.c, evaluate.c, evaluation_sums.c, attack_name.c, against.c, audit.c,
 * sample.c, trace.c, diagnose.c, plot.c. */
#ifndef DEQ_RUNTIME_APP_STATE_H
#define DEQ_RUNTIME_APP_STATE_H
#include "app.h"
#include "dataset.h"
#include "engine.h"
#include "interval.h"
#include "manifest.h"
#include "progress.h"
#include "record.h"
#include "shortfalls.h"
#include "store.h"
#include "verdict.h"

typedef struct deq_model { /* a trained net */
    char *label;           /* "net", "m (mode = jfb, seed = 0)" */
    char *stem;            /* its files in the results folder: "net", "m-jfb-0" */
    const deq_train_spec *spec;
    char *attack;     /* as its training named it (deq_app_attack_name); NULL: none */
    deq_key key;      /* of everything that decides its parameters */
    void *parameters; /* deq_net_vector_bytes of the module's reals */
    json_t *log;      /* rows, training_log.h */
    double seconds;   /* training took, also when it was found in the cache */
    bool cached;
} deq_model;

typedef struct deq_attack_totals { /* sums over the examples of an evaluation */
    int64_t queries, gradients, zero, lost, undefined;
    int64_t solves, unconverged, diverged, adjoints, adjoints_unconverged;
} deq_attack_totals;

typedef struct deq_evaluation {   /* of one model on one slice */
    double metric, loss;          /* means; NaN when not wanted */
    bool share;                   /* the mean is a share of the examples */
    int64_t examples, undefined;  /* undefined: predictions with a NaN, which are wrong */
    double steps, residual;       /* means over examples, of the solves that gave the prediction */
    double converged;             /* share of these solves that reached their tolerance */
    double margin;                /* mean over examples; evaluations .. processor too */
    double evaluations, products; /* of an example's prediction and attack: of f; with its Jacobian */
    double processor;             /* seconds */
    double bytes;                 /* that the solves of one example take */
    deq_attack_totals attack;
    bool by_loss;          /* its value is the mean loss */
    deq_interval interval; /* of its value */
    deq_record *records;   /* by example; freed by deq_evaluation_free */
    deq_key key;           /* of its journal */
    deq_slice slice;       /* the examples: to is their end */
    char *attacked;        /* the attack by name; NULL: none */
    char *trained;         /* the name under which the training used the same attack, where it differs; else NULL */
    int64_t attacks_run, attacks_found; /* of each example and joined attack: run, or found from another evaluation */
    double seconds;
    bool cached;
} deq_evaluation;

typedef struct deq_app {
    const deq_module *module;
    const deq_app_options *options;
    deq_manifest *manifest;
    deq_reporter reporter;
    deq_shortfalls shortfalls; /* of the experiment that runs */
    deq_store store;
    bool store_warned;
    bool dealt;           /* the work is dealt to all ranks, which make the same calls (ranks.h) */
    char *results;        /* folder of this script's results */
    deq_dataset **data;   /* by position in the manifest; opened when first used */
    deq_engine **engines; /* by position of the net; made when first used */
    deq_model **models;
    int nmodels, models_cap;
    int masked;      /* accuracies under attack with this verdict */
    int failed;      /* claims */
    json_t *begun;   /* keys of the journals and attacked inputs that this run has opened: --fresh begins them once */
    json_t *written; /* names of the files of results that this run has written (result_files.h); NULL: none */
} deq_app;

/* --- app.c --- */
bool deq_app_open(deq_app *app, const deq_module *module, const deq_app_options *options, deq_error *e);
void deq_app_close(deq_app *app);
/* --fresh: removes what stands in the cache under the key, the first time that this run asks for it. */
void deq_app_begin(deq_app *app, const deq_key key, const char *path);
deq_dataset *deq_app_data(deq_app *app, const deq_data_spec *spec, deq_error *e);
deq_engine *deq_app_engine(deq_app *app, const deq_net_spec *net, deq_error *e);
/* Remembers a model; the app owns it from then on. */
bool deq_app_keep(deq_app *app, deq_model *model, deq_error *e);
deq_model *deq_app_kept(const deq_app *app, const deq_train_spec *spec); /* that of the training run; NULL: none yet */
void deq_model_free(deq_model *model);
char *deq_app_file(const deq_app *app, const char *stem, const char *ending); /* RESULTS/STEM + ENDING; free() it */

/* --- app_settings.c --- */
/* Applies --set and --seed to the manifest's training runs (all of them, in cells too) and data arguments; a path that
 * reaches nothing is DEQ_SETTING with the paths that exist and are near. */
bool deq_app_apply_settings(deq_app *app, deq_error *e);
/* --- swept.c --- */
/* The run's setting: behind its name or its net's.  A run of an experiment that another one names, first.net, is also
 * called as there, net.  NULL: the path is of something else. */
const char *deq_app_key_of_train(const deq_manifest *m, const deq_train_spec *t, const char *path);
/* Fails with DEQ_SETTING where a sweep of an experiment that runs gives the setting.  `assignment`: PATH=VALUE, of which
 * `target` is the first part of the path and `key` the others; of --seed the path is NULL. */
bool deq_app_not_swept(const deq_app *app, const char *assignment, const char *path, const char *target,
                       const char *key, deq_error *e);
/* --- engine_as_trained.c --- */
bool deq_app_override(deq_engine *engine, const deq_override *overrides, int n, deq_error *e);
/* Makes the engine's net the one of the training run: its settings, then `overrides` (an evaluation's; NULL: none), then
 * those of --set.  Whatever reads a trained net calls this, or the next while the net trains. */
bool deq_app_as_trained(deq_engine *engine, const deq_train_spec *t, const deq_override *overrides, int n,
                        deq_error *e);
/* The same as it is while it trains, with the run's own settings. */
bool deq_app_in_training(deq_engine *engine, const deq_train_spec *t, deq_error *e);
/* The parameters of the model become the engine's. */
void deq_app_load_model(deq_app *app, deq_engine *engine, const deq_model *model);
json_t *deq_app_resolved(deq_engine *engine); /* settings of every fixed point, as text */
/* The same of the net as trained, whatever is in force now; NULL on failure.  Goes into its checkpoint. */
json_t *deq_app_trained_settings(deq_engine *engine, const deq_train_spec *t, deq_error *e);
/* Whether a fixed point has `on_fail: zero_gradient` as the engine is set now. */
bool deq_app_cuts_gradients(deq_engine *engine, const deq_net_spec *net);
/* Words for "1% of ...; ..." about solves of gradients, under the modes and on_fail in force, or the attack's own mode
 * (NULL: none). */
typedef struct deq_shortfall_words {
    const char *states;      /* what became of forward solves that fell short */
    const char *what, *done; /* what the count of adjoint solves that failed is of, and what became of these */
    const char *lost;        /* "the gradients were ..." of those that are lost */
} deq_shortfall_words;
deq_shortfall_words deq_app_adjoint_words(deq_engine *engine, const deq_net_spec *net, const char *attack_gradient);

/* --- set_steps.c --- */
/* --set of what a step of the training run is made of; *found: the key is one of these. */
bool deq_app_set_steps(deq_app *app, deq_train_spec *t, const char *key, const char *path, const char *value,
                       bool *found, deq_error *e);

/* --- setting_bounds.c --- */
/* Whether the arguments of the attack, and of those after it, lie in the bounds that depend on other arguments, as --set
 * has left them. */
bool deq_app_attack_bounds(const deq_app *app, deq_attack_spec *a, deq_error *e);

/* --- app_keys.c --- */
/* Adds the hash of the linked files to a key, when the net has a gradient in C. */
void deq_app_link_key(const deq_app *app, const deq_net_spec *net, json_t *what);
json_t *deq_app_attack_key(deq_app *app, const deq_attack_spec *spec);
/* What a step is made of and what becomes of it, as members of an object: of keys, of settings.json. */
void deq_app_put_steps(const deq_train_spec *t, json_t *out);
/* Everything that decides the parameters and the log of a training run with this many examples an epoch.  The settings
 * are those in force in the engine; `first` is the net whose parameters it begins with, NULL: none. */
bool deq_app_train_key(deq_app *app, const deq_train_spec *t, const deq_model *first, deq_engine *engine,
                       int64_t examples, deq_key key, deq_error *e);

/* --- carried.c --- */
/* Sets t->carried: of a net that is taken as it is (`start:` without epochs), the finishes it was trained with. */
bool deq_app_carry(deq_app *app, deq_train_spec *t, deq_error *e);
/* Says where the script has other settings than the file that the model was taken from. */
void deq_app_note_carried(deq_app *app, deq_engine *engine, const deq_model *model);

/* --- one_experiment.c --- */
/* Leaves of what is run this experiment and what it needs; NULL leaves all.  DEQ_SETTING when there is none of that name. */
bool deq_app_one_experiment(deq_manifest *m, const char *name, deq_error *e);

/* --- train.c --- */
/* Finds the trained net in the cache, resumes it or trains it; writes its log and checkpoint beside the results.
 * The model is kept by the app. */
deq_model *deq_app_train(deq_app *app, const deq_train_spec *spec, const char *label, const char *stem, deq_error *e);

/* --- training_warnings.c --- */
/* Solves and gradients of the last epoch.  The engine has the settings of the training, here and below. */
void deq_app_warn_training(deq_app *app, deq_engine *engine, const deq_model *model);
/* Accuracies under attack in the log of a net whose on_fail cuts gradients: said of a net from the cache as well. */
void deq_app_warn_masked(deq_app *app, deq_engine *engine, const deq_model *model);

/* --- evaluate.c --- */
bool deq_app_evaluate(deq_app *app, const deq_model *model, const deq_value_spec *value, deq_evaluation *out,
                      deq_error *e);
/* The records of examples ids[0 .. n) alone, with `changes` to the settings that the evaluation has; found in the journal
 * or made now.  `crafting`: the changes hold for the attack only, and what it made is judged without them. */
bool deq_app_measure(deq_app *app, const deq_model *model, const deq_value_spec *value, const deq_override *changes,
                     int nchanges, bool crafting, const int64_t *ids, int64_t n, deq_record *records, deq_error *e);
/* The key of the evaluation's journal, and how many examples of it that has; the nets that its attack asks have been
 * found. */
bool deq_app_known(deq_app *app, const deq_model *model, const deq_value_spec *v, deq_key key, int64_t *found,
                   deq_error *e);

/* --- evaluation_sums.c --- */
void deq_evaluation_free(deq_evaluation *v);
/* A row of statistics.def, spelled as in a script: "steps", "attack.converged"; NaN when there is nothing to count. */
double deq_evaluation_statistic(const deq_evaluation *v, const char *what);
json_t *deq_evaluation_attack_json(const deq_evaluation *v); /* all rows of the attack, as an object */
/* Adds to the object where its records stand: journal, its key, and slice, {data, split, from, to}, the examples of it that
 * were meant.  A journal has those of every slice that was ever evaluated. */
void deq_evaluation_members(const deq_evaluation *v, json_t *out);

/* --- attack_name.c --- */
/* "pgd7 through jfb()": the attack, each part of a joined one, with the gradient that it goes through as the engine is
 * set now.  malloc'ed; NULL: no attack, or out of memory. */
char *deq_app_attack_name(deq_app *app, deq_engine *engine, const deq_net_spec *net, const deq_attack_spec *a);
/* How the model's training named a part of this attack, where it went through another gradient; malloc'ed, or NULL. */
char *deq_app_attack_differs(deq_app *app, const deq_model *model, deq_engine *engine, const deq_attack_spec *a);

/* --- against.c --- */
/* The attack as the engine takes it; scalars points to room for spec->nscalars. */
deq_attack deq_app_attack(const deq_attack_spec *spec, double *scalars);
/* The same as steps of its training have it: with the statistics of the batch where that says so. */
deq_attack deq_app_attack_in_training(const deq_attack_spec *spec, double *scalars);
/* The seed of its draws, from that of the model: a restart has others.  spec NULL: no attack. */
uint64_t deq_app_attack_seed(const deq_attack_spec *spec, uint64_t seed);
/* What the evaluation's predictions are read off (defence.h); NULL: the state returned. */
const char *deq_value_defence(const deq_value_spec *value);
typedef struct deq_asked { /* the net that an attack asks */
    const deq_model *model;
    deq_engine *engine;
    bool changed; /* the engine has other settings now */
    uint32_t token;
} deq_asked;
/* The net that the attack asks: the evaluated one, whose engine and model are given, or the one that it is against, whose
 * engine gets the settings that it has there.  Its parameters are not loaded, and it may be the same engine.  Whatever
 * comes back, deq_app_asked ends it.  needs: a->against.found. */
bool deq_app_ask(deq_app *app, const deq_attack_spec *a, deq_engine *engine, const deq_model *model, deq_asked *out,
                 deq_error *e);
void deq_app_asked(const deq_asked *asked);
json_t *deq_app_asked_settings(deq_app *app,
                               const deq_attack_spec *a); /* in force there; the defence if it knows one */
bool deq_attack_knows_defence(const deq_attack_spec *a);
/* Whether a part of the attack asks another net than this one. */
bool deq_attack_transfers(const deq_attack_spec *a, const deq_model *model);

/* --- audit.c --- */
/* Attacks a sample of the evaluation's examples again (reattacks.def), each way first on half of it, and on the `whole` in
 * any case or where it finds something; *out is deq_audit_free's, NULL where there is nothing to audit. */
bool deq_app_audit(deq_app *app, const deq_model *model, const deq_value_spec *value, const deq_evaluation *evaluation,
                   bool whole, deq_audit **out, deq_error *e);

/* --- sample.c --- */
/* How many examples a look at a trained net takes, least to most, when each costs so many applications of its fixed
 * points: together the looks cost a twentieth of the training, or what a core does in two seconds. */
int64_t deq_app_sample(deq_app *app, const deq_model *model, double applications, int64_t least, int64_t most);

/* --- trace.c --- */
/* Median and 10-90 % band of the residual at each forward iteration, on the model's validation examples (or its first
 * training examples): rows [iteration, p10, median, p90, share still running].  NULL without fixed points or on
 * failure. */
json_t *deq_app_residuals(deq_app *app, const deq_model *model, deq_error *e);
/* Forward tolerance of a net with a single fixed point; 0 when there are several or none. */
double deq_app_tolerance(deq_app *app, const deq_model *model);

/* --- diagnose.c --- */
/* Writes how the solves of the trained net end and its Jacobian's spectrum to STEM-solves.json, for `deq report`. */
bool deq_app_diagnose(deq_app *app, const deq_model *model, deq_error *e);

/* --- plot.c --- */
bool deq_app_plot(deq_app *app, const deq_model *model, deq_error *e);
#endif
