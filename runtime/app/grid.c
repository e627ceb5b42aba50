/* grid.c - a picture for each attack: input, attacked input, ten times the difference; drawn by gnuplot (plot.h) from the
 * bytes of red, green and blue that are left beside it. */
#define _GNU_SOURCE
#include "adversarial.h"
#include "output.h"
#include "plot.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_COLUMNS = 8, ROWS = 3, MOST_SIDE = 512, SIDE = 110 /* of an image in the picture, in its pixels */ };
#define SUFFIX "-attacked"

/* Up to eight examples: those that are wrong under the attack first, each kind in the order of the data. */
static int choose(const deq_evaluation *v, deq_record *out) {
    int n = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int64_t i = 0; i < v->examples && n < MOST_COLUMNS; i++)
            if (deq_record_wrong(&v->records[i]) == (pass == 0)) out[n++] = v->records[i];
    return n;
}

/* Value in 0 .. 1 of what stands in a row of the grid. */
static double shown(const deq_adversarial *a, int row, int64_t example, int64_t element) {
    const double clean = deq_adversarial_value(a, a->clean, example, element);
    const double attacked = deq_adversarial_value(a, a->attacked, example, element);
    return row == 0 ? clean : row == 1 ? attacked : 0.5 + 10 * (attacked - clean);
}

/* Pixels of the grid, in those of the inputs. */
typedef struct Grid {
    deq_planes planes;
    int64_t gap, width, height;
    uint8_t *colours; /* red, green and blue of a pixel, row by row */
} Grid;

static Grid grid_of(deq_planes planes, int n) {
    const int64_t side = planes.height > planes.width ? planes.height : planes.width, gap = side / 24 + 1;
    return (Grid){planes, gap, gap + n * (planes.width + gap), gap + ROWS * (planes.height + gap), NULL};
}

/* Where an input begins. */
static int64_t left(const Grid *g, int64_t column) { return g->gap + column * (g->planes.width + g->gap); }
static int64_t top(const Grid *g, int64_t row) { return g->gap + row * (g->planes.height + g->gap); }

static void fill(const Grid *g, const deq_adversarial *a, int row, int64_t column) {
    const deq_planes *p = &g->planes;
    for (int64_t y = 0; y < p->height; y++)
        for (int64_t x = 0; x < p->width; x++)
            for (int c = 0; c < 3; c++) {
                const int64_t at = ((p->count == 3 ? c : 0) * p->height + y) * p->width + x;
                const double v = fmin(fmax(shown(a, row, column, at), 0), 1);
                g->colours[((top(g, row) + y) * g->width + left(g, column) + x) * 3 + c] = (uint8_t)lrint(255 * v);
            }
}

static bool write_colours(Grid *g, const deq_adversarial *a, const char *path, deq_error *e) {
    const size_t size = (size_t)(g->width * g->height * 3);
    g->colours = malloc(size);
    if (!g->colours) return deq_fail(e, DEQ_MEMORY, "out of memory for the picture %s", path);
    memset(g->colours, 255, size);
    for (int row = 0; row < ROWS; row++)
        for (int64_t i = 0; i < a->n; i++) fill(g, a, row, i);
    const bool ok = deq_output_write(path, (const char *)g->colours, size, e);
    free(g->colours);
    return ok;
}

/* The key of the evaluation stands in the script: it decides the colours. */
static void write_script(FILE *f, const Grid *g, const deq_value_spec *v, const deq_evaluation *of, const char *stem,
                         const deq_record *records, int n) {
    char size[64], *what = NULL;
    const double scale = (double)SIDE / (double)g->planes.width;
    const char *under = of->attacked ? of->attacked : "an attack";
    snprintf(size, sizeof size, "%.0f,%.0f", 110 + scale * (double)g->width, 90 + scale * (double)g->height);
    if (asprintf(&what, "%s under %s, journal %s", v->name, under, of->key) < 0) what = NULL;
    deq_plot_begin(f, what ? what : v->name, stem, SUFFIX, size, 9);
    free(what);
    fprintf(f, "unset border\nunset grid\nunset key\nunset xtics\nset size ratio -1\nset bmargin 4\n");
    fprintf(f, "set title \"%s under %s\" noenhanced\n", v->name, under);
    fprintf(f, "set xrange [-0.5:%lld.5]\nset yrange [%lld.5:-0.5]\n", (long long)g->width - 1,
            (long long)g->height - 1);
    static const char *const rows[ROWS] = {"input", "attacked", "10 x change"};
    for (int row = 0; row < ROWS; row++)
        fprintf(f, "%s'%s' %g", row ? ", " : "set ytics scale 0 (", rows[row],
                (double)top(g, row) + 0.5 * (double)g->planes.height);
    fprintf(f, ")\n");
    for (int i = 0; i < n; i++)
        fprintf(f, "set label %d \"%lld:\\n%d as %d\" at %g,%lld center offset 0,-0.9\n", i + 1,
                (long long)records[i].id, records[i].label, records[i].prediction,
                (double)left(g, i) + 0.5 * (double)g->planes.width, (long long)g->height);
    fprintf(f, "plot '%s" SUFFIX ".rgb' binary array=(%lld,%lld) format='%%uchar' using 1:2:3 with rgbimage\n", stem,
            (long long)g->width, (long long)g->height);
}

bool deq_app_grid(deq_app *app, const deq_model *model, const deq_value_spec *v, const deq_evaluation *of,
                  const char *stem, deq_error *e) {
    const deq_planes planes = deq_planes_of(&model->spec->net->input);
    deq_record records[MOST_COLUMNS];
    const int n = choose(of, records);
    if (!planes.count || !n || planes.height > MOST_SIDE || planes.width > MOST_SIDE) return true;
    Grid g = grid_of(planes, n);
    char *path = deq_app_file(app, stem, SUFFIX ".rgb"), *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    bool ok = (path && f) || deq_fail(e, DEQ_MEMORY, "out of memory for a picture");
    if (ok) write_script(f, &g, v, of, stem, records, n);
    if (f) fclose(f);
    deq_adversarial a = {0};
    if (ok && !deq_plot_current(app, stem, SUFFIX, text, size))
        ok = deq_adversarial_read(app, model, v, records, n, &a, e) && write_colours(&g, &a, path, e) &&
             deq_plot_draw(app, stem, SUFFIX, text, size, false, e);
    deq_adversarial_free(&a);
    free(path);
    free(text);
    return ok;
}
