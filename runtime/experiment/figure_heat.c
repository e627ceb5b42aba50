/* figure_heat.c - a heat map as a script for gnuplot: a rectangle for each cell with its number in it; those that do not exist
 * stay grey.  The colours are viridis, which grows lighter steadily, so that it can be read without colours too. */
#include "figure.h"
#include <math.h>
#include <stdlib.h>

#define LETTER 4.1
enum { WIDTH = 252, CELL = 30, CELL_MOST = 64, ROW = 17, ROW_MOST = 30, SLOPE = 35, BAR = 40 };

static const double viridis[][3] = {{68, 1, 84},    {71, 45, 123}, {59, 82, 139},  {44, 114, 142}, {33, 144, 140},
                                    {39, 173, 129}, {92, 200, 99}, {170, 220, 50}, {253, 231, 37}};
enum { STOPS = sizeof viridis / sizeof *viridis };

static double clamp(double v, double low, double high) { return v < low ? low : v > high ? high : v; }

/* How light the colour at a share of the palette is, 0 to 1. */
static double lightness(double share) {
    const double at = clamp(share, 0, 1) * (STOPS - 1);
    const int below = at >= STOPS - 1 ? STOPS - 2 : (int)at;
    double sum = 0;
    static const double weights[3] = {0.2126, 0.7152, 0.0722};
    for (int c = 0; c < 3; c++)
        sum += weights[c] * (viridis[below][c] + (at - below) * (viridis[below + 1][c] - viridis[below][c])) / 255;
    return sum;
}

static double share_of(const deq_figure_scale *s, double v) {
    const double drawn = deq_scale_drawn(s, v);
    return s->logarithmic ? log(drawn / s->low) / log(s->high / s->low) : (drawn - s->low) / (s->high - s->low);
}

static void put_palette(FILE *out) {
    fputs("set palette defined (", out);
    for (int k = 0; k < STOPS; k++)
        fprintf(out, "%s%d '#%02x%02x%02x'", k ? ", " : "", k, (int)viridis[k][0], (int)viridis[k][1],
                (int)viridis[k][2]);
    fputs(")\n", out);
}

typedef struct Cells {
    const deq_figure *f;
    int *column, *row, ncolumns, nrows; /* of a point, of a line */
    deq_figure_scale scale;
} Cells;

/* Short enough for a cell. */
static void number_text(const deq_figure_scale *s, double v, char out[32]) {
    const double size = fabs(v);
    if (s->percent)
        snprintf(out, 32, "%.1f", 100 * v);
    else if (size >= 1000 && size < 99999.5)
        snprintf(out, 32, "%.0f", v);
    else if (size != 0 && (size < 0.001 || size >= 1000))
        snprintf(out, 32, "%.0e", v);
    else
        snprintf(out, 32, "%.3g", v);
}

static void put_numbers(FILE *out, const Cells *c) {
    const deq_figure *f = c->f;
    for (int line = 0; line < f->lines.n; line++)
        for (int point = 0; point < f->points.n; point++) {
            const double v = deq_figure_mark(f, 0, line, point)->value;
            if (!isfinite(v)) continue;
            char text[32];
            number_text(&c->scale, v, text);
            fprintf(out, "set label '%s' at %d,%d center front font ',6.5' textcolor rgb '%s'\n", text,
                    c->column[point], c->row[line], lightness(share_of(&c->scale, v)) > 0.42 ? "#000000" : "#ffffff");
        }
}

static bool put_titles(FILE *out, const deq_figure *f, const deq_canvas *c, double y_title) {
    char *text[3] = {NULL};
    size_t size;
    bool ok = true;
    for (int k = 0; k < 3; k++) {
        FILE *t = open_memstream(&text[k], &size);
        if (!t) ok = false;
        if (!t) continue;
        if (k < 2) deq_figure_title(t, f, k == 0);
        if (k == 2) deq_figure_columns(t, &f->lines);
        fclose(t);
    }
    const double middle = 0.5 * (c->bottom + c->height - c->top);
    const double tall = 2 * fmin(middle, c->height - middle);
    if (text[0]) deq_figure_title_at(out, c, text[0], 0.5 * (c->left + c->width - c->right), 9, c->width, false);
    if (text[1]) deq_figure_title_at(out, c, text[1], c->width - 8, middle, tall, true);
    if (text[2]) deq_figure_title_at(out, c, text[2], y_title, middle, tall, true);
    for (int k = 0; k < 3; k++) free(text[k]);
    return ok;
}

