/* peak_rows.h - multiply-adds in registers, for each width of vectors (each_width.h). */

/* Independent chains hide the latency of a multiply-add; too many would not fit the registers.  What fits best differs
 * between vector widths (16 registers of 32 bytes, 32 of 64), so two numbers of chains are tried. */
INLINE real ROW(chains)(int64_t rounds, real factor, real term, const int count) {
    vec sum[14], x, y, all = {0};
    for (int i = 0; i < (int)(sizeof(vec) / sizeof(real)); i++) x[i] = factor, y[i] = term;
    for (int c = 0; c < count; c++) sum[c] = y * (real)c;
    for (int64_t r = 0; r < rounds; r++)
        for (int c = 0; c < count; c++) sum[c] = sum[c] * x + y;
    for (int c = 0; c < count; c++) all += sum[c];
    return all[0];
}

/* `rounds` multiply-adds of every chain; the operations that these are. */
HOT_ROW double ROW(work)(int64_t rounds, bool many) {
    /* the result is used, so that nothing can be left out; it stays finite: the chain converges */
    volatile real keep =
        many ? ROW(chains)(rounds, (real)0.5, (real)1e-3, 14) : ROW(chains)(rounds, (real)0.5, (real)1e-3, 6);
    (void)keep;
    return 2.0 * (double)(sizeof(vec) / sizeof(real)) * (many ? 14 : 6) * (double)rounds;
}
