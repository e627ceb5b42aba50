/* net.h - a net around the tanh cell of cells.h, as the compiler would generate it: routines in routine.h's order of
 * arguments.  Included once for each precision, after cells.h. */

static int64_t T(net_row)(void) { return T(cell_bytes)(NET_SIZE); }
#define ROW(base, i) ((REAL *)((char *)(base) + (i)*T(net_row)()))
#define SCALAR(base, i) (*(REAL *)((char *)(base) + (i)*64))

static void T(net_prepare)(const deq_frame *f, int64_t n) {
    (void)n;
    ((T(record) *)f->shared)->kind = CELL_TANH;
    ((T(record) *)f->shared)->d = NET_SIZE;
}

static void T(net_predict)(const deq_frame *f, int64_t n) {
    deq_fixed_solve((void *)f, &T(cell_fixed), n, f->arg0, f->arg2, 0, NULL);
}

/* Output and loss; with du (rows in scratch) also the cotangent of the output. */
static void T(net_head)(const deq_frame *f, int64_t n, bool gradient) {
    deq_fixed_solve((void *)f, &T(cell_fixed), n, f->arg0, f->arg2, gradient, NULL);
    for (int64_t i = 0; i < n; i++) {
        REAL sum = 0;
        memset(ROW(f->scratch, i), 0, (size_t)T(net_row)());
        for (int k = 0; k < NET_SIZE; k++) {
            REAL difference = ROW(f->arg2, i)[k] - ROW(f->arg1, i)[k];
            sum += difference * difference / 2;
            ROW(f->scratch, i)[k] = difference;
        }
        SCALAR(f->arg3, i) = sum;
    }
}

static void T(net_loss)(const deq_frame *f, int64_t n) { T(net_head)(f, n, false); }
static void T(net_input)(const deq_frame *f, int64_t n) {
    T(net_head)(f, n, true);
    deq_fixed_gradient((void *)f, &T(cell_fixed), n, f->arg0, f->arg4, f->scratch, 0);
}
static void T(net_parameters)(const deq_frame *f, int64_t n) {
    T(net_head)(f, n, true);
    deq_fixed_gradient((void *)f, &T(cell_fixed), n, f->arg0, (char *)f->scratch + 64 * T(net_row)(), f->scratch, 1);
}

/* One step of x + scalars[0] sign(dloss/dx). */
static void T(net_push)(const deq_frame *f, int64_t n) {
    deq_frame inner = *f;
    const deq_worker *worker = f->host;
    attack_mode = worker->request.settings[0].gradient.kind;
    attack_step = f->step;
    const deq_request *asked = &worker->request;
    attack_defended = asked->defence != NULL;
    attack_heard = asked->stream || asked->solved || asked->records[0] || asked->penalty || asked->held;
    char *more = (char *)f->scratch + 128 * T(net_row)();
    inner.arg2 = more;
    inner.arg3 = more + 64 * T(net_row)();
    inner.arg4 = more + 64 * T(net_row)() + 64 * 64;
    T(net_input)(&inner, n);
    for (int64_t i = 0; i < n; i++) {
        memset(ROW(f->arg2, i), 0, (size_t)T(net_row)());
        for (int k = 0; k < NET_SIZE; k++) {
            REAL slope = ROW(inner.arg4, i)[k], sign = (REAL)((slope > 0) - (slope < 0));
            ROW(f->arg2, i)[k] = ROW(f->arg0, i)[k] + (REAL)f->scalars[0] * sign;
        }
    }
}

static void T(net_near)(const deq_frame *f, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        REAL sum = 0;
        for (int k = 0; k < NET_SIZE; k++)
            sum += (ROW(f->arg0, i)[k] - ROW(f->arg1, i)[k]) * (ROW(f->arg0, i)[k] - ROW(f->arg1, i)[k]);
        SCALAR(f->arg2, i) = sum < 4;
    }
}

static void T(momentum_update)(const deq_frame *f, int64_t n) {
    REAL *w = f->arg0, *dw = f->arg1, *v = f->arg2;
    for (int64_t i = 0; i < n * DEQ_CHUNK; i++) {
        v[i] = (REAL)0.9 * v[i] + dw[i];
        w[i] -= (REAL)f->scalars[2] * v[i];
    }
}

static const deq_module *T(net_module)(void) {
    static const deq_fixed *fixed[1] = {&T(cell_fixed)};
    static deq_routine routines[] = {{"Net_prepare", T(net_prepare), 0, 0},
                                     {"Net_predict", T(net_predict), 0, 0},
                                     {"Net_square_loss", T(net_loss), 0, 0},
                                     {"Net_square_input", T(net_input), 0, 0},
                                     {"Net_square_parameters", T(net_parameters), 0, 0},
                                     {"Net_square_push", T(net_push), 0, 0},
                                     {"Net_metric_near", T(net_near), 0, 0},
                                     {"momentum_update", T(momentum_update), 0, 0}};
    static deq_module module = {DEQ_ABI_VERSION, BITS, "{}", 2, routines, 8, fixed, 1};
    T(cell_describe)(NET_SIZE);
    for (int i = 0; i < 8; i++) routines[i].base_bytes = 64 * 64 + 4 * 64 * T(net_row)();
    return &module;
}
#undef ROW
#undef SCALAR
