/* against.c - attacks as an engine takes them, and those that ask another net than the evaluated one: its engine made
 * ready, and given back. */
#include "app_state.h"
#include "random.h"
#include <string.h>

bool deq_app_ask(deq_app *app, const deq_attack_spec *a, deq_engine *engine, const deq_model *model, deq_asked *out,
                 deq_error *e) {
    *out = (deq_asked){.model = model, .engine = engine};
    if (!a || !a->against.model) return true;
    if (!(out->model = a->against.found))
        return deq_fail(e, DEQ_MODULE, "attack '%s': there is no model '%s'", a->name, a->against.model);
    if (!(out->engine = deq_app_engine(app, out->model->spec->net, e))) return false;
    out->token = deq_engine_save_settings(out->engine);
    out->changed = true;
    deq_engine_first_settings(out->engine); /* it may be the engine of the evaluated net, with other settings */
    return deq_app_as_trained(out->engine, out->model->spec, a->against.settings, a->against.nsettings, e);
}

void deq_app_asked(const deq_asked *asked) {
    if (asked->changed) deq_engine_restore_settings(asked->engine, asked->token);
}

bool deq_attack_knows_defence(const deq_attack_spec *a) {
    bool knows = false;
    for (int i = 0; i < a->against.nsettings; i++)
        if (!strcmp(a->against.settings[i].path, "defence")) knows = strcmp(a->against.settings[i].value, "none") != 0;
    return knows;
}

deq_attack deq_app_attack(const deq_attack_spec *spec, double *scalars) {
    for (int i = 0; i < spec->nscalars; i++) scalars[i] = spec->scalars[i].value;
    return (deq_attack){.routine = spec->routine,
                        .scalars = scalars,
                        .gradient = spec->gradient,
                        .surrogate = spec->surrogate,
                        .defended = deq_attack_knows_defence(spec)};
}

deq_attack deq_app_attack_in_training(const deq_attack_spec *spec, double *scalars) {
    deq_attack attack = deq_app_attack(spec, scalars);
    attack.in_batch = spec->in_batch != NULL;
    if (attack.in_batch) attack.routine = spec->in_batch;
    return attack;
}

uint64_t deq_app_attack_seed(const deq_attack_spec *spec, uint64_t seed) {
    return spec && spec->restart ? deq_key_mix(seed, (uint64_t)spec->restart) : seed;
}

const char *deq_value_defence(const deq_value_spec *v) {
    const char *text = NULL;
    for (int i = 0; i < v->noverrides; i++)
        if (!strcmp(v->overrides[i].path, "defence")) text = v->overrides[i].value;
    return text && strcmp(text, "none") ? text : NULL;
}

json_t *deq_app_asked_settings(deq_app *app, const deq_attack_spec *a) {
    deq_asked asked;
    deq_error ignored = {0};
    json_t *settings =
        deq_app_ask(app, a, NULL, NULL, &asked, &ignored) ? deq_app_resolved(asked.engine) : json_object();
    deq_app_asked(&asked);
    if (!deq_attack_knows_defence(a)) json_object_del(settings, "defence");
    return settings;
}

bool deq_attack_transfers(const deq_attack_spec *a, const deq_model *model) {
    for (; a; a = a->next)
        if (a->against.model && a->against.found != model) return true;
    return false;
}
