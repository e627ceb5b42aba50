/* figure_plot.c - lines, bars and points of a figure as a script for gnuplot, which holds its data.
 *
 * The colours are those of Okabe and Ito, which people who confuse red and green tell apart; dashes and signs differ too.
 * All lengths are points (1/72 inch) of a column of a paper, 3.5 inches wide; a figure that needs more is larger.  The legend
 * stands below the plot, in as many rows as it needs. */
#define _GNU_SOURCE
#include "figure.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    WIDTH = 252,
    PLOT_HEIGHT = 140,
    SAMPLE = 20,
    KEY = SAMPLE + 14 /* beside a name of the legend */,
    DENSE = 14 /* more marks than this have signs at some */
};
#define LETTER 4.1 /* width of a letter of the ticks and the legend */
#define ROW 11.0   /* of the legend */
#define SLOPE 35   /* of names that do not fit side by side, in degrees */
#define DPI 300

static const char *const colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"};
static const char *const dashes[] = {"solid", "(7,3)", "(2,2)", "(7,3,2,3)", "(12,3)"};
static const int signs[] = {7, 5, 9, 11, 13, 6, 4, 8, 10, 12};
#define PICK(list, k) ((list)[(size_t)(k) % (sizeof(list) / sizeof *(list))])

/* ---- texts ---- */
int deq_text_width(const char *text) {
    int n = 0;
    for (; *text; text++) n += (*text & 0xc0) != 0x80;
    return n;
}

void deq_plot_text(FILE *out, const char *text) {
    fputc('\'', out);
    for (; *text; text++) {
        if (*text == '\'') fputc('\'', out);
        fputc((unsigned char)*text < ' ' ? ' ' : *text, out);
    }
    fputc('\'', out);
}

/* Of families, what the sweep is called. */
void deq_figure_columns(FILE *out, const deq_figure_names *n) {
    for (int c = 0; c < n->ncolumns; c++) {
        const char *name = n->columns[c], *end = strrchr(name, '.');
        const bool part = end && (!strcmp(end, ".family") || !strcmp(end, ".member"));
        fprintf(out, "%s%.*s", c ? ", " : "", (int)(part ? (size_t)(end - name) : strlen(name)), name);
    }
}

void deq_figure_title(FILE *out, const deq_figure *f, bool x) {
    const deq_figure_spec *s = f->spec;
    if (x ? s->x_label != NULL : s->label != NULL)
        fputs(x ? s->x_label : s->label, out);
    else if (x && s->x.value < 0)
        deq_figure_columns(out, &f->points);
    else if (x)
        fputs(s->x.title, out);
    else if (s->nvalues == 1)
        fputs(s->values[0].title, out);
    const bool percent = x ? s->x.value >= 0 && s->x.percent : deq_figure_percent(f);
    if (percent) fputs(!x && !s->label && s->nvalues > 1 ? "%" : " (%)", out);
}

static char *title_of(const deq_figure *f, bool x) {
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out) return NULL;
    deq_figure_title(out, f, x);
    fclose(out);
    return text;
}

/* ---- series ---- */
typedef struct Series {
    int value, line, count; /* marks that there are */
    char *title;
} Series;

typedef struct Plot {
    const deq_figure *f;
    Series *series;
    int n, longest; /* letters of the longest title */
    bool places;    /* the x axis has names of places, no numbers */
    deq_figure_scale x, y;
    deq_canvas canvas;
    int key_columns, key_rows;
    bool sloped;
    double y_title; /* where it stands */
    int *places_at; /* of a place, its number among those that exist */
    int nplaces;
} Plot;

static char *series_title(const deq_figure *f, int value, int line) {
    const char *of = f->spec->values[value].title, *under = f->lines.labels[line];
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out) return NULL;
    if (!f->lines.ncolumns)
        fputs(of, out);
    else if (f->spec->nvalues == 1)
        fputs(under, out);
    else
        fprintf(out, "%s (%s)", of, under);
    fclose(out);
    return text;
}

