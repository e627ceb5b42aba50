/* engine_settings.c - settings of a net's fixed points by path, saved and restored as a stack. */
#include "engine_internal.h"
#include "names.h"
#include "worker_plan.h"
#include <stdlib.h>
#include <string.h>

static bool is_key(const char *path) {
    const char *rest;
    return deq_fixed_key_find(path, &rest) >= 0;
}

/* A setting of all fixed points (a gradient by hand: of those it is written for); none is changed after a failure. */
static bool set_all(const deq_engine *g, deq_fixed_settings *settings, const char *key, const char *value,
                    deq_error *e) {
    deq_fixed_settings *changed = malloc(((size_t)g->nfixed + 1) * sizeof *changed);
    if (!changed) return deq_fail(e, DEQ_MEMORY, "settings");
    memcpy(changed, settings, (size_t)g->nfixed * sizeof *changed);
    bool good = true, by_hand = false;
    for (int i = 0; !strcmp(key, "gradient") && i < g->nfixed; i++)
        by_hand = by_hand || deq_hands_find(changed[i].hands, value);
    for (int i = 0; good && i < g->nfixed; i++)
        if (!by_hand || deq_hands_find(changed[i].hands, value)) good = deq_fixed_set(&changed[i], key, value, e);
    if (good) memcpy(settings, changed, (size_t)g->nfixed * sizeof *changed);
    free(changed);
    return good;
}

bool deq_engine_set(deq_engine *g, const char *path, const char *value, deq_error *e) {
    size_t longest = 0;
    int chosen = -1;
    if (!strcmp(path, "defence")) {
        if (strcmp(value, "none") && g->nfixed == 0)
            return deq_fail(e, DEQ_SETTING, "net %s has no fixed point, whose states a defence could read", g->name);
        return deq_defence_parse(value, &g->defence, e);
    }
    for (int i = 0; i < g->nfixed; i++) {
        const char *key = deq_path_under(path, g->fixed[i].path);
        if (key && is_key(key) && strlen(g->fixed[i].path) >= longest) {
            chosen = i;
            longest = strlen(g->fixed[i].path);
        }
    }
    if (chosen >= 0 && (longest > 0 || !is_key(path))) {
        deq_fixed_settings changed = g->settings[chosen];
        const char *key = deq_path_under(path, g->fixed[chosen].path);
        if (!deq_fixed_set(&changed, key, value, e)) return false;
        for (int i = 0; i < g->nfixed; i++) /* a layer that is called twice has a fixed point for each call */
            if (!strcmp(g->fixed[i].path, g->fixed[chosen].path) && !deq_fixed_set(&g->settings[i], key, value, e))
                return false;
        return true;
    }
    if (!is_key(path) || g->nfixed == 0) {
        char known[512] = "";
        for (int i = 0; i < g->nfixed && strlen(known) + strlen(g->fixed[i].path) + 3 < sizeof known; i++) {
            if (i) strcat(known, ", ");
            strcat(known, g->fixed[i].path);
        }
        return deq_fail(e, DEQ_SETTING, "net %s has no setting `%s` (its fixed points: %s)", g->name, path,
                        g->nfixed ? known : "none");
    }
    return set_all(g, g->settings, path, value, e);
}

bool engine_attacking(const deq_engine *g, deq_fixed_settings *out, const char *gradient, deq_error *e) {
    memcpy(out, g->settings, (size_t)g->nfixed * sizeof *out);
    for (int i = 0; i < g->nfixed; i++) out[i].finish = deq_finish_of(&g->settings[i]);
    return set_all(g, out, "gradient", gradient, e);
}

/* The same; free() them.  NULL: `e` says why. */
static deq_fixed_settings *attacking_of(const deq_engine *g, const char *attack_gradient, deq_error *e) {
    deq_fixed_settings *attacking = malloc(((size_t)g->nfixed + 1) * sizeof *attacking);
    if (!attacking) return deq_fail(e, DEQ_MEMORY, "settings"), NULL;
    if (engine_attacking(g, attacking, attack_gradient, e)) return attacking;
    return free(attacking), NULL;
}

enum { FEW_ROWS = 64, MORE_ROWS = 128 };

/* What planning for so many examples takes; 0: no memory to find out. */
static size_t planned(deq_engine *g, int64_t rows, const deq_fixed_settings *const *settings, int count) {
    deq_worker *worker = deq_worker_new((int)g->real_bits, rows, g->descriptors, g->nfixed);
    const size_t bytes = worker ? deq_worker_bytes(worker, settings, count, g->defence.given) : 0;
    deq_worker_free(worker);
    return bytes;
}

int64_t deq_engine_example_bytes(deq_engine *g, const char *attack_gradient) {
    deq_error own = {0};
    deq_fixed_settings *attacking = attack_gradient ? attacking_of(g, attack_gradient, &own) : NULL;
    const deq_fixed_settings *settings[2] = {g->settings, attacking};
    if (attack_gradient && !attacking) return -1;
    const size_t few = planned(g, FEW_ROWS, settings, attacking ? 2 : 1),
                 more = planned(g, MORE_ROWS, settings, attacking ? 2 : 1);
    free(attacking);
    return few && more ? (int64_t)(more - few) / (MORE_ROWS - FEW_ROWS) : -1;
}

