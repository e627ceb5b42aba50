/* trace.c - how the residual falls in the solves of a trained net: its median and band at every iteration. */
#include "app_state.h"
#include <math.h>
#include <stdlib.h>

#define TRACE_EXAMPLES 256
#define TRACE_LEAST 8

static int by_value(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double quantile(const float *sorted, int64_t n, double q) {
    double at = q * (double)(n - 1);
    int64_t low = (int64_t)at;
    double high = (double)sorted[low + 1 < n ? low + 1 : low];
    return (double)sorted[low] + (at - (double)low) * (high - (double)sorted[low]);
}

/* An ended solve keeps its last residual, so that the bands stay over all examples. */
static json_t *bands(float *trace, int64_t n, int max) {
    json_t *rows = json_array();
    float *column = malloc((size_t)n * sizeof *column);
    for (int k = 0; column && k < max; k++) {
        int64_t running = 0, have = 0;
        for (int64_t i = 0; i < n; i++) {
            float *row = trace + i * max;
            if (!isnan(row[k]))
                running++;
            else if (k)
                row[k] = row[k - 1];
            if (!isnan(row[k])) column[have++] = row[k];
        }
        if (!running) break;
        qsort(column, (size_t)have, sizeof *column, by_value);
        json_array_append_new(rows, json_pack("[i, f, f, f, f]", k + 1, quantile(column, have, 0.1),
                                              quantile(column, have, 0.5), quantile(column, have, 0.9),
                                              (double)running / (double)n));
    }
    free(column);
    return rows;
}

static int most_steps(deq_engine *engine, const deq_net_spec *net) {
    int most = 1;
    for (int i = 0; i < net->nfixed; i++) {
        int max = deq_engine_solver(engine, i)->max;
        if (max > most) most = max;
    }
    return most;
}

double deq_app_tolerance(deq_app *app, const deq_model *model) {
    const deq_train_spec *t = model->spec;
    deq_error e = {0};
    deq_engine *engine = t->net->nfixed == 1 ? deq_app_engine(app, t->net, &e) : NULL;
    if (!engine) return 0;
    uint32_t token = deq_engine_save_settings(engine);
    double tol = deq_app_as_trained(engine, t, NULL, 0, &e) ? deq_engine_solver(engine, 0)->tol : 0;
    deq_engine_restore_settings(engine, token);
    return tol;
}

static json_t *trace(deq_app *app, deq_engine *engine, const deq_model *model, const deq_slice *slice, int64_t from,
                     int64_t n, deq_error *e) {
    int max = most_steps(engine, model->spec->net);
    deq_dataset *data = deq_app_data(app, slice->data, e);
    if (!data || !deq_dataset_load(data, slice->test, e)) return NULL;
    deq_app_load_model(app, engine, model);
    int64_t index[TRACE_EXAMPLES];
    for (int64_t i = 0; i < n; i++) index[i] = from + i;
    float *out = malloc((size_t)n * (size_t)max * sizeof *out);
    deq_source source = deq_dataset_source(data, slice->test);
    json_t *rows = NULL;
    if (!out)
        deq_fail(e, DEQ_MEMORY, "out of memory for residuals");
    else if (deq_engine_residual_trace(engine, &source, index, n, max, out, e))
        rows = bands(out, n, max);
    free(out);
    return rows;
}

json_t *deq_app_residuals(deq_app *app, const deq_model *model, deq_error *e) {
    const deq_train_spec *t = model->spec;
    const deq_slice *slice = t->validate ? t->validate : &t->data;
    char fingerprint[33];
    int64_t from, to;
    if (!t->net->nfixed) return NULL;
    deq_dataset *data = deq_app_data(app, slice->data, e);
    deq_engine *engine = data ? deq_app_engine(app, t->net, e) : NULL;
    if (!engine || !deq_dataset_slice(data, slice, &from, &to, e) ||
        !deq_dataset_fingerprint(data, slice->test, fingerprint, e))
        return NULL;
    uint32_t token = deq_engine_save_settings(engine);
    json_t *rows = NULL;
    if (deq_app_as_trained(engine, t, NULL, 0, e)) {
        int64_t n = deq_app_sample(app, model, most_steps(engine, t->net), TRACE_LEAST, TRACE_EXAMPLES);
        if (to - from < n) n = to - from;
        json_t *what = json_pack("{s:i, s:i, s:s, s:s, s:s, s:I, s:I, s:o}", "abi", DEQ_ABI_VERSION, "revision",
                                 DEQ_RECORDS_REVISION, "kind", "residuals", "model", model->key, "files", fingerprint,
                                 "from", (json_int_t)from, "n", (json_int_t)n, "settings", deq_app_resolved(engine));
        deq_key key;
        deq_store_key(what, key);
        json_decref(what);
        rows = deq_store_get(&app->store, "values", key);
        if (!rows && (rows = trace(app, engine, model, slice, from, n, e)))
            deq_store_put(&app->store, "values", key, rows);
    }
    deq_engine_restore_settings(engine, token);
    return rows;
}
