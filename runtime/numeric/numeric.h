/* numeric.h - solving fixed points and differentiating through them: the iterations, once for each precision.
 *
 * needs: a worker whose memory is laid out for the settings it points to; a frame of the net's routines. */
#ifndef DEQ_RUNTIME_NUMERIC_H
#define DEQ_RUNTIME_NUMERIC_H
#include "spectral.h"
#include "worker.h"

typedef struct deq_needs {        /* of one gradient mode, for a block; of several, the largest member by member */
    int steps, tapes;             /* steps whose rows are kept; linearisations of them */
    int states;                   /* blocks of state rows */
    int directions;               /* of a quasi-Newton solve, kept with its estimate */
    bool drest, joint;            /* deq_kept.drest; deq_visits.joint */
    size_t solver, scratch, hand; /* bytes of these parts of the worker */
} deq_needs;

/* deq_gradient: with the mode that was kept, from the cotangent in arg1; frame as in deq_fixed_gradient.
 * deq_spectrum: of J at n states z (rows) with their rest records, out[0 .. n); frame as in deq_fixed_solve.
 * deq_linear_matrix: out[j * n + k] = element k of L e_j, the n elements of a state standing at place[0 .. n) of its
 * row.  Both are false when memory is short.
 * deq_finite: whether every value is; `bytes` is a multiple of DEQ_ALIGN. */
#define DEQ_NUMERIC(suffix)                                                                                            \
    size_t deq_forward_bytes##suffix(const deq_fixed *fixed, const deq_fixed_settings *s, int64_t n, bool defended);   \
    deq_needs deq_mode_needs##suffix(const deq_fixed *fixed, const deq_fixed_settings *s, int64_t n);                  \
    void deq_solve##suffix(deq_worker *worker, const deq_frame *frame, const deq_fixed *fixed, int64_t n, void *rest,  \
                           void *z, bool want_gradient, deq_routine_fn *cotangent);                                    \
    void deq_gradient##suffix(const deq_frame *frame, const deq_fixed *fixed, int64_t n);                              \
    void deq_solve_linear##suffix(deq_worker *worker, const deq_frame *frame, const deq_fixed *map, int64_t n,         \
                                  void *rest, void *u);                                                                \
    size_t deq_penalty_bytes##suffix(const deq_fixed *fixed, const deq_penalties *p, int64_t n);                       \
    void deq_added_open##suffix(const deq_fixed *fixed, deq_kept *kept, int64_t n);                                    \
    void deq_penalise##suffix(deq_worker *worker, const deq_frame *frame, const deq_fixed *fixed, int64_t n,           \
                              void *rest, const void *z);                                                              \
    void *deq_penalty_cotangent##suffix(const deq_fixed *fixed, deq_kept *kept, int64_t n, const void *u);             \
    void deq_penalty_rest##suffix(const deq_fixed *fixed, const deq_kept *kept, int64_t n, void *drest);               \
    bool deq_spectrum##suffix(const deq_worker *worker, const deq_frame *frame, const deq_fixed *fixed, int64_t n,     \
                              void *rest, const void *z, const deq_spectrum_options *options, deq_spectrum *out);      \
    bool deq_linear_matrix##suffix(const deq_worker *worker, const deq_frame *frame, const deq_fixed *fixed,           \
                                   const int64_t *place, int64_t n, double *out);                                      \
    void deq_sum##suffix(void *out, void *const *parts, int count, int64_t from, int64_t to, double scale);            \
    bool deq_finite##suffix(const void *values, int64_t bytes);
DEQ_NUMERIC(_f32)
DEQ_NUMERIC(_f64)
#undef DEQ_NUMERIC
#endif
