/* dataset.h - one `data` declaration: finds its files, checks them against the declared types, serves examples.
 *
 * Bytes stay as they are in the file (u8) and become reals when a block is gathered.  Reading a split is put off until
 * examples are needed: a run that finds everything in the cache reads headers and checksums only.
 * Files: dataset.c, data_readers.c. */
#ifndef DEQ_RUNTIME_DATASET_H
#define DEQ_RUNTIME_DATASET_H
#include "data_part.h"
#include "engine.h"
#include "manifest.h"
#include "store.h"

typedef struct deq_dataset deq_dataset;

/* Where a reader found the two splits. */
typedef struct deq_data_files {
    deq_data_part inputs[2], targets[2];
} deq_data_files;

/* Resolves the reader's arguments to files (data_readers.c). DEQ_DATA_MISSING names the package that holds them. */
bool deq_data_find(const deq_data_spec *spec, deq_data_files *out, deq_error *e);

/* `store` (or NULL) keeps checksums of files by name, size and time, and unpacked copies of packed ones, which are
 * mapped the next time: unpacking is most of what a warm start would take. */
deq_dataset *deq_dataset_new(const deq_data_spec *spec, deq_store *store, deq_error *e);
void deq_dataset_free(deq_dataset *d);
/* Goes on with an equal declaration and another store. */
void deq_dataset_rebind(deq_dataset *d, const deq_data_spec *spec, deq_store *store);

/* Headers of a split against the declaration: DEQ_DATA_SHAPE, DEQ_DATA_FORMAT, DEQ_DATA_EMPTY. */
bool deq_dataset_check(deq_dataset *d, bool test, deq_error *e);
int64_t deq_dataset_count(const deq_dataset *d, bool test); /* after a check */
/* Bounds of a slice in its split, checked: from < to <= count. */
bool deq_dataset_slice(deq_dataset *d, const deq_slice *slice, int64_t *from, int64_t *to, deq_error *e);
/* XXH3-128 of the bytes of the split's files, in hex. */
bool deq_dataset_fingerprint(deq_dataset *d, bool test, char out[33], deq_error *e);
/* Reads a split and checks every value: labels below their bound, reals finite. */
bool deq_dataset_load(deq_dataset *d, bool test, deq_error *e);
/* For the engine, after a load.  Thread-safe. */
deq_source deq_dataset_source(deq_dataset *d, bool test);
#endif
