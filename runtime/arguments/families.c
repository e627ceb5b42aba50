/* families.c - the .def tables as families of rows and typed arguments. */
#include "families.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))
#define FAMILY(what_, plain_, list_, more_, rows_, arguments_)                                                         \
    .what = what_, .plain = plain_, .list = list_, .more = more_, .rows = rows_, .nrows = COUNT(rows_),                \
    .arguments = arguments_, .narguments = COUNT(arguments_)
#define NUMBER_OF(record, member) _Generic(((record *)0)->member, int : DEQ_WHOLE, double : DEQ_NUMBER)
#define NUMBER_FIELDS(record, member, owner_, name_, fallback_, low_, high_, uses_, doc_)                              \
    .owner = owner_, .name = name_, .type = NUMBER_OF(record, member), .offset = offsetof(record, member),             \
    .fallback = fallback_, .low = low_, .high = high_, .uses = uses_, .doc = doc_
#define NUMBER(...) {NUMBER_FIELDS(__VA_ARGS__)},
#define RARE_NUMBER(...) {NUMBER_FIELDS(__VA_ARGS__), .rare = true},
#define FLAG(record, owner_, member, fallback_, doc_)                                                                  \
    {.owner = owner_,                                                                                                  \
     .name = #member,                                                                                                  \
     .type = DEQ_FLAG,                                                                                                 \
     .offset = offsetof(record, member),                                                                               \
     .fallback = fallback_,                                                                                            \
     .doc = doc_},
#define WORDS(record, member, owner_, name_, fallback_, words_, uses_, doc_)                                           \
    {.owner = owner_,                                                                                                  \
     .name = name_,                                                                                                    \
     .type = DEQ_WORD,                                                                                                 \
     .offset = offsetof(record, member),                                                                               \
     .fallback = fallback_,                                                                                            \
     .words = words_,                                                                                                  \
     .uses = uses_,                                                                                                    \
     .doc = doc_},
#define STATES(record, member, owner_, name_, first_, limit_, doc_)                                                    \
    {.owner = owner_,                                                                                                  \
     .name = name_,                                                                                                    \
     .type = DEQ_STATES,                                                                                               \
     .offset = offsetof(record, member),                                                                               \
     .first = first_,                                                                                                  \
     .limit = limit_,                                                                                                  \
     .doc = doc_},

/* ---- solvers ---- */

static const deq_row solver_rows[] = {
#define SOLVER(name, uses, doc) {#name, #name, uses},
#include "solvers.def"
};

/* Numbers, then words, then what all have: the order of canonical texts. */
#define MEMBER_stop absolute
#define MEMBER_return last
#define CHOICE_OF(member, name, fallback, alternatives, doc)                                                           \
    WORDS(deq_solver, member, NULL, name, fallback, alternatives, 0, doc)
