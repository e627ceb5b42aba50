#include "transform.h"
#include "random.h"
#include <math.h>
#include <string.h>

/* The planes of an example: the last two axes are rows and columns. */
typedef struct Planes {
    char *at;
    int64_t count, rows, columns, real;
} Planes;

/* From 0 to n - 1. */
static int64_t draw(uint64_t key, uint64_t index, int64_t n) {
    int64_t k = (int64_t)floor(deq_uniform(key, index) * (double)n);
    return k < n ? k : n - 1;
}

static void apply_flip(const Planes *p, const deq_transform *t, uint64_t key) {
    (void)t;
    if (draw(key, 0, 2)) return;
    for (int64_t r = 0; r < p->count * p->rows; r++) {
        char *row = p->at + r * p->columns * p->real, swap[8];
        for (int64_t a = 0, b = p->columns - 1; a < b; a++, b--) {
            memcpy(swap, row + a * p->real, (size_t)p->real);
            memcpy(row + a * p->real, row + b * p->real, (size_t)p->real);
            memcpy(row + b * p->real, swap, (size_t)p->real);
        }
    }
}

/* new[r][c] = old[r + down][c + right], zero outside.  In place: rows are visited so that none is overwritten before
 * it is read. */
static void apply_crop(const Planes *p, const deq_transform *t, uint64_t key) {
    int64_t pad = t->pad, down = draw(key, 0, 2 * pad + 1) - pad, right = draw(key, 1, 2 * pad + 1) - pad;
    int64_t stride = p->columns * p->real, left = right < 0 ? -right : 0;
    int64_t kept = p->columns - (right < 0 ? -right : right);
    for (int64_t plane = 0; plane < p->count; plane++) {
        char *base = p->at + plane * p->rows * stride;
        for (int64_t k = 0; k < p->rows; k++) {
            int64_t r = down >= 0 ? k : p->rows - 1 - k, from = r + down;
            char *to = base + r * stride;
            if (from < 0 || from >= p->rows || kept <= 0) {
                memset(to, 0, (size_t)stride);
                continue;
            }
            memmove(to + left * p->real, base + from * stride + (right > 0 ? right : 0) * p->real,
                    (size_t)(kept * p->real));
            memset(to, 0, (size_t)(left * p->real));
            memset(to + (left + kept) * p->real, 0, (size_t)((p->columns - left - kept) * p->real));
        }
    }
}

static void apply_erase(const Planes *p, const deq_transform *t, uint64_t key) {
    int64_t size = t->size;
    int64_t top = draw(key, 0, p->rows) - size / 2, left = draw(key, 1, p->columns) - size / 2;
    int64_t bottom = top + size, right = left + size;
    if (top < 0) top = 0;
    if (left < 0) left = 0;
    if (bottom > p->rows) bottom = p->rows;
    if (right > p->columns) right = p->columns;
    for (int64_t plane = 0; plane < p->count && left < right; plane++)
        for (int64_t r = top; r < bottom; r++)
            memset(p->at + ((plane * p->rows + r) * p->columns + left) * p->real, 0,
                   (size_t)((right - left) * p->real));
}

static void (*const transforms[])(const Planes *, const deq_transform *, uint64_t) = {
#define TRANSFORM(name, doc) apply_##name,
#include "transforms.def"
};

void deq_transform_row(const deq_transform *t, uint64_t key, const deq_shape *shape, int64_t real_bytes, void *row) {
    Planes p = {.at = row, .count = 1, .rows = 1, .columns = shape->rank ? shape->dim[shape->rank - 1] : 1};
    if (shape->rank > 1) p.rows = shape->dim[shape->rank - 2];
    for (int i = 0; i < shape->rank - 2; i++) p.count *= shape->dim[i];
    p.real = real_bytes;
    transforms[t->kind](&p, t, key);
}

static void gather(void *context, const int64_t *index, int64_t n, int real_bits, void *x, int64_t input_bytes, void *y,
                   int64_t target_bytes) {
    const deq_augmented *a = context;
    a->inner.gather(a->inner.context, index, n, real_bits, x, input_bytes, y, target_bytes);
    for (int k = 0; k < a->slice->ntransforms; k++) {
        const deq_transform *t = &a->slice->transforms[k];
        uint64_t same = 0; /* a transformation named twice draws twice */
        for (int i = 0; i < k; i++) same += a->slice->transforms[i].kind == t->kind;
        uint64_t key = deq_key_mix(deq_key_mix(deq_key_text(a->seed, t->name), same), (uint64_t)a->epoch);
        for (int64_t i = 0; i < n; i++)
            deq_transform_row(t, deq_key_mix(key, (uint64_t)index[i]), &a->slice->data->input, real_bits / 8,
                              (char *)x + i * input_bytes);
    }
}

deq_source deq_augmented_source(const deq_augmented *a) {
    return a->slice->ntransforms ? (deq_source){(void *)(uintptr_t)a, gather} : a->inner;
}
