/* plot.c - pictures of a training run, drawn by gnuplot from a script and CSV data left beside them. */
#define _GNU_SOURCE
#include "app_state.h"
#include "output.h"
#include "plot.h"
#include "seal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool measured(const json_t *rows, const char *column) {
    for (size_t i = 0; i < json_array_size(rows); i++)
        if (json_is_number(json_object_get(json_array_get(rows, i), column))) return true;
    return false;
}

/* "plot" clauses of those columns that were measured. */
typedef struct Series {
    const char *column, *title, *scale;
    int style;
    const char *member; /* of the rows; NULL: called as the column is */
} Series;

static bool put_panel(FILE *f, const char *data, const json_t *rows, const char *title, const char *ylabel,
                      const Series *series, int n) {
    bool first = true;
    for (int i = 0; i < n; i++) {
        if (!measured(rows, series[i].member ? series[i].member : series[i].column)) continue;
        if (first) fprintf(f, "\nset title '%s'\nset ylabel '%s'\nplot ", title, ylabel);
        fprintf(f, "%s'%s' using (column('epoch')):(%s(column('%s'))) with linespoints ls %d title '%s'",
                first ? "" : ", \\\n     ", data, series[i].scale, series[i].column, series[i].style, series[i].title);
        first = false;
    }
    if (!first) fputc('\n', f);
    return !first;
}

static bool plot_training(deq_app *app, const deq_model *model, bool same_log, deq_error *e) {
    const char *own = model->spec->attack || model->spec->replay.kind ? "training, attacked" : "training";
    const Series loss[] = {{"loss", own, "", 1, NULL},
                           {"validation_loss", "validation, clean", "", 2, NULL},
                           {"robust_loss", "validation, attacked", "", 3, NULL}};
    const bool share = deq_train_share(model->spec);
    const char *metric = deq_log_title(model->spec->metric.name), *scale = share ? "100*" : "";
    const Series metrics[] = {{metric, own, scale, 1, "metric"},
                              {"clean", "validation, clean", scale, 2, NULL},
                              {"robust", "validation, attacked", scale, 3, NULL}};
    char axis[120];
    snprintf(axis, sizeof axis, "%s%s", metric, share ? " (%)" : "");
    static const Series radius[] = {{"radius", "median example", "", 1, NULL},
                                    {"radius_most", "worst example", "", 2, NULL}};
    static const Series steps[] = {{"steps", "forward", "", 1, NULL}, {"adjoint_steps", "adjoint", "", 2, NULL}};
    const json_t *rows = model->log;
    if (!json_array_size(rows)) return true;
    char *text = NULL, data[300];
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f) return deq_fail(e, DEQ_MEMORY, "out of memory for a picture");
    snprintf(data, sizeof data, "%s-log.csv", model->stem);
    int panels = (measured(rows, "loss") || measured(rows, "validation_loss")) +
                 (measured(rows, "metric") || measured(rows, "clean") || measured(rows, "robust")) +
                 (measured(rows, "steps") || measured(rows, "adjoint_steps")) + measured(rows, "radius");
    static const char *const sizes[] = {"", "700,480", "1200,480", "1650,500", "2100,500"};
    size_t epochs = json_array_size(rows);
    if (panels) {
        deq_plot_begin(f, model->key, model->stem, "-training", sizes[panels], 11);
        fprintf(f,
                "set xlabel 'epoch'\nset xrange [%g:%zu%s]\nset offsets 0, 0, graph 0.06, graph 0.02\n"
                "set multiplot layout 1,%d margins char 9, char 2, char 4, char %d spacing char 10, char 0%s%s%s\n",
                epochs > 30 ? 0.0 : 0.5, epochs, epochs > 30 ? "" : ".5", panels, model->attack ? 5 : 3,
                model->attack ? " title 'attacked by " : "", model->attack ? model->attack : "",
                model->attack ? "' noenhanced" : "");
        fputs("set key top right\n", f);
        put_panel(f, data, rows, "loss", "mean loss", loss, 3);
        fputs("set key bottom right\n", f);
        put_panel(f, data, rows, metric, axis, metrics, 3);
        fputs("set key top right\nset offsets 0, 0, graph 0.12, graph 0.02\n", f);
        put_panel(f, data, rows, "solver steps", "mean steps of a solve", steps, 2);
        put_panel(f, data, rows, "spectral radius of J", "radius at the equilibria", radius, 2);
        fputs("\nunset multiplot\n", f);
    }
    fclose(f);
    bool ok = !panels || deq_plot_draw(app, model->stem, "-training", text, size, same_log, e);
    free(text);
    return ok;
}

static bool plot_residuals(deq_app *app, const deq_model *model, const json_t *rows, deq_error *e) {
    char *data = NULL, *text = NULL;
    size_t data_size = 0, size = 0;
    FILE *f = open_memstream(&data, &data_size), *g = open_memstream(&text, &size);
    char name[300];
    snprintf(name, sizeof name, "%s-residual.csv", model->stem);
    if (!f || !g) return deq_fail(e, DEQ_MEMORY, "out of memory for a picture");
    fputs("iteration,p10,median,p90,running\n", f);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        for (size_t k = 0; k < 5; k++) fprintf(f, "%s%.6g", k ? "," : "", json_number_value(json_array_get(row, k)));
        fputc('\n', f);
    }
    fclose(f);
    char *label = strdup(model->label);
    for (char *c = label; c && *c; c++)
        if (*c == '"' || *c == '\\' || *c == '\n') *c = ' ';
    deq_plot_begin(g, model->key, model->stem, "-residual", "820,560", 12);
    fprintf(g,
            "set title \"residual of the forward solve: %s\" noenhanced\n"
            "set xlabel 'iteration'\nset ylabel 'residual'\n"
            "set logscale y\nset format y '10^{%%T}'\nset key top right\nset xtics 1, %zu\n"
            "set style fill transparent solid 0.25 noborder\n"
            "plot '%s' using (column('iteration')):(column('p10')):(column('p90')) with filledcurves lc rgb '#0072b2' "
            "title '10-90%% of examples', \\\n"
            "     '' using (column('iteration')):(column('median')) with linespoints ls 1 title 'median'",
            label ? label : "", json_array_size(rows) / 12 + 1, name);
    double tol = deq_app_tolerance(app, model);
    if (tol > 0) fprintf(g, ", \\\n     %.9g with lines ls 4 title 'tol: %g'", tol, tol);
    fputc('\n', g);
    fclose(g);
    free(label);
    char *path = deq_app_file(app, name, ""), *sealed = path && data ? deq_seal_csv(data, path, &data_size) : NULL;
    bool same = sealed && deq_file_holds(path, sealed, data_size);
    bool ok = (sealed || deq_fail(e, DEQ_MEMORY, "out of memory for a picture")) &&
              deq_output_write(path, sealed, data_size, e) &&
              deq_plot_draw(app, model->stem, "-residual", text, size, same, e);
    free(path);
    free(sealed);
    free(data);
    free(text);
    return ok;
}

bool deq_app_plot(deq_app *app, const deq_model *model, deq_error *e) {
    if (!plot_training(app, model, model->cached, e)) return false;
    deq_error own = {0};
    json_t *rows = deq_app_residuals(app, model, &own);
    if (own.failure != DEQ_OK) return deq_fail(e, own.failure, "%s", own.text);
    bool ok = !json_array_size(rows) || plot_residuals(app, model, rows, e);
    json_decref(rows);
    return ok;
}
