/* claims.c - see claims.h. */
#define _GNU_SOURCE
#include "claims.h"
#include "number.h"
#include "result_files.h"
#include "seal.h"
#include "sources.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HOLDS 0.975
#define FAILS 0.025
#define MOST_TIMES 1000 /* as many: beyond it nothing is decided by more examples */

typedef struct Judged { /* one cell of a claim */
    char *label;
    bool unknown; /* its condition rests on something that is no number: nothing was measured */
    double share; /* of the resamples in which it holds; NaN: unknown */
    double times; /* as many examples and seeds would decide it; 1: it is decided */
    deq_interval value;
    double *values;             /* of the resamples */
    const deq_verdict *verdict; /* on the accuracies under attack that it rests on */
} Judged;

typedef struct Claim {
    const deq_claim_spec *spec;
    Judged *cells;
    int ncells;
    int unknown;  /* cells that are */
    double share; /* of the resamples in which it holds in every cell; NaN: none fails, and of some nothing is known */
    double times;
    int64_t examples;
    int seeds;
    deq_verdict verdict; /* the worst of its cells' */
    deq_sources rests;
} Claim;

static const char *verdict_of(double share) {
    return share >= HOLDS ? "holds" : share <= FAILS ? "fails" : "undecided";
}

/* The most seeds among which a mean behind the array draws. */
static int seeds_behind(const deq_arrays *g, int array, int *at, int *places) {
    const deq_array_spec *a = &g->x->arrays[array];
    const int cells = deq_axes_count(g->x, a->axes, a->naxes), parts = deq_axes_count(g->x, a->over, a->nover);
    const bool draws = a->kind == DEQ_ARRAY_reduce && deq_arrays_draws(a);
    int seeds = 0;
    for (int i = 0; draws && i < cells * parts; i++) {
        deq_axes_place(g->x, a->axes, a->naxes, i / parts, at);
        deq_axes_place(g->x, a->over, a->nover, i % parts, at);
        for (int k = 0; k < a->nover; k++) {
            const int n = g->x->axes[a->over[k]].seed ? deq_arrays_seeds(g, a, k, at, places) : 0;
            if (n > seeds) seeds = n;
        }
    }
    for (int i = 0; i < a->ninputs; i++) {
        const int behind = seeds_behind(g, a->inputs[i], at, places);
        if (behind > seeds) seeds = behind;
    }
    return seeds;
}

/* "mode = jfb, method = pgd" */
static char *place_text(const deq_experiment_spec *x, const deq_array_spec *a, const int *at) {
    char *label = deq_axes_label(x, (int)(a - x->arrays), a->axes, a->naxes, at, ""); /* " (mode = jfb)" */
    const size_t n = label ? strlen(label) : 0;
    if (n < 3) return label;
    memmove(label, label + 2, n - 3);
    label[n - 3] = 0;
    return label;
}

