/* experiment_report.c - see experiment.h. */
#define _GNU_SOURCE
#include "experiment.h"
#include "adversarial.h"
#include "clean_start.h"
#include "number.h"
#include "output.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- names of files ---- */
/* Whether something of another experiment, or a training run outside this one, has files of this name already. */
static bool named_elsewhere(const deq_manifest *m, const deq_experiment_spec *x, const char *name, bool table) {
    for (int i = 0; i < m->nexperiments; i++) {
        const deq_experiment_spec *other = &m->experiments[i];
        if (other == x) continue;
        for (int k = 0; table && k < other->ntables; k++)
            if (!strcmp(other->tables[k].name, name)) return true;
        for (int k = 0; table && k < other->nfigures; k++)
            if (!strcmp(other->figures[k].name, name)) return true;
        for (int k = 0; !table && k < other->narrays; k++)
            if (other->arrays[k].kind == DEQ_ARRAY_train && !strcmp(other->arrays[k].name, name)) return true;
    }
    return !table && deq_manifest_train(m, name, NULL);
}

char *deq_experiment_file(const deq_app *app, const deq_experiment_spec *x, const char *name, bool table) {
    char *text = NULL;
    bool shared = named_elsewhere(app->manifest, x, name, table);
    return asprintf(&text, "%s%s%s", shared ? x->name : "", shared ? "-" : "", name) < 0 ? NULL : text;
}

static char *place_stem(const deq_experiment_spec *x, const deq_array_spec *a, int spec, const char *name, bool told) {
    char *text = NULL, *stem;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    int *at = calloc((size_t)x->naxes + 1, sizeof *at);
    if (!f || !at) return free(at), NULL;
    deq_axes_place(x, a->cells, a->ncells, spec, at);
    fputs(name, f);
    for (int k = 0; k < a->ncells;) {
        fputc('-', f);
        k += deq_axes_value(x, -1, a->cells, a->ncells, k, at, f);
    }
    if (told) fprintf(f, "-cell%d", spec + 1);
    fclose(f);
    stem = deq_path_component(text);
    free(text);
    free(at);
    return stem;
}

/* Values that differ only in what a file name cannot hold are told apart by the cell's number. */
char *deq_experiment_stem(const deq_app *app, const deq_experiment_spec *x, const deq_array_spec *a, int spec) {
    char *name = deq_experiment_file(app, x, a->name, false), *stem = name ? place_stem(x, a, spec, name, false) : NULL;
    for (int other = 0; stem && other < spec; other++) {
        char *taken = place_stem(x, a, other, name, false);
        const bool same = taken && !strcmp(taken, stem);
        free(taken);
        if (!same) continue;
        free(stem);
        stem = place_stem(x, a, spec, name, true);
        break;
    }
    free(name);
    return stem;
}

/* ---- events ---- */
static json_t *coordinates_json(const deq_experiment_spec *x, const deq_array_spec *a, const int *at) {
    json_t *out = json_object();
    for (int k = 0; k < a->naxes; k++) /* a member by its number */
        json_object_set_new(out, x->axes[a->axes[k]].name, json_string(x->axes[a->axes[k]].values[at[a->axes[k]]]));
    return out;
}

/* The records of an evaluation as `deq journal` shows them; free() them.  NULL: out of memory. */
static deq_record *shown_records(const deq_arrays *g, const deq_evaluation *of) {
    deq_record *records = malloc((size_t)(of->examples + 1) * sizeof *records);
    deq_error ignored = {0};
    if (!records) return NULL;
    memcpy(records, of->records, (size_t)of->examples * sizeof *records);
    char *path = deq_store_path(&g->app->store, "journal", of->key, "journal");
    deq_journal *own = path ? deq_journal_read(path, &ignored) : NULL;
    if (own) deq_clean_start(deq_journal_about(own), path, records, of->examples);
    deq_journal_close(own);
    free(path);
    return records;
}

/* --examples: the record of each example, and its outcome in a word. */
static void report_examples(const deq_arrays *g, const deq_array_spec *a, const deq_evaluation *of,
                            const json_t *coordinates) {
    deq_record *records = shown_records(g, of);
    for (int64_t i = 0; records && i < of->examples; i++) {
        json_t *members = json_pack("{s:s, s:s, s:O, s:s}", "experiment", g->x->name, "name", a->name, "coordinates",
                                    coordinates, "outcome", deq_record_outcome(&records[i]));
        json_t *record = deq_record_json(&records[i]);
        json_object_update(members, record);
        json_decref(record);
        deq_report_event(&g->app->reporter, "example", members);
    }
    free(records);
}

