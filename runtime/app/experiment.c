/* experiment.c - the cells of an experiment in order, then its table. */
#define _GNU_SOURCE
#include "adversarial.h"
#include "output.h"
#include "seal.h"
#include "table.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Measured { /* one value of a cell */
    double value;
    deq_interval interval;
    deq_evaluation evaluation;
} Measured;

typedef struct Cell {
    deq_app *app;
    const deq_experiment_spec *x;
    const deq_cell_spec *spec;
    deq_model **models; /* of its own trains */
    deq_model **used;   /* each model an evaluation used, once */
    int nused;
    Measured *measured;
} Cell;

/* "m (mode = jfb, seed = 0)" and "m-jfb-0", of the first `sweeps` coordinates: the others do not change it. */
static char *cell_label(const Cell *c, const char *name, int sweeps) {
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f) return NULL;
    fputs(name, f);
    if (sweeps > c->x->nsweeps) sweeps = c->x->nsweeps;
    for (int s = 0; s < sweeps; s++)
        fprintf(f, "%s%s = %s", s ? ", " : " (", c->x->sweeps[s].name, c->spec->coordinates[s]);
    if (sweeps) fputc(')', f);
    fclose(f);
    return text;
}

/* Whether something of another experiment, or a training run outside this one, has files of this name already. */
static bool named_elsewhere(const deq_manifest *m, const deq_experiment_spec *x, const char *name, bool table) {
    for (int i = 0; i < m->nexperiments; i++) {
        const deq_experiment_spec *other = &m->experiments[i];
        if (other == x) continue;
        if (table && other->table && !strcmp(other->table->name, name)) return true;
        for (int k = 0; !table && other->ncells && k < other->cells[0].ntrains; k++)
            if (!strcmp(other->cells[0].trains[k].name, name)) return true;
    }
    for (int i = 0; !table && i < m->ntrains; i++)
        if (!strcmp(m->trains[i].name, name)) return true;
    return false;
}

/* The first part of a file's name: what it is about, after the experiment's name where two experiments use one name. */
static char *file_name(const deq_app *app, const deq_experiment_spec *x, const char *name, bool table) {
    char *text = NULL;
    bool shared = named_elsewhere(app->manifest, x, name, table);
    return asprintf(&text, "%s%s%s", shared ? x->name : "", shared ? "-" : "", name) < 0 ? NULL : text;
}

static char *coordinates_stem(const deq_cell_spec *cell, int sweeps, const char *name, int number) {
    char *text = NULL, *stem;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f) return NULL;
    fputs(name, f);
    for (int s = 0; s < sweeps; s++) fprintf(f, "-%s", cell->coordinates[s]);
    if (number) fprintf(f, "-cell%d", number);
    fclose(f);
    stem = deq_path_component(text);
    free(text);
    return stem;
}

/* Values that differ only in what a file name cannot hold are told apart by the cell's number. */
static char *cell_stem_named(const Cell *c, const char *name, int sweeps) {
    if (sweeps > c->x->nsweeps) sweeps = c->x->nsweeps;
    char *stem = coordinates_stem(c->spec, sweeps, name, 0);
    for (const deq_cell_spec *other = c->x->cells; stem && other < c->spec; other++) {
        char *taken = coordinates_stem(other, sweeps, name, 0);
        bool same = taken && !strcmp(taken, stem), own = true;
        for (int s = 0; s < sweeps; s++) own &= !strcmp(other->coordinates[s], c->spec->coordinates[s]);
        free(taken);
        if (!same || own) continue;
        free(stem);
        return coordinates_stem(c->spec, sweeps, name, (int)(c->spec - c->x->cells) + 1);
    }
    return stem;
}

static char *cell_stem(const Cell *c, const deq_train_spec *t) {
    char *name = file_name(c->app, c->x, t->name, false), *stem = name ? cell_stem_named(c, name, t->sweeps) : NULL;
    free(name);
    return stem;
}

static deq_model *train_model(deq_app *app, const deq_train_spec *t, char *label, char *stem, deq_error *e) {
    deq_model *model = label && stem ? deq_app_train(app, t, label, stem, e) : NULL;
    if (!label || !stem) deq_fail(e, DEQ_MEMORY, "out of memory");
    free(label);
    free(stem);
    return model;
}

