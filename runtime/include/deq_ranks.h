/* deq_ranks.h - what a plug-in gives that lets several processes, the ranks, work on one run.
 *
 * The program loads libdeq_mpi.so where a launcher (mpirun, srun) has started it, and asks it for this table.  Every
 * function but `take` is a meeting: all ranks call it, in the same order, and none returns before its part is there.  One
 * thread at a time calls; the program sees to that.  What goes wrong inside ends all ranks: there is nothing to return. */
#ifndef DEQ_RANKS_H
#define DEQ_RANKS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEQ_RANKS_ABI 2
#define DEQ_RANKS_SLOTS 2 /* shared counters */

/* Where the part of each rank begins, and how many bytes it has: an element a rank. */
typedef struct deq_ranks_parts {
    const int64_t *at, *bytes;
} deq_ranks_parts;

typedef struct deq_ranks_plugin {
    int abi;             /* DEQ_RANKS_ABI */
    const char *library; /* "Open MPI v4.1.4": known before `open` */
    /* Once.  rank: 0 .. count - 1; neighbours: ranks on this machine, this one among them.  False: `why` says why not. */
    bool (*open)(int *rank, int *count, int *neighbours, char *why, size_t size);
    void (*close)(void);
    /* The parts of all ranks in `all`, whose own part stands there already. */
    void (*gather)(void *all, deq_ranks_parts parts);
    /* Part p of `own` goes to rank p, where it becomes the part of this rank. */
    void (*exchange)(const void *own, deq_ranks_parts sent, void *all, deq_ranks_parts got);
    void (*share)(void *bytes, int64_t size); /* those of rank 0 become those of all */
    /* Adds to a counter that all ranks share, and returns what it was.  No meeting. */
    int64_t (*take)(int slot, int64_t add);
    void (*reset)(int slot); /* by rank 0 alone, while nobody takes */
    /* Whether all ranks come here within so many seconds; asked at the end, beside meetings that never end. */
    bool (*all_end)(double seconds);
    /* A rank that has waited so long, in a meeting or for a counter, asks who else waits; `late` is called with the first that
     * does not answer, again and again after so many seconds.  0: as long as it takes. */
    void (*limit)(double seconds, void (*late)(int rank, double seconds));
    void (*stop)(int code);   /* ends all ranks at once */
    double (*waited)(void);   /* seconds that this rank has spent in meetings */
    int64_t (*carried)(void); /* bytes that this rank has sent to others */
} deq_ranks_plugin;

/* The one symbol of a plug-in, "deq_ranks_entry". */
typedef const deq_ranks_plugin *deq_ranks_entry_fn(void);
#endif
