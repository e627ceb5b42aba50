/* app_settings.c - --set and --seed, applied to the manifest before anything runs. */
#define _GNU_SOURCE
#include "app_state.h"
#include "names.h"
#include "nearest.h"
#include <ctype.h>
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Paths that exist, gathered for the message about one that does not. */
typedef struct Paths {
    char **path;
    size_t count, cap;
} Paths;

static void __attribute__((format(printf, 2, 3))) add_path(Paths *p, const char *format, ...) {
    if (p->count == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 128;
        char **grown = realloc(p->path, cap * sizeof *grown);
        if (!grown) return;
        p->path = grown;
        p->cap = cap;
    }
    va_list ap;
    va_start(ap, format);
    char *text = NULL;
    if (vasprintf(&text, format, ap) >= 0) {
        bool there = false;
        for (size_t i = 0; i < p->count && !there; i++) there = !strcmp(p->path[i], text);
        if (there)
            free(text);
        else
            p->path[p->count++] = text;
    }
    va_end(ap);
}

/* prefix + setting + each argument of the family. */
static void add_argument_paths(Paths *p, const char *prefix, const char *setting, const deq_family *family, int uses) {
    const deq_argument *a;
    for (int i = 0; (a = deq_argument_at(family, NULL, uses, i)); i++)
        if (a->type != DEQ_NESTED) add_path(p, "%s%s.%s", prefix, setting, a->name);
}

static void add_fixed_paths(Paths *p, const char *prefix) {
    for (int i = 0; i < DEQ_FIXED_KEYS; i++) add_path(p, "%s%s", prefix, deq_fixed_table[i].key);
    add_path(p, "%sgradient.adjoint", prefix);
    add_argument_paths(p, prefix, "finish", &deq_finish_family, 0);
    add_argument_paths(p, prefix, "forward", &deq_solver_family, SOLVER_STATE);
    add_argument_paths(p, prefix, "gradient", &deq_mode_family, 0);
    add_argument_paths(p, prefix, "gradient.adjoint", &deq_solver_family, SOLVER_ADJOINT);
    add_argument_paths(p, prefix, "penalty", &deq_penalty_family, 0);
    for (int i = 0; i < deq_penalty_family.nrows; i++) {
        const deq_row *row = &deq_penalty_family.rows[i];
        const deq_argument *a;
        for (int k = 0; (a = deq_argument_at(&deq_penalty_family, row, 0, k)); k++)
            add_path(p, "%spenalty.%s.%s", prefix, row->name, a->name);
    }
}

static void add_train_paths(Paths *p, const deq_train_spec *t) {
#define X(rule) #rule,
    static const char *const own[] = {"epochs",     "batch",  "seed",           "examples",   "spectrum",
                                      "checkpoint", "loss",   "gradient",       "accumulate", "batch_statistics",
                                      "freeze",     "metric", DEQ_STEP_RULES(X)};
#undef X
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) add_path(p, "%s.%s", t->name, own[i]);
    for (int i = 0; i < t->net->nparameters; i++)
        if (t->net->parameters[i].trained) add_path(p, "%s.rates.%s", t->name, t->net->parameters[i].path);
    if (t->validate) add_path(p, "%s.keep", t->name);
    if (t->start.file) add_path(p, "%s.start", t->name);
    if (t->start.file) add_path(p, "%s.start.map", t->name);
    for (int i = 0; i < t->optimiser.nscalars; i++)
        add_path(p, "%s.optimise.%s", t->name, t->optimiser.scalars[i].name);
    for (int i = 0; t->attack && i < t->attack->nscalars; i++)
        if (!t->attack->scalars[i].computed) add_path(p, "%s.attack.%s", t->name, t->attack->scalars[i].name);
    if (t->attack) add_path(p, "%s.attack.gradient", t->name);
    for (int f = 0; f < t->net->nfixed; f++) {
        const char *path = t->net->fixed[f].path;
        char *prefix = NULL;
        if (asprintf(&prefix, "%s.%s%s", t->name, path, *path ? "." : "") < 0) return;
        add_fixed_paths(p, prefix);
        free(prefix);
    }
}

