/* test_stdlib_gradients.c - every layer and every map of tensors in the standard library, in every gradient mode,
 * against finite differences; and its bits, alone and in a batch, on one thread and on two.
 *
 * The tests are made from what stands in stdlib/: a new layer is tested without a line here.  Each is put inside a
 * fixed point and before one.  Modes that are inexact take so many steps that they must come to the exact gradient; the
 * Jacobian-free one is given a cell that hardly depends on its state.  A new mode needs its row in the table below. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "compile.h"
#include "check.h"
#include "type.h"
#include "manifest.h"
#include "mode_texts.h"
#include "probe.h"
#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LARGEST_INPUT 600
#define CHOICES 5 /* of sizes: the first that fit */
#define DIRECTIONS 2
#define STEP 1e-6

/* ---- modes: enough of each to be exact ---- */
typedef struct ModeRow {
    const char *spelling, *text, *forward;
} ModeRow;
static const ModeRow mode_rows[] = {
#define MODE(id, spelling, traits, forward, doc) {spelling, LIBRARY_##id, forward},
#include "modes.def"
};
#define MODES ((int)(sizeof mode_rows / sizeof *mode_rows))

static bool is_weak(int mode) { return strcmp(mode_rows[mode].text, LIBRARY_jfb) == 0; }

/* ---- what stands in the standard library ---- */
typedef struct Item {
    const char *module, *name;
    const Ast *decl;
    uint32_t sizes[8]; /* given, then inferred */
    const char *names[8];
    uint32_t ngiven, nsizes;
} Item;

static const Ast *list_of(const Ast *params, uint32_t part) { return params ? params->kids[part] : NULL; }

static bool eval_dim(const Item *t, const Ast *e, double *out) {
    double a, b;
    if (e->kind == AST_NUMBER) return *out = e->number, true;
    if (e->kind == AST_SPREAD) e = e->kids[0]; /* a pack of axes stands for one */
    for (uint32_t k = 0; e->kind == AST_NAME && k < t->nsizes; k++)
        if (!strcmp(e->name, t->names[k])) return *out = t->sizes[k], true;
    if (e->kind != AST_BINARY || !eval_dim(t, e->kids[0], &a) || !eval_dim(t, e->kids[1], &b)) return false;
    return *out = *e->name == '+' ? a + b : *e->name == '-' ? a - b : *e->name == '*' ? a * b : a / b, true;
}

/* "[4, 3]" and the count of the type's dims; NULL when they are not known. */
static const char *dims_text(Arena *a, const Item *t, const Ast *type, uint32_t *count) {
    const Ast *dims = AST_SLOT(type, TYPE, dims);
    const char *text = "";
    *count = 1;
    for (uint32_t k = 0; dims && k < dims->nkids; k++) {
        double v;
        if (!eval_dim(t, dims->kids[k], &v) || v < 1 || v != floor(v)) return NULL;
        *count *= (uint32_t)v;
        text = arena_printf(a, "%s%s%u", text, k ? ", " : "[", (uint32_t)v);
    }
    return dims ? arena_printf(a, "%s]", text) : NULL;
}

static bool is_tensor(const Type *t) { return t && t->kind == TYPE_TENSOR && t->elem == ELEM_REAL && t->rank > 0; }

/* A map from one or more real tensors of one shape to a real tensor. */
static bool is_map(const Ast *d) {
    if (d->kind != AST_LAYER && d->kind != AST_FN) return false;
    const Ast *params = d->kind == AST_LAYER ? AST_SLOT(d, LAYER, inputs) : AST_SLOT(d, FN, inputs);
    const Ast *result = d->kind == AST_LAYER ? AST_SLOT(d, LAYER, result) : AST_SLOT(d, FN, result);
    uint32_t tensors = 0;
    for (uint32_t part = 0; part < 2; part++)
        for (uint32_t k = 0; list_of(params, part) && k < list_of(params, part)->nkids; k++) {
            const Ast *b = list_of(params, part)->kids[k];
            const Type *type = b->type;
            if (AST_SLOT(b, BINDING, fallback)) continue;
            if (is_tensor(type))
                tensors++;
            else if (!type || type->kind != TYPE_TENSOR || type->rank > 0 || type->elem == ELEM_LABEL ||
                     type->elem == ELEM_BOOL)
                return false;
        }
    const Ast *dims = result && result->kind == AST_TYPE ? AST_SLOT(result, TYPE, dims) : NULL;
    return tensors > 0 && dims && !strcmp(result->name, "f32");
}

