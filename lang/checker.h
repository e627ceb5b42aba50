/* checker.h - what the files of the checker (check*.c) share; private to them.
 *
 * One Checker walks one program.  A declaration is checked when first needed (checker_ensure), so order within a module
 * does not matter and a cycle is found where it closes.  Every function reports what it finds and returns type_error,
 * NULL or false; nothing reports on an operand that is type_error already. */
#ifndef DEQ_LANG_CHECKER_H
#define DEQ_LANG_CHECKER_H
#include "axes.h"
#include "check.h"
#include "settings_value.h"
#include "tables.h"
#include "type.h"

typedef struct Signature { /* of FN, LAYER and the four _DEF kinds */
    const Ast *decl;
    Ast **params; /* BINDINGs: state first, then inputs; their `type` is set */
    uint32_t nparams, nstate;
    Ast **sizes; /* SIZE_PARAMs: given, then inferred */
    uint32_t nsizes, ngiven;
    const Type *result; /* FN, LAYER */
    bool broken;        /* a type in it is in error */
} Signature;

typedef struct Checker Checker;
struct Checker {
    Program *program;
    Arena *arena;
    Diags *diags;
    struct CheckerMap *map; /* what is known about declarations and calls */
    const Module *module;
    const Ast *decl;           /* module-level declaration being checked */
    unsigned context;          /* CTX_ */
    const Ast *fixed;          /* fixed point around the expression, or NULL */
    const Ast *fn;             /* the function being checked, or NULL */
    const Signature *attack;   /* the attack being checked, or NULL */
    const struct Given *given; /* the settings at the call whose bounds are looked at, or NULL */
    bool unbounded;            /* it is an attack `with { unbounded: true }` whose settings are looked at */
    const Type *shape_of;      /* what zeros and draws are when nothing else says: x of an attack, w, or NULL */
    struct Visit **visits;     /* instantiations looked at: check_instance.c */
    const Axes *axes;          /* of the experiment being checked, or NULL */
};

typedef struct Given { /* settings of a definition and their values at a call; a NULL one has its default */
    Ast *const *settings, *const *values;
    uint32_t n;
    const struct Given *outer;   /* in which the values are read; NULL: they are the caller's */
    struct GivenNumber *numbers; /* as many: what has been found out, so that many mentions cost one look */
    uint32_t *calls;             /* of functions, in all that the bounds say */
} Given;
typedef struct GivenNumber {
    enum { GIVEN_OPEN, GIVEN_KNOWN, GIVEN_UNKNOWN } state;
    double value;
} GivenNumber;

#define SLOT AST_SLOT

/* ---- check.c ---- */
void checker_ensure(Checker *c, const Ast *decl); /* checks FN, LAYER and module-level declarations once */
const Signature *checker_signature(Checker *c, const Ast *decl); /* never NULL; broken if it is in error */
const char *signature_text(Checker *c, const Signature *s);      /* "Dense[I, O](x: f32[I]) -> f32[O]" */
/* The value of a CONST, and as a size (NULL if it is none); false if it is not a number known here. */
bool checker_constant(Checker *c, const Ast *decl, double *value, const Size **size);
bool layer_has_fixed(Checker *c, const Ast *layer); /* itself or in a layer it uses */
void checker_couples(Checker *c);                   /* the declaration being checked takes a statistic of the batch */
bool layer_couples(Checker *c, const Ast *layer);   /* itself or a layer it uses does */
/* Remembers with which sizes the call or pipe `at` instantiates `callee`. */
void checker_record_call(Checker *c, const Ast *at, const Ast *callee, const SizeBinding *b, uint32_t n);
bool checker_recorded_call(Checker *c, const Ast *at, const Ast **callee, const SizeBinding **b, uint32_t *n);
const Type *fail(Ast *e); /* e->type = error */
/* Reports E0490 for what parses and cannot run. */
const Type *unavailable(Checker *c, Range at, const char *what);
Range place(const Ast *node);                      /* the name's range, else the whole */
const char *a_statement(Checker *c, AstKind kind); /* "an equation" */
bool same(const char *a, const char *b);           /* equal strings, NULL allowed */