static bool judge_cells(deq_arrays *g, Claim *c, int *at, deq_error *e) {
    const deq_array_spec *a = &g->x->arrays[c->spec->condition];
    const int n = deq_axes_count(g->x, a->axes, a->naxes), value = c->spec->value;
    int *places = calloc((size_t)n, sizeof *places);
    c->cells = calloc((size_t)n, sizeof *c->cells);
    deq_sources_list *sources = deq_sources_begin();
    bool ok = places && c->cells;
    for (int i = 0; ok && i < n; i++) {
        deq_axes_place(g->x, a->axes, a->naxes, i, at);
        const deq_cell *of = deq_arrays_cell(g, c->spec->condition, at);
        if (of->absent) continue;
        places[c->ncells] = i;
        Judged *cell = &c->cells[c->ncells++];
        cell->unknown = isnan(of->value);
        c->unknown += cell->unknown;
        cell->label = place_text(g->x, a, at);
        cell->values = value < 0 ? NULL : malloc(DEQ_CLAIM_RESAMPLES * sizeof *cell->values);
        cell->value = (deq_interval){value < 0 ? NAN : deq_arrays_cell(g, value, at)->value, NAN, NAN};
        ok = cell->label && (value < 0 || cell->values);
        if (c->examples < of->examples) c->examples = of->examples;
        cell->verdict = &of->verdict;
        if (c->verdict.level < of->verdict.level) c->verdict = of->verdict;
        if (sources) deq_sources_add(sources, g, c->spec->condition, at);
    }
    ok = deq_sources_end(sources, &c->rests) && ok;
    int holds = 0;
    for (int r = 0; ok && r < DEQ_CLAIM_RESAMPLES; r++) {
        bool all = true;
        for (int i = 0; i < c->ncells; i++) {
            if (c->cells[i].unknown) continue;
            deq_axes_place(g->x, a->axes, a->naxes, places[i], at);
            const bool here = deq_arrays_value(g, c->spec->condition, at, r) == 1;
            if (value >= 0) c->cells[i].values[r] = deq_arrays_value(g, value, at, r);
            c->cells[i].share += here;
            all = all && here;
        }
        holds += all;
    }
    c->share = (double)holds / DEQ_CLAIM_RESAMPLES;
    if (!c->ncells || (c->unknown && c->share > FAILS)) c->share = NAN;
    c->times = 1;
    const bool undecided = c->share > FAILS && c->share < HOLDS;
    for (int i = 0; ok && i < c->ncells; i++) {
        Judged *cell = &c->cells[i];
        cell->share = cell->unknown ? NAN : cell->share / DEQ_CLAIM_RESAMPLES;
        cell->times = cell->unknown ? 1 : deq_times_to_decide(cell->share);
        if (undecided) c->times = fmax(c->times, cell->times); /* each cell must be decided */
        deq_axes_place(g->x, a->axes, a->naxes, places[i], at);
        if (value >= 0 && !cell->unknown)
            cell->value = deq_arrays_interval(deq_arrays_cell(g, value, at), cell->values, DEQ_CLAIM_RESAMPLES);
    }
    if (undecided && c->times == 1) c->times = deq_times_to_decide(c->share); /* all cells hold, but not yet together */
    free(places);
    return (ok && !g->starved) || deq_fail(e, DEQ_MEMORY, "out of memory for the claims of '%s'", g->x->name);
}

/* ---- what is written ---- */
static void print_value(FILE *out, const deq_interval *v, bool percent) {
    const double scale = percent ? 100 : 1;
    const char *sign = percent ? "%" : "";
    char text[DEQ_NUMBER_TEXT], low[DEQ_NUMBER_TEXT], high[DEQ_NUMBER_TEXT];
    if (isnan(v->value))
        fputs("-", out);
    else
        fprintf(out, "%s%s", deq_number_text(scale * v->value, 3, text), sign);
    if (!isnan(v->value) && !isnan(v->low))
        fprintf(out, " [%s, %s]", deq_number_text(scale * v->low, 3, low), deq_number_text(scale * v->high, 3, high));
}

/* How many would decide: rounded up to two digits, since the share of the resamples says no more. */
static double needed(double times, double n) {
    const double unit = pow(10, fmax(0, floor(log10(times * n)) - 1));
    return times > 1 && n > 0 ? ceil(times * n / unit) * unit : NAN;
}

/* "3400 examples, 8 seeds"; "" where it is decided. */
static void print_needed(char *out, size_t size, const Claim *c, double times) {
    const double examples = needed(times, (double)c->examples), seeds = needed(times, c->seeds);
    char of_seeds[60] = "";
    *out = 0;
    if (!isnan(seeds)) snprintf(of_seeds, sizeof of_seeds, "%.0f seeds", seeds);
    if (times > MOST_TIMES)
        snprintf(out, size, "more than %d times as many", MOST_TIMES);
    else if (!isnan(examples))
        snprintf(out, size, "%.0f examples%s%s", examples, *of_seeds ? ", " : "", of_seeds);
    else
        snprintf(out, size, "%s", of_seeds);
}

