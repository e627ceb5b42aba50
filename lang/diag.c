/* diag.c - collecting, sorting and printing diagnostics. */
#include "diag.h"
#include "nearest.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_PRINTED = 20, MAX_COLUMNS = 160 };

static const struct {
    const char *name, *title, *explanation;
    DiagStage stage;
} codes[DIAG_COUNT] = {
#define DIAG(code, stage, title, explanation) {#code, title, explanation, STAGE_##stage},
#include "errors.def"
#undef DIAG
};

struct Diags {
    Arena *arena;
    Diagnostic **items;
    uint32_t n, cap, errors;
};

bool diag_code_is_warning(DiagCode code) { return codes[code].name[0] == 'W'; }

Diags *diags_new(Arena *a) {
    Diags *ds = arena_alloc(a, sizeof *ds);
    ds->arena = a;
    return ds;
}

Diagnostic *diag_report(Diags *ds, DiagCode code, Range at, const char *format, ...) {
    if ((unsigned)code >= DIAG_COUNT) ICE("diagnostic code %d", (int)code);
    Diagnostic *d = arena_alloc(ds->arena, sizeof *d);
    d->owner = ds;
    d->code = code;
    d->at = at;
    d->order = ds->n;
    d->last_remark = &d->remarks;
    va_list args;
    va_start(args, format);
    d->message = arena_vprintf(ds->arena, format, args);
    va_end(args);
    *ARENA_PUSH(ds->arena, ds->items, ds->n, ds->cap) = d;
    if (!diag_code_is_warning(code)) ds->errors++;
    return d;
}

static void add_remark(Diagnostic *d, bool help, Range at, const char *text) {
    Remark *r = arena_alloc(d->owner->arena, sizeof *r);
    *r = (Remark){.help = help, .at = at, .text = text};
    *d->last_remark = r;
    d->last_remark = &r->next;
}

void diag_note(Diagnostic *d, Range at, const char *format, ...) {
    va_list args;
    va_start(args, format);
    add_remark(d, false, at, arena_vprintf(d->owner->arena, format, args));
    va_end(args);
}

void diag_help(Diagnostic *d, const char *format, ...) {
    va_list args;
    va_start(args, format);
    add_remark(d, true, (Range){0}, arena_vprintf(d->owner->arena, format, args));
    va_end(args);
}

void diag_meant(Diagnostic *d, const char *name, const char *more) {
    d->meant = arena_strdup(d->owner->arena, name);
    diag_help(d, "did you mean '%s'%s?", name, more);
}

void diag_import(Diagnostic *d, const char *module, const char *name) {
    d->import = arena_strdup(d->owner->arena, module), d->imported = arena_strdup(d->owner->arena, name);
    diag_help(d, "import %s (%s)", module, name);
}

void diag_mark(Diagnostic *d, Range around, const char *text) {
    d->around = around;
    d->label = text ? arena_strdup(d->owner->arena, text) : NULL;
}

const char *diag_nearest(const char *name, const char *const *candidates, uint32_t n) {
    return deq_nearest(name, candidates, (int)n);
}

uint32_t diags_count(const Diags *ds) { return ds->n; }

void diags_note(Diags *ds, uint32_t from, Range at, const char *text) {
    for (uint32_t i = from; i < ds->n; i++) add_remark(ds->items[i], false, at, text);
}

uint32_t diags_errors(const Diags *ds) { return ds->errors; }

int diags_exit_code(const Diags *ds) {
    int stage = 0;
    for (uint32_t i = 0; i < ds->n; i++) {
        DiagCode code = ds->items[i]->code;
        if (!diag_code_is_warning(code) && (!stage || (int)codes[code].stage < stage)) stage = (int)codes[code].stage;
    }
    return stage;
}

/* By file, then offset, then order of reporting; diagnostics without a place come first. */
static int compare(const void *left, const void *right) {
    const Diagnostic *a = *(Diagnostic *const *)left, *b = *(Diagnostic *const *)right;
    if (!a->at.source != !b->at.source) return a->at.source ? 1 : -1;
    if (a->at.source) {
        int by_path = strcmp(a->at.source->path, b->at.source->path);
        if (by_path) return by_path;
        if (a->at.start != b->at.start) return a->at.start < b->at.start ? -1 : 1;
    }
    return a->order < b->order ? -1 : a->order > b->order;
}

