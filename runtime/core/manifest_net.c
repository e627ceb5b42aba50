/* manifest_net.c - a net of the manifest: its parameters, fixed points, gradients by hand, losses and metrics. */
#include "manifest_reader.h"
#include <math.h>
#include <string.h>

static void read_field(manifest_reader *r, const json_t *o, deq_extern_field *f) {
    const json_t *size = json_object_get(o, "size"), *number = json_object_get(o, "number");
    f->name = manifest_text(r, o, "name");
    if (size)
        f->value.size = manifest_integer(r, o, "size");
    else if (number)
        f->value.number = json_number_value(number);
    if (size || number) return;
    const char *in = manifest_text(r, o, "in");
    f->place = !strcmp(in, "shared") ? DEQ_AT_SHARED : !strcmp(in, "rest") ? DEQ_AT_REST : DEQ_AT_STATE;
    f->offset = manifest_integer(r, o, "offset");
    f->elements = manifest_integer(r, o, "elements");
    f->accum = manifest_integer(r, o, "accum");
    f->cotangent = manifest_flag(o, "cotangent");
    f->parameter = manifest_flag(o, "parameter");
    if (f->elements < 1) manifest_missing(r, "elements", "positive");
}

static void read_hand(manifest_reader *r, const json_t *o, deq_hand_spec *h) {
    h->name = manifest_text(r, o, "name");
    h->approximate = manifest_flag(o, "approximate");
    h->symbol = manifest_text_or_null(o, "symbol");
    if (!h->symbol) {
        h->input = manifest_text(r, o, "input");
        h->parameters = manifest_text(r, o, "parameters");
        const json_t *v = manifest_list(r, o, "solves", &h->nsolves);
        h->solves = manifest_make(r, (size_t)h->nsolves, sizeof *h->solves);
        for (int i = 0; h->solves && i < h->nsolves; i++) {
            const json_t *s = json_array_get(v, (size_t)i);
            h->solves[i] = (deq_solve_spec){manifest_text(r, s, "name"), manifest_text(r, s, "solver")};
        }
        return;
    }
    h->signature = manifest_text(r, o, "signature");
    h->where = manifest_text(r, o, "place");
    const json_t *v = manifest_list(r, o, "fields", &h->nfields);
    h->fields = manifest_make(r, (size_t)h->nfields, sizeof *h->fields);
    for (int i = 0; h->fields && i < h->nfields; i++) read_field(r, json_array_get(v, (size_t)i), &h->fields[i]);
}

static void read_fixed(manifest_reader *r, const json_t *o, deq_fixed_spec *f) {
    *f = (deq_fixed_spec){.name = manifest_text(r, o, "name"),
                          .path = manifest_text(r, o, "path"),
                          .forward = manifest_text(r, o, "forward"),
                          .gradient = manifest_text(r, o, "gradient"),
                          .finish = manifest_text_or_null(o, "finish"),
                          .on_fail = manifest_text_or_null(o, "on_fail"),
                          .start = manifest_text_or_null(o, "start"),
                          .penalty = manifest_text_or_null(o, "penalty"),
                          .flops = json_number_value(json_object_get(o, "flops")),
                          .proved = NAN};
    const json_t *states = json_object_get(o, "state");
    if (json_array_size(states) == 1) f->state = manifest_text_or_null(json_array_get(states, 0), "name");
    const json_t *c = json_object_get(o, "certificate"), *proved = json_object_get(c, "proved");
    f->certificate = json_string_value(json_object_get(c, "kind"));
    f->claimed = json_number_value(json_object_get(c, "claimed"));
    if (json_is_number(proved)) f->proved = json_number_value(proved);
    const json_t *v = manifest_optional_list(o, "gradients", &f->nhands);
    f->hands = manifest_make(r, (size_t)f->nhands, sizeof *f->hands);
    for (int i = 0; f->hands && i < f->nhands; i++) read_hand(r, json_array_get(v, (size_t)i), &f->hands[i]);
}

static void read_parameter(manifest_reader *r, const json_t *o, const deq_net_spec *n, deq_parameter *p) {
    const json_t *trained = json_object_get(o, "trained");
    *p = (deq_parameter){manifest_text(r, o, "path"), manifest_text(r, o, "init"),
                         manifest_shape(r, json_object_get(o, "shape"), "shape"), manifest_integer(r, o, "offset"),
                         !trained || json_is_true(trained)};
    int64_t real = strcmp(r->m->real, "f64") ? 4 : 8;
    if (p->offset < 0 || p->offset % real || p->shape.elements * real > n->shared_bytes - p->offset)
        deq_fail(r->e, DEQ_MODULE, "manifest: parameter '%s' of '%s' does not fit in shared_bytes", p->path, n->name);
}

