/* attack_name.c - attacks as logs, tables and pictures name them: with the gradient that they go through. */
#define _GNU_SOURCE
#include "app_state.h"
#include <stdlib.h>
#include <string.h>

/* A gradient written by hand, which is no mode of every net, has its own text. */
static void put_own(FILE *out, const char *text) {
    char printed[DEQ_SETTING_TEXT];
    deq_mode mode;
    deq_error unknown = {0};
    const bool known = deq_mode_parse(text, &mode, &unknown);
    if (known) deq_mode_print_brief(&mode, printed, sizeof printed);
    fputs(known ? printed : text, out);
}

/* Each mode of the net's fixed points once. */
static void put_modes(FILE *out, const deq_engine *engine, const deq_net_spec *net) {
    json_t *seen = json_object();
    for (int i = 0; i < net->nfixed; i++) {
        char text[DEQ_SETTING_TEXT];
        deq_mode_print_brief(deq_engine_mode(engine, i), text, sizeof text);
        if (json_object_get(seen, text)) continue;
        fprintf(out, "%s%s", json_object_size(seen) ? " and " : "", text);
        json_object_set_new(seen, text, json_true());
    }
    json_decref(seen);
}

static void put_gradient(FILE *out, deq_engine *engine, const deq_net_spec *net, const deq_attack_spec *a) {
    if (!net->nfixed || (!a->differentiates && !a->surrogate)) return;
    fputs(" through ", out);
    if (a->gradient)
        put_own(out, a->gradient);
    else
        put_modes(out, engine, net);
    if (a->surrogate) fputs(", judged there", out);
}

/* " against m, read off states[3]" */
static void put_against(FILE *out, const deq_attack_spec *a) {
    const deq_model *of = a->against.found;
    fprintf(out, " against %s", of ? of->label : a->against.model);
    for (int i = 0; i < a->against.nsettings; i++) {
        const deq_override *o = &a->against.settings[i];
        fprintf(out, "%s %s: %s", i ? "," : " with", o->path, o->value);
    }
}

static void put_attack(FILE *out, deq_app *app, deq_engine *engine, const deq_net_spec *net, const deq_attack_spec *a) {
    deq_asked asked;
    deq_error ignored = {0};
    fputs(a->name, out);
    if (!a->against.model) {
        put_gradient(out, engine, net, a);
        return;
    }
    put_against(out, a);
    if (deq_app_ask(app, a, NULL, NULL, &asked, &ignored)) put_gradient(out, asked.engine, asked.model->spec->net, a);
    deq_app_asked(&asked);
}

char *deq_app_attack_name(deq_app *app, deq_engine *engine, const deq_net_spec *net, const deq_attack_spec *a) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = a ? open_memstream(&text, &size) : NULL;
    if (!out) return NULL;
    if (a->joined) fprintf(out, "%s: ", a->joined);
    for (const deq_attack_spec *part = a; part; part = part->next) {
        if (part->restart) continue; /* the same again, with other draws */
        if (part != a) fputs(", ", out);
        put_attack(out, app, engine, net, part);
    }
    fclose(out);
    return text;
}

char *deq_app_attack_differs(deq_app *app, const deq_model *model, deq_engine *engine, const deq_attack_spec *a) {
    const deq_attack_spec *trained = model->spec->attack;
    char *differs = NULL;
    for (; trained && model->attack && a && !differs; a = a->next) {
        if (a->against.model || strcmp(a->name, trained->name) || strcmp(a->routine, trained->routine)) continue;
        deq_attack_spec alone = *a;
        alone.next = NULL;
        alone.joined = NULL;
        alone.restart = 0;
        char *name = deq_app_attack_name(app, engine, model->spec->net, &alone);
        if (name && strcmp(name, model->attack)) differs = strdup(model->attack);
        free(name);
    }
    return differs;
}
