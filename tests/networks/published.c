/* published.c - MDEQ of the standard library at its published sizes, on images of CIFAR-10, in every gradient mode.
 *
 * usage: published NET FOLDER run MODE      NET: Tiny, Large, ExtraLarge; FOLDER: CIFAR-10's binary files, - for noise
 *        published NET FOLDER steps [IMAGES]
 *        published NET FOLDER equilibrium [IMAGES]
 *        published modes
 *
 * run          in f32, with the published settings: loss and gradients of two images must be finite and not zero;
 *              seconds and the peak of the process's memory are printed.
 * steps        in f64, untrained, as initialised.  Its solves do not converge, so there is no equilibrium to take a
 *              derivative of; phantom.unroll, jfb and backprop are compared with differences of the loss after the very
 *              steps they differentiate, and unrolled with phantom.unroll from the same state.
 * equilibrium  in f64, with gains and offsets that make the cell a contraction: every mode, given enough steps, must
 *              agree with differences of the loss at the equilibrium.
 *
 * Directions: one in each part of the net (stem, blocks, ..., input), every parameter of it with the same weight. */
#define _GNU_SOURCE
#include "compile.h"
#include "contraction.h"
#include "dataset.h"
#include "manifest.h"
#include "mode_texts.h"
#include "probe.h"
#include "random.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define SHARE 0.02     /* of a branch's variation in the next state, when the cell is a contraction */
#define TOLERANCE 1e-5 /* of a slope */
#define ROUNDING 2e-15 /* of a loss */
#define HIDDEN 1e-3
#define LARGEST 1.6e-5 /* step of a difference, the first of STEPS a factor 4 apart */
#define STEPS 9
#define SEEDS 4
#define DIRECTIONS 3 /* the most that are tried for one without a kink in the way */

/* ---- modes: as used, and with enough steps to be exact at a contraction ---- */
typedef struct ModeRow {
    const char *spelling, *run, *full, *forward;
} ModeRow;
static const ModeRow modes[] = {
#define MODE(id, spelling, traits, forward, doc) {spelling, PUBLISHED_##id, PUBLISHED_EXACT_##id, forward},
#include "modes.def"
};
#define MODES ((int)(sizeof modes / sizeof *modes))

