/* Attacks, optimisers and scalar functions: their routines, run by the interpreter, against the same method in C. */
#include "elaborate_support.h"
#include "machine.h"

enum { N = 3, D = 4, K = 3 }; /* examples, input, classes */

static const char *const program = "import std.attacks (apgd, momentum_pgd, pgd, pgd_restarts, fgsm)\n"
                                   "import std.optimisers (adam, sgd)\n"
                                   "import std.schedules (cosine)\n"
                                   "import std.losses (cross_entropy)\n"
                                   "import std.data (idx)\n"
                                   "layer L(x: f32[4]) -> f32[3] { param W: f32[4, 3] = glorot()\n return x @ W }\n"
                                   "data d: (f32[4], label[3]) = idx(images: \"a\", labels: \"b\")\n"
                                   "attack rounds(x: f32[..S], y: label[K]; radius: f32, iterations: int) {\n"
                                   "  state a = x\n"
                                   "  state trail = zeros\n"
                                   "  let double = 2 * x\n"
                                   "  repeat iterations + 1 {\n"
                                   "    let old = a\n"
                                   "    for t in 0..2 { a = a + radius * t }\n"
                                   "    trail = trail + old + double\n"
                                   "    a = a + trail\n"
                                   "  }\n"
                                   "  return a + 0 * trail + picked(logits(a), y)\n"
                                   "}\n"
                                   "fn picked(v: f32[K], k: label[K]) -> f32 = dot(v, one_hot(k))\n"
                                   "fn moved(w: f32[..S], b: f32, room: f32[..S]) -> f32[..S] {\n"
                                   "  state reach = 0.0\n"
                                   "  repeat 30 until sum(abs(w) * min(reach, room)) >= b {\n"
                                   "    let covered = sum(abs(w) * min(reach, room))\n"
                                   "    let open = sum(if reach < room then abs(w) else 0)\n"
                                   "    reach = reach + (b - covered) / (open + 1e-12)\n"
                                   "  }\n"
                                   "  return sign(w) * min(reach, room)\n"
                                   "}\n"
                                   "fn power(a: f32, n: int) -> f32 {\n"
                                   "  state p = 1.0\n"
                                   "  for i in 0..n { p = p * (a + 0 * i) }\n"
                                   "  return p\n"
                                   "}\n"
                                   "fn fifth(a: f32) -> f32 = a * power(power(a, 2), 2)\n"
                                   "attack onto(x: f32[..S], y: label[K]; b: f32, turns: int) {\n"
                                   "  state a = x\n"
                                   "  repeat turns {\n"
                                   "    let g = gradient(loss, at: a)\n"
                                   "    let old = a\n"
                                   "    a = old + moved(g, b + 0.1 * fifth(0.5), 1 - old) + 0 * (b |> power(turns))\n"
                                   "  }\n"
                                   "  return a\n"
                                   "}\n";

static Elab *elaborate_program(Parsed *p, const char *rest) {
    Arena *a = arena_new();
    *p = parse_checked(arena_printf(a, "%s%s", program, rest));
    arena_free(a);
    return elaborate_text(p, NULL);
}

/* ---- the world outside: a loss whose gradient is known, draws from a table ---- */
static const double weight[D] = {1, -2, 0.5, -0.25};
static int queries;
static bool peaked; /* the loss is -sum(|weight| (x - peak)^2) / 2 instead */
static const double peak[D] = {0.1371, 0.2613, 0.9127, 0.4731};
static double visited[4096]; /* the first element of the first example of every gradient that is asked for */
static int nvisited;

static double loss_of(int k, double v) {
    return peaked ? -0.5 * fabs(weight[k]) * (v - peak[k]) * (v - peak[k]) : 0.5 * weight[k] * v * v;
}

static double slope_of(int k, double v) { return peaked ? -fabs(weight[k]) * (v - peak[k]) : weight[k] * v; }

static void random_draws(void *user, int64_t kind, int64_t site, int64_t row, int64_t iteration, uint64_t count,
                         double *out) {
    (void)user, (void)site;
    for (uint64_t k = 0; k < count; k++) {
        double u = fmod(0.37 * (double)(row + 1) + 0.11 * (double)k + 0.077 * (double)iteration, 1);
        out[k] = kind == 0 ? u : 2 * u - 1;
    }
}

