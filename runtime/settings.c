/* settings.c - solver and gradient-mode settings from text, with names, defaults and ranges from the tables. */
#include "settings.h"
#include "call.h"
#include "hand.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define NO_KIND (-1) /* an argument of every solver */

typedef struct option {
    int kind; /* solver or mode it belongs to */
    const char *name;
    size_t offset; /* in deq_solver or deq_mode */
    bool integer;
    double fallback, low, high;
} option;

#define IS_INT(type, member) _Generic(((type *)0)->member, int : true, double : false)

static const option solver_options[] = {
#define SOLVER(name, uses, doc)
#define OPTION(solver, name, fallback, low, high, doc)                                                                 \
    {DEQ_SOLVER_##solver, #name, offsetof(deq_solver, name), IS_INT(deq_solver, name), fallback, low, high},
#define COMMON(name, fallback, low, high, doc)                                                                         \
    {NO_KIND, #name, offsetof(deq_solver, name), IS_INT(deq_solver, name), fallback, low, high},
#define CHOICE(name, fallback, alternatives, doc)
#include "solvers.def"
#undef SOLVER
#undef OPTION
#undef COMMON
#undef CHOICE
};

static const option mode_options[] = {
#define MODE(id, spelling, exact, forward, doc)
#define MODE_OPTION(id, name, fallback, low, high, doc)                                                                \
    {DEQ_MODE_##id, #name, offsetof(deq_mode, name), IS_INT(deq_mode, name), fallback, low, high},
#include "modes.def"
#undef MODE
#undef MODE_OPTION
};

static const struct {
    const char *name;
    int uses;
} solvers[] = {
#define SOLVER(name, uses, doc) {#name, uses},
#define OPTION(solver, name, fallback, low, high, doc)
#define COMMON(name, fallback, low, high, doc)
#define CHOICE(name, fallback, alternatives, doc)
#include "solvers.def"
#undef SOLVER
#undef OPTION
#undef COMMON
#undef CHOICE
};

static const char *const modes[] = {
#define MODE(id, spelling, exact, forward, doc) spelling,
#define MODE_OPTION(id, name, fallback, low, high, doc)
#include "modes.def"
#undef MODE
#undef MODE_OPTION
};

/* Arguments whose value is a word: the second alternative sets the member. */
#define MEMBER_stop absolute
#define MEMBER_keep last
#define OFFSET_OF_(member) offsetof(deq_solver, member)
#define OFFSET_OF(member) OFFSET_OF_(member)
static const struct {
    const char *name, *alternatives, *fallback;
    size_t offset;
} choices[] = {
#define SOLVER(name, uses, doc)
#define OPTION(solver, name, fallback, low, high, doc)
#define COMMON(name, fallback, low, high, doc)
#define CHOICE(name, fallback, alternatives, doc) {#name, alternatives, #fallback, OFFSET_OF(MEMBER_##name)},
#include "solvers.def"
#undef SOLVER
#undef OPTION
#undef COMMON
#undef CHOICE
};

static const char *const on_fails[] = {"warn", "stop", "keep_best", "zero_gradient"};

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

static void option_store(void *record, const option *o, double value) {
    char *member = (char *)record + o->offset;
    if (o->integer)
        *(int *)member = (int)value;
    else
        *(double *)member = value;
}

static double option_load(const void *record, const option *o) {
    const char *member = (const char *)record + o->offset;
    return o->integer ? *(const int *)member : *(const double *)member;
}

static bool option_set(void *record, const option *o, deq_part value, deq_error *e) {
    double number;
    if (!deq_part_number(value, &number))
        return deq_fail(e, DEQ_SETTING, "`%s` needs a number, not `%.*s`", o->name, (int)value.length, value.text);
    if (o->integer && number != floor(number))
        return deq_fail(e, DEQ_SETTING, "`%s` needs a whole number, not `%.*s`", o->name, (int)value.length,
                        value.text);
    if (number < o->low || number > o->high)
        return deq_fail(e, DEQ_SETTING, "`%s` must lie between %g and %g, not `%.*s`", o->name, o->low, o->high,
                        (int)value.length, value.text);
    option_store(record, o, number);
    return true;
}

static const option *option_find(const option *table, int count, int kind, deq_part name) {
    for (int i = 0; i < count; i++)
        if ((table[i].kind == kind || table[i].kind == NO_KIND) && deq_part_is(name, table[i].name)) return &table[i];
    return NULL;
}

/* Alternative number `which` of "first|second" as a part. */
static deq_part alternative(const char *alternatives, int which) {
    const char *bar = strchr(alternatives, '|');
    return which ? deq_part_of(bar + 1) : (deq_part){alternatives, (size_t)(bar - alternatives)};
}

static bool part_equal(deq_part a, deq_part b) { return a.length == b.length && !memcmp(a.text, b.text, a.length); }

static bool solver_set(deq_solver *s, deq_part name, deq_part value, deq_error *e) {
    const option *o = option_find(solver_options, COUNT(solver_options), (int)s->kind, name);
    if (o) return option_set(s, o, value, e);
    if (deq_part_is(name, "return")) name = deq_part_of("keep");
    for (int i = 0; i < COUNT(choices); i++) {
        if (!deq_part_is(name, choices[i].name)) continue;
        for (int which = 0; which < 2; which++)
            if (part_equal(value, alternative(choices[i].alternatives, which))) {
                *(bool *)((char *)s + choices[i].offset) = which == 1;
                return true;
            }
        return deq_fail(e, DEQ_SETTING, "`%.*s` is one of %s, not `%.*s`", (int)name.length, name.text,
                        choices[i].alternatives, (int)value.length, value.text);
    }
    return deq_fail(e, DEQ_SETTING, "the solver `%s` has no argument `%.*s`", solvers[s->kind].name, (int)name.length,
                    name.text);
}

static void solver_defaults(deq_solver *s, deq_solver_kind kind) {
    *s = (deq_solver){.kind = kind, .damping = 1, .step = 1};
    for (int i = 0; i < COUNT(solver_options); i++)
        if (solver_options[i].kind == (int)kind || solver_options[i].kind == NO_KIND)
            option_store(s, &solver_options[i], solver_options[i].fallback);
    for (int i = 0; i < COUNT(choices); i++)
        *(bool *)((char *)s + choices[i].offset) =
            part_equal(deq_part_of(choices[i].fallback), alternative(choices[i].alternatives, 1));
}

static bool solver_parse(deq_part text, bool adjoint, deq_solver *out, deq_error *e) {
    deq_call call;
    if (!deq_call_parse(text, &call, e)) return false;
    int use = adjoint ? SOLVER_ADJOINT : SOLVER_STATE;
    for (int kind = 0; kind < COUNT(solvers); kind++) {
        if (!deq_part_is(call.name, solvers[kind].name)) continue;
        if (!(solvers[kind].uses & use))
            return deq_fail(e, DEQ_SETTING, "the solver `%s` does not solve for %s", solvers[kind].name,
                            adjoint ? "the adjoint" : "the state");
        deq_solver s;
        solver_defaults(&s, (deq_solver_kind)kind);
        for (int i = 0; i < call.count; i++) {
            if (call.arguments[i].name.length == 0)
                return deq_fail(e, DEQ_SETTING, "arguments of `%s` are named, as in `tol: 1e-4`", solvers[kind].name);
            if (!solver_set(&s, call.arguments[i].name, call.arguments[i].value, e)) return false;
        }
        *out = s;
        return true;
    }
    return deq_fail(e, DEQ_SETTING, "there is no solver `%.*s`", (int)call.name.length, call.name.text);
}

bool deq_solver_parse(const char *text, bool adjoint, deq_solver *out, deq_error *e) {
    return solver_parse(deq_part_of(text), adjoint, out, e);
}

bool deq_mode_parse(const char *text, deq_mode *out, deq_error *e) {
    deq_call call;
    if (!deq_call_parse(deq_part_of(text), &call, e)) return false;
    for (int kind = 0; kind < COUNT(modes); kind++) {
        if (!deq_part_is(call.name, modes[kind])) continue;
        deq_mode m = {.kind = (deq_mode_kind)kind, .steps = 1, .damping = 1};
        solver_defaults(&m.adjoint, DEQ_SOLVER_gmres);
        for (int i = 0; i < COUNT(mode_options); i++)
            if (mode_options[i].kind == kind) option_store(&m, &mode_options[i], mode_options[i].fallback);
        for (int i = 0; i < call.count; i++) {
            deq_part name = call.arguments[i].name, value = call.arguments[i].value;
            if (kind == DEQ_MODE_implicit && (name.length == 0 || deq_part_is(name, "adjoint"))) {
                if (!solver_parse(value, true, &m.adjoint, e)) return false;
                continue;
            }
            const option *o = option_find(mode_options, COUNT(mode_options), kind, name);
            if (!o)
                return deq_fail(e, DEQ_SETTING, "the gradient mode `%s` has no argument `%.*s`", modes[kind],
                                (int)name.length, name.text);
            if (!option_set(&m, o, value, e)) return false;
        }
        *out = m;
        return true;
    }
    return deq_fail(e, DEQ_SETTING, "there is no gradient mode `%.*s`", (int)call.name.length, call.name.text);
}

static const char *mode_name(const deq_mode *m) { return m->kind == DEQ_MODE_hand ? m->hand->name : modes[m->kind]; }

bool deq_mode_has_adjoint(const deq_mode *m) {
    return m->kind == DEQ_MODE_implicit || (m->kind == DEQ_MODE_hand && m->hand->nsolves > 0);
}

bool deq_mode_is_exact(const deq_mode *m) {
    static const bool exact[] = {
#define MODE(id, spelling, exact_, forward, doc) exact_,
#define MODE_OPTION(id, name, fallback, low, high, doc)
#include "modes.def"
#undef MODE
#undef MODE_OPTION
    };
    return m->kind == DEQ_MODE_hand || exact[m->kind];
}

/* "paper", or "paper(SOLVER)" with a solver for all its solves. */
static bool hand_parse(const deq_hand *h, deq_part text, deq_mode *out, deq_error *e) {
    deq_call call;
    deq_mode m = {.kind = DEQ_MODE_hand, .steps = 1, .damping = 1, .hand = h};
    solver_defaults(&m.adjoint, DEQ_SOLVER_gmres);
    if (h->nsolves) m.adjoint = h->solves[0].solver;
    if (!deq_call_parse(text, &call, e)) return false;
    if (call.count > (h->nsolves > 0))
        return deq_fail(e, DEQ_SETTING, "the gradient `%s` takes %s", h->name,
                        h->nsolves ? "one argument, the solver of its solves" : "no arguments");
    if (call.count && !solver_parse(call.arguments[0].value, true, &m.adjoint, e)) return false;
    m.replaced = call.count > 0;
    *out = m;
    return true;
}

static bool mode_set(deq_fixed_settings *s, const char *value, deq_error *e) {
    const deq_hand *h = deq_hands_find(s->hands, value);
    return h ? hand_parse(h, deq_part_of(value), &s->gradient, e) : deq_mode_parse(value, &s->gradient, e);
}

bool deq_fixed_check(const deq_fixed_settings *s, const char *name, deq_error *e) {
    if (s->gradient.kind != DEQ_MODE_backprop || s->forward.kind == DEQ_SOLVER_picard) return true;
    char forward[256];
    deq_solver_print(&s->forward, forward, sizeof forward);
    return deq_fail(e, DEQ_SETTING, "fixed point %s: gradient backprop() needs the forward solver picard(), this is %s",
                    name, forward);
}

bool deq_fixed_set(deq_fixed_settings *s, const char *key, const char *value, deq_error *e) {
    static const char forward[] = "forward.", adjoint[] = "gradient.adjoint.", gradient[] = "gradient.";
    deq_part text = deq_part_of(value);
    if (!strcmp(key, "forward")) return deq_solver_parse(value, false, &s->forward, e);
    if (!strncmp(key, forward, sizeof forward - 1))
        return solver_set(&s->forward, deq_part_of(key + sizeof forward - 1), text, e);
    if (!strcmp(key, "gradient")) return mode_set(s, value, e);
    if (!strncmp(key, adjoint, sizeof adjoint - 1) || !strcmp(key, "gradient.adjoint")) {
        if (!deq_mode_has_adjoint(&s->gradient))
            return deq_fail(e, DEQ_SETTING, "the gradient mode `%s` has no adjoint solver", mode_name(&s->gradient));
        s->gradient.replaced = true;
        if (!strcmp(key, "gradient.adjoint")) return deq_solver_parse(value, true, &s->gradient.adjoint, e);
        return solver_set(&s->gradient.adjoint, deq_part_of(key + sizeof adjoint - 1), text, e);
    }
    if (!strncmp(key, gradient, sizeof gradient - 1)) {
        deq_part name = deq_part_of(key + sizeof gradient - 1);
        const option *o = option_find(mode_options, COUNT(mode_options), (int)s->gradient.kind, name);
        if (o) return option_set(&s->gradient, o, text, e);
        return deq_fail(e, DEQ_SETTING, "the gradient mode `%s` has no argument `%s`", mode_name(&s->gradient),
                        name.text);
    }
    if (!strcmp(key, "on_fail")) {
        for (int i = 0; i < COUNT(on_fails); i++)
            if (!strcmp(value, on_fails[i])) {
                s->on_fail = (deq_on_fail)i;
                return true;
            }
        return deq_fail(e, DEQ_SETTING, "`on_fail` is one of warn|stop|keep_best|zero_gradient, not `%s`", value);
    }
    if (!strcmp(key, "start")) {
        if (strcmp(value, "zeros")) return deq_fail(e, DEQ_SETTING, "`start` is zeros, not `%s`", value);
        s->start = DEQ_START_ZEROS;
        return true;
    }
    return deq_fail(e, DEQ_SETTING, "a fixed point has no setting `%s` (there are forward, gradient, on_fail, start)",
                    key);
}

/* Appends to out[0 .. size), keeping the terminating NUL; returns the new length. */
static size_t append(char *out, size_t size, size_t at, const char *separator, const char *name, const char *value) {
    if (at >= size) return at;
    int n = snprintf(out + at, size - at, "%s%s: %s", separator, name, value);
    return at + (n > 0 ? (size_t)n : 0);
}

/* The shortest text that reads back as the same number. */
static void print_number(char *out, size_t size, double value) {
    for (int digits = 6; digits <= 17; digits++) {
        double back;
        snprintf(out, size, "%.*g", digits, value);
        if (deq_part_number(deq_part_of(out), &back) && back == value) return;
    }
}

static size_t print_options(char *out, size_t size, size_t at, const option *table, int count, int kind,
                            const void *record, const char **separator) {
    for (int i = 0; i < count; i++) {
        if (table[i].kind != kind && table[i].kind != NO_KIND) continue;
        char number[40];
        print_number(number, sizeof number, option_load(record, &table[i]));
        at = append(out, size, at, *separator, table[i].name, number);
        *separator = ", ";
    }
    return at;
}

void deq_solver_print(const deq_solver *s, char *out, size_t size) {
    const char *separator = "(";
    size_t at = (size_t)snprintf(out, size, "%s", solvers[s->kind].name);
    at = print_options(out, size, at, solver_options, COUNT(solver_options), (int)s->kind, s, &separator);
    for (int i = 0; i < COUNT(choices); i++) {
        deq_part word = alternative(choices[i].alternatives, *(const bool *)((const char *)s + choices[i].offset));
        char text[32];
        snprintf(text, sizeof text, "%.*s", (int)word.length, word.text);
        at = append(out, size, at, separator, strcmp(choices[i].name, "keep") ? choices[i].name : "return", text);
    }
    if (at < size) snprintf(out + at, size - at, ")");
}

void deq_mode_print(const deq_mode *m, char *out, size_t size) {
    size_t at = (size_t)snprintf(out, size, "%s", mode_name(m));
    const char *separator = "(";
    if (at >= size) return;
    if (m->kind == DEQ_MODE_implicit || m->replaced) {
        char solver[256];
        deq_solver_print(&m->adjoint, solver, sizeof solver);
        snprintf(out + at, size - at, "(%s)", solver);
        return;
    }
    at = print_options(out, size, at, mode_options, COUNT(mode_options), (int)m->kind, m, &separator);
    if (at < size) snprintf(out + at, size - at, *separator == '(' ? "()" : ")");
}

const char *deq_on_fail_name(deq_on_fail o) { return on_fails[o]; }
