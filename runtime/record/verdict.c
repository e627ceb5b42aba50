/* verdict.c - one function a row of verdict.def, and what their numbers mean together. */
#define _GNU_SOURCE
#include "verdict.h"
#include "interval.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NEVER INFINITY
#define MUCH 0.05       /* by which no accuracy may be too high */
#define LEAST_MARGIN 10 /* a loss at its floor is no rounding where the outputs are close */

typedef bool Has(const deq_record *r, int real_bits);

static double share(const deq_judged *of, Has *has) {
    int64_t count = 0;
    for (int64_t i = 0; i < of->n; i++) count += has(&of->records[i], of->real_bits);
    return of->n ? (double)count / (double)of->n : NAN;
}

/* A gradient that was cut to zero is counted as lost and as zero. */
static bool blind(const deq_record *r) {
    int64_t nothing = r->zero_gradients > r->lost_gradients ? r->zero_gradients : r->lost_gradients;
    return !deq_record_wrong(r) && r->gradients > 0 && 2 * nothing >= r->gradients;
}

/* An example counts once: under what most of its useless gradients are. */
static bool mostly_zero(const deq_record *r, int real_bits) {
    (void)real_bits;
    return blind(r) && r->zero_gradients > r->lost_gradients;
}

static bool mostly_lost(const deq_record *r, int real_bits) {
    (void)real_bits;
    return blind(r) && r->zero_gradients <= r->lost_gradients;
}

/* Of those whose gradients say something, and of attacks that ask for none. */
static bool mostly_undefined(const deq_record *r, int real_bits) {
    (void)real_bits;
    const int64_t values = r->queries > r->gradients ? r->queries : r->gradients;
    return !deq_record_wrong(r) && !blind(r) && values > 0 && 2 * (int64_t)r->undefined_values >= values;
}

static bool at_floor(const deq_record *r, int real_bits) {
    const double floor = real_bits == 64 ? 1e-14 : 1e-6;
    return !deq_record_wrong(r) && isfinite(r->margin) && r->margin > LEAST_MARGIN && r->loss >= 0 && r->loss <= floor;
}

static bool no_prediction(const deq_record *r, int real_bits) {
    (void)real_bits;
    return r->prediction == DEQ_PREDICTION_NAN;
}

/* Not where an attack went elsewhere and found nothing worse than the input as given. */
static bool as_given(const deq_record *r, int real_bits) {
    (void)real_bits;
    return !deq_record_wrong(r) && r->reach_inf == 0;
}

static bool not_searched(const deq_record *r, int real_bits) {
    (void)real_bits;
    return !deq_record_wrong(r) && r->queries == 0;
}

static double number_zero_gradients(const deq_judged *of) { return share(of, mostly_zero); }
static double number_lost_gradients(const deq_judged *of) { return share(of, mostly_lost); }
static double number_undefined_values(const deq_judged *of) { return share(of, mostly_undefined); }
static double number_saturated(const deq_judged *of) { return of->transferred ? NAN : share(of, at_floor); }
static double number_undefined(const deq_judged *of) { return share(of, no_prediction); }
static double number_unmoved(const deq_judged *of) { return share(of, as_given); }
static double number_unasked(const deq_judged *of) { return share(of, not_searched); }

/* Of all solves of one kind, not of examples: one that asks for more counts for more. */
static double short_of_tolerance(const deq_judged *of, bool adjoint) {
    int64_t solves = 0, failed = 0;
    for (int64_t i = 0; i < of->n; i++) {
        const deq_record *r = &of->records[i];
        solves += adjoint ? r->adjoint_solves : r->attack_solves;
        failed += adjoint ? r->adjoint_unconverged : r->attack_unconverged;
    }
    return solves ? (double)failed / (double)solves : NAN;
}

static double number_unconverged(const deq_judged *of) { return short_of_tolerance(of, false); }
static double number_adjoints_unconverged(const deq_judged *of) { return short_of_tolerance(of, true); }

/* Something says whether the answer is right. */
static bool is_told(const deq_record *r) { return r->prediction != DEQ_PREDICTION_NONE; }

static double number_above_clean(const deq_judged *of) {
    int64_t gained = 0, lost = 0;
    for (int64_t i = 0; of->clean && i < of->n; i++) {
        if (!is_told(&of->clean[i]) || !is_told(&of->records[i])) continue; /* by metrics that differ */
        bool before = !deq_record_wrong(&of->clean[i]), after = !deq_record_wrong(&of->records[i]);
        gained += after && !before;
        lost += before && !after;
    }
    return of->clean ? deq_paired_difference(gained, lost, of->n).low : NAN;
}

