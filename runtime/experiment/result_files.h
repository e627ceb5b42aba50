/* result_files.h - the files of tables, figures, claims and verdicts in the folder of a run.
 *
 * What a script no longer has must not stay there beside what it has now: reports and cards would take it for current. */
#ifndef DEQ_RUNTIME_RESULT_FILES_H
#define DEQ_RUNTIME_RESULT_FILES_H
#include "app_state.h"
#include "output.h"

/* Files that belong together, written whole, all of them or none, and noted as this run's. */
bool deq_result_files_write(deq_app *app, const deq_output_text *list, int n, deq_error *e);
/* A cell of a Markdown table, in one line and without ending early: bars in it get a backslash. */
void deq_markdown_cell(FILE *out, const char *text);
/* needs: everything has been run.  Removes what earlier runs of the script wrote for tables, figures, claims and verdicts
 * that it no longer has, with the pictures; of a run of one experiment, those of this one.  What is not as deq wrote it is
 * left alone. */
void deq_result_files_forget(deq_app *app);
#endif
