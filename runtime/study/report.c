/* report.c - `deq report FOLDER`: what a run left, one row for each fixed point, then a sentence for each pathology
 * with its number and what to try. */
#include "study.h"
#include "diagnosis.h"
#include "report.h"
#include "training_log.h"
#include "seal.h"
#include "settings.h"
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* ---- numbers of NAME-solves.json; NaN where one is not there ---- */

static double number(const json_t *o, const char *key) { return deq_json_double(json_object_get(o, key)); }
static double median(const json_t *o, const char *key) {
    return deq_json_double(json_array_get(json_object_get(o, key), 0));
}
static double most(const json_t *o, const char *key) {
    return deq_json_double(json_array_get(json_object_get(o, key), 1));
}
static double share(const json_t *solves, const char *reason) {
    double v = number(json_object_get(solves, "reasons"), reason);
    return isnan(v) ? 0 : v;
}
/* "3.2e-05", "17", "-" */
static const char *put(char *out, size_t size, const char *format, double v) {
    if (isfinite(v))
        snprintf(out, size, format, v);
    else
        snprintf(out, size, "-");
    return out;
}

static const char *pair(char *out, size_t size, const char *format, const json_t *o, const char *key) {
    char a[32], b[32];
    if (!json_object_get(o, key))
        snprintf(out, size, "-");
    else
        snprintf(out, size, "%s / %s", put(a, sizeof a, format, median(o, key)),
                 put(b, sizeof b, format, most(o, key)));
    return out;
}

static const char *path_of(const json_t *fixed) {
    const char *path = deq_json_text(fixed, "path");
    return *path ? path : "fixed point";
}

/* "Trained with clip norm(most: 1), average ema(decay: 0.999, warmup: true)." */
static void put_training(FILE *out, const json_t *training) {
    const char *key, *comma = "Trained with ";
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)training, key, value) {
        char *text = json_is_string(value) ? strdup(json_string_value(value))
                                           : json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
        fprintf(out, "%s%s %s", comma, key, text ? text : "");
        comma = ", ";
        free(text);
    }
    if (json_object_size(training)) fputs(".\n", out);
}

void deq_diagnosis_table(FILE *out, const json_t *solves) {
    size_t i;
    json_t *f;
    char t[9][80];
    fputs("| fixed point | forward steps | residual | not converged | radius of J | norm 2 | norm F | adjoint steps | "
          "adjoint residual | not converged |\n|:--|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
          out);
    json_array_foreach(json_object_get(solves, "fixed"), i, f) {
        const json_t *forward = json_object_get(f, "forward_solves"), *adjoint = json_object_get(f, "adjoint_solves");
        const json_t *spectrum = json_object_get(f, "spectrum");
        fprintf(out, "| %s | %s | %s | %s%% | %s | %s | %s | %s | %s | %s%s |\n", path_of(f),
                pair(t[0], 80, "%.0f", forward, "steps"), pair(t[1], 80, "%.1e", forward, "residual"),
                put(t[2], 80, "%.3g", 100 * number(forward, "failed")), pair(t[3], 80, "%.3f", spectrum, "radius"),
                pair(t[4], 80, "%.2f", spectrum, "norm2"), pair(t[5], 80, "%.2f", spectrum, "frobenius"),
                pair(t[6], 80, "%.0f", adjoint, "steps"), pair(t[7], 80, "%.1e", adjoint, "residual"),
                put(t[8], 80, "%.3g", 100 * number(adjoint, "failed")), json_is_object(adjoint) ? "%" : "");
    }
    fputs("\nSteps, residuals, radii and norms of J: median / worst of the examples.\n", out);
    double change = NAN;
    json_array_foreach(json_object_get(solves, "fixed"), i, f) change =
        fmax(change, number(json_object_get(f, "spectrum"), "radius_change"));
    if (isfinite(change)) /* there are spectra */
        fprintf(
            out,
            "The radius is that of Arnoldi's method, whose last five steps moved it by %.0e of itself (median). Norm 2 "
            "is a lower bound, by power iteration; norm F is an estimate, from random vectors.\n",
            change);
    put_training(out, json_object_get(solves, "training"));
    json_array_foreach(json_object_get(solves, "fixed"), i, f) {
        const json_t *c = json_object_get(f, "certificate");
        if (!json_is_object(c)) continue;
        bool monotone = !strcmp(deq_json_text(c, "kind"), "monotone");
        fprintf(
            out, "%s: certify: %s(%g) is %s%s; %s %s.\n", path_of(f), deq_json_text(c, "kind"), number(c, "claimed"),
            isfinite(number(c, "proved")) ? "proved by the form of the equation, which gives " : "not proved",
            isfinite(number(c, "proved")) ? put(t[0], 80, "%.4g", number(c, "proved")) : "",
            monotone ? "measured margin" : "largest measured norm(J)", put(t[1], 80, "%.4g", number(c, "measured")));
    }
}