static void print_row(FILE *out, const Claim *c, const Judged *cell, double share) {
    char decides[120];
    print_needed(decides, sizeof decides, c, cell && c->ncells > 1 ? cell->times : c->times);
    fputs(cell && c->ncells > 1 ? "| - " : "| ", out);
    deq_markdown_cell(out, cell && c->ncells > 1 ? cell->label : c->spec->text);
    fprintf(out, " | %s | ", verdict_of(share));
    if (cell)
        print_value(out, &cell->value, c->spec->percent);
    else
        fputs("-", out);
    if (isnan(share))
        fputs(" | - |", out);
    else
        fprintf(out, " | %.1f%% |", 100 * share);
    if (cell && c->ncells > 1)
        fputs(" | |", out);
    else
        fprintf(out, " %lld | %s%.0d |", (long long)c->examples, c->seeds ? "" : "-", c->seeds);
    fprintf(out, " %s |\n", *decides ? decides : "-");
}

/* Claims about accuracies under attack are as good as those are. */
static void print_doubts(FILE *out, const Claim *claims, int n) {
    for (int i = 0; i < n; i++) {
        if (claims[i].verdict.level <= DEQ_RELIABLE) continue;
        fprintf(out, "\n**%s** rests on an accuracy under attack that is %s: ", claims[i].spec->text,
                deq_verdict_name(claims[i].verdict.level));
        deq_verdict_reasons(out, &claims[i].verdict);
        fputs(".\n", out);
    }
}

/* What a claim that is undecided for want of values lacks; "" where it lacks none. */
static void lack_of(const Claim *c, char *out, size_t size) {
    *out = 0;
    if (!c->ncells)
        snprintf(out, size, "it is about nothing: none of its cells has a value");
    else if (c->ncells == 1 && c->unknown)
        snprintf(out, size, "nothing was measured of what it is about");
    else if (c->unknown)
        snprintf(out, size, "nothing was measured in %d of its %d cells", c->unknown, c->ncells);
}

static void print_lacks(FILE *out, const Claim *claims, int n) {
    char lack[120];
    for (int i = 0; i < n; i++) {
        lack_of(&claims[i], lack, sizeof lack);
        if (*lack) fprintf(out, "\n**%s**: %s.\n", claims[i].spec->text, lack);
    }
}

static void print_markdown(FILE *out, const Claim *claims, int n) {
    fputs("| claim | verdict | value | resamples | examples | seeds | would decide |\n"
          "|:--|:--|--:|--:|--:|--:|--:|\n",
          out);
    for (int i = 0; i < n; i++) {
        const Claim *c = &claims[i];
        print_row(out, c, c->ncells == 1 ? c->cells : NULL, c->share);
        for (int k = 0; c->ncells > 1 && k < c->ncells; k++) print_row(out, c, &c->cells[k], c->cells[k].share);
    }
    fprintf(
        out,
        "\nA claim holds where its condition is true in 97.5%% or more of %d resamples of the examples and the seeds, "
        "and fails at 2.5%% or less.  In brackets: 95%% of the resamples.\n",
        DEQ_CLAIM_RESAMPLES);
    bool seeds = false, undecided = false;
    for (int i = 0; i < n; i++) seeds = seeds || claims[i].seeds, undecided = undecided || claims[i].times > 1;
    if (undecided)
        fprintf(out,
                "\nWhat would decide a claim is an estimate: what was measured stays%s, and its standard error shrinks "
                "with the root of how many there are.\n",
                seeds ? ", examples and seeds grow alike" : "");
    print_lacks(out, claims, n);
    print_doubts(out, claims, n);
}

