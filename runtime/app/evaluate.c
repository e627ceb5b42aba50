/* evaluate.c - a trained net on a slice of data, clean or attacked: the records of its examples, found in the journal of
 * everything that decides them or made now, and what they say together. */
#define _GNU_SOURCE
#include "measure.h"
#include "checkpoint.h"
#include "training_log.h"
#include "defence.h"
#include "journal.h"
#include "output.h"
#include "random.h"
#include "ranks.h"
#include "signals.h"
#include <math.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

deq_attack deq_app_attack(const deq_attack_spec *spec, double *scalars) {
    for (int i = 0; i < spec->nscalars; i++) scalars[i] = spec->scalars[i].value;
    return (deq_attack){.routine = spec->routine,
                        .scalars = scalars,
                        .gradient = spec->gradient,
                        .surrogate = spec->surrogate,
                        .defended = deq_attack_knows_defence(spec)};
}

uint64_t deq_app_attack_seed(const deq_attack_spec *spec, uint64_t seed) {
    return spec && spec->restart ? deq_key_mix(seed, (uint64_t)spec->restart) : seed;
}

#define AT_ONCE 64 /* records copied at a time */

bool deq_app_load_model(deq_app *app, deq_engine *engine, const deq_model *model, deq_error *e) {
    (void)e;
    memcpy(deq_engine_parameters(engine), model->parameters,
           (size_t)deq_net_vector_bytes(model->spec->net, (int)app->module->real_bits));
    deq_engine_prepare(engine);
    return true;
}

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

/* ---- what the records say ---- */
static double ratio(int64_t part, int64_t whole) { return whole ? (double)part / (double)whole : NAN; }

static void add_attack(deq_attack_totals *t, const deq_record *r) {
    t->queries += r->queries;
    t->gradients += r->gradients;
    t->zero += r->zero_gradients;
    t->lost += r->lost_gradients;
    t->undefined += r->undefined_values;
    t->solves += r->attack_solves;
    t->unconverged += r->attack_unconverged;
    t->diverged += r->attack_diverged;
    t->adjoints += r->adjoint_solves;
    t->adjoints_unconverged += r->adjoint_unconverged;
}

static deq_interval interval_of(const deq_evaluation *v, uint64_t key) {
    double *values = malloc((size_t)(v->examples + 1) * sizeof *values);
    deq_interval out = {NAN, NAN, NAN};
    for (int64_t i = 0; values && i < v->examples; i++)
        values[i] = v->by_loss ? v->records[i].loss : v->records[i].metric;
    if (values) out = deq_mean_interval(values, v->examples, key, v->share);
    free(values);
    return out;
}

static void summarise(deq_evaluation *v, uint64_t key) {
    const int64_t n = v->examples;
    double metric = 0, loss = 0, steps = 0, residual = 0, margin = 0, evaluations = 0, products = 0, processor = 0;
    int64_t failed = 0, solved = 0;
    v->seconds = 0;
    for (int64_t i = 0; i < n; i++) {
        const deq_record *r = &v->records[i];
        metric += r->metric;
        loss += r->loss;
        steps += (double)r->steps;
        residual += (double)r->residual;
        solved += r->solves;
        failed += r->unconverged;
        v->undefined += r->prediction < 0;
        v->seconds += (double)r->seconds;
        margin += r->margin;
        evaluations += r->evaluations;
        products += r->products;
        processor += (double)r->processor_seconds;
        add_attack(&v->attack, r);
    }
    v->metric = metric / (double)n;
    v->loss = loss / (double)n;
    v->margin = margin / (double)n;
    v->evaluations = evaluations / (double)n;
    v->products = products / (double)n;
    v->processor = processor / (double)n;
    v->steps = solved ? steps / (double)n : NAN;
    v->residual = solved ? residual / (double)n : NAN;
    v->converged = solved ? 1 - ratio(failed, solved) : NAN;
    v->interval = interval_of(v, key);
}