static const double *column_of(const deq_log_row *row, size_t offset) {
    return (const double *)(const void *)((const char *)row + offset);
}

/* Every epoch, or first, last and some between. */
#define EPOCHS_SHOWN 12

void deq_diagnosis_epochs(FILE *out, const json_t *log) {
    const size_t n = json_array_size(log), shown = n < EPOCHS_SHOWN ? n : EPOCHS_SHOWN;
    const struct {
        const char *title, *format;
        size_t offset;
        bool always;
    } columns[] = {
#define AT(member) offsetof(deq_log_row, member)
        {"epoch", "%.0f", AT(epoch), true},
        {"loss", "%.4g", AT(loss), true},
        {deq_log_metric(json_array_get(log, 0)), "%.4g", AT(metric), false},
        {"clean", "%.4g", AT(clean), false},
        {"robust", "%.4g", AT(robust), false},
        {"penalty", "%.3g", AT(penalty), false},
        {"correction", "%.3g", AT(correction), false},
        {"norm of gradient", "%.3g", AT(gradient_norm), false},
        {"clipped", "%.3g", AT(clipped), false},
        {"steps", "%.1f", AT(steps), true},
        {"residual", "%.1e", AT(residual), true},
        {"radius of J", "%.3f", AT(radius), false},
        {"norm 2", "%.2f", AT(norm2), false},
        {"norm F", "%.2f", AT(frobenius), false},
    };
#undef AT
    enum { COLUMNS = sizeof columns / sizeof *columns };
    bool there[COLUMNS];
    if (!n) return;
    for (int k = 0; k < COLUMNS; k++) there[k] = columns[k].always;
    for (size_t i = 0; i < n; i++) {
        const deq_log_row row = deq_log_row_of(json_array_get(log, i));
        for (int k = 0; k < COLUMNS; k++) there[k] = there[k] || isfinite(*column_of(&row, columns[k].offset));
    }
    fputs("\n|", out);
    for (int k = 0; k < COLUMNS; k++)
        if (there[k]) fprintf(out, " %s |", columns[k].title);
    fputs("\n|", out);
    for (int k = 0; k < COLUMNS; k++)
        if (there[k]) fputs("--:|", out);
    for (size_t i = 0; i < shown; i++) {
        char text[32];
        const size_t at = shown > 1 ? (i * (n - 1) + (shown - 1) / 2) / (shown - 1) : 0;
        const deq_log_row row = deq_log_row_of(json_array_get(log, at));
        fputs("\n|", out);
        for (int k = 0; k < COLUMNS; k++)
            if (there[k])
                fprintf(out, " %s |", put(text, sizeof text, columns[k].format, *column_of(&row, columns[k].offset)));
    }
    fputc('\n', out);
}

void deq_diagnosis_curve(FILE *out, const json_t *curve) {
    size_t n = json_array_size(curve), last = 0;
    const char *separator = "\nResidual of the first fixed point after n iterations, median: ";
    while (last < n && number(json_array_get(curve, last), "running") > 0) last++;
    for (size_t k = 1; k <= last; k = k < last && 2 * k > last ? last : 2 * k) {
        double value = number(json_array_get(curve, k - 1), "median");
        if (!isfinite(value)) break;
        fprintf(out, "%s%zu: %.1e", separator, k, value);
        separator = ", ";
        if (k == last) break;
    }
    if (last) fputs(".\n", out);
}

/* ---- sentences ---- */

typedef struct Sentences {
    FILE *out;
    const char *fixed;
    int count;
} Sentences;

static void __attribute__((format(printf, 2, 3))) say(Sentences *s, const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    fprintf(s->out, "- %s%s", s->fixed, *s->fixed ? ": " : "");
    vfprintf(s->out, format, ap);
    fputc('\n', s->out);
    va_end(ap);
    s->count++;
}

