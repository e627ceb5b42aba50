/* library_attack.c - the script's attacks from C: those that it trains or evaluates this net with, by their names; and what
 * becomes of each example under one. */
#include "dense.h"
#include "library_internal.h"
#include "measure.h"
#include <stdlib.h>
#include <string.h>

typedef struct found {
    deq_attack_spec *attack;
    const char *loss;
} found;

static const char *name_of(const deq_attack_spec *a) { return a->joined ? a->joined : a->name; }

typedef struct search {
    const char *name; /* NULL: by number */
    int left;         /* still to be passed over */
    found seen[256];
    int nseen;
} search;

/* True when it is the one that is looked for: a name counts once. */
static bool visit(search *s, deq_attack_spec *a, const char *loss) {
    if (!a || s->nseen == (int)(sizeof s->seen / sizeof *s->seen)) return false;
    for (int i = 0; i < s->nseen; i++)
        if (!strcmp(name_of(s->seen[i].attack), name_of(a))) return false;
    s->seen[s->nseen++] = (found){a, loss};
    return s->name ? !strcmp(s->name, name_of(a)) : s->left-- == 0;
}

/* The value is of a model that the experiment, or the file, trains as this net. */
static bool of_net(const deq_library *l, const deq_experiment_spec *x, const char *model) {
    for (int i = 0; model && i < x->narrays; i++)
        if (x->arrays[i].trains && !strcmp(x->arrays[i].name, model)) return x->arrays[i].trains[0].net == l->net;
    const deq_train_spec *t = model ? deq_manifest_train(l->manifest, model, NULL) : NULL;
    return t && t->net == l->net;
}

static bool search_array(const deq_library *l, const deq_experiment_spec *x, const deq_array_spec *a, search *s) {
    for (int i = 0; a->trains && i < a->nspecs; i++)
        if (a->trains[i].name && a->trains[i].net == l->net && visit(s, a->trains[i].attack, a->trains[i].loss))
            return true;
    for (int i = 0; a->values && i < a->nspecs; i++)
        if (a->values[i].name && of_net(l, x, a->values[i].model) && visit(s, a->values[i].attack, a->values[i].loss))
            return true;
    return false;
}

static bool run_search(const deq_library *l, search *s) {
    const deq_manifest *m = l->manifest;
    for (int i = 0; i < m->ntrains; i++)
        if (m->trains[i].net == l->net && visit(s, m->trains[i].attack, m->trains[i].loss)) return true;
    for (int i = 0; i < m->nexperiments; i++)
        for (int k = 0; k < m->experiments[i].narrays; k++)
            if (search_array(l, &m->experiments[i], &m->experiments[i].arrays[k], s)) return true;
    return false;
}

const char *deq_library_attack_name(const deq_library *l, int index) {
    search s = {.left = index};
    return l && index >= 0 && run_search(l, &s) ? name_of(s.seen[s.nseen - 1].attack) : NULL;
}

static bool find(deq_library *l, const char *name, found *out) {
    search s = {.name = name};
    if (run_search(l, &s)) {
        *out = s.seen[s.nseen - 1];
        for (const deq_attack_spec *a = out->attack; a; a = a->next)
            if (a->against.model)
                return deq_fail(
                    &l->error, DEQ_SETTING,
                    "attack '%s' of '%s' is against another net, '%s': a library holds the parameters of one "
                    "net; make it where '%s' is the net, and judge its inputs here",
                    name, l->net->name, a->against.model, a->against.model);
        if (!out->loss && l->net->nlosses) out->loss = l->net->losses[0].name;
        return true;
    }
    char known[512] = "";
    for (int i = 0; i < s.nseen && strlen(known) + strlen(name_of(s.seen[i].attack)) + 3 < sizeof known; i++)
        strcat(strcat(known, i ? ", " : ""), name_of(s.seen[i].attack));
    return deq_fail(&l->error, DEQ_SETTING, "'%s' has no attack '%s' (the script attacks it with: %s)", l->net->name,
                    name ? name : "", *known ? known : "none");
}

