/* measure.c - examples through the engine, attacks that are known left out, and the outcome of joined attacks. */
#include "measure.h"
#include "ranks.h"
#include "signals.h"
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* What the engine says of n examples. */
typedef struct Rows {
    double *loss, *metric, *margin, *distance[3];
    float *steps, *residual;
    int32_t *prediction, *label;
    deq_row_counts *attack, *counts;
} Rows;

static void free_rows(Rows *r) {
    free(r->loss);
    free(r->steps);
    free(r->prediction);
    free(r->attack);
}

/* A buffer for each type; losses and metrics that nobody asks for stay NaN. */
static bool make_rows(Rows *r, int64_t n) {
    const size_t count = (size_t)n;
    *r = (Rows){.loss = malloc(6 * count * sizeof *r->loss),
                .steps = calloc(2 * count, sizeof *r->steps),
                .prediction = malloc(2 * count * sizeof *r->prediction),
                .attack = calloc(2 * count, sizeof *r->attack)};
    if (!r->loss || !r->steps || !r->prediction || !r->attack) {
        free_rows(r);
        return false;
    }
    for (size_t i = 0; i < 6 * count; i++) r->loss[i] = NAN;
    r->metric = r->loss + n, r->margin = r->metric + n;
    for (int k = 0; k < 3; k++) r->distance[k] = r->margin + (k + 1) * n;
    r->residual = r->steps + n;
    r->label = r->prediction + n;
    r->counts = r->attack + n;
    return true;
}

/* A NaN as it is written: that of the processor has a sign. */
static double plain(double value) { return isnan(value) ? NAN : value; }

/* Whether the largest output is no class: there are others beside those of the classes. */
static bool has_other_outputs(const deq_net_spec *net, const char *metric) {
    const int64_t classes = net->target.labels;
    return classes && net->output.elements != classes && (!metric || strcmp(metric, "accuracy") != 0);
}

/* What the metric says of such an example, where it can be only right or wrong. */
static int32_t by_metric(const deq_net_spec *net, const char *metric, const deq_record *r) {
    const deq_metric_spec *m = metric ? deq_net_metric(net, metric) : NULL;
    if (r->prediction == DEQ_PREDICTION_NAN) return DEQ_PREDICTION_NAN;
    if (!m || !m->share || isnan(r->metric)) return DEQ_PREDICTION_NONE;
    return r->metric > 0 ? r->label : DEQ_PREDICTION_OTHER;
}

static deq_record record_of(const deq_net_spec *net, const char *metric, const Rows *rows, int64_t i, int64_t id,
                            bool attacked) {
    deq_record r = deq_record_empty(id);
    const deq_row_counts *a = &rows->attack[i], *c = &rows->counts[i];
    r.label = rows->label[i];
    r.prediction = rows->prediction[i];
    r.metric = plain(rows->metric[i]);
    r.loss = plain(rows->loss[i]);
    r.margin = plain(rows->margin[i]);
    if (has_other_outputs(net, metric)) r.margin = NAN, r.prediction = by_metric(net, metric, &r);
    r.evaluations = c->evaluations;
    r.products = c->products;
    r.processor_seconds = c->seconds;
    if (c->solves) {
        r.steps = rows->steps[i];
        r.residual = rows->residual[i];
        r.reason = c->reason;
        r.solves = c->solves;
        r.unconverged = c->unconverged;
    }
    if (!attacked) return r;
    r.distance_inf = r.reach_inf = (float)rows->distance[0][i];
    r.distance_2 = r.reach_2 = (float)rows->distance[1][i];
    r.distance_1 = r.reach_1 = (float)rows->distance[2][i];
    r.evaluations += a->evaluations;
    r.products += a->products;
    r.processor_seconds += a->seconds;
    r.queries = a->queries;
    r.gradients = a->gradients;
    r.zero_gradients = a->zero;
    r.lost_gradients = a->lost;
    r.undefined_values = a->undefined;
    r.attack_solves = a->solves;
    r.attack_unconverged = a->unconverged;
    r.attack_diverged = a->diverged;
    r.adjoint_solves = a->adjoints;
    r.adjoint_unconverged = a->adjoints_unconverged;
    return r;
}

