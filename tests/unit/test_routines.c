/* Whole models through model_routines(), run by the interpreter: values and gradients against the plain evaluation. */
#include "models.h"
#include "pass_list.h"
#include "routines.h"

typedef struct Machine { /* the runtime's part: buffers, solving by plain iteration */
    Net *net;
    Unit unit;
    ModelRoutines *r;
    char *shared, *accum;
    char **z; /* equilibria by fixed point */
    int gradients, with_parameters, cotangents;
} Machine;

static Routine *find(const Machine *m, const char *name) {
    for (uint32_t k = 0; k < m->unit.nroutines; k++)
        if (strcmp(m->unit.routines[k]->name, name) == 0) return m->unit.routines[k];
    return NULL;
}

static Routine *need(const Machine *m, const char *prefix, const char *suffix) {
    const char *name = arena_printf(m->net->arena, "%s_%s", prefix, suffix);
    Routine *r = find(m, name);
    if (!r) fail_msg("there is no routine %s", name);
    return r;
}

static void *buffer(const Machine *m, uint64_t bytes) { return arena_alloc(m->net->arena, bytes + 64); }

/* Active example i uses record n - 1 - i: the fixed routines must go through frame->rows. */
static int32_t reversed[ROWS];

static void call(Machine *m, const char *prefix, const char *suffix, deq_frame f, int64_t n) {
    f.shared = m->shared;
    f.rows = reversed;
    interpret_routine(m->net->arena, need(m, prefix, suffix), &m->unit.layout, &f, n, &test_calls);
}

static void reverse_rows(char *to, const char *from, uint64_t bytes, int64_t n) {
    for (int64_t k = 0; k < n; k++) memcpy(to + (uint64_t)(n - 1 - k) * bytes, from + (uint64_t)k * bytes, bytes);
}

static void solve(void *user, const FixedLayout *f, int64_t n, void *rest, void *z, bool want_gradient) {
    Machine *m = user;
    (void)want_gradient;
    char *from = buffer(m, f->state_bytes * (uint64_t)n), *to = buffer(m, f->state_bytes * (uint64_t)n);
    for (int step = 0; step < 120; step++) {
        call(m, f->name, "f", (deq_frame){.rest = rest, .arg0 = from, .arg1 = to}, n);
        memcpy(from, to, f->state_bytes * (uint64_t)n);
    }
    reverse_rows(z, from, f->state_bytes, n);
    m->z[f->index] = from;
}

/* NAME_LOSS_cotangent at the equilibrium gives what the net's own routine hands to the gradient. */
static void check_cotangent(Machine *m, const FixedLayout *f, int64_t n, void *rest, const double *g) {
    assert_int_equal(f->ncotangents, 1);
    assert_true((f->cotangents[0].routine == NULL) == (f->downstream != NULL));
    if (f->downstream) return;
    double *out = buffer(m, f->state_bytes * (uint64_t)n);
    call(m, f->name, "cross_entropy_cotangent", (deq_frame){.rest = rest, .arg0 = m->z[f->index], .arg1 = out}, n);
    for (uint64_t k = 0; k < f->state_bytes / 8 * (uint64_t)n; k++) assert_close(out[k], g[k], 1e-13);
    m->cotangents++;
}

/* u = J'u + g by plain iteration on one tape, then the cotangents of everything else. */
static void gradient(void *user, const FixedLayout *f, int64_t n, void *rest, void *drest, void *g,
                     bool want_parameters) {
    Machine *m = user;
    uint64_t bytes = f->state_bytes * (uint64_t)n;
    double *u = buffer(m, bytes), *g0 = buffer(m, bytes), *next = buffer(m, bytes);
    char *tape = buffer(m, f->tape_bytes * (uint64_t)n), *out = buffer(m, bytes);
    m->gradients++;
    m->with_parameters += want_parameters;
    assert_non_null(m->z[f->index]);
    call(m, f->name, "lin", (deq_frame){.rest = rest, .tape = tape, .arg0 = m->z[f->index], .arg1 = out}, n);
    reverse_rows((char *)g0, g, f->state_bytes, n);
    memcpy(u, g0, bytes);
    check_cotangent(m, f, n, rest, g0);
    for (int step = 0; step < 150; step++) {
        call(m, f->name, "vjp_z", (deq_frame){.rest = rest, .tape = tape, .arg0 = u, .arg1 = next}, n);
        for (uint64_t k = 0; k < bytes / 8; k++) u[k] = next[k] + g0[k];
    }
    deq_frame last = {.rest = rest, .drest = drest, .tape = tape, .accum = m->accum, .arg0 = u};
    memset(drest, 0, f->rest_bytes * (uint64_t)n);
    call(m, f->name, want_parameters ? "vjp_rest" : "vjp_x", last, n);
}