/* ---- check_size.c ---- */
const Size *size_of(Checker *c, Ast *e, bool report);      /* NULL if e is no size */
bool constant_of(Checker *c, const Ast *e, double *value); /* compile-time number */
const Type *check_type(Checker *c, Ast *type);             /* a TYPE or TUPLE_TYPE; sets its `type` */
/* The size that a dim is, or that stands for its pack (then *pack is 1 + its place); NULL: reported. */
const Size *check_dim(Checker *c, Ast *dim, uint32_t place, uint32_t *pack);
bool check_positive(Checker *c, Ast *at, const Size *s); /* a number: must be whole and at least 1 */
/* Binds the size variables of `pattern` listed in `b` by matching it with `actual`. */
void unify(Arena *a, const Type *pattern, const Type *actual, SizeBinding *b, uint32_t n);
const SizeBinding *binding_of(const SizeBinding *b, uint32_t n, const Ast *var);

/* ---- check_bounds.c: radius: f32 in 0..1 ---- */
void check_bounds_declared(Checker *c, const Ast *param); /* a BINDING whose type is set */
/* Whether `value`, where it is known, lies in the bounds of the BINDING of `owner`; reports E0412. */
bool check_bounds(Checker *c, const Ast *param, const Ast *value, const char *owner);

/* ---- check_expr.c ---- */
const Type *check_expr(Checker *c, Ast *e); /* sets and returns e->type */

/* ---- check_shape.c ---- */
/* Checks e against `want`: numbers adapt, zeros and draws take its shape.  Reports `code` ("what is A, not B"). */
bool check_against(Checker *c, Ast *e, const Type *want, DiagCode code, const char *what);
const char *value_text(Checker *c, const Ast *e); /* its type, or the number it is, for "is int, not 2.5" */
bool fits(Checker *c, Ast *e, const Type *want);  /* e->type is set; settles e; no report */
void settle(Ast *e, const Type *t);               /* gives a shapeless expression its type */
const Type *join(Checker *c, Ast *at, const char *op, Ast **operands, uint32_t n); /* elementwise result */
bool shapes_join(const Type *a, const Type *b, Arena *arena, const Type **joined); /* broadcasting rule */
void note_sizes(Checker *c, Diagnostic *d, const Type *a, const Type *b);
const Type *binary_matmul(Arena *a, const Type *x, const Type *y); /* type of x @ y, or NULL */
/* "did you mean the matrix product x @ W?" where it exists: of the operands, exchanged, or the right one transposed. */
bool help_product(Checker *c, Diagnostic *d, const Ast *x, const Ast *y);
/* Reports E0312 for two operands; `op` is an operator or the name of a function. */
const Type *report_shapes(Checker *c, Ast *at, const char *op, const Ast *x, const Ast *y);
/* "did you mean 'W' (f32[H, H])?": a param that fits where one of the operands does not. */
bool help_param(Checker *c, Diagnostic *d, const Ast *left, const Ast *right, bool matmul);

/* ---- check_call.c ---- */
typedef struct CallParameter {
    const char *name;
    Need need;
    bool state;
} CallParameter;
/* Puts the arguments of `call` (NULL: none) and the piped operand into `out`, one slot a parameter, rest in *more. */
bool match_arguments(Checker *c, const char *callee, const char *takes, const Ast *call, Ast *piped, Range at,
                     const CallParameter *params, uint32_t n, Ast **out, Ast ***more, uint32_t *nmore);
const Type *check_call(Checker *c, Ast *e, Ast *callee, Ast *call, Ast *piped); /* e: CALL or pipe; call may be NULL */
const Type *check_instance(Checker *c, Ast *e); /* Dense[4, 2], Net, Conv[1, 2](kernel: 3) */

