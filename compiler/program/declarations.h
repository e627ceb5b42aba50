/* declarations.h - the parts of the manifest, as JSON: what the files of this room share.
 *
 * declarations.c: data, training runs, overrides, tests; steps.c: what a training step is made of; attacks.c: attacks;
 * experiment.c: experiments; audit.c: audits of their evaluations; checks.c: `check` blocks; net_setting.c: settings of
 * trained nets as values; manifest.c: nets. */
#ifndef DEQ_COMPILER_DECLARATIONS_H
#define DEQ_COMPILER_DECLARATIONS_H
#include "families.h"
#include "elaborate.h"

typedef struct DataUse {
    const Ast *decl;
    const char *name;
    Shape input;
    Target target;
    const deq_delivery *delivery; /* what its reader delivers whatever its files say; NULL: nothing */
} DataUse;

typedef struct TrainUse {
    const Ast *ast;
    const char *name;
    Net *net;
    const char *loss;
    bool in_cell;           /* of the cell being made; else of the file */
    uint32_t cell;          /* its number among those of its array */
    const json_t *settings; /* of the net from then on: [[path, value], ..] */
} TrainUse;

typedef struct Slice {
    DataUse *data;
    json_t *json;      /* SLICE of the manifest */
    const Ast *attack; /* `under` it, or NULL */
    Scope attack_scope;
    double most; /* examples, as far as it is known: 0 when the files decide */
} Slice;

typedef struct AuditUse { /* an evaluation that may be attacked again */
    json_t *value;        /* gets the member "audit" */
    Net *net;
    const char *loss;
    const Ast *attack;
    Scope scope; /* of the attack */
    void *cell;  /* as of Pipe */
    const Ast *asked_net;
} AuditUse;

typedef struct Pipe {
    Elab *elab;
    bool audit; /* every evaluation under an attack, whatever its experiment says */
    AuditUse *audits;
    uint32_t naudits, audits_cap;
    json_t *data, *trains, *experiments, *run, *tests, *checks;
    DataUse **datasets;
    uint32_t ndatasets, datasets_cap;
    TrainUse **uses;
    uint32_t nuses, uses_cap;
    /* While a cell of an experiment is read: the training run there, by its declaration or (NULL) by its name.  NULL:
     * none is read. */
    const TrainUse *(*in_cell)(void *cell, const Ast *train, const char *name);
    void *cell;
} Pipe;

bool pipe_slice(Pipe *p, Scope *s, const Ast *e, Slice *out);
/* A training run as JSON; it becomes known under its name, as *made.  NULL after an error. */
json_t *pipe_train(Pipe *p, Scope *s, const Ast *train, bool in_cell, TrainUse **made);
/* A training run that a module beside the script has at its top level: made when its net is first asked for, once, and
 * called by the module's name, setup.net.  NULL: it is of the script itself or of an experiment, or there was an error. */
const TrainUse *pipe_train_of_module(Pipe *p, const Ast *train);
/* The declaration of a trained net that `e` names; and as elaborated, in the cell that is read or in the file.  NULL: none. */
const Ast *pipe_train_declaration(Scope *s, const Ast *e);
const TrainUse *pipe_find_train(Pipe *p, Scope *s, const Ast *e);
/* The attack of an evaluation of `net`, or sequence(..), worst_of(..), restarts(..) of attacks, as a chain; NULL after
 * an error.  Each asks that net for `loss`, or the net that it is `against` for its own; `margin`: for its margin. */
json_t *pipe_attacks(Pipe *p, Scope *s, const Ast *given, Net *net, const char *loss, bool margin);
/* The call of sequence, worst_of or restarts that `e` is or names, and what it was declared as; NULL: a single attack.
 */
const Ast *pipe_combination(Scope *s, const Ast *e, Scope *from, const char **word, const char **name,
                            AttackSettings *with);
/* One attack, as it is compiled. */
json_t *pipe_attack(const AttackUse *use);
/* The settings of an attack or an optimiser that are data, with their bounds. */
json_t *pipe_scalars(const Scalars *s);
/* `with { body.forward.tol: 1e-6 }` as [[path, value], ..], appended to `out`; settings of every fixed point are
 * spelled out for each.  False after an error. */
bool pipe_overrides(Scope *s, const Ast *settings, const Net *net, json_t *out);
/* Where the setting's own name begins: "forward.tol" of "body.forward.tol"; NULL: there is none. */
const char *pipe_setting_key(const char *path);
/* Settings of trained nets are values from now on.  (net_setting.c) */
void pipe_net_settings(Pipe *p);
/* A whole number among the settings of a train, by its row of settings.def; without it the row's default, and 0 where
 * that is a word or none.  pipe_within: whether a number lies within that row's bounds.  False after an error. */
bool pipe_whole(Scope *s, const Ast *list, const char *key, double *out);
bool pipe_within(Scope *s, const char *key, Range at, double x, bool whole);
/* ---- steps.c ---- */
/* Members of a training run that say what a step is made of.  False after an error. */
bool pipe_steps(Scope *s, const Ast *settings, Net *net, const char *loss, json_t *out);
/* ---- audit.c ---- */
/* False after an error at `at`: the attack goes through gradients that `on_fail` cuts to zero, and neither it nor the
 * experiment (`allowed`) says that this is meant. */
bool pipe_unmasked(Pipe *p, Scope *s, const TrainUse *train, const json_t *overrides, json_t *attack, bool allowed,
                   const Ast *at);
/* The evaluation `value` under the slice's attack gets what an audit attacks its sample with, by pipe_audits; `cell`: as
 * of Pipe, and `asked_net` as of Elab; they stay as they are. */
void pipe_audit_later(Pipe *p, json_t *value, const TrainUse *train, const Ast *asked_net, const Slice *slice,
                      void *cell);
/* needs: every net has its hash, which the losses of audits do not enter.  False after an error. */
bool pipe_audits(Pipe *p);
/* The margin as a loss of the net; NULL: its target is no label. */
const char *pipe_margin(Elab *e, Net *net);
json_t *pipe_experiment(Pipe *p, const Ast *experiment);
json_t *pipe_check(Pipe *p, Scope *s, const Ast *check); /* checks.c */
/* Adds to `tests` a gradcheck of every net that is trained, with its loss and settings. */
bool pipe_net_tests(Pipe *p, const Module *main);
json_t *pipe_test(Pipe *p, Scope *s, const Ast *test);
/* A net and the layout of its routines.  (manifest.c) */
json_t *net_json(Elab *e, const Unit *unit, const Net *net);
/* A path as JSON can hold it: bytes that are not UTF-8 become '?'. */
const char *path_text(Arena *a, const char *path);
int json_line(const Ast *node);
#endif
