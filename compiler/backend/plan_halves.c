/* plan_halves.c - a routine of images in halves: what each of two threads computes of a call that they share.
 *
 * Values come in PHASES, between which the threads meet.  Within a phase values that need one another are a STRAND, which
 * one thread computes from its begin to its end; what needs two large strands is of the next phase.  So the branches of a
 * multiscale cell go to both threads, and each reads the weights of its own branches only, for all images of a tile.
 * Small ones join where nobody else needs them: so a derivative's mask stays with its product.  A group has nodes of one
 * strand; phase and half together are its owner. */
#include "conv.h"
#include "planner.h"
#include <stdlib.h>

#define ELEMENT_WORK 8 /* of an element of an operation, in multiply-adds: it goes through memory */
#define WEIGHT_WORK 1  /* of a weight that is read for the images of a tile */
#define WINOGRAD_LESS 3
#define WORTH_WHILE 0.65 /* of the whole work: what a thread may have at most */
#define SMALL 0.02       /* of the whole work: strands that may join others */

typedef struct Strand { /* of a node */
    double work;
    NodeId root;  /* the first node of its strand */
    int32_t uses; /* of its nodes, by others than these; through broadcasts fewer are counted */
    uint32_t phase, half;
} Strand;

typedef struct Halves {
    const Planner *p;
    Strand *strands; /* by node; the work and the half of a strand are its root's */
    double work;     /* of the whole routine */
    uint32_t phases;
} Halves;

static double conv_work(const Planner *p, NodeId id) {
    ConvShape c;
    const Node *n = node(p, id);
    const Shape a = node(p, graph_arg(p->g, id, 0))->shape, b = node(p, graph_arg(p->g, id, 1))->shape;
    if (conv_shape(n->op, &n->attr, a, b, &c)) return 0; /* the verifier has refused it */
    const bool winograd = n->attr.conv.packed == CONV_WINOGRAD;
    const double weights = (double)c.channels / c.groups * c.filters, taps = (double)c.rows * c.columns;
    const double products = weights * taps * c.out_height * c.out_width;
    const double read = weights * (winograd ? (double)WINOGRAD_TAPS * WINOGRAD_TAPS : taps);
    return products / (winograd ? WINOGRAD_LESS : 1) + WEIGHT_WORK * read;
}

static double work_of(const Planner *p, NodeId id) {
    const Op op = node(p, id)->op;
    if (info(p, id)->treatment == TREAT_INLINE) return 0;
    const double elements = ELEMENT_WORK * (double)count_of(node(p, id));
    return elements + (op == OP_conv || op == OP_conv_input ? conv_work(p, id) : 0);
}

static bool computed(const Planner *p, NodeId id) {
    const Treatment t = info(p, id)->treatment;
    return t != TREAT_DEAD && t != TREAT_ALIAS && t != TREAT_INPUT && (t != TREAT_INLINE || plan_inline_held(p, id));
}

static NodeId root_of(const Halves *h, NodeId id) {
    while (h->strands[id].root != id) id = h->strands[id].root;
    return id;
}

static NodeId join(Halves *h, NodeId a, NodeId b) {
    if (b < a) return join(h, b, a);
    h->strands[b].root = a;
    h->strands[a].work += h->strands[b].work;
    h->strands[a].uses += h->strands[b].uses;
    return a;
}

/* What argument k of a node makes it wait for; NODE_NONE: nothing. */
static NodeId needed(const Planner *p, NodeId id, uint32_t k) {
    bool through_splat;
    const NodeId d = plan_dependence(p, id, k, &through_splat);
    return d != NODE_NONE && computed(p, d) ? d : NODE_NONE;
}

/* Whether a strand costs little and only this node needs it. */
static bool is_aside(const Halves *h, NodeId root, NodeId id) {
    int32_t here = 0;
    for (uint32_t k = 0; k < node(h->p, id)->nargs; k++) {
        const NodeId d = needed(h->p, id, k);
        here += d != NODE_NONE && root_of(h, d) == root;
    }
    return h->strands[root].work < SMALL * h->work && h->strands[root].uses == here;
}

/* The node is of the strand that it needs; if these are two, of the next phase. */
static void place(Halves *h, NodeId id) {
    const Planner *p = h->p;
    Strand *own = &h->strands[id];
    *own = (Strand){.work = work_of(p, id), .root = id, .uses = p->nusers[id]};
    for (uint32_t k = 0; k < node(p, id)->nargs; k++) {
        const NodeId d = needed(p, id, k);
        if (d != NODE_NONE && h->strands[d].phase > own->phase) own->phase = h->strands[d].phase;
    }
    NodeId strand = id;
    for (uint32_t k = 0; k < node(p, id)->nargs; k++) {
        const NodeId d = needed(p, id, k);
        if (d == NODE_NONE || h->strands[d].phase < own->phase) continue;
        const NodeId other = root_of(h, d);
        if (strand == id || strand == other) {
            strand = other;
        } else if (is_aside(h, strand, id) || is_aside(h, other, id)) {
            strand = join(h, strand, other);
        } else {
            own->phase++;
            return;
        }
    }
    if (strand == id) return;
    strand = join(h, strand, id);
    for (uint32_t k = 0; k < node(p, id)->nargs; k++) {
        const NodeId d = needed(p, id, k);
        h->strands[strand].uses -= d != NODE_NONE && h->strands[d].phase == own->phase;
    }
}

