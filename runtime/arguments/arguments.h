/* arguments.h - lists of typed arguments: what solvers, gradient modes, penalties, initialisers, readers and
 * transformations take.
 *
 * A family holds the rows of one table (families.h) and the arguments of its rows.  The checker, the elaborator and the
 * runtime read values by it: a script's expressions and the texts of --set are refused with the same words. */
#ifndef DEQ_RUNTIME_ARGUMENTS_H
#define DEQ_RUNTIME_ARGUMENTS_H
#include "call.h"
#include "error.h"
#include <stdbool.h>
#include <stddef.h>

typedef enum deq_argument_type {
    DEQ_NUMBER, /* double */
    DEQ_WHOLE,  /* int */
    DEQ_FLAG,   /* bool: false, true */
    DEQ_WORD,   /* int: place of one of the words */
    DEQ_STATES, /* deq_range: 3 or 1..9 */
    DEQ_TEXT,   /* a script's string: not part of a record */
    DEQ_NESTED  /* a chain of solvers: read and printed by settings.c */
} deq_argument_type;

typedef struct deq_argument {
    const char *owner; /* id of the row it belongs to; NULL: of every row of its family */
    const char *name;
    deq_argument_type type;
    size_t offset;              /* of its member in the record */
    double fallback, low, high; /* NUMBER, WHOLE; FLAG and WORD: the place of the default.  NAN: it must be given */
    const char *words;          /* WORD: "first|second" */
    int first, limit;           /* STATES: the default, half open */
    bool required;              /* TEXT */
    int uses;                   /* 0, or those of its row's uses that it serves */
    bool rare;                  /* NUMBER, WHOLE: names for people leave it out at its default */
    const char *doc;
} deq_argument;

typedef struct deq_row {
    const char *id, *name; /* as in C, and as spelled in a script */
    int uses;              /* bits of its family's own; 0 in families without */
} deq_row;

typedef struct deq_family {
    const char *what;  /* "a solver" */
    const char *plain; /* "()" or "(..)": what follows a name in a suggestion */
    const char *list;  /* "solvers: " */
    const char *more;  /* ends the list */
    const deq_row *rows;
    int nrows;
    const deq_argument *arguments;
    int narguments;
    bool unnamed; /* the first argument of a row may stand without its name, whatever its type */
} deq_family;

/* What is wrong, in one sentence, and what to write instead ("" when there is nothing to say). */
typedef struct deq_complaint {
    char text[400], help[800];
} deq_complaint;

/* ---- looking up ---- */
const deq_row *deq_row_find(const deq_family *f, deq_part name);
/* The i-th argument of the row that serves one of `uses` (0: whatever its use), or NULL.  Without a row: of the family,
 * names may then repeat. */
const deq_argument *deq_argument_at(const deq_family *f, const deq_row *row, int uses, int i);
const deq_argument *deq_argument_find(const deq_family *f, const deq_row *row, deq_part name);
/* An argument of any of the rows, with the widest of their ranges.  False when no row has it. */
bool deq_argument_widest(const deq_family *f, int uses, deq_part name, deq_argument *out);
deq_part deq_word_at(const char *words, int i); /* "a|b"; empty when there are fewer */
int deq_word_find(const char *words, deq_part word);

/* The argument that is the `place`-th of a call: by its name, else (the first) by its place where its row allows that;
 * empty when neither. */
deq_part deq_argument_named(const deq_family *f, const deq_row *row, deq_part given, int place);

/* ---- what is wrong with a name or a value; true when it is good, else *why says it ---- */
bool deq_row_known(const deq_family *f, deq_part name, int uses, deq_complaint *why);
/* `name` empty: an argument given by position. */
bool deq_argument_known(const deq_family *f, const deq_row *row, int uses, deq_part name, deq_complaint *why);
/* `what` names the value: "tol' of 'anderson" (the quotes around it are added). */
bool deq_number_fits(const deq_argument *a, const char *what, double value, deq_complaint *why);
bool deq_word_fits(const char *words, const char *what, deq_part value, int *place, deq_complaint *why);
bool deq_states_fit(const char *what, double first, double limit, deq_complaint *why);
/* Records it, DEQ_SETTING; always false. */
bool deq_complain(deq_error *e, const deq_complaint *why);

/* ---- records ---- */
void deq_arguments_default(const deq_family *f, const deq_row *row, void *record);
/* The record of NAME(argument: value, ..), or of a NAME without arguments; the rest of it zero.  *row: which it is. */
bool deq_record_parse(const deq_family *f, const char *text, void *record, size_t size, const deq_row **row,
                      deq_error *e);
/* And back: with all arguments, without brackets where there are none. */
size_t deq_record_print(const deq_family *f, const deq_row *row, const void *record, char *out, size_t size);
/* One argument from its text. */
bool deq_argument_set(const deq_argument *a, const deq_row *row, deq_part value, void *record, deq_error *e);
/* The same by name, which must be one of the row's. */
bool deq_arguments_set(const deq_family *f, const deq_row *row, int uses, deq_part name, deq_part value, void *record,
                       deq_error *e);
/* "(tol: 0.0001, max: 40)", every argument that serves `uses`; "()" when there are none.  `brief`, for names that people
 * read: without the words, flags and rare numbers that are at their defaults. */
size_t deq_arguments_print(const deq_family *f, const deq_row *row, int uses, bool brief, const void *record, char *out,
                           size_t size);
/* The shortest text from six digits on that reads back as the same number. */
void deq_number_print(double value, char *out, size_t size);
#endif
