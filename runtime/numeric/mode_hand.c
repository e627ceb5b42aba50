/* mode_hand.c - gradients that a script declares: a routine of the object (hand.h), or a function in C. */
#include "extern_call.h"
#include "hand.h"
#include "mode.h"
#include <string.h>

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

/* Scratch of its routines, and room for its solves. */
static deq_needs needs(const deq_fixed *fixed, const deq_fixed_settings *s, int64_t n) {
    const deq_mode *mode = &s->gradient;
    const deq_hand *h = mode->hand;
    deq_needs needs = {0};
    if (h->in_c.symbol) {
        needs.hand = NAME(extern_bytes)(fixed, &h->in_c);
        return needs;
    }
    needs.hand = larger((size_t)(h->input->base_bytes + n * h->input->row_bytes),
                        (size_t)(h->parameters->base_bytes + n * h->parameters->row_bytes));
    for (int i = 0; i < h->nsolves; i++) {
        const deq_fixed *map = h->solves[i].map;
        needs.scratch = larger(needs.scratch, (size_t)(map->f_base_bytes + n * map->f_row_bytes));
        needs.solver = larger(needs.solver, NAME(linear_bytes)(map, deq_hand_solver(mode, map), n));
    }
    return needs;
}

/* What the block calls z is the value that went on through the net. */
static void solve(forward *c) {
    NAME(forward_value)(c);
    memcpy(c->kept->z, c->z, (size_t)(c->n * c->fixed->state_bytes));
}

static void gradient(const deq_frame *frame, const deq_fixed *fixed, int64_t n) {
    deq_worker *worker = frame->host;
    const deq_kept *kept = &worker->kept[fixed->index];
    const deq_hand *h = kept->mode.hand;
    deq_frame inner = *frame;
    memset(inner.drest, 0, (size_t)n * (size_t)fixed->rest_bytes);
    if (h->in_c.symbol) {
        NAME(extern_gradient)(&inner, fixed, n);
        return;
    }
    if (worker->request.settings[fixed->index].on_fail ==
        DEQ_ZERO_GRADIENT) /* nothing flows through what did not converge */
        for (int64_t row = 0; row < n; row++)
            if (kept->failed[row]) memset((char *)inner.arg1 + row * fixed->state_bytes, 0, (size_t)fixed->state_bytes);
    inner.rows = worker->identity;
    inner.tape = NULL;
    inner.scratch = worker->hand;
    (inner.accum ? h->parameters : h->input)->function(&inner, n);
}

const mode_routines NAME(mode_hand) = {.needs = needs, .solve = solve, .gradient = gradient};
