/* page.c - the page of a run, section by section: tables, figures, claims, training, solves, pictures, settings, script. */
#define _GNU_SOURCE
#include "page.h"
#include "diagnosis.h"
#include "output.h"
#include "progress.h"
#include "report.h"
#include "seal.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern const char page_style[], page_script[]; /* page.css, page.js */

#define MOST_TEXT ((size_t)16 << 20)

/* Each file of the folder with this ending; `stem` is its name without it. */
typedef void Section(FILE *out, const char *folder, const char *path, const char *stem, deq_error *e);

static void each(FILE *out, const char *folder, const char *ending, Section *section, deq_error *e) {
    int n;
    char **names = deq_files_ending(folder, ending, &n);
    for (int i = 0; i < n; i++) {
        char *path = deq_path_join(folder, names[i], NULL);
        names[i][strlen(names[i]) - strlen(ending)] = 0;
        if (path && e->failure == DEQ_OK) section(out, folder, path, names[i], e);
        free(path);
        free(names[i]);
    }
    free(names);
}

/* A file of the folder called STEM ENDING; free() it. */
static char *beside(const char *folder, const char *stem, const char *ending) {
    char *path;
    return asprintf(&path, "%s/%s%s", folder, stem, ending) < 0 ? NULL : path;
}

static json_t *rows_of(const char *folder, const char *stem, const char *ending, deq_error *e) {
    char *path = beside(folder, stem, ending);
    json_t *rows = path ? deq_sealed_rows(path, e) : NULL;
    free(path);
    return rows;
}

/* ---- tables ---- */

/* The lists of checks that end the Markdown are cut off: the page folds them into its verdicts. */
static void without_checks(char *markdown) {
    char *checks = strstr(markdown, "\nChecks of ");
    if (checks) checks[1] = 0;
}

/* The table as people read it, then its verdicts.  The Markdown carries no checksum: what is beside it does. */
static void put_table(FILE *out, const char *folder, const char *path, const char *stem, deq_error *e) {
    json_t *table = deq_sealed_json(path, e);
    char *markdown = beside(folder, stem, ".md");
    size_t size;
    char *lines = table && markdown ? deq_read_whole(markdown, MOST_TEXT, &size) : NULL;
    if (table) {
        fputs("<h2>", out);
        page_text(out, deq_json_text(table, "table"));
        fputs("</h2>\n", out);
        if (lines) without_checks(lines), page_markdown(out, lines);
        page_verdicts(out, json_object_get(table, "cells"));
    }
    free(lines);
    free(markdown);
    json_decref(table);
}

/* The drawing, what its bands are, and the numbers in it. */
static void put_figure(FILE *out, const char *folder, const char *path, const char *stem, deq_error *e) {
    json_t *figure = deq_sealed_json(path, e);
    char *svg = figure ? beside(folder, stem, ".svg") : NULL;
    if (svg) {
        fputs("<figure class=\"drawn\"><h3>", out);
        page_text(out, deq_json_text(figure, "figure"));
        fputs("</h3>\n", out);
        page_drawing(out, svg, deq_json_text(figure, "figure"));
        fputs("<figcaption>", out);
        page_text(out, deq_json_text(figure, "caption"));
        fputs("</figcaption>\n", out);
        page_numbers(out, figure);
        page_verdicts(out, json_object_get(figure, "points"));
        fputs("</figure>\n", out);
    }
    free(svg);
    json_decref(figure);
}

/* Accuracies that stand in no table or figure. */
static void put_others(FILE *out, const char *folder, const char *path, const char *stem, deq_error *e) {
    json_t *others = deq_sealed_json(path, e);
    const json_t *cells = json_object_get(others, "cells");
    (void)folder, (void)stem;
    if (json_array_size(cells)) {
        fputs("<h2>Other accuracies under attack of ", out);
        page_text(out, deq_json_text(others, "experiment"));
        fputs("</h2>\n", out);
        page_verdicts(out, cells);
    }
    json_decref(others);
}

