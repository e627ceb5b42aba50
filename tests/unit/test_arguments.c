/* test_arguments.c - every argument of every table: printed and read back, given in a script as an expression, and
 * refused outside its range in a script and as a text with the same words. */
#include "elaborate_support.h"
#include "families.h"
#include "init.h"
#include "settings.h"
#include "tables.h"
#include <float.h>

enum { VARIANTS = 3 };

/* Variant k of a value of the argument: least, greatest, another; as a text reads it. */
static bool value_text(const deq_argument *a, int k, char *out, size_t size) {
    const double low = a->low == -DBL_MAX ? -3.5 : a->low, high = a->high == DBL_MAX ? 7.25 : a->high;
    switch (a->type) {
    case DEQ_NUMBER: deq_number_print(k == 0 ? low : k == 1 ? high : low + (high - low) / 3, out, size); break;
    case DEQ_WHOLE: deq_number_print(k == 0 ? low : k == 1 ? high : floor((low + high) / 3), out, size); break;
    case DEQ_FLAG: snprintf(out, size, "%s", k == 0 ? "false" : "true"); break;
    case DEQ_STATES: snprintf(out, size, "%s", k == 0 ? "1" : k == 1 ? "2..5" : "3..9"); break;
    case DEQ_WORD: {
        deq_part word = deq_word_at(a->words, k);
        if (!word.length) return false;
        snprintf(out, size, "%.*s", (int)word.length, word.text);
        break;
    }
    case DEQ_NESTED:
        snprintf(out, size, "%s", k == 0 ? "lu()" : k == 1 ? "bicgstab() else gmres()" : "neumann()");
        break;
    case DEQ_TEXT: return false;
    }
    return true;
}

/* The same value as an expression that only a constant evaluator gives. */
static void expression(const deq_argument *a, const char *text, char *out, size_t size) {
    if (a->type == DEQ_NUMBER)
        snprintf(out, size, "%s + 0 * tanh(0.5)", text);
    else if (a->type == DEQ_WHOLE)
        snprintf(out, size, "%s + 3 - 3", text);
    else if (a->type == DEQ_STATES && strstr(text, ".."))
        snprintf(out, size, "%.*s..%s + 2 - 2", (int)(strstr(text, "..") - text), text, strstr(text, "..") + 2);
    else
        snprintf(out, size, "%s", text);
}

typedef bool parse(const char *text, deq_error *e);

static bool parse_state(const char *text, deq_error *e) {
    deq_solver s, again;
    char out[DEQ_SETTING_TEXT], twice[DEQ_SETTING_TEXT];
    if (!deq_solver_parse(text, false, &s, e)) return false;
    deq_solver_print(&s, out, sizeof out);
    assert_true(deq_solver_parse(out, false, &again, e));
    deq_solver_print(&again, twice, sizeof twice);
    assert_string_equal(out, twice);
    assert_memory_equal(&s, &again, sizeof s);
    return true;
}

static bool parse_adjoint(const char *text, deq_error *e) {
    deq_solver s;
    return deq_solver_parse(text, true, &s, e);
}

static bool parse_mode(const char *text, deq_error *e) {
    deq_mode m, again;
    char out[DEQ_SETTING_TEXT];
    if (!deq_mode_parse(text, &m, e)) return false;
    deq_mode_print(&m, out, sizeof out);
    assert_true(deq_mode_parse(out, &again, e));
    assert_memory_equal(&m, &again, sizeof m);
    return true;
}

static bool parse_penalty(const char *text, deq_error *e) {
    deq_penalties p, again;
    char out[DEQ_PENALTIES_TEXT];
    if (!deq_penalties_parse(text, &p, e)) return false;
    deq_penalties_print(&p, out, sizeof out);
    assert_true(deq_penalties_parse(out, &again, e));
    assert_memory_equal(&p, &again, sizeof p);
    return true;
}

static bool parse_initialiser(const char *text, deq_error *e) {
    deq_initialiser i, again;
    char out[256], twice[256];
    if (!deq_initialiser_parse(text, &i, e)) return false;
    deq_initialiser_print(&i, out, sizeof out);
    assert_true(deq_initialiser_parse(out, &again, e));
    deq_initialiser_print(&again, twice, sizeof twice);
    assert_string_equal(out, twice);
    return true;
}

/* A script whose setting, or the initialiser of whose parameter, is the text. */
static const struct Spot {
    const deq_family *family;
    int uses;
    parse *parse;
    const char *script; /* %s: the value */
} places[] = {
#define FIXED(setting)                                                                                                 \
    "layer L(x: f32[4]) -> f32[4] {\n param W: f32[4, 4] = normal(std: 0.1)\n"                                         \
    " fixed point z: f32[4] { z = tanh(z @ W + x)\n " setting "\n }\n return z }\n"                                    \
    "test \"t\" { check: gradcheck(L) }\n"
    {&deq_solver_family, SOLVER_STATE, parse_state, FIXED("forward: %s")},
    {&deq_solver_family, SOLVER_ADJOINT, parse_adjoint, FIXED("gradient: implicit(%s)")},
    {&deq_mode_family, 0, parse_mode, FIXED("forward: %s(max: 100)\n gradient: %s")},
    {&deq_penalty_family, 0, parse_penalty, FIXED("penalty: %s")},
    {&deq_initialiser_family, INIT_IN_TEXT, parse_initialiser,
     "layer L(x: f32[4]) -> f32[4] {\n param W: f32[4, 4] = %s\n return x @ W }\n"
     "test \"t\" { check: gradcheck(L) }\n"},
};

