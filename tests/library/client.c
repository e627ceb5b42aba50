/* client.c - a C program that uses a library made by `deq build --lib tiny.deq`: forward, gradient, settings, errors.
 * usage: client CHECKPOINT.  Prints "agree" when the gradient agrees with finite differences. */
#include "Net.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { N = 3 };

static double loss_of(Net_ctx *net, const float *x, const float *y) {
    double losses[N], sum = 0;
    if (Net_gradient(net, N, x, y, NULL, losses, NULL, NULL, NULL) != 0) exit(1);
    for (int i = 0; i < N; i++) sum += losses[i];
    return sum;
}

int main(int argc, char **argv) {
    if (argc != 2) return 64;
    Net_options options = {.threads = 1, .seed = 1};
    Net_ctx *net = Net_new(&options);
    if (!net) {
        fprintf(stderr, "%s\n", Net_error(NULL));
        return 1;
    }
    if (Net_load(net, "no such file") == 0 || !*Net_error(net)) return 2;
    if (Net_set(net, "body.forward.toll", "1") == 0) return 3;
    if (Net_load(net, argv[1]) != 0 || Net_set(net, "body.forward", "anderson(tol: 1e-6, max: 200)") != 0 ||
        Net_set(net, "gradient", "implicit(gmres(tol: 1e-6, max: 200))") != 0) {
        fprintf(stderr, "%s\n", Net_error(net));
        return 4;
    }
    static float x[N * NET_INPUT], d[N * NET_INPUT], y[N] = {0, 1, 2}, output[N * NET_OUTPUT];
    for (int i = 0; i < N * NET_INPUT; i++) x[i] = (float)(i * 37 % 101) / 101;
    deq_status status;
    if (Net_forward(net, N, x, output, &status) != 0 || status.solves != N || status.unconverged) return 5;
    double before[N];
    if (Net_gradient(net, N, x, y, "cross_entropy", before, d, NULL, &status) != 0) return 6;

    /* along the gradient itself: the difference must be |d|^2 */
    double square = 0;
    for (int i = 0; i < N * NET_INPUT; i++) square += (double)d[i] * d[i];
    float h = (float)(0.05 / sqrt(square));
    for (int i = 0; i < N * NET_INPUT; i++) x[i] += h * d[i];
    double up = loss_of(net, x, y);
    for (int i = 0; i < N * NET_INPUT; i++) x[i] -= 2 * h * d[i];
    double down = loss_of(net, x, y), slope = (up - down) / (2 * h);
    printf("%s: %g, %g\n", fabs(slope - square) <= 0.02 * square ? "agree" : "disagree", slope, square);
    Net_free(net);
    return 0;
}
