#define _GNU_SOURCE
#include "arrays.h"
#include "experiment.h"
#include "reals.h"
#include "training_log.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

deq_cell *deq_arrays_cell(const deq_arrays *g, int array, const int *at) {
    const deq_array_spec *a = &g->x->arrays[array];
    return &g->cells[array][deq_axes_cell(g->x, a->axes, a->naxes, at)];
}

/* ---- opening, closing ---- */
bool deq_arrays_open(deq_arrays *g, deq_app *app, const deq_experiment_spec *x, deq_error *e) {
    *g = (deq_arrays){.app = app, .x = x};
    g->cells = calloc((size_t)x->narrays + 1, sizeof *g->cells);
    g->used = calloc((size_t)x->narrays + 1, sizeof *g->used);
    bool ok = g->cells && g->used;
    for (int i = 0; ok && i < x->narrays; i++) {
        const int n = deq_axes_count(x, x->arrays[i].axes, x->arrays[i].naxes);
        ok = (g->cells[i] = calloc((size_t)n, sizeof **g->cells));
        for (int k = 0; ok && k < n; k++) g->cells[i][k].interval = (deq_interval){NAN, NAN, NAN};
    }
    for (int t = 0; ok && t < x->ntables; t++)
        for (int c = 0; c < x->tables[t].ncolumns; c++) g->used[x->tables[t].columns[c].value] = 1;
    for (int i = x->narrays; ok && i-- > 0;) /* inputs stand before what is made of them */
        for (int k = 0; g->used[i] && k < x->arrays[i].ninputs; k++) g->used[x->arrays[i].inputs[k]] = 1;
    return ok || deq_fail(e, DEQ_MEMORY, "out of memory for the cells of '%s'", x->name);
}

static void cell_free(deq_cell *c) {
    if (c->evaluation) deq_evaluation_free(c->evaluation);
    free(c->evaluation);
    for (int i = 0; i < DEQ_MEANS; i++) free(c->means[i]);
    if (c->sampled) {
        free(c->sampled->values);
        free(c->sampled->means);
    }
    free(c->sampled);
}

void deq_arrays_close(deq_arrays *g) {
    for (int i = 0; g->cells && i < g->x->narrays; i++) {
        const int n = deq_axes_count(g->x, g->x->arrays[i].axes, g->x->arrays[i].naxes);
        for (int k = 0; g->cells[i] && k < n; k++) cell_free(&g->cells[i][k]);
        free(g->cells[i]);
    }
    free(g->cells);
    free(g->used);
    deq_resamples_free(g);
    *g = (deq_arrays){0};
}

/* ---- values ---- */
/* Calls a compiled function of scalars; false: out of memory. */
static bool call_scalar(const deq_module *module, const char *name, const double *inputs, double *out) {
    const deq_routine *routine = deq_module_routine(module, name);
    size_t scratch = (size_t)(routine->base_bytes + routine->row_bytes + 2 * DEQ_ALIGN) & ~(size_t)(DEQ_ALIGN - 1);
    deq_frame frame = {
        .scalars = inputs, .scratch = aligned_alloc(DEQ_ALIGN, scratch), .arg0 = aligned_alloc(DEQ_ALIGN, DEQ_ALIGN)};
    bool ok = frame.scratch && frame.arg0;
    if (ok) {
        routine->function(&frame, 1);
        *out = deq_real_get((int)module->real_bits, frame.arg0, 0);
    }
    free(frame.scratch);
    free(frame.arg0);
    return ok;
}

#define MOST_INPUTS 64

double deq_arrays_call(deq_arrays *g, const deq_array_spec *a, const double *inputs) {
    double out = NAN;
    if (!call_scalar(g->app->module, a->routine, inputs, &out)) g->starved = true;
    return out;
}

/* Whether the reduced array has a value at `at`, somewhere on its axes of seeds from over[k] on.  Writes those. */
static bool has_value(const deq_arrays *g, const deq_array_spec *a, int k, int *at) {
    while (k < a->nover && !g->x->axes[a->over[k]].seed) k++;
    if (k == a->nover) {
        const deq_cell *c = deq_arrays_cell(g, a->inputs[0], at);
        return c->done && !isnan(c->value);
    }
    const int axis = a->over[k];
    bool some = false;
    for (at[axis] = 0; at[axis] < g->x->axes[axis].nvalues && !(some = has_value(g, a, k + 1, at));) at[axis]++;
    return some;
}

