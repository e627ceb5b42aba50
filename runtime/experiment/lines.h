/* lines.h - a table of an experiment, from its arrays to files. */
#ifndef DEQ_RUNTIME_LINES_H
#define DEQ_RUNTIME_LINES_H
#include "arrays.h"

/* needs: every cell of its columns has been made.  Writes NAME.md, .csv and -table.json. */
bool deq_lines_write(deq_arrays *g, const deq_table_spec *t, deq_error *e);
#endif