static const char *mode_forward(const char *mode) {
    for (uint32_t i = 0; mode_at(i); i++)
        if (!strncmp(mode_at(i)->name, mode, strlen(mode_at(i)->name)) && mode[strlen(mode_at(i)->name)] == '(')
            return strcmp(mode_at(i)->forward, "any") ? mode_at(i)->forward : "picard";
    return "picard";
}

static void script_of(const struct Spot *p, const char *value, char *out, size_t size) {
    char forward[64];
    snprintf(forward, sizeof forward, "%.*s", (int)strcspn(mode_forward(value), "|"), mode_forward(value));
    if (p->family == &deq_mode_family)
        snprintf(out, size, p->script, forward, value);
    else
        snprintf(out, size, p->script, value);
}

/* What a script says of the value: NULL when it is taken. */
static char *script_says(const char *script) {
    Parsed p = parse_text(script);
    char *text = NULL;
    if (diags_errors(p.diags) || !program_resolve(p.program) || !program_check(p.program) || !pipeline_check(p.program))
        text = strdup(messages(&p));
    parsed_free(&p);
    return text;
}

/* Splitting solvers need an equation that this one is not: the text alone is read. */
static bool splits(const struct Spot *p, const deq_row *row) {
    return p->family == &deq_solver_family && (row->uses & SOLVER_SPLIT);
}

/* Rows whose other arguments must be given as well. */
static void call_of(const deq_family *f, const deq_row *row, const deq_argument *a, const char *value, char *out,
                    size_t size) {
    const deq_argument *other;
    snprintf(out, size, "%s(%s: %s", row->name, a->name, value);
    for (int i = 0; f == &deq_initialiser_family && (other = deq_argument_at(f, row, INIT_IN_TEXT, i)); i++)
        if (other != a && isnan(other->fallback)) {
            size_t at = strlen(out);
            snprintf(out + at, size - at, ", %s: %s", other->name, strcmp(other->name, "low") ? "9" : "-9");
        }
    size_t at = strlen(out);
    snprintf(out + at, size - at, ")");
}

static void try_value(const struct Spot *p, const deq_row *row, const deq_argument *a, const char *text) {
    char call[512], written[512], value[128], script[2048];
    deq_error e = {0};
    call_of(p->family, row, a, text, call, sizeof call);
    if (!p->parse(call, &e)) fail_msg("%s: %s", call, e.text);
    expression(a, text, value, sizeof value);
    call_of(p->family, row, a, value, written, sizeof written);
    script_of(p, written, script, sizeof script);
    char *said = splits(p, row) ? NULL : script_says(script);
    /* a mode may need more states than the solver of this script makes: that is another matter */
    if (said && !strstr(said, "is not reached")) fail_msg("%s in a script:\n%s", written, said);
    free(said);
}

/* Just outside the range: the script's words are the text's. */
static void try_outside(const struct Spot *p, const deq_row *row, const deq_argument *a) {
    char call[512], script[2048], text[64];
    deq_error e = {0};
    if (a->type == DEQ_NUMBER || a->type == DEQ_WHOLE) {
        if (a->high >= 1e300) return;
        deq_number_print(a->high * 2 + 1, text, sizeof text);
    } else {
        snprintf(text, sizeof text, "%s", a->type == DEQ_STATES ? "0..3" : a->type == DEQ_WORD ? "neither" : "3..1");
        if (a->type != DEQ_STATES && a->type != DEQ_WORD) return;
    }
    call_of(p->family, row, a, text, call, sizeof call);
    if (p->parse(call, &e)) fail_msg("%s is accepted", call);
    script_of(p, call, script, sizeof script);
    char *said = script_says(script), first[512];
    if (!said) fail_msg("%s is accepted in a script", call);
    snprintf(first, sizeof first, "%.*s", (int)strcspn(e.text, ";"), e.text);
    if (!strstr(said, first)) fail_msg("%s: as a text \"%s\", in a script\n%s", call, first, said);
    free(said);
}

static void every_argument(void **state) {
    (void)state;
    int tried = 0;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const struct Spot *p = &places[i];
        for (int r = 0; r < p->family->nrows; r++) {
            const deq_row *row = &p->family->rows[r];
            const deq_argument *a;
            char text[128];
            if (p->family == &deq_solver_family && !(row->uses & p->uses)) continue;
            for (int k = 0; (a = deq_argument_at(p->family, row, p->uses, k)); k++) {
                for (int v = 0; v < VARIANTS; v++)
                    if (value_text(a, v, text, sizeof text)) try_value(p, row, a, text), tried++;
                try_outside(p, row, a);
            }
        }
    }
    assert_true(tried > 200);
}