/* The model an evaluation speaks of: the cell's own, or the file's (trained now if nothing ran it before). */
static deq_model *model_named(Cell *c, const char *name, deq_error *e) {
    for (int i = 0; i < c->spec->ntrains; i++)
        if (!strcmp(c->spec->trains[i].name, name)) return c->models[i];
    deq_manifest *m = c->app->manifest;
    for (int i = 0; i < m->ntrains; i++) {
        if (strcmp(m->trains[i].name, name)) continue;
        for (int k = 0; k < c->app->nmodels; k++)
            if (c->app->models[k]->spec == &m->trains[i]) return c->app->models[k];
        deq_model *model = train_model(c->app, &m->trains[i], strdup(name), deq_path_component(name), e);
        return model && deq_app_diagnose(c->app, model, e) && deq_app_plot(c->app, model, e) ? model : NULL;
    }
    deq_fail(e, DEQ_MODULE, "there is no model '%s'", name);
    return NULL;
}

static const Measured *measured_named(const Cell *c, const char *name) {
    for (int k = 0; k < c->spec->nvalues; k++)
        if (!strcmp(c->spec->values[k].name, name)) return &c->measured[k];
    return NULL;
}

/* Calls a compiled function of scalars. */
static bool call_scalar(deq_app *app, const char *name, const double *inputs, double *out, deq_error *e) {
    const deq_routine *routine = deq_module_routine(app->module, name);
    size_t scratch = (size_t)(routine->base_bytes + routine->row_bytes + 2 * DEQ_ALIGN) & ~(size_t)(DEQ_ALIGN - 1);
    deq_frame frame = {
        .scalars = inputs, .scratch = aligned_alloc(DEQ_ALIGN, scratch), .arg0 = aligned_alloc(DEQ_ALIGN, DEQ_ALIGN)};
    bool ok = frame.scratch && frame.arg0;
    if (ok) {
        routine->function(&frame, 1);
        *out = app->module->real_bits == 64 ? *(double *)frame.arg0 : (double)*(float *)frame.arg0;
    } else {
        deq_fail(e, DEQ_MEMORY, "out of memory calling '%s'", name);
    }
    free(frame.scratch);
    free(frame.arg0);
    return ok;
}

#define MOST_INPUTS 64

/* An expression of evaluations, as a statistic of their examples. */
typedef struct Paired {
    Cell *cell;
    const deq_value_spec *value;
    const Measured *inputs[MOST_INPUTS];
} Paired;

static double paired(void *context, const int64_t *drawn, int64_t n) {
    const Paired *p = context;
    double means[MOST_INPUTS], out = NAN;
    deq_error e = {0};
    for (int k = 0; k < p->value->ninputs; k++) {
        const deq_evaluation *v = &p->inputs[k]->evaluation;
        means[k] = 0;
        for (int64_t i = 0; i < n; i++)
            means[k] += v->by_loss ? v->records[drawn[i]].loss : v->records[drawn[i]].metric;
        means[k] /= (double)n;
    }
    return call_scalar(p->cell->app, p->value->routine, means, &out, &e) ? out : NAN;
}

static bool same_examples(const deq_value_spec *a, const deq_value_spec *b) {
    return a->data.data == b->data.data && a->data.test == b->data.test && a->data.from == b->data.from &&
           a->data.to == b->data.to;
}

/* All inputs are evaluations of the same examples: their differences are paired by example. */
static bool pairs(const Paired *p) {
    const deq_value_spec *specs = p->cell->spec->values, *first = NULL;
    for (int k = 0; k < p->value->ninputs; k++) {
        const deq_value_spec *v = &specs[p->inputs[k] - p->cell->measured];
        if (v->kind != DEQ_EVALUATE || (first && !same_examples(v, first))) return false;
        first = v;
    }
    return first != NULL;
}