static void size_names(Item *t) {
    const Ast *sizes = t->decl->kind == AST_LAYER ? AST_SLOT(t->decl, LAYER, sizes) : AST_SLOT(t->decl, FN, sizes);
    t->nsizes = t->ngiven = 0;
    for (uint32_t part = 0; sizes && part < 2; part++)
        for (uint32_t k = 0; sizes->kids[part] && k < sizes->kids[part]->nkids && t->nsizes < 8; k++) {
            t->names[t->nsizes++] = sizes->kids[part]->kids[k]->name;
            t->ngiven += part == 0 && t->decl->kind == AST_LAYER;
        }
}

/* ---- programs ---- */

/* The call `inner(x, count: 2)` with `x` for every tensor. */
static const char *call_text(Arena *a, const Item *t, const char *callee, const char *x) {
    const Ast *params = t->decl->kind == AST_LAYER ? AST_SLOT(t->decl, LAYER, inputs) : AST_SLOT(t->decl, FN, inputs);
    const char *text = arena_printf(a, "%s(", callee);
    for (uint32_t part = 0; part < 2; part++) {
        const Ast *list = list_of(params, part);
        for (uint32_t k = 0; list && k < list->nkids; k++) {
            const Ast *b = list->kids[k];
            if (AST_SLOT(b, BINDING, fallback)) continue;
            const char *value = is_tensor(b->type) ? x : b->type->elem == ELEM_INT ? "2" : "0.5";
            text = arena_printf(a, "%s%s%s", text, k ? ", " : "", value);
        }
        if (part == 0 && list && list->nkids) text = arena_printf(a, "%s; ", text);
    }
    return arena_printf(a, "%s)", text);
}

static const char *program_text(Arena *a, const Item *t, bool inside, uint32_t *elements) {
    const Ast *params = t->decl->kind == AST_LAYER ? AST_SLOT(t->decl, LAYER, inputs) : AST_SLOT(t->decl, FN, inputs);
    const char *dims = NULL, *given = "";
    for (uint32_t part = 0; !dims && part < 2; part++)
        for (uint32_t k = 0; !dims && list_of(params, part) && k < list_of(params, part)->nkids; k++) {
            const Ast *b = list_of(params, part)->kids[k];
            if (is_tensor(b->type)) dims = dims_text(a, t, AST_SLOT(b, BINDING, type), elements);
        }
    if (!dims) return NULL;
    for (uint32_t k = 0; k < t->ngiven; k++)
        given = arena_printf(a, "%s%s%u%s", given, k ? ", " : "[", t->sizes[k], k + 1 == t->ngiven ? "]" : "");
    bool layer = t->decl->kind == AST_LAYER;
    const char *use = layer ? arena_printf(a, "  use inner = library.%s%s\n", t->name, given) : "";
    const char *callee = layer ? "inner" : arena_printf(a, "library.%s", t->name);
    const char *head = arena_printf(
        a,
        "import %s as library\n\n"
        "layer Back[K; N](v: f32[N]) -> f32[K] {\n  param M: f32[N, K] = normal(std: 0.3 / "
        "sqrt(N))\n  return v @ M\n}\n\n"
        "layer Host(x: f32%s) -> f32[%u] {\n%s  use back = Back[%u]\n  buffer share: f32 = constant(0.3)\n",
        t->module, dims, *elements, use, *elements);
    const char *tail = "\n  return flatten(z)\n}\n\ntest \"host\" { check: gradcheck(Host, directions: 1, tol: 1) }\n";
    if (inside)
        return arena_printf(a,
                            "%s\n  fixed point z: f32%s {\n    z = reshape(tanh(%s |> flatten |> back), %s)\n  }\n%s",
                            head, dims, call_text(a, t, callee, "(share * z + x)"), dims, tail);
    return arena_printf(a,
                        "%s  param mix: f32[%u, %u] = normal(std: 1 / sqrt(%u))\n  let u = %s |> flatten |> back\n\n"
                        "  fixed point z: f32[%u] {\n    z = tanh(share * (z @ mix) + u)\n  }\n%s",
                        head, *elements, *elements, *elements, call_text(a, t, callee, "x"), *elements, tail);
}

