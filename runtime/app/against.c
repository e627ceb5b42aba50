/* against.c - attacks that ask another net than the evaluated one: its engine made ready, and given back. */
#include "app_state.h"
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
