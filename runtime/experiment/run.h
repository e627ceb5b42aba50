/* run.h - executes a manifest: training runs and experiments; what `deq run` and built programs share.
 * Files: run.c, experiment.c, plan.c, app_check.c, app_record.c, export_adversarial.c.
 *
 * Exit codes: 0 ok, 2 data disagrees with its type, 3 run time, 4 failed test or claim (strict), 5 masked (strict),
 * 64 usage, 70 internal, 130 interrupted. */
#ifndef DEQ_RUNTIME_RUN_H
#define DEQ_RUNTIME_RUN_H
#include "app_state.h"

int deq_app_run(const deq_module *module, const deq_app_options *options); /* everything under "run" */
/* Attacked inputs of the evaluation that is called `name`, which is made if it is not known, to `to`, .npz.  Images of
 * 8 bits are rounded to them as well, and the net evaluated there. */
int deq_app_export_adversarial(const deq_module *module, const deq_app_options *options, const char *name,
                               const char *to);

/* Everything that can be refused before work starts: data headers, slices, names of routines.  needs: --set applied. */
bool deq_app_check(deq_app *app, deq_error *e);
/* --plan: says what would be trained, attacked and evaluated. */
bool deq_app_plan(deq_app *app, deq_error *e);
bool deq_app_record(deq_app *app, deq_error *e); /* settings.json and the copy of the script */
/* Every cell of the experiment, then its tables, figures and claims. */
bool deq_app_experiment(deq_app *app, const deq_experiment_spec *x, deq_error *e);
/* One evaluation of an array, by the number of its specification, with what it needs; the net that it is of, NULL on
 * failure. */
const deq_model *deq_app_evaluate_alone(deq_app *app, const deq_experiment_spec *x, const deq_array_spec *array,
                                        int spec, deq_evaluation *out, deq_error *e);
/* The same in every process that mpirun or srun has started: joins the others, and leaves them. */
int deq_app_run_launched(const deq_module *module, const deq_app_options *options);
void deq_cpu_name(char *out, size_t size); /* "unknown" where the system does not say */
#endif
