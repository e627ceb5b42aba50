/* elaborate.h - from the checked tree to graphs: a partial evaluator with concrete sizes.  The header of this room.
 *
 * needs: a resolved and checked program without errors (mistakes that depend on sizes are found here).
 * ensures: for every net of the program a Model with its losses, for attacks, optimisers and scalar arithmetic a
 * Routine.  After it no sizes, names or sugar remain.
 * Files: elaborate.c (reporting, scopes), value.c (value.h), net.c (models), loss.c (losses), expression.c, call.c,
 * builtin.c, image.c, order.c, training.c, fixed_point.c, fixed_settings.c, certify.c, hand.c, attack*.c (attack.h),
 * asked.c (asked.h), machine.c (machine.h), queries.c (queries.h), bound_text.c, defence.c, optimiser.c, scalar.c,
 * setting_text.c, summary.c. */
#ifndef DEQ_COMPILER_ELABORATE_H
#define DEQ_COMPILER_ELABORATE_H
#include "routines.h"
#include "value.h"
#include <jansson.h>

struct deq_fixed_settings; /* settings.h */
struct deq_family;         /* arguments.h */

/* A graph being built.  Values of another build are imported: captured as inputs of this one. */
struct Build {
    Graph *graph;
    Build *outer;             /* where captured values come from; NULL: `import` decides */
    NodeId *outside, *inside; /* captured node of `outer` and the input that stands for it */
    uint32_t ncaptured, outside_cap, inside_cap;
    NodeId (*import)(Build *b, Value v);
    void *host;          /* of `import` */
    struct Piece *piece; /* machine.c */
};

typedef struct Target { /* what y is */
    uint32_t classes;   /* label[classes], or 0: a tensor */
    Shape shape;
} Target;

typedef struct LayerUse { /* one call of a layer, for `deq check --summary` */
    const char *path, *layer;
    const Ast *declaration; /* the LAYER */
    bool in_fixed;
    uint32_t first; /* node of the graph that was being built */
    double parameters, multiply_adds;
    const Shape *shapes; /* of its results */
    uint32_t nshapes;
} LayerUse;

typedef struct Net {
    Model *model;
    Build *root;
    const Instance *instance;
    Target target;
    Shape input;
    /* Of everything that decides its routines, but for metrics and attacks' objectives; set when all losses are known. */
    const char *hash;
    ModelRoutines *routines;
    const char **loss_keys, **metric_keys; /* text that tells losses apart, parallel to model->losses, metrics */
    struct LossOfNet *uses;                /* what trainings and attacks call losses */
    struct PairLoss { /* of clean and attacked outputs: an objective of each, on a record of the other and the target */
        const char *name, *key, *clean, *attacked, *hash;
        const double *settings; /* behind those in the record */
        uint32_t nsettings;
    } * pairs;
    Value output;
    uint32_t nuses, npairs, pairs_cap, nparameters_cap, nfixed_cap, nhands_cap, nmaps_cap, nlosses_cap, nmetrics_cap,
        loss_keys_cap, metric_keys_cap, uses_cap;
    LayerUse *layers; /* in the order their calls begin: the net itself first */
    uint32_t nlayers, layers_cap;
} Net;

typedef struct PairLoss PairLoss;

typedef struct Elab {
    Arena *arena;
    Diags *diags;
    Program *program;
    uint32_t real_bytes;
    const char *const *asked; /* attack settings of the command line, "linf.radius=0.2"; NULL at the end, or NULL */
    /* A setting of a trained net, net.gradient or net.forward.max, as text; *train (may be NULL) is the TRAIN where nothing
     * but that net's own settings decide it.  NULL after an error. */
    const char *(*net_setting)(Scope *s, const Ast *member, const Ast **train);
    void *pipe;           /* of net_setting */
    const Ast *asked_net; /* the TRAIN whose gradient, as it is, an attack asks that gives none; NULL: not known */
    const char *training; /* the training run whose attack is read, and its call; NULL: none */
    const Ast *trained_against;
    uint32_t depth;       /* of calls, to refuse recursion */
    uint32_t evaluations; /* of the net or cell being written out, to refuse what grows without end */
    Net **nets;
    uint32_t nnets, nets_cap;
    Routine **routines; /* attacks, optimisers, scalar functions */
    uint32_t nroutines, routines_cap;
    struct Attack **attacks; /* attack.c */
    uint32_t nattacks, attacks_cap;
    struct Optimiser **optimisers; /* optimiser.c */
    uint32_t noptimisers, optimisers_cap;
    struct Objective {
        const char *name, *hash;
    } * objectives; /* queries.c */
    uint32_t nobjectives, objectives_cap;
    const char **names; /* identifiers in use */
    uint32_t nnames, names_cap;
    struct {
        DiagCode code;
        Range at;
    } * reported;
    uint32_t nreported, reported_cap;
} Elab;