static void load_parameters(Machine *m) {
    const Model *model = &m->net->model;
    for (uint32_t k = 0; k < model->nparameters; k++)
        memcpy(m->shared + m->r->parameter_offsets[k], m->net->parameters[k],
               shape_count(model->parameters[k].shape) * sizeof(double));
    memset(m->accum, 0, m->r->accum_bytes);
    deq_frame f = {.shared = m->shared};
    interpret_routine(m->net->arena, need(m, model->name, "prepare"), &m->unit.layout, &f, 1, NULL);
}

/* The rules of routine.h, Step, that the back end relies on. */
static void check_rules(const Routine *r) {
    const Step *s = &r->steps[0];
    const Graph *g = s->graph;
    graph_verify(g);
    for (NodeId id = 0; r->rows && id < g->nnodes; id++) {
        const Node *n = graph_node(g, id);
        bool plain = n->op == OP_input || n->op == OP_constant || n->op == OP_iota || n->op == OP_reshape ||
                     n->op == OP_broadcast;
        assert_true(n->batched || plain || op_class(n->op) == CLASS_BATCH);
        for (uint32_t k = 0; k < n->nargs; k++) {
            const Node *a = graph_node(g, graph_arg(g, id, k));
            assert_true(op_class(a->op) != CLASS_BATCH);
            assert_true(a->batched || (n->op != OP_fixed && op_class(n->op) != CLASS_BATCH));
        }
    }
    for (uint32_t k = 0; k < s->nout; k++) {
        const Node *n = graph_node(g, s->out[k].node);
        if (r->rows && s->out[k].place == PLACE_ACCUM)
            assert_true(op_class(n->op) == CLASS_BATCH);
        else if (r->rows)
            assert_true(n->batched);
        assert_int_equal(s->out[k].offset % DEQ_ALIGN, 0);
    }
    for (uint32_t k = 0; k < s->nin; k++) assert_int_equal(s->in[k].offset % DEQ_ALIGN, 0);
}

static Machine *machine_new(Net *net) {
    Machine *m = arena_alloc(net->arena, sizeof *m);
    m->net = net;
    m->unit = (Unit){.arena = net->arena, .layout = {8, 4}};
    m->r = model_routines(&m->unit, &net->model);
    m->shared = buffer(m, m->r->shared_bytes);
    m->accum = buffer(m, m->r->accum_bytes);
    m->z = arena_alloc(net->arena, (net->model.nfixed + 1) * sizeof(char *));
    for (int k = 0; k < ROWS; k++) reversed[k] = ROWS - 1 - k;
    for (uint32_t k = 0; k < m->unit.nroutines; k++) check_rules(m->unit.routines[k]);
    load_parameters(m);
    return m;
}

/* Copies between dense rows and padded rows. */
static void *padded_rows(const Machine *m, const double *v, uint64_t count, uint64_t stride) {
    char *p = buffer(m, stride * ROWS);
    for (uint64_t k = 0; k < ROWS; k++) memcpy(p + k * stride, v + k * count, count * sizeof(double));
    return p;
}

typedef struct Ran {
    char *output, *loss, *dx;
    const Routine *r;
} Ran;

static Ran run_model(Machine *m, const char *suffix) {
    const Model *model = &m->net->model;
    const Routine *r = need(m, model->name, suffix);
    InterpretCalls calls = {.user = m, .random = keyed_draws, .solve = solve, .gradient = gradient};
    Ran ran = {buffer(m, r->arg_bytes[2] * ROWS), buffer(m, r->arg_bytes[3] * ROWS), buffer(m, r->arg_bytes[4] * ROWS),
               r};
    deq_frame f = {.shared = m->shared, .accum = m->accum, .arg2 = ran.output, .arg3 = ran.loss, .arg4 = ran.dx};
    f.arg0 = padded_rows(m, m->net->x, value_count(m->net->g, model->x, 1), r->arg_bytes[0]);
    f.arg1 = r->arg_bytes[1] ? padded_rows(m, m->net->y, 1, r->arg_bytes[1]) : NULL;
    m->gradients = m->with_parameters = 0;
    interpret_routine(m->net->arena, r, &m->unit.layout, &f, ROWS, &calls);
    return ran;
}