static bool find_series(Plot *p) {
    const deq_figure *f = p->f;
    p->series = calloc((size_t)(f->spec->nvalues * f->lines.n) + 1, sizeof *p->series);
    for (int line = 0; p->series && line < f->lines.n; line++)
        for (int v = 0; v < f->spec->nvalues; v++) {
            int count = 0;
            for (int k = 0; k < f->points.n; k++) count += isfinite(deq_figure_mark(f, v, line, k)->value);
            if (f->lines.absent[line] || !count) continue;
            Series *s = &p->series[p->n++];
            *s = (Series){v, line, count, series_title(f, v, line)};
            if (!s->title) return false;
            if (deq_text_width(s->title) > p->longest) p->longest = deq_text_width(s->title);
        }
    return p->series;
}

/* ---- axes ---- */
static bool find_scales(Plot *p) {
    const deq_figure *f = p->f;
    const deq_figure_spec *s = f->spec;
    p->places = s->x.value < 0;
    p->x = deq_scale_begin(s->x.percent, s->x_logarithmic);
    p->y = deq_scale_begin(deq_figure_percent(f), s->logarithmic);
    for (int i = 0; i < p->n; i++)
        for (int k = 0; k < f->points.n; k++) {
            const deq_mark *x = deq_figure_x(f, p->series[i].line, k),
                           *y = deq_figure_mark(f, p->series[i].value, p->series[i].line, k);
            if (!isfinite(x->value) || !isfinite(y->value)) continue;
            deq_scale_take(&p->x, x->value);
            if (s->kind == DEQ_FIGURE_scatter) deq_scale_take(&p->x, x->low), deq_scale_take(&p->x, x->high);
            deq_scale_take(&p->y, y->value);
            deq_scale_take(&p->y, y->low);
            deq_scale_take(&p->y, y->high);
        }
    deq_scale_end(&p->x, DEQ_ZERO_FREE);
    if (deq_figure_of_sweep(f)) {
        double *values = malloc((size_t)(f->lines.n * f->points.n + 1) * sizeof *values);
        if (!values) return false;
        for (int k = 0; k < f->lines.n * f->points.n; k++) values[k] = f->x[k].value;
        deq_scale_ticks(&p->x, values, f->lines.n * f->points.n);
        free(values);
    }
    deq_scale_end(&p->y, s->kind == DEQ_FIGURE_bars ? DEQ_ZERO_SHOWN : DEQ_ZERO_KEPT);
    return true;
}

/* Width of a column of the legend, which is filled from top to bottom. */
static double key_width(const Plot *p, int column) {
    int longest = 0;
    for (int i = column * p->key_rows; i < (column + 1) * p->key_rows && i < p->n; i++)
        if (deq_text_width(p->series[i].title) > longest) longest = deq_text_width(p->series[i].title);
    return LETTER * longest + KEY;
}

static double all_key_width(const Plot *p) {
    double sum = 0;
    for (int k = 0; k < p->key_columns; k++) sum += key_width(p, k);
    return sum;
}

/* As few rows as fit the width. */
static void find_key(Plot *p) {
    p->key_rows = 0;
    for (p->key_columns = p->n; p->n > 1 && p->key_columns > 0; p->key_columns--) {
        p->key_rows = (p->n + p->key_columns - 1) / p->key_columns;
        p->key_columns = (p->n + p->key_rows - 1) / p->key_rows; /* none is empty */
        if (p->key_columns == 1 || all_key_width(p) <= p->canvas.width - 8) return;
    }
}

/* Room for everything that stands around the plot. */
static void find_canvas(Plot *p) {
    const deq_figure *f = p->f;
    deq_canvas *c = &p->canvas;
    const double bar = f->spec->kind == DEQ_FIGURE_bars ? 5.0 * p->n + 6 : 14;
    const int n = p->nplaces;
    *c = (deq_canvas){.left = 24 + LETTER * deq_scale_width(&p->y), .right = 8, .top = 8, .bottom = 30};
    double inner = WIDTH - c->left - c->right;
    if (p->places && inner < n * bar) inner = n * bar;
    if (p->n > 1 && inner < LETTER * p->longest + KEY) inner = LETTER * p->longest + KEY;
    if (p->places) {
        const double text = LETTER * deq_names_longest(&f->points), slope = SLOPE * M_PI / 180;
        p->sloped = text > 0.95 * inner / n;
        if (p->sloped) {
            const double out = text * cos(slope) - 0.5 * inner / n;
            c->bottom = 24 + 0.92 * text * sin(slope);
            if (out > c->left - 6) c->left = out + 6;
        }
    }
    p->y_title = c->left - 14 - LETTER * deq_scale_width(&p->y);
    c->width = c->left + inner + c->right;
    find_key(p);
    c->bottom += ROW * p->key_rows;
    c->height = c->top + PLOT_HEIGHT + c->bottom;
}

