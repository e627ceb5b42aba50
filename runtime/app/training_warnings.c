/* training_warnings.c - what a training run has to say when it ends: solves and gradients that fell short in its last
 * epoch, and accuracies that hide it. */
#include "app_state.h"
#include <math.h>
#include <stdio.h>

/* `share` of the last epoch's `what`, followed by what was done about it. */
static void warn_share(deq_app *app, const deq_model *model, double share, const char *what) {
    char the[300];
    snprintf(the, sizeof the, "the %s", what);
    if (share > 0)
        deq_shortfall_tell(&app->shortfalls, &app->reporter, model->spec->name, model->label, "in the last epoch ",
                           share, the);
}

static void warn_attack(deq_app *app, deq_engine *engine, const deq_model *model, const deq_log_row *row) {
    const deq_train_spec *t = model->spec;
    const deq_shortfall_words words = deq_app_adjoint_words(engine, t->net, t->attack->gradient);
    char what[256];
    snprintf(what, sizeof what, "attack's forward solves stopped short of their tolerance; %s", words.states);
    warn_share(app, model, row->attack_unconverged, what);
    snprintf(what, sizeof what, "attack's %s; %s", words.what, words.done);
    warn_share(app, model, row->attack_adjoint_unconverged, what);
    snprintf(what, sizeof what, "attack's gradients were %s", words.lost);
    warn_share(app, model, row->attack_lost_gradients, what);
    warn_share(app, model, row->attack_zero_gradients,
               "attack's gradients were exactly zero at inputs that are not wrong yet, and say nothing");
}

void deq_app_warn_training(deq_app *app, deq_engine *engine, const deq_model *model) {
    size_t rows = json_array_size(model->log);
    deq_log_row row = rows ? deq_log_row_of(json_array_get(model->log, rows - 1)) : deq_log_empty();
    const deq_shortfall_words words = deq_app_adjoint_words(engine, model->spec->net, NULL);
    char what[256];
    snprintf(what, sizeof what, "forward solves stopped short of their tolerance (mean residual %.1e, %.1f steps); %s",
             row.residual, row.steps, words.states);
    warn_share(app, model, row.unconverged, what);
    snprintf(what, sizeof what, "%s (mean residual %.1e, %.1f steps); %s", words.what, row.adjoint_residual,
             row.adjoint_steps, words.done);
    warn_share(app, model, row.adjoint_unconverged, what);
    snprintf(what, sizeof what, "gradients were %s", words.lost);
    warn_share(app, model, row.lost_gradients, what);
    if (model->spec->attack) warn_attack(app, engine, model, &row);
}

/* " (train 40.2%, robust 41%)": the accuracies under attack of a row of the log. */
static void put_accuracies(const deq_train_spec *t, const deq_log_row *row, char *out, size_t size) {
    int at = snprintf(out, size, " (train %.3g%%", 100 * row->metric);
    if (isnan(row->metric) || !deq_train_share(t) || at < 0) at = 0, *out = 0;
    if (at && !isnan(row->robust)) at += snprintf(out + at, size - (size_t)at, ", robust %.3g%%", 100 * row->robust);
    if (at) snprintf(out + at, size - (size_t)at, ")");
}

void deq_app_warn_masked(deq_app *app, deq_engine *engine, const deq_model *model) {
    size_t rows = json_array_size(model->log);
    if (!rows || !model->spec->attack || !deq_app_cuts_gradients(engine, model->spec->net)) return;
    deq_log_row row = deq_log_row_of(json_array_get(model->log, rows - 1));
    char accuracies[80];
    if (!(row.attack_lost_gradients > deq_check_suspect(DEQ_CHECK_lost_gradients))) return;
    put_accuracies(model->spec, &row, accuracies, sizeof accuracies);
    deq_report_warning(&app->reporter, "W0915",
                       "%s: what its log says of attacked examples%s is masked: on_fail cut %.3g%% of the attack's "
                       "gradients to zero in the last epoch, and an attack without a gradient does not search",
                       model->label, accuracies, 100 * row.attack_lost_gradients);
}
