/* client.c - a C program that uses a library made by `deq build --lib tiny.deq`: outputs, gradients, states, attacks,
 * settings.  usage: client CHECKPOINT.  Prints "agree" when gradients agree with finite differences; ends with the
 * line of the check that fails. */
#include "Net.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef REAL
#define REAL float /* of a library with --precision f64: double */
#endif
enum { N = 3 };
#define HOLD(condition) (void)((condition) || (fprintf(stderr, "line %d: %s\n", __LINE__, Net_error(net)), exit(1), 0))

static REAL x[N * NET_INPUT], y[N] = {0, 1, 2};
static const int64_t labels[N] = {0, 1, 2};

/* The loss along the gradient itself: the difference must be |d|^2. */
static void check_gradient(Net_ctx *net) {
    static REAL d[N * NET_INPUT], again[N * NET_INPUT], moved[N * NET_INPUT];
    double losses[N], same[N], ends[2] = {0, 0}, square = 0;
    Net_status status;
    HOLD(Net_gradient(net, N, x, y, "cross_entropy", losses, d, NULL, &status) == 0);
    HOLD(status.solves == N && status.unconverged == 0 && status.adjoint_solves == N);
    HOLD(Net_gradient_labels(net, N, x, labels, NULL, same, again, NULL, NULL) == 0);
    HOLD(memcmp(d, again, sizeof d) == 0 && memcmp(losses, same, sizeof losses) == 0);
    for (int i = 0; i < N * NET_INPUT; i++) square += (double)d[i] * d[i];
    const REAL h = (REAL)(0.05 / sqrt(square));
    for (int side = 0; side < 2; side++) {
        for (int i = 0; i < N * NET_INPUT; i++) moved[i] = x[i] + (side ? -h : h) * d[i];
        HOLD(Net_gradient(net, N, moved, y, NULL, losses, NULL, NULL, NULL) == 0);
        for (int i = 0; i < N; i++) ends[side] += losses[i];
    }
    const double slope = (ends[0] - ends[1]) / (2 * h);
    printf("%s: %g, %g\n", fabs(slope - square) <= 0.02 * square ? "agree" : "disagree", slope, square);
}

/* States go to the equilibrium, and how the solve ended is told of each example. */
static void check_states(Net_ctx *net) {
    enum { STEPS = 40 };
    const int64_t size = Net_state_size(net, "body");
    HOLD(size == 24 && Net_state_size(net, NULL) == 24 && Net_state_size(net, "boddy") == -1);
    REAL *states = calloc((size_t)(N * STEPS * size), sizeof *states);
    REAL *equilibrium = calloc((size_t)(N * size), sizeof *equilibrium);
    float residuals[N][STEPS];
    Net_example examples[N];
    Net_status status;
    HOLD(states && equilibrium);
    HOLD(Net_solve(net, N, x, "body", 1, STEPS, states, residuals[0], equilibrium, examples, &status) == 0);
    HOLD(status.solves == N);
    for (int i = 0; i < N; i++) {
        const int64_t steps = examples[i].steps;
        HOLD(examples[i].converged == 1 && examples[i].diverged == 0 && examples[i].residual < 1e-5);
        HOLD(steps > 1 && steps < STEPS && residuals[i][0] > residuals[i][steps - 1] && isnan(residuals[i][steps]));
        for (int64_t k = 0; k < size; k++) {
            const REAL last = states[(i * STEPS + STEPS - 1) * size + k];
            HOLD(fabs((double)last - (double)equilibrium[i * size + k]) < 1e-4 && isfinite(last));
            HOLD(last == states[(i * STEPS + steps - 1) * size + k]); /* the last state stands on */
        }
    }
    free(states);
    free(equilibrium);
}

static void check_attacks(Net_ctx *net) {
    static REAL adversarial[N * NET_INPUT], again[N * NET_INPUT];
    HOLD(strcmp(Net_attack_name(net, 0), "weak") == 0 && strcmp(Net_attack_name(net, 1), "exact") == 0);
    HOLD(Net_attack_name(net, 2) == NULL);
    HOLD(Net_attack(net, "exact", N, x, y, 7, adversarial, NULL) == 0);
    double largest = 0;
    for (int i = 0; i < N * NET_INPUT; i++) largest = fmax(largest, fabs((double)adversarial[i] - (double)x[i]));
    HOLD(largest > 0.01 && largest < 0.0201);
    double clean[N], attacked[N];
    HOLD(Net_gradient(net, N, x, y, NULL, clean, NULL, NULL, NULL) == 0);
    HOLD(Net_gradient(net, N, adversarial, y, NULL, attacked, NULL, NULL, NULL) == 0);
    for (int i = 0; i < N; i++) HOLD(attacked[i] > clean[i]);
    /* An example's attack does not depend on the batch that it rides in. */
    HOLD(Net_attack_labels(net, "exact", 1, x, labels, 7, again, NULL) == 0);
    HOLD(memcmp(adversarial, again, NET_INPUT * sizeof *again) == 0);
    HOLD(Net_attack(net, "strong", N, x, y, 7, again, NULL) == -901 && strstr(Net_error(net), "weak, exact"));
}

int main(int argc, char **argv) {
    if (argc != 2) return 64;
    Net_options options = {.threads = 1, .seed = 1};
    Net_ctx *net = Net_new(&options);
    if (!net) return fprintf(stderr, "%s\n", Net_error(NULL)), 1;
    HOLD(Net_abi() == NET_ABI && Net_threads(net) == 1);
    HOLD(Net_input_size(net) == NET_INPUT && Net_output_size(net) == NET_OUTPUT && Net_target_size(net) == 1);
    HOLD(Net_load(net, "no such file") == -811 && strstr(Net_error(net), "E0811"));
    HOLD(Net_set(net, "body.forward.toll", "1") == -901);
    HOLD(Net_load(net, argv[1]) == 0 && Net_set(net, "body.forward", "anderson(tol: 1e-6, max: 200)") == 0);
    HOLD(Net_set(net, "gradient", "implicit(gmres(tol: 1e-6, max: 200))") == 0);
    for (int i = 0; i < N * NET_INPUT; i++) x[i] = (REAL)(i * 37 % 101) / 101;
    REAL output[N * NET_OUTPUT];
    Net_status status;
    HOLD(Net_forward(net, N, x, output, &status) == 0 && status.solves == N && status.unconverged == 0);
    check_gradient(net);
    check_states(net);
    check_attacks(net);
    Net_free(net);
    return 0;
}