static void check_values(Machine *m) {
    const Model *model = &m->net->model;
    double **v = oracle_values(m->net);
    uint64_t classes = value_count(m->net->g, model->output, 1);
    const char *const routines[] = {"predict", "cross_entropy_loss", "cross_entropy_input", "cross_entropy_parameters"};
    for (int k = 0; k < 4; k++) {
        Ran ran = run_model(m, routines[k]);
        for (uint64_t row = 0; row < ROWS; row++) {
            for (uint64_t e = 0; e < classes; e++)
                assert_close(((double *)(ran.output + row * ran.r->arg_bytes[2]))[e],
                             v[model->output][row * classes + e], 1e-10);
            if (k > 0)
                assert_close(*(double *)(ran.loss + row * ran.r->arg_bytes[3]), v[model->losses[0].node][row], 1e-10);
        }
    }
    const Routine *metric = need(m, model->name, "metric_accuracy");
    char *value = buffer(m, metric->arg_bytes[2] * ROWS);
    deq_frame f = {.shared = m->shared, .arg2 = value};
    f.arg0 = padded_rows(m, v[model->output], classes, metric->arg_bytes[0]);
    f.arg1 = padded_rows(m, m->net->y, 1, metric->arg_bytes[1]);
    interpret_routine(m->net->arena, metric, &m->unit.layout, &f, ROWS, NULL);
    for (uint64_t row = 0; row < ROWS; row++)
        assert_true(*(double *)(value + row * metric->arg_bytes[2]) == v[model->metrics[0].node][row]);
}

static double slope(Net *net, double *at) {
    const double h = 1e-5, kept = *at;
    *at = kept + h;
    double up = oracle_loss(net);
    *at = kept - h;
    double down = oracle_loss(net);
    *at = kept;
    return (up - down) / (2 * h);
}

static void check_gradients(Machine *m) {
    const Model *model = &m->net->model;
    memset(m->accum, 0, m->r->accum_bytes);
    Ran ran = run_model(m, "cross_entropy_input");
    assert_int_equal(m->with_parameters, 0);
    uint64_t count = value_count(m->net->g, model->x, 1);
    for (uint64_t k = 0; k < ROWS * count; k++)
        assert_close(((double *)(ran.dx + k / count * ran.r->arg_bytes[4]))[k % count], slope(m->net, &m->net->x[k]),
                     1e-7);
    for (uint64_t k = 0; k < m->r->accum_bytes / 8; k++) assert_true(((double *)m->accum)[k] == 0);
    run_model(m, "cross_entropy_parameters");
    assert_int_equal(m->gradients, model->nfixed);
    assert_true(m->cotangents >= 2); /* of the last fixed point, in both routines */
    if (m->r->has_finish) {
        deq_frame f = {.shared = m->shared, .accum = m->accum};
        interpret_routine(m->net->arena, need(m, model->name, "finish"), &m->unit.layout, &f, 1, NULL);
    }
    double largest = 0;
    for (uint32_t p = 0; p < model->nparameters; p++) {
        const double *d = (double *)(m->accum + m->r->parameter_offsets[p]);
        if (!model->parameters[p].trained) {
            assert_true(m->r->parameter_offsets[p] >= m->r->parameter_bytes);
            continue;
        }
        assert_true(m->r->parameter_offsets[p] < m->r->parameter_bytes);
        for (uint64_t k = 0; k < shape_count(model->parameters[p].shape); k++) {
            assert_close(d[k], slope(m->net, &m->net->parameters[p][k]), 1e-7);
            largest = fmax(largest, fabs(d[k]));
        }
    }
    assert_true(largest > 1e-2); /* else all of this compared zeros */
}

