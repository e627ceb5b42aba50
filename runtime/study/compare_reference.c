/* compare_reference.c - what the modes of `deq compare` are put beside: a tight implicit gradient, checked by finite
 * differences, or finite differences alone; and how far another gradient is from it. */
#include "compare.h"
#include "call.h"
#include "random.h"
#include "signals.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define REFERENCE_STEPS 400
#define CHECK_DIRECTIONS 2
#define MOST_MEASURED 1024 /* elements of a group whose slopes are all taken */

/* ---- agreement ---- */

static deq_agreement agree(const double *mine, const double *theirs, int64_t n) {
    double a = 0, b = 0, apart = 0, between = 0;
    for (int64_t i = 0; i < n; i++) {
        a += mine[i] * mine[i];
        b += theirs[i] * theirs[i];
        apart += (mine[i] - theirs[i]) * (mine[i] - theirs[i]);
    }
    deq_agreement g = {.norm = sqrt(a), .reference = sqrt(b)};
    g.error = b > 0 ? sqrt(apart / b) : a > 0 ? INFINITY : 0;
    if (a > 0 && b > 0) {
        for (int64_t i = 0; i < n; i++) {
            double d = mine[i] / g.norm - theirs[i] / g.reference;
            between += d * d;
        }
        g.angle = between / 2;
    } else
        g.angle = a == b ? 0 : NAN;
    g.cosine = 1 - g.angle;
    return g;
}

static uint64_t direction_key(const deq_group *g, int d) { return deq_key_mix(deq_key_text(31, g->name), (uint64_t)d); }

deq_agreement compare_agreement(CompareWork *w, int group, const double *gradient) {
    const deq_group *g = &w->c->groups[group];
    if (w->reference) return agree(gradient + g->first, w->reference + g->first, g->count);
    double *slopes = w->direction + w->probe.length; /* there is room behind it */
    double norm = 0;
    for (int d = 0; d < w->directions; d++) {
        deq_probe_direction(direction_key(g, d), g->count, w->direction);
        slopes[d] = 0;
        for (int64_t i = 0; i < g->count; i++) slopes[d] += w->direction[i] * gradient[g->first + i];
    }
    for (int64_t i = g->first; i < g->first + g->count; i++) norm += gradient[i] * gradient[i];
    deq_agreement a = agree(slopes, w->differences + group * w->directions, w->directions);
    a.norm = sqrt(norm);
    a.estimated = w->norms[group] < 0;
    a.reference = fabs(w->norms[group]);
    return a;
}

/* ---- reference ---- */

/* d(h) along w->direction with its own error: of h = 1e-3 / 4^k the one that the next changes least. */
static bool slope(CompareWork *w, const deq_group *g, double *out, double *error, deq_error *e) {
    double before = NAN;
    *error = INFINITY;
    for (int k = 0; k < 5; k++) {
        double h = 1e-3 / pow(4, k), above, below;
        if (deq_interrupted()) return deq_fail(e, DEQ_INTERRUPTED, "stopped during a comparison");
        if (!deq_probe_shifted(&w->probe, g, w->direction, h, &above, &below, e)) return false;
        double d = (above - below) / (2 * h);
        if (k && fabs(d - before) < *error) {
            *error = fabs(d - before);
            *out = d;
        }
        before = d;
    }
    return true;
}

static bool difference(CompareWork *w, const deq_group *g, uint64_t key, double *out, double *error, deq_error *e) {
    deq_probe_direction(key, g->count, w->direction);
    return slope(w, g, out, error, e);
}

/* Norm of a group's gradient from the slope along each element; where these are too many, from the random directions,
 * each of whose slopes squared is norm^2 / count in the mean. */
static bool measure_norm(CompareWork *w, int group, deq_error *e) {
    const deq_group *g = &w->c->groups[group];
    const double *slopes = w->differences + group * w->directions;
    double sum = 0, value, error;
    if (g->count > MOST_MEASURED) {
        for (int d = 0; d < w->directions; d++) sum += slopes[d] * slopes[d];
        w->norms[group] = -sqrt(sum / w->directions * (double)g->count);
        return true;
    }
    for (int64_t i = 0; i < g->count; i++) {
        for (int64_t k = 0; k < g->count; k++) w->direction[k] = k == i;
        if (!slope(w, g, &value, &error, e)) return false;
        sum += value * value;
    }
    w->norms[group] = sqrt(sum);
    return true;
}

/* Of all parameters: from those of their parts, where all of these are known. */
static bool measure_norms(CompareWork *w, deq_error *e) {
    deq_comparison *c = w->c;
    double sum = 0;
    bool known = true;
    w->norms = calloc((size_t)(c->ngroups < 1 ? 1 : c->ngroups), sizeof *w->norms);
    if (!w->norms) return deq_fail(e, DEQ_MEMORY, "out of memory for finite differences");
    for (int g = 0; g < c->ngroups; g++) {
        const bool all = g == c->ngroups - 1;
        if (all && known)
            w->norms[g] = sqrt(sum);
        else if (!measure_norm(w, g, e))
            return false;
        if (c->groups[g].input || all) continue;
        known = known && w->norms[g] >= 0;
        sum += w->norms[g] * w->norms[g];
    }
    return true;
}

