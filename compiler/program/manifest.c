/* manifest.c - the nets' part of the manifest. */
#include "declarations.h"
#include "conv.h"
#include "deq_runtime.h"
#include <math.h>
#include <string.h>

static json_t *json_dims(Shape s) {
    json_t *list = json_array();
    for (uint32_t k = 0; k < s.rank; k++) json_array_append_new(list, json_integer(s.dims[k]));
    return list;
}

static int line_of(Range r) { return r.source ? (int)source_position(r.source, r.start).line : 0; }

const char *path_text(Arena *a, const char *path) {
    json_t *j = json_string(path);
    if (j) return json_decref(j), path;
    char *text = arena_strdup(a, path);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c >= 0x80) *c = '?';
    return text;
}

/* The arguments of a gradient in C, in the order of its header (lang/extern.h). */
static json_t *extern_json(const HandGradient *h, const FieldPlace *places, const char *place) {
    json_t *fields = json_array();
    for (uint32_t k = 0; k < h->nfields; k++) {
        const HandField *f = &h->fields[k];
        json_t *j = json_pack("{s:s}", "name", f->name);
        if (f->kind == FIELD_SIZE)
            json_object_set_new(j, "size", json_integer((json_int_t)f->number));
        else if (f->kind == FIELD_NUMBER)
            json_object_set_new(j, "number", json_real(f->number));
        else
            json_object_update_new(j, json_pack("{s:s, s:I, s:I, s:b, s:b, s:I}", "in", places[k].where, "offset",
                                                (json_int_t)places[k].offset, "elements", (json_int_t)f->elements,
                                                "cotangent", f->kind == FIELD_ITEM, "parameter",
                                                f->kind == FIELD_ITEM && h->items[f->index].parameter >= 0, "accum",
                                                (json_int_t)places[k].accum));
        json_array_append_new(fields, j);
    }
    return json_pack("{s:s, s:s, s:s, s:s, s:i, s:o}", "name", h->name, "symbol", h->symbol, "signature", h->signature,
                     "place", place, "line", line_of(h->loc), "fields", fields);
}

static json_t *with_worth(json_t *entry, const HandGradient *h) {
    if (h->approximate) json_object_set_new(entry, "approximate", json_true());
    return entry;
}

static json_t *hands_json(Arena *a, const Model *m, const ModelRoutines *r, uint32_t fixed) {
    json_t *list = json_array();
    for (uint32_t k = 0; k < m->nhands; k++) {
        const HandGradient *h = &m->hands[k];
        if (h->fixed != fixed) continue;
        if (h->symbol) {
            const char *place =
                arena_printf(a, "%s:%d", h->loc.source ? path_text(a, h->loc.source->path) : "", line_of(h->loc));
            json_array_append_new(list, with_worth(extern_json(h, r->hands[k], place), h));
            continue;
        }
        json_t *solves = json_array();
        for (uint32_t i = h->first_map; i < h->first_map + h->nmaps; i++)
            json_array_append_new(solves, json_pack("{s:s, s:s, s:i}", "name", m->maps[i].name, "solver",
                                                    m->maps[i].solver, "line", line_of(m->maps[i].loc)));
        json_t *entry = json_pack(
            "{s:s, s:s, s:s, s:o, s:i}", "name", h->name, "input", arena_printf(a, "%s_input", h->routine),
            "parameters", arena_printf(a, "%s_parameters", h->routine), "solves", solves, "line", line_of(h->loc));
        json_array_append_new(list, with_worth(entry, h));
    }
    return list;
}

/* Floating-point operations of the products in one application of a fixed point's body to one example, for benchmarks.
 */
static double body_flops(const Unit *unit, const char *name) {
    double flops = 0;
    for (uint32_t k = 0; k < unit->nroutines; k++) {
        const Routine *r = unit->routines[k];
        size_t n = strlen(name);
        if (strncmp(r->name, name, n) != 0 || strcmp(r->name + n, "_f") != 0) continue;
        const Graph *g = r->steps[0].graph;
        for (NodeId id = 0; id < g->nnodes; id++) {
            const Node *node = graph_node(g, id);
            ConvShape c;
            if (node->op == OP_conv) {
                const char *why = conv_shape(node->op, &node->attr, graph_node(g, graph_arg(g, id, 0))->shape,
                                             graph_node(g, graph_arg(g, id, 1))->shape, &c);
                double taps = (double)c.rows * c.columns * (c.channels / c.groups);
                if (!why) flops += 2.0 * taps * (double)shape_count(node->shape);
            }
            if (node->op != OP_matmul) continue;
            Shape a = graph_node(g, graph_arg(g, id, 0))->shape;
            uint32_t inner = a.rank == 1 ? a.dims[0] : a.dims[graph_node(g, id)->attr.matmul.transpose_a ? 0 : 1];
            flops += 2.0 * inner * (double)shape_count(graph_node(g, id)->shape);
        }
    }
    return flops;
}

static json_t *numbers_json(const double *numbers, uint32_t n) {
    json_t *list = json_array();
    for (uint32_t k = 0; k < n; k++) json_array_append_new(list, json_real(numbers[k]));
    return list;
}

