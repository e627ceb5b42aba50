/* peak.c - multiply-adds that touch registers only: the most arithmetic a core can do, against which kernels are
 * measured. */
#include "peak.h"
#include "real.h"

/* Independent chains hide the latency of a multiply-add; too many would not fit the registers.  What fits best differs
 * between vector widths (16 registers of 32 bytes, 32 of 64), so two numbers of chains are tried. */
#define CHAINS(count)                                                                                                  \
    HOT static real chains_##count(int64_t rounds, real factor, real term) {                                           \
        vec sum[count], x, y, all = {0};                                                                               \
        for (int i = 0; i < LANES; i++) x[i] = factor, y[i] = term;                                                    \
        for (int c = 0; c < (count); c++) sum[c] = y * (real)c;                                                        \
        for (int64_t r = 0; r < rounds; r++)                                                                           \
            for (int c = 0; c < (count); c++) sum[c] = sum[c] * x + y;                                                 \
        for (int c = 0; c < (count); c++) all += sum[c];                                                               \
        return all[0];                                                                                                 \
    }
CHAINS(6)
CHAINS(14)

double NAME(deq_peak_work)(int64_t rounds, bool many) {
    /* the result is used, so that nothing can be left out; it stays finite: the chain converges */
    volatile real keep = many ? chains_14(rounds, (real)0.5, (real)1e-3) : chains_6(rounds, (real)0.5, (real)1e-3);
    (void)keep;
    return 2.0 * LANES * (many ? 14 : 6) * (double)rounds;
}
