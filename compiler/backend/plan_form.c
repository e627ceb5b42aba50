/* plan_form.c - groups that need the same code: nets repeat themselves, and every derivative repeats them again.
 *
 * A group is described by words: operations, attributes, shapes, which operand is which.  Everything that its lowering
 * reads must be among them, but for where the operands stand; groups of equal words are one FORM. */
#include "planner.h"
#include <string.h>

typedef struct Words {
    Arena *arena;
    const StepPlan *s;
    Group *group;
    uint64_t *items;
    uint32_t n, cap;
    uint32_t slots_cap;
} Words;

static void word(Words *w, uint64_t value) { *ARENA_PUSH(w->arena, w->items, w->n, w->cap) = value; }

static const Node *node_of(const Words *w, NodeId id) { return graph_node(w->s->step->graph, id); }

/* Addresses are what groups of one form do not share. */
static void operand(Words *w, Slot slot) {
    Group *g = w->group;
    uint32_t k = 0;
    while (k < g->noperands && !plan_same_slot(g->operands[k], slot)) k++;
    if (k == g->noperands) *ARENA_PUSH(w->arena, g->operands, g->noperands, w->slots_cap) = slot;
    word(w, k);
}

static void shape(Words *w, Shape s) {
    word(w, s.rank);
    for (uint32_t k = 0; k < s.rank; k++) word(w, s.dims[k]);
}

static void operation(Words *w, NodeId id) {
    const Node *n = node_of(w, id);
    uint64_t bits;
    memcpy(&bits, &n->attr.value, sizeof bits);
    word(w, n->op);
    word(w, bits);
    for (uint32_t k = 0; k < 2 * MAX_RANK; k++) word(w, (uint64_t)n->attr.numbers[k]);
    shape(w, n->shape);
    word(w, n->nargs);
    for (uint32_t k = 0; k < n->nargs; k++) shape(w, node_of(w, graph_arg(w->s->step->graph, id, k))->shape);
}

/* What a cluster reads: a member, something it computes again, or memory. */
static void value(Words *w, NodeId id) {
    const Graph *g = w->s->step->graph;
    const NodePlan *x = &w->s->nodes[id];
    enum { MEMBER, REPEATED, MEMORY };
    if (treatment_in_cluster(x->treatment) && w->s->groups[x->group] == w->group) {
        uint32_t k = 0;
        while (w->group->members[k] != id) k++;
        word(w, MEMBER);
        word(w, k);
    } else if (plan_inline(g, w->s, id)) {
        word(w, REPEATED);
        operation(w, id);
        if (g->nodes[id].op != OP_broadcast) return;
        NodeId from = w->s->nodes[graph_arg(g, id, 0)].canonical;
        operation(w, from);
        if (g->nodes[from].op != OP_constant) operand(w, w->s->nodes[from].slot);
    } else {
        word(w, MEMORY);
        operand(w, x->slot);
    }
}

static void cluster(Words *w) {
    const Group *g = w->group;
    word(w, g->count);
    word(w, g->nmembers);
    word(w, g->nstores);
    for (uint32_t k = 0; k < g->nmembers; k++) {
        NodeId id = g->members[k];
        const NodePlan *x = &w->s->nodes[id];
        bool own = x->memory && x->slot.base != SLOT_NONE, again = plan_inline(w->s->step->graph, w->s, id);
        operation(w, id);
        word(w, x->treatment);
        word(w, own);
        if (own) operand(w, x->slot);
        for (uint32_t a = 0; !again && a < node_of(w, id)->nargs; a++)
            value(w, w->s->nodes[graph_arg(w->s->step->graph, id, a)].canonical);
        if (again) value(w, id);
    }
    for (uint32_t k = 0; k < g->nstores; k++) {
        const Store *s = &g->stores[k];
        word(w, s->has_source);
        word(w, s->add);
        operand(w, s->to);
        if (s->has_source)
            operand(w, s->source);
        else
            value(w, s->node);
    }
}

/* Any operation but a cluster reads the rows of its arguments and writes its own. */
static void single(Words *w) {
    NodeId id = w->group->members[0];
    const NodePlan *x = &w->s->nodes[id];
    bool product = x->treatment == TREAT_PRODUCT; /* its kernel is told the distance of rows */
    operation(w, id);
    word(w, x->treatment);
    word(w, product ? x->slot.stride : 0);
    operand(w, x->slot);
    for (uint32_t k = 0; k < node_of(w, id)->nargs; k++) {
        const NodePlan *a = &w->s->nodes[w->s->nodes[graph_arg(w->s->step->graph, id, k)].canonical];
        word(w, a->treatment == TREAT_INPUT);
        word(w, product ? a->slot.stride : 0);
        word(w, a->slot.base != SLOT_NONE);
        if (a->slot.base != SLOT_NONE) operand(w, a->slot);
    }
    uint32_t buffer = w->group->workspace;
    word(w, buffer != NONE);
    if (buffer == NONE) return;
    word(w, w->s->buffers[buffer].bytes);
    operand(w, (Slot){SLOT_BUFFER, buffer, 0, product ? w->s->buffers[buffer].bytes : 0});
}

/* ---- the table of forms ---- */
typedef struct Table {
    PlanUnit *unit;
    uint32_t *slots; /* by hash: form + 1, 0 free */
    uint32_t size;
} Table;

static uint64_t hash_of(const uint64_t *words, uint32_t n) {
    uint64_t h = 0xcbf29ce484222325u;
    for (uint32_t k = 0; k < n; k++) {
        h = (h ^ words[k]) * 0x100000001b3u;
        h ^= h >> 29;
    }
    return h;
}

