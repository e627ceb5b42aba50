/* hash.c - the identity of a program: its tokens, not its layout. */
#include "module.h"
#include "syntax.h"
#include "parse.h"
#include <string.h>
#include <xxhash.h>

/* Text and a terminator of every token; a SEP is a bare terminator, so `;` and a line end are the same. */
static void hash_tokens(XXH3_state_t *state, const Source *s) {
    Arena *a = arena_new();
    Parser *ps = arena_alloc(a, sizeof *ps);
    scan_begin(ps, a, NULL, s);
    Loc at;
    for (int token; (token = scan_next(ps, &at)) != T_END;) {
        if (token != T_SEP) XXH3_128bits_update(state, s->text + at.start, at.end - at.start);
        XXH3_128bits_update(state, "", 1);
    }
    scan_end(ps);
    arena_free(a);
}

const char *program_hash(const Program *p) {
    XXH3_state_t *state = XXH3_createState();
    if (!state) ICE("out of memory");
    XXH3_128bits_reset(state);
    for (uint32_t i = 0; i < p->nmodules; i++) {
        const Module *m = p->modules[i];
        if (m != p->main)
            XXH3_128bits_update(state, m->path, strlen(m->path) + 1); /* where the main file lies is no matter */
        hash_tokens(state, m->source);
        XXH3_128bits_update(state, "\n", 1);
    }
    XXH128_hash_t h = XXH3_128bits_digest(state);
    XXH3_freeState(state);
    return arena_printf(p->arena, "%016llx%016llx", (unsigned long long)h.high64, (unsigned long long)h.low64);
}
