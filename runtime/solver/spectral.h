/* spectral.h - how fast a fixed point contracts at its equilibria: the spectrum of J = df/dz, an example at a time.
 *
 * The spectral radius is that of an Arnoldi process on J' (whose eigenvalues are J's), so that complex pairs count with
 * their modulus and nothing oscillates as a power iteration would; norms are those of J itself. */
#ifndef DEQ_RUNTIME_SPECTRAL_H
#define DEQ_RUNTIME_SPECTRAL_H
#include "worker.h"

typedef struct deq_spectrum { /* of J at one example's state */
    double radius;            /* largest modulus of an eigenvalue; NaN: J is not finite, or the machine has no LAPACK */
    double radius_change;     /* of the radius over the last Arnoldi steps, relative: how far it may still be off */
    double norm2;             /* largest singular value, by power iteration on J'J; NaN without NAME_jvp */
    double frobenius;         /* norm_F, from random vectors (Hutchinson) */
    double residual;          /* norm(f(z) - z) / norm(f(z)) of the state that J was taken at */
} deq_spectrum;

typedef struct deq_spectrum_options {
    int steps;      /* of Arnoldi, 0: 60; fewer where memory or the dimension says so */
    int iterations; /* of the power iteration, 0: 100 at most */
    int samples;    /* of Hutchinson's estimate, 0: 16 */
} deq_spectrum_options;

/* Largest modulus of an eigenvalue of the leading n x n block of a Hessenberg matrix (column-major, leading dimension
 * ld; not changed); work: n * n + 3 n doubles.  NaN when LAPACK does not converge or is not there. */
double deq_hessenberg_radius(const double *h, int n, int ld, double *work);

typedef struct deq_quantiles { /* of the examples with a finite value; NaN when there are none */
    double median, most;
} deq_quantiles;
/* `offset` of a double in records `stride` bytes apart. */
deq_quantiles deq_quantiles_of(const void *records, int64_t n, size_t stride, size_t offset);
#endif
