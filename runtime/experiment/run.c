/* run.c - everything under "run" in a manifest, in its order. */
#include "run.h"
#include "output.h"
#include "profile.h"
#include "rank_costs.h"
#include "ranks.h"
#include "result_files.h"
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

/* Ranks that would not compute the same do not begin. */
static bool same_work(const deq_app *app, deq_error *e) {
    char machine[256];
    deq_key key;
    json_t *asked = json_array();
    for (int i = 0; i < app->options->nset; i++) json_array_append_new(asked, json_string(app->options->set[i]));
    json_t *what =
        json_pack("{s:s, s:o, s:b, s:I, s:b, s:b, s:s}", "manifest", app->module->manifest, "set", asked, "has_seed",
                  app->options->has_seed, "seed", (json_int_t)app->options->seed, "fresh", app->options->fresh, "audit",
                  app->options->audit, "only", app->options->only ? app->options->only : "");
    deq_store_key(what, key);
    json_decref(what);
    deq_cpu_name(machine, sizeof machine);
    return deq_ranks_agree("version", DEQ_VERSION, e) && deq_ranks_agree("kind of processor", machine, e) &&
           deq_ranks_agree("script or settings", key, e);
}

/* What rank 0 alone looks at while the others wait; how it went goes to all. */
static bool alone(deq_app *app, const deq_model *model, deq_error *e) {
    deq_signals_alone(true);
    bool ok = !deq_ranks_first() ||
              (model ? deq_app_diagnose(app, model, e) && deq_app_plot(app, model, e) : deq_app_plan(app, e));
    deq_signals_alone(false);
    int32_t failure = ok ? DEQ_OK : e->failure;
    deq_ranks_share(&failure, sizeof failure);
    deq_signals_meet();
    if (ok && failure != DEQ_OK) ok = deq_fail(e, (deq_failure)failure, "rank 0 has failed");
    if (!deq_interrupted()) return ok;
    *e = (deq_error){0}; /* it was stopped, and did not fail */
    return model ? deq_fail(e, deq_interruption(),
                            "stopped after the training of '%s', which is kept; run the same command again to go on",
                            model->label)
                 : deq_fail(e, deq_interruption(), "stopped while the plan was timed");
}

static bool run_all(deq_app *app, deq_error *e) {
    deq_manifest *m = app->manifest;
    const deq_ranks_cost begun = deq_ranks_spent();
    if (!deq_app_one_experiment(m, app->options->only, e)) return false;
    if (!deq_app_apply_settings(app, e) || !deq_app_check(app, e)) return false;
    if (!m->nrun) {
        deq_report(&app->reporter, "%s: nothing to run (no train, no experiment)", m->name);
        return true;
    }
    if (app->options->plan) return alone(app, NULL, e);
    check_store(app);
    if (!deq_results_claim(app, e)) return false;
    deq_temporaries_sweep(app->results);
    if (!deq_app_record(app, e)) return false;
    for (int i = 0; i < m->nrun; i++) {
        if (m->run[i].train) {
            char *stem = deq_path_component(m->run[i].train->name);
            deq_model *model = stem ? deq_app_train(app, m->run[i].train, m->run[i].train->name, stem, e) : NULL;
            free(stem);
            if (!model || !alone(app, model, e)) return false;
        }
        if (m->run[i].experiment && !deq_app_experiment(app, m->run[i].experiment, e)) return false;
    }
    if (deq_ranks_first()) deq_result_files_forget(app);
    check_store(app);
    deq_ranks_cost cost = {0};
    deq_ranks_spend(&cost, &begun);
    deq_report_ranks(&app->reporter, NULL, &cost, 0);
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
    bool ok = deq_app_open(&app, module, options, &e) && same_work(&app, &e) && run_all(&app, &e), apart;
    if (deq_ranks_end(ok ? 0 : deq_failure_exit(e.failure), &apart) && !ok) deq_report_error(&app.reporter, &e);
    if (apart) {
        if (!e.text[0]) deq_fail(&e, DEQ_RANKS, "the other ranks did not end");
        deq_ranks_stop(deq_failure_exit(e.failure));
    }
    if (options->profile && !apart)
        deq_profile_report(&app.reporter, app.manifest ? app.manifest->source : "", options->source_text);
    if (ok) deq_report_event(&app.reporter, "done", json_pack("{s:s}", "results", app.results));
    deq_app_close(&app);
    deq_signals_restore();
    return ok ? 0 : deq_failure_exit(e.failure);
}

int deq_app_run_launched(const deq_module *module, const deq_app_options *options) {
    deq_error e = {0};
    deq_signals_before();
    if (!deq_ranks_open(&e)) {
        fprintf(stderr, "run: error[%s]: %s\n", deq_failure_code(e.failure), e.text);
        return deq_failure_exit(e.failure);
    }
    deq_ranks_limit(options->rank_limit);
    const int code = deq_app_run(module, options);
    deq_ranks_close();
    return code;
}
