/* rows_under_test.h - a pass over rows, for each width of vectors (each_width.h). */

HOT_ROW float ROW(axpy_dot)(void *w, float c, const void *x, const void *y, int64_t n) {
    return ROW(row_axpy_dot)(w, c, x, y, n);
}