static void must(bool ok, const char *what, const deq_error *e) {
    if (ok) return;
    fprintf(stderr, "published: %s: %s\n", what, e->text);
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double peak_megabytes(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_maxrss / 1024;
}

/* ---- the net ---- */

typedef struct Subject {
    const char *name, *folder;
    Compilation c;
    deq_manifest *manifest;
    const deq_net_spec *net;
    deq_probe probe;
    double *gradient, *direction;
    char body[64]; /* path of the fixed point */
} Subject;

static void compile_net(Subject *s, const char *folder, bool f64) {
    char path[256]; /* always the same: compiled code is found again by it */
    const char *scratch = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/deq_published_%s_%d.deq", scratch ? scratch : "/tmp", s->name, (int)getuid());
    FILE *file = fopen(path, "w");
    if (!file) perror(path), exit(1);
    fprintf(file,
            "import std.mdeq (%s)\nimport std.data (cifar10)\nimport std.losses (cross_entropy)\n"
            "import std.optimisers (adam)\n\n"
            "data images: (f32[3, 32, 32], label[10]) = cifar10(\"%s\")\n\n"
            "train net = %s on images.train {\n  loss: cross_entropy\n  optimise: adam(rate: 1e-3)\n  batch: 2\n  "
            "epochs: 1\n}\n",
            s->name, folder, s->name);
    fclose(file);
    CompileOptions o = {
        .path = path, .f64 = f64, .nets = true, .optimise = 2, .use_cache = true, .last = STAGE_compile};
    double start = now();
    int code = compile(&o, &s->c);
    diags_print(s->c.diags, stderr, false);
    if (code == 0) code = compile_load(&s->c);
    if (code) exit(code);
    printf("%s, f%d: %s in %.1f s\n", s->name, f64 ? 64 : 32, s->c.warm ? "found compiled" : "compiled", now() - start);
}

/* The first images and labels of the training set. */
static void read_images(Subject *s, const char *folder) {
    deq_probe *p = &s->probe;
    deq_error e = {0};
    if (!strcmp(folder, "-")) { /* noise between 0 and 1; labels are drawn already */
        for (int64_t i = 0; i < p->n * p->inputs; i++) {
            double v = deq_uniform(5, (uint64_t)i);
            if (p->real_bits == 64)
                ((double *)p->x)[i] = v;
            else
                ((float *)p->x)[i] = (float)v;
        }
        return;
    }
    deq_dataset *d = deq_dataset_new(&s->manifest->data[0], NULL, &e);
    must(d && deq_dataset_check(d, false, &e) && deq_dataset_load(d, false, &e), folder, &e);
    deq_source source = deq_dataset_source(d, false);
    must(deq_probe_examples(p, &source, p->index, &e), folder, &e);
    deq_dataset_free(d);
}

/* Other parameters for every seed, and the images. */
static void draw_net(Subject *s, uint64_t seed) {
    deq_error e = {0};
    must(deq_probe_random(&s->probe, seed, &e), s->name, &e);
    read_images(s, s->folder);
}

static void open_net(Subject *s, const char *folder, bool f64, int examples) {
    deq_error e = {0};
    s->folder = folder;
    compile_net(s, folder, f64);
    s->manifest = deq_manifest_read(s->c.module, &e);
    must(s->manifest != NULL, "manifest", &e);
    s->net = s->manifest->trains[0].net;
    must(deq_probe_open(&s->probe, s->c.module, s->net, "cross_entropy", examples, 0, 0, &e), s->name, &e);
    draw_net(s, 1);
    s->gradient = calloc((size_t)s->probe.length, sizeof(double));
    s->direction = calloc((size_t)s->probe.length, sizeof(double));
    if (!s->gradient || !s->direction || s->net->nfixed != 1) abort();
    snprintf(s->body, sizeof s->body, "%s", s->net->fixed[0].path);
}

static void set(Subject *s, const char *key, const char *value) {
    deq_error e = {0};
    must(deq_probe_set(&s->probe, s->body, key, value, &e), value, &e);
}

/* A forward solver that suits the mode, then the mode. */
static void set_mode(Subject *s, const ModeRow *m, const char *mode, const char *arguments) {
    const char *forward = !strcmp(m->forward, "any") ? "broyden" : m->forward;
    char text[96];
    snprintf(text, sizeof text, "%.*s(%s)", (int)strcspn(forward, "|"), forward, arguments);
    set(s, "gradient", "jfb()"); /* it fits every solver */
    set(s, "forward", text);
    set(s, "gradient", mode);
}

/* ---- run ---- */

static int run(Subject *s, const char *mode) {
    const ModeRow *m = NULL;
    for (int i = 0; i < MODES; i++)
        if (!strcmp(modes[i].spelling, mode)) m = &modes[i];
    if (!m) return fprintf(stderr, "published: no mode '%s'\n", mode), 64;
    deq_error e = {0};
    double loss, dp = 0, dx = 0;
    set_mode(s, m, m->run, m->forward[0] == 'p' ? "tol: 0, max: 8" : "tol: 1e-3, max: 8");
    must(deq_probe_loss(&s->probe, &loss, &e), mode, &e);
    double start = now();
    must(deq_probe_gradient(&s->probe, s->gradient, &e), mode, &e);
    double seconds = now() - start;
    const deq_solve_statistics *f = &s->probe.last.forward;
    for (int64_t i = 0; i < s->probe.parameters; i++) dp += s->gradient[i] * s->gradient[i];
    for (int64_t i = s->probe.parameters; i < s->probe.length; i++) dx += s->gradient[i] * s->gradient[i];
    printf("%-16s loss %.4f, gradient of norm %.3e in parameters, %.3e in inputs; %.1f steps to a residual of %.1e; "
           "%.2f s for both, peak %.0f MB\n",
           mode, loss, sqrt(dp), sqrt(dx), f->steps / fmax(1, (double)f->solves), f->worst_residual, seconds,
           peak_megabytes());
    bool good = isfinite(loss) && isfinite(dp) && isfinite(dx) && dp > 0 && dx > 0 && f->diverged == 0;
    if (!good) printf("FAILED: not finite, zero, or diverged\n");
    return good ? 0 : 4;
}

/* ---- directions ---- */

typedef struct Part {
    const char *prefix; /* of the parameters' paths; NULL: the input */
} Part;
static const Part parts[] = {{"stem"},      {"inject"},    {"body.block"}, {"body.up"},
                             {"body.down"}, {"body.post"}, {"head"},       {NULL}};
#define PARTS ((int)(sizeof parts / sizeof *parts))

static bool belongs(const deq_group *g, const Part *part) {
    return part->prefix ? !g->input && !strncmp(g->name, part->prefix, strlen(part->prefix)) : g->input;
}

/* A random direction, of norm 1 in every group of the part; false: the net has no such part. */
static bool draw(Subject *s, const Part *part, int attempt) {
    bool any = false;
    memset(s->direction, 0, (size_t)s->probe.length * sizeof *s->direction);
    for (int i = 0; i < s->probe.ngroups; i++) {
        const deq_group *g = &s->probe.groups[i];
        if (!belongs(g, part)) continue;
        deq_probe_direction(deq_key_text(23 + (uint64_t)attempt, g->name), g->count, s->direction + g->first);
        any = true;
    }
    return any;
}

static double slope(const Subject *s) {
    double sum = 0;
    for (int64_t i = 0; i < s->probe.length; i++) sum += s->gradient[i] * s->direction[i];
    return sum;
}

/* Norm of the gradient over the part, for slopes that happen to be small. */
static double length_of(const Subject *s, const Part *part) {
    double sum = 0;
    for (int i = 0; i < s->probe.ngroups; i++)
        for (int64_t k = 0; belongs(&s->probe.groups[i], part) && k < s->probe.groups[i].count; k++)
            sum += pow(s->gradient[s->probe.groups[i].first + k], 2);
    return sqrt(sum);
}

static double difference(Subject *s, const Part *part, double h) {
    deq_error e = {0};
    double above, below;
    const deq_probe *p = &s->probe;
    const deq_group whole = part->prefix ? (deq_group){"parameters", 0, p->parameters, false}
                                         : (deq_group){"input", p->parameters, p->n * p->inputs, true};
    must(deq_probe_shifted(&s->probe, &whole, s->direction + whole.first, h, &above, &below, &e), "difference", &e);
    return (above - below) / (2 * h);
}

typedef struct Differences {
    double value[STEPS];
    int count;
} Differences;

/* The error of the gradient at two neighbouring steps of the difference, the larger of both: at the best such two, so
 * that it is not one value that happens to be met.  Takes smaller steps while that is not small: beside a kink of relu
 * only those agree that are shorter than the way to it.  Allowed is TOLERANCE, or what the rounding of the loss hides
 * as long as that is less than HIDDEN; *good says whether the error is. */
static double compare(Subject *s, const Part *part, double loss, Differences *d, bool *good) {
    const double own = slope(s), scale = fmax(fabs(own), 1e-3 * length_of(s, part));
    double best = INFINITY, before = INFINITY, hidden_before = 0;
    *good = false;
    for (int k = 0; k < STEPS && !*good; k++) {
        const double h = LARGEST / pow(4, k), hidden = ROUNDING * fmax(1, fabs(loss)) / h / scale;
        if (k == d->count) d->value[d->count++] = difference(s, part, h);
        const double error = fabs(d->value[k] - own) / scale, both = fmax(error, before);
        if (getenv("DEQ_SHOW"))
            printf("  %s h %.1e difference %.10e gradient %.10e error %.1e\n", part->prefix ? part->prefix : "input", h,
                   d->value[k], own, error);
        best = fmin(best, both);
        *good = both <= TOLERANCE ||
                (hidden <= HIDDEN && error <= fmax(hidden, TOLERANCE) && before <= fmax(hidden_before, TOLERANCE));
        before = error;
        hidden_before = hidden;
    }
    return best;
}

/* Along the first direction that no kink stands close to; true where the part is missing. */
static bool compare_part(Subject *s, const Part *part, double loss, Differences *d, double *error) {
    bool good = true;
    *error = NAN;
    for (int k = 0; k < DIRECTIONS && draw(s, part, k); k++) {
        *error = fmin(isnan(*error) ? INFINITY : *error, compare(s, part, loss, &d[k], &good));
        if (good) break;
    }
    return good;
}

static bool report(const char *mode, const double *errors, bool good) {
    printf("%-48s", mode);
    for (int i = 0; i < PARTS; i++)
        if (!isnan(errors[i])) printf(" %s %.1e", parts[i].prefix ? parts[i].prefix : "input", errors[i]);
    printf("  %s\n", good ? "agrees" : "FAILED");
    fflush(stdout);
    return good;
}

/* ---- steps ---- */

/* From z = 0 the normalisations blow differences up so much that a kink may be closer than any step that rounding
 * leaves; then it is in the way of all directions, and other parameters are drawn.  A wrong gradient is wrong for all
 * of them. */
static bool check_steps(Subject *s, const char *forward, const char *mode, uint64_t seed) {
    deq_error e = {0};
    double errors[PARTS], loss;
    bool good = true;
    draw_net(s, seed);
    set(s, "gradient", "jfb()");
    set(s, "forward", forward);
    set(s, "gradient", mode);
    s->probe.steps = true;
    must(deq_probe_gradient(&s->probe, s->gradient, &e), mode, &e);
    for (int i = 0; i < PARTS; i++) {
        Differences d[DIRECTIONS] = {{.count = 0}};
        s->probe.training = parts[i].prefix != NULL && deq_engine_training(s->probe.engine);
        must(deq_probe_hold(&s->probe, &e) && deq_probe_loss(&s->probe, &loss, &e), mode, &e);
        good = compare_part(s, &parts[i], loss, d, &errors[i]) && good;
    }
    s->probe.steps = s->probe.training = false;
    must(deq_probe_hold(&s->probe, &e), mode, &e);
    if (!good && seed < SEEDS) return check_steps(s, forward, mode, seed + 1);
    return report(mode, errors, good);
}

/* Steps from one state, two ways: the same gradient in all that comes before the head.  (Its own is taken at the state
 * that the mode hands on.) */
static bool check_unrolled(Subject *s) {
    deq_error e = {0};
    double apart = 0, norm = 0, *first = calloc((size_t)s->probe.length, sizeof *first);
    if (!first) abort();
    for (int way = 0; way < 2; way++) {
        set(s, "gradient", "jfb()");
        set(s, "forward", way ? "broyden(tol: 0, max: 8)" : "broyden(tol: 0, max: 3, return: last)");
        set(s, "gradient",
            way ? "unrolled(from: 3, steps: 2, damping: 0.5)" : "phantom.unroll(steps: 2, damping: 0.5)");
        must(deq_probe_gradient(&s->probe, way ? s->gradient : first, &e), "unrolled", &e);
    }
    for (int i = 0; i < s->probe.ngroups; i++) {
        const deq_group *g = &s->probe.groups[i];
        for (int64_t k = g->first; k < g->first + g->count && strncmp(g->name, "head", 4); k++)
            apart += pow(first[k] - s->gradient[k], 2), norm += pow(first[k], 2);
    }
    free(first);
    printf("%-48s relative difference %.1e to phantom.unroll at the same state\n", "unrolled(from: 3, steps: 2)",
           sqrt(apart / norm));
    return sqrt(apart / norm) < 1e-12 && norm > 0;
}

static int steps(Subject *s) {
    bool good = check_steps(s, "broyden(tol: 1e-3, max: 8)", "phantom.unroll(steps: 5, damping: 0.5)", 1);
    good = check_steps(s, "broyden(tol: 1e-3, max: 8)", "jfb()", 1) && good;
    good = check_steps(s, "picard(tol: 0, max: 2, damping: 0.8)", "backprop(checkpoint: 1)", 1) && good;
    good = check_unrolled(s) && good;
    return good ? 0 : 4;
}

/* ---- equilibrium ---- */

static int equilibrium(Subject *s, uint64_t seed) {
    static Differences differences[PARTS][DIRECTIONS];
    deq_error e = {0};
    double losses[PARTS];
    bool good = true;
    draw_net(s, seed);
    contract(&s->probe, "body.", SHARE);
    memset(differences, 0, sizeof differences);
    for (int m = -1; m < MODES; m++) { /* -1: states by Newton's method, whose steps need products J v */
        const char *mode = m < 0 ? PUBLISHED_EXACT_implicit : modes[m].full;
        double errors[PARTS], start = now();
        bool agree = true;
        if (!mode) continue;
        set_mode(s, &(ModeRow){.forward = m < 0 ? "newton_krylov" : modes[m].forward}, mode, "tol: 1e-14, max: 40");
        must(deq_probe_gradient(&s->probe, s->gradient, &e), mode, &e);
        const deq_results last = s->probe.last;
        printf("%s %.1f s, %.1f steps to a residual of %.1e, adjoint %.1e\n",
               m < 0 ? "newton_krylov:" : "  gradient:", now() - start,
               last.forward.steps / fmax(1, (double)last.forward.solves), last.forward.worst_residual,
               last.adjoint.worst_residual);
        if (strcmp(mode, PUBLISHED_EXACT_augmented) && last.forward.worst_residual > 1e-11) {
            printf("FAILED: there is no equilibrium to compare with\n");
            return 4;
        }
        set_mode(s, &modes[0], "jfb()", "tol: 1e-14, max: 40"); /* for losses: the cheapest that attaches to f(z) */
        for (int i = 0; i < PARTS; i++) {
            s->probe.training = parts[i].prefix != NULL && deq_engine_training(s->probe.engine);
            if (m < 0) must(deq_probe_loss(&s->probe, &losses[i], &e), mode, &e);
            agree = compare_part(s, &parts[i], losses[i], differences[i], &errors[i]) && agree;
        }
        s->probe.training = false;
        good = report(mode, errors, agree) && good;
    }
    if (good || seed == SEEDS) return good ? 0 : 4;
    puts("once more, with other parameters: a kink may have been in the way of all directions");
    return equilibrium(s, seed + 1);
}

int main(int argc, char **argv) {
    const char *check = argc > 3 ? argv[3] : "";
    bool f32 = !strcmp(check, "run"), known = f32 ? argc > 4 : !strcmp(check, "steps") || !strcmp(check, "equilibrium");
    if (argc == 2 && !strcmp(argv[1], "modes")) {
        for (int i = 0; i < MODES; i++) puts(modes[i].spelling);
        return 0;
    }
    if (!known) {
        fprintf(stderr, "usage: published modes\n       published Tiny|Large|ExtraLarge FOLDER|- run MODE\n"
                        "       published Tiny|Large|ExtraLarge FOLDER|- steps|equilibrium [IMAGES]\n");
        return 64;
    }
    Subject s = {.name = argv[1]};
    int examples = !f32 && argc > 4 ? atoi(argv[4]) : 2;
    double start = now();
    open_net(&s, argv[2], !f32, examples > 0 ? examples : 1);
    int code = f32 ? run(&s, argv[4]) : !strcmp(check, "steps") ? steps(&s) : equilibrium(&s, 1);
    if (!f32) printf("%s %s: %.0f s, peak %.0f MB\n", s.name, check, now() - start, peak_megabytes());
    deq_probe_close(&s.probe);
    deq_manifest_free(s.manifest);
    compile_free(&s.c);
    free(s.gradient);
    free(s.direction);
    return code;
}
