/* library_internal.h - a compiled net as a C library, for the files that hold its functions: library.c, library_call.c,
 * library_keep.c, library_attack.c, library_results.c. */
#ifndef DEQ_RUNTIME_LIBRARY_INTERNAL_H
#define DEQ_RUNTIME_LIBRARY_INTERNAL_H
#include "app_state.h"
#include "deq_library.h"
#include <pthread.h>
#include <sys/types.h>

struct deq_library {
    const deq_module *module;
    deq_manifest *manifest;
    const deq_net_spec *net;
    const deq_train_spec *train; /* whose settings it has; NULL: none trains it */
    deq_engine *engine;
    deq_library *owner;   /* whose manifest and parameters it uses; itself */
    pthread_mutex_t lock; /* one call at a time */
    json_t *own;          /* what NET_set has said, in order: [path, value] */
    bool checked;         /* the settings go together */
    pid_t process;        /* that made it: threads do not follow a fork */
    deq_error error;      /* of the last call */
    char text[4200];      /* it, with its code */
};

/* Begins a call: from here to library_leave no other thread is in this context.  False where it cannot be used: it is
 * NULL, or another process made it; then library_refused() is the call's result. */
bool library_enter(deq_library *library);
int library_leave(deq_library *library, bool ok);
int library_refused(const deq_library *library);
/* What went wrong in the last call without a context, deq_library_new among them. */
const deq_error *library_own_error(void);
/* The failure of an argument, or of a value among n rows of the module's reals; what is NULL may be so when n is 0. */
bool library_given(deq_library *library, const void *pointer, const char *argument, int64_t n);
/* The settings go together. */
bool library_ready(deq_library *library);
bool library_count(deq_library *library, int64_t n);
bool library_finite(deq_library *library, int64_t n, const void *rows, int64_t elements, const char *argument);
bool library_labels(deq_library *library, int64_t n, const void *target);
/* Labels as the module's reals; NULL after a failure.  free() it. */
void *library_reals_of(deq_library *library, int64_t n, const int64_t *labels);
void library_status(deq_status *status, const deq_results *r);

/* A call that fails writes no result, though it may fail after some of its examples (`on_fail: stop`, a gradient in C): then
 * its results wait in memory of the library's own until all of them are there. */
enum { LIBRARY_MOST_RESULTS = 4 };
typedef struct library_results {
    struct library_result {
        void *own, *given;
        size_t bytes;
    } list[LIBRARY_MOST_RESULTS];
    int n;
    bool waits; /* otherwise results go where they belong at once */
} library_results;
/* `parts`: the call computes in several steps, each of which may fail. */
library_results library_results_of(const deq_library *library, bool parts);
/* Where `count` rows of `elements` reals that the caller wants at `given` are written meanwhile; NULL for NULL.  False
 * where there is no memory for it: the call goes on to library_hand_over and nothing else. */
bool library_wait(deq_library *library, library_results *results, void **given, int64_t rows, size_t row_bytes);
/* Gives the results to the caller, if all went well, and lets go of the memory.  Returns `ok`. */
bool library_hand_over(library_results *results, bool ok);
#endif