/* loss = sum(weight * x * x) / 2; its gradient is weight * x; or the peaked one. */
static void net_query(void *user, const char *routine, int64_t n, const double *x, double *const out[5]) {
    (void)user, (void)routine;
    queries++;
    if (out[4] && nvisited < 4096) visited[nvisited++] = x[0];
    for (int64_t i = 0; i < n; i++) {
        double loss = 0;
        for (int k = 0; k < D; k++) {
            double v = x[i * D + k];
            loss += loss_of(k, v);
            if (out[4]) out[4][i * D + k] = slope_of(k, v);
        }
        if (out[3]) out[3][i] = loss;
        for (int k = 0; out[2] && k < K; k++) out[2][i * K + k] = k;
    }
}

static void run_attack(const Elab *e, const char *name, const double *scalars, const double *x, double *adversarial) {
    const Routine *r = routine_named(e, name);
    assert_int_equal(r->arg_bytes[0], 64); /* 4 doubles, padded */
    double *rows[3], labels[N] = {0, 1, 2};
    deq_frame frame = {.scalars = scalars};
    for (int k = 0; k < 3; k++) rows[k] = aligned_alloc(64, N * 64), memset(rows[k], 0, N * 64);
    for (int i = 0; i < N; i++) {
        memcpy(rows[0] + 8 * i, x + D * i, D * sizeof(double));
        rows[1][8 * i] = labels[i];
    }
    frame.arg0 = rows[0], frame.arg1 = rows[1], frame.arg2 = rows[2];
    Arena *a = arena_new();
    InterpretCalls calls = {.random = random_draws, .query = net_query};
    interpret_routine(a, r, &(Layout){8, 8}, &frame, N, &calls);
    for (int i = 0; i < N; i++) memcpy(adversarial + D * i, rows[2] + 8 * i, D * sizeof(double));
    arena_free(a);
    for (int k = 0; k < 3; k++) free(rows[k]);
}

static const double points[N * D] = {0.1, 0.2, 0.95, 0.5, 0.9, 0.05, 0.3, 0.7, 0.5, 0.5, 0.5, 0.01};

static double clamp(double v, double low, double high) { return v < low ? low : v > high ? high : v; }

static const char *const training =
    "train m = L on d.train { loss: cross_entropy\n optimise: adam(rate: 1e-3)\n epochs: 1\n"
    " attack: %s }\n";

static void pgd_as_published(void **state) {
    (void)state;
    Parsed p;
    char rest[512];
    snprintf(rest, sizeof rest, training, "pgd(radius: 0.1, step: 0.03, iterations: 5)");
    Elab *e = elaborate_program(&p, rest);
    double found[N * D];
    queries = 0;
    run_attack(e, "L_cross_entropy_pgd", (double[]){0.1, 0.03, 5, INFINITY, 1, 0}, points, found);
    assert_int_equal(queries, 5);
    for (int i = 0; i < N; i++) {
        double u[D], a[D];
        random_draws(NULL, 0, 0, i, 0, D, u);
        for (int k = 0; k < D; k++) {
            double x = points[i * D + k];
            a[k] = clamp(x + (-0.1 + 0.2 * u[k]), 0, 1);
            for (int s = 0; s < 5; s++) {
                double g = weight[k] * a[k], sign = g > 0 ? 1 : g < 0 ? -1 : 0;
                a[k] = clamp(clamp(a[k] + 0.03 * sign, x - 0.1, x + 0.1), 0, 1);
            }
            assert_close("pgd", found[i * D + k], a[k]);
        }
    }
    parsed_free(&p);
}