/* As the table; claims.csv beside it is looked through. */
static void put_claims(FILE *out, const char *folder, const char *path, const char *stem, deq_error *e) {
    char *csv = deq_sealed_csv(path, e), *markdown = beside(folder, stem, "claims.md");
    size_t size;
    char *lines = csv && markdown ? deq_read_whole(markdown, MOST_TEXT, &size) : NULL;
    if (lines) {
        fputs("<h2>Claims</h2>\n", out);
        page_markdown(out, lines);
    }
    free(lines);
    free(markdown);
    free(csv);
}

/* ---- nets ---- */

static const PageFigure of_training[] = {
    {.caption = "Loss of the training, at attacked inputs where it is adversarial, and on the validation examples",
     .x = "epoch",
     .x_title = "epoch",
     .y_title = "loss",
     .lines = {{"training", "loss"}, {"validation", "validation_loss"}, {"validation, attacked", "robust_loss"}}},
    {.caption = "The training's metric, and the same on the validation examples",
     .x = "epoch",
     .x_title = "epoch",
     .y_title = "metric",
     .lines = {{"training", "metric"}, {"clean", "clean"}, {"attacked", "robust"}}},
    {.caption = "Steps of the solves of a training step, in the mean",
     .x = "epoch",
     .x_title = "epoch",
     .y_title = "steps",
     .lines = {{"forward", "steps"}, {"adjoint", "adjoint_steps"}}},
    {.caption = "Spectral radius of J at the equilibria, over examples",
     .x = "epoch",
     .x_title = "epoch",
     .y_title = "radius",
     .lines = {{"median", "radius"}, {"largest", "radius_most"}}}};

static const PageFigure of_residual = {
    .caption = "Residual of the first fixed point after n steps: median, and the band from the 10th to the 90th "
               "percentile of the examples",
    .x = "iteration",
    .x_title = "step",
    .y_title = "residual",
    .low = "p10",
    .high = "p90",
    .lines = {{"median", "median"}},
    .logarithmic = true};

/* Fixed points and what is wrong with them, from NAME-solves.json. */
static void put_solves(FILE *out, const json_t *solves, const json_t *log) {
    char *markdown = NULL;
    size_t size;
    FILE *f = open_memstream(&markdown, &size);
    if (!f) return;
    deq_diagnosis_table(f, solves);
    fputc('\n', f);
    if (!deq_diagnosis_sentences(f, solves, log)) fputs(DEQ_NO_PATHOLOGY, f);
    fclose(f);
    page_markdown(out, markdown);
    free(markdown);
}

static void put_net(FILE *out, const char *folder, const char *path, const char *stem, deq_error *e) {
    char *there = beside(folder, stem, "-solves.json");
    json_t *log = deq_sealed_rows(path, e), *residuals = rows_of(folder, stem, "-residual.csv", e),
           *solves = there && e->failure == DEQ_OK ? deq_sealed_json(there, e) : NULL;
    const char *metric = deq_log_metric(json_array_get(log, 0));
    if (e->failure == DEQ_OK) {
        fputs("<h2>Net ", out);
        page_text(out, stem);
        fputs("</h2>\n<div class=\"figures\">\n", out);
        for (size_t i = 0; i < sizeof of_training / sizeof *of_training; i++) {
            PageFigure f = of_training[i];
            if (!strcmp(f.y_title, "metric")) f.lines[0].column = f.y_title = metric;
            page_figure(out, &f, log);
        }
        if (residuals) page_figure(out, &of_residual, residuals);
        fputs("</div>\n", out);
        if (solves) put_solves(out, solves, log);
    }
    free(there);
    json_decref(log);
    json_decref(residuals);
    json_decref(solves);
}

/* ---- pictures ---- */

static bool is_figure(const char *folder, const char *stem) {
    char *path = beside(folder, stem, "-figure.json");
    const bool yes = path && !access(path, F_OK);
    free(path);
    return yes;
}

