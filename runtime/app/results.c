/* results.c - see results.h. */
#define _GNU_SOURCE
#include "results.h"
#include "output.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NUMBERED_MOST 1000

/* Who makes results: {"script": "/path", "settings": ["net.epochs=1", "seed=3", "precision=f64"]}. */
static json_t *origin_of(const deq_app *app) {
    const char *source = app->manifest->source ? app->manifest->source : app->manifest->name;
    char *full = realpath(source, NULL), number[40];
    json_t *settings = json_array(),
           *origin = json_pack("{s:s, s:o}", "script", full ? full : source, "settings", settings);
    for (int i = 0; i < app->options->nset; i++) json_array_append_new(settings, json_string(app->options->set[i]));
    snprintf(number, sizeof number, "seed=%llu", (unsigned long long)app->options->seed);
    if (app->options->has_seed) json_array_append_new(settings, json_string(number));
    if (app->module->real_bits == 64) json_array_append_new(settings, json_string("precision=f64"));
    free(full);
    return origin;
}

static const char *script_of(const json_t *origin) {
    const char *script = json_string_value(json_object_get(origin, "script"));
    return script ? script : "another script";
}

/* The settings of a folder that was written before there were origins stand in settings.json. */
static json_t *older_origin(const char *folder, const json_t *mine) {
    char *path = deq_path_join(folder, "settings.json", NULL);
    json_t *record = path ? json_load_file(path, 0, NULL) : NULL, *settings = json_array(), *origin = NULL;
    const json_t *seed = json_object_get(record, "seed");
    char number[40];
    json_array_extend(settings, json_object_get(record, "set"));
    snprintf(number, sizeof number, "seed=%lld", (long long)json_integer_value(seed));
    if (seed) json_array_append_new(settings, json_string(number));
    if (record) origin = json_pack("{s:s, s:O}", "script", script_of(mine), "settings", settings);
    json_decref(settings);
    json_decref(record);
    free(path);
    return origin;
}

/* NULL: nobody's results are there. */
static json_t *origin_in(const char *folder, const json_t *mine) {
    char *path = deq_path_join(folder, "origin.json", NULL);
    json_t *origin = NULL;
    if (path && !access(path, F_OK)) {
        origin = json_load_file(path, 0, NULL);
        if (!origin) origin = json_object(); /* damaged: somebody's */
    } else {
        origin = older_origin(folder, mine);
    }
    free(path);
    return origin;
}

/* Same settings, and the same script or one that has moved here since. */
static bool is_mine(const json_t *there, const json_t *mine) {
    const char *script = script_of(there);
    if (!json_equal(json_object_get(there, "settings"), json_object_get(mine, "settings"))) return false;
    return !strcmp(script, script_of(mine)) || (*script == '/' && access(script, F_OK));
}

/* "net.epochs=1 seed=3"; "as written" when nothing was set. */
static char *settings_text(const json_t *origin) {
    char *text = NULL;
    size_t size = 0, i;
    const json_t *setting;
    FILE *f = open_memstream(&text, &size);
    if (!f) return NULL;
    json_array_foreach(json_object_get(origin, "settings"), i, setting)
        fprintf(f, "%s%s", i ? " " : "", json_string_value(setting) ? json_string_value(setting) : "?");
    if (!i) fputs("as written", f);
    fclose(f);
    return text;
}

/* "NAME-net.epochs-1" beside results of the same script; "NAME-FOLDER" and, with settings, both beside another's. */
static char *sibling_name(const deq_app *app, const json_t *there, const json_t *mine) {
    char *settings = settings_text(mine), *text = NULL, *script = strdup(script_of(mine)), *folder = NULL;
    bool same = !strcmp(script_of(there), script_of(mine));
    char *slash = script ? strrchr(script, '/') : NULL;
    if (slash) *slash = 0;
    folder = slash && *script ? strrchr(script, '/') : NULL;
    bool set = same || json_array_size(json_object_get(mine, "settings"));
    int length = asprintf(&text, "%s%s%s%s%s", app->manifest->name, same ? "" : "-",
                          same     ? ""
                          : folder ? folder + 1
                                   : "other",
                          set ? "-" : "", set && settings ? settings : "");
    char *name = length < 0 ? NULL : deq_path_component(text);
    if (length >= 0) free(text);
    free(settings);
    free(script);
    return name;
}

static bool is_free(const char *folder, const json_t *mine) {
    json_t *there = origin_in(folder, mine);
    bool yes = !there || is_mine(there, mine);
    json_decref(there);
    return yes;
}

/* The first of NAME, NAME-2, .. that is free or this origin's. */
static char *numbered(const char *root, const char *name, const json_t *mine) {
    for (int k = 1; k <= NUMBERED_MOST; k++) {
        char *path = NULL;
        int length = k == 1 ? asprintf(&path, "%s/%s", root, name) : asprintf(&path, "%s/%s-%d", root, name, k);
        if (length < 0) return NULL;
        if (is_free(path, mine)) return path;
        free(path);
    }
    return NULL;
}

static bool write_origin(const char *folder, const json_t *mine, deq_error *e) {
    char *path = deq_path_join(folder, "origin.json", NULL), *text = json_dumps(mine, JSON_INDENT(1));
    bool ok = path && text ? deq_output_write(path, text, strlen(text), e) : deq_fail(e, DEQ_MEMORY, "out of memory");
    free(path);
    free(text);
    return ok;
}

bool deq_results_claim(deq_app *app, deq_error *e) {
    const char *root = app->options->results ? app->options->results : "results";
    json_t *mine = origin_of(app), *there = origin_in(app->results, mine);
    bool ok = true;
    if (there && !is_mine(there, mine)) {
        char *name = sibling_name(app, there, mine), *path = name ? numbered(root, name, mine) : NULL;
        char *theirs = settings_text(there);
        ok = path ? true : deq_fail(e, DEQ_OUTPUT, "'%s' holds other results; give --results FOLDER", app->results);
        if (ok)
            deq_report(&app->reporter, "%s/ holds the results of %s, %s; those of this run go to %s/", app->results,
                       script_of(there), theirs ? theirs : "", path);
        if (ok) {
            free(app->results);
            app->results = path;
        }
        free(theirs);
        free(name);
    }
    ok = ok && write_origin(app->results, mine, e);
    json_decref(there);
    json_decref(mine);
    return ok;
}
