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
/* Likewise of every figure (NAME-figure.json): a line with its files, and below it its accuracies that are not reliable. */
void deq_report_figures(deq_reporter *r, const char *folder, deq_error *e);
/* The accuracies that stand in no table or figure (EXPERIMENT-verdicts.json), and the claims (claims.json) with what they
 * rest on. */
void deq_report_others(deq_reporter *r, const char *folder, deq_error *e);
void deq_report_claims(deq_reporter *r, const char *folder, deq_error *e);
/* Lines for the values of the cells that are masked or suspect, with their reasons and checks: the first ones, worst first. */
void deq_report_doubts(FILE *out, const json_t *cells, const char *indent);
#endif