static char path[64];

/* 0, or the diagnostics in *said. */
static int compile_text(const char *text, bool f64, Compilation *c, char **said) {
    size_t size = 0;
    snprintf(path, sizeof path, "/tmp/test_stdlib_%d.deq", (int)getpid());
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    CompileOptions o = {.path = path, .f64 = f64, .tests = true, .optimise = 1, .last = STAGE_compile};
    int code = compile(&o, c);
    FILE *out = open_memstream(said, &size);
    assert_non_null(out);
    diags_print(c->diags, out, false);
    fclose(out);
    unlink(path);
    return code ? code : compile_load(c);
}

/* ---- one program ---- */
static void must(bool ok, const char *what, const deq_error *e) {
    if (!ok) fail_msg("%s: %s", what, e->text);
}

static void set_mode(deq_probe *p, const char *what, int mode, bool f64) {
    deq_error e = {0};
    const char *forward = !strcmp(mode_rows[mode].forward, "any") ? "broyden" : mode_rows[mode].forward;
    char text[96];
    snprintf(text, sizeof text, "%.*s(tol: %s, max: 300)", (int)strcspn(forward, "|"), forward, f64 ? "1e-14" : "1e-5");
    must(deq_engine_set(p->engine, "gradient", "jfb()", &e), what, &e); /* it fits every solver */
    must(deq_engine_set(p->engine, "forward", text, &e), what, &e);
    must(deq_engine_set(p->engine, "gradient", mode_rows[mode].text, &e), what, &e);
}

/* Slopes of the loss by central differences: for each group and direction. */
static void differences(deq_probe *p, const char *what, double *slopes, double *direction) {
    deq_error e = {0};
    set_mode(p, what, DEQ_MODE_implicit, true);
    for (int g = 0; g < p->ngroups; g++)
        for (int d = 0; d < DIRECTIONS; d++) {
            double above, below;
            deq_probe_direction((uint64_t)(100 * g + d), p->groups[g].count, direction);
            must(deq_probe_shifted(p, &p->groups[g], direction, STEP, &above, &below, &e), what, &e);
            slopes[g * DIRECTIONS + d] = (above - below) / (2 * STEP);
        }
}

static void check_mode(deq_probe *p, const char *what, int mode, const double *slopes, double *gradient,
                       double *direction) {
    deq_error e = {0};
    set_mode(p, what, mode, true);
    must(deq_probe_gradient(p, gradient, &e), mode_rows[mode].text, &e);
    for (int g = 0; g < p->ngroups; g++) {
        double apart = 0, size = 0;
        for (int d = 0; d < DIRECTIONS; d++) {
            double slope = 0;
            deq_probe_direction((uint64_t)(100 * g + d), p->groups[g].count, direction);
            for (int64_t i = 0; i < p->groups[g].count; i++) slope += direction[i] * gradient[p->groups[g].first + i];
            apart = fmax(apart, fabs(slope - slopes[g * DIRECTIONS + d]));
            size = fmax(size, fabs(slopes[g * DIRECTIONS + d]));
        }
        if (!(apart <= 1e-6 * size + 1e-8))
            fail_msg("%s, %s: the gradient of %s is off by %g of %g", what, mode_rows[mode].text, p->groups[g].name,
                     apart, size);
    }
}

/* The state's share in its own equation, a buffer of the host. */
static void set_share(deq_probe *p, double share) {
    for (int i = 0; i < p->net->nparameters; i++)
        if (!strcmp(p->net->parameters[i].path, "share"))
            *(double *)(void *)((char *)deq_engine_parameters(p->engine) + p->net->parameters[i].offset) = share;
    deq_engine_prepare(p->engine);
}

