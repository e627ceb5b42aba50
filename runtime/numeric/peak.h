/* peak.h - floating-point work without memory. */
#ifndef DEQ_NUMERIC_PEAK_H
#define DEQ_NUMERIC_PEAK_H
#include <stdbool.h>
#include <stdint.h>

/* Runs `rounds` rounds of multiply-adds in registers, in few or many independent chains; returns the floating-point
 * operations done. */
double deq_peak_work_f32(int64_t rounds, bool many);
double deq_peak_work_f64(int64_t rounds, bool many);
#endif