/* " (did you mean a, b?)": the nearest paths, or those that begin alike. */
static void suggest(const Paths *p, const char *path, char *out, size_t size) {
    size_t at = 0, shown = 0;
    const int limit = (int)strlen(path) / 3 + 1;
    out[0] = 0;
    for (int d = 1; d <= limit && !shown; d++)
        for (size_t i = 0; i < p->count && shown < 4; i++)
            if (deq_edit_distance(p->path[i], path, d) == d && at < size)
                at += (size_t)snprintf(out + at, size - at, "%s%s", shown++ ? ", " : "; did you mean ", p->path[i]);
    if (shown && at + 1 < size) snprintf(out + at, size - at, "?");
    if (shown) return;
    for (size_t i = 0; i < p->count && shown < 8; i++)
        if (at < size)
            at += (size_t)snprintf(out + at, size - at, "%s%s", shown++ ? ", " : "; settable are ", p->path[i]);
    if (p->count > shown && at < size) snprintf(out + at, size - at, ", and %zu more", p->count - shown);
}

static bool to_integer(const char *path, const char *value, int64_t low, int64_t *out, deq_error *e) {
    char *end;
    errno = 0;
    long long v = strtoll(value, &end, 10);
    if (end == value || *end || errno) return deq_fail(e, DEQ_SETTING, "--set %s=%s: expected an integer", path, value);
    if (v < low) return deq_fail(e, DEQ_SETTING, "--set %s=%s: must be at least %lld", path, value, (long long)low);
    *out = v;
    return true;
}

static bool to_minutes(const char *path, const char *value, double *out, deq_error *e) {
    char *end;
    const double v = strtod(value, &end);
    if (end == value || *end || !(v >= 0 && v <= 1e6))
        return deq_fail(e, DEQ_SETTING, "--set %s=%s: expected minutes from 0 to 1e6", path, value);
    *out = v;
    return true;
}

static bool is_choice(const deq_named *s, double v, const char *path, const char *value, deq_error *e) {
    char text[200] = "";
    size_t n = 0;
    for (int i = 0; i < s->nchoices; i++) {
        if (s->choices[i] == v) return true;
        if (n < sizeof text) n += (size_t)snprintf(text + n, sizeof text - n, "%s %g", i ? "," : "", s->choices[i]);
    }
    return deq_fail(e, DEQ_SETTING, "--set %s=%s: '%s' is one of%s", path, value, s->name, text);
}

static bool set_scalar(deq_named *scalars, int n, const char *name, const char *path, const char *value, bool *found,
                       deq_error *e) {
    for (int i = 0; i < n; i++) {
        if (strcmp(scalars[i].name, name)) continue;
        char *end;
        *found = true;
        double v = strtod(value, &end);
        if (end == value || *end || isnan(v))
            return deq_fail(e, DEQ_SETTING, "--set %s=%s: expected a number", path, value);
        if ((scalars[i].whole || scalars[i].count) && v != floor(v))
            return deq_fail(e, DEQ_SETTING, "--set %s=%s: expected an integer", path, value);
        if (scalars[i].count && !(v >= 0 && v <= 1e9))
            return deq_fail(e, DEQ_SETTING, "--set %s=%s: counts the rounds of a 'repeat', from 0 to 1e9", path, value);
        const bool moved = scalars[i].low_by || scalars[i].high_by; /* deq_app_attack_bounds looks, by all of --set */
        const double low = moved ? -INFINITY : scalars[i].low, high = moved ? INFINITY : scalars[i].high;
        if (isinf(v) && fabs(v > 0 ? high : low) == DBL_MAX)
            return deq_fail(e, DEQ_SETTING, "--set %s=%s: '%s' is a finite number", path, value, name);
        if (v < low && high >= DBL_MAX)
            return deq_fail(e, DEQ_SETTING, "--set %s=%s: '%s' is at least %g", path, value, name, low);
        if (v < low || v > high)
            return deq_fail(e, DEQ_SETTING, "--set %s=%s: '%s' lies between %g and %g", path, value, name, low, high);
        if (scalars[i].nchoices && !is_choice(&scalars[i], v, path, value, e)) return false;
        if (scalars[i].computed)
            return deq_fail(
                e, DEQ_SETTING,
                "--set %s=%s: the rounds of a 'repeat' were computed from `%s` when this was compiled; change "
                "it in the script",
                path, value, name);
        scalars[i].value = v;
        return true;
    }
    return true;
}

