#include "shortfalls.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The entry of these runs, new with runs = 0; NULL: out of memory. */
static deq_shortfall *entry(deq_shortfalls *all, const char *name, const char *what) {
    size_t length = strcspn(what, ";(");
    while (length && what[length - 1] == ' ') length--;
    for (int i = 0; i < all->n; i++)
        if (!strcmp(all->list[i].name, name) && strlen(all->list[i].what) == length &&
            !strncmp(all->list[i].what, what, length))
            return &all->list[i];
    if (all->n == all->capacity) {
        const int capacity = all->capacity ? 2 * all->capacity : 16;
        deq_shortfall *list = realloc(all->list, (size_t)capacity * sizeof *list);
        if (!list) return NULL;
        all->list = list, all->capacity = capacity;
    }
    deq_shortfall *s = &all->list[all->n];
    *s = (deq_shortfall){.name = strdup(name), .what = strndup(what, length), .when = ""};
    if (s->name && s->what) return all->n++, s;
    free(s->name);
    free(s->what);
    return NULL;
}

void deq_shortfall_tell(deq_shortfalls *all, deq_reporter *r, const char *name, const char *label, const char *when,
                        double share, const char *what) {
    deq_shortfall *s = r->json ? NULL : entry(all, name, what);
    if (!s || s->runs == 0) deq_report_warning(r, "W0912", "%s: %s%.3g%% of %s", label, when, 100 * share, what);
    if (!s) return;
    s->when = when;
    s->runs++;
    s->most = fmax(s->most, share);
}

bool deq_shortfall_first(deq_shortfalls *all, deq_reporter *r, const char *name) {
    deq_shortfall *s = r->json ? NULL : entry(all, name, "");
    return !s || s->runs++ == 0;
}

void deq_shortfalls_end(deq_shortfalls *all, deq_reporter *r) {
    for (int i = 0; i < all->n; i++) {
        const deq_shortfall *s = &all->list[i];
        if (s->runs > 1 && s->most > 0)
            deq_report_warning(r, "W0912", "%s, %d runs: %sup to %.3g%% of %s", s->name, s->runs, s->when,
                               100 * s->most, s->what);
        free(s->name);
        free(s->what);
    }
    free(all->list);
    *all = (deq_shortfalls){0};
}
