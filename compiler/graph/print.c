/* print.c - the text form of graphs, the same for the same graph on every run and machine. */
#include "conv.h"
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

static void print_attr(const Node *n, FILE *out) {
    const int64_t *i = n->attr.i;
    switch (n->op) {
    case OP_input: fprintf(out, " \"%s\"%s", n->attr.name ? n->attr.name : "", i[2] ? " packed" : ""); break;
    case OP_constant:
        fputc(' ', out);
        print_number(n->attr.value, out);
        break;
    case OP_random: fprintf(out, " %s site=%lld", i[0] ? "normal" : "uniform", (long long)i[1]); break;
    case OP_transpose:
        fputs(" axes=", out);
        for (uint32_t k = 0; k < n->shape.rank; k++) fprintf(out, "%s%lld", k ? "," : "", (long long)i[k]);
        break;
    case OP_slice:
    case OP_pad:
        fputs(n->op == OP_slice ? " at=" : " by=", out);
        for (uint32_t k = 0; k < n->shape.rank; k++)
            fprintf(out, "%s%lld:%lld", k ? "," : "", (long long)i[2 * k], (long long)i[2 * k + 1]);
        break;
    case OP_window_sum:
    case OP_window_spread:
        fprintf(out, " %lldx%lld/%lld,%lld%s", (long long)i[0], (long long)i[1], (long long)i[2], (long long)i[3],
                i[4] ? "" : " channels last");
        break;
    case OP_concat: fprintf(out, " axis=%lld", (long long)i[0]); break;
    case OP_reduce_sum:
    case OP_reduce_max: {
        const char *before = " axes=";
        for (int k = 0; k < MAX_RANK; k++)
            if (i[0] >> k & 1) fprintf(out, "%s%d", before, k), before = ",";
        break;
    }
    case OP_matmul: fprintf(out, "%s%s%s", i[0] ? " ta" : "", i[1] ? " tb" : "", i[2] ? " packed" : ""); break;
    case OP_conv:
    case OP_conv_input:
    case OP_conv_weight:
    case OP_batch_conv_weight:
        fprintf(out, " stride %d padding %d", (int)i[CONV_STRIDE], (int)i[CONV_PADDING]);
        if (i[CONV_GROUPS] != 1) fprintf(out, " groups %d", (int)i[CONV_GROUPS]);
        if (i[CONV_DILATION] != 1) fprintf(out, " dilation %d", (int)i[CONV_DILATION]);
        fprintf(out, "%s%s", i[CONV_LAST] ? " last" : "", i[CONV_PACKED] ? " packed" : "");
        break;
    case OP_pack_conv: fputs(i[0] ? " t" : "", out); break;
    case OP_pack: fputs(i[0] ? " t" : "", out); break;
    case OP_solve:
    case OP_fixed:
        fprintf(out, " #%lld", (long long)i[0]);
        if (i[1]) fprintf(out, " loss=%lld+%lld", (long long)i[1] - 1, (long long)i[2]);
        break;
    case OP_fixed_gradient: fprintf(out, " #%lld%s", (long long)i[0], i[1] ? " shared" : ""); break;
    case OP_fixed_state:
    case OP_fixed_cotangent:
    case OP_query_result: fprintf(out, " .%lld", (long long)i[0]); break;
    case OP_query:
        fprintf(out, " \"%s\"", n->attr.name ? n->attr.name : "");
        if (i[0]) fprintf(out, " #%lld", (long long)i[0]);
        break;
    default: break;
    }
}

void graph_print_node(const Graph *g, NodeId id, FILE *out) {
    const Node *n = &g->nodes[id];
    fprintf(out, "%%%u = %s", id, op_name(n->op));
    for (uint32_t k = 0; k < n->nargs; k++) fprintf(out, "%s%%%u", k ? ", " : " ", g->args[n->args + k]);
    print_attr(n, out);
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
