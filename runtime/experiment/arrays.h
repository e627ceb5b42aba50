/* arrays.h - the arrays of an experiment while it runs: each cell is made once, when something first asks for it.
 *
 * A cell is named by its array and by `at`, a position on every axis of the experiment, of which the array's own count.
 * Training runs and evaluations are made by experiment.h; the rest is computed here, also anew on resampled examples.
 * Files: arrays.c, axis_places.c (places on axes, and what they are called), reduce.c (numbers to one), resample.c (means
 * of drawn examples). */
#ifndef DEQ_RUNTIME_ARRAYS_H
#define DEQ_RUNTIME_ARRAYS_H
#include "app_state.h"
#include <stdio.h>

typedef struct deq_sampled { /* values of examples, of which means are taken */
    double *values;
    bool share; /* each is 0 or 1: right or wrong */
    int64_t n;
    int group;     /* examples are drawn for all of a group together: slices that have some in common are of one */
    int64_t from;  /* the first of the n among those of the group */
    double *means; /* of the first nmeans resamples */
    int nmeans;
} deq_sampled;

typedef struct deq_drawn { /* a group: the examples from .. to of a split */
    const deq_data_spec *data;
    bool test;
    int64_t from, to;
} deq_drawn;

/* Statistics that are means over examples, and are resampled with them. */
enum {
#define MEAN(name) DEQ_MEAN_##name,
#include "means.def"
#undef MEAN
    DEQ_MEANS
};
float deq_mean_value(const deq_record *r, int mean);
int deq_mean_of(const char *what); /* the one that is spelled so in a script; -1: none */

typedef struct deq_cell {
    bool done, waiting; /* waiting: its parts are being made */
    bool absent;        /* there is no such cell, or a pick has left it out: its value is NaN */
    bool share;         /* computed of shares of examples alone, and 0 or 1 where they all are */
    double value;
    deq_interval interval;
    deq_verdict verdict;
    int64_t examples;           /* it was measured on; 0: it is no mean over examples */
    deq_model *model;           /* of a training run and its log; of an evaluation, the net */
    deq_evaluation *evaluation; /* of an evaluation */
    const deq_value_spec *spec; /* likewise */
    deq_sampled *sampled;       /* of evaluations, the worst of several, and means over examples */
    float *means[DEQ_MEANS];    /* of an evaluation's examples, as of deq_mean_value: where a statistic asks; NULL */
    int stamp;                  /* the resample that `drawn` is of, from 1 */
    double drawn;
} deq_cell;

typedef struct deq_resamples deq_resamples; /* resample.c */

typedef struct deq_arrays {
    deq_app *app;
    const deq_experiment_spec *x;
    deq_cell **cells;  /* of each array, by cell */
    int *used;         /* of each array: 0, or where a column of a table is made of it 1 and its pictures so far */
    deq_drawn *groups; /* of examples, so far */
    int ngroups;
    bool starved; /* memory was short somewhere: what was computed from then on says nothing */
    bool seeds;   /* resamples draw seeds too: where a mean is taken over the sweep that they come from */
    deq_resamples *resamples;
} deq_arrays;

bool deq_arrays_open(deq_arrays *g, deq_app *app, const deq_experiment_spec *x, deq_error *e);
void deq_arrays_close(deq_arrays *g);

/* ---- places ---- */
int deq_axes_count(const deq_experiment_spec *x, const int *axes, int naxes);
int deq_axes_cell(const deq_experiment_spec *x, const int *axes, int naxes, const int *at);
/* Writes the cell's place on these axes into `at`. */
void deq_axes_place(const deq_experiment_spec *x, const int *axes, int naxes, int cell, int *at);
/* A family has no member of this number, or a list has no such value there: there is no such cell. */
bool deq_axes_absent(const deq_experiment_spec *x, const int *axes, int naxes, const int *at);
/* The place of the family that picks behind the array take, where `axis` counts its members; -1: of none in particular. */
int deq_axes_family(const deq_experiment_spec *x, int array, int axis);
/* The array in whose family the members on `axis` are called, of those that a table or a figure shows; -1: they have
 * several, or none. */
