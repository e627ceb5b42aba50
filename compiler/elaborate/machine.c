/* machine.c - pieces, loops and storage of a routine. */
#include "queries.h"
#include <stdlib.h>
#include <string.h>

typedef struct Store {
    Place place;
    uint32_t index;
    NodeId node;
} Store;

struct Piece {
    Build *build;
    Binding *in, *out;
    uint32_t nin, nout, in_cap, out_cap;
    NodeId *loaded; /* leaf node of in[k] */
    uint32_t loaded_cap;
    Store *stores; /* last value of each place; become outputs when the routine is finished */
    uint32_t nstores, stores_cap;
};

struct Part {
    Part *next;
    StepKind kind;
    Piece *piece;
    uint32_t trip;
    Part *body;
    uint32_t flags;
};

uint64_t machine_row_bytes(const Machine *m, Shape s) {
    uint64_t bytes = shape_count(s) * m->elab->real_bytes;
    return (bytes + DEQ_ALIGN - 1) / DEQ_ALIGN * DEQ_ALIGN;
}

static Part *add_part(Machine *m, StepKind kind) {
    Part *p = arena_alloc(m->elab->arena, sizeof *p);
    p->kind = kind;
    *m->next = p;
    m->next = &p->next;
    return p;
}

/* ---- values across pieces ---- */
static NodeId load(Machine *m, Piece *p, NodeId leaf) {
    for (uint32_t k = 0; k < p->nin; k++)
        if (p->loaded[k] == leaf) return p->in[k].node;
    const Node *n = graph_node(m->leaf->graph, leaf);
    struct Slot slot = m->slots[leaf];
    NodeId node = graph_input(p->build->graph, n->shape, n->batched, n->attr.name, n->loc);
    uint32_t k = p->nin;
    *ARENA_PUSH(m->elab->arena, p->in, p->nin, p->in_cap) = (Binding){node, slot.place, slot.index, 0};
    *ARENA_PUSH(m->elab->arena, p->loaded, k, p->loaded_cap) = leaf;
    return node;
}

static void put(Machine *m, Piece *p, Place place, uint32_t index, NodeId node) {
    Graph *g = p->build->graph;
    const Node *n = graph_node(g, node);
    if (!n->batched && place != PLACE_SCALAR && m->row.rank != UINT32_MAX) /* a row buffer holds one value an example */
        node = graph_op_shaped(g, OP_broadcast, &node, 1, NULL, n->shape, true, n->loc);
    for (uint32_t k = 0; k < p->nstores; k++)
        if (p->stores[k].place == place && p->stores[k].index == index) {
            p->stores[k].node = node;
            return;
        }
    *ARENA_PUSH(m->elab->arena, p->stores, p->nstores, p->stores_cap) = (Store){place, index, node};
}

static NodeId import(Build *b, Value v) {
    Machine *m = b->host;
    if (v.build == m->leaf) return load(m, m->piece, v.node);
    for (uint32_t k = 0; k < m->nspills; k++)
        if (m->spills[k].build == v.build && m->spills[k].node == v.node) return load(m, m->piece, m->spills[k].leaf);
    Piece *owner = v.build->piece;
    if (!owner) ICE("a value of %s is used in routine %s", v.build->graph->name, m->name);
    Shape shape = graph_node(v.build->graph, v.node)->shape;
    uint32_t block = m->nblocks;
    *ARENA_PUSH(m->elab->arena, m->block_counts, m->nblocks, m->blocks_cap) = (uint32_t)shape_count(shape);
    Value leaf = machine_leaf(m, PLACE_BLOCK, block, shape, true, "kept");
    put(m, owner, PLACE_BLOCK, block, v.node);
    *ARENA_PUSH(m->elab->arena, m->spills, m->nspills, m->spills_cap) = (struct Spill){v.build, v.node, leaf.node};
    return load(m, m->piece, leaf.node);
}

static void new_piece(Machine *m) {
    Piece *p = arena_alloc(m->elab->arena, sizeof *p);
    p->build = build_new(m->elab->arena, m->name, NULL);
    p->build->import = import;
    p->build->host = m;
    p->build->piece = p;
    m->piece = p;
    add_part(m, STEP_GRAPH)->piece = p;
}

Machine *machine_new(Elab *e, const char *name, Shape row) {
    Machine *m = arena_alloc(e->arena, sizeof *m);
    m->elab = e;
    m->name = name;
    m->row = row;
    m->leaf = build_new(e->arena, name, NULL);
    m->next = &m->first;
    new_piece(m);
    return m;
}

