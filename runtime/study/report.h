/* report.h - the parts of `deq report`.  Files: report.c, report_verdicts.c, report_figures.c. */
#ifndef DEQ_RUNTIME_REPORT_H
#define DEQ_RUNTIME_REPORT_H
#include "output.h"
#include "progress.h"
#include <jansson.h>
#include <stdio.h>

/* What the run recorded in `folder` of itself; NULL: nothing is there, or DEQ_REPORT says what is wrong with it. */
json_t *deq_report_run(const char *folder, deq_error *e);
/* That there is nothing, as DEQ_REPORT. */
bool deq_report_nothing(const char *folder, deq_error *e);
/* Of every table of a run's folder (NAME-table.json): a line for each accuracy under attack, with its verdict, the
 * reasons, and every check's number.  A table that is not as it was written is a failure. */
void deq_report_tables(deq_reporter *r, const char *folder, deq_error *e);
/* Likewise of every figure (NAME-figure.json): a line with its files, and how many of its accuracies are not reliable. */
void deq_report_figures(deq_reporter *r, const char *folder, deq_error *e);
#endif
