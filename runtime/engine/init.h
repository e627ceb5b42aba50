/* init.h - draws a parameter from its initialiser. */
#ifndef DEQ_RUNTIME_INIT_H
#define DEQ_RUNTIME_INIT_H
#include "error.h"
#include <stdint.h>

/* Writes product(shape) values, in row-major order, to out: float for real_bits 32, double for 64.
 * text: "normal(std: 0.1)"; names in initialisers.def.  Draws are keyed by (seed, path).  Fails with DEQ_SETTING. */
bool deq_initialise(const char *text, const int64_t *shape, int rank, uint64_t seed, const char *path, int real_bits,
                    void *out, deq_error *e);
#endif