/* One call of the engine: one attack, run or known, or none, on some examples. */
typedef struct Pass {
    const deq_measuring *m;
    deq_engine *engine;
    uint64_t seed; /* of the attack's draws */
    const deq_attack_spec *spec;
    deq_attacked *kept; /* takes the inputs that this pass makes; NULL: nothing does */
    const int64_t *index;
    deq_record *out;
    const char *loss,
        *metric;   /* which of the net's are wanted; NULL: none.  An attack needs targets: there must be one */
    bool complete; /* its records are the evaluation's: nothing is joined to them */
    char *inputs;  /* takes where the attack leads, dense; NULL: nobody asks */
    Rows rows;
    pthread_mutex_t lock;
} Pass;

/* A block of examples is ready. */
static void on_finished(void *context, int64_t from, int64_t n, const void *inputs, size_t apart, bool here) {
    Pass *p = context;
    for (int64_t i = from; i < from + n; i++)
        p->out[i] = record_of(deq_engine_net(p->engine), p->metric, &p->rows, i, p->index[i], p->spec != NULL);
    pthread_mutex_lock(&p->lock);
    if (p->kept) deq_attacked_keep(p->kept, p->index + from, inputs, apart, p->rows.attack + from, n);
    if (p->complete && p->m->finished) p->m->finished(p->m->context, p->out + from, n, here);
    pthread_mutex_unlock(&p->lock);
}

/* `known`: where the attack leads, with its counts in the rows; NULL: it is run. */
static bool run_pass(Pass *p, int64_t n, const void *known, deq_error *e) {
    double scalars[DEQ_MOST_SCALARS];
    const deq_measuring *m = p->m;
    const deq_attack_spec *spec = p->spec;
    Rows *rows = &p->rows;
    deq_attack attack = spec ? deq_app_attack(spec, scalars) : (deq_attack){0};
    attack.known = known;
    deq_results results = {.loss = p->loss ? rows->loss : NULL,
                           .metric = p->metric ? rows->metric : NULL,
                           .margin = rows->margin,
                           .prediction = rows->prediction,
                           .label = rows->label,
                           .steps = rows->steps,
                           .residual = rows->residual,
                           .attack = known ? NULL : rows->attack,
                           .counts = rows->counts,
                           .inputs = p->inputs,
                           .finished = on_finished,
                           .finished_context = p};
    for (int k = 0; spec && k < 3; k++) results.distance[k] = rows->distance[k];
    pthread_mutex_init(&p->lock, NULL);
    bool ok = deq_engine_evaluate(p->engine, &m->source, p->index, n, p->loss, p->metric, spec ? &attack : NULL,
                                  deq_app_attack_seed(spec, p->seed), m->progress, m->context, &results, e);
    pthread_mutex_destroy(&p->lock);
    return ok;
}

static bool no_memory(int64_t n, deq_error *e) {
    return deq_fail(e, DEQ_MEMORY, "out of memory for the results of %lld examples", (long long)n);
}

/* What stands in the cache of these examples, with the counts in `counts`; first those that do not. */
typedef struct Split {
    int64_t *index, *place; /* the examples: first those whose attack is to be run; where each stood */
    char *inputs;           /* of the known ones, in their order */
    deq_row_counts *counts; /* likewise */
    int64_t unknown, found; /* found: in the cache */
} Split;

static void free_split(Split *s) {
    free(s->index);
    free(s->place);
    free(s->inputs);
    free(s->counts);
}

static bool split(Split *s, const deq_attacked *kept, size_t input, const int64_t *index, int64_t n, deq_error *e) {
    const size_t count = (size_t)n;
    *s = (Split){.index = malloc(count * sizeof *s->index), .place = malloc(count * sizeof *s->place)};
    if (kept) s->inputs = malloc(count * input), s->counts = malloc(count * sizeof *s->counts);
    bool *there = calloc(count, sizeof *there);
    if (!s->index || !s->place || !there || (kept && (!s->inputs || !s->counts))) {
        free(there);
        return no_memory(n, e);
    }
    int64_t known = 0;
    if (kept) deq_attacked_get(kept, index, n, there, s->inputs, s->counts);
    for (int64_t i = 0; i < n; i++) {
        const int64_t at = there[i] ? n - 1 - known++ : s->unknown++;
        s->index[at] = index[i], s->place[at] = i;
    }
    free(there);
    for (int64_t a = s->unknown, b = n - 1; a < b; a++, b--) { /* the known ones in the order of their inputs */
        const int64_t i = s->index[a], p = s->place[a];
        s->index[a] = s->index[b], s->place[a] = s->place[b];
        s->index[b] = i, s->place[b] = p;
    }
    s->found = known;
    return true;
}

