/* attack.h - what the files of attacks share; private to them.
 *
 *   attack.c           a definition for one net and loss becomes a routine: draws, questions, states, loops
 *   attack_step.c      an attack as a step of another, written out where it stands
 *   attack_fn.c        functions with states and loops
 *   attack_instance.c  what a script names: its settings, loss and modes; the numbers of its routine's scalars */
#ifndef DEQ_COMPILER_ATTACK_H
#define DEQ_COMPILER_ATTACK_H
#include "queries.h"

typedef struct Attack { /* one definition for one net and loss */
    const Ast *definition;
    const Net *net;
    const char *loss;   /* of the net; NULL: another function, */
    const LossUse *use; /* whose settings are scalars after the parameters */
    const Env *functions;
    Routine *routine;
    const char *hash;
    struct Count { /* a trip count that is no parameter: computed for each instance, a scalar after the parameters */
        const Ast *from, *to; /* from NULL: 0 */
        bool known;           /* in an attack that is a step of another: `number` turns */
        double number;
        uint32_t most; /* labels of the list whose part runs; 0: it is a range */
        Range at;
    } * counts;
    uint32_t ncounts, counts_cap, nparams;
    Env *sizes;      /* of the example's types */
    uint64_t direct; /* parameters that are trip counts themselves */
    const Module *module;
    Queries queries;
    Machine *machine;
    const Ast *fn; /* the function that runs; NULL: the attack itself, or a step */
    Value *result; /* takes what the attack that is a step of this one returns; NULL: this one returns */
    bool failed;
} Attack;

/* ---- attack.c ---- */
/* Makes it, or finds it.  loss NULL: `use` is what the attack's loss is.  functions: what its parameters are that are
 * functions; their settings are scalars.  in_batch: it asks the net with the statistics of the batch.  NULL after an
 * error. */
Attack *attack_compile(Scope *s, const Ast *d, const Module *owner, Net *net, const char *loss, const LossUse *use,
                       const Env *functions, bool in_batch, Range at);
/* What an attack asks its host: draws, loss, logits, wrong, gradient. */
bool attack_host(Scope *s, const Ast *call, const char *name, Value *out);
/* Runs statements; *returned: one of them was a `return`. */
bool attack_block(Scope *s, Attack *k, const Ast *list, bool *returned);
/* Takes `result` as what the attack gives. */
bool attack_return(Scope *s, Attack *k, Value result, Range at);
/* Whether a name is read in e. */
bool attack_mentions(const Ast *e, const char *name);
/* Labels among the settings of a loss know how many classes there are. */
bool loss_setting_is_label(const LossUse *use, const char *setting);

/* What an item of a block evaluates; NULL. */
const Ast *attack_value(const Ast *item);

/* ---- attack_fn.c ---- */
/* Runs the functions with states or loops that e calls, before it is evaluated. */
bool attack_functions(Scope *s, Attack *k, const Ast *e);

/* ---- attack_instance.c ---- */
/* Whether the turns from `low` to count->number fit the list that they run over; reports E0314. */
bool turns_fit(Scope *s, const struct Count *count, double low, Range at);

/* ---- attack_step.c ---- */
typedef struct AttackStep {                      /* a(x, y; ..) with { loss: .. } */
    const Ast *definition, *call, *loss, *extra; /* extra: a setting that a step does not take */
    const Module *owner;
} AttackStep;
/* Whether the item's value is the call of an attack. */
bool attack_step_of(Scope *s, const Ast *item, AttackStep *out);
bool attack_step_run(Scope *s, Attack *k, const Ast *item, const AttackStep *step);
#endif