static void print_text(FILE *out, const char *text) {
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"') fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

static void print_number(FILE *out, double v) {
    if (!isnan(v)) fprintf(out, "%.9g", v);
    fputc(',', out);
}

/* A line for each claim, then one for each of its cells where it has several. */
static void print_csv(FILE *out, const Claim *claims, int n) {
    static const Judged none = {.value = {NAN, NAN, NAN}};
    fputs("claim,cell,verdict,value,low,high,share,examples,seeds,examples_to_decide,seeds_to_decide,"
          "accuracies,reasons,checks,nets,journals\n",
          out);
    for (int i = 0; i < n; i++)
        for (int k = claims[i].ncells == 1 ? 0 : -1; k < claims[i].ncells; k++) {
            const Claim *c = &claims[i];
            const Judged *cell = k < 0 ? &none : &c->cells[k];
            const bool whole = k < 0 || c->ncells == 1;
            print_text(out, c->spec->text);
            fputc(',', out);
            print_text(out, whole ? "" : cell->label);
            fprintf(out, ",%s,", verdict_of(whole ? c->share : cell->share));
            print_number(out, cell->value.value);
            print_number(out, cell->value.low);
            print_number(out, cell->value.high);
            const double times = whole ? c->times : cell->times;
            const double share = whole ? c->share : cell->share;
            if (!isnan(share)) fprintf(out, "%.4f", share);
            fprintf(out, ",%lld,%d,", (long long)c->examples, c->seeds);
            print_number(out, needed(times, (double)c->examples));
            const double seeds = needed(times, c->seeds);
            if (!isnan(seeds)) fprintf(out, "%.9g", seeds);
            const deq_verdict *verdict = whole ? &c->verdict : cell->verdict;
            fprintf(out, ",%s,", deq_verdict_name(verdict->level));
            deq_verdict_csv(out, verdict);
            fprintf(out, ",%s,%s\n", whole ? c->rests.nets : "", whole ? c->rests.journals : "");
        }
}

static json_t *accuracies_json(const deq_verdict *v) {
    json_t *o = v->level ? json_object() : json_null();
    if (v->level) deq_verdict_members(v, o);
    return o;
}

static json_t *claim_json(const char *experiment, const Claim *c) {
    json_t *cells = json_array();
    for (int i = 0; i < c->ncells; i++)
        json_array_append_new(
            cells,
            json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "cell", c->cells[i].label, "verdict",
                      verdict_of(c->cells[i].share), "share", deq_json_number(c->cells[i].share), "value",
                      deq_json_number(c->cells[i].value.value), "low", deq_json_number(c->cells[i].value.low), "high",
                      deq_json_number(c->cells[i].value.high), "accuracies", accuracies_json(c->cells[i].verdict)));
    return json_pack("{s:s, s:s, s:s, s:o, s:I, s:i, s:o, s:o, s:o, s:s, s:s, s:o}", "experiment", experiment, "text",
                     c->spec->text, "verdict", verdict_of(c->share), "share", deq_json_number(c->share), "examples",
                     (json_int_t)c->examples, "seeds", c->seeds, "examples_to_decide",
                     deq_json_number(needed(c->times, (double)c->examples)), "seeds_to_decide",
                     deq_json_number(needed(c->times, c->seeds)), "accuracies", accuracies_json(&c->verdict), "nets",
                     c->rests.nets, "journals", c->rests.journals, "cells", cells);
}

static void report(deq_arrays *g, const Claim *c) {
    char decides[120], lack[120];
    print_needed(decides, sizeof decides, c, c->times);
    lack_of(c, lack, sizeof lack);
    if (isnan(c->share))
        deq_report(&g->app->reporter, "claim \"%s\" is undecided: %s", c->spec->text, lack);
    else
        deq_report(&g->app->reporter, "claim \"%s\" %s: true in %.1f%% of %d resamples%s%s%s%s", c->spec->text,
                   c->share > FAILS && c->share < HOLDS ? "is undecided" : verdict_of(c->share), 100 * c->share,
                   DEQ_CLAIM_RESAMPLES, *decides ? "; would decide it: about " : "", decides,
                   c->verdict.level > DEQ_RELIABLE ? "; it rests on an accuracy that is " : "",
                   c->verdict.level > DEQ_RELIABLE ? deq_verdict_name(c->verdict.level) : "");
    deq_report_event(&g->app->reporter, "claim", claim_json(g->x->name, c));
}