typedef struct Facts { /* of one fixed point */
    const json_t *forward, *adjoint, *spectrum;
    deq_solver solver;
    deq_mode mode;
    const char *solver_name, *mode_text, *real, *penalty;
    double radius, worst_radius, lost; /* lost: share of gradients that were not finite */
    bool known;                        /* solver and mode could be read */
} Facts;

/* Steps of a plain iteration that shrinks errors by `radius` each. */
static double steps_for(double tol, double radius) { return ceil(log(tol) / log(radius)); }

static void of_chain(Sentences *s, const json_t *solves, const char *which, const deq_solver *chain) {
    const double later = 100 * number(solves, "later");
    if (!chain->links || !(later > 0)) return;
    say(s, "%.3g%% of %s solves were left unsolved by %s and answered by a later solver of the chain.%s", later, which,
        deq_solver_name(chain->kind),
        later > 30 ? " Where that many are, put the later one first: what the first does for them is lost." : "");
}

static void of_forward(Sentences *s, const Facts *f) {
    const deq_solver *o = &f->solver;
    double stopped = 100 * share(f->forward, "max_steps"), diverged = 100 * share(f->forward, "diverged"),
           stagnated = 100 * share(f->forward, "stagnated"), residual = median(f->forward, "residual");
    of_chain(s, f->forward, "forward", o);
    if (diverged > 0)
        say(s,
            "%.3g%% of forward solves diverged (their residual grew beyond `growth`, NaN or infinity). Try %s, smaller "
            "initial weights, or a bounded cell (tanh, LayerNorm).",
            diverged, o->kind == DEQ_SOLVER_picard ? "picard(damping: 0.5) or anderson()" : "damping: 0.5");
    if (stopped > 0 && o->tol > 0) {
        if (f->worst_radius >= 1)
            say(s,
                "%.3g%% of forward solves hit max: %d (median residual %.1e, tol %g). At spectral radius %.2f a plain "
                "iteration diverges: use broyden() or anderson(memory: 10), and bring the radius down with `penalty: "
                "jacobian(weight: 0.4)`, smaller initial weights, weight_norm or LayerNorm.",
                stopped, o->max, residual, o->tol, f->worst_radius);
        else if (o->kind == DEQ_SOLVER_picard && f->worst_radius > 0 && f->worst_radius < 1)
            say(s,
                "%.3g%% of forward solves hit max: %d (median residual %.1e, tol %g). At spectral radius %.2f a plain "
                "iteration needs about %.0f steps for this tol: use anderson() or broyden(), or raise max.",
                stopped, o->max, residual, o->tol, f->worst_radius, steps_for(o->tol, f->worst_radius));
        else
            say(s,
                "%.3g%% of forward solves hit max: %d (median residual %.1e, tol %g). Raise max to %d, or accept tol: "
                "%.0e.",
                stopped, o->max, residual, o->tol, 2 * o->max, most(f->forward, "residual"));
    }
    double singular = 100 * share(f->forward, "singular");
    if (singular > 0)
        say(s,
            "%.3g%% of forward solves did not start: I + step (I - L) has no inverse at step %g that %s can hold. Take "
            "another step, or a form of L that is monotone (certify: monotone(m)).",
            singular, o->step, f->real);
    if (stagnated > 0)
        say(s,
            "%.3g%% of forward solves stagnated at residuals up to %.1e, as far as %s goes: tol: %g cannot be reached. "
            "Raise tol to %.0e, or compile with --precision f64.",
            stagnated, most(f->forward, "residual"), f->real, o->tol, 4 * most(f->forward, "residual"));
    if (!(stopped > 0) && o->tol > 0 && median(f->forward, "steps") >= 0.8 * o->max)
        say(s, "forward solves take %.0f of at most %d steps: little is left for harder examples. Raise max.",
            median(f->forward, "steps"), o->max);
}

