/* families.h - the tables of solvers, gradient modes, finishes, penalties, initialisers, readers and transformations,
 * each as its rows and one list of typed arguments; and the settings of a fixed point. */
#ifndef DEQ_RUNTIME_FAMILIES_H
#define DEQ_RUNTIME_FAMILIES_H
#include "arguments.h"
#include "records.h"
#include <stdint.h>

/* Rows stand in the order of their tables: row i is of kind i.  Records: deq_solver, deq_mode, deq_finish, deq_penalty,
 * deq_clip, deq_average, deq_replay, deq_intermediate,
 * deq_initialiser, none, deq_transform. */
extern const deq_family deq_solver_family;  /* uses: SOLVER_STATE, SOLVER_ADJOINT .. */
extern const deq_family deq_mode_family;    /* without gradients by hand */
extern const deq_family deq_penalty_family; /* without `none` */
extern const deq_family deq_finish_family;
extern const deq_family deq_clip_family;
extern const deq_family deq_average_family;
extern const deq_family deq_replay_family;
extern const deq_family deq_intermediate_family;
extern const deq_family deq_initialiser_family; /* uses of arguments: INIT_IN_SCRIPT, INIT_IN_TEXT */
extern const deq_family deq_reader_family;
extern const deq_family deq_transform_family;

/* Whether the solver serves `use`, SOLVER_STATE or SOLVER_ADJOINT. */
bool deq_solver_serves(const deq_row *solver, int use, deq_complaint *why);

/* What a reader delivers whatever its files say; 0: they decide. */
typedef struct deq_delivery {
    int64_t elements, classes;
    int64_t most[2]; /* examples of the training and the test split */
} deq_delivery;
extern const deq_delivery deq_deliveries[];

typedef enum deq_fixed_kind {
    DEQ_FIXED_FORWARD,
    DEQ_FIXED_MODE,
    DEQ_FIXED_FINISH,
    DEQ_FIXED_PENALTY,
    DEQ_FIXED_START,
    DEQ_FIXED_WORD
} deq_fixed_kind;
typedef enum deq_fixed_key {
#define FIXED_SETTING(key, kind, words, fallback, doc) DEQ_FIXED_KEY_##key,
#include "fixed_settings.def"
    DEQ_FIXED_KEYS
} deq_fixed_key;
typedef struct deq_fixed_setting {
    const char *key;
    deq_fixed_kind kind;
    const char *words, *fallback, *doc;
} deq_fixed_setting;
extern const deq_fixed_setting deq_fixed_table[DEQ_FIXED_KEYS];
/* The setting that a key begins with, "forward" of "forward.tol"; *rest is what follows the dot, NULL when nothing does.
 * -1: there is none. */
int deq_fixed_key_find(const char *key, const char **rest);
#endif
