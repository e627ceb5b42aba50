/* asked.c - settings of attacks and experiments that the command line asks for and that decide what is compiled.
 *
 * --set linf.radius=0.2 and --set net.attack.radius=0.2 are the runtime's matter where the setting is a number that the
 * attack's routine is given.  Where other numbers are computed from it, those of the parts of an attack made of others
 * and the rounds of a loop, the instance is elaborated with that value in place of what the script gives.  --set
 * EXPERIMENT.allow_masking=true has to be known when attacks through `on_fail: zero_gradient` are refused, and
 * --set net.batch_statistics=train when the routines are made that the attack asks. */
#include "asked.h"
#include "settings_value.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool mentions(const Ast *e, const char *name) {
    if (!e) return false;
    if (e->kind == AST_NAME && strcmp(e->name, name) == 0) return true;
    for (uint32_t i = 0; i < e->nkids; i++)
        if (mentions(e->kids[i], name)) return true;
    return false;
}

/* Is the number of some loop's rounds, here or in a step, computed from the setting? */
static bool counts_mention(const Ast *e, const char *name) {
    if (!e) return false;
    if (e->kind == AST_REPEAT && AST_SLOT(e, REPEAT, count)->kind != AST_NAME &&
        mentions(AST_SLOT(e, REPEAT, count), name))
        return true;
    if (e->kind == AST_FOR && mentions(AST_SLOT(e, FOR, range), name)) return true;
    if (e->kind == AST_CALL && AST_SLOT(e, CALL, state) && mentions(AST_SLOT(e, CALL, inputs), name)) return true;
    for (uint32_t i = 0; i < e->nkids; i++)
        if (counts_mention(e->kids[i], name)) return true;
    return false;
}

/* The call that an attack is declared as, without the settings behind it. */
static const Ast *instance_of(const Ast *declared) {
    const Ast *e = AST_SLOT(declared, ATTACK, value);
    while (e && e->kind == AST_WITH) e = AST_SLOT(e, WITH, base);
    return e;
}

/* The definition of the attack that `e`, a call or a bare name, makes; NULL: it is none, or an attack that is declared. */
static const Ast *definition_of(const Ast *e) {
    const Ast *callee = e && e->kind == AST_CALL ? AST_SLOT(e, CALL, callee) : e, *d = callee ? callee->ref : NULL;
    return d && d->kind == AST_ATTACK_DEF ? d : NULL;
}

static const Ast *settings_of(const Ast *definition) {
    return AST_SLOT(AST_SLOT(definition, ATTACK_DEF, inputs), PARAMS, inputs);
}

/* A record's settings are copied wherever it is used; where they are written stays. */
static bool same_place(const Ast *a, const Ast *b) {
    return a && b && a->range.source == b->range.source && a->range.start == b->range.start &&
           a->range.end == b->range.end;
}

/* "EXPERIMENT.allow_masking=true" or "=false"; the run refuses other values. */
static bool asked_of_experiment(const Program *p, const char *text) {
    const char *key = ".allow_masking=", *dot = strstr(text, key), *value = dot ? dot + strlen(key) : "";
    if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0) return false;
    for (uint32_t i = 0; i < p->main->unit->nkids; i++) {
        const Ast *d = p->main->unit->kids[i];
        if (d->kind == AST_EXPERIMENT && strlen(d->name) == (size_t)(dot - text) &&
            strncmp(d->name, text, strlen(d->name)) == 0)
            return true;
    }
    return false;
}

/* The training run of that name, in the file or in an experiment; NULL. */
static const Ast *train_named(const Ast *e, const char *name) {
    if (!e || (e->kind == AST_TRAIN && strcmp(e->name, name) == 0)) return e;
    const bool holds = e->kind == AST_UNIT || e->kind == AST_EXPERIMENT || e->kind == AST_LIST;
    const Ast *found = NULL;
    for (uint32_t i = 0; holds && !found && i < e->nkids; i++) found = train_named(e->kids[i], name);
    return found;
}

