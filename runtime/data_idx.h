/* data_idx.h - the IDX format (LeCun): 00 00 TYPE RANK, RANK dimensions as big-endian u32, row-major data.  Plain or
 * gzip.
 *
 * Nothing in the header is believed before it is checked against the size of the file: no allocation is larger than
 * what the file can hold. */
#ifndef DEQ_RUNTIME_DATA_IDX_H
#define DEQ_RUNTIME_DATA_IDX_H
#include "error.h"
#include <stdint.h>

typedef enum deq_idx_type {
    DEQ_IDX_U8 = 0x08,
    DEQ_IDX_I8 = 0x09,
    DEQ_IDX_I16 = 0x0b,
    DEQ_IDX_I32 = 0x0c,
    DEQ_IDX_F32 = 0x0d,
    DEQ_IDX_F64 = 0x0e
} deq_idx_type;

#define DEQ_IDX_RANK 8

typedef struct deq_idx {
    deq_idx_type type;
    int rank;
    int64_t dim[DEQ_IDX_RANK]; /* dim[0] counts examples */
    int64_t elements;          /* product of dim */
    void *values;              /* native byte order; NULL after deq_idx_header */
    void *map;                 /* deq_idx_map: what `values` points into */
    int64_t map_bytes;
} deq_idx;

int64_t deq_idx_element_bytes(deq_idx_type type);
/* Reads and checks the header only. */
bool deq_idx_header(const char *path, deq_idx *out, deq_error *e);
/* Reads everything; truncated, oversized or corrupt files are DEQ_DATA_FORMAT with the byte offset (of the unpacked
 * data). */
bool deq_idx_read(const char *path, deq_idx *out, deq_error *e);
/* Maps a plain file of one-byte elements instead of reading it; the same checks. */
bool deq_idx_map(const char *path, deq_idx *out, deq_error *e);
void deq_idx_free(deq_idx *idx);
/* Element i as a real: u8 divided by 255, the others as they are. */
double deq_idx_value(const deq_idx *idx, int64_t i);
#endif
