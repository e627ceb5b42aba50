/* evaluate.c - a trained net on a slice of data, clean or attacked: the records of its examples, found in the journal of
 * everything that decides them or made now, and what they say together. */
#define _GNU_SOURCE
#include "evaluation.h"
#include "measure.h"
#include "training_log.h"
#include "journal.h"
#include "output.h"
#include "ranks.h"
#include "signals.h"
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AT_ONCE 64 /* records copied at a time */

/* What an evaluation is told while it goes on. */
typedef struct Watch {
    deq_app *app;
    const deq_value_spec *value;
    double began, last; /* seconds; when records came last */
    atomic_llong done;  /* examples with a record */
    const int64_t *ids; /* of the examples */
    struct Place {
        int64_t id, row;
    } * places; /* where the record of an example goes, by ascending id */
    int64_t total;
    deq_record *records; /* of them */
    deq_journal *journal;
    deq_error unwritten; /* why it is done without: it could not be written */
    deq_ranks_cost before;
} Watch;

static bool on_progress(void *context, int64_t pass_done, int64_t pass) {
    Watch *w = context;
    const bool joined = w->value->attack && w->value->attack->joined; /* records come at the end of a piece */
    const int64_t done = w->done + (joined ? pass_done : 0), total = w->total;
    (void)pass;
    double elapsed = deq_now() - w->began;
    deq_progress_state s = {.what = w->value->name, .step = done, .steps = total, .row = deq_log_empty(), .left = NAN};
    if (pass_done && done && elapsed > 0) {
        s.row.examples_per_second = (double)done / elapsed;
        s.left = elapsed / (double)done * (double)(total - done);
    }
    if (deq_ranks_count() > 1) deq_ranks_spend(&s.cost, &w->before);
    if (done < total) deq_report_step(&w->app->reporter, &s);
    return !deq_interrupted_here();
}

