/* tables.c - the .def files as arrays; see tables.h. */
#include "tables.h"
#include "log_columns.h"
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
/* first: a name's first row that fits is taken */
#define INIT(name, rule, signature, doc) {#name, CTX_INIT, RULE_##rule, signature, doc, NULL, NEED_OPTIONAL},
#define INIT_ARGUMENT(init, name, need, uses, fallback, low, high, doc)                                                \
    {#init, 0, 0, NULL, NULL, #name, NEED_OF_##need},
#include "initialisers.def"
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

bool builtin_joins_attacks(const Builtin *b) { return b && (b->rule == RULE_ATTACKS || b->rule == RULE_RESTARTS); }

static const Setting settings[] = {
#define SETTING(block, key, kind, required, fallback, low, high, doc)                                                  \
    {#block, #key, KIND_##kind, required, fallback, low, high, doc},
#define FIXED_SETTING(key, kind, words, fallback, doc)                                                                 \
    {"fixed", #key, KIND_##kind, 0, sizeof(words) > 1 ? words : fallback, 0, 0, doc},
#include "fixed_settings.def"
#include "settings.def"
#undef SETTING
    {NULL, NULL, 0, false, NULL, 0, 0, NULL},
};
const Setting *const setting_table = settings;

const Setting *setting_find(const char *block, const char *key) {
    for (const Setting *s = settings; s->key; s++)
        if (strcmp(s->block, block) == 0 && strcmp(s->key, key) == 0) return s;
    return NULL;
}

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
#define COUNT(table) (sizeof(table) / sizeof *(table))

static const deq_row *row_named(const deq_family *f, const char *name) {
    return name ? deq_row_find(f, deq_part_of(name)) : NULL;
}

const deq_row *solver_find(const char *name) { return row_named(&deq_solver_family, name); }
const deq_row *penalty_find(const char *name) { return row_named(&deq_penalty_family, name); }
const deq_row *finish_find(const char *name) { return row_named(&deq_finish_family, name); }
const deq_row *reader_find(const char *name) { return row_named(&deq_reader_family, name); }
const deq_row *transform_find(const char *name) { return row_named(&deq_transform_family, name); }

const deq_argument *solver_argument(const char *solver, const char *name) {
    const deq_row *row = row_named(&deq_solver_family, solver);
    return solver && !row ? NULL : deq_argument_find(&deq_solver_family, row, deq_part_of(name));
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

static const deq_row *mode_row(const Mode *mode) { return mode ? &deq_mode_family.rows[mode - modes] : NULL; }

const deq_argument *mode_argument_at(const Mode *mode, int i) {
    return deq_argument_at(&deq_mode_family, mode_row(mode), 0, i);
}

const deq_argument *mode_argument(const Mode *mode, const char *name) {
    return deq_argument_find(&deq_mode_family, mode_row(mode), deq_part_of(name));
}

const deq_delivery *reader_delivery(const deq_row *reader) {
    const deq_delivery *d = &deq_deliveries[reader - deq_reader_family.rows];
    return d->elements ? d : NULL;
}

bool data_provides(const char *name) { return reader_find(name) || transform_find(name); }

bool words_contain(const char *alternatives, const char *word) {
    size_t n = strlen(word);
    for (const char *p = alternatives; p && *p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL)
        if (strncmp(p, word, n) == 0 && (p[n] == '|' || p[n] == '\0')) return n > 0;
    return false;
}

/* ---- statistics of evaluations ---- */
enum { SOLVE, VALUE, ATTACK };
static const struct {
    int group;
    const char *name;
    bool share;
} statistics[] = {
#define STATISTIC(group, name, share, doc) {group, #name, share},
#include "statistics.def"
#undef STATISTIC
};
#define STATISTICS (sizeof statistics / sizeof *statistics)

bool statistic_find(bool attack, const char *name) {
    for (size_t i = 0; i < STATISTICS; i++)
        if ((statistics[i].group == ATTACK) == attack && !strcmp(statistics[i].name, name)) return true;
    return false;
}

bool statistic_is_share(bool attack, const char *name) {
    for (size_t i = 0; i < STATISTICS; i++)
        if ((statistics[i].group == ATTACK) == attack && !strcmp(statistics[i].name, name)) return statistics[i].share;
    return false;
}

bool statistic_of_solves(const char *name) {
    for (size_t i = 0; i < STATISTICS; i++)
        if (statistics[i].group == SOLVE && !strcmp(statistics[i].name, name)) return true;
    return false;
}

const char *statistic_names(Arena *a, bool attack) {
    const char *text = "";
    for (size_t i = 0; i < STATISTICS; i++)
        if ((statistics[i].group == ATTACK) == attack)
            text = arena_printf(a, "%s%s%s", text, *text ? ", " : "", statistics[i].name);
    return text;
}

/* ---- columns of training logs ---- */
static const char *const log_columns[] = {
#define X(column, doc) #column,
    DEQ_LOG(X)
#undef X
};
#define LOG_COLUMNS (sizeof log_columns / sizeof *log_columns)

bool log_column_find(const char *name) {
    for (size_t i = 0; i < LOG_COLUMNS; i++)
        if (!strcmp(log_columns[i], name)) return true;
    return false;
}

const char *log_column_names(Arena *a) {
    const char *text = "";
    for (size_t i = 0; i < LOG_COLUMNS; i++) text = arena_printf(a, "%s%s%s", text, i ? ", " : "", log_columns[i]);
    return text;
}
