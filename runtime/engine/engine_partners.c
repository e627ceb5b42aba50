/* engine_partners.c - see engine_partners.h. */
#include "engine_partners.h"
#include "engine_ranks.h"
#include "partners.h"

static int64_t rows_of(const run *r, int part) { return r->n * (part + 1) / r->blocks - r->n * part / r->blocks; }

/* Calls of more rows than workers have room for are not made; weights that stay in a cache are not worth a meeting. */
static bool worth_while(const deq_engine *g) { return !g->apart && g->images && g->heavy && g->nfixed > 0; }

static int made_here(const run *r) {
    int here = 0;
    for (int s = 0; s < r->blocks; s++) here += engine_makes(r, (int)r->blocks, s);
    return here;
}

/* Whether two threads can share the calls of every fixed point. */
static bool in_halves(const deq_engine *g) {
    bool all = true;
    for (int i = 0; i < g->nfixed; i++) all = all && g->descriptors[i]->halves;
    return all;
}

bool deq_engine_in_pairs(const deq_engine *g, int64_t n) {
    const int64_t parts = g->statistics ? deq_engine_shards(g, n) : 0;
    return worth_while(g) && parts >= 2 * g->threads && 2 * ((n + parts - 1) / parts) <= g->capacity;
}

void deq_engine_apart(deq_engine *g, bool apart) { g->apart = apart; }

/* Of the largest state, and of the largest record. */
static void largest(const deq_engine *g, int64_t *state, int64_t *rest) {
    *state = *rest = 0;
    for (int i = 0; i < g->nfixed; i++) {
        const deq_fixed *f = g->descriptors[i];
        if (f->state_bytes > *state) *state = f->state_bytes;
        if (f->rest_bytes > *rest) *rest = f->rest_bytes;
    }
}

/* ensures: g->partners[k] for these rows, or NULL. */
static deq_partners *pair_of(deq_engine *g, int k, int64_t first, int64_t second) {
    deq_partners *pair = g->partners[k];
    int64_t state, rest;
    if (pair && pair->rows[0] == first && pair->rows[1] == second) return pair;
    deq_partners_free(pair);
    largest(g, &state, &rest);
    return g->partners[k] = deq_partners_new(first, second, state, rest);
}

int64_t engine_partners_bytes(const deq_engine *g) {
    int64_t state, rest, bytes = 0;
    largest(g, &state, &rest);
    for (int k = 0; k < DEQ_TEAM_MOST / 2; k++)
        if (g->partners[k]) bytes += (g->partners[k]->rows[0] + g->partners[k]->rows[1]) * 2 * (state + rest);
    return bytes;
}

/* While the team runs, the tapes of every second member stand behind those of the one before it. */
static void begin(run *r) {
    deq_engine *g = r->engine;
    const int here = made_here(r), members = (int)r->blocks;
    const bool halves = in_halves(g) && deq_team_side_by_side(g->team, here);
    if (!worth_while(g) || !(halves || deq_team_pairs(g->team, here))) return;
    for (int s = 0; s + 1 < members; s += 2) {
        deq_worker *a = g->workers[s].solver, *b = g->workers[s + 1].solver;
        const int64_t first = rows_of(r, s), second = rows_of(r, s + 1);
        if (first + second > g->capacity || !engine_makes(r, members, s) || !engine_makes(r, members, s + 1)) continue;
        a->partners = b->partners = pair_of(g, s / 2, first, second);
        if (!a->partners) continue; /* no memory: nothing depends on it */
        a->partners->halves = halves;
        for (int side = 0; side < 2; side++) deq_partners_forget(a->partners, side);
        for (int i = 0; i < g->nfixed; i++) /* there is room behind the records of the first */
            b->kept[i].tape = a->kept[i].tape + first * g->descriptors[i]->tape_bytes;
    }
}

void engine_run_team(run *r, deq_task *task) {
    deq_engine *g = r->engine;
    for (int s = 0; s < r->blocks; s++) g->workers[s].solver->team = g->team, g->workers[s].solver->member = s;
    if (engine_dealt(r)) engine_team_deal(r);
    begin(r);
    deq_team_run(g->team, task, r);
    for (int s = 0; s < r->blocks; s++) g->workers[s].solver->partners = NULL;
    if (engine_dealt(r)) engine_team_met(r);
    for (int s = 0; s < r->blocks; s++) g->workers[s].solver->team = NULL;
}

void engine_partners_free(deq_engine *g) {
    for (int k = 0; k < DEQ_TEAM_MOST / 2; k++) {
        deq_partners_free(g->partners[k]);
        g->partners[k] = NULL;
    }
}
