/* app_keys.c - what decides a result, as keys of the cache: data, attacks, linked gradients, whole training runs. */
#include "app_state.h"
#include "extern_gradient.h"
#include "weights.h"

static json_t *slice_key(deq_app *app, const deq_slice *s, deq_error *e) {
    char fingerprint[33];
    int64_t from, to;
    deq_dataset *d = deq_app_data(app, s->data, e);
    if (!d || !deq_dataset_slice(d, s, &from, &to, e) || !deq_dataset_fingerprint(d, s->test, fingerprint, e))
        return NULL;
    json_t *key = json_pack("{s:s, s:I, s:I}", "files", fingerprint, "from", (json_int_t)from, "to", (json_int_t)to);
    if (s->ntransforms) json_object_set(key, "transforms", (json_t *)(uintptr_t)s->transforms_json);
    return key;
}

/* A definition's own hash where the compiler gives one; else the whole script's. */
static const char *hash_of(const deq_app *app, const char *own) { return own ? own : app->manifest->hash; }

/* Linked gradients in C decide what a net that has some computes. */
void deq_app_link_key(const deq_app *app, const deq_net_spec *net, json_t *what) {
    for (int i = 0; i < net->nfixed; i++)
        for (int k = 0; k < net->fixed[i].nhands; k++)
            if (net->fixed[i].hands[k].symbol)
                json_object_set_new(what, "linked", json_string(deq_extern_content(app->module)));
}

json_t *deq_app_attack_key(deq_app *app, const deq_attack_spec *a) {
    if (!a) return json_null();
    json_t *key = json_pack("{s:s, s:s, s:s, s:o}", "routine", a->routine, "hash", hash_of(app, a->hash), "gradient",
                            a->gradient ? a->gradient : "", "scalars", deq_scalars_json(a->scalars, a->nscalars));
    if (a->surrogate) json_object_set_new(key, "surrogate", json_true());
    if (a->in_batch) json_object_set_new(key, "in_batch", json_string(hash_of(app, a->in_batch_hash)));
    if (a->joined) json_object_set_new(key, "joined", json_true());
    if (a->all) json_object_set_new(key, "all", json_true());
    if (a->restart) json_object_set_new(key, "restart", json_integer(a->restart));
    if (a->against.found) {
        const deq_model *of = a->against.found;
        json_object_set_new(key, "against",
                            json_pack("{s:s, s:s, s:s, s:I, s:o}", "net", of->spec->net->hash, "model", of->key, "loss",
                                      of->spec->loss, "seed", (json_int_t)of->spec->seed, "settings",
                                      deq_app_asked_settings(app, a)));
    }
    if (a->next) json_object_set_new(key, "next", deq_app_attack_key(app, a->next));
    return key;
}

void deq_app_put_steps(const deq_train_spec *t, json_t *out) {
    char text[160];
    json_t *freeze = json_array(), *rates = json_object();
    if (t->accumulate > 1) json_object_set_new(out, "accumulate", json_integer(t->accumulate));
#define X(rule)                                                                                                        \
    deq_##rule##_print(&t->rule, text, sizeof text);                                                                   \
    if (t->rule.kind) json_object_set_new(out, #rule, json_string(text));
    DEQ_STEP_RULES(X)
#undef X
    for (int i = 0; i < t->nfreeze; i++) json_array_append_new(freeze, json_string(t->freeze[i]));
    for (int i = 0; i < t->nrates; i++) json_object_set_new(rates, t->rates[i].path, json_real(t->rates[i].factor));
    if (t->nfreeze) json_object_set(out, "freeze", freeze);
    if (t->nrates) json_object_set(out, "rates", rates);
    if (t->metric.name) json_object_set_new(out, "metric", json_string(t->metric.name));
    json_decref(freeze);
    json_decref(rates);
}

bool deq_app_train_key(deq_app *app, const deq_train_spec *t, const deq_model *first, deq_engine *engine,
                       int64_t examples, deq_key key, deq_error *e) {
    deq_key start;
    if (t->start.file && !deq_weights_sum(t->start.file, t->start.map, start, e)) return false;
    json_t *data = slice_key(app, &t->data, e), *validate = NULL;
    if (!data) return false;
    if (t->validate && !(validate = slice_key(app, t->validate, e))) {
        json_decref(data);
        return false;
    }
    json_t *what = json_pack(
        "{s:i, s:i, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "abi",
        DEQ_ABI_VERSION, "revision", DEQ_RECORDS_REVISION, "kind", "train", "compiler",
        app->manifest->compiler ? app->manifest->compiler : "", "target",
        app->manifest->target ? app->manifest->target : "", "net", t->net->hash, "loss", t->loss, "batch",
        (json_int_t)t->batch, "epochs", (json_int_t)t->epochs, "examples", (json_int_t)examples, "seed",
        (json_int_t)t->seed, "optimiser", t->optimiser.routine ? t->optimiser.routine : "", "optimiser_hash",
        hash_of(app, t->optimiser.hash), "scalars", deq_scalars_json(t->optimiser.scalars, t->optimiser.nscalars),
        "attack", deq_app_attack_key(app, t->attack), "settings", deq_app_resolved(engine), "data", data, "validate",
        validate ? validate : json_null());
    if (!what) return deq_fail(e, DEQ_MEMORY, "out of memory");
    deq_app_link_key(app, t->net, what);
    if (t->start.file) json_object_set_new(what, "start", json_string(start));
    if (first) json_object_set_new(what, "first", json_string(first->key));
    if (t->keep) json_object_set_new(what, "keep", json_string(deq_keep_word(t->keep)));
    json_object_set_new(what, "metric_hash", json_string(deq_net_metric_hash(t->net, t->metric.routine)));
    deq_app_put_steps(t, what);
    if (t->spectrum) json_object_set_new(what, "spectrum", json_integer(t->spectrum)); /* the log has more columns */
    deq_store_key(what, key);
    json_decref(what);
    return true;
}
