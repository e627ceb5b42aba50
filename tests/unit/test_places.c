/* places.c: names in the order of the text, what is around a place, which names are known there; texts that stand for files. */
#include "lang_support.h"
#include "check.h"
#include "places.h"
#include "tables.h"
#include <unistd.h>

static const char script[] = "import std.layers (Dense)\n"
                             "import std.losses as losses\n"
                             "const K = 4\n"
                             "fn half(x: f32[N], by: f32 = 2.0) -> f32[N] = x / by\n"
                             "layer Net[I](image: f32[I]) -> f32[K] {\n"
                             "  use head = Dense[I, K]\n"
                             "  let first = head(image)\n"
                             "  let (a, b) = (first, half(first, by: 4.0))\n"
                             "  return a + b\n"
                             "}\n";

static uint32_t at(const char *text, const char *words) {
    const char *p = strstr(text, words);
    assert_non_null(p);
    return (uint32_t)(p - text);
}

static Parsed resolved(const char *text) {
    Parsed p = parse_text(text);
    program_resolve(p.program);
    program_check(p.program);
    return p;
}

static void mentions(void **state) {
    (void)state;
    Parsed p = resolved(script);
    assert_int_equal(diags_errors(p.diags), 0);
    const Places all = places_of(p.arena, p.program->main);
    for (uint32_t i = 1; i < all.n; i++) assert_true(all.mentions[i - 1].at.end <= all.mentions[i].at.start);
    const Mention *m = places_at(&all, at(script, "by: 4.0") + 2); /* behind the name counts */
    assert_non_null(m);
    assert_int_equal(m->decl->kind, AST_BINDING);
    assert_int_equal(places_name(m->decl).start, at(script, "by: f32"));
    m = places_at(&all, at(script, "K] {"));
    assert_int_equal(m->decl->kind, AST_CONST);
    m = places_at(&all, at(script, "N] = x"));
    assert_int_equal(m->decl->kind, AST_SIZE_PARAM);
    assert_int_equal(places_name(m->decl).start, at(script, "N], by"));
    m = places_at(&all, at(script, "Dense)"));
    assert_true(source_embedded(m->decl->range.source));
    m = places_at(&all, at(script, "losses\n"));
    assert_true(m->declares && m->decl->kind == AST_IMPORT);
    assert_null(places_at(&all, at(script, " = 4") + 2));
    uint32_t firsts = 0;
    const Mention *first = places_at(&all, at(script, "first = "));
    assert_true(first->declares);
    for (uint32_t i = 0; i < all.n; i++) firsts += all.mentions[i].decl == first->decl;
    assert_int_equal(firsts, 3);
    parsed_free(&p);
}

/* Paths into a net: members, keys of settings, `freeze` and `rates`. */
static void paths(void **state) {
    (void)state;
    static const char text[] = "import std.layers (Dense)\n"
                               "import std.losses (cross_entropy)\n"
                               "import std.optimisers (adam)\n"
                               "import std.data (fashion_mnist)\n"
                               "layer Cell(x: f32[4]) -> f32[4] {\n"
                               "  use mix = Dense[4, 4]\n"
                               "  fixed point z: f32[4] { z = tanh(mix(z) + x) }\n"
                               "  return z\n"
                               "}\n"
                               "layer Net(image: f32[1, 28, 28]) -> f32[10] {\n"
                               "  use down = Dense[784, 4]\n"
                               "  use cell = Cell\n"
                               "  use head = Dense[4, 10]\n"
                               "  return image |> flatten |> down |> cell |> head\n"
                               "}\n"
                               "data fashion: (f32[1, 28, 28], label[10]) = fashion_mnist()\n"
                               "train net = Net on fashion.train {\n"
                               "  loss: cross_entropy\n"
                               "  optimise: adam(rate: 1e-3)\n"
                               "  epochs: 1\n"
                               "  freeze: [head.b, cell.mix]\n"
                               "  rates: { cell: 0.1; down.W: 2 }\n"
                               "}\n"
                               "experiment e {\n"
                               "  let a = accuracy(net with { cell.forward.max: 3 }, fashion.test)\n"
                               "  let b = net.cell.parameters\n"
                               "}\n";
    Parsed p = resolved(text);
    assert_int_equal(diags_errors(p.diags), 0);
    const Places all = places_of(p.arena, p.program->main);
    static const char *const cells[] = {"cell = Cell", "cell |> head", "cell.mix",
                                        "cell: 0.1",   "cell.forward", "cell.param"};
    const Ast *cell = places_at(&all, at(text, cells[0]))->decl;
    assert_int_equal(cell->kind, AST_USE);
    uint32_t n = 0;
    for (uint32_t i = 0; i < all.n; i++) n += all.mentions[i].decl == cell;
    assert_int_equal(n, sizeof cells / sizeof *cells);
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++)
        assert_ptr_equal(places_at(&all, at(text, cells[i]))->decl, cell);
    assert_int_equal(places_name(places_at(&all, at(text, "mix]"))->decl).start, at(text, "mix = Dense"));
    assert_true(source_embedded(places_at(&all, at(text, "b, cell"))->decl->range.source));
    assert_null(places_at(&all, at(text, "forward.max"))->decl);
    parsed_free(&p);
}

