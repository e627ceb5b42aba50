/* diagnose.h - how the fixed points of a trained net behave: what `deq run` leaves as NAME-solves.json, and what
 * `deq report` says about it. */
#ifndef DEQ_RUNTIME_DIAGNOSE_H
#define DEQ_RUNTIME_DIAGNOSE_H
#include <jansson.h>
#include <stdio.h>

/* One row for each fixed point of `solves` (the content of NAME-solves.json), as a Markdown table. */
void deq_diagnosis_table(FILE *out, const json_t *solves);
/* A line for each pathology: "- body: 12% of ...".  `log`: rows of the training log (journal.h) or NULL.  Returns how
 * many there were. */
int deq_diagnosis_sentences(FILE *out, const json_t *solves, const json_t *log);
#endif
