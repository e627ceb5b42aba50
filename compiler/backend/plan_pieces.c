/* plan_pieces.c - a routine in pieces: which piece computes what.  Values that need one another are a COMPONENT, which
 * one piece computes, in the memory of its own call; so pieces never wait.  A group has nodes of one component. */
#include "planner.h"
#include <stdlib.h>

static NodeId root_of(const Planner *p, NodeId id) {
    while (info(p, id)->component != id) id = info(p, id)->component;
    return id;
}

/* The component of a root is itself; the lowest node is the root. */
static void join(Planner *p, NodeId a, NodeId b) {
    a = root_of(p, a);
    b = root_of(p, b);
    info(p, a > b ? a : b)->component = a > b ? b : a;
}

static bool computed(const Planner *p, NodeId id) {
    const Treatment t = info(p, id)->treatment;
    return t != TREAT_DEAD && t != TREAT_ALIAS && t != TREAT_INPUT;
}

/* What every reader computes again. */
static bool repeated(const Planner *p, NodeId id) {
    const Op op = node(p, id)->op;
    return info(p, id)->treatment == TREAT_INLINE && (op == OP_constant || op == OP_iota) && !plan_inline_held(p, id);
}

static bool meet(const Planner *p, const Binding *a, NodeId x, const Binding *b, NodeId y) {
    const uint64_t bytes = p->unit->real_bytes;
    return a->place == b->place && a->index == b->index &&
           a->offset < b->offset + plan_stored_count(p->unit, node(p, y)) * bytes &&
           b->offset < a->offset + plan_stored_count(p->unit, node(p, x)) * bytes;
}

/* What is written where something is read, or written once more, belongs to one piece with it. */
static void join_places(Planner *p, const Binding *out) {
    const NodeId id = canonical(p, out->node);
    for (uint32_t k = 0; k < p->s->step->nin; k++) {
        const NodeId input = canonical(p, p->s->step->in[k].node);
        if (!meet(p, out, id, &p->s->step->in[k], input)) continue;
        join(p, id, input);
        for (uint32_t u = 0; u < p->nusers[input]; u++) join(p, input, p->users[input][u]);
    }
    for (const Binding *o = p->s->step->out; o < out; o++)
        if (meet(p, out, id, o, canonical(p, o->node))) join(p, id, canonical(p, o->node));
}

void plan_components(Planner *p) {
    if (!p->r->pieces) return;
    for (NodeId id = 0; id < p->g->nnodes; id++) info(p, id)->component = id;
    for (NodeId id = 0; id < p->g->nnodes; id++)
        for (uint32_t k = 0; computed(p, id) && k < node(p, id)->nargs; k++) {
            const NodeId a = argument(p, id, k);
            if (computed(p, a) && !repeated(p, a)) join(p, id, a);
        }
    for (uint32_t k = 0; k < p->s->step->nout; k++) join_places(p, &p->s->step->out[k]);
    for (NodeId id = 0; id < p->g->nnodes; id++) info(p, id)->component = root_of(p, id);
}

typedef struct Component {
    NodeId root;
    uint64_t elements; /* that it computes */
} Component;

/* The largest first. */
static int by_size(const void *a, const void *b) {
    const Component *x = a, *y = b;
    if (x->elements != y->elements) return x->elements < y->elements ? 1 : -1;
    return x->root < y->root ? -1 : x->root > y->root;
}

/* Component by component, each in its order: so one takes the memory of another. */
void plan_sort_owners(Group **groups, uint32_t n) {
    for (uint32_t k = 1; k < n; k++)
        for (uint32_t j = k; j > 0 && groups[j - 1]->owner > groups[j]->owner; j--) {
            Group *swap = groups[j];
            groups[j] = groups[j - 1];
            groups[j - 1] = swap;
        }
}

void plan_owners(Planner *p) {
    const uint32_t n = p->g->nnodes;
    if (!p->r->pieces) return;
    Component *all = arena_alloc(p->arena, (n + 1) * sizeof *all);
    uint32_t *owners = arena_alloc(p->arena, (n + 1) * sizeof *owners);
    for (NodeId id = 0; id < n; id++) {
        all[id].root = id;
        if (computed(p, id) && info(p, id)->group != NONE)
            all[info(p, id)->component].elements += plan_stored_count(p->unit, node(p, id));
    }
    qsort(all, n, sizeof *all, by_size);
    for (uint32_t k = 0; k < n; k++) owners[all[k].root] = k;
    for (uint32_t k = 0; k < p->s->ngroups; k++) p->s->groups[k]->owner = owners[p->s->groups[k]->component];
    for (uint32_t k = 0; k < p->s->nlevels; k++) plan_sort_owners(p->s->levels[k].once, p->s->levels[k].nonce);
}
