/* extern.h - gradients written in C: what the C side is told of a layer, in which order, under which names.
 *
 * One list serves three readers: the header that `deq header FILE` writes, the manifest, from which the runtime fills
 * the arguments, and the signature, a text of the list that both sides hold and compare when a file is linked. */
#ifndef DEQ_LANG_EXTERN_H
#define DEQ_LANG_EXTERN_H
#include "module.h"

typedef enum ExternKind {                /* in this order in the arguments */
                          EXTERN_SIZE,   /* int64_t I */
                          EXTERN_NUMBER, /* double margin: an input with a default */
                          EXTERN_PARAM,  /* const deq_real *W, and deq_real *d_W to write */
                          EXTERN_BUFFER, /* const deq_real *mean */
                          EXTERN_INPUT,  /* const deq_real *x, and deq_real *d_x to write */
                          EXTERN_STATE,  /* const deq_real *z and *d_z: the equilibrium and its cotangent */
} ExternKind;

typedef struct ExternField {
    ExternKind kind;
    const char *name;
    const char *shape; /* "[H, H]" in the layer's sizes; "" for a scalar */
    const Ast *decl;
} ExternField;

typedef struct ExternGradient {
    const char *symbol, *signature;
    const ExternField *fields;
    uint32_t nfields;
} ExternGradient;

/* needs: a checked program.  False when `gradient` is not one in C. */
bool extern_gradient(Arena *a, const Ast *gradient, ExternGradient *out);
/* The header for all of them; false when the program has none. */
bool extern_header(const Program *program, FILE *out);
#endif
