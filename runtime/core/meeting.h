/* meeting.h - two threads that wait for one another, often and for a short time. */
#ifndef DEQ_RUNTIME_MEETING_H
#define DEQ_RUNTIME_MEETING_H
#include <pthread.h>
#include <stdatomic.h>

typedef struct deq_meeting {
    atomic_uint rounds; /* that are over */
    int arrived;        /* in this one; with the lock */
    pthread_mutex_t lock;
    pthread_cond_t next;
} deq_meeting;

void deq_meeting_begin(deq_meeting *meeting);
void deq_meeting_end(deq_meeting *meeting);
/* Returns when both have called it: what each has written before, both see then.  A short wait costs no sleep. */
void deq_meeting_wait(deq_meeting *meeting);
/* Until *flag is true, for as long as a wait takes that costs no sleep. */
void deq_meeting_watch(const atomic_bool *flag);
#endif
