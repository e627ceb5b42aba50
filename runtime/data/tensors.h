/* tensors.h - files of named arrays: NPY (one array), NPZ (a zip archive of them) and safetensors; read and written.
 *
 * Opening reads headers only, and believes nothing in them before it is compared with the size of the file: no array is
 * larger than what the file holds, or than what its packed bytes can unpack to.  Nothing in a file is ever executed:
 * an array of Python objects (a pickle) is refused.  The formats: shared by tensors_npy.c, tensors_npz.c and
 * tensors_safetensors.c, which are private to this module. */
#ifndef DEQ_RUNTIME_TENSORS_H
#define DEQ_RUNTIME_TENSORS_H
#include "array.h"
#include <jansson.h>

typedef struct deq_tensor {
    char *name;
    deq_array array; /* its header; no values */
    bool fortran;    /* the first axis runs fastest in the file; values are read row by row all the same */
    bool big_endian;
    char *problem;     /* why its values cannot be used, or NULL */
    uint64_t place[2]; /* NPZ: where its entry is */
} deq_tensor;

typedef enum deq_tensor_format { DEQ_NPY, DEQ_NPZ, DEQ_SAFETENSORS } deq_tensor_format;

typedef struct deq_tensors {
    char *path;
    deq_tensor_format format;
    const uint8_t *bytes; /* the whole file */
    int64_t size;
    bool mapped;
    deq_tensor *list;
    int count, cap;
    json_t *metadata; /* safetensors: "__metadata__", or NULL */
    void *archive;    /* NPZ: the open zip file */
    void *stream;     /* NPZ: what it reads from */
} deq_tensors;

/* The format is told by the first bytes.  DEQ_DATA_MISSING, or DEQ_DATA_FORMAT with the byte at fault. */
bool deq_tensors_open(const char *path, deq_tensors *out, deq_error *e);
/* The same of bytes in memory, which must outlive `out`; `name` is for messages. */
bool deq_tensors_open_memory(const char *name, const void *bytes, int64_t size, deq_tensors *out, deq_error *e);
void deq_tensors_close(deq_tensors *file);
deq_tensor *deq_tensors_find(const deq_tensors *file, const char *name);
/* Allocates and reads the values; DEQ_DATA_FORMAT when they cannot be used. */
bool deq_tensors_read(deq_tensors *file, const deq_tensor *t, deq_array *out, deq_error *e);

/* One array to write, row by row: f32 or f64; into NPZ also whole numbers. */
typedef struct deq_tensor_out {
    const char *name;
    deq_array array;
} deq_tensor_out;
/* By the ending of the path: .npz or .safetensors.  Whole or not at all (output.h).  `settings`: what the net was trained
 * as (checkpoint.h), for which NPZ has no place; NULL: not known. */
bool deq_tensors_write(const char *path, const deq_tensor_out *list, int n, const char *settings, deq_error *e);

/* --- between the files of this module --- */
deq_tensor *deq_tensors_add(deq_tensors *file, const char *name);
/* `sign`: by what it is known. */
bool deq_refuse_pickle(const deq_tensors *file, const char *sign, deq_error *e);
/* A NPY header at `bytes`, of which `size` are there; the array with its header is `total` bytes long.  Fills array,
 * fortran and big_endian; returns why it cannot be used (free() it), or NULL. */
char *deq_npy_header(const uint8_t *bytes, int64_t size, int64_t total, deq_tensor *t);
/* Bytes that deq_npy_header needs, from the first 12; -1: it is no NPY header. */
int64_t deq_npy_header_bytes(const uint8_t *bytes, int64_t size);
char *deq_npy_header_text(const deq_array *a, size_t *size); /* free() it */
bool deq_npz_open(deq_tensors *file, deq_error *e);
bool deq_npz_read(deq_tensors *file, const deq_tensor *t, void *values, int64_t bytes, deq_error *e);
void deq_npz_close(deq_tensors *file);
bool deq_npz_write(const char *path, const deq_tensor_out *list, int n, deq_error *e);
bool deq_safetensors_open(deq_tensors *file, deq_error *e);
bool deq_safetensors_write(const char *path, const deq_tensor_out *list, int n, const char *settings, deq_error *e);
#endif
