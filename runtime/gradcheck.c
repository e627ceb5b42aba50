/* gradcheck.c - the tests of a script: gradients against differences of the loss.
 *
 * For random parameters, inputs and targets, and a random direction v in each parameter, in all of them, and in the
 * input: the engine's <gradient, v> against (L(p + h v) - L(p - h v)) / 2h for four h, a factor 4 apart.  An exact mode
 * passes in a direction when the error is within `tol` of the value, or below what the solver's own accuracy allows to
 * see, or when the Taylor remainder |L(p + h v) - L(p) - h <gradient, v>| falls as h^1.9 or faster.  Of an inexact mode
 * the cosine to the differences is reported; there is nothing to pass or fail. */
#include "app_state.h"
#include "dense.h"
#include "random.h"
#include "signals.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EXAMPLES 2
#define STEPS 4
#define LARGEST 1e-3
#define FACTOR 4.0
#define SOLVER_TOL 1e-13

typedef struct Check {
    deq_app *app;
    const deq_test_spec *test;
    deq_engine *engine;
    deq_dense data;
    double *x, *y;         /* dense rows */
    double *gradient, *dx; /* of the mean loss */
    double *direction;     /* as long as the longer of parameters and inputs */
    double *saved;
    double loss;  /* at the point itself */
    double noise; /* error of a loss value: rounding and unfinished solves */
    double worst_residual;
    bool exact;
} Check;

typedef struct Group {
    const char *name;
    double *values;
    const double *gradient;
    int64_t first, count;
    bool input;
} Group;

typedef struct Outcome {
    double error, rate, slope, difference;
    bool passed;
} Outcome; /* of one direction */

static bool loss_now(Check *c, double *out, deq_error *e) {
    int64_t index[EXAMPLES];
    double losses[EXAMPLES];
    for (int i = 0; i < EXAMPLES; i++) index[i] = i;
    deq_source source = deq_dense_source(&c->data);
    deq_results r = {.loss = losses};
    if (!deq_engine_evaluate(c->engine, &source, index, EXAMPLES, c->test->loss, NULL, NULL, 0, NULL, NULL, &r, e))
        return false;
    *out = 0;
    for (int i = 0; i < EXAMPLES; i++) *out += losses[i] / EXAMPLES;
    if (r.forward.solves && r.forward.worst_residual > c->worst_residual) c->worst_residual = r.forward.worst_residual;
    return true;
}

static bool gradients(Check *c, deq_error *e) {
    const deq_net_spec *net = c->test->net;
    int64_t index[EXAMPLES];
    for (int i = 0; i < EXAMPLES; i++) index[i] = i;
    deq_source source = deq_dense_source(&c->data);
    deq_results r = {0};
    if (!deq_engine_gradient(c->engine, &source, index, EXAMPLES, c->test->loss, NULL, NULL, 0, 0, &r, e)) return false;
    memcpy(c->gradient, deq_engine_gradients(c->engine), (size_t)net->parameter_bytes);
    if (!deq_engine_input_gradient(c->engine, EXAMPLES, c->x, c->y, c->test->loss, c->dx, &r, e)) return false;
    for (int64_t i = 0; i < EXAMPLES * net->input.elements; i++) c->dx[i] /= EXAMPLES; /* of the mean loss */
    return loss_now(c, &c->loss, e);
}

static bool shifted_loss(Check *c, const Group *g, double h, double *out, deq_error *e) {
    for (int64_t i = 0; i < g->count; i++) g->values[i] = c->saved[i] + h * c->direction[i];
    if (!g->input) deq_engine_prepare(c->engine);
    return loss_now(c, out, e);
}

static bool probe(Check *c, const Group *g, uint64_t key, Outcome *out, deq_error *e) {
    double norm = 0, slope = 0, length = 0;
    for (int64_t i = 0; i < g->count; i++) {
        c->direction[i] = deq_normal(key, (uint64_t)i);
        norm += c->direction[i] * c->direction[i];
    }
    for (int64_t i = 0; i < g->count; i++) {
        c->direction[i] /= sqrt(norm);
        slope += c->direction[i] * g->gradient[i];
        length += g->gradient[i] * g->gradient[i];
    }
    memcpy(c->saved, g->values, (size_t)g->count * sizeof(double));
    double remainder[STEPS], best = INFINITY, difference = NAN, floor_at_best = 0;
    bool ok = true;
    for (int k = 0; ok && k < STEPS; k++) {
        double h = LARGEST / pow(FACTOR, k), above, below;
        ok = shifted_loss(c, g, h, &above, e) && shifted_loss(c, g, -h, &below, e);
        if (!ok) break;
        double d = (above - below) / (2 * h);
        remainder[k] = fabs(above - c->loss - h * slope);
        if (fabs(d - slope) < best || isnan(difference))
            best = fabs(d - slope), difference = d, floor_at_best = c->noise / h;
    }
    memcpy(g->values, c->saved, (size_t)g->count * sizeof(double));
    if (!g->input) deq_engine_prepare(c->engine);
    if (!ok) return false;
    /* a direction that happens to be orthogonal to the gradient is measured against the gradient's own size */
    double scale = fmax(fmax(fabs(slope), fabs(difference)), 0.01 * sqrt(length));
    *out = (Outcome){.error = scale > 0 ? best / scale : best, .rate = NAN, .slope = slope, .difference = difference};
    for (int k = 0; k + 1 < STEPS; k++)
        if (remainder[k + 1] > 10 * c->noise) out->rate = log(remainder[k] / remainder[k + 1]) / log(FACTOR);
    out->passed = out->error <= c->test->tol || best <= floor_at_best || out->rate >= 1.9;
    return true;
}

