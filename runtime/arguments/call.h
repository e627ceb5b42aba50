/* call.h - reads texts of the form NAME(argument: value, ...), in which settings and initialisers are written.
 *
 * A value is a number, a word, or such a text again.  Nothing is copied: parts point into the text. */
#ifndef DEQ_RUNTIME_CALL_H
#define DEQ_RUNTIME_CALL_H
#include "error.h"
#include <stddef.h>

#define DEQ_CALL_ARGUMENTS 16

typedef struct deq_part { /* a piece of the text */
    const char *text;
    size_t length;
} deq_part;

typedef struct deq_call {
    deq_part name;
    int count;
    struct {
        deq_part name; /* empty: positional */
        deq_part value;
    } arguments[DEQ_CALL_ARGUMENTS];
} deq_call;

typedef struct deq_range { /* of solver states: z_first .. z_(limit - 1) */
    int first, limit;
} deq_range;

/* "3", which is 3..4, or "1..9", half open: two numbers.  And back. */
bool deq_range_read(deq_part value, double *first, double *limit);
void deq_range_print(const deq_range *r, char *out, size_t size);
/* Reads the whole text; parentheses may be absent when there are no arguments.  Fails with DEQ_SETTING. */
bool deq_call_parse(deq_part text, deq_call *out, deq_error *e);
deq_part deq_part_of(const char *text);
bool deq_part_is(deq_part part, const char *word);
/* Reads a finite number that fills the part. */
bool deq_part_number(deq_part part, double *out);
#endif