static bool add_override(deq_app *app, deq_override **list, int *n, const char *path, const char *value, deq_error *e) {
    deq_override *grown = deq_manifest_alloc(app->manifest, (size_t)(*n + 1) * sizeof *grown);
    if (!grown) return deq_fail(e, DEQ_MEMORY, "out of memory for --set");
    if (*n) memcpy(grown, *list, (size_t)*n * sizeof *grown);
    grown[(*n)++] = (deq_override){path, value};
    *list = grown;
    return true;
}

static bool add_set(deq_app *app, deq_train_spec *t, const char *path, const char *value, deq_error *e) {
    return add_override(app, &t->set, &t->nset, path, value, e);
}

static bool ends_with(const char *text, const char *end) {
    size_t length = strlen(text), most = strlen(end);
    return length >= most && !strcmp(text + length - most, end);
}

/* An argument of a gradient mode, where the run has a mode of its own, which evaluations do not take: the argument is
 * the run's too. */
static bool is_of_own_gradient(const deq_train_spec *t, const char *key) {
    bool own = false, whole = false; /* whole: --set replaced the mode, for evaluations as well */
    for (int i = 0; i < t->noverrides; i++) own = own || ends_with(t->overrides[i].path, "gradient");
    for (int i = 0; i < t->nset; i++) whole = whole || ends_with(t->set[i].path, "gradient");
    return own && !whole && (!strncmp(key, "gradient.", 9) || strstr(key, ".gradient."));
}

/* A setting of the net's fixed points: tried on the engine at once, so that a bad one is refused before work starts. */
static bool set_fixed(deq_app *app, deq_train_spec *t, const char *key, const char *path, const char *value,
                      bool *found, deq_error *e) {
    if (!strcmp(key, "defence")) return true; /* of an evaluation, not of a training run */
    const char *rest;
    bool near = deq_fixed_key_find(key, &rest) >= 0;
    for (int f = 0; f < t->net->nfixed && !near; f++) near = deq_path_under(key, t->net->fixed[f].path) != NULL;
    if (!near) return true;
    deq_engine *engine = deq_app_engine(app, t->net, e);
    if (!engine) return false;
    deq_error own = {0};
    uint32_t token = deq_engine_save_settings(engine);
    const char *penalty = strstr(key, "penalty"); /* the run's own, which may come from its settings */
    bool own_mode = is_of_own_gradient(t, key);
    bool ok = penalty || own_mode ? deq_app_in_training(engine, t, &own) : deq_app_as_trained(engine, t, NULL, 0, &own);
    ok = ok && deq_engine_set(engine, key, value, &own);
    json_t *resolved = ok && penalty ? deq_app_resolved(engine) : NULL;
    deq_engine_restore_settings(engine, token);
    if (!ok) {
        /* the key may be right and the value wrong: then the engine's words are the best there are */
        Paths p = {0};
        bool known = false;
        add_train_paths(&p, t);
        for (size_t i = 0; i < p.count; i++) known |= !strcmp(p.path[i] + strlen(t->name) + 1, key);
        for (size_t i = 0; i < p.count; i++) free(p.path[i]);
        free(p.path);
        if (!known) return true;
        *found = true;
        return deq_fail(e, own.failure, "--set %s=%s: %s", path, value, own.text);
    }
    *found = true;
    if (own_mode) return add_override(app, &t->overrides, &t->noverrides, key, value, e);
    if (!resolved) return add_set(app, t, key, value, e);
    for (int f = 0; ok && f < t->net->nfixed; f++) { /* whole penalties: an evaluation knows nothing of the run's own */
        const char *fixed = t->net->fixed[f].path;
        size_t size = strlen(fixed) + sizeof ".penalty";
        char *full = deq_manifest_alloc(app->manifest, size), *copy = NULL;
        if (full) snprintf(full, size, "%s%spenalty", fixed, *fixed ? "." : "");
        const char *text = full ? json_string_value(json_object_get(resolved, full)) : NULL;
        size = strlen(text ? text : "none") + 1;
        if (full) copy = deq_manifest_alloc(app->manifest, size);
        if (copy) memcpy(copy, text ? text : "none", size);
        ok = copy ? add_set(app, t, full, copy, e) : deq_fail(e, DEQ_MEMORY, "out of memory for --set");
    }
    json_decref(resolved);
    return ok;
}

