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

/* What the block calls z is f where it was applied last, as for every mode that attaches to the value: of a cell that
 * ends in relu its zeros are exact. */
static void solve(forward *c) {
    const int last = deq_finish_steps(&c->finish.settings) - 1;
    const int64_t vectors = c->fixed->state_bytes / (int64_t)sizeof(vec);
    if (last < 1) c->problem.images = NULL; /* f is evaluated there anyway */
    NAME(forward_start)(c, c->kept->z);
    if (last > 0) NAME(finish_run)
    (&c->finish, &c->frame, c->fixed, c->n, 0, last, c->kept->z, c->problem.images, c->space);
    deq_space space = c->space;
    vec *image = deq_space_take(&space, (size_t)c->fixed->state_bytes);
    deq_frame f = c->frame;
    f.rows = c->worker->identity;
    f.arg0 = c->kept->z;
    f.arg1 = c->z;
    deq_evaluate(c->fixed, &f, c->n);
    for (int64_t row = 0; row < c->n; row++) {
        vec *at = (vec *)c->kept->z + row * vectors, *value = (vec *)c->z + row * vectors;
        const real share = c->finish.due[row] ? (real)deq_finish_share(&c->finish.settings, last) : 1;
        memcpy(image, value, (size_t)c->fixed->state_bytes);
        if (!NAME(damped_step)(value, at, image, share, vectors) || !c->finish.due[row])
            memcpy(value, at, (size_t)c->fixed->state_bytes);
        memcpy(at, image, (size_t)c->fixed->state_bytes);
    }
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