/* What is known of the examples: where the worst attack so far leads, and how the net fares there. */
typedef struct outcome {
    char *inputs; /* dense rows */
    double *loss;
    int32_t *prediction;
} outcome;

static void free_outcome(outcome *o) {
    free(o->inputs);
    free(o->loss);
    free(o->prediction);
}

static bool make_outcome(outcome *o, int64_t n, size_t input) {
    *o = (outcome){malloc((size_t)n * input), calloc((size_t)n, sizeof *o->loss),
                   malloc((size_t)n * sizeof *o->prediction)};
    return o->inputs && o->loss && o->prediction;
}

static bool is_wrong(const outcome *o, int64_t i, const int32_t *label) {
    return o->prediction[i] < 0 || (label[i] >= 0 && o->prediction[i] != label[i]);
}

/* One attack, or none, on these examples. */
static bool run_once(deq_library *l, const found *f, const deq_attack_spec *a, const deq_source *source,
                     const int64_t *index, int64_t n, uint64_t seed, const outcome *out, int32_t *label,
                     deq_results *totals) {
    double scalars[DEQ_MOST_SCALARS];
    const deq_attack one = a ? deq_app_attack(a, scalars) : (deq_attack){0};
    deq_results r = {.loss = out->loss, .prediction = out->prediction, .label = label, .inputs = out->inputs};
    const bool ok = deq_engine_evaluate(l->engine, source, index, n, f->loss, NULL, a ? &one : NULL,
                                        deq_app_attack_seed(a, seed), NULL, NULL, &r, &l->error);
    const bool classes = l->net->output.elements == l->net->target.labels; /* else no output is a prediction */
    for (int64_t i = 0; ok && !classes && i < n; i++) label[i] = -1;
    deq_statistics_add(&totals->forward, &r.forward);
    deq_statistics_add(&totals->adjoint, &r.adjoint);
    return ok;
}

/* Several joined attacks, each from the input as given: the worst outcome of an example counts, as in evaluations. */
static bool run_joined(deq_library *l, const found *f, const deq_source *source, const int64_t *index, int64_t n,
                       uint64_t seed, const outcome *best, int32_t *label, deq_results *totals) {
    const size_t input = deq_engine_input_bytes(l->engine);
    outcome one;
    int64_t *left = malloc((size_t)n * sizeof *left);
    int32_t *labels = malloc((size_t)n * sizeof *labels);
    bool ok = make_outcome(&one, n, input) && left && labels;
    if (!ok) deq_fail(&l->error, DEQ_MEMORY, "out of memory for %lld examples", (long long)n);
    ok = ok && run_once(l, f, NULL, source, index, n, seed, best, label, totals);
    for (const deq_attack_spec *a = f->attack; ok && a; a = a->next) {
        int64_t count = 0;
        for (int64_t i = 0; i < n; i++)
            if (a->all || !is_wrong(best, i, label)) left[count++] = i;
        ok = !count || run_once(l, f, a, source, left, count, seed, &one, labels, totals);
        for (int64_t k = 0; ok && k < count; k++) {
            const int64_t i = left[k];
            const bool wrong = is_wrong(&one, k, labels), before = is_wrong(best, i, label);
            if (wrong != before ? !wrong : !(one.loss[k] > best->loss[i])) continue;
            memcpy(best->inputs + (size_t)i * input, one.inputs + (size_t)k * input, input);
            best->loss[i] = one.loss[k];
            best->prediction[i] = one.prediction[k];
        }
    }
    free_outcome(&one);
    free(left);
    free(labels);
    return ok;
}

