/* answer_format.c - what `deq fmt` changes, as one edit of the lines that differ. */
#include "answers.h"
#include "fmt.h"
#include <stdlib.h>
#include <string.h>

/* Bytes of whole lines that both texts begin with. */
static size_t equal_lines(const char *a, size_t na, const char *b, size_t nb) {
    size_t line = 0;
    for (size_t i = 0; i < na && i < nb && a[i] == b[i]; i++)
        if (a[i] == '\n') line = i + 1;
    return line;
}

json_t *answer_formatting(Server *s, const json_t *params, Refusal *why) {
    Document *d = document_asked(s, params, why);
    if (!d || !d->now->parsed) return NULL;
    const Source *source = d->now->source;
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    if (!out) end_without_memory();
    bool good = format_module(source, d->now->module->unit, out);
    fclose(out);
    json_t *edits = good ? json_array() : NULL;
    if (good && (n != source->length || memcmp(text, source->text, n) != 0)) {
        const size_t start = equal_lines(source->text, source->length, text, n);
        const size_t most = (source->length < n ? source->length : n) - start;
        size_t behind = 0; /* bytes of whole lines that both end with */
        for (size_t i = 0; i < most && source->text[source->length - 1 - i] == text[n - 1 - i]; i++)
            if (text[n - 1 - i] == '\n') behind = i;
        json_t *words = json_stringn(text + start, n - start - behind);
        json_array_append_new(edits, json_pack("{s:o, s:o}", "range",
                                               range_json(source, (uint32_t)start, (uint32_t)(source->length - behind)),
                                               "newText", words));
    }
    free(text);
    return edits;
}