static int by_id(const void *a, const void *b) {
    const struct Place *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static bool find_places(Watch *w) {
    w->places = malloc((size_t)(w->total + 1) * sizeof *w->places);
    for (int64_t i = 0; w->places && i < w->total; i++) w->places[i] = (struct Place){w->ids[i], i};
    if (w->places) qsort(w->places, (size_t)w->total, sizeof *w->places, by_id);
    return w->places;
}

static int64_t row_of(const Watch *w, int64_t id) {
    const struct Place key = {.id = id}, *found = bsearch(&key, w->places, (size_t)w->total, sizeof key, by_id);
    return found->row;
}

/* Records of n examples, which came since the last ones.  The journal of rank 0 takes those of all ranks; the others keep
 * what they make until it has. */
static void on_records(void *context, const deq_record *made, int64_t n, bool here) {
    Watch *w = context;
    const double now = deq_now();
    deq_record own[AT_ONCE];
    for (int64_t at = 0; at < n; at += AT_ONCE) {
        const int64_t count = n - at < AT_ONCE ? n - at : AT_ONCE;
        for (int64_t k = 0; k < count; k++) {
            own[k] = made[at + k];
            own[k].seconds = (float)((now - w->last) / (double)n);
            w->records[row_of(w, own[k].id)] = own[k];
        }
        if (w->journal && (here || deq_ranks_first()) && !deq_journal_append(w->journal, own, count, &w->unwritten))
            w->journal = NULL;
    }
    w->last = now;
    w->done += n;
}

/* ---- what is not known yet ---- */
/* Examples of one call of deq_measure: joined attacks have their records at its end only; buffers of attacked inputs
 * stay below MOST_INPUTS bytes. */
#define PIECE 4096
#define PIECE_JOINED 512
#define PIECE_LEAST 64
#define MOST_INPUTS ((size_t)64 << 20)

static int64_t piece_of(const deq_engine *engine, const deq_value_spec *v) {
    const int64_t most = v->attack && v->attack->joined ? PIECE_JOINED : PIECE;
    const int64_t fits = (int64_t)(MOST_INPUTS / deq_engine_input_bytes(engine));
    return fits > most ? most : fits < PIECE_LEAST ? PIECE_LEAST : fits;
}

/* The examples that have no record, a piece at a time. */
static bool measure_missing(const deq_measuring *m, const Watch *w, deq_error *e) {
    const int64_t piece = piece_of(m->engine, m->value);
    int64_t *index = malloc((size_t)piece * sizeof *index);
    deq_record *made =
        malloc((size_t)piece * sizeof *made); /* a megabyte: no stack can grow by it where memory is short */
    bool ok = index && made;
    if (!ok) deq_fail(e, DEQ_MEMORY, "out of memory to evaluate %lld examples", (long long)w->total);
    for (int64_t at = 0; ok && at < w->total && !deq_interrupted();) {
        int64_t count = 0;
        for (; at < w->total && count < piece; at++)
            if (w->records[at].id < 0) index[count++] = w->ids[at];
        ok = !count || deq_measure(m, index, count, made, e);
    }
    free(index);
    free(made);
    return ok;
}

/* Where each of the joined attacks has led, as far as the cache knows; free() it after closing them.  NULL: out of
 * memory, and the attacks are run. */
static deq_attacked **attacked_of(deq_app *app, deq_engine *engine, const deq_model *model, const deq_value_spec *v,
                                  const char *fingerprint, int *n) {
    *n = 0;
    for (const deq_attack_spec *a = v->attack; a; a = a->next) ++*n;
    deq_attacked **list = *n ? calloc((size_t)*n, sizeof(deq_attacked *)) : NULL;
    int k = 0;
    for (const deq_attack_spec *a = v->attack; list && a; a = a->next)
        list[k++] = deq_attacked_open(app, engine, model, v, a, fingerprint);
    return list;
}

/* Examples ids[0 .. n) of an evaluation, and what is known of them. */
typedef struct Wanted {
    const int64_t *ids; /* in any order, each once */
    int64_t n;
    deq_record *records;
    const deq_override *crafting; /* as of deq_measuring */
    int ncrafting;
    bool keep;                          /* where the attacks lead is kept, and found, for other evaluations */
    int64_t attacks_run, attacks_found; /* as of deq_evaluation */
    bool cached;
} Wanted;

static bool measure(deq_app *app, deq_engine *engine, const deq_model *model, const deq_value_spec *v,
                    deq_journal *journal, Wanted *of, const char *fingerprint, deq_error *e) {
    deq_dataset *data = deq_app_data(app, v->data.data, e);
    if (!data || !deq_dataset_load(data, v->data.test, e)) return false;
    deq_app_load_model(app, engine, model);
    const double now = deq_now();
    int attacks = 0;
    deq_attacked **attacked = of->keep ? attacked_of(app, engine, model, v, fingerprint, &attacks) : NULL;
    Watch watch = {.app = app,
                   .value = v,
                   .began = now,
                   .last = now,
                   .ids = of->ids,
                   .total = of->n,
                   .records = of->records,
                   .journal = journal,
                   .before = deq_ranks_spent()};
    for (int64_t i = 0; i < of->n; i++) watch.done += of->records[i].id >= 0;
    deq_measuring m = {.app = app,
                       .model = model,
                       .engine = engine,
                       .value = v,
                       .source = deq_dataset_source(data, v->data.test),
                       .seed = model->spec->seed,
                       .progress = on_progress,
                       .context = &watch,
                       .crafting = of->crafting,
                       .ncrafting = of->ncrafting,
                       .attacked = attacked,
                       .finished = on_records,
                       .run = &of->attacks_run,
                       .found = &of->attacks_found};
    deq_error own = {0};
    bool ok = find_places(&watch)
                  ? measure_missing(&m, &watch, &own)
                  : deq_fail(&own, DEQ_MEMORY, "out of memory to evaluate %lld examples", (long long)of->n);
    free(watch.places);
    for (int k = 0; attacked && k < attacks; k++) deq_attacked_close(attacked[k]);
    free(attacked);
    if (watch.unwritten.failure != DEQ_OK) deq_store_give_up(&app->store, watch.unwritten.text);
    if (deq_interrupted())
        return deq_fail(e, deq_interruption(),
                        "stopped during the evaluation '%s' of '%s'; the examples that were finished are kept in the "
                        "cache; run the same command again to go on",
                        v->name, model->label);
    return ok || deq_fail(e, own.failure, "%s", own.text);
}

static bool is_share(const deq_model *model, const deq_value_spec *v) {
    const deq_metric_spec *metric = deq_net_metric(model->spec->net, v->metric);
    return metric && metric->share;
}

/* Everything that decides the record of an example but the example, and whether metrics are shares. */
static json_t *about(deq_app *app, deq_engine *engine, const deq_model *model, const deq_value_spec *v,
                     const Wanted *of, const char *fingerprint) {
    json_t *crafting = json_object();
    json_t *what = json_pack("{s:i, s:i, s:s, s:s, s:s, s:s, s:s, s:b, s:s, s:s, s:b, s:I, s:o, s:o}", "abi",
                             DEQ_ABI_VERSION, "revision", DEQ_RECORDS_REVISION, "kind", "records", "net",
                             model->spec->net->hash, "model", model->key, "metric", v->metric ? v->metric : "",
                             "metric_hash", deq_net_metric_hash(model->spec->net, v->metric), "share",
                             is_share(model, v), "loss", v->loss ? v->loss : "", "files", fingerprint, "test",
                             (int)v->data.test, "seed", (json_int_t)model->spec->seed, "attack",
                             deq_app_attack_key(app, v->attack), "settings", deq_app_resolved(engine));
    for (int i = 0; i < of->ncrafting; i++)
        json_object_set_new(crafting, of->crafting[i].path, json_string(of->crafting[i].value));
    if (of->ncrafting) json_object_set(what, "crafting", crafting);
    if (v->compared.of) json_object_set_new(what, "compared", json_pack("[s, s]", v->compared.of, v->compared.to));
    json_decref(crafting);
    deq_app_link_key(app, model->spec->net, what);
    return what;
}

/* What ranks that are gone have left beside the journal KEY.journal: their records move there. */
static void take_over(deq_journal *journal, const char *path, const deq_key key) {
    char *folder = strdup(path), *slash = folder ? strrchr(folder, '/') : NULL;
    int n = 0;
    if (slash) *slash = 0;
    char **names = slash ? deq_files_ending(folder, ".ranks", &n) : NULL;
    for (int i = 0; i < n; i++) {
        char *of = strncmp(names[i], key, strlen(key)) ? NULL : deq_path_join(folder, names[i], NULL);
        deq_error ignored = {0};
        deq_journal *part = of ? deq_journal_read(of, &ignored) : NULL;
        bool taken = part && !strcmp(deq_journal_key(part), key);
        for (int64_t k = 0; taken && k < deq_journal_count(part); k++) {
            const deq_record *r = deq_journal_at(part, k);
            if (!deq_journal_find(journal, r->id)) taken = deq_journal_append(journal, r, 1, &ignored);
        }
        deq_journal_close(part);
        if (of && (taken || !part)) unlink(of);
        free(of);
        free(names[i]);
    }
    free(names);
    free(folder);
}

/* That of this rank, another than rank 0: begun anew, since rank 0 has taken over what stood in it. */
static deq_journal *journal_of_rank(deq_app *app, const json_t *what, const deq_key key, char **path) {
    char extension[40];
    deq_error ignored = {0};
    snprintf(extension, sizeof extension, "%d.ranks", deq_ranks_own());
    *path = deq_store_path(&app->store, "journal", key, extension);
    if (*path) unlink(*path);
    return *path ? deq_journal_open(*path, key, what, &ignored) : NULL;
}

/* The journal of what the store knows of this evaluation; NULL: the store is not used.  One that is not what it should
 * be is refused and begun anew. */
static deq_journal *journal_of(deq_app *app, const json_t *what, const deq_key key) {
    char *path = deq_store_path(&app->store, "journal", key, "journal");
    deq_error e = {0}, again = {0};
    if (path) deq_app_begin(app, key, path);
    deq_journal *j = path ? deq_journal_open(path, key, what, &e) : NULL;
    if (path && !j) {
        deq_store_refuse(&app->store, path, e.text);
        unlink(path);
        j = deq_journal_open(path, key, what, &again);
    }
    if (j) take_over(j, path, key);
    if (j && deq_journal_damaged(j))
        deq_store_refuse(&app->store, path, "it is damaged; the examples that are missing are made again");
    free(path);
    return j;
}

/* Their records, from the journal or measured now, with the settings in force. */
static bool find_or_measure(deq_app *app, deq_engine *engine, const deq_model *model, const deq_value_spec *v,
                            Wanted *of, deq_key key, deq_error *e) {
    char fingerprint[33];
    int64_t found = 0;
    deq_dataset *data = deq_app_data(app, v->data.data, e);
    if (!data || !deq_dataset_fingerprint(data, v->data.test, fingerprint, e)) return false;
    json_t *what = about(app, engine, model, v, of, fingerprint);
    deq_store_key(what, key);
    if (!deq_ranks_agree("evaluation (settings or data)", key, e)) {
        json_decref(what);
        return false;
    }
    char *own = NULL;
    deq_journal *journal = deq_ranks_first() ? journal_of(app, what, key) : NULL;
    for (int64_t i = 0; i < of->n; i++) {
        const deq_record *r = journal ? deq_journal_find(journal, of->ids[i]) : NULL;
        of->records[i] = r ? *r : deq_record_empty(-1);
        found += r != NULL;
    }
    deq_ranks_share(&found, sizeof found);
    if (found) deq_ranks_share(of->records, of->n * (int64_t)sizeof *of->records);
    of->cached = found == of->n;
    if (!of->cached && !deq_ranks_first()) journal = journal_of_rank(app, what, key, &own);
    bool ok = of->cached || measure(app, engine, model, v, journal, of, fingerprint, e);
    /* Rank 0 has written the records of all.  A rank that has failed alone comes to no more meetings. */
    if (!of->cached && (ok || deq_interrupted())) deq_ranks_wait();
    deq_journal_close(journal);
    if (own) unlink(own);
    free(own);
    json_decref(what);
    return ok;
}

/* Of the part of the attack that takes most; those against other nets are none of this engine's. */
static double example_bytes(deq_engine *engine, const deq_attack_spec *attack) {
    int64_t most = deq_engine_example_bytes(engine, NULL);
    for (; attack; attack = attack->next) {
        const int64_t own =
            attack->against.model || !attack->gradient ? 0 : deq_engine_example_bytes(engine, attack->gradient);
        if (own > most) most = own;
    }
    return most < 0 ? NAN : (double)most;
}

static bool evaluate(deq_app *app, deq_engine *engine, const deq_model *model, const deq_value_spec *v,
                     deq_evaluation *out, deq_error *e) {
    int64_t from, to;
    deq_dataset *data = deq_app_data(app, v->data.data, e);
    if (!data || !deq_dataset_slice(data, &v->data, &from, &to, e)) return false;
    out->examples = to - from;
    out->slice = (deq_slice){.data = v->data.data, .test = v->data.test, .from = from, .to = to};
    out->by_loss = !v->metric;
    out->share = is_share(model, v);
    out->records = malloc((size_t)out->examples * sizeof *out->records);
    int64_t *ids = malloc((size_t)out->examples * sizeof *ids);
    for (int64_t i = 0; ids && i < out->examples; i++) ids[i] = from + i;
    Wanted all = {.ids = ids, .n = out->examples, .records = out->records, .keep = true};
    bool ok = (out->records && ids) ||
              deq_fail(e, DEQ_MEMORY, "out of memory for the records of %lld examples", (long long)out->examples);
    ok = ok && find_or_measure(app, engine, model, v, &all, out->key, e);
    free(ids);
    if (!ok) return false;
    out->cached = all.cached;
    out->attacks_run = all.attacks_run;
    out->attacks_found = all.attacks_found;
    deq_evaluation_sum(out, (uint64_t)model->spec->seed);
    out->bytes = example_bytes(engine, v->attack);
    out->attacked = deq_app_attack_name(app, engine, model->spec->net, v->attack);
    out->trained = deq_app_attack_differs(app, model, engine, v->attack);
    if (out->trained)
        deq_report(&app->reporter, "note: %s of %s is under %s; the net was trained against %s", v->name, model->label,
                   out->attacked, out->trained);
    deq_evaluation_warn(app, engine, model, v, out);
    deq_evaluation_warn_unmade(app, engine, model, v);
    return true;
}

bool deq_app_known(deq_app *app, const deq_model *model, const deq_value_spec *v, deq_key key, int64_t *found,
                   deq_error *e) {
    char fingerprint[33];
    int64_t from, to;
    deq_engine *engine = deq_app_engine(app, model->spec->net, e);
    deq_dataset *data = engine ? deq_app_data(app, v->data.data, e) : NULL;
    *found = 0;
    if (!data || !deq_dataset_slice(data, &v->data, &from, &to, e) ||
        !deq_dataset_fingerprint(data, v->data.test, fingerprint, e))
        return false;
    const Wanted all = {.n = to - from};
    uint32_t token = deq_engine_save_settings(engine);
    bool ok = deq_app_as_trained(engine, model->spec, v->overrides, v->noverrides, e);
    json_t *what = ok ? about(app, engine, model, v, &all, fingerprint) : NULL;
    deq_engine_restore_settings(engine, token);
    if (what) deq_store_key(what, key);
    json_decref(what);
    char *path = what && !app->options->fresh ? deq_store_path(&app->store, "journal", key, "journal") : NULL;
    deq_error unread = {0};
    deq_journal *j = path && !access(path, R_OK) ? deq_journal_read(path, &unread) : NULL;
    for (int64_t i = from; j && i < to; i++) *found += deq_journal_find(j, i) != NULL;
    deq_journal_close(j);
    free(path);
    return ok;
}

bool deq_app_measure(deq_app *app, const deq_model *model, const deq_value_spec *v, const deq_override *changes,
                     int nchanges, bool crafting, const int64_t *ids, int64_t n, deq_record *records, deq_error *e) {
    deq_engine *engine = deq_app_engine(app, model->spec->net, e);
    deq_key key;
    Wanted some = {.ids = ids, .n = n, .records = records, .crafting = changes, .ncrafting = crafting ? nchanges : 0};
    if (!engine) return false;
    uint32_t token = deq_engine_save_settings(engine);
    bool ok = deq_app_as_trained(engine, model->spec, v->overrides, v->noverrides, e) &&
              (crafting || deq_app_override(engine, changes, nchanges, e)) &&
              find_or_measure(app, engine, model, v, &some, key, e);
    deq_engine_restore_settings(engine, token);
    return ok;
}

bool deq_app_evaluate(deq_app *app, const deq_model *model, const deq_value_spec *v, deq_evaluation *out,
                      deq_error *e) {
    deq_engine *engine = deq_app_engine(app, model->spec->net, e);
    if (!engine) return false;
    uint32_t token = deq_engine_save_settings(engine);
    bool ok = deq_app_as_trained(engine, model->spec, v->overrides, v->noverrides, e) &&
              evaluate(app, engine, model, v, out, e);
    deq_engine_restore_settings(engine, token);
    return ok;
}