static bool pass(const deq_measuring *m, const deq_attack_spec *spec, deq_attacked *kept, const Split *s, bool known,
                 int64_t n, bool complete, deq_record *made, deq_error *e) {
    const int64_t from = known ? s->unknown : 0, count = known ? n - s->unknown : s->unknown;
    if (!count) return true;
    if (deq_interrupted()) return deq_fail(e, deq_interruption(), "stopped before %lld examples", (long long)count);
    Pass p = {.m = m,
              .engine = m->engine,
              .seed = m->seed,
              .loss = m->value->loss,
              .metric = m->value->metric,
              .spec = spec,
              .kept = known ? NULL : kept,
              .index = s->index + from,
              .out = made + from,
              .complete = complete};
    if (!make_rows(&p.rows, count)) return no_memory(count, e);
    if (known) memcpy(p.rows.attack, s->counts, (size_t)count * sizeof *s->counts);
    const bool ok = run_pass(&p, count, known ? s->inputs : NULL, e);
    if (ok && spec && m->run) *(known ? m->found : m->run) += known ? s->found : count;
    free_rows(&p.rows);
    return ok;
}

/* The attack works on this engine, with these settings: what they predict is nobody's concern.  made: room for the
 * records, which nobody reads. */
static bool craft_on(const deq_measuring *m, deq_engine *engine, uint64_t seed, const char *loss,
                     const deq_attack_spec *spec, deq_attacked *kept, Split *s, char *inputs, deq_row_counts *counts,
                     deq_record *made, deq_error *e) {
    const size_t count = (size_t)s->unknown;
    Pass p = {.m = m,
              .engine = engine,
              .seed = seed,
              .loss = loss,
              .spec = spec,
              .kept = kept,
              .index = s->index,
              .out = made,
              .inputs = inputs};
    if (!count) return true;
    if (deq_interrupted())
        return deq_fail(e, deq_interruption(), "stopped before %lld examples", (long long)s->unknown);
    if (!make_rows(&p.rows, s->unknown)) return no_memory(s->unknown, e);
    const bool ok = deq_app_override(engine, m->crafting, m->ncrafting, e) && run_pass(&p, s->unknown, NULL, e);
    if (ok && m->run) *m->run += s->unknown;
    memcpy(counts, p.rows.attack, count * sizeof *counts);
    free_rows(&p.rows);
    return ok;
}

/* Runs the attack where it works under other settings than the evaluation's, or on another net: all inputs and counts are
 * then known. */
static bool craft(const deq_measuring *m, const deq_attack_spec *spec, deq_attacked *kept, Split *s, int64_t n,
                  deq_record *made, deq_error *e) {
    const size_t input = deq_engine_input_bytes(m->engine), unknown = (size_t)s->unknown, known = (size_t)n - unknown;
    char *inputs = malloc((size_t)n * input);
    deq_row_counts *counts = malloc((size_t)n * sizeof *counts);
    bool ok = (inputs && counts) || no_memory(n, e);
    if (ok && spec->against.model) {
        deq_asked asked;
        ok = deq_app_ask(m->app, spec, NULL, NULL, &asked, e);
        if (ok) deq_app_load_model(m->app, asked.engine, asked.model);
        ok = ok && craft_on(m, asked.engine, asked.model->spec->seed, asked.model->spec->loss, spec, kept, s, inputs,
                            counts, made, e);
        deq_app_asked(&asked);
        if (asked.engine == m->engine) deq_app_load_model(m->app, m->engine, m->model);
    } else if (ok) {
        const uint32_t token = deq_engine_save_settings(m->engine);
        ok = craft_on(m, m->engine, m->seed, m->value->loss, spec, kept, s, inputs, counts, made, e);
        deq_engine_restore_settings(m->engine, token);
    }
    if (ok && known) {
        memcpy(inputs + unknown * input, s->inputs, known * input);
        memcpy(counts + unknown, s->counts, known * sizeof *counts);
    }
    free(s->inputs);
    free(s->counts);
    s->inputs = inputs;
    s->counts = counts;
    s->unknown = 0;
    return ok;
}

