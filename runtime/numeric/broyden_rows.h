/* broyden_rows.h - passes over the rows of Broyden's method, for each width of vectors (each_width.h). */

HOT_ROW void ROW(residual)(void *w, void *f, const void *g, const void *z, int64_t n, double sums[2]) {
    ROW(row_residual)(w, f, g, z, n, sums);
}

/* One pass over the directions for `lanes` examples side by side: each waits for its own dot products, so four of them
 * hide the waiting of short states: in one loop where there are registers for the sums of all, else one after the other.
 * Their counts and oldest slots agree. */
INLINE void ROW(advance_body)(example *e, const int lanes, real alpha, const int64_t n) {
    real rest[MOST_LANES], t[MOST_LANES], scale[MOST_LANES], back[MOST_LANES];
    const int count = e[0].old.count, capacity = e[0].old.capacity;
    int at = e[0].old.oldest;
    const vec *d[MOST_LANES];
    for (int x = 0; x < lanes; x++) {
        e[x].skip = false;
        rest[x] = 1 - alpha, scale[x] = 1, back[x] = 0;
        d[x] = e[x].w;
    }
    if (count > 0) {
        for (int x = 0; x < lanes; x++) {
            d[x] = (const vec *)e[x].old.rows + at * n * PIECES;
            t[x] = ROW(row_dot)(d[x], e[x].w, n);
        }
        for (int i = 1; i < count; i++) {
            real c[MOST_LANES];
            for (int x = 0; x < lanes; x++) {
                c[x] = t[x] * e[x].old.inverse[at];
                if (e[x].old.steps) rest[x] = 1 - e[x].old.steps[at];
                if (rest[x] != 0) ROW(row_axpy)(e[x].w, -rest[x] * c[x], d[x], n);
            }
            at = at + 1 == capacity ? 0 : at + 1;
            for (int x = 0; x < lanes; x++) d[x] = (const vec *)e[x].old.rows + at * n * PIECES;
#if ROW_BYTES == 64
            vec *w[MOST_LANES], sums[MOST_LANES][4];
            for (int x = 0; x < lanes; x++) {
                w[x] = e[x].w;
                for (int k = 0; k < 4; k++) sums[x][k] = (vec){0};
            }
            ROW_LOOP(
                n, for (int x = 0; x < lanes; x++) {
                    const vec v = d[x][k];
                    const vec s = w[x][k] + c[x] * v;
                    w[x][k] = s;
                    sums[x][lane] += s * v;
                });
            for (int x = 0; x < lanes; x++) t[x] = ROW(total4)(sums[x]);
#else
            for (int x = 0; x < lanes; x++) t[x] = ROW(row_axpy_dot)(e[x].w, c[x], d[x], d[x], n);
#endif
        }
        for (int x = 0; x < lanes; x++) {
            const real c = t[x] * e[x].old.inverse[at], left = 1 - c;
            e[x].skip = !(left > 64 * REAL_EPSILON || left < -64 * REAL_EPSILON);
            if (e[x].skip) continue;
            scale[x] = 1 / left;
            if (e[x].old.steps) rest[x] = 1 - e[x].old.steps[at];
            back[x] = -rest[x] * c * scale[x];
        }
    }
    for (int x = 0; x < lanes; x++) {
        ACCUMULATORS(a);
        vec *w = e[x].w, *next = e[x].next;
        const vec *z = e[x].z, *before = d[x];
        const real by = scale[x], plus = back[x];
        if (plus != 0)
            ROW(row_scale)(w, by, w, n), ROW(row_axpy)(w, plus, before, n);
        else if (by != 1)
            ROW(row_scale)(w, by, w, n);
        ROW_LOOP(n, const vec s = w[k]; next[k] = z[k] + alpha * s; a[lane] += s * s;);
        e[x].squared = ROW(total4)(a);
    }
}

HOT_ROW void ROW(advance_one)(example *e, real alpha, int64_t n) { ROW(advance_body)(e, 1, alpha, n); }
HOT_ROW void ROW(advance_two)(example *e, real alpha, int64_t n) { ROW(advance_body)(e, 2, alpha, n); }
HOT_ROW void ROW(advance_four)(example *e, real alpha, int64_t n) { ROW(advance_body)(e, 4, alpha, n); }

/* `rows`: directions. */
HOT_ROW void ROW(transposed)(void *w, const void *rows, const real *inverse, const real *steps, int capacity,
                             int newest, int factors, real step, int64_t n) {
    const vec *directions = rows;
    real rest = 1 - step;
    int at = newest;
    real t = ROW(row_dot)(directions + at * n * PIECES, w, n);
    for (int k = 0; k < factors; k++) {
        at = at == 0 ? capacity - 1 : at - 1;
        const vec *d = directions + at * n * PIECES;
        if (steps) rest = 1 - steps[at];
        if (rest != 0) t -= rest * ROW(row_dot)(d, w, n);
        t = ROW(row_axpy_dot)(w, t * inverse[at], d, d, n);
    }
}