int deq_axes_named_by(const deq_experiment_spec *x, const deq_column_spec *shown, int nshown, int axis);
/* How the value on axes[k] is called; a family and its member together.  A member alone is called as in the family that
 * the array is of (-1: no array).  Returns how many axes it was. */
int deq_axes_value(const deq_experiment_spec *x, int array, const int *axes, int naxes, int k, const int *at,
                   FILE *out);
/* The same as a text, or without a place what the sweep is called; *used: axes that this was.  free() it; NULL: no memory. */
char *deq_axes_text(const deq_experiment_spec *x, int array, const int *axes, int naxes, int k, const int *at,
                    int *used);
/* "net (mode = jfb, seed = 0)", of the axes; free() it. */
char *deq_axes_label(const deq_experiment_spec *x, int array, const int *axes, int naxes, const int *at,
                     const char *name);
/* The training run of that name: of the experiment, in the cell that has this place, or of the file; NULL: there is none. */
const deq_train_spec *deq_axes_train(const deq_manifest *m, const deq_experiment_spec *x, const char *name,
                                     const int *at);
deq_cell *deq_arrays_cell(const deq_arrays *g, int array, const int *at);

/* ---- values ---- */
/* Whether no choice of examples changes it: numbers of sweeps and logs, and what is computed of them alone. */
bool deq_arrays_constant(const deq_experiment_spec *x, int array);
/* Makes the cell and what it needs. */
bool deq_arrays_need(deq_arrays *g, int array, const int *at, deq_error *e);
/* Its value, or that on the resample (from 0; -1: as measured).  The cell has been made. */
double deq_arrays_value(deq_arrays *g, int array, const int *at, int resample);
/* The cell's value with its interval: of n values on resamples, or Wilson's of a share that is 0 or 1. */
deq_interval deq_arrays_interval(const deq_cell *c, double *resampled, int n);
/* The expression at these values of its inputs; NaN, and the arrays `starved`, where memory is short. */
double deq_arrays_call(deq_arrays *g, const deq_array_spec *a, const double *inputs);
/* Writes the place that a pick is of into `out`; false: it is none of those that are kept. */
bool deq_arrays_picked(const deq_arrays *g, const deq_array_spec *a, const int *at, int *out);
/* Whether resamples of a reduction draw seeds. */
bool deq_arrays_draws(const deq_array_spec *a);
/* The places on over[k], an axis of seeds, at which the reduced array has a value that was made; returns how many, -1: no
 * memory. */
int deq_arrays_seeds(const deq_arrays *g, const deq_array_spec *a, int k, const int *at, int *places);
/* Whether a pick behind the array leaves out its cells at this place on the axes, whatever their place on others is. */
bool deq_arrays_left_out(const deq_experiment_spec *x, int array, const int *axes, int naxes, const int *at);
/* `at` with the choices that the array's settings wait for; they have been made. */
bool deq_arrays_choose(deq_arrays *g, int array, const int *at, int *out, deq_error *e);

/* ---- reduce.c ---- */
/* Of n numbers, of which NaN is none; argmin and argmax give a position.  NaN where there is none. */
double deq_reduce(deq_reduction reduction, double share, const double *values, int n);
/* Spearman's rank correlation of n pairs, without those of which one is NaN; equal ones have the mean of their ranks. */
double deq_rank_correlation(const double *x, const double *y, int n);

/* ---- resample.c ---- */
enum { DEQ_RESAMPLES = 1000, DEQ_CLAIM_RESAMPLES = 10000 }; /* for an interval; for a claim, whose first are those */
/* The group that the slice is of, from `from` to `to` with both ends known; -1 on failure. */
int deq_resamples_group(deq_arrays *g, const deq_slice *slice, deq_error *e);
/* The mean over the resample's examples; NaN where none of them was drawn.  Memory that is short makes it NaN, and the
 * arrays `starved`. */
double deq_resampled_mean(deq_arrays *g, deq_sampled *s, int resample);
/* The place of a seed among the n of its sweep that takes the place `at` in a resample. */
int deq_resampled_seed(int axis, int resample, int at, int n);
void deq_resamples_free(deq_arrays *g);
#endif
