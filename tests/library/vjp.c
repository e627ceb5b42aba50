/* vjp.c - vector-Jacobian products and kept forwards of a library made by `deq build --lib tiny.deq`: against the
 * gradient of the loss, in every gradient mode; what they refuse.  usage: vjp */
#include "Net.h"
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 5, ROW = NET_INPUT, CLASSES = NET_OUTPUT };
#define HOLD(condition)                                                                                                \
    (void)((condition) || (fprintf(stderr, "line %d, %s: %s\n", __LINE__, at, Net_error(net)), exit(1), 0))
#define REFUSED(call, code) HOLD((call) == -(code) && strncmp(Net_error(net), "E0" #code, 5) == 0)

static const char *at = ""; /* what is being tested */
static float x[N * ROW], logits[N * CLASSES], u[N * CLASSES];
static float dx[N * ROW], kept_dx[N * ROW], alone[N * ROW];
static const int64_t labels[N] = {0, 1, 2, 3, 1};
static int64_t size;
static float *dp, *kept_dp, *other;

/* The cotangent of cross entropy. */
static void softmax_minus_label(void) {
    for (int i = 0; i < N; i++) {
        const float *z = logits + i * CLASSES;
        double sum = 0, most = -INFINITY;
        for (int k = 0; k < CLASSES; k++) most = fmax(most, (double)z[k]);
        for (int k = 0; k < CLASSES; k++) sum += exp((double)z[k] - most);
        for (int k = 0; k < CLASSES; k++)
            u[i * CLASSES + k] = (float)(exp((double)z[k] - most) / sum - (k == labels[i]));
    }
}

static int close_to(const float *a, const float *b, int64_t n, float scale) {
    double largest = 0, worst = 0;
    for (int64_t k = 0; k < n; k++) {
        largest = fmax(largest, fabs((double)b[k] * scale));
        worst = fmax(worst, fabs((double)a[k] - (double)b[k] * scale));
    }
    if (!(worst <= 2e-5 * largest)) fprintf(stderr, "%s: off by %g of %g\n", at, worst, largest);
    return largest > 0 && worst <= 2e-5 * largest;
}

static void check_mode(Net_ctx *net, const char *forward, const char *mode, const char *finish) {
    const bool several = strstr(mode, "..") || strstr(mode, "augmented");
    at = mode;
    HOLD(Net_set(net, "gradient", "jfb()") == 0 && Net_set(net, "body.forward", forward) == 0);
    HOLD(Net_set(net, "gradient", mode) == 0 && Net_set(net, "body.finish", finish) == 0);
    Net_status status;
    Net_kept *kept = Net_forward_keep(net, N, x, logits, &status);
    HOLD(kept && status.solves == N);
    static float again[N * CLASSES];
    HOLD(Net_forward(net, N, x, again, NULL) == 0 && memcmp(again, logits, sizeof logits) == 0);
    softmax_minus_label();
    HOLD(Net_vjp(net, N, x, u, dx, dp, &status) == 0 && status.solves == N);
    /* The solves that were kept give the same bits, as often as wanted, and whatever else was computed meanwhile. */
    for (int time = 0; time < 2; time++) {
        memset(kept_dx, 0, sizeof kept_dx);
        HOLD(Net_vjp_kept(net, kept, u, kept_dx, kept_dp, &status) == 0);
        HOLD(memcmp(dx, kept_dx, sizeof dx) == 0 && memcmp(dp, kept_dp, (size_t)size * sizeof *dp) == 0);
    }
    HOLD(Net_vjp(net, N, x, u, alone, NULL, NULL) == 0 && memcmp(dx, alone, sizeof dx) == 0);
    HOLD(Net_vjp_kept(net, kept, u, alone, NULL, NULL) == 0 && memcmp(dx, alone, sizeof dx) == 0);
    HOLD(Net_vjp_kept(net, kept, u, NULL, kept_dp, NULL) == 0 && memcmp(dp, kept_dp, (size_t)size * sizeof *dp) == 0);
    /* The gradient of the loss is this product with the loss's cotangent: each its own in x, their mean in parameters. */
    HOLD(Net_gradient_labels(net, N, x, labels, "cross_entropy", NULL, alone, other, NULL) == 0);
    if (several) return Net_kept_free(kept); /* the loss has another cotangent at each of several states */
    HOLD(close_to(dx, alone, (int64_t)N * ROW, 1) && close_to(dp, other, size, N));
    Net_kept_free(kept);
}

