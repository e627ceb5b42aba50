/* attack_name.c - attacks as logs, tables and pictures name them: with the gradient that they go through. */
#define _GNU_SOURCE
#include "app_state.h"
#include <stdlib.h>
#include <string.h>

/* Without the arguments that nearly every mode and solver has, and that say nothing new. */
static void put_mode(FILE *out, const char *text) {
    static const char *const usual[] = {", stop: relative", ", return: best", ", growth: 1e+12",
                                        ", undamped_first: false"};
    while (*text) {
        size_t skip = 0;
        for (size_t k = 0; k < sizeof usual / sizeof *usual && !skip; k++)
            if (!strncmp(text, usual[k], strlen(usual[k]))) skip = strlen(usual[k]);
        if (!skip) fputc(*text, out);
        text += skip ? skip : 1;
    }
}

/* The mode's text in the order and with the arguments of the runtime; a gradient written by hand has its name. */
static void put_own(FILE *out, const char *text) {
    char printed[512];
    deq_mode mode;
    deq_error unknown = {0};
    if (deq_mode_parse(text, &mode, &unknown)) {
        deq_mode_print(&mode, printed, sizeof printed);
        text = printed;
    }
    put_mode(out, text);
}

/* Each mode of the net's fixed points once. */
static void put_modes(FILE *out, deq_engine *engine, const deq_net_spec *net) {
    json_t *settings = deq_app_resolved(engine), *seen = json_object();
    for (int i = 0; i < net->nfixed; i++) {
        char path[300];
        snprintf(path, sizeof path, "%s%sgradient", net->fixed[i].path, *net->fixed[i].path ? "." : "");
        const char *text = json_string_value(json_object_get(settings, path));
        if (!text || json_object_get(seen, text)) continue;
        if (json_object_size(seen)) fputs(" and ", out);
        put_mode(out, text);
        json_object_set_new(seen, text, json_true());
    }
    json_decref(settings);
    json_decref(seen);
}

static void put_attack(FILE *out, deq_engine *engine, const deq_net_spec *net, const deq_attack_spec *a) {
    fputs(a->name, out);
    if (!net->nfixed || !a->differentiates) return;
    fputs(" through ", out);
    if (a->gradient)
        put_own(out, a->gradient);
    else
        put_modes(out, engine, net);
}

char *deq_app_attack_name(deq_engine *engine, const deq_net_spec *net, const deq_attack_spec *a) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = a ? open_memstream(&text, &size) : NULL;
    if (!out) return NULL;
    if (a->joined) fprintf(out, "%s: ", a->joined);
    for (const deq_attack_spec *part = a; part; part = part->next) {
        if (part->restart) continue; /* the same again, with other draws */
        if (part != a) fputs(", ", out);
        put_attack(out, engine, net, part);
    }
    fclose(out);
    return text;
}

char *deq_app_attack_differs(const deq_model *model, deq_engine *engine, const deq_attack_spec *a) {
    const deq_attack_spec *trained = model->spec->attack;
    char *differs = NULL;
    for (; trained && model->attack && a && !differs; a = a->next) {
        if (strcmp(a->name, trained->name) || strcmp(a->routine, trained->routine)) continue;
        deq_attack_spec alone = *a;
        alone.next = NULL;
        alone.joined = NULL;
        alone.restart = 0;
        char *name = deq_app_attack_name(engine, model->spec->net, &alone);
        if (name && strcmp(name, model->attack)) differs = strdup(model->attack);
        free(name);
    }
    return differs;
}
