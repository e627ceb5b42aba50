/* store.h - the cache of finished work: trained nets and evaluation results, found again by what decides them.
 *
 * FOLDER/KIND/KEY.EXTENSION, KEY = XXH3-128 of a canonical JSON text of everything the result depends on.  A cache that
 * cannot be written, or that others can write to, is reported once and then done without.  What it holds is verified,
 * never trusted: every entry carries its kind and key, the program's version and a checksum of it all, and one that is
 * damaged, another's under this name, a link or another user's is refused and said. */
#ifndef DEQ_RUNTIME_STORE_H
#define DEQ_RUNTIME_STORE_H
#include "error.h"
#include <jansson.h>

typedef char deq_key[33];

typedef struct deq_store {
    char *folder;
    bool usable;                                      /* can be written */
    bool fresh;                                       /* pretend that it is empty */
    char problem[300];                                /* why it is not usable */
    void (*refused)(void *context, const char *text); /* told of every entry that is refused; NULL: nobody */
    void *context;
} deq_store;

/* folder NULL: $XDG_CACHE_HOME/deq, else $HOME/.cache/deq. */
void deq_store_open(deq_store *s, const char *folder, bool fresh);
void deq_store_close(deq_store *s);
/* Key of a JSON value, independent of the order of its members. */
void deq_store_key(const json_t *what, deq_key out);
/* Path of an entry, its folder made; free() it.  NULL when the store is not usable. */
char *deq_store_path(deq_store *s, const char *kind, const deq_key key, const char *extension);
/* The stored value, or NULL (not there, fresh, of another version, refused). */
json_t *deq_store_get(deq_store *s, const char *kind, const deq_key key);
/* Says that the file of an entry is not what it should be. */
void deq_store_refuse(const deq_store *s, const char *path, const char *why);
/* Something of it cannot be written: it is no longer used, and s->problem says why. */
void deq_store_give_up(deq_store *s, const char *why);
/* Failures are kept in s->problem and make the store unusable: results stand without it. */
void deq_store_put(deq_store *s, const char *kind, const deq_key key, const json_t *value);
#endif
