/* seal.h - files of results say which program wrote them and carry checksums, of which the file's name is part: what was
 * changed by hand, damaged or put under another name is noticed when it is read again.
 *
 * A JSON object gets the members "version" (of the program) and "checksum".  Every line of a CSV gets these two as its last
 * columns; its checksum is of the file's name, the titles and the line, so that lines can be taken out one by one. */
#ifndef DEQ_RUNTIME_SEAL_H
#define DEQ_RUNTIME_SEAL_H
#include "error.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* The whole object as text with the two members; malloc'ed, NULL: out of memory. */
char *deq_seal_json(const json_t *object, const char *path);
/* The whole CSV `text` with the two columns; malloc'ed, NULL: out of memory. */
char *deq_seal_csv(const char *text, const char *path, size_t *size);

/* A field of a line, in quotes where it must be. */
void deq_csv_text(FILE *out, const char *text);
/* The title of a column that belongs to another one: "robust low", in quotes as a whole. */
void deq_csv_title(FILE *out, const char *title, const char *ending);

/* Reads a sealed object; NULL: there is no such file, or DEQ_REPORT says what is wrong with it. */
json_t *deq_sealed_json(const char *path, deq_error *e);
/* Whether the file is a CSV with the two columns, whatever they hold. */
bool deq_csv_is_sealed(const char *path);
/* Reads a sealed CSV and takes the two columns off again; likewise. */
char *deq_sealed_csv(const char *path, deq_error *e);
/* Its rows as an array of objects, a number for each cell that is not empty; empty where there is no such file. */
json_t *deq_sealed_rows(const char *path, deq_error *e);
#endif
