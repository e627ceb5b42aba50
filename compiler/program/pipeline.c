/* pipeline.c - a checked program to a unit: walks the declarations, makes the routines, writes the manifest. */
#include "pipeline.h"
#include "asked.h"
#include "declarations.h"
#include "deq_runtime.h"
#include <string.h>

/* The L[3] of the last declaration, check { compare: gradients(L[3]) .. }, which the driver has added for it. */
static const Ast *declared_net(const Ast *unit) {
    const Ast *last = unit->nkids ? unit->kids[unit->nkids - 1] : NULL;
    const Ast *items = last && last->kind == AST_CHECK ? AST_SLOT(last, CHECK, items) : NULL;
    const Ast *call = items && items->nkids ? AST_SLOT(items->kids[0], SETTING, value) : NULL;
    const Ast *inputs = call && call->kind == AST_CALL ? AST_SLOT(call, CALL, inputs) : NULL;
    return inputs && inputs->nkids ? AST_SLOT(inputs->kids[0], ARG, value) : NULL;
}

static bool library_net(Pipe *p, Scope *s, const char *only) {
    Ast name = {.kind = AST_NAME, .name = only, .range = {p->elab->program->main->source, 0, 0}};
    const Ast *layer = strpbrk(only, "[(") ? declared_net(p->elab->program->main->unit)
                                           : arena_copy(p->elab->arena, &name, sizeof name);
    if (!layer) return false;
    const Instance *instance = layer_instance(s, layer, "");
    Net *net = instance ? net_find(s, instance, (Shape){.rank = UINT32_MAX}, (Target){.shape = {.rank = UINT32_MAX}},
                                   instance->layer->name_range)
                        : NULL;
    return net && net_projection_loss(net, p->elab);
}

/* Data, train, experiment, test, check -> members of the manifest. */
static bool declarations(Pipe *p, json_t *manifest, Parts parts) {
    Elab *e = p->elab;
    p->data = json_array();
    p->trains = json_array();
    p->experiments = json_array();
    p->run = json_array();
    p->tests = json_array();
    p->checks = json_array();
    json_object_set_new(manifest, "data", p->data);
    json_object_set_new(manifest, "trains", p->trains);
    json_object_set_new(manifest, "experiments", p->experiments);
    json_object_set_new(manifest, "run", p->run);
    json_object_set_new(manifest, "tests", p->tests);
    json_object_set_new(manifest, "checks", p->checks);
    const Module *main = e->program->main;
    if (parts.only) {
        Scope s = scope_of_module(e, main);
        return library_net(p, &s, parts.only);
    }
    bool ok = true;
    for (uint32_t k = 0; k < main->unit->nkids; k++) {
        const Ast *d = main->unit->kids[k];
        Scope s = scope_of_module(e, main);
        json_t *j = NULL;
        if (d->kind == AST_DEFENCE || d->kind == AST_DEFENCE_DEF) ok &= defence_check(&s, d);
        if (d->kind == AST_TRAIN && parts.kinds & ELAB_RUN) {
            j = pipe_train(p, &s, d, false, &(TrainUse *){NULL});
            if (j)
                json_array_append_new(p->trains, j),
                    json_array_append_new(p->run, json_pack("{s:s}", "train", d->name));
        } else if (d->kind == AST_EXPERIMENT && parts.kinds & ELAB_RUN) {
            j = pipe_experiment(p, d);
            if (j)
                json_array_append_new(p->experiments, j),
                    json_array_append_new(p->run, json_pack("{s:s}", "experiment", d->name));
        } else if (d->kind == AST_TEST && parts.kinds & ELAB_TESTS &&
                   (!parts.only_test || strcmp(parts.only_test, d->name) == 0)) {
            j = pipe_test(p, &s, d);
            if (j) json_array_append_new(p->tests, j);
        } else
            continue;
        ok &= j != NULL;
    }
    if (parts.kinds & ELAB_NETS) ok &= pipe_net_tests(p, main);
    for (uint32_t k = 0; parts.kinds & ELAB_CHECKS && k < main->unit->nkids; k++) { /* of trained nets too: now known */
        const Ast *d = main->unit->kids[k];
        if (d->kind != AST_CHECK) continue;
        Scope s = scope_of_module(e, main);
        json_t *j = pipe_check(p, &s, d);
        if (j) json_array_append_new(p->checks, j);
        ok &= j != NULL;
    }
    return ok;
}

