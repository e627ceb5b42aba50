/* lang_support.h - what the tests of lang/ share: parse a text, capture what is printed, walk .deq files. */
#ifndef DEQ_TESTS_LANG_SUPPORT_H
#define DEQ_TESTS_LANG_SUPPORT_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "module.h"

typedef struct Parsed {
    Arena *arena;
    Diags *diags;
    Program *program;
    const Ast *unit;
} Parsed;

static inline Parsed parse_text(const char *text) {
    Parsed p = {.arena = arena_new()};
    p.diags = diags_new(p.arena);
    p.program = program_load_text(p.arena, p.diags, "test.deq", text);
    p.unit = p.program->main->unit;
    return p;
}

static inline void parsed_free(Parsed *p) { arena_free(p->arena); }

/* What `write` prints, in the arena. */
#define CAPTURE(a, out, statement)                                                                                     \
    ({                                                                                                                 \
        char *buffer_ = NULL;                                                                                          \
        size_t size_ = 0;                                                                                              \
        FILE *out = open_memstream(&buffer_, &size_);                                                                  \
        statement;                                                                                                     \
        fclose(out);                                                                                                   \
        char *copy_ = arena_strndup((a), buffer_, size_);                                                              \
        free(buffer_);                                                                                                 \
        copy_;                                                                                                         \
    })

static inline char *messages(const Parsed *p) { return CAPTURE(p->arena, out, diags_print(p->diags, out, false)); }

static inline void assert_contains(const char *text, const char *part) {
    if (!strstr(text, part)) fail_msg("'%s' is not in:\n%s", part, text);
}

static inline char *read_whole(Arena *a, const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    size_t n = 0, cap = 1 << 20;
    char *text = arena_alloc(a, cap);
    n = fread(text, 1, cap - 1, f);
    fclose(f);
    return n < cap - 1 ? text : NULL;
}

static int by_name(const struct dirent **left, const struct dirent **right) {
    return strcmp((*left)->d_name, (*right)->d_name);
}

/* Calls visit(path) for every .deq file below `dir`, in order of name; returns their number. */
static inline int each_deq(const char *dir, void (*visit)(const char *path)) {
    struct dirent **entries;
    int n = scandir(dir, &entries, NULL, by_name), found = 0;
    for (int i = 0; i < n; i++) {
        const char *name = entries[i]->d_name;
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", dir, name);
        size_t length = strlen(name);
        struct stat st;
        if (name[0] != '.' && strncmp(name, "build", 5) != 0 && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
            found += each_deq(path, visit);
        } else if (length > 4 && !strcmp(name + length - 4, ".deq")) {
            visit(path);
            found++;
        }
        free(entries[i]);
    }
    if (n >= 0) free(entries);
    return found;
}
#endif