/* ---- the script ---- */
/* A text at a place of the canvas. */
static void put_text(FILE *out, const deq_canvas *c, const char *text, double x, double y, const char *how) {
    fputs("set label ", out);
    deq_plot_text(out, text);
    fprintf(out, " at screen %.5f,screen %.5f %s noenhanced\n", x / c->width, y / c->height, how);
}

void deq_figure_begin(FILE *out, const deq_figure *f, const char *stem, const deq_canvas *c) {
    const double w = c->width, h = c->height, scale = DPI / 72.0;
    char *doubt = NULL;
    size_t size;
    fprintf(out, "# ");
    deq_plot_text(out, f->spec->name);
    fprintf(
        out,
        "; drawn by: gnuplot %s.gp   (in this folder); others by: gnuplot -e \"format='pdf'\" %s.gp\n"
        "if (!exists('format')) format = 'png'\n"
        "if (!exists('output')) output = '%s.' . format\n"
        "if (format eq 'pdf') {\n"
        "  set terminal pdfcairo enhanced color size %.3fin,%.3fin font 'Helvetica,7.5' fontscale 0.75 linewidth 1 "
        "butt\n"
        "} else { if (format eq 'svg') {\n"
        "  set terminal svg enhanced size %.0f,%.0f font 'Helvetica,7.5' linewidth 1 butt background 'white'\n"
        "} else { if (strstrt(GPVAL_TERMINALS, 'pngcairo') > 0) {\n"
        "  set terminal pngcairo enhanced size %.0f,%.0f font 'Helvetica,7.5' fontscale %.3f linewidth %.3f pointscale "
        "%.3f butt background 'white'\n"
        "} else {\n"
        "  set terminal png enhanced size %.0f,%.0f\n"
        "} } }\n",
        stem, stem, stem, w / 72, h / 72, w, h, w * scale, h * scale, 0.75 * scale, scale, scale, w * scale, h * scale);
    fprintf(out,
            "set output output\n"
            "set encoding utf8\n"
            "set pointintervalbox 0.0001\n"
            "set border 3 lw 0.6 lc rgb '#444444'\n"
            "set tics nomirror out scale 0.5 textcolor rgb '#222222'\n"
            "set grid ytics lt 1 lw 0.4 lc rgb '#dddddd'\n"
            "set lmargin at screen %.5f\nset rmargin at screen %.5f\nset tmargin at screen %.5f\nset bmargin at screen "
            "%.5f\n",
            c->left / w, 1 - c->right / w, 1 - c->top / h, c->bottom / h);
    FILE *d = open_memstream(&doubt, &size);
    if (d) deq_figure_doubt(d, f), fclose(d);
    if (doubt && *doubt) put_text(out, c, doubt, w - 4, h - 4, "right font ',6' textcolor rgb '#d55e00'");
    free(doubt);
}

void deq_figure_title_at(FILE *out, const deq_canvas *c, const char *text, double x, double y, double room,
                         bool rotated) {
    const int letters = deq_text_width(text);
    const double size = fmin(8, fmax(6, 8 * room / (4.2 * letters))), fits = room / (0.525 * size);
    char how[96], *cut = NULL;
    snprintf(how, sizeof how, "center%s font ',%.1f' textcolor rgb '#222222'", rotated ? " rotate" : "", size);
    if (letters > fits + 1) { /* on letters, which may be several bytes each */
        const char *end = text;
        for (int n = 0; n < (int)fits - 1 && *end; n++) do
                end++;
            while ((*end & 0xc0) == 0x80);
        if (asprintf(&cut, "%.*s…", (int)(end - text), text) < 0) cut = NULL;
    }
    put_text(out, c, cut ? cut : text, x, y, how);
    free(cut);
}

static bool put_titles(FILE *out, const Plot *p) {
    const deq_canvas *c = &p->canvas;
    char *x = title_of(p->f, true), *y = title_of(p->f, false);
    if (x)
        deq_figure_title_at(out, c, x, 0.5 * (c->left + c->width - c->right), ROW * p->key_rows + 9, c->width, false);
    if (y) deq_figure_title_at(out, c, y, p->y_title, c->bottom + 0.5 * PLOT_HEIGHT, PLOT_HEIGHT + 2 * c->top, true);
    const bool ok = x && y;
    free(x);
    free(y);
    return ok;
}

