/* diagnose.c - after training: the solves of the trained net, forward and adjoint, and the spectrum of its Jacobian.
 *
 * Measured on validation examples (or the first training examples) under the settings of the training run, and cached
 * like any evaluation.  RESULTS/STEM-solves.json:
 *   { "model", "net", "real", "loss", "examples", "data", "fixed": [ { "path", "dimension", "forward", "gradient",
 * "penalty" (if any), "forward_solves": SOLVES, "adjoint_solves": SOLVES | null, "lost_gradients": share of the examples
 * whose gradient was not finite and was left out, "spectrum": { "examples", "radius":
 * [median, most], "radius_change", "norm2": [..], "frobenius": [..], "residual" } } ] } SOLVES = { "count", "steps":
 * [median, most], "residual": [median, most], "failed": share, "later": share answered by a later solver of a chain,
 * "reasons": { name: share } }
 * A fixed point with `certify` also has "certificate": { "kind", "claimed", "proved", "measured" }: measured is the
 * margin of I - L at the trained parameters, or the largest norm2; null: not known. */
#include "app_state.h"
#include "training_log.h"
#include "output.h"
#include "seal.h"
#include "signals.h"
#include "spectral.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SOLVE_EXAMPLES 256
#define SOLVE_LEAST 8
#define SPECTRUM_EXAMPLES 16
#define SPECTRUM_PRODUCTS 280 /* of J and J', at most */

static json_t *pair(deq_quantiles q) {
    json_t *list = json_array();
    json_array_append_new(list, deq_json_number(q.median));
    json_array_append_new(list, deq_json_number(q.most));
    return list;
}

static double left_out(const deq_solve_record *records, int64_t n) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) count += records[i].left_out;
    return (double)count / (double)n;
}

/* NULL: no such solve. */
static json_t *describe_solves(const deq_solve_record *records, int64_t n) {
    double *steps = malloc((size_t)n * 2 * sizeof *steps), *residuals = steps + n;
    int64_t count = 0, failed = 0, later = 0, reasons[32] = {0};
    for (int64_t i = 0; steps && i < n; i++) {
        if (!records[i].solved) continue;
        steps[count] = (double)records[i].steps;
        residuals[count] = (double)records[i].residual;
        failed += records[i].failed;
        later += records[i].solver > 0;
        reasons[records[i].reason % 32]++;
        count++;
    }
    json_t *o = count ? json_object() : json_null();
    if (count) {
        json_t *shares = json_object();
        for (int r = 0; r < 32; r++)
            if (reasons[r])
                json_object_set_new(shares, deq_reason_name((deq_reason)r),
                                    json_real((double)reasons[r] / (double)count));
        json_object_set_new(o, "count", json_integer(count));
        json_object_set_new(o, "steps", pair(deq_quantiles_of(steps, count, sizeof *steps, 0)));
        json_object_set_new(o, "residual", pair(deq_quantiles_of(residuals, count, sizeof *steps, 0)));
        json_object_set_new(o, "failed", json_real((double)failed / (double)count));
        json_object_set_new(o, "later", json_real((double)later / (double)count));
        json_object_set_new(o, "reasons", shares);
    }
    free(steps);
    return o;
}

static json_t *describe_spectrum(const deq_spectrum *s, int64_t n) {
#define QUANTILES(member) deq_quantiles_of(s, n, sizeof *s, offsetof(deq_spectrum, member))
    json_t *o = json_object();
    json_object_set_new(o, "examples", json_integer(n));
    json_object_set_new(o, "radius", pair(QUANTILES(radius)));
    json_object_set_new(o, "radius_change", deq_json_number(QUANTILES(radius_change).median));
    json_object_set_new(o, "norm2", pair(QUANTILES(norm2)));
    json_object_set_new(o, "frobenius", pair(QUANTILES(frobenius)));
    json_object_set_new(o, "residual", deq_json_number(QUANTILES(residual).most));
    return o;
#undef QUANTILES
}