/* The largest first. */
static int by_work(const void *a, const void *b) {
    const Strand *x = *(Strand *const *)a, *y = *(Strand *const *)b;
    if (x->work != y->work) return x->work < y->work ? 1 : -1;
    return x->root < y->root ? -1 : x->root > y->root;
}

/* Each strand of a phase to the thread that has less.  Gives the work of the one that has more. */
static double share(Halves *h, uint32_t phase) {
    const Planner *p = h->p;
    Strand **all = arena_alloc(p->arena, (p->g->nnodes + 1) * sizeof *all);
    uint32_t n = 0;
    double work[2] = {0, 0};
    for (NodeId id = 0; id < p->g->nnodes; id++)
        if (computed(p, id) && h->strands[id].phase == phase && h->strands[id].root == id) all[n++] = &h->strands[id];
    qsort(all, n, sizeof(Strand *), by_work);
    for (uint32_t k = 0; k < n; k++) {
        all[k]->half = work[1] < work[0];
        work[all[k]->half] += all[k]->work;
    }
    return work[0] > work[1] ? work[0] : work[1];
}

/* Nothing but one loop over tiles of images. */
static bool has_tiles_only(const Planner *p) {
    for (NodeId id = 0; id < p->g->nnodes; id++) {
        const Treatment t = info(p, id)->treatment;
        if (!computed(p, id)) continue;
        if (info(p, id)->level > 0 || !node(p, id)->batched || t == TREAT_SUM || t == TREAT_BLOCK || t == TREAT_VIEW)
            return false;
    }
    return p->s->levels[0].wide && p->s->levels[0].images > 1;
}

void plan_halves(Planner *p) {
    if (!p->r->halves || p->r->nsteps != 1 || !has_tiles_only(p)) return;
    Halves all = {.p = p, .strands = arena_alloc(p->arena, (p->g->nnodes + 1) * sizeof *all.strands)}, *h = &all;
    double longest = 0;
    for (NodeId id = 0; id < p->g->nnodes; id++)
        if (computed(p, id)) h->work += work_of(p, id);
    for (NodeId id = 0; id < p->g->nnodes; id++) {
        if (!computed(p, id)) continue;
        place(h, id);
        if (h->strands[id].phase >= h->phases) h->phases = h->strands[id].phase + 1;
    }
    for (uint32_t k = 0; k < h->phases; k++) longest += share(h, k);
    if (longest > WORTH_WHILE * h->work) return;
    p->routine->halves = true;
    for (NodeId id = 0; id < p->g->nnodes; id++) {
        const NodeId root = computed(p, id) ? root_of(h, id) : id;
        info(p, id)->component = root;
        info(p, id)->owner = 2 * h->strands[id].phase + h->strands[root].half;
    }
}

/* A group without members stores what another one has made, or what is computed again from that. */
static uint32_t owner_of(const Planner *p, const Group *g) {
    if (g->nmembers) return info(p, g->members[0])->owner;
    if (!g->nstores) return 0;
    const NodeId id = g->stores[0].node;
    const bool again = !computed(p, id) && plan_splat(p->g, p->s, id);
    return info(p, again ? argument(p, id, 0) : id)->owner;
}

void plan_half_owners(Planner *p) {
    if (!p->routine->halves) return;
    const LevelPlan *level = &p->s->levels[0];
    for (uint32_t k = 0; k < level->ntile; k++) {
        if (level->tile[k]->final) ICE("%s: a routine in halves writes where it reads", p->r->name);
        level->tile[k]->owner = owner_of(p, level->tile[k]);
    }
    plan_sort_owners(level->tile, level->ntile);
}

void plan_lifetimes(Planner *p) {
    StepPlan *s = p->s;
    if (!p->routine->halves) return;
    s->owners = arena_alloc(p->arena, (s->ngroups + 1) * sizeof *s->owners);
    for (uint32_t k = 0; k < s->ngroups; k++) s->owners[s->groups[k]->position] = s->groups[k]->owner;
    for (uint32_t k = 0; k < s->nbuffers; k++) {
        Buffer *b = &s->buffers[k];
        if (b->scope != SCOPE_TILE || b->first == NONE || s->owners[b->first] == s->owners[b->last]) continue;
        while (b->first > 0 && s->owners[b->first - 1] / 2 == s->owners[b->first] / 2) b->first--;
        while (b->last + 1 < s->ngroups && s->owners[b->last + 1] / 2 == s->owners[b->last] / 2) b->last++;
    }
}

bool plan_at_once(const StepPlan *s, const Buffer *a, const Buffer *b) {
    if (a->last >= b->first && b->last >= a->first) return true;
    if (!s->owners || a->scope != SCOPE_TILE || a->first == NONE || b->first == NONE) return false;
    return (s->owners[a->first] ^ s->owners[b->first]) == 1;
}
