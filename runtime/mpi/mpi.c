/* mpi.c - libdeq_mpi.so: the table of deq_ranks.h on MPI.  Knows nothing of nets, and links to nothing of the program. */
#include "deq_ranks.h"
#include <limits.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define UNIT 64 /* bytes: counts of MPI are ints, so large parts are counted in these */

static MPI_Comm all, ends; /* `ends` is for all_end alone: a meeting that others never reach does not disturb it */
static MPI_Win window;
static int64_t *counters;
static int rank, count;
static MPI_Datatype unit;
static int *counts; /* four rows of `count`: sizes and places, sent and received */
static double waiting;
static int64_t sent_bytes;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Whoever waits lets others run: ranks may be more than the cores. */
static bool wait_for(MPI_Request *request, double seconds) {
    const double began = now();
    int done = 0;
    for (int64_t i = 0; !done; i++) {
        MPI_Test(request, &done, MPI_STATUS_IGNORE);
        if (done) break;
        if (seconds > 0 && now() - began > seconds) break;
        if (i > 300) {
            const double spent = now() - began;
            struct timespec pause = {0, spent < 0.01 ? 20000 : 200000};
            nanosleep(&pause, NULL);
        }
    }
    waiting += now() - began;
    return done;
}

/* What a launcher says, where the plug-in's MPI is not its own: then every process takes itself for the only one. */
static int launched(void) {
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (getenv(names[i])) return atoi(getenv(names[i]));
    return 1;
}

static void end(void) {
    int done = 0;
    MPI_Finalized(&done);
    if (!done) MPI_Finalize();
}

static bool begin(int *own, int *number, int *neighbours, char *why, size_t size) {
    int level;
    MPI_Comm near;
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &level) || level < MPI_THREAD_SERIALIZED) {
        snprintf(why, size, "MPI does not let the threads of a process take turns (MPI_THREAD_SERIALIZED)");
        return false;
    }
    MPI_Comm_dup(MPI_COMM_WORLD, &all);
    MPI_Comm_dup(MPI_COMM_WORLD, &ends);
    MPI_Comm_rank(all, &rank);
    MPI_Comm_size(all, &count);
    if (count == 1 && launched() > 1) {
        snprintf(why, size,
                 "the launcher has started %d processes, but MPI finds one: it belongs to another MPI than the plug-in",
                 launched());
        end();
        return false;
    }
    MPI_Comm_split_type(all, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &near);
    MPI_Comm_size(near, neighbours);
    MPI_Comm_free(&near);
    MPI_Type_contiguous(UNIT, MPI_BYTE, &unit);
    MPI_Type_commit(&unit);
    counts = calloc(4 * (size_t)count, sizeof *counts);
    MPI_Win_allocate(rank ? 0 : DEQ_RANKS_SLOTS * (MPI_Aint)sizeof *counters, sizeof *counters, MPI_INFO_NULL, all,
                     &counters, &window);
    MPI_Win_lock_all(0, window);
    if (!counts) {
        snprintf(why, size, "out of memory for %d ranks", count);
        return false;
    }
    for (int i = 0; !rank && i < DEQ_RANKS_SLOTS; i++) counters[i] = 0;
    MPI_Win_sync(window);
    MPI_Barrier(all);
    *own = rank, *number = count;
    return true;
}

static void finish(void) {
    MPI_Win_unlock_all(window);
    MPI_Win_free(&window);
    MPI_Type_free(&unit);
    MPI_Comm_free(&all);
    MPI_Comm_free(&ends);
    free(counts);
    end();
}

/* Ints of sizes and places, in units where all of them are whole. */
static bool whole(deq_ranks_parts p) {
    for (int i = 0; i < count; i++)
        if (p.at[i] % UNIT || p.bytes[i] % UNIT) return false;
    return true;
}

static void put_counts(deq_ranks_parts p, int64_t by, int *sizes, int *places) {
    for (int i = 0; i < count; i++) {
        if (p.bytes[i] / by > INT_MAX || p.at[i] / by > INT_MAX) {
            fprintf(stderr, "run: rank %d: %lld bytes are more than MPI can count\n", rank, (long long)p.bytes[i]);
            MPI_Abort(all, 3);
        }
        sizes[i] = (int)(p.bytes[i] / by);
        places[i] = (int)(p.at[i] / by);
    }
}

static void gather(void *into, deq_ranks_parts parts) {
    MPI_Request request;
    const bool units = whole(parts);
    put_counts(parts, units ? UNIT : 1, counts, counts + count);
    sent_bytes += parts.bytes[rank] * (count - 1);
    MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, into, counts, counts + count, units ? unit : MPI_BYTE, all,
                    &request);
    wait_for(&request, 0);
}

static void exchange(const void *own, deq_ranks_parts sent, void *into, deq_ranks_parts got) {
    MPI_Request request;
    const bool units = whole(sent) && whole(got);
    const MPI_Datatype type = units ? unit : MPI_BYTE;
    put_counts(sent, units ? UNIT : 1, counts, counts + count);
    put_counts(got, units ? UNIT : 1, counts + 2 * count, counts + 3 * count);
    for (int i = 0; i < count; i++) sent_bytes += i == rank ? 0 : sent.bytes[i];
    MPI_Ialltoallv(own, counts, counts + count, type, into, counts + 2 * count, counts + 3 * count, type, all,
                   &request);
    wait_for(&request, 0);
}

static void share(void *bytes, int64_t size) {
    for (int64_t at = 0; at < size; at += INT_MAX) {
        MPI_Request request;
        const int64_t left = size - at;
        MPI_Ibcast((char *)bytes + at, left < INT_MAX ? (int)left : INT_MAX, MPI_BYTE, 0, all, &request);
        wait_for(&request, 0);
    }
    if (!rank) sent_bytes += size * (count - 1);
}

static int64_t take(int slot, int64_t add) {
    int64_t was = 0;
    MPI_Fetch_and_op(&add, &was, MPI_INT64_T, 0, slot, MPI_SUM, window);
    MPI_Win_flush(0, window);
    return was;
}

static void reset(int slot) {
    int64_t zero = 0, was;
    MPI_Fetch_and_op(&zero, &was, MPI_INT64_T, 0, slot, MPI_REPLACE, window);
    MPI_Win_flush(0, window);
}

static bool all_end(double seconds) {
    MPI_Request request;
    MPI_Ibarrier(ends, &request);
    return wait_for(&request, seconds);
}

static void stop(int code) { MPI_Abort(all, code); }
static double waited(void) { return waiting; }
static int64_t carried(void) { return sent_bytes; }

const deq_ranks_plugin *deq_ranks_entry(void);
const deq_ranks_plugin *deq_ranks_entry(void) {
    static char library[MPI_MAX_LIBRARY_VERSION_STRING];
    static deq_ranks_plugin table = {DEQ_RANKS_ABI, library, begin,   finish, gather, exchange, share,
                                     take,          reset,   all_end, stop,   waited, carried};
    int length;
    MPI_Get_library_version(library, &length);
    library[strcspn(library, ",\n")] = 0;
    return &table;
}