/* u'J(z)w by lin and jvp. */
static double bilinear(Machine *m, const FixedLayout *f, char *rest, double *z, const double *u, double *w) {
    char *tape = buffer(m, f->tape_bytes * ROWS), *out = buffer(m, f->state_bytes * ROWS);
    call(m, f->name, "lin", (deq_frame){.rest = rest, .tape = tape, .arg0 = z, .arg1 = out}, ROWS);
    call(m, f->name, "jvp", (deq_frame){.rest = rest, .tape = tape, .arg0 = w, .arg1 = out}, ROWS);
    return dot((double *)out, u, f->state_bytes / 8 * ROWS);
}

/* vjp_jvp is its gradient in the state, in the captured values and, with `finish`, in the parameters. */
static void check_second(Machine *m, const FixedLayout *f, char *rest, double *z, double *u, double *w) {
    const double h = 1e-5;
    uint64_t reals = f->state_bytes / 8 * ROWS, nrest = f->rest_bytes / 8 * ROWS;
    double *dz = buffer(m, reals * 8), *dr = buffer(m, nrest * 8), largest = 0;
    char *accum = buffer(m, m->r->accum_bytes);
    memset(accum, 0, m->r->accum_bytes);
    call(m, f->name, "vjp_jvp",
         (deq_frame){.rest = rest, .drest = dr, .accum = accum, .arg0 = z, .arg1 = u, .arg2 = w, .arg3 = dz}, ROWS);
    double *values[] = {z, (double *)rest}, *slopes[] = {dz, dr};
    uint64_t counts[] = {reals, nrest};
    for (int k = 0; k < 2; k++)
        for (uint64_t e = 0; e < counts[k]; e++) {
            const double kept = values[k][e];
            values[k][e] = kept + h;
            double up = bilinear(m, f, rest, z, u, w);
            values[k][e] = kept - h;
            double down = bilinear(m, f, rest, z, u, w);
            values[k][e] = kept;
            assert_close(slopes[k][e], (up - down) / (2 * h), 1e-7);
            largest = fmax(largest, fabs(slopes[k][e]));
        }
    const Model *model = &m->net->model;
    if (m->r->has_finish) {
        deq_frame last = {.shared = m->shared, .accum = accum};
        interpret_routine(m->net->arena, need(m, model->name, "finish"), &m->unit.layout, &last, 1, NULL);
    }
    for (uint32_t p = 0; p < model->nparameters; p++)
        for (uint64_t e = 0; model->parameters[p].trained && e < shape_count(model->parameters[p].shape); e++) {
            double *at = &m->net->parameters[p][e], both[2];
            const double kept = *at, have = ((double *)(accum + m->r->parameter_offsets[p]))[e];
            for (int side = 0; side < 2; side++) {
                *at = kept + (side ? -h : h);
                load_parameters(m);
                both[side] = bilinear(m, f, rest, z, u, w);
            }
            *at = kept;
            assert_close(have, (both[0] - both[1]) / (2 * h), 1e-7);
            largest = fmax(largest, fabs(have));
        }
    load_parameters(m);
    assert_true(largest > 1e-3);
}

