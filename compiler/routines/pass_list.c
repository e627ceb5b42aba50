/* pass_list.c - runs the passes of passes.def in their order; verifies after each; shows what --emit=ir:PASS asks for. */
#include "pass_list.h"
#include "maker.h"

#define P(name) (1u << GRAPH_PASS_##name)
const PassInfo graph_passes[GRAPH_PASSES] = {
#define PASS(name, level, needs, doc) {#name, doc, PASS_##level, needs},
#include "passes.def"
#undef PASS
};
#undef P

static const struct {
    void (*on_net)(Maker *);
    void (*on_draft)(Finish *);
} functions[GRAPH_PASSES] = {
#define RUN_NET(name) {.on_net = pass_##name},
#define RUN_FIXED(name) RUN_NET(name)
#define RUN_MAKE(name) RUN_NET(name)
#define RUN_DRAFT(name) {.on_draft = pass_##name},
#define PASS(name, level, needs, doc) RUN_##level(name)
#include "passes.def"
#undef PASS
};

/* ---- showing ---- */
static void show_origins(const Graph *g, FILE *out) {
    static const char *const places[] = {"shared", "accum", "rest", "drest", "tape", "arg", "scalar", "block"};
    Origin o;
    for (uint32_t k = 0; k < g->ninputs; k++)
        if (origin_get(g, g->inputs[k], &o)) fprintf(out, "  in %%%u %s %u\n", g->inputs[k], places[o.place], o.index);
}

static void show_graph(const Graph *g, FILE *out) {
    graph_print(g, out);
    show_origins(g, out);
}

static void show_net(const Maker *m, FILE *out) {
    show_graph(m->graph, out);
    for (uint32_t k = 0; k < m->model->nfixed; k++) show_graph(m->bodies[k], out);
    for (uint32_t k = 0; k < m->model->nhands; k++)
        if (m->hands[k].graph) show_graph(m->hands[k].graph, out);
    if (m->stage) show_graph(m->stage->graph, out);
}

static void show_fixed(const Maker *m, FILE *out) {
    for (uint32_t k = 0; k < m->model->nfixed; k++) {
        const FixedLayout *l = &m->fixed[k];
        const Whole *w = m->work[k].whole;
        show_graph(w ? w->graph : m->bodies[k], out);
        for (uint32_t i = 0; w && i < w->nstored; i++) fprintf(out, "  tape %%%u\n", w->stored[i]);
        for (uint32_t i = 0; !w && i < l->ncotangents; i++)
            for (uint32_t v = 0; v < l->cotangents[i].n; v++)
                fprintf(out, "  %s reads %%%u\n", m->model->losses[i].name, l->cotangents[i].values[v]);
    }
}

/* ---- verifying ---- */
static void verify_net(const Maker *m) {
    graph_verify(m->graph);
    for (uint32_t k = 0; k < m->model->nfixed; k++) graph_verify(m->bodies[k]);
    for (uint32_t k = 0; k < m->model->nhands; k++)
        if (m->hands[k].graph) graph_verify(m->hands[k].graph);
    if (m->stage) graph_verify(m->stage->graph);
}

static void verify_fixed(const Maker *m) {
    for (uint32_t k = 0; k < m->model->nfixed; k++)
        if (m->work[k].whole) graph_verify(m->work[k].whole->graph);
}

/* ---- running ---- */
static bool watched(const Unit *unit, int pass) { return unit->watch && unit->watch->after == (GraphPass)pass; }

void passes_run(Maker *m) {
    for (int p = 0; p < GRAPH_PASSES; p++) {
        if (!functions[p].on_net) continue;
        uint32_t before = m->unit->nroutines;
        functions[p].on_net(m);
        if (graph_passes[p].level == PASS_NET) verify_net(m);
        if (graph_passes[p].level == PASS_FIXED) verify_fixed(m);
        if (!watched(m->unit, p)) continue;
        FILE *out = m->unit->watch->out;
        fprintf(out, "# net %s after %s\n", m->model->name, graph_passes[p].name);
        if (graph_passes[p].level == PASS_NET) show_net(m, out);
        if (graph_passes[p].level == PASS_FIXED) show_fixed(m, out);
        for (; before < m->unit->nroutines; before++) routine_print(m->unit->routines[before], out);
    }
    graph_verify(m->stage->graph);
}

void passes_finish(Finish *f) {
    for (int p = 0; p < GRAPH_PASSES; p++) {
        if (!functions[p].on_draft) continue;
        functions[p].on_draft(f);
        graph_verify(f->graph);
        if (!watched(f->unit, p)) continue;
        fprintf(f->unit->watch->out, "# routine %s after %s\n", f->draft->name, graph_passes[p].name);
        show_graph(f->graph, f->unit->watch->out);
    }
}
