/* page_numbers.c - the numbers in a figure of an experiment, as a table. */
#include "page.h"
#include "training_log.h"
#include "verdict.h"
#include <string.h>

static void put_number(FILE *out, const json_t *mark) {
    const double value = deq_json_double(json_object_get(mark, "value")),
                 low = deq_json_double(json_object_get(mark, "low")),
                 high = deq_json_double(json_object_get(mark, "high"));
    const char *verdict = json_string_value(json_object_get(mark, "verdict"));
    fputs("<td>", out);
    page_number(out, value, low, high);
    if (verdict && strcmp(verdict, deq_verdict_name(DEQ_RELIABLE))) {
        fputs(" <span class=\"verdict ", out);
        page_text(out, verdict);
        fputs("\">", out);
        page_text(out, verdict);
        fputs("</span>", out);
    }
    fputs("</td>", out);
}

static void put_title(FILE *out, const char *text) {
    fputs("<th>", out);
    page_text(out, text);
    fputs("</th>", out);
}

void page_numbers(FILE *out, const json_t *figure) {
    const json_t *points = json_object_get(figure, "points"), *first = json_array_get(points, 0);
    const char *name;
    json_t *point, *value;
    size_t i, k;
    fputs("<details><summary>Numbers</summary><div class=\"wide\"><table class=\"small\"><thead><tr>", out);
    json_object_foreach(json_object_get(first, "coordinates"), name, value) put_title(out, name);
    if (json_object_get(first, "x")) put_title(out, deq_json_text(json_object_get(first, "x"), "title"));
    json_array_foreach(json_object_get(first, "values"), k, value) put_title(out, deq_json_text(value, "title"));
    fputs("</tr></thead><tbody>\n", out);
    json_array_foreach(points, i, point) {
        fputs("<tr>", out);
        json_object_foreach(json_object_get(point, "coordinates"), name, value) {
            fputs("<td>", out);
            page_text(out, json_string_value(value) ? json_string_value(value) : "?");
            fputs("</td>", out);
        }
        if (json_object_get(point, "x")) put_number(out, json_object_get(point, "x"));
        json_array_foreach(json_object_get(point, "values"), k, value) put_number(out, value);
        fputs("</tr>\n", out);
    }
    fputs("</tbody></table></div></details>\n", out);
}
