/* gradcheck.c - the tests of a script: gradients against differences of the loss.
 *
 * For random parameters, inputs and targets, and a random direction v in each parameter and in the input: the engine's
 * slope s = <gradient, v> against d(h) = (L(p + h v) - L(p - h v)) / 2h for four h, a factor 4 apart, and smaller ones
 * where these do not agree: beside a kink of relu only those do that are shorter than the way to it.  An exact mode
 * passes in a direction when |d - s| is within `tol` of the value, or below what the solver's own accuracy allows to
 * see (and that hides little of the gradient), or when the Taylor remainder |L(p + h v) - L(p) - h s| falls as h^1.9 or
 * faster.  The derivative of an equilibrium can only be compared where there is one: a solve that does not converge is
 * refused, as a failure.
 *
 * Modes that differentiate steps (phantom.unroll, jfb: from the solver's state held constant; backprop: from the first
 * state) are compared with differences of the loss after those very steps, with the solver's settings as they are, and
 * pass or fail by that whether or not the solver converges.  Of an inexact mode the cosine to the differences at the
 * equilibrium is reported; there is nothing to pass or fail.
 *
 * Four errors make up |d - s|, and a failure names the largest: the truncation of d (what the next h changes), the
 * solver's floor (what the next tolerance changes in L, over h), the adjoint solver's residual, and what is left: the
 * gradient itself. */
#include "study.h"
#include "app_state.h"
#include "probe.h"
#include "random.h"
#include "signals.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EXAMPLES 2
#define STEPS 4
#define STEPS_MOST 8
#define LARGEST 1e-3
#define FACTOR 4.0
#define MOST_SOLVER_STEPS 1000
#define NO_EQUILIBRIUM 1e-6 /* a residual above it is none */

typedef struct Check {
    deq_app *app;
    const deq_test_spec *test;
    deq_probe probe;
    double *gradient, *direction;
    double loss;     /* at the point itself */
    double noise;    /* error of a loss value: rounding and unfinished solves */
    double typical;  /* slope: root of the mean square over random directions in all parameters and inputs */
    double residual; /* worst of the forward solves */
    double adjoint;  /* worst of the adjoint solves */
    bool exact;
    int64_t unconverged;  /* of the forward solves */
    const char *compared; /* with differences of what: "equilibrium" or "steps" */
} Check;

typedef enum Dominant { GRADIENT, TRUNCATION, FLOOR, ADJOINT } Dominant;

static const char *const dominant_names[] = {"gradient", "truncation", "solver floor", "adjoint solver"};
static const char *const dominant_texts[] = {
    "the derivative itself: smaller h and tighter solves do not change it",
    "the truncation of the difference: the loss is not smooth enough here (a kink, a jump, fast oscillation)",
    "the forward solver's floor: its error hides the difference",
    "the adjoint solver: its residual is as large as the error"};

typedef struct Outcome { /* of one direction */
    double error, rate, slope, difference, h;
    double truncation, floor; /* parts of the error, estimated */
    Dominant dominant;
    bool passed;
} Outcome;

/* Do all modes differentiate steps that are made, and is one of them inexact at the equilibrium? */
static bool only_steps(Check *c, bool *inexact) {
    const deq_net_spec *net = c->test->net;
    bool steps = net->nfixed > 0;
    *inexact = false;
    for (int i = 0; i < net->nfixed; i++) {
        const deq_mode *mode = deq_engine_mode(c->probe.engine, i);
        steps = steps && deq_mode_has(mode, TRAIT_UNROLLS | TRAIT_AFTER);
        *inexact = *inexact || !deq_mode_has(mode, TRAIT_EXACT);
    }
    return steps;
}

static double worst(const deq_solve_statistics *s) { return s->solves ? fmax(0, s->worst_residual) : 0; }

/* ---- as far as doubles go ---- */