/* Which routines an attack asks is compiled in: here it can only be said again. */
static bool set_statistics(const deq_train_spec *t, const char *path, const char *value, deq_error *e) {
    const bool train = !strcmp(value, "train");
    if (!train && strcmp(value, "eval"))
        return deq_fail(e, DEQ_SETTING, "--set %s=%s: expected eval or train", path, value);
    return train == (t->attack && t->attack->in_batch) ||
           deq_fail(e, DEQ_SETTING,
                    "--set %s=%s: the attack is compiled with its statistics; deq run takes them by the name of the "
                    "training run, where no sweep gives them; else change it in the script",
                    path, value);
}

static bool set_train(deq_app *app, deq_train_spec *t, const char *key, const char *path, const char *value,
                      bool *found, deq_error *e) {
    int64_t seed = 0;
    if (!strcmp(key, "batch_statistics")) return *found = true, set_statistics(t, path, value, e);
    if (!strcmp(key, "epochs"))
        return *found = true, to_integer(path, value, t->start.file || t->start.train ? 0 : 1, &t->epochs, e);
    if (!strcmp(key, "batch")) return *found = true, to_integer(path, value, 1, &t->batch, e);
    if (!strcmp(key, "examples")) return *found = true, to_integer(path, value, 1, &t->examples, e);
    if (!strcmp(key, "spectrum")) return *found = true, to_integer(path, value, 0, &t->spectrum, e);
    if (!strcmp(key, "checkpoint")) return *found = true, to_minutes(path, value, &t->checkpoint, e);
    if (t->validate && !strcmp(key, "keep")) {
        *found = true;
        if (deq_keep_find(value, &t->keep) && (t->attack || t->keep != DEQ_KEEP_best_robust)) return true;
        return deq_fail(e, DEQ_SETTING, "--set %s=%s: expected last%s", path, value,
                        t->attack ? ", best_clean or best_robust" : " or best_clean");
    }
    if (!strcmp(key, "seed")) {
        *found = true;
        if (!to_integer(path, value, 0, &seed, e)) return false;
        t->seed = (uint64_t)seed;
        return true;
    }
    if (t->start.file && !strcmp(key, "start")) return *found = true, t->start.file = value, true;
    if (t->start.file && !strcmp(key, "start.map")) return *found = true, t->start.map = value, true;
    if (!strcmp(key, "loss")) {
        *found = true;
        for (int i = 0; i < t->net->nlosses; i++)
            if (!strcmp(t->net->losses[i].name, value)) return t->loss = value, true;
        return deq_fail(e, DEQ_SETTING, "--set %s=%s: '%s' was not compiled with that loss", path, value, t->net->name);
    }
    if (!strncmp(key, "optimise.", 9))
        return set_scalar(t->optimiser.scalars, t->optimiser.nscalars, key + 9, path, value, found, e);
    if (!deq_app_set_steps(app, t, key, path, value, found, e)) return false;
    if (*found) return true;
    if (t->attack && !strcmp(key, "attack.gradient")) return *found = true, t->attack->gradient = value, true;
    if (t->attack && !strncmp(key, "attack.", 7))
        return set_scalar(t->attack->scalars, t->attack->nscalars, key + 7, path, value, found, e);
    return set_fixed(app, t, key, path, value, found, e);
}