typedef struct Frame { /* where the code being elaborated is used, for notes */
    const char *what;
    Range at;
    const struct Frame *up;
} Frame;

struct Scope {
    Elab *elab;
    const Module *module;
    Env *env;
    Build *build;
    Net *net;              /* whose parameters and fixed points are made; NULL outside nets */
    const char *path;      /* of the layer instance */
    uint32_t fixed_points; /* in the layer's body: with several, the state's name tells them apart */
    bool in_fixed;         /* inside the body of a fixed point */
    const Shape *flex;     /* the shape that flex values take, or NULL */
    /* Calls that only this place knows: loss(a), gradient(loss, at: a), d(w), draws.  True when it was one. */
    bool (*host)(Scope *s, const Ast *call, const char *name, Value *out);
    void *host_data;
    const Frame *frame;
    /* Local functions see names as they are where they are called, if this is the scope itself: in attacks, whose states
     * change.  Else as they are where the function stands. */
    const Scope *live;
    /* Calls of functions that run, of the statement being evaluated: made before it (attack_fn.c). */
    const struct Ready {
        const struct Ready *next;
        const Ast *call;
        Value value;
    } * ready;
};

/* ---- reporting: always VALUE_NONE; the same mistake of another instantiation is reported once ---- */
Value elab_error(const Scope *s, DiagCode code, Range at, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
Value elab_error_help(const Scope *s, DiagCode code, Range at, const char *help, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* With a note at another place (a Range without source: none). */
Value elab_error_note(const Scope *s, DiagCode code, Range at, Range note_at, const char *note, const char *format, ...)
    __attribute__((format(printf, 6, 7)));
Scope scope_of_module(Elab *e, const Module *m);
void scope_bind(Scope *s, const char *name, Value v);
/* `wanted`, made unique in the unit: "Net", "Net_2". */
const char *elab_name(Elab *e, const char *wanted);
/* Takes `prefix` with each of the endings (a NULL-terminated list) out of use: symbols that routines will have. */
void elab_reserve(Elab *e, const char *prefix, const char *const *endings);

/* ---- expressions (expression.c) ---- */
Value eval(Scope *s, const Ast *e);
/* Counts one evaluation or round of a `for`; false, and an error the first time, when what is written out becomes too
 * large. */
bool eval_allowed(Scope *s, Range at);
/* What is written out next, a net or a cell of an experiment, is as large as it is by itself. */
void eval_anew(Elab *e);
/* The same with a shape for flex values; NUMBERs and FLEX become nodes of that shape. */
Value eval_shaped(Scope *s, const Ast *e, Shape shape);
bool eval_number(Scope *s, const Ast *e, double *out); /* reports when it is none */
bool eval_size(Scope *s, const Ast *e, uint32_t *out); /* a positive whole number */
/* The value as a node of s->build; numbers become constants.  NODE_NONE after an error. */
NodeId node_of(Scope *s, Value v, Range at);
/* Shape of a NODE; scalar for numbers. */
Shape value_shape(Value v);
const Node *value_get(Value v);
/* Gives a flex value (or a number) the shape; other values must have it. */
Value value_fit(Scope *s, Value v, Shape shape, Range at, const char *what);
Value value_flex(Scope *s, const Ast *e); /* the expression, to be evaluated when its shape is known */
Value elementwise(Scope *s, Op op, const Value *args, uint32_t n, Range at, const Ast *whole);
Value elementwise_with(Scope *s, Op op, const Value *args, uint32_t n, const Attr *attr, Range at, const Ast *whole);
const char *shape_text(Arena *a, Shape s); /* "f32[128, 10]" */
NodeId build_import(Build *b, Value v);
Build *build_new(Arena *a, const char *name, Build *outer);
/* Unrolls a FOR; true when its body returned a value or failed. */
bool run_for(Scope *s, const Ast *loop, Value *result);
/* Runs a statement that any body may hold: LET and FN.  False when it is another kind. */
bool statement(Scope *s, const Ast *stmt);
/* What the name is bound to in the scope; a sweep of another experiment is known by its path.  NULL: nothing. */
const Value *scope_value(const Scope *s, const Ast *e);
/* What a name stands for after following sweep variables and consts: the tree and the scope to evaluate it in. */
const Ast *resolve_ast(Scope *s, const Ast *e, Scope *out);
/* Is it `none`, or a sweep's variable with that value here? */
bool is_none(Scope *s, const Ast *e);
/* A block of settings with those of its records in their place (settings_value.h). */
const Ast *scope_settings(Scope *s, const Ast *list);

/* ---- calls (call.c) ---- */
typedef struct Arg {
    const char *name; /* NULL: by position */
    const Ast *ast;
    Range at;
    Value value;
    bool state, used;
} Arg;
typedef struct Args {
    Arg *items;
    uint32_t n, cap;
    Range at;
} Args;
Args call_args(Scope *s, const Ast *call, const Value *piped, Range piped_at);
/* A call of `fn` begins: the scope of its body, with sizes and arguments bound.  Frame: of the caller's, which lives as
 * long.  False after an error. */
bool fn_begin(Scope *s, const Value *fn, const Ast *explicit_sizes, Args *args, Frame *frame, Scope *inner);
/* `v` as the declared result. */
Value fn_result(Scope *inner, const Ast *fn, Value v);
Value call_fn(Scope *s, const Value *fn, const Ast *explicit_sizes, Args args);
Value call_layer(Scope *s, const Instance *instance, Args args);
Value call(Scope *s, const Ast *call, const Value *piped, Range piped_at);
/* Dense[128, 10](settings), under the path given; NULL after an error. */
const Instance *layer_instance(Scope *s, const Ast *e, const char *path);
/* Matches the argument by position or name of `binding`; marks it used.  NULL: not given. */
Arg *args_take(Args *args, const char *name, bool state);
bool args_all_used(Scope *s, const Args *args, const char *callee);
/* The type with its sizes evaluated: shape, or classes for label[K].  False after an error. */
bool eval_type(Scope *s, const Ast *type, Shape *shape, uint32_t *classes);
/* Matches a value with a declared type, binding sizes: 1 done, 0 more sizes must be known first, -1 after an error. */
int match_type(Scope *s, const Ast *type, Value *v, Range at);

/* ---- image.c: of images [C, H, W]; shapes must fit ---- */
typedef struct Pool {
    uint32_t kernel, stride, padding;
    bool largest; /* else the mean, padding counting as zeros */
} Pool;
NodeId image_pool(Graph *g, NodeId x, const Pool *p, Range at);
NodeId image_upsample(Graph *g, NodeId x, uint32_t factor, Range at); /* every element repeated factor x factor */
NodeId image_bilinear(Graph *g, NodeId x, uint32_t height, uint32_t width, Range at);

/* ---- order along the last axis (order.c): every pair of elements is compared, so of lines this long at most ---- */
enum { MOST_ORDERED = 4096 };
/* The places of the elements, from the largest to the smallest; of equal ones the lower place first. */
NodeId order_ranked(Graph *g, NodeId x, Range at);
NodeId order_sorted(Graph *g, NodeId x, Range at); /* the elements, from the smallest to the largest */
/* ---- summary.c: rows of the table of layers; begin gives the number that end takes ---- */
uint32_t summary_begin(Scope *s, const Instance *i);
void summary_end(Scope *s, uint32_t use, Value result);
json_t *summary_json(const Net *net);
/* ---- training.c: what differs in training ---- */
Value training_statistic(Scope *s, Value x, Value buffer, double momentum, Range at);
Value training_dropout(Scope *s, Shape dims, double rate, Range at); /* the mask */

/* ---- built-in functions (builtin.c) ---- */
bool builtin_value(Scope *s, const char *name, const Ast *e, Value *out);
bool builtin_call(Scope *s, const char *name, const Ast *call, const Value *piped, Range piped_at, Value *out);

/* ---- nets (net.c, fixed_point.c) ---- */
Net *net_find(Scope *s, const Instance *instance, Shape input, Target target, Range at);
/* Adds the loss (a fn, possibly with its other arguments given) to the net and returns its name, NULL after an error.
 */
const char *net_loss(Scope *s, Net *net, const Ast *loss, bool metric);
const char *net_projection_loss(Net *net, Elab *e);
/* A loss as a function of the script: fn with its settings. */
typedef struct LossUse {
    const Ast *fn;
    const Module *owner;
    Args settings; /* by name */
    Range at;
} LossUse;
typedef struct LossOfNet { /* a loss of the net with its settings: those that differ in numbers share their routines */
    const char *name, *key;
    LossUse use;      /* without fn where it is no function of the script */
    uint32_t loss;    /* of the model */
    double *settings; /* those that are data */
    uint32_t nsettings;
} LossOfNet;
/* Reads a function of outputs and target, with its settings (NUMBERs, or nodes where the scope has such). */
bool loss_read(Scope *s, const Ast *given, LossUse *out);
/* Whether the routines read it as data: a real number.  Others decide what the loss is. */
bool loss_setting_is_data(const LossUse *use, const Arg *setting);
/* The loss called `name`; NULL: it is of two outputs. */
const LossOfNet *net_loss_called(const Net *net, const char *name);
/* Its value for an output and a target, in the graph being built. */
Value loss_value(Scope *s, const LossUse *l, Value output, Value target);
typedef enum ObjectiveUse { OBJECTIVE_ATTACKS, OBJECTIVE_TRAINS, OBJECTIVE_OUTSIDE } ObjectiveUse;
/* The name of the net's loss that is whatever function the caller asks for, made on first use, with the gradients that
 * this use of it needs: in inputs; in parameters, as in training; in both, as in predictions. */
const char *net_objective(Net *net, Elab *e, ObjectiveUse use);
Value net_parameter(Scope *s, const Ast *param, bool trained);
bool fixed_point(Scope *s, const Ast *fixed);
void net_finish(Elab *e, Net *net); /* its hash, and its metrics' */
/* ---- what settings ask of a fixed point's equation (fixed_settings.c) ---- */
/* The text of a setting can be read, and where it names a splitting solver the fixed point is z = prox(L z + c); else
 * reports. */
bool setting_fits(Scope *s, const FixedPoint *f, const char *key, const char *text, Range at);
/* Whether the gradient mode asks for the loss gradient at states on the solver's way. */
bool setting_asks_on_the_way(const char *gradient);
bool model_penalty(Scope *s, Model *m, const char *text, Range at); /* what a `penalty` asks of the net's routines */
/* Compares f->certificate with what the form of the equation proves (certify.c); false when that is less. */
bool certify(Scope *s, FixedPoint *f, Range at);
/* ---- gradients by hand (hand.c) ---- */
/* Elaborates every `gradient .. of LAYER by hand` of the program for the call of a layer that has just been elaborated:
 * `s` is the scope at the end of its body, `inputs` what its inputs were bound to, `first` the number of fixed points
 * the net had before.  False after an error. */
bool hand_gradients(Scope *s, const Ast *layer, const Env *inputs, uint32_t first);
/* transpose(fn)(y) */
Value hand_transposed(Scope *s, const Value *fn, const Ast *call);

/* ---- settings as texts (setting_text.c); NULL after an error ---- */
/* `key` as in fixed_settings.def, or a path of it: "forward", "forward.tol", "gradient.adjoint", "penalty.weight".
 * "anderson(memory: 5, tol: 0.0001)", "implicit(gmres(tol: 0.0001, max: 30))", "zeros", "0.5". */
const char *setting_text(Scope *s, const char *key, const Ast *value);
const char *row_text(Scope *s, const struct deq_family *f, const Ast *value); /* of a row of the family */
/* A solver or a chain of them, for SOLVER_STATE or SOLVER_ADJOINT. */
const char *chain_text(Scope *s, const Ast *value, int uses);
/* The text as a value, by the runtime's reader; what that refuses is reported. */
bool setting_read(Scope *s, const char *key, const char *text, Range at, struct deq_fixed_settings *out);
/* `gradient: net.gradient` of an attack on that very net: what it asks without the setting. */
bool setting_of_asked_net(Scope *s, const Ast *value);
const char *initialiser_text(Scope *s, const Ast *value);

/* ---- state machines and scalar functions ---- */
typedef struct Scalars { /* values of frame->scalars of a routine, in order */
    struct Scalar {
        const char *name;
        double value;
        bool whole;    /* an int of the definition, or a label */
        bool label;    /* one of the net's, of a function: its bounds follow */
        bool count;    /* the rounds of a `repeat`: whole and not negative */
        bool computed; /* no argument (the rounds of a `repeat` that are an expression), or an argument such rounds use:
                          changing it alone, when the program runs, would leave the two in disagreement */
        bool bounded;  /* radius: f32 in 0..1: what has a meaning, both ends included.  DBL_MAX: every finite number */
        bool unbounded; /* the upper bound is lifted */
        double low, high;
        const char *low_by, *high_by; /* the same by other settings (bound_text.c), where they depend on them */
        const double *choices;        /* p: f32 in [2, inf]: what has a meaning, instead */
        uint32_t nchoices;
    } * items;
    uint32_t n, cap;
} Scalars;
/* Gives the scalar the bounds of its BINDING, read in the scope of its fellow settings, `list` (NULL: bounds mention
 * none); false, and an error at `at`, when its value lies outside. */
bool scalar_bound(Scope *s, struct Scalar *x, const Ast *binding, Scope *settings, const Ast *list, Range at,
                  const char *callee);
/* *text: the bound of the setting `of` as the runtime computes it from the settings of `list`; NULL: it does not depend
 * on them.  False after an error: it does in a way that the runtime cannot compute. */
bool bound_text(Scope *settings, const char *of, const Ast *bound, const Ast *list, const char **text);
/* `text` and ", where p is inf" for every setting of `list` that the bound mentions. */
const char *bound_where(Scope *settings, const Ast *bound, const Ast *list, const char *text);
typedef struct AttackUse {
    const char *name, *definition, *routine, *gradient, *hash;
    const char *judge;   /* its word; NULL: prediction */
    bool differentiates; /* it asks for gradient(loss, ..) */
    bool allow_masking, unbounded;
    Scalars scalars;
} AttackUse;
/* Settings that stand behind an attack and those that it is a part of, as they are read, from outside to inside. */
typedef struct AttackSettings {
    struct AttackWith {
        const Ast *settings; /* a block, records in their place */
        Scope from;
        uint32_t level; /* how many attacks made of others are around */
    } * items;
    uint32_t n, cap, level;
} AttackSettings;
/* Takes in `with { .. }`, a WITH, and gives what is on its left. */
const Ast *attack_with(Scope *from, const Ast *e, AttackSettings *with);
/* if c then a else b, of attacks: the one that settings choose; NULL after an error. */
const Ast *attack_chosen(Scope *from, const Ast *e);
/* The expression that `e`, a call of an attack made of others, stands for, with its scope in *from; `with` is then one
 * level further in.  *name: of the attack, where it has none yet.  NULL: `e` is no such call (*ok), or there was an error. */
const Ast *attack_others(Scope *from, const Ast *e, const char **name, AttackSettings *with, bool *ok);
/* The net that the attack asks, as it is written, and its scope; NULL: the one that is evaluated.  around: settings of what
 * the attack is a part of, or NULL; its own come first, then those of what is nearest.  False after an error. */
bool attack_against(Scope *s, const Ast *attack, const AttackSettings *around, const Ast **net, Scope *from);
/* The attack as a routine with its numbers; around: as above.  needs: `net` and its `loss` are those that it asks.  in_batch:
 * with the statistics of the batch, in training. */
bool attack_use(Scope *s, const Ast *attack, const AttackSettings *around, Net *net, const char *loss, bool in_batch,
                AttackUse *out);
typedef struct OptimiserUse {
    const char *name, *routine, *hash;
    uint32_t states;
    Scalars scalars;
} OptimiserUse;
bool optimiser_use(Scope *s, const Ast *optimiser, OptimiserUse *out);
/* The weights that a defence gives to the solver's states: "0.5 * mean(states) + 0.5 * states[3]"; NULL after an error.
 */
const char *defence_text(Scope *s, const Ast *defence);
/* The same for a declaration, before anything uses it; one that needs arguments passes. */
bool defence_check(Scope *s, const Ast *declaration);
/* states[..] and mean(states[..]) in its body. */
Value defence_index(Scope *s, Value states, const Ast *index);
Value defence_mean(Scope *s, Value states, Range at);
/* What an instance is made from: follows names, `attack a = pgd(..)` and the like to the definition.  Stops at a
 * declaration whose value is a `with` (then *call is it).  NULL when `e` is something else. */
const Ast *instance_definition(Scope *s, const Ast *e, AstKind declaration, AstKind definition, Scope *from,
                               const Module **owner, const char **name, const Ast **call);
/* The numeric arguments of a definition, in order, defaults filled in; *numbers holds the sizes that defaults may
 * mention, and then the arguments too. */
bool instance_numbers(Scope *from, const Ast *call, const Ast *params, const Module *owner, const char *callee,
                      bool unbounded, Env **numbers, Scalars *out);
typedef struct ScalarLet { /* a value that the expression, or one behind it, mentions by this name */
    const char *name;
    const Ast *let, *copy; /* as the script has it; with the inputs' names in it */
} ScalarLet;
/* A routine computing `e` from the named inputs, which become its scalars, and from the lets; NULL after an error. */
const char *scalar_function(Scope *s, const char *name, const Ast *e, const char *const *inputs, uint32_t n,
                            const ScalarLet *lets, uint32_t nlets);
/* Hash of a routine's text: 32 hex digits. */
const char *routine_hash(Elab *e, const Routine *r);
const char *text_hash(Arena *a, const char *text, size_t n);
#endif