static bool finite_differences(CompareWork *w, deq_error *e) {
    deq_comparison *c = w->c;
    double apart = 0, whole = 0;
    w->differences = calloc((size_t)(c->ngroups * w->directions), sizeof(double));
    if (!w->differences) return deq_fail(e, DEQ_MEMORY, "out of memory for finite differences");
    for (int g = 0; g < c->ngroups; g++)
        for (int d = 0; d < w->directions; d++) {
            double error, *out = &w->differences[g * w->directions + d];
            if (!difference(w, &c->groups[g], direction_key(&c->groups[g], d), out, &error, e)) return false;
            apart += error * error;
            whole += *out * *out;
        }
    c->reference_adjoint = NAN;
    c->reference_error = whole > 0 ? sqrt(apart / whole) : 0;
    return measure_norms(w, e);
}

/* The reference beside differences, in a few directions of all parameters and of the inputs. */
static bool check_reference(CompareWork *w, deq_error *e) {
    double apart = 0, whole = 0;
    w->c->reference_error = NAN;
    for (int g = 0; w->probe.real_bits == 64 && g < w->c->ngroups; g++) {
        const deq_group *group = &w->c->groups[g];
        if (!group->input && group->count != w->probe.parameters) continue;
        for (int d = 0; d < CHECK_DIRECTIONS; d++) {
            double product = 0, value, error;
            if (!difference(w, group, direction_key(group, d), &value, &error, e)) return false;
            for (int64_t i = 0; i < group->count; i++) product += w->direction[i] * w->reference[group->first + i];
            apart += (value - product) * (value - product);
            whole += value * value;
        }
        w->c->reference_error = whole > 0 ? sqrt(apart / whole) : 0;
    }
    return true;
}

/* States solved as far as they go: by the script's solver, or by the best of others where that one gives up. */
static bool tight_states(CompareWork *w, deq_error *e) {
    static const char *const solvers[] = {NULL, "anderson(memory: 10)", "broyden()"};
    const deq_net_spec *net = w->subject.net;
    double wanted = w->probe.real_bits == 64 ? 1e-10 : 1e-5, best = INFINITY, loss;
    char tol[32], most[32];
    int chosen = 0;
    snprintf(tol, sizeof tol, "%g", w->probe.real_bits == 64 ? 1e-13 : 1e-7);
    snprintf(most, sizeof most, "%d", deq_probe_most_steps(&w->probe, w->app->module, REFERENCE_STEPS));
    for (int round = 0; net->nfixed && round < 4; round++) { /* the fourth goes back to the best */
        const char *solver = solvers[round < 3 ? round : chosen];
        if (round == 3 && chosen == 2) break;
        if (round == 3 && !compare_script_settings(w, &w->probe, e)) return false;
        if (!deq_engine_set(w->probe.engine, "gradient", "jfb()", e)) return false; /* it fits every solver */
        if ((solver && !deq_engine_set(w->probe.engine, "forward", solver, e)) ||
            !deq_engine_set(w->probe.engine, "forward.tol", tol, e) ||
            !deq_engine_set(w->probe.engine, "forward.max", most, e) || !deq_probe_loss(&w->probe, &loss, e))
            return false;
        w->c->reference_residual = w->probe.last.forward.solves ? w->probe.last.forward.worst_residual : 0;
        if (w->c->reference_residual < best) best = w->c->reference_residual, chosen = round;
        if (best <= wanted) break;
    }
    return true;
}

/* "finite_difference(directions: 16)" */
static bool differences_wanted(const char *text, int *directions, deq_error *e) {
    deq_call call;
    double n = 16;
    if (!text || strncmp(text, "finite_difference", 17)) return false;
    if (!deq_call_parse(deq_part_of(text), &call, e)) return false;
    if (call.count && !deq_part_number(call.arguments[0].value, &n)) n = 16;
    *directions = (int)n;
    return true;
}

bool compare_take_reference(CompareWork *w, deq_error *e) {
    deq_comparison *c = w->c;
    const char *text = w->subject.check ? w->subject.check->reference : NULL;
    deq_error own = {0};
    if (!compare_script_settings(w, &w->probe, e)) return false;
    if (differences_wanted(text, &w->directions, &own) && w->probe.real_bits == 64) {
        if (!tight_states(w, e)) return false;
        snprintf(c->reference, sizeof c->reference,
                 "finite differences in %d directions for each group, from which cosines and errors are estimated",
                 w->directions);
        w->direction = calloc((size_t)(w->probe.length + w->directions), sizeof(double));
        return w->direction ? finite_differences(w, e) : deq_fail(e, DEQ_MEMORY, "out of memory for a reference");
    }
    w->direction = calloc((size_t)w->probe.length, sizeof(double));
    w->reference = calloc((size_t)w->probe.length, sizeof(double));
    if (!w->direction || !w->reference) return deq_fail(e, DEQ_MEMORY, "out of memory for a reference");
    char tight[100];
    if (text && strncmp(text, "finite_difference", 17)) {
        snprintf(c->reference, sizeof c->reference, "%s", text);
        char note[300];
        if (!compare_fitting_forward(&w->probe, text, note, sizeof note, e)) return false;
    } else {
        snprintf(tight, sizeof tight, "implicit(gmres(tol: %g, max: %d))", w->probe.real_bits == 64 ? 1e-13 : 1e-7,
                 deq_probe_most_steps(&w->probe, w->app->module, REFERENCE_STEPS));
        snprintf(c->reference, sizeof c->reference, "%s", tight);
        if (!tight_states(w, e)) return false;
    }
    if (w->subject.net->nfixed && !deq_engine_set(w->probe.engine, "gradient", c->reference, e)) return false;
    if (!deq_probe_gradient(&w->probe, w->reference, e)) return false;
    const deq_results *last = &w->probe.last;
    c->reference_residual = last->forward.solves ? last->forward.worst_residual : 0;
    c->reference_adjoint = last->adjoint.solves ? last->adjoint.worst_residual : NAN;
    return check_reference(w, e);
}
