/* app_check.c - what can be refused before work starts is refused before work starts. */
#include "arrays.h"
#include "run.h"
#include "checkpoint.h"
#include "weights.h"
#include <stdlib.h>
#include <string.h>

static bool need_routine(deq_app *app, const char *name, const char *where, deq_error *e) {
    return deq_module_routine(app->module, name)
               ? true
               : deq_fail(e, DEQ_MODULE, "%s: the module has no routine '%s'", where, name);
}

static bool check_slice(deq_app *app, const deq_slice *slice, deq_error *e) {
    int64_t from, to;
    deq_dataset *d = deq_app_data(app, slice->data, e);
    if (!d || !deq_dataset_check(d, slice->test, e)) return deq_fail_at(e, app->manifest->source, slice->data->line);
    return deq_dataset_slice(d, slice, &from, &to, e) || deq_fail_at(e, app->manifest->source, slice->line);
}

/* Loads them for nothing: what does not fit is told before anything runs. */
static bool check_weights(deq_app *app, const deq_train_spec *t, deq_error *e) {
    if (!t->start.file) return true;
    int bits = (int)app->module->real_bits;
    void *vector = calloc(1, (size_t)deq_net_vector_bytes(t->net, bits) + 1);
    bool ok = vector ? deq_weights_load(t->start.file, t->start.map, t->net, bits, vector, e)
                     : deq_fail(e, DEQ_MEMORY, "out of memory");
    free(vector);
    return ok || deq_fail_at(e, app->manifest->source, t->line);
}

static bool has_loss(const deq_net_spec *net, const char *name) {
    for (int i = 0; i < net->nlosses; i++)
        if (!strcmp(net->losses[i].name, name)) return true;
    return false;
}

/* The settings as they will hold: those of the declaration or evaluation, then --set.  Only those can cut the gradients of
 * an attack unsaid: the compiler has seen the others. */
static bool check_settings(deq_app *app, const deq_train_spec *t, const deq_override *overrides, int n,
                           const deq_attack_spec *attack, bool evaluated, deq_error *e) {
    deq_engine *engine = deq_app_engine(app, t->net, e);
    if (!engine) return false;
    uint32_t token = deq_engine_save_settings(engine);
    bool ok = deq_app_as_trained(engine, t, overrides, n, e) &&
              deq_engine_check_settings(engine, attack ? attack->gradient : NULL, e);
    if (ok && evaluated && attack && attack->differentiates && !attack->allow_masking &&
        deq_app_cuts_gradients(engine, t->net))
        ok = deq_fail(
            e, DEQ_SETTING,
            "'%s' is attacked by '%s' with `on_fail: zero_gradient`, which hides from the attack where a solve "
            "falls short; if that is meant, say `allow_masking: true` in the experiment, or --set "
            "EXPERIMENT.allow_masking=true",
            t->name, attack->name);
    deq_engine_restore_settings(engine, token);
    return ok;
}

static bool check_examples(deq_app *app, const deq_train_spec *t, deq_error *e) {
    int64_t from, to;
    deq_dataset *d = deq_app_data(app, t->data.data, e);
    if (!d || !deq_dataset_slice(d, &t->data, &from, &to, e)) return false;
    if (t->examples <= to - from) return true;
    deq_fail(e, DEQ_DATA_EMPTY, "train '%s' asks for %lld examples an epoch, of %lld that there are", t->name,
             (long long)t->examples, (long long)(to - from));
    return deq_fail_at(e, app->manifest->source, t->line);
}

