/* result_files.c - see result_files.h. */
#include "result_files.h"
#include "seal.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *name_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

void deq_markdown_cell(FILE *out, const char *text) {
    for (; *text; text++) {
        if (*text == '|') fputc('\\', out);
        fputc(*text == '\n' ? ' ' : *text, out);
    }
}

bool deq_result_files_write(deq_app *app, const deq_output_text *list, int n, deq_error *e) {
    if (!app->written && !(app->written = json_object())) return deq_fail(e, DEQ_MEMORY, "out of memory for results");
    for (int i = 0; i < n; i++) /* what is not noted would be removed as an older run's */
        if (json_object_set_new(app->written, name_of(list[i].path), json_true()))
            return deq_fail(e, DEQ_MEMORY, "out of memory for results");
    return deq_output_write_all(list, n, e);
}

static bool has_run(const deq_app *app, const char *experiment) {
    for (int i = 0; i < app->manifest->nrun; i++)
        if (app->manifest->run[i].experiment && !strcmp(app->manifest->run[i].experiment->name, experiment))
            return true;
    return false;
}

/* The file is of an experiment that has run, or that is no longer there, and this run has not written it. */
static bool is_stale(const deq_app *app, const char *name, const char *path) {
    deq_error unread = {0};
    json_t *content = json_object_get(app->written, name) ? NULL : deq_sealed_json(path, &unread);
    const char *of = json_string_value(json_object_get(content, "experiment"));
    const bool stale = of && (!app->options->only || has_run(app, of));
    json_decref(content);
    return stale;
}

static void forget(const deq_app *app, const char *stem, size_t length, const char *const *endings) {
    for (; *endings; endings++) {
        char *name = malloc(length + strlen(*endings) + 1);
        if (!name) return;
        memcpy(name, stem, length);
        strcpy(name + length, *endings);
        char *path = json_object_get(app->written, name) ? NULL : deq_path_join(app->results, name, NULL);
        if (path) unlink(path);
        free(path);
        free(name);
    }
}

void deq_result_files_forget(deq_app *app) {
    static const char *const kinds[][8] = {/* the file that says whose it is, then those beside it */
                                           {"-table.json", ".csv", ".md", ".tex", NULL},
                                           {"-figure.json", ".csv", ".gp", ".png", ".svg", ".pdf", NULL},
                                           {"-verdicts.json", NULL},
                                           {"claims.json", "claims.csv", "claims.md", NULL}};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        int n;
        char **names = deq_files_ending(app->results, kinds[k][0], &n);
        for (int i = 0; i < n; i++) {
            char *path = deq_path_join(app->results, names[i], NULL);
            if (path && is_stale(app, names[i], path)) {
                deq_report(&app->reporter, "%s and the files beside it are removed: the script no longer has them",
                           path);
                forget(app, names[i], strlen(names[i]) - strlen(kinds[k][0]), kinds[k]);
            }
            free(path);
            free(names[i]);
        }
        free(names);
    }
}