static void of_adjoint(Sentences *s, const Facts *f) {
    if (f->lost > 0)
        say(s,
            "%.3g%% of the gradients were not finite, and were left out. Look for a square root or logarithm of 0, or "
            "numbers beyond what %s holds, behind the fixed point or in it.",
            100 * f->lost, f->real);
    if (!json_is_object(f->adjoint)) return;
    const deq_solver *o = &f->mode.adjoint;
    bool series = o->kind == DEQ_SOLVER_neumann || o->kind == DEQ_SOLVER_picard;
    double stopped = 100 * share(f->adjoint, "max_steps"), diverged = 100 * share(f->adjoint, "diverged"),
           broken = 100 * (share(f->adjoint, "breakdown") + share(f->adjoint, "stagnated"));
    char radius[200] = "";
    if (f->worst_radius >= 1)
        snprintf(radius, sizeof radius, "; at radius %.2f the Neumann series diverges", f->worst_radius);
    of_chain(s, f->adjoint, "backward", o);
    if (stopped > 0 && o->tol > 0)
        say(s, "%.3g%% of backward solves hit max: %d (median residual %.1e). Raise max, %s, or use phantom.unroll%s.",
            stopped, o->max, median(f->adjoint, "residual"), o->kind == DEQ_SOLVER_gmres ? "loosen tol" : "use gmres",
            radius);
    if (diverged > 0)
        say(s, "%.3g%% of backward solves diverged%s. Use implicit(gmres())%s.", diverged, radius,
            series ? ", which does not need the series to converge" : " or phantom.unroll");
    if (broken > 0)
        say(s,
            "%.3g%% of backward solves ended early at residuals up to %.1e: I - J' is close to singular, or tol: %g is "
            "below what %s reaches.",
            broken, most(f->adjoint, "residual"), o->tol, f->real);
}

/* What the mode leaves out of sum J'^k g, as a share of its slowest part. */
static void of_mode(Sentences *s, const Facts *f) {
    if (isnan(f->radius) || !deq_mode_has(&f->mode, TRAIT_SERIES)) return;
    const double damping = f->mode.damping, each = 1 - damping + damping * f->radius, left = pow(each, f->mode.steps);
    if (!(left > 0.3)) return;
    if (each < 1)
        say(s,
            "%s leaves %.0f%% of the slowest part of the adjoint out at spectral radius %.2f. For a tenth use "
            "phantom.unroll(steps: %.0f, damping: %g), or implicit(gmres()).",
            f->mode_text, 100 * left, f->radius, steps_for(0.1, each), damping);
    else
        say(s,
            "%s: at spectral radius %.2f the series it cuts off diverges, more steps make it worse. Use "
            "implicit(gmres()).",
            f->mode_text, f->radius);
}

static void of_spectrum(Sentences *s, const Facts *f) {
    double norm = median(f->spectrum, "norm2");
    bool splits =
        f->known && (f->solver.kind == DEQ_SOLVER_peaceman_rachford || f->solver.kind == DEQ_SOLVER_douglas_rachford ||
                     f->solver.kind == DEQ_SOLVER_forward_backward);
    if (f->worst_radius >= 1 && splits)
        say(s,
            "the spectral radius of J at the equilibria is %.2f in the median and reaches %.2f: a plain iteration "
            "would "
            "diverge here, %s does not depend on it. Keep it, and implicit(..) for the gradient: series such as "
            "phantom.neumann and jfb are cut off where they grow.",
            f->radius, f->worst_radius, f->solver_name);
    else if (f->worst_radius >= 1)
        say(s,
            "the spectral radius of J at the equilibria is %.2f in the median and reaches %.2f: these equilibria repel "
            "a "
            "plain iteration, and the gradient grows without bound as it nears a singular I - J. %s.",
            f->radius, f->worst_radius,
            *f->penalty ? "Raise the weight of the penalty" : "Train with `penalty: jacobian(weight: 0.4)`");
    else if (f->worst_radius >= 0.95)
        say(s,
            "the spectral radius of J reaches %.3f: errors shrink by %.1f%% a plain step, a gain of %.0f in the "
            "gradient. Watch it with `spectrum: 16` in train; %s.",
            f->worst_radius, 100 * (1 - f->worst_radius), 1 / (1 - f->worst_radius),
            *f->penalty ? "a larger weight of the penalty brings it down"
                        : "`penalty: jacobian(weight: 0.1)` brings it down");
    if (norm > 1 && norm > 5 * f->radius)
        say(s,
            "norm(J) is %.1f where its spectral radius is %.2f: J is far from normal, so residuals may grow for many "
            "steps before they shrink. Give anderson more memory, and do not judge by the first residuals; `penalty: "
            "spectral(weight: 0.1)` lowers the norm itself.",
            norm, f->radius);
}

