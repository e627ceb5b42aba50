/* report_verdicts.c - what `deq report` says of the accuracies under attack in a folder's tables. */
#include "report.h"
#include "seal.h"
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

/* "- robust (mode = jfb()): masked, 41% of ..": verdict, reasons, numbers. */
static void put_value(FILE *out, const json_t *cell, const json_t *value) {
    const json_int_t audited = json_integer_value(json_object_get(value, "audited"));
    const char *between = ": ";
    size_t i;
    json_t *reason;
    fprintf(out, "- %s", deq_json_text(value, "title"));
    put_coordinates(out, cell);
    fprintf(out, ": %.4g%s%s is %s", json_number_value(json_object_get(value, "value")),
            *deq_json_text(value, "attack") ? " under " : "", deq_json_text(value, "attack"),
            deq_json_text(value, "verdict"));
    json_array_foreach(json_object_get(value, "reasons"), i, reason) {
        fprintf(out, "%s%s", between, deq_json_text(reason, "text"));
        between = "; ";
    }
    if (audited)
        fprintf(out, ". Up to %lld examples attacked again; checks: ", (long long)audited);
    else
        fputs(". Not audited; checks: ", out);
    put_checks(out, value);
    fputs(".\n", out);
}

/* A line for each accuracy under attack of a table; how many there were. */
static int put_table(FILE *out, const json_t *table) {
    size_t i, k;
    json_t *cell, *value;
    int count = 0;
    json_array_foreach(json_object_get(table, "cells"), i, cell) {
        json_array_foreach(json_object_get(cell, "values"), k, value) {
            if (!json_object_get(value, "verdict")) continue;
            put_value(out, cell, value);
            count++;
        }
    }
    return count;
}

void deq_report_tables(deq_reporter *r, const char *folder, deq_error *e) {
    int n;
    char **names = deq_files_ending(folder, "-table.json", &n);
    for (int i = 0; i < n; i++) {
        char *path = deq_path_join(folder, names[i], NULL), *lines = NULL;
        json_t *table = path ? deq_sealed_json(path, e) : NULL;
        size_t size;
        FILE *f = open_memstream(&lines, &size);
        int count = f ? put_table(f, table) : 0;
        if (f) fclose(f);
        if (count) {
            deq_report(r, "## Accuracies under attack in table %s\n\n%s", deq_json_text(table, "table"), lines);
            deq_report_event(r, "verdicts", json_pack("{s:O}", "table", table));
        }
        json_decref(table);
        free(lines);
        free(path);
        free(names[i]);
    }
    free(names);
}