/* Every fixed point solved to `tol`, with as many steps as there is room for. */
static bool set_tolerance(Check *c, double tol, deq_error *e) {
    const deq_net_spec *net = c->test->net;
    char tolerance[32], most[32];
    snprintf(tolerance, sizeof tolerance, "%g", tol);
    snprintf(most, sizeof most, "%d", deq_probe_most_steps(&c->probe, c->app->module, MOST_SOLVER_STEPS));
    c->exact = true;
    for (int i = 0; i < net->nfixed; i++) {
        const char *path = net->fixed[i].path;
        const deq_mode *mode = deq_engine_mode(c->probe.engine, i);
        bool adjoint = deq_mode_has_adjoint(mode);
        c->exact = c->exact && deq_mode_has(mode, TRAIT_EXACT);
        if (!deq_probe_set(&c->probe, path, "forward.tol", tolerance, e) ||
            !deq_probe_set(&c->probe, path, "forward.max", most, e) ||
            !deq_probe_set(&c->probe, path, "on_fail", "keep_best", e))
            return false;
        if (adjoint && (!deq_probe_set(&c->probe, path, "gradient.adjoint.tol", tolerance, e) ||
                        !deq_probe_set(&c->probe, path, "gradient.adjoint.max", most, e)))
            return false;
    }
    return true;
}

static void measure_slope(Check *c) {
    double norm = 0;
    for (int64_t k = 0; k < c->probe.length; k++) norm += c->gradient[k] * c->gradient[k];
    c->typical = sqrt(norm / (double)c->probe.length);
}

/* Tightens until what the solver leaves in a loss is small beside the smallest difference that will be taken, or until
 * nothing more is gained. */
static bool settle(Check *c, deq_error *e) {
    double before = NAN;
    for (double tol = 1e-9; tol >= 1e-13; tol /= 100) {
        double rounding, residual = c->residual;
        if (!set_tolerance(c, tol, e) || !deq_probe_gradient(&c->probe, c->gradient, e)) return false;
        c->adjoint = worst(&c->probe.last.adjoint);
        if (!deq_probe_loss(&c->probe, &c->loss, e)) return false;
        c->residual = worst(&c->probe.last.forward);
        c->unconverged = c->probe.last.forward.unconverged;
        if (!isfinite(c->loss) || c->residual > NO_EQUILIBRIUM) return true;
        rounding = 1e-15 * fmax(1, fabs(c->loss));
        c->noise = rounding + 4 * c->residual * fmax(1, fabs(c->loss));
        if (residual > c->residual) /* the step between two tolerances, shrunk as the residual was */
            c->noise = fmax(c->noise, fabs(c->loss - before) * c->residual / residual);
        before = c->loss;
        measure_slope(c);
        double signal = c->test->tol * c->typical * LARGEST / pow(FACTOR, STEPS - 1);
        if (!c->test->net->nfixed || c->noise <= 0.01 * signal) break;
    }
    return true;
}

/* ---- one direction ---- */

static void judge(const Check *c, Outcome *o, const double *d, const double *remainder, int best, int steps, double gap,
                  double length) {
    double h = LARGEST / pow(FACTOR, best), next = best + 1 < steps ? fabs(d[best] - d[best + 1]) : NAN;
    double wide = best ? fabs(d[best - 1] - d[best]) / (FACTOR * FACTOR - 1) : NAN;
    o->h = h;
    o->floor = c->noise / h;
    o->truncation = isnan(next) ? wide : isnan(wide) ? next : fmin(next, wide);
    bool settled = false; /* somewhere a smaller h gives nearly the same difference */
    for (int k = 0; k + 1 < steps; k++)
        settled |= fabs(d[k] - d[k + 1]) <= 0.1 * fmax(fabs(d[k]), fabs(d[k + 1])) + c->noise / h;
    if (!settled) o->truncation = fmax(o->truncation, gap);
    o->rate = NAN;
    for (int k = 0; k + 1 < steps; k++)
        if (remainder[k + 1] > 10 * c->noise) o->rate = log(remainder[k] / remainder[k + 1]) / log(FACTOR);
    o->dominant = GRADIENT;
    double left = 0.5 * gap;
    if (o->truncation > left) o->dominant = TRUNCATION, left = o->truncation;
    if (c->adjoint * length > left) o->dominant = ADJOINT, left = c->adjoint * length;
    if (o->floor > left) o->dominant = FLOOR;
    /* what the floor hides is no agreement, unless the whole gradient is far above it */
    bool hidden = gap <= o->floor && o->floor <= 0.1 * fmax(c->typical, fabs(d[best]));
    o->passed = o->error <= c->test->tol || hidden || o->rate >= 1.9;
}