static const deq_argument solver_arguments[] = {
#define OPTION(solver, name, fallback, low, high, doc)                                                                 \
    NUMBER(deq_solver, name, #solver, #name, fallback, low, high, 0, doc)
#define COMMON(name, fallback, low, high, doc) NUMBER(deq_solver, name, NULL, #name, fallback, low, high, 0, doc)
#define COMMON_RARE(name, fallback, low, high, doc)                                                                    \
    RARE_NUMBER(deq_solver, name, NULL, #name, fallback, low, high, 0, doc)
#include "solvers.def"
#define WORD(solver, name, uses, fallback, words, doc)                                                                 \
    WORDS(deq_solver, name, #solver, #name, fallback, words, uses, doc)
#include "solvers.def"
#define CHOICE(name, fallback, alternatives, doc) CHOICE_OF(MEMBER_##name, #name, fallback, alternatives, doc)
#include "solvers.def"
};
const deq_family deq_solver_family = {FAMILY("a solver", "()", "solvers: ", "", solver_rows, solver_arguments)};

bool deq_solver_serves(const deq_row *solver, int use, deq_complaint *why) {
    *why = (deq_complaint){0};
    if (solver->uses & use) return true;
    snprintf(why->text, sizeof why->text, "'%s' solves %s", solver->name,
             use == SOLVER_STATE ? "the linear equation of the adjoint, not z = f(z)"
                                 : "z = f(z), not the linear equation of the adjoint");
    snprintf(why->help, sizeof why->help, "%s",
             use == SOLVER_STATE ? "forward: anderson(), broyden() or picard()" : "implicit(gmres())");
    return false;
}

/* ---- gradient modes ---- */

static const deq_row mode_rows[] = {
#define MODE(id, spelling, ...) [DEQ_MODE_##id] = {#id, spelling, 0},
#include "modes.def"
};

#define MEMBER_states states
#define MEMBER_from states
#define MEMBER_solver adjoint
#define STATES_OF(member, ...) STATES(deq_mode, member, __VA_ARGS__)
#define SOLVER_OF(member, owner_, name_, doc_)                                                                         \
    {.owner = owner_, .name = name_, .type = DEQ_NESTED, .offset = offsetof(deq_mode, member), .doc = doc_},
static const deq_argument mode_arguments[] = {
#define MODE_OPTION(id, name, fallback, low, high, doc) NUMBER(deq_mode, name, #id, #name, fallback, low, high, 0, doc)
#define MODE_FLAG(id, name, fallback, doc) FLAG(deq_mode, #id, name, fallback, doc)
#define MODE_WORD(id, name, fallback, words, doc) WORDS(deq_mode, name, #id, #name, fallback, words, 0, doc)
#define MODE_STATES(id, name, first, limit, doc) STATES_OF(MEMBER_##name, #id, #name, first, limit, doc)
#define MODE_SOLVER(id, name, doc) SOLVER_OF(MEMBER_##name, #id, #name, doc)
#include "modes.def"
};
const deq_family deq_mode_family = {FAMILY(
    "a gradient mode", "(..)", "modes: ", ", or the name of a 'gradient .. by hand'", mode_rows, mode_arguments)};

/* ---- penalties ---- */

static const deq_row penalty_rows[] = {
#define PENALTY(id, doc) {#id, #id, 0},
#include "penalties.def"
};

static const deq_argument penalty_arguments[] = {
#define PENALTY_OPTION(id, name, fallback, low, high, doc)                                                             \
    NUMBER(deq_penalty, name, #id, #name, fallback, low, high, 0, doc)
#define PENALTY_COMMON(name, fallback, low, high, doc)                                                                 \
    NUMBER(deq_penalty, name, NULL, #name, fallback, low, high, 0, doc)
#include "penalties.def"
#define PENALTY_FLAG(id, name, fallback, doc) FLAG(deq_penalty, #id, name, fallback, doc)
#define PENALTY_WORD(id, name, fallback, words, doc) WORDS(deq_penalty, name, #id, #name, fallback, words, 0, doc)
#define PENALTY_STATES(id, name, first, limit, doc) STATES(deq_penalty, name, #id, #name, first, limit, doc)
#include "penalties.def"
};
const deq_family deq_penalty_family = {
    FAMILY("a penalty", "(..)", "penalties: ", ", none, or a list of different ones", penalty_rows, penalty_arguments)};

/* ---- finishes ---- */

static const deq_row finish_rows[] = {
#define FINISH(id, doc) {#id, #id, 0},
#include "finishes.def"
};
static const deq_argument finish_arguments[] = {
#define FINISH_OPTION(id, name, fallback, low, high, doc)                                                              \
    NUMBER(deq_finish, name, #id, #name, fallback, low, high, 0, doc)
#define FINISH_FLAG(id, name, fallback, doc) FLAG(deq_finish, #id, name, fallback, doc)
#include "finishes.def"
};
const deq_family deq_finish_family = {FAMILY(
    "a finish", "", "finishes: ", ", of which apply has arguments: apply(steps: 2)", finish_rows, finish_arguments)};

/* ---- clip, average, replay, intermediate ---- */

static const deq_row clip_rows[] = {
#define CLIP(id, doc) {#id, #id, 0},
#include "training.def"
};
static const deq_argument clip_arguments[] = {
#define CLIP_OPTION(id, name, fallback, low, high, doc) NUMBER(deq_clip, name, #id, #name, fallback, low, high, 0, doc)
#include "training.def"
};
const deq_family deq_clip_family = {
    FAMILY("a way to clip gradients", "", "ways to clip: ", ", written norm(1.0)", clip_rows, clip_arguments),
    .unnamed = true};

static const deq_row average_rows[] = {
#define AVERAGE(id, doc) {#id, #id, 0},
#include "training.def"
};
static const deq_argument average_arguments[] = {
#define AVERAGE_OPTION(id, name, fallback, low, high, doc)                                                             \
    NUMBER(deq_average, name, #id, #name, fallback, low, high, 0, doc)
#define AVERAGE_FLAG(id, name, fallback, doc) FLAG(deq_average, #id, name, fallback, doc)
#include "training.def"
};
const deq_family deq_average_family = {
    FAMILY("an average of parameters", "", "averages: ", ", written ema(0.999)", average_rows, average_arguments),
    .unnamed = true};

static const deq_row replay_rows[] = {
#define REPLAY(id, doc) {#id, #id, 0},
#include "training.def"
};
static const deq_argument replay_arguments[] = {
#define REPLAY_OPTION(id, name, fallback, low, high, doc)                                                              \
    NUMBER(deq_replay, name, #id, #name, fallback, low, high, 0, doc)
#include "training.def"
};
const deq_family deq_replay_family = {FAMILY("a way to replay batches", "",
                                             "ways to replay: ", ", written free(8, radius: 0.03, step: 0.03)",
                                             replay_rows, replay_arguments),
                                      .unnamed = true};

static const deq_row intermediate_rows[] = {
#define INTERMEDIATE(id, doc) {#id, #id, 0},
#include "training.def"
};
static const deq_argument intermediate_arguments[] = {
#define INTERMEDIATE_STATES(id, name, first, limit, doc) STATES(deq_intermediate, name, #id, #name, first, limit, doc)
#include "training.def"
};
const deq_family deq_intermediate_family = {FAMILY("a choice of intermediate states", "", "choices: ",
                                                   ", written random(1..9)", intermediate_rows, intermediate_arguments),
                                            .unnamed = true};

/* ---- initialisers ---- */

static const deq_row initialiser_rows[] = {
#define INIT(name, rule, signature, doc) {#name, #name, 0},
#include "initialisers.def"
};
static const deq_argument initialiser_arguments[] = {
#define INIT_ARGUMENT(init, name, need, uses, fallback, low, high, doc)                                                \
    NUMBER(deq_initialiser, name, #init, #name, fallback, low, high, uses, doc)
#include "initialisers.def"
};
const deq_family deq_initialiser_family = {
    FAMILY("an initialiser", "(..)", "initialisers: ", "", initialiser_rows, initialiser_arguments)};

/* ---- readers and transformations ---- */

static const deq_row reader_rows[] = {
#define READER(name, elements, classes, train, test, doc) {#name, #name, 0},
#include "readers.def"
};
const deq_delivery deq_deliveries[] = {
#define READER(name, elements, classes, train, test, doc) {elements, classes, {train, test}},
#include "readers.def"
};
static const deq_argument reader_arguments[] = {
#define READER_ARGUMENT(reader, name_, kind, required_, doc_)                                                          \
    {.owner = #reader, .name = #name_, .type = DEQ_TEXT, .required = required_, .doc = doc_},
#include "readers.def"
};
const deq_family deq_reader_family = {FAMILY("a data reader", "()", "readers: ", "", reader_rows, reader_arguments)};

static const deq_row transform_rows[] = {
#define TRANSFORM(name, doc) {#name, #name, 0},
#include "transforms.def"
};
static const deq_argument transform_arguments[] = {
#define TRANSFORM_ARGUMENT(transform, name, fallback, low, high, doc)                                                  \
    NUMBER(deq_transform, name, #transform, #name, fallback, low, high, 0, doc)
#include "transforms.def"
};
const deq_family deq_transform_family = {
    FAMILY("a transformation", "()", "transformations: ", "", transform_rows, transform_arguments)};

/* ---- the settings of a fixed point ---- */

const deq_fixed_setting deq_fixed_table[DEQ_FIXED_KEYS] = {
#define FIXED_SETTING(key, kind, words, fallback, doc) {#key, DEQ_FIXED_##kind, words, fallback, doc},
#include "fixed_settings.def"
};

int deq_fixed_key_find(const char *key, const char **rest) {
    size_t length = strcspn(key, ".");
    *rest = key[length] ? key + length + 1 : NULL;
    for (int i = 0; i < DEQ_FIXED_KEYS; i++)
        if (strlen(deq_fixed_table[i].key) == length && !strncmp(deq_fixed_table[i].key, key, length)) return i;
    return -1;
}