static void read_loss_settings(manifest_reader *r, const json_t *o, deq_loss_spec *l) {
    const json_t *list = manifest_optional_list(o, "settings", &l->nsettings);
    l->settings = manifest_make(r, (size_t)l->nsettings, sizeof *l->settings);
    for (int k = 0; l->settings && k < l->nsettings; k++)
        l->settings[k] = json_number_value(json_array_get(list, (size_t)k));
}

static void read_losses(manifest_reader *r, const json_t *o, deq_net_spec *n) {
    const json_t *v = manifest_optional_list(o, "losses", &n->nlosses);
    n->losses = manifest_make(r, (size_t)n->nlosses, sizeof *n->losses);
    for (int i = 0; n->losses && i < n->nlosses; i++) {
        const json_t *l = json_array_get(v, (size_t)i);
        const bool pair = manifest_text_or_null(l, "attacked") != NULL;
        n->losses[i] = (deq_loss_spec){.name = manifest_text(r, l, "name"),
                                       .clean = pair ? manifest_text(r, l, "clean") : NULL,
                                       .attacked = pair ? manifest_text(r, l, "attacked") : NULL,
                                       .loss = pair ? NULL : manifest_text(r, l, "loss"),
                                       .input = pair ? NULL : manifest_text(r, l, "input"),
                                       .replay = manifest_text_or_null(l, "replay"),
                                       .parameters = pair ? NULL : manifest_text(r, l, "parameters")};
        const char *routines = manifest_text_or_null(l, "routines");
        n->losses[i].routines = routines ? routines : n->losses[i].name;
        read_loss_settings(r, l, &n->losses[i]);
    }
    v = manifest_optional_list(o, "metrics", &n->nmetrics);
    n->metrics = manifest_make(r, (size_t)n->nmetrics, sizeof *n->metrics);
    for (int i = 0; n->metrics && i < n->nmetrics; i++) {
        const json_t *l = json_array_get(v, (size_t)i);
        n->metrics[i] = (deq_metric_spec){manifest_text(r, l, "name"), manifest_text(r, l, "routine"),
                                          manifest_flag(l, "share"), manifest_text_or_null(l, "hash")};
    }
}

static int64_t bytes(manifest_reader *r, const json_t *o, const char *key) {
    int64_t n = manifest_integer(r, o, key);
    if (n < 0 || n % (strcmp(r->m->real, "f64") ? 4 : 8)) manifest_missing(r, key, "whole number of reals");
    return n;
}

void manifest_net(manifest_reader *r, const json_t *o, deq_net_spec *n) {
    r->where = "net";
    n->name = manifest_text(r, o, "name");
    n->hash = manifest_text(r, o, "hash");
    n->predict = manifest_text(r, o, "predict");
    n->prepare = manifest_text_or_null(o, "prepare");
    n->finish = manifest_text_or_null(o, "finish");
    n->statistics = manifest_text_or_null(o, "statistics");
    n->objective = manifest_text_or_null(o, "objective");
    n->training = manifest_flag(o, "training");
    n->input = manifest_shape(r, json_object_get(o, "input"), "input");
    n->output = manifest_shape(r, json_object_get(o, "output"), "output");
    n->target = manifest_target(r, o);
    n->parameter_bytes = bytes(r, o, "parameter_bytes");
    n->shared_bytes = bytes(r, o, "shared_bytes");
    n->accum_bytes = bytes(r, o, "accum_bytes");
    if (n->parameter_bytes > n->shared_bytes || n->parameter_bytes > n->accum_bytes)
        manifest_missing(r, "parameter_bytes", "small enough");
    const json_t *v = manifest_list(r, o, "parameters", &n->nparameters);
    n->parameters = manifest_make(r, (size_t)n->nparameters, sizeof *n->parameters);
    for (int i = 0; n->parameters && i < n->nparameters; i++)
        read_parameter(r, json_array_get(v, (size_t)i), n, &n->parameters[i]);
    v = manifest_optional_list(o, "fixed", &n->nfixed);
    n->fixed = manifest_make(r, (size_t)n->nfixed, sizeof *n->fixed);
    for (int i = 0; n->fixed && i < n->nfixed; i++) read_fixed(r, json_array_get(v, (size_t)i), &n->fixed[i]);
    read_losses(r, o, n);
}
