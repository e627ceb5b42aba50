/* meeting.c - see meeting.h. */
#include "meeting.h"

#define PAUSES 8000 /* about what a part of a call takes; then the other thread may need this processor */

static void pause_a_moment(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

void deq_meeting_begin(deq_meeting *m) {
    atomic_init(&m->rounds, 0);
    m->arrived = 0;
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->next, NULL);
}

void deq_meeting_end(deq_meeting *m) {
    pthread_cond_destroy(&m->next);
    pthread_mutex_destroy(&m->lock);
}

void deq_meeting_wait(deq_meeting *m) {
    pthread_mutex_lock(&m->lock);
    const unsigned round = atomic_load(&m->rounds);
    if (++m->arrived == 2) {
        m->arrived = 0;
        atomic_store(&m->rounds, round + 1);
        pthread_cond_signal(&m->next);
        pthread_mutex_unlock(&m->lock);
        return;
    }
    pthread_mutex_unlock(&m->lock);
    for (int k = 0; k < PAUSES && atomic_load(&m->rounds) == round; k++) pause_a_moment();
    if (atomic_load(&m->rounds) != round) return;
    pthread_mutex_lock(&m->lock);
    while (atomic_load(&m->rounds) == round) pthread_cond_wait(&m->next, &m->lock);
    pthread_mutex_unlock(&m->lock);
}

void deq_meeting_watch(const atomic_bool *flag) {
    for (int k = 0; k < PAUSES && !atomic_load(flag); k++) pause_a_moment();
}
