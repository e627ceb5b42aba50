/* carried.c - what a net was trained as, where this script takes it as it is: `start:` without epochs.
 *
 * A checkpoint says the settings of the net that was trained.  The script's own hold; where it leaves `finish` open ("as
 * the net was trained"), the file knows which training that was.  What differs otherwise is told. */
#include "app_state.h"
#include "weights.h"
#include <string.h>

static bool is_taken(const deq_train_spec *t) { return !t->epochs && (t->start.file || t->start.train); }

/* The settings, as trained, of the training run above whose parameters `t` begins with. */
static json_t *settings_of_first(deq_app *app, const deq_train_spec *t, deq_error *e) {
    const deq_train_spec *first = t->start.of;
    deq_engine *engine = first ? deq_app_engine(app, first->net, e) : NULL;
    return engine ? deq_app_trained_settings(engine, first, e) : NULL;
}

static const char *keep(deq_app *app, const char *text) {
    char *copy = deq_manifest_alloc(app->manifest, strlen(text) + 1);
    return copy ? strcpy(copy, text) : NULL;
}

static bool carry_finish(deq_app *app, deq_engine *engine, deq_train_spec *t, const char *path, const char *text,
                         deq_error *e) {
    deq_error own = {0};
    if (!deq_engine_set(engine, path, text, &own))
        return deq_fail(e, DEQ_WEIGHTS, "weights: %s of '%s' was trained with `%s: %s`: %s", t->name,
                        t->start.file ? t->start.file : t->start.train, path, text, own.text);
    deq_override *o = &t->carried[t->ncarried++];
    *o = (deq_override){keep(app, path), keep(app, text)};
    return (o->path && o->value) || deq_fail(e, DEQ_MEMORY, "out of memory for the settings of '%s'", t->name);
}

static void path_of(const deq_net_spec *net, int fixed, const char *key, char *out, size_t size) {
    snprintf(out, size, "%s%s%s", net->fixed[fixed].path, *net->fixed[fixed].path ? "." : "", key);
}

bool deq_app_carry(deq_app *app, deq_train_spec *t, deq_error *e) {
    t->ncarried = 0;
    if (!is_taken(t)) return true;
    deq_engine *engine = deq_app_engine(app, t->net, e);
    if (!engine) return false;
    json_t *settings = t->start.file ? deq_weights_settings(t->start.file) : settings_of_first(app, t, e);
    t->carried = deq_manifest_alloc(app->manifest, ((size_t)t->net->nfixed + 1) * sizeof *t->carried);
    bool ok = t->carried || deq_fail(e, DEQ_MEMORY, "out of memory for the settings of '%s'", t->name);
    uint32_t token = deq_engine_save_settings(engine);
    for (int i = 0; ok && i < t->net->nfixed; i++) {
        char path[512];
        path_of(t->net, i, "finish", path, sizeof path);
        const char *text = json_string_value(json_object_get(settings, path));
        if (text) ok = carry_finish(app, engine, t, path, text, e);
    }
    deq_engine_restore_settings(engine, token);
    json_decref(settings);
    return ok;
}

/* ---- what the user is told ---- */
/* Without what goes without saying; what is not understood as it is. */
static void put_brief(deq_fixed_key key, const char *text, char *out, size_t size) {
    deq_error unknown = {0};
    deq_solver solver;
    deq_mode mode;
    snprintf(out, size, "%s", text);
    if (key == DEQ_FIXED_KEY_forward && deq_solver_parse(text, false, &solver, &unknown))
        deq_chain_print(&solver, false, true, out, size);
    if (key == DEQ_FIXED_KEY_gradient && deq_mode_parse(text, &mode, &unknown)) deq_mode_print_brief(&mode, out, size);
}

static void note(deq_app *app, const deq_model *model, const char *path, deq_fixed_key key, const char *trained,
                 const char *here) {
    char was[DEQ_SETTING_TEXT], is[DEQ_SETTING_TEXT];
    put_brief(key, trained, was, sizeof was);
    put_brief(key, here, is, sizeof is);
    deq_report(&app->reporter,
               "note: %s: %s was trained with %s: %s; the script says %s, which holds (with { %s: .. } changes it)",
               model->label, model->spec->start.file, path, was, is, path);
}

void deq_app_note_carried(deq_app *app, deq_engine *engine, const deq_model *model) {
    const deq_train_spec *t = model->spec;
    deq_error unknown = {0};
    json_t *trained = is_taken(t) && t->start.file ? deq_weights_settings(t->start.file) : NULL;
    json_t *here = trained ? deq_app_trained_settings(engine, t, &unknown) : NULL;
    for (int i = 0; here && i < t->net->nfixed; i++)
        for (int k = 0; k < DEQ_FIXED_KEYS; k++) {
            char path[512];
            path_of(t->net, i, deq_fixed_table[k].key, path, sizeof path);
            const char *was = json_string_value(json_object_get(trained, path)),
                       *is = json_string_value(json_object_get(here, path));
            if (was && is && strcmp(was, is) && k != DEQ_FIXED_KEY_penalty) /* which is of a training only */
                note(app, model, path, (deq_fixed_key)k, was, is);
        }
    json_decref(here);
    json_decref(trained);
}
