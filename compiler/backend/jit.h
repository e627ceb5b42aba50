/* jit.h - loads objects into this process. */
#ifndef DEQ_BACKEND_JIT_H
#define DEQ_BACKEND_JIT_H
#include "backend.h"

void jit_set_symbols(const BackendSymbol *symbols, uint32_t nsymbols);
/* The objects' deq_module, good until the process ends; NULL and *error (malloc'ed). */
const deq_module *jit_load(const Object *objects, uint32_t nobjects, char **error);
#endif