static void check_differences(const char *what, const deq_module *module) {
    deq_error e = {0};
    deq_manifest *m = deq_manifest_read(module, &e);
    if (!m) fail_msg("%s: %s", what, e.text);
    const deq_net_spec *net = deq_manifest_net(m, "Host");
    assert_non_null(net);
    deq_probe p;
    must(deq_probe_open(&p, module, net, "projection", 2, 1, 0, &e) && deq_probe_random(&p, 3, &e), what, &e);
    double *slopes = calloc((size_t)(p.ngroups * DIRECTIONS), sizeof *slopes);
    double *gradient = calloc((size_t)p.length, sizeof *gradient),
           *direction = calloc((size_t)p.length, sizeof *gradient);
    assert_true(slopes && gradient && direction);
    for (int weak = 0; weak < 2; weak++) {
        set_share(&p, weak ? 1e-8 : 0.3);
        differences(&p, what, slopes, direction);
        for (int mode = 0; mode < MODES; mode++)
            if (is_weak(mode) == weak) check_mode(&p, what, mode, slopes, gradient, direction);
    }
    free(slopes), free(gradient), free(direction);
    deq_probe_close(&p);
    deq_manifest_free(m);
}

/* f32: inputs' gradients of five examples at once and one by one; parameters' on one thread and on two. */
static void check_bits(const char *what, const deq_module *module) {
    enum { N = 5 };
    deq_error e = {0};
    deq_manifest *m = deq_manifest_read(module, &e);
    if (!m) fail_msg("%s: %s", what, e.text);
    const deq_net_spec *net = deq_manifest_net(m, "Host");
    deq_probe one, two;
    must(deq_probe_open(&one, module, net, "projection", N, 1, 2, &e) && deq_probe_random(&one, 3, &e), what, &e);
    must(deq_probe_open(&two, module, net, "projection", N, 2, 2, &e) && deq_probe_random(&two, 3, &e), what, &e);
    float *all = calloc((size_t)(N * one.inputs), sizeof *all), *single = calloc((size_t)one.inputs, sizeof *single);
    double *a = calloc((size_t)one.length, sizeof *a), *b = calloc((size_t)one.length, sizeof *b);
    assert_true(all && single && a && b);
    for (int mode = 0; mode < MODES; mode++) {
        set_mode(&one, what, mode, false);
        set_mode(&two, what, mode, false);
        deq_results r = {0};
        must(deq_engine_input_gradient(one.engine, N, one.x, one.y, "projection", all, &r, &e), what, &e);
        for (int64_t i = 0; i < N; i++) {
            must(deq_engine_input_gradient(one.engine, 1, (float *)one.x + i * one.inputs,
                                           (float *)one.y + i * one.targets, "projection", single, &r, &e),
                 what, &e);
            if (memcmp(single, all + i * one.inputs, (size_t)one.inputs * sizeof *single))
                fail_msg("%s, %s: example %d alone has other bits", what, mode_rows[mode].text, (int)i);
        }
        must(deq_probe_gradient(&one, a, &e) && deq_probe_gradient(&two, b, &e), what, &e);
        if (memcmp(a, b, (size_t)one.length * sizeof *a))
            fail_msg("%s, %s: two threads give other bits", what, mode_rows[mode].text);
    }
    free(all), free(single), free(a), free(b);
    deq_probe_close(&one), deq_probe_close(&two);
    deq_manifest_free(m);
}

/* False: these sizes do not fit the layer.  *outside: it cannot stand in a fixed point. */
static bool try_program(Arena *a, const Item *t, bool inside, bool f64, bool *outside, char **said) {
    uint32_t elements;
    Compilation c;
    const char *text = program_text(a, t, inside, &elements);
    *said = NULL;
    if (!text) return false;
    if (elements > LARGEST_INPUT) {
        print_message("%s.%s takes %u elements: a whole network, which has tests of its own\n", t->module, t->name,
                      elements);
        return true;
    }
    int code = compile_text(text, f64, &c, said);
    *outside = strstr(*said, "E0440") || strstr(*said, "E0441");
    if (code == 0) {
        const char *what = arena_printf(a, "%s.%s %s a fixed point", t->module, t->name, inside ? "inside" : "before");
        if (f64)
            check_differences(what, c.module);
        else
            check_bits(what, c.module);
    }
    compile_free(&c);
    return code == 0;
}

/* Parts of networks, whose groups need many channels: small otherwise. */
static const struct {
    const char *name;
    uint32_t sizes[5];
} own_sizes[] = {{"Block", {8, 1, 2, 2}},       {"Up", {3, 8, 2, 2}},       {"Down", {3, 8, 4, 4}},
                 {"Down2", {8, 8, 4, 4}},       {"Down3", {8, 8, 5, 5}},    {"Post", {8, 2, 2}},
                 {"Cell", {8, 2, 2}},           {"Increase", {3, 2, 3, 3}}, {"Reduce", {3, 4, 4, 4}},
                 {"Classify", {3, 5, 4, 3, 3}}, {"Wide", {1, 2, 2, 2}},     {"Mlp", {1, 3, 4, 3}},
                 {"SmallCnn", {1, 1, 2, 3}}};