/* false after an error. */
static bool add_certificate(json_t *to, deq_engine *engine, const deq_net_spec *net, int index, const deq_spectrum *s,
                            int64_t n, deq_error *e) {
    const deq_fixed_spec *f = &net->fixed[index];
    double measured;
    if (!f->certificate) return true;
    if (!strcmp(f->certificate, "monotone")) {
        if (!deq_engine_margin(engine, index, &measured, e)) return false;
    } else {
        measured = deq_quantiles_of(s, n, sizeof *s, offsetof(deq_spectrum, norm2)).most;
    }
    json_object_set_new(to, "certificate",
                        json_pack("{s:s, s:f, s:o, s:o}", "kind", f->certificate, "claimed", f->claimed, "proved",
                                  deq_json_number(f->proved), "measured", deq_json_number(measured)));
    return true;
}

static const char *setting(const json_t *settings, const char *path, const char *key) {
    char name[300];
    snprintf(name, sizeof name, "%s%s%s", path, *path ? "." : "", key);
    const char *text = json_string_value(json_object_get(settings, name));
    return text ? text : "";
}

static int64_t dimension(const deq_app *app, const char *name) {
    for (int64_t k = 0; k < app->module->fixed_count; k++)
        if (!strcmp(app->module->fixed[k]->name, name)) return app->module->fixed[k]->dimension;
    return 0;
}

static json_t *measure(deq_app *app, deq_engine *engine, const deq_model *model, const deq_slice *slice, int64_t from,
                       int64_t n, int64_t few, deq_error *e) {
    const deq_train_spec *t = model->spec;
    size_t nfixed = (size_t)t->net->nfixed;
    int64_t index[SOLVE_EXAMPLES];
    deq_dataset *data = deq_app_data(app, slice->data, e);
    if (!data || !deq_dataset_load(data, slice->test, e)) return NULL;
    deq_app_load_model(app, engine, model);
    for (int64_t i = 0; i < n; i++) index[i] = from + i;
    deq_source source = deq_dataset_source(data, slice->test);
    deq_solve_record *forward = calloc(nfixed * (size_t)n, sizeof *forward),
                     *adjoint = calloc(nfixed * (size_t)n, sizeof *adjoint);
    deq_spectrum *spectra = calloc(nfixed * (size_t)few, sizeof *spectra);
    json_t *list = NULL, *settings = deq_app_resolved(engine);
    if (!forward || !adjoint || !spectra)
        deq_fail(e, DEQ_MEMORY, "out of memory for the solves of '%s'", model->label);
    else if (deq_engine_solves(engine, &source, index, n, t->loss, forward, adjoint, e) &&
             deq_engine_spectrum(engine, &source, index, few, spectra, e)) {
        list = json_array();
        for (size_t i = 0; i < nfixed; i++) {
            const deq_fixed_spec *f = &t->net->fixed[i];
            json_t *o = json_pack(
                "{s:s, s:I, s:s, s:s, s:o, s:o, s:f, s:o}", "path", f->path, "dimension",
                (json_int_t)dimension(app, f->name), "forward", setting(settings, f->path, "forward"), "gradient",
                setting(settings, f->path, "gradient"), "forward_solves", describe_solves(forward + i * (size_t)n, n),
                "adjoint_solves", describe_solves(adjoint + i * (size_t)n, n), "lost_gradients",
                left_out(adjoint + i * (size_t)n, n), "spectrum", describe_spectrum(spectra + i * (size_t)few, few));
            const char *penalty = setting(settings, f->path, "penalty");
            if (*penalty) json_object_set_new(o, "penalty", json_string(penalty));
            json_array_append_new(list, o);
            if (!add_certificate(o, engine, t->net, (int)i, spectra + i * (size_t)few, few, e)) {
                json_decref(list);
                list = NULL;
                break;
            }
        }
    }
    json_decref(settings);
    free(forward);
    free(adjoint);
    free(spectra);
    return list;
}

