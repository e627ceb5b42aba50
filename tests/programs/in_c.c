/* The gradient of in_c.deq; with -DFORGET, -DNOT_A_NUMBER, -DGIVE_UP, -DENDS=.. what a wrong one does. */
#include "in_c.h"
#include <math.h>
#include <stdlib.h>
#ifdef ENDS
#include <signal.h>
_Noreturn void _exit(int status);
static int deeper(volatile int *at) {
    volatile int here[1000] = {0};
    return at == here ? 0 : deeper(here) + here[0];
}
#endif

DEQ_GRADIENT(pair_gradient) {
    int64_t n = a->call.dimension;
#ifdef ENDS
    if (n > 0) ENDS;
    deeper(NULL);
#endif
    deq_real *u = calloc((size_t)(3 * n), sizeof *u), *term = u + n, *next = term + n, *ub = u + a->F;
    if (!u) return 1;
    for (int64_t i = 0; i < a->F; i++) u[i] = term[i] = a->d_a[i];
    for (int64_t i = 0; i < a->C; i++) ub[i] = term[a->F + i] = a->d_b[i];
    int steps = 0;
    double change = 1;
    for (; steps < 300 && change > 1e-17; steps++) {
        change = 0;
        a->call.transposed(&a->call, term, next);
        for (int64_t i = 0; i < n; i++) {
            term[i] = next[i];
            u[i] += term[i];
            change = fmax(change, fabs((double)term[i]));
        }
    }
    *a->call.steps = steps;
    *a->call.residual = change;
    for (int64_t i = 0; i < a->F; i++) u[i] *= 1 - a->a[i] * a->a[i];
    for (int64_t i = 0; i < a->C; i++) ub[i] *= 1 - a->b[i] * a->b[i];
    for (int64_t i = 0; i < a->F; i++) a->d_x[i] = u[i];
    for (int64_t i = 0; a->d_A && i < a->C; i++)
        for (int64_t k = 0; k < a->F; k++) a->d_A[i * a->F + k] = (deq_real)a->gain * a->b[i] * u[k];
#ifndef FORGET
    for (int64_t i = 0; a->d_B && i < a->F; i++)
        for (int64_t k = 0; k < a->C; k++) a->d_B[i * a->C + k] = (deq_real)a->gain * a->a[i] * ub[k];
#endif
#ifdef NOT_A_NUMBER
    a->d_x[0] = NAN;
#endif
    free(u);
#ifdef GIVE_UP
    return 1;
#endif
    return 0;
}
