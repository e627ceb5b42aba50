/* out_of_memory.c - see out_of_memory.h.
 *
 * LLVM's C interface has no door to these handlers; their C++ functions take and return plain pointers, so they are
 * called by their names in the binary interface.  Weak: a library without them changes nothing but the message. */
#include "out_of_memory.h"
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_RUN = 3 }; /* of E0931 in failures.def */

typedef void NewHandler(void);
typedef void AllocationHandler(void *context, const char *reason, bool diagnose);
extern NewHandler *set_new_handler(NewHandler *handler) __asm__("_ZSt15set_new_handlerPFvvE") __attribute__((weak));
extern void install_bad_alloc_error_handler(AllocationHandler *handler, void *context) __asm__(
    "_ZN4llvm31install_bad_alloc_error_handlerEPFvPvPKcbES0_") __attribute__((weak));

/* Nothing here may allocate. */
static void end(void) {
    static const char text[] = "deq: error[E0931]: out of memory while the script was compiled "
                               "(is it limited by ulimit -v?)\n";
    (void)!write(STDERR_FILENO, text, strlen(text));
    _exit(EXIT_RUN);
}

static void end_allocation(void *context, const char *reason, bool diagnose) {
    (void)context, (void)reason, (void)diagnose;
    end();
}

void out_of_memory_is_said(void) {
    if (set_new_handler) set_new_handler(end);
    if (install_bad_alloc_error_handler) install_bad_alloc_error_handler(end_allocation, NULL);
}
