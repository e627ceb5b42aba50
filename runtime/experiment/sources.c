#define _GNU_SOURCE
#include "sources.h"
#include "seal.h"
#include <stdlib.h>
#include <string.h>

typedef struct Known { /* what has been named */
    const void **items;
    int n, cap;
} Known;

struct deq_sources_list {
    FILE *seeds, *nets, *journals;
    size_t sizes[3];
    Known models, evaluations;
    deq_sources out;
    bool failed;
};

deq_sources_list *deq_sources_begin(void) {
    deq_sources_list *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    s->seeds = open_memstream(&s->out.seeds, &s->sizes[0]);
    s->nets = open_memstream(&s->out.nets, &s->sizes[1]);
    s->journals = open_memstream(&s->out.journals, &s->sizes[2]);
    s->failed = !s->seeds || !s->nets || !s->journals;
    return s;
}

static bool is_known(Known *k, const void *item, bool *failed) {
    for (int i = 0; i < k->n; i++)
        if (k->items[i] == item) return true;
    if (k->n == k->cap) {
        const int more = k->cap ? 2 * k->cap : 32;
        const void **grown = realloc((void *)k->items, (size_t)more * sizeof *grown);
        if (!grown) return *failed = true;
        k->items = grown;
        k->cap = more;
    }
    k->items[k->n++] = item;
    return false;
}

static void add_model(deq_sources_list *s, const deq_model *m) {
    if (!m || is_known(&s->models, m, &s->failed)) return;
    fprintf(s->seeds, "%s%llu", ftell(s->seeds) ? ";" : "", (unsigned long long)m->spec->seed);
    fprintf(s->nets, "%s%s", ftell(s->nets) ? ";" : "", m->key);
    s->out.train_seconds += m->seconds;
}

static void add_cell(deq_sources_list *s, const deq_cell *c) {
    if (c->evaluation && !is_known(&s->evaluations, c, &s->failed)) {
        fprintf(s->journals, "%s%s", ftell(s->journals) ? ";" : "", c->evaluation->key);
        s->out.seconds += c->evaluation->seconds;
        s->out.undefined += c->evaluation->undefined;
    }
    add_model(s, c->model);
}

void deq_sources_add(deq_sources_list *s, deq_arrays *g, int array, const int *at) {
    const deq_experiment_spec *x = g->x;
    const deq_array_spec *a = &x->arrays[array];
    if (s->failed) return;
    add_cell(s, deq_arrays_cell(g, array, at));
    if (a->kind != DEQ_ARRAY_pick && a->kind != DEQ_ARRAY_reduce) {
        for (int i = 0; i < a->ninputs; i++) deq_sources_add(s, g, a->inputs[i], at);
        return;
    }
    int *inner = malloc((size_t)(x->naxes + 1) * sizeof *inner);
    if (!inner) s->failed = true;
    if (inner) memcpy(inner, at, (size_t)x->naxes * sizeof *inner);
    if (inner && a->kind == DEQ_ARRAY_pick && deq_arrays_picked(g, a, at, inner))
        deq_sources_add(s, g, a->inputs[0], inner);
    for (int part = 0; inner && a->kind == DEQ_ARRAY_reduce && part < deq_axes_count(x, a->over, a->nover); part++) {
        deq_axes_place(x, a->over, a->nover, part, inner);
        deq_sources_add(s, g, a->inputs[0], inner);
    }
    free(inner);
}

bool deq_sources_end(deq_sources_list *s, deq_sources *out) {
    if (!s) return false;
    if (s->seeds) fclose(s->seeds);
    if (s->nets) fclose(s->nets);
    if (s->journals) fclose(s->journals);
    *out = s->out;
    const bool ok = !s->failed && out->seeds && out->nets && out->journals;
    free((void *)s->models.items);
    free((void *)s->evaluations.items);
    free(s);
    return ok;
}

void deq_sources_free(deq_sources *s) {
    free(s->seeds);
    free(s->nets);
    free(s->journals);
    *s = (deq_sources){0};
}

char *deq_attack_text(const deq_evaluation *v) {
    char *text = NULL;
    if (!v || !v->attacked) return NULL;
    return asprintf(&text, "%s%s%s", v->attacked, v->trained ? "; trained against " : "",
                    v->trained ? v->trained : "") < 0
               ? NULL
               : text;
}

/* ---- columns ---- */
void deq_sources_csv(FILE *out, const deq_sources *s) {
    deq_csv_text(out, s->seeds);
    fputc(',', out);
    deq_csv_text(out, s->nets);
    fputc(',', out);
    deq_csv_text(out, s->journals);
    fprintf(out, ",%lld,%.3f,%.3f", (long long)s->undefined, s->train_seconds, s->seconds);
}

void deq_verdict_csv(FILE *out, const deq_verdict *v) {
    char *reasons = NULL;
    size_t size = 0;
    FILE *f = v->level ? open_memstream(&reasons, &size) : NULL;
    if (f) deq_verdict_reasons(f, v), fclose(f);
    if (reasons) deq_csv_text(out, reasons);
    fputc(',', out);
    if (v->level) deq_verdict_numbers(out, v, "; ");
    free(reasons);
}
