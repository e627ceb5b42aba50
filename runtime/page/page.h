/* page.h - `deq report --html`: what a run left in its folder as one file that any browser opens, without a network.
 *
 * Needs: a folder of results as `deq run` writes them (seal.h).  Ensures: nothing that was damaged or changed is shown;
 * the page is written whole or not at all.  Files: page.c, card.c, page_markdown.c, page_figure.c, page_numbers.c, page_verdicts.c,
 * page_settings.c, page_html.c. */
#ifndef DEQ_RUNTIME_PAGE_H
#define DEQ_RUNTIME_PAGE_H
#include "error.h"
#include <jansson.h>
#include <stdio.h>

/* Writes the page of `folder` to `path`; NULL: report.html in the folder.  An exit code (app.h). */
int deq_app_page(const char *folder, const char *path, bool json);

/* The cards of the evaluations in `folder` (card.c) as one JSON array; NULL: cards.json in the folder.  An exit code.  Needs
 * the cache of the run as well: records stand in its journals. */
int deq_app_cards(const char *folder, const char *path, bool json);

/* ---- the parts of a page: each writes HTML ---- */

/* Text of any kind, with what has a meaning in HTML written so that it has none. */
void page_text(FILE *out, const char *text);
/* "0.512 [0.48, 0.54]"; what is not finite is left out. */
void page_number(FILE *out, double value, double low, double high);
/* A picture, held in the page itself; nothing when the file cannot be read. */
void page_picture(FILE *out, const char *path, const char *caption);
/* A drawing by gnuplot (SVG), likewise.  As an image nothing in it runs, and its names are its own. */
void page_drawing(FILE *out, const char *path, const char *alternative);
/* The numbers of a figure (figure.h) as a table, folded. */
void page_numbers(FILE *out, const json_t *figure);
/* The Markdown that deq writes: headings, paragraphs, lists, tables with their alignment. */
void page_markdown(FILE *out, const char *markdown);

typedef struct PageLine {
    const char *title, *column; /* column: key of the rows */
} PageLine;

typedef struct PageFigure {
    const char *caption, *x_title, *y_title;
    const char *x;          /* key of the rows */
    const char *low, *high; /* keys of a band, or NULL */
    PageLine lines[4];      /* up to the first without a title */
    bool logarithmic;       /* the y axis; what is not above 0 is left out */
} PageFigure;

/* Lines over the rows, an array of objects.  Lines without a number are left out; nothing is drawn without lines. */
void page_figure(FILE *out, const PageFigure *figure, const json_t *rows);

/* The accuracies under attack among the cells of a table (table.h), the points of a figure, or others (verdicts.h):
 * verdict, reasons, and every check with its number. */
void page_verdicts(FILE *out, const json_t *cells);
/* Any JSON as a list of names and values. */
void page_settings(FILE *out, const json_t *value);
#endif
