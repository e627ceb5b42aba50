/* card.c - `deq report --card`: a card for every evaluation under an attack, with the fields of RobustBench's model cards.
 *
 * What was evaluated stands in the journals that the results name.  Its verdict stands in the results, by the journal's
 * key: a card has none of its own.  A field that deq cannot know is null.  autoattack_acc is always null: whether an
 * attack of a script is AutoAttack, as RobustBench runs it, is for whoever submits to show; robust_acc says what was
 * measured, under which attack, and how far it can be trusted. */
#define _GNU_SOURCE
#include "interval.h"
#include "journal.h"
#include "output.h"
#include "page.h"
#include "progress.h"
#include "report.h"
#include "seal.h"
#include "store.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEY = 32 }; /* hexadecimal digits of a journal's key */

typedef struct Seen { /* an evaluation */
    char key[KEY + 1];
    deq_journal *journal;
    const json_t *about;
    deq_record *records;
    int64_t n;
} Seen;

typedef struct Cards {
    const char *folder;
    json_t *settings, *said; /* settings.json; of all values that are an evaluation, {experiment, cell, value} */
    deq_store store;
    Seen *list;
    int n;
} Cards;

static const char *text_of(const json_t *o, const char *key) { return json_string_value(json_object_get(o, key)); }

/* ---- reading ---- */
static bool add_journal(Cards *c, const char *key, deq_error *e) {
    for (int i = 0; i < c->n; i++)
        if (!strcmp(c->list[i].key, key)) return true;
    char *path = deq_store_path(&c->store, "journal", key, "journal");
    if (!path) return deq_fail(e, DEQ_MEMORY, "out of memory");
    if (access(path, F_OK) != 0) return free(path), true; /* the key of a net, or an entry that has gone */
    Seen *grown = realloc(c->list, (size_t)(c->n + 1) * sizeof *grown);
    if (!grown) return free(path), deq_fail(e, DEQ_MEMORY, "out of memory");
    c->list = grown;
    Seen *s = &c->list[c->n];
    *s = (Seen){.journal = deq_journal_read(path, e)};
    free(path);
    if (!s->journal) return false;
    c->n++;
    strcpy(s->key, key);
    s->about = deq_journal_about(s->journal);
    const int64_t all = deq_journal_count(s->journal);
    s->records = malloc((size_t)(all + 1) * sizeof *s->records);
    for (int64_t i = 0; s->records && i < all; i++) {
        const deq_record *r = deq_journal_at(s->journal, i);
        if (!r) return deq_fail(e, DEQ_MEMORY, "out of memory for the records of %s", key);
        s->records[s->n++] = *r;
    }
    return s->records || deq_fail(e, DEQ_MEMORY, "out of memory for the records of %s", key);
}

/* Every key in the table's raw lines. */
static bool read_csv(Cards *c, const char *path, deq_error *e) {
    char *csv = deq_csv_is_sealed(path) ? deq_sealed_csv(path, e) : NULL;
    bool ok = e->failure == DEQ_OK;
    for (const char *at = csv; ok && at && *at;) {
        const size_t n = strspn(at, "0123456789abcdef");
        char key[KEY + 1] = "";
        if (n == KEY) ok = add_journal(c, memcpy(key, at, KEY), e);
        at += n ? n : 1;
    }
    free(csv);
    return ok;
}

/* TABLE-table.json and EXPERIMENT-verdicts.json have `cells`, FIGURE-figure.json has `points`, whose x is a value too. */
static bool read_values(Cards *c, const char *path, deq_error *e) {
    json_t *file = deq_sealed_json(path, e), *cell, *value;
    const json_t *cells = json_object_get(file, "cells");
    size_t i, k;
    json_array_foreach(cells ? cells : json_object_get(file, "points"), i, cell) {
        json_t *all = json_array(), *x = json_object_get(cell, "x");
        json_array_extend(all, json_object_get(cell, "values"));
        if (x) json_array_append(all, x);
        json_array_foreach(all, k, value) {
            const char *key = text_of(value, "journal");
            if (!key || strlen(key) != KEY || e->failure != DEQ_OK || !add_journal(c, key, e)) continue;
            json_array_append_new(c->said,
                                  json_pack("{s:O, s:O, s:O}", "experiment", json_object_get(file, "experiment"),
                                            "cell", json_object_get(cell, "coordinates"), "value", value));
        }
        json_decref(all);
    }
    json_decref(file);
    return e->failure == DEQ_OK;
}

static bool each_file(Cards *c, const char *ending, bool (*read)(Cards *, const char *, deq_error *), deq_error *e) {
    int n;
    bool ok = true;
    char **names = deq_files_ending(c->folder, ending, &n);
    for (int i = 0; i < n; i++) {
        char *path = deq_path_join(c->folder, names[i], NULL);
        ok = ok && path && read(c, path, e);
        free(path);
        free(names[i]);
    }
    free(names);
    return ok;
}

