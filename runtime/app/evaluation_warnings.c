/* evaluation_warnings.c - what an evaluation says on the way: solves that fell short, gradients that say nothing, states
 * that are never made. */
#define _GNU_SOURCE
#include "evaluation.h"
#include "defence.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define MOST_TOLD 8
#define FEW 0.01 /* shares below it are told together: they must not drown the others */

typedef struct Told {
    double share[MOST_TOLD];
    char *text[MOST_TOLD]; /* the largest share first; freed by tell */
    int n;
} Told;

static void __attribute__((format(printf, 3, 4))) add(Told *t, double share, const char *format, ...) {
    char *text = NULL;
    va_list ap;
    va_start(ap, format);
    int length = vasprintf(&text, format, ap), at = t->n;
    va_end(ap);
    if (length < 0 || t->n == MOST_TOLD) return;
    for (; at > 0 && t->share[at - 1] < share; at--) t->share[at] = t->share[at - 1], t->text[at] = t->text[at - 1];
    t->share[at] = share;
    t->text[at] = text;
    t->n++;
}

/* A warning for each that concerns many, then one for all that concern few. */
static void tell(deq_app *app, const char *of, const char *model, Told *t) {
    char *few = NULL, label[300];
    size_t size = 0;
    FILE *f = open_memstream(&few, &size);
    snprintf(label, sizeof label, "%s of %s", of, model);
    for (int i = 0; i < t->n; i++) {
        if (t->share[i] >= FEW || !f)
            deq_shortfall_tell(&app->shortfalls, &app->reporter, of, label, "", t->share[i], t->text[i]);
        else
            fprintf(f, "%s%.2g%% of %s", ftell(f) ? "; " : "", 100 * t->share[i], t->text[i]);
        free(t->text[i]);
    }
    if (f) fclose(f);
    if (size && deq_shortfall_first(&app->shortfalls, &app->reporter, of))
        deq_report_warning(&app->reporter, "W0912", "%s: a few: %s", label, few);
    free(few);
}

void deq_evaluation_warn(deq_app *app, deq_engine *engine, const deq_model *model, const deq_value_spec *v,
                         const deq_evaluation *x) {
    const deq_attack_totals *a = &x->attack;
    deq_asked asked; /* whose solves and gradients are the attack's: of several parts, those of the first */
    deq_error ignored = {0};
    Told t = {0};
    deq_app_ask(app, v->attack, engine, model, &asked, &ignored);
    const deq_shortfall_words words =
        deq_app_adjoint_words(asked.engine, asked.model->spec->net, v->attack ? v->attack->gradient : NULL);
    deq_app_asked(&asked);
    if (x->converged < 1)
        add(&t, 1 - x->converged,
            "the predictions' solves stopped short of their tolerance; mean residual %.1e after %.1f steps. The states "
            "were used as they were",
            x->residual, x->steps);
    if (a->unconverged)
        add(&t, deq_share_of(a->unconverged, a->solves),
            "the attack's forward solves stopped short of their tolerance; %s", words.states);
    if (a->adjoints_unconverged)
        add(&t, deq_share_of(a->adjoints_unconverged, a->adjoints), "the attack's %s; %s", words.what, words.done);
    if (a->lost) add(&t, deq_share_of(a->lost, a->gradients), "the attack's gradients were %s", words.lost);
    if (a->zero > a->lost) /* those that were cut are told already */
        add(&t, deq_share_of(a->zero - a->lost, a->gradients),
            "the attack's gradients were exactly zero at inputs that are not wrong yet, and say nothing");
    if (a->undefined)
        add(&t, deq_share_of(a->undefined, a->queries > a->gradients ? a->queries : a->gradients),
            "the attack's losses, objectives or outputs were NaN or infinite, and cannot be compared");
    int64_t uncompared = 0;
    for (int64_t i = 0; v->compared.of && i < x->examples; i++) uncompared += isnan(x->records[i].metric);
    if (uncompared)
        add(&t, deq_share_of(uncompared, x->examples),
            "the examples have a gradient that was not finite and left out, or that on_fail cut to zero: nothing can "
            "be compared, and there is no mean");
    tell(app, v->name, model->label, &t);
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
