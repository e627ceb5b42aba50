/* report_verdicts.c - what `deq report` says of the accuracies under attack in a folder's tables, of those behind its
 * claims, and of those that stand in no table or figure. */
#include "report.h"
#include "seal.h"
#include "verdict.h"
#include <stdlib.h>
#include <string.h>

static void put_coordinates(FILE *out, const json_t *cell) {
    const char *name, *between = " (";
    json_t *value;
    json_object_foreach(json_object_get(cell, "coordinates"), name, value) {
        fprintf(out, "%s%s = %s", between, name, json_string_value(value) ? json_string_value(value) : "?");
        between = ", ";
    }
    if (*between == ',') fputc(')', out);
}

static void put_checks(FILE *out, const json_t *value) {
    size_t i;
    json_t *check;
    const char *between = "";
    json_array_foreach(json_object_get(value, "checks"), i, check) {
        fprintf(out, "%s%s %.3g", between, deq_json_text(check, "check"),
                json_number_value(json_object_get(check, "number")));
        between = ", ";
    }
}

/* ": 41% of ..; .." */
static void put_reasons(FILE *out, const json_t *verdict) {
    const char *between = ": ";
    size_t i;
    json_t *reason;
    json_array_foreach(json_object_get(verdict, "reasons"), i, reason) {
        fprintf(out, "%s%s", between, deq_json_text(reason, "text"));
        between = "; ";
    }
}

/* "- robust (mode = jfb()): masked, 41% of ..": verdict, reasons, numbers. */
static void put_value(FILE *out, const json_t *cell, const json_t *value) {
    const json_int_t audited = json_integer_value(json_object_get(value, "audited"));
    fprintf(out, "- %s", deq_json_text(value, "title"));
    put_coordinates(out, cell);
    fprintf(out, ": %.4g%s%s is %s", json_number_value(json_object_get(value, "value")),
            *deq_json_text(value, "attack") ? " under " : "", deq_json_text(value, "attack"),
            deq_json_text(value, "verdict"));
    put_reasons(out, value);
    if (audited)
        fprintf(out, ". Up to %lld examples attacked again; checks: ", (long long)audited);
    else
        fputs(". Not audited; checks: ", out);
    put_checks(out, value);
    fputs(".\n", out);
}

/* A line for each accuracy under attack of a table. */
static void put_table(FILE *out, const json_t *table) {
    size_t i, k;
    json_t *cell, *value;
    json_array_foreach(json_object_get(table, "cells"), i, cell) {
        json_array_foreach(json_object_get(cell, "values"), k, value) {
            if (json_object_get(value, "verdict")) put_value(out, cell, value);
        }
    }
}

static deq_verdict_level level_of(const json_t *value) { return deq_verdict_named(deq_json_text(value, "verdict")); }

#define MOST_DOUBTS 12 /* at one place */

void deq_report_doubts(FILE *out, const json_t *cells, const char *indent) {
    size_t i, k;
    json_t *cell, *value;
    int count = 0;
    for (deq_verdict_level level = DEQ_MASKED; level > DEQ_RELIABLE; level--)
        json_array_foreach(cells, i, cell) json_array_foreach(json_object_get(cell, "values"), k, value) {
            if (level_of(value) != level || count++ >= MOST_DOUBTS) continue;
            fputs(indent, out);
            put_value(out, cell, value);
        }
    if (count > MOST_DOUBTS) fprintf(out, "%s- and %d more.\n", indent, count - MOST_DOUBTS);
}

/* ---- the accuracies that others are computed from ---- */
static void put_others(FILE *out, const json_t *others) {
    const json_t *cells = json_object_get(others, "cells");
    int reliable = 0;
    size_t i, k;
    json_t *cell, *value;
    json_array_foreach(cells, i, cell) {
        json_array_foreach(json_object_get(cell, "values"), k, value) { reliable += level_of(value) == DEQ_RELIABLE; }
    }
    deq_report_doubts(out, cells, "");
    if (reliable) fprintf(out, "- %d are %s.\n", reliable, deq_verdict_name(DEQ_RELIABLE));
}

/* ---- claims ---- */
static void put_claim(FILE *out, const json_t *claim) {
    const json_t *accuracies = json_object_get(claim, "accuracies");
    const char *verdict = deq_json_text(accuracies, "verdict");
    fprintf(out, "- %s: %s, true in %.1f%% of the resamples", deq_json_text(claim, "text"),
            deq_json_text(claim, "verdict"), 100 * json_number_value(json_object_get(claim, "share")));
    if (*verdict) fprintf(out, "; its accuracies under attack are %s", verdict);
    put_reasons(out, accuracies);
    fputs(".\n", out);
}

static void put_claims(FILE *out, const json_t *claims) {
    size_t i;
    json_t *claim;
    json_array_foreach(json_object_get(claims, "claims"), i, claim) put_claim(out, claim);
}

/* ---- files of one kind ---- */
typedef struct Kind {
    const char *ending, *title, *name; /* the title ends in what the file says at `name` */
    const char *event, *member;        /* {event: .., member: the file} */
    void (*put)(FILE *out, const json_t *content);
    bool has_checks; /* of every value, told by the file's name */
} Kind;

/* A section for each file that has something to say. */
static void each_file(deq_reporter *r, const char *folder, const Kind *kind, deq_error *e) {
    int n;
    char **names = deq_files_ending(folder, kind->ending, &n);
    for (int i = 0; i < n; i++) {
        char *path = e->failure == DEQ_OK ? deq_path_join(folder, names[i], NULL) : NULL, *lines = NULL;
        json_t *content = path ? deq_sealed_json(path, e) : NULL;
        size_t size;
        FILE *f = content ? open_memstream(&lines, &size) : NULL;
        if (f) kind->put(f, content), fclose(f);
        if (lines && *lines) {
            deq_report(r, "## %s %s\n\n%s", kind->title, deq_json_text(content, kind->name), lines);
            if (kind->has_checks) deq_report(r, "All with their checks: %s\n", path);
            deq_report_event(r, kind->event, json_pack("{s:O}", kind->member, content));
        }
        json_decref(content);
        free(lines);
        free(path);
        free(names[i]);
    }
    free(names);
}

void deq_report_tables(deq_reporter *r, const char *folder, deq_error *e) {
    each_file(
        r, folder,
        &(Kind){"-table.json", "Accuracies under attack in table", "table", "verdicts", "table", put_table, false}, e);
}

void deq_report_others(deq_reporter *r, const char *folder, deq_error *e) {
    each_file(r, folder,
              &(Kind){"-verdicts.json", "Other accuracies under attack of", "experiment", "accuracies", "accuracies",
                      put_others, true},
              e);
}

void deq_report_claims(deq_reporter *r, const char *folder, deq_error *e) {
    each_file(r, folder, &(Kind){"claims.json", "Claims of", "experiment", "claims", "claims", put_claims, false}, e);
}
