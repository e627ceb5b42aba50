/* print.c - the text form of graphs, the same for the same graph on every run and machine. */
#include "graph.h"
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
