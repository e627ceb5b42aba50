/* swept.c - what --set and --seed may not change: settings that a sweep gives.  A table would name values that were not
 * used.
 *
 * What a sweep gives differs between two cells of a training run or an evaluation that differ in that sweep alone.  What a
 * sweep of one value gives the manifest says. */
#define _GNU_SOURCE
#include "app_state.h"
#include "names.h"
#include <stdlib.h>
#include <string.h>

typedef struct Setting { /* --set PATH=VALUE */
    const deq_manifest *m;
    const char *path;   /* NULL: of --seed */
    const char *target; /* what stands before the first point: perhaps an attack */
    const char *key;    /* what is behind it */
} Setting;

/* ---- settings of fixed points ---- */
/* Where the fixed point's setting begins in "body.forward.max"; NULL: it has none. */
static const char *fixed_key(const char *path, deq_fixed_key *key, const char **rest) {
    for (const char *at = path; at; at = strchr(at, '.') ? strchr(at, '.') + 1 : NULL) {
        const int found = deq_fixed_key_find(at, rest);
        if (found >= 0) return *key = (deq_fixed_key)found, at;
    }
    return NULL;
}

/* The argument of "anderson(max: 8)" alone; the whole where it is no such text. */
static void print_argument(FILE *out, const char *text, const char *name) {
    deq_call call;
    deq_error ignored = {0};
    if (!deq_call_parse(deq_part_of(text), &call, &ignored)) {
        fputs(text, out);
        return;
    }
    for (int i = 0; i < call.count; i++) {
        const deq_part *a = &call.arguments[i].name, *value = &call.arguments[i].value;
        const bool adjoint = !a->length && !strncmp(name, "adjoint", 7); /* implicit(gmres()) */
        if (adjoint || (a->length && !strncmp(name, a->text, a->length) && strchr(".", name[a->length])))
            fprintf(out, "%.*s", (int)value->length, value->text);
    }
}

/* What the list of settings says of this one. */
static void print_fixed(FILE *out, const deq_override *list, int n, const char *path) {
    deq_fixed_key key, other;
    const char *rest, *argument, *begins = fixed_key(path, &key, &rest);
    for (int i = 0; begins && i < n; i++) {
        const char *given = fixed_key(list[i].path, &other, &argument);
        const size_t here = (size_t)(begins - path), there = given ? (size_t)(given - list[i].path) : 0;
        if (!given || other != key || strncmp(path, list[i].path, here < there ? here : there)) continue;
        const char *wanted = strchr(begins, '.'), *own = strchr(given, '.');
        if (wanted && own && !deq_path_under(own, wanted) && !deq_path_under(wanted, own) && strcmp(own, wanted))
            continue;
        fprintf(out, "%s: ", own ? own : "");
        if (wanted && !own)
            print_argument(out, list[i].value, wanted + 1);
        else
            fputs(list[i].value, out);
        fputs("; ", out);
    }
}

/* ---- what a cell has ---- */
static void print_scalar(FILE *out, const deq_named *scalars, int n, const char *name) {
    for (int i = 0; i < n; i++)
        if (!strcmp(scalars[i].name, name)) fprintf(out, "%.17g; ", scalars[i].value);
}

static void print_attack(FILE *out, const deq_attack_spec *a, const char *key) {
    if (!strcmp(key, "gradient"))
        fprintf(out, "%s; ", a->gradient ? a->gradient : "");
    else
        print_scalar(out, a->scalars, a->nscalars, key);
}

/* Of a training run, as the manifest says it. */
static void print_train(FILE *out, const deq_train_spec *t, const json_t *said, const char *key) {
    char *path = strdup(key), *rest = NULL;
    if (!strncmp(key, "optimise.", 9)) print_scalar(out, t->optimiser.scalars, t->optimiser.nscalars, key + 9);
    if (t->attack && !strncmp(key, "attack.", 7)) print_attack(out, t->attack, key + 7);
    const json_t *value = said;
    for (char *p = path ? strtok_r(path, ".", &rest) : NULL; p && json_is_object(value); p = strtok_r(NULL, ".", &rest))
        value = json_object_get(value, p);
    char *text = value && value != said ? json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY) : NULL;
    if (text) fprintf(out, "%s; ", text);
    free(text);
    free(path);
    print_fixed(out, t->settings, t->nsettings, key);
    print_fixed(out, t->overrides, t->noverrides, key);
}

static const deq_train_spec *net_of(const deq_manifest *m, const deq_experiment_spec *x, const char *name) {
    for (int i = 0; i < x->narrays; i++)
        for (int c = 0; x->arrays[i].trains && !strcmp(x->arrays[i].name, name) && c < x->arrays[i].nspecs; c++)
            if (x->arrays[i].trains[c].name) return &x->arrays[i].trains[c];
    return deq_manifest_train(m, name, NULL);
}

const char *deq_app_key_of_train(const deq_manifest *m, const deq_train_spec *t, const char *path) {
    const bool of_file = t >= m->trains && t < m->trains + m->ntrains;
    const char *dot = of_file ? NULL : strrchr(t->name, '.'), *key = deq_path_under(path, t->name);
    if (!key && dot) key = deq_path_under(path, dot + 1);
    return key ? key : deq_path_under(path, t->net->name);
}

/* The setting as the training run of the cell, t, calls it; NULL: it is none of its. */
static const char *key_of(const Setting *s, const deq_train_spec *t) {
    return !s->path ? "seed" : t ? deq_app_key_of_train(s->m, t, s->path) : NULL;
}

static const deq_train_spec *train_of(const Setting *s, const deq_experiment_spec *x, const deq_array_spec *a,
                                      int cell) {
    return a->trains ? &a->trains[cell] : net_of(s->m, x, a->values[cell].model);
}

