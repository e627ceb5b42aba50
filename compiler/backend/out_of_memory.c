/* out_of_memory.c - see out_of_memory.h.
 *
 * LLVM's C interface has no door to these handlers; their C++ functions take and return plain pointers, so they are
 * called by their names in the binary interface.  Weak: a library without them changes nothing but the message. */
#include "out_of_memory.h"
#include "arena.h"
#include <stdbool.h>
#include <stddef.h>

typedef void NewHandler(void);
typedef void AllocationHandler(void *context, const char *reason, bool diagnose);
extern NewHandler *set_new_handler(NewHandler *handler) __asm__("_ZSt15set_new_handlerPFvvE") __attribute__((weak));
extern void install_bad_alloc_error_handler(AllocationHandler *handler, void *context) __asm__(
    "_ZN4llvm31install_bad_alloc_error_handlerEPFvPvPKcbES0_") __attribute__((weak));

static void end_allocation(void *context, const char *reason, bool diagnose) {
    (void)context, (void)reason, (void)diagnose;
    end_without_memory();
}

void out_of_memory_is_said(void) {
    if (set_new_handler) set_new_handler(end_without_memory);
    if (install_bad_alloc_error_handler) install_bad_alloc_error_handler(end_allocation, NULL);
}
