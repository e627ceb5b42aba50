/* partners.h - calls of routines that two partners in a team (team.h) make as one.
 *
 * Where weights are heavy, reading them is what a call takes; two parts of a batch on one thread read them once when
 * their calls come together.  Rows are independent, so that no bit depends on it.
 * Two parts on two threads share a call of both where the routine is in halves: each thread reads half of the weights.
 *
 * needs: a block of examples on each side, whose tapes lie side by side where the routine reads or writes one. */
#ifndef DEQ_RUNTIME_PARTNERS_H
#define DEQ_RUNTIME_PARTNERS_H
#include "deq_runtime.h"
#include "meeting.h"
#include <stdbool.h>

typedef struct deq_partners {
    int64_t rows[2]; /* of each side's block */
    struct {         /* what the side's records in `rest` are copies of */
        const deq_fixed *fixed;
        const void *rest;
    } of[2];
    char *in, *out; /* state rows of both blocks, one side behind the other */
    char *rest;     /* their records, */
    char *drest;    /* and the cotangents of these */
    bool *copied;   /* by row: the record is there */
    int32_t *at;    /* by row: frame->rows and frame->example of both */
    int64_t *example;
    bool halves;         /* each has a thread: they share the calls, instead of one working for both */
    deq_meeting meeting; /* of the two threads */
} deq_partners;

/* For fixed points of at most so many bytes a state and a record.  NULL when memory is short. */
deq_partners *deq_partners_new(int64_t first, int64_t second, int64_t state_bytes, int64_t rest_bytes);
void deq_partners_free(deq_partners *partners);
/* The side's records have changed. */
void deq_partners_forget(deq_partners *pair, int side);
/* routine(frame, n) of a fixed point.  If it is f, lin, vjp_z or vjp_zx, from the states arg0 to arg1, and all rows of the
 * worker's block are in it, it waits for the partner's call of the same routine. */
void deq_partners_call(deq_routine_fn *routine, const deq_fixed *fixed, const deq_frame *frame, int64_t n);
#endif
