/* picard_rows.h - the pass over the rows of the plain iteration, for each width of vectors (each_width.h). */

/* `applied` becomes the next state. */
HOT_ROW void ROW(advance)(void *applied, const void *add, const void *state, real damping, int64_t n, double sums[2]) {
    vec *f = applied;
    const vec *g = add, *z = state;
    ACCUMULATORS(a);
    ACCUMULATORS(b);
    const real keep = 1 - damping;
    if (g) ROW_LOOP(n, f[k] += g[k];);
    if (damping == 1)
        ROW_LOOP(n, const vec t = f[k] - z[k]; a[lane] += t * t; b[lane] += f[k] * f[k];);
    else
        ROW_LOOP(n, const vec h = f[k]; const vec t = h - z[k]; a[lane] += t * t; b[lane] += h * h;
                 f[k] = keep * z[k] + damping * h;);
    sums[0] = (double)ROW(total4)(a);
    sums[1] = (double)ROW(total4)(b);
    ROW(widen)(sums, f, z, damping, n);
}