/* What `certify` claims, beside what the trained net has. */
static void of_certificate(Sentences *s, const json_t *c) {
    double claimed = number(c, "claimed"), proved = number(c, "proved"), measured = number(c, "measured");
    bool monotone = !strcmp(deq_json_text(c, "kind"), "monotone");
    const char *what = monotone ? "margin of I - L" : "norm(J)";
    if (!json_is_object(c) || isfinite(proved)) return;
    if (isnan(measured))
        say(s, "certify: %s(%g) is neither proved nor measured here: the state is too large, or differs by example.",
            deq_json_text(c, "kind"), claimed);
    else if (monotone ? measured < claimed * (1 - 1e-6) - 1e-6 : measured > claimed * (1 + 1e-6))
        say(s, "certify: %s(%g) does not hold: the %s is %.4g%s. %s", deq_json_text(c, "kind"), claimed, what, measured,
            monotone ? " at the trained parameters" : " at an equilibrium",
            monotone ? "Write L as (1 - m) z - (z @ A') @ A + z @ B - z @ B', whose margin is m."
                     : "Divide matrices by their norms, or lower the factor before them.");
}

static void of_log(Sentences *s, const json_t *log) {
    size_t n = json_array_size(log);
    if (n < 2) return;
    deq_log_row first = deq_log_row_of(json_array_get(log, 0)), last = deq_log_row_of(json_array_get(log, n - 1));
    s->fixed = "training";
    if (last.steps > 1.5 * first.steps)
        say(s,
            "forward solves took %.1f steps in the last epoch and %.1f in the first: the cell loses contraction while "
            "it trains. %s, a lower rate or weight decay slow that.",
            last.steps, first.steps,
            last.penalty > 0 ? "A larger weight of the penalty" : "`penalty: jacobian(weight: 0.1)`");
    if (last.radius > 0.9 && last.radius > 1.2 * first.radius)
        say(s,
            "the spectral radius rose from %.2f to %.2f in %.0f epochs. Bound it: %s, weight_norm, LayerNorm, weight "
            "decay.",
            first.radius, last.radius, last.epoch,
            last.penalty > 0 ? "a larger weight of the penalty" : "`penalty: jacobian(weight: 0.1)`");
    if (last.penalty > last.loss && last.loss > 0)
        say(s,
            "the penalty is %.2g in the last epoch, the loss %.2g: the net is trained for its Jacobian more than for "
            "its "
            "task. Lower the weight, or take the penalty in some steps only (frequency: 0.1).",
            last.penalty, last.loss);
    if (last.loss >= first.loss)
        say(s,
            "the training loss did not fall: %.4g in the first epoch, %.4g in the last. Lower the rate, or check that "
            "the gradient is right with deq gradcheck.",
            first.loss, last.loss);
}

int deq_diagnosis_sentences(FILE *out, const json_t *solves, const json_t *log) {
    Sentences s = {out, "", 0};
    size_t i;
    json_t *fixed;
    json_array_foreach(json_object_get(solves, "fixed"), i, fixed) {
        deq_error e = {0};
        Facts f = {.forward = json_object_get(fixed, "forward_solves"),
                   .adjoint = json_object_get(fixed, "adjoint_solves"),
                   .spectrum = json_object_get(fixed, "spectrum"),
                   .mode_text = deq_json_text(fixed, "gradient"),
                   .penalty = deq_json_text(fixed, "penalty"),
                   .real = deq_json_text(solves, "real")};
        f.radius = median(f.spectrum, "radius");
        f.worst_radius = most(f.spectrum, "radius");
        f.lost = number(fixed, "lost_gradients");
        char name[40];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(deq_json_text(fixed, "forward"), "("),
                 deq_json_text(fixed, "forward"));
        f.solver_name = name;
        f.known = deq_solver_parse(deq_json_text(fixed, "forward"), false, &f.solver, &e) &&
                  deq_mode_parse(deq_json_text(fixed, "gradient"), &f.mode, &e);
        s.fixed = path_of(fixed);
        if (f.known) {
            of_forward(&s, &f);
            of_adjoint(&s, &f);
            of_mode(&s, &f);
        }
        of_spectrum(&s, &f);
        of_certificate(&s, json_object_get(fixed, "certificate"));
    }
    if (log) of_log(&s, log);
    return s.count;
}

/* ---- a folder ---- */