static bool write_solves(deq_app *app, const deq_model *model, const deq_slice *slice, int64_t from, int64_t n,
                         json_t *fixed, deq_error *e) {
    char data[200];
    snprintf(data, sizeof data, "%s.%s[%lld..%lld]", slice->data->name, slice->test ? "test" : "train", (long long)from,
             (long long)(from + n));
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:O}", "model", model->label, "net",
                          model->spec->net->name, "net_hash", model->spec->net->hash, "real", app->manifest->real,
                          "loss", model->spec->loss, "examples", (json_int_t)n, "data", data, "fixed", fixed);
    json_t *training = json_object();
    deq_app_put_steps(model->spec, training);
    if (o) json_object_set_new(o, "training", training);
    char *path = deq_app_file(app, model->stem, "-solves.json"), *text = o && path ? deq_seal_json(o, path) : NULL;
    bool ok = text && path ? deq_output_write(path, text, strlen(text), e)
                           : deq_fail(e, DEQ_MEMORY, "out of memory for the solves of '%s'", model->label);
    free(text);
    free(path);
    json_decref(o);
    return ok;
}

static json_t *find_or_measure(deq_app *app, deq_engine *engine, const deq_model *model, const deq_slice *slice,
                               int64_t from, int64_t n, int64_t few, deq_error *e) {
    char fingerprint[33];
    if (!deq_dataset_fingerprint(deq_app_data(app, slice->data, e), slice->test, fingerprint, e)) return NULL;
    json_t *what = json_pack("{s:i, s:i, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:o}", "abi", DEQ_ABI_VERSION, "revision",
                             DEQ_RECORDS_REVISION, "kind", "solves", "net", model->spec->net->hash, "model", model->key,
                             "files", fingerprint, "from", (json_int_t)from, "n", (json_int_t)n, "spectra",
                             (json_int_t)few, "settings", deq_app_resolved(engine));
    deq_key key;
    deq_store_key(what, key);
    json_decref(what);
    json_t *fixed = deq_store_get(&app->store, "values", key);
    if (!fixed && (fixed = measure(app, engine, model, slice, from, n, few, e)))
        deq_store_put(&app->store, "values", key, fixed);
    return fixed;
}

bool deq_app_diagnose(deq_app *app, const deq_model *model, deq_error *e) {
    const deq_train_spec *t = model->spec;
    const deq_slice *slice = t->validate ? t->validate : &t->data;
    int64_t from, to;
    if (!t->net->nfixed || deq_interrupted()) return true;
    deq_dataset *data = deq_app_data(app, slice->data, e);
    deq_engine *engine = data ? deq_app_engine(app, t->net, e) : NULL;
    if (!engine || !deq_dataset_slice(data, slice, &from, &to, e)) return false;
    double steps = 0;
    for (int i = 0; i < t->net->nfixed; i++) steps += 2 * deq_engine_solver(engine, i)->max; /* there and back */
    int64_t n = deq_app_sample(app, model, steps / t->net->nfixed, SOLVE_LEAST, SOLVE_EXAMPLES);
    if (to - from < n) n = to - from;
    int64_t few = deq_app_sample(app, model, SPECTRUM_PRODUCTS, 1, SPECTRUM_EXAMPLES);
    if (n < few) few = n;
    if (n < SOLVE_EXAMPLES && n < to - from)
        deq_report(&app->reporter,
                   "%s: its solves are measured on %lld examples, a spectrum on %lld, since each is costly",
                   model->label, (long long)n, (long long)few);
    uint32_t token = deq_engine_save_settings(engine);
    bool ok = deq_app_in_training(engine, t, e) && deq_engine_set(engine, "on_fail", "warn", e);
    json_t *fixed = ok ? find_or_measure(app, engine, model, slice, from, n, few, e) : NULL;
    deq_engine_restore_settings(engine, token);
    ok = fixed && write_solves(app, model, slice, from, n, fixed, e);
    json_decref(fixed);
    return ok;
}