Diagnostic **diags_sorted(const Diags *ds, Arena *a, uint32_t *n) {
    Diagnostic **items = arena_alloc(a, (ds->n + 1) * sizeof *items);
    if (ds->n) memcpy(items, ds->items, ds->n * sizeof *items);
    qsort(items, ds->n, sizeof *items, compare);
    *n = 0;
    for (uint32_t i = 0; i < ds->n; i++) {
        const Diagnostic *last = *n ? items[*n - 1] : NULL, *d = items[i];
        if (last && last->code == d->code && last->at.source == d->at.source && last->at.start == d->at.start &&
            !strcmp(last->message, d->message))
            continue;
        items[(*n)++] = items[i];
    }
    return items;
}

static bool starts_character(char c) { return ((unsigned char)c & 0xc0) != 0x80; }

/* The source line of `at` and, below it, ~ under `around` and ^ at `at`.  A long line is cut to a window. */
static void print_snippet(const Diagnostic *d, FILE *out, const char *caret_on, const char *off) {
    const Source *s = d->at.source;
    Position p = source_position(s, d->at.start);
    uint32_t line = (d->at.start < s->length ? d->at.start : s->length) - (p.column - 1), end = line;
    while (end < s->length && s->text[end] != '\n') end++;
    while (end > line && s->text[end - 1] == '\r') end--;
    uint32_t at = d->at.start < end ? d->at.start : end, at_end = d->at.end < end ? d->at.end : end;
    uint32_t from = at, to = at_end > at ? at_end : at + 1;
    if (d->around.source == s && d->around.end >= at && d->around.start <= to) { /* several lines: this one's share */
        from = d->around.start > line ? d->around.start : line;
        to = d->around.end < end ? d->around.end : end;
        if (to <= at) to = at + 1;
        if (from > at) from = at;
    }
    uint32_t first = line, last = end;
    if (end - line > MAX_COLUMNS) {
        first = at - line > MAX_COLUMNS / 2 ? at - MAX_COLUMNS / 2 : line;
        last = end - first > MAX_COLUMNS ? first + MAX_COLUMNS : end;
        while (first < at && !starts_character(s->text[first])) first++;
        while (last < end && !starts_character(s->text[last])) last++;
    }
    const char *dots = first > line ? "..." : "";
    fprintf(out, " %4u | %s", p.line, dots);
    for (uint32_t i = first; i < last; i++) {
        unsigned char c = (unsigned char)s->text[i];
        fputc(c >= 0x20 || c == '\t' ? c : '?', out);
    }
    fprintf(out, "%s\n      | %*s", last < end ? "..." : "", (int)strlen(dots), "");
    fputs(caret_on, out);
    for (uint32_t i = first; i < to && i <= last; i++) {
        char c = i < end ? s->text[i] : ' ';
        if (!starts_character(c)) continue; /* one column a character, not a byte */
        if (i == at)
            fputc('^', out);
        else if (i >= from && !(d->around.source && c == ' '))
            fputc('~', out);
        else
            fputc(c == '\t' ? '\t' : ' ', out);
    }
    fputs(off, out);
    if (d->label) fprintf(out, "  %s", d->label);
    fputc('\n', out);
}

static void print_one(const Diagnostic *d, FILE *out, bool colour, bool more) {
    const char *bold = colour ? "\033[1m" : "", *off = colour ? "\033[0m" : "";
    const char *tone = !colour ? "" : diag_code_is_warning(d->code) ? "\033[1;35m" : "\033[1;31m";
    const char *caret = colour ? "\033[1;32m" : "";
    if (d->at.source) {
        Position p = source_position(d->at.source, d->at.start);
        fprintf(out, "%s%s:%u:%u:%s ", bold, p.path, p.line, p.column, off);
    } else {
        fprintf(out, "%sdeq:%s ", bold, off);
    }
    fprintf(out, "%s%s[%s]:%s %s%s%s\n", tone, diag_code_is_warning(d->code) ? "warning" : "error", codes[d->code].name,
            off, bold, d->message, off);
    if (d->at.source && d->at.source->length) print_snippet(d, out, caret, off);
    for (const Remark *r = d->remarks; r; r = r->next) {
        fprintf(out, "   %s%s:%s ", bold, r->help ? "help" : "note", off);
        if (r->at.source) {
            Position p = source_position(r->at.source, r->at.start);
            if (r->at.source == d->at.source)
                fprintf(out, "line %u: ", p.line);
            else
                fprintf(out, "%s:%u:%u: ", p.path, p.line, p.column);
        }
        fprintf(out, "%s\n", r->text);
    }
    if (more) fprintf(out, "   %smore:%s deq explain %s\n", bold, off, codes[d->code].name);
}