static bool set_data(deq_data_spec *d, const char *key, const char *value, bool *found) {
    const deq_row *reader = deq_row_find(&deq_reader_family, deq_part_of(d->reader));
    if (!reader || !deq_argument_find(&deq_reader_family, reader, deq_part_of(key))) return true;
    json_object_set_new((json_t *)d->arguments, key, json_string(value));
    *found = true;
    return true;
}

static void add_data_paths(Paths *p, const deq_data_spec *d) {
    const deq_row *reader = deq_row_find(&deq_reader_family, deq_part_of(d->reader));
    const deq_argument *a;
    for (int i = 0; reader && (a = deq_argument_at(&deq_reader_family, reader, 0, i)); i++)
        add_path(p, "%s.%s", d->name, a->name);
}

static bool set_attack(deq_attack_spec *a, const char *target, const char *key, const char *path, const char *value,
                       bool *found, deq_error *e) {
    for (; a; a = a->next) { /* every part of a sequence */
        if (strcmp(a->name, target)) continue;
        if (!strcmp(key, "gradient"))
            *found = true, a->gradient = value;
        else if (!set_scalar(a->scalars, a->nscalars, key, path, value, found, e))
            return false;
    }
    return true;
}

typedef struct Wanted {
    const char *name;
    const deq_train_spec *found;
} Wanted;

static bool visit_wanted(deq_train_spec *t, void *context) {
    Wanted *w = context;
    if (!w->found && !strcmp(t->name, w->name)) w->found = t;
    return true;
}

static const deq_train_spec *train_named(deq_manifest *m, const char *name) {
    Wanted w = {name, NULL};
    deq_each_train(m, visit_wanted, &w);
    return w.found;
}

/* The parts of that name ask another net.  Their routine is of one net and one loss, which stay. */
static bool set_against(deq_manifest *m, deq_attack_spec *a, const char *evaluated, const char *target,
                        const char *path, const char *value, bool *found, deq_error *e) {
    const deq_train_spec *next = train_named(m, value);
    for (; a; a = a->next) {
        if (strcmp(a->name, target)) continue;
        const deq_train_spec *now = train_named(m, a->against.model ? a->against.model : evaluated);
        if (!next) return deq_fail(e, DEQ_SETTING, "--set %s=%s: the script trains no net '%s'", path, value, value);
        if (!now || next->net != now->net || strcmp(next->loss, now->loss))
            return deq_fail(
                e, DEQ_SETTING,
                "--set %s=%s: the attack was compiled for a net of %s and the loss %s; '%s' is of %s, with %s", path,
                value, now ? now->net->name : "another layer", now ? now->loss : "none", value, next->net->name,
                next->loss);
        *found = true;
        a->against.model = value;
        a->against.nsettings = 0;
    }
    return true;
}

/* Every use of the attack declared under that name: in training runs and in evaluations. */
typedef struct AttackSetting {
    deq_manifest *manifest;
    const char *target, *key, *path, *value;
    bool *found;
    deq_error *e;
} AttackSetting;

static bool visit_train_attack(deq_train_spec *t, void *context) {
    const AttackSetting *s = context;
    return set_attack(t->attack, s->target, s->key, s->path, s->value, s->found, s->e);
}

static bool visit_value_attack(deq_value_spec *v, void *context) {
    const AttackSetting *s = context;
    if (!strcmp(s->key, "against"))
        return set_against(s->manifest, v->attack, v->model, s->target, s->path, s->value, s->found, s->e) &&
               set_against(s->manifest, v->audit.margin, v->model, s->target, s->path, s->value, s->found, s->e);
    return set_attack(v->attack, s->target, s->key, s->path, s->value, s->found, s->e);
}

