/* names.h - paths of parameters and settings, and names of files: what lang, compiler and runtime must see alike. */
#ifndef DEQ_ARGUMENTS_NAMES_H
#define DEQ_ARGUMENTS_NAMES_H
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* What stands in the path behind `prefix`: "W" of "body.W" behind "body", "" of "body", the path itself behind "".  NULL:
 * it does not lie there. */
static inline const char *deq_path_under(const char *path, const char *prefix) {
    const size_t n = strlen(prefix);
    if (!n) return path;
    if (strncmp(path, prefix, n) != 0) return NULL;
    return path[n] == '.' ? path + n + 1 : path[n] ? NULL : path + n;
}

#define DEQ_FILE_NAME 120 /* letters of a file name, at most */
/* A file name from any text: [A-Za-z0-9._-], never a dot first, runs of other bytes become one '-', none at the end. */
static inline void deq_file_name(const char *text, char out[DEQ_FILE_NAME + 1]) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    char *to = out;
    bool gap = false;
    for (const char *at = text; *at && to < out + DEQ_FILE_NAME; at++) {
        const bool kept = strchr(plain, *at) || (*at == '.' && at != text);
        if (kept || !gap) *to++ = kept ? *at : '-';
        gap = !kept;
    }
    if (gap && to - out > 1) to--;
    if (to == out) *to++ = '-';
    *to = '\0';
}
#endif