/* Likewise, of what "NAME.key" or, of a module that is imported, "MODULE.NAME.key" stands for; *key is what is behind. */
static const Ast *train_at(const Program *p, const char *text, const char **key) {
    for (uint32_t i = 0; i < p->nmodules; i++) {
        const Module *m = p->modules[i];
        const char *word = m == p->main ? "" : module_called(p, m), *at = text;
        const size_t n = strlen(word);
        if (n && (strncmp(text, word, n) != 0 || text[n] != '.')) continue;
        at += n ? n + 1 : 0;
        const char *end = strchr(at, '.');
        const Ast *found = end ? train_named(m->unit, arena_strndup(p->arena, at, (size_t)(end - at))) : NULL;
        if (!found) continue;
        *key = end + 1;
        return found;
    }
    return NULL;
}

/* The call that the attack of a training run is; NULL: none, or known when it runs. */
static const Ast *trained_against(Arena *a, const Ast *train) {
    RecordReader r = {.arena = a, .left = UINT32_MAX};
    const Ast *e = ast_setting_value(settings_flatten(&r, AST_SLOT(train, TRAIN, settings)), "attack");
    while (e && (e->kind == AST_WITH || (e->ref && e->ref->kind == AST_ATTACK)))
        e = e->kind == AST_WITH ? AST_SLOT(e, WITH, base) : AST_SLOT(e->ref, ATTACK, value);
    return e;
}

static bool mentions_sweep(const Ast *e) {
    if (!e) return false;
    if (e->ref && e->ref->kind == AST_SWEEP) return true;
    for (uint32_t i = 0; i < e->nkids; i++)
        if (mentions_sweep(e->kids[i])) return true;
    return false;
}

/* Whether a sweep gives the k-th setting of the attack that the call makes: then the command line does not. */
static bool is_swept(const Ast *call, const Ast *settings, uint32_t k) {
    const Ast *inputs = call->kind == AST_CALL ? AST_SLOT(call, CALL, inputs) : NULL;
    for (uint32_t i = 0; inputs && i < inputs->nkids; i++) {
        const Ast *arg = inputs->kids[i];
        if (arg->name ? strcmp(arg->name, settings->kids[k]->name) == 0 : i == k) return mentions_sweep(arg);
    }
    return false;
}

static bool asked_of_attack(const Program *p, const char *text) {
    const char *dot = strchr(text, '.'), *equals = strchr(text, '=');
    char *end = NULL;
    if (!dot || !equals || dot > equals || isnan(strtod(equals + 1, &end)) || end == equals + 1 || *end) return false;
    const Ast *d = module_find(p->main, arena_strndup(p->arena, text, (size_t)(dot - text)), NULL);
    const char *key = arena_strndup(p->arena, dot + 1, (size_t)(equals - dot - 1));
    const Ast *e = d && d->kind == AST_ATTACK ? instance_of(d) : NULL;
    const Ast *train = e ? NULL : train_at(p, arena_strndup(p->arena, text, (size_t)(equals - text)), &key);
    if (train && strncmp(key, "attack.", 7) == 0) {
        e = trained_against(p->arena, train);
        key += 7;
    }
    const Ast *def = definition_of(e), *settings = def ? settings_of(def) : NULL;
    for (uint32_t i = 0; settings && i < settings->nkids; i++)
        if (settings->kids[i]->name && strcmp(settings->kids[i]->name, key) == 0)
            return !is_swept(e, settings, i) &&
                   (ast_attack_of_others(def) || counts_mention(AST_SLOT(def, ATTACK_DEF, body), key));
    return false;
}

/* "net.batch_statistics=eval" or "=train"; the run refuses other values, and what a sweep may give. */
static bool asked_of_training(const Program *p, const char *text) {
    const char *equals = strchr(text, '='), *key = NULL;
    const Ast *train = equals ? train_at(p, arena_strndup(p->arena, text, (size_t)(equals - text)), &key) : NULL;
    if (!train || strcmp(key, "batch_statistics") != 0) return false;
    Ast *settings = AST_SLOT(train, TRAIN, settings);
    for (uint32_t i = 0; i < settings->nkids; i++)
        if (settings->kids[i]->kind == AST_SPREAD && mentions_sweep(settings->kids[i])) return false;
    RecordReader r = {.arena = p->arena, .left = UINT32_MAX};
    return !mentions_sweep(ast_setting_value(settings_flatten(&r, settings), key)) &&
           (strcmp(equals + 1, "eval") == 0 || strcmp(equals + 1, "train") == 0);
}

