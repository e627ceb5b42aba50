/* transform.h - examples changed at random while a net trains (transforms.def): a source of examples around another.
 *
 * The draws of an example are keyed by (seed, name of the transformation, epoch, example), so they depend neither on
 * the batch nor on threads, and one transformation more does not change those of the others. */
#ifndef DEQ_RUNTIME_TRANSFORM_H
#define DEQ_RUNTIME_TRANSFORM_H
#include "engine.h"
#include "manifest.h"

typedef struct deq_augmented {
    deq_source inner;
    const deq_slice *slice; /* its transformations, in order; its data's input shape */
    uint64_t seed;
    int64_t epoch;
} deq_augmented;

/* `a` must stay as it is while the source is used. */
deq_source deq_augmented_source(const deq_augmented *a);
/* One transformation of one example in place: rows without padding, of `real_bytes`; key: of its draws. */
void deq_transform_row(const deq_transform *t, uint64_t key, const deq_shape *shape, int64_t real_bytes, void *row);
#endif
