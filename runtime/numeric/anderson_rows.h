/* anderson_rows.h - passes over the rows of Anderson's method, for each width of vectors (each_width.h). */

/* `images`, `residuals`: where h(x) and h(x) - x go; `add` NULL: none. */
HOT_ROW void ROW(residual)(void *residuals, void *images, void *applied, const void *add, const void *point, int64_t n,
                           double sums[2]) {
    vec *g = residuals, *image = images, *f = applied;
    const vec *x = point, *more = add;
    ACCUMULATORS(a);
    ACCUMULATORS(b);
    if (more) ROW_LOOP(n, f[k] += more[k];);
    ROW_LOOP(n, const vec h = f[k]; const vec t = h - x[k]; image[k] = h; g[k] = t; a[lane] += t * t;
             b[lane] += h * h;);
    sums[0] = (double)ROW(total4)(a);
    sums[1] = (double)ROW(total4)(b);
    ROW(widen)(sums, image, x, 1, n);
}

/* out[i] = newest . rows[i] for i < count. */
HOT_ROW void ROW(dots)(const void *newest, const void *rows, int count, int64_t n, double *out) {
    const vec *g = newest;
    int i = 0;
    for (; i + 2 <= count; i += 2) { /* two at a time: g is read once for both */
        const vec *x = (const vec *)rows + i * n * PIECES, *y = x + n * PIECES;
        ACCUMULATORS(a);
        ACCUMULATORS(b);
        ROW_LOOP(n, const vec t = g[k]; a[lane] += t * x[k]; b[lane] += t * y[k];);
        out[i] = (double)ROW(total4)(a);
        out[i + 1] = (double)ROW(total4)(b);
    }
    if (i < count) out[i] = (double)ROW(row_dot)(g, (const vec *)rows + i * n * PIECES, n);
}

#define SUMS (PIECES > 1 ? 8 : 4)
/* mixed = sum over i of w[i] (f_i - rest g_i), of rows of images and residuals. */
HOT_ROW void ROW(mix)(void *mixed, const void *images, const void *residuals, const real *w, int count, real rest,
                      int64_t n) {
    vec *out = mixed;
    const vec *f = images, *g = residuals;
    const int64_t row = n * PIECES;
    int64_t k = 0;
    for (; k + SUMS <= row; k += SUMS) {
        vec sum[SUMS] = {{0}};
        for (int i = 0; i < count; i++)
            for (int m = 0; m < SUMS; m++) sum[m] += w[i] * f[i * row + k + m];
        if (rest != 0)
            for (int i = 0; i < count; i++)
                for (int m = 0; m < SUMS; m++) sum[m] -= rest * w[i] * g[i * row + k + m];
        for (int m = 0; m < SUMS; m++) out[k + m] = sum[m];
    }
    for (; k < row; k++) {
        vec sum = {0};
        for (int i = 0; i < count; i++) sum += w[i] * f[i * row + k];
        if (rest != 0)
            for (int i = 0; i < count; i++) sum -= rest * w[i] * g[i * row + k];
        out[k] = sum;
    }
}
#undef SUMS
