/* grid.c - a picture for each attack: input, attacked input, ten times the difference. */
#include "adversarial.h"
#include "png.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_COLUMNS = 8, ROWS = 3, GAP = 4, LEAST_SIDE = 80, MOST_SIDE = 512 };

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

typedef struct Grid {
    deq_picture picture;
    deq_planes planes;
    int64_t scale; /* pixels of the picture for one of an input */
} Grid;

static void draw(const Grid *g, const deq_adversarial *a, int row, int64_t column) {
    const deq_planes *p = &g->planes;
    const deq_picture *to = &g->picture;
    const int64_t height = p->height * g->scale, width = p->width * g->scale;
    const int64_t top = GAP + row * (height + GAP), left = GAP + column * (width + GAP);
    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width; x++)
            for (int c = 0; c < p->count; c++) {
                const int64_t at = (c * p->height + y / g->scale) * p->width + x / g->scale;
                const double v = fmin(fmax(shown(a, row, column, at), 0), 1);
                to->pixels[((top + y) * to->width + left + x) * p->count + c] = (uint8_t)lrint(255 * v);
            }
}

static bool write_grid(const deq_adversarial *a, deq_planes planes, const char *path, const char *about, deq_error *e) {
    const int64_t side = planes.height > planes.width ? planes.height : planes.width;
    Grid g = {.planes = planes, .scale = (LEAST_SIDE + side - 1) / side};
    g.picture = (deq_picture){.width = GAP + a->n * (planes.width * g.scale + GAP),
                              .height = GAP + ROWS * (planes.height * g.scale + GAP),
                              .channels = planes.count};
    const size_t size = (size_t)(g.picture.width * g.picture.height * planes.count);
    g.picture.pixels = malloc(size);
    if (!g.picture.pixels) return deq_fail(e, DEQ_MEMORY, "out of memory for the picture %s", path);
    memset(g.picture.pixels, 255, size);
    for (int row = 0; row < ROWS; row++)
        for (int64_t i = 0; i < a->n; i++) draw(&g, a, row, i);
    const bool ok = deq_png_write(path, &g.picture, about, e);
    free(g.picture.pixels);
    return ok;
}

/* What the picture shows: of which evaluation, and each example with its label and prediction. */
static char *description(const deq_value_spec *v, const deq_evaluation *of, const deq_record *records, int n) {
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f) return NULL;
    fprintf(f, "%s under %s; rows: input, attacked input, ten times the difference on grey; examples", v->name,
            of->attacked ? of->attacked : "an attack");
    for (int i = 0; i < n; i++)
        fprintf(f, "%s %lld (label %d, attacked %d)", i ? "," : "", (long long)records[i].id, records[i].label,
                records[i].prediction);
    fprintf(f, "; journal %s; made by deq %s", of->key, DEQ_VERSION);
    fclose(f);
    return text;
}

bool deq_app_grid(deq_app *app, const deq_model *model, const deq_value_spec *v, const deq_evaluation *of,
                  const char *stem, deq_error *e) {
    const deq_planes planes = deq_planes_of(&model->spec->net->input);
    deq_record records[MOST_COLUMNS];
    const int n = choose(of, records);
    if (!planes.count || !n || planes.height > MOST_SIDE || planes.width > MOST_SIDE) return true;
    char *path = deq_app_file(app, stem, "-attacked.png"), *about = description(v, of, records, n);
    deq_adversarial a = {0};
    bool ok = (path && about) || deq_fail(e, DEQ_MEMORY, "out of memory for a picture");
    if (ok && !deq_png_is(path, about))
        ok = deq_adversarial_read(app, model, v, records, n, &a, e) && write_grid(&a, planes, path, about, e);
    deq_adversarial_free(&a);
    free(path);
    free(about);
    return ok;
}
