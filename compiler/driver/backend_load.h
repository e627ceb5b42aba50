/* backend_load.h - finds libdeq_backend.so, beside the program, in ../lib/deq or where $DEQ_BACKEND says, and loads it
 * on first use (loading LLVM takes longer than a warm start may). */
#ifndef DEQ_COMPILER_BACKEND_LOAD_H
#define DEQ_COMPILER_BACKEND_LOAD_H
#include "backend.h"

const Backend *backend_get(char **error); /* NULL and *error when it cannot be loaded */
bool backend_lacked_memory(void);         /* why backend_get returned NULL */
/* Size and time of the files of this program and of the module, which need not be loaded: another build makes other
 * objects, also under the same version. */
const char *backend_identity(void);
#endif
