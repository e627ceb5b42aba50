/* linear_solve.c - K u = b of a gradient written by hand, by the solvers of the adjoint: u = (I - K) u + b. */
#include "solve.h"
#include "hand.h"
#include <string.h>

typedef struct buffers {
    real *right, *result;
    double *scale;
} buffers;

static buffers take_buffers(const deq_fixed *map, deq_space *space, int64_t n) {
    size_t bytes = (size_t)n * (size_t)map->state_bytes;
    buffers b;
    b.right = deq_space_take(space, bytes);
    b.result = deq_space_take(space, bytes);
    b.scale = deq_space_take(space, (size_t)n * sizeof(double));
    return b;
}

size_t NAME(linear_bytes)(const deq_fixed *map, const deq_solver *solver, int64_t n) {
    deq_space space = {NULL, 0};
    take_buffers(map, &space, n);
    return space.used + NAME(solver_bytes)(map, solver, true, n);
}

void NAME(deq_solve_linear)(deq_worker *worker, const deq_frame *frame, const deq_fixed *map, int64_t n, void *rest,
                            void *u) {
    deq_space space = {worker->solver, 0};
    buffers b = take_buffers(map, &space, n);
    int64_t vectors = map->state_bytes / (int64_t)sizeof(vec);
    deq_frame inner = *frame;
    inner.rest = rest;
    inner.drest = inner.accum = inner.tape = NULL;
    inner.scratch = worker->scratch;
    for (int64_t row = 0; row < n; row++)
        b.scale[row] = NAME(scale_right)((vec *)b.right + row * vectors, (vec *)u + row * vectors, vectors);
    NAME(solve_map)
    (worker, &inner, map, deq_hand_solver(&worker->kept[map->index].mode, map), n, b.right, b.scale, b.result, space);
    for (int64_t row = 0; row < n; row++)
        row_scale((vec *)u + row * vectors, (real)b.scale[row], (vec *)b.result + row * vectors, vectors);
}