static void check_refused(Net_ctx *net) {
    at = "refused";
    Net_status status = {.solves = 7};
    HOLD(Net_vjp(net, 0, NULL, NULL, NULL, dp, &status) == 0 && status.solves == 0);
    for (int64_t k = 0; k < size; k++) HOLD(dp[k] == 0); /* a sum of nothing */
    Net_kept *none = Net_forward_keep(net, 0, NULL, NULL, NULL), *kept = Net_forward_keep(net, N, x, logits, NULL);
    HOLD(none && kept && Net_vjp_kept(net, none, NULL, NULL, NULL, NULL) == 0);
    HOLD(Net_vjp(net, N, x, u, NULL, NULL, NULL) == 0); /* nothing is wanted */
    HOLD(Net_vjp(NULL, N, x, u, dx, NULL, NULL) == -943 && Net_vjp_kept(NULL, kept, u, dx, NULL, NULL) == -943);
    HOLD(!Net_forward_keep(NULL, N, x, logits, NULL) && strstr(Net_error(NULL), "E0943"));
    REFUSED(Net_vjp(net, N, NULL, u, dx, NULL, NULL), 943);
    REFUSED(Net_vjp(net, N, x, NULL, dx, NULL, NULL), 943);
    REFUSED(Net_vjp(net, -1, x, u, dx, NULL, NULL), 943);
    REFUSED(Net_vjp_kept(net, NULL, u, dx, NULL, NULL), 943);
    REFUSED(Net_vjp_kept(net, kept, NULL, dx, NULL, NULL), 943);
    HOLD(!Net_forward_keep(net, N, NULL, logits, NULL) && !Net_forward_keep(net, N, x, NULL, NULL));
    const float before = u[CLASSES + 2], pixel = x[3];
    dx[0] = dp[0] = 42;
    u[CLASSES + 2] = NAN;
    REFUSED(Net_vjp(net, N, x, u, dx, dp, NULL), 804);
    HOLD(strstr(Net_error(net), "element 2 of 'cotangent' of example 1"));
    REFUSED(Net_vjp_kept(net, kept, u, dx, dp, NULL), 804);
    u[CLASSES + 2] = before;
    x[3] = INFINITY;
    REFUSED(Net_vjp(net, N, x, u, dx, dp, NULL), 804);
    HOLD(!Net_forward_keep(net, N, x, logits, NULL) && strstr(Net_error(net), "E0804"));
    x[3] = pixel;
    /* Another context's, though it has the same parameters; and parameters that have changed. */
    Net_ctx *shared = Net_share(net, &(Net_options){.threads = 1});
    HOLD(shared && Net_vjp_kept(shared, kept, u, dx, dp, NULL) == -943 && strstr(Net_error(shared), "another context"));
    Net_kept *own = Net_forward_keep(shared, N, x, logits, NULL);
    Net_parameters(net)[0] += 0.25f;
    HOLD(own && Net_prepare(net) == 0);
    REFUSED(Net_vjp_kept(net, kept, u, dx, dp, NULL), 943);
    HOLD(strstr(Net_error(net), "parameters have changed"));
    HOLD(Net_vjp_kept(shared, own, u, dx, dp, NULL) == -943);
    HOLD(dx[0] == 42 && dp[0] == 42);
    Net_kept_free(own);
    Net_free(shared);
    Net_kept_free(NULL);
    Net_kept_free(none);
    Net_kept_free(kept);
}