static uint32_t size_of(const Item *t, size_t choice, uint32_t i) {
    static const uint32_t choices[CHOICES][4] = {
        {5, 3, 4, 4}, {4, 6, 4, 4}, {8, 8, 4, 4}, {8, 16, 8, 8}, {16, 16, 8, 8}};
    for (size_t k = 0; k < sizeof own_sizes / sizeof *own_sizes; k++)
        if (!strcmp(t->name, own_sizes[k].name)) return own_sizes[k].sizes[i < 5 ? i : 4];
    return choices[choice][i < 4 ? i : 3];
}

static bool is_network(const Item *t) {
    static const char *const modules[] = {"std.mdeq", "std.conv_deq", "std.resnet", "std.baselines"};
    for (size_t k = 0; k < sizeof modules / sizeof *modules; k++)
        if (!strcmp(t->module, modules[k])) return true;
    return false;
}

static void check_item(Arena *a, Item *t) {
    bool outside = false, fits = false;
    char *said = NULL;
    size_names(t);
    for (size_t k = 0; !fits && k < CHOICES; k++) {
        for (uint32_t i = 0; i < t->nsizes; i++) t->sizes[i] = size_of(t, k, i);
        free(said);
        fits = try_program(a, t, false, true, &outside, &said);
    }
    if (!fits && said && strstr(said, "has states or loops that run")) { /* nothing is differentiated through it */
        free(said);
        return;
    }
    if (!fits)
        fail_msg("%s.%s cannot be made into a net:\n%s", t->module, t->name, said ? said : "its dims are not known");
    free(said);
    bool inside = try_program(a, t, true, true, &outside, &said);
    if (!inside && !outside) fail_msg("%s.%s: %s", t->module, t->name, said);
    free(said);
    if (is_network(t)) return; /* made of layers whose bits are checked */
    if (!try_program(a, t, inside, false, &outside, &said)) fail_msg("%s.%s: %s", t->module, t->name, said);
    free(said);
}

/* Networks with fixed points of their own, or of several images: test_network_gradients.c and tests/networks check
 * them. The explicit ones at published sizes are made of blocks that are checked here. */
static const char *const elsewhere[] = {"Two",   "Four",       "Head2",   "Head4",    "Small",          "Tiny",
                                        "Large", "ExtraLarge", "ConvDeq", "ResNet18", "PreActResNet18", "WideResNet34"};

static bool is_elsewhere(const char *name) {
    for (size_t k = 0; k < sizeof elsewhere / sizeof *elsewhere; k++)
        if (!strcmp(name, elsewhere[k])) return true;
    return false;
}

static int items_of(Arena *a, const char *module) {
    Diags *ds = diags_new(a);
    int n = 0;
    Program *p = program_load_text(a, ds, "modules.deq", arena_printf(a, "import %s as library\n", module));
    program_resolve(p);
    program_check(p);
    for (uint32_t m = 0; m < p->nmodules; m++) {
        const Ast *unit = p->modules[m]->unit;
        if (strcmp(p->modules[m]->path, module) != 0) continue;
        for (uint32_t k = 0; k < unit->nkids; k++) {
            Item t = {.module = module, .name = unit->kids[k]->name, .decl = unit->kids[k]};
            if (!is_map(t.decl) || is_elsewhere(t.name)) continue;
            check_item(a, &t);
            n++;
        }
    }
    return n;
}

static void test_every_layer(void **state) {
    (void)state;
    glob_t files;
    int n = 0;
    assert_int_equal(glob(DEQ_SOURCE_DIR "/stdlib/*.deq", 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        Arena *a = arena_new();
        const char *name = strrchr(files.gl_pathv[i], '/') + 1;
        n += items_of(a, arena_printf(a, "std.%.*s", (int)strlen(name) - 4, name));
        arena_free(a);
    }
    globfree(&files);
    print_message("%d layers and functions\n", n);
    assert_true(n >= 35);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_layer)};
    return cmocka_run_group_tests_name("stdlib gradients", tests, NULL, NULL);
}
