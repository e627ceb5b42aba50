/* planner.h - private to plan.c, plan_memory.c, plan_pieces.c, plan_halves.c, plan_runs.c and plan_form.c. */
#ifndef DEQ_BACKEND_PLANNER_H
#define DEQ_BACKEND_PLANNER_H
#include "plan.h"

#define NONE UINT32_MAX

typedef struct Planner { /* one step */
    PlanUnit *unit;
    Arena *arena;
    const Routine *r;
    RoutinePlan *routine;
    StepPlan *s;
    const Graph *g;
    NodeId **users; /* of every canonical node: canonical live nodes, with repeats */
    uint32_t *nusers, *users_cap;
} Planner;

static inline uint64_t count_of(const Node *n) {
    uint64_t c = 1;
    for (uint32_t k = 0; k < n->shape.rank; k++) c *= n->shape.dims[k];
    return c;
}

static inline const Node *node(const Planner *p, NodeId id) { return &p->g->nodes[id]; }
static inline NodePlan *info(const Planner *p, NodeId id) { return &p->s->nodes[id]; }
static inline NodeId canonical(const Planner *p, NodeId id) { return p->s->nodes[id].canonical; }
static inline NodeId argument(const Planner *p, NodeId id, uint32_t k) { return canonical(p, graph_arg(p->g, id, k)); }
static inline bool same_part(const Group *g, uint32_t level, bool batched) {
    return g->level == level && g->batched == batched;
}

/* ---- plan.c ---- */
bool plan_splat(const Graph *g, const StepPlan *s, NodeId id); /* repeats one element or one row of them */
/* What argument k of a user depends on: clusters recompute inline arguments, so only the repeated element, if any. */
NodeId plan_dependence(const Planner *p, NodeId user, uint32_t k, bool *through_splat);
uint32_t plan_new_group(Planner *p, uint32_t level, bool batched, uint64_t count, NodeId component);
/* The first group from `bound` on that is a cluster of `count` elements in the part, or a new one. */
uint32_t plan_find_cluster(Planner *p, uint32_t bound, uint32_t level, bool batched, uint64_t count, NodeId component);
bool plan_inline_held(const Planner *p, NodeId id); /* an inline node that something reads from memory */
/* The earliest group at which a cluster reading `d` may run; in its own group when it can stay in a register. */
uint32_t plan_bound_after(const Planner *p, NodeId d, bool register_use, uint32_t level, bool batched);

/* ---- plan_memory.c ---- */
uint32_t plan_new_buffer(Planner *p, Scope scope, uint64_t bytes, uint32_t level);
uint32_t plan_new_record(Planner *p, uint64_t stride); /* row buffers of a stride that others prescribe */
Slot plan_binding_slot(const Planner *p, const Binding *b, bool batched);
void plan_call(Planner *p, NodeId id); /* buffers of a block operation, and the stores that fill them */
void plan_view(Planner *p, NodeId id);
void plan_output(Planner *p, const Binding *b);
uint64_t plan_conv_workspace(const Planner *p, NodeId id); /* bytes: a bordered image, or Winograd's; 0: none needed */
uint32_t plan_conv_images(const Planner *p, NodeId id); /* that can share one call, at most; 1 for other operations */
void plan_storage(Planner *p); /* after all groups and stores exist: a slot for every value in memory */

/* ---- plan_pieces.c ---- */
void plan_components(Planner *p); /* of every node; before there are groups */
void plan_owners(Planner *p);     /* of every group; those of one stand together */
void plan_sort_owners(Group **groups, uint32_t n);

/* ---- plan_halves.c ---- */
void plan_halves(Planner *p);      /* of every node; before there are groups */
void plan_half_owners(Planner *p); /* of every group, and their order; before positions */
void plan_lifetimes(Planner *p);   /* buffers of the tile that both halves use live for whole phases */
bool plan_at_once(const StepPlan *s, const Buffer *a, const Buffer *b); /* whether both may be in use */

/* ---- plan_runs.c ---- */
void plan_runs(Planner *p); /* of every group, and what buffers live for; when they have slots, before plan_lifetimes */

/* ---- plan_form.c ---- */
void plan_forms(PlanUnit *u); /* of every group of the planned routines */
#endif
