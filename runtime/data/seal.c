/* seal.c - see seal.h: XXH3 checksums of results. */
#define _GNU_SOURCE
#include "seal.h"
#include "output.h"
#include "store.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define LARGEST ((size_t)256 << 20)
#define SUM 16 /* hex digits of a line's checksum */

static const char *name_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void *damaged(const char *path, deq_error *e) {
    deq_fail(e, DEQ_REPORT,
             "'%s' is not as deq wrote it: it is damaged, was changed, or stood under another name; run "
             "the script again",
             path);
    return NULL;
}

/* ---- JSON ---- */
static void sum_json(const json_t *object, const char *path, deq_key out) {
    json_t *rest = json_copy((json_t *)(uintptr_t)object);
    json_object_del(rest, "checksum");
    json_t *all = json_pack("{s:s, s:o}", "name", name_of(path), "results", rest);
    deq_store_key(all, out);
    json_decref(all);
}

#define AS_WRITTEN (JSON_INDENT(2) | JSON_REAL_PRECISION(9))

char *deq_seal_json(const json_t *object, const char *path) {
    deq_key sum;
    /* Summed as it will be read: numbers with the digits that they are written with. */
    char *text = json_dumps(object, AS_WRITTEN), *out = NULL;
    json_t *read = text ? json_loads(text, 0, NULL) : NULL;
    free(text);
    if (!read) return NULL;
    json_object_set_new(read, "version", json_string(DEQ_VERSION));
    sum_json(read, path, sum);
    json_object_set_new(read, "checksum", json_string(sum));
    out = json_dumps(read, AS_WRITTEN);
    json_decref(read);
    return out;
}

json_t *deq_sealed_json(const char *path, deq_error *e) {
    size_t size = 0;
    deq_key sum;
    char *text = deq_read_whole(path, LARGEST, &size);
    if (!text && errno == ENOENT) return NULL;
    json_t *object = text ? json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL) : NULL;
    const char *kept = json_string_value(json_object_get(object, "checksum"));
    free(text);
    if (!kept) {
        json_decref(object);
        return damaged(path, e);
    }
    sum_json(object, path, sum);
    if (!strcmp(sum, kept)) return object;
    json_decref(object);
    return damaged(path, e);
}

/* ---- CSV ---- */
/* The end of the line at `at`: a line feed between quotes is part of it. */
static const char *line_end(const char *at) {
    bool quoted = false;
    for (; *at && (quoted || *at != '\n'); at++) quoted ^= *at == '"';
    return at;
}

typedef struct Text {
    const char *from;
    size_t n;
} Text;

/* `more`: what follows the line. */
static void sum_line(const char *path, Text titles, Text line, const char *more, char out[SUM + 1]) {
    XXH3_state_t *s = XXH3_createState();
    unsigned long long sum = 0;
    if (s && XXH3_64bits_reset(s) == XXH_OK) {
        const char *name = name_of(path);
        XXH3_64bits_update(s, name, strlen(name) + 1);
        XXH3_64bits_update(s, titles.from, titles.n);
        XXH3_64bits_update(s, "\n", 1);
        XXH3_64bits_update(s, line.from, line.n);
        XXH3_64bits_update(s, more, strlen(more));
        sum = XXH3_64bits_digest(s);
    }
    XXH3_freeState(s);
    snprintf(out, SUM + 1, "%016llx", sum);
}

static const char added[] = ",version,checksum", version[] = "," DEQ_VERSION;

char *deq_seal_csv(const char *text, const char *path, size_t *size) {
    char *out = NULL, sum[SUM + 1];
    FILE *f = open_memstream(&out, size);
    Text titles = {text, 0};
    for (const char *at = text; f && *at;) {
        const char *end = line_end(at);
        const Text line = {at, (size_t)(end - at)};
        fwrite(line.from, 1, line.n, f);
        if (titles.n) {
            sum_line(path, titles, line, version, sum);
            fprintf(f, "%s,%s\n", version, sum);
        } else {
            titles = line;
            fprintf(f, "%s\n", added);
        }
        at = *end ? end + 1 : end;
    }
    if (f) fclose(f);
    return out;
}