static const deq_attack_spec *attack_of(const deq_array_spec *a, int cell) {
    return a->trains ? a->trains[cell].attack : a->values[cell].attack;
}

/* What the cell has of the setting; "" where it has nothing of it.  free() it; NULL: out of memory. */
static char *value_of(const Setting *s, const deq_experiment_spec *x, const deq_array_spec *a, const json_t *said,
                      int cell) {
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out) return NULL;
    const deq_train_spec *t = train_of(s, x, a, cell);
    const char *key = key_of(s, t);
    if (a->trains && key) print_train(out, t, said, key);
    if (a->values && key) print_fixed(out, a->values[cell].overrides, a->values[cell].noverrides, key);
    for (const deq_attack_spec *k = attack_of(a, cell); k; k = k->next)
        if (!strcmp(k->name, s->target)) print_attack(out, k, s->key);
    fclose(out);
    return text;
}

/* ---- cells beside each other ---- */
static bool is_there(const deq_array_spec *a, int cell) {
    return a->trains ? a->trains[cell].name != NULL : a->values[cell].name != NULL;
}

/* The position on the k-th of the array's axes, and the cell that is at the first one there. */
static int first_beside(const deq_experiment_spec *x, const deq_array_spec *a, int k, int cell, int *at) {
    int step = 1;
    for (int i = k + 1; i < a->ncells; i++) step *= x->axes[a->cells[i]].nvalues;
    *at = cell / step % x->axes[a->cells[k]].nvalues;
    return cell - *at * step;
}

/* The axis that the texts change with; -1: none. */
static int changes_with(const deq_experiment_spec *x, const deq_array_spec *a, char *const *texts) {
    for (int k = 0; k < a->ncells; k++)
        for (int cell = 0; cell < a->nspecs; cell++) {
            int at;
            const int beside = first_beside(x, a, k, cell, &at);
            if (texts[cell] && texts[beside] && strcmp(texts[cell], texts[beside])) return a->cells[k];
        }
    return -1;
}

/* ---- sweeps of one value ---- */
static bool meets(const char *a, const char *b) { return deq_path_under(a, b) || deq_path_under(b, a); }

/* Whether one of the settings is the other or a part of it; those of fixed points with and without their path. */
static bool same_setting(const char *a, const char *b) {
    deq_fixed_key key, other;
    const char *rest, *of_a = fixed_key(a, &key, &rest), *of_b = fixed_key(b, &other, &rest);
    if (!of_a || !of_b) return meets(a, b);
    const size_t before_a = (size_t)(of_a - a), before_b = (size_t)(of_b - b);
    return meets(of_a, of_b) && !strncmp(a, b, before_a < before_b ? before_a : before_b);
}

/* The axis of one value that gives it; -1: none. */
static int given_alone(const Setting *s, const deq_experiment_spec *x, const deq_array_spec *a) {
    for (int i = 0; i < a->nalone; i++)
        for (int c = 0; c < a->nspecs; c++) {
            if (!is_there(a, c)) continue;
            const deq_alone_spec *given = &a->alone[i];
            const char *key = key_of(s, train_of(s, x, a, c));
            if (!given->attack && key && same_setting(key, given->key)) return given->axis;
            for (const deq_attack_spec *k = attack_of(a, c); given->attack && k; k = k->next)
                if (!strcmp(k->name, s->target) && meets(s->key, given->key)) return given->axis;
        }
    return -1;
}

static bool refuse(const Setting *s, const char *assignment, const deq_experiment_spec *x, const deq_array_spec *a,
                   int axis, deq_error *e) {
    const deq_axis_spec *sweep = &x->axes[axis];
    return deq_fail(e, DEQ_SETTING,
                    "%s%s: in experiment '%s' the %s '%s' gives this setting of '%s', and tables would name values "
                    "that were not used; change it in the script",
                    s->path ? "--set " : "", assignment, x->name, sweep->choice >= 0 ? "choice" : "sweep", sweep->name,
                    a->trains ? a->name : s->target);
}

static bool look(const Setting *s, const char *assignment, int experiment, int array, deq_error *e) {
    const deq_experiment_spec *x = &s->m->experiments[experiment];
    const deq_array_spec *a = &x->arrays[array];
    if (!a->trains && !a->values) return true;
    const json_t *said = json_array_get(
        json_object_get(json_array_get(json_object_get(s->m->json, "experiments"), (size_t)experiment), "arrays"),
        (size_t)array);
    char **texts = calloc((size_t)a->nspecs + 1, sizeof *texts);
    bool ok = texts || deq_fail(e, DEQ_MEMORY, "out of memory for --set");
    for (int c = 0; ok && c < a->nspecs; c++) {
        if (!is_there(a, c)) continue;
        const json_t *cell = json_array_get(json_object_get(said, "trains"), (size_t)c);
        texts[c] = value_of(s, x, a, cell, c);
        ok = texts[c] || deq_fail(e, DEQ_MEMORY, "out of memory for --set");
    }
    int axis = ok ? changes_with(x, a, texts) : -1;
    if (ok && axis < 0) axis = given_alone(s, x, a);
    for (int c = 0; texts && c < a->nspecs; c++) free(texts[c]);
    free(texts);
    return ok && (axis < 0 || refuse(s, assignment, x, a, axis, e));
}

bool deq_app_not_swept(const deq_app *app, const char *assignment, const char *path, const char *target,
                       const char *key, deq_error *e) {
    const deq_manifest *m = app->manifest;
    const Setting s = {m, path, target, key};
    for (int i = 0; i < m->nrun; i++) {
        const deq_experiment_spec *x = m->run[i].experiment;
        for (int k = 0; x && k < x->narrays; k++)
            if (!look(&s, assignment, (int)(x - m->experiments), k, e)) return false;
    }
    return true;
}
