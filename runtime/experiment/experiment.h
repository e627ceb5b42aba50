/* experiment.h - what an experiment does: training runs and evaluations, one cell at a time, and what is said of them.
 * Files: experiment.c (order, training, evaluation), experiment_report.c (events, pictures, names of files). */
#ifndef DEQ_RUNTIME_EXPERIMENT_H
#define DEQ_RUNTIME_EXPERIMENT_H
#include "arrays.h"

/* Make the cell; arrays.c calls them, once for each. */
bool deq_experiment_train(deq_arrays *g, int array, const int *at, deq_error *e);
/* The training run of this name, of the experiment in this cell or of the file, made if it is not; NULL on failure. */
deq_model *deq_experiment_model(deq_arrays *g, const char *name, const int *at, deq_error *e);
bool deq_experiment_evaluate(deq_arrays *g, int array, const int *at, deq_error *e);

/* ---- experiment_report.c ---- */
/* The first part of a file's name: what it is about, after the experiment's name where two experiments use one name. */
char *deq_experiment_file(const deq_app *app, const deq_experiment_spec *x, const char *name, bool table);
/* The same with the place of one of the array's specifications: "m-jfb-0". */
char *deq_experiment_stem(const deq_app *app, const deq_experiment_spec *x, const deq_array_spec *a, int spec);
/* The event "value" of a cell that is made, and for evaluations a line; nothing of a training run. */
void deq_experiment_report(const deq_arrays *g, int array, const int *at);
/* Accuracies under attack that stand in a table have a picture of some attacked inputs. */
bool deq_experiment_picture(deq_arrays *g, int array, const int *at, deq_error *e);
#endif
