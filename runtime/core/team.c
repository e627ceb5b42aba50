/* team.c - members on threads of their own; who waits for the others lets another run. */
#include "team.h"
#include "meeting.h"
#include "signals.h"
#include <pthread.h>
#include <stdlib.h>

typedef struct member {
    deq_team *team;
    int index;
    pthread_t thread;
    void *values;  /* what it has brought to the meeting */
    void *request; /* what it waits for its partner with; NULL: it does not */
    bool alone;    /* nobody has seen to its request: it does itself */
    void *with;    /* deq_team_face: the partner's request, which suits its own; else NULL */
    atomic_bool answered;
    bool away; /* it waits for a sum, has passed, has ended or is not there: nobody waits for it */
} member;

struct deq_team {
    int members, limit, created;
    member *all;
    pthread_mutex_t lock; /* of everything below, and of the members' values */
    pthread_cond_t start, room, met, joined, end;
    int running, arrived, ended;
    uint64_t runs, meetings;
    int64_t brought; /* bytes of a member */
    bool stop;
    int first, here; /* members that meet */
    deq_team_meet *meet;
    void *meet_context;
    deq_task *task;
    void *context;
};

/* With the lock: goes on when fewer than `limit` run. */
static void enter(deq_team *t) {
    while (t->running >= t->limit) pthread_cond_wait(&t->room, &t->lock);
    t->running++;
}

static void leave(deq_team *t) {
    t->running--;
    pthread_cond_signal(&t->room);
}

static member *partner_of(deq_team *t, int index) { return (index ^ 1) < t->members ? &t->all[index ^ 1] : NULL; }

/* With the lock: the partner goes on alone, if it waits. */
static void go_away(deq_team *t, int index) {
    member *partner = partner_of(t, index);
    t->all[index].away = true;
    if (!partner || !partner->request) return;
    partner->request = NULL;
    partner->alone = true;
    atomic_store(&partner->answered, true);
    pthread_cond_broadcast(&t->joined);
}

static void run_as(deq_team *t, int index) {
    enter(t);
    pthread_mutex_unlock(&t->lock);
    t->task(t->context, index, index);
    pthread_mutex_lock(&t->lock);
    go_away(t, index);
    leave(t);
    if (++t->ended == t->members) pthread_cond_signal(&t->end);
}

