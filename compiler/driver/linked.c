/* linked.c - see linked.h. */
#define _GNU_SOURCE
#include "linked.h"
#include "extern.h"
#include "link.h"
#include "extern_gradient.h"
#include "output.h"
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

typedef enum FileKind { FILE_UNKNOWN, FILE_OBJECT, FILE_ARCHIVE, FILE_SHARED } FileKind;

static FileKind kind_of(const unsigned char *text, size_t n) {
    if (n >= 8 && !memcmp(text, "!<arch>\n", 8)) return FILE_ARCHIVE;
    if (n < 18 || memcmp(text, "\177ELF", 4) != 0) return FILE_UNKNOWN;
    int type = text[5] == 2 ? text[17] : text[16]; /* e_type, by byte order */
    return type == 1 ? FILE_OBJECT : type == 3 ? FILE_SHARED : FILE_UNKNOWN;
}

static bool read_file(const char *path, XXH3_state_t *hash, FileKind *kind, deq_error *e) {
    unsigned char buffer[1 << 16];
    FILE *f = fopen(path, "rb");
    if (!f) return deq_fail(e, DEQ_EXTERN, "cannot open '%s' to link it: %s", path, strerror(errno));
    size_t n = fread(buffer, 1, sizeof buffer, f);
    *kind = kind_of(buffer, n);
    for (; n > 0; n = fread(buffer, 1, sizeof buffer, f)) XXH3_128bits_update(hash, buffer, n);
    bool bad = ferror(f) != 0;
    fclose(f);
    if (bad) return deq_fail(e, DEQ_EXTERN, "cannot read '%s': %s", path, "input or output error");
    if (*kind != FILE_UNKNOWN) return true;
    return deq_fail(e, DEQ_EXTERN, "'%s' cannot be linked: it is no %s", path,
                    "object file, static archive or shared library");
}

static bool open_library(Linked *l, const char *path, const char *name, deq_error *e) {
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) return deq_fail(e, DEQ_EXTERN, "cannot load '%s': %s", name, dlerror());
    l->handles[l->nhandles++] = handle;
    return true;
}

/* Objects and archives become one shared library, which is loaded and removed again. */
static bool open_objects(Linked *l, char **objects, int n, deq_error *e) {
    deq_temporaries_sweep("/tmp");
    char *folder = deq_temporary_folder("/tmp/deq-link", e), *out = NULL;
    if (!folder) return false;
    if (asprintf(&out, "%s/linked.so", folder) < 0) abort();
    bool ok = link_shared(objects, n, out, e) && open_library(l, out, objects[0], e);
    deq_temporary_folder_remove(folder);
    free(folder);
    free(out);
    return ok;
}

/* ---- symbols ---- */
static void look_up(Linked *l, int *n, const char *symbol, int bits) {
    char *name;
    if (asprintf(&name, "%s_f%d", symbol, bits) < 0) abort();
    for (int h = 0; h < l->nhandles; h++) {
        const deq_gradient_definition *d = dlsym(l->handles[h], name);
        if (!d) {
            while (dlerror()) continue; /* the message, then its memory */
            continue;
        }
        l->symbols = realloc(l->symbols, ((size_t)*n + 2) * sizeof *l->symbols);
        if (!l->symbols) abort();
        l->symbols[(*n)++] = (deq_symbol){name, d};
        l->symbols[*n] = (deq_symbol){NULL, NULL};
        return;
    }
    free(name);
}

static void look_up_all(const Program *p, Linked *l) {
    int n = 0;
    for (uint32_t m = 0; m < p->nmodules; m++) {
        const Ast *unit = p->modules[m]->unit;
        for (uint32_t k = 0; k < unit->nkids; k++) {
            ExternGradient g;
            if (!extern_gradient(p->arena, unit->kids[k], &g)) continue;
            look_up(l, &n, g.symbol, 32);
            look_up(l, &n, g.symbol, 64);
        }
    }
}

bool linked_open(const Program *program, const char *const *files, int n, Linked *l, deq_error *e) {
    *l = (Linked){0};
    if (n == 0) return true;
    XXH3_state_t *hash = XXH3_createState();
    char **objects = calloc((size_t)n + 1, sizeof *objects); /* owned by l->objects */
    l->objects = calloc((size_t)n + 1, sizeof *l->objects);
    l->handles = calloc((size_t)n + 1, sizeof *l->handles);
    if (!hash || !objects || !l->objects || !l->handles) abort();
    XXH3_128bits_reset(hash);
    int nobjects = 0;
    bool ok = true;
    for (int i = 0; ok && i < n; i++) {
        FileKind kind;
        ok = read_file(files[i], hash, &kind, e);
        char *path = ok ? realpath(files[i], NULL) : NULL;
        if (ok && !path) ok = deq_fail(e, DEQ_EXTERN, "cannot find '%s': %s", files[i], strerror(errno));
        if (!ok) break;
        l->objects[l->nobjects++] = path;
        if (kind == FILE_SHARED)
            ok = open_library(l, path, files[i], e);
        else
            objects[nobjects++] = path;
    }
    if (ok && nobjects) ok = open_objects(l, objects, nobjects, e);
    XXH128_hash_t digest = XXH3_128bits_digest(hash);
    if (asprintf(&l->content, "%016llx%016llx", (unsigned long long)digest.high64, (unsigned long long)digest.low64) <
        0)
        abort();
    XXH3_freeState(hash);
    free(objects);
    if (ok) look_up_all(program, l);
    return ok;
}

void linked_close(Linked *l) {
    for (int i = 0; i < l->nobjects; i++) free(l->objects[i]);
    free(l->objects);
    free(l->handles);
    l->objects = NULL;
    l->handles = NULL;
    l->nobjects = l->nhandles = 0;
    if (l->symbols) return; /* offered: they live as long as the process */
    free(l->content);
    l->content = NULL;
}

bool linked_offer(const Linked *l, const deq_module *module, deq_error *e) {
    if (l->symbols) deq_extern_offer(module, l->symbols, l->content);
    return deq_extern_check(module, e);
}

char *linked_source(const Linked *l, int real_bits) {
    char *text = NULL, ending[8];
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) abort();
    snprintf(ending, sizeof ending, "_f%d", real_bits);
    bool any = false;
    for (const deq_symbol *s = l->symbols; s && s->name; s++) {
        if (strcmp(s->name + strlen(s->name) - strlen(ending), ending) != 0) continue;
        fprintf(out, "extern const char %s[];\n", s->name);
        any = true;
    }
    if (any) {
        fprintf(out, "void deq_extern_offer(const void *, const void *, const char *);\n"
                     "static const struct { const char *name; const void *definition; } symbols[] = {\n");
        for (const deq_symbol *s = l->symbols; s->name; s++)
            if (strcmp(s->name + strlen(s->name) - strlen(ending), ending) == 0)
                fprintf(out, "    {\"%s\", %s},\n", s->name, s->name);
        fprintf(out,
                "    {0, 0}};\n"
                "static void offer(const void *module) { deq_extern_offer(module, symbols, \"%s\"); }\n",
                l->content);
    } else {
        fprintf(out, "static void offer(const void *module) { (void)module; }\n");
    }
    if (fclose(out) != 0) abort();
    return text;
}
