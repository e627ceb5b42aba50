/* backend_support.h - compiles routines, runs them on guarded memory and compares them with the interpreter.
 *
 * Every buffer ends at an unreadable page and has exactly the size the contract promises; padding of inputs is NaN. */
#ifndef DEQ_TESTS_BACKEND_SUPPORT_H
#define DEQ_TESTS_BACKEND_SUPPORT_H
#include "conv.h"
#include "graph_numbers.h"
#include "backend_load.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static inline uint64_t padded64(uint64_t bytes) { return (bytes + 63) / 64 * 64; }

static inline const Backend *backend(void) {
    char *error = NULL;
    const Backend *b = backend_get(&error);
    if (!b) fail_msg("%s", error);
    return b;
}

/* `bytes` (a multiple of 64) that end where memory ends; lives as long as the test. */
static inline void *guarded(uint64_t bytes) {
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), whole = (bytes + page - 1) / page * page;
    char *p = mmap(NULL, whole + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(p != MAP_FAILED);
    assert_int_equal(mprotect(p + whole, page, PROT_NONE), 0);
    assert_true(bytes % 64 == 0);
    return p + whole - bytes;
}

static inline void unguarded(void *p, uint64_t bytes) { /* gives it back: mappings are few */
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), whole = (bytes + page - 1) / page * page;
    munmap((char *)p + bytes - whole, whole + page);
}

static inline void put_real(const Layout *l, void *at, uint64_t k, double v) {
    if (l->real_bytes == 4)
        ((float *)at)[k] = (float)v;
    else
        ((double *)at)[k] = v;
}

static inline double get_real(const Layout *l, const void *at, uint64_t k) {
    return l->real_bytes == 4 ? (double)((const float *)at)[k] : ((const double *)at)[k];
}

static inline Unit *unit_new(Arena *a, uint32_t real_bytes, const char *cpu) {
    Unit *u = arena_alloc(a, sizeof *u);
    char *error = NULL;
    u->arena = a;
    if (!backend()->layout(cpu, real_bytes, &u->layout, &error)) fail_msg("%s", error);
    return u;
}

/* Rounded to the working type, so that both sides start from the same numbers. */
static inline void fill_row(const Layout *l, void *row, uint64_t count, double low, double high) {
    uint64_t lanes = padded64(count * l->real_bytes) / l->real_bytes;
    for (uint64_t k = 0; k < lanes; k++) put_real(l, row, k, k < count ? rng_uniform(low, high) : NAN);
}

typedef struct Placement { /* where automatic bindings go */
    bool rest;             /* batched inputs in REST, outputs added to DREST and stored in TAPE in turn; else ARG */
    bool no_rows;
    bool in_place; /* output k overwrites batched input k where shapes agree */
} Placement;

static inline uint64_t stored_count(const Layout *l, const Node *n) {
    ConvPacking packing;
    if (conv_packing(n, &packing)) return conv_packed_count(&packing, l->panel);
    if (!(n->op == OP_pack || (n->op == OP_input && n->attr.input.packed))) return shape_count(n->shape);
    return (uint64_t)((n->shape.dims[1] + l->panel - 1) / l->panel * l->panel) * n->shape.dims[0];
}

