#include "store.h"
#include "output.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

void deq_store_open(deq_store *s, const char *folder, bool fresh) {
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    *s = (deq_store){.fresh = fresh};
    if (folder)
        s->folder = strdup(folder);
    else if (xdg && *xdg)
        s->folder = deq_path_join(xdg, "deq", NULL);
    else if (home && *home)
        s->folder = deq_path_join(home, ".cache", "deq", NULL);
    deq_error e = {0};
    if (!s->folder) {
        snprintf(s->problem, sizeof s->problem, "neither XDG_CACHE_HOME nor HOME is set");
    } else if (!deq_make_folders(s->folder, &e)) {
        snprintf(s->problem, sizeof s->problem, "%.290s", e.text);
    } else if (access(s->folder, W_OK | X_OK)) {
        snprintf(s->problem, sizeof s->problem, "the folder '%.250s' is not writable", s->folder);
    } else {
        s->usable = true;
    }
}

void deq_store_close(deq_store *s) {
    free(s->folder);
    *s = (deq_store){0};
}

void deq_store_key(const json_t *what, deq_key out) {
    char *text = json_dumps(what, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
    XXH128_hash_t h = XXH3_128bits(text ? text : "", text ? strlen(text) : 0);
    snprintf(out, sizeof(deq_key), "%016llx%016llx", (unsigned long long)h.high64, (unsigned long long)h.low64);
    free(text);
}

char *deq_store_path(deq_store *s, const char *kind, const deq_key key, const char *extension) {
    if (!s->usable) return NULL;
    deq_error e = {0};
    char *folder = deq_path_join(s->folder, kind, NULL), *path = NULL, name[64];
    snprintf(name, sizeof name, "%s.%s", key, extension);
    if (folder && deq_make_folders(folder, &e)) path = deq_path_join(folder, name, NULL);
    if (!path) {
        s->usable = false;
        snprintf(s->problem, sizeof s->problem, "%.290s", e.text);
    }
    free(folder);
    return path;
}

json_t *deq_store_get(deq_store *s, const char *kind, const deq_key key) {
    if (s->fresh) return NULL;
    char *path = deq_store_path(s, kind, key, "json");
    size_t size = 0;
    char *text = path ? deq_read_whole(path, 64 << 20, &size) : NULL;
    json_t *entry = text ? json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL) : NULL, *value = NULL;
    const char *sum = json_string_value(json_object_get(entry, "checksum"));
    deq_key have;
    deq_store_key(json_object_get(entry, "value"), have);
    if (sum && !strcmp(sum, have)) value = json_incref(json_object_get(entry, "value"));
    json_decref(entry);
    free(text);
    free(path);
    return value;
}

void deq_store_put(deq_store *s, const char *kind, const deq_key key, const json_t *value) {
    char *path = deq_store_path(s, kind, key, "json");
    if (!path) return;
    deq_key sum;
    deq_store_key(value, sum);
    json_t *entry = json_pack("{s:s, s:O}", "checksum", sum, "value", value);
    char *text = json_dumps(entry, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
    deq_error e = {0};
    if (!text || !deq_output_write(path, text, strlen(text), &e)) {
        s->usable = false;
        snprintf(s->problem, sizeof s->problem, "%.290s", text ? e.text : "out of memory");
    }
    free(text);
    json_decref(entry);
    free(path);
}