/* The page draws the curves of trainings itself, and has shown the figures. */
static void put_picture(FILE *out, const char *folder, const char *path, const char *stem, deq_error *e) {
    static const char *const drawn[] = {"-training", "-residual"};
    (void)e;
    if (is_figure(folder, stem)) return;
    for (size_t i = 0; i < sizeof drawn / sizeof *drawn; i++) {
        const size_t n = strlen(stem), tail = strlen(drawn[i]);
        if (n > tail && !strcmp(stem + n - tail, drawn[i])) return;
    }
    page_picture(out, path, stem);
}

/* ---- the whole ---- */

static void put_script(FILE *out, const char *folder, const char *name) {
    char *path = deq_path_join(folder, name, NULL);
    size_t size;
    char *script = path ? deq_read_whole(path, MOST_TEXT, &size) : NULL;
    if (script) {
        fputs("<h2>Script</h2>\n<details><summary>", out);
        page_text(out, name);
        fputs("</summary><pre>", out);
        page_text(out, script);
        fputs("</pre></details>\n", out);
    }
    free(script);
    free(path);
}

static void put_page(FILE *out, const char *folder, const json_t *settings, deq_error *e) {
    const char *script = deq_json_text(settings, "script");
    fputs("<!DOCTYPE html>\n<!-- " DEQ_MADE_BY " -->\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>",
          out);
    page_text(out, script);
    fprintf(out, "</title>\n<style>\n%s</style></head>\n<body>\n<h1>", page_style);
    page_text(out, script);
    fputs("</h1>\n<p>Run at ", out);
    page_text(out, deq_json_text(settings, "date"));
    fputs(" on ", out);
    page_text(out, deq_json_text(settings, "cpu"));
    fputs(" by ", out);
    page_text(out, deq_json_text(settings, "compiler"));
    fputs(".</p>\n", out);
    each(out, folder, "-table.json", put_table, e);
    int n;
    char **figures = deq_files_ending(folder, "-figure.json", &n);
    if (n) fputs("<h2>Figures</h2>\n<div class=\"figures\">\n", out);
    each(out, folder, "-figure.json", put_figure, e);
    if (n) fputs("</div>\n", out);
    for (int i = 0; i < n; i++) free(figures[i]);
    free(figures);
    each(out, folder, "-verdicts.json", put_others, e);
    each(out, folder, "claims.csv", put_claims, e);
    each(out, folder, "-log.csv", put_net, e);
    fputs("<div class=\"figures\">\n", out);
    each(out, folder, ".png", put_picture, e);
    fputs("</div>\n<h2>Settings</h2>\n<details><summary>All that the run was given</summary>\n", out);
    page_settings(out, settings);
    fputs("</details>\n", out);
    put_script(out, folder, script);
    fprintf(out, "<script>\n%s</script>\n</body></html>\n", page_script);
}

static bool write_page(const char *folder, const char *path, deq_error *e) {
    static const char begins[] = "<!DOCTYPE html>\n<!-- " DEQ_MADE_BY;
    json_t *settings = deq_report_run(folder, e);
    char *page = NULL;
    size_t size = 0;
    FILE *f = settings ? open_memstream(&page, &size) : NULL;
    if (f) put_page(f, folder, settings, e);
    bool ok = f != NULL;
    if (f && fclose(f)) ok = deq_fail(e, DEQ_MEMORY, "out of memory for a page of '%s'", folder);
    if (!f && e->failure == DEQ_OK) ok = deq_report_nothing(folder, e);
    ok = ok && e->failure == DEQ_OK && deq_output_replaceable(path, begins, sizeof begins - 1, e) &&
         deq_output_write(path, page, size, e);
    free(page);
    json_decref(settings);
    return ok;
}

int deq_app_page(const char *folder, const char *path, bool json) {
    deq_reporter r;
    deq_error e = {0};
    char *own = path ? NULL : deq_path_join(folder, "report.html", NULL);
    deq_reporter_open(&r, json, false);
    const char *to = path ? path : own;
    const bool ok = to && write_page(folder, to, &e);
    if (ok) {
        deq_report(&r, "%s", to);
        deq_report_event(&r, "page", json_pack("{s:s}", "path", to));
    } else {
        deq_report_error(&r, &e);
    }
    free(own);
    return ok ? 0 : deq_failure_exit(e.failure);
}
