/* document.c - see document.h. */
#define _GNU_SOURCE
#include "document.h"
#include "check.h"
#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MOST_SECONDS 0.04 /* of processor */

static void *kept(void *p) {
    if (!p) end_without_memory();
    return p;
}

/* ---- addresses ---- */

static int hex(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The path of a file: URI, or the URI itself; free() it. */
static char *uri_path(const char *uri) {
    if (strncasecmp(uri, "file://", 7) != 0) return kept(strdup(uri));
    const char *p = uri + 7 + strcspn(uri + 7, "/"); /* the host is this one */
    char *path = kept(malloc(strlen(p) + 1)), *to = path;
    for (; *p; p++) {
        int high = *p == '%' ? hex(p[1]) : -1, low = high >= 0 ? hex(p[2]) : -1;
        bool byte = high >= 0 && low >= 0 && (high || low);
        *to++ = byte ? (char)(16 * high + low) : *p;
        p += byte ? 2 : 0;
    }
    *to = 0;
    char *real = *path ? realpath(path, NULL) : NULL;
    if (!real) return path;
    free(path);
    return real;
}

char *path_uri(const Documents *all, const char *path) {
    char *real = realpath(path, NULL);
    const char *p = real ? real : path;
    const Document *open = all->first;
    while (open && strcmp(open->path, p) != 0) open = open->next;
    if (open) {
        free(real);
        return kept(strdup(open->uri));
    }
    char *uri = kept(malloc(3 * strlen(p) + 8)), *to = uri;
    if (*p == '/') to = stpcpy(uri, "file://");
    for (; *p; p++) {
        if (isalnum((unsigned char)*p) || strchr("/._-~:", *p))
            *to++ = *p;
        else
            to += sprintf(to, "%%%02X", (unsigned char)*p);
    }
    *to = 0;
    free(real);
    return uri;
}

/* ---- documents ---- */

static void analysis_free(Analysis *a) {
    if (a) arena_free(a->arena);
}

static void forget(Document *d) {
    if (d->good != d->now) analysis_free(d->good);
    analysis_free(d->now);
    d->now = d->good = NULL;
}

Document *documents_find(const Documents *all, const char *uri) {
    Document *d = all->first;
    while (d && strcmp(d->uri, uri) != 0) d = d->next;
    return d;
}

Document *documents_open(Documents *all, const char *uri, const char *text, size_t length, json_int_t version) {
    Document *d = documents_find(all, uri);
    if (!d) {
        d = kept(calloc(1, sizeof *d));
        d->uri = kept(strdup(uri));
        d->path = uri_path(uri);
        d->next = all->first;
        all->first = d;
    }
    d->version = version;
    d->due = true;
    document_set(d, text, length);
    return d;
}

void documents_close(Documents *all, Document *d) {
    Document **at = &all->first;
    while (*at != d) at = &(*at)->next;
    *at = d->next;
    forget(d);
    free(d->uri);
    free(d->path);
    free(d->text);
    free(d);
}

void documents_free(Documents *all) {
    while (all->first) documents_close(all, all->first);
}

/* Whether the paths may be of one file: one real path, or one name, as in a folder that is reached in two ways. */
static bool may_be_one_file(const char *x, const char *y) {
    const char *p = strrchr(x, '/'), *q = strrchr(y, '/');
    if (strcmp(p ? p + 1 : x, q ? q + 1 : y) == 0) return true;
    char *real = realpath(x, NULL);
    const bool one = real && strcmp(real, y) == 0;
    free(real);
    return one;
}

void documents_imports_changed(Documents *all, const char *file) {
    for (Document *d = all->first; d; d = d->next) {
        if (!d->now) continue;
        const Program *p = d->now->program;
        bool imports = false;
        for (uint32_t i = 0; i < p->nmissing && !imports; i++) imports = !file || may_be_one_file(p->missing[i], file);
        for (uint32_t i = 0; i < p->nmodules && !imports; i++)
            imports = p->modules[i] != p->main && !source_embedded(p->modules[i]->source) &&
                      (!file || may_be_one_file(p->modules[i]->source->path, file));
        if (imports) d->changed = d->due = true;
    }
}

/* ---- the text ---- */

void document_set(Document *d, const char *text, size_t length) {
    char *copy = kept(malloc(length + 1));
    memcpy(copy, text, length);
    copy[length] = 0;
    free(d->text);
    d->text = copy, d->length = length, d->changed = true;
}

void document_replace(Document *d, Spot start, Spot end, const char *text, size_t length) {
    Arena *a = arena_new();
    uint32_t most = d->length < UINT32_MAX ? (uint32_t)d->length : UINT32_MAX;
    Source *s = source_from_bytes(a, "", d->text, most);
    uint32_t from = spot_offset(s, start), to = spot_offset(s, end);
    arena_free(a);
    if (to < from) to = from;
    size_t rest = d->length - to;
    char *copy = kept(malloc(from + length + rest + 1));
    memcpy(copy, d->text, from);
    memcpy(copy + from, text, length);
    memcpy(copy + from + length, d->text + to, rest);
    copy[from + length + rest] = 0;
    free(d->text);
    d->text = copy, d->length = from + length + rest, d->changed = true;
}

/* The text as a module can have it: what is none stands there as a blank; *bad is the first such place, or the length. */
static const char *text_of(Arena *a, const Document *d, uint32_t *bad, const char **reason) {
    *reason = source_refused(a, d->text, d->length);
    *bad = (uint32_t)d->length;
    if (!*reason) return d->text;
    char *text = arena_strndup(a, d->text, d->length);
    for (size_t i = d->length; i-- > 0;) {
        unsigned char c = (unsigned char)text[i];
        if ((c >= 0x20 && c != 0x7f) || strchr("\t\n\r\f", c ? c : 'x')) continue;
        text[i] = ' ', *bad = (uint32_t)i;
    }
    return source_refused(a, text, d->length) ? "" : text; /* too long */
}

/* ---- what is known ---- */

static void compare_texts(Document *d) {
    const Source *x = d->good ? d->good->source : NULL, *y = d->now->source;
    d->before = d->behind = 0;
    if (!x) return;
    uint32_t most = x->length < y->length ? x->length : y->length;
    if (x == y) {
        d->before = most;
        return;
    }
    while (d->before < most && x->text[d->before] == y->text[d->before]) d->before++;
    while (d->behind < most - d->before && x->text[x->length - 1 - d->behind] == y->text[y->length - 1 - d->behind])
        d->behind++;
}

static uint32_t moved(const Document *d, uint32_t offset, const Source *from, const Source *to) {
    if (offset <= d->before) return offset;
    if (offset >= from->length - d->behind) return to->length - (from->length - offset);
    return offset > to->length - d->behind ? to->length - d->behind : offset;
}

uint32_t document_to_good(const Document *d, uint32_t offset) {
    return moved(d, offset, d->now->source, d->good->source);
}
uint32_t document_from_good(const Document *d, uint32_t offset) {
    return moved(d, offset, d->good->source, d->now->source);
}

Program *program_read_open(const Documents *all, Arena *a, Diags *ds, const char *path, const OpenText *open,
                           uint32_t nopen, bool *clean) {
    Program *p = program_load_open(a, ds, arena_strdup(a, path), open, nopen, all->include, all->ninclude);
    const bool read = diags_errors(ds) == 0;
    if (!read) p->diags = diags_new(a);
    const bool resolved = program_resolve(p);
    *clean = program_check(p) && resolved && read;
    return p;
}

static Analysis *analyse(const Documents *all, const Document *d) {
    Arena *a = arena_new();
    Analysis *n = arena_alloc(a, sizeof *n);
    n->arena = a;
    n->diags = diags_new(a);
    uint32_t nopen = 0, bad = 0;
    for (const Document *o = all->first; o; o = o->next) nopen++;
    OpenText *open = arena_alloc(a, (nopen + 1) * sizeof *open);
    const char *reason = NULL, *why = NULL;
    uint32_t at = 0, k = 1;
    open[0] = (OpenText){d->path, text_of(a, d, &bad, &reason)};
    for (const Document *o = all->first; o; o = o->next)
        if (o != d) open[k++] = (OpenText){o->path, text_of(a, o, &at, &why)};
    Program *p = n->program = program_read_open(all, a, n->diags, d->path, open, nopen, &n->clean);
    n->module = p->main;
    n->source = p->main->source;
    if (reason)
        diag_report(n->diags, DIAG_E0111, (Range){n->source, bad < n->source->length ? bad : 0, bad + 1}, "'%s' %s",
                    d->path, reason);
    n->parsed = !reason;
    for (uint32_t i = 0; i < p->main->unit->nkids; i++)
        n->parsed = n->parsed && p->main->unit->kids[i]->kind != AST_ERROR;
    n->clean = n->clean && !reason;
    n->places = places_of(a, p->main);
    return n;
}

const Analysis *document_now(const Documents *all, Document *d) {
    if (d->now && !d->changed) return d->now;
    Analysis *n = analyse(all, d);
    if (n->parsed) {
        forget(d);
        d->good = n;
    } else if (d->now != d->good) {
        analysis_free(d->now);
    }
    d->now = n;
    d->changed = d->told = false;
    compare_texts(d);
    return n;
}

bool document_may_elaborate(const Document *d) {
    const Analysis *n = d->now;
    return n && !d->changed && n->clean && !n->elaborated && (!d->costly || d->due);
}

bool document_elaborate(Document *d) {
    if (!document_may_elaborate(d)) return false;
    const clock_t begin = clock();
    d->now->elaborated = true;
    const uint32_t known = diags_count(d->now->diags);
    pipeline_look(d->now->program, &d->now->look);
    if (diags_count(d->now->diags) > known) d->told = false;
    d->costly = (double)(clock() - begin) > MOST_SECONDS * CLOCKS_PER_SEC;
    d->due = false;
    return true;
}