static bool set_attacks(deq_manifest *m, const char *target, const char *key, const char *path, const char *value,
                        bool *found, deq_error *e) {
    AttackSetting s = {m, target, key, path, value, found, e};
    return deq_each_train(m, visit_train_attack, &s) && deq_each_value(m, visit_value_attack, &s);
}

static void add_attack_paths(Paths *p, const deq_attack_spec *a) {
    for (; a; a = a->next) {
        for (int i = 0; i < a->nscalars; i++)
            if (!a->scalars[i].computed) add_path(p, "%s.%s", a->name, a->scalars[i].name);
        add_path(p, "%s.gradient", a->name);
    }
}

/* Whether the experiment of that name declares the array, which `x` has: "first.robust" is one of `first`. */
static bool declares(const char *experiment, const deq_experiment_spec *x, const deq_array_spec *a) {
    size_t name = 0;
    while (isalnum((unsigned char)a->name[name]) || a->name[name] == '_') name++;
    return a->name[name] == '.' ? name == strlen(experiment) && !strncmp(a->name, experiment, name)
                                : !strcmp(x->name, experiment);
}

static bool allow_masking(deq_manifest *m, const char *experiment, bool yes) {
    bool some = false;
    for (int i = 0; i < m->nexperiments; i++)
        for (int k = 0; k < m->experiments[i].narrays; k++) {
            const deq_array_spec *array = &m->experiments[i].arrays[k];
            if (!array->values || !declares(experiment, &m->experiments[i], array)) continue;
            some = true;
            for (int c = 0; c < array->nspecs; c++)
                for (deq_attack_spec *a = array->values[c].attack; a; a = a->next) a->allow_masking = yes;
        }
    return some;
}

/* Settings of an experiment: whether it audits; whether attacks of its values may be masked, wherever these are used. */
static bool set_experiment(deq_manifest *m, const char *name, const char *key, const char *path, const char *value,
                           bool *found, deq_error *e) {
    const bool audit = !strcmp(key, "audit"), whole = audit && !strcmp(value, "whole"),
               yes = whole || !strcmp(value, "true");
    bool known = false;
    if (!audit && strcmp(key, "allow_masking")) return true;
    for (int i = 0; i < m->nexperiments; i++) {
        deq_experiment_spec *x = &m->experiments[i];
        if (strcmp(x->name, name)) continue;
        known = true;
        if (audit) x->audit = yes, x->whole_audit = whole;
    }
    if (!audit) known = allow_masking(m, name, yes) || known;
    *found = *found || known;
    return !known || yes || !strcmp(value, "false") ||
           deq_fail(e, DEQ_SETTING, "--set %s=%s: true or false%s", path, value, audit ? ", or whole" : "");
}

typedef struct Assignment {
    deq_app *app;
    const char *target, *key, *path, *value;
    bool found;
    deq_error *e;
    Paths *paths;
} Assignment;

static bool visit_assign(deq_train_spec *t, void *context) {
    Assignment *a = context;
    const char *key = deq_app_key_of_train(a->app->manifest, t, a->path);
    return !key || set_train(a->app, t, key, a->path, a->value, &a->found, a->e);
}

static bool visit_paths(deq_train_spec *t, void *context) {
    add_train_paths(context, t);
    add_attack_paths(context, t->attack);
    return true;
}

static bool visit_value_paths(deq_value_spec *v, void *context) {
    add_attack_paths(context, v->attack);
    for (const deq_attack_spec *a = v->attack; a; a = a->next) add_path(context, "%s.against", a->name);
    return true;
}

static bool visit_seed(deq_train_spec *t, void *context) {
    t->seed = *(const uint64_t *)context;
    return true;
}

typedef struct Carrying {
    deq_app *app;
    deq_error *e;
} Carrying;

static bool visit_carry(deq_train_spec *t, void *context) {
    const Carrying *c = context;
    return deq_app_carry(c->app, t, c->e);
}