static void put_cells(FILE *out, const Cells *c) {
    const deq_figure *f = c->f;
    fputs("$missing << EOD\n-9 -9\n", out);
    for (int line = 0; line < f->lines.n; line++)
        for (int point = 0; point < f->points.n; point++)
            if (!f->lines.absent[line] && !f->points.absent[point] &&
                !isfinite(deq_figure_mark(f, 0, line, point)->value))
                fprintf(out, "%d %d\n", c->column[point], c->row[line]);
    fputs("EOD\n$cells << EOD\n-9 -9 NaN\n", out);
    for (int line = 0; line < f->lines.n; line++)
        for (int point = 0; point < f->points.n; point++) {
            const double v = deq_figure_mark(f, 0, line, point)->value;
            if (isfinite(v))
                fprintf(out, "%d %d %.9g\n", c->column[point], c->row[line], deq_scale_drawn(&c->scale, v));
        }
    fputs("EOD\n"
          "plot $missing using 1:2:(0.49):(0.49) with boxxyerror fc rgb '#eeeeee' fs solid noborder notitle, \\\n"
          "     $cells using 1:2:(0.49):(0.49):3 with boxxyerror fc palette fs solid noborder notitle\n",
          out);
}

static bool put_heat(FILE *out, const Cells *cells, const char *stem) {
    const deq_figure *f = cells->f;
    const int columns = cells->ncolumns ? cells->ncolumns : 1,
              rows = cells->nrows ? cells->nrows : 1; /* of nothing: one */
    const double name = LETTER * deq_names_longest(&f->points), slope = SLOPE * M_PI / 180;
    deq_canvas c = {.left = LETTER * deq_names_longest(&f->lines) + 22,
                    .right = BAR + LETTER * deq_scale_width(&cells->scale),
                    .top = 8,
                    .bottom = 28};
    const double cell = clamp((WIDTH - c.left - c.right) / columns, CELL, CELL_MOST),
                 row = clamp(140.0 / rows, ROW, ROW_MOST),
                 y_title = c.left - LETTER * deq_names_longest(&f->lines) - 12,
                 out_left = name * cos(slope) - 0.5 * cell + 6;
    const bool sloped = name > 0.95 * cell;
    const double more = sloped && out_left > c.left ? out_left - c.left : 0;
    if (sloped) c.bottom = 22 + 0.92 * name * sin(slope);
    c.left += more;
    c.width = c.left + columns * cell + c.right;
    c.height = c.top + rows * row + c.bottom;
    deq_figure_begin(out, f, stem, &c);
    put_palette(out);
    deq_scale_print(out, &cells->scale, "cb");
    fprintf(out, "set xrange [-0.5:%.1f]\nset yrange [%.1f:-0.5]\nunset grid\nunset border\nunset key\n", columns - 0.5,
            rows - 0.5);
    deq_names_ticks(out, &f->points, cells->column, 'x', sloped ? SLOPE : 0);
    deq_names_ticks(out, &f->lines, cells->row, 'y', 0);
    if (!cells->ncolumns) fputs(DEQ_NO_VALUES, out);
    fprintf(out, "set colorbox user origin screen %.5f,screen %.5f size screen %.5f,screen %.5f noborder\n",
            1 - (c.right - 8) / c.width, c.bottom / c.height, 8 / c.width, rows * row / c.height);
    put_numbers(out, cells);
    if (!put_titles(out, f, &c, y_title + more)) return false;
    put_cells(out, cells);
    return true;
}

bool deq_figure_heat(FILE *out, const deq_figure *f, const char *stem) {
    Cells c = {.f = f, .scale = deq_scale_begin(f->spec->values[0].percent, f->spec->logarithmic)};
    for (int k = 0; k < f->lines.n * f->points.n; k++) deq_scale_take(&c.scale, f->marks[k].value);
    deq_scale_end(&c.scale, DEQ_ZERO_KEPT);
    c.column = deq_names_places(&f->points, &c.ncolumns);
    c.row = deq_names_places(&f->lines, &c.nrows);
    const bool ok = c.column && c.row && put_heat(out, &c, stem);
    free(c.column);
    free(c.row);
    return ok;
}
