/* verdict.h - whether an accuracy under attack can be believed, from its records alone (verdict.def).
 *
 * Reliable means that no check speaks against it.  It does not mean that no stronger attack exists: checks that attack a
 * sample again are not made here. */
#ifndef DEQ_RUNTIME_VERDICT_H
#define DEQ_RUNTIME_VERDICT_H
#include "record.h"
#include <stdio.h>

typedef enum deq_verdict_level { DEQ_UNJUDGED, DEQ_RELIABLE, DEQ_SUSPECT, DEQ_MASKED } deq_verdict_level;

typedef enum deq_check {
#define CHECK(id, suspect, masked, scale, text, doc) DEQ_CHECK_##id,
#include "verdict.def"
#undef CHECK
    DEQ_CHECKS
} deq_check;

typedef struct deq_judged { /* an evaluation under an attack */
    const deq_record *records;
    const deq_record *clean; /* of the same examples in the same order, not attacked; NULL: not measured */
    int64_t n;
    int real_bits; /* 32 or 64: where the loss is at its rounding floor */
} deq_judged;

typedef struct deq_verdict {
    deq_verdict_level level;    /* the worst of its checks; DEQ_UNJUDGED: it is of no attack */
    double numbers[DEQ_CHECKS]; /* NaN: there was nothing to count */
} deq_verdict;

deq_verdict deq_judge(const deq_judged *of);
const char *deq_verdict_name(deq_verdict_level level); /* "masked" */
const char *deq_check_name(deq_check check);
deq_verdict_level deq_check_level(const deq_verdict *v, deq_check check);
/* Its reasons: every check that is not reliable, "a; b". */
void deq_verdict_reasons(FILE *out, const deq_verdict *v);
/* "masked: a; b", "reliable"; free() it.  NULL: out of memory. */
char *deq_verdict_text(const deq_verdict *v);
json_t *deq_verdict_json(const deq_verdict *v); /* its reasons: an array of {check, level, number, text} */
#endif
