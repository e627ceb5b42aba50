/* measure.c - examples through the engine, and the outcome of joined attacks. */
#include "measure.h"
#include "random.h"
#include "signals.h"
#include <math.h>
#include <stdlib.h>

#define MOST_SCALARS 64

/* What the engine says of n examples. */
typedef struct Rows {
    double *loss, *metric, *margin, *distance[2];
    float *steps, *residual;
    int32_t *prediction, *label;
    deq_row_counts *attack, *counts;
} Rows;

static void free_rows(Rows *r) {
    free(r->loss);
    free(r->steps);
    free(r->prediction);
    free(r->attack);
}

/* A buffer for each type; losses and metrics that nobody asks for stay NaN. */
static bool make_rows(Rows *r, int64_t n) {
    const size_t count = (size_t)n;
    *r = (Rows){.loss = malloc(5 * count * sizeof *r->loss),
                .steps = calloc(2 * count, sizeof *r->steps),
                .prediction = malloc(2 * count * sizeof *r->prediction),
                .attack = calloc(2 * count, sizeof *r->attack)};
    if (!r->loss || !r->steps || !r->prediction || !r->attack) {
        free_rows(r);
        return false;
    }
    for (size_t i = 0; i < 5 * count; i++) r->loss[i] = NAN;
    r->metric = r->loss + n, r->margin = r->metric + n;
    r->distance[0] = r->margin + n, r->distance[1] = r->distance[0] + n;
    r->residual = r->steps + n;
    r->label = r->prediction + n;
    r->counts = r->attack + n;
    return true;
}

static deq_record record_of(const Rows *rows, int64_t i, int64_t id, bool solves, bool attacked) {
    deq_record r = deq_record_empty(id);
    const deq_row_counts *a = &rows->attack[i], *c = &rows->counts[i];
    r.label = rows->label[i];
    r.prediction = rows->prediction[i];
    r.metric = rows->metric[i];
    r.loss = rows->loss[i];
    r.margin = rows->margin[i];
    if (solves) {
        r.steps = rows->steps[i];
        r.residual = rows->residual[i];
        r.reason = c->reason;
        r.solves = c->solves;
        r.unconverged = c->unconverged;
    }
    if (!attacked) return r;
    r.distance_inf = (float)rows->distance[0][i];
    r.distance_2 = (float)rows->distance[1][i];
    r.queries = a->queries;
    r.gradients = a->gradients;
    r.zero_gradients = a->zero;
    r.lost_gradients = a->lost;
    r.attack_solves = a->solves;
    r.attack_unconverged = a->unconverged;
    r.attack_diverged = a->diverged;
    r.adjoint_solves = a->adjoints;
    r.adjoint_unconverged = a->adjoints_unconverged;
    return r;
}

/* One attack, or none, on every example. */
static bool measure_once(const deq_measuring *m, const deq_attack_spec *spec, const int64_t *index, int64_t n,
                         deq_record *out, deq_error *e) {
    double scalars[MOST_SCALARS];
    Rows rows;
    if (spec && spec->nscalars > MOST_SCALARS)
        return deq_fail(e, DEQ_MODULE, "attack '%s' has more than %d settings", spec->name, MOST_SCALARS);
    if (!make_rows(&rows, n))
        return deq_fail(e, DEQ_MEMORY, "out of memory for the results of %lld examples", (long long)n);
    deq_attack attack = spec ? deq_app_attack(spec, scalars) : (deq_attack){0};
    uint64_t seed = spec && spec->restart ? deq_key_mix(m->seed, (uint64_t)spec->restart) : m->seed;
    deq_results results = {.loss = m->value->loss ? rows.loss : NULL,
                           .metric = m->value->metric ? rows.metric : NULL,
                           .margin = rows.margin,
                           .prediction = rows.prediction,
                           .label = rows.label,
                           .steps = rows.steps,
                           .residual = rows.residual,
                           .attack = rows.attack,
                           .counts = rows.counts,
                           .distance = {spec ? rows.distance[0] : NULL, spec ? rows.distance[1] : NULL}};
    bool ok = deq_engine_evaluate(m->engine, &m->source, index, n, m->value->loss, m->value->metric,
                                  spec ? &attack : NULL, seed, m->progress, m->context, &results, e);
    for (int64_t i = 0; ok && i < n; i++)
        out[i] = record_of(&rows, i, index[i], results.forward.solves > 0, spec != NULL);
    free_rows(&rows);
    return ok;
}

static bool worse(const deq_record *a, const deq_record *b) {
    bool wrong = deq_record_wrong(a), other = deq_record_wrong(b);
    return wrong != other ? wrong : a->loss > b->loss;
}

/* The outcome of one more attack joins what is known of its example. */
static void join(deq_record *known, const deq_record *one, int attack) {
    deq_record next = worse(one, known) ? *one : *known;
    if (worse(one, known)) next.attack = attack;
    next.clean_metric = known->clean_metric;
    next.clean_loss = known->clean_loss;
    next.queries = known->queries + one->queries;
    next.gradients = known->gradients + one->gradients;
    next.zero_gradients = known->zero_gradients + one->zero_gradients;
    next.lost_gradients = known->lost_gradients + one->lost_gradients;
    next.attack_solves = known->attack_solves + one->attack_solves;
    next.attack_unconverged = known->attack_unconverged + one->attack_unconverged;
    next.attack_diverged = known->attack_diverged + one->attack_diverged;
    next.adjoint_solves = known->adjoint_solves + one->adjoint_solves;
    next.adjoint_unconverged = known->adjoint_unconverged + one->adjoint_unconverged;
    *known = next;
}

/* The examples as they are, then each attack from there: on every example, or on those that are still right. */
static bool measure_joined(const deq_measuring *m, const int64_t *index, int64_t n, deq_record *out, deq_error *e) {
    int64_t *left = malloc((size_t)n * sizeof *left), *rows = malloc((size_t)n * sizeof *rows);
    deq_record *one = malloc((size_t)n * sizeof *one);
    bool ok = (left && rows && one) ||
              deq_fail(e, DEQ_MEMORY, "out of memory for the results of %lld examples", (long long)n);
    ok = ok && measure_once(m, NULL, index, n, out, e);
    for (int64_t i = 0; ok && i < n; i++) {
        out[i].clean_metric = out[i].metric;
        out[i].clean_loss = out[i].loss;
        out[i].distance_inf = out[i].distance_2 = 0;
    }
    int number = 0;
    for (const deq_attack_spec *a = m->value->attack; ok && a && !deq_interrupted(); a = a->next, number++) {
        int64_t count = 0;
        for (int64_t i = 0; i < n; i++)
            if (a->all || !deq_record_wrong(&out[i])) {
                rows[count] = i;
                left[count++] = index[i];
            }
        ok = !count || measure_once(m, a, left, count, one, e);
        for (int64_t k = 0; ok && k < count; k++) join(&out[rows[k]], &one[k], number);
    }
    free(one);
    free(left);
    free(rows);
    return ok;
}

bool deq_measure(const deq_measuring *m, const int64_t *index, int64_t n, deq_record *out, deq_error *e) {
    const deq_attack_spec *a = m->value->attack;
    return a && a->joined ? measure_joined(m, index, n, out, e) : measure_once(m, a, index, n, out, e);
}