static void restarts_keep_the_best(void **state) {
    (void)state;
    Parsed p;
    char rest[512];
    snprintf(rest, sizeof rest, training, "pgd_restarts(radius: 0.2, step: 0.01, iterations: 2, restarts: 4)");
    Elab *e = elaborate_program(&p, rest);
    double found[N * D];
    queries = 0;
    run_attack(e, "L_cross_entropy_pgd_restarts", (double[]){0.2, 0.01, 2, 4, INFINITY}, points, found);
    assert_int_equal(queries, 4 * 3); /* two gradients and a loss each */
    for (int i = 0; i < N; i++) {
        double best[D], best_loss = -INFINITY;
        for (int r = 0; r < 4; r++) {
            double u[D], a[D], loss = 0;
            random_draws(NULL, 0, 0, i, r + 1, D, u);
            for (int k = 0; k < D; k++) {
                double x = points[i * D + k];
                a[k] = clamp(x + (-0.2 + 0.4 * u[k]), 0, 1);
                for (int s = 0; s < 2; s++) {
                    double g = weight[k] * a[k];
                    a[k] = clamp(clamp(a[k] + 0.01 * (g > 0 ? 1 : g < 0 ? -1 : 0), x - 0.2, x + 0.2), 0, 1);
                }
                loss += 0.5 * weight[k] * a[k] * a[k];
            }
            if (loss > best_loss) best_loss = loss, memcpy(best, a, sizeof best);
        }
        for (int k = 0; k < D; k++) assert_close("best of restarts", found[i * D + k], best[k]);
    }
    parsed_free(&p);
}

/* Nested loops, a counter, trip counts that are expressions, a let kept across a loop, simultaneous updates, y. */
static double value_and_slope(const double *a, double *g) {
    double loss = 0;
    for (int k = 0; k < D; k++) {
        loss += loss_of(k, a[k]);
        g[k] = slope_of(k, a[k]);
    }
    return loss;
}

static double length(const double *v) {
    double sum = 0;
    for (int k = 0; k < D; k++) sum += v[k] * v[k];
    return sqrt(sum);
}

/* To the ball around x, then to [0, 1]. */
static void project(bool l2, const double *x, double radius, double *v) {
    double d[D], n;
    for (int k = 0; k < D; k++) d[k] = v[k] - x[k];
    n = length(d);
    for (int k = 0; k < D; k++) {
        double to = l2 ? x[k] + d[k] / (n + 1e-12) * fmin(radius, n) : clamp(v[k], x[k] - radius, x[k] + radius);
        v[k] = clamp(to, 0, 1);
    }
}

/* Auto-PGD written down from the reference code's description: arrays of losses, a loop over the window. */
static void reference_apgd(bool l2, int example, double radius, int iterations, double *trail, double *out) {
    const double *x = points + D * example;
    double u[D], most = 0, a[D], before[D], g[D], best[D], best_g[D], found[D], losses[128] = {0};
    random_draws(NULL, l2, 0, example, 0, D, u);
    for (int k = 0; k < D; k++) u[k] = l2 ? u[k] : 2 * u[k] - 1;
    for (int k = 0; k < D; k++) most = fmax(most, fabs(u[k]));
    if (l2) most = length(u);
    for (int k = 0; k < D; k++) a[k] = clamp(x[k] + radius * u[k] / (most + 1e-12), 0, 1);
    double best_loss = value_and_slope(a, g), eta = 2 * radius, checked = best_loss;
    bool fooled = example != 2, reduced = true; /* the logits of net_query always say 2 */
    if (trail) *trail++ = a[0];
    memcpy(before, a, sizeof a), memcpy(best, a, sizeof a), memcpy(best_g, g, sizeof g), memcpy(found, a, sizeof a);
    int window = (int)(0.22 * iterations), least = (int)(0.06 * iterations), less = (int)(0.03 * iterations), since = 0;
    if (window < 1) window = 1;
    if (least < 1) least = 1;
    if (less < 1) less = 1;
    for (int i = 0; i < iterations; i++) {
        double next[D], share = i > 0 ? 0.75 : 1;
        double ahead[D];
        for (int k = 0; k < D; k++) {
            double s = l2 ? g[k] / (length(g) + 1e-12) : g[k] > 0 ? 1 : g[k] < 0 ? -1 : 0;
            ahead[k] = a[k] + eta * s;
        }
        project(l2, x, radius, ahead);
        for (int k = 0; k < D; k++) next[k] = a[k] + share * (ahead[k] - a[k]) + (1 - share) * (a[k] - before[k]);
        project(l2, x, radius, next);
        memcpy(before, a, sizeof a), memcpy(a, next, sizeof a);
        losses[i] = value_and_slope(a, g);
        if (trail) *trail++ = a[0];
        if (fooled) memcpy(found, a, sizeof a);
        if (losses[i] > best_loss) best_loss = losses[i], memcpy(best, a, sizeof a), memcpy(best_g, g, sizeof g);
        if (++since < window) continue;
        int rose = 0; /* before the first step the array holds zero */
        for (int j = i - window + 1; j <= i; j++) rose += losses[j] > (j ? losses[j - 1] : 0);
        bool turn = rose <= 0.75 * window || (!reduced && checked >= best_loss);
        if (turn) eta /= 2, memcpy(a, best, sizeof a), memcpy(g, best_g, sizeof g);
        reduced = turn, checked = best_loss, since = 0;
        window = window - less > least ? window - less : least;
    }
    memcpy(out, fooled ? found : best, sizeof a);
}