bool diag_is_told(const Diags *ds, const Diagnostic *d) {
    return !ds->errors || (d->code != DIAG_W0210 && d->code != DIAG_W0211);
}

void diags_print(const Diags *ds, FILE *out, bool colour) {
    uint32_t n, printed = 0;
    Diagnostic **items = diags_sorted(ds, ds->arena, &n);
    bool explained = false;
    for (uint32_t i = 0; i < n; i++) {
        if (!diag_is_told(ds, items[i])) continue;
        if (printed++ >= MAX_PRINTED) continue;
        bool more = !explained && !diag_code_is_warning(items[i]->code);
        print_one(items[i], out, colour, more);
        explained |= more;
    }
    if (printed > MAX_PRINTED) fprintf(out, "and %u more\n", printed - MAX_PRINTED);
}

static json_t *json_text(const char *text) {
    json_t *value = json_string(text);
    if (value) return value;
    char *ascii = strdup(text); /* not UTF-8: a file name can be any bytes */
    if (!ascii) ICE("out of memory");
    for (char *p = ascii; *p; p++)
        if ((unsigned char)*p >= 0x80) *p = '?';
    value = json_string(ascii);
    free(ascii);
    return value;
}

static void json_place(json_t *object, Range at) {
    if (!at.source) return;
    Position start = source_position(at.source, at.start);
    Position end = source_position(at.source, at.end > at.start ? at.end : at.start);
    json_object_set_new(object, "file", json_text(start.path));
    json_object_set_new(object, "line", json_integer(start.line));
    json_object_set_new(object, "column", json_integer(start.column));
    json_object_set_new(object, "end_line", json_integer(end.line));
    json_object_set_new(object, "end_column", json_integer(end.column));
}

void diags_print_json(const Diags *ds, FILE *out) {
    uint32_t n;
    Diagnostic **items = diags_sorted(ds, ds->arena, &n);
    for (uint32_t i = 0; i < n; i++) {
        const Diagnostic *d = items[i];
        json_t *object = json_object(), *notes = json_array(), *help = json_array();
        const char *severity = diag_code_is_warning(d->code) ? "warning" : "error";
        json_object_set_new(object, "event", json_string(severity)); /* like the lines of a run */
        json_object_set_new(object, "code", json_string(codes[d->code].name));
        json_object_set_new(object, "severity", json_string(severity));
        json_place(object, d->at);
        json_object_set_new(object, "message", json_text(d->message));
        for (const Remark *r = d->remarks; r; r = r->next) {
            if (r->help) {
                json_array_append_new(help, json_text(r->text));
                continue;
            }
            json_t *note = json_object();
            json_object_set_new(note, "message", json_text(r->text));
            json_place(note, r->at);
            json_array_append_new(notes, note);
        }
        json_object_set_new(object, "notes", notes);
        json_object_set_new(object, "help", help);
        json_dumpf(object, out, JSON_COMPACT | JSON_PRESERVE_ORDER);
        fputc('\n', out);
        json_decref(object);
    }
}

const char *diag_code_name(DiagCode code) { return (unsigned)code < DIAG_COUNT ? codes[code].name : "?"; }
const char *diag_code_title(DiagCode code) { return (unsigned)code < DIAG_COUNT ? codes[code].title : "?"; }
const char *diag_code_explanation(DiagCode code) { return (unsigned)code < DIAG_COUNT ? codes[code].explanation : "?"; }

bool diag_code_find(const char *name, DiagCode *code) {
    for (int i = 0; i < DIAG_COUNT; i++) {
        if (strcasecmp(name, codes[i].name) != 0) continue;
        *code = (DiagCode)i;
        return true;
    }
    return false;
}
