/* linked.h - the files of --link, which hold gradients in C: loaded for this process, and the words that hand their
 * symbols to the runtime (runtime/extern.h). */
#ifndef DEQ_COMPILER_LINKED_H
#define DEQ_COMPILER_LINKED_H
#include "deq_runtime.h"
#include "error.h"
#include "module.h"

typedef struct Linked {
    char *content;  /* XXH3-128 of the files; like the symbols it lives as long as the process */
    char **objects; /* as the linker takes them: objects, archives and shared libraries, absolute paths */
    int nobjects;
    void **handles; /* of dlopen; they stay open: what they define is used until the process ends */
    int nhandles;
    struct deq_symbol *symbols; /* what the program's gradients in C ask for and the files have */
} Linked;

/* Opens the files (objects and archives through a shared library that `cc` makes of them) and looks up every symbol
 * that the program's gradients name, in both precisions.  A symbol that is
 * absent is no failure here: which precision a module needs is known to deq_extern_check. */
bool linked_open(const Program *program, const char *const *files, int n, Linked *out, deq_error *e);
/* Frees what only linking needs; symbols and content stay, as the libraries do.  Also after a failure. */
void linked_close(Linked *linked);
/* Offers the symbols to a module of this process and checks that all it needs are there. */
bool linked_offer(const Linked *linked, const deq_module *module, deq_error *e);
/* C text that defines `static void offer(const void *module)`: the same for a program or library that is built.
 * malloc'ed. */
char *linked_source(const Linked *linked, int real_bits);
#endif