/* One function a row of statistics.def. */
static double solve_steps(const deq_evaluation *v) { return v->steps; }
static double solve_residual(const deq_evaluation *v) { return v->residual; }
static double solve_converged(const deq_evaluation *v) { return v->converged; }
static double value_loss(const deq_evaluation *v) { return v->loss; }
static double value_margin(const deq_evaluation *v) { return v->margin; }
static double value_evaluations(const deq_evaluation *v) { return v->evaluations; }
static double value_products(const deq_evaluation *v) { return v->products; }
static double value_seconds(const deq_evaluation *v) { return v->processor; }
static double value_bytes(const deq_evaluation *v) { return v->bytes; }
static double attack_converged(const deq_evaluation *v) { return 1 - ratio(v->attack.unconverged, v->attack.solves); }
static double attack_adjoint_converged(const deq_evaluation *v) {
    return 1 - ratio(v->attack.adjoints_unconverged, v->attack.adjoints);
}
static double attack_zero_gradients(const deq_evaluation *v) { return ratio(v->attack.zero, v->attack.gradients); }
static double attack_lost_gradients(const deq_evaluation *v) { return ratio(v->attack.lost, v->attack.gradients); }
static double attack_undefined_values(const deq_evaluation *v) { return ratio(v->attack.undefined, v->examples); }
static double attack_queries(const deq_evaluation *v) { return ratio(v->attack.queries, v->examples); }
static double attack_gradients(const deq_evaluation *v) { return ratio(v->attack.gradients, v->examples); }

#define SPELLING_SOLVE(name) #name
#define SPELLING_ATTACK(name) "attack." #name
#define SPELLING_VALUE(name) #name
#define FUNCTION_SOLVE(name) solve_##name
#define FUNCTION_VALUE(name) value_##name
#define FUNCTION_ATTACK(name) attack_##name