/* All directions of one group, reported in a line; sets *failed. */
static bool check_group(Check *c, const Group *g, uint64_t seed, bool *failed, deq_error *e) {
    Outcome worst = {.error = -1, .passed = true};
    double dot = 0, mine = 0, theirs = 0, apart = 0;
    int worst_direction = 0;
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
    else if (!bad)
        deq_report(&c->app->reporter, "    %-28s agrees: relative error at most %.1e", g->name, worst.error);
    else
        deq_report(&c->app->reporter,
                   "    %-28s FAILED in direction %d: gradient %.6g, difference %.6g, relative error %.2g (allowed "
                   "%.1g), Taylor rate %.2f",
                   g->name, worst_direction, worst.slope, worst.difference, worst.error, c->test->tol, worst.rate);
    json_t *members =
        json_pack("{s:s, s:s, s:b, s:b}", "test", c->test->name, "of", g->name, "exact", c->exact, "passed", !bad);
    json_object_set_new(members, "relative_error", deq_json_number(c->exact ? worst.error : relative));
    json_object_set_new(members, "cosine", deq_json_number(cosine));
    json_object_set_new(members, "rate", deq_json_number(worst.rate));
    deq_report_event(&c->app->reporter, "gradcheck", members);
    return true;
}

static bool check_all(Check *c, bool *failed, deq_error *e) {
    const deq_net_spec *net = c->test->net;
    double *parameters = deq_engine_parameters(c->engine);
    for (int i = 0; i < net->nparameters; i++) {
        const deq_parameter *p = &net->parameters[i];
        Group g = {p->path,       parameters + p->offset / 8, c->gradient + p->offset / 8,
                   p->offset / 8, p->shape.elements,          false};
        if (p->trained && !check_group(c, &g, 17, failed, e)) return false;
    }
    Group input = {"input", c->x, c->dx, 0, EXAMPLES * net->input.elements, true};
    return check_group(c, &input, 18, failed, e);
}

static bool mode_is_exact(const char *text) {
    static const bool exact[] = {
#define MODE(id, spelling, exact_, forward, doc) exact_,
#define MODE_OPTION(id, name, fallback, low, high, doc)
#include "modes.def"
#undef MODE
#undef MODE_OPTION
    };
    deq_mode mode;
    deq_error e = {0};
    return text && deq_mode_parse(text, &mode, &e) && exact[mode.kind];
}

static bool set_at(Check *c, const char *fixed, const char *key, const char *value, deq_error *e) {
    char path[300];
    snprintf(path, sizeof path, "%s%s%s", fixed, *fixed ? "." : "", key);
    return deq_engine_set(c->engine, path, value, e);
}

/* Solves as far as doubles go, so that what is left of the difference is the gradient's own error. */
static bool tighten(Check *c, deq_error *e) {
    char tol[32];
    snprintf(tol, sizeof tol, "%g", SOLVER_TOL);
    c->exact = true;
    for (int i = 0; i < c->test->net->nfixed; i++) {
        const char *path = c->test->net->fixed[i].path;
        char key[300];
        snprintf(key, sizeof key, "%s%sgradient", path, *path ? "." : "");
        json_t *settings = deq_app_resolved(c->engine);
        const char *mode = json_string_value(json_object_get(settings, key));
        bool implicit = !mode || !strncmp(mode, "implicit", 8);
        c->exact = c->exact && mode_is_exact(mode);
        json_decref(settings);
        if (!set_at(c, path, "forward.tol", tol, e) || !set_at(c, path, "forward.max", "1000", e) ||
            !set_at(c, path, "on_fail", "keep_best", e))
            return false;
        if (implicit &&
            (!set_at(c, path, "gradient.adjoint.tol", tol, e) || !set_at(c, path, "gradient.adjoint.max", "1000", e)))
            return false;
    }
    return true;
}

