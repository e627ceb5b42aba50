/* mpi.c - libdeq_mpi.so: the table of deq_ranks.h on MPI.  Knows nothing of nets, and links to nothing of the program. */
#define _GNU_SOURCE
#include "deq_ranks.h"
#include <limits.h>
#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

/* Bytes of one message: counts of MPI are ints.  What is longer goes in several.  Tests take fewer. */
#ifndef DEQ_MPI_MOST
#define DEQ_MPI_MOST INT_MAX
#endif
#define ANSWER_SECONDS 5.0 /* a rank that waits answers within these */
#define LOOKS 100e-6       /* seconds in which a rank that has a core of its own looks for the others without a pause */
#define FEW 8              /* ranks that send each other their parts themselves */
enum { PART = 1, ASK, HERE };
/* Not by its name: GCC takes MPICH's for an object without room. */
static MPI_Status *const volatile ignored = MPI_STATUSES_IGNORE;

/* `ends` is for all_end and for questions: a meeting that others never reach does not disturb them. */
static MPI_Comm all, ends;
static MPI_Win window;
static int64_t *counters;
static int rank, count;
static int *counts; /* sizes and places of the parts of a meeting */
static double waiting, limit, looks;
static void (*late)(int rank, double seconds);
static int64_t sent_bytes;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A rank that waits says that it is here when another asks. */
static void answer(void) {
    int asked = 0;
    MPI_Status from;
    MPI_Iprobe(MPI_ANY_SOURCE, ASK, ends, &asked, &from);
    if (!asked) return;
    MPI_Recv(NULL, 0, MPI_BYTE, from.MPI_SOURCE, ASK, ends, MPI_STATUS_IGNORE);
    MPI_Send(NULL, 0, MPI_BYTE, from.MPI_SOURCE, HERE, ends);
}

/* The first rank that does not answer: it hangs, or works still.  `count`: all answer. */
static int silent(void) {
    bool *here = calloc((size_t)count, sizeof *here);
    int first = rank;
    for (int p = 0; p < count; p++) {
        MPI_Request request;
        if (p == rank) continue;
        MPI_Isend(NULL, 0, MPI_BYTE, p, ASK, ends, &request);
        MPI_Request_free(&request);
    }
    for (const double began = now(); here && first < count && now() - began < ANSWER_SECONDS;) {
        const struct timespec pause = {0, 1000000};
        int answered = 0;
        MPI_Status from;
        answer();
        MPI_Iprobe(MPI_ANY_SOURCE, HERE, ends, &answered, &from);
        if (answered) {
            MPI_Recv(NULL, 0, MPI_BYTE, from.MPI_SOURCE, HERE, ends, MPI_STATUS_IGNORE);
            here[from.MPI_SOURCE] = true;
        } else
            nanosleep(&pause, NULL);
        here[rank] = true;
        for (first = 0; first < count && here[first];) first++;
    }
    free(here);
    return first;
}

/* Between two looks.  Once the last rank has come, a meeting takes some microseconds, but a sleep fifty more than it asks
 * for, and a meeting with long messages several sleeps.  So whoever waits looks on for a moment, and then sleeps, by an exact
 * timer, the longer the longer it has waited: others may need the core. */
static void pause_after(double spent) {
    static _Thread_local bool exact;
    const struct timespec pause = {0, spent < 2e-4 ? 20000 : spent < 0.01 ? 50000 : 200000};
    if (spent < looks) return;
    if (!exact) prctl(PR_SET_TIMERSLACK, 1UL);
    exact = true;
    nanosleep(&pause, NULL);
}

/* Until all requests are done, or for so many seconds; 0: as long as it takes.  Rank 0 is the first to ask who is late, so
 * that one rank says it. */