/* A routine of one step around the graph, its inputs and outputs bound one after another. */
static inline Routine *unit_add(Unit *u, Graph *g, Placement where) {
    Arena *a = u->arena;
    Routine *r = arena_alloc(a, sizeof *r);
    Step *s = arena_alloc(a, sizeof *s);
    uint64_t shared = 0, accum = 0, rest = 0, drest = 0, tape = 0;
    uint32_t arg = 0, of_input[8];
    r->name = arena_printf(a, "%s_%u", g->name, u->nroutines);
    r->rows = !where.no_rows;
    r->steps = s;
    r->nsteps = 1;
    s->graph = g;
    s->in = arena_alloc(a, (g->ninputs + 1) * sizeof *s->in);
    s->out = arena_alloc(a, (g->noutputs + 1) * sizeof *s->out);
    s->nin = g->ninputs;
    s->nout = g->noutputs;
    for (uint32_t k = 0; k < g->ninputs; k++) {
        const Node *n = graph_node(g, g->inputs[k]);
        uint64_t bytes = padded64(stored_count(&u->layout, n) * u->layout.real_bytes);
        if (!n->batched) {
            s->in[k] = (Binding){g->inputs[k], PLACE_SHARED, 0, shared};
            shared += bytes;
        } else if (where.rest) {
            s->in[k] = (Binding){g->inputs[k], PLACE_REST, 0, rest};
            rest += bytes;
        } else {
            r->arg_bytes[arg] = bytes;
            of_input[k] = arg;
            s->in[k] = (Binding){g->inputs[k], PLACE_ARG, arg++, 0};
        }
    }
    for (uint32_t k = 0; k < g->noutputs; k++) {
        const Node *n = graph_node(g, g->outputs[k]);
        uint64_t bytes = padded64(stored_count(&u->layout, n) * u->layout.real_bytes);
        if (where.no_rows) {
            s->out[k] = (Binding){g->outputs[k], PLACE_SHARED, 0, shared};
            shared += bytes;
        } else if (!n->batched) {
            s->out[k] = (Binding){g->outputs[k], PLACE_ACCUM, 0, accum};
            accum += bytes;
        } else if (where.rest && k % 2 == 0) {
            s->out[k] = (Binding){g->outputs[k], PLACE_DREST, 0, drest};
            drest += bytes;
        } else if (where.rest) {
            s->out[k] = (Binding){g->outputs[k], PLACE_TAPE, 0, tape};
            tape += bytes;
        } else if (where.in_place && k < g->ninputs && graph_node(g, g->inputs[k])->batched &&
                   r->arg_bytes[of_input[k]] == bytes) {
            s->out[k] = (Binding){g->outputs[k], PLACE_ARG, of_input[k], 0};
        } else {
            r->arg_bytes[arg] = bytes;
            s->out[k] = (Binding){g->outputs[k], PLACE_ARG, arg++, 0};
        }
    }
    assert_true(arg <= 8);
    r->rest_bytes = rest > drest ? rest : drest;
    r->tape_bytes = tape;
    *ARENA_PUSH(a, u->routines, u->nroutines, u->routines_cap) = r;
    return r;
}

typedef struct Loaded {
    const Unit *unit;
    const deq_module *module;
} Loaded;

static inline Loaded unit_load(const Unit *u, const char *cpu, const char *math) {
    BackendOptions options = {.cpu = cpu, .optimise = 2, .math = math};
    const char *dump = getenv("DEQ_TEST_DUMP");
    options.emit_ll = options.emit_asm = dump != NULL;
    BackendResult result;
    bool ok = backend()->compile(u, &options, &result);
    if (dump) {
        const char *texts[] = {result.ll, result.assembly}, *ends[] = {"ll", "s"};
        for (int k = 0; k < 2; k++) {
            char path[512];
            snprintf(path, sizeof path, "%s.%s", dump, ends[k]);
            FILE *f = fopen(path, "w");
            if (f && texts[k]) fputs(texts[k], f);
            if (f) fclose(f);
        }
    }
    if (!ok) fail_msg("compile: %s", result.error ? result.error : "?");
    char *error = NULL;
    const deq_module *m = backend()->load(result.objects, result.nobjects, &error);
    if (!m) fail_msg("load: %s", error);
    assert_int_equal(m->abi_version, DEQ_ABI_VERSION);
    assert_int_equal(m->real_bits, u->layout.real_bytes * 8);
    assert_int_equal(m->routine_count, u->nroutines);
    for (uint32_t k = 0; k < u->nroutines; k++) {
        assert_string_equal(m->routines[k].name, u->routines[k]->name);
        assert_int_equal(m->routines[k].row_bytes, result.row_bytes[k]);
        assert_int_equal(m->routines[k].base_bytes, result.base_bytes[k]);
    }
    for (uint32_t k = 0; k < result.nobjects; k++) free(result.objects[k].bytes);
    free(result.ll);
    free(result.assembly);
    free(result.row_bytes);
    free(result.base_bytes);
    return (Loaded){u, m};
}

