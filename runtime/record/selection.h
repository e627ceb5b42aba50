/* selection.h - which records are meant: comparisons of fields with numbers, all of which hold ("metric=0,steps>20"). */
#ifndef DEQ_RUNTIME_SELECTION_H
#define DEQ_RUNTIME_SELECTION_H
#include "error.h"
#include "record.h"
#include <stdbool.h>

typedef enum deq_comparison { DEQ_IS, DEQ_IS_NOT, DEQ_BELOW, DEQ_AT_MOST, DEQ_ABOVE, DEQ_AT_LEAST } deq_comparison;

typedef struct deq_condition {
    const deq_record_field *field;
    deq_comparison comparison;
    double value; /* NaN: `metric=nan` holds where nothing was measured */
} deq_condition;

#define DEQ_MOST_CONDITIONS 32
typedef struct deq_selection {
    deq_condition conditions[DEQ_MOST_CONDITIONS];
    int n; /* 0: every record */
} deq_selection;

/* FIELD OP NUMBER, joined by commas; OP: = != < <= > >=.  NULL or an empty text: every record.  DEQ_SETTING names what
 * is not understood, with the field that may have been meant. */
bool deq_selection_parse(const char *text, deq_selection *out, deq_error *e);
bool deq_selected(const deq_selection *s, const deq_record *r);
#endif
