/* setting_bounds.c - bounds of an attack's arguments that depend on other arguments, once --set has changed any of them:
 * the text of the manifest (`$p inf == 1 inf if`, operations behind what they work on) is computed anew. */
#include "app_state.h"
#include "constant.h"
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 32, WORD = 128 };

/* What a word that is no operation pushes. */
static bool pushed(const char *word, const deq_named *scalars, int n, double *out) {
    if (*word != '$') {
        char *end;
        *out = strtod(word, &end);
        return end != word && !*end;
    }
    for (int i = 0; i < n; i++)
        if (!strcmp(scalars[i].name, word + 1)) return *out = scalars[i].value, true;
    return false;
}

static bool compute(const char *text, const deq_named *scalars, int n, double *out) {
    double stack[DEPTH];
    int depth = 0;
    while (*text) {
        char word[WORD];
        const size_t length = strcspn(text, " ");
        if (length >= sizeof word || depth == DEPTH) return false;
        memcpy(word, text, length);
        word[length] = 0;
        text += length + (text[length] == ' ');
        if (pushed(word, scalars, n, &stack[depth]))
            depth++;
        else if (depth >= 3 && !strcmp(word, "if"))
            stack[depth - 3] = stack[depth - 3] != 0 ? stack[depth - 2] : stack[depth - 1], depth -= 2;
        else if (depth >= 2 && deq_constant(word, 2, stack[depth - 2], stack[depth - 1], &stack[depth - 2]))
            depth--;
        else if (depth < 1 || !deq_constant(word, 1, stack[depth - 1], 0, &stack[depth - 1]))
            return false;
    }
    *out = stack[0];
    return depth == 1;
}

/* Is `name` the last part of the path of PATH=VALUE, which belongs to the attack? */
static bool sets(const char *assignment, const deq_attack_spec *a, const char *name) {
    const size_t length = strcspn(assignment, "="), end = strlen(name), own = strlen(a->name);
    return length > end && assignment[length - end - 1] == '.' && !strncmp(assignment + length - end, name, end) &&
           ((!strncmp(assignment, a->name, own) && assignment[own] == '.') || strstr(assignment, ".attack."));
}

/* The --set that is to blame: of the argument itself, or of one that its bounds depend on. */
static const char *culprit(const deq_app *app, const deq_attack_spec *a, const deq_named *s, const char *by) {
    char word[WORD];
    for (int k = app->options->nset - 1; k >= 0; k--)
        if (sets(app->options->set[k], a, s->name)) return app->options->set[k];
    for (int k = app->options->nset - 1; k >= 0; k--)
        for (int i = 0; i < a->nscalars; i++) {
            snprintf(word, sizeof word, "$%s ", a->scalars[i].name);
            if (strstr(by, word) && sets(app->options->set[k], a, a->scalars[i].name)) return app->options->set[k];
        }
    return a->name;
}

/* ", where p is inf" */
static void others(const deq_attack_spec *a, const char *by, char *out, size_t size) {
    size_t at = 0;
    *out = 0;
    for (int i = 0; i < a->nscalars && at < size; i++) {
        char word[WORD];
        snprintf(word, sizeof word, "$%s ", a->scalars[i].name);
        if (!strstr(by, word)) continue;
        at += (size_t)snprintf(out + at, size - at, "%s %s is %g", at ? " and" : ", where", a->scalars[i].name,
                               a->scalars[i].value);
    }
}

static bool check(const deq_app *app, const deq_attack_spec *a, deq_named *s, deq_error *e) {
    char where[256];
    const char *by = s->high_by ? s->high_by : s->low_by;
    if (!by) return true;
    if ((s->low_by && !compute(s->low_by, a->scalars, a->nscalars, &s->low)) ||
        (s->high_by && !compute(s->high_by, a->scalars, a->nscalars, &s->high)))
        return deq_fail(e, DEQ_MODULE, "the bounds of '%s' of '%s' cannot be computed: %s", s->name, a->name, by);
    if (s->value >= s->low && s->value <= s->high) return true;
    const char *set = culprit(app, a, s, by);
    others(a, by, where, sizeof where);
    if (isinf(s->value) && fabs(s->value > 0 ? s->high : s->low) == DBL_MAX)
        return deq_fail(e, DEQ_SETTING, "--set %s: '%s' is a finite number%s, and it is %g", set, s->name, where,
                        s->value);
    if (s->high >= DBL_MAX)
        return deq_fail(e, DEQ_SETTING, "--set %s: '%s' is at least %g%s, and it is %g", set, s->name, s->low, where,
                        s->value);
    return deq_fail(e, DEQ_SETTING, "--set %s: '%s' lies between %g and %g%s, and it is %g", set, s->name, s->low,
                    s->high, where, s->value);
}

bool deq_app_attack_bounds(const deq_app *app, deq_attack_spec *a, deq_error *e) {
    for (; a; a = a->next)
        for (int i = 0; i < a->nscalars; i++)
            if (!check(app, a, &a->scalars[i], e)) return false;
    return true;
}
