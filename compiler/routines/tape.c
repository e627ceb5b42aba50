/* tape.c - what a linearisation keeps: a minimum cut.
 *
 * Every value the linear routines read must be computable from the tape, from values at hand (captured values,
 * parameters) and by cheap ops.  A value that cannot be repeated (the state, or the result of an expensive op) is tied
 * to the source; a value that a linear node reads is tied to the sink; cutting a value costs its bytes. */
#include "passes.h"

#define INFINITE (UINT64_MAX / 4)

typedef struct Edge {
    uint32_t to, next; /* next edge of the same vertex, UINT32_MAX at the end; edge ^ 1 is its reverse */
    uint64_t capacity;
} Edge;

typedef struct Flow {
    Arena *arena;
    Edge *edges;
    uint32_t nedges, cap, *first, *via, vertices;
} Flow;

static void add_edge(Flow *f, uint32_t from, uint32_t to, uint64_t capacity) {
    *ARENA_PUSH(f->arena, f->edges, f->nedges, f->cap) = (Edge){to, f->first[from], capacity};
    f->first[from] = f->nedges - 1;
    *ARENA_PUSH(f->arena, f->edges, f->nedges, f->cap) = (Edge){from, f->first[to], 0};
    f->first[to] = f->nedges - 1;
}

/* A shortest path with room, breadth first; f->via holds the edge into each vertex. */
static bool find_path(Flow *f, uint32_t source, uint32_t sink, uint32_t *queue) {
    uint32_t head = 0, tail = 0;
    for (uint32_t v = 0; v < f->vertices; v++) f->via[v] = UINT32_MAX;
    queue[tail++] = source;
    while (head < tail) {
        uint32_t v = queue[head++];
        for (uint32_t e = f->first[v]; e != UINT32_MAX; e = f->edges[e].next) {
            uint32_t to = f->edges[e].to;
            if (f->edges[e].capacity == 0 || to == source || f->via[to] != UINT32_MAX) continue;
            f->via[to] = e;
            if (to == sink) return true;
            queue[tail++] = to;
        }
    }
    return false;
}

static bool is_cheap(const Node *n) {
    OpClass c = op_class(n->op);
    return c == CLASS_LAYOUT || (c == CLASS_ELEMENTWISE && op_cost(n->op) <= 1);
}

NodeId *tape_cut(Arena *a, const Graph *g, const bool *varying, const bool *at_hand, uint32_t real_bytes, uint32_t *n) {
    uint32_t nodes = g->nnodes, source = 2 * nodes, sink = source + 1;
    Flow f = {.arena = a, .vertices = 2 * nodes + 2};
    f.first = arena_alloc(a, f.vertices * sizeof *f.first);
    f.via = arena_alloc(a, f.vertices * sizeof *f.via);
    uint32_t *queue = arena_alloc(a, f.vertices * sizeof *queue);
    for (uint32_t v = 0; v < f.vertices; v++) f.first[v] = UINT32_MAX;
    for (NodeId id = 0; id < nodes; id++) {
        const Node *node = graph_node(g, id);
        const NodeId *args = g->args + node->args;
        for (uint32_t k = 0; varying[id] && k < node->nargs; k++)
            if (!varying[args[k]] && !at_hand[args[k]]) add_edge(&f, 2 * args[k] + 1, sink, INFINITE);
        if (varying[id] || at_hand[id]) continue;
        uint64_t bytes = align_bytes(shape_count(node->shape) * real_bytes);
        add_edge(&f, 2 * id, 2 * id + 1, node->op == OP_broadcast ? INFINITE : bytes); /* repeating it costs nothing */
        if (!is_cheap(node)) add_edge(&f, source, 2 * id, INFINITE);
        for (uint32_t k = 0; is_cheap(node) && k < node->nargs; k++)
            if (!at_hand[args[k]]) add_edge(&f, 2 * args[k] + 1, 2 * id, INFINITE);
    }
    while (find_path(&f, source, sink, queue)) {
        uint64_t room = INFINITE;
        for (uint32_t v = sink; v != source; v = f.edges[f.via[v] ^ 1].to)
            if (f.edges[f.via[v]].capacity < room) room = f.edges[f.via[v]].capacity;
        for (uint32_t v = sink; v != source; v = f.edges[f.via[v] ^ 1].to) {
            f.edges[f.via[v]].capacity -= room;
            f.edges[f.via[v] ^ 1].capacity += room;
        }
    }
    /* Of all minimum cuts the one nearest the sink: it leaves least to be repeated by every application. */
    bool *reaches = arena_alloc(a, f.vertices);
    uint32_t head = 0, tail = 0;
    reaches[sink] = true;
    queue[tail++] = sink;
    while (head < tail) {
        uint32_t v = queue[head++];
        for (uint32_t e = f.first[v]; e != UINT32_MAX; e = f.edges[e].next)
            if (f.edges[e ^ 1].capacity > 0 && !reaches[f.edges[e].to]) {
                reaches[f.edges[e].to] = true;
                queue[tail++] = f.edges[e].to;
            }
    }
    NodeId *stored = arena_alloc(a, (nodes + 1) * sizeof *stored);
    *n = 0;
    for (NodeId id = 0; id < nodes; id++)
        if (!varying[id] && !at_hand[id] && !reaches[2 * id] && reaches[2 * id + 1]) stored[(*n)++] = id;
    return stored;
}
