/* bench_compare.c - two reports of `deq bench --json`, row by row: what became faster, what slower, and which
 * differences are larger than the times scatter by themselves. */
#include "study.h"
#include "output.h"
#include "progress.h"
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LARGEST (64 << 20) /* bytes of a report */

typedef struct Report {
    json_t *rows; /* events "bench", in order */
    json_t *machine;
} Report;

static void report_free(Report *r) {
    json_decref(r->rows);
    json_decref(r->machine);
}

static bool is_row(const json_t *event) {
    return json_is_string(json_object_get(event, "net")) && json_is_string(json_object_get(event, "name")) &&
           json_number_value(json_object_get(event, "median")) > 0;
}

/* One object a line; lines that are no JSON (what else went to the same file) are an error. */
static bool report_read(const char *path, Report *out, deq_error *e) {
    size_t size = 0;
    char *text = deq_read_whole(path, LARGEST, &size);
    if (!text) return deq_fail(e, DEQ_REPORT, "cannot read '%s': %s", path, strerror(errno));
    out->rows = json_array();
    int number = 0;
    bool ok = out->rows ? true : deq_fail(e, DEQ_MEMORY, "out of memory reading '%s'", path);
    for (char *line = text, *end; ok && line && *line; line = end) {
        number++;
        end = strchr(line, '\n');
        if (end) *end++ = 0;
        if (!*line) continue;
        json_error_t problem;
        json_t *event = json_loads(line, 0, &problem);
        const char *kind = json_string_value(json_object_get(event, "event"));
        if (!kind)
            ok = deq_fail(e, DEQ_REPORT, "'%s' is no report of deq bench --json: line %d: %s", path, number,
                          event ? "no \"event\"" : problem.text);
        else if (!strcmp(kind, "bench") && !is_row(event))
            ok = deq_fail(e, DEQ_REPORT, "'%s', line %d: a row without net, name or a positive median", path, number);
        else if (!strcmp(kind, "bench"))
            json_array_append(out->rows, event);
        else if (!strcmp(kind, "bench_machine") && !out->machine)
            out->machine = json_incref(event);
        json_decref(event);
    }
    free(text);
    if (ok && !json_array_size(out->rows)) ok = deq_fail(e, DEQ_REPORT, "'%s' holds no row of deq bench --json", path);
    return ok;
}

static const json_t *find(const Report *r, const json_t *row) {
    static const char *const same[] = {"net", "name", "examples", "threads"};
    size_t i;
    json_t *other;
    json_array_foreach(r->rows, i, other) {
        bool equal = true;
        for (size_t k = 0; k < sizeof same / sizeof same[0] && equal; k++)
            equal = json_equal(json_object_get(row, same[k]), json_object_get(other, same[k]));
        if (equal) return other;
    }
    return NULL;
}

static double number(const json_t *row, const char *name) { return json_number_value(json_object_get(row, name)); }
static const char *text(const json_t *row, const char *name) {
    const char *s = json_string_value(json_object_get(row, name));
    return s ? s : "unknown";
}

/* A difference counts when the middle halves of both samples are further apart than they are wide. */
static const char *verdict(const json_t *a, const json_t *b, double ratio) {
    double scatter = (number(a, "spread") + number(b, "spread")) / 2;
    if (fabs(log(ratio)) <= fmax(scatter, 0.02)) return "";
    return ratio > 1 ? "faster" : "slower";
}

static void compare(deq_reporter *out, const Report *before, const Report *after) {
    double sum = 0;
    int both = 0, faster = 0, slower = 0;
    size_t i;
    json_t *b;
    deq_report(out, "%-62s %11s %11s %7s", "", "before ms", "after ms", "ratio");
    json_array_foreach(after->rows, i, b) {
        const json_t *a = find(before, b);
        char name[256];
        snprintf(name, sizeof name, "%s: %s, %.0f on %.0f", text(b, "net"), text(b, "name"), number(b, "examples"),
                 number(b, "threads"));
        if (!a) {
            deq_report(out, "%-62s %11s %11.3f", name, "-", 1e3 * number(b, "median"));
            continue;
        }
        double ratio = number(a, "median") / number(b, "median");
        const char *what = verdict(a, b, ratio);
        sum += log(ratio);
        both++;
        faster += *what == 'f';
        slower += *what == 's';
        deq_report(out, "%-62s %11.3f %11.3f %7.2f %s", name, 1e3 * number(a, "median"), 1e3 * number(b, "median"),
                   ratio, what);
        deq_report_event(out, "bench_compare",
                         json_pack("{s:O, s:O, s:O, s:O, s:f, s:f, s:f, s:s}", "net", json_object_get(b, "net"), "name",
                                   json_object_get(b, "name"), "examples", json_object_get(b, "examples"), "threads",
                                   json_object_get(b, "threads"), "before", number(a, "median"), "after",
                                   number(b, "median"), "ratio", ratio, "verdict", *what ? what : "same"));
    }
    json_t *a;
    json_array_foreach(before->rows, i, a) if (!find(after, a))
        deq_report(out, "%s: %s: only in the first report", text(a, "net"), text(a, "name"));
    if (!both) return;
    double mean = exp(sum / both);
    deq_report(out,
               "%d rows in both, %d faster, %d slower by more than they scatter; geometric mean of the ratios %.3f",
               both, faster, slower, mean);
    deq_report_event(
        out, "bench_compared",
        json_pack("{s:i, s:i, s:i, s:f}", "rows", both, "faster", faster, "slower", slower, "ratio", mean));
}

int deq_app_bench_compare(const char *before, const char *after, const deq_app_options *options) {
    deq_reporter out;
    deq_error e = {0};
    Report a = {0}, b = {0};
    deq_reporter_open(&out, options->json, options->quiet);
    bool ok = report_read(before, &a, &e) && report_read(after, &b, &e);
    if (ok && a.machine && b.machine && strcmp(text(a.machine, "cpu"), text(b.machine, "cpu")))
        deq_report_warning(&out, "W0823", "the reports are of different machines: %s and %s", text(a.machine, "cpu"),
                           text(b.machine, "cpu"));
    if (ok)
        compare(&out, &a, &b);
    else
        deq_report_error(&out, &e);
    report_free(&a);
    report_free(&b);
    return ok ? 0 : deq_failure_exit(e.failure);
}
