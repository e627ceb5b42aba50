#include "progress.h"
#include "json_text.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

double deq_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double deq_processor_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double loaded_at;
__attribute__((constructor)) static void note_start(void) { loaded_at = deq_now(); }
double deq_since(void) { return deq_now() - loaded_at; }

void deq_reporter_open(deq_reporter *r, bool json, bool quiet) {
    if (!deq_ranks_first()) json = false, quiet = true; /* rank 0 says it */
    *r = (deq_reporter){
        .json = json, .quiet = quiet, .terminal = !json && !quiet && isatty(STDERR_FILENO), .noted = deq_now()};
    const char *term = r->terminal ? getenv("TERM") : NULL;
    if (term && !strcmp(term, "dumb")) r->terminal = false;
}

void deq_report_clear(deq_reporter *r) {
    if (r->live) fputs("\r\033[K", stderr), fflush(stderr);
    r->live = false;
}

void deq_report(deq_reporter *r, const char *format, ...) {
    if (r->json || r->quiet) return;
    deq_report_clear(r);
    va_list ap;
    va_start(ap, format);
    vprintf(format, ap);
    va_end(ap);
    putchar('\n');
    fflush(stdout);
}

void deq_report_event(deq_reporter *r, const char *event, json_t *members) {
    if (r->json) {
        json_t *line = json_pack("{s:s}", "event", event);
        json_object_update(line, members);
        json_dumpf(line, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
        putchar('\n');
        fflush(stdout);
        json_decref(line);
    }
    json_decref(members);
}

void deq_report_warning(deq_reporter *r, const char *code, const char *format, ...) {
    char text[1024];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (!deq_ranks_first()) return;
    if (r->json) {
        deq_report_event(r, "warning", json_pack("{s:s, s:o}", "code", code, "message", deq_json_string(text)));
        return;
    }
    deq_report_clear(r);
    fflush(stdout);
    fprintf(stderr, "run: warning[%s]: %s\n", code, text);
}

void deq_report_error(deq_reporter *r, const deq_error *e) {
    const char *code = deq_failure_code(e->failure);
    if (r->json) {
        json_t *o = json_pack("{s:s, s:o, s:i}", "code", code, "message", deq_json_string(e->text), "exit",
                              deq_failure_exit(e->failure));
        if (e->line)
            json_object_update_new(o, json_pack("{s:o, s:i}", "file", deq_json_string(e->source), "line", e->line));
        deq_report_event(r, "error", o);
        return;
    }
    deq_report_clear(r);
    fflush(stdout);
    if (!deq_ranks_first()) fprintf(stderr, "run: rank %d of %d:\n", deq_ranks_own(), deq_ranks_count());
    if (e->line)
        fprintf(stderr, "%s:%d: error[%s]: %s\n", e->source, e->line, code, e->text);
    else
        fprintf(stderr, "run: error[%s]: %s\n", code, e->text);
}

/* "12.3 %" style pieces are left out when they were not measured. */
static size_t piece(char *out, size_t size, size_t at, const char *format, double value) {
    if (!isfinite(value) || at >= size) return at;
    return at + (size_t)snprintf(out + at, size - at, format, value);
}

void deq_print_duration(char *out, size_t size, double seconds) {
    long s = (long)(seconds + 0.5);
    if (s >= 3600)
        snprintf(out, size, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(out, size, "%ld:%02ld", s / 60, s % 60);
}

/* "train 46.1%", "train confidence 0.461" */
static size_t measured(char *out, size_t size, size_t at, const deq_progress_state *s, const char *what, double value) {
    if (!isfinite(value) || at >= size) return at;
    const bool plain = !strcmp(s->metric, "accuracy");
    at += (size_t)snprintf(out + at, size - at, "  %s%s%s", what, plain ? "" : " ", plain ? "" : s->metric);
    return s->share ? piece(out, size, at, " %.1f%%", 100 * value) : piece(out, size, at, " %.4g", value);
}

static void compose(char *out, size_t size, const deq_progress_state *s) {
    const deq_log_row *w = &s->row;
    size_t at = (size_t)snprintf(out, size, "%s", s->what);
    if (s->epochs && at < size)
        at += (size_t)snprintf(out + at, size - at, "  epoch %lld/%lld", (long long)s->epoch, (long long)s->epochs);
    if (s->step < s->steps && at < size)
        at += (size_t)snprintf(out + at, size - at, "  %lld/%lld", (long long)s->step, (long long)s->steps);
    at = piece(out, size, at, "  %.0f ex/s", w->examples_per_second);
    if (s->cost.seconds > 0 && deq_ranks_count() > 1) {
        at = piece(out, size, at, " of %.0f ranks", deq_ranks_count());
        at = piece(out, size, at, ", %.1f each", w->examples_per_second / deq_ranks_count());
        at = piece(out, size, at, "  reductions %.1f%%", 100 * s->cost.reducing / s->cost.seconds);
        at = piece(out, size, at, "  waiting %.1f%%", 100 * s->cost.waiting / s->cost.seconds);
    }
    at = piece(out, size, at, "  loss %.4f", w->loss);
    at = piece(out, size, at, "  penalty %.2e", w->penalty);
    at = piece(out, size, at, "  correction %.4f", w->correction);
    const struct {
        const char *what;
        double value;
    } metrics[] = {{"train", w->metric}, {"clean", w->clean}, {"robust", w->robust}};
    for (size_t i = 0; s->metric && i < sizeof metrics / sizeof *metrics; i++)
        at = measured(out, size, at, s, metrics[i].what, metrics[i].value);
    if (isnan(w->clean)) at = piece(out, size, at, "  clean loss %.4g", w->validation_loss);
    if (isnan(w->robust)) at = piece(out, size, at, "  robust loss %.4g", w->robust_loss);
    at = piece(out, size, at, "  steps %.1f", w->steps);
    at = piece(out, size, at, "  residual %.1e", w->residual);
    at = piece(out, size, at, "  adjoint %.1f", w->adjoint_steps);
    at = piece(out, size, at, "  radius %.3f", w->radius);
    if (w->unconverged > 0) at = piece(out, size, at, "  unconverged %.3g%%", 100 * w->unconverged);
    if (isfinite(s->left) && at < size) {
        char left[32];
        deq_print_duration(left, sizeof left, s->left);
        snprintf(out + at, size - at, "  left %s", left);
    }
}

static void emit(deq_reporter *r, const char *event, const deq_progress_state *s) {
    json_t *members = json_pack("{s:s, s:I, s:I, s:I, s:I}", "name", s->what, "epoch", (json_int_t)s->epoch, "epochs",
                                (json_int_t)s->epochs, "done", (json_int_t)s->step, "of", (json_int_t)s->steps);
    json_t *row = deq_log_json(&s->row);
    json_object_del(row, "epoch");
    json_t *metric = json_incref(json_object_get(row, "metric"));
    json_object_del(row, "metric");
    json_object_set_new(row, deq_log_title(s->metric), metric);
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe(row, next, name, value) if (json_is_null(value)) json_object_del(row, name);
    json_object_update(members, row);
    json_decref(row);
    if (s->cost.seconds > 0 && deq_ranks_count() > 1)
        json_object_set_new(members, "ranks",
                            json_pack("{s:i, s:o, s:f, s:f}", "count", deq_ranks_count(), "examples_per_second",
                                      deq_json_number(s->row.examples_per_second / deq_ranks_count()), "reducing",
                                      s->cost.reducing / s->cost.seconds, "waiting",
                                      s->cost.waiting / s->cost.seconds));
    if (isfinite(s->left)) json_object_set_new(members, "left", json_real(s->left));
    deq_report_event(r, event, members);
}

void deq_report_step(deq_reporter *r, const deq_progress_state *s) {
    if (r->quiet) return;
    double now = deq_now();
    if (r->terminal) {
        if (r->live && now - r->drawn < 0.1) return;
        char line[512];
        compose(line, sizeof line, s);
        struct winsize w;
        size_t columns = !ioctl(STDERR_FILENO, TIOCGWINSZ, &w) && w.ws_col > 20 ? w.ws_col : 160u;
        if (strlen(line) >= columns) line[columns - 1] = 0;
        fprintf(stderr, "\r%s\033[K", line);
        fflush(stderr);
        r->live = true;
        r->drawn = now;
    } else if (now - r->noted >= (r->json ? 1 : 10)) {
        r->noted = now;
        if (r->json) {
            emit(r, "progress", s);
        } else {
            char line[512];
            compose(line, sizeof line, s);
            deq_report(r, "%s", line);
        }
    }
}

void deq_report_epoch(deq_reporter *r, const deq_progress_state *s) {
    if (r->quiet) return;
    r->noted = deq_now();
    if (r->json) {
        emit(r, "epoch", s);
        return;
    }
    char line[512];
    compose(line, sizeof line, s);
    deq_report(r, "%s", line);
}
