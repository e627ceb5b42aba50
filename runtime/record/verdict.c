/* verdict.c - one function a row of verdict.def, and what their numbers mean together. */
#define _GNU_SOURCE
#include "verdict.h"
#include "interval.h"
#include <math.h>
#include <stdlib.h>

#define NEVER INFINITY
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

static bool at_floor(const deq_record *r, int real_bits) {
    const double floor = real_bits == 64 ? 1e-14 : 1e-6;
    return !deq_record_wrong(r) && isfinite(r->margin) && r->margin > LEAST_MARGIN && r->loss >= 0 && r->loss <= floor;
}

static bool no_prediction(const deq_record *r, int real_bits) {
    (void)real_bits;
    return r->prediction < 0;
}

static bool as_given(const deq_record *r, int real_bits) {
    (void)real_bits;
    return !deq_record_wrong(r) && r->distance_inf == 0;
}

static double number_zero_gradients(const deq_judged *of) { return share(of, mostly_zero); }
static double number_lost_gradients(const deq_judged *of) { return share(of, mostly_lost); }
static double number_saturated(const deq_judged *of) { return share(of, at_floor); }
static double number_undefined(const deq_judged *of) { return share(of, no_prediction); }
static double number_unmoved(const deq_judged *of) { return share(of, as_given); }

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

static double number_above_clean(const deq_judged *of) {
    int64_t gained = 0, lost = 0;
    for (int64_t i = 0; of->clean && i < of->n; i++) {
        bool before = !deq_record_wrong(&of->clean[i]), after = !deq_record_wrong(&of->records[i]);
        gained += after && !before;
        lost += before && !after;
    }
    return of->clean ? deq_paired_difference(gained, lost, of->n).low : NAN;
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

const char *deq_verdict_name(deq_verdict_level level) {
    static const char *const names[] = {"", "reliable", "suspect", "masked"};
    return names[level];
}

deq_verdict_level deq_check_level(const deq_verdict *v, deq_check check) {
    const double number = v->numbers[check]; /* NaN is above nothing */
    return number > checks[check].masked ? DEQ_MASKED : number > checks[check].suspect ? DEQ_SUSPECT : DEQ_RELIABLE;
}

deq_verdict deq_judge(const deq_judged *of) {
    deq_verdict v = {.level = DEQ_RELIABLE};
    for (deq_check k = 0; k < DEQ_CHECKS; k++) {
        v.numbers[k] = checks[k].number(of);
        deq_verdict_level level = deq_check_level(&v, k);
        if (level > v.level) v.level = level;
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
        if (deq_check_level(v, k) == DEQ_RELIABLE) continue;
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

json_t *deq_verdict_json(const deq_verdict *v) {
    json_t *reasons = json_array();
    for (deq_check k = 0; k < DEQ_CHECKS; k++) {
        deq_verdict_level level = deq_check_level(v, k);
        char *text = NULL;
        size_t size = 0;
        FILE *f = level == DEQ_RELIABLE ? NULL : open_memstream(&text, &size);
        if (!f) continue;
        print_check(f, v, k);
        fclose(f);
        json_array_append_new(reasons, json_pack("{s:s, s:s, s:f, s:s*}", "check", checks[k].name, "level",
                                                 deq_verdict_name(level), "number", v->numbers[k], "text", text));
        free(text);
    }
    return reasons;
}