/* Each fixed point's linear routines agree with f and with each other. */
static void check_linear(Machine *m) {
    Arena *a = m->net->arena;
    run_model(m, "predict");
    for (uint32_t k = 0; k < m->r->nfixed; k++) {
        const FixedLayout *f = &m->r->fixed[k];
        uint64_t reals = f->state_bytes / 8 * ROWS, nrest = f->rest_bytes / 8 * ROWS;
        /* padding is zero, as the contract says */
        double *z = buffer(m, reals * 8), *v = buffer(m, reals * 8), *u = buffer(m, reals * 8);
        char *rest = (char *)random_values(a, nrest, -0.8, 0.8);
        const Routine *fr = need(m, f->name, "f");
        for (uint32_t o = 0; o < fr->steps[0].nout; o++) {
            const Binding *b = &fr->steps[0].out[o];
            uint64_t count = shape_count(graph_node(fr->steps[0].graph, b->node)->shape);
            for (uint64_t row = 0; row < ROWS; row++)
                for (uint64_t e = 0; e < count; e++) {
                    uint64_t at = row * f->state_bytes / 8 + b->offset / 8 + e;
                    z[at] = rng_uniform(-1, 1), v[at] = rng_uniform(-1, 1), u[at] = rng_uniform(-1, 1);
                }
        }
        char *tape = buffer(m, f->tape_bytes * ROWS);
        double *fz = buffer(m, reals * 8), *lz = buffer(m, reals * 8), *Jv = buffer(m, reals * 8),
               *Ju = buffer(m, reals * 8);
        double *up = buffer(m, reals * 8), *down = buffer(m, reals * 8), *zu = buffer(m, reals * 8),
               *zd = buffer(m, reals * 8);
        const double h = 1e-5;
        for (uint64_t e = 0; e < reals; e++) zu[e] = z[e] + h * v[e], zd[e] = z[e] - h * v[e];
        call(m, f->name, "f", (deq_frame){.rest = rest, .arg0 = z, .arg1 = fz}, ROWS);
        call(m, f->name, "f", (deq_frame){.rest = rest, .arg0 = zu, .arg1 = up}, ROWS);
        call(m, f->name, "f", (deq_frame){.rest = rest, .arg0 = zd, .arg1 = down}, ROWS);
        call(m, f->name, "lin", (deq_frame){.rest = rest, .tape = tape, .arg0 = z, .arg1 = lz}, ROWS);
        call(m, f->name, "jvp", (deq_frame){.rest = rest, .tape = tape, .arg0 = v, .arg1 = Jv}, ROWS);
        call(m, f->name, "vjp_z", (deq_frame){.rest = rest, .tape = tape, .arg0 = u, .arg1 = Ju}, ROWS);
        for (uint64_t e = 0; e < reals; e++) {
            assert_true(fz[e] == lz[e]);
            assert_close(Jv[e], (up[e] - down[e]) / (2 * h), 1e-7);
        }
        assert_close(dot(Jv, u, reals), dot(v, Ju, reals), 1e-12);
        double *dx = buffer(m, nrest * 8), *dr = buffer(m, nrest * 8), *dzx = buffer(m, nrest * 8),
               *dall = buffer(m, nrest * 8);
        double *z1 = buffer(m, reals * 8), *z2 = buffer(m, reals * 8);
        double *a1 = buffer(m, m->r->accum_bytes), *a2 = buffer(m, m->r->accum_bytes);
        call(m, f->name, "vjp_x", (deq_frame){.rest = rest, .drest = dx, .tape = tape, .arg0 = u}, ROWS);
        call(m, f->name, "vjp_rest", (deq_frame){.rest = rest, .drest = dr, .accum = a1, .tape = tape, .arg0 = u},
             ROWS);
        call(m, f->name, "vjp_zx", (deq_frame){.rest = rest, .drest = dzx, .tape = tape, .arg0 = u, .arg1 = z1}, ROWS);
        call(m, f->name, "vjp_all",
             (deq_frame){.rest = rest, .drest = dall, .accum = a2, .tape = tape, .arg0 = u, .arg1 = z2}, ROWS);
        for (uint64_t e = 0; e < nrest; e++) assert_true(dx[e] == dr[e] && dx[e] == dzx[e] && dx[e] == dall[e]);
        for (uint64_t e = 0; e < reals; e++) assert_true(Ju[e] == z1[e] && Ju[e] == z2[e]);
        for (uint64_t e = 0; e < m->r->accum_bytes / 8; e++) assert_true(a1[e] == a2[e]);
        call(m, f->name, "vjp_x", (deq_frame){.rest = rest, .drest = dx, .tape = tape, .arg0 = u}, ROWS);
        for (uint64_t e = 0; e < nrest; e++) assert_close(dx[e], 2 * dr[e], 1e-14); /* drest adds */
        /* drest is the derivative of <f, u> in the captured values */
        double *r = (double *)rest;
        for (uint64_t e = 0; e < nrest; e++) {
            const double kept = r[e];
            r[e] = kept + h;
            call(m, f->name, "f", (deq_frame){.rest = rest, .arg0 = z, .arg1 = up}, ROWS);
            r[e] = kept - h;
            call(m, f->name, "f", (deq_frame){.rest = rest, .arg0 = z, .arg1 = down}, ROWS);
            r[e] = kept;
            assert_close(dr[e], (dot(up, u, reals) - dot(down, u, reals)) / (2 * h), 1e-7);
        }
        check_second(m, f, rest, z, u, v);
    }
}

static uint32_t count_ops(const Routine *r, Op op) {
    uint32_t n = 0;
    for (NodeId id = 0; id < r->steps[0].graph->nnodes; id++) n += r->steps[0].graph->nodes[id].op == op;
    return n;
}

