/* training_warnings.c - what a training run has to say when it ends: solves and gradients that fell short in its last
 * epoch, and accuracies that hide it. */
#include "app_state.h"
#include <math.h>
#include <stdio.h>

static void tell_attack(deq_engine *engine, const deq_train_spec *t, const deq_log_row *row, deq_told *told) {
    const deq_shortfall_words words = deq_app_adjoint_words(engine, t->net, t->attack->gradient);
    deq_told_add(told, row->attack_unconverged, "the attack's forward solves stopped short of their tolerance; %s",
                 words.states);
    deq_told_add(told, row->attack_adjoint_unconverged, "the attack's %s; %s", words.what, words.done);
    deq_told_add(told, row->attack_lost_gradients, "the attack's gradients were %s", words.lost);
    deq_told_add(told,
                 row->attack_zero_gradients - row->attack_lost_gradients, /* those that were cut are told already */
                 "the attack's gradients were exactly zero at inputs that are not wrong yet, and say nothing");
}

void deq_app_warn_training(deq_app *app, deq_engine *engine, const deq_model *model) {
    size_t rows = json_array_size(model->log);
    deq_log_row row = rows ? deq_log_row_of(json_array_get(model->log, rows - 1)) : deq_log_empty();
    const deq_shortfall_words words = deq_app_adjoint_words(engine, model->spec->net, NULL);
    deq_told told = {0};
    deq_told_add(&told, row.unconverged,
                 "the forward solves stopped short of their tolerance (mean residual %.1e, %.1f steps); %s",
                 row.residual, row.steps, words.states);
    deq_told_add(&told, row.adjoint_unconverged, "the %s (mean residual %.1e, %.1f steps); %s", words.what,
                 row.adjoint_residual, row.adjoint_steps, words.done);
    deq_told_add(&told, row.lost_gradients, "the gradients were %s", words.lost);
    if (model->spec->attack) tell_attack(engine, model->spec, &row, &told);
    deq_told_say(&told, &app->shortfalls, &app->reporter, model->spec->name, model->label, "in the last epoch ");
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