int deq_arrays_seeds(const deq_arrays *g, const deq_array_spec *a, int k, const int *at, int *places) {
    const int axis = a->over[k];
    int *inner = malloc((size_t)(g->x->naxes + 1) * sizeof *inner), n = 0;
    if (!inner) return -1;
    for (int place = 0; place < g->x->axes[axis].nvalues; place++) {
        memcpy(inner, at, (size_t)g->x->naxes * sizeof *inner);
        inner[axis] = place;
        if (has_value(g, a, k + 1, inner)) places[n++] = place;
    }
    free(inner);
    return n;
}

/* Seeds are drawn among those that have a value, as many as they are: where a pick leaves some out or a list is shorter,
 * the others are neither drawn nor counted, and false says so.  Of several axes, a later one's are those that the seed
 * drawn of the one before it has. */
static bool draw_seeds(deq_arrays *g, const deq_array_spec *a, int resample, int *at, int *places) {
    for (int k = 0; k < a->nover; k++) {
        const int axis = a->over[k];
        if (!g->x->axes[axis].seed) continue;
        const int n = deq_arrays_seeds(g, a, k, at, places);
        g->starved = g->starved || n < 0;
        if (at[axis] >= n) return false;
        at[axis] = places[deq_resampled_seed(axis, resample, at[axis], n)];
    }
    return true;
}

bool deq_arrays_draws(const deq_array_spec *a) {
    return a->reduction == DEQ_REDUCE_mean || a->reduction == DEQ_REDUCE_std;
}

/* Calls `each` with every place of the reduced array's cells that make up the one at `at`; in a resample of seeds, with
 * those that are drawn. */
static bool each_part(deq_arrays *g, const deq_array_spec *a, const int *at, int resample,
                      bool (*each)(deq_arrays *g, int array, const int *at, int part, void *context), void *context) {
    const int n = deq_axes_count(g->x, a->over, a->nover);
    const bool drawn = resample >= 0 && g->seeds && deq_arrays_draws(a);
    int *inner = malloc((size_t)(g->x->naxes + 1) * sizeof *inner), *places = malloc((size_t)(n + 1) * sizeof *places);
    bool ok = inner && places;
    g->starved = g->starved || !ok;
    if (ok) memcpy(inner, at, (size_t)g->x->naxes * sizeof *inner);
    for (int part = 0; ok && part < n; part++) {
        deq_axes_place(g->x, a->over, a->nover, part, inner);
        if (!drawn || draw_seeds(g, a, resample, inner, places)) ok = each(g, a->inputs[0], inner, part, context);
    }
    free(inner);
    free(places);
    return ok;
}

typedef struct Gathered {
    double *values;
    int resample;
    bool unknown; /* one of them, which is there, is no number */
} Gathered;

static bool gather(deq_arrays *g, int array, const int *at, int part, void *context) {
    Gathered *to = context;
    to->values[part] = deq_arrays_value(g, array, at, to->resample);
    to->unknown = to->unknown || (isnan(to->values[part]) && !deq_arrays_cell(g, array, at)->absent);
    return true;
}

/* Of conditions of which one is unknown: `all` where the others are true, and `any` where they are false. */
static bool hangs(const deq_array_spec *a, double truth) {
    return (a->reduction == DEQ_REDUCE_all && truth == 1) || (a->reduction == DEQ_REDUCE_any && truth == 0);
}

static double reduced(deq_arrays *g, const deq_array_spec *a, const int *at, int resample) {
    const int n = deq_axes_count(g->x, a->over, a->nover);
    Gathered to = {malloc((size_t)n * sizeof(double)), resample, false};
    double out = NAN;
    g->starved = g->starved || !to.values;
    for (int i = 0; to.values && i < n; i++) to.values[i] = NAN;
    if (to.values && each_part(g, a, at, resample, gather, &to))
        out = a->reduction == DEQ_REDUCE_spearman ? deq_rank_correlation(a->numbers, to.values, n)
                                                  : deq_reduce(a->reduction, a->share, to.values, n);
    free(to.values);
    return to.unknown && hangs(a, out) ? NAN : out;
}