static void report_model(deq_reporter *r, const json_t *solves, const json_t *log, const json_t *curve) {
    char *table = NULL, *lines = NULL;
    size_t size;
    FILE *f = open_memstream(&table, &size), *g = open_memstream(&lines, &size);
    if (!f || !g) return;
    deq_diagnosis_table(f, solves);
    if (curve) deq_diagnosis_curve(f, curve);
    if (log) deq_diagnosis_epochs(f, log);
    int n = deq_diagnosis_sentences(g, solves, log);
    fclose(f);
    fclose(g);
    deq_report(r, "## %s: net %s, %lld examples of %s, %s\n\n%s", deq_json_text(solves, "model"),
               deq_json_text(solves, "net"), (long long)json_integer_value(json_object_get(solves, "examples")),
               deq_json_text(solves, "data"), deq_json_text(solves, "real"), table);
    deq_report(r, "%s", n ? lines : DEQ_NO_PATHOLOGY);
    json_t *list = json_array();
    char *end = NULL;
    for (char *line = strtok_r(lines, "\n", &end); line; line = strtok_r(NULL, "\n", &end))
        json_array_append_new(list, json_string(line + 2));
    json_t *event = json_pack("{s:O, s:o}", "solves", solves, "sentences", list);
    if (log) json_object_set(event, "epochs", (json_t *)log);
    deq_report_event(r, "report", event);
    free(table);
    free(lines);
}

/* Every table of the folder that deq wrote is as it was written. */
static void check_tables(const char *folder, deq_error *e) {
    int n;
    char **names = deq_files_ending(folder, ".csv", &n);
    for (int i = 0; i < n; i++) {
        char *path = deq_path_join(folder, names[i], NULL);
        if (path && e->failure == DEQ_OK && deq_csv_is_sealed(path)) free(deq_sealed_csv(path, e));
        free(path);
        free(names[i]);
    }
    free(names);
}

json_t *deq_report_run(const char *folder, deq_error *e) {
    char *path = deq_path_join(folder, "settings.json", NULL);
    json_t *run = path ? deq_sealed_json(path, e) : NULL;
    free(path);
    return run;
}

bool deq_report_nothing(const char *folder, deq_error *e) {
    return deq_fail(e, DEQ_REPORT,
                    "'%s' holds no results of a run (no settings.json); a run leaves them in results/NAME", folder);
}

static bool report_folder(deq_reporter *r, const char *folder, deq_error *e) {
    int n;
    json_t *record = deq_report_run(folder, e);
    char **names = deq_files_ending(folder, "-solves.json", &n);
    check_tables(folder, e);
    if (!record && !n && e->failure == DEQ_OK) deq_report_nothing(folder, e);
    if (record)
        deq_report(r, "# %s, run at %s on %s\n", deq_json_text(record, "script"), deq_json_text(record, "date"),
                   deq_json_text(record, "cpu"));
    if (record && !n) deq_report(r, "No trained net with a fixed point in this folder.");
    for (int i = 0; i < n; i++) {
        char *path = deq_path_join(folder, names[i], NULL), *log = NULL, *curve = NULL;
        names[i][strlen(names[i]) - strlen("-solves.json")] = 0;
        char name[300];
        snprintf(name, sizeof name, "%s-log.csv", names[i]);
        log = deq_path_join(folder, name, NULL);
        snprintf(name, sizeof name, "%s-residual.csv", names[i]);
        curve = deq_path_join(folder, name, NULL);
        json_t *solves = path ? deq_sealed_json(path, e) : NULL, *rows = log ? deq_sealed_rows(log, e) : NULL,
               *residuals = curve ? deq_sealed_rows(curve, e) : NULL;
        if (e->failure == DEQ_OK && json_is_array(json_object_get(solves, "fixed")))
            report_model(r, solves, rows, residuals);
        else if (e->failure == DEQ_OK)
            deq_fail(e, DEQ_REPORT, "'%s' is damaged; run the script again", path ? path : names[i]);
        json_decref(solves);
        json_decref(rows);
        json_decref(residuals);
        free(path);
        free(log);
        free(curve);
        free(names[i]);
    }
    deq_report_tables(r, folder, e);
    if (e->failure == DEQ_OK) deq_report_figures(r, folder, e);
    if (e->failure == DEQ_OK) deq_report_others(r, folder, e);
    if (e->failure == DEQ_OK) deq_report_claims(r, folder, e);
    free(names);
    json_decref(record);
    return e->failure == DEQ_OK;
}

int deq_app_report(const char *folder, const deq_app_options *options) {
    deq_reporter r;
    deq_error e = {0};
    deq_reporter_open(&r, options->json, options->quiet);
    bool ok = report_folder(&r, folder, &e);
    if (!ok) deq_report_error(&r, &e);
    return ok ? 0 : deq_failure_exit(e.failure);
}
