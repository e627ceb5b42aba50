/* team.h - members that run one task side by side and meet: each has its part of a batch, and where a value depends on
 * all parts they wait for one another.
 *
 * A team has a thread for each member, of which so many run at once as the program has threads.  So what is computed
 * depends on the number of members only. */
#ifndef DEQ_RUNTIME_TEAM_H
#define DEQ_RUNTIME_TEAM_H
#include "parallel.h"
#include <stdbool.h>

#define DEQ_TEAM_MOST 64 /* members */

typedef struct deq_team deq_team;

/* At least one member, at most DEQ_TEAM_MOST; at most `threads` of them run at once.  NULL when memory or threads are short. */
deq_team *deq_team_new(int members, int threads);
void deq_team_free(deq_team *team);
int deq_team_members(const deq_team *team);
/* Runs task(context, member, member) as every member and returns when all have ended.  Not reentrant. */
void deq_team_run(deq_team *team, deq_task *task, void *context);
/* Within the task: `count` values of every member become their sum, added in the order of the members.  All members call
 * it equally often, in the same order. */
void deq_team_sum(deq_team *team, int member, void *values, int64_t count, int real_bits);
/* Within the task: member m and its partner m ^ 1 bring requests, and join(context, requests, n) is called once for both
 * of them, in their order, or for one: where the other waits for a sum, has passed, has ended or is not there.  So neither waits for
 * more than the other's next request.  Returns when the member's own has been seen to. */
typedef void deq_team_join(void *context, void *const *requests, int n);
void deq_team_bring(deq_team *team, int member, void *request, deq_team_join *join, void *context);
/* Within the task, of partners that run side by side: likewise, but both go on, each with its own thread.  True, with both
 * requests in their order, if suits(requests) holds; false where it does not, or where deq_team_bring would go on alone. */
typedef bool deq_team_suits(void *const *requests);
bool deq_team_face(deq_team *team, int member, void *request, deq_team_suits *suits, void **requests);
/* Within the task: until its next request nobody waits for the member. */
void deq_team_pass(deq_team *team, int member);
/* Whether so many members that run here run side by side. */
bool deq_team_side_by_side(const deq_team *team, int here);
/* Whether partners may wait for each other and leave no thread idle, if so many members run here. */
bool deq_team_pairs(const deq_team *team, int here);
/* How often the members have met so far, and bytes that one of them has brought to it, in all.  Between runs. */
void deq_team_meetings(const deq_team *team, int64_t *meetings, int64_t *bytes);
/* From the next run on only members first .. first + here - 1 bring values to a meeting; the last of them calls
 * meet(context, their values, here, ..), which makes the sums, in the team's place.  meet NULL: all members again. */
typedef void deq_team_meet(void *context, void *const *values, int here, int64_t count, int real_bits);
void deq_team_deal(deq_team *team, int first, int here, deq_team_meet *meet, void *context);
#endif
