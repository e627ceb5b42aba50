/* run.c - everything under "run" in a manifest, in its order. */
#include "run.h"
#include "output.h"
#include "profile.h"
#include "results.h"
#include "signals.h"
#include <stdlib.h>

/* Says once that the cache cannot be used, if that is so. */
static void check_store(deq_app *app) {
    if (app->store.usable || app->store_warned) return;
    app->store_warned = true;
    deq_report_warning(&app->reporter, "W0821", "the cache is not used: %s; nothing will be found again next time",
                       app->store.problem);
}

static bool run_all(deq_app *app, deq_error *e) {
    deq_manifest *m = app->manifest;
    if (!deq_app_one_experiment(m, app->options->only, e)) return false;
    if (!deq_app_apply_settings(app, e) || !deq_app_check(app, e)) return false;
    if (!m->nrun) {
        deq_report(&app->reporter, "%s: nothing to run (no train, no experiment)", m->name);
        return true;
    }
    if (app->options->plan) return deq_app_plan(app, e);
    check_store(app);
    if (!deq_results_claim(app, e)) return false;
    deq_temporaries_sweep(app->results);
    if (!deq_app_record(app, e)) return false;
    for (int i = 0; i < m->nrun; i++) {
        if (m->run[i].train) {
            char *stem = deq_path_component(m->run[i].train->name);
            deq_model *model = stem ? deq_app_train(app, m->run[i].train, m->run[i].train->name, stem, e) : NULL;
            free(stem);
            if (!model || !deq_app_diagnose(app, model, e) || !deq_app_plot(app, model, e)) return false;
        }
        if (m->run[i].experiment && !deq_app_experiment(app, m->run[i].experiment, e)) return false;
    }
    check_store(app);
    deq_report(&app->reporter, "results in %s/", app->results);
    if (app->options->strict && app->masked)
        return deq_fail(e, DEQ_STRICT, "%d of the accuracies under attack %s masked (--strict); the results are in %s/",
                        app->masked, app->masked == 1 ? "is" : "are", app->results);
    if (app->options->strict && app->failed)
        return deq_fail(e, DEQ_CLAIM, "%d of the claims %s (--strict); the results are in %s/", app->failed,
                        app->failed == 1 ? "fails" : "fail", app->results);
    return true;
}

int deq_app_run(const deq_module *module, const deq_app_options *options) {
    deq_app app;
    deq_error e = {0};
    deq_signals_install();
    bool ok = deq_app_open(&app, module, options, &e) && run_all(&app, &e);
    if (options->profile && app.manifest) deq_profile_report(&app.reporter, app.manifest->source, options->source_text);
    if (!ok)
        deq_report_error(&app.reporter, &e);
    else
        deq_report_event(&app.reporter, "done", json_pack("{s:s}", "results", app.results));
    deq_app_close(&app);
    deq_signals_restore();
    return ok ? 0 : deq_failure_exit(e.failure);
}