/* The last comma before `end`; NULL: there is none. */
static const char *comma_before(const char *from, const char *end) {
    return end > from ? memrchr(from, ',', (size_t)(end - from)) : NULL;
}

/* The line without its version and checksum; false: they are not there, or not its own. */
static bool check_line(const char *path, Text titles, const char *at, const char *end, Text *out) {
    char sum[SUM + 1];
    const char *last = comma_before(at, end), *before = last ? comma_before(at, last) : NULL;
    if (!before || end - last != SUM + 1) return false;
    sum_line(path, titles, (Text){at, (size_t)(last - at)}, "", sum);
    *out = (Text){at, (size_t)(before - at)};
    return !memcmp(sum, last + 1, SUM);
}

bool deq_csv_is_sealed(const char *path) {
    size_t size = 0, suffix = sizeof added - 1;
    char *text = deq_read_whole(path, LARGEST, &size);
    const char *end = text ? line_end(text) : NULL;
    const bool is = end && (size_t)(end - text) > suffix && !memcmp(end - suffix, added, suffix);
    free(text);
    return is;
}

char *deq_sealed_csv(const char *path, deq_error *e) {
    size_t size = 0, length = 0;
    char *text = deq_read_whole(path, LARGEST, &size), *out = NULL;
    if (!text && errno == ENOENT) return NULL;
    FILE *f = text ? open_memstream(&out, &length) : NULL;
    Text titles = {text, 0}, line;
    bool good = f != NULL;
    for (const char *at = text; good && *at;) {
        const char *end = line_end(at);
        const size_t n = (size_t)(end - at), suffix = sizeof added - 1;
        if (titles.n) {
            good = check_line(path, titles, at, end, &line);
        } else {
            good = n > suffix && !memcmp(end - suffix, added, suffix);
            titles.n = good ? n - suffix : 0;
            line = titles;
        }
        if (good) fprintf(f, "%.*s\n", (int)line.n, line.from);
        at = *end ? end + 1 : end;
    }
    if (f) fclose(f);
    free(text);
    if (good && titles.n) return out;
    free(out);
    return damaged(path, e);
}

json_t *deq_sealed_rows(const char *path, deq_error *e) {
    char *csv = deq_sealed_csv(path, e), *line_end = NULL;
    json_t *rows = json_array();
    char *titles[64];
    int ntitles = 0;
    for (char *line = csv ? strtok_r(csv, "\n", &line_end) : NULL; line; line = strtok_r(NULL, "\n", &line_end)) {
        json_t *row = ntitles ? json_object() : NULL;
        int k = 0;
        for (char *cell = line, *comma; cell && k < 64; cell = comma ? comma + 1 : NULL, k++) {
            comma = strchr(cell, ',');
            if (comma) *comma = 0;
            if (!row)
                titles[ntitles++] = cell;
            else if (k < ntitles && *cell)
                json_object_set_new(row, titles[k], json_real(strtod(cell, NULL)));
        }
        if (row) json_array_append_new(rows, row);
    }
    free(csv);
    return rows;
}

void deq_csv_title(FILE *out, const char *title, const char *ending) {
    const char *const parts[] = {title, ending};
    const bool quoted = strpbrk(title, ",\"\n") || strpbrk(ending, ",\"\n");
    if (quoted) fputc('"', out);
    for (int i = 0; i < 2; i++)
        for (const char *text = parts[i]; *text; text++) {
            if (*text == '"') fputc('"', out);
            fputc(*text, out);
        }
    if (quoted) fputc('"', out);
}

void deq_csv_text(FILE *out, const char *text) { deq_csv_title(out, text, ""); }