static bool expression(Cell *c, const deq_value_spec *v, Measured *out, deq_error *e) {
    double inputs[MOST_INPUTS];
    Paired p = {.cell = c, .value = v};
    if (v->ninputs > MOST_INPUTS)
        return deq_fail(e, DEQ_MODULE, "value '%s' has more than %d inputs", v->name, MOST_INPUTS);
    for (int i = 0; i < v->ninputs; i++) {
        p.inputs[i] = measured_named(c, v->inputs[i]);
        inputs[i] = p.inputs[i]->value;
    }
    out->interval = (deq_interval){NAN, NAN, NAN};
    for (int i = 0; i < v->ninputs; i++) /* it can be believed as far as the least of them */
        if (p.inputs[i]->evaluation.verdict.level > out->evaluation.verdict.level)
            out->evaluation.verdict = p.inputs[i]->evaluation.verdict;
    if (!call_scalar(c->app, v->routine, inputs, &out->value, e)) return false;
    if (pairs(&p)) out->interval = deq_bootstrap(paired, &p, p.inputs[0]->evaluation.examples, 0);
    return true;
}

static void note_used(Cell *c, deq_model *model) {
    for (int i = 0; i < c->nused; i++)
        if (c->used[i] == model) return;
    c->used[c->nused++] = model;
}

static bool same_settings(const deq_value_spec *a, const deq_value_spec *b) {
    if (a->noverrides != b->noverrides) return false;
    for (int i = 0; i < a->noverrides; i++)
        if (strcmp(a->overrides[i].path, b->overrides[i].path) || strcmp(a->overrides[i].value, b->overrides[i].value))
            return false;
    return true;
}

/* Records of the same net, settings and examples without an attack; NULL: the cell has not measured them before. */
static const deq_record *clean_of(const Cell *c, int k) {
    const deq_value_spec *v = &c->spec->values[k];
    for (int i = 0; i < k; i++) {
        const deq_value_spec *w = &c->spec->values[i];
        if (w->kind == DEQ_EVALUATE && !w->attack && !strcmp(w->model, v->model) && same_examples(v, w) &&
            same_settings(v, w))
            return c->measured[i].evaluation.records;
    }
    return NULL;
}

static bool judge(Cell *c, int k, const deq_model *model, deq_error *e) {
    const deq_value_spec *spec = &c->spec->values[k];
    deq_evaluation *v = &c->measured[k].evaluation;
    deq_audit *audit = NULL;
    if (!spec->attack) return true;
    if ((c->x->audit || c->app->options->audit) && !deq_app_audit(c->app, model, spec, v, &audit, e)) return false;
    v->verdict =
        deq_judge(&(deq_judged){v->records, clean_of(c, k), v->examples, (int)c->app->module->real_bits, audit});
    c->app->masked += v->verdict.level == DEQ_MASKED;
    deq_audit_free(audit);
    return true;
}

/* --examples: the record of each example, and its outcome in a word. */
static void report_examples(const Cell *c, const deq_value_spec *v, const deq_evaluation *of,
                            const json_t *coordinates) {
    for (int64_t i = 0; i < of->examples; i++) {
        json_t *members = json_pack("{s:s, s:s, s:O, s:s}", "experiment", c->x->name, "name", v->name, "coordinates",
                                    coordinates, "outcome", deq_record_outcome(&of->records[i]));
        json_t *record = deq_record_json(&of->records[i]);
        json_object_update(members, record);
        json_decref(record);
        deq_report_event(&c->app->reporter, "example", members);
    }
}

