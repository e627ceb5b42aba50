/* worker_plan.c - lays out a worker's memory. */
#include "worker_plan.h"
#include "memory.h"
#include "numeric.h"
#include <stdlib.h>

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

/* What every one of the settings' modes needs, with this fixed point. */
static deq_needs needs_of(const deq_worker *w, const deq_fixed *f, const deq_fixed_settings *const *settings,
                          int count) {
    deq_needs all = {0};
    for (int v = 0; v < count; v++) {
        const deq_fixed_settings *s = &settings[v][f->index];
        const deq_needs one = (w->real_bits == 32 ? deq_mode_needs_f32 : deq_mode_needs_f64)(f, s, w->block);
        if (one.steps > all.steps) all.steps = one.steps;
        if (one.tapes > all.tapes) all.tapes = one.tapes;
        if (one.states > all.states) all.states = one.states;
        if (one.directions > all.directions) all.directions = one.directions;
        all.drest = all.drest || one.drest;
        all.joint = all.joint || one.joint;
        all.solver = larger(all.solver, one.solver);
        all.scratch = larger(all.scratch, one.scratch);
        all.hand = larger(all.hand, one.hand);
    }
    return all;
}

static void lay_out_kept(deq_kept *kept, deq_space *space, const deq_fixed *f, int64_t rows, size_t real_bytes,
                         const deq_needs *needs, bool penalised) {
    const size_t block = (size_t)rows, state_bytes = (size_t)f->state_bytes, capacity = (size_t)needs->directions;
    *kept = (deq_kept){.tape_stride = rows * f->tape_bytes + DEQ_ALIGN};
    kept->z = deq_space_take(space, block * state_bytes);
    kept->tape = deq_space_take(space, (size_t)needs->tapes * (size_t)kept->tape_stride);
    kept->rows = deq_space_take(space, (size_t)needs->steps * block * sizeof *kept->rows);
    kept->active = deq_space_take(space, (size_t)needs->steps * sizeof *kept->active);
    kept->failed = deq_space_take(space, block * sizeof *kept->failed);
    kept->due = deq_space_take(space, block * sizeof *kept->due);
    kept->made = deq_space_take(space, block * sizeof *kept->made);
    kept->bad = deq_space_take(space, block * sizeof *kept->bad);
    if (needs->drest) kept->drest = deq_space_take(space, block * (size_t)f->rest_bytes);
    if (penalised) {
        kept->added_u = deq_space_take(space, block * state_bytes);
        kept->added_drest = deq_space_take(space, block * (size_t)f->rest_bytes);
    }
    if (needs->states) kept->states = deq_space_take(space, (size_t)needs->states * block * state_bytes);
    if (!capacity) return;
    kept->history.directions = deq_space_take(space, block * (capacity + 1) * state_bytes);
    kept->history.inverse = deq_space_take(space, block * capacity * real_bytes);
    kept->history.steps = deq_space_take(space, block * capacity * real_bytes);
    kept->history.newest = deq_space_take(space, block * sizeof *kept->history.newest);
    kept->history.factors = deq_space_take(space, block * sizeof *kept->history.factors);
}

static void lay_out(deq_worker *w, deq_space *space, const deq_fixed_settings *const *settings, int count,
                    bool is_defended) {
    size_t scratch = 0, solver = 0, hand = 0, defended = 0, started = 0, block = (size_t)w->block;
    w->identity = deq_space_take(space, block * sizeof *w->identity);
    w->steps = deq_space_take(space, block * sizeof *w->steps);
    w->residual = deq_space_take(space, block * sizeof *w->residual);
    w->counts = deq_space_take(space, block * sizeof *w->counts);
    for (int i = 0; i < w->fixed_count; i++) {
        const deq_fixed *f = w->fixed[i];
        const deq_needs needs = needs_of(w, f, settings, count);
        bool single = w->real_bits == 32, visited = false, penalised = false;
        for (int v = 0; v < count; v++) {
            const deq_fixed_settings *s = &settings[v][i];
            solver =
                larger(solver, (single ? deq_forward_bytes_f32 : deq_forward_bytes_f64)(f, s, w->block, is_defended));
            solver =
                larger(solver, (single ? deq_penalty_bytes_f32 : deq_penalty_bytes_f64)(f, &s->penalties, w->block));
            visited = visited || s->start == DEQ_START_PREVIOUS;
            penalised = penalised || deq_penalties_given(&s->penalties);
            if (s->start != DEQ_START_ZEROS) started = larger(started, block * (size_t)f->state_bytes);
        }
        solver = larger(solver, needs.solver);
        hand = larger(hand, needs.hand);
        scratch = larger(scratch, needs.scratch);
        scratch = larger(scratch, (size_t)(f->f_base_bytes + w->block * f->f_row_bytes));
        if (is_defended) defended = larger(defended, 2 * block * (size_t)f->state_bytes);
        w->visits[i] = (deq_visits){0};
        if (visited) {
            w->visits[i].states = deq_space_take(space, block * (size_t)f->state_bytes);
            w->visits[i].visitor = deq_space_take(space, block * sizeof *w->visits[i].visitor);
        }
        if (needs.joint) {
            w->visits[i].joint = deq_space_take(space, 2 * block * (size_t)f->state_bytes);
            w->visits[i].carrier = deq_space_take(space, block * sizeof *w->visits[i].carrier);
        }
        lay_out_kept(&w->kept[i], space, f, w->block, (size_t)w->real_bits / 8, &needs, penalised);
    }
    w->scratch = deq_space_take(space, scratch);
    w->hand = deq_space_take(space, hand);
    w->solver = deq_space_take(space, solver);
    w->defended = deq_space_take(space, defended);
    w->started = deq_space_take(space, started);
}

size_t deq_worker_bytes(const deq_worker *worker, const deq_fixed_settings *const *settings, int count, bool defended) {
    deq_space space = {NULL, 0};
    deq_worker copy = *worker;
    copy.kept = calloc((size_t)worker->fixed_count + 1, sizeof *copy.kept);
    copy.visits = calloc((size_t)worker->fixed_count + 1, sizeof *copy.visits);
    if (copy.kept && copy.visits) lay_out(&copy, &space, settings, count, defended);
    free(copy.kept);
    free(copy.visits);
    return space.used;
}

bool deq_worker_plan(deq_worker *w, const deq_fixed_settings *const *settings, int count, bool defended, deq_error *e) {
    for (int i = 0; i < w->fixed_count; i++)
        for (int v = 0; v < count; v++)
            if (!deq_fixed_check(&settings[v][i], w->fixed[i], e)) return false;
    deq_space space = {NULL, 0};
    lay_out(w, &space, settings, count, defended);
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
    lay_out(w, &space, settings, count, defended);
    for (int64_t i = 0; i < w->block; i++) {
        w->identity[i] = (int32_t)i;
        w->steps[i] = w->residual[i] = 0;
        w->counts[i] = (deq_row_counts){0};
    }
    w->request = (deq_request){.settings = settings[0]};
    deq_worker_forget(w);
    return true;
}
