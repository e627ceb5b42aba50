/* partners.c - see partners.h. */
#include "partners.h"
#include "memory.h"
#include "team.h"
#include "worker.h"
#include <stdlib.h>
#include <string.h>

typedef struct call {
    deq_routine_fn *routine;
    const deq_fixed *fixed;
    const deq_frame *frame;
    int64_t n;
} call;

deq_partners *deq_partners_new(int64_t first, int64_t second, int64_t state_bytes, int64_t rest_bytes) {
    const size_t rows = (size_t)(first + second);
    deq_partners *j = calloc(1, sizeof *j);
    if (!j) return NULL;
    j->rows[0] = first;
    j->rows[1] = second;
    deq_meeting_begin(&j->meeting);
    j->in = deq_memory_new(rows * (size_t)state_bytes);
    j->out = deq_memory_new(rows * (size_t)state_bytes);
    j->rest = deq_memory_new(rows * (size_t)rest_bytes + DEQ_ALIGN);
    j->drest = deq_memory_new(rows * (size_t)rest_bytes + DEQ_ALIGN);
    j->copied = calloc(rows, sizeof *j->copied);
    j->at = calloc(rows, sizeof *j->at);
    j->example = calloc(rows, sizeof *j->example);
    if (j->in && j->out && j->rest && j->drest && j->copied && j->at && j->example) return j;
    deq_partners_free(j);
    return NULL;
}

void deq_partners_free(deq_partners *j) {
    if (!j) return;
    free(j->in);
    free(j->out);
    free(j->rest);
    free(j->drest);
    free(j->copied);
    free(j->at);
    free(j->example);
    deq_meeting_end(&j->meeting);
    free(j);
}

void deq_partners_forget(deq_partners *j, int side) { j->of[side].fixed = NULL; }

/* Whether the routine adds to the cotangents of its rows' records. */
static bool adds(const call *c) { return c->routine == c->fixed->vjp_zx; }

/* Into the partners' own memory, or back. */
static void move_cotangents(const deq_partners *j, int side, const call *c, bool back) {
    const int64_t bytes = c->fixed->rest_bytes;
    for (int64_t i = 0; adds(c) && i < c->n; i++) {
        const int64_t row = c->frame->rows[i], to = (side ? j->rows[0] : 0) + row;
        char *own = (char *)c->frame->drest + row * bytes, *theirs = j->drest + to * bytes;
        memcpy(back ? own : theirs, back ? theirs : own, (size_t)bytes);
    }
}

/* What the side's rows give. */
static void take(const deq_partners *j, int side, const call *c) {
    const int64_t bytes = c->fixed->state_bytes;
    memcpy(c->frame->arg1, j->out + (side ? j->rows[0] : 0) * bytes, (size_t)(c->n * bytes));
    move_cotangents(j, side, c, true);
}

/* The side's rows and records, behind those of the other. */
static void add(deq_partners *j, int side, const call *c) {
    const int64_t first = side ? j->rows[0] : 0, bytes = c->fixed->rest_bytes;
    if (j->of[side].fixed != c->fixed || j->of[side].rest != c->frame->rest) {
        memset(j->copied + first, false, (size_t)j->rows[side] * sizeof *j->copied);
        j->of[side].fixed = c->fixed;
        j->of[side].rest = c->frame->rest;
    }
    for (int64_t i = 0; i < c->n; i++) {
        const int64_t row = c->frame->rows[i], to = first + row;
        j->at[first + i] = (int32_t)to;
        if (c->frame->example) j->example[first + i] = c->frame->example[i];
        if (j->copied[to] || bytes == 0) continue;
        memcpy(j->rest + to * bytes, (const char *)c->frame->rest + row * bytes, (size_t)bytes);
        j->copied[to] = true;
    }
    memcpy(j->in + first * c->fixed->state_bytes, c->frame->arg0, (size_t)(c->n * c->fixed->state_bytes));
    move_cotangents(j, side, c, false);
}

static bool side_by_side(const call *a, const call *b) {
    const char *tape = a->frame->tape;
    return !tape == !b->frame->tape && (!tape || (const char *)b->frame->tape == tape + a->n * a->fixed->tape_bytes);
}

static bool suit(void *const *calls) {
    const call *a = calls[0], *b = calls[1];
    return a->routine == b->routine && a->fixed == b->fixed && !a->frame->example == !b->frame->example &&
           side_by_side(a, b);
}

/* Of the rows of both, as the first has it. */
static deq_frame frame_of_both(deq_partners *j, const call *a) {
    deq_frame f = *a->frame;
    f.rest = j->rest;
    f.drest = j->drest;
    f.rows = j->at;
    if (f.example) f.example = j->example;
    f.arg0 = j->in;
    f.arg1 = j->out;
    return f;
}

static void call_both(deq_partners *j, const call *a, const call *b) {
    add(j, 0, a);
    add(j, 1, b);
    const deq_frame f = frame_of_both(j, a);
    a->routine(&f, a->n + b->n);
    take(j, 0, a);
    take(j, 1, b);
}

static void run(void *context, void *const *calls, int n) {
    if (n == 2 && suit(calls)) {
        call_both(context, calls[0], calls[1]);
        return;
    }
    for (int i = 0; i < n; i++) {
        const call *one = calls[i];
        one->routine(one->frame, one->n);
    }
}

/* The calling thread's half of a call of both.  What the partner has brought stands until the halves meet, at the latest
 * at their end. */
static void share(deq_partners *j, int side, call *c, const deq_worker *w) {
    void *calls[2];
    add(j, side, c);
    if (!deq_team_face(w->team, w->member, c, suit, calls)) {
        c->routine(c->frame, c->n);
        return;
    }
    deq_frame f = frame_of_both(j, calls[0]);
    f.meeting = &j->meeting;
    f.half = (uint64_t)side;
    c->routine(&f, j->rows[0] + j->rows[1]);
    take(j, side, c);
}

/* Routines from states to states, which add to nothing that the parts have apart. */
static bool can_share(deq_routine_fn *routine, const deq_fixed *f) {
    return routine == f->f || routine == f->lin || routine == f->vjp_z || routine == f->vjp_zx;
}

void deq_partners_call(deq_routine_fn *routine, const deq_fixed *fixed, const deq_frame *frame, int64_t n) {
    const deq_worker *w = frame->host;
    call c = {routine, fixed, frame, n};
    const int side = w->member & 1;
    const bool meets = w->partners && can_share(routine, fixed), whole = meets && n == w->partners->rows[side];
    if (meets && !whole) deq_team_pass(w->team, w->member);
    if (!whole)
        routine(frame, n);
    else if (w->partners->halves)
        share(w->partners, side, &c, w);
    else
        deq_team_bring(w->team, w->member, &c, run, w->partners);
}
