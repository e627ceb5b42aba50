/* statistics.c - how solves ended: names of reasons, sums. */
#include "statistics.h"

const char *deq_reason_name(deq_reason reason) {
    static const char *const names[] = {
        "running",
#define REASON(id, failed, doc) #id,
#include "reasons.def"
#undef REASON
    };
    return names[reason];
}

void deq_statistics_clear(deq_solve_statistics *s) {
    *s = (deq_solve_statistics){.worst_residual = -1, .worst_example = -1};
}

void deq_statistics_add(deq_solve_statistics *sum, const deq_solve_statistics *s) {
    sum->solves += s->solves;
    sum->unconverged += s->unconverged;
    sum->diverged += s->diverged;
    sum->later += s->later;
    sum->left_out += s->left_out;
    sum->steps += s->steps;
    sum->residual += s->residual;
    sum->evaluations += s->evaluations;
    if (s->worst_example >= 0 && s->worst_residual > sum->worst_residual) {
        sum->worst_residual = s->worst_residual;
        sum->worst_example = s->worst_example;
        sum->worst_fixed = s->worst_fixed;
    }
}