static bool wait_for(MPI_Request *requests, int n, double seconds) {
    const double began = now();
    double asks = limit > 0 && !(seconds > 0) ? limit + (rank ? 2 * ANSWER_SECONDS : 0) : HUGE_VAL;
    int done = 0;
    while (!done) {
        MPI_Testall(n, requests, &done, ignored);
        if (done) break;
        const double spent = now() - began;
        if (seconds > 0 && spent > seconds) break;
        if (spent > 1) answer();
        if (spent > asks) {
            const int who = silent();
            asks = spent + limit;
            MPI_Testall(n, requests, &done, ignored); /* whoever came meanwhile need not have answered */
            if (!done && who < count) late(who, spent);
        }
        pause_after(spent);
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

/* ---- a slower network, for tests only ---- */
/* DEQ_TEST_NETWORK="5e-3 1e6": ranks on one machine meet as over a network where a message arrives after so many seconds,
 * and a rank sends so many bytes a second to all others together.  Nothing else reads it. */
static double latency, bandwidth; /* bandwidth 0: there is no such network */

static void slow_network(void) {
    const char *text = getenv("DEQ_TEST_NETWORK");
    if (text && (sscanf(text, "%lf %lf", &latency, &bandwidth) != 2 || !(latency >= 0) || !(bandwidth > 0))) {
        fprintf(stderr, "run: DEQ_TEST_NETWORK takes seconds and bytes a second, not '%s'\n", text);
        MPI_Abort(MPI_COMM_WORLD, 64);
    }
}

/* As long as so many messages, one after the other, and these bytes are on their way. */
static void carry(double messages_after, int64_t bytes) {
    if (!(bandwidth > 0)) return;
    const double began = now(), takes = messages_after * latency + (double)bytes / bandwidth;
    for (double left; (left = takes - (now() - began)) > 0;) {
        const struct timespec pause = {(time_t)left, (long)(1e9 * (left - floor(left)))};
        nanosleep(&pause, NULL);
    }
    waiting += now() - began;
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
    slow_network();
    MPI_Comm_split_type(all, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &near);
    MPI_Comm_size(near, neighbours);
    MPI_Comm_free(&near);
    looks = *neighbours <= sysconf(_SC_NPROCESSORS_ONLN) ? LOOKS : 0;
    counts = calloc(2 * (size_t)count, sizeof *counts);
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
    MPI_Comm_free(&all);
    MPI_Comm_free(&ends);
    free(counts);
    end();
}

static int64_t messages(int64_t bytes) { return (bytes + DEQ_MPI_MOST - 1) / DEQ_MPI_MOST; }

/* Part p of `own` to rank p, and the parts of this rank from all others, in messages that MPI can count. */
static void swap(const char *own, deq_ranks_parts sent, char *into, deq_ranks_parts got) {
    int64_t most = 0;
    int n = 0;
    for (int p = 0; p < count; p++)
        if (p != rank) most += messages(sent.bytes[p]) + messages(got.bytes[p]);
    MPI_Request *requests = calloc((size_t)most + 1, sizeof *requests);
    if (!requests || most > INT_MAX) {
        fprintf(stderr, "run: rank %d: out of memory for %lld messages\n", rank, (long long)most);
        MPI_Abort(all, 3);
        return;
    }
    carry(1, 0);
    for (int k = 1; k < count; k++) { /* nobody is everybody's first */
        const int to = (rank + k) % count, from = (rank + count - k) % count;
        for (int64_t at = 0; at < got.bytes[from]; at += DEQ_MPI_MOST) {
            const int64_t left = got.bytes[from] - at;
            MPI_Irecv(into + got.at[from] + at, left < DEQ_MPI_MOST ? (int)left : DEQ_MPI_MOST, MPI_BYTE, from, PART,
                      all, &requests[n++]);
        }
        carry(0, sent.bytes[to]);
        for (int64_t at = 0; at < sent.bytes[to]; at += DEQ_MPI_MOST) {
            const int64_t left = sent.bytes[to] - at;
            MPI_Isend(own + sent.at[to] + at, left < DEQ_MPI_MOST ? (int)left : DEQ_MPI_MOST, MPI_BYTE, to, PART, all,
                      &requests[n++]);
        }
        sent_bytes += sent.bytes[to];
    }
    wait_for(requests, n, 0);
    free(requests);
}

static void exchange(const void *own, deq_ranks_parts sent, void *into, deq_ranks_parts got) {
    memcpy((char *)into + got.at[rank], (const char *)own + sent.at[rank], (size_t)sent.bytes[rank]);
    swap(own, sent, into, got);
}

/* The same part to every rank. */
static void gather_long(char *into, deq_ranks_parts parts) {
    int64_t *places = calloc(2 * (size_t)count, sizeof *places), *sizes = places + count;
    if (!places) {
        fprintf(stderr, "run: rank %d: out of memory\n", rank);
        MPI_Abort(all, 3);
        return;
    }
    for (int p = 0; p < count; p++) places[p] = parts.at[rank], sizes[p] = parts.bytes[rank];
    swap(into, (deq_ranks_parts){places, sizes}, into, parts);
    free(places);
}

static void gather(void *into, deq_ranks_parts parts) {
    MPI_Request request;
    for (int p = 0; p < count; p++) {
        if (count <= FEW || bandwidth > 0 || parts.at[p] + parts.bytes[p] > DEQ_MPI_MOST) {
            gather_long(into, parts);
            return;
        }
        counts[p] = (int)parts.bytes[p];
        counts[count + p] = (int)parts.at[p];
    }
    sent_bytes += parts.bytes[rank] * (count - 1);
    MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, into, counts, counts + count, MPI_BYTE, all, &request);
    wait_for(&request, 1, 0);
}

static void share(void *bytes, int64_t size) {
    for (int64_t at = 0; at < size; at += DEQ_MPI_MOST) {
        MPI_Request request;
        const int64_t left = size - at;
        MPI_Ibcast((char *)bytes + at, left < DEQ_MPI_MOST ? (int)left : DEQ_MPI_MOST, MPI_BYTE, 0, all, &request);
        wait_for(&request, 1, 0);
    }
    for (int reached = 1; reached < count; reached *= 2) carry(1, size); /* each that has it sends it on */
    if (!rank) sent_bytes += size * (count - 1);
}

static int64_t take(int slot, int64_t add) {
    int64_t was = 0;
    MPI_Request request;
    MPI_Rget_accumulate(&add, 1, MPI_INT64_T, &was, 1, MPI_INT64_T, 0, slot, 1, MPI_INT64_T, MPI_SUM, window, &request);
    wait_for(&request, 1, 0);
    MPI_Win_flush(0, window);
    if (rank) carry(2, 0);
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
    return wait_for(&request, 1, seconds);
}

static void set_limit(double seconds, void (*told)(int rank, double seconds)) {
    limit = seconds;
    late = told;
}

static void stop(int code) { MPI_Abort(all, code); }
static double waited(void) { return waiting; }
static int64_t carried(void) { return sent_bytes; }

const deq_ranks_plugin *deq_ranks_entry(void);
const deq_ranks_plugin *deq_ranks_entry(void) {
    static char library[MPI_MAX_LIBRARY_VERSION_STRING];
    static deq_ranks_plugin table = {DEQ_RANKS_ABI, library, begin,   finish,    gather, exchange, share,
                                     take,          reset,   all_end, set_limit, stop,   waited,   carried};
    int length;
    MPI_Get_library_version(library, &length);
    library[strcspn(library, ",\n")] = 0;
    for (char *c = library; (c = strchr(c, '\t'));) *c = ' '; /* MPICH's has tabs */
    return &table;
}
