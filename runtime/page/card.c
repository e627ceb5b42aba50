/* card.c - `deq report --card`: a card for every evaluation under an attack, with the fields of RobustBench's model cards.
 *
 * What was evaluated stands in the results: each value under an attack names its journal and which examples of it were
 * meant.  A journal has those of every slice that was ever evaluated, so only these are read; where some are missing, or
 * say something else than the value, there is no card, and a warning says why.  The verdict stands with the value: a card
 * has none of its own.  A field that deq cannot know is null.  autoattack_acc is always null: whether an attack of a
 * script is AutoAttack, as RobustBench runs it, is for whoever submits to show; robust_acc says what was measured, under
 * which attack, and how far it can be trusted. */
#define _GNU_SOURCE
#include "interval.h"
#include "journal.h"
#include "output.h"
#include "page.h"
#include "progress.h"
#include "report.h"
#include "seal.h"
#include "store.h"
#include "verdict.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEY = 32 }; /* hexadecimal digits of a journal's key */

typedef struct Cards {
    const char *folder;
    deq_reporter reporter;
    json_t *settings, *said; /* settings.json; of all values that are an evaluation, {experiment, cell, value} */
    deq_store store;
    deq_journal **journals; /* that the results name, as far as the cache has them */
    int n;
} Cards;

static const char *text_of(const json_t *o, const char *key) { return json_string_value(json_object_get(o, key)); }

/* ---- reading ---- */
static deq_journal *journal_of(const Cards *c, const char *key) {
    for (int i = 0; i < c->n; i++)
        if (!strcmp(deq_journal_key(c->journals[i]), key)) return c->journals[i];
    return NULL;
}

