/* evaluation_sums.c - what the records of an evaluation say together: means, an interval, how the solves of its attack
 * ended. */
#include "evaluation.h"
#include <stdlib.h>
#include <string.h>

static void add_attack(deq_attack_totals *t, const deq_record *r) {
    t->queries += r->queries;
    t->gradients += r->gradients;
    t->zero += r->zero_gradients;
    t->lost += r->lost_gradients;
    t->undefined += r->undefined_values;
    t->solves += r->attack_solves;
    t->unconverged += r->attack_unconverged;
    t->diverged += r->attack_diverged;
    t->adjoints += r->adjoint_solves;
    t->adjoints_unconverged += r->adjoint_unconverged;
}

static deq_interval interval_of(const deq_evaluation *v, uint64_t key) {
    double *values = malloc((size_t)(v->examples + 1) * sizeof *values);
    deq_interval out = {NAN, NAN, NAN};
    for (int64_t i = 0; values && i < v->examples; i++)
        values[i] = v->by_loss ? v->records[i].loss : v->records[i].metric;
    if (values) out = deq_mean_interval(values, v->examples, key, v->share);
    free(values);
    return out;
}

void deq_evaluation_sum(deq_evaluation *v, uint64_t key) {
    const int64_t n = v->examples;
    double metric = 0, loss = 0, steps = 0, residual = 0, margin = 0, evaluations = 0, products = 0, processor = 0;
    int64_t failed = 0, solved = 0;
    v->seconds = 0;
    for (int64_t i = 0; i < n; i++) {
        const deq_record *r = &v->records[i];
        metric += r->metric;
        loss += r->loss;
        steps += (double)r->steps;
        residual += (double)r->residual;
        solved += r->solves;
        failed += r->unconverged;
        v->undefined += r->prediction == DEQ_PREDICTION_NAN;
        v->seconds += (double)r->seconds;
        margin += r->margin;
        evaluations += r->evaluations;
        products += r->products;
        processor += (double)r->processor_seconds;
        add_attack(&v->attack, r);
    }
    v->metric = metric / (double)n;
    v->loss = loss / (double)n;
    v->margin = margin / (double)n;
    v->evaluations = evaluations / (double)n;
    v->products = products / (double)n;
    v->processor = processor / (double)n;
    v->steps = solved ? steps / (double)n : NAN;
    v->residual = solved ? residual / (double)n : NAN;
    v->converged = solved ? 1 - deq_share_of(failed, solved) : NAN;
    v->interval = interval_of(v, key);
}

/* One function a row of statistics.def. */
static double solve_steps(const deq_evaluation *v) { return v->steps; }
static double solve_residual(const deq_evaluation *v) { return v->residual; }
static double solve_converged(const deq_evaluation *v) { return v->converged; }
static double value_loss(const deq_evaluation *v) { return v->loss; }
static double value_margin(const deq_evaluation *v) { return v->margin; }
static double value_evaluations(const deq_evaluation *v) { return v->evaluations; }
static double value_products(const deq_evaluation *v) { return v->products; }
static double value_seconds(const deq_evaluation *v) { return v->processor; }
static double value_bytes(const deq_evaluation *v) { return v->bytes; }
static double attack_converged(const deq_evaluation *v) {
    return 1 - deq_share_of(v->attack.unconverged, v->attack.solves);
}
static double attack_adjoint_converged(const deq_evaluation *v) {
    return 1 - deq_share_of(v->attack.adjoints_unconverged, v->attack.adjoints);
}
static double attack_zero_gradients(const deq_evaluation *v) {
    return deq_share_of(v->attack.zero, v->attack.gradients);
}
static double attack_lost_gradients(const deq_evaluation *v) {
    return deq_share_of(v->attack.lost, v->attack.gradients);
}
static double attack_undefined_values(const deq_evaluation *v) {
    return deq_share_of(v->attack.undefined, v->examples);
}
static double attack_queries(const deq_evaluation *v) { return deq_share_of(v->attack.queries, v->examples); }
static double attack_gradients(const deq_evaluation *v) { return deq_share_of(v->attack.gradients, v->examples); }

#define SPELLING_SOLVE(name) #name
#define SPELLING_ATTACK(name) "attack." #name
#define SPELLING_VALUE(name) #name
#define FUNCTION_SOLVE(name) solve_##name
#define FUNCTION_VALUE(name) value_##name
#define FUNCTION_ATTACK(name) attack_##name

double deq_evaluation_statistic(const deq_evaluation *v, const char *what) {
#define STATISTIC(group, name, share, doc)                                                                             \
    if (!strcmp(what, SPELLING_##group(name))) return FUNCTION_##group(name)(v);
#include "statistics.def"
#undef STATISTIC
    return NAN;
}

#define MEMBER_SOLVE(name)
#define MEMBER_VALUE(name)
#define MEMBER_ATTACK(name) json_object_set_new(out, #name, deq_json_number(attack_##name(v)));

json_t *deq_evaluation_attack_json(const deq_evaluation *v) {
    json_t *out = json_object();
#define STATISTIC(group, name, share, doc) MEMBER_##group(name)
#include "statistics.def"
#undef STATISTIC
    return out;
}

void deq_evaluation_members(const deq_evaluation *v, json_t *out) {
    const deq_slice *s = &v->slice;
    json_object_set_new(out, "journal", json_string(v->key));
    json_object_set_new(out, "slice",
                        json_pack("{s:s, s:s, s:I, s:I}", "data", s->data->name, "split", s->test ? "test" : "train",
                                  "from", (json_int_t)s->from, "to", (json_int_t)s->to));
}

void deq_evaluation_free(deq_evaluation *v) {
    free(v->records);
    free(v->attacked);
    free(v->trained);
    v->records = NULL;
    v->attacked = v->trained = NULL;
}