static void check_all(Net *net) {
    Machine *m = machine_new(net);
    check_values(m);
    check_gradients(m);
    check_linear(m);
    arena_free(net->arena);
}

static void test_tanh(void **state) {
    (void)state;
    check_all(tanh_net());
}

static void test_norm(void **state) {
    (void)state;
    check_all(norm_net());
}

static void test_chain(void **state) {
    (void)state;
    check_all(chain_net());
}

static void test_matrix(void **state) {
    (void)state;
    check_all(matrix_net());
}

/* f keeps the product with W and one sum; x U + b is one captured value, computed where the net is run. */
static void test_hoisting(void **state) {
    (void)state;
    Net *net = tanh_net();
    Machine *m = machine_new(net);
    const FixedLayout *f = &m->r->fixed[0];
    const Routine *r = need(m, f->name, "f"), *predict = need(m, "Tanh", "predict");
    assert_int_equal(r->steps[0].graph->nnodes, 6); /* z, packed W, product, captured, sum, tanh */
    assert_int_equal(count_ops(r, OP_matmul), 1);
    assert_int_equal(count_ops(r, OP_add), 1);
    assert_int_equal(f->nrest, 1);
    assert_int_equal(f->rest_bytes, 128); /* and the label, for the cotangent routine */
    assert_int_equal(f->cotangents[0].n, 1);
    assert_int_equal(f->cotangents[0].offsets[0], 64);
    assert_int_equal(count_ops(predict, OP_matmul), 2); /* x U and the head */
    /* the tape is z (for W's gradient) and 1 - y*y; J'u is one product of u and that */
    assert_int_equal(f->tape_bytes, 128);
    const Routine *vjp = need(m, f->name, "vjp_z");
    assert_int_equal(vjp->steps[0].graph->nnodes, 5);
    assert_int_equal(count_ops(vjp, OP_mul), 1);
    assert_int_equal(count_ops(vjp, OP_tanh), 0);
    assert_false(m->r->has_finish);
    arena_free(net->arena);
}

/* Weight norm depends on nothing but W: once per update in `prepare`, back to W in `finish`, never in f. */
static void test_shared_stage(void **state) {
    (void)state;
    Net *net = norm_net();
    Machine *m = machine_new(net);
    const Routine *f = need(m, m->r->fixed[0].name, "f"), *prepare = need(m, "Norm", "prepare");
    assert_true(m->r->has_finish);
    assert_int_equal(count_ops(prepare, OP_reduce_sum), 1);
    assert_true(count_ops(prepare, OP_pack) >= 3); /* both directions of the normed weight, U, V */
    for (NodeId id = 0; id < f->steps[0].graph->nnodes; id++) {
        const Node *n = graph_node(f->steps[0].graph, id);
        assert_true(n->batched || n->op == OP_input || n->op == OP_constant || n->op == OP_broadcast);
    }
    /* the layer norm's residuals: nothing is taped that the linear routines could have from the rest */
    const Routine *vjp = need(m, m->r->fixed[0].name, "vjp_all");
    assert_int_equal(count_ops(vjp, OP_sqrt), 0);
    arena_free(net->arena);
}

/* A random draw that the state does not touch is hoisted: drawn once per solve, and it needs no gradient. */
static void test_random_in_body(void **state) {
    (void)state;
    Net *net = net_new("Noisy", dims1(3), 5);
    Graph *g = net->g, *f = graph_new(net->arena, "Noisy_body");
    NodeId W = parameter(net, "W", dims2(3, 3), 0.3, true), captured[] = {net->model.x, W};
    NodeId z = graph_input(f, dims1(3), true, "z", nowhere);
    NodeId x = capture_input(net, f, captured[0]), w = capture_input(net, f, captured[1]);
    NodeId noise = graph_op_shaped(f, OP_random, NULL, 0, &(Attr){.random = {1, 9}}, dims1(3), true, nowhere);
    graph_output(f, tanh_of(f, add(f, product(f, z, w), mul(f, x, noise))));
    add_loss(net, fixed_state(net, add_fixed(net, "Noisy_fixed", f, 1, captured, 2), 0, dims1(3)));
    (void)g;
    Machine *m = machine_new(net);
    assert_int_equal(count_ops(need(m, "Noisy_fixed", "f"), OP_random), 0);
    assert_int_equal(count_ops(need(m, "Noisy", "predict"), OP_random), 1);
    check_values(m);
    check_gradients(m);
    arena_free(net->arena);
}