/* The memory of one run: as many rows of everything as the routine touches. */
typedef struct Memory {
    deq_frame frame;
    uint64_t bytes[16];
    void *part[16];
    uint32_t nparts;
} Memory;

static inline void *memory_part(Memory *m, uint64_t bytes) {
    m->bytes[m->nparts] = bytes;
    return m->part[m->nparts++] = guarded(bytes);
}

static inline uint64_t extent(const Routine *r, const Layout *l, Place place) {
    uint64_t end = 0;
    for (uint32_t side = 0; side < 2; side++)
        for (uint32_t k = 0; k < (side ? r->steps->nout : r->steps->nin); k++) {
            const Binding *b = side ? &r->steps->out[k] : &r->steps->in[k];
            uint64_t bytes = padded64(stored_count(l, graph_node(r->steps->graph, b->node)) * l->real_bytes);
            if (b->place == place && b->offset + bytes > end) end = b->offset + bytes;
        }
    return end;
}

static const int64_t example_keys[64] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                         16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
                                         32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47};
static int32_t reversed_rows[64];

/* Inputs in [low, high], outputs in [-1, 1] (they may be added to).  rows[i] = n - 1 - i where there is a record. */
static inline Memory memory_new(const Routine *r, const Layout *l, int64_t n, double low, double high) {
    Memory m = {0};
    static double scalars[16];
    for (int k = 0; k < 16; k++) scalars[k] = 0.75 + 0.125 * k; /* not 0, which would hide what they scale */
    const Step *s = r->steps;
    for (int k = 0; k < 64; k++) reversed_rows[k] = (int32_t)(n - 1 - k);
    m.frame.shared = memory_part(&m, extent(r, l, PLACE_SHARED));
    m.frame.accum = memory_part(&m, extent(r, l, PLACE_ACCUM));
    m.frame.rest = memory_part(&m, r->rest_bytes * (uint64_t)n);
    m.frame.drest = memory_part(&m, r->rest_bytes * (uint64_t)n);
    m.frame.tape = memory_part(&m, r->tape_bytes * (uint64_t)n);
    void **args = &m.frame.arg0;
    for (int k = 0; k < 8; k++) args[k] = memory_part(&m, r->arg_bytes[k] * (uint64_t)(r->rows ? n : 1));
    m.frame.rows = r->rest_bytes ? reversed_rows : NULL;
    m.frame.scalars = scalars;
    m.frame.example = example_keys;
    for (uint32_t side = 0; side < 2; side++) {
        for (uint32_t k = 0; k < (side ? s->nin : s->nout); k++) { /* inputs last: they may share a place */
            const Binding *b = side ? &s->in[k] : &s->out[k];
            if (b->place == PLACE_SCALAR) continue; /* frame.scalars has them */
            const Node *node = graph_node(s->graph, b->node);
            bool shared = b->place == PLACE_SHARED || b->place == PLACE_ACCUM || !r->rows;
            for (int64_t i = 0; i < (shared ? 1 : n); i++) {
                uint64_t row = (uint64_t)i;
                char *at = b->place == PLACE_SHARED  ? m.frame.shared
                           : b->place == PLACE_ACCUM ? m.frame.accum
                           : b->place == PLACE_REST  ? (char *)m.frame.rest + row * r->rest_bytes
                           : b->place == PLACE_DREST ? (char *)m.frame.drest + row * r->rest_bytes
                           : b->place == PLACE_TAPE  ? (char *)m.frame.tape + row * r->tape_bytes
                                                     : (char *)args[b->index] + row * r->arg_bytes[b->index];
                bool add = b->place == PLACE_ACCUM || b->place == PLACE_DREST;
                uint64_t count = stored_count(l, node);
                fill_row(l, at + b->offset, count, side ? low : -1, side ? high : 1);
                if (add)
                    for (uint64_t e = count; e < padded64(count * l->real_bytes) / l->real_bytes; e++)
                        put_real(l, at + b->offset, e, 0);
                if (side && node->attr.input.packed) { /* panels are filled up with zeros */
                    uint64_t p = l->panel, rows = node->shape.dims[0];
                    for (uint64_t e = 0; e < count; e++)
                        if (e / p / rows * p + e % p >= node->shape.dims[1]) put_real(l, at + b->offset, e, 0);
                }
            }
        }
    }
    return m;
}

