/* arena.h - memory that lives as long as one compilation.
 *
 * Needs nothing.  Ensures: every allocation is zeroed, aligned to 16 bytes, and lives until arena_free.
 * Nothing in lang/ or compiler/ calls free() on anything else but LLVM handles and file buffers. */
#ifndef DEQ_LANG_ARENA_H
#define DEQ_LANG_ARENA_H
#include <stdarg.h>
#include <stddef.h>

typedef struct Arena Arena;

Arena *arena_new(void);                /* an empty arena; aborts with exit code 70 when memory is exhausted */
void arena_free(Arena *a);             /* frees everything allocated from it; NULL is allowed */
void *arena_alloc(Arena *a, size_t n); /* n zeroed bytes */
void *arena_copy(Arena *a, const void *p, size_t n);
char *arena_strdup(Arena *a, const char *s);
char *arena_strndup(Arena *a, const char *s, size_t n);
char *arena_printf(Arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(Arena *a, const char *format, va_list args);

/* Growable array in an arena: `T *items = NULL; uint32_t n = 0, cap = 0; *ARENA_PUSH(a, items, n, cap) = value;` */
void *arena_grow(Arena *a, void *items, size_t item, size_t n, void *cap_u32);
#define ARENA_PUSH(a, items, n, cap) ((items) = arena_grow((a), (items), sizeof *(items), (n), &(cap)), &(items)[(n)++])

/* Ends the program with E0931 and its exit code; allocates nothing. */
_Noreturn void end_without_memory(void);
/* Internal error: prints pass, message and exits 70.  For broken invariants only, never for bad input. */
#define ICE(...) ice(__FILE__, __LINE__, __VA_ARGS__)
_Noreturn void ice(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
#endif
