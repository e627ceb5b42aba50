/* cache.h - compiled objects, found again by content.
 *
 * A folder of shared libraries made from objects (link_start), loaded with dlopen: a warm start never touches LLVM.
 * Every entry ends with its key, the program's version and a checksum.  One that is not what was stored under its name,
 * is a link or another user's is refused, said (W0822) and replaced; what is loaded is what was checked. */
#ifndef DEQ_COMPILER_CACHE_H
#define DEQ_COMPILER_CACHE_H
#include "backend.h"
#include "link.h"
#include "deq_runtime.h"
#include <stdint.h>

typedef struct Cache {
    char *folder; /* $XDG_CACHE_HOME/deq/objects or ~/.cache/deq/objects; NULL when it cannot be written or others can
                     write to it */
    char key[33]; /* of this compilation */
    LinkJob job;
    char *linked; /* where the linker writes */
    uint32_t nobjects;
} Cache;

/* Hashes the parts (NULL-terminated list of texts) into the key and finds the folder. */
void cache_open(Cache *c, const char *const *parts);
/* The module of this key, loaded; NULL when it is not there. */
const deq_module *cache_load(const Cache *c);
/* Stores the objects of a module: linking runs in the background until cache_close. */
void cache_store(Cache *c, const Object *objects, uint32_t nobjects);
void cache_close(Cache *c);
/* What "native" means on this machine, without asking LLVM: the processor's name and features, hashed (16 hex digits).
 */
const char *cache_processor(void);
#endif
