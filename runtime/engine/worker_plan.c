/* worker_plan.c - lays out a worker's memory. */
#include "worker_plan.h"
#include "hand.h"
#include "memory.h"
#include "numeric.h"
#include <stdlib.h>
#include <string.h>

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

/* Steps that a mode keeps, and linearisations of them. */
static int kept_steps(const deq_fixed_settings *s) {
    const deq_mode *m = &s->gradient;
    if (m->kind == DEQ_MODE_phantom || m->kind == DEQ_MODE_unrolled) return m->steps + m->undamped_first;
    return m->kind == DEQ_MODE_backprop ? s->forward.max : 1;
}

static int kept_tapes(const deq_fixed_settings *s) {
    int steps = kept_steps(s), every = s->gradient.checkpoint;
    return s->gradient.kind == DEQ_MODE_backprop && every > 0 && every < steps ? every : steps;
}

static void lay_out_kept(deq_kept *kept, deq_space *space, const deq_fixed *f, int64_t rows, size_t real_bytes,
                         const deq_fixed_settings *const *settings, int count) {
    int steps = 1, tapes = 1, states = 0, capacity = 0;
    bool rides = false, penalised = false;
    size_t block = (size_t)rows, state_bytes = (size_t)f->state_bytes;
    for (int v = 0; v < count; v++) {
        const deq_fixed_settings *s = &settings[v][f->index];
        const deq_mode *m = &s->gradient;
        int directions = deq_history_capacity(&s->forward, true), every = m->checkpoint;
        if (kept_steps(s) > steps) steps = kept_steps(s);
        if (kept_tapes(s) > tapes) tapes = kept_tapes(s);
        if (m->kind == DEQ_MODE_backprop && every > 0 && (s->forward.max - 1) / every + 1 > states)
            states = (s->forward.max - 1) / every + 1;
        if (m->kind == DEQ_MODE_shine && directions > capacity) capacity = directions;
        penalised = penalised || deq_penalties_given(&s->penalties);
        rides = rides || m->kind == DEQ_MODE_simultaneous || m->kind == DEQ_MODE_unrolled;
    }
    *kept = (deq_kept){.tape_stride = rows * f->tape_bytes + DEQ_ALIGN};
    kept->z = deq_space_take(space, block * state_bytes);
    kept->tape = deq_space_take(space, (size_t)tapes * (size_t)kept->tape_stride);
    kept->rows = deq_space_take(space, (size_t)steps * block * sizeof *kept->rows);
    kept->active = deq_space_take(space, (size_t)steps * sizeof *kept->active);
    kept->failed = deq_space_take(space, block * sizeof *kept->failed);
    kept->bad = deq_space_take(space, block * sizeof *kept->bad);
    if (rides) kept->drest = deq_space_take(space, block * (size_t)f->rest_bytes);
    if (penalised) {
        kept->added_u = deq_space_take(space, block * state_bytes);
        kept->added_drest = deq_space_take(space, block * (size_t)f->rest_bytes);
    }
    if (states) kept->states = deq_space_take(space, (size_t)states * block * state_bytes);
    if (!capacity) return;
    kept->history.directions = deq_space_take(space, block * (size_t)(capacity + 1) * state_bytes);
    kept->history.inverse = deq_space_take(space, block * (size_t)capacity * real_bytes);
    kept->history.steps = deq_space_take(space, block * (size_t)capacity * real_bytes);
    kept->history.newest = deq_space_take(space, block * sizeof *kept->history.newest);
    kept->history.factors = deq_space_take(space, block * sizeof *kept->history.factors);
}

/* What a gradient by hand needs beside the fixed point's own: scratch of its routines, and room for its solves. */
static void lay_out_hand(const deq_worker *w, const deq_fixed *fixed, const deq_mode *mode, size_t *hand,
                         size_t *scratch, size_t *solver) {
    const deq_hand *h = mode->kind == DEQ_MODE_hand ? mode->hand : NULL;
    if (!h) return;
    if (h->in_c.symbol) {
        *hand = larger(*hand, (w->real_bits == 32 ? deq_extern_bytes_f32 : deq_extern_bytes_f64)(fixed, &h->in_c));
        return;
    }
    *hand = larger(*hand, (size_t)(h->input->base_bytes + w->block * h->input->row_bytes));
    *hand = larger(*hand, (size_t)(h->parameters->base_bytes + w->block * h->parameters->row_bytes));
    for (int i = 0; i < h->nsolves; i++) {
        const deq_fixed *map = h->solves[i].map;
        const deq_solver *s = deq_hand_solver(mode, map);
        *scratch = larger(*scratch, (size_t)(map->f_base_bytes + w->block * map->f_row_bytes));
        *solver = larger(*solver, w->real_bits == 32 ? deq_linear_bytes_f32(map, s, w->block)
                                                     : deq_linear_bytes_f64(map, s, w->block));
    }
}

