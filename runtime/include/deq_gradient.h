/* deq_gradient.h - a gradient of a fixed point written in C: the other side of
 *
 *     gradient fast of Tanh = extern "tanh_fast"
 *
 * `deq header FILE` writes a header that includes this one and declares, for each such gradient, a struct of what its
 * layer consists of.  The C file is one function over that struct:
 *
 *     #include "net_gradients.h"
 *     DEQ_GRADIENT(tanh_fast) {           // a: const tanh_fast_call *
 *         for (int64_t i = 0; i < a->H; i++) ..
 *         return 0;
 *     }
 *
 * It sees one example, as layers do: its inputs, the parameters, the equilibrium z that the net went on with, and the
 * cotangent d_z of that state.  It writes the whole of every d_x of an input, and of every d_W of a parameter unless
 * the pointer is NULL (only the input's gradient is wanted); deq adds d_W up over the examples, in their order.  What
 * is left unwritten is an error that names it, not a zero.  Arrays are dense and row-major; sizes are members, so that
 * one function serves every instance of the layer.  It may run on several threads at once.
 *
 * Result: 0, or another number when its solve did not converge: the fixed point's on_fail decides what happens then.
 * It may tell how its solve went in *a->call.steps and *a->call.residual.
 *
 * Compile twice, for both precisions, as position-independent code, and give deq the result with --link:
 *
 *     cc -fPIC -O2 -c -DDEQ_REAL_BITS=32 fast.c -o fast32.o
 *     cc -fPIC -O2 -c -DDEQ_REAL_BITS=64 fast.c -o fast64.o
 *     deq run net.deq --link fast32.o --link fast64.o
 */
#ifndef DEQ_GRADIENT_H
#define DEQ_GRADIENT_H
#include <stdint.h>

#define DEQ_GRADIENT_ABI 1

#ifndef DEQ_REAL_BITS
#define DEQ_REAL_BITS 32
#endif
#if DEQ_REAL_BITS == 32
typedef float deq_real;
#define DEQ_SYMBOL(symbol) symbol##_f32
#elif DEQ_REAL_BITS == 64
typedef double deq_real;
#define DEQ_SYMBOL(symbol) symbol##_f64
#else
#error "DEQ_REAL_BITS is 32 or 64"
#endif

/* The first member, `call`, of every generated struct: the generated routines of the fixed point, at the equilibrium,
 * and the report.  Vectors are states: their components one after the other, dense. */
typedef struct deq_gradient_call {
    const void *host;
    int64_t example;                                                                    /* which of the data */
    int64_t dimension;                                                                  /* elements of a state */
    void (*f)(const struct deq_gradient_call *call, const void *z, void *out);          /* out = f(z) */
    void (*jacobian)(const struct deq_gradient_call *call, const void *dz, void *out);  /* out = J dz */
    void (*transposed)(const struct deq_gradient_call *call, const void *u, void *out); /* out = J'u */
    double *residual;                                                                   /* to report; 0 at first */
    int64_t *steps;
} deq_gradient_call;

/* What a linked file exports under DEQ_SYMBOL(symbol). */
typedef struct deq_gradient_definition {
    int64_t abi; /* DEQ_GRADIENT_ABI */
    int64_t real_bits;
    const char *signature; /* the layer as the header saw it */
    int (*function)(const void *call);
} deq_gradient_definition;

#define DEQ_GRADIENT(symbol)                                                                                           \
    static int symbol##_body(const symbol##_call *a);                                                                  \
    static int symbol##_function(const void *call) { return symbol##_body((const symbol##_call *)call); }              \
    extern const deq_gradient_definition DEQ_SYMBOL(symbol);                                                           \
    const deq_gradient_definition DEQ_SYMBOL(symbol) = {DEQ_GRADIENT_ABI, DEQ_REAL_BITS, symbol##_signature,           \
                                                        symbol##_function};                                            \
    static int symbol##_body(const symbol##_call *a)
#endif