/* Results that have the shape of the inputs may be written over them, with several blocks and threads. */
static void check_over_inputs(Net_ctx *net) {
    enum { MANY = 600 };
    static float given[MANY * ROW], apart[MANY * ROW], over[MANY * ROW], cotangents[MANY * CLASSES];
    static int64_t classes[MANY];
    double losses[MANY];
    at = "over the inputs";
    for (int k = 0; k < MANY * ROW; k++) given[k] = (float)(k * 37 % 101) / 101;
    for (int k = 0; k < MANY * CLASSES; k++) cotangents[k] = (float)(k % 7) - 3;
    for (int i = 0; i < MANY; i++) classes[i] = i % CLASSES;
    for (int call = 0; call < 3; call++) {
        memcpy(over, given, sizeof over);
        for (int in_place = 0; in_place < 2; in_place++) {
            float *const to = in_place ? over : apart;
            HOLD((call == 0   ? Net_vjp(net, MANY, over, cotangents, to, NULL, NULL)
                  : call == 1 ? Net_gradient_labels(net, MANY, over, classes, NULL, losses, to, NULL, NULL)
                              : Net_attack_labels(net, "exact", MANY, over, classes, 1, to, NULL)) == 0);
        }
        HOLD(memcmp(apart, over, sizeof over) == 0 && memcmp(given, over, sizeof over));
    }
}

int main(void) {
    static const struct {
        const char *forward, *mode;
    } modes[] = {
        {"anderson(tol: 1e-6, max: 100)", "implicit(gmres(tol: 1e-6, max: 100))"},
        {"broyden(tol: 1e-6, max: 100)", "implicit(broyden(tol: 1e-6, max: 100))"},
        {"broyden(tol: 1e-9, max: 9)", "implicit(gmres(tol: 1e-6, max: 100))"}, /* fails: a finish is due */
        {"picard(tol: 1e-12, max: 3) else anderson(tol: 1e-6, max: 100)", "implicit(neumann(tol: 1e-6, max: 100))"},
        {"anderson(tol: 1e-4, max: 30)", "phantom.unroll(steps: 3, damping: 0.7)"},
        {"anderson(tol: 1e-9, max: 5)", "phantom.unroll(steps: 3, undamped_first: true)"},
        {"anderson(tol: 1e-4, max: 30)", "phantom.neumann(steps: 4)"},
        {"newton_krylov(tol: 1e-5, max: 20)", "jfb()"},
        {"broyden(tol: 1e-4, max: 30)", "simultaneous(states: 1..3)"},
        {"anderson(tol: 1e-4, max: 30)", "unrolled(from: 2..4, steps: 2)"},
        {"broyden(tol: 1e-5, max: 30)", "shine(refine: 2)"},
        {"adjoint_broyden(tol: 1e-5, max: 30)", "shine()"},
        {"anderson(tol: 1e-4, max: 30)", "augmented(steps: 30)"},
        {"picard(tol: 1e-4, max: 60)", "backprop()"},
    };
    static const char *const finishes[] = {"none", "apply(steps: 2, damping: 0.5)"};
    Net_ctx *net = Net_new(&(Net_options){.threads = 2, .seed = 1});
    HOLD(net);
    size = Net_parameter_size(net);
    dp = calloc((size_t)size, sizeof *dp);
    kept_dp = calloc((size_t)size, sizeof *dp);
    other = calloc((size_t)size, sizeof *dp);
    HOLD(dp && kept_dp && other);
    for (int i = 0; i < N * ROW; i++) x[i] = (float)(i * 37 % 101) / 101;
    for (size_t m = 0; m < sizeof modes / sizeof *modes; m++)
        for (size_t f = 0; f < sizeof finishes / sizeof *finishes; f++)
            check_mode(net, modes[m].forward, modes[m].mode, finishes[f]);
    check_over_inputs(net);
    check_refused(net);
    Net_free(net);
    free(dp);
    free(kept_dp);
    free(other);
    puts("one product");
    return 0;
}
