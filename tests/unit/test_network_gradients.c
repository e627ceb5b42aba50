/* test_network_gradients.c - the library's networks with fixed points or heads of their own, small, in every gradient
 * mode, against differences of the loss at the equilibrium.
 *
 * Untrained cells of convolutions have no equilibrium a solver reaches; they are made contractions.  Modes that are
 * inexact take so many steps that they must come to the exact gradient; jfb takes one, and is compared with differences
 * of the loss after it.  Heads normalise by statistics of the batch, which every mode must see in training. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "compiled_net.h"
#include "contraction.h"
#include "mode_texts.h"
#include "manifest.h"

#define SHARE 0.05
#define STEP 5e-6
#define TOLERANCE 2e-6
#define ROUNDING 1e-14 /* of a loss, whose states have residuals like it */

static const char program[] =
    "import std.conv_deq (ConvDeq)\n"
    "import std.mdeq (Four, Head2, Head4, Small, Two)\n\n"
    "layer Twos(x: f32[8, 4, 4]) -> f32[160] {\n"
    "  use body = Two[8, 8, 1, 2]\n"
    "  let (z0, z1) = body(x)\n"
    "  return concat(flatten(z0), flatten(z1))\n}\n\n"
    "layer Fours(x: f32[8, 8, 8]) -> f32[680] {\n"
    "  use body = Four[8, 8, 8, 8, 1, 1]\n"
    "  let (z0, z1, z2, z3) = body(x)\n"
    "  return concat(concat(flatten(z0), flatten(z1)), concat(flatten(z2), flatten(z3)))\n}\n\n"
    "layer State[N](x: f32[N]) -> f32[N] {\n"
    "  param W: f32[N, N] = normal(std: 0.3 / sqrt(N))\n"
    "  fixed point z: f32[N] { z = tanh(z @ W + x) }\n"
    "  return z\n}\n\n"
    "layer Heads2(x: f32[64]) -> f32[3] {\n"
    "  use body = State[64]\n"
    "  use head = Head2[3, 4, 1, 2, 5, 3]\n"
    "  let z = body(x)\n"
    "  return head(reshape(z[0..48], [3, 4, 4]), reshape(z[48..64], [4, 2, 2]))\n}\n\n"
    "layer Heads4(x: f32[255]) -> f32[3] {\n"
    "  use body = State[255]\n"
    "  use head = Head4[3, 3, 3, 3, 1, 2, 1, 2, 5, 3]\n"
    "  let z = body(x)\n"
    "  return head(reshape(z[0..192], [3, 8, 8]), reshape(z[192..240], [3, 4, 4]), reshape(z[240..252], [3, 2, 2]), "
    "reshape(z[252..255], [3, 1, 1]))\n}\n\n"
    "test \"1\" { check: gradcheck(Twos, directions: 1, tol: 1) }\n"
    "test \"2\" { check: gradcheck(Fours, directions: 1, tol: 1) }\n"
    "test \"3\" { check: gradcheck(Heads2, directions: 1, tol: 1) }\n"
    "test \"4\" { check: gradcheck(Heads4, directions: 1, tol: 1) }\n"
    "test \"5\" { check: gradcheck(Small[1, 2, 3], directions: 1, tol: 1) }\n"
    "test \"6\" { check: gradcheck(ConvDeq[1, 16, 2, 3], directions: 1, tol: 1) }\n";

/* ---- modes: enough of each to be exact ---- */
typedef struct ModeRow {
    const char *spelling, *text, *forward;
} ModeRow;
static const ModeRow modes[] = {
#define MODE(id, spelling, traits, forward, doc) {spelling, NETWORK_##id, forward},
#include "modes.def"
};
#define MODES ((int)(sizeof modes / sizeof *modes))

static void must(bool ok, const char *what, const deq_error *e) {
    if (!ok) fail_msg("%s: %s", what, e->text);
}

static void set_mode(deq_probe *p, int mode) {
    deq_error e = {0};
    const char *forward = !strcmp(modes[mode].forward, "any") ? "broyden" : modes[mode].forward;
    char text[96];
    snprintf(text, sizeof text, "%.*s(tol: 1e-14, max: 150)", (int)strcspn(forward, "|"), forward);
    must(deq_engine_set(p->engine, "gradient", "jfb()", &e), text, &e); /* it fits every solver */
    must(deq_engine_set(p->engine, "forward", text, &e), text, &e);
    must(deq_engine_set(p->engine, "gradient", modes[mode].text, &e), modes[mode].text, &e);
}

