/* set_steps.c - --set of what a step of a training run is made of: accumulate, the rules of DEQ_STEP_RULES, freeze, rates,
 * metric. */
#include "app_state.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

typedef struct Assigned { /* --set PATH=VALUE */
    const char *path, *value;
    deq_error *e;
} Assigned;

static bool refuse(const Assigned *a, const char *why) {
    return deq_fail(a->e, DEQ_SETTING, "--set %s=%s: %s", a->path, a->value, why);
}

/* The routine that `replay` takes is compiled where the script asks for it. */
static bool is_compiled(deq_train_spec *t, const deq_replay *before, const Assigned *a) {
    if (before->kind || !t->replay.kind) return true;
    t->replay = *before;
    return refuse(a, "the script says no `replay` here, so that it was not compiled");
}

/* clip.most, average.decay: of the row that is in force. */
static bool set_argument(const deq_family *f, int kind, const char *argument, void *record, const Assigned *a) {
    const deq_row *row = &f->rows[kind];
    deq_error own = {0};
    if (!deq_argument_at(f, row, 0, 0)) return refuse(a, "there is none here: give the whole setting");
    return deq_arguments_set(f, row, 0, deq_part_of(argument), deq_part_of(a->value), record, &own) ||
           refuse(a, own.text);
}

static bool set_accumulate(deq_train_spec *t, const Assigned *a) {
    char *end;
    const long long n = strtoll(a->value, &end, 10);
    if (end == a->value || *end || n < 1) return refuse(a, "a whole number of batches, at least 1");
    t->accumulate = n;
    return true;
}

static bool unknown_path(const deq_train_spec *t, const char *path, const Assigned *a) {
    return deq_fail(a->e, DEQ_SETTING, "--set %s=%s: '%s' leads to no trained parameter of '%s'", a->path, a->value,
                    path, t->net->name);
}

/* none, body, [body, head.b] */
static bool set_freeze(deq_manifest *m, deq_train_spec *t, const Assigned *a) {
    const size_t length = strlen(a->value);
    char *text = deq_manifest_alloc(m, length + 1);
    const char **paths = deq_manifest_alloc(m, (length + 1) * sizeof *paths);
    if (!text || !paths) return deq_fail(a->e, DEQ_MEMORY, "out of memory for --set");
    memcpy(text, a->value, length + 1);
    const bool list = *text == '[';
    if (list && text[length - 1] != ']') return refuse(a, "the list is not closed: [body, head.b]");
    if (list) text[length - 1] = 0;
    t->nfreeze = 0;
    t->freeze = paths;
    if (!strcmp(text, "none")) return true;
    char *rest = NULL;
    for (char *p = strtok_r(text + list, ",", &rest); p; p = strtok_r(NULL, ",", &rest)) {
        while (isspace((unsigned char)*p)) p++;
        for (char *end = p + strlen(p); end > p && isspace((unsigned char)end[-1]);) *--end = 0;
        if (!deq_train_knows(t, p)) return unknown_path(t, p, a);
        paths[t->nfreeze++] = p;
    }
    return true;
}

static bool set_rate(deq_manifest *m, deq_train_spec *t, const char *path, const Assigned *a) {
    char *end;
    const double factor = strtod(a->value, &end);
    if (end == a->value || *end || !(factor >= 0 && factor <= 1e9)) return refuse(a, "a factor from 0 to 1e9");
    if (!deq_train_knows(t, path)) return unknown_path(t, path, a);
    deq_rate *rates = deq_manifest_alloc(m, (size_t)(t->nrates + 1) * sizeof *rates);
    if (!rates) return deq_fail(a->e, DEQ_MEMORY, "out of memory for --set");
    int n = 0;
    for (int i = 0; i < t->nrates; i++)
        if (strcmp(t->rates[i].path, path)) rates[n++] = t->rates[i];
    rates[n++] = (deq_rate){path, factor};
    t->rates = rates;
    t->nrates = n;
    return true;
}

static bool set_metric(deq_train_spec *t, const Assigned *a) {
    if (!deq_net_metric(t->net, a->value))
        return deq_fail(a->e, DEQ_SETTING, "--set %s=%s: '%s' was not compiled with that metric", a->path, a->value,
                        t->net->name);
    t->metric.routine = t->metric.name = a->value;
    return true;
}

bool deq_app_set_steps(deq_app *app, deq_train_spec *t, const char *key, const char *path, const char *value,
                       bool *found, deq_error *e) {
    const Assigned a = {path, value, e};
    *found = true;
    if (!strcmp(key, "accumulate")) return set_accumulate(t, &a);
    const deq_replay before = t->replay;
    deq_error own = {0};
#define X(rule)                                                                                                        \
    if (!strcmp(key, #rule))                                                                                           \
        return deq_##rule##_read(value, &t->rule, &own) ? is_compiled(t, &before, &a) : refuse(&a, own.text);          \
    if (!strncmp(key, #rule ".", sizeof #rule))                                                                        \
        return set_argument(&deq_##rule##_family, (int)t->rule.kind, key + sizeof #rule, &t->rule, &a);
    DEQ_STEP_RULES(X)
#undef X
    if (!strcmp(key, "freeze")) return set_freeze(app->manifest, t, &a);
    if (!strncmp(key, "rates.", 6)) return set_rate(app->manifest, t, key + 6, &a);
    if (!strcmp(key, "metric")) return set_metric(t, &a);
    *found = false;
    return true;
}