/* One attack, or none, on every example; `part`: its number among those that are joined. */
static bool measure_once(const deq_measuring *m, const deq_attack_spec *spec, int part, const int64_t *index, int64_t n,
                         bool complete, deq_record *out, deq_error *e) {
    deq_attacked *kept = spec && m->attacked ? m->attacked[part] : NULL;
    Split s;
    deq_record *made = malloc((size_t)n * sizeof *made);
    bool ok = split(&s, kept, deq_engine_input_bytes(m->engine), index, n, e) && (made || no_memory(n, e)) &&
              (!spec || (!m->ncrafting && !spec->against.model) || craft(m, spec, kept, &s, n, made, e)) &&
              pass(m, spec, kept, &s, false, n, complete, made, e) &&
              pass(m, spec, kept, &s, true, n, complete, made, e);
    for (int64_t i = 0; ok && i < n; i++) out[s.place[i]] = made[i];
    free_split(&s);
    free(made);
    return ok;
}

static bool worse(const deq_record *a, const deq_record *b) {
    bool wrong = deq_record_wrong(a), other = deq_record_wrong(b);
    return wrong != other ? wrong : a->loss > b->loss;
}

/* The outcome of one more attack joins what is known of its example. */
static void join(deq_record *known, const deq_record *one, int attack) {
    deq_record next = worse(one, known) ? *one : *known;
    if (worse(one, known)) next.attack = attack;
    next.clean_metric = known->clean_metric;
    next.clean_loss = known->clean_loss;
    next.reach_inf = fmaxf(known->reach_inf, one->reach_inf);
    next.reach_2 = fmaxf(known->reach_2, one->reach_2);
    next.reach_1 = fmaxf(known->reach_1, one->reach_1);
    next.evaluations = known->evaluations + one->evaluations;
    next.products = known->products + one->products;
    next.processor_seconds = known->processor_seconds + one->processor_seconds;
    next.queries = known->queries + one->queries;
    next.gradients = known->gradients + one->gradients;
    next.zero_gradients = known->zero_gradients + one->zero_gradients;
    next.lost_gradients = known->lost_gradients + one->lost_gradients;
    next.undefined_values = known->undefined_values + one->undefined_values;
    next.attack_solves = known->attack_solves + one->attack_solves;
    next.attack_unconverged = known->attack_unconverged + one->attack_unconverged;
    next.attack_diverged = known->attack_diverged + one->attack_diverged;
    next.adjoint_solves = known->adjoint_solves + one->adjoint_solves;
    next.adjoint_unconverged = known->adjoint_unconverged + one->adjoint_unconverged;
    *known = next;
}

/* No attack makes the accuracy of an example that is wrong any lower.  Whatever else is measured can still get worse. */
static bool settled(const deq_measuring *m, const deq_record *r) {
    const char *metric = m->value->metric;
    return deq_record_wrong(r) && (!metric || !strcmp(metric, "accuracy"));
}

/* The examples as they are, then each attack from there: on every example, or on those that are not settled. */
static bool measure_joined(const deq_measuring *m, const int64_t *index, int64_t n, deq_record *out, deq_error *e) {
    int64_t *left = malloc((size_t)n * sizeof *left), *rows = malloc((size_t)n * sizeof *rows);
    deq_record *one = malloc((size_t)n * sizeof *one);
    bool ok = (left && rows && one) ||
              deq_fail(e, DEQ_MEMORY, "out of memory for the results of %lld examples", (long long)n);
    ok = ok && measure_once(m, NULL, 0, index, n, false, out, e);
    for (int64_t i = 0; ok && i < n; i++) {
        out[i].clean_metric = out[i].metric;
        out[i].clean_loss = out[i].loss;
        out[i].distance_inf = out[i].distance_2 = out[i].distance_1 = 0;
        out[i].reach_inf = out[i].reach_2 = out[i].reach_1 = 0;
    }
    int number = 0;
    for (const deq_attack_spec *a = m->value->attack; ok && a && !deq_interrupted(); a = a->next, number++) {
        int64_t count = 0;
        for (int64_t i = 0; i < n; i++)
            if (a->all || !settled(m, &out[i])) {
                rows[count] = i;
                left[count++] = index[i];
            }
        ok = !count || measure_once(m, a, number, left, count, false, one, e);
        for (int64_t k = 0; ok && k < count; k++) join(&out[rows[k]], &one[k], number);
    }
    if (ok && !deq_interrupted() && m->finished) m->finished(m->context, out, n, deq_ranks_first());
    free(one);
    free(left);
    free(rows);
    return ok;
}

bool deq_measure(const deq_measuring *m, const int64_t *index, int64_t n, deq_record *out, deq_error *e) {
    const deq_attack_spec *a = m->value->attack;
    if (m->value->compared.of) return deq_measure_gradients(m, index, n, out, e);
    return a && a->joined ? measure_joined(m, index, n, out, e) : measure_once(m, a, 0, index, n, true, out, e);
}