json_t *net_json(Elab *e, const Unit *unit, const Net *net) {
    Arena *a = e->arena;
    const Model *m = net->model;
    const ModelRoutines *r = net->routines;
    json_t *parameters = json_array(), *fixed = json_array(), *losses = json_array(), *metrics = json_array();
    json_t *objective = json_null();
    for (uint32_t k = 0; k < m->nparameters; k++) {
        const Parameter *q = &m->parameters[k];
        json_array_append_new(parameters, json_pack("{s:s, s:o, s:I, s:b, s:s, s:i}", "path", q->path, "shape",
                                                    json_dims(q->shape), "offset", (json_int_t)r->parameter_offsets[k],
                                                    "trained", q->trained, "init", q->init, "line", line_of(q->loc)));
    }
    for (uint32_t k = 0; k < m->nfixed; k++) {
        const FixedPoint *f = &m->fixed[k];
        json_t *state = json_array();
        for (uint32_t i = 0; i < f->nstate; i++)
            json_array_append_new(state, json_pack("{s:s, s:o}", "name", f->state_names[i], "shape",
                                                   json_dims(graph_node(f->body, f->body->inputs[i])->shape)));
        json_t *certificate = json_null();
        if (f->certificate.kind)
            certificate =
                json_pack("{s:s, s:f, s:o}", "kind", f->certificate.kind, "claimed", f->certificate.claimed, "proved",
                          isnan(f->certificate.proved) ? json_null() : json_real(f->certificate.proved));
        json_array_append_new(fixed, json_pack("{s:s, s:s, s:o, s:i, s:s, s:s, s:s, s:s, s:f, s:o, s:o}", "name",
                                               f->name, "path", f->path, "state", state, "line", line_of(f->loc),
                                               "forward", f->forward, "gradient", f->gradient, "start", f->start,
                                               "on_fail", f->on_fail, "flops", body_flops(unit, f->name), "gradients",
                                               hands_json(a, m, r, k), "certificate", certificate));
        if (strcmp(f->finish, "trained") != 0)
            json_object_set_new(json_array_get(fixed, json_array_size(fixed) - 1), "finish", json_string(f->finish));
        if (strcmp(f->penalty, "none") != 0)
            json_object_set_new(json_array_get(fixed, json_array_size(fixed) - 1), "penalty", json_string(f->penalty));
    }
    for (uint32_t k = 0; k < m->nlosses; k++)
        if (m->losses[k].objective) objective = json_string(arena_printf(a, "%s_%s", m->name, m->losses[k].name));
    for (uint32_t k = 0; k < net->nuses; k++) {
        const LossOfNet *u = &net->uses[k];
        const Loss *l = &m->losses[u->loss];
        const char *prefix = arena_printf(a, "%s_%s", m->name, l->name);
        json_t *loss =
            json_pack("{s:s, s:s, s:s, s:s}", "name", u->name, "loss", arena_printf(a, "%s_loss", prefix), "input",
                      arena_printf(a, "%s_input", prefix), "parameters", arena_printf(a, "%s_parameters", prefix));
        if (l->replays) json_object_set_new(loss, "replay", json_string(arena_printf(a, "%s_replay", prefix)));
        if (u->nsettings) json_object_set_new(loss, "settings", numbers_json(u->settings, u->nsettings));
        if (strcmp(u->name, l->name) != 0) json_object_set_new(loss, "routines", json_string(l->name));
        json_array_append_new(losses, loss);
    }
    for (uint32_t k = 0; k < net->npairs; k++) {
        const PairLoss *l = &net->pairs[k];
        json_array_append_new(losses, json_pack("{s:s, s:s, s:s, s:o}", "name", l->name, "clean", l->clean, "attacked",
                                                l->attacked, "settings", numbers_json(l->settings, l->nsettings)));
    }
    for (uint32_t k = 0; k < m->nmetrics; k++)
        json_array_append_new(metrics, json_pack("{s:s, s:s, s:b, s:s}", "name", m->metrics[k].name, "routine",
                                                 arena_printf(a, "%s_metric_%s", m->name, m->metrics[k].name), "share",
                                                 m->metrics[k].share, "hash", m->metrics[k].hash));
    json_t *target = net->target.classes ? json_pack("{s:i}", "label", (int)net->target.classes)
                                         : json_pack("{s:o}", "shape", json_dims(net->target.shape));
    json_t *j =
        json_pack("{s:s, s:o, s:o, s:o, s:s, s:o, s:I, s:I, s:I}", "name", m->name, "input", json_dims(net->input),
                  "output", json_dims(graph_node(m->graph, m->output)->shape), "target", target, "hash", net->hash,
                  "parameters", parameters, "parameter_bytes", (json_int_t)r->parameter_bytes, "shared_bytes",
                  (json_int_t)r->shared_bytes, "accum_bytes", (json_int_t)r->accum_bytes);
    json_object_set_new(j, "prepare", json_string(arena_printf(a, "%s_prepare", m->name)));
    json_object_set_new(j, "finish", r->has_finish ? json_string(arena_printf(a, "%s_finish", m->name)) : json_null());
    json_object_set_new(j, "statistics",
                        r->has_statistics ? json_string(arena_printf(a, "%s_statistics", m->name)) : json_null());
    json_object_set_new(j, "objective", objective);
    json_object_set_new(j, "training", json_boolean(m->training));
    json_object_set_new(j, "predict", json_string(arena_printf(a, "%s_predict", m->name)));
    json_object_set_new(j, "layers", summary_json(net));
    json_object_set_new(j, "fixed", fixed);
    json_object_set_new(j, "losses", losses);
    json_object_set_new(j, "metrics", metrics);
    return j;
}