/* One direction in each group; returns the size of the losses. */
static double differences(deq_probe *p, double *slopes, double *direction) {
    deq_error e = {0};
    double largest = 1;
    for (int g = 0; g < p->ngroups; g++) {
        double above, below;
        deq_probe_direction(deq_key_text(31, p->groups[g].name), p->groups[g].count, direction);
        p->training = deq_probe_in_training(p, &p->groups[g]);
        must(deq_probe_hold(p, &e) && deq_probe_loss(p, &above, &e), p->groups[g].name, &e); /* holds the states */
        must(deq_probe_shifted(p, &p->groups[g], direction, STEP, &above, &below, &e), p->groups[g].name, &e);
        slopes[g] = (above - below) / (2 * STEP);
        largest = fmax(largest, fabs(above));
    }
    p->training = false;
    return largest;
}

static void compare(deq_probe *p, int mode, const double *slopes, double loss, double *gradient, double *direction) {
    deq_error e = {0};
    must(deq_probe_gradient(p, gradient, &e), modes[mode].text, &e);
    if (mode != DEQ_MODE_augmented && mode != DEQ_MODE_jfb && !(p->last.forward.worst_residual < 1e-12))
        fail_msg("%s: the solves only reach %g", p->net->name, p->last.forward.worst_residual);
    for (int g = 0; g < p->ngroups; g++) {
        double slope = 0, length = 0;
        const double *own = gradient + p->groups[g].first;
        deq_probe_direction(deq_key_text(31, p->groups[g].name), p->groups[g].count, direction);
        for (int64_t i = 0; i < p->groups[g].count; i++) slope += direction[i] * own[i], length += own[i] * own[i];
        if (!(fabs(slope - slopes[g]) <= TOLERANCE * fmax(fabs(slope), 0.1 * sqrt(length)) + ROUNDING * loss / STEP))
            fail_msg("%s, %s: the slope in %s is %.9g, by differences %.9g", p->net->name, modes[mode].text,
                     p->groups[g].name, slope, slopes[g]);
    }
}

static void check(const deq_module *module, const deq_net_spec *net) {
    deq_error e = {0};
    deq_probe p;
    must(deq_probe_open(&p, module, net, "projection", 2, 1, 0, &e) && deq_probe_random(&p, 3, &e), net->name, &e);
    static const char *const cells[] = {"body.", "cell.", "block", "up", "down", "post"};
    for (size_t k = 0; k < sizeof cells / sizeof *cells; k++) contract(&p, cells[k], SHARE);
    double *slopes = calloc((size_t)p.ngroups, sizeof *slopes), *steps = calloc((size_t)p.ngroups, sizeof *steps);
    double *gradient = calloc((size_t)p.length, sizeof *gradient);
    double *direction = calloc((size_t)p.length, sizeof *gradient);
    assert_true(slopes && steps && gradient && direction);
    set_mode(&p, DEQ_MODE_implicit);
    double loss = differences(&p, slopes, direction);
    for (int mode = 0; mode < MODES; mode++) {
        set_mode(&p, mode);
        p.steps = mode == DEQ_MODE_jfb;
        if (p.steps) differences(&p, steps, direction);
        compare(&p, mode, p.steps ? steps : slopes, loss, gradient, direction);
        p.steps = false;
        must(deq_probe_hold(&p, &e), net->name, &e);
    }
    free(slopes), free(steps), free(gradient), free(direction);
    deq_probe_close(&p);
}

static void test_networks(void **state) {
    (void)state;
    deq_error e = {0};
    Compilation c;
    const char *path = net_program(program);
    CompileOptions o = {.path = path, .f64 = true, .tests = true, .optimise = 1, .last = STAGE_compile};
    int code = compile(&o, &c);
    if (code) diags_print(c.diags, stderr, false);
    assert_int_equal(code, 0);
    assert_int_equal(compile_load(&c), 0);
    unlink(path);
    deq_manifest *m = deq_manifest_read(c.module, &e);
    must(m != NULL, "manifest", &e);
    assert_int_equal(m->ntests, 6);
    for (int i = 0; i < m->ntests; i++) check(c.module, m->tests[i].net);
    deq_manifest_free(m);
    compile_free(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_networks)};
    return cmocka_run_group_tests_name("network gradients", tests, NULL, NULL);
}
