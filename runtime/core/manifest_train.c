/* manifest_train.c - what a step of a training run is made of, and what becomes of it: texts as values and back. */
#include "manifest_reader.h"
#include "names.h"
#include <string.h>

#define X(name)                                                                                                        \
    bool deq_##name##_read(const char *text, deq_##name *out, deq_error *e) {                                          \
        const deq_row *row;                                                                                            \
        if (!deq_record_parse(&deq_##name##_family, text, out, sizeof *out, &row, e)) return false;                    \
        out->kind = (deq_##name##_kind)(row - deq_##name##_family.rows);                                               \
        return true;                                                                                                   \
    }                                                                                                                  \
    void deq_##name##_print(const deq_##name *rule, char *out, size_t size) {                                          \
        deq_record_print(&deq_##name##_family, &deq_##name##_family.rows[rule->kind], rule, out, size);                \
    }
DEQ_STEP_RULES(X)
#undef X

double deq_train_rate(const deq_train_spec *t, const char *path) {
    size_t longest = 0;
    double rate = 1;
    for (int i = 0; i < t->nfreeze; i++)
        if (deq_path_under(path, t->freeze[i])) return 0;
    for (int i = 0; i < t->nrates; i++)
        if (deq_path_under(path, t->rates[i].path) && strlen(t->rates[i].path) > longest)
            longest = strlen(t->rates[i].path), rate = t->rates[i].factor;
    return rate;
}

int64_t deq_train_examples(const deq_train_spec *t, int64_t there) {
    return t->examples > 0 && t->examples < there ? t->examples : there;
}

bool deq_train_share(const deq_train_spec *t) {
    const deq_metric_spec *m = t->metric.routine ? deq_net_metric(t->net, t->metric.routine) : NULL;
    return m && m->share;
}

bool deq_train_knows(const deq_train_spec *t, const char *path) {
    for (int i = 0; i < t->net->nparameters; i++)
        if (t->net->parameters[i].trained && deq_path_under(t->net->parameters[i].path, path)) return true;
    return false;
}

static const char *text_or(const json_t *o, const char *key, const char *otherwise) {
    const char *text = manifest_text_or_null(o, key);
    return text ? text : otherwise;
}

void manifest_steps(manifest_reader *r, const json_t *o, deq_train_spec *t) {
    t->accumulate = manifest_integer_or(o, "accumulate", 1);
    deq_error own = {0};
    bool good = t->accumulate >= 1;
#define X(rule) good = good && deq_##rule##_read(text_or(o, #rule, "none"), &t->rule, &own);
    DEQ_STEP_RULES(X)
#undef X
    if (!good)
        deq_fail(r->e, DEQ_MODULE, "manifest: train '%s': %s", t->name,
                 own.failure ? own.text : "accumulate is below 1");
    const json_t *freeze = manifest_optional_list(o, "freeze", &t->nfreeze),
                 *rates = manifest_optional_list(o, "rates", &t->nrates), *metric = json_object_get(o, "metric");
    t->freeze = manifest_make(r, (size_t)t->nfreeze, sizeof *t->freeze);
    t->rates = manifest_make(r, (size_t)t->nrates, sizeof *t->rates);
    for (int i = 0; t->freeze && i < t->nfreeze; i++)
        if (!(t->freeze[i] = json_string_value(json_array_get(freeze, (size_t)i))))
            deq_fail(r->e, DEQ_MODULE, "manifest: train '%s' freezes something that is no path", t->name);
    for (int i = 0; t->rates && i < t->nrates; i++) {
        const json_t *pair = json_array_get(rates, (size_t)i);
        t->rates[i] =
            (deq_rate){json_string_value(json_array_get(pair, 0)), json_number_value(json_array_get(pair, 1))};
        if (!t->rates[i].path) deq_fail(r->e, DEQ_MODULE, "manifest: train '%s' has a rate without path", t->name);
    }
    if (json_is_object(metric)) {
        t->metric.routine = manifest_text(r, metric, "routine");
        t->metric.name = manifest_text(r, metric, "name");
    } else if (t->net && deq_net_metric(t->net, "accuracy"))
        t->metric.routine = t->metric.name = "accuracy";
}
