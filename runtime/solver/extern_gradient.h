/* extern_gradient.h - gradients written in C (include/deq_gradient.h): found among the linked symbols, checked, called.
 *
 * Who loads or links the C file offers its symbols for a module, before an engine is made of that module: `deq` itself
 * for --link, the main() or NAME_module() that `deq build` writes for what it links. */
#ifndef DEQ_RUNTIME_EXTERN_H
#define DEQ_RUNTIME_EXTERN_H
#include "deq_gradient.h"
#include "deq_runtime.h"
#include "error.h"
#include "manifest.h"
#include <stddef.h>

typedef struct deq_symbol {
    const char *name; /* "tanh_fast_f32"; NULL ends a list */
    const deq_gradient_definition *definition;
} deq_symbol;

typedef struct deq_extern { /* empty: not in C */
    const char *name, *symbol;
    const deq_gradient_definition *definition;
    const deq_extern_field *fields;
    int nfields, nwords; /* nwords: of the struct after `call` */
} deq_extern;

/* Texts and definitions must live as long as the module.  `content`: a hash of the linked files, part of cache keys. */
void deq_extern_offer(const deq_module *module, const deq_symbol *symbols, const char *content);
/* That hash; "" when nothing is linked. */
const char *deq_extern_content(const deq_module *module);
/* A gradient by hand that has a symbol: finds it and compares version, precision and signature.  DEQ_EXTERN names the
 * line and the remedy.  Texts and fields are those of `spec`. */
bool deq_extern_find(const deq_module *module, const deq_hand_spec *spec, deq_extern *out, deq_error *e);
/* Every gradient in C of the module's nets is there and fits: asked when a module is loaded, before anything runs. */
bool deq_extern_check(const deq_module *module, deq_error *e);
#endif