bool deq_arrays_picked(const deq_arrays *g, const deq_array_spec *a, const int *at, int *out) {
    memcpy(out, at, (size_t)g->x->naxes * sizeof *out);
    for (int i = 0; i < a->npicks; i++) {
        const deq_pick_spec *p = &a->picks[i];
        bool kept = p->nkeep == 0;
        for (int k = 0; k < p->nkeep; k++) kept = kept || p->keep[k] == at[p->axis];
        if (!kept) return false;
        if (p->at >= 0) out[p->axis] = p->at;
        if (p->choice >= 0) {
            const double chosen = deq_arrays_cell(g, p->choice, at)->value; /* in a resample too: it is what has run */
            if (!(chosen >= 0 && chosen < g->x->axes[p->axis].nvalues)) return false;
            out[p->axis] = (int)chosen;
        }
    }
    return true;
}

static double picked_value(deq_arrays *g, const deq_array_spec *a, const int *at, int resample) {
    int *inner = malloc((size_t)(g->x->naxes + 1) * sizeof *inner);
    g->starved = g->starved || !inner;
    const double out =
        inner && deq_arrays_picked(g, a, at, inner) ? deq_arrays_value(g, a->inputs[0], inner, resample) : NAN;
    free(inner);
    return out;
}

static double computed(deq_arrays *g, int array, const int *at, int resample) {
    const deq_array_spec *a = &g->x->arrays[array];
    deq_cell *c = deq_arrays_cell(g, array, at);
    double inputs[MOST_INPUTS];
    if (resample >= 0 && c->sampled) return deq_resampled_mean(g, c->sampled, resample);
    switch (a->kind) {
    case DEQ_ARRAY_coordinate: return a->numbers[deq_axes_cell(g->x, a->axes, a->naxes, at)];
    case DEQ_ARRAY_chosen: {
        const double place = deq_arrays_value(g, a->inputs[0], at, resample);
        return place >= 0 && place < a->nspecs ? a->numbers[(int)place] : NAN;
    }
    case DEQ_ARRAY_expression:
        for (int i = 0; i < a->ninputs; i++) {
            inputs[i] = deq_arrays_value(g, a->inputs[i], at, resample);
            if (isnan(inputs[i])) return NAN; /* a condition, too: a comparison would call it false */
        }
        return deq_arrays_call(g, a, inputs);
    case DEQ_ARRAY_reduce: return reduced(g, a, at, resample);
    case DEQ_ARRAY_pick: return picked_value(g, a, at, resample);
    default: return c->value; /* statistics stay as they are */
    }
}

double deq_arrays_value(deq_arrays *g, int array, const int *at, int resample) {
    deq_cell *c = deq_arrays_cell(g, array, at);
    if (resample < 0 || c->absent) return c->value;
    const int stamp = 2 * resample + 1 + g->seeds;
    if (c->stamp != stamp) {
        c->drawn = computed(g, array, at, resample);
        c->stamp = stamp;
    }
    return c->drawn;
}

bool deq_arrays_choose(deq_arrays *g, int array, const int *at, int *out, deq_error *e) {
    const deq_array_spec *a = &g->x->arrays[array];
    memcpy(out, at, (size_t)g->x->naxes * sizeof *out);
    for (int k = 0; k < a->ncells; k++) {
        const deq_axis_spec *axis = &g->x->axes[a->cells[k]];
        if (axis->choice < 0) continue;
        if (!deq_arrays_need(g, axis->choice, at, e)) return false;
        const double chosen = deq_arrays_value(g, axis->choice, at, -1);
        if (isnan(chosen))
            return deq_fail(e, DEQ_SETTING, "'%s' chooses nothing: none of its values is a number", axis->name);
        out[a->cells[k]] = (int)chosen;
    }
    return true;
}

/* ---- what a value rests on ---- */
bool deq_arrays_constant(const deq_experiment_spec *x, int array) {
    const deq_array_spec *a = &x->arrays[array];
    if (a->kind == DEQ_ARRAY_coordinate || a->kind == DEQ_ARRAY_log) return true;
    if (a->kind != DEQ_ARRAY_expression && a->kind != DEQ_ARRAY_pick) return false;
    for (int i = 0; i < a->ninputs; i++)
        if (!deq_arrays_constant(x, a->inputs[i])) return false;
    return true;
}

