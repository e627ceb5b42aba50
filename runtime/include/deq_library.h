/* deq_library.h - a compiled net as a C library: what the functions NET_x call, which `deq build --lib` makes from the
 * same table, library.def.  That table says what each function does; README.md beside it what holds for all of them. */
#ifndef DEQ_LIBRARY_H
#define DEQ_LIBRARY_H
#include "deq_runtime.h"
#include "deq_types.h"

typedef struct deq_library deq_library;
typedef struct deq_kept_forward deq_kept_forward;
struct deq_record; /* of ../record/record.def */

/* `net`: its name or that of a training run, NULL: the only net, or the last.  It has the settings that it is trained
 * with; runs that differ in them have to be named.  Parameters are drawn from their initialisers.  NULL on failure:
 * deq_library_error(NULL).  options NULL: all cores, seed 0. */
deq_library *deq_library_new(const deq_module *module, const char *net, const deq_library_options *options);

#define CTX deq_library
#define REAL void
#define KEPT deq_kept_forward
#define LIBRARY(result, function, parameters, arguments, doc) result function parameters;
#include "library.def"
#undef LIBRARY
#undef KEPT
#undef REAL
#undef CTX
#endif