static bool knows(const Parsed *p, uint32_t offset, const char *name) {
    uint32_t n;
    const Visible *all = places_visible(p->arena, p->program->main, offset, &n);
    uint32_t found = 0;
    for (uint32_t i = 0; i < n; i++) found += strcmp(all[i].name, name) == 0;
    assert_true(found <= 1);
    return found;
}

static void visible(void **state) {
    (void)state;
    Parsed p = resolved(script);
    const uint32_t inside = at(script, "  let (a, b)"), result = at(script, "return a"),
                   before = at(script, "  use head");
    static const char *const known[] = {"Dense", "losses", "K", "half", "Net", "I", "image", "head", "first"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) assert_true(knows(&p, inside, known[i]));
    assert_false(knows(&p, inside, "a") || knows(&p, inside, "N") || knows(&p, inside, "x"));
    assert_true(knows(&p, result, "a") && knows(&p, result, "b"));
    assert_false(knows(&p, before, "head"));
    assert_true(knows(&p, at(script, "x / by"), "by") && !knows(&p, at(script, "x / by"), "image"));
    assert_true(places_context(p.program->main, inside) == CTX_LAYER);
    assert_true(places_context(p.program->main, at(script, "x / by")) == CTX_FN);
    parsed_free(&p);
}

/* Cut off anywhere, what stands above in the body that is open is known. */
static void unfinished(void **state) {
    (void)state;
    for (uint32_t cut = at(script, "  let (a, b)"); script[cut]; cut++) {
        char *text = strndup(script, cut);
        Parsed p = resolved(text);
        if (cut < at(script, "}\n"))
            assert_true(knows(&p, cut, "image") && knows(&p, cut, "head") && knows(&p, cut, "first"));
        const Ast *around[16];
        assert_true(places_around(p.program->main, cut, around, 16) >= 1 && around[0] == p.unit);
        parsed_free(&p);
        free(text);
    }
}

static void open_texts(void **state) {
    (void)state;
    char folder[] = "/tmp/places.XXXXXX";
    assert_non_null(mkdtemp(folder));
    Arena *a = arena_new();
    char *real = realpath(folder, NULL);
    const char *path = arena_printf(a, "%s/main.deq", real), *other = arena_printf(a, "%s/other.deq", real);
    const OpenText open[] = {{path, "import other (g)\nfn f(x: f32) -> f32 = g(x)\n"},
                             {other, "fn g(x: f32) -> f32 = x\n"}};
    Diags *ds = diags_new(a);
    Program *p = program_load_open(a, ds, path, open, 2, NULL, 0); /* neither is on the disk */
    assert_true(program_resolve(p) && program_check(p));
    FILE *f = fopen(other, "w");
    fputs("fn h(x: f32) -> f32 = x\n", f);
    fclose(f);
    p = program_load_open(a, ds, path, open, 2, NULL, 0);
    assert_int_equal(diags_errors(ds), 0);
    p = program_load_open(a, ds, path, open, 1, NULL, 0); /* the file now, which has no g */
    assert_int_equal(diags_errors(ds), 1);
    assert_int_equal(p->nmodules, 2);
    unlink(other);
    rmdir(folder);
    free(real);
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(mentions), cmocka_unit_test(paths), cmocka_unit_test(visible),
                                       cmocka_unit_test(unfinished), cmocka_unit_test(open_texts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
