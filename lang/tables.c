/* tables.c - the .def files as arrays; see tables.h. */
#include "tables.h"
#include <math.h>
#include <stddef.h>
#include <string.h>

/* Rows and their arguments stand in one list so that an argument follows the row it belongs to. */
typedef struct BuiltinRow {
    const char *name;
    unsigned contexts;
    BuiltinRule rule;
    const char *signature, *doc, *argument;
    Need need;
} BuiltinRow;

#define NEED_OF_REQUIRED NEED_REQUIRED
#define NEED_OF_OPTIONAL NEED_OPTIONAL
#define NEED_OF_MANY NEED_MANY
static const BuiltinRow builtin_rows[] = {
#define BUILTIN(name, contexts, rule, signature, doc)                                                                  \
    {#name, contexts, RULE_##rule, signature, doc, NULL, NEED_OPTIONAL},
#define BUILTIN_ARG(name, argument, need) {#name, 0, 0, NULL, NULL, #argument, NEED_OF_##need},
#include "builtin.def"
#undef BUILTIN
#undef BUILTIN_ARG
};
enum { BUILTIN_ROWS = sizeof builtin_rows / sizeof *builtin_rows };

static Builtin builtins[BUILTIN_ROWS + 1];
const Builtin *const builtin_table = builtins;

/* Runs before main: the table is constant for everybody else. */
__attribute__((constructor)) static void builtin_fill(void) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < BUILTIN_ROWS; i++) {
        const BuiltinRow *row = &builtin_rows[i];
        if (!row->argument) {
            builtins[n++] = (Builtin){.name = row->name,
                                      .contexts = row->contexts,
                                      .rule = row->rule,
                                      .signature = row->signature,
                                      .doc = row->doc};
            continue;
        }
        Builtin *b = &builtins[n - 1];
        b->args[b->nargs].name = row->argument;
        b->args[b->nargs++].need = row->need;
    }
}

const Builtin *builtin_find(const char *name, unsigned context) {
    for (const Builtin *b = builtins; b->name; b++)
        if ((b->contexts & context) && strcmp(b->name, name) == 0) return b;
    return NULL;
}

bool builtin_is_value(const Builtin *b) { return b->rule <= RULE_VALUE_STATES; }