Build *machine_build(Machine *m) { return m->piece->build; }

Value machine_leaf(Machine *m, Place place, uint32_t index, Shape shape, bool batched, const char *name) {
    NodeId n = graph_input(m->leaf->graph, shape, batched, name, (Range){0});
    while (m->nslots <= n) ARENA_PUSH(m->elab->arena, m->slots, m->nslots, m->slots_cap);
    m->slots[n] = (struct Slot){place, index};
    return value_node(m->leaf, n);
}

/* ---- variables ---- */
void machine_add_cell(Machine *m, Scope *s, const char *name, Value leaf) {
    Cell c = {.name = name, .leaf = leaf.node, .shape = value_shape(leaf), .classes = leaf.classes};
    *ARENA_PUSH(m->elab->arena, m->cells, m->ncells, m->cells_cap) = c;
    scope_bind(s, name, leaf);
}

bool machine_declare(Machine *m, Scope *s, const char *name, Value first, Range at) {
    if (first.kind == VALUE_FLEX) first = value_fit(s, first, m->row, at, "the state");
    NodeId n = node_of(s, first, at);
    if (n == NODE_NONE) return false;
    Shape shape = graph_node(s->build->graph, n)->shape;
    uint32_t block = m->nblocks;
    *ARENA_PUSH(m->elab->arena, m->block_counts, m->nblocks, m->blocks_cap) = (uint32_t)shape_count(shape);
    Value leaf = machine_leaf(m, PLACE_BLOCK, block, shape, true, name);
    leaf.classes = first.classes;
    machine_add_cell(m, s, name, leaf);
    put(m, m->piece, PLACE_BLOCK, block, n);
    Value now = value_node(s->build, n);
    now.classes = first.classes;
    scope_bind(s, name, now);
    return true;
}

static Cell *cell_of(Machine *m, Scope *s, const Ast *target) {
    for (uint32_t k = m->ncells; target->kind == AST_NAME && k-- > m->base;)
        if (strcmp(m->cells[k].name, target->name) == 0) return &m->cells[k];
    elab_error(s, DIAG_E0510, target->range, "this is not a state");
    return NULL;
}

bool machine_assign_value(Machine *m, Scope *s, const Ast *target, Value v, Range at) {
    const Cell *c = cell_of(m, s, target);
    if (!c) return false;
    const uint32_t k = (uint32_t)(c - m->cells);
    NodeId n = node_of(s, value_fit(s, v, c->shape, at, "the new value"), at);
    if (n == NODE_NONE) return false;
    m->cells[k].pending = value_node(s->build, n);
    m->cells[k].pending.classes = c->classes;
    return true;
}

bool machine_assign(Machine *m, Scope *s, const Ast *equation) {
    const Ast *target = AST_SLOT(equation, EQUATION, target), *value = AST_SLOT(equation, EQUATION, value);
    return cell_of(m, s, target) && machine_assign_value(m, s, target, eval(s, value), value->range);
}

static Value hold(Machine *m, Scope *s, Value v) {
    if (v.kind == VALUE_NODE && v.build == m->leaf && m->slots[v.node].place == PLACE_BLOCK) {
        Value held = value_node(s->build, build_import(s->build, v));
        held.classes = v.classes;
        return held;
    }
    if (v.kind == VALUE_TUPLE) {
        Value *items = arena_alloc(m->elab->arena, (v.nitems + 1) * sizeof *items);
        for (uint32_t k = 0; k < v.nitems; k++) items[k] = hold(m, s, v.items[k]);
        return value_tuple(m->elab->arena, items, v.nitems);
    }
    return v;
}

void machine_hold(Machine *m, Scope *s, const Ast *let) {
    const Ast *pattern = AST_SLOT(let, LET, pattern);
    uint32_t n = pattern->kind == AST_NAME ? 1 : pattern->nkids;
    for (uint32_t k = 0; k < n; k++) {
        const char *name = pattern->kind == AST_NAME ? pattern->name : pattern->kids[k]->name;
        const Value *v = env_find(s->env, name);
        if (v) scope_bind(s, name, hold(m, s, *v));
    }
}

void machine_settle(Machine *m, Scope *s) {
    for (uint32_t k = m->base; k < m->ncells; k++) {
        Cell *c = &m->cells[k];
        if (c->pending.kind == VALUE_NONE) continue;
        struct Slot slot = m->slots[c->leaf];
        Value now = value_node(s->build, build_import(s->build, c->pending)); /* an attack as a step ends pieces */
        now.classes = c->classes;
        put(m, m->piece, slot.place, slot.index, now.node);
        scope_bind(s, c->name, now);
        m->cells[k].pending = (Value){0};
    }
}

