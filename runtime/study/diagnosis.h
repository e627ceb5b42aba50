/* diagnosis.h - how the fixed points of a trained net behave: what `deq report` says about the NAME-solves.json that
 * `deq run` leaves.  Implemented in report.c. */
#ifndef DEQ_RUNTIME_DIAGNOSIS_H
#define DEQ_RUNTIME_DIAGNOSIS_H
#include <jansson.h>
#include <stdio.h>

/* Where there is no sentence. */
#define DEQ_NO_PATHOLOGY "No pathology: every solve reached its tolerance, and plain iteration would converge.\n"

/* One row for each fixed point of `solves` (the content of NAME-solves.json), as a Markdown table. */
void deq_diagnosis_table(FILE *out, const json_t *solves);
/* What the log says of its epochs, as a table: at most twelve of them. */
void deq_diagnosis_epochs(FILE *out, const json_t *log);
/* The residual of the forward iteration in one line: `curve` as in NAME-residual.csv, row k after k iterations. */
void deq_diagnosis_curve(FILE *out, const json_t *curve);
/* A line for each pathology: "- body: 12% of ...".  `log`: rows of the training log (training_log.h) or NULL.  Returns how
 * many there were. */
int deq_diagnosis_sentences(FILE *out, const json_t *solves, const json_t *log);
#endif