static void add_evaluation(const deq_arrays *g, const deq_array_spec *a, const deq_cell *c, json_t *members) {
    const deq_evaluation *w = c->evaluation;
    json_object_set_new(members, "model", json_string(c->model->label));
    json_object_set_new(members, "examples", json_integer(w->examples));
    json_object_set_new(members, "loss", deq_json_number(w->loss));
    json_object_set_new(members, "steps", deq_json_number(w->steps));
    json_object_set_new(members, "residual", deq_json_number(w->residual));
    json_object_set_new(members, "converged", deq_json_number(w->converged));
    json_object_set_new(members, "undefined", json_integer(w->undefined));
    json_object_set_new(members, "seconds", deq_json_number(w->seconds));
    json_object_set_new(members, "cached", json_boolean(w->cached));
    json_object_set_new(members, "key", json_string(w->key));
    char *journal = deq_store_path(&g->app->store, "journal", w->key, "journal");
    if (journal) json_object_set_new(members, "journal", json_string(journal));
    free(journal);
    char *verdict = c->verdict.level ? deq_verdict_text(&c->verdict) : NULL;
    const char *defence = deq_value_defence(c->spec);
    if (w->attacked) {
        json_object_set_new(members, "attack", json_string(w->attacked));
        json_object_set_new(members, "attacks_run", json_integer(w->attacks_run));
        json_object_set_new(members, "attacks_found", json_integer(w->attacks_found));
        json_object_set_new(members, "asked", deq_evaluation_attack_json(w));
    }
    if (w->trained) json_object_set_new(members, "trained_against", json_string(w->trained));
    if (defence) json_object_set_new(members, "defence", json_string(defence));
    char interval[3 * DEQ_NUMBER_TEXT] = "", number[DEQ_NUMBER_TEXT], low[DEQ_NUMBER_TEXT], high[DEQ_NUMBER_TEXT];
    if (!isnan(c->interval.low))
        snprintf(interval, sizeof interval, " [%s, %s]", deq_number_text(c->interval.low, 4, low),
                 deq_number_text(c->interval.high, 4, high));
    deq_report(&g->app->reporter, "%s of %s: %s%s on %lld examples%s%s%s%s (%.1f s%s)%s%s", a->name, c->model->label,
               deq_number_text(c->value, 4, number), interval, (long long)w->examples, w->attacked ? " under " : "",
               w->attacked ? w->attacked : "", defence ? ", read off " : "", defence ? defence : "", w->seconds,
               w->cached                             ? ", found in the cache"
               : w->attacks_found && !w->attacks_run ? ", under inputs that are known"
                                                     : "",
               verdict ? "; " : "", verdict ? verdict : "");
    free(verdict);
}

void deq_experiment_report(const deq_arrays *g, int array, const int *at) {
    const deq_array_spec *a = &g->x->arrays[array];
    const deq_cell *c = deq_arrays_cell(g, array, at);
    if (a->kind == DEQ_ARRAY_train || a->kind == DEQ_ARRAY_coordinate) return;
    json_t *coordinates = coordinates_json(g->x, a, at),
           *members =
               json_pack("{s:s, s:s, s:O}", "experiment", g->x->name, "name", a->name, "coordinates", coordinates);
    json_object_set_new(members, "value", deq_json_number(c->value));
    if (!isnan(c->interval.low)) {
        json_object_set_new(members, "low", deq_json_number(c->interval.low));
        json_object_set_new(members, "high", deq_json_number(c->interval.high));
    }
    if (a->kind == DEQ_ARRAY_verdict && !c->absent)
        json_object_set_new(members, "word", json_string(deq_verdict_words[(int)c->value]));
    if (c->verdict.level) deq_verdict_members(&c->verdict, members);
    if (c->evaluation) add_evaluation(g, a, c, members);
    if (c->evaluation && g->app->options->json && g->app->options->examples)
        report_examples(g, a, c->evaluation, coordinates);
    json_decref(coordinates);
    deq_report_event(&g->app->reporter, "value", members);
}

/* Of one value: a grid has hundreds of cells, and drawing them takes longer than some of the attacks. */
#define MOST_PICTURES 16

bool deq_experiment_picture(deq_arrays *g, int array, const int *at, deq_error *e) {
    const deq_array_spec *a = &g->x->arrays[array];
    const deq_cell *c = deq_arrays_cell(g, array, at);
    if (!g->used[array] || g->used[array] > MOST_PICTURES || !c->spec->attack) return true;
    g->used[array]++;
    char *stem = deq_experiment_stem(g->app, g->x, a, (int)(c->spec - a->values));
    const bool ok = stem ? deq_app_grid(g->app, c->model, c->spec, c->evaluation, stem, e)
                         : deq_fail(e, DEQ_MEMORY, "out of memory for a picture");
    free(stem);
    return ok;
}