static bool probe(Check *c, const deq_group *g, uint64_t key, Outcome *o, deq_error *e) {
    double slope = 0, length = 0, d[STEPS_MOST], remainder[STEPS_MOST], gap = INFINITY;
    int best = 0, k = 0;
    deq_probe_direction(key, g->count, c->direction);
    for (int64_t i = 0; i < g->count; i++) {
        slope += c->direction[i] * c->gradient[g->first + i];
        length += c->gradient[g->first + i] * c->gradient[g->first + i];
    }
    length = sqrt(length);
    for (;; k++) {
        double h = LARGEST / pow(FACTOR, k), above, below;
        if (!deq_probe_shifted(&c->probe, g, c->direction, h, &above, &below, e)) return false;
        d[k] = (above - below) / (2 * h);
        remainder[k] = fabs(above - c->loss - h * slope);
        if (fabs(d[k] - slope) < gap || k == 0) gap = fabs(d[k] - slope), best = k;
        /* a direction that happens to be orthogonal to the gradient is measured against the gradient's own size */
        double scale = fmax(fmax(fabs(slope), fabs(d[best])), 0.01 * length);
        *o = (Outcome){.error = scale > 0 ? gap / scale : gap, .slope = slope, .difference = d[best]};
        if (k + 1 < STEPS) continue;
        judge(c, o, d, remainder, best, k + 1, gap, length);
        if (o->error <= c->test->tol || !c->exact || o->dominant == FLOOR || o->dominant == ADJOINT ||
            k + 1 == STEPS_MOST)
            return true;
    }
}

/* ---- all directions of a group: one line; sets *failed ---- */

static void report_failure(Check *c, const deq_group *g, const Outcome *o, int direction) {
    deq_reporter *r = &c->app->reporter;
    deq_report(r,
               "    %-28s FAILED in direction %d: gradient %.6g, difference %.6g, relative error %.2g (allowed %.1g), "
               "Taylor rate %.2f",
               g->name, direction, o->slope, o->difference, o->error, c->test->tol, o->rate);
    deq_report(r,
               "    %-28s largest error: %s (at h = %.1e: truncation %.1e, solver floor %.1e, adjoint residual %.1e)",
               "", dominant_texts[o->dominant], o->h, o->truncation, o->floor, c->adjoint);
}

static bool check_group(Check *c, const deq_group *g, uint64_t seed, bool *failed, deq_error *e) {
    Outcome worst = {.error = -1, .passed = true};
    double dot = 0, mine = 0, theirs = 0, apart = 0;
    int worst_direction = 0;
    c->probe.training = deq_probe_in_training(&c->probe, g);
    if (!deq_probe_hold(&c->probe, e) || !deq_probe_loss(&c->probe, &c->loss, e)) return false;
    for (int d = 0; d < c->test->directions; d++) {
        Outcome o;
        if (deq_interrupted()) return deq_fail(e, DEQ_INTERRUPTED, "stopped during the test \"%s\"", c->test->name);
        if (!probe(c, g, deq_key_mix(deq_key_text(seed, g->name), (uint64_t)d), &o, e)) return false;
        if ((worst.passed && !o.passed) || (worst.passed == o.passed && !(o.error <= worst.error)))
            worst = o, worst_direction = d;
        dot += o.slope * o.difference;
        mine += o.slope * o.slope;
        theirs += o.difference * o.difference;
        apart += (o.slope - o.difference) * (o.slope - o.difference);
    }
    bool bad = c->exact && !worst.passed;
    double cosine = mine > 0 && theirs > 0 ? dot / sqrt(mine * theirs) : (mine == theirs ? 1 : 0);
    double relative = theirs > 0 ? sqrt(apart / theirs) : sqrt(apart);
    *failed |= bad;
    if (!c->exact)
        deq_report(&c->app->reporter, "    %-28s cosine %.4f, relative error %.2g (inexact mode: reported, not judged)",
                   g->name, cosine, relative);
    else if (bad)
        report_failure(c, g, &worst, worst_direction);
    else if (worst.error > c->test->tol && fmax(fabs(worst.slope), fabs(worst.difference)) <= worst.floor)
        deq_report(&c->app->reporter, "    %-28s agrees: zero as far as can be seen, below %.1e", g->name, worst.floor);
    else if (worst.error > c->test->tol)
        deq_report(&c->app->reporter, "    %-28s agrees as far as can be seen: relative error %.1e, %s", g->name,
                   worst.error, worst.rate >= 1.9 ? "Taylor rate 1.9 or better" : "below the solver's floor");
    else
        deq_report(&c->app->reporter, "    %-28s agrees: relative error at most %.1e", g->name, worst.error);
    json_t *members =
        json_pack("{s:s, s:s, s:s, s:b, s:b, s:s}", "test", c->test->name, "of", g->name, "compared", c->compared,
                  "exact", c->exact, "passed", !bad, "dominant", dominant_names[worst.dominant]);
    json_object_set_new(members, "relative_error", deq_json_number(c->exact ? worst.error : relative));
    json_object_set_new(members, "cosine", deq_json_number(cosine));
    json_object_set_new(members, "rate", deq_json_number(worst.rate));
    json_object_set_new(members, "truncation", deq_json_number(worst.truncation));
    json_object_set_new(members, "solver_floor", deq_json_number(worst.floor));
    json_object_set_new(members, "adjoint_residual", deq_json_number(c->adjoint));
    deq_report_event(&c->app->reporter, "gradcheck", members);
    return true;
}

