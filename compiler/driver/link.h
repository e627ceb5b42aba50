/* link.h - objects to files, by running the machine's `cc` and binutils (lld has no C interface).
 *
 * Each function works in a temporary folder beside `out` and renames the result when complete.  On failure: false, and
 * the error has what the tool said. */
#ifndef DEQ_COMPILER_LINK_H
#define DEQ_COMPILER_LINK_H
#include "backend.h"
#include "error.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

typedef struct LinkExtras { /* gradients in C (linked.h) */
    char **objects;
    int nobjects;
    const char *source; /* defines offer(module) */
} LinkExtras;

/* A net compiled for one processor; of several the most able that the machine has is chosen when the library is first used. */
typedef struct LinkTarget {
    const char *cpu; /* of link_levels */
    const Object *object;
} LinkTarget;
/* The processors that a library can tell apart, the most able first; NULL at the end. */
extern const char *const link_levels[];
enum { LINK_MOST_TARGETS = 4 };

/* A program: the object, a main() that calls deq_main, the linked files, and the runtime library. */
bool link_program(const Object *object, const LinkExtras *extras, const char *out, deq_error *e);
/* libNAME.so holding the runtime, and NAME.a holding the objects and linked objects (to be linked with libdeqrt, and
 * with linked shared libraries; archive_out NULL: none is wanted); both export what `definitions`, C text, defines under
 * names that begin with NAME_. */
bool link_library(const LinkTarget *targets, int ntargets, const LinkExtras *extras, const char *name,
                  const char *definitions, const char *shared_out, const char *archive_out, deq_error *e);
/* Objects and archives, whole, as one shared library. */
bool link_shared(char *const *objects, int n, const char *out, deq_error *e);
/* Starts turning objects (a NULL-terminated list) into a shared library for this program's own use (runtime symbols
 * come from the program); returns at once.  link_finish waits; both are silent about failure: the cache does without,
 * and removes `out`. */
typedef struct LinkJob {
    pid_t pid;
} LinkJob;
bool link_start(char *const *objects, const char *out, LinkJob *job);
bool link_finish(LinkJob *job);
/* The folder of this program ("/usr/bin"), malloc'ed. */
char *program_folder(void);
#endif