static void *member_main(void *argument) {
    const member *m = argument;
    deq_team *t = m->team;
    uint64_t seen = 0;
    pthread_mutex_lock(&t->lock);
    for (;;) {
        while (t->runs == seen && !t->stop) pthread_cond_wait(&t->start, &t->lock);
        seen = t->runs;
        if (t->stop) break;
        run_as(t, m->index);
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

deq_team *deq_team_new(int members, int threads) {
    deq_team *t = calloc(1, sizeof *t);
    if (!t) return NULL;
    *t = (deq_team){.members = members, .limit = threads < members ? threads : members, .created = 1, .here = members};
    t->all = calloc((size_t)members, sizeof *t->all);
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_t *conditions[5] = {&t->start, &t->room, &t->met, &t->joined, &t->end};
    for (int i = 0; i < 5; i++) pthread_cond_init(conditions[i], NULL);
    sigset_t before;
    deq_signals_withhold(&before);
    while (t->all && t->created < members) {
        member *m = &t->all[t->created];
        *m = (member){.team = t, .index = t->created};
        if (pthread_create(&m->thread, NULL, member_main, m)) break;
        t->created++;
    }
    deq_signals_give_back(&before);
    if (t->all && t->created == members) return t;
    deq_team_free(t);
    return NULL;
}

void deq_team_free(deq_team *t) {
    if (!t) return;
    pthread_mutex_lock(&t->lock);
    t->stop = true;
    pthread_cond_broadcast(&t->start);
    pthread_mutex_unlock(&t->lock);
    for (int i = 1; i < t->created; i++) pthread_join(t->all[i].thread, NULL);
    pthread_cond_t *conditions[5] = {&t->start, &t->room, &t->met, &t->joined, &t->end};
    for (int i = 0; i < 5; i++) pthread_cond_destroy(conditions[i]);
    pthread_mutex_destroy(&t->lock);
    free(t->all);
    free(t);
}

int deq_team_members(const deq_team *t) { return t->members; }

void deq_team_meetings(const deq_team *t, int64_t *meetings, int64_t *bytes) {
    *meetings = (int64_t)t->meetings;
    *bytes = t->brought;
}

void deq_team_run(deq_team *t, deq_task *task, void *context) {
    pthread_mutex_lock(&t->lock);
    t->task = task;
    t->context = context;
    t->ended = 0;
    for (int i = 0; i < t->members; i++) t->all[i].away = false;
    t->runs++;
    pthread_cond_broadcast(&t->start);
    run_as(t, 0);
    while (t->ended < t->members) pthread_cond_wait(&t->end, &t->lock);
    pthread_mutex_unlock(&t->lock);
}

#define SUM(type)                                                                                                      \
    for (int64_t i = 0; i < count; i++) {                                                                              \
        type sum = ((type *)t->all[0].values)[i];                                                                      \
        for (int m = 1; m < t->members; m++) sum += ((type *)t->all[m].values)[i];                                     \
        for (int m = 0; m < t->members; m++) ((type *)t->all[m].values)[i] = sum;                                      \
    }

void deq_team_deal(deq_team *t, int first, int here, deq_team_meet *meet, void *context) {
    t->first = first;
    t->here = here;
    t->meet = meet;
    t->meet_context = context;
}

static void meet_others(deq_team *t, int64_t count, int real_bits) {
    void *values[DEQ_TEAM_MOST];
    for (int m = 0; m < t->here; m++) values[m] = t->all[t->first + m].values;
    t->meet(t->meet_context, values, t->here, count, real_bits);
}

/* The last to arrive adds. */
void deq_team_sum(deq_team *t, int index, void *values, int64_t count, int real_bits) {
    pthread_mutex_lock(&t->lock);
    t->all[index].values = values;
    if (++t->arrived < t->here) {
        const uint64_t seen = t->meetings;
        go_away(t, index);
        leave(t);
        while (t->meetings == seen) pthread_cond_wait(&t->met, &t->lock);
        enter(t);
    } else {
        if (t->meet)
            meet_others(t, count, real_bits);
        else if (real_bits == 32)
            SUM(float)
        else
            SUM(double)
        t->arrived = 0;
        for (int m = 0; m < t->here; m++) t->all[t->first + m].away = false;
        t->meetings++;
        t->brought += count * real_bits / 8;
        pthread_cond_broadcast(&t->met);
    }
    pthread_mutex_unlock(&t->lock);
}

void deq_team_pass(deq_team *t, int index) {
    pthread_mutex_lock(&t->lock);
    go_away(t, index);
    pthread_mutex_unlock(&t->lock);
}

bool deq_team_pairs(const deq_team *t, int here) { return here >= 2 * t->limit; }

/* Of two partners the one who comes later works for both. */
void deq_team_bring(deq_team *t, int index, void *request, deq_team_join *join, void *context) {
    member *own = &t->all[index], *partner = partner_of(t, index);
    pthread_mutex_lock(&t->lock);
    own->away = false;
    bool alone = !partner || partner->away;
    if (!alone && !partner->request) {
        own->request = request;
        leave(t);
        while (own->request) pthread_cond_wait(&t->joined, &t->lock);
        alone = own->alone;
        own->alone = false;
        enter(t);
    } else if (!alone) {
        void *both[2] = {index & 1 ? partner->request : request, index & 1 ? request : partner->request};
        pthread_mutex_unlock(&t->lock);
        join(context, both, 2);
        pthread_mutex_lock(&t->lock);
        partner->request = NULL;
        pthread_cond_broadcast(&t->joined);
    }
    pthread_mutex_unlock(&t->lock);
    if (alone) join(context, &request, 1);
}

bool deq_team_side_by_side(const deq_team *t, int here) { return here <= t->limit; }

bool deq_team_face(deq_team *t, int index, void *request, deq_team_suits *suits, void **both) {
    member *own = &t->all[index], *partner = partner_of(t, index);
    pthread_mutex_lock(&t->lock);
    own->away = false;
    own->with = NULL;
    if (partner && partner->request) {
        void *pair[2] = {index & 1 ? partner->request : request, index & 1 ? request : partner->request};
        if (suits(pair)) {
            own->with = partner->request;
            partner->with = request;
        }
        partner->request = NULL;
        atomic_store(&partner->answered, true);
        pthread_cond_broadcast(&t->joined);
    } else if (partner && !partner->away) {
        own->request = request;
        atomic_store(&own->answered, false);
        pthread_mutex_unlock(&t->lock);
        deq_meeting_watch(&own->answered);
        pthread_mutex_lock(&t->lock);
        while (own->request) pthread_cond_wait(&t->joined, &t->lock);
        own->alone = false;
    }
    both[index & 1] = request;
    both[~index & 1] = own->with;
    pthread_mutex_unlock(&t->lock);
    return own->with;
}