/* The sizes and int arguments of a signature as variables without values; returns how many. */
uint32_t signature_bindings(Checker *c, const Signature *s, SizeBinding *b);
bool fn_is_elementwise(Checker *c, const Ast *fn); /* of scalars to a scalar: it maps over tensors */

/* ---- check_function.c: functions as values ---- */
const Type *check_function_type(Checker *c, Ast *type, bool state); /* fn(T, T) -> T of a parameter */
/* Checks that e is a function of type `want`: the name of one, or one with its settings alone. */
bool check_function(Checker *c, Ast *e, const Type *want, DiagCode code, const char *what);
/* The call of a parameter `name` of type `f`. */
const Type *call_function(Checker *c, Ast *e, const Type *f, const char *name, Ast *call, Ast *piped);

/* ---- check_builtin.c, check_image.c ---- */
const Type *check_builtin(Checker *c, Ast *e, const Builtin *b, Ast *call, Ast *piped);
const Type *check_image(Checker *c, const Builtin *b, Ast **args); /* pooling, resizing */

/* ---- check_layer.c ---- */
void check_fn(Checker *c, Ast *fn);
void check_layer(Checker *c, Ast *layer);
void check_let(Checker *c, Ast *let);
void help_let(Checker *c, Diagnostic *d, const Ast *equation); /* "let h = tanh(z)" for an equation of a new name */
void check_for(Checker *c, Ast *loop, void (*item)(Checker *, Ast *));
void check_carried(Checker *c, Ast *equation); /* h = ... in a for: h is an outer let */

/* ---- check_fixed.c ---- */
void check_fixed(Checker *c, Ast *fixed);
/* A gradient mode; `forward`: the forward solver of the fixed point it is for, or NULL when that is not known here. */
bool check_mode(Checker *c, Ast *e, const char *forward);
/* Whether the solver, `forward:` of a fixed point or NULL, makes the states that a checked mode asks for. */
bool check_states_reached(Checker *c, const Ast *mode, const Ast *forward);
const Ast *forward_value(const Ast *fixed);
typedef enum SolverUse { FOR_STATE, FOR_ADJOINT, ANY_USE } SolverUse;
bool check_solver(Checker *c, Ast *e, SolverUse use);
/* A solver, or A else B else C. */
bool check_chain(Checker *c, Ast *e, SolverUse use);
bool is_chain(const Ast *e);                             /* a else b, of solvers by their spelling */
const Ast *chain_link(const Ast *chain, uint32_t which); /* a solver's own link 0 is itself; NULL past the end */
/* net.gradient, where `net` is a trained net or a name for one: the check of the value says what it is. */
bool names_net_setting(const Ast *e, const char *setting);
bool spells_mode(const Ast *e); /* phantom.unroll(..), implicit: by its spelling */
bool spells_solver(const Ast *e);
/* Calls `visit` for every fixed point of the layer and those it uses; path is "" or "body.". */
void each_fixed(Checker *c, const Ast *layer, const char *path,
                void (*visit)(Checker *, const Ast *, const char *, void *), void *data);
const char *forward_of(const Ast *fixed, const char *unset); /* name of its forward solver */

/* ---- check_argument.c: by type; `what` names the value in messages: "tol' of 'anderson" ---- */
bool check_argument_value(Checker *c, Ast *value, const deq_argument *a, const char *what);
/* All of a call's against those of the row. */
bool check_arguments(Checker *c, Ast *call, const deq_family *f, const deq_row *row, int uses);
void check_words(Checker *c, Ast *value, const char *alternatives, const char *what);
bool check_range(Checker *c, Ast *value, const char *what, double low, double high, bool whole);
/* Reports that `path` (NULL: no name at all) is no row of the family, or stands without its brackets. */
Diagnostic *unknown_row(Checker *c, Ast *e, const deq_family *f, int uses, const char *path, DiagCode code);