/* Whether a resample changes it, and nothing but examples is behind it. */
static bool is_sampled(const deq_arrays *g, int array) {
    const deq_array_spec *a = &g->x->arrays[array];
    bool some = false;
    switch (a->kind) {
    case DEQ_ARRAY_evaluate: return true;
    case DEQ_ARRAY_statistic: return deq_mean_of(a->what) >= 0;
    case DEQ_ARRAY_pick: return is_sampled(g, a->inputs[0]);
    case DEQ_ARRAY_expression:
        for (int i = 0; i < a->ninputs; i++) {
            if (deq_arrays_constant(g->x, a->inputs[i])) continue;
            if (!is_sampled(g, a->inputs[i])) return false;
            some = true;
        }
        return some;
    case DEQ_ARRAY_reduce:
        return a->reduction != DEQ_REDUCE_argmin && a->reduction != DEQ_REDUCE_argmax && is_sampled(g, a->inputs[0]);
    default: return false;
    }
}

static bool is_share(const deq_cell *c) { return c->evaluation ? c->evaluation->share : c->share; }

deq_interval deq_arrays_interval(const deq_cell *c, double *resampled, int n) {
    /* Of examples that all agree every resample is the same, which says nothing of those that were not drawn. */
    if (is_share(c) && c->value == 0) return deq_wilson(0, c->examples);
    if (is_share(c) && c->value == 1) return deq_wilson(c->examples, c->examples);
    return deq_percentiles(c->value, resampled, n);
}

/* None where a resample has no number, or memory is short. */
static deq_interval interval_of(deq_arrays *g, int array, const int *at) {
    deq_interval out = {NAN, NAN, NAN};
    double *values = malloc(DEQ_RESAMPLES * sizeof *values);
    for (int r = 0; values && r < DEQ_RESAMPLES; r++) values[r] = deq_arrays_value(g, array, at, r);
    if (values) out = deq_arrays_interval(deq_arrays_cell(g, array, at), values, DEQ_RESAMPLES);
    free(values);
    return out;
}

/* A value can be believed as far as the least of what it is computed from; the least of several, and the worst of them
 * example by example, as far as the strongest attack, of equal ones the one with the most doubt. */
static void believe(deq_cell *c, const deq_cell *part, bool strongest, double *least) {
    if (c->examples < part->examples) c->examples = part->examples;
    const bool worse = part->verdict.level > c->verdict.level;
    if (strongest ? part->value < *least || (part->value == *least && worse) : worse) c->verdict = part->verdict;
    if (part->value < *least) *least = part->value;
}

typedef struct Reducing {
    deq_cell *cell;
    bool strongest, records;
    double least;
    bool some;       /* a part exists */
    bool all_shares; /* of those that have a value */
    deq_error *e;
} Reducing;

/* Each example's least, or its largest loss. */
static bool take_worst(deq_cell *c, const deq_cell *part, deq_error *e) {
    if (!part->sampled ||
        (c->sampled && (c->sampled->n != part->sampled->n || c->sampled->group != part->sampled->group ||
                        c->sampled->from != part->sampled->from)))
        return deq_fail(e, DEQ_MODULE, "worst_of goes over evaluations of the same examples");
    const deq_sampled *from = part->sampled;
    const bool by_loss = part->evaluation && part->evaluation->by_loss;
    if (!c->sampled) {
        c->sampled = calloc(1, sizeof *c->sampled);
        double *values = malloc((size_t)(from->n + 1) * sizeof *values);
        if (!c->sampled || !values) return free(values), deq_fail(e, DEQ_MEMORY, "out of memory for worst_of");
        memcpy(values, from->values, (size_t)from->n * sizeof *values);
        *c->sampled = (deq_sampled){
            .values = values, .share = from->share, .n = from->n, .group = from->group, .from = from->from};
    }
    c->sampled->share = c->sampled->share && from->share;
    for (int64_t i = 0; i < from->n; i++)
        if (by_loss ? from->values[i] > c->sampled->values[i] : from->values[i] < c->sampled->values[i])
            c->sampled->values[i] = from->values[i];
    return true;
}