bool elaborate(Arena *a, Program *program, uint32_t real_bytes, Parts parts, Elaborated *out) {
    Elab *e = arena_alloc(a, sizeof *e);
    e->arena = a;
    e->diags = program->diags;
    e->program = program;
    e->real_bytes = real_bytes;
    e->asked = parts.asked;
    *out = (Elaborated){e, json_object()};
    uint32_t before = diags_errors(e->diags);
    Pipe *p = arena_alloc(a, sizeof *p);
    *p = (Pipe){.elab = e, .audit = parts.audit};
    pipe_net_settings(p);
    bool ok = declarations(p, out->manifest, parts);
    for (uint32_t k = 0; k < e->nnets; k++) {
        if (parts.cotangents && e->nets[k]->output.kind != VALUE_NONE) net_objective(e->nets[k], e, OBJECTIVE_OUTSIDE);
        net_finish(e, e->nets[k]);
    }
    ok = ok && pipe_audits(p);
    return ok && diags_errors(e->diags) == before;
}

/* While the manifest is made its JSON lives in the arena like everything else: an error may return from anywhere. */
static Arena *json_arena;
static json_malloc_t malloc_before;
static json_free_t free_before;

static void *json_alloc(size_t n) { return arena_alloc(json_arena, n); }
static void json_keep(void *p) { (void)p; }

static void json_begin(Arena *a) {
    json_get_alloc_funcs(&malloc_before, &free_before);
    json_arena = a;
    json_set_alloc_funcs(json_alloc, json_keep);
}

static void json_end(void) { json_set_alloc_funcs(malloc_before, free_before); }

/* A member with the texts, NULL at the end, where there are any. */
static void add_texts(json_t *m, const char *member, const char *const *texts) {
    for (const char *const *text = texts; text && *text; text++) {
        if (!json_object_get(m, member)) json_object_set_new(m, member, json_array());
        json_array_append_new(json_object_get(m, member), json_string(*text));
    }
}

static Unit *make_unit(Program *p, const PipelineOptions *o) {
    Arena *a = p->arena;
    Elaborated el;
    unsigned kinds = o->tests ? ELAB_TESTS | (o->nets ? ELAB_NETS : 0) : ELAB_RUN | (o->checks ? ELAB_CHECKS : 0);
    if (!elaborate(a, p, o->layout.real_bytes, (Parts){kinds, o->only, o->only_test, o->audit, o->asked, o->cotangents},
                   &el))
        return NULL;
    Elab *e = el.elab;
    Unit *unit = arena_alloc(a, sizeof *unit);
    unit->arena = a;
    unit->layout = o->layout;
    unit->watch = o->watch;
    json_t *nets = json_array();
    for (uint32_t k = 0; k < e->nnets; k++) {
        e->nets[k]->model->penalised = e->nets[k]->model->penalised || o->penalties;
        e->nets[k]->model->corrections = e->nets[k]->model->corrections || o->corrections;
        e->nets[k]->routines = model_routines(unit, e->nets[k]->model);
        json_array_append_new(nets, net_json(e, unit, e->nets[k]));
    }
    for (uint32_t k = 0; k < e->nroutines; k++)
        *ARENA_PUSH(a, unit->routines, unit->nroutines, unit->routines_cap) = e->routines[k];

    const char *key = arena_printf(a, "%s %s %s", program_hash(p), o->options ? o->options : "", DEQ_VERSION);
    json_t *m = json_pack(
        "{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:o}", "abi", DEQ_ABI_VERSION, "name", path_text(a, o->name), "source",
        path_text(a, p->main->path), "compiler", DEQ_VERSION, "target", o->target ? o->target : "unknown", "real",
        o->layout.real_bytes == 8 ? "f64" : "f32", "hash", text_hash(a, key, strlen(key)), "nets", nets);
    if (!m) ICE("the manifest cannot be written: a text is not UTF-8");
    json_object_update(m, el.manifest);
    add_texts(m, "set", o->asked);
    add_texts(m, "settable", asked_paths(p));
    add_texts(m, "settable", program_constants(p));
    unit->manifest = json_dumps(m, JSON_COMPACT);
    if (!unit->manifest) ICE("the manifest cannot be written");
    return unit;
}

Unit *pipeline_build(Program *p, const PipelineOptions *o) {
    json_begin(p->arena);
    Unit *unit = make_unit(p, o);
    json_end();
    return unit;
}

bool pipeline_number(Program *p, const Ast *expression, double *out) {
    Elaborated el;
    json_begin(p->arena);
    bool ok = elaborate(p->arena, p, 8, (Parts){0}, &el);
    if (ok) {
        Scope s = scope_of_module(el.elab, p->main);
        ok = eval_number(&s, expression, out);
    }
    json_end();
    return ok;
}

bool pipeline_look(Program *p, Elaborated *out) {
    json_begin(p->arena);
    bool ok = elaborate(p->arena, p, 4, (Parts){.kinds = ELAB_RUN | ELAB_TESTS | ELAB_CHECKS}, out);
    json_end();
    return ok;
}

bool pipeline_check(Program *p) {
    Elaborated el;
    return pipeline_look(p, &el);
}
