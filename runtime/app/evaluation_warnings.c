/* evaluation_warnings.c - what an evaluation says on the way: solves that fell short, gradients that say nothing, states
 * that are never made. */
#define _GNU_SOURCE
#include "evaluation.h"
#include "defence.h"
#include <stdio.h>
#include <stdlib.h>

void deq_evaluation_warn(deq_app *app, deq_engine *engine, const deq_model *model, const deq_value_spec *v,
                         const deq_evaluation *x) {
    const deq_attack_totals *a = &x->attack;
    deq_asked asked; /* whose solves and gradients are the attack's: of several parts, those of the first */
    deq_error ignored = {0};
    char label[300];
    deq_told t = {0};
    deq_app_ask(app, v->attack, engine, model, &asked, &ignored);
    const deq_shortfall_words words =
        deq_app_adjoint_words(asked.engine, asked.model->spec->net, v->attack ? v->attack->gradient : NULL);
    deq_app_asked(&asked);
    if (x->converged < 1)
        deq_told_add(
            &t, 1 - x->converged,
            "the predictions' solves stopped short of their tolerance; mean residual %.1e after %.1f steps. The states "
            "were used as they were",
            x->residual, x->steps);
    if (a->unconverged)
        deq_told_add(&t, deq_share_of(a->unconverged, a->solves),
                     "the attack's forward solves stopped short of their tolerance; %s", words.states);
    if (a->adjoints_unconverged)
        deq_told_add(&t, deq_share_of(a->adjoints_unconverged, a->adjoints), "the attack's %s; %s", words.what,
                     words.done);
    if (a->lost) deq_told_add(&t, deq_share_of(a->lost, a->gradients), "the attack's gradients were %s", words.lost);
    if (a->zero > a->lost) /* those that were cut are told already */
        deq_told_add(&t, deq_share_of(a->zero - a->lost, a->gradients),
                     "the attack's gradients were exactly zero at inputs that are not wrong yet, and say nothing");
    if (a->undefined)
        deq_told_add(&t, deq_share_of(a->undefined, a->queries > a->gradients ? a->queries : a->gradients),
                     "the attack's losses, objectives or outputs were NaN or infinite, and cannot be compared");
    int64_t uncompared = 0;
    for (int64_t i = 0; v->compared.of && i < x->examples; i++) uncompared += isnan(x->records[i].metric);
    if (uncompared)
        deq_told_add(
            &t, deq_share_of(uncompared, x->examples),
            "the examples have a gradient that was not finite and left out, or that on_fail cut to zero: nothing can "
            "be compared, and there is no mean");
    snprintf(label, sizeof label, "%s of %s", v->name, model->label);
    deq_told_say(&t, &app->shortfalls, &app->reporter, v->name, label, "");
    if (x->undefined)
        deq_report_warning(&app->reporter, "W0914",
                           "%s of %s: %lld of %lld predictions are not a number (NaN); they count as wrong", v->name,
                           model->label, (long long)x->undefined, (long long)x->examples);
}

void deq_evaluation_warn_unmade(deq_app *app, deq_engine *engine, const deq_model *model, const deq_value_spec *v) {
    const char *text = deq_value_defence(v);
    deq_defence defence;
    deq_error own = {0};
    if (!text || !deq_defence_parse(text, &defence, &own)) return;
    for (int i = 0; i < model->spec->net->nfixed; i++) {
        int max = deq_engine_solver(engine, i)->max, last = deq_defence_last(&defence);
        if (last > max)
            deq_report_warning(&app->reporter, "W0913",
                               "%s of %s is read off state %d, but %s makes at most %d steps (`max`): its last state "
                               "counts",
                               v->name, model->label, last, model->spec->net->fixed[i].name, max);
    }
}