/* ---- what an audit found ---- */
void deq_audit_free(deq_audit *a) {
    if (!a) return;
    for (deq_reattack k = 0; k < DEQ_REATTACKS; k++) free(a->again[k]);
    free(a->clean);
    free(a->rows);
    free(a);
}

static int64_t made(const deq_audit *a, deq_reattack way) { return a->made[way] ? a->made[way] : a->n; }

/* All low ends of an audit hold together: it makes many comparisons, and one of them is likely to look like something. */
static double width(const deq_audit *a) {
    int64_t ways = 0;
    for (deq_reattack k = 0; k < DEQ_REATTACKS; k++) ways += a->again[k] != NULL;
    return deq_joint_width(ways);
}

/* By how much the other way lowers the share of right examples, at the least. */
static double drop(const deq_judged *of, deq_reattack way) {
    const deq_audit *a = of->audit;
    int64_t gained = 0, lost = 0;
    if (a && a->same[way]) return 0;
    if (!a || !a->again[way]) return NAN;
    const int64_t n = made(a, way);
    for (int64_t i = 0; i < n; i++) {
        bool before = !deq_record_wrong(&of->records[a->rows[i]]), after = !deq_record_wrong(&a->again[way][i]);
        gained += after && !before;
        lost += before && !after;
    }
    return deq_paired_difference_wide(lost, gained, n, width(a)).low;
}

static double number_uncut(const deq_judged *of) { return drop(of, DEQ_REATTACK_uncut); }
static double number_converged(const deq_judged *of) { return drop(of, DEQ_REATTACK_converged); }
static double number_implicit(const deq_judged *of) { return drop(of, DEQ_REATTACK_implicit); }
static double number_phantom(const deq_judged *of) { return drop(of, DEQ_REATTACK_phantom); }
static double number_jfb(const deq_judged *of) { return drop(of, DEQ_REATTACK_jfb); }
static double number_defended(const deq_judged *of) { return drop(of, DEQ_REATTACK_defended); }
static double number_margin(const deq_judged *of) { return drop(of, DEQ_REATTACK_margin); }
static double number_longer(const deq_judged *of) { return drop(of, DEQ_REATTACK_longer); }
static double number_noise(const deq_judged *of) { return drop(of, DEQ_REATTACK_noise); }

static double number_unbounded(const deq_judged *of) {
    const deq_audit *a = of->audit;
    int64_t right = 0;
    if (!a || !a->again[DEQ_REATTACK_unbounded] || a->classes < 2) return NAN;
    const int64_t n = made(a, DEQ_REATTACK_unbounded);
    for (int64_t i = 0; i < n; i++) {
        if (!is_told(&a->again[DEQ_REATTACK_unbounded][i])) return NAN;
        right += !deq_record_wrong(&a->again[DEQ_REATTACK_unbounded][i]);
    }
    return deq_wilson_wide(right, n, width(a)).low - 1.0 / (double)a->classes;
}

/* Only examples that the attack left right are searched: it has lost those that are wrong now. */
static double number_search(const deq_judged *of) {
    const deq_audit *a = of->audit;
    int64_t found = 0;
    if (!a || !a->again[DEQ_REATTACK_search]) return NAN;
    for (int64_t i = 0; i < a->n; i++)
        found += !deq_record_wrong(&of->records[a->rows[i]]) && deq_record_wrong(&a->again[DEQ_REATTACK_search][i]);
    return deq_wilson_wide(found, a->n, width(a)).low;
}

static double number_tighter(const deq_judged *of) {
    const deq_audit *a = of->audit;
    int64_t moved = 0;
    if (!a || !a->again[DEQ_REATTACK_tighter] || !a->clean) return NAN;
    for (int64_t i = 0; i < a->n; i++) moved += a->again[DEQ_REATTACK_tighter][i].prediction != a->clean[i].prediction;
    return deq_wilson_wide(moved, a->n, width(a)).low;
}

/* ---- the verdict ---- */
static const struct {
    const char *name;
    double (*number)(const deq_judged *of);
    double suspect, masked;
} checks[] = {
#define CHECK(id, suspect, masked, scale, text, doc) {#id, number_##id, suspect, masked},
#include "verdict.def"
#undef CHECK
};

const char *deq_check_name(deq_check check) { return checks[check].name; }

double deq_check_suspect(deq_check check) { return checks[check].suspect; }

static const char *const words[] = {
#define VERDICT(word, doc) #word,
#include "verdicts.def"
#undef VERDICT
};
static_assert(sizeof words / sizeof *words == DEQ_MASKED, "a level for each row of verdicts.def");
const char *const *const deq_verdict_words = words;

const char *deq_verdict_name(deq_verdict_level level) { return level ? words[level - 1] : ""; }