/* ---- check_record.c: { epochs: 3; ..r } ---- */
/* No setting before number i of the list has its key; false: reported. */
bool check_set_once(Checker *c, const Ast *list, uint32_t i);
const Type *check_record(Checker *c, Ast *e); /* a RECORD as a value: its keys are looked at where it is used */
/* The records in a block of settings are what sweeps make of them: variant `which` of settings_variants(c, list), in
 * which the settings of records stand in their place.  No variants, and a report, where one is no record. */
uint32_t settings_variants(Checker *c, Ast *list);
Ast *settings_variant(Checker *c, Ast *list, uint32_t which);
/* Element `which` of those of a sweep's list, without labels, members of families among them; *n, 0 before, counts them.
 */
Ast *sweep_element(const Ast *list, uint32_t which, uint32_t *n);
/* What was reported since the count was `from` is about a setting that a record brought in: says where it was taken. */
void note_record(Checker *c, uint32_t from, const Ast *setting);

/* ---- check_penalty.c ---- */
bool check_penalty(Checker *c, Ast *e); /* one, a list, none, or a sweep's variable */
bool spells_penalty(const Ast *e);      /* jacobian(..), none: by its spelling */
/* penalty.weight, penalty.jacobian.weight of an override: false when there is no such argument. */
bool check_penalty_option(Checker *c, Ast *value, const char *option);

/* ---- check_row.c ---- */
/* A row of the family, with its arguments: its type is then `type`, type_word where no sweep goes over such rows. */
bool check_row(Checker *c, Ast *e, const deq_family *f, const Type *type, const char *key);
bool check_finish(Checker *c, Ast *e); /* none, apply(..), trained, or a sweep's variable */
bool spells_finish(const Ast *e);      /* apply(..): by its spelling */

/* ---- check_gradient.c ---- */
void check_gradient(Checker *c, Ast *gradient);
const Type *check_hand(Checker *c, Ast *e, const Builtin *b, Ast **args); /* d, transpose, vjp, solve */
/* A mode is the name of a gradient written by hand; whether that is of the layer whose item `fixed` is. */
bool gradient_by_hand(const Ast *mode);
bool gradient_is_of(const Ast *gradient, const Ast *fixed);

/* ---- check_machine.c ---- */
void check_machine(Checker *c, Ast *def);
/* A function of a module runs, as attacks do, if it has a `state` or `repeat`, or calls one that has.  Such functions
 * are called in attacks, and in one another; `fn_runs` says so of one that has been checked. */
void check_running_fn(Checker *c, Ast *fn);
bool fn_will_run(Checker *c, const Ast *fn);
static inline bool fn_runs(const Ast *fn) { return fn->number != 0; }
/* Whether the running function may be called here; reports E0318. */
bool check_runs_here(Checker *c, Range at, const Ast *fn);
const Type *attack_input(Checker *c);   /* of the attack being checked: the type of the example's input */
const Size *attack_classes(Checker *c); /* the length of the net's output there */
const Type *machine_value(Checker *c, BuiltinRule rule);                        /* w, t, states */
const Type *check_instance_call(Checker *c, Ast *e, const Ast *def, Ast *call); /* pgd(radius: 0.1) */

/* ---- check_loss.c ---- */
/* The value of `loss:`: a fn of output and target, or one with further arguments given by name, f(amount: 0.2); of the
 * types given, which may be NULL.  pairs: it may be of clean output, attacked output and target, if there is an attack. */
bool check_loss(Checker *c, Ast *e, const Type *output, const Type *target, bool pairs, bool attacked);

/* A function with its settings alone, trades(beta: 6): its type; NULL: e is something else. */
const Type *check_partial(Checker *c, Ast *e);

/* ---- check_train.c ---- */
void check_train(Checker *c, Ast *train);
void check_freeze(Checker *c, Ast *value);                /* body, or [body, head.b] */
void check_rates(Checker *c, Ast *s, const Setting *row); /* rates: { body: 0.1; head.b: 2 } */