static bool check_train(deq_app *app, const deq_train_spec *t, deq_error *e) {
    if (!has_loss(t->net, t->loss))
        return deq_fail(e, DEQ_MODULE, "train '%s': net '%s' has no loss '%s'", t->name, t->net->name, t->loss);
    if (t->epochs && !t->optimiser.routine)
        return deq_fail(e, DEQ_SETTING,
                        "train '%s' takes its net as it is in a file: without `optimise` it cannot be given epochs",
                        t->name);
    return (!t->optimiser.routine || need_routine(app, t->optimiser.routine, t->name, e)) &&
           (!t->attack || need_routine(app, t->attack->routine, t->name, e)) && check_slice(app, &t->data, e) &&
           check_examples(app, t, e) && (!t->validate || check_slice(app, t->validate, e)) &&
           check_weights(app, t, e) && check_settings(app, t, t->overrides, t->noverrides, t->attack, false, e);
}

static bool check_value(deq_app *app, const deq_experiment_spec *x, const deq_array_spec *of, int spec, int *at,
                        deq_error *e) {
    const deq_value_spec *v = &of->values[spec];
    deq_axes_place(x, of->cells, of->ncells, spec, at);
    const deq_train_spec *t = deq_axes_train(app->manifest, x, v->model, at);
    if (!t) return deq_fail(e, DEQ_MODULE, "value '%s': there is no model '%s'", v->name, v->model);
    if (v->metric && !v->compared.of && !deq_net_metric(t->net, v->metric))
        return deq_fail(e, DEQ_MODULE, "value '%s': net '%s' has no metric '%s'", v->name, t->net->name, v->metric);
    if (v->loss && !has_loss(t->net, v->loss))
        return deq_fail(e, DEQ_MODULE, "value '%s': net '%s' has no loss '%s'", v->name, t->net->name, v->loss);
    for (const deq_attack_spec *a = v->attack; a; a = a->next) {
        const bool own = !a->against.model;
        const deq_train_spec *asked = own ? t : deq_axes_train(app->manifest, x, a->against.model, at);
        if (!asked) return deq_fail(e, DEQ_MODULE, "value '%s': there is no model '%s'", v->name, a->against.model);
        if (!need_routine(app, a->routine, v->name, e) ||
            !check_settings(app, asked, own ? v->overrides : a->against.settings,
                            own ? v->noverrides : a->against.nsettings, a, true, e))
            return false;
    }
    for (int way = 0; way < 2; way++)
        for (const deq_attack_spec *a = way ? v->audit.search : v->audit.margin; a; a = a->next)
            if (!need_routine(app, a->routine, v->name, e)) return false;
    return check_slice(app, &v->data, e) && check_settings(app, t, v->overrides, v->noverrides, NULL, true, e);
}

static bool check_array(deq_app *app, const deq_experiment_spec *x, const deq_array_spec *a, int *at, deq_error *e) {
    for (int c = 0; a->trains && c < a->nspecs; c++)
        if (a->trains[c].name && !check_train(app, &a->trains[c], e)) return false;
    for (int c = 0; a->values && c < a->nspecs; c++)
        if (a->values[c].name && !check_value(app, x, a, c, at, e)) return false;
    for (int i = 0; i < a->ninputs; i++)
        if (a->kind == DEQ_ARRAY_statistic && x->arrays[a->inputs[i]].kind != DEQ_ARRAY_evaluate)
            return deq_fail(e, DEQ_MODULE, "value '%s': '%s' is no evaluation", a->name, x->arrays[a->inputs[i]].name);
    return !a->routine || need_routine(app, a->routine, a->name, e);
}

static bool check_experiment(deq_app *app, const deq_experiment_spec *x, deq_error *e) {
    int *at = calloc((size_t)x->naxes + 1, sizeof *at);
    bool ok = at || deq_fail(e, DEQ_MEMORY, "out of memory");
    for (int i = 0; ok && i < x->narrays; i++) ok = check_array(app, x, &x->arrays[i], at, e);
    free(at);
    return ok;
}

bool deq_app_check(deq_app *app, deq_error *e) {
    const deq_manifest *m = app->manifest;
    for (int i = 0; i < m->nrun; i++) {
        if (m->run[i].train && !check_train(app, m->run[i].train, e)) return false;
        if (m->run[i].experiment && !check_experiment(app, m->run[i].experiment, e)) return false;
    }
    return true;
}