/* Every parameter is moved off its initial value: what starts at zero or one would hide terms. */
static bool random_point(Check *c, deq_error *e) {
    const deq_net_spec *net = c->test->net;
    if (!deq_engine_init(c->engine, 1, e)) return false;
    double *parameters = deq_engine_parameters(c->engine);
    for (int i = 0; i < net->nparameters; i++) {
        const deq_parameter *p = &net->parameters[i];
        uint64_t key = deq_key_text(2, p->path);
        for (int64_t k = 0; p->trained && k < p->shape.elements; k++)
            parameters[p->offset / 8 + k] += 0.05 * deq_normal(key, (uint64_t)k);
    }
    deq_engine_prepare(c->engine);
    int64_t targets = deq_target_elements(&net->target);
    for (int64_t i = 0; i < EXAMPLES * net->input.elements; i++) c->x[i] = deq_normal(3, (uint64_t)i);
    for (int64_t i = 0; i < EXAMPLES * targets; i++)
        c->y[i] = net->target.labels ? floor(deq_uniform(4, (uint64_t)i) * (double)net->target.labels)
                                     : deq_normal(4, (uint64_t)i);
    c->data = (deq_dense){c->x, c->y, net->input.elements, targets};
    return true;
}

static bool allocate(Check *c, deq_error *e) {
    const deq_net_spec *net = c->test->net;
    size_t inputs = (size_t)(EXAMPLES * net->input.elements), parameters = (size_t)(net->parameter_bytes / 8);
    size_t longest = inputs > parameters ? inputs : parameters;
    c->x = calloc(inputs, sizeof(double));
    c->y = calloc((size_t)(EXAMPLES * deq_target_elements(&net->target)), sizeof(double));
    c->dx = calloc(inputs, sizeof(double));
    c->gradient = calloc(parameters + 1, sizeof(double));
    c->direction = calloc(longest + 1, sizeof(double));
    c->saved = calloc(longest + 1, sizeof(double));
    return c->x && c->y && c->dx && c->gradient && c->direction && c->saved
               ? true
               : deq_fail(e, DEQ_MEMORY, "out of memory for a test");
}

static bool gradcheck(Check *c, bool *failed, deq_error *e) {
    if (!allocate(c, e) || !deq_app_override(c->engine, c->test->overrides, c->test->noverrides, e) || !tighten(c, e) ||
        !random_point(c, e) || !gradients(c, e))
        return false;
    if (!isfinite(c->loss)) {
        deq_report(&c->app->reporter, "    the loss is not finite at the random point");
        *failed = true;
        return true;
    }
    c->noise = 1e-15 * fmax(1, fabs(c->loss)) + 4 * c->worst_residual;
    if (c->worst_residual > 1e-8)
        deq_report(&c->app->reporter, "    note: the forward solve only reaches a residual of %.1e here",
                   c->worst_residual);
    return check_all(c, failed, e);
}

static bool run_test(deq_app *app, const deq_test_spec *test, bool *failed, deq_error *e) {
    if (strcmp(test->check, "gradcheck"))
        return deq_fail(e, DEQ_MODULE, "test \"%s\": this runtime has no check '%s'", test->name, test->check);
    if (app->module->real_bits != 64)
        return deq_fail(e, DEQ_MODULE, "test \"%s\": gradcheck needs a module compiled for f64", test->name);
    Check c = {.app = app, .test = test, .engine = deq_app_engine(app, test->net, e)};
    if (!c.engine) return false;
    uint32_t token = deq_engine_save_settings(c.engine);
    bool ok = gradcheck(&c, failed, e);
    deq_engine_restore_settings(c.engine, token);
    free(c.x);
    free(c.y);
    free(c.dx);
    free(c.gradient);
    free(c.direction);
    free(c.saved);
    return ok;
}

int deq_app_test(const deq_module *module, const deq_app_options *options) {
    deq_app app;
    deq_error e = {0};
    deq_signals_install();
    bool ok = deq_app_open(&app, module, options, &e);
    int failures = 0;
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
    if (ok) deq_report(&app.reporter, "%d of %d tests passed", app.manifest->ntests - failures, app.manifest->ntests);
    if (ok && failures) ok = deq_fail(&e, DEQ_TEST_FAILED, "%d of %d tests failed", failures, app.manifest->ntests);
    if (!ok) deq_report_error(&app.reporter, &e);
    deq_app_close(&app);
    deq_signals_restore();
    return ok ? 0 : deq_failure_exit(e.failure);
}
