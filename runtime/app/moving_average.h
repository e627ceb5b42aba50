/* moving_average.h - `average: ema(0.999)`: a <- d a + (1 - d) w after every step, of parameters and buffers alike, in the
 * engine's layout and precision. */
#ifndef DEQ_RUNTIME_MOVING_AVERAGE_H
#define DEQ_RUNTIME_MOVING_AVERAGE_H
#include "records.h"
#include <stdint.h>

typedef struct deq_moving_average { /* all zero: there is none, and nothing is done */
    deq_average how;
    int real_bits;
    int64_t bytes;
    void *values;
} deq_moving_average;

bool deq_moving_average_begin(deq_moving_average *a, deq_average how, const void *parameters, int64_t bytes,
                              int real_bits); /* false: out of memory */
/* The parameters after that step, from 1. */
void deq_moving_average_step(deq_moving_average *a, const void *parameters, int64_t step);
/* The two change places: the net is then the average, or again what is trained.  False: there is no average. */
bool deq_moving_average_exchange(deq_moving_average *a, void *parameters);
void deq_moving_average_drop(deq_moving_average *a);
#endif
