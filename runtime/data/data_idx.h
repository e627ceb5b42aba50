/* data_idx.h - the IDX format (LeCun): 00 00 TYPE RANK, RANK dimensions as big-endian u32, row-major data.  Plain or
 * gzip.
 *
 * Nothing in the header is believed before it is checked against the size of the file: no allocation is larger than
 * what the file can hold. */
#ifndef DEQ_RUNTIME_DATA_IDX_H
#define DEQ_RUNTIME_DATA_IDX_H
#include "array.h"

/* Reads and checks the header only. */
bool deq_idx_header(const char *path, deq_array *out, deq_error *e);
/* Reads everything; truncated, oversized or corrupt files are DEQ_DATA_FORMAT with the byte offset (of the unpacked
 * data). */
bool deq_idx_read(const char *path, deq_array *out, deq_error *e);
/* Maps a plain file of one-byte elements instead of reading it; the same checks. */
bool deq_idx_map(const char *path, deq_array *out, deq_error *e);
/* The format's code of an element type, 0 where it has none. */
uint8_t deq_idx_code(deq_element type);
#endif