/* A path such as forward.tol says the argument and not the solver: its type must not depend on that. */
static void one_type_a_name(void **state) {
    (void)state;
    const deq_family *const families[] = {&deq_solver_family, &deq_mode_family, &deq_penalty_family};
    for (size_t f = 0; f < sizeof families / sizeof *families; f++)
        for (int i = 0; i < families[f]->narguments; i++)
            for (int k = 0; k < i; k++) {
                const deq_argument *a = &families[f]->arguments[i], *b = &families[f]->arguments[k];
                if (strcmp(a->name, b->name)) continue;
                assert_int_equal(a->type, b->type);
                if (a->words) assert_string_equal(a->words, b->words);
            }
}

/* A mistyped name gets the same suggestion from --set as from a script. */
static void mistyped(void **state) {
    (void)state;
    static const struct {
        const char *key, *value, *script, *suggestion;
    } wrong[] = {
        {"forward", "bryoden()", FIXED("forward: bryoden()"), "did you mean 'broyden()'?"},
        {"forward", "anderson(memry: 3)", FIXED("forward: anderson(memry: 3)"), "did you mean 'memory'?"},
        {"gradient", "phantom.unrol(steps: 3)", FIXED("gradient: phantom.unrol(steps: 3)"),
         "did you mean 'phantom.unroll(..)'?"},
        {"gradient", "implicit(gmers())", FIXED("gradient: implicit(gmers())"), "did you mean 'gmres()'?"},
        {"penalty", "jacobean()", FIXED("penalty: jacobean()"), "did you mean 'jacobian(..)'?"},
        {"on_fail", "wan", FIXED("on_fail: wan"), "did you mean 'warn'?"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        deq_fixed_settings s = {0};
        deq_error e = {0};
        assert_true(deq_fixed_defaults(&s, &e));
        if (deq_fixed_set(&s, wrong[i].key, wrong[i].value, &e)) fail_msg("%s is accepted", wrong[i].value);
        assert_contains(e.text, wrong[i].suggestion);
        char *said = script_says(wrong[i].script);
        assert_non_null(said);
        assert_contains(said, wrong[i].suggestion);
        free(said);
    }
}

/* Every setting's default reads, and prints as a text that reads back. */
static void defaults_of_a_fixed_point(void **state) {
    (void)state;
    deq_fixed_settings s = {0}, again = {0};
    deq_error e = {0};
    if (!deq_fixed_defaults(&s, &e)) fail_msg("%s", e.text);
    for (int k = 0; k < DEQ_FIXED_KEYS; k++) {
        char text[DEQ_SETTING_TEXT], twice[DEQ_SETTING_TEXT];
        deq_fixed_print(&s, (deq_fixed_key)k, text, sizeof text);
        if (!deq_fixed_set(&again, deq_fixed_table[k].key, text, &e)) fail_msg("%s", e.text);
        deq_fixed_print(&again, (deq_fixed_key)k, twice, sizeof twice);
        assert_string_equal(text, twice);
        assert_true(setting_find("fixed", deq_fixed_table[k].key) != NULL);
    }
    assert_true(s.gradient.adjoint.max == 30);
    deq_mode m;
    assert_true(deq_mode_parse("implicit()", &m, &e)); /* --set and scripts mean the same */
    assert_memory_equal(&m, &s.gradient, sizeof m);
}

/* Sites of the draws in the net that the script tests. */
static uint32_t draws(const char *script, int64_t *sites, uint32_t most) {
    Parsed p = parse_checked(script);
    Elab *e = elaborate_text(&p, NULL);
    const Graph *g = e->nets[0]->root->graph;
    uint32_t n = 0;
    for (NodeId id = 0; id < g->nnodes; id++)
        if (graph_node(g, id)->op == OP_random && n < most) sites[n++] = graph_node(g, id)->attr.random.site;
    parsed_free(&p);
    return n;
}

static void dropout_masks(void **state) {
    (void)state;
    static const char layers[] = "layer D(x: f32[4]) -> f32[4] { return x * dropout([4], 0.5) + dropout([4], 0.25) }\n",
                      net[] = "layer Net(x: f32[4]) -> f32[4] {\n use a = D\n use b = D\n return b(a(a(x))) }\n"
                              "test \"t\" { check: gradcheck(Net) }\n";
    char script[1024];
    int64_t before[8], after[8];
    snprintf(script, sizeof script, "%s%s", layers, net);
    assert_int_equal(draws(script, before, 8), 4); /* of `a`, which is called twice, two like those of `b` */
    snprintf(script, sizeof script, "const UNUSED_1 = 3\n\n// longer\n%s\n\n%s", layers, net);
    assert_int_equal(draws(script, after, 8), 4);
    assert_memory_equal(before, after, 4 * sizeof *before); /* text above changes no mask */
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < i; k++) assert_true(before[i] != before[k]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_argument), cmocka_unit_test(one_type_a_name),
                                       cmocka_unit_test(mistyped), cmocka_unit_test(defaults_of_a_fixed_point),
                                       cmocka_unit_test(dropout_masks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
