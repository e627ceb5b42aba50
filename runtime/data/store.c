#include "store.h"
#include "output.h"
#include "own.h"
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* What killed runs left in the folders of the kinds that files are written of. */
static void sweep(const deq_store *s) {
    static const char *const kinds[] = {"values", "nets", "files", "data"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char *folder = deq_path_join(s->folder, kinds[i], NULL);
        if (folder) deq_temporaries_sweep(folder);
        free(folder);
    }
}

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
    if (!s->folder)
        snprintf(s->problem, sizeof s->problem, "neither XDG_CACHE_HOME nor HOME is set");
    else if (!deq_own_folder(s->folder, &e))
        snprintf(s->problem, sizeof s->problem, "%.290s", e.text);
    else
        s->usable = true;
    if (s->usable) sweep(s);
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
    if (folder && deq_own_folder(folder, &e)) path = deq_path_join(folder, name, NULL);
    if (!path) deq_store_give_up(s, e.text);
    free(folder);
    return path;
}

void deq_store_give_up(deq_store *s, const char *why) {
    s->usable = false;
    snprintf(s->problem, sizeof s->problem, "%.290s", why);
}

void deq_store_refuse(const deq_store *s, const char *path, const char *why) {
    char text[700];
    snprintf(text, sizeof text, "'%.400s': %.200s; it is computed again", path, why);
    if (s->refused) s->refused(s->context, text);
}

/* Key of all that an entry says, so that no part of it can change without the others. */
static void checksum(const char *kind, const deq_key key, const char *version, const json_t *value, deq_key out) {
    json_t *all = json_pack("{s:s, s:s, s:s, s:O}", "kind", kind, "key", key, "version", version, "value", value);
    deq_store_key(all, out);
    json_decref(all);
}

static const char *member(const json_t *entry, const char *name) {
    const char *text = json_string_value(json_object_get(entry, name));
    return text ? text : "";
}

/* NULL: it is the entry of this name, whole. */
static const char *fault_of(const json_t *entry, const char *kind, const deq_key key) {
    deq_key sum;
    const json_t *value = json_object_get(entry, "value");
    if (!value) return "it is damaged";
    checksum(member(entry, "kind"), member(entry, "key"), member(entry, "version"), value, sum);
    if (strcmp(sum, member(entry, "checksum"))) return "it is damaged";
    if (strcmp(kind, member(entry, "kind")) || strcmp(key, member(entry, "key")))
        return "it is another entry under this name";
    return NULL;
}

json_t *deq_store_get(deq_store *s, const char *kind, const deq_key key) {
    if (s->fresh) return NULL;
    char *path = deq_store_path(s, kind, key, "json");
    if (!path) return NULL;
    size_t size = 0;
    deq_error e = {0};
    char *text = deq_own_read(path, 64 << 20, &size, &e);
    json_t *entry = text ? json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL) : NULL, *value = NULL;
    const char *why = e.failure ? e.text : text ? fault_of(entry, kind, key) : NULL;
    if (why)
        deq_store_refuse(s, path, why);
    else if (entry && !strcmp(member(entry, "version"), DEQ_VERSION)) /* another version's is no damage */
        value = json_incref(json_object_get(entry, "value"));
    json_decref(entry);
    free(text);
    free(path);
    return value;
}

void deq_store_put(deq_store *s, const char *kind, const deq_key key, const json_t *value) {
    char *path = deq_store_path(s, kind, key, "json");
    if (!path) return;
    deq_key sum;
    checksum(kind, key, DEQ_VERSION, value, sum);
    json_t *entry = json_pack("{s:s, s:s, s:s, s:s, s:O}", "kind", kind, "key", key, "version", DEQ_VERSION, "checksum",
                              sum, "value", value);
    char *text = json_dumps(entry, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
    deq_error e = {0};
    deq_own_clear(path);
    if (!text || !deq_output_write(path, text, strlen(text), &e)) deq_store_give_up(s, text ? e.text : "out of memory");
    free(text);
    json_decref(entry);
    free(path);
}