/* Random nets: every use of shared values that comes up must have a routine, and the right gradient along one
 * direction. */
static void test_random_nets(void **state) {
    (void)state;
    uint32_t compared = 0;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        Net *net = random_net(seed);
        Model *model = &net->model;
        Machine *m = machine_new(net);
        const double h = 1e-5;
        double slopes[2], direction[2][64], along = 0, along_x = 0;
        memset(m->accum, 0, m->r->accum_bytes);
        Ran ran = run_model(m, "cross_entropy_input");
        run_model(m, "cross_entropy_parameters");
        deq_frame finish = {.shared = m->shared, .accum = m->accum};
        if (m->r->has_finish)
            interpret_routine(net->arena, need(m, model->name, "finish"), &m->unit.layout, &finish, 1, NULL);
        for (int k = 0; k < 64; k++) direction[0][k] = rng_uniform(-1, 1), direction[1][k] = rng_uniform(-1, 1);
        for (int which = 0; which < 2; which++) {
            double side[2];
            for (int up = 0; up < 2; up++) {
                double step = up ? h : -h;
                uint32_t d = 0;
                for (uint32_t p = 0; which && p < model->nparameters; p++)
                    for (uint64_t e = 0; e < shape_count(model->parameters[p].shape); e++)
                        net->parameters[p][e] += step * direction[1][d++];
                for (int e = 0; !which && e < ROWS * 3; e++) net->x[e] += step * direction[0][e];
                side[up] = oracle_loss(net);
                d = 0;
                for (uint32_t p = 0; which && p < model->nparameters; p++)
                    for (uint64_t e = 0; e < shape_count(model->parameters[p].shape); e++)
                        net->parameters[p][e] -= step * direction[1][d++];
                for (int e = 0; !which && e < ROWS * 3; e++) net->x[e] -= step * direction[0][e];
            }
            slopes[which] = (side[1] - side[0]) / (2 * h);
        }
        uint32_t d = 0;
        for (uint32_t p = 0; p < model->nparameters; p++)
            for (uint64_t e = 0; e < shape_count(model->parameters[p].shape); e++)
                along += direction[1][d++] * ((double *)(m->accum + m->r->parameter_offsets[p]))[e];
        for (int e = 0; e < ROWS * 3; e++)
            along_x += direction[0][e] * ((double *)(ran.dx + e / 3 * ran.r->arg_bytes[4]))[e % 3];
        assert_close(along_x, slopes[0], 1e-6);
        assert_close(along, slopes[1], 1e-6);
        compared += fabs(along) > 1e-3;
        arena_free(net->arena);
    }
    assert_true(compared > 100);
}

/* What a pass needs stands above it, at its own level or before; names are the ones that --emit=ir:PASS takes. */
static void test_pass_list(void **state) {
    (void)state;
    for (int p = 0; p < GRAPH_PASSES; p++) {
        const PassInfo *pass = &graph_passes[p];
        assert_true(strlen(pass->name) > 2 && strlen(pass->doc) > 10);
        if (pass->needs >> p) fail_msg("%s needs a pass that runs after it", pass->name);
        for (int q = 0; q < p; q++) {
            assert_string_not_equal(pass->name, graph_passes[q].name);
            assert_true(graph_passes[q].level <= pass->level);
            if (pass->needs >> q & 1) assert_true((graph_passes[q].level == PASS_DRAFT) == (pass->level == PASS_DRAFT));
        }
        assert_int_equal(pass->needs == 0, p == 0 || (pass->level == PASS_DRAFT && pass[-1].level != PASS_DRAFT));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tanh),           cmocka_unit_test(test_norm),        cmocka_unit_test(test_chain),
        cmocka_unit_test(test_matrix),         cmocka_unit_test(test_hoisting),    cmocka_unit_test(test_shared_stage),
        cmocka_unit_test(test_random_in_body), cmocka_unit_test(test_random_nets), cmocka_unit_test(test_pass_list),
    };
    return cmocka_run_group_tests_name("routines", tests, NULL, NULL);
}