static bool reduce_part(deq_arrays *g, int array, const int *at, int part, void *context) {
    Reducing *r = context;
    (void)part;
    if (!deq_arrays_need(g, array, at, r->e)) return false;
    const deq_cell *of = deq_arrays_cell(g, array, at);
    r->some = r->some || !of->absent;
    if (isnan(of->value)) return true;
    r->all_shares = r->all_shares && is_share(of);
    believe(r->cell, of, r->strongest, &r->least); /* a choice is as good as what it chose by */
    return !r->records || take_worst(r->cell, of, r->e);
}

static bool take_picked(deq_arrays *g, const deq_array_spec *a, deq_cell *c, const int *at, deq_error *e) {
    int *inner = malloc((size_t)(g->x->naxes + 1) * sizeof *inner);
    bool ok = inner || deq_fail(e, DEQ_MEMORY, "out of memory");
    for (int i = 0; ok && i < a->npicks; i++)
        ok = a->picks[i].choice < 0 || deq_arrays_need(g, a->picks[i].choice, at, e);
    c->value = NAN;
    c->absent = true;
    if (ok && deq_arrays_picked(g, a, at, inner) && (ok = deq_arrays_need(g, a->inputs[0], inner, e))) {
        const deq_cell *of = deq_arrays_cell(g, a->inputs[0], inner);
        c->absent = of->absent;
        c->share = is_share(of);
        c->value = of->value;
        c->interval = of->interval;
        c->verdict = of->verdict;
        c->examples = of->examples;
    }
    free(inner);
    return ok;
}

static const char *const mean_names[DEQ_MEANS] = {
#define MEAN(name) #name,
#include "means.def"
#undef MEAN
};

float deq_mean_value(const deq_record *r, int mean) {
    const double values[DEQ_MEANS] = {
#define MEAN(name) (double)r->name,
#include "means.def"
#undef MEAN
    };
    return (float)values[mean];
}

int deq_mean_of(const char *what) {
    for (int i = 0; i < DEQ_MEANS; i++)
        if (!strcmp(what, mean_names[i])) return i;
    return -1;
}

/* Means over examples are resampled with them; other statistics stay as they are. */
static bool sample_statistic(const deq_cell *of, const char *what, deq_cell *c) {
    const int mean = deq_mean_of(what);
    const float *values = mean < 0 ? NULL : of->means[mean];
    if (!values || !of->sampled || isnan(c->value)) return true;
    double *copy = malloc((size_t)(of->sampled->n + 1) * sizeof *copy);
    c->sampled = copy ? calloc(1, sizeof *c->sampled) : NULL;
    if (!c->sampled) return free(copy), false;
    for (int64_t i = 0; i < of->sampled->n; i++) copy[i] = (double)values[i];
    *c->sampled =
        (deq_sampled){.values = copy, .n = of->sampled->n, .group = of->sampled->group, .from = of->sampled->from};
    return true;
}

/* A column of the training's log, in its last row or that of the epoch; NaN where there is none. */
static bool take_logged(deq_arrays *g, const deq_array_spec *a, deq_cell *c, const int *at, deq_error *e) {
    const deq_model *model = c->model = deq_experiment_model(g, a->train, at, e);
    c->value = NAN;
    if (!model || (a->ninputs && !deq_arrays_need(g, a->inputs[0], at, e))) return false;
    size_t row = json_array_size(model->log);
    if (a->ninputs) {
        const double epoch = deq_arrays_cell(g, a->inputs[0], at)->value;
        while (row-- > 0)
            if (deq_json_double(json_object_get(json_array_get(model->log, row), "epoch")) == epoch) break;
    } else if (row > 0) {
        row--;
    }
    if (row < json_array_size(model->log))
        c->value = deq_json_double(json_object_get(json_array_get(model->log, row), a->what));
    return true;
}

/* Of shares that are all 0, or all 1, it is that too. */
static bool keeps_shares(deq_reduction reduction) {
    return reduction == DEQ_REDUCE_min || reduction == DEQ_REDUCE_max || reduction == DEQ_REDUCE_mean ||
           reduction == DEQ_REDUCE_quantile || reduction == DEQ_REDUCE_worst_of;
}

