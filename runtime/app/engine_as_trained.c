/* engine_as_trained.c - an engine as a trained net: the settings of a training run, its parameters, what settings come to,
 * and what is said of solves under them. */
#define _GNU_SOURCE
#include "app_state.h"
#include "checkpoint.h"
#include <stdlib.h>
#include <string.h>

bool deq_app_override(deq_engine *engine, const deq_override *overrides, int n, deq_error *e) {
    for (int i = 0; i < n; i++)
        if (!deq_engine_set(engine, overrides[i].path, overrides[i].value, e)) return false;
    return true;
}

/* Which states are values is settled by the run's own gradient modes, whatever an evaluation changes; of a net that is
 * taken as it is elsewhere, by the training that it had there. */
static deq_finish *finishes_of(deq_engine *engine, const deq_train_spec *t, deq_error *e) {
    uint32_t token = deq_engine_save_settings(engine);
    const bool good = deq_app_override(engine, t->settings, t->nsettings, e) &&
                      deq_app_override(engine, t->overrides, t->noverrides, e) &&
                      deq_app_override(engine, t->set, t->nset, e) &&
                      deq_app_override(engine, t->carried, t->ncarried, e);
    deq_finish *finishes = good ? deq_engine_finishes(engine) : NULL;
    deq_engine_restore_settings(engine, token);
    if (good && !finishes) deq_fail(e, DEQ_MEMORY, "settings");
    return finishes;
}

bool deq_app_as_trained(deq_engine *engine, const deq_train_spec *t, const deq_override *overrides, int n,
                        deq_error *e) {
    deq_finish *finishes = finishes_of(engine, t, e);
    bool good = finishes && deq_app_override(engine, t->settings, t->nsettings, e);
    if (good) deq_engine_settle_finishes(engine, finishes);
    good = good && deq_app_override(engine, overrides, n, e) && deq_app_override(engine, t->set, t->nset, e);
    if (good) deq_engine_settle_finishes(engine, finishes);
    free(finishes);
    return good;
}

json_t *deq_app_trained_settings(deq_engine *engine, const deq_train_spec *t, deq_error *e) {
    uint32_t token = deq_engine_save_settings(engine);
    json_t *settings = deq_app_as_trained(engine, t, NULL, 0, e) ? deq_app_resolved(engine) : NULL;
    deq_engine_restore_settings(engine, token);
    return settings;
}

bool deq_app_in_training(deq_engine *engine, const deq_train_spec *t, deq_error *e) {
    return deq_app_as_trained(engine, t, t->overrides, t->noverrides, e);
}

bool deq_app_cuts_gradients(deq_engine *engine, const deq_net_spec *net) {
    json_t *settings = deq_app_resolved(engine);
    bool cut = false;
    for (int i = 0; i < net->nfixed; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s%son_fail", net->fixed[i].path, *net->fixed[i].path ? "." : "");
        const char *text = json_string_value(json_object_get(settings, path));
        cut = cut || (text && !strcmp(text, "zero_gradient"));
    }
    json_decref(settings);
    return cut;
}

deq_shortfall_words deq_app_adjoint_words(deq_engine *engine, const deq_net_spec *net, const char *attack_gradient) {
    enum { SOLVES, FALLBACKS, SORTS };
    static const char *const words[SORTS + 1][2] = {
        {"adjoint solves stopped short of their tolerance", "the gradients found were used as they were"},
        {"gradients by shine fell back: their estimate was not plausible", "the Jacobian-free gradient was used"},
        {"gradients are not to be relied on: adjoint solves stopped short, or gradients fell back",
         "what was found was used"}};
    deq_error ignored = {0};
    deq_mode own;
    bool attacked = attack_gradient && deq_mode_parse(attack_gradient, &own, &ignored);
    int found = -1;
    for (int i = 0; i < net->nfixed; i++) {
        const deq_mode *m = attacked ? &own : deq_engine_mode(engine, i);
        int sort = deq_mode_has(m, TRAIT_FALLBACK) ? FALLBACKS : SOLVES;
        found = found < 0 || found == sort ? sort : SORTS;
    }
    const char *const *of = words[found < 0 ? SOLVES : found];
    return deq_app_cuts_gradients(engine, net)
               ? (deq_shortfall_words){"their gradients were cut to zero", of[0], "on_fail cut their gradients to zero",
                                       "cut to zero by on_fail, or not finite and left out"}
               : (deq_shortfall_words){"their states were used as they were", of[0], of[1],
                                       "not finite, and were left out"};
}

void deq_app_load_model(deq_app *app, deq_engine *engine, const deq_model *model) {
    memcpy(deq_engine_parameters(engine), model->parameters,
           (size_t)deq_net_vector_bytes(model->spec->net, (int)app->module->real_bits));
    deq_engine_prepare(engine);
}

json_t *deq_app_resolved(deq_engine *engine) {
    json_t *out = json_object();
    deq_engine_settings(engine, out);
    return out;
}