static void apgd_as_published(void **state) {
    (void)state;
    for (int round = 0; round < 4; round++) {
        int iterations = round & 1 ? 50 : 3;
        bool l2 = round > 1;
        Parsed p;
        char rest[512], what[64];
        snprintf(what, sizeof what, "apgd(radius: 0.2, iterations: %d%s)", iterations, l2 ? ", p: 2" : "");
        snprintf(rest, sizeof rest, training, what);
        Elab *e = elaborate_program(&p, rest);
        double found[N * D], expected[D];
        queries = 0;
        run_attack(e, "L_cross_entropy_apgd", (double[]){0.2, iterations, l2 ? 2 : INFINITY}, points, found);
        assert_int_equal(queries, 3 * (iterations + 1)); /* the interpreter asks for loss, slope and logits apart */
        for (int i = 0; i < N; i++) {
            reference_apgd(l2, i, 0.2, iterations, NULL, expected);
            for (int k = 0; k < D; k++) assert_close("apgd", found[i * D + k], expected[k]);
        }
        parsed_free(&p);
    }
}

/* At every checkpoint around a peak the step is halved: where the attack asks for gradients shows the schedule. */
static void checkpoints_as_published(void **state) {
    (void)state;
    Parsed p;
    char rest[512];
    snprintf(rest, sizeof rest, training, "apgd(radius: 0.2, iterations: 9)");
    Elab *e = elaborate_program(&p, rest);
    double found[N * D], trail[128], expected[D], steps = 0;
    peaked = true;
    for (int iterations = 1; iterations <= 100; iterations++) {
        nvisited = 0;
        run_attack(e, "L_cross_entropy_apgd", (double[]){0.2, iterations, INFINITY}, points, found);
        assert_int_equal(nvisited, iterations + 1);
        reference_apgd(false, 0, 0.2, iterations, trail, expected);
        for (int k = 0; k <= iterations; k++) {
            assert_close("where a gradient is asked for", visited[k], trail[k]);
            if (k) steps += fabs(trail[k] - trail[k - 1]) > 1e-3;
        }
    }
    peaked = false;
    assert_true(steps > 1000); /* it moves all the time */
    parsed_free(&p);
}

static void momentum_as_published(void **state) {
    (void)state;
    Parsed p;
    char rest[512];
    snprintf(rest, sizeof rest, training, "momentum_pgd(radius: 0.1, step: 0.03, iterations: 6, decay: 0.8)");
    Elab *e = elaborate_program(&p, rest);
    double found[N * D];
    run_attack(e, "L_cross_entropy_momentum_pgd", (double[]){0.1, 0.03, 6, 0.8, 0, 1, INFINITY}, points, found);
    for (int i = 0; i < N; i++) {
        const double *x = points + D * i;
        double a[D], direction[D] = {0}, g[D];
        memcpy(a, x, sizeof a);
        for (int s = 0; s < 6; s++) {
            double mean = 0;
            value_and_slope(a, g);
            for (int k = 0; k < D; k++) mean += fabs(g[k]) / D;
            for (int k = 0; k < D; k++) {
                direction[k] = 0.8 * direction[k] + g[k] / (mean + 1e-12);
                double sign = direction[k] > 0 ? 1 : direction[k] < 0 ? -1 : 0;
                a[k] = clamp(clamp(a[k] + 0.03 * sign, x[k] - 0.1, x[k] + 0.1), 0, 1);
            }
        }
        for (int k = 0; k < D; k++) assert_close("momentum", found[i * D + k], a[k]);
    }
    parsed_free(&p);
}

