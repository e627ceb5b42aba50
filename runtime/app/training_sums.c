#include "training_sums.h"
#include <math.h>

json_t *deq_training_sums_json(const deq_training_sums *sums) {
    json_t *object = json_object();
#define X(name) json_object_set_new(object, #name, deq_json_number(sums->name));
    DEQ_TRAINING_SUMS(X)
#undef X
    json_object_set_new(object, "working", json_real(sums->working));
    return object;
}

deq_training_sums deq_training_sums_of(const json_t *object) {
    return (deq_training_sums){
#define X(name) .name = deq_json_double(json_object_get(object, #name)),
        DEQ_TRAINING_SUMS(X)
#undef X
            .working = deq_json_double(json_object_get(object, "working"))};
}

static void add_attack(deq_training_sums *s, const deq_row_counts *c) {
    s->attack_solves += c->solves;
    s->attack_unconverged += c->unconverged;
    s->attack_adjoints += c->adjoints;
    s->attack_adjoints_unconverged += c->adjoints_unconverged;
    s->attack_gradients += c->gradients;
    s->attack_zero += c->zero;
    s->attack_lost += c->lost;
}

void deq_training_sums_add(deq_training_sums *s, const deq_results *results, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        s->loss += results->loss[i];
        s->metric += results->metric ? results->metric[i] : NAN;
        s->penalty += results->penalty ? results->penalty[i] : NAN;
        s->correction += results->correction ? results->correction[i] : NAN;
        if (results->attack) add_attack(s, &results->attack[i]);
    }
    s->examples += (double)n;
    s->solves += (double)results->forward.solves;
    s->steps += results->forward.steps;
    s->residual += results->forward.residual;
    s->unconverged += (double)results->forward.unconverged;
    s->adjoint_solves += (double)results->adjoint.solves;
    s->adjoint_steps += results->adjoint.steps;
    s->adjoint_residual += results->adjoint.residual;
    s->adjoint_unconverged += (double)results->adjoint.unconverged;
    s->left_out += (double)results->adjoint.left_out;
}

static double mean(double sum, double count) { return count > 0 ? sum / count : NAN; }

void deq_training_sums_row(const deq_training_sums *s, deq_log_row *row) {
    row->loss = mean(s->loss, s->examples);
    row->metric = mean(s->metric, s->examples);
    row->penalty = mean(s->penalty, s->examples);
    row->correction = mean(s->correction, s->examples);
    row->examples_per_second = s->examples > 0 ? mean(s->examples, s->working) : NAN;
    row->steps = mean(s->steps, s->solves);
    row->residual = mean(s->residual, s->solves);
    row->unconverged = mean(s->unconverged, s->solves);
    row->adjoint_steps = mean(s->adjoint_steps, s->adjoint_solves);
    row->adjoint_residual = mean(s->adjoint_residual, s->adjoint_solves);
    row->adjoint_unconverged = mean(s->adjoint_unconverged, s->adjoint_solves);
    row->lost_gradients = mean(s->left_out, s->examples);
    row->gradient_norm = mean(s->norm, s->updates);
    row->clipped = mean(s->clipped, s->updates);
    row->attack_unconverged = mean(s->attack_unconverged, s->attack_solves);
    row->attack_adjoint_unconverged = mean(s->attack_adjoints_unconverged, s->attack_adjoints);
    row->attack_zero_gradients = mean(s->attack_zero, s->attack_gradients);
    row->attack_lost_gradients = mean(s->attack_lost, s->attack_gradients);
}
