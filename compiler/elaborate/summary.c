/* summary.c - what every layer of a net is and costs, for one example: shape, parameters, multiply-adds. */
#include "elaborate.h"
#include "names.h"

uint32_t summary_begin(Scope *s, const Instance *i) {
    Net *net = s->net;
    if (!net) return UINT32_MAX;
    *ARENA_PUSH(s->elab->arena, net->layers, net->nlayers, net->layers_cap) =
        (LayerUse){.path = i->path,
                   .layer = i->name,
                   .declaration = i->layer,
                   .in_fixed = s->in_fixed,
                   .first = s->build->graph->nnodes};
    return net->nlayers - 1;
}

/* Multiply-adds of the products among nodes from .. to; a fixed point counts as one application. */
static double multiply_adds(const Model *m, const Graph *g, uint32_t from, uint32_t to) {
    double sum = 0;
    for (NodeId id = from; id < to; id++) {
        const Node *n = graph_node(g, id);
        double count = (double)shape_count(n->shape);
        if (n->op == OP_fixed && n->attr.fixed.index < m->nfixed) {
            const Graph *body = m->fixed[n->attr.fixed.index].body;
            sum += multiply_adds(m, body, 0, body->nnodes);
        }
        if (!n->batched) continue; /* once per parameter update */
        if (n->op == OP_conv) {
            Shape w = graph_node(g, graph_arg(g, id, 1))->shape;
            sum += count * w.dims[1] * w.dims[2] * w.dims[3];
        } else if (n->op == OP_matmul) {
            Shape a = graph_node(g, graph_arg(g, id, 0))->shape;
            sum += count * a.dims[a.rank == 1 ? 0 : n->attr.matmul.transpose_a ? 0 : 1];
        } else if (n->op == OP_outer)
            sum += count;
    }
    return sum;
}

static double parameters_below(const Model *m, const char *path) {
    double sum = 0;
    for (uint32_t k = 0; k < m->nparameters; k++) {
        const Parameter *p = &m->parameters[k];
        if (deq_path_under(p->path, path) && p->trained) sum += (double)shape_count(p->shape);
    }
    return sum;
}

void summary_end(Scope *s, uint32_t use, Value result) {
    if (use == UINT32_MAX) return;
    LayerUse *l = &s->net->layers[use];
    l->multiply_adds = multiply_adds(s->net->model, s->build->graph, l->first, s->build->graph->nnodes);
    l->parameters = parameters_below(s->net->model, l->path);
    const Value *items = result.kind == VALUE_TUPLE ? result.items : &result;
    l->nshapes = result.kind == VALUE_TUPLE ? result.nitems : 1;
    Shape *shapes = arena_alloc(s->elab->arena, (l->nshapes + 1) * sizeof *shapes);
    for (uint32_t k = 0; k < l->nshapes; k++)
        shapes[k] = items[k].kind == VALUE_NODE ? value_shape(items[k]) : shape_scalar();
    l->shapes = shapes;
}

json_t *summary_json(const Net *net) {
    json_t *list = json_array();
    for (uint32_t k = 0; k < net->nlayers; k++) {
        const LayerUse *l = &net->layers[k];
        json_t *shapes = json_array();
        for (uint32_t i = 0; i < l->nshapes; i++) {
            json_t *dims = json_array();
            for (uint32_t d = 0; d < l->shapes[i].rank; d++)
                json_array_append_new(dims, json_integer(l->shapes[i].dims[d]));
            json_array_append_new(shapes, dims);
        }
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:b, s:o, s:I, s:I}", "path", l->path, "layer", l->layer,
                                        "in_fixed", l->in_fixed, "shapes", shapes, "parameters",
                                        (json_int_t)l->parameters, "multiply_adds", (json_int_t)l->multiply_adds));
    }
    return list;
}
