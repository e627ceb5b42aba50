/* worker.c - one thread's solves: the record of how each of them ended. */
#include "worker.h"
#include <math.h>
#include <stdlib.h>

deq_worker *deq_worker_new(int real_bits, int64_t block, const deq_fixed *const *fixed, int fixed_count) {
    deq_worker *w = calloc(1, sizeof *w);
    if (!w) return NULL;
    w->kept = calloc((size_t)fixed_count + 1, sizeof *w->kept);
    w->visits = calloc((size_t)fixed_count + 1, sizeof *w->visits);
    if (!w->kept || !w->visits) {
        free(w->kept);
        free(w->visits);
        free(w);
        return NULL;
    }
    w->real_bits = real_bits;
    w->block = block;
    w->fixed = fixed;
    w->fixed_count = fixed_count;
    deq_statistics_clear(&w->forward);
    deq_statistics_clear(&w->adjoint);
    return w;
}

void deq_worker_free(deq_worker *w) {
    if (!w) return;
    free(w->memory);
    free(w->kept);
    free(w->visits);
    free(w);
}

void deq_worker_forget(deq_worker *w) {
    for (int i = 0; i < w->fixed_count; i++)
        for (int64_t row = 0; row < w->block; row++) {
            if (w->visits[i].states) w->visits[i].visitor[row] = -1;
            if (w->visits[i].joint) w->visits[i].carrier[row] = -1;
        }
}

void deq_worker_begin(deq_worker *w, const deq_request *request) {
    w->request = *request;
    deq_statistics_clear(&w->forward);
    deq_statistics_clear(&w->adjoint);
    for (int64_t row = 0; row < w->block; row++) {
        w->steps[row] = w->residual[row] = 0;
        w->counts[row] = (deq_row_counts){0};
    }
}

void deq_worker_record(deq_worker *w, const deq_fixed *fixed, bool adjoint, int64_t row, int64_t example, int steps,
                       double residual, deq_reason reason, bool failed) {
    deq_solve_statistics *s = adjoint ? &w->adjoint : &w->forward;
    /* A residual that is not a number is worse than any. */
    double rank = isnan(residual) ? INFINITY : residual;
    s->solves++;
    s->unconverged += failed;
    s->diverged += reason == DEQ_REASON_diverged;
    s->steps += steps;
    s->residual += rank;
    if (rank > s->worst_residual) {
        s->worst_residual = rank;
        s->worst_example = example;
        s->worst_fixed = (int)fixed->index;
    }
    if (w->request.records[adjoint])
        w->request.records[adjoint][fixed->index * w->request.records_stride + row] =
            (deq_solve_record){(float)steps,
                               (float)residual,
                               (uint8_t)reason,
                               true,
                               failed,
                               0,
                               w->request.records[adjoint][fixed->index * w->request.records_stride + row].left_out};
    deq_row_counts *c = &w->counts[row];
    if (adjoint) {
        c->adjoints++;
        c->adjoints_unconverged += failed;
    } else {
        c->solves++;
        c->unconverged += failed;
        c->diverged += reason == DEQ_REASON_diverged;
        if (failed || !c->failed) c->reason = (int32_t)reason;
        c->failed = c->failed || failed;
        w->steps[row] += (float)steps;
        if (rank > w->residual[row]) w->residual[row] = (float)rank;
    }
}

void deq_worker_answered(deq_worker *w, const deq_fixed *fixed, bool adjoint, int64_t row, int solver) {
    (adjoint ? &w->adjoint : &w->forward)->later += solver > 0;
    if (w->request.records[adjoint])
        w->request.records[adjoint][fixed->index * w->request.records_stride + row].solver = (uint8_t)solver;
}

void deq_worker_left_out(deq_worker *w, const deq_fixed *fixed, int64_t row, int64_t example) {
    deq_row_counts *c = &w->counts[row];
    w->adjoint.left_out += !c->left_out;
    c->left_out = c->cut = true;
    if (w->request.records[1]) w->request.records[1][fixed->index * w->request.records_stride + row].left_out = true;
    deq_worker_stop(w, fixed, true, example, 0, NAN, DEQ_REASON_diverged);
}

void deq_worker_stop(deq_worker *w, const deq_fixed *fixed, bool adjoint, int64_t example, int steps, double residual,
                     deq_reason reason) {
    if (w->request.settings[fixed->index].on_fail != DEQ_STOP) return;
    deq_fail(&w->error, DEQ_NOT_CONVERGED,
             "%s of fixed point %s did not converge (%s): example %lld, residual %.3g after %d steps",
             fixed != w->fixed[fixed->index] ? "a solve of the gradient by hand"
             : adjoint                       ? "the adjoint"
                                             : "the state",
             w->fixed[fixed->index]->name, deq_reason_name(reason), (long long)example, residual, steps);
}