static bool add_journal(Cards *c, const char *key, deq_error *e) {
    if (journal_of(c, key)) return true;
    char *path = deq_store_path(&c->store, "journal", key, "journal");
    if (!path) return deq_fail(e, DEQ_MEMORY, "out of memory");
    if (access(path, F_OK) != 0) return free(path), true; /* the key of a net, or an entry that has gone */
    deq_journal **grown = realloc(c->journals, (size_t)(c->n + 1) * sizeof(deq_journal *));
    if (!grown) return free(path), deq_fail(e, DEQ_MEMORY, "out of memory");
    c->journals = grown;
    deq_journal *j = deq_journal_read(path, e);
    free(path);
    if (!j) return false;
    c->journals[c->n++] = j;
    if (deq_journal_damaged(j))
        deq_report_warning(&c->reporter, "W0822", "the journal %s is damaged; nothing is said of what is missing", key);
    return strcmp(deq_journal_key(j), key) == 0 ||
           deq_fail(e, DEQ_JOURNAL, "the journal %s of the cache is that of %s", key, deq_journal_key(j));
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

/* ---- an evaluation ---- */
typedef struct Evaluation { /* a value of the results, and what it stands on */
    const json_t *value;
    deq_journal *journal; /* NULL: the cache has none */
    int64_t from, to;     /* examples */
} Evaluation;

static Evaluation evaluation_of(const Cards *c, const json_t *value) {
    const json_t *slice = json_object_get(value, "slice");
    return (Evaluation){value, journal_of(c, text_of(value, "journal")),
                        json_integer_value(json_object_get(slice, "from")),
                        json_integer_value(json_object_get(slice, "to"))};
}

static int64_t missing_of(const deq_journal *j, const Evaluation *v) {
    int64_t missing = 0;
    for (int64_t id = v->from; id < v->to; id++) missing += !deq_journal_find(j, id);
    return missing;
}

/* Of these examples, by the journal, which has all of them. */
static deq_interval accuracy(const deq_journal *j, const Evaluation *v) {
    int64_t right = 0;
    for (int64_t id = v->from; id < v->to; id++) {
        const deq_record *r = deq_journal_find(j, id);
        right += r->label >= 0 && r->prediction == r->label;
    }
    return deq_wilson(right, v->to - v->from);
}

static json_t *percent(double share) {
    char text[32];
    snprintf(text, sizeof text, "%.2f", 100 * share);
    return isfinite(share) ? json_string(text) : json_null();
}

/* What a journal is of. */
static const json_t *about(const deq_journal *j, const char *member) {
    return json_object_get(deq_journal_about(j), member);
}

static bool attacked(const deq_journal *j) {
    const json_t *attack = about(j, "attack");
    return attack && !json_is_null(attack);
}

static bool is_accuracy(const deq_journal *j) {
    const char *metric = json_string_value(about(j, "metric"));
    return metric && !strcmp(metric, "accuracy");
}

/* The same net with the same settings on the same examples, not attacked. */
static const deq_journal *clean_of(const Cards *c, const Evaluation *v) {
    static const char *const same[] = {"model", "files", "test", "metric", "metric_hash", "settings"};
    for (int i = 0; i < c->n; i++) {
        bool fits = !attacked(c->journals[i]);
        for (size_t k = 0; k < sizeof same / sizeof *same; k++)
            fits = fits && json_equal(about(c->journals[i], same[k]), about(v->journal, same[k]));
        if (fits && !missing_of(c->journals[i], v)) return c->journals[i];
    }
    return NULL;
}

/* Whether two values are the same examples of one evaluation. */
static bool is_same(const json_t *a, const json_t *b) {
    return json_equal(json_object_get(a, "journal"), json_object_get(b, "journal")) &&
           json_equal(json_object_get(a, "slice"), json_object_get(b, "slice"));
}

static deq_verdict_level level_of(const json_t *value) { return deq_verdict_named(text_of(value, "verdict")); }

/* The value with the worst verdict that the results give this evaluation, of equal ones that with the largest audit.
 * NULL: none. */
static const json_t *judged_of(const Cards *c, const Evaluation *v) {
    const json_t *found = NULL;
    json_t *said;
    size_t i;
    json_array_foreach(c->said, i, said) {
        const json_t *value = json_object_get(said, "value");
        const deq_verdict_level level = level_of(value), worst = level_of(found);
        if (!level || !is_same(value, v->value)) continue;
        if (level > worst || (level == worst && json_integer_value(json_object_get(value, "audited")) >
                                                    json_integer_value(json_object_get(found, "audited"))))
            found = value;
    }
    return found;
}

/* Where the evaluation stands: [{experiment, name, cell}], each once. */
static json_t *places_of(const Cards *c, const Evaluation *v) {
    json_t *places = json_array(), *said, *other;
    size_t i, k;
    json_array_foreach(c->said, i, said) {
        const json_t *value = json_object_get(said, "value");
        if (!is_same(value, v->value)) continue;
        json_t *place = json_pack("{s:O, s:O, s:O}", "experiment", json_object_get(said, "experiment"), "name",
                                  json_object_get(value, "title"), "cell", json_object_get(said, "cell"));
        bool known = false;
        json_array_foreach(places, k, other) known = known || json_equal(place, other);
        if (!known) json_array_append(places, place);
        json_decref(place);
    }
    return places;
}

/* ---- a card ---- */
/* What all training runs of that net say at `outer`, or within it at `inner`; the journal does not tell which run it was.
 * NULL: they differ. */
static const char *train_text(const Cards *c, const Evaluation *v, const char *member) {
    const json_t *net = about(v->journal, "net");
    const char *found = NULL;
    json_t *train;
    size_t i;
    json_array_foreach(json_object_get(c->settings, "trains"), i, train) {
        if (!json_equal(json_object_get(train, "net_hash"), net)) continue;
        const char *text = text_of(train, member);
        if (!text || (found && strcmp(found, text) != 0)) return NULL;
        found = text;
    }
    return found;
}

/* The radius of all parts of an attack; null where they differ, or where one has none. */
static json_t *radius_of(const json_t *attack) {
    const json_t *first = NULL;
    for (const json_t *part = attack; part; part = json_object_get(part, "next")) {
        const json_t *radius = json_object_get(json_object_get(part, "scalars"), "radius");
        if (!json_is_number(radius) || (first && json_number_value(first) != json_number_value(radius)))
            return json_null();
        first = radius;
    }
    char text[40];
    snprintf(text, sizeof text, "%.9g", json_number_value(first));
    return json_string(text);
}

static void judge(const Cards *c, const Evaluation *v, json_t *card) {
    static const char *const members[] = {"verdict", "reasons", "audited"};
    const json_t *judged = judged_of(c, v);
    if (judged)
        for (size_t k = 0; k < sizeof members / sizeof *members; k++)
            json_object_set(card, members[k], json_object_get(judged, members[k]));
    else
        json_object_update_new(card, json_pack("{s:n, s:[{s:s}], s:n}", "verdict", "reasons", "text",
                                               "no file of these results has a verdict on this evaluation", "audited"));
    json_object_set_new(card, "unreliable", json_boolean(level_of(judged) != DEQ_RELIABLE));
    json_object_set(card, "attack_name", json_object_get(v->value, "attack"));
    json_object_set_new(card, "evaluations", places_of(c, v));
}

static json_t *card_of(const Cards *c, const Evaluation *v) {
    const deq_journal *clean = clean_of(c, v);
    const json_t *attack = about(v->journal, "attack");
    const deq_interval share = accuracy(v->journal, v);
    json_t *card = json_pack("{s:n, s:s?, s:n, s:n, s:n, s:O, s:n, s:s?, s:o, s:o, s:n, s:n}", "link", "name",
                             train_text(c, v, "name"), "authors", "additional_data", "number_forward_passes", "dataset",
                             json_object_get(json_object_get(v->value, "slice"), "data"), "venue", "architecture",
                             train_text(c, v, "net"), "eps", radius_of(attack), "clean_acc",
                             percent(clean ? accuracy(clean, v).value : NAN), "reported", "autoattack_acc");
    json_object_set_new(
        card, "footnote",
        json_string("robust_acc is accuracy under this attack alone, an upper bound on robustness; it is no "
                    "result of AutoAttack"));
    json_object_set_new(card, "robust_acc", percent(share.value));
    json_object_set_new(card, "robust_acc_interval", json_pack("[o, o]", percent(share.low), percent(share.high)));
    json_object_set_new(card, "examples", json_integer(v->to - v->from));
    json_object_set(card, "slice", json_object_get(v->value, "slice"));
    json_object_set(card, "attack", (json_t *)(uintptr_t)attack);
    judge(c, v, card);
    json_object_set_new(card, "journals",
                        json_pack("[s, s*]", deq_journal_key(v->journal), clean ? deq_journal_key(clean) : NULL));
    return card;
}

/* ---- all of them ---- */
/* Whether the value is what the journal says of its examples; a warning otherwise. */
static bool is_whole(Cards *c, const json_t *said, const Evaluation *v) {
    const char *name = text_of(v->value, "title"), *of = text_of(said, "experiment"),
               *key = text_of(v->value, "journal");
    const int64_t missing = v->journal ? missing_of(v->journal, v) : 0, n = v->to - v->from;
    const double value = json_number_value(json_object_get(v->value, "value"));
    if (!v->journal)
        deq_report_warning(&c->reporter, "W0822", "'%s' of '%s' has no card: the cache has no journal %s", name, of,
                           key);
    else if (n < 1)
        deq_report_warning(&c->reporter, "W0822",
                           "'%s' of '%s' has no card: an older version wrote these results, which do not say of which "
                           "examples it is; run the script again",
                           name, of);
    else if (missing)
        deq_report_warning(&c->reporter, "W0822",
                           "'%s' of '%s' has no card: of its %" PRId64 " records %" PRId64 " are not in the journal %s",
                           name, of, n, missing, key);
    else if (!(fabs(accuracy(v->journal, v).value - value) < 1e-6))
        deq_report_warning(&c->reporter, "W0822",
                           "'%s' of '%s' has no card: it is %.4f in the results and %.4f in the journal %s", name, of,
                           value, accuracy(v->journal, v).value, key);
    else
        return true;
    return false;
}

/* Evaluations under an attack that a table rests on, and that no value is: the file that has it is gone. */
static void tell_unsaid(Cards *c) {
    json_t *said;
    size_t k;
    for (int i = 0; i < c->n; i++) {
        const char *key = deq_journal_key(c->journals[i]);
        bool found = !attacked(c->journals[i]) || !is_accuracy(c->journals[i]);
        json_array_foreach(c->said, k, said) {
            found = found || !strcmp(text_of(json_object_get(said, "value"), "journal"), key);
        }
        if (!found)
            deq_report_warning(&c->reporter, "W0822",
                               "the accuracy of the journal %s has no card: the file with its verdict is not there",
                               key);
    }
}

static json_t *cards_of(Cards *c) {
    json_t *list = json_array(), *said;
    size_t i;
    json_array_foreach(c->said, i, said) {
        const Evaluation v = evaluation_of(c, json_object_get(said, "value"));
        bool known =
            !json_object_get(v.value, "attack") || (v.journal && (!attacked(v.journal) || !is_accuracy(v.journal)));
        for (size_t k = 0; k < i && !known; k++)
            known = is_same(json_object_get(json_array_get(c->said, k), "value"), v.value);
        if (!known && is_whole(c, said, &v)) json_array_append_new(list, card_of(c, &v));
    }
    tell_unsaid(c);
    return list;
}

static bool write_cards(Cards *c, const char *path, int *cards, deq_error *e) {
    json_t *list = cards_of(c);
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
    deq_error e = {0};
    Cards c = {.folder = folder, .said = json_array()};
    int cards = 0;
    deq_reporter_open(&c.reporter, json, false);
    deq_store_open(&c.store, NULL, false);
    char *own = path ? NULL : deq_path_join(folder, "cards.json", NULL),
         *from = deq_path_join(folder, "settings.json", NULL);
    c.settings = from ? deq_sealed_json(from, &e) : NULL;
    bool ok = c.settings || e.failure != DEQ_OK ? c.settings != NULL : deq_report_nothing(folder, &e);
    ok = ok && each_file(&c, "-table.json", read_values, &e) && each_file(&c, "-figure.json", read_values, &e) &&
         each_file(&c, "-verdicts.json", read_values, &e) && each_file(&c, ".csv", read_csv, &e) &&
         write_cards(&c, path ? path : own, &cards, &e);
    if (ok) {
        deq_report(&c.reporter, "%s: %d cards", path ? path : own, cards);
        deq_report_event(&c.reporter, "cards", json_pack("{s:s, s:i}", "path", path ? path : own, "cards", cards));
    } else {
        deq_report_error(&c.reporter, &e);
    }
    for (int i = 0; i < c.n; i++) deq_journal_close(c.journals[i]);
    free(c.journals);
    json_decref(c.said);
    json_decref(c.settings);
    deq_store_close(&c.store);
    free(own);
    free(from);
    return ok ? 0 : deq_failure_exit(e.failure);
}
