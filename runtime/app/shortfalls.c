#define _GNU_SOURCE
#include "shortfalls.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
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

/* `share` of `what` in one run. */
static void tell(deq_shortfalls *all, deq_reporter *r, const char *name, const char *label, const char *when,
                 double share, const char *what) {
    deq_shortfall *s = r->json ? NULL : entry(all, name, what);
    if (!s || s->runs == 0) deq_report_warning(r, "W0912", "%s: %s%.3g%% of %s", label, when, 100 * share, what);
    if (!s) return;
    s->when = when;
    s->runs++;
    s->most = fmax(s->most, share);
}

/* Whether this is the first run of `name` in which small shares fell short. */
static bool is_first(deq_shortfalls *all, deq_reporter *r, const char *name) {
    deq_shortfall *s = r->json ? NULL : entry(all, name, "");
    return !s || s->runs++ == 0;
}

#define FEW 0.01 /* shares below it are told together */

void deq_told_add(deq_told *t, double share, const char *format, ...) {
    char *text = NULL;
    va_list ap;
    if (!(share > 0) || t->n == DEQ_MOST_TOLD) return;
    va_start(ap, format);
    int length = vasprintf(&text, format, ap), at = t->n;
    va_end(ap);
    if (length < 0) return;
    for (; at > 0 && t->share[at - 1] < share; at--) t->share[at] = t->share[at - 1], t->text[at] = t->text[at - 1];
    t->share[at] = share;
    t->text[at] = text;
    t->n++;
}

void deq_told_say(deq_told *t, deq_shortfalls *all, deq_reporter *r, const char *name, const char *label,
                  const char *when) {
    char *few = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&few, &size);
    for (int i = 0; i < t->n; i++) {
        if (t->share[i] >= FEW || !f)
            tell(all, r, name, label, when, t->share[i], t->text[i]);
        else
            fprintf(f, "%s%.2g%% of %s", ftell(f) ? "; " : "", 100 * t->share[i], t->text[i]);
        free(t->text[i]);
    }
    if (f) fclose(f);
    if (size && is_first(all, r, name)) deq_report_warning(r, "W0912", "%s: %sa few: %s", label, when, few);
    free(few);
    *t = (deq_told){0};
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
