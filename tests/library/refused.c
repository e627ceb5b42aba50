/* refused.c - what a library says to arguments that cannot be used: an error, never a crash and never numbers. */
#include "Net.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N = 2 };
#define HOLD(condition) (void)((condition) || (fprintf(stderr, "line %d: %s\n", __LINE__, Net_error(net)), exit(1), 0))
#define REFUSED(call, code) HOLD((call) == -(code) && strncmp(Net_error(net), "E0" #code, 5) == 0)

static void check_null(Net_ctx *net, const float *x, float *out) {
    HOLD(Net_forward(NULL, N, x, out, NULL) == -943 && strstr(Net_error(NULL), "NULL"));
    HOLD(Net_solve(NULL, N, x, NULL, 1, 1, NULL, NULL, NULL, NULL, NULL) == -943 && Net_prepare(NULL) == -943);
    HOLD(Net_set(NULL, "gradient", "jfb") == -943 && Net_load(NULL, "x") == -943 && Net_share(NULL, NULL) == NULL);
    HOLD(Net_attack_name(NULL, 0) == NULL && Net_parameters(NULL) == NULL && Net_parameter(NULL, "head.b", NULL) == -1);
    HOLD(Net_input_size(NULL) == -1 && Net_state_size(NULL, NULL) == -1 && Net_threads(NULL) == 0);
    HOLD(Net_parameter(net, NULL, NULL) == -1 && Net_parameter(net, "head.B", NULL) == -1);
    Net_free(NULL);
    for (int k = 0; k < 2; k++) {
        const Net_options options = {.threads = k ? -1 : 1000000};
        HOLD(!Net_new(&options) && strstr(Net_error(NULL), "E0943: 'threads' is "));
        HOLD(!Net_share(net, &options) && strstr(Net_error(net), "E0943: 'threads' is "));
    }
    REFUSED(Net_forward(net, N, NULL, out, NULL), 943);
    REFUSED(Net_forward(net, N, x, NULL, NULL), 943);
    REFUSED(Net_load(net, NULL), 943);
    REFUSED(Net_set(net, NULL, "1"), 943);
    REFUSED(Net_set(net, "gradient", NULL), 943);
    REFUSED(Net_gradient(net, N, x, NULL, NULL, NULL, NULL, NULL, NULL), 943);
    REFUSED(Net_gradient_labels(net, N, x, NULL, NULL, NULL, NULL, NULL, NULL), 943);
    REFUSED(Net_attack(net, "weak", N, x, NULL, 0, out, NULL), 943);
    REFUSED(Net_attack_labels(net, "weak", N, x, (int64_t[]){0, 1}, 0, NULL, NULL), 943);
}

/* No examples: success, nothing read, nothing written. */
static void check_none(Net_ctx *net) {
    Net_status status = {.solves = 7};
    HOLD(Net_forward(net, 0, NULL, NULL, &status) == 0 && status.solves == 0 && status.worst_example == -1);
    HOLD(Net_gradient(net, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL) == 0);
    HOLD(Net_gradient_labels(net, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL) == 0);
    HOLD(Net_solve(net, 0, NULL, NULL, 1, 2, NULL, NULL, NULL, NULL, NULL) == 0);
    HOLD(Net_attack(net, NULL, 0, NULL, NULL, 0, NULL, NULL) == 0);
    HOLD(Net_attack_labels(net, NULL, 0, NULL, NULL, 0, NULL, NULL) == 0);
    REFUSED(Net_forward(net, -1, NULL, NULL, NULL), 943);
    REFUSED(Net_forward(net, INT64_MAX, NULL, NULL, NULL), 943);
}

static void check_values(Net_ctx *net, float *x, float *out) {
    const float before = x[NET_INPUT + 5];
    out[0] = 42;
    x[NET_INPUT + 5] = NAN;
    REFUSED(Net_forward(net, N, x, out, NULL), 804);
    HOLD(strstr(Net_error(net), "element 5 of 'input' of example 1") && out[0] == 42);
    x[NET_INPUT + 5] = INFINITY;
    REFUSED(Net_gradient(net, N, x, (float[]){0, 1}, NULL, NULL, out, NULL, NULL), 804);
    REFUSED(Net_solve(net, N, x, NULL, 1, 1, out, NULL, NULL, NULL, NULL), 804);
    REFUSED(Net_attack(net, NULL, N, x, (float[]){0, 1}, 0, out, NULL), 804);
    x[NET_INPUT + 5] = before;
    REFUSED(Net_gradient(net, N, x, (float[]){0, 4}, NULL, NULL, out, NULL, NULL), 804);
    REFUSED(Net_gradient(net, N, x, (float[]){0.5f, 1}, NULL, NULL, out, NULL, NULL), 804);
    REFUSED(Net_gradient_labels(net, N, x, (int64_t[]){0, -1}, NULL, NULL, out, NULL, NULL), 804);
    REFUSED(Net_gradient_labels(net, N, x, (int64_t[]){0, (int64_t)1 << 40}, NULL, NULL, out, NULL, NULL), 804);
    REFUSED(Net_gradient(net, N, x, (float[]){0, 1}, "entropy", NULL, out, NULL, NULL), 901);
    REFUSED(Net_solve(net, N, x, "boddy", 1, 1, out, NULL, NULL, NULL, NULL), 901);
    REFUSED(Net_solve(net, N, x, NULL, 0, 1, out, NULL, NULL, NULL, NULL), 943);
    REFUSED(Net_solve(net, N, x, NULL, 3, 2, NULL, (float *)out, NULL, NULL, NULL), 943);
    HOLD(out[0] == 42);
}