static inline Memory memory_copy(const Memory *from) {
    Memory m = *from;
    void **fields[] = {&m.frame.shared, &m.frame.accum, &m.frame.rest, &m.frame.drest, &m.frame.tape};
    for (uint32_t k = 0; k < from->nparts; k++) {
        m.part[k] = guarded(from->bytes[k]);
        memcpy(m.part[k], from->part[k], from->bytes[k]);
        if (k < 5)
            *fields[k] = m.part[k];
        else
            (&m.frame.arg0)[k - 5] = m.part[k];
    }
    return m;
}

static inline void memory_run(const Loaded *loaded, uint32_t routine, Memory *m, int64_t n) {
    const deq_routine *r = &loaded->module->routines[routine];
    uint64_t bytes = (uint64_t)r->base_bytes + (uint64_t)n * (uint64_t)r->row_bytes;
    m->frame.scratch = guarded(bytes);
    memset(m->frame.scratch, 0xFF, bytes); /* NaN */
    r->function(&m->frame, n);
    unguarded(m->frame.scratch, bytes);
    m->frame.scratch = NULL;
}

static inline char *output_row(const Routine *r, const Memory *m, const Binding *b, int64_t i) {
    uint64_t row = (uint64_t)i;
    char *at = NULL;
    switch (b->place) {
    case PLACE_SHARED: at = m->frame.shared; break;
    case PLACE_ACCUM: at = m->frame.accum; break;
    case PLACE_DREST: at = (char *)m->frame.drest + row * r->rest_bytes; break;
    case PLACE_TAPE: at = (char *)m->frame.tape + row * r->tape_bytes; break;
    case PLACE_ARG: at = (char *)(&m->frame.arg0)[b->index] + row * r->arg_bytes[b->index]; break;
    default: fail_msg("no output goes there");
    }
    return at + b->offset;
}

static inline void memory_release(Memory *m) {
    for (uint32_t k = 0; k < m->nparts; k++) unguarded(m->part[k], m->bytes[k]);
}

/* Runs the routine with n rows in both ways; every output must agree within `tolerance` of its largest element. */
static inline Memory compare_routine(const Loaded *loaded, uint32_t routine, int64_t n, double low, double high,
                                     double tolerance, const InterpretCalls *calls) {
    const Unit *u = loaded->unit;
    const Routine *r = u->routines[routine];
    Memory m = memory_new(r, &u->layout, n, low, high), reference = memory_copy(&m);
    Arena *a = arena_new();
    interpret_routine(a, r, &u->layout, &reference.frame, n, calls ? calls : &test_calls);
    arena_free(a);
    memory_run(loaded, routine, &m, n);
    for (uint32_t k = 0; k < r->steps->nout; k++) {
        const Binding *b = &r->steps->out[k];
        const Node *node = graph_node(r->steps->graph, b->node);
        uint64_t count = stored_count(&u->layout, node),
                 lanes = padded64(count * u->layout.real_bytes) / u->layout.real_bytes;
        bool shared = b->place == PLACE_SHARED || b->place == PLACE_ACCUM || !r->rows;
        for (int64_t i = 0; i < (shared ? 1 : n); i++) {
            const char *x = output_row(r, &m, b, i), *y = output_row(r, &reference, b, i);
            double scale = 1e-3;
            for (uint64_t e = 0; e < count; e++)
                if (isfinite(get_real(&u->layout, y, e))) scale = fmax(scale, fabs(get_real(&u->layout, y, e)));
            for (uint64_t e = 0; e < lanes; e++) {
                double p = get_real(&u->layout, x, e), q = e < count ? get_real(&u->layout, y, e) : 0;
                bool same = p == q || (isnan(p) && isnan(q)) || fabs(p - q) <= tolerance * scale;
                if (!same) {
                    graph_print(r->steps->graph, stderr);
                    fail_msg("%s: n %d, output %u, row %d, element %d of %d: %.9g, not %.9g", r->name, (int)n, k,
                             (int)i, (int)e, (int)count, p, q);
                }
            }
        }
    }
    memory_release(&reference);
    return m;
}

#endif
