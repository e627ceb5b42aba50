/* ranks.h - the processes that work on one run: one, or those that mpirun or srun has started, through a plug-in
 * (include/deq_ranks.h) that is loaded only then.
 *
 * All ranks go through the same program and hold the same values; the parts of a call on a net (engine_ranks.c) are dealt
 * to them and gathered again, so that afterwards all are equal.  What decides what comes next must therefore be equal on
 * all ranks: a clock, a signal or a file that only one of them sees is no such thing until it was shared.  Rank 0 alone
 * writes and prints; it alone reads the cache, and shares what it finds.
 *
 * With one rank every function returns at once, with that rank's own values. */
#ifndef DEQ_RUNTIME_RANKS_H
#define DEQ_RUNTIME_RANKS_H
#include "error.h"
#include <jansson.h>
#include <stdint.h>

/* How many processes the launcher says that it has started; 1: there is none.  Nothing is loaded. */
int deq_ranks_launched(void);
/* Where the plug-in is, and what it is made of: "Open MPI v4.1.4".  False: *out says why there is none. */
bool deq_ranks_plugin_found(char *out, size_t size);

/* Joins the other ranks, where a launcher has started this process: once, before anything is written.  A launcher that
 * has started several processes which cannot meet is DEQ_RANKS. */
bool deq_ranks_open(deq_error *e);
void deq_ranks_close(void);

/* A rank for which another has waited so long ends the run, by its name; 0: it may take as long as it takes. */
void deq_ranks_limit(double seconds);

int deq_ranks_own(void);   /* 0 .. deq_ranks_count() - 1 */
int deq_ranks_count(void); /* 1: alone */
bool deq_ranks_first(void);
int deq_ranks_neighbours(void); /* ranks on this machine */

/* Makes the bytes of rank 0 those of all ranks. */
void deq_ranks_share(void *bytes, int64_t size);
bool deq_ranks_share_bool(bool value);
/* Returns rank 0's value on every rank, and takes `value` of the others; NULL stays NULL. */
json_t *deq_ranks_share_json(json_t *value);
void deq_ranks_wait(void); /* until all ranks are here */

/* The bytes of all ranks in their order, those of rank r from at[r] to at[r + 1]; free() the result and *at.
 * NULL: out of memory. */
char *deq_ranks_gather(const void *bytes, int64_t size, int64_t **at);
/* The same in one meeting instead of two where no rank has more than room[r], which all ranks say alike. */
char *deq_ranks_gather_about(const void *bytes, int64_t size, const int64_t *room, int64_t **at);
/* The parts of all ranks in `all`, where this rank's stands already. */
void deq_ranks_gather_known(void *all, const int64_t *at);
/* Part p of `own` to rank p.  at: where the parts begin, and the last ends. */
void deq_ranks_exchange(const void *own, const int64_t *own_at, void *all, const int64_t *all_at);
/* The same of sums of gradients, which deq_ranks_cost counts as a reduction. */
void deq_ranks_gather_parts(void *all, const int64_t *at);

/* Numbers 0, 1, .. dealt to whoever asks first, from any thread, until deq_ranks_dealt, which all ranks call after their last
 * number and before which each has met the others. */
int64_t deq_ranks_take(void);
void deq_ranks_take_rest(void); /* nobody gets another one */
void deq_ranks_dealt(void);

/* Whether all ranks say the same text; else DEQ_RANKS names the first that differs from rank 0, and `what` differs.  All
 * ranks return the same. */
bool deq_ranks_agree(const char *what, const char *text, deq_error *e);

/* The end of a run that gives this exit code.  Returns whether this rank says why: rank 0 does, and one that fails where
 * rank 0 does not.  Ranks that fail while others work on end all of them (deq_ranks_stop), after they have said why. */
bool deq_ranks_end(int code, bool *alone);
void deq_ranks_stop(int code);
/* The exit code of the first rank that has another than 0, on all ranks; *tells: as above. */
int deq_ranks_worst(int code, bool *tells);

/* What working together costs this rank. */
typedef struct deq_ranks_cost {
    double seconds;  /* of the clock, in all */
    double reducing; /* in deq_ranks_exchange and deq_ranks_gather_parts, which gradients go through */
    double waiting;  /* in all other meetings: most of it for ranks that are not there yet */
    double reduced;  /* bytes that it sends in the former */
    double carried;  /* bytes that it sends at all */
} deq_ranks_cost;

deq_ranks_cost deq_ranks_spent(void); /* so far, from any thread: only differences mean something */
/* Adds to *sum what was spent since `then`. */
void deq_ranks_spend(deq_ranks_cost *sum, const deq_ranks_cost *then);
#endif