/* Settings that do not go together are refused when they are used; what was refused leaves the context as it was. */
static void check_settings(Net_ctx *net, const float *x, float *out) {
    HOLD(Net_set(net, "gradient", "backprop()") == 0);
    REFUSED(Net_gradient(net, N, x, (float[]){0, 1}, NULL, NULL, out, NULL, NULL), 901);
    HOLD(Net_set(net, "body.forward", "picard(max: 20)") == 0);
    HOLD(Net_gradient(net, N, x, (float[]){0, 1}, NULL, NULL, out, NULL, NULL) == 0 && !*Net_error(net));
}

/* The solve of one example in many fails, and with it the call: nothing that the caller gave has been written to. */
static void check_stop(float *many) {
    enum { MANY = 600, LAST = MANY - 1 };
    Net_ctx *net = Net_new(&(Net_options){.threads = 2});
    const int64_t wanted = 5 * (int64_t)MANY * Net_state_size(net, NULL);
    const int64_t parameters = Net_parameter_size(net);
    int64_t labels[MANY] = {0};
    float *out = malloc(sizeof *out * MANY * NET_INPUT), *states = malloc(sizeof *states * (size_t)wanted),
          *d = malloc(sizeof *d * (size_t)parameters), residuals[5 * MANY];
    double losses[MANY];
    Net_example how[MANY];
    for (int64_t k = 0; k < MANY * NET_INPUT; k++) many[k] = k < LAST * NET_INPUT ? 0 : 0.3f, out[k] = 42;
    for (int64_t k = 0; k < wanted; k++) states[k] = 42;
    for (int64_t k = 0; k < parameters; k++) d[k] = 42;
    for (int k = 0; k < 5 * MANY; k++) residuals[k] = 42;
    for (int k = 0; k < MANY; k++) losses[k] = 42, how[k].steps = 42;
    Net_status status = {.solves = 42};
    HOLD(Net_set(net, "body.forward", "picard(tol: 1e-6, max: 1)") == 0 && Net_set(net, "body.on_fail", "stop") == 0);
    REFUSED(Net_forward(net, MANY, many, out, &status), 912);
    REFUSED(Net_gradient_labels(net, MANY, many, labels, NULL, losses, out, d, &status), 912);
    REFUSED(Net_gradient_labels(net, MANY, many, labels, NULL, losses, NULL, d, &status), 912);
    REFUSED(Net_vjp(net, MANY, many, states, out, d, &status), 912);
    REFUSED(Net_attack_labels(net, "weak", MANY, many, labels, 0, out, &status), 912);
    REFUSED(Net_solve(net, MANY, many, NULL, 1, 5, states, residuals, out, how, &status), 912);
    HOLD(!Net_forward_keep(net, MANY, many, out, &status) && strncmp(Net_error(net), "E0912", 5) == 0);
    HOLD(strstr(Net_error(net), "example 599"));
    for (int64_t k = 0; k < MANY * NET_INPUT; k++) HOLD(out[k] == 42);
    for (int64_t k = 0; k < wanted; k++) HOLD(states[k] == 42);
    for (int64_t k = 0; k < parameters; k++) HOLD(d[k] == 42);
    for (int k = 0; k < 5 * MANY; k++) HOLD(residuals[k] == 42);
    for (int k = 0; k < MANY; k++) HOLD(losses[k] == 42 && how[k].steps == 42);
    HOLD(status.solves == 42);
    /* without the last example everything is written, as without `stop` */
    float *again = malloc(sizeof *again * MANY * NET_INPUT);
    HOLD(Net_forward(net, LAST, many, out, &status) == 0 && status.solves == LAST && out[LAST * NET_OUTPUT] == 42);
    HOLD(Net_set(net, "body.on_fail", "warn") == 0 && Net_forward(net, LAST, many, again, NULL) == 0);
    HOLD(memcmp(out, again, sizeof *out * LAST * NET_OUTPUT) == 0);
    free(out), free(states), free(d), free(again), free(many);
    Net_free(net);
}

/* The threads of a context do not follow a fork: the child is told so, and may make its own. */
static void check_fork(Net_ctx *net, const float *x, float *out) {
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        const int refused = Net_forward(net, N, x, out, NULL) == -943 && strstr(Net_error(NULL), "fork") &&
                            strstr(Net_error(net), "fork");
        Net_ctx *own = Net_new(NULL);
        const int worked = own ? Net_forward(own, N, x, out, NULL) : -1;
        Net_free(own);
        Net_free(net);
        _exit(refused && worked == 0 ? 0 : 1);
    }
    int status = 1;
    HOLD(waitpid(child, &status, 0) == child && status == 0);
    HOLD(Net_forward(net, N, x, out, NULL) == 0);
}

int main(void) {
    static float x[N * NET_INPUT], out[N * NET_INPUT];
    for (int i = 0; i < N * NET_INPUT; i++) x[i] = (float)(i * 37 % 101) / 101;
    Net_ctx *net = Net_new(&(Net_options){.threads = 2, .seed = 1});
    HOLD(net);
    check_null(net, x, out);
    check_none(net);
    check_values(net, x, out);
    check_settings(net, x, out);
    check_fork(net, x, out);
    check_stop(malloc(600 * sizeof *x * NET_INPUT));
    Net_free(net);
    puts("refused");
    return 0;
}