static void put_places(FILE *out, const Plot *p) {
    const deq_figure *f = p->f;
    fprintf(out, "set xrange [-0.6:%.1f]\n", p->nplaces - 0.4);
    deq_names_ticks(out, &f->points, p->places_at, 'x', p->sloped ? SLOPE : 0);
}

static bool put_axes(FILE *out, const Plot *p) {
    if (p->places)
        put_places(out, p);
    else
        deq_scale_print(out, &p->x, "x");
    deq_scale_print(out, &p->y, "y");
    fputs("unset key\n", out);
    return put_titles(out, p);
}

/* Below the plot, written out: how a key is laid out depends on what gnuplot thinks of the letters of each format. */
static void put_legend(FILE *out, const Plot *p) {
    const deq_canvas *c = &p->canvas;
    const bool bars = p->f->spec->kind == DEQ_FIGURE_bars, points = p->f->spec->kind == DEQ_FIGURE_scatter;
    double left = 0.5 * (c->width - (p->n > 1 ? all_key_width(p) : 0)) + 4;
    for (int i = 0; p->n > 1 && i < p->n; i++) {
        if (i && i % p->key_rows == 0) left += key_width(p, i / p->key_rows - 1);
        const double x = left, y = ROW * (p->key_rows - i % p->key_rows) - 5;
        const double from = x / c->width, to = (x + SAMPLE) / c->width, at = y / c->height;
        if (bars)
            fprintf(out,
                    "set object rectangle from screen %.5f,screen %.5f to screen %.5f,screen %.5f fc rgb '%s' fs solid "
                    "0.85 noborder\n",
                    from, (y - 2.6) / c->height, to, (y + 2.6) / c->height, PICK(colours, i));
        else if (!points)
            fprintf(
                out,
                "set arrow from screen %.5f,screen %.5f to screen %.5f,screen %.5f nohead lc rgb '%s' lw 1.3 dt %s\n",
                from, at, to, at, PICK(colours, i), PICK(dashes, i));
        if (!bars)
            fprintf(out, "set label '' at screen %.5f,screen %.5f point pt %d ps 0.45 lc rgb '%s'\n", 0.5 * (from + to),
                    at, PICK(signs, i), PICK(colours, i));
        put_text(out, c, p->series[i].title, x + SAMPLE + 4, y, "left textcolor rgb '#222222'");
    }
}

static void put_number(FILE *out, double v) {
    if (isfinite(v))
        fprintf(out, " %.9g", v);
    else
        fputs(" NaN", out);
}

/* Where the mark stands: beside those of other series where places have names. */
static double beside(const Plot *p, int series) {
    const bool bars = p->f->spec->kind == DEQ_FIGURE_bars;
    const double step = bars ? 0.8 / p->n : fmin(0.12, 0.5 / p->n);
    return p->places ? (series - 0.5 * (p->n - 1)) * step : 0;
}

/* $s0: x, y, low, high of y, low, high of x. */
static void put_data(FILE *out, const Plot *p, int i) {
    const Series *s = &p->series[i];
    fprintf(out, "$s%d << EOD\n", i);
    for (int k = 0; k < p->f->points.n; k++) {
        const deq_mark *x = deq_figure_x(p->f, s->line, k), *y = deq_figure_mark(p->f, s->value, s->line, k);
        if (p->f->points.absent[k] || isnan(x->value)) continue;
        put_number(out, p->places ? p->places_at[k] + beside(p, i) : deq_scale_drawn(&p->x, x->value));
        const double of_y[] = {y->value, y->low, y->high}, of_x[] = {x->low, x->high};
        for (int j = 0; j < 3; j++) put_number(out, isfinite(of_y[j]) ? deq_scale_drawn(&p->y, of_y[j]) : NAN);
        for (int j = 0; j < 2; j++) put_number(out, isfinite(of_x[j]) ? deq_scale_drawn(&p->x, of_x[j]) : NAN);
        fputc('\n', out);
    }
    fputs("EOD\n", out);
}

static bool has_band(const Plot *p, const Series *s) {
    for (int k = 0; k < p->f->points.n; k++)
        if (isfinite(deq_figure_mark(p->f, s->value, s->line, k)->low)) return true;
    return false;
}

