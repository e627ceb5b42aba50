/* progress.h - what a run says while it works.
 *
 * Text mode: lines on standard output, and on a terminal one live line on standard error, rewritten ten times a second.
 * JSON mode: one object a line on standard output, "event" first.  Warnings and errors go to standard error in text
 * mode. */
#ifndef DEQ_RUNTIME_PROGRESS_H
#define DEQ_RUNTIME_PROGRESS_H
#include "ranks.h"
#include "training_log.h"

typedef struct deq_reporter {
    bool json, quiet, terminal;
    bool live;    /* a live line is on the screen */
    double drawn; /* when it was drawn last */
    double noted; /* when a line was last printed where there is no terminal */
} deq_reporter;

typedef struct deq_progress_state {
    const char *what;                   /* name of the training run or evaluation */
    int64_t epoch, epochs, step, steps; /* epoch from 1; steps of the epoch (or examples of an evaluation) */
    deq_log_row row;
    const char *metric;  /* its name; NULL: there is none */
    bool share;          /* its mean is one, shown in percent */
    double left;         /* seconds, NaN unknown */
    deq_ranks_cost cost; /* of several ranks, to this one; seconds 0: not known */
} deq_progress_state;

double deq_now(void);           /* seconds, monotonic */
double deq_processor_now(void); /* seconds that processors have spent on this process */
double deq_since(void);         /* seconds since the program was loaded */
void deq_print_duration(char *out, size_t size, double seconds); /* "1:05", "2:01:05" */
void deq_reporter_open(deq_reporter *r, bool json, bool quiet);
void deq_report(deq_reporter *r, const char *format, ...) __attribute__((format(printf, 2, 3))); /* text mode, a line */
void deq_report_warning(deq_reporter *r, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void deq_report_error(deq_reporter *r, const deq_error *e);
void deq_report_event(deq_reporter *r, const char *event, json_t *members); /* JSON mode; takes `members` */
/* Rewrites the live line if it is time for it; elsewhere a line every ten seconds. */
void deq_report_step(deq_reporter *r, const deq_progress_state *s);
void deq_report_epoch(deq_reporter *r, const deq_progress_state *s); /* a lasting line */
void deq_report_clear(deq_reporter *r);
#endif