static void lay_out(deq_worker *w, deq_space *space, const deq_fixed_settings *const *settings, int count) {
    size_t scratch = 0, solver = 0, hand = 0, defended = 0, started = 0, block = (size_t)w->block;
    w->identity = deq_space_take(space, block * sizeof *w->identity);
    w->steps = deq_space_take(space, block * sizeof *w->steps);
    w->residual = deq_space_take(space, block * sizeof *w->residual);
    for (int i = 0; i < w->fixed_count; i++) {
        const deq_fixed *f = w->fixed[i];
        bool single = w->real_bits == 32, visited = false, carried = false;
        for (int v = 0; v < count; v++) {
            const deq_fixed_settings *s = &settings[v][i];
            solver = larger(solver, (single ? deq_forward_bytes_f32 : deq_forward_bytes_f64)(f, s, w->block));
            solver =
                larger(solver, (single ? deq_gradient_bytes_f32 : deq_gradient_bytes_f64)(f, &s->gradient, w->block));
            solver =
                larger(solver, (single ? deq_penalty_bytes_f32 : deq_penalty_bytes_f64)(f, &s->penalties, w->block));
            visited = visited || s->start == DEQ_START_PREVIOUS;
            carried = carried || s->gradient.carry;
            if (s->start != DEQ_START_ZEROS) started = larger(started, block * (size_t)f->state_bytes);
            lay_out_hand(w, f, &s->gradient, &hand, &scratch, &solver);
        }
        scratch = larger(scratch, (size_t)(f->f_base_bytes + w->block * f->f_row_bytes));
        if (w->defence) defended = larger(defended, 2 * block * (size_t)f->state_bytes);
        w->visits[i] = (deq_visits){0};
        if (visited) {
            w->visits[i].states = deq_space_take(space, block * (size_t)f->state_bytes);
            w->visits[i].visitor = deq_space_take(space, block * sizeof *w->visits[i].visitor);
        }
        if (carried) {
            w->visits[i].joint = deq_space_take(space, 2 * block * (size_t)f->state_bytes);
            w->visits[i].carrier = deq_space_take(space, block * sizeof *w->visits[i].carrier);
        }
        lay_out_kept(&w->kept[i], space, f, w->block, (size_t)w->real_bits / 8, settings, count);
    }
    w->scratch = deq_space_take(space, scratch);
    w->hand = deq_space_take(space, hand);
    w->solver = deq_space_take(space, solver);
    w->defended = deq_space_take(space, defended);
    w->started = deq_space_take(space, started);
}

size_t deq_worker_bytes(const deq_worker *worker, const deq_fixed_settings *const *settings, int count) {
    deq_space space = {NULL, 0};
    deq_worker copy = *worker;
    copy.kept = calloc((size_t)worker->fixed_count + 1, sizeof *copy.kept);
    copy.visits = calloc((size_t)worker->fixed_count + 1, sizeof *copy.visits);
    if (copy.kept && copy.visits) lay_out(&copy, &space, settings, count);
    free(copy.kept);
    free(copy.visits);
    return space.used;
}

bool deq_worker_plan(deq_worker *w, const deq_fixed_settings *const *settings, int count, deq_error *e) {
    for (int i = 0; i < w->fixed_count; i++)
        for (int v = 0; v < count; v++)
            if (!deq_fixed_check(&settings[v][i], w->fixed[i], e)) return false;
    deq_space space = {NULL, 0};
    lay_out(w, &space, settings, count);
    if (space.used > w->memory_bytes) {
        free(w->memory);
        w->memory_bytes = 0;
        w->memory = deq_memory_new(space.used);
        if (!w->memory)
            return deq_fail(e, DEQ_MEMORY,
                            "%zu bytes for the workspace of a solver (fewer `max` steps or a smaller block need less)",
                            space.used);
        w->memory_bytes = space.used;
    }
    space = (deq_space){w->memory, 0};
    lay_out(w, &space, settings, count);
    for (int64_t i = 0; i < w->block; i++) {
        w->identity[i] = (int32_t)i;
        w->steps[i] = w->residual[i] = 0;
    }
    w->settings = settings[0];
    deq_worker_forget(w);
    return true;
}