bool deq_engine_check_settings(const deq_engine *g, const char *attack_gradient, deq_error *e) {
    for (int i = 0; i < g->nfixed; i++)
        if (!deq_fixed_check(&g->settings[i], g->fixed[i].descriptor, e) ||
            !deq_fixed_check_penalties(&g->settings[i], g->fixed[i].descriptor, e))
            return false;
    if (!attack_gradient) return true;
    deq_fixed_settings *attacking = attacking_of(g, attack_gradient, e);
    bool good = attacking != NULL;
    for (int i = 0; good && i < g->nfixed; i++) good = deq_fixed_check(&attacking[i], g->fixed[i].descriptor, e);
    free(attacking);
    return good;
}

static void put(json_t *out, const char *path, const char *key, const char *text) {
    char name[512];
    snprintf(name, sizeof name, "%s%s%s", path, *path ? "." : "", key);
    json_object_set_new(out, name, json_string(text));
}

void deq_engine_settings(const deq_engine *g, json_t *out) {
    char text[DEQ_SETTING_TEXT];
    for (int i = 0; i < g->nfixed; i++)
        for (int k = 0; k < DEQ_FIXED_KEYS; k++) {
            if (k == DEQ_FIXED_KEY_penalty && !deq_penalties_given(&g->settings[i].penalties)) continue;
            deq_fixed_settings resolved = g->settings[i];
            resolved.finish = deq_finish_of(&resolved);
            deq_fixed_print(&resolved, (deq_fixed_key)k, text, sizeof text);
            put(out, g->fixed[i].path, deq_fixed_table[k].key, text);
        }
    char defence[DEQ_DEFENCE_TEXT];
    if (!g->defence.given) return;
    deq_defence_print(&g->defence, defence, sizeof defence);
    put(out, "", "defence", defence);
}

deq_finish *deq_engine_finishes(const deq_engine *g) {
    deq_finish *out = malloc(((size_t)g->nfixed + 1) * sizeof *out);
    for (int i = 0; out && i < g->nfixed; i++) out[i] = deq_finish_of(&g->settings[i]);
    return out;
}

void deq_engine_settle_finishes(deq_engine *g, const deq_finish *finishes) {
    for (int i = 0; i < g->nfixed; i++)
        if (g->settings[i].finish.kind == DEQ_FINISH_trained) g->settings[i].finish = finishes[i];
}

bool deq_engine_may_stop(const deq_engine *g) {
    for (int i = 0; i < g->nfixed; i++)
        if (g->settings[i].on_fail == DEQ_STOP || deq_mode_has(&g->settings[i].gradient, TRAIT_STOPS)) return true;
    return false;
}

const deq_mode *deq_engine_mode(const deq_engine *g, int fixed) { return &g->settings[fixed].gradient; }
int64_t deq_engine_dimension(const deq_engine *g, int fixed) { return g->descriptors[fixed]->dimension; }
const deq_solver *deq_engine_solver(const deq_engine *g, int fixed) { return &g->settings[fixed].forward; }

bool deq_engine_penalised(const deq_engine *g) {
    bool any = false;
    for (int i = 0; i < g->nfixed; i++) any = any || deq_penalties_given(&g->settings[i].penalties);
    return any;
}

bool deq_engine_corrected(const deq_engine *g) {
    bool any = false;
    for (int i = 0; i < g->nfixed; i++) any = any || deq_penalties_least(&g->settings[i].penalties);
    return any;
}

uint32_t deq_engine_save_settings(deq_engine *g) {
    size_t bytes = (size_t)g->nfixed * sizeof *g->settings;
    engine_saved **saved = realloc(g->saved, ((size_t)g->saves + 1) * sizeof *saved);
    if (!saved) abort(); /* a few words: no caller could go on without them */
    g->saved = saved;
    saved[g->saves] = malloc(sizeof **saved + bytes);
    if (!saved[g->saves]) abort();
    saved[g->saves]->defence = g->defence;
    memcpy(saved[g->saves]->fixed, g->settings, bytes);
    return g->saves++;
}

void deq_engine_first_settings(deq_engine *g) {
    if (!g->saves) return;
    g->defence = g->saved[0]->defence;
    memcpy(g->settings, g->saved[0]->fixed, (size_t)g->nfixed * sizeof *g->settings);
}

void deq_engine_restore_settings(deq_engine *g, uint32_t token) {
    if (token >= g->saves) return;
    g->defence = g->saved[token]->defence;
    memcpy(g->settings, g->saved[token]->fixed, (size_t)g->nfixed * sizeof *g->settings);
    while (g->saves > token) free(g->saved[--g->saves]);
}
