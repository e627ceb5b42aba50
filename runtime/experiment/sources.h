/* sources.h - what numbers rest on: the nets, their seeds and the journals behind them, and what that is called in a CSV
 * file.
 *
 * needs: the cells have been made.  Ensures: each net and each journal is named once, in the order in which it was met. */
#ifndef DEQ_RUNTIME_SOURCES_H
#define DEQ_RUNTIME_SOURCES_H
#include "arrays.h"

typedef struct deq_sources {
    char *seeds, *nets, *journals; /* "0" or "0;1": of the models; their keys; keys of the evaluations */
    double train_seconds, seconds; /* training of the models; evaluations */
    int64_t undefined;             /* predictions of the evaluations with a NaN */
} deq_sources;

typedef struct deq_sources_list deq_sources_list;
deq_sources_list *deq_sources_begin(void); /* NULL: out of memory */
/* What the array rests on in the cell that has this place. */
void deq_sources_add(deq_sources_list *s, deq_arrays *g, int array, const int *at);
/* false: out of memory, now or on the way. */
bool deq_sources_end(deq_sources_list *s, deq_sources *out);
void deq_sources_free(deq_sources *s);

/* What it is under, by name; free() it.  NULL: under nothing. */
char *deq_attack_text(const deq_evaluation *v);

/* ---- columns of a CSV file, without the commas around them ---- */
#define DEQ_SOURCES_TITLES "seeds,nets,journals,undefined predictions,train seconds,evaluation seconds"
void deq_sources_csv(FILE *out, const deq_sources *s);
/* "reasons,checks": reasons in quotes where there are several words with commas, and every check with its number. */
void deq_verdict_csv(FILE *out, const deq_verdict *v);
#endif
