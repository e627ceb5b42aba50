/* interval.c - Wilson's interval, the paired difference of shares, the bootstrap of a mean. */
#include "interval.h"
#include "random.h"
#include "sort.h"
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#define Z 1.959963984540054 /* of 95 %, two sides */
#define RESAMPLES 1000

static const deq_interval nothing = {NAN, NAN, NAN};

/* Of a normal variable: what it exceeds once in 1 / share, by halving. */
static double exceeded(double share) {
    double low = 0, high = 10;
    for (int k = 0; k < 60; k++) {
        const double middle = 0.5 * (low + high);
        if (0.5 * erfc(middle / sqrt(2)) > share)
            low = middle;
        else
            high = middle;
    }
    return high;
}

double deq_joint_width(int64_t comparisons) { return comparisons < 3 ? Z : exceeded(0.05 / (double)comparisons); }

double deq_times_to_decide(double share) {
    const double outside = fmin(share, 1 - share), z = outside < 0.5 ? exceeded(outside) : 0;
    return outside <= 0.025 ? 1 : (Z / z) * (Z / z);
}

deq_interval deq_wilson(int64_t successes, int64_t n) { return deq_wilson_wide(successes, n, Z); }
deq_interval deq_paired_difference(int64_t gained, int64_t lost, int64_t n) {
    return deq_paired_difference_wide(gained, lost, n, Z);
}

deq_interval deq_wilson_wide(int64_t successes, int64_t n, double z) {
    if (n <= 0 || successes < 0 || successes > n) return nothing;
    double count = (double)n, p = (double)successes / count, z2 = z * z;
    double centre = (p + z2 / (2 * count)) / (1 + z2 / count);
    double half = z * sqrt(p * (1 - p) / count + z2 / (4 * count * count)) / (1 + z2 / count);
    /* At the ends the bound is exact, and rounding must not move the share out of its interval. */
    return (deq_interval){p, successes == 0 ? 0 : fmin(centre - half, p), successes == n ? 1 : fmax(centre + half, p)};
}

deq_interval deq_paired_difference_wide(int64_t gained, int64_t lost, int64_t n, double z) {
    if (n <= 0 || gained < 0 || lost < 0 || gained + lost > n) return nothing;
    double total = (double)n + 2, sum = (double)(gained + lost) + 1, difference = (double)(gained - lost);
    double centre = difference / total, half = z * sqrt(sum - difference * difference / total) / total;
    double value = difference / (double)n;
    return (deq_interval){value, fmax(-1, fmin(centre - half, value)), fmin(1, fmax(centre + half, value))};
}

static double mean_of(const double *values, const int64_t *drawn, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += values[drawn[i]];
    return sum / (double)n;
}

deq_interval deq_percentiles(double value, double *resampled, int n) {
    int kept = 0;
    for (int r = 0; r < n; r++) {
        if (isinf(resampled[r])) return (deq_interval){value, NAN, NAN};
        if (!isnan(resampled[r])) resampled[kept++] = resampled[r];
    }
    if (n - kept > n / 40) return (deq_interval){value, NAN, NAN};
    deq_sort(resampled, (size_t)kept);
    return (deq_interval){value, fmin(resampled[kept / 40], value),
                          fmax(resampled[kept - 1 - kept / 40], value)}; /* 2.5 % off */
}

/* Of the mean. */
static deq_interval bootstrap(const double *of, int64_t n, uint64_t key) {
    if (n <= 0) return nothing;
    deq_interval out = nothing;
    double *values = malloc(RESAMPLES * sizeof *values);
    int64_t *drawn = malloc((size_t)n * sizeof *drawn);
    for (int64_t i = 0; drawn && i < n; i++) drawn[i] = i;
    if (values && drawn) out.value = mean_of(of, drawn, n);
    bool finite = isfinite(out.value);
    for (int r = 0; finite && r < RESAMPLES; r++) {
        uint64_t stream = deq_key_mix(key, (uint64_t)r);
        for (int64_t i = 0; i < n; i++) {
            int64_t k = (int64_t)(deq_uniform(stream, (uint64_t)i) * (double)n);
            drawn[i] = k < n ? k : n - 1;
        }
        values[r] = mean_of(of, drawn, n);
        finite = isfinite(values[r]);
    }
    if (finite) out = deq_percentiles(out.value, values, RESAMPLES);
    free(values);
    free(drawn);
    return out;
}

deq_interval deq_mean_interval(const double *values, int64_t n, uint64_t key, bool share) {
    int64_t ones = 0, zeros = 0;
    for (int64_t i = 0; i < n; i++) ones += values[i] == 1, zeros += values[i] == 0;
    if (share && ones + zeros == n) return deq_wilson(ones, n);
    return bootstrap(values, n, key);
}
