/* finish.c - see finish.h. */
#include "finish.h"
#include <string.h>

void NAME(images_open)(images *m, const deq_fixed *fixed, deq_space *space, int64_t n) {
    const size_t rows = (size_t)(n * fixed->state_bytes);
    m->of_result = deq_space_take(space, rows);
    m->of_best = deq_space_take(space, rows);
    m->known = deq_space_take(space, (size_t)n * sizeof *m->known);
    m->linearised = deq_space_take(space, (size_t)n * sizeof *m->linearised);
    if (!space->base) return;
    memset(m->known, 0, (size_t)n * sizeof *m->known);
    memset(m->linearised, 0, (size_t)n * sizeof *m->linearised);
}

void NAME(finish_begin)(finish *f, const problem *p, bool held) {
    const bool any = deq_finish_steps(&f->settings) > 0;
    for (int64_t row = 0; row < p->n; row++)
        f->due[row] = any && (held || f->settings.always || p->progress[row].reason != DEQ_REASON_converged);
}

/* `z` stays where f is not finite; `next` is working memory. */
static void move(vec *z, const vec *f, vec *next, real share, int64_t vectors) {
    if (NAME(damped_step)(next, z, f, share, vectors)) memcpy(z, next, (size_t)vectors * sizeof(vec));
}

typedef struct gathered { /* the rows to be evaluated, side by side */
    real *in, *out;
    int32_t *rows;
    int64_t *example;
} gathered;

static gathered take_gathered(const deq_fixed *fixed, deq_space *space, int64_t n) {
    const size_t rows = (size_t)(n * fixed->state_bytes);
    gathered g;
    g.in = deq_space_take(space, rows);
    g.out = deq_space_take(space, rows);
    g.rows = deq_space_take(space, (size_t)n * sizeof *g.rows);
    g.example = deq_space_take(space, (size_t)n * sizeof *g.example);
    return g;
}

size_t NAME(finish_bytes)(const deq_fixed *fixed, int64_t n) {
    deq_space space = {NULL, 0};
    take_gathered(fixed, &space, n);
    return space.used;
}

/* The step of the rows whose f is known already; the others that make it are gathered, and counted. */
static int64_t gather(const finish *f, const deq_frame *frame, const deq_fixed *fixed, int64_t n, real share, real *z,
                      const images *known, gathered *g) {
    const int64_t vectors = fixed->state_bytes / (int64_t)sizeof(vec);
    int64_t count = 0;
    for (int64_t row = 0; row < n; row++) {
        vec *state = (vec *)z + row * vectors;
        if (!f->due[row] || (known && known->known[row] == IMAGE_RESULT)) continue;
        if (known && known->known[row] == IMAGE_KEPT) {
            move(state, (const vec *)known->of_result + row * vectors, (vec *)g->out, share, vectors);
            continue;
        }
        memcpy((vec *)g->in + count * vectors, state, (size_t)fixed->state_bytes);
        if (frame->example) g->example[count] = frame->example[row];
        g->rows[count++] = (int32_t)row;
    }
    return count;
}

void NAME(finish_run)(const finish *f, const deq_frame *frame, const deq_fixed *fixed, int64_t n, int from, int count,
                      real *z, const images *known, deq_space space) {
    const int64_t vectors = fixed->state_bytes / (int64_t)sizeof(vec);
    gathered g = take_gathered(fixed, &space, n);
    for (int t = from; t < from + count; t++) {
        const real share = (real)deq_finish_share(&f->settings, t);
        const int64_t rows = gather(f, frame, fixed, n, share, z, t == from ? known : NULL, &g);
        if (rows == 0) continue;
        deq_frame inner = *frame;
        inner.rows = g.rows;
        inner.example = frame->example ? g.example : NULL;
        inner.arg0 = g.in;
        inner.arg1 = g.out;
        deq_evaluate(fixed, &inner, rows);
        for (int64_t i = 0; i < rows; i++)
            move((vec *)z + g.rows[i] * vectors, (const vec *)g.out + i * vectors, (vec *)g.out + i * vectors, share,
                 vectors);
    }
}
