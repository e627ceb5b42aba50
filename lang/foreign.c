/* foreign.c - lookups in foreign.def and the help lines made of its rows. */
#include "foreign.h"
#include <ctype.h>
#include <string.h>

static const Foreign rows[] = {
#define FOREIGN(place, spelling, ours, note) {FOREIGN_##place, spelling, ours, note},
#include "foreign.def"
#undef FOREIGN
    {FOREIGN_NAME, NULL, NULL, NULL},
};
const Foreign *const foreign_table = rows;

const Foreign *foreign_find(ForeignPlace place, const char *spelling) {
    for (const Foreign *row = rows; row->spelling; row++)
        if (row->place == place && strcmp(row->spelling, spelling) == 0) return row;
    return NULL;
}

/* The code with the text of a value in the place of each _ that stands alone. */
static const char *with_value(Arena *a, const char *code, const char *value) {
    const char *result = "";
    for (const char *p = code; *p; p++) {
        bool inside = (p > code && (isalnum((unsigned char)p[-1]) || p[-1] == '_')) || isalnum((unsigned char)p[1]);
        result = *p == '_' && !inside ? arena_printf(a, "%s%s", result, value) : arena_printf(a, "%s%c", result, *p);
    }
    return result;
}

void foreign_help(Diagnostic *d, Arena *a, const Foreign *row, const char *value) {
    const char *code = value ? with_value(a, row->ours, value) : row->ours;
    bool word = *code && !value && code[strspn(code, "abcdefghijklmnopqrstuvwxyz_0123456789")] == '\0';
    if (word)
        diag_meant(d, code, "");
    else if (*code)
        diag_help(d, "write %s", code);
    if (*row->note) diag_help(d, "%s", row->note);
}

bool foreign_same(const char *left, const char *right) {
    for (;; left++, right++) {
        while (*left == '_') left++;
        while (*right == '_') right++;
        if (tolower((unsigned char)*left) != tolower((unsigned char)*right)) return false;
        if (!*left) return true;
    }
}

static bool among(const char *name, const char *const *keys, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        if (keys[i] && strcmp(keys[i], name) == 0) return true;
    return false;
}

bool foreign_help_key(Diagnostic *d, const char *name, const char *const *keys, uint32_t n) {
    for (const Foreign *row = rows; row->spelling; row++) {
        if (row->place != FOREIGN_KEY || strcmp(row->spelling, name) != 0 || !among(row->ours, keys, n)) continue;
        if (*row->note)
            diag_help(d, "%s", row->note);
        else
            diag_meant(d, row->ours, "");
        return true;
    }
    const char *near = diag_nearest(name, keys, n);
    for (uint32_t i = 0; i < n && !near; i++)
        if (keys[i] && foreign_same(keys[i], name)) near = keys[i];
    if (near) diag_meant(d, near, "");
    return near != NULL;
}
