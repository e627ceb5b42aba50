/* clean_start.c - see clean_start.h.  Joined attacks begin with the clean inputs and write it down themselves; a single
 * attack does not ask for them, so that its journal says what the clean evaluation's does. */
#include "clean_start.h"
#include "output.h"
#include "store.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The key of the same evaluation without its attack; false: there is none. */
static bool key_of(const json_t *about, deq_key key) {
    json_t *what = json_deep_copy(about);
    const json_t *attack = what ? json_object_get(what, "attack") : NULL;
    const bool attacked = attack && !json_is_null(attack) && !json_object_get(what, "compared");
    if (attacked) {
        json_object_set_new(what, "attack", json_null());
        json_object_del(what, "crafting"); /* settings of the attack's own */
        deq_store_key(what, key);
    }
    json_decref(what);
    return attacked;
}

/* The folder of a path, "." where it names none; free() it. */
static char *folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
}

static deq_journal *read_key(char *path, const deq_key key) {
    deq_error ignored = {0};
    deq_journal *j = path && !access(path, R_OK) ? deq_journal_read(path, &ignored) : NULL;
    free(path);
    if (!j || !strcmp(deq_journal_key(j), key)) return j;
    deq_journal_close(j);
    return NULL;
}

static deq_journal *clean_journal(const char *path, const deq_key key) {
    char name[sizeof(deq_key) + sizeof ".journal"] = "", *folder = folder_of(path);
    strcat(strcat(name, key), ".journal");
    deq_journal *j = folder ? read_key(deq_path_join(folder, name, NULL), key) : NULL;
    free(folder);
    if (j) return j;
    deq_store store;
    deq_store_open(&store, NULL, false);
    j = read_key(deq_store_path(&store, "journal", key, "journal"), key);
    deq_store_close(&store);
    return j;
}

void deq_clean_start(const json_t *about, const char *path, deq_record *records, int64_t n) {
    deq_key key;
    int64_t missing = 0;
    for (int64_t i = 0; i < n; i++) missing += isnan(records[i].clean_metric) && isnan(records[i].clean_loss);
    deq_journal *clean = missing && key_of(about, key) ? clean_journal(path, key) : NULL;
    for (int64_t i = 0; clean && i < n; i++) {
        const deq_record *was = deq_journal_find(clean, records[i].id);
        if (!was || !isnan(records[i].clean_metric) || !isnan(records[i].clean_loss)) continue;
        records[i].clean_metric = was->metric;
        records[i].clean_loss = was->loss;
    }
    deq_journal_close(clean);
}
