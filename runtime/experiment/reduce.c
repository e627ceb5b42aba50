/* reduce.c - a list of numbers to one (reductions.def). */
#include "arrays.h"
#include "sort.h"
#include <math.h>
#include <stdlib.h>

static double extreme(const double *values, int n, bool largest, bool place) {
    int best = -1;
    for (int i = 0; i < n; i++)
        if (!isnan(values[i]) && (best < 0 || (largest ? values[i] > values[best] : values[i] < values[best])))
            best = i;
    return best < 0 ? NAN : place ? best : values[best];
}

static double mean(const double *values, int n, int *count) {
    double sum = 0;
    *count = 0;
    for (int i = 0; i < n; i++)
        if (!isnan(values[i])) sum += values[i], ++*count;
    return *count ? sum / *count : NAN;
}

static double deviation(const double *values, int n) {
    int count;
    const double centre = mean(values, n, &count);
    double sum = 0;
    for (int i = 0; i < n; i++)
        if (!isnan(values[i])) sum += (values[i] - centre) * (values[i] - centre);
    return count > 1 ? sqrt(sum / (count - 1)) : NAN;
}

static double quantile(const double *values, int n, double share) {
    double *sorted = malloc((size_t)(n + 1) * sizeof *sorted);
    int count = 0;
    for (int i = 0; sorted && i < n; i++)
        if (!isnan(values[i])) sorted[count++] = values[i];
    if (!sorted || !count) return free(sorted), NAN;
    deq_sort(sorted, (size_t)count);
    const double place = share * (count - 1);
    const int below = (int)floor(place), above = below + 1 < count ? below + 1 : below;
    const double out = sorted[below] + (place - below) * (sorted[above] - sorted[below]);
    free(sorted);
    return out;
}

static double truth(const double *values, int n, bool every) {
    int holds = 0, count = 0;
    for (int i = 0; i < n; i++)
        if (!isnan(values[i])) holds += values[i] != 0, count++;
    return !count ? NAN : every ? holds == count : holds > 0;
}

double deq_reduce(deq_reduction reduction, double share, const double *values, int n) {
    int count;
    switch (reduction) {
    case DEQ_REDUCE_min:
    case DEQ_REDUCE_worst_of: return extreme(values, n, false, false);
    case DEQ_REDUCE_max: return extreme(values, n, true, false);
    case DEQ_REDUCE_mean: return mean(values, n, &count);
    case DEQ_REDUCE_std: return deviation(values, n);
    case DEQ_REDUCE_quantile: return quantile(values, n, share);
    case DEQ_REDUCE_argmin: return extreme(values, n, false, true);
    case DEQ_REDUCE_argmax: return extreme(values, n, true, true);
    case DEQ_REDUCE_any: return truth(values, n, false);
    case DEQ_REDUCE_all: return truth(values, n, true);
    case DEQ_REDUCE_spearman: /* deq_rank_correlation */
    case DEQ_REDUCTIONS: break;
    }
    return NAN;
}

/* The rank of value i among those that have a partner. */
static double rank(const double *values, const double *partners, int n, int i) {
    int below = 0, equal = 0;
    for (int k = 0; k < n; k++) {
        if (isnan(values[k]) || isnan(partners[k])) continue;
        below += values[k] < values[i];
        equal += values[k] == values[i];
    }
    return below + 0.5 * (equal - 1);
}

double deq_rank_correlation(const double *x, const double *y, int n) {
    double xx = 0, yy = 0, xy = 0;
    int count = 0;
    for (int i = 0; i < n; i++) count += !isnan(x[i]) && !isnan(y[i]);
    const double centre = 0.5 * (count - 1); /* of ranks from 0 */
    for (int i = 0; i < n; i++) {
        if (isnan(x[i]) || isnan(y[i])) continue;
        const double a = rank(x, y, n, i) - centre, b = rank(y, x, n, i) - centre;
        xx += a * a, yy += b * b, xy += a * b;
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : NAN;
}