static bool check_groups(Check *c, bool *failed, deq_error *e) {
    for (int i = 0; i < c->probe.ngroups; i++)
        if (!check_group(c, &c->probe.groups[i], c->probe.groups[i].input ? 18 : 17, failed, e)) return false;
    return true;
}

/* "5 damped steps" of every fixed point, as far as they agree. */
static void describe_steps(const Check *c, char *text, size_t size) {
    const deq_mode *first = deq_engine_mode(c->probe.engine, 0);
    bool same = true;
    for (int i = 1; i < c->test->net->nfixed; i++) {
        const deq_mode *m = deq_engine_mode(c->probe.engine, i);
        same = same && m->kind == first->kind && m->steps == first->steps && m->damping == first->damping;
    }
    if (!same)
        snprintf(text, size, "the steps that each fixed point's mode differentiates");
    else if (deq_mode_has(first, TRAIT_UNROLLS))
        snprintf(text, size, "the solver's steps, all of them made, from its first state");
    else if (first->steps == 1 && first->damping == 1 && !first->undamped_first)
        snprintf(text, size, "one step from the solver's state, held constant");
    else
        snprintf(text, size, "%s%d steps of damping %g from the solver's state, held constant",
                 first->undamped_first ? "an undamped step and " : "", first->steps, first->damping);
}

/* The value is the state after the very steps that the mode differentiates. */
static bool finish_by_mode(Check *c, int fixed, deq_error *e) {
    const deq_mode *m = deq_engine_mode(c->probe.engine, fixed);
    char text[160];
    snprintf(text, sizeof text, "apply(steps: %d, damping: %.17g, undamped_first: %s, always: true)", m->steps,
             m->damping, m->undamped_first ? "true" : "false");
    return !deq_mode_has(m, TRAIT_AFTER) ||
           deq_probe_set(&c->probe, c->test->net->fixed[fixed].path, "finish", text, e);
}

/* What phantom.unroll, jfb and backprop compute, whether or not the solver converges. */
static bool check_steps(Check *c, bool *failed, deq_error *e) {
    const deq_net_spec *net = c->test->net;
    char steps[160];
    describe_steps(c, steps, sizeof steps);
    for (int i = 0; i < net->nfixed; i++) /* as many steps at both ends of a difference */
        if (deq_mode_has(deq_engine_mode(c->probe.engine, i), TRAIT_UNROLLS) &&
            !deq_probe_set(&c->probe, net->fixed[i].path, "forward.tol", "0", e))
            return false;
    for (int i = 0; i < net->nfixed; i++)
        if (!finish_by_mode(c, i, e)) return false;
    c->probe.steps = c->exact = true;
    c->compared = "steps";
    c->residual = c->adjoint = 0;
    if (!deq_probe_gradient(&c->probe, c->gradient, e)) return false;
    c->probe.training = false;
    if (!deq_probe_hold(&c->probe, e) || !deq_probe_loss(&c->probe, &c->loss, e)) return false;
    c->noise = 1e-15 * fmax(1, fabs(c->loss));
    measure_slope(c);
    deq_report(&c->app->reporter, "  against differences of the loss after %s:", steps);
    if (!isfinite(c->loss)) {
        deq_report(&c->app->reporter, "    FAILED: the loss is not finite at the random point");
        *failed = true;
    } else if (!check_groups(c, failed, e))
        return false;
    c->probe.steps = false;
    return deq_probe_hold(&c->probe, e);
}

