/* report_figures.c - the figures of a run: where they are, what their bands show, and accuracies in them that are not
 * reliable. */
#define _GNU_SOURCE
#include "output.h"
#include "report.h"
#include "seal.h"
#include "training_log.h"
#include "verdict.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How many of each level are not reliable. */
static void count(const json_t *figure, int counts[DEQ_MASKED + 1]) {
    size_t i, k;
    json_t *point, *value;
    json_array_foreach(json_object_get(figure, "points"), i, point) {
        json_array_foreach(json_object_get(point, "values"), k, value) {
            const char *verdict = json_string_value(json_object_get(value, "verdict"));
            for (deq_verdict_level level = DEQ_MASKED; verdict && level > DEQ_RELIABLE; level--)
                counts[level] += !strcmp(verdict, deq_verdict_name(level));
        }
    }
}

/* "results/s/2a.png, .svg, .pdf, .csv": those that there are. */
static void put_files(FILE *out, const char *folder, const char *stem) {
    static const char *const endings[] = {"png", "svg", "pdf", "csv"};
    bool first = true;
    for (size_t k = 0; k < sizeof endings / sizeof *endings; k++) {
        char *path = NULL;
        if (asprintf(&path, "%s/%s.%s", folder, stem, endings[k]) < 0) continue;
        const bool there = !access(path, F_OK);
        if (there && first) fputs(path, out);
        if (there && !first) fprintf(out, ", .%s", endings[k]);
        first = first && !there;
        free(path);
    }
}

static void put_figure(FILE *out, const char *folder, const char *stem, const json_t *figure) {
    const char *caption = deq_json_text(figure, "caption");
    int counts[DEQ_MASKED + 1] = {0};
    fprintf(out, "- %s: ", deq_json_text(figure, "figure"));
    put_files(out, folder, stem);
    if (*caption) fprintf(out, "; %s", caption);
    count(figure, counts);
    for (deq_verdict_level level = DEQ_MASKED; level > DEQ_RELIABLE; level--)
        if (counts[level]) fprintf(out, "; %d %s", counts[level], deq_verdict_name(level));
    fputs(".\n", out);
    deq_report_doubts(out, json_object_get(figure, "points"), "  ");
}

void deq_report_figures(deq_reporter *r, const char *folder, deq_error *e) {
    static const char ending[] = "-figure.json";
    int n;
    char **names = deq_files_ending(folder, ending, &n), *lines = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&lines, &size);
    for (int i = 0; i < n; i++) {
        char *path = deq_path_join(folder, names[i], NULL);
        json_t *figure = path && e->failure == DEQ_OK ? deq_sealed_json(path, e) : NULL;
        names[i][strlen(names[i]) - strlen(ending)] = 0;
        if (figure && f) put_figure(f, folder, names[i], figure);
        if (figure) deq_report_event(r, "figure", json_pack("{s:O}", "figure", figure));
        json_decref(figure);
        free(path);
        free(names[i]);
    }
    if (f) fclose(f);
    if (lines && *lines) deq_report(r, "## Figures\n\n%s", lines);
    free(lines);
    free(names);
}