const char *const *asked_settings(const Program *p, const char *const *set, int n) {
    const char **list = arena_alloc(p->arena, (2 * (size_t)n + 1) * sizeof *list);
    int count = 0;
    for (const char *const *text = p->replaced; text && *text; text++) list[count++] = *text;
    for (int k = 0; k < n; k++)
        if (asked_of_attack(p, set[k]) || asked_of_experiment(p, set[k]) || asked_of_training(p, set[k]))
            list[count++] = set[k];
    return list;
}

typedef struct Paths {
    const char **items;
    uint32_t n, cap;
} Paths;

/* PREFIX.SETTING for the settings of the attack that `e` makes, if it is made of others. */
static void add_paths(const Program *p, const char *prefix, const Ast *e, Paths *out) {
    const Ast *def = definition_of(e), *settings = def && ast_attack_of_others(def) ? settings_of(def) : NULL;
    for (uint32_t k = 0; settings && k < settings->nkids; k++)
        if (!is_swept(e, settings, k))
            *ARENA_PUSH(p->arena, out->items, out->n, out->cap) =
                arena_printf(p->arena, "%s.%s", prefix, settings->kids[k]->name);
}

static void each_trained_against(const Program *p, const Ast *e, Paths *out) {
    const bool holds = e && (e->kind == AST_UNIT || e->kind == AST_EXPERIMENT || e->kind == AST_LIST);
    for (uint32_t i = 0; holds && i < e->nkids; i++) each_trained_against(p, e->kids[i], out);
    if (e && e->kind == AST_TRAIN)
        add_paths(p, arena_printf(p->arena, "%s.attack", e->name), trained_against(p->arena, e), out);
}

const char *const *asked_paths(const Program *p) {
    Paths paths = {0};
    for (uint32_t i = 0; i < p->main->unit->nkids; i++) {
        const Ast *d = p->main->unit->kids[i];
        if (d->kind == AST_ATTACK) add_paths(p, d->name, instance_of(d), &paths);
    }
    each_trained_against(p, p->main->unit, &paths);
    *ARENA_PUSH(p->arena, paths.items, paths.n, paths.cap) = NULL;
    return paths.items;
}

void asked_train(Elab *e, const Ast *train, const char *name) {
    e->training = name;
    e->trained_against = train ? trained_against(e->arena, train) : NULL;
}

/* Is it PREFIX.SETTING=..?  Then *value. */
static bool reads(const char *text, const char *prefix, const char *setting, double *value) {
    const size_t name = strlen(prefix), key = strlen(setting);
    if (strncmp(text, prefix, name) != 0 || text[name] != '.' || strncmp(text + name + 1, setting, key) != 0 ||
        text[name + 1 + key] != '=')
        return false;
    *value = strtod(text + name + key + 2, NULL);
    return true;
}

bool asked_value(const Elab *e, const Ast *call, const char *setting, double *value) {
    bool found = false;
    const Ast *declared = NULL;
    for (uint32_t i = 0; e->asked && e->asked[0] && !declared && i < e->program->nmodules; i++)
        for (uint32_t k = 0; k < e->program->modules[i]->unit->nkids && !declared; k++) {
            const Ast *d = e->program->modules[i]->unit->kids[k];
            if (d->kind == AST_ATTACK && instance_of(d) == call) declared = d;
        }
    const char *own =
        e->training && same_place(e->trained_against, call) ? arena_printf(e->arena, "%s.attack", e->training) : NULL;
    for (const char *const *text = e->asked; text && *text; text++) /* the last one holds */
        found = (declared && reads(*text, declared->name, setting, value)) ||
                (own && reads(*text, own, setting, value)) || found;
    return found;
}

/* What the last --set PREFIX.key=VALUE says: 0 or 1, the other of two words or this one; -1: there is none. */
static int asked_for(const Elab *e, const char *prefix, const char *key, const char *word) {
    const size_t name = strlen(prefix), length = strlen(key);
    int found = -1;
    for (const char *const *text = e->asked; text && *text; text++)
        if (strncmp(*text, prefix, name) == 0 && strncmp(*text + name, key, length) == 0)
            found = strcmp(*text + name + length, word) == 0;
    return found;
}

bool asked_masking(const Elab *e, const char *experiment, bool otherwise) {
    const int asked = asked_for(e, experiment, ".allow_masking=", "true");
    return asked < 0 ? otherwise : asked;
}

bool asked_in_batch(const Elab *e, const char *train, bool otherwise) {
    const int asked = asked_for(e, train, ".batch_statistics=", "train");
    return asked < 0 ? otherwise : asked;
}