static uint32_t *place_in(const Table *t, const uint64_t *words, uint32_t n) {
    uint64_t at = hash_of(words, n) % t->size;
    for (; t->slots[at]; at = (at + 1) % t->size) {
        const Form *f = &t->unit->forms[t->slots[at] - 1];
        if (f->nwords == n && memcmp(f->words, words, n * sizeof *words) == 0) break;
    }
    return &t->slots[at];
}

static void make_room(Table *t) {
    const PlanUnit *u = t->unit;
    if (2 * (u->nforms + 1) <= t->size) return;
    t->size = t->size ? 2 * t->size : 256;
    t->slots = arena_alloc(u->arena, t->size * sizeof *t->slots);
    for (uint32_t k = 0; k < u->nforms; k++) *place_in(t, u->forms[k].words, u->forms[k].nwords) = k + 1;
}

static void find_form(Table *t, RoutinePlan *routine, StepPlan *s, const LevelPlan *level, Group *g) {
    PlanUnit *u = t->unit;
    if ((!g->nmembers && !g->nstores) || (!g->cluster && s->nodes[g->members[0]].together)) return;
    Words w = {.arena = u->arena, .s = s, .group = g};
    word(&w, g->cluster);
    word(&w, routine->routine->pieces);
    if (g->cluster)
        cluster(&w);
    else
        single(&w);
    make_room(t);
    uint32_t *place = place_in(t, w.items, w.n);
    if (!*place) {
        Form f = {.words = w.items, .nwords = w.n, .routine = routine, .step = s, .group = g};
        *ARENA_PUSH(u->arena, u->forms, u->nforms, u->forms_cap) = f;
        *place = u->nforms;
    }
    g->form = *place - 1;
    u->forms[g->form].uses++;
    u->forms[g->form].wide = u->forms[g->form].wide || level->wide;
}

static void find_in_steps(Table *t, RoutinePlan *routine, StepPlan *steps, uint32_t n) {
    for (uint32_t k = 0; k < n; k++) {
        StepPlan *s = &steps[k];
        if (s->step->kind == STEP_DROP) continue;
        if (s->step->kind == STEP_LOOP) {
            find_in_steps(t, routine, s->body, s->step->nbody);
            continue;
        }
        for (uint32_t v = 0; v < s->nlevels; v++) {
            const LevelPlan *level = &s->levels[v];
            for (uint32_t j = 0; j < level->nonce; j++) find_form(t, routine, s, level, level->once[j]);
            for (uint32_t j = 0; j < level->ntile && !level->products; j++) /* row by row */
                find_form(t, routine, s, level, level->tile[j]);
        }
    }
}

void plan_forms(PlanUnit *u) {
    Table t = {.unit = u};
    for (uint32_t k = 0; k < u->unit->nroutines; k++)
        find_in_steps(&t, &u->routines[k], u->routines[k].steps, u->routines[k].routine->nsteps);
}

/* ---- modules ---- */
#define MODULE_WORK 25 /* groups that are worth a module of their own */

static bool is_call(const PlanUnit *u, const Group *g) {
    return g->form != NONE && plan_form_is_function(&u->forms[g->form]);
}

static void count_work(const PlanUnit *u, const StepPlan *steps, uint32_t n, uint32_t *groups, uint32_t *calls) {
    for (uint32_t k = 0; k < n; k++) {
        if (steps[k].step->kind == STEP_LOOP) count_work(u, steps[k].body, steps[k].step->nbody, groups, calls);
        for (uint32_t j = 0; j < steps[k].ngroups; j++) ++*(is_call(u, steps[k].groups[j]) ? calls : groups);
    }
}

void plan_modules(PlanUnit *u, uint32_t most) {
    uint32_t n = u->unit->nroutines, all = 0;
    uint32_t *work = arena_alloc(u->arena, (n + 1) * sizeof *work);
    for (uint32_t k = 0; k < u->nforms; k++) all += 4 * plan_form_is_function(&u->forms[k]);
    for (uint32_t k = 0; k < n; k++) {
        uint32_t groups = 0, calls = 0;
        count_work(u, u->routines[k].steps, u->routines[k].routine->nsteps, &groups, &calls);
        work[k] = 1 + 4 * groups + calls; /* a call is a few instructions */
        all += work[k];
        u->routines[k].module = NONE;
    }
    u->nmodules = all / (4 * MODULE_WORK) < most ? all / (4 * MODULE_WORK) : most;
    if (u->nmodules == 0) u->nmodules = 1;
    uint32_t *load = arena_alloc(u->arena, u->nmodules * sizeof *load);
    for (uint32_t k = 0; k < n; k++) { /* the largest that is left to the module that has least */
        RoutinePlan *largest = NULL;
        uint32_t least = 0;
        for (uint32_t j = 0; j < n; j++)
            if (u->routines[j].module == NONE && (!largest || work[j] > work[largest - u->routines]))
                largest = &u->routines[j];
        for (uint32_t j = 1; j < u->nmodules; j++)
            if (load[j] < load[least]) least = j;
        largest->module = least;
        load[least] += work[largest - u->routines];
    }
    for (uint32_t k = 0; k < u->nforms; k++) {
        uint32_t least = 0;
        for (uint32_t j = 1; j < u->nmodules; j++)
            if (load[j] < load[least]) least = j;
        u->forms[k].module = least;
        load[least] += plan_form_is_function(&u->forms[k]) ? 4 : 0;
    }
}
