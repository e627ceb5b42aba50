/* expected.h - what a plan costs: how much of it the cache holds, and how long the rest takes on this machine.
 *
 * Times are measured: a batch of each training run, and a few examples of each evaluation, on the parameters that the
 * cache holds, or those that training begins with.  Attacks on these are timed as on a net that is always right and never
 * broken, which bounds the time from above.  Nothing is written. */
#ifndef DEQ_RUNTIME_EXPECTED_H
#define DEQ_RUNTIME_EXPECTED_H
#include "app_state.h"

typedef struct deq_expected {
    deq_app *app;     /* keeps the models: with their keys, and parameters to measure with */
    json_t *measured; /* seconds of an example, by what decides them */
    double began;
    struct deq_expected_mean {
        double sum;
        int count;
    } steps, evaluations; /* of what was measured, apart: seconds of an example */

    int trainings_found;
    int64_t examples, examples_found; /* of evaluations */
    double seconds;                   /* of what is not found, without audits */
    bool at_most;                     /* some of them bound the time from above */
    int64_t bytes;                    /* in the cache and beside the results, likewise */
} deq_expected;

bool deq_expected_open(deq_expected *x, deq_app *app, deq_error *e);
void deq_expected_close(deq_expected *x);
/* The net of the training run, with the parameters of the cache (cached), or those that training begins with. */
deq_model *deq_expected_model(deq_expected *x, const deq_train_spec *t, deq_error *e);
/* One training run, which the plan has not met before. */
bool deq_expected_train(deq_expected *x, const deq_train_spec *t, deq_error *e);
typedef struct deq_found { /* of an evaluation */
    const deq_value_spec *value;
    const deq_model *model;
    int64_t from, to, found; /* its examples, and how many the journal has */
    deq_key key;             /* of that journal */
} deq_found;
/* At a place of the experiment's axes. */
bool deq_expected_found(deq_expected *x, const deq_experiment_spec *of, const deq_value_spec *v, const int *at,
                        deq_found *out, deq_error *e);
/* One that the plan has not met before; `attacks`: where its attack leads is not known from another one. */
bool deq_expected_evaluate(deq_expected *x, const deq_found *f, bool attacks, deq_error *e);
int64_t deq_expected_memory(const deq_expected *x); /* bytes held by the engines of all that was asked for */
#endif