/* ---- check_pipeline.c, check_experiment.c ---- */
void check_pipeline(Checker *c, Ast *decl);
const Type *check_under(Checker *c, Ast *e);
const Type *check_reader(Checker *c, Ast *e, const deq_row *r, Ast *call);
/* examples |> flip, examples |> crop(pad: 4): the transformation that the right side names, or NULL. */
const deq_row *transform_of(const Ast *right);
const Type *check_transform(Checker *c, Ast *e, const deq_row *t);
/* metric NULL: accuracy. */
const Type *check_evaluation(Checker *c, Ast *e, const Ast *metric, Ast *net, Ast *examples);
struct GradientsCompared; /* labels.h */
const Type *check_gradients(Checker *c, Ast *e, const struct GradientsCompared *call);
void check_setting(Checker *c, Ast *s, const Setting *row);
/* Reports unknown, repeated and missing settings of a block and checks each; items other than settings go to `other`.
 */
void check_settings(Checker *c, Ast *list, const char *block, const char *what, Range at, DiagCode unknown,
                    void (*other)(Checker *, Ast *));
/* Input and output of a net on examples whose input is `given` (NULL: the layer's own type); false if it cannot stand
 * alone. */
bool net_types(Checker *c, Range at, const Type *layer, const Type *given, const Type **input, const Type **output);
bool check_unchanged(Checker *c, const Ast *examples, const char *what); /* not changed at random; reports E0530 */
bool input_of_numbers(Checker *c, Range at, const Signature *s);         /* no label among the inputs; reports E0517 */
void check_experiment(Checker *c, Ast *experiment);
void check_sweep(Checker *c, Ast *sweep); /* also a variable of [f(n) for n in A] */
void check_test(Checker *c, Ast *decl);
const Type *check_gradcheck(Checker *c, Ast *e, const Builtin *b, Ast **args);

/* Variables of sweeps, one or a list, at `key`. */
void check_sweep_names(Checker *c, Ast *value, const char *key);

/* ---- check_figure.c ---- */
void check_figure(Checker *c, Ast *figure);
void check_files(Checker *c, const Ast *items); /* tables and figures of an experiment that would share files */

/* ---- check_member.c ---- */
const Type *check_pipeline_member(Checker *c, Ast *e, const Type *base);
const char *members_text(Checker *c, const Type *t); /* of statistics or a log: names of what is known of it */

/* ---- check_axes.c ---- */
const Type *check_over(Checker *c, const ReductionCall *call, const Ast *e); /* min(v, over: s) */
const Type *check_picks(Checker *c, Ast *e);                                 /* v[mode: jfb] */
/* A comparison of a sweep's values that are no numbers, or with a label, choice == label; NULL: it is none. */
const Type *check_label_compared(Checker *c, Ast *e);
/* Every axis of a table's columns is in its rows or its cells; reports E0531. */
void check_table_axes(Checker *c, const Ast *settings);
const char *text_of_value(Checker *c, const Ast *e); /* as it is written, in quotes, at most 40 letters */

/* ---- check_with.c ---- */
const Type *check_with(Checker *c, Ast *e);
/* Checks a mode for the fixed points of `layer` at `path` ("body."; NULL: all of them); `forward`: the solver an
 * override gives them, or NULL. */
void check_mode_for(Checker *c, Ast *value, const Type *layer, const char *path, const char *forward);
/* An attack differentiates the net by its own mode: what that needs of the net's solvers. */
void check_attack_mode(Checker *c, const Ast *attack, const Type *layer);
const Ast *used_layer(const Ast *layer, const char *name); /* what its `use NAME = ..` is of, or NULL */
bool overrides_forward(Checker *c, const Ast *net);        /* net with { forward: .. } */

/* ---- check_instance.c ---- */
void check_concrete(Checker *c, const Type *layer,
                    Range used); /* every size of a layer whose given sizes are numbers */
#endif