/* From here on every variable is read from its storage. */
static void start_piece(Machine *m, Scope *s) {
    new_piece(m);
    s->build = m->piece->build;
    for (uint32_t k = m->base; k < m->ncells; k++) {
        Value now = value_node(m->leaf, m->cells[k].leaf);
        now.classes = m->cells[k].classes;
        scope_bind(s, m->cells[k].name, now);
    }
}

LoopMark machine_loop_begin(Machine *m, Scope *s, uint32_t trip) {
    Part *loop = add_part(m, STEP_LOOP);
    loop->trip = trip;
    LoopMark mark = {loop, m->next, s->env, m->ncells};
    m->next = &loop->body;
    start_piece(m, s);
    return mark;
}

bool machine_drop(Machine *m, Scope *s, Value done, Range at) {
    const uint32_t flags = m->nblocks;
    NodeId n = node_of(s, done, at);
    if (n == NODE_NONE) return false;
    *ARENA_PUSH(m->elab->arena, m->block_counts, m->nblocks, m->blocks_cap) = 1;
    put(m, m->piece, PLACE_BLOCK, flags, n);
    add_part(m, STEP_DROP)->flags = flags;
    start_piece(m, s);
    return true;
}

void machine_loop_end(Machine *m, Scope *s, LoopMark mark) {
    m->next = mark.next;
    m->ncells = mark.ncells;
    s->env = mark.env;
    start_piece(m, s);
}

bool machine_store(Machine *m, Scope *s, Value v, Place place, uint32_t index, Range at) {
    NodeId n = node_of(s, v, at);
    if (n == NODE_NONE) return false;
    put(m, m->piece, place, index, n);
    return true;
}

/* ---- the routine ---- */
/* The piece's graph as it is compiled. */
static Graph *finished(Machine *m, Piece *p) {
    Graph *g = p->build->graph;
    Arena *a = m->elab->arena;
    bool objectives = false;
    for (NodeId id = 0; id < g->nnodes; id++)
        objectives = objectives || (g->nodes[id].op == OP_query && g->nodes[id].attr.query.objective);
    if (!objectives) {
        for (uint32_t k = 0; k < p->nstores; k++) graph_output(g, p->stores[k].node);
        return g;
    }
    NodeId *roots = arena_alloc(a, (p->nstores + 1) * sizeof *roots), *map = graph_map(a, g);
    for (uint32_t k = 0; k < p->nstores; k++) roots[k] = p->stores[k].node;
    g = queries_shared(a, g, roots, p->nstores, map);
    for (uint32_t k = 0; k < p->nin; k++) p->in[k].node = map[p->in[k].node];
    for (uint32_t k = 0; k < p->nstores; k++) p->stores[k].node = map[p->stores[k].node];
    return g;
}

static Step *make_steps(Machine *m, Part *list, uint32_t *n) {
    Step *steps = NULL;
    uint32_t cap = 0;
    *n = 0;
    for (Part *p = list; p; p = p->next) {
        Step step = {.kind = p->kind, .trip_scalar = p->trip, .flags = p->flags};
        if (p->kind == STEP_LOOP) {
            step.body = make_steps(m, p->body, &step.nbody);
            if (!step.nbody) continue;
        } else if (p->kind == STEP_GRAPH) {
            Piece *piece = p->piece;
            if (!piece->nstores) continue;
            Graph *g = finished(m, piece);
            for (uint32_t k = 0; k < piece->nstores; k++)
                *ARENA_PUSH(m->elab->arena, piece->out, piece->nout, piece->out_cap) =
                    (Binding){piece->stores[k].node, piece->stores[k].place, piece->stores[k].index, 0};
            step = (Step){.kind = STEP_GRAPH,
                          .graph = g,
                          .in = piece->in,
                          .out = piece->out,
                          .nin = piece->nin,
                          .nout = piece->nout};
            graph_verify(step.graph);
        }
        *ARENA_PUSH(m->elab->arena, steps, *n, cap) = step;
    }
    return steps;
}

Routine *machine_finish(Machine *m, const char *symbol, bool rows) {
    Routine *r = arena_alloc(m->elab->arena, sizeof *r);
    r->name = symbol;
    r->rows = rows;
    r->steps = make_steps(m, m->first, &r->nsteps);
    r->block_counts = m->block_counts;
    r->nblocks = m->nblocks;
    *ARENA_PUSH(m->elab->arena, m->elab->routines, m->elab->nroutines, m->elab->routines_cap) = r;
    return r;
}