/* What the script was compiled with already: settings of attacks from which others are computed. */
static bool compiled_in(const deq_app *app, const char *text) {
    const json_t *set = json_object_get(app->manifest->json, "set");
    for (size_t i = 0; i < json_array_size(set); i++)
        if (!strcmp(json_string_value(json_array_get(set, i)), text)) return true;
    return false;
}

static bool assign(deq_app *app, const char *text, deq_error *e) {
    if (compiled_in(app, text)) return true;
    size_t length = strlen(text) + 1;
    char *path = deq_manifest_alloc(app->manifest, length), *target = deq_manifest_alloc(app->manifest, length);
    if (!path || !target) return deq_fail(e, DEQ_MEMORY, "out of memory for --set");
    memcpy(path, text, length);
    char *equals = strchr(path, '=');
    if (!equals || equals == path || !equals[1]) return deq_fail(e, DEQ_SETTING, "--set %s: expected path=value", text);
    *equals = 0;
    strcpy(target, path);
    char *dot = strchr(target, '.');
    if (dot) *dot = 0;
    Assignment a = {app, target, dot ? dot + 1 : "", path, equals + 1, false, e, NULL};
    if (!deq_app_not_swept(app, text, path, target, a.key, e)) return false;
    if (!deq_each_train(app->manifest, visit_assign, &a)) return false;
    for (int i = 0; i < app->manifest->ndata; i++)
        if (!strcmp(app->manifest->data[i].name, target)) set_data(&app->manifest->data[i], a.key, a.value, &a.found);
    if (!set_experiment(app->manifest, target, a.key, path, a.value, &a.found, e)) return false;
    if (!set_attacks(app->manifest, target, a.key, path, a.value, &a.found, e)) return false;
    if (a.found) return true;
    Paths p = {0};
    char near[600];
    deq_each_train(app->manifest, visit_paths, &p);
    for (int x = 0; x < app->manifest->nexperiments; x++) {
        add_path(&p, "%s.audit", app->manifest->experiments[x].name);
        add_path(&p, "%s.allow_masking", app->manifest->experiments[x].name);
    }
    deq_each_value(app->manifest, visit_value_paths, &p);
    const json_t *settable = json_object_get(app->manifest->json, "settable");
    for (size_t i = 0; i < json_array_size(settable); i++)
        add_path(&p, "%s", json_string_value(json_array_get(settable, i)));
    for (int i = 0; i < app->manifest->ndata; i++) add_data_paths(&p, &app->manifest->data[i]);
    suggest(&p, path, near, sizeof near);
    deq_fail(e, DEQ_SETTING, "--set %s: there is no such setting%s", path, near);
    for (size_t i = 0; i < p.count; i++) free(p.path[i]);
    free(p.path);
    return false;
}

static bool visit_bounds(deq_train_spec *t, void *context) {
    const Carrying *c = context;
    return deq_app_attack_bounds(c->app, t->attack, c->e);
}

static bool visit_value_bounds(deq_value_spec *v, void *context) {
    const Carrying *c = context;
    return deq_app_attack_bounds(c->app, v->attack, c->e);
}

bool deq_app_apply_settings(deq_app *app, deq_error *e) {
    uint64_t seed = app->options->seed;
    Carrying carrying = {app, e};
    if (app->options->has_seed && !deq_app_not_swept(app, "--seed", NULL, "", "", e)) return false;
    if (app->options->has_seed) deq_each_train(app->manifest, visit_seed, &seed);
    if (!deq_each_train(app->manifest, visit_carry, &carrying)) return false;
    for (int i = 0; i < app->options->nset; i++)
        if (!assign(app, app->options->set[i], e)) return false;
    if (app->options->nset && !(deq_each_train(app->manifest, visit_bounds, &carrying) &&
                                deq_each_value(app->manifest, visit_value_bounds, &carrying)))
        return false;
    /* --set has perhaps said another file, or epochs. */
    return !app->options->nset || deq_each_train(app->manifest, visit_carry, &carrying);
}
