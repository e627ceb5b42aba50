/* array.h - an array as a file holds it: elements keep their type and become reals when they are used. */
#ifndef DEQ_RUNTIME_ARRAY_H
#define DEQ_RUNTIME_ARRAY_H
#include "error.h"
#include <stddef.h>
#include <stdint.h>

typedef enum deq_element {
#define ELEMENT(id, bytes, whole, safetensors, numpy, idx) DEQ_##id,
#include "elements.def"
#undef ELEMENT
    DEQ_ELEMENTS
} deq_element;

#define DEQ_ARRAY_RANK 8

typedef struct deq_array {
    deq_element type;
    int rank;
    int64_t dim[DEQ_ARRAY_RANK]; /* of data: dim[0] counts examples */
    int64_t elements;            /* product of dim */
    int64_t start;               /* byte of the (unpacked) file at which the elements begin, for messages */
    void *values;                /* row by row, native byte order; NULL: only the header was read */
    void *map;                   /* what `values` points into when it is not memory of its own */
    int64_t map_bytes;
} deq_array;

int64_t deq_element_bytes(deq_element type);
bool deq_element_whole(deq_element type);
const char *deq_element_name(deq_element type); /* "F32", as safetensors spells it */

/* Element i as a real: u8 divided by 255, the others as they are. */
double deq_array_value(const deq_array *a, int64_t i);
/* Element i, u8 as it is: labels, parameters. */
double deq_array_plain(const deq_array *a, int64_t i);
int64_t deq_array_offset(const deq_array *a, int64_t i); /* of element i in the file */
/* Product of dim into elements; false when it does not fit memory. */
bool deq_array_count(deq_array *a);
/* Reverses the bytes of every element. */
void deq_swap_bytes(void *values, int64_t elements, int64_t size);
/* Memory for the elements, unset; DEQ_MEMORY naming `path`. */
bool deq_array_allocate(deq_array *a, const char *path, deq_error *e);
void deq_array_free(deq_array *a);
void deq_dims_print(const int64_t *dim, int rank, char *out, size_t size); /* "[3, 4]" */
#endif