static const Setting settings[] = {
#define SETTING(block, key, kind, required, fallback, low, high, doc)                                                  \
    {#block, #key, KIND_##kind, required, fallback, low, high, doc},
#define PLANNED(what, name, note)
#include "settings.def"
#undef SETTING
#undef PLANNED
    {NULL, NULL, 0, false, NULL, 0, 0, NULL},
};
const Setting *const setting_table = settings;

const Setting *setting_find(const char *block, const char *key) {
    for (const Setting *s = settings; s->key; s++)
        if (strcmp(s->block, block) == 0 && strcmp(s->key, key) == 0) return s;
    return NULL;
}

static const struct {
    const char *what, *name, *note;
} planned[] = {
#define SETTING(block, key, kind, required, fallback, low, high, doc)
#define PLANNED(what, name, note) {#what, name, note},
#include "settings.def"
#undef SETTING
#undef PLANNED
    {NULL, NULL, NULL}};

const char *planned_find(const char *what, const char *name) {
    for (size_t i = 0; planned[i].what; i++)
        if (strcmp(planned[i].what, what) == 0 && strcmp(planned[i].name, name) == 0) return planned[i].note;
    return NULL;
}

/* An option counts something when its default and bounds are whole; a range within [0, 2] is a share. */
#define WHOLE(fallback, low, high)                                                                                     \
    ((fallback) == (int64_t)(fallback) && (low) == (int64_t)(low) && (double)(high) > 2 && (double)(high) < 1e8)
static const Solver solvers[] = {
#define SOLVER(name, uses, doc)                                                                                        \
    {#name, ((uses)&SOLVER_STATE) != 0, ((uses)&SOLVER_ADJOINT) != 0, ((uses)&SOLVER_SPLIT) != 0,                      \
     ((uses)&SOLVER_DENSE) != 0},
#include "solvers.def"
};
static const Option solver_options[] = {
#define OPTION(solver, name, fallback, low, high, doc)                                                                 \
    {#solver, #name, fallback, low, high, WHOLE(fallback, low, high)},
#define COMMON(name, fallback, low, high, doc) {NULL, #name, fallback, low, high, WHOLE(fallback, low, high)},
#include "solvers.def"
};
static const Choice choices[] = {
#define WORD(solver, name, uses, fallback, words, doc)                                                                 \
    {#name, words, #solver, ((uses)&SOLVER_STATE) != 0, ((uses)&SOLVER_ADJOINT) != 0},
#define CHOICE(name, fallback, alternatives, doc) {#name, alternatives, NULL, true, true},
#include "solvers.def"
};
static const Mode modes[] = {
#define MODE(id, spelling, traits, forward, doc)                                                                       \
    {#id, spelling, ((traits)&TRAIT_EXACT) != 0, ((traits)&TRAIT_ADJOINT) != 0, forward},
#include "modes.def"
};
static const struct {
    const char *id, *why;
} mode_whys[] = {
#define MODE_WHY(id, why) {#id, why},
#include "modes.def"
};
static const ModeArgument mode_arguments[] = {
#define MODE_OPTION(id, name, fallback, low, high, doc)                                                                \
    {ARGUMENT_NUMBER, {#id, #name, fallback, low, high, WHOLE(fallback, low, high)}, NULL, 0, 0},
#define MODE_FLAG(id, name, fallback, doc) {ARGUMENT_FLAG, {#id, #name, fallback, 0, 1, false}, NULL, 0, 0},
#define MODE_WORD(id, name, fallback, words, doc) {ARGUMENT_WORD, {#id, #name, fallback, 0, 0, false}, words, 0, 0},
#define MODE_STATES(id, name, first, limit, doc) {ARGUMENT_STATES, {#id, #name, first, 0, 0, true}, NULL, first, limit},
#include "modes.def"
};
#define COUNT(table) (sizeof(table) / sizeof *(table))

const Solver *solver_at(uint32_t i) { return i < COUNT(solvers) ? &solvers[i] : NULL; }

const Solver *solver_find(const char *name) {
    for (size_t i = 0; i < COUNT(solvers); i++)
        if (strcmp(solvers[i].name, name) == 0) return &solvers[i];
    return NULL;
}

const Option *solver_option_at(const char *solver, uint32_t n) {
    for (size_t i = 0; i < COUNT(solver_options); i++)
        if ((!solver_options[i].owner || strcmp(solver_options[i].owner, solver) == 0) && n-- == 0)
            return &solver_options[i];
    return NULL;
}

const Option *solver_option(const char *solver, const char *name) {
    const Option *o;
    for (uint32_t i = 0; (o = solver_option_at(solver, i)); i++)
        if (strcmp(o->name, name) == 0) return o;
    return NULL;
}

const Choice *solver_choice_at(const char *solver, uint32_t n) {
    for (size_t i = 0; i < COUNT(choices); i++)
        if ((!solver || !choices[i].owner || strcmp(choices[i].owner, solver) == 0) && n-- == 0) return &choices[i];
    return NULL;
}

const Choice *solver_choice(const char *solver, const char *name) {
    const char *stored = strcmp(name, "return") == 0 ? "keep" : strcmp(name, "keep") == 0 ? "" : name;
    const Choice *c;
    for (uint32_t i = 0; (c = solver_choice_at(solver, i)); i++)
        if (strcmp(c->name, stored) == 0) return c;
    return NULL;
}

const Mode *mode_at(uint32_t i) { return i < COUNT(modes) ? &modes[i] : NULL; }

const Mode *mode_find(const char *name) {
    for (size_t i = 0; i < COUNT(modes); i++)
        if (strcmp(modes[i].name, name) == 0) return &modes[i];
    return NULL;
}

const char *mode_why(const Mode *mode) {
    for (size_t i = 0; i < COUNT(mode_whys); i++)
        if (strcmp(mode_whys[i].id, mode->id) == 0) return mode_whys[i].why;
    return NULL;
}

const ModeArgument *mode_argument_at(const Mode *mode, uint32_t n) {
    for (size_t i = 0; i < COUNT(mode_arguments); i++)
        if (strcmp(mode_arguments[i].number.owner, mode->id) == 0 && n-- == 0) return &mode_arguments[i];
    return NULL;
}

const ModeArgument *mode_argument(const Mode *mode, const char *name) {
    const ModeArgument *a;
    for (uint32_t i = 0; (a = mode_argument_at(mode, i)); i++)
        if (strcmp(a->number.name, name) == 0) return a;
    return NULL;
}

static const char *const penalties[] = {
#define PENALTY(id, doc) #id,
#include "penalties.def"
};
static const ModeArgument penalty_arguments[] = {
/* owner NULL: of every penalty */
#define PENALTY_OPTION(id, name, fallback, low, high, doc)                                                             \
    {ARGUMENT_NUMBER, {#id, #name, fallback, low, high, WHOLE(fallback, low, high)}, NULL, 0, 0},
#define PENALTY_COMMON(name, fallback, low, high, doc)                                                                 \
    {ARGUMENT_NUMBER, {NULL, #name, fallback, low, high, WHOLE(fallback, low, high)}, NULL, 0, 0},
#define PENALTY_FLAG(id, name, fallback, doc) {ARGUMENT_FLAG, {#id, #name, fallback, 0, 1, false}, NULL, 0, 0},
#define PENALTY_WORD(id, name, fallback, words, doc) {ARGUMENT_WORD, {#id, #name, fallback, 0, 0, false}, words, 0, 0},
#define PENALTY_STATES(id, name, first, limit, doc)                                                                    \
    {ARGUMENT_STATES, {#id, #name, first, 0, 0, true}, NULL, first, limit},
#include "penalties.def"
};

const char *penalty_at(uint32_t i) { return i < COUNT(penalties) ? penalties[i] : NULL; }

const char *penalty_find(const char *name) {
    for (size_t i = 0; i < COUNT(penalties); i++)
        if (strcmp(penalties[i], name) == 0) return penalties[i];
    return NULL;
}

const ModeArgument *penalty_argument_at(const char *penalty, uint32_t n) {
    for (size_t i = 0; i < COUNT(penalty_arguments); i++) {
        const char *owner = penalty_arguments[i].number.owner;
        if ((!owner || strcmp(owner, penalty) == 0) && n-- == 0) return &penalty_arguments[i];
    }
    return NULL;
}

const ModeArgument *penalty_argument(const char *penalty, const char *name) {
    const ModeArgument *a;
    for (uint32_t i = 0; (a = penalty_argument_at(penalty, i)); i++)
        if (strcmp(a->number.name, name) == 0) return a;
    return NULL;
}

bool words_contain(const char *alternatives, const char *word) {
    size_t n = strlen(word);
    for (const char *p = alternatives; p && *p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL)
        if (strncmp(p, word, n) == 0 && (p[n] == '|' || p[n] == '\0')) return n > 0;
    return false;
}

static const Reader readers[] = {
#define READER(name, doc) {#name, doc},
#define READER_ARGUMENT(reader, name, kind, required, doc)
#include "readers.def"
#undef READER
#undef READER_ARGUMENT
};
static const struct {
    const char *reader, *name;
    bool required;
} reader_arguments[] = {
#define READER(name, doc)
#define READER_ARGUMENT(reader, name, kind, required, doc) {#reader, #name, required},
#include "readers.def"
#undef READER
#undef READER_ARGUMENT
};

const Reader *reader_at(uint32_t i) { return i < COUNT(readers) ? &readers[i] : NULL; }

const Reader *reader_find(const char *name) {
    for (size_t i = 0; i < COUNT(readers); i++)
        if (strcmp(readers[i].name, name) == 0) return &readers[i];
    return NULL;
}

/* What a reader delivers whatever its files say; others are known only by their headers, when the program runs. */
static const Delivery deliveries[] = {{"fashion_mnist", 28 * 28, 10},
                                      {"mnist", 28 * 28, 10},
                                      {"cifar10", 3 * 32 * 32, 10},
                                      {"cifar100", 3 * 32 * 32, 100},
                                      {"cifar100_coarse", 3 * 32 * 32, 20}};

const Delivery *reader_delivery(const Reader *reader) {
    for (size_t i = 0; i < COUNT(deliveries); i++)
        if (strcmp(deliveries[i].reader, reader->name) == 0) return &deliveries[i];
    return NULL;
}

const char *reader_argument(const Reader *reader, uint32_t n, bool *required) {
    for (size_t i = 0; i < COUNT(reader_arguments); i++)
        if (strcmp(reader_arguments[i].reader, reader->name) == 0 && n-- == 0) {
            *required = reader_arguments[i].required;
            return reader_arguments[i].name;
        }
    return NULL;
}

static const Transform transforms[] = {
#define TRANSFORM(name, doc) {#name, doc},
#define TRANSFORM_ARGUMENT(transform, name, fallback, low, high, doc)
#include "transforms.def"
#undef TRANSFORM
#undef TRANSFORM_ARGUMENT
};
static const Option transform_options[] = {
#define TRANSFORM(name, doc)
#define TRANSFORM_ARGUMENT(transform, name, fallback, low, high, doc) {#transform, #name, fallback, low, high, true},
#include "transforms.def"
#undef TRANSFORM
#undef TRANSFORM_ARGUMENT
};

const Transform *transform_at(uint32_t i) { return i < COUNT(transforms) ? &transforms[i] : NULL; }

const Transform *transform_find(const char *name) {
    for (size_t i = 0; i < COUNT(transforms); i++)
        if (strcmp(transforms[i].name, name) == 0) return &transforms[i];
    return NULL;
}

const Option *transform_option_at(const char *transform, uint32_t n) {
    for (size_t i = 0; i < COUNT(transform_options); i++)
        if (strcmp(transform_options[i].owner, transform) == 0 && n-- == 0) return &transform_options[i];
    return NULL;
}

bool data_provides(const char *name) { return reader_find(name) || transform_find(name); }