static void report_value(const Cell *c, const deq_value_spec *v, const Measured *m, const deq_model *model) {
    json_t *members = json_pack("{s:s, s:s}", "experiment", c->x->name, "name", v->name), *coordinates = json_object();
    for (int s = 0; s < c->x->nsweeps; s++)
        json_object_set_new(coordinates, c->x->sweeps[s].name, json_string(c->spec->coordinates[s]));
    json_object_set_new(members, "coordinates", coordinates);
    json_object_set_new(members, "value", deq_json_number(m->value));
    if (!isnan(m->interval.low)) {
        json_object_set_new(members, "low", deq_json_number(m->interval.low));
        json_object_set_new(members, "high", deq_json_number(m->interval.high));
    }
    if (m->evaluation.verdict.level) deq_verdict_members(&m->evaluation.verdict, members);
    if (model) {
        const deq_evaluation *w = &m->evaluation;
        json_object_set_new(members, "model", json_string(model->label));
        json_object_set_new(members, "examples", json_integer(w->examples));
        json_object_set_new(members, "loss", deq_json_number(w->loss));
        json_object_set_new(members, "steps", deq_json_number(w->steps));
        json_object_set_new(members, "residual", deq_json_number(w->residual));
        json_object_set_new(members, "converged", deq_json_number(w->converged));
        json_object_set_new(members, "undefined", json_integer(w->undefined));
        json_object_set_new(members, "seconds", deq_json_number(w->seconds));
        json_object_set_new(members, "cached", json_boolean(w->cached));
        json_object_set_new(members, "key", json_string(w->key));
        char *journal = deq_store_path(&c->app->store, "journal", w->key, "journal");
        if (journal) json_object_set_new(members, "journal", json_string(journal));
        free(journal);
        char *verdict = w->verdict.level ? deq_verdict_text(&w->verdict) : NULL;
        const char *defence = deq_value_defence(v);
        if (w->attacked) {
            json_object_set_new(members, "attack", json_string(w->attacked));
            json_object_set_new(members, "attacks_run", json_integer(w->attacks_run));
            json_object_set_new(members, "attacks_found", json_integer(w->attacks_found));
            json_object_set_new(members, "asked", deq_evaluation_attack_json(w));
        }
        if (w->trained) json_object_set_new(members, "trained_against", json_string(w->trained));
        if (defence) json_object_set_new(members, "defence", json_string(defence));
        char interval[64] = "";
        if (!isnan(m->interval.low))
            snprintf(interval, sizeof interval, " [%.4g, %.4g]", m->interval.low, m->interval.high);
        deq_report(&c->app->reporter, "%s of %s: %.4g%s on %lld examples%s%s%s%s (%.1f s%s)%s%s", v->name, model->label,
                   m->value, interval, (long long)w->examples, w->attacked ? " under " : "",
                   w->attacked ? w->attacked : "", defence ? ", read off " : "", defence ? defence : "", w->seconds,
                   w->cached                             ? ", found in the cache"
                   : w->attacks_found && !w->attacks_run ? ", under inputs that are known"
                                                         : "",
                   verdict ? "; " : "", verdict ? verdict : "");
        free(verdict);
    }
    if (model && c->app->options->json && c->app->options->examples) report_examples(c, v, &m->evaluation, coordinates);
    deq_report_event(&c->app->reporter, "value", members);
}

/* Accuracies under attack that stand in the table have a picture of some attacked inputs. */
static bool picture(const Cell *c, const deq_value_spec *v, const deq_model *model, const deq_evaluation *of,
                    deq_error *e) {
    bool column = false;
    for (int i = 0; c->x->table && i < c->x->table->ncolumns; i++)
        column = column || !strcmp(c->x->table->columns[i].value, v->name);
    if (!column || !v->attack) return true;
    char *name = file_name(c->app, c->x, v->name, false), *stem = name ? cell_stem_named(c, name, c->x->nsweeps) : NULL;
    const bool ok =
        stem ? deq_app_grid(c->app, model, v, of, stem, e) : deq_fail(e, DEQ_MEMORY, "out of memory for a picture");
    free(name);
    free(stem);
    return ok;
}

static bool measure(Cell *c, int k, deq_error *e) {
    const deq_value_spec *v = &c->spec->values[k];
    Measured *m = &c->measured[k];
    deq_model *model = NULL;
    switch (v->kind) {
    case DEQ_EVALUATE:
        model = model_named(c, v->model, e);
        if (!model || !deq_app_evaluate(c->app, model, v, &m->evaluation, e)) return false;
        note_used(c, model);
        if (!judge(c, k, model, e)) return false;
        m->value = v->metric ? m->evaluation.metric : m->evaluation.loss;
        m->interval = m->evaluation.interval;
        if (!picture(c, v, model, &m->evaluation, e)) return false;
        break;
    case DEQ_STATISTIC: {
        const Measured *of = measured_named(c, v->of);
        m->evaluation.examples = of->evaluation.examples;
        m->value = deq_evaluation_statistic(&of->evaluation, v->what);
        m->interval = (deq_interval){NAN, NAN, NAN};
        break;
    }
    case DEQ_EXPRESSION:
        if (!expression(c, v, m, e)) return false;
        break;
    }
    report_value(c, v, m, model);
    return true;
}

