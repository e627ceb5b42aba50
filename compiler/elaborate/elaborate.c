/* elaborate.c - the elaborator's own state: reporting with the chain of uses, unique names, scopes. */
#include "elaborate.h"
#include <string.h>
#include <xxhash.h>

static Diagnostic *report(const Scope *s, DiagCode code, Range at, const char *text) {
    Elab *e = s->elab;
    for (uint32_t k = 0; k < e->nreported; k++)
        if (e->reported[k].code == code && e->reported[k].at.source == at.source && e->reported[k].at.start == at.start)
            return NULL;
    ARENA_PUSH(e->arena, e->reported, e->nreported, e->reported_cap)->code = code;
    e->reported[e->nreported - 1].at = at;
    Range place = at; /* what went wrong inside the library is told at the line that uses it, by the name used there */
    const char *inside = NULL;
    for (const Frame *f = s->frame; f && source_embedded(place.source); f = f->up)
        if (f->at.source) place = f->at, inside = f->what;
    const char *end = inside ? strstr(inside, ", used here") : NULL;
    if (end) text = arena_printf(e->arena, "%.*s: %s", (int)(end - inside), inside, text);
    Diagnostic *d = diag_report(e->diags, code, place, "%s", text);
    if (place.source != at.source) diag_note(d, at, "the library's line");
    int shown = 0; /* the innermost uses say most */
    for (const Frame *f = s->frame; f && shown < 6; f = f->up)
        if (f->at.source) shown++, diag_note(d, f->at, "%s", f->what);
    return d;
}

Value elab_error(const Scope *s, DiagCode code, Range at, const char *format, ...) {
    va_list args;
    va_start(args, format);
    report(s, code, at, arena_vprintf(s->elab->arena, format, args));
    va_end(args);
    return (Value){0};
}

Value elab_error_help(const Scope *s, DiagCode code, Range at, const char *help, const char *format, ...) {
    va_list args;
    va_start(args, format);
    Diagnostic *d = report(s, code, at, arena_vprintf(s->elab->arena, format, args));
    va_end(args);
    if (d) diag_help(d, "%s", help);
    return (Value){0};
}

Value elab_error_note(const Scope *s, DiagCode code, Range at, Range note_at, const char *note, const char *format,
                      ...) {
    va_list args;
    va_start(args, format);
    Diagnostic *d = report(s, code, at, arena_vprintf(s->elab->arena, format, args));
    va_end(args);
    if (d) diag_note(d, note_at, "%s", note);
    return (Value){0};
}

Scope scope_of_module(Elab *e, const Module *m) { return (Scope){.elab = e, .module = m, .path = ""}; }

void scope_bind(Scope *s, const char *name, Value v) { s->env = env_bind(s->elab->arena, s->env, name, v); }

const char *elab_name(Elab *e, const char *wanted) {
    const char *base = identifier(e->arena, wanted), *name = base;
    for (int k = 2;; k++) {
        uint32_t i = 0;
        while (i < e->nnames && strcmp(e->names[i], name) != 0) i++;
        if (i == e->nnames) break;
        name = arena_printf(e->arena, "%s_%d", base, k);
    }
    *ARENA_PUSH(e->arena, e->names, e->nnames, e->names_cap) = name;
    return name;
}

void elab_reserve(Elab *e, const char *prefix, const char *const *endings) {
    for (; *endings; endings++) elab_name(e, arena_printf(e->arena, "%s_%s", prefix, *endings));
}

const char *text_hash(Arena *a, const char *text, size_t n) {
    XXH128_hash_t h = XXH3_128bits(text, n);
    return arena_printf(a, "%016llx%016llx", (unsigned long long)h.high64, (unsigned long long)h.low64);
}
