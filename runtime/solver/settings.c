/* settings.c - solver and gradient-mode settings from text, with names, defaults and ranges from the tables. */
#include "settings.h"
#include "nearest.h"
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
#define OPTION(solver, name, fallback, low, high, doc)                                                                 \
    {DEQ_SOLVER_##solver, #name, offsetof(deq_solver, name), IS_INT(deq_solver, name), fallback, low, high},
#define COMMON(name, fallback, low, high, doc)                                                                         \
    {NO_KIND, #name, offsetof(deq_solver, name), IS_INT(deq_solver, name), fallback, low, high},
#include "solvers.def"
};

/* Arguments of one solver whose value is one of several words. */
static const struct word {
    int kind, uses;
    const char *name, *words;
    size_t offset;
    int fallback;
} solver_words[] = {
#define WORD(solver, name, uses, fallback, words, doc)                                                                 \
    {DEQ_SOLVER_##solver, uses, #name, words, offsetof(deq_solver, name), fallback},
#include "solvers.def"
};

/* Arguments of modes are of several kinds. */
typedef struct mode_argument {
    int mode;
    const char *name;
    enum { NUMBER, FLAG, WORD, STATES } type;
    size_t offset;
    option number;     /* NUMBER */
    const char *words; /* WORD */
    int first, limit;  /* FLAG, WORD, STATES: the default */
} mode_argument;

#define MEMBER_states states
#define MEMBER_from states
static const mode_argument mode_arguments[] = {
#define MODE_OPTION(id, name_, fallback_, low_, high_, doc)                                                            \
    {.mode = DEQ_MODE_##id,                                                                                            \
     .name = #name_,                                                                                                   \
     .type = NUMBER,                                                                                                   \
     .number = {DEQ_MODE_##id, #name_, offsetof(deq_mode, name_), IS_INT(deq_mode, name_), fallback_, low_, high_}},
#define MODE_FLAG(id, name_, fallback, doc)                                                                            \
    {.mode = DEQ_MODE_##id, .name = #name_, .type = FLAG, .offset = offsetof(deq_mode, name_), .first = fallback},
#define MODE_WORD(id, name_, fallback, words_, doc)                                                                    \
    {.mode = DEQ_MODE_##id,                                                                                            \
     .name = #name_,                                                                                                   \
     .type = WORD,                                                                                                     \
     .offset = offsetof(deq_mode, name_),                                                                              \
     .words = words_,                                                                                                  \
     .first = fallback},
#define MODE_STATES(id, name_, first_, limit_, doc)                                                                    \
    {.mode = DEQ_MODE_##id,                                                                                            \
     .name = #name_,                                                                                                   \
     .type = STATES,                                                                                                   \
     .offset = offsetof(deq_mode, MEMBER_##name_),                                                                     \
     .first = first_,                                                                                                  \
     .limit = limit_},
#include "modes.def"
};

static const struct {
    const char *name;
    int uses;
} solvers[] = {
#define SOLVER(name, uses, doc) {#name, uses},
#include "solvers.def"
};

static const char *const modes[] = {
#define MODE(id, spelling, traits, forward, doc) spelling,
#include "modes.def"
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
#define CHOICE(name, fallback, alternatives, doc) {#name, alternatives, #fallback, OFFSET_OF(MEMBER_##name)},
#include "solvers.def"
};

static const char *const starts[] = {"zeros", "previous", "given"};
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

/* Alternative number `which` of "first|second|.." as a part; empty when there are fewer. */
static deq_part alternative(const char *alternatives, int which) {
    for (const char *at = alternatives;; at++) {
        size_t length = strcspn(at, "|");
        if (which-- == 0) return (deq_part){at, length};
        at += length;
        if (!*at) return (deq_part){at, 0};
    }
}

static bool part_equal(deq_part a, deq_part b) { return a.length == b.length && !memcmp(a.text, b.text, a.length); }

/* The alternative that the value names goes into *member. */
static bool word_set(int *member, const char *name, const char *words, deq_part value, deq_error *e) {
    for (int which = 0; alternative(words, which).length; which++)
        if (part_equal(value, alternative(words, which))) {
            *member = which;
            return true;
        }
    return deq_fail(e, DEQ_SETTING, "`%s` is one of %s, not `%.*s`", name, words, (int)value.length, value.text);
}

static bool solver_set(deq_solver *s, bool adjoint, deq_part name, deq_part value, deq_error *e) {
    const option *o = option_find(solver_options, COUNT(solver_options), (int)s->kind, name);
    if (o) return option_set(s, o, value, e);
    for (int i = 0; i < COUNT(solver_words); i++) {
        const struct word *w = &solver_words[i];
        if (w->kind != (int)s->kind || !deq_part_is(name, w->name)) continue;
        if (adjoint && !(w->uses & SOLVER_ADJOINT))
            return deq_fail(e, DEQ_SETTING, "`%s` of the solver `%s` is for the state, not for the adjoint", w->name,
                            solvers[s->kind].name);
        return word_set((int *)((char *)s + w->offset), w->name, w->words, value, e);
    }
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

/* The suggestions of the language's checker, for what --set gives. */
static bool no_such(deq_error *e, const char *what, deq_part name, const char *const *names, int n) {
    const char *near = deq_nearest(name.text, name.length, names, n);
    char list[600] = "";
    for (int i = 0; i < n && !near; i++) {
        size_t at = strlen(list);
        snprintf(list + at, sizeof list - at, "%s%s()", i ? ", " : "", names[i]);
    }
    return near ? deq_fail(e, DEQ_SETTING, "there is no %s `%.*s`; did you mean %s()?", what, (int)name.length,
                           name.text, near)
                : deq_fail(e, DEQ_SETTING, "there is no %s `%.*s`; there are %s", what, (int)name.length, name.text,
                           list);
}

static void solver_defaults(deq_solver *s, deq_solver_kind kind) {
    *s = (deq_solver){.kind = kind, .damping = 1, .step = 1};
    for (int i = 0; i < COUNT(solver_options); i++)
        if (solver_options[i].kind == (int)kind || solver_options[i].kind == NO_KIND)
            option_store(s, &solver_options[i], solver_options[i].fallback);
    for (int i = 0; i < COUNT(solver_words); i++)
        if (solver_words[i].kind == (int)kind) *(int *)((char *)s + solver_words[i].offset) = solver_words[i].fallback;
    for (int i = 0; i < COUNT(choices); i++)
        *(bool *)((char *)s + choices[i].offset) =
            part_equal(deq_part_of(choices[i].fallback), alternative(choices[i].alternatives, 1));
}

deq_solver deq_solver_link(const deq_solver *chain, int which) {
    deq_solver one = *chain;
    if (which > 0) memcpy(&one, &chain->then[which - 1], offsetof(deq_link, forcing) + sizeof one.forcing);
    one.links = 0;
    return one;
}

bool deq_mode_takes(const char *forward, const deq_solver *solver) {
    if (!strcmp(forward, "any")) return true;
    for (int which = 0; !solver->links && alternative(forward, which).length; which++)
        if (part_equal(deq_part_of(solvers[solver->kind].name), alternative(forward, which))) return true;
    return false;
}

const char *deq_solver_name(deq_solver_kind kind) { return solvers[kind].name; }

static void link_store(deq_solver *chain, int which, const deq_solver *one) {
    memcpy(which ? (void *)&chain->then[which - 1] : (void *)chain, one,
           offsetof(deq_link, forcing) + sizeof one->forcing);
}

static bool link_parse(deq_part text, bool adjoint, deq_solver *out, deq_error *e) {
    deq_call call;
    if (!deq_call_parse(text, &call, e)) return false;
    int use = adjoint ? SOLVER_ADJOINT : SOLVER_STATE, n = 0;
    const char *names[COUNT(solvers)];
    for (int kind = 0; kind < COUNT(solvers); kind++) {
        if (solvers[kind].uses & use) names[n++] = solvers[kind].name;
        if (!deq_part_is(call.name, solvers[kind].name)) continue;
        if (!(solvers[kind].uses & use))
            return deq_fail(e, DEQ_SETTING, "the solver `%s` does not solve for %s", solvers[kind].name,
                            adjoint ? "the adjoint" : "the state");
        deq_solver s;
        solver_defaults(&s, (deq_solver_kind)kind);
        for (int i = 0; i < call.count; i++) {
            if (call.arguments[i].name.length == 0)
                return deq_fail(e, DEQ_SETTING, "arguments of `%s` are named, as in `tol: 1e-4`", solvers[kind].name);
            if (!solver_set(&s, adjoint, call.arguments[i].name, call.arguments[i].value, e)) return false;
        }
        *out = s;
        return true;
    }
    return no_such(e, "solver", call.name, names, n);
}

/* The text before the first `else` that stands outside brackets; *rest is what comes after it, empty when there is
 * none.
 */
static deq_part before_else(deq_part text, deq_part *rest) {
    int depth = 0;
    *rest = (deq_part){text.text + text.length, 0};
    for (size_t k = 0; k < text.length; k++) {
        const char *at = text.text + k;
        depth += (*at == '(') - (*at == ')');
        if (depth == 0 && k > 0 && k + 4 < text.length && !memcmp(at, "else", 4) && strchr(" )", at[-1]) &&
            at[4] == ' ') {
            *rest = (deq_part){at + 4, text.length - k - 4};
            return (deq_part){text.text, k};
        }
    }
    return text;
}

static bool solver_parse(deq_part text, bool adjoint, deq_solver *out, deq_error *e) {
    deq_solver chain = {0};
    for (int which = 0;; which++) {
        deq_part rest;
        deq_solver one;
        if (which == DEQ_CHAIN_MOST) return deq_fail(e, DEQ_SETTING, "a chain has at most %d solvers", DEQ_CHAIN_MOST);
        if (!link_parse(before_else(text, &rest), adjoint, &one, e)) return false;
        link_store(&chain, which, &one);
        chain.links = which;
        if (rest.length == 0) break;
        text = rest;
    }
    *out = chain;
    return true;
}

/* An argument of every solver of the chain that has it. */
static bool chain_set(deq_solver *chain, bool adjoint, deq_part name, deq_part value, deq_error *e) {
    bool any = false;
    deq_error first = {0};
    deq_solver changed = *chain;
    for (int which = 0; which <= chain->links; which++) {
        deq_solver one = deq_solver_link(chain, which);
        deq_error own = {0};
        if (solver_set(&one, adjoint, name, value, &own)) {
            link_store(&changed, which, &one);
            any = true;
        } else if (which == 0 || !first.failure) {
            first = own;
        }
    }
    if (!any) {
        *e = first;
        return false;
    }
    *chain = changed;
    return true;
}

bool deq_solver_parse(const char *text, bool adjoint, deq_solver *out, deq_error *e) {
    return solver_parse(deq_part_of(text), adjoint, out, e);
}

/* ---- modes ---- */

static const mode_argument *argument_find(deq_mode_kind mode, deq_part name) {
    for (int i = 0; i < COUNT(mode_arguments); i++)
        if (mode_arguments[i].mode == (int)mode && deq_part_is(name, mode_arguments[i].name)) return &mode_arguments[i];
    return NULL;
}

static bool argument_set(deq_mode *m, const mode_argument *a, deq_part value, deq_error *e) {
    char *member = (char *)m + a->offset;
    switch (a->type) {
    case NUMBER: return option_set(m, &a->number, value, e);
    case STATES: return deq_range_parse(a->name, value, (deq_range *)member, e);
    case FLAG:
        if (!deq_part_is(value, "true") && !deq_part_is(value, "false"))
            return deq_fail(e, DEQ_SETTING, "`%s` is true or false, not `%.*s`", a->name, (int)value.length,
                            value.text);
        *(bool *)member = deq_part_is(value, "true");
        return true;
    case WORD: return word_set((int *)member, a->name, a->words, value, e);
    }
    return false;
}

static void mode_defaults(deq_mode *m, deq_mode_kind kind) {
    *m = (deq_mode){.kind = kind, .steps = 1, .damping = 1};
    solver_defaults(&m->adjoint, DEQ_SOLVER_gmres);
    for (int i = 0; i < COUNT(mode_arguments); i++) {
        const mode_argument *a = &mode_arguments[i];
        char *member = (char *)m + a->offset;
        if (a->mode != (int)kind) continue;
        switch (a->type) {
        case NUMBER: option_store(m, &a->number, a->number.fallback); break;
        case FLAG: *(bool *)member = a->first != 0; break;
        case WORD: *(int *)member = a->first; break;
        case STATES: *(deq_range *)member = (deq_range){a->first, a->limit}; break;
        }
    }
}

static bool mode_set(deq_mode *m, deq_part name, deq_part value, deq_error *e) {
    const mode_argument *a = argument_find(m->kind, name);
    if (a) return argument_set(m, a, value, e);
    if (name.length == 0)
        return deq_fail(e, DEQ_SETTING, "arguments of the gradient mode `%s` are named, as in `steps: 5`",
                        modes[m->kind]);
    return deq_fail(e, DEQ_SETTING, "the gradient mode `%s` has no argument `%.*s`", modes[m->kind], (int)name.length,
                    name.text);
}

bool deq_mode_parse(const char *text, deq_mode *out, deq_error *e) {
    deq_call call;
    if (!deq_call_parse(deq_part_of(text), &call, e)) return false;
    for (int kind = 0; kind < COUNT(modes); kind++) {
        if (!deq_part_is(call.name, modes[kind])) continue;
        deq_mode m;
        mode_defaults(&m, (deq_mode_kind)kind);
        for (int i = 0; i < call.count; i++) {
            deq_part name = call.arguments[i].name, value = call.arguments[i].value;
            bool solver = deq_mode_has_adjoint(&m) &&
                          (name.length == 0 || deq_part_is(name, "adjoint") || deq_part_is(name, "solver"));
            if (solver ? !solver_parse(value, true, &m.adjoint, e) : !mode_set(&m, name, value, e)) return false;
        }
        *out = m;
        return true;
    }
    return no_such(e, "gradient mode", call.name, modes, COUNT(modes));
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

static bool gradient_set(deq_fixed_settings *s, const char *value, deq_error *e) {
    const deq_hand *h = deq_hands_find(s->hands, value);
    return h ? hand_parse(h, deq_part_of(value), &s->gradient, e) : deq_mode_parse(value, &s->gradient, e);
}

bool deq_fixed_set(deq_fixed_settings *s, const char *key, const char *value, deq_error *e) {
    static const char forward[] = "forward.", adjoint[] = "gradient.adjoint.", gradient[] = "gradient.";
    deq_part text = deq_part_of(value);
    if (!strcmp(key, "forward")) return deq_solver_parse(value, false, &s->forward, e);
    if (!strncmp(key, forward, sizeof forward - 1))
        return chain_set(&s->forward, false, deq_part_of(key + sizeof forward - 1), text, e);
    if (!strcmp(key, "gradient")) return gradient_set(s, value, e);
    if (!strncmp(key, adjoint, sizeof adjoint - 1) || !strcmp(key, "gradient.adjoint")) {
        if (!deq_mode_has_adjoint(&s->gradient))
            return deq_fail(e, DEQ_SETTING, "the gradient mode `%s` has no adjoint solver",
                            deq_mode_name(&s->gradient));
        s->gradient.replaced = true;
        if (!strcmp(key, "gradient.adjoint")) return deq_solver_parse(value, true, &s->gradient.adjoint, e);
        return chain_set(&s->gradient.adjoint, true, deq_part_of(key + sizeof adjoint - 1), text, e);
    }
    if (!strncmp(key, gradient, sizeof gradient - 1)) {
        deq_part name = deq_part_of(key + sizeof gradient - 1);
        if (s->gradient.hand)
            return deq_fail(e, DEQ_SETTING, "the gradient mode `%s` has no argument `%s`", deq_mode_name(&s->gradient),
                            name.text);
        return mode_set(&s->gradient, name, text, e);
    }
    if (!strcmp(key, "on_fail")) {
        for (int i = 0; i < COUNT(on_fails); i++)
            if (!strcmp(value, on_fails[i])) {
                s->on_fail = (deq_on_fail)i;
                return true;
            }
        return deq_fail(e, DEQ_SETTING, "`on_fail` is one of warn|stop|keep_best|zero_gradient, not `%s`", value);
    }
    if (!strcmp(key, "penalty")) return deq_penalties_parse(value, &s->penalties, e);
    if (!strncmp(key, "penalty.", 8)) return deq_penalties_set(&s->penalties, key + 8, value, e);
    if (!strcmp(key, "start")) {
        for (int i = 0; i < COUNT(starts); i++)
            if (!strcmp(value, starts[i])) {
                s->start = (deq_start)i;
                return true;
            }
        return deq_fail(e, DEQ_SETTING, "`start` is one of zeros|previous|given, not `%s`", value);
    }
    return deq_fail(e, DEQ_SETTING,
                    "a fixed point has no setting `%s` (there are forward, gradient, penalty, on_fail, start)", key);
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

static void link_print(const deq_solver *s, bool adjoint, char *out, size_t size) {
    const char *separator = "(";
    size_t at = (size_t)snprintf(out, size, "%s", solvers[s->kind].name);
    at = print_options(out, size, at, solver_options, COUNT(solver_options), (int)s->kind, s, &separator);
    for (int i = 0; i < COUNT(solver_words); i++) {
        const struct word *w = &solver_words[i];
        if (w->kind != (int)s->kind || (adjoint && !(w->uses & SOLVER_ADJOINT))) continue;
        deq_part word = alternative(w->words, *(const int *)((const char *)s + w->offset));
        char text[32];
        snprintf(text, sizeof text, "%.*s", (int)word.length, word.text);
        at = append(out, size, at, separator, w->name, text);
        separator = ", ";
    }
    for (int i = 0; i < COUNT(choices); i++) {
        deq_part word = alternative(choices[i].alternatives, *(const bool *)((const char *)s + choices[i].offset));
        char text[32];
        snprintf(text, sizeof text, "%.*s", (int)word.length, word.text);
        at = append(out, size, at, separator, strcmp(choices[i].name, "keep") ? choices[i].name : "return", text);
    }
    if (at < size) snprintf(out + at, size - at, ")");
}

static void solver_print(const deq_solver *chain, bool adjoint, char *out, size_t size) {
    for (int which = 0; which <= chain->links && size > 0; which++) {
        deq_solver one = deq_solver_link(chain, which);
        if (which) snprintf(out, size, " else ");
        size_t between = which ? strlen(out) : 0;
        out += between, size -= between;
        link_print(&one, adjoint, out, size);
        size_t length = strlen(out);
        out += length, size -= length;
    }
}

void deq_solver_print(const deq_solver *s, char *out, size_t size) { solver_print(s, false, out, size); }

void deq_mode_print(const deq_mode *m, char *out, size_t size) {
    size_t at = (size_t)snprintf(out, size, "%s", deq_mode_name(m));
    const char *separator = "(";
    if (at >= size) return;
    if (m->hand ? m->replaced : deq_mode_has_adjoint(m)) {
        char solver[DEQ_SETTING_TEXT];
        solver_print(&m->adjoint, true, solver, sizeof solver);
        snprintf(out + at, size - at, "(%s)", solver);
        return;
    }
    for (int i = 0; i < COUNT(mode_arguments); i++) {
        const mode_argument *a = &mode_arguments[i];
        const char *member = (const char *)m + a->offset;
        char value[64];
        if (a->mode != (int)m->kind) continue;
        if (a->type == NUMBER) {
            print_number(value, sizeof value, option_load(m, &a->number));
        } else if (a->type == FLAG) {
            snprintf(value, sizeof value, "%s", *(const bool *)member ? "true" : "false");
        } else if (a->type == WORD) {
            deq_part word = alternative(a->words, *(const int *)member);
            snprintf(value, sizeof value, "%.*s", (int)word.length, word.text);
        } else {
            deq_range_print((const deq_range *)member, value, sizeof value);
        }
        at = append(out, size, at, separator, a->name, value);
        separator = ", ";
    }
    if (at < size) snprintf(out + at, size - at, *separator == '(' ? "()" : ")");
}

const char *deq_start_name(deq_start s) { return starts[s]; }
const char *deq_on_fail_name(deq_on_fail o) { return on_fails[o]; }
