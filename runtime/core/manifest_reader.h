/* manifest_reader.h - how a part of the manifest is read: JSON values by their keys.  The first error stays; what could
 * not be read is empty, so that reading goes on.
 * Files: manifest_reader.c, manifest.c, manifest_net.c, manifest_train.c, manifest_experiment.c. */
#ifndef DEQ_RUNTIME_MANIFEST_READER_H
#define DEQ_RUNTIME_MANIFEST_READER_H
#include "manifest.h"

typedef struct manifest_reader {
    deq_manifest *m; /* owns what is read */
    deq_error *e;
    const char *where; /* the part at hand, for errors: "net" */
} manifest_reader;

/* count zeroed items, which live as long as the manifest; NULL when memory is short, which is the error then. */
void *manifest_make(manifest_reader *r, size_t count, size_t size);
/* The error: the part at hand has no such key. */
void manifest_missing(manifest_reader *r, const char *key, const char *kind);
/* "" and an error when it is not there. */
const char *manifest_text(manifest_reader *r, const json_t *o, const char *key);
const char *manifest_text_or_null(const json_t *o, const char *key);
/* 0 and an error when it is not there. */
int64_t manifest_integer(manifest_reader *r, const json_t *o, const char *key);
int64_t manifest_integer_or(const json_t *o, const char *key, int64_t other);
/* An error when it is not there; an optional one may be absent, and then counts 0. */
const json_t *manifest_list(manifest_reader *r, const json_t *o, const char *key, int *count);
const json_t *manifest_optional_list(const json_t *o, const char *key, int *count);
const char **manifest_texts(manifest_reader *r, const json_t *o, const char *key, int *count);
/* `key` is what the error calls it. */
deq_shape manifest_shape(manifest_reader *r, const json_t *v, const char *key);
deq_target manifest_target(manifest_reader *r, const json_t *o);
/* Settings of an attack or an optimiser, at most DEQ_MOST_SCALARS. */
deq_named *manifest_scalars(manifest_reader *r, const json_t *o, int *count);
/* Pairs of a path and a value. */
deq_override *manifest_overrides(manifest_reader *r, const json_t *o, const char *key, int *count);
/* False when it is not there. */
bool manifest_flag(const json_t *o, const char *key);

/* ---- manifest_net.c ---- */
void manifest_net(manifest_reader *r, const json_t *o, deq_net_spec *n);
/* ---- manifest.c ---- */
deq_train_spec *manifest_trains(manifest_reader *r, const json_t *o, int *count); /* its list "trains" */
/* Finds what the run begins with: a run of one of these n arrays, which stand above it, or of the file. */
void manifest_start(manifest_reader *r, deq_train_spec *t, const deq_array_spec *arrays, int n);
void manifest_value(manifest_reader *r, const json_t *o, deq_value_spec *v);
/* ---- manifest_train.c ---- */
void manifest_steps(manifest_reader *r, const json_t *o, deq_train_spec *t);
/* ---- manifest_experiment.c ---- */
void manifest_experiment(manifest_reader *r, const json_t *o, deq_experiment_spec *x);
#endif
