/* data_part.h - the inputs or the targets of a split, in whatever files a reader found them. */
#ifndef DEQ_RUNTIME_DATA_PART_H
#define DEQ_RUNTIME_DATA_PART_H
#include "array.h"

typedef enum deq_data_format {
    DEQ_FORMAT_IDX,    /* data_idx.h */
    DEQ_FORMAT_ARRAY,  /* an array of a NPY, NPZ or safetensors file: tensors.h */
    DEQ_FORMAT_RECORDS /* bytes of fixed records, one file after the other: CIFAR's binary format */
} deq_data_format;

#define DEQ_DATA_FILES 8

typedef struct deq_data_part {
    deq_data_format format;
    char *paths[DEQ_DATA_FILES]; /* owned */
    int npaths;                  /* 0: there is none */
    char *array;                 /* ARRAY: its name in the file; NULL: the only one */
    int record, offset, length;  /* RECORDS: bytes of a record, and which of them are this part */
    int classes;                 /* RECORDS: labels are below this; 0: they are no labels */
} deq_data_part;

/* "'a.gz'", "'a.npz' (array 'x')", "'data_batch_1.bin' and 4 more files": for messages. */
void deq_part_place(const deq_data_part *part, char *out, size_t size);
/* Shape and type, checked against the sizes of the files; out->start is where the elements begin. */
bool deq_part_header(const deq_data_part *part, deq_array *out, deq_error *e);
/* All values.  RECORDS: labels are checked, with file and byte. */
bool deq_part_read(const deq_data_part *part, deq_array *out, deq_error *e);
void deq_part_free(deq_data_part *part);
#endif
