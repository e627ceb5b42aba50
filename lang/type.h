/* type.h - types of expressions.
 *
 * The working real type is written `f32` and means "the precision the program is compiled for"; `f64` never mixes with
 * it.  A label is an index below its number of classes.  Sizes are polynomials (size.h): inside a layer they mention
 * its size parameters, at an instantiation they are numbers. Types are immutable and structural: compare them with
 * type_equal.  TYPE_ERROR equals everything, so that one mistake is reported once. */
#ifndef DEQ_LANG_TYPE_H
#define DEQ_LANG_TYPE_H
#include "size.h"

typedef enum Elem { ELEM_REAL, ELEM_F64, ELEM_INT, ELEM_BOOL, ELEM_LABEL } Elem;

typedef enum TypeKind {
    TYPE_ERROR,    /* a mistake was reported; absorbs */
    TYPE_NUMBER,   /* a number of no fixed type yet: literals and arithmetic on them; adapts to f32, f64, int */
    TYPE_FLEX,     /* a real tensor whose shape comes from where it is used: zeros, uniform(lo, hi) */
    TYPE_TENSOR,   /* elem, rank, dims; a scalar has rank 0; open shapes see `pack`; labels see `classes` */
    TYPE_TUPLE,    /* items */
    TYPE_LIST,     /* items[0] is the type of every element */
    TYPE_RANGE,    /* a..b, half open */
    TYPE_STRING,   /* file names */
    TYPE_WORD,     /* one of a setting's words: relative, keep_best */
    TYPE_FN,       /* decl: a function, unapplied; `transposed` for transpose(fn); or decl NULL and fn(T, T) -> T: items
                      are the inputs and then the result, `bound` the sizes of its own, without values */
    TYPE_LAYER,    /* decl: a layer with its given sizes in `bound`: what `use` makes */
    TYPE_MODULE,   /* decl: IMPORT; before a member access */
    TYPE_SCHEDULE, /* a learning rate as a function of the step */
    TYPE_DATASET,  /* items: input, target; members train and test */
    TYPE_EXAMPLES, /* items: input, target; a split or slice of a dataset, possibly under attack */
    TYPE_NET,      /* decl: TRAIN or LAYER; items[0]: its TYPE_LAYER; a trained net or a part of one */
    TYPE_ATTACK,
    TYPE_DEFENCE,
    TYPE_OPTIMISER,
    TYPE_MODE, /* a gradient mode */
    TYPE_SOLVER,
    TYPE_PENALTY,
    TYPE_FINISH,
    TYPE_STATES,     /* the solver's states, in a defence; items[0]: type of one state */
    TYPE_STATISTICS, /* m.fixed, v.attack: members as in statistics.def */
    TYPE_VERDICT,    /* v.verdict: a row of verdicts.def */
    TYPE_WEIGHTS,    /* weights(..): parameters in a file */
    TYPE_RECORD,     /* settings as a value: what they fit is known where they are used */
    TYPE_CHECK,      /* gradcheck(...), gradients(...): what a test or check block runs */
} TypeKind;

struct Type {
    TypeKind kind;
    Elem elem;           /* TENSOR, FLEX */
    bool transposed;     /* FN */
    uint32_t rank;       /* TENSOR */
    const Size **dims;   /* TENSOR: rank sizes */
    uint32_t pack;       /* TENSOR: 1 + the place in dims of a pack, ..S, which is any number of axes; 0: no pack */
    const Size *classes; /* label[classes] */
    uint32_t nitems;
    const Type **items;
    const Ast *decl;
    uint32_t nbound;
    const SizeBinding *bound; /* LAYER: its given sizes and the int arguments given at `use` */
    bool augmented;           /* EXAMPLES: changed at random, for training only */
    const Ast *call;          /* LAYER: the CALL at `use` that gives settings, or NULL */
};

extern const Type type_counter; /* an int that is known only when it runs: equal to type_int, and no size */
extern const Type type_error, type_number, type_flex, type_real, type_f64, type_int, type_bool, type_string, type_word,
    type_range, type_schedule, type_attack, type_defence, type_optimiser, type_mode, type_solver, type_penalty,
    type_finish, type_record, type_statistics, type_attack_statistics, type_verdict, type_log, type_check, type_weights,
    type_evaluation; /* the real scalar an evaluation gives: equal to
                                    type_real, with members steps, residual, converged */

const Type *type_tensor(Arena *a, Elem elem, uint32_t rank, const Size *const *dims); /* copies dims */
const Type *type_label(Arena *a, const Size *classes);
const Type *type_pack(Arena *a, const Ast *pack); /* a real tensor of the axes that the SIZE_PARAM stands for */
bool type_has_rank(const Type *t, uint32_t rank); /* a TENSOR of so many axes, all of them known; labels have none */
const Type *type_of_items(Arena *a, TypeKind kind, uint32_t n, const Type *const *items);
const Type *type_with_elem(Arena *a, const Type *t, Elem elem); /* same shape, other elements */
const Type *type_substitute(Arena *a, const Type *t, const SizeBinding *b, uint32_t n);

bool type_equal(const Type *a, const Type *b);      /* ERROR equals everything */
bool type_same_shape(const Type *a, const Type *b); /* both TENSOR */
bool type_is_scalar(const Type *t);                 /* NUMBER, or a tensor of rank 0 that is no label */
bool type_is_number(const Type *t);                 /* such a scalar that is no condition */
bool type_is_condition(const Type *t);              /* a scalar that is true or false */
bool type_is_real(const Type *t);                   /* NUMBER, FLEX, f32 and f64 tensors */
static inline bool type_is_function(const Type *t) { return t->kind == TYPE_FN && t->nitems > 0; } /* fn(T) -> T */
const char *type_text(Arena *a, const Type *t); /* "f32[C, H / 2, ..S]", "label[10]", "(f32, f32[H])" */
const char *type_kind_text(const Type *t);      /* "a layer", "a dataset", "a tensor" */
#endif
