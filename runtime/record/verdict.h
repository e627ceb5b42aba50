/* verdict.h - whether an accuracy under attack can be believed (verdict.def): from its records, and from those of an audit,
 * which attacks a sample of its examples again in other ways (reattacks.def).
 *
 * Reliable means that no check speaks against it.  It does not mean that no stronger attack exists. */
#ifndef DEQ_RUNTIME_VERDICT_H
#define DEQ_RUNTIME_VERDICT_H
#include "record.h"
#include <stdio.h>

/* After the first, the rows of verdicts.def in their order. */
typedef enum deq_verdict_level { DEQ_UNJUDGED, DEQ_RELIABLE, DEQ_SUSPECT, DEQ_MASKED } deq_verdict_level;

typedef enum deq_check {
#define CHECK(id, suspect, masked, scale, text, doc) DEQ_CHECK_##id,
#include "verdict.def"
#undef CHECK
    DEQ_CHECKS
} deq_check;

typedef enum deq_reattack {
#define REATTACK(id, doc) DEQ_REATTACK_##id,
#include "reattacks.def"
#undef REATTACK
    DEQ_REATTACKS
} deq_reattack;

#define DEQ_AUDIT_EXAMPLES 200 /* at most */

typedef struct deq_audit { /* of a sample of the examples of an evaluation, in one order */
    int64_t n;
    int64_t *rows;                    /* where they stand among the evaluation's records */
    deq_record *again[DEQ_REATTACKS]; /* NULL: not made, since it does not apply */
    int64_t made[DEQ_REATTACKS];      /* of the first so many only: on those it was not the stronger one; 0: of all */
    deq_record *clean;                /* not attacked, for `tighter`; NULL as well */
    bool same[DEQ_REATTACKS];         /* not made, since it would be the attack itself */
    int64_t classes;
} deq_audit;
void deq_audit_free(deq_audit *audit); /* NULL: none */

typedef struct deq_judged { /* an evaluation under an attack */
    const deq_record *records;
    const deq_record *clean; /* of the same examples in the same order, not attacked; NULL: not measured */
    int64_t n;
    int real_bits;          /* 32 or 64: where the loss is at its rounding floor */
    const deq_audit *audit; /* NULL: none was made */
    bool transferred;       /* the attack climbed the loss of another net, and not those of the records */
} deq_judged;

typedef struct deq_verdict {
    deq_verdict_level level;    /* the worst of its checks; DEQ_UNJUDGED: it is of no attack */
    double numbers[DEQ_CHECKS]; /* NaN: there was nothing to count */
    deq_verdict_level levels[DEQ_CHECKS];
    int64_t audited; /* examples of the audit's sample; 0: none was made */
} deq_verdict;

deq_verdict deq_judge(const deq_judged *of);
/* The number above which the check makes an evaluation suspect. */
double deq_check_suspect(deq_check check);
const char *deq_verdict_name(deq_verdict_level level); /* "masked" */
deq_verdict_level deq_verdict_named(const char *word); /* DEQ_UNJUDGED: it is none, or NULL */
/* The words of verdicts.def: at k, the name of level k + 1. */
extern const char *const *const deq_verdict_words;
const char *deq_check_name(deq_check check);
/* Its reasons: every check that is not reliable, "a; b". */
void deq_verdict_reasons(FILE *out, const deq_verdict *v);
/* "masked: a; b", "reliable"; free() it.  NULL: out of memory. */
char *deq_verdict_text(const deq_verdict *v);
/* Adds to the object: verdict, its name; reasons, of {check, level, number, text}; checks, all that had something to
 * count, of {check, level, number}; audited, the examples that were attacked again. */
void deq_verdict_members(const deq_verdict *v, json_t *out);
/* "zero_gradients 0, margin -0.012": every check that had something to count. */
void deq_verdict_numbers(FILE *out, const deq_verdict *v, const char *separator);
#endif
