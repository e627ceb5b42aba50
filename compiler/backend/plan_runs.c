/* plan_runs.c - what goes image by image, where tiles have several images.
 *
 * A group takes one image at a time, unless it is a convolution that reads its weights once for all images of the tile.
 * Such groups that stand together are a RUN: all of them are computed for an image before any is for the next.  So the
 * image stays in the second-level cache from one group to the next, and a value that only groups of one run read has the
 * memory of one image, which all take in turn.  No bit depends on it. */
#include "planner.h"

typedef struct Run { /* positions of its groups */
    uint32_t first, last;
} Run;

static bool takes_images(const Planner *p, const Group *g) {
    if (!g->nmembers && !g->nstores) return false;
    return g->cluster || !info(p, g->members[0])->together;
}

/* What is written where others read comes after all of them: such a group is a run of its own. */
static void find_runs(Planner *p, const LevelPlan *level, Run *runs, uint32_t *nruns) {
    const Group *before = NULL;
    for (uint32_t k = 0; k < level->ntile; k++) {
        Group *g = level->tile[k];
        const bool image = takes_images(p, g);
        if (image && before && !g->final && before->owner == g->owner) {
            g->run = before->run;
            runs[g->run].last = g->position;
        } else if (image) {
            g->run = (*nruns)++;
            runs[g->run] = (Run){g->position, g->position};
        }
        if (!g->final && (g->nmembers || g->nstores)) before = image ? g : NULL;
    }
}

/* The rows of what lives in one run only lie over one another.  Other values live for whole runs, since the first image
 * is past a group before the next has come to it. */
static void extend_lives(Planner *p, const Run *runs, const uint32_t *run_at) {
    for (uint32_t k = 0; k < p->s->nbuffers; k++) {
        Buffer *b = &p->s->buffers[k];
        if (b->scope != SCOPE_TILE || b->first == NONE) continue;
        const uint32_t first = run_at[b->first], last = run_at[b->last];
        if (first == last && first != NONE) {
            b->alone = true;
            continue;
        }
        if (first != NONE) b->first = runs[first].first;
        if (last != NONE) b->last = runs[last].last;
    }
}

void plan_runs(Planner *p) {
    StepPlan *s = p->s;
    uint32_t nruns = 0;
    Run *runs = arena_alloc(p->arena, (s->ngroups + 1) * sizeof *runs);
    uint32_t *run_at = arena_alloc(p->arena, (s->ngroups + 1) * sizeof *run_at); /* by position */
    for (uint32_t k = 0; k < s->nlevels; k++)
        if (s->levels[k].images > 1) find_runs(p, &s->levels[k], runs, &nruns);
    for (uint32_t k = 0; k < s->ngroups; k++) run_at[s->groups[k]->position] = s->groups[k]->run;
    if (nruns) extend_lives(p, runs, run_at);
}
