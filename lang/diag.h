/* diag.h - diagnostics: collected while compiling, printed sorted, at most 20 of them.
 *
 * A pass reports and returns NULL or false; its caller gives up only its own construct.  Nothing exits but main. */
#ifndef DEQ_LANG_DIAG_H
#define DEQ_LANG_DIAG_H
#include "source.h"
#include <stdio.h>

/* errors.def: DIAG(code, stage, title, explanation).  Codes starting with W are warnings. */
typedef enum DiagCode {
#define DIAG(code, stage, title, explanation) DIAG_##code,
#include "errors.def"
#undef DIAG
    DIAG_COUNT
} DiagCode;

typedef enum DiagStage { STAGE_SYNTAX = 1, STAGE_TYPE = 2, STAGE_RUN = 3 } DiagStage; /* the exit code of the stage */

typedef struct Diags Diags;
typedef struct Remark Remark;
struct Remark { /* a note or a help line */
    Remark *next;
    Range at; /* of a note; without a source: nowhere */
    const char *text;
    bool help;
};
typedef struct Diagnostic { /* read by those who show it; what writes it are the functions below */
    Diags *owner;
    DiagCode code;
    Range at, around;
    const char *label; /* written behind the caret, or NULL */
    const char *message;
    const char *meant;             /* what was probably meant to stand at `at`; NULL */
    const char *import, *imported; /* the module and the name of it that an import would make known; NULL */
    Remark *remarks, **last_remark;
    uint32_t order; /* of reporting */
} Diagnostic;

Diags *diags_new(Arena *a);
/* Reports `code` at `at`; the message is one clause without a final stop. */
Diagnostic *diag_report(Diags *ds, DiagCode code, Range at, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Adds `note: ...` (with the place when `at` has a source) or `help: ...` below the diagnostic. */
void diag_note(Diagnostic *d, Range at, const char *format, ...) __attribute__((format(printf, 3, 4)));
void diag_help(Diagnostic *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* help: did you mean 'NAME'MORE?  An editor offers the name for what stands at the diagnostic's place. */
void diag_meant(Diagnostic *d, const char *name, const char *more);
/* help: import MODULE (NAME).  An editor offers to write it. */
void diag_import(Diagnostic *d, const char *module, const char *name);
/* Underlines `around` with ~ where it lies on the line of the caret, and writes `text` (may be NULL) behind the marks.
 */
void diag_mark(Diagnostic *d, Range around, const char *text);
/* "did you mean 'W'?": the nearest of the candidates within edit distance 2 (1 for names of at most 3 letters), or
 * NULL. */
const char *diag_nearest(const char *name, const char *const *candidates, uint32_t n);

uint32_t diags_count(const Diags *ds); /* of all that was reported */
/* The same note for whatever was reported since the count was `from`. */
void diags_note(Diags *ds, uint32_t from, Range at, const char *text);

/* In the order of printing: by file, then place, without repetitions; *n of them, in the arena. */
Diagnostic **diags_sorted(const Diags *ds, Arena *a, uint32_t *n);
/* An unused name is no news while there are errors: what they leave out is often why. */
bool diag_is_told(const Diags *ds, const Diagnostic *d);

uint32_t diags_errors(const Diags *ds); /* number of errors so far, warnings aside */
int diags_exit_code(const Diags *ds);   /* 0, or the lowest stage with an error: 1 syntax, 2 type or shape, 3 run */
void diags_print(const Diags *ds, FILE *out, bool colour);
void diags_print_json(const Diags *ds, FILE *out); /* one JSON object a line: code, severity, file, line, column,
                                                      end_line, end_column, message, notes, help */

const char *diag_code_name(DiagCode code); /* "E0312" */
bool diag_code_is_warning(DiagCode code);
const char *diag_code_title(DiagCode code);
const char *diag_code_explanation(DiagCode code);
bool diag_code_find(const char *name, DiagCode *code);
#endif