const deq_model *deq_app_cell_evaluate(deq_app *app, const deq_experiment_spec *x, const deq_cell_spec *cell,
                                       const deq_value_spec *v, deq_evaluation *out, deq_error *e) {
    Cell c = {.app = app, .x = x, .spec = cell, .models = calloc((size_t)cell->ntrains + 1, sizeof(deq_model *))};
    bool ok = c.models || deq_fail(e, DEQ_MEMORY, "out of memory");
    for (int i = 0; ok && i < cell->ntrains; i++) {
        const deq_train_spec *t = &cell->trains[i];
        c.models[i] = train_model(app, t, cell_label(&c, t->name, t->sweeps), cell_stem(&c, t), e);
        ok = c.models[i] != NULL;
    }
    const deq_model *model = ok ? model_named(&c, v->model, e) : NULL;
    free(c.models);
    return model && deq_app_evaluate(app, model, v, out, e) ? model : NULL;
}

static bool run_cell(Cell *c, deq_error *e) {
    size_t ntrains = (size_t)c->spec->ntrains, nvalues = (size_t)c->spec->nvalues;
    c->models = calloc(ntrains + 1, sizeof(deq_model *));
    c->used = calloc(nvalues + 1, sizeof(deq_model *));
    c->measured = calloc(nvalues + 1, sizeof *c->measured);
    if (!c->models || !c->used || !c->measured) return deq_fail(e, DEQ_MEMORY, "out of memory");
    for (int i = 0; i < c->spec->ntrains; i++) {
        const deq_train_spec *t = &c->spec->trains[i];
        c->models[i] = train_model(c->app, t, cell_label(c, t->name, t->sweeps), cell_stem(c, t), e);
        if (!c->models[i] || !deq_app_diagnose(c->app, c->models[i], e) || !deq_app_plot(c->app, c->models[i], e))
            return false;
    }
    for (int k = 0; k < c->spec->nvalues; k++)
        if (!measure(c, k, e)) return false;
    return true;
}

/* What the table says of the attack; NULL: none. */
static char *attack_text(const deq_evaluation *v) {
    char *text = NULL;
    if (!v->attacked) return NULL;
    if (asprintf(&text, "%s%s%s", v->attacked, v->trained ? "; trained against " : "", v->trained ? v->trained : "") <
        0)
        return NULL;
    return text;
}

/* The finished cell as a line of the table; its texts and values are the table's to free. */
static bool tabulate(const Cell *c, deq_table_cell *out, int64_t *examples, deq_error *e) {
    const deq_table_spec *t = c->x->table;
    double *values = malloc(((size_t)t->ncolumns + 1) * sizeof *values);
    deq_interval *intervals = malloc(((size_t)t->ncolumns + 1) * sizeof *intervals);
    deq_verdict *verdicts = malloc(((size_t)t->ncolumns + 1) * sizeof *verdicts);
    char *seeds = NULL, *nets = NULL, *journals = NULL, **attacks = calloc((size_t)t->ncolumns + 1, sizeof *attacks);
    size_t size;
    FILE *f = open_memstream(&seeds, &size), *g = open_memstream(&nets, &size), *h = open_memstream(&journals, &size);
    if (!values || !intervals || !attacks || !verdicts || !f || !g || !h)
        return deq_fail(e, DEQ_MEMORY, "out of memory for the table");
    out->train_seconds = out->seconds = 0;
    out->undefined = 0;
    for (int i = 0; i < c->nused; i++) {
        fprintf(f, "%s%llu", i ? ";" : "", (unsigned long long)c->used[i]->spec->seed);
        fprintf(g, "%s%s", i ? ";" : "", c->used[i]->key);
        out->train_seconds += c->used[i]->seconds;
    }
    fclose(f);
    fclose(g);
    for (int k = 0; k < c->spec->nvalues; k++)
        if (c->spec->values[k].kind == DEQ_EVALUATE) {
            fprintf(h, "%s%s", ftell(h) ? ";" : "", c->measured[k].evaluation.key);
            out->seconds += c->measured[k].evaluation.seconds;
            out->undefined += c->measured[k].evaluation.undefined;
        }
    fclose(h);
    for (int k = 0; k < t->ncolumns; k++) {
        const Measured *m = measured_named(c, t->columns[k].value);
        values[k] = m->value;
        intervals[k] = m->interval;
        verdicts[k] = m->evaluation.verdict;
        examples[k] = m->evaluation.examples;
        attacks[k] = attack_text(&m->evaluation);
    }
    out->attacks = attacks;
    out->values = values;
    out->intervals = intervals;
    out->verdicts = verdicts;
    out->seeds = seeds;
    out->nets = nets;
    out->journals = journals;
    return true;
}

