/* gmres_rows.h - passes over the rows of GMRES, for each width of vectors (each_width.h). */

/* rest = v - J'v made orthogonal to the basis; h[j] = rest . basis[j].  Returns the norm of what is left. */
HOT_ROW double ROW(orthogonalise)(void *rest, const void *applied, const void *direction, const void *basis, int count,
                                  int64_t n, double *h) {
    vec *w = rest;
    const vec *t = applied, *v = direction;
    ROW_LOOP(n, w[k] = v[k] - t[k];);
    real dot = ROW(row_dot)(w, basis, n);
    for (int j = 0; j < count; j++) {
        h[j] = (double)dot;
        const vec *x = (const vec *)basis + j * n * PIECES, *y = j + 1 < count ? x + n * PIECES : w;
        dot = ROW(row_axpy_dot)(w, -dot, x, y, n);
    }
    return sqrt((double)dot);
}

/* Both = c from. */
HOT_ROW void ROW(scale)(void *one, void *other, const void *from, real c, int64_t n) {
    vec *a = one, *b = other;
    const vec *x = from;
    ROW_LOOP(n, const vec t = c * x[k]; a[k] = t; b[k] = t;);
}

/* sum = the basis times c. */
HOT_ROW void ROW(combine)(void *sum, const void *basis, const real *c, int count, int64_t n) {
    vec *out = sum;
    const vec *x = basis;
    for (int64_t k = 0; k < n * PIECES; k++) {
        vec all = {0};
        for (int j = 0; j < count; j++) all += c[j] * x[j * n * PIECES + k];
        out[k] = all;
    }
}

HOT_ROW double ROW(norm)(const void *x, int64_t n) { return sqrt((double)ROW(row_dot)(x, x, n)); }