/* "claims", or "EXPERIMENT-claims" where several experiments of the script have some. */
static char *stem_of(const deq_arrays *g) {
    const deq_manifest *m = g->app->manifest;
    int having = 0;
    char *text = NULL;
    for (int i = 0; i < m->nexperiments; i++) having += m->experiments[i].nclaims > 0;
    const bool shared = having > 1;
    if (asprintf(&text, "%s%sclaims", shared ? g->x->name : "", shared ? "-" : "") < 0) return NULL;
    char *stem = deq_path_component(text);
    free(text);
    return stem;
}

/* {experiment, claims}, sealed for the file `path`. */
static char *all_json(const deq_arrays *g, const Claim *claims, const char *path) {
    json_t *list = json_array();
    for (int i = 0; i < g->x->nclaims; i++) json_array_append_new(list, claim_json(g->x->name, &claims[i]));
    json_t *o = json_pack("{s:s, s:o}", "experiment", g->x->name, "claims", list);
    char *text = o ? deq_seal_json(o, path) : NULL;
    json_decref(o);
    return text;
}

static bool write_files(deq_arrays *g, const Claim *claims, deq_error *e) {
    char *stem = stem_of(g), *markdown = stem ? deq_app_file(g->app, stem, ".md") : NULL,
         *csv = stem ? deq_app_file(g->app, stem, ".csv") : NULL,
         *path = stem ? deq_app_file(g->app, stem, ".json") : NULL, *json = path ? all_json(g, claims, path) : NULL,
         *text = NULL, *values = NULL, *sealed = NULL;
    size_t size = 0, values_size = 0;
    FILE *f = open_memstream(&text, &size), *h = open_memstream(&values, &values_size);
    bool ok = markdown && csv && json && f && h;
    if (f) print_markdown(f, claims, g->x->nclaims), fclose(f);
    if (h) print_csv(h, claims, g->x->nclaims), fclose(h);
    if (ok) sealed = deq_seal_csv(values, csv, &values_size);
    ok = sealed || deq_fail(e, DEQ_MEMORY, "out of memory for the claims of '%s'", g->x->name);
    const deq_output_text all[] = {
        {markdown, text, size}, {csv, sealed, values_size}, {path, json, json ? strlen(json) : 0}};
    ok = ok && deq_result_files_write(g->app, all, 3, e);
    free(stem);
    free(path);
    free(json);
    free(markdown);
    free(csv);
    free(text);
    free(values);
    free(sealed);
    return ok;
}

bool deq_claims_judge(deq_arrays *g, deq_error *e) {
    const int n = g->x->nclaims;
    if (!n) return true;
    Claim *claims = calloc((size_t)n, sizeof *claims);
    int *at = calloc((size_t)g->x->naxes + 1, sizeof *at), most = 0;
    for (int k = 0; k < g->x->naxes; k++) most = g->x->axes[k].nvalues > most ? g->x->axes[k].nvalues : most;
    int *places = calloc((size_t)most + 1, sizeof *places);
    bool ok = claims && at && places;
    g->seeds = true;
    for (int i = 0; ok && i < n; i++) {
        claims[i].spec = &g->x->claims[i];
        claims[i].seeds = seeds_behind(g, claims[i].spec->condition, at, places);
        ok = judge_cells(g, &claims[i], at, e);
        if (ok) report(g, &claims[i]);
        g->app->failed += ok && claims[i].share <= FAILS;
    }
    g->seeds = false;
    if (!claims || !at || !places) deq_fail(e, DEQ_MEMORY, "out of memory for the claims of '%s'", g->x->name);
    ok = ok && write_files(g, claims, e);
    for (int i = 0; claims && i < n; i++) {
        for (int k = 0; claims[i].cells && k < claims[i].ncells; k++)
            free(claims[i].cells[k].label), free(claims[i].cells[k].values);
        free(claims[i].cells);
        deq_sources_free(&claims[i].rests);
    }
    free(claims);
    free(places);
    free(at);
    return ok;
}