static bool write_table(deq_app *app, const deq_experiment_spec *x, const deq_table_cell *cells,
                        const int64_t *examples, deq_error *e) {
    char *name = file_name(app, x, x->table->name, true), *stem = name ? deq_path_component(name) : NULL;
    char *markdown = stem ? deq_app_file(app, stem, ".md") : NULL, *csv = stem ? deq_app_file(app, stem, ".csv") : NULL,
         *json = stem ? deq_app_file(app, stem, "-table.json") : NULL,
         *checks = json ? deq_table_json(x, cells, json) : NULL, *text = NULL, *values = NULL, *sealed = NULL;
    size_t size = 0, values_size = 0;
    FILE *f = open_memstream(&text, &size), *g = open_memstream(&values, &values_size);
    bool ok = markdown && csv && json && checks && f && g;
    if (f) deq_table_markdown(f, x, cells, examples), fclose(f);
    if (g) deq_table_csv(g, x, cells), fclose(g);
    if (ok) sealed = deq_seal_csv(values, csv, &values_size);
    ok = sealed || deq_fail(e, DEQ_MEMORY, "out of memory for the table");
    const deq_output_text all[] = {
        {markdown, text, size}, {csv, sealed, values_size}, {json, checks, checks ? strlen(checks) : 0}};
    ok = ok && deq_output_write_all(all, 3, e);
    if (ok) {
        deq_report(&app->reporter, "\n%s", text);
        deq_report_event(&app->reporter, "table",
                         json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", x->table->name, "markdown", markdown, "csv",
                                   csv, "json", json, "text", text));
    }
    free(name);
    free(stem);
    free(markdown);
    free(json);
    free(checks);
    free(csv);
    free(text);
    free(values);
    free(sealed);
    return ok;
}

bool deq_app_experiment(deq_app *app, const deq_experiment_spec *x, deq_error *e) {
    size_t ncolumns = x->table ? (size_t)x->table->ncolumns : 0;
    deq_table_cell *cells = calloc((size_t)x->ncells + 1, sizeof *cells);
    int64_t *examples = calloc(ncolumns + 1, sizeof *examples);
    bool ok = cells && examples ? true : deq_fail(e, DEQ_MEMORY, "out of memory");
    for (int i = 0; ok && i < x->ncells; i++) {
        Cell c = {.app = app, .x = x, .spec = &x->cells[i]};
        if (x->ncells > 1) {
            char *label = cell_label(&c, x->name, x->nsweeps);
            deq_report(&app->reporter, "cell %d of %d: %s", i + 1, x->ncells, label ? label : "");
            free(label);
        }
        ok = run_cell(&c, e) && (!x->table || tabulate(&c, &cells[i], examples, e));
        free(c.models);
        free(c.used);
        for (int k = 0; c.measured && k < c.spec->nvalues; k++) deq_evaluation_free(&c.measured[k].evaluation);
        free(c.measured);
    }
    if (ok && x->table && x->ncells) ok = write_table(app, x, cells, examples, e);
    for (int i = 0; cells && i < x->ncells; i++) {
        free((void *)cells[i].values);
        for (int k = 0; cells[i].attacks && k < x->table->ncolumns; k++) free(cells[i].attacks[k]);
        free((void *)cells[i].attacks);
        free((void *)cells[i].intervals);
        free((void *)cells[i].verdicts);
        free((void *)cells[i].seeds);
        free((void *)cells[i].nets);
        free((void *)cells[i].journals);
    }
    free(cells);
    free(examples);
    return ok;
}
