/* gnuplot.c - see plot.h.  Without gnuplot, or when it fails, there is a note and the scripts stay for later: a picture is
 * no reason to fail.  It hands the picture over by a pipe, so that files are written here, whole or not at all, and a full
 * disk is an error. */
#define _GNU_SOURCE
#include "plot.h"
#include "output.h"
#include "ranks.h"
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_PICTURE ((size_t)64 << 20)

static const char preamble[] = "# %s; drawn by: gnuplot %s%s.gp   (in this folder)\n"
                               "if (!exists('output')) output = '%s%s.png'\n"
                               "if (strstrt(GPVAL_TERMINALS, 'pngcairo') > 0) {\n"
                               "  set terminal pngcairo size %s font 'DejaVu Sans,%d' background rgb 'white' rounded\n"
                               "} else {\n"
                               "  set terminal png size %s\n"
                               "}\n"
                               "set output output\n"
                               "set datafile separator ','\n"
                               "set datafile missing ''\n"
                               "set encoding utf8\n"
                               "set border 3 lw 1 lc rgb '#555555'\n"
                               "set tics nomirror out scale 0.6 textcolor rgb '#333333'\n"
                               "set grid lt 1 lw 0.8 lc rgb '#e4e4e4'\n"
                               "set style line 1 lc rgb '#0072b2' lw 2.2 pt 7 ps 0.7\n"
                               "set style line 2 lc rgb '#d55e00' lw 2.2 pt 5 ps 0.7\n"
                               "set style line 3 lc rgb '#009e73' lw 2.2 pt 9 ps 0.8\n"
                               "set style line 4 lc rgb '#999999' lw 1.4 dt 2\n"
                               "set key samplen 2 spacing 1.15 textcolor rgb '#333333' noenhanced\n";

void deq_plot_begin(FILE *out, const char *what, const char *stem, const char *suffix, const char *size, int font) {
    fprintf(out, preamble, what, stem, suffix, stem, suffix, size, font, size);
}

/* All that comes out of the pipe; NULL: out of memory, or too much for a picture. */
static char *read_pipe(int pipe, size_t *size) {
    size_t capacity = 1 << 16;
    char *bytes = malloc(capacity);
    *size = 0;
    while (bytes) {
        const ssize_t got = read(pipe, bytes + *size, capacity - *size);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return bytes;
        *size += (size_t)got;
        if (*size < capacity) continue;
        char *grown = capacity < MOST_PICTURE ? realloc(bytes, capacity *= 2) : NULL;
        if (!grown) free(bytes);
        bytes = grown;
    }
    return NULL;
}

/* 1: drawn, and *picture is it; 0: gnuplot failed; -1: there is no gnuplot. */
static int run_gnuplot(const char *folder, const char *script, const char *format, char **picture, size_t *size) {
    char settings[80];
    snprintf(settings, sizeof settings, "format='%s'; output='/dev/stdout'", format);
    char *arguments[] = {"gnuplot", "-e", settings, (char *)script, NULL};
    int ends[2];
    if (pipe2(ends, O_CLOEXEC)) return 0;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, folder);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    pid_t child;
    int failed = posix_spawnp(&child, "gnuplot", &actions, NULL, arguments, environ), status = 0;
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    *picture = failed ? NULL : read_pipe(ends[0], size);
    close(ends[0]); /* if it is too much, gnuplot ends by that */
    if (failed) return failed == ENOENT ? -1 : 0;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127) return -1;
    return *picture && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool deq_file_holds(const char *path, const char *text, size_t size) {
    size_t have = 0;
    char *old = deq_read_whole(path, 16 << 20, &have);
    bool same = old && have == size && !memcmp(old, text, size);
    free(old);
    return same;
}

static const char *const png[] = {"png"};

static bool is_current(const deq_app *app, const char *stem, const char *suffix, const char *const *formats, int n,
                       const char *text, size_t size) {
    char ending[300];
    snprintf(ending, sizeof ending, "%s.gp", suffix);
    char *from = deq_app_file(app, stem, ending);
    bool current = from && deq_file_holds(from, text, size);
    free(from);
    for (int i = 0; current && i < n; i++) {
        snprintf(ending, sizeof ending, "%s.%s", suffix, formats[i]);
        char *to = deq_app_file(app, stem, ending);
        current = to && !access(to, R_OK);
        free(to);
    }
    return current;
}

bool deq_plot_current(const deq_app *app, const char *stem, const char *suffix, const char *text, size_t size) {
    return deq_ranks_share_bool(is_current(app, stem, suffix, png, 1, text, size));
}

/* How a picture of that format ends, but for line ends. */
static bool whole_picture(const char *format, const char *bytes, size_t size) {
    static const struct {
        const char *format, *end;
    } ends[] = {{"png", "IEND\xae"
                        "B`\x82"},
                {"svg", "</svg>"},
                {"pdf", "%%EOF"}};
    while (size && bytes[size - 1] == '\n') size--;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        const size_t n = strlen(ends[i].end);
        if (!strcmp(ends[i].format, format)) return size > n && !memcmp(bytes + size - n, ends[i].end, n);
    }
    return false;
}

static void note_missing(deq_app *app, const char *script, int drawn) {
    static bool noted;
    if (drawn >= 0 || !noted)
        deq_report(&app->reporter,
                   drawn < 0
                       ? "note: no pictures, gnuplot is not installed (apt-get install gnuplot-nox); later: gnuplot %s"
                       : "note: gnuplot could not draw %s",
                   script);
    if (drawn < 0) noted = true;
}

/* Draws the script NAME.gp to NAME.FORMAT; *drawn: there is a picture now. */
static bool draw(deq_app *app, const char *script, const char *name, const char *format, bool *drawn, deq_error *e) {
    char file[320], *bytes = NULL;
    size_t length = 0;
    bool ok = true;
    snprintf(file, sizeof file, "%s.%s", name, format);
    char *to = deq_app_file(app, file, ""), *from = strrchr(script, '/');
    if (!to) return deq_fail(e, DEQ_MEMORY, "out of memory for a picture");
    const int got = run_gnuplot(app->results, from ? from + 1 : script, format, &bytes, &length);
    *drawn = got == 1 && whole_picture(format, bytes, length);
    if (*drawn)
        ok = deq_output_write(to, bytes, length, e);
    else
        note_missing(app, script, got);
    free(bytes);
    free(to);
    return ok;
}

bool deq_plot_draw_as(deq_app *app, const char *stem, const char *suffix, const char *const *formats, int n,
                      const char *text, size_t size, bool same_data, bool *drawn, deq_error *e) {
    char name[300];
    snprintf(name, sizeof name, "%s%s", stem, suffix);
    char *script = deq_app_file(app, name, ".gp");
    bool ok = script ? true : deq_fail(e, DEQ_MEMORY, "out of memory for a picture");
    *drawn = ok && same_data && is_current(app, stem, suffix, formats, n, text, size);
    const bool current = *drawn;
    ok = ok && deq_output_write(script, text, size, e);
    for (int i = 0; ok && deq_ranks_first() && !current && i < n; i++) {
        ok = draw(app, script, name, formats[i], drawn, e);
        if (!*drawn) break; /* the others would fail alike */
    }
    free(script);
    return ok;
}

bool deq_plot_draw(deq_app *app, const char *stem, const char *suffix, const char *text, size_t size, bool same_data,
                   deq_error *e) {
    bool drawn;
    return deq_plot_draw_as(app, stem, suffix, png, 1, text, size, same_data, &drawn, e);
}
