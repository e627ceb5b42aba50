#include "app_state.h"
#include "output.h"
#include "preload.h"
#include "ranks.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void say_refused(void *context, const char *text) {
    deq_app *app = context;
    deq_report_warning(&app->reporter, "W0822", "entry of the cache refused: %s", text);
}

bool deq_app_open(deq_app *app, const deq_module *module, const deq_app_options *options, deq_error *e) {
    *app = (deq_app){.module = module, .options = options, .dealt = !options->plan};
    deq_reporter_open(&app->reporter, options->json, options->quiet);
    app->manifest = deq_manifest_read(module, e);
    if (!app->manifest) return false;
    char *name = deq_path_component(app->manifest->name);
    app->results = name ? deq_path_join(options->results ? options->results : "results", name, NULL) : NULL;
    free(name);
    app->data = calloc((size_t)app->manifest->ndata + 1, sizeof *app->data);
    app->engines = calloc((size_t)app->manifest->nnets + 1, sizeof *app->engines);
    if (!app->results || !app->data || !app->engines) return deq_fail(e, DEQ_MEMORY, "out of memory");
    deq_store_open(&app->store, options->cache, options->fresh);
    app->store.refused = say_refused;
    app->store.context = app;
    return true;
}

void deq_model_free(deq_model *model) {
    if (!model) return;
    free(model->label);
    free(model->attack);
    free(model->stem);
    free(model->parameters);
    json_decref(model->log);
    free(model);
}

void deq_app_begin(deq_app *app, const deq_key key, const char *path) {
    if (!app->begun) app->begun = json_object();
    if (app->store.fresh && !json_object_get(app->begun, key)) unlink(path);
    json_object_set_new(app->begun, key, json_true());
}

void deq_app_close(deq_app *app) {
    for (int i = 0; i < app->nmodels; i++) deq_model_free(app->models[i]);
    free(app->models);
    for (int i = 0; app->engines && i < app->manifest->nnets; i++)
        if (app->engines[i]) deq_engine_free(app->engines[i]);
    for (int i = 0; app->data && i < app->manifest->ndata; i++) deq_dataset_free(app->data[i]);
    free(app->engines);
    free(app->data);
    free(app->results);
    deq_store_close(&app->store);
    deq_manifest_free(app->manifest);
    deq_report_clear(&app->reporter);
    deq_shortfalls_end(&app->shortfalls, &app->reporter);
    json_decref(app->begun);
    json_decref(app->written);
    *app = (deq_app){0};
}

deq_dataset *deq_app_data(deq_app *app, const deq_data_spec *spec, deq_error *e) {
    deq_dataset **slot = &app->data[spec - app->manifest->data];
    if (!*slot) *slot = deq_preload_take(app->options->preload, spec, &app->store);
    if (!*slot) *slot = deq_dataset_new(spec, &app->store, e);
    return *slot;
}

deq_engine *deq_app_engine(deq_app *app, const deq_net_spec *net, deq_error *e) {
    deq_engine **slot = &app->engines[net - app->manifest->nets];
    if (!*slot)
        *slot = deq_engine_new(app->module, net,
                               &(deq_engine_options){.threads = app->options->threads, .dealt = app->dealt}, e);
    return *slot;
}

deq_model *deq_app_kept(const deq_app *app, const deq_train_spec *spec) {
    for (int i = 0; i < app->nmodels; i++)
        if (app->models[i]->spec == spec) return app->models[i];
    return NULL;
}

bool deq_app_keep(deq_app *app, deq_model *model, deq_error *e) {
    if (app->nmodels == app->models_cap) {
        int cap = app->models_cap ? 2 * app->models_cap : 8;
        deq_model **grown = realloc(app->models, (size_t)cap * sizeof(deq_model *));
        if (!grown) {
            deq_model_free(model);
            return deq_fail(e, DEQ_MEMORY, "out of memory");
        }
        app->models = grown;
        app->models_cap = cap;
    }
    app->models[app->nmodels++] = model;
    return true;
}

char *deq_app_file(const deq_app *app, const char *stem, const char *ending) {
    size_t size = strlen(app->results) + strlen(stem) + strlen(ending) + 2;
    char *path = malloc(size);
    if (path) snprintf(path, size, "%s/%s%s", app->results, stem, ending);
    return path;
}