/* From normal noise around the example, which is neither projected nor clamped: the first gradient is asked there. */
static void pgd_from_noise(void **state) {
    (void)state;
    Parsed p;
    char rest[512];
    snprintf(rest, sizeof rest, training, "pgd(radius: 0.1, step: 0.03, iterations: 5, start: 0, noise: 0.5)");
    Elab *e = elaborate_program(&p, rest);
    double found[N * D];
    run_attack(e, "L_cross_entropy_pgd", (double[]){0.1, 0.03, 5, INFINITY, 0, 0.5}, points, found);
    for (int i = 0; i < N; i++) {
        const double *x = points + D * i;
        double u[D], a[D], g[D];
        random_draws(NULL, 1, 0, i, 0, D, u);
        for (int k = 0; k < D; k++) a[k] = x[k] + 0.5 * u[k];
        for (int s = 0; s < 5; s++) {
            value_and_slope(a, g);
            for (int k = 0; k < D; k++) a[k] += 0.03 * (g[k] > 0 ? 1 : g[k] < 0 ? -1 : 0);
            project(false, x, 0.1, a);
        }
        for (int k = 0; k < D; k++) assert_close("pgd from noise", found[i * D + k], a[k]);
    }
    parsed_free(&p);
}

static void pgd_l2_as_published(void **state) {
    (void)state;
    Parsed p;
    char rest[512];
    snprintf(rest, sizeof rest, training, "pgd(radius: 0.15, step: 0.04, iterations: 5, p: 2)");
    Elab *e = elaborate_program(&p, rest);
    double found[N * D];
    run_attack(e, "L_cross_entropy_pgd", (double[]){0.15, 0.04, 5, 2, 1, 0}, points, found);
    for (int i = 0; i < N; i++) {
        const double *x = points + D * i;
        double u[D], share, a[D], g[D];
        random_draws(NULL, 1, 0, i, 0, D, u);
        random_draws(NULL, 0, 0, i, 0, 1, &share);
        for (int k = 0; k < D; k++) a[k] = clamp(x[k] + 0.15 * share * u[k] / (length(u) + 1e-10), 0, 1);
        for (int s = 0; s < 5; s++) {
            value_and_slope(a, g);
            for (int k = 0; k < D; k++) a[k] += 0.04 * g[k] / (length(g) + 1e-10);
            project(true, x, 0.15, a);
        }
        for (int k = 0; k < D; k++) assert_true(fabs(found[i * D + k] - a[k]) < 1e-9); /* 1e-10 and 1e-12 in norms */
    }
    parsed_free(&p);
}

static void loops_and_old_values(void **state) {
    (void)state;
    Parsed p;
    char rest[512];
    snprintf(rest, sizeof rest, training, "rounds(radius: 0.5, iterations: 2)");
    Elab *e = elaborate_program(&p, rest);
    AttackUse use;
    Scope s = scope_of_module(e, p.program->main);
    const Ast *train = module_find(p.program->main, "m", NULL);
    const Ast *settings = AST_SLOT(train, TRAIN, settings);
    assert_true(
        attack_use(&s, AST_SLOT(settings->kids[3], SETTING, value), NULL, e->nets[0], "cross_entropy", false, &use));
    assert_int_equal(use.scalars.n, 4); /* radius, iterations, then the two trip counts that are no argument */
    double scalars[4];
    for (uint32_t k = 0; k < 4; k++) scalars[k] = use.scalars.items[k].value;
    assert_close("outer rounds", scalars[2], 3);
    assert_close("inner rounds", scalars[3], 2);
    double found[N * D];
    run_attack(e, "L_cross_entropy_rounds", scalars, points, found);
    for (int i = 0; i < N; i++)
        for (int k = 0; k < D; k++) {
            double x = points[i * D + k], a = x, trail = 0;
            for (int o = 0; o < 3; o++) {
                double old = a;
                for (int t = 0; t < 2; t++) a += 0.5 * t;
                double next = a + trail; /* the old trail */
                trail += old + 2 * x;
                a = next;
            }
            assert_close("rounds", found[i * D + k], a + i);
        }
    parsed_free(&p);
}

