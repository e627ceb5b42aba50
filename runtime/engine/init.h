/* init.h - draws a parameter from its initialiser. */
#ifndef DEQ_RUNTIME_INIT_H
#define DEQ_RUNTIME_INIT_H
#include "error.h"
#include "records.h"
#include <stdint.h>

/* "normal(std: 0.1)", names and arguments of initialisers.def; and back, every argument. */
bool deq_initialiser_parse(const char *text, deq_initialiser *out, deq_error *e);
void deq_initialiser_print(const deq_initialiser *a, char *out, size_t size);

/* Writes product(shape) values, in row-major order, to out: float for real_bits 32, double for 64.
 * Draws are keyed by (seed, path).  Fails with DEQ_SETTING. */
bool deq_initialise(const char *text, const int64_t *shape, int rank, uint64_t seed, const char *path, int real_bits,
                    void *out, deq_error *e);
#endif