deq_verdict_level deq_verdict_named(const char *word) {
    deq_verdict_level level = DEQ_MASKED;
    while (level && (!word || strcmp(word, words[level - 1]) != 0)) level--;
    return level;
}

static deq_verdict_level level_of(deq_check check, double number) { /* NaN is above nothing */
    return number > checks[check].masked ? DEQ_MASKED : number > checks[check].suspect ? DEQ_SUSPECT : DEQ_RELIABLE;
}

/* What falls short or saturates is weighed by what it changes, where an audit has measured that. */
static deq_verdict_level weighed(const deq_judged *of, deq_check check, double number) {
    const deq_verdict_level own = level_of(check, number);
    const deq_audit *a = of->audit;
    if (check == DEQ_CHECK_unconverged || check == DEQ_CHECK_adjoints_unconverged)
        return a && a->again[DEQ_REATTACK_converged] ? DEQ_RELIABLE : own; /* the row `converged` says it */
    if (check != DEQ_CHECK_saturated || !a || !a->again[DEQ_REATTACK_margin] || own <= DEQ_RELIABLE) return own;
    const double changes = number_margin(of);
    return changes > MUCH ? DEQ_MASKED : changes > checks[DEQ_CHECK_margin].suspect ? own : DEQ_RELIABLE;
}

deq_verdict deq_judge(const deq_judged *of) {
    deq_verdict v = {.level = DEQ_RELIABLE, .audited = of->audit ? of->audit->n : 0};
    for (deq_check k = 0; k < DEQ_CHECKS; k++) {
        v.numbers[k] = checks[k].number(of);
        v.levels[k] = weighed(of, k, v.numbers[k]);
        if (v.levels[k] > v.level) v.level = v.levels[k];
    }
    return v;
}

static void print_check(FILE *out, const deq_verdict *v, deq_check check) {
    switch (check) {
#define CHECK(id, suspect, masked, scale, text, doc)                                                                   \
    case DEQ_CHECK_##id:                                                                                               \
        fprintf(out, text, (scale)*v->numbers[check]);                                                                 \
        break;
#include "verdict.def"
#undef CHECK
    case DEQ_CHECKS: break;
    }
}

void deq_verdict_reasons(FILE *out, const deq_verdict *v) {
    const char *between = "";
    for (deq_check k = 0; k < DEQ_CHECKS; k++) {
        if (v->levels[k] <= DEQ_RELIABLE) continue;
        fputs(between, out);
        print_check(out, v, k);
        between = "; ";
    }
}

char *deq_verdict_text(const deq_verdict *v) {
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f) return NULL;
    fputs(deq_verdict_name(v->level), f);
    if (v->level > DEQ_RELIABLE) fputs(": ", f);
    deq_verdict_reasons(f, v);
    fclose(f);
    return text;
}

void deq_verdict_numbers(FILE *out, const deq_verdict *v, const char *separator) {
    const char *between = "";
    for (deq_check k = 0; k < DEQ_CHECKS; k++) {
        if (isnan(v->numbers[k])) continue;
        fprintf(out, "%s%s %.3g", between, checks[k].name, v->numbers[k]);
        between = separator;
    }
}

static json_t *every_check(const deq_verdict *v) {
    json_t *all = json_array();
    for (deq_check k = 0; k < DEQ_CHECKS; k++)
        if (!isnan(v->numbers[k]))
            json_array_append_new(all, json_pack("{s:s, s:s, s:f}", "check", checks[k].name, "level",
                                                 deq_verdict_name(v->levels[k]), "number", v->numbers[k]));
    return all;
}

static json_t *every_reason(const deq_verdict *v) {
    json_t *reasons = json_array();
    for (deq_check k = 0; k < DEQ_CHECKS; k++) {
        deq_verdict_level level = v->levels[k];
        char *text = NULL;
        size_t size = 0;
        FILE *f = level <= DEQ_RELIABLE ? NULL : open_memstream(&text, &size);
        if (!f) continue;
        print_check(f, v, k);
        fclose(f);
        json_array_append_new(reasons, json_pack("{s:s, s:s, s:f, s:s*}", "check", checks[k].name, "level",
                                                 deq_verdict_name(level), "number", v->numbers[k], "text", text));
        free(text);
    }
    return reasons;
}

void deq_verdict_members(const deq_verdict *v, json_t *out) {
    json_object_set_new(out, "verdict", json_string(deq_verdict_name(v->level)));
    json_object_set_new(out, "reasons", every_reason(v));
    json_object_set_new(out, "checks", every_check(v));
    json_object_set_new(out, "audited", json_integer(v->audited));
}
