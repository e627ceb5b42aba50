/* examples.c - see examples.h.  An expression is computed for each example from those of its inputs, a reduction over its
 * parts: as a resample does it, where each example stands alone. */
#include "examples.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static double *none(deq_sampled *of, int64_t why) {
    *of = (deq_sampled){.n = why};
    return NULL;
}

static double *of_cell(const deq_cell *c, deq_sampled *of) {
    double *out = malloc((size_t)(c->sampled->n + 1) * sizeof *out);
    if (!out) return none(of, -1);
    memcpy(out, c->sampled->values, (size_t)c->sampled->n * sizeof *out);
    *of = (deq_sampled){.n = c->sampled->n, .group = c->sampled->group, .from = c->sampled->from};
    return out;
}

typedef struct Parts { /* the examples of several values, which must be the same ones */
    double **values;   /* NULL: a constant */
    double *constants;
    int n;
    deq_sampled examples; /* which; n 0: none has any yet */
} Parts;

static bool parts_open(Parts *p, int n) {
    *p = (Parts){calloc((size_t)n + 1, sizeof *p->values), calloc((size_t)n + 1, sizeof *p->constants), n, {0}};
    return p->values && p->constants;
}

static void parts_close(Parts *p) {
    for (int i = 0; p->values && i < p->n; i++) free(p->values[i]);
    free(p->values);
    free(p->constants);
}

/* 1: taken; 0: it has no examples, or others; -1: out of memory. */
static int take(deq_arrays *g, Parts *p, int i, int array, const int *at) {
    deq_sampled of;
    const deq_sampled *others = &p->examples;
    p->values[i] = deq_arrays_examples(g, array, at, &of);
    if (!p->values[i] || (others->n && (others->n != of.n || others->group != of.group || others->from != of.from)))
        return of.n < 0 ? -1 : 0;
    p->examples = of;
    return 1;
}

static double *finish(Parts *p, int taken, deq_sampled *of,
                      double (*one)(deq_arrays *, const deq_array_spec *, double *, int), deq_arrays *g,
                      const deq_array_spec *a) {
    const int64_t all = p->examples.n;
    double *out = taken > 0 && all ? malloc((size_t)(all + 1) * sizeof *out) : NULL,
           *row = malloc((size_t)(p->n + 1) * sizeof *row);
    if (!out || !row) taken = taken > 0 && all ? -1 : taken;
    for (int64_t k = 0; taken > 0 && out && k < all; k++) {
        for (int i = 0; i < p->n; i++) row[i] = p->values[i] ? p->values[i][k] : p->constants[i];
        out[k] = one(g, a, row, p->n);
    }
    free(row);
    parts_close(p);
    if (taken > 0 && out) return *of = p->examples, out;
    free(out);
    return none(of, taken < 0 ? -1 : 0);
}

static double computed(deq_arrays *g, const deq_array_spec *a, double *row, int n) {
    (void)n;
    return deq_arrays_call(g, a, row);
}

static double reduced(deq_arrays *g, const deq_array_spec *a, double *row, int n) {
    (void)g;
    return deq_reduce(a->reduction, a->share, row, n);
}

static double *of_expression(deq_arrays *g, const deq_array_spec *a, const int *at, deq_sampled *of) {
    Parts p;
    int taken = parts_open(&p, a->ninputs) ? 1 : -1;
    for (int i = 0; taken > 0 && i < a->ninputs; i++) {
        if (deq_arrays_constant(g->x, a->inputs[i]))
            p.constants[i] = deq_arrays_value(g, a->inputs[i], at, -1);
        else
            taken = take(g, &p, i, a->inputs[i], at);
    }
    return finish(&p, taken, of, computed, g, a);
}

static double *of_reduction(deq_arrays *g, const deq_array_spec *a, const int *at, deq_sampled *of) {
    const int parts = deq_axes_count(g->x, a->over, a->nover);
    int *inner = malloc((size_t)(g->x->naxes + 1) * sizeof *inner);
    Parts p;
    int taken = parts_open(&p, parts) && inner ? 1 : -1, have = 0;
    if (inner) memcpy(inner, at, (size_t)g->x->naxes * sizeof *inner);
    for (int i = 0; taken > 0 && i < parts; i++) {
        deq_axes_place(g->x, a->over, a->nover, i, inner);
        const deq_cell *c = deq_arrays_cell(g, a->inputs[0], inner);
        if (!c->done || isnan(c->value)) continue; /* there is no such cell */
        taken = take(g, &p, have++, a->inputs[0], inner);
    }
    p.n = have;
    free(inner);
    return finish(&p, taken, of, reduced, g, a);
}

static double *of_pick(deq_arrays *g, const deq_array_spec *a, const int *at, deq_sampled *of) {
    int *inner = malloc((size_t)(g->x->naxes + 1) * sizeof *inner);
    if (!inner) return none(of, -1);
    double *out = deq_arrays_picked(g, a, at, inner) ? deq_arrays_examples(g, a->inputs[0], inner, of) : none(of, 0);
    free(inner);
    return out;
}

double *deq_arrays_examples(deq_arrays *g, int array, const int *at, deq_sampled *of) {
    const deq_array_spec *a = &g->x->arrays[array];
    const deq_cell *c = deq_arrays_cell(g, array, at);
    if (!c->done || isnan(c->value)) return none(of, 0);
    if (c->sampled) return of_cell(c, of);
    switch (a->kind) {
    case DEQ_ARRAY_expression: return of_expression(g, a, at, of);
    case DEQ_ARRAY_reduce:
        return a->reduction == DEQ_REDUCE_argmin || a->reduction == DEQ_REDUCE_argmax ||
                       a->reduction == DEQ_REDUCE_spearman
                   ? none(of, 0)
                   : of_reduction(g, a, at, of);
    case DEQ_ARRAY_pick: return of_pick(g, a, at, of);
    default: return none(of, 0);
    }
}
