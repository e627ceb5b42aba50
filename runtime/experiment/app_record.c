/* app_record.c - what a run was made with: settings.json and a copy of the script, beside its results. */
#define _GNU_SOURCE
#include "arrays.h"
#include "run.h"
#include "output.h"
#include "seal.h"
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

void deq_cpu_name(char *out, size_t size) {
    snprintf(out, size, "unknown");
    FILE *f = fopen("/proc/cpuinfo", "r");
    char line[512];
    while (f && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) || !colon) continue;
        line[strcspn(line, "\n")] = 0;
        snprintf(out, size, "%s", colon + 2);
        break;
    }
    if (f) fclose(f);
}

static json_t *slice(const deq_slice *s) {
    json_t *o = json_pack("{s:s, s:s, s:I}", "data", s->data->name, "split", s->test ? "test" : "train", "from",
                          (json_int_t)s->from);
    json_object_set_new(o, "to", s->to < 0 ? json_null() : json_integer(s->to));
    if (s->ntransforms) json_object_set(o, "transforms", (json_t *)(uintptr_t)s->transforms_json);
    return o;
}

static json_t *attack(const deq_attack_spec *a, const char *name) {
    if (!a) return json_null();
    json_t *o = json_pack("{s:s, s:s, s:o}", "name", a->name, "definition", a->definition, "settings",
                          deq_scalars_json(a->scalars, a->nscalars));
    json_object_set_new(o, "gradient", a->gradient ? json_string(a->gradient) : json_null());
    if (name) json_object_set_new(o, "in_force", json_string(name));
    return o;
}

/* A training run with its solver settings as they are in force while it trains. */
static json_t *train(deq_app *app, const deq_train_spec *t, deq_error *e) {
    deq_engine *engine = deq_app_engine(app, t->net, e);
    if (!engine) return NULL;
    uint32_t token = deq_engine_save_settings(engine);
    bool ok = deq_app_in_training(engine, t, e);
    json_t *settings = ok ? deq_app_resolved(engine) : NULL;
    char *name = ok ? deq_app_attack_name(app, engine, t->net, t->attack) : NULL;
    deq_engine_restore_settings(engine, token);
    if (!ok) return NULL;
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:o, s:s, s:I, s:I, s:I, s:o, s:o, s:o}", "name", t->name, "net", t->net->name,
                  "net_hash", t->net->hash, "data", slice(&t->data), "loss", t->loss, "batch", (json_int_t)t->batch,
                  "epochs", (json_int_t)t->epochs, "seed", (json_int_t)t->seed, "optimiser",
                  json_pack("{s:s, s:o}", "name", t->optimiser.name, "settings",
                            deq_scalars_json(t->optimiser.scalars, t->optimiser.nscalars)),
                  "attack", attack(t->attack, name), "settings", settings);
    free(name);
    json_object_set_new(o, "examples", t->examples < 0 ? json_null() : json_integer(t->examples));
    if (t->start.file)
        json_object_set_new(o, "start", json_pack("{s:s, s:s*}", "file", t->start.file, "map", t->start.map));
    if (t->start.train) json_object_set_new(o, "start", json_pack("{s:s}", "train", t->start.train));
    if (t->attack && t->attack->in_batch) json_object_set_new(o, "batch_statistics", json_string("train"));
    if (t->keep) json_object_set_new(o, "keep", json_string(deq_keep_word(t->keep)));
    deq_app_put_steps(t, o);
    if (t->spectrum) json_object_set_new(o, "spectrum", json_integer(t->spectrum));
    if (t->validate) json_object_set_new(o, "validate", slice(t->validate));
    return o;
}

/* The values of the sweeps that the array's specification is of. */
static json_t *place_json(const deq_experiment_spec *x, const deq_array_spec *a, int spec) {
    json_t *out = json_object();
    int *at = calloc((size_t)x->naxes + 1, sizeof *at);
    if (at) deq_axes_place(x, a->cells, a->ncells, spec, at);
    for (int k = 0; at && k < a->ncells; k++)
        json_object_set_new(out, x->axes[a->cells[k]].name, json_string(x->axes[a->cells[k]].values[at[a->cells[k]]]));
    free(at);
    return out;
}

static json_t *describe(deq_app *app, deq_error *e) {
    const deq_manifest *m = app->manifest;
    char cpu[256], date[64];
    struct utsname system;
    time_t now = time(NULL);
    struct tm utc;
    deq_cpu_name(cpu, sizeof cpu);
    if (uname(&system)) memset(&system, 0, sizeof system);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i}", "script", m->source ? m->source : m->name, "hash",
                          m->hash, "date", date, "compiler", m->compiler ? m->compiler : "unknown", "target",
                          m->target ? m->target : "unknown", "real", m->real, "cpu", cpu, "cores",
                          (int)sysconf(_SC_NPROCESSORS_ONLN));
    json_object_set_new(o, "threads",
                        app->options->threads ? json_integer(app->options->threads) : json_string("all cores"));
    json_object_set_new(
        o, "system",
        json_pack("{s:s, s:s, s:s}", "name", system.sysname, "release", system.release, "machine", system.machine));
    json_object_set_new(o, "versions",
                        json_pack("{s:i, s:s, s:s, s:s}", "abi", DEQ_ABI_VERSION, "zlib", zlibVersion(), "jansson",
                                  jansson_version_str(), "c compiler of the runtime", __VERSION__));
    if (app->options->has_seed) json_object_set_new(o, "seed", json_integer((json_int_t)app->options->seed));
    json_t *set = json_array(), *trains = json_array();
    for (int i = 0; i < app->options->nset; i++) json_array_append_new(set, json_string(app->options->set[i]));
    json_object_set_new(o, "set", set);
    json_object_set_new(o, "trains", trains);
    for (int i = 0; i < m->ntrains; i++) {
        json_t *t = train(app, &m->trains[i], e);
        if (!t) goto failed;
        json_array_append_new(trains, t);
    }
    for (int x = 0; x < m->nexperiments; x++)
        for (int i = 0; i < m->experiments[x].narrays; i++) {
            const deq_array_spec *a = &m->experiments[x].arrays[i];
            for (int c = 0; a->trains && c < a->nspecs; c++) {
                if (!a->trains[c].name) continue;
                json_t *t = train(app, &a->trains[c], e);
                if (!t) goto failed;
                json_object_set_new(t, "cell", place_json(&m->experiments[x], a, c));
                json_array_append_new(trains, t);
            }
        }
    return o;
failed:
    json_decref(o);
    return NULL;
}

bool deq_app_record(deq_app *app, deq_error *e) {
    json_t *o = describe(app, e);
    char *path = deq_app_file(app, "settings.json", ""), *text = o && path ? deq_seal_json(o, path) : NULL;
    bool ok = text && path && deq_output_write(path, text, strlen(text), e);
    free(path);
    free(text);
    json_decref(o);
    if (ok && app->options->source_text) {
        char *stem = deq_path_component(app->manifest->name);
        path = stem ? deq_app_file(app, stem, ".deq") : NULL;
        ok = path && deq_output_write(path, app->options->source_text, strlen(app->options->source_text), e);
        free(path);
        free(stem);
    }
    return ok;
}
