/* export.c - deq export: parameters out, as arrays. */
#include "app.h"
#include "progress.h"
#include "weights.h"
#include <string.h>

/* An NPZ file is arrays and nothing else. */
static void note_settings(deq_reporter *r, const char *from, const char *to) {
    const char *dot = strrchr(to, '.'), *path;
    json_t *settings = dot && !strcmp(dot, ".npz") ? deq_weights_settings(from) : NULL, *value;
    json_object_foreach(settings, path, value) {
        const size_t length = strlen(path);
        if (length >= 6 && !strcmp(path + length - 6, "finish"))
            deq_report(r, "note: %s does not say that the net was trained with %s: %s (a .safetensors file does)", to,
                       path, json_string_value(value));
    }
    json_decref(settings);
}

int deq_app_export(const char *from, const char *map, const char *to) {
    deq_reporter r;
    deq_error e = {0};
    int64_t arrays = 0;
    deq_reporter_open(&r, false, false);
    bool ok = deq_weights_export(from, map, to, &arrays, &e);
    if (ok)
        deq_report(&r, "%s: %lld arrays of %s", to, (long long)arrays, from);
    else
        deq_report_error(&r, &e);
    if (ok) note_settings(&r, from, to);
    return ok ? 0 : deq_failure_exit(e.failure);
}