static bool attack(deq_library *l, const found *f, int64_t n, const void *input, const void *target, uint64_t seed,
                   void *adversarial, deq_results *totals) {
    deq_dense dense = {input, target, l->net->input.elements, deq_target_elements(&l->net->target)};
    const deq_source source = deq_dense_source(&dense);
    int64_t *index = deq_index_range(n);
    int32_t *label = malloc((size_t)n * sizeof *label);
    outcome out;
    bool ok = make_outcome(&out, n, deq_engine_input_bytes(l->engine)) && index && label;
    if (!ok) deq_fail(&l->error, DEQ_MEMORY, "out of memory for %lld examples", (long long)n);
    deq_statistics_clear(&totals->forward);
    deq_statistics_clear(&totals->adjoint);
    ok = ok && (f->attack->joined ? run_joined(l, f, &source, index, n, seed, &out, label, totals)
                                  : run_once(l, f, f->attack, &source, index, n, seed, &out, label, totals));
    if (ok) memcpy(adversarial, out.inputs, (size_t)n * deq_engine_input_bytes(l->engine));
    free_outcome(&out);
    free(label);
    free(index);
    return ok;
}

int deq_library_attack(deq_library *l, const char *name, int64_t n, const void *input, const void *target,
                       uint64_t seed, void *adversarial, deq_status *status) {
    if (!library_enter(l)) return library_refused(l);
    deq_results r = {0};
    found f;
    bool ok = library_count(l, n) && library_ready(l) && find(l, name, &f) &&
              library_finite(l, n, input, l->net->input.elements, "input") && library_labels(l, n, target) &&
              library_given(l, adversarial, "adversarial", n);
    if (ok && n) ok = attack(l, &f, n, input, target, seed, adversarial, &r);
    if (ok) library_status(status, &r);
    return library_leave(l, ok);
}

int deq_library_attack_labels(deq_library *l, const char *name, int64_t n, const void *input, const int64_t *labels,
                              uint64_t seed, void *adversarial, deq_status *status) {
    if (!library_enter(l)) return library_refused(l);
    void *target = library_reals_of(l, n, labels);
    const int code = library_leave(l, target);
    const int result = code ? code : deq_library_attack(l, name, n, input, target, seed, adversarial, status);
    free(target);
    return result;
}

/* ---- records ---- */
static bool measure(deq_library *l, const found *f, int64_t n, const void *input, const void *target, uint64_t seed,
                    deq_record *records) {
    deq_dense dense = {input, target, l->net->input.elements, deq_target_elements(&l->net->target)};
    const deq_value_spec value = {.attack = f->attack,
                                  .loss = f->loss           ? f->loss
                                          : l->net->nlosses ? l->net->losses[0].name
                                                            : NULL,
                                  .metric = l->net->nmetrics ? l->net->metrics[0].name : NULL};
    const deq_measuring m = {.engine = l->engine, .value = &value, .source = deq_dense_source(&dense), .seed = seed};
    int64_t *index = deq_index_range(n);
    deq_record *own = malloc((size_t)n * sizeof *own);
    const double began = deq_now();
    const bool ok = index && own ? deq_measure(&m, index, n, own, &l->error)
                                 : deq_fail(&l->error, DEQ_MEMORY, "out of memory for %lld examples", (long long)n);
    const float seconds = (float)((deq_now() - began) / (double)n);
    for (int64_t i = 0; ok && i < n; i++) {
        records[i] = own[i];
        records[i].seconds = seconds;
    }
    free(own);
    free(index);
    return ok;
}

int deq_library_journal(deq_library *l, const char *name, int64_t n, const void *input, const void *target,
                        uint64_t seed, deq_record *records) {
    if (!library_enter(l)) return library_refused(l);
    found f = {0};
    bool ok = library_count(l, n) && library_ready(l) && (!name || find(l, name, &f)) &&
              library_finite(l, n, input, l->net->input.elements, "input") && library_labels(l, n, target) &&
              library_given(l, records, "records", n);
    if (ok && n) ok = measure(l, &f, n, input, target, seed, records);
    return library_leave(l, ok);
}

int deq_library_journal_labels(deq_library *l, const char *name, int64_t n, const void *input, const int64_t *labels,
                               uint64_t seed, deq_record *records) {
    if (!library_enter(l)) return library_refused(l);
    void *target = library_reals_of(l, n, labels);
    const int code = library_leave(l, target);
    const int result = code ? code : deq_library_journal(l, name, n, input, target, seed, records);
    free(target);
    return result;
}
