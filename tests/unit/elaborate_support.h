/* elaborate_support.h - a program's text through resolve, check and elaboration, for the tests of the elaborator. */
#ifndef DEQ_TESTS_ELABORATE_SUPPORT_H
#define DEQ_TESTS_ELABORATE_SUPPORT_H
#include "lang_support.h"
#include "elaborate.h"
#include "pipeline.h"
#include "interpreter.h"
#include "check.h"
#include <math.h>

static inline Parsed parse_checked(const char *text) {
    Parsed p = parse_text(text);
    if (diags_errors(p.diags) || !program_resolve(p.program) || !program_check(p.program))
        fail_msg("the program is wrong:\n%s", messages(&p));
    return p;
}

/* Elaborates `only` (a layer), or what runs and is tested when it is NULL. */
static inline Elab *elaborate_text(Parsed *p, const char *only) {
    Elaborated e;
    if (!elaborate(p->arena, p->program, 8, (Parts){.kinds = ELAB_RUN | ELAB_TESTS | ELAB_CHECKS, .only = only}, &e))
        fail_msg("elaboration failed:\n%s", messages(p));
    json_decref(e.manifest);
    return e.elab;
}

static inline const Routine *routine_named(const Elab *e, const char *name) {
    for (uint32_t k = 0; k < e->nroutines; k++)
        if (strcmp(e->routines[k]->name, name) == 0) return e->routines[k];
    fail_msg("there is no routine %s", name);
    return NULL;
}

static inline void assert_close(const char *what, double found, double expected) {
    double scale = fmax(1, fabs(expected));
    if (!(fabs(found - expected) <= 1e-9 * scale) && !(isinf(expected) && found == expected))
        fail_msg("%s: %.17g, expected %.17g", what, found, expected);
}
#endif
