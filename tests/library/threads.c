/* threads.c - contexts that share their parameters, one for each thread of the caller, and calls from several threads on
 * one context: the same bits as from one. */
#include "Net.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 24, THREADS = 4, CALLS = 20 };
static float x[N * NET_INPUT], expected[N * NET_OUTPUT], dx[N * NET_INPUT];

static void *work(void *context) {
    float output[N * NET_OUTPUT], own[N * NET_INPUT];
    for (int i = 0; i < CALLS; i++) {
        if (Net_forward(context, N, x, output, NULL) != 0 || memcmp(output, expected, sizeof output) != 0)
            return context;
        /* Kept forwards of a context that several threads use stay apart. */
        Net_kept *kept = Net_forward_keep(context, N, x, output, NULL);
        if (!kept || Net_vjp_kept(context, kept, output, own, NULL, NULL) != 0 || memcmp(own, dx, sizeof own) != 0)
            return context;
        Net_kept_free(kept);
    }
    return NULL;
}

static int run(Net_ctx *const *contexts) {
    pthread_t threads[THREADS];
    int wrong = 0;
    for (int t = 0; t < THREADS; t++)
        if (pthread_create(&threads[t], NULL, work, contexts[t])) return 1;
    for (int t = 0; t < THREADS; t++) {
        void *result;
        wrong += pthread_join(threads[t], &result) || result;
    }
    return wrong;
}

int main(void) {
    const Net_options alone = {.threads = 1, .seed = 1};
    for (int i = 0; i < N * NET_INPUT; i++) x[i] = (float)(i * 37 % 101) / 101;
    Net_ctx *net = Net_new(&alone), *own[THREADS], *same[THREADS];
    if (!net || Net_set(net, "body.forward.tol", "1e-6") || Net_forward(net, N, x, expected, NULL) ||
        Net_vjp(net, N, x, expected, dx, NULL, NULL))
        return 1;
    for (int t = 0; t < THREADS; t++) {
        own[t] = Net_share(net, &alone);
        same[t] = net;
        if (!own[t] || Net_parameters(own[t]) != Net_parameters(net)) return 2;
    }
    if (run(own)) return 3;
    if (run(same)) return 4;
    /* What the owner loads or writes is seen by all. */
    Net_parameters(net)[0] += 0.5f;
    if (Net_prepare(net)) return 5;
    float before[N * NET_OUTPUT];
    memcpy(before, expected, sizeof before);
    if (Net_forward(net, N, x, expected, NULL) || memcmp(before, expected, sizeof before) == 0) return 6;
    if (Net_vjp(net, N, x, expected, dx, NULL, NULL) || run(own)) return 7;
    for (int t = 0; t < THREADS; t++) Net_free(own[t]);
    Net_free(net);
    puts("the same bits");
    return 0;
}
