/* import.c - deq import: weights of others, told array by array, and written as a checkpoint of a net. */
#define _GNU_SOURCE
#include "app.h"
#include "checkpoint.h"
#include "init.h"
#include "output.h"
#include "progress.h"
#include "json_text.h"
#include "weights.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool is_checkpoint_name(const char *path, deq_error *e) {
    const char *dot = strrchr(path, '.');
    return (dot && !strcmp(dot, ".safetensors")) ||
           deq_fail(e, DEQ_OUTPUT, "'%s': the name of a checkpoint ends in .safetensors", path);
}

/* Only an import takes the place of a checkpoint: an export onto one would lose whose parameters they are. */
static bool replaceable(const char *path, deq_error *e) {
    struct stat st;
    deq_error none = {0};
    return (!stat(path, &st) && S_ISREG(st.st_mode) && deq_checkpoint_intact(path, &none)) ||
           deq_output_replaceable(path, NULL, 0, e);
}

static bool initialise(const deq_net_spec *net, int real_bits, char *vector, deq_error *e) {
    bool ok = true;
    for (int i = 0; ok && i < net->nparameters; i++) {
        const deq_parameter *p = &net->parameters[i];
        ok = deq_initialise(p->init, p->shape.dim, p->shape.rank, 0, p->path, real_bits, vector + p->offset, e);
    }
    return ok;
}

static const char *text_of(const json_t *fit, const char *key) { return json_string_value(json_object_get(fit, key)); }

static void print_fit(deq_reporter *r, const json_t *fit) {
    const char *from = text_of(fit, "from"), *problem = text_of(fit, "problem");
    const json_t *axes = json_object_get(fit, "axes");
    char *order = axes ? json_dumps(axes, 0) : NULL;
    if (problem)
        deq_report(r, "  %s", problem);
    else if (from)
        deq_report(r, "  %s %s = %s %s%s%s", text_of(fit, "parameter"), text_of(fit, "shape"), from,
                   text_of(fit, "file_shape"), order ? ", its axes " : "", order ? order : "");
    else
        deq_report(r, "  %s %s: not in the file, its initial value", text_of(fit, "parameter"), text_of(fit, "shape"));
    free(order);
}

/* `to`: the checkpoint that was written; NULL: none. */
static void tell(deq_reporter *r, const deq_net_spec *net, const json_t *fits, bool fit_all, const char *to) {
    size_t i, kept = 0, wrong = 0;
    json_t *fit;
    json_array_foreach(fits, i, fit) {
        wrong += text_of(fit, "problem") != NULL;
        kept += !text_of(fit, "problem") && !text_of(fit, "from");
        if (r->json)
            deq_report_event(r, text_of(fit, "problem") ? "problem" : "parameter", json_incref(fit));
        else
            print_fit(r, fit);
    }
    const size_t n = json_array_size(fits) - kept - wrong;
    if (r->json)
        deq_report_event(r, "import",
                         json_pack("{s:s, s:b, s:i, s:I, s:I, s:o}", "net", net->name, "fits", fit_all, "parameters",
                                   net->nparameters, "found", (json_int_t)n, "initial", (json_int_t)kept, "checkpoint",
                                   deq_json_string(to)));
    deq_report(r, "%s: %zu of %d arrays fit", net->name, n, net->nparameters);
    if (wrong) deq_report(r, "%zu do not; nothing is written", wrong);
    if (fit_all && kept) deq_report(r, "%zu are not in the file and have their initial values (seed 0)", kept);
    if (to) deq_report(r, "%s: a checkpoint of %s", to, net->name);
}

int deq_app_import(const deq_module *module, const char *name, const deq_import *what) {
    deq_reporter r;
    deq_error e = {0};
    deq_reporter_open(&r, what->json, what->quiet);
    deq_manifest *manifest = deq_manifest_read(module, &e);
    const deq_net_spec *net = manifest ? deq_manifest_net(manifest, name) : NULL;
    const int bits = (int)module->real_bits;
    if (manifest && !net) deq_fail(&e, DEQ_NET, "the script has no net '%s'", name);
    char *vector = net ? calloc(1, (size_t)deq_net_vector_bytes(net, bits) + 1) : NULL;
    json_t *fits = json_array();
    bool ok = net && ((vector && fits) || deq_fail(&e, DEQ_MEMORY, "out of memory importing '%s'", what->from)) &&
              (!what->to || is_checkpoint_name(what->to, &e)) && initialise(net, bits, vector, &e);
    if (ok) {
        const bool fit_all = ok = deq_weights_fit(what->from, what->map, net, bits, vector, fits, &e);
        const deq_checkpoint c = {.parameters = vector};
        if (ok && what->to) ok = replaceable(what->to, &e) && deq_checkpoint_write(what->to, net, bits, &c, &e);
        tell(&r, net, fits, fit_all, ok ? what->to : NULL);
    }
    if (!ok) deq_report_error(&r, &e);
    json_decref(fits);
    free(vector);
    deq_manifest_free(manifest);
    return ok ? 0 : deq_failure_exit(e.failure);
}
