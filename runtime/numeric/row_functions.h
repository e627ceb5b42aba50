/* row_functions.h - what vector.h and each_width.h have for every width: `vec` of ROW_BYTES, names made by ROW. */

INLINE real ROW(vec_total)(const vec *pieces) { /* of 64 bytes */
#if ROW_BYTES == 64 && DEQ_REAL == 32
    const vec v = pieces[0];
    const vec_half h = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
                       __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
#elif ROW_BYTES == 64
    const vec v = pieces[0];
    const vec_half h = __builtin_shufflevector(v, v, 0, 1, 2, 3) + __builtin_shufflevector(v, v, 4, 5, 6, 7);
#elif ROW_BYTES == 32
    const vec_half h = pieces[0] + pieces[1];
#endif
#if ROW_BYTES == 16
    const vec_quarter q = (pieces[0] + pieces[2]) + (pieces[1] + pieces[3]);
#elif DEQ_REAL == 32
    const vec_quarter q = __builtin_shufflevector(h, h, 0, 1, 2, 3) + __builtin_shufflevector(h, h, 4, 5, 6, 7);
#else
    const vec_quarter q = __builtin_shufflevector(h, h, 0, 1) + __builtin_shufflevector(h, h, 2, 3);
#endif
#if DEQ_REAL == 32
    return (q[0] + q[2]) + (q[1] + q[3]);
#else
    return q[0] + q[1];
#endif
}

INLINE real ROW(total4)(const vec a[4 * PIECES]) {
    vec sum[PIECES];
    for (int p = 0; p < PIECES; p++) sum[p] = (a[p] + a[PIECES + p]) + (a[2 * PIECES + p] + a[3 * PIECES + p]);
    return ROW(vec_total)(sum);
}

INLINE real ROW(row_dot)(const vec *x, const vec *y, int64_t n) {
    ACCUMULATORS(a);
    ROW_LOOP(n, a[lane] += x[k] * y[k];);
    return ROW(total4)(a);
}

/* w += c x, then the dot product of w and y: one pass over w. */
INLINE real ROW(row_axpy_dot)(vec *w, real c, const vec *x, const vec *y, int64_t n) {
    ACCUMULATORS(a);
    ROW_LOOP(n, const vec t = w[k] + c * x[k]; w[k] = t; a[lane] += t * y[k];);
    return ROW(total4)(a);
}

INLINE void ROW(row_axpy)(vec *w, real c, const vec *x, int64_t n) { ROW_LOOP(n, w[k] += c * x[k];); }

INLINE void ROW(row_scale)(vec *out, real c, const vec *x, int64_t n) { ROW_LOOP(n, out[k] = c * x[k];); }

INLINE void ROW(row_copy)(vec *out, const vec *x, int64_t n) { ROW_LOOP(n, out[k] = x[k];); }

/* Of two sums of squares, too large for `real` though what they are of may be finite: again, in double precision.  They are
 * of t and z + t, with t = (h - z) / part. */
INLINE void ROW(widen)(double sums[2], const vec *h, const vec *z, real part, int64_t n) {
#if DEQ_REAL == 32
    if (__builtin_expect(sums[0] + sums[1] <= DBL_MAX, 1)) return;
    const real *to = (const real *)h, *from = (const real *)z;
    sums[0] = sums[1] = 0;
    for (int64_t k = 0; k < n * (int64_t)(64 / sizeof(real)); k++) {
        const double t = ((double)to[k] - (double)from[k]) / (double)part, image = (double)from[k] + t;
        sums[0] += t * t;
        sums[1] += image * image;
    }
#else
    (void)sums, (void)h, (void)z, (void)part, (void)n;
#endif
}

/* sums[0] = norm(h - z)^2, sums[1] = norm(h)^2. */
INLINE void ROW(row_differences)(const vec *h, const vec *z, int64_t n, double sums[2]) {
    ACCUMULATORS(a);
    ACCUMULATORS(b);
    ROW_LOOP(n, const vec s = h[k]; const vec t = s - z[k]; a[lane] += t * t; b[lane] += s * s;);
    sums[0] = (double)ROW(total4)(a);
    sums[1] = (double)ROW(total4)(b);
    ROW(widen)(sums, h, z, 1, n);
}

/* w = f + g - z (g NULL: none; f becomes f + g); sums[0] = norm(w)^2, sums[1] = norm(f + g)^2. */
INLINE void ROW(row_residual)(vec *w, vec *f, const vec *g, const vec *z, int64_t n, double sums[2]) {
    ACCUMULATORS(a);
    ACCUMULATORS(b);
    if (g)
        ROW_LOOP(n, const vec h = f[k] + g[k]; const vec t = h - z[k]; f[k] = h; w[k] = t; a[lane] += t * t;
                 b[lane] += h * h;);
    else
        ROW_LOOP(n, const vec h = f[k]; const vec t = h - z[k]; w[k] = t; a[lane] += t * t; b[lane] += h * h;);
    sums[0] = (double)ROW(total4)(a);
    sums[1] = (double)ROW(total4)(b);
    ROW(widen)(sums, f, z, 1, n);
}
