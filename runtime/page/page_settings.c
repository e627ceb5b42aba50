/* page_settings.c - JSON as nested lists of names and values. */
#include "page.h"
#include <stdint.h>

static void put_name(FILE *out, const char *name) {
    fputs("<dt>", out);
    page_text(out, name);
    fputs("</dt><dd>", out);
}

void page_settings(FILE *out, const json_t *value) {
    const char *name;
    json_t *inner;
    size_t i;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        fputs("<dl>", out);
        json_object_foreach((json_t *)(uintptr_t)value, name, inner) {
            put_name(out, name);
            page_settings(out, inner);
            fputs("</dd>", out);
        }
        fputs("</dl>\n", out);
        break;
    case JSON_ARRAY:
        if (!json_array_size(value)) fputs("none", out);
        json_array_foreach(value, i, inner) {
            if (i && !json_is_object(inner)) fputs(", ", out);
            page_settings(out, inner);
        }
        break;
    case JSON_STRING: page_text(out, json_string_value(value)); break;
    case JSON_INTEGER: fprintf(out, "%lld", (long long)json_integer_value(value)); break;
    case JSON_REAL: fprintf(out, "%.9g", json_real_value(value)); break;
    case JSON_TRUE: fputs("true", out); break;
    case JSON_FALSE: fputs("false", out); break;
    case JSON_NULL: fputs("none", out); break;
    }
}
