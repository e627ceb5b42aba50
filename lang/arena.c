/* arena.c - chunks in a list, each twice the last up to 8 MiB; larger requests get a chunk of their own.
 *
 * Large chunks wish for huge pages: with a page fault for each 4 KiB the kernel took a quarter of the time of a large
 * check.  (deq_memory_new does the same for numbers, but lang/ sees only tables and arguments of the runtime.)  Memory
 * is zeroed as it is handed out, so that pages which nobody asks for are not touched. */
#define _GNU_SOURCE
#include "arena.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { EXIT_RUN = 3 }; /* of E0931 in failures.def */
enum { FIRST_CHUNK = 16 << 10, LAST_CHUNK = 8 << 20, HUGE_PAGE = 2 << 20, ALIGNMENT = 16 };

typedef struct Chunk Chunk;
struct Chunk {
    Chunk *next;
    size_t used, size;
    _Alignas(ALIGNMENT) char bytes[];
};

struct Arena {
    Chunk *current; /* the chunk that serves small requests; others follow it */
    size_t next_size;
};

_Noreturn void end_without_memory(void) {
    static const char text[] = "deq: error[E0931]: out of memory while the script was compiled "
                               "(is it limited by ulimit -v?)\n";
    (void)!write(STDERR_FILENO, text, strlen(text));
    _exit(EXIT_RUN);
}

/* A chunk of `size` bytes in all, its header among them. */
static Chunk *chunk_new(size_t size) {
    void *p = NULL;
    if (posix_memalign(&p, size < HUGE_PAGE ? ALIGNMENT : HUGE_PAGE, size)) end_without_memory();
#ifdef MADV_HUGEPAGE
    if (size >= HUGE_PAGE) madvise(p, size, MADV_HUGEPAGE); /* a wish: nothing depends on it */
#endif
    Chunk *c = p;
    *c = (Chunk){.size = size - sizeof *c};
    return c;
}

Arena *arena_new(void) {
    Arena *a = calloc(1, sizeof *a);
    if (!a) end_without_memory();
    a->next_size = FIRST_CHUNK;
    return a;
}

void arena_free(Arena *a) {
    if (!a) return;
    for (Chunk *c = a->current, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    free(a);
}

void *arena_alloc(Arena *a, size_t n) {
    if (n > SIZE_MAX / 2) ICE("allocation of %zu bytes", n);
    n = n ? (n + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1) : ALIGNMENT;
    Chunk *c = a->current;
    if (!c || c->size - c->used < n) {
        const bool own = n > a->next_size / 4;
        Chunk *added = chunk_new(own ? sizeof *added + n : a->next_size);
        if (own && c) { /* keep the current chunk: most of it may still be free */
            added->next = c->next;
            c->next = added;
        } else {
            added->next = c;
            a->current = added;
        }
        if (!own && a->next_size < LAST_CHUNK) a->next_size *= 2;
        c = added;
    }
    void *p = c->bytes + c->used;
    c->used += n;
    return memset(p, 0, n);
}

void *arena_copy(Arena *a, const void *p, size_t n) {
    void *copy = arena_alloc(a, n);
    if (n) memcpy(copy, p, n);
    return copy;
}

char *arena_strndup(Arena *a, const char *s, size_t n) {
    char *copy = arena_alloc(a, n + 1); /* zeroed, so terminated */
    if (n) memcpy(copy, s, n);
    return copy;
}

char *arena_strdup(Arena *a, const char *s) { return arena_strndup(a, s, strlen(s)); }

char *arena_vprintf(Arena *a, const char *format, va_list args) {
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    if (n < 0) ICE("cannot format '%s'", format);
    char *text = arena_alloc(a, (size_t)n + 1);
    vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    return text;
}

char *arena_printf(Arena *a, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = arena_vprintf(a, format, args);
    va_end(args);
    return text;
}

void *arena_grow(Arena *a, void *items, size_t item, size_t n, void *cap_u32) {
    uint32_t *cap = cap_u32;
    if (n < *cap) return items;
    if (n >= UINT32_MAX / 2) ICE("array of more than %zu items", n);
    uint32_t grown = *cap ? *cap * 2 : 8;
    void *copy = arena_alloc(a, item * grown);
    if (n) memcpy(copy, items, item * n);
    *cap = grown;
    return copy;
}

void ice(const char *file, int line, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "deq: internal error at %s:%d: ", file, line);
    vfprintf(stderr, format, args);
    fputs("\n   this is a fault of the compiler, not of the program; please report it with the input\n", stderr);
    va_end(args);
    exit(70);
}
