/* peak.c - multiply-adds that touch registers only: the most arithmetic a core can do, against which kernels are
 * measured. */
#include "peak.h"
#define ROWS "peak_rows.h"
#include "each_width.h"

double NAME(deq_peak_work)(int64_t rounds, bool many) { return FOR_WIDTH(work)(rounds, many); }
