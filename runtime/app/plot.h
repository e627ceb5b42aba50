/* plot.h - pictures by gnuplot: STEM + SUFFIX + ".gp" is written beside its data and drawn to ".png".  Without gnuplot
 * the script stays and a note is printed once.  Files: gnuplot.c; plot.c, which draws training runs. */
#ifndef DEQ_RUNTIME_PLOT_H
#define DEQ_RUNTIME_PLOT_H
#include "app_state.h"
#include <stdio.h>

/* Terminal, output and common style; `what` for the comment in the first line, size "820,560". */
void deq_plot_begin(FILE *out, const char *what, const char *stem, const char *suffix, const char *size, int font);
/* Whether the picture is there already, drawn by this script. */
bool deq_plot_current(const deq_app *app, const char *stem, const char *suffix, const char *text, size_t size);
/* With `same_data` (its data file cannot have changed) a picture whose script is the same stays. */
bool deq_plot_draw(deq_app *app, const char *stem, const char *suffix, const char *text, size_t size, bool same_data,
                   deq_error *e);
/* In other formats too: "png", "svg", "pdf".  The script reads the variables `format` and `output`.  *drawn: the pictures
 * are there. */
bool deq_plot_draw_as(deq_app *app, const char *stem, const char *suffix, const char *const *formats, int n,
                      const char *text, size_t size, bool same_data, bool *drawn, deq_error *e);
/* Whether the file has exactly this content. */
bool deq_file_holds(const char *path, const char *text, size_t size);
#endif
