/* known.c - forward solves that are kept, and taken in place of solving again (deq_known). */
#include "solve.h"
#include <string.h>

/* A plain solve: nothing happens at its states, and nothing of how they were found is wanted. */
static bool is_plain(const problem *p) {
    return !p->adjoint && !p->quiet && !p->defence && !p->ride && !p->correct && !p->tapes && !p->history &&
           p->worker->request.known;
}

static const deq_known *known_of(const problem *p) { return &p->worker->request.known[p->fixed->index]; }

void NAME(known_keep)(const problem *p) {
    if (!is_plain(p) || !p->worker->request.keeps) return;
    const deq_known *k = known_of(p);
    const size_t bytes = (size_t)p->vectors * sizeof(vec);
    for (int64_t row = 0; row < p->n; row++) {
        const int64_t at = p->worker->request.known_from + row;
        const progress *q = &p->progress[row];
        const bool lowest = !returns_last(p, q, q->steps) && q->lowest_step >= 0;
        memcpy(k->states + (size_t)at * bytes, row_of(p, p->result, row), bytes);
        k->ends[at] = (deq_known_end){.residual = lowest ? q->lowest : q->residual,
                                      .steps = q->steps,
                                      .solver = q->solver,
                                      .reason = q->reason,
                                      .failed = q->failed,
                                      .times = k->ends[at].times + 1};
    }
}

bool NAME(known_take)(problem *p) {
    if (!is_plain(p) || p->worker->request.keeps) return false;
    const deq_known *k = known_of(p);
    const deq_known_end *ends = k->ends + p->worker->request.known_from;
    const size_t bytes = (size_t)p->vectors * sizeof(vec);
    for (int64_t row = 0; row < p->n; row++)
        if (ends[row].times != 1) return false; /* a layer that is called twice solves for another state each time */
    memcpy(p->result, k->states + (size_t)p->worker->request.known_from * bytes, (size_t)p->n * bytes);
    for (int64_t row = 0; row < p->n; row++)
        p->progress[row] = (progress){.residual = ends[row].residual,
                                      .lowest_step = -1,
                                      .steps = ends[row].steps,
                                      .reason = ends[row].reason,
                                      .failed = ends[row].failed,
                                      .solver = ends[row].solver};
    return true;
}