/* ---- a card ---- */
static deq_interval accuracy(const Seen *s) {
    int64_t right = 0;
    for (int64_t i = 0; i < s->n; i++) right += s->records[i].label >= 0 && !deq_record_wrong(&s->records[i]);
    return deq_wilson(right, s->n);
}

static json_t *percent(double share) {
    char text[32];
    snprintf(text, sizeof text, "%.2f", 100 * share);
    return isfinite(share) ? json_string(text) : json_null();
}

static bool attacked(const Seen *s) {
    const json_t *attack = json_object_get(s->about, "attack");
    return attack && !json_is_null(attack);
}

/* The same net with the same settings on the same examples, not attacked. */
static const Seen *clean_of(const Cards *c, const Seen *s) {
    static const char *const same[] = {"model", "files", "test", "metric", "settings"};
    for (int i = 0; i < c->n; i++) {
        bool fits = c->list[i].n == s->n && !attacked(&c->list[i]);
        for (size_t k = 0; k < sizeof same / sizeof *same; k++)
            fits = fits && json_equal(json_object_get(c->list[i].about, same[k]), json_object_get(s->about, same[k]));
        for (int64_t k = 0; fits && k < s->n; k++) fits = c->list[i].records[k].id == s->records[k].id;
        if (fits) return &c->list[i];
    }
    return NULL;
}

static int level_of(const json_t *value) {
    static const char *const levels[] = {"reliable", "suspect", "masked"};
    const char *verdict = text_of(value, "verdict");
    for (int k = 0; verdict && k < 3; k++)
        if (!strcmp(verdict, levels[k])) return k;
    return -1;
}

/* The value with the worst verdict that the results give this evaluation, of equal ones that with the largest audit.
 * NULL: none. */
static const json_t *said_of(const Cards *c, const Seen *s) {
    const json_t *found = NULL;
    json_t *said;
    size_t i;
    json_array_foreach(c->said, i, said) {
        const json_t *value = json_object_get(said, "value");
        const int level = level_of(value), worst = level_of(found);
        if (level < 0 || strcmp(text_of(value, "journal"), s->key) != 0) continue;
        if (level > worst || (level == worst && json_integer_value(json_object_get(value, "audited")) >
                                                    json_integer_value(json_object_get(found, "audited"))))
            found = value;
    }
    return found;
}

/* Where the evaluation stands: [{experiment, name, cell}], each once. */
static json_t *places_of(const Cards *c, const Seen *s) {
    json_t *places = json_array(), *said, *other;
    size_t i, k;
    json_array_foreach(c->said, i, said) {
        const json_t *value = json_object_get(said, "value");
        if (strcmp(text_of(value, "journal"), s->key) != 0) continue;
        json_t *place = json_pack("{s:O, s:O, s:O}", "experiment", json_object_get(said, "experiment"), "name",
                                  json_object_get(value, "title"), "cell", json_object_get(said, "cell"));
        bool known = false;
        json_array_foreach(places, k, other) known = known || json_equal(place, other);
        if (!known) json_array_append(places, place);
        json_decref(place);
    }
    return places;
}

/* What all training runs of that net say at `outer`, or within it at `inner`; the journal does not tell which run it was.
 * NULL: they differ. */
static const char *train_text(const Cards *c, const Seen *s, const char *outer, const char *inner) {
    const json_t *net = json_object_get(s->about, "net");
    const char *found = NULL;
    json_t *train;
    size_t i;
    json_array_foreach(json_object_get(c->settings, "trains"), i, train) {
        if (!json_equal(json_object_get(train, "net_hash"), net)) continue;
        const char *text = inner ? text_of(json_object_get(train, outer), inner) : text_of(train, outer);
        if (!text || (found && strcmp(found, text) != 0)) return NULL;
        found = text;
    }
    return found;
}

/* The radius of all parts of an attack; NaN where they differ or have none. */
static double radius_of(const json_t *attack) {
    const char *name;
    json_t *part;
    double radius = NAN, of;
    json_object_foreach((json_t *)(uintptr_t)attack, name, part) {
        of = !strcmp(name, "radius") && json_is_number(part) ? json_number_value(part) : radius_of(part);
        if (!isnan(of) && !isnan(radius) && of != radius) return NAN;
        if (!isnan(of)) radius = of;
    }
    for (size_t i = 0; i < json_array_size(attack); i++) {
        of = radius_of(json_array_get(attack, i));
        if (isnan(of) || (i && of != radius)) return NAN;
        radius = of;
    }
    return radius;
}

