/* print.c - the text form of graphs and routines, the same for the same graph on every run and machine. */
#include "routine.h"
#include <stdlib.h>
#include <string.h>

/* The shortest decimal that reads back as the same double. */
static void print_number(double v, FILE *out) {
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v) break;
    }
    fputs(text, out);
}

/* " name=2,0,1" */
static void print_list(const char *name, const int64_t *items, uint32_t n, FILE *out) {
    fprintf(out, " %s=", name);
    for (uint32_t k = 0; k < n; k++) fprintf(out, "%s%lld", k ? "," : "", (long long)items[k]);
}

static void print_mask(const char *name, int64_t mask, FILE *out) {
    int64_t axes[MAX_RANK];
    uint32_t n = 0;
    for (uint32_t k = 0; k < MAX_RANK; k++)
        if (mask >> k & 1) axes[n++] = k;
    if (n) print_list(name, axes, n, out);
}

static void print_number_named(const char *name, int64_t number, int64_t usual, FILE *out) {
    if (number != usual) print_list(name, &number, 1, out);
}

static void print_numbers(const Node *n, FILE *out) {
    switch (op_view(n->op)) {
    case VIEW_none: break;
#define VIEW(view)                                                                                                     \
    case VIEW_##view: {                                                                                                \
        const struct view##_attributes *v = &n->attr.view;
#define NUMBER(name, usual, doc) print_number_named(#name, v->name, usual, out);
#define FLAG(name, doc)                                                                                                \
    if (v->name) fputs(" " #name, out);
#define PAIR(name, doc) print_list(#name, v->name, 2, out);
#define AXES(name, doc) print_list(#name, v->name, n->shape.rank, out);
#define MASK(name, doc) print_mask(#name, v->name, out);
#define END(view)                                                                                                      \
    break;                                                                                                             \
    }
#include "attributes.def"
    }
}

void graph_print_node(const Graph *g, NodeId id, FILE *out) {
    const Node *n = &g->nodes[id];
    fprintf(out, "%%%u = %s", id, op_name(n->op));
    for (uint32_t k = 0; k < n->nargs; k++) fprintf(out, "%s%%%u", k ? ", " : " ", g->args[n->args + k]);
    if (n->op == OP_input || n->attr.name) fprintf(out, " \"%s\"", n->attr.name ? n->attr.name : "");
    if (n->op == OP_constant || n->attr.value != 0) fputc(' ', out), print_number(n->attr.value, out);
    print_numbers(n, out);
    fprintf(out, " :%s [", n->batched ? " batched" : "");
    for (uint32_t k = 0; k < n->shape.rank; k++) fprintf(out, "%s%u", k ? "," : "", n->shape.dims[k]);
    fputs("]\n", out);
}

void graph_print(const Graph *g, FILE *out) {
    fprintf(out, "graph %s {\n", g->name);
    for (NodeId id = 0; id < g->nnodes; id++) {
        fputs("  ", out);
        graph_print_node(g, id, out);
    }
    for (uint32_t k = 0; k < g->noutputs; k++) fprintf(out, "  output %%%u\n", g->outputs[k]);
    fputs("}\n", out);
}

/* ---- routines ---- */
static void print_binding(const Binding *b, const char *what, FILE *out) {
    static const char *const places[] = {"shared", "accum", "rest", "drest", "tape", "arg", "scalar", "block"};
    fprintf(out, "  %s %%%u %s", what, b->node, places[b->place]);
    if (b->place == PLACE_ARG || b->place == PLACE_SCALAR || b->place == PLACE_BLOCK) fprintf(out, "%u", b->index);
    if (b->place != PLACE_SCALAR && b->place != PLACE_BLOCK) fprintf(out, "+%llu", (unsigned long long)b->offset);
    fputc('\n', out);
}

static void print_steps(const Step *steps, uint32_t n, FILE *out) {
    for (uint32_t k = 0; k < n; k++) {
        const Step *s = &steps[k];
        if (s->kind == STEP_LOOP) {
            fprintf(out, "  loop scalar%u {\n", s->trip_scalar);
            print_steps(s->body, s->nbody, out);
            fputs("  }\n", out);
            continue;
        }
        if (s->kind == STEP_DROP) {
            fprintf(out, "  drop block%u\n", s->flags);
            continue;
        }
        for (uint32_t b = 0; b < s->nin; b++) print_binding(&s->in[b], "in", out);
        graph_print(s->graph, out);
        for (uint32_t b = 0; b < s->nout; b++) print_binding(&s->out[b], "out", out);
    }
}

void routine_print(const Routine *r, FILE *out) {
    fprintf(out, "routine %s %s {\n", r->name, r->rows ? "rows" : "once");
    for (int k = 0; k < 8; k++)
        if (r->arg_bytes[k]) fprintf(out, "  arg%d %llu bytes\n", k, (unsigned long long)r->arg_bytes[k]);
    if (r->rest_bytes) fprintf(out, "  rest %llu bytes\n", (unsigned long long)r->rest_bytes);
    if (r->tape_bytes) fprintf(out, "  tape %llu bytes\n", (unsigned long long)r->tape_bytes);
    for (uint32_t k = 0; k < r->nblocks; k++) fprintf(out, "  block%u %u elements\n", k, r->block_counts[k]);
    print_steps(r->steps, r->nsteps, out);
    fputs("}\n", out);
}
