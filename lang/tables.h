/* tables.h - the language's tables as data: builtin.def, settings.def, and those shared with the runtime.
 *
 * Needs nothing.  Ensures: lookups return rows of static tables, NULL where there is none. */
#ifndef DEQ_LANG_TABLES_H
#define DEQ_LANG_TABLES_H
#include "arena.h"
#include "families.h"
#include <stdbool.h>
#include <stdint.h>

/* Where a built-in name is known: bits of the place an expression stands in. */
enum {
    CTX_LAYER = 1,
    CTX_FN = 2,
    CTX_INIT = 4, /* the right side of param and buffer */
    CTX_ATTACK = 8,
    CTX_OPTIMISER = 16,
    CTX_SCHEDULE = 32,
    CTX_DEFENCE = 64,
    CTX_GRADIENT = 128, /* gradient .. by hand */
    CTX_PIPELINE = 256, /* data, train, instances, experiment, test, check */
    CTX_CONST = 512,
    CTX_ANY = 1023,
};

typedef enum BuiltinRule {
    RULE_VALUE_W,
    RULE_VALUE_SCALAR,
    RULE_VALUE_NUMBER,
    RULE_VALUE_FINAL,
    RULE_VALUE_STATES,
    RULE_LOSS,
    RULE_LOGITS,
    RULE_WRONG,
    RULE_GRADIENT,
    RULE_D_PARAMETER,
    RULE_D_HAND,
    RULE_DRAW,
    RULE_INIT,
    RULE_INIT_UNIFORM,
    RULE_INIT_MATRIX,
    RULE_INIT_SQUARE,
    RULE_TRANSPOSE_FN,
    RULE_VJP,
    RULE_SOLVE,
    RULE_ELEMENTWISE,
    RULE_EXTREMUM,
    RULE_REDUCE,
    RULE_ALONG_LAST,
    RULE_ARGMAX,
    RULE_RANKED,
    RULE_INDICES,
    RULE_ONE_HOT,
    RULE_DOT,
    RULE_OUTER,
    RULE_FLATTEN,
    RULE_RESHAPE,
    RULE_CONCAT,
    RULE_PAD,
    RULE_POOL,
    RULE_UPSAMPLE,
    RULE_BILINEAR,
    RULE_CONV,
    RULE_FILL,
    RULE_STATISTIC,
    RULE_DROPOUT,
    RULE_ACROSS_BATCH,
    RULE_METRIC,
    RULE_GRADCHECK,
    RULE_GRADIENTS,
    RULE_FINITE_DIFFERENCE,
    RULE_WEIGHTS,
    RULE_ATTACKS,
    RULE_RESTARTS,
} BuiltinRule;

typedef enum Need { NEED_OPTIONAL, NEED_REQUIRED, NEED_MANY } Need;

typedef struct Builtin {
    const char *name;
    unsigned contexts;
    BuiltinRule rule;
    const char *signature, *doc;
    uint32_t nargs;
    struct {
        const char *name;
        Need need;
    } args[6];
} Builtin;

extern const Builtin *const builtin_table;                       /* as in builtin.def; the last row has no name */
const Builtin *builtin_find(const char *name, unsigned context); /* a row known in any of the bits of `context` */
bool builtin_is_value(const Builtin *b);                         /* used without a call: x, pi, states */
bool builtin_joins_attacks(const Builtin *b);                    /* several attacks become one; NULL: none does */

typedef enum Kind {
    KIND_START,
    KIND_FORWARD,
    KIND_MODE,
    KIND_FINISH,
    KIND_PENALTY,
    KIND_CERTIFY,
    KIND_CLIP,
    KIND_AVERAGE,
    KIND_REPLAY,
    KIND_INTERMEDIATE,
    KIND_PATHS,
    KIND_RATES,
    KIND_METRIC,
    KIND_WORD,
    KIND_BOOL,
    KIND_LOSS,
    KIND_OPTIMISER,
    KIND_INT,
    KIND_REAL,
    KIND_ATTACK,
    KIND_DEFENCE,
    KIND_NET,
    KIND_EXAMPLES,
    KIND_CHECK,
    KIND_COMPARE,
    KIND_MODES,
    KIND_REFERENCE,
    KIND_ROWS,
    KIND_COLUMNS,
    KIND_CELLS,
    KIND_BAND,
    KIND_SCALE,
    KIND_LABEL,
    KIND_WEIGHTS,
} Kind;

typedef struct Setting {
    const char *block, *key;
    Kind kind;
    int required;         /* 1: always; 2: unless all of these are left out and `start` is given */
    const char *fallback; /* WORD: the alternatives "a|b" */
    double low, high;
    const char *doc;
} Setting;

extern const Setting *const setting_table; /* as in settings.def; the last row has no key */
const Setting *setting_find(const char *block, const char *key);

typedef struct Mode {
    const char *id, *name; /* "phantom", "phantom.unroll" */
    bool exact, adjoint;   /* the derivative of what is computed; its argument is an adjoint solver */
    const char *forward;   /* the solver it needs, or "any" */
} Mode;

/* Rows and arguments of families.h by name; NULL: there is none. */
const deq_row *solver_find(const char *name);
const deq_argument *solver_argument(const char *solver, const char *name); /* without a solver: of any */
const Mode *mode_find(const char *name);
const Mode *mode_at(uint32_t i);
const char *mode_why(const Mode *mode); /* it needs its forward solver; NULL: it takes any */
const deq_argument *mode_argument(const Mode *mode, const char *name); /* without a mode: of any */
const deq_argument *mode_argument_at(const Mode *mode, int i);
const deq_row *penalty_find(const char *name);
const deq_row *finish_find(const char *name);
const deq_row *reader_find(const char *name);
const deq_row *transform_find(const char *name);
bool words_contain(const char *alternatives, const char *word); /* "a|b" */
const deq_delivery *reader_delivery(const deq_row *reader);     /* NULL: the files decide */
bool data_provides(const char *name);                           /* std.data has it without declaring it */

/* Whether statistics.def has this row: of an evaluation's attack, or of the solves of its predictions. */
bool statistic_find(bool attack, const char *name);
bool log_column_find(const char *name); /* of a training log */
const char *log_column_names(Arena *a);
bool statistic_of_solves(const char *name);             /* m.fixed has it too */
bool statistic_is_share(bool attack, const char *name); /* printed as a percentage */
const char *statistic_names(Arena *a, bool attack);     /* "steps, residual, converged" */
#endif