double deq_evaluation_statistic(const deq_evaluation *v, const char *what) {
#define STATISTIC(group, name, share, doc)                                                                             \
    if (!strcmp(what, SPELLING_##group(name))) return FUNCTION_##group(name)(v);
#include "statistics.def"
#undef STATISTIC
    return NAN;
}

#define MEMBER_SOLVE(name)
#define MEMBER_VALUE(name)
#define MEMBER_ATTACK(name) json_object_set_new(out, #name, deq_json_number(attack_##name(v)));

json_t *deq_evaluation_attack_json(const deq_evaluation *v) {
    json_t *out = json_object();
#define STATISTIC(group, name, share, doc) MEMBER_##group(name)
#include "statistics.def"
#undef STATISTIC
    return out;
}

void deq_evaluation_members(const deq_evaluation *v, json_t *out) {
    const deq_slice *s = &v->slice;
    json_object_set_new(out, "journal", json_string(v->key));
    json_object_set_new(out, "slice",
                        json_pack("{s:s, s:s, s:I, s:I}", "data", s->data->name, "split", s->test ? "test" : "train",
                                  "from", (json_int_t)s->from, "to", (json_int_t)s->to));
}

void deq_evaluation_free(deq_evaluation *v) {
    free(v->records);
    free(v->attacked);
    free(v->trained);
    v->records = NULL;
    v->attacked = v->trained = NULL;
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
    if (!data || !deq_dataset_load(data, v->data.test, e) || !deq_app_load_model(app, engine, model, e)) return false;
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

/* ---- what is said ---- */
#define MOST_TOLD 8
#define FEW 0.01 /* shares below it are told together: they must not drown the others */

typedef struct Told {
    double share[MOST_TOLD];
    char *text[MOST_TOLD]; /* the largest share first; freed by tell */
    int n;
} Told;

static void __attribute__((format(printf, 3, 4))) add(Told *t, double share, const char *format, ...) {
    char *text = NULL;
    va_list ap;
    va_start(ap, format);
    int length = vasprintf(&text, format, ap), at = t->n;
    va_end(ap);
    if (length < 0 || t->n == MOST_TOLD) return;
    for (; at > 0 && t->share[at - 1] < share; at--) t->share[at] = t->share[at - 1], t->text[at] = t->text[at - 1];
    t->share[at] = share;
    t->text[at] = text;
    t->n++;
}

/* A warning for each that concerns many, then one for all that concern few. */
static void tell(deq_app *app, const char *of, const char *model, Told *t) {
    char *few = NULL, label[300];
    size_t size = 0;
    FILE *f = open_memstream(&few, &size);
    snprintf(label, sizeof label, "%s of %s", of, model);
    for (int i = 0; i < t->n; i++) {
        if (t->share[i] >= FEW || !f)
            deq_shortfall_tell(&app->shortfalls, &app->reporter, of, label, "", t->share[i], t->text[i]);
        else
            fprintf(f, "%s%.2g%% of %s", ftell(f) ? "; " : "", 100 * t->share[i], t->text[i]);
        free(t->text[i]);
    }
    if (f) fclose(f);
    if (size && deq_shortfall_first(&app->shortfalls, &app->reporter, of))
        deq_report_warning(&app->reporter, "W0912", "%s: a few: %s", label, few);
    free(few);
}

/* Silence about a failed solve would be the worst: what fell short is said, with what was done about it. */
static void warn(deq_app *app, deq_engine *engine, const deq_model *model, const deq_value_spec *v,
                 const deq_evaluation *x) {
    const deq_attack_totals *a = &x->attack;
    deq_asked asked; /* whose solves and gradients are the attack's: of several parts, those of the first */
    deq_error ignored = {0};
    Told t = {0};
    deq_app_ask(app, v->attack, engine, model, &asked, &ignored);
    const deq_shortfall_words words =
        deq_app_adjoint_words(asked.engine, asked.model->spec->net, v->attack ? v->attack->gradient : NULL);
    deq_app_asked(&asked);
    if (x->converged < 1)
        add(&t, 1 - x->converged,
            "the predictions' solves stopped short of their tolerance; mean residual %.1e after %.1f steps. The states "
            "were used as they were",
            x->residual, x->steps);
    if (a->unconverged)
        add(&t, ratio(a->unconverged, a->solves), "the attack's forward solves stopped short of their tolerance; %s",
            words.states);
    if (a->adjoints_unconverged)
        add(&t, ratio(a->adjoints_unconverged, a->adjoints), "the attack's %s; %s", words.what, words.done);
    if (a->lost) add(&t, ratio(a->lost, a->gradients), "the attack's gradients were %s", words.lost);
    if (a->zero > a->lost) /* those that were cut are told already */
        add(&t, ratio(a->zero - a->lost, a->gradients), "the attack's gradients were exactly zero, and say nothing");
    if (a->undefined)
        add(&t, ratio(a->undefined, a->queries > a->gradients ? a->queries : a->gradients),
            "the attack's losses, objectives or outputs were NaN or infinite, and cannot be compared");
    int64_t uncompared = 0;
    for (int64_t i = 0; v->compared.of && i < x->examples; i++) uncompared += isnan(x->records[i].metric);
    if (uncompared)
        add(&t, ratio(uncompared, x->examples),
            "the examples have a gradient that was not finite and left out, or that on_fail cut to zero: nothing can "
            "be compared, and there is no mean");
    tell(app, v->name, model->label, &t);
    if (x->undefined)
        deq_report_warning(&app->reporter, "W0914",
                           "%s of %s: %lld of %lld predictions are not a number (NaN); they count as wrong", v->name,
                           model->label, (long long)x->undefined, (long long)x->examples);
}

/* A defence may name a state that the solver never makes. */
static void warn_unmade(deq_app *app, deq_engine *engine, const deq_model *model, const deq_value_spec *v) {
    const char *text = deq_value_defence(v);
    deq_defence defence;
    deq_error own = {0};
    if (!text || !deq_defence_parse(text, &defence, &own)) return;
    for (int i = 0; i < model->spec->net->nfixed; i++) {
        int max = deq_engine_solver(engine, i)->max, last = deq_defence_last(&defence);
        if (last > max)
            deq_report_warning(&app->reporter, "W0913",
                               "%s of %s is read off state %d, but %s makes at most %d steps (`max`): its last state "
                               "counts",
                               v->name, model->label, last, model->spec->net->fixed[i].name, max);
    }
}

const char *deq_value_defence(const deq_value_spec *v) {
    const char *text = NULL;
    for (int i = 0; i < v->noverrides; i++)
        if (!strcmp(v->overrides[i].path, "defence")) text = v->overrides[i].value;
    return text && strcmp(text, "none") ? text : NULL;
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
    summarise(out, (uint64_t)model->spec->seed);
    out->bytes = example_bytes(engine, v->attack);
    out->attacked = deq_app_attack_name(app, engine, model->spec->net, v->attack);
    out->trained = deq_app_attack_differs(app, model, engine, v->attack);
    if (out->trained)
        deq_report(&app->reporter, "note: %s of %s is under %s; the net was trained against %s", v->name, model->label,
                   out->attacked, out->trained);
    warn(app, engine, model, v, out);
    warn_unmade(app, engine, model, v);
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