/* Functions with loops, one of them left early, within expressions and within one another. */
static void functions_that_run(void **state) {
    (void)state;
    Parsed p;
    char rest[512];
    snprintf(rest, sizeof rest, training, "onto(b: 0.2, turns: 3)");
    Elab *e = elaborate_program(&p, rest);
    double found[N * D];
    run_attack(e, "L_cross_entropy_onto", (double[]){0.2, 3, 2, 2, 30}, points, found);
    for (int i = 0; i < N; i++) {
        double a[D], g[D];
        memcpy(a, points + D * i, sizeof a);
        for (int s = 0; s < 3; s++) {
            const double b = 0.2 + 0.1 * pow(0.5, 5);
            double reach = 0;
            value_and_slope(a, g);
            for (int turn = 0; turn < 30; turn++) {
                double covered = 0, open = 0;
                for (int k = 0; k < D; k++) {
                    covered += fabs(g[k]) * fmin(reach, 1 - a[k]);
                    open += reach < 1 - a[k] ? fabs(g[k]) : 0;
                }
                if (covered >= b) break;
                reach += (b - covered) / (open + 1e-12);
            }
            for (int k = 0; k < D; k++) a[k] += (g[k] > 0 ? 1 : g[k] < 0 ? -1 : 0) * fmin(reach, 1 - a[k]);
        }
        for (int k = 0; k < D; k++) assert_close("onto", found[i * D + k], a[k]);
    }
    parsed_free(&p);
}

static void draws_differ_by_place(void **state) {
    (void)state;
    Parsed p;
    char rest[512];
    snprintf(rest, sizeof rest, training, "pgd(radius: 0.1, step: 0.03, iterations: 5)");
    Elab *e = elaborate_program(&p, rest);
    const Routine *r = routine_named(e, "L_cross_entropy_pgd");
    int64_t sites[4];
    int n = 0;
    const Graph *g = r->steps[0].graph;
    for (uint32_t k = 0; k < g->nnodes; k++) {
        if (g->nodes[k].op != OP_random) continue;
        assert_true(n < 4);
        sites[n++] = g->nodes[k].attr.random.site;
        assert_true(g->nodes[k].attr.random.site > 0);
    }
    assert_int_equal(n, 4); /* a point of the cube, a direction, a share of the radius, noise */
    for (int i = 0; i < n; i++)
        for (int k = 0; k < i; k++) assert_true(sites[i] != sites[k]);
    parsed_free(&p);
}

/* ---- optimisers ---- */
static void run_update(const Elab *e, const char *name, double t, double steps, const double *arguments, int n,
                       double *w, const double *dw, double *m, double *v) {
    const Routine *r = routine_named(e, name);
    double scalars[16] = {t, steps};
    memcpy(scalars + 2, arguments, (size_t)n * sizeof *arguments);
    double *rows[4];
    double *own[4] = {w, (double *)dw, m, v};
    deq_frame frame = {.scalars = scalars};
    for (int k = 0; k < 4; k++) {
        rows[k] = aligned_alloc(64, DEQ_CHUNK * sizeof(double));
        memset(rows[k], 0, DEQ_CHUNK * sizeof(double));
        if (own[k]) memcpy(rows[k], own[k], 2 * sizeof(double));
    }
    frame.arg0 = rows[0], frame.arg1 = rows[1], frame.arg2 = rows[2], frame.arg3 = rows[3];
    Arena *a = arena_new();
    interpret_routine(a, r, &(Layout){8, 8}, &frame, 1, &(InterpretCalls){0});
    arena_free(a);
    for (int k = 0; k < 4; k++) {
        if (own[k] && k != 1) memcpy(own[k], rows[k], 2 * sizeof(double));
        free(rows[k]);
    }
}