/* What the exact modes compute, where there is an equilibrium; beside it, what the others are worth. */
static bool check_equilibrium(Check *c, bool judged, bool *failed, deq_error *e) {
    c->compared = "equilibrium";
    if (!settle(c, e)) return false;
    if (!isfinite(c->loss)) {
        deq_report(&c->app->reporter, "    FAILED: the loss is not finite at the random point");
        *failed = true;
        return true;
    }
    if (judged) deq_report(&c->app->reporter, "  against differences of the loss at the equilibrium:");
    if (c->residual > NO_EQUILIBRIUM) {
        deq_report(&c->app->reporter,
                   "    %s: %lld of %lld forward solves did not converge, the worst ends at a residual of %.1e",
                   judged ? "not compared" : "FAILED: cannot be checked", (long long)c->unconverged,
                   (long long)c->probe.last.forward.solves, c->residual);
        if (!judged)
            deq_report(&c->app->reporter, "    away from an equilibrium it has no derivative; phantom.unroll, jfb and "
                                          "backprop are compared with the steps they make");
        *failed |= !judged;
        return true;
    }
    if (c->residual > 1e-8)
        deq_report(&c->app->reporter, "    note: the forward solve only reaches a residual of %.1e here", c->residual);
    if (c->exact && c->adjoint > 1e-8)
        deq_report(&c->app->reporter, "    note: the adjoint solve only reaches a residual of %.1e here", c->adjoint);
    return check_groups(c, failed, e);
}

static bool gradcheck(Check *c, bool *failed, deq_error *e) {
    const deq_test_spec *t = c->test;
    bool inexact;
    if (!deq_probe_open(&c->probe, c->app->module, t->net, t->loss, EXAMPLES, c->app->options->threads, EXAMPLES, e))
        return false;
    c->gradient = calloc((size_t)c->probe.length, sizeof(double));
    c->direction = calloc((size_t)c->probe.length, sizeof(double));
    if (!c->gradient || !c->direction) return deq_fail(e, DEQ_MEMORY, "out of memory for a test");
    if (!deq_app_override(c->probe.engine, t->overrides, t->noverrides, e) || !deq_probe_random(&c->probe, 1, e))
        return false;
    const bool steps = only_steps(c, &inexact);
    if (steps && !check_steps(c, failed, e)) return false;
    if (steps && (!inexact || *failed)) return true;
    return check_equilibrium(c, steps, failed, e);
}

static bool run_test(deq_app *app, const deq_test_spec *test, bool *failed, deq_error *e) {
    if (strcmp(test->check, "gradcheck"))
        return deq_fail(e, DEQ_MODULE, "test \"%s\": this runtime has no check '%s'", test->name, test->check);
    if (app->module->real_bits != 64)
        return deq_fail(e, DEQ_MODULE, "test \"%s\": gradcheck needs a module compiled for f64", test->name);
    Check c = {.app = app, .test = test};
    bool ok = gradcheck(&c, failed, e);
    deq_probe_close(&c.probe);
    free(c.gradient);
    free(c.direction);
    return ok;
}

int deq_app_test(const deq_module *module, const deq_app_options *options) {
    deq_app app;
    deq_error e = {0};
    deq_signals_install();
    bool ok = deq_app_open(&app, module, options, &e);
    int failures = 0;
    if (ok && !app.manifest->ntests)
        deq_report(&app.reporter, "%s: nothing to test: there is no `test` block", app.manifest->name);
    for (int i = 0; ok && i < app.manifest->ntests; i++) {
        const deq_test_spec *test = &app.manifest->tests[i];
        bool failed = false;
        deq_report(&app.reporter, "test \"%s\": %s of %s, %d directions", test->name, test->check, test->net->name,
                   test->directions);
        ok = run_test(&app, test, &failed, &e);
        failures += failed;
        if (ok) deq_report(&app.reporter, "  %s", failed ? "FAILED" : "ok");
        if (ok)
            deq_report_event(&app.reporter, "test",
                             json_pack("{s:s, s:i, s:b}", "name", test->name, "line", test->line, "passed", !failed));
    }
    if (ok && app.manifest->ntests)
        deq_report(&app.reporter, "%d of %d tests passed", app.manifest->ntests - failures, app.manifest->ntests);
    if (ok && failures) ok = deq_fail(&e, DEQ_TEST_FAILED, "%d of %d tests failed", failures, app.manifest->ntests);
    if (!ok) deq_report_error(&app.reporter, &e);
    deq_app_close(&app);
    deq_signals_restore();
    return ok ? 0 : deq_failure_exit(e.failure);
}
