/* interval.h - what a share, a mean or a difference of examples can be trusted to: intervals of 95 %.
 *
 * Shares get Wilson's interval (1927), which has a width also where every example agrees.  Differences of two shares
 * of the same examples are paired: only examples that differ count (Agresti and Min 2005).  Everything else gets a
 * percentile bootstrap over examples, whose draws depend on the key and the number of examples only. */
#ifndef DEQ_RUNTIME_INTERVAL_H
#define DEQ_RUNTIME_INTERVAL_H
#include <stdbool.h>
#include <stdint.h>

typedef struct deq_interval { /* low <= value <= high; all NaN when there are no examples */
    double value, low, high;
} deq_interval;

deq_interval deq_wilson(int64_t successes, int64_t n);
/* Share of b minus share of a over n examples, of which `gained` are right in b only and `lost` in a only. */
deq_interval deq_paired_difference(int64_t gained, int64_t lost, int64_t n);
/* Half of their width in standard errors, where several low ends have to hold together with 95 % (Bonferroni): with the
 * 1 - 0.05 / comparisons of one side; of one or two it is that of every other interval, 1.96. */
double deq_joint_width(int64_t comparisons);
/* Of something that is true in this share of resamples: how many times as many examples (and seeds, where they are drawn
 * too) bring that share to 2.5 % or 97.5 %, whichever is nearer.  What decides it is taken as normal: it lies z standard
 * errors on one side, where the share puts it, and more data make a standard error smaller by the root of how many times
 * as many they are.  1 where it is decided; infinite for one half. */
double deq_times_to_decide(double share);
deq_interval deq_wilson_wide(int64_t successes, int64_t n, double width);
deq_interval deq_paired_difference_wide(int64_t gained, int64_t lost, int64_t n, double width);
/* Of a value that was computed anew on n resamples: 95 % of them lie in it, and the value.  Sorts them.  Those without a
 * value, NaN, are left out where they are no more than are cut off at an end, 2.5 %; more of them, or one that is infinite,
 * make both ends NaN. */
deq_interval deq_percentiles(double value, double *resampled, int n);
/* Of the mean of values[0 .. n): Wilson's of a share, whose values are 0 and 1, else a bootstrap.  A value that is not
 * finite makes it NaN. */
deq_interval deq_mean_interval(const double *values, int64_t n, uint64_t key, bool share);
#endif
