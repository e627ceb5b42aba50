/* winograd.h - the weights of Winograd's convolutions F(2 x 2, 3 x 3) and F(4 x 4, 3 x 3).
 *
 * A tile of m x m results of a 3 x 3 convolution comes from n x n pixels, n = m + 2, as A'[(G g G') .* (B' d B)]A:
 * n * n multiplications instead of 9 m * m.  The polynomials behind it are evaluated at 0, at pairs of opposite points
 * and at infinity: 1 for m = 2; 5/8 and 3/2 for m = 4, which round several times better than 1 and 2 and whose powers
 * are exact.  U = G g G' is made when the weights are packed; B' and A' are in lower_conv_winograd.c. */
#ifndef DEQ_COMPILER_WINOGRAD_H
#define DEQ_COMPILER_WINOGRAD_H
#include <stdint.h>

#define WINOGRAD_SIDE 6 /* the largest n */
#define WINOGRAD_FIRST 0.625
#define WINOGRAD_SECOND 1.5

/* G, for points in the order 0, p, -p, .., infinity. */
static inline void winograd_weights(uint32_t m, double g[WINOGRAD_SIDE][3]) {
    const double first = m == 2 ? 1 : WINOGRAD_FIRST, second = WINOGRAD_SECOND, point[2] = {first, second};
    uint32_t pairs = m / 2;
    double square = first * first, other = second * second;
    g[0][0] = m == 2 ? -square : square * other, g[0][1] = g[0][2] = 0;
    g[0][0] = 1 / g[0][0];
    for (uint32_t k = 0; k < 2 * pairs; k++) {
        double p = k % 2 ? -point[k / 2] : point[k / 2];
        double norm = 2 * p * p * (m == 2 ? 1 : k < 2 ? square - other : other - square);
        for (uint32_t i = 0; i < 3; i++) g[k + 1][i] = (i == 0 ? 1 : i == 1 ? p : p * p) / norm;
    }
    g[m + 1][0] = g[m + 1][1] = 0, g[m + 1][2] = 1;
}
#endif