static bool compute(deq_arrays *g, int array, const int *at, deq_error *e) {
    const deq_array_spec *a = &g->x->arrays[array];
    deq_cell *c = deq_arrays_cell(g, array, at);
    double least = INFINITY;
    if (a->kind == DEQ_ARRAY_pick) return take_picked(g, a, c, at, e);
    if (a->kind == DEQ_ARRAY_log) return take_logged(g, a, c, at, e);
    if (a->ninputs > MOST_INPUTS)
        return deq_fail(e, DEQ_MODULE, "value '%s' has more than %d inputs", a->name, MOST_INPUTS);
    for (int i = 0; i < a->ninputs && a->kind != DEQ_ARRAY_reduce; i++) {
        if (!deq_arrays_need(g, a->inputs[i], at, e)) return false;
        const deq_cell *input = deq_arrays_cell(g, a->inputs[i], at);
        c->absent = c->absent || input->absent;
        if (a->kind == DEQ_ARRAY_expression || a->kind == DEQ_ARRAY_chosen) believe(c, input, false, &least);
    }
    if (c->absent) return c->value = NAN, true;
    if (a->kind == DEQ_ARRAY_reduce) {
        const bool records = a->reduction == DEQ_REDUCE_worst_of;
        Reducing r = {c, records || a->reduction == DEQ_REDUCE_min, records, INFINITY, false, true, e};
        if (!each_part(g, a, at, -1, reduce_part, &r))
            return e->failure != DEQ_OK ? false : deq_fail(e, DEQ_MEMORY, "out of memory for '%s'", a->name);
        if (!r.some) return c->absent = true, c->value = NAN, true;
        c->share = r.all_shares && keeps_shares(a->reduction);
        if (records) {
            double sum = 0;
            for (int64_t i = 0; i < c->sampled->n; i++) sum += c->sampled->values[i];
            c->value = sum / (double)c->sampled->n;
        }
    }
    if (a->kind == DEQ_ARRAY_verdict) { /* of what is under no attack there is none */
        const deq_cell *of = deq_arrays_cell(g, a->inputs[0], at);
        const deq_verdict_level level = of->verdict.level;
        c->examples = of->examples;
        c->absent = level == DEQ_UNJUDGED;
        c->value = c->absent ? NAN : (double)level - 1;
    } else if (a->kind == DEQ_ARRAY_statistic) {
        const deq_evaluation *of = deq_arrays_cell(g, a->inputs[0], at)->evaluation;
        c->examples = of->examples;
        c->value = deq_evaluation_statistic(of, a->what);
        if (!sample_statistic(deq_arrays_cell(g, a->inputs[0], at), a->what, c))
            return deq_fail(e, DEQ_MEMORY, "out of memory for '%s'", a->name);
    } else if (!c->sampled) {
        c->value = computed(g, array, at, -1);
    }
    if (is_sampled(g, array) && !isnan(c->value)) c->interval = interval_of(g, array, at);
    return !g->starved || deq_fail(e, DEQ_MEMORY, "out of memory for '%s'", a->name);
}

bool deq_arrays_need(deq_arrays *g, int array, const int *at, deq_error *e) {
    deq_cell *c = deq_arrays_cell(g, array, at);
    const deq_array_kind kind = g->x->arrays[array].kind;
    if (c->done) return true;
    if (deq_axes_absent(g->x, g->x->arrays[array].axes, g->x->arrays[array].naxes, at)) {
        c->value = NAN;
        return c->absent = c->done = true;
    }
    if (c->waiting) return deq_fail(e, DEQ_MODULE, "'%s' waits for itself", g->x->arrays[array].name);
    c->waiting = true;
    const bool ok = kind == DEQ_ARRAY_train      ? deq_experiment_train(g, array, at, e)
                    : kind == DEQ_ARRAY_evaluate ? deq_experiment_evaluate(g, array, at, e)
                                                 : compute(g, array, at, e);
    c->waiting = false;
    c->done = ok;
    if (ok) deq_experiment_report(g, array, at);
    return ok;
}