static void put_lines(FILE *out, const Plot *p) {
    const char *next = "plot ";
    for (int i = 0; i < p->n; i++) {
        if (!has_band(p, &p->series[i])) continue;
        if (p->places || p->series[i].count == 1)
            fprintf(out, "%s$s%d using 1:2:3:4 with yerrorbars lc rgb '%s' lw 0.8 pt 0 notitle", next, i,
                    PICK(colours, i));
        else
            fprintf(out, "%s$s%d using 1:3:4 with filledcurves fc rgb '%s' fs transparent solid 0.16 noborder notitle",
                    next, i, PICK(colours, i));
        next = ", \\\n     ";
    }
    for (int i = 0; i < p->n; i++) {
        fprintf(out, "%s$s%d using 1:2 with linespoints lc rgb '%s' lw 1.3 dt %s pt %d ps 0.45 pi %d", next, i,
                PICK(colours, i), PICK(dashes, i), PICK(signs, i), (p->series[i].count + DENSE - 1) / DENSE);
        next = ", \\\n     ";
    }
    fputc('\n', out);
}

static void put_bars(FILE *out, const Plot *p) {
    const char *next = "plot ";
    for (int i = 0; i < p->n; i++, next = ", \\\n     ") {
        fprintf(out, "%s$s%d using 1:2:(%.5f) with boxes fc rgb '%s' fs solid 0.85 border rgb '%s' lw 0.6", next, i,
                0.8 / p->n * 0.92, PICK(colours, i), PICK(colours, i));
    }
    for (int i = 0; i < p->n; i++)
        if (has_band(p, &p->series[i]))
            fprintf(out, "%s$s%d using 1:2:3:4 with yerrorbars lc rgb '#222222' lw 0.8 pt 0 notitle", next, i);
    fputc('\n', out);
}

static void put_points(FILE *out, const Plot *p) {
    const char *next = "plot ";
    bool x_band = false;
    for (int k = 0; k < p->f->lines.n * p->f->points.n; k++) x_band = x_band || isfinite(p->f->x[k].low);
    for (int i = 0; i < p->n; i++) {
        if (has_band(p, &p->series[i]))
            fprintf(out, "%s$s%d using 1:2:3:4 with yerrorbars lc rgb '%s' lw 0.5 pt 0 notitle", next, i,
                    PICK(colours, i)),
                next = ", \\\n     ";
        if (x_band)
            fprintf(out, "%s$s%d using 1:2:5:6 with xerrorbars lc rgb '%s' lw 0.5 pt 0 notitle", next, i,
                    PICK(colours, i)),
                next = ", \\\n     ";
    }
    for (int i = 0; i < p->n; i++, next = ", \\\n     ") {
        fprintf(out, "%s$s%d using 1:2 with points lc rgb '%s' pt %d ps 0.55", next, i, PICK(colours, i),
                PICK(signs, i));
    }
    fputc('\n', out);
}

/* Nothing was measured: an empty frame that says so. */
static void put_nothing(FILE *out) { fputs("unset key\n" DEQ_NO_VALUES "plot NaN notitle\n", out); }

static bool put_plot(FILE *out, Plot *p, const char *stem) {
    const deq_figure_kind kind = p->f->spec->kind;
    if (!find_scales(p)) return false;
    find_canvas(p);
    deq_figure_begin(out, p->f, stem, &p->canvas);
    if (!put_axes(out, p)) return false;
    put_legend(out, p);
    fputs("set errorbars 0.8\n", out);
    for (int i = 0; i < p->n; i++) put_data(out, p, i);
    if (!p->n)
        put_nothing(out);
    else if (kind == DEQ_FIGURE_bars)
        put_bars(out, p);
    else if (kind == DEQ_FIGURE_scatter)
        put_points(out, p);
    else
        put_lines(out, p);
    return true;
}

bool deq_figure_plot(FILE *out, const deq_figure *f, const char *stem) {
    if (f->spec->kind == DEQ_FIGURE_heat) return deq_figure_heat(out, f, stem);
    Plot p = {.f = f};
    p.places_at = deq_names_places(&f->points, &p.nplaces);
    const bool ok = p.places_at && find_series(&p) && put_plot(out, &p, stem);
    for (int i = 0; p.series && i < p.n; i++) free(p.series[i].title);
    free(p.series);
    free(p.places_at);
    return ok;
}