static void adam_with_a_schedule(void **state) {
    (void)state;
    Parsed p;
    Elab *e = elaborate_program(&p, "train m = L on d.train { loss: cross_entropy\n optimise: adam(rate: cosine(from: "
                                    "0.1, warmup: 1))\n epochs: 1 }\n");
    double w[2] = {1, -1}, m[2] = {0, 0}, v[2] = {0, 0}, rw[2] = {1, -1}, rm[2] = {0, 0}, rv[2] = {0, 0};
    /* scalars: rate.from, rate.to, rate.warmup, beta1, beta2, eps */
    const double arguments[] = {0.1, 0, 1, 0.9, 0.999, 1e-8};
    for (int t = 1; t <= 4; t++) {
        double dw[2] = {0.3 * t, -0.2};
        run_update(e, "adam_cosine_update", t, 4, arguments, 6, w, dw, m, v);
        double progress = clamp((t - 1.0 - 1) / (4 - 1), 0, 1);
        double rate = t <= 1 ? 0.1 * t / 2 : 0.1 * 0.5 * (1 + cos(3.14159265358979323846 * progress));
        for (int k = 0; k < 2; k++) {
            rm[k] = 0.9 * rm[k] + 0.1 * dw[k];
            rv[k] = 0.999 * rv[k] + 0.001 * dw[k] * dw[k];
            rw[k] -= rate * (rm[k] / (1 - pow(0.9, t))) / (sqrt(rv[k] / (1 - pow(0.999, t))) + 1e-8);
            assert_close("w", w[k], rw[k]);
            assert_close("m", m[k], rm[k]);
            assert_close("v", v[k], rv[k]);
        }
    }
    parsed_free(&p);
}

static void sgd_with_a_number(void **state) {
    (void)state;
    Parsed p;
    Elab *e = elaborate_program(
        &p, "optimiser slow = sgd(rate: 0.01, momentum: 0.5)\n"
            "train a = L on d.train { loss: cross_entropy\n optimise: slow\n epochs: 1 }\n"
            "train b = L on d.train { loss: cross_entropy\n optimise: sgd(rate: 0.5)\n epochs: 1 }\n");
    uint32_t updates = 0;
    for (uint32_t k = 0; k < e->nroutines; k++) updates += strstr(e->routines[k]->name, "_update") != NULL;
    assert_int_equal(updates, 1); /* another rate needs no other code */
    double w[2] = {1, 2}, velocity[2] = {0.4, 0}, dw[2] = {0.1, -0.1};
    run_update(e, "sgd_update", 3, 10, (double[]){0.01, 0.5, 0.1}, 3, w, dw, velocity, NULL);
    assert_close("velocity", velocity[0], 0.5 * 0.4 + 0.1 + 0.1 * 1);
    assert_close("w", w[0], 1 - 0.01 * (0.5 * 0.4 + 0.1 + 0.1 * 1));
    assert_close("w", w[1], 2 - 0.01 * (-0.1 + 0.1 * 2));
    parsed_free(&p);
}

/* ---- scalar functions ---- */
static void arithmetic_of_an_experiment(void **state) {
    (void)state;
    Parsed p;
    Elab *e =
        elaborate_program(&p, "train m = L on d.train { loss: cross_entropy\n optimise: sgd(rate: 0.5)\n epochs: 1 }\n"
                              "experiment x {\n"
                              "  let clean = accuracy(m, d.test)\n"
                              "  let half = accuracy(m, d.test[0..5])\n"
                              "  let gap = (clean - half) * 100 + max(clean, half)\n"
                              "  table \"t\" { columns: [clean, gap] }\n"
                              "}\n");
    const Routine *r = routine_named(e, "x_gap");
    assert_false(r->rows);
    double *out = aligned_alloc(64, 64);
    deq_frame frame = {.scalars = (double[]){0.75, 0.5}, .arg0 = out};
    Arena *a = arena_new();
    interpret_routine(a, r, &(Layout){8, 8}, &frame, 1, &(InterpretCalls){0});
    assert_close("gap", out[0], 25.75);
    arena_free(a);
    free(out);
    parsed_free(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pgd_as_published),
        cmocka_unit_test(apgd_as_published),
        cmocka_unit_test(checkpoints_as_published),
        cmocka_unit_test(pgd_l2_as_published),
        cmocka_unit_test(pgd_from_noise),
        cmocka_unit_test(momentum_as_published),
        cmocka_unit_test(restarts_keep_the_best),
        cmocka_unit_test(loops_and_old_values),
        cmocka_unit_test(functions_that_run),
        cmocka_unit_test(draws_differ_by_place),
        cmocka_unit_test(adam_with_a_schedule),
        cmocka_unit_test(sgd_with_a_number),
        cmocka_unit_test(arithmetic_of_an_experiment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