static void judge(const Cards *c, const Seen *s, json_t *card) {
    static const char *const members[] = {"verdict", "reasons", "audited"};
    const json_t *said = said_of(c, s);
    if (said)
        for (size_t k = 0; k < sizeof members / sizeof *members; k++)
            json_object_set(card, members[k], json_object_get(said, members[k]));
    else
        json_object_update_new(card, json_pack("{s:n, s:[{s:s}], s:n}", "verdict", "reasons", "text",
                                               "no file of these results has a verdict on this evaluation", "audited"));
    json_object_set_new(card, "unreliable", json_boolean(level_of(said) != 0));
    json_object_set_new(card, "attack_name", said ? json_incref(json_object_get(said, "attack")) : json_null());
    json_object_set_new(card, "evaluations", places_of(c, s));
}

static json_t *card_of(const Cards *c, const Seen *s) {
    const Seen *clean = clean_of(c, s);
    const json_t *attack = json_object_get(s->about, "attack");
    const double radius = radius_of(attack);
    char eps[40] = "";
    if (isfinite(radius)) snprintf(eps, sizeof eps, "%.9g", radius);
    const deq_interval v = accuracy(s);
    json_t *card = json_pack("{s:n, s:s?, s:n, s:n, s:n, s:s?, s:n, s:s?, s:o, s:o, s:n, s:n}", "link", "name",
                             train_text(c, s, "name", NULL), "authors", "additional_data", "number_forward_passes",
                             "dataset", train_text(c, s, "data", "data"), "venue", "architecture",
                             train_text(c, s, "net", NULL), "eps", *eps ? json_string(eps) : json_null(), "clean_acc",
                             percent(clean ? accuracy(clean).value : NAN), "reported", "autoattack_acc");
    json_object_set_new(
        card, "footnote",
        json_string("robust_acc is accuracy under this attack alone, an upper bound on robustness; it is no "
                    "result of AutoAttack"));
    json_object_set_new(card, "robust_acc", percent(v.value));
    json_object_set_new(card, "robust_acc_interval", json_pack("[o, o]", percent(v.low), percent(v.high)));
    json_object_set_new(card, "examples", json_integer(s->n));
    json_object_set(card, "attack", (json_t *)(uintptr_t)attack);
    judge(c, s, card);
    json_object_set_new(card, "journals", json_pack("[s, s*]", s->key, clean ? clean->key : NULL));
    return card;
}

static bool write_cards(Cards *c, const char *path, int *cards, deq_error *e) {
    json_t *list = json_array();
    for (int i = 0; i < c->n; i++) {
        const char *metric = text_of(c->list[i].about, "metric");
        if (metric && !strcmp(metric, "accuracy") && attacked(&c->list[i]))
            json_array_append_new(list, card_of(c, &c->list[i]));
    }
    *cards = (int)json_array_size(list);
    char *text = json_dumps(list, JSON_INDENT(2));
    const bool ok = *cards ? (text || deq_fail(e, DEQ_MEMORY, "out of memory for cards")) &&
                                 deq_output_replaceable(path, "[\n  {\n    \"link\"", 16, e) &&
                                 deq_output_write(path, text, strlen(text), e)
                           : deq_fail(e, DEQ_REPORT,
                                      "'%s' has no accuracy under an attack whose journal is in the cache", c->folder);
    free(text);
    json_decref(list);
    return ok;
}

int deq_app_cards(const char *folder, const char *path, bool json) {
    deq_reporter r;
    deq_error e = {0};
    Cards c = {.folder = folder, .said = json_array()};
    int cards = 0;
    deq_reporter_open(&r, json, false);
    deq_store_open(&c.store, NULL, false);
    char *own = path ? NULL : deq_path_join(folder, "cards.json", NULL),
         *from = deq_path_join(folder, "settings.json", NULL);
    c.settings = from ? deq_sealed_json(from, &e) : NULL;
    bool ok = c.settings || e.failure != DEQ_OK ? c.settings != NULL : deq_report_nothing(folder, &e);
    ok = ok && each_file(&c, "-table.json", read_values, &e) && each_file(&c, "-figure.json", read_values, &e) &&
         each_file(&c, "-verdicts.json", read_values, &e) && each_file(&c, ".csv", read_csv, &e) &&
         write_cards(&c, path ? path : own, &cards, &e);
    if (ok) {
        deq_report(&r, "%s: %d cards", path ? path : own, cards);
        deq_report_event(&r, "cards", json_pack("{s:s, s:i}", "path", path ? path : own, "cards", cards));
    } else {
        deq_report_error(&r, &e);
    }
    for (int i = 0; i < c.n; i++) {
        deq_journal_close(c.list[i].journal);
        free(c.list[i].records);
    }
    free(c.list);
    json_decref(c.said);
    json_decref(c.settings);
    deq_store_close(&c.store);
    free(own);
    free(from);
    return ok ? 0 : deq_failure_exit(e.failure);
}
