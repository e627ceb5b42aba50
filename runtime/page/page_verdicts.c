/* page_verdicts.c - accuracies under attack of a table, of a figure, or of neither, with what was checked. */
#include "page.h"
#include "training_log.h"
#include "verdict.h"
#include <math.h>
#include <string.h>

static double number(const json_t *o, const char *key) { return deq_json_double(json_object_get(o, key)); }

static void put_reasons(FILE *out, const json_t *value) {
    size_t i;
    json_t *reason;
    json_array_foreach(json_object_get(value, "reasons"), i, reason) {
        fputs(i ? "; " : "", out);
        page_text(out, deq_json_text(reason, "text"));
    }
}

static void put_checks(FILE *out, const json_t *value) {
    size_t i;
    json_t *check;
    const json_int_t audited = json_integer_value(json_object_get(value, "audited"));
    fprintf(out, "<details><summary>%zu checks</summary>", json_array_size(json_object_get(value, "checks")));
    if (audited)
        fprintf(out, "<p>Up to %lld examples were attacked again.</p>", (long long)audited);
    else
        fputs("<p>No sample was attacked again.</p>", out);
    fputs("<table class=\"small\">", out);
    json_array_foreach(json_object_get(value, "checks"), i, check) {
        fprintf(out, "<tr class=\"%s\"><td>", deq_json_text(check, "level"));
        page_text(out, deq_json_text(check, "check"));
        fprintf(out, "</td><td>%.3g</td></tr>", number(check, "number"));
    }
    fputs("</table></details>", out);
}

static void put_value(FILE *out, const json_t *cell, const json_t *value) {
    const char *name, *between = "";
    json_t *coordinate;
    fputs("<tr><td>", out);
    page_text(out, deq_json_text(value, "title"));
    fputs("</td><td>", out);
    json_object_foreach(json_object_get(cell, "coordinates"), name, coordinate) {
        fputs(between, out);
        page_text(out, name);
        fputs(" = ", out);
        page_text(out, json_string_value(coordinate) ? json_string_value(coordinate) : "?");
        between = ", ";
    }
    fputs("</td><td>", out);
    page_number(out, number(value, "value"), number(value, "low"), number(value, "high"));
    fprintf(out, "</td><td><span class=\"verdict %s\">%s</span> ", deq_json_text(value, "verdict"),
            deq_json_text(value, "verdict"));
    put_reasons(out, value);
    fputs("</td><td>", out);
    page_text(out, deq_json_text(value, "attack"));
    fputs("</td><td>", out);
    put_checks(out, value);
    fputs("</td></tr>\n", out);
}

#define MOST_OPEN 12 /* verdicts: more are folded away behind their count */

/* How many accuracies have the verdict; NULL: any. */
static size_t count(const json_t *cells, const char *verdict) {
    size_t i, k, n = 0;
    json_t *cell, *value;
    json_array_foreach(cells, i, cell) {
        json_array_foreach(json_object_get(cell, "values"), k, value) {
            const char *own = json_string_value(json_object_get(value, "verdict"));
            n += own && (!verdict || strcmp(own, verdict) == 0);
        }
    }
    return n;
}

static void begin(FILE *out, const json_t *cells, size_t rows) {
    const char *between = "";
    if (rows > MOST_OPEN) {
        fputs("<details><summary>", out);
        for (deq_verdict_level level = DEQ_RELIABLE; level <= DEQ_MASKED; level++) {
            const char *name = deq_verdict_name(level);
            const size_t n = count(cells, name);
            if (n) fprintf(out, "%s%zu <span class=\"verdict %s\">%s</span>", between, n, name, name);
            if (n) between = ", ";
        }
        fputs("</summary>\n", out);
    }
    fputs("<div class=\"wide\"><table>\n<thead><tr><th>value</th><th>at</th><th>result</th><th>verdict</th>"
          "<th>attack</th><th>checks</th></tr></thead><tbody>\n",
          out);
}

void page_verdicts(FILE *out, const json_t *cells) {
    const size_t rows = count(cells, NULL);
    size_t i, k;
    json_t *cell, *value;
    if (!rows) return;
    fputs("<h3>Verdicts</h3>\n", out);
    begin(out, cells, rows);
    json_array_foreach(cells, i, cell) {
        json_array_foreach(json_object_get(cell, "values"), k, value) {
            if (json_object_get(value, "verdict")) put_value(out, cell, value);
        }
    }
    fprintf(out, "</tbody></table></div>%s\n", rows > MOST_OPEN ? "</details>" : "");
}
