/* cells.h - fixed points written by hand in C, as the compiler would generate them; included once for each precision
 * with REAL and T(name) defined.  The tape holds the dense Jacobian, so that one vjp serves every cell. */

#define BYTES T(cell_bytes)
static int64_t BYTES(int64_t count) { return (count * (int64_t)sizeof(REAL) + 63) / 64 * 64; }

typedef struct T(record) { /* frame->shared */
    REAL W[DEQ_CHUNK];     /* d x d: f(z) = W z + c, or tanh of it */
    cell_kind kind;
    int d;
} T(record);

/* out = f(z; c); J (d x d) and D (derivative by c, diagonal) unless NULL. */
static void T(cell)(const T(record) * s, const REAL *z, const REAL *c, REAL *out, REAL *J, REAL *D) {
    int d = s->d;
    switch (s->kind) {
    case CELL_LINEAR:
    case CELL_TANH:
        for (int i = 0; i < d; i++) {
            double sum = c[i];
            for (int k = 0; k < d; k++) sum += (double)s->W[i * d + k] * z[k];
            double h = s->kind == CELL_TANH ? tanh(sum) : sum, slope = s->kind == CELL_TANH ? 1 - h * h : 1;
            out[i] = (REAL)h;
            for (int k = 0; J && k < d; k++) J[i * d + k] = (REAL)(slope * s->W[i * d + k]);
            if (D) D[i] = (REAL)slope;
        }
        break;
    case CELL_COSINE: /* cos(z) + c */
        for (int i = 0; i < d; i++) {
            REAL state = z[i];
            out[i] = (REAL)(cos((double)state) + (double)c[i]);
            for (int k = 0; J && k < d; k++) J[i * d + k] = i == k ? (REAL)-sin((double)state) : 0;
            if (D) D[i] = 1;
        }
        break;
    case CELL_SQUARE: /* z^2 + c: diverges for c > 1/4 */
        for (int i = 0; i < d; i++) {
            REAL state = z[i];
            out[i] = state * state + c[i];
            for (int k = 0; J && k < d; k++) J[i * d + k] = i == k ? 2 * state : 0;
            if (D) D[i] = 1;
        }
        break;
    case CELL_KINSOL: { /* the example of KINSOL's kinAnalytic_fp.c: (1/2, 1, -pi/6) */
        double x = (double)z[0], y = (double)z[1], w = (double)z[2];
        out[0] = (REAL)(cos((y - 1) * w) / 3 + 1.0 / 6);
        out[1] = (REAL)(sqrt(x * x + sin(w) + 1.06) / 9 + 0.9);
        out[2] = (REAL)(-exp(-x * (y - 1)) / 20 - (10 * 3.14159265358979323846 - 3) / 60);
        if (J) {
            double root = 18 * sqrt(x * x + sin(w) + 1.06), e = exp(-x * (y - 1)) / 20, sine = sin((y - 1) * w) / 3;
            const double rows[9] = {0,     -w * sine, (1 - y) * sine, 2 * x / root, 0, cos(w) / root, (y - 1) * e,
                                    x * e, 0};
            for (int i = 0; i < 9; i++) J[i] = (REAL)rows[i];
        }
        for (int i = 0; D && i < d; i++) D[i] = 1;
        break;
    }
    case CELL_NAN: /* NaN where c[0] < 0, else 0.5 z + c */
        for (int i = 0; i < d; i++) out[i] = c[0] < 0 && z[0] != 0 ? (REAL)NAN : (REAL)0.5 * z[i] + c[i];
        for (int i = 0; J && i < d * d; i++) J[i] = i % (d + 1) == 0 ? (REAL)0.5 : 0;
        for (int i = 0; D && i < d; i++) D[i] = 1;
        break;
    }
    for (int i = d; i < BYTES(d) / (int64_t)sizeof(REAL); i++) out[i] = 0;
}

/* Tape record: J, D, z. */
static int64_t T(cell_tape_bytes)(int d) { return BYTES(d * d) + 2 * BYTES(d); }

static void T(cell_f)(const deq_frame *f, int64_t n) {
    const T(record) *s = f->shared;
    int64_t stride = BYTES(s->d);
    for (int64_t i = 0; i < n; i++) T(cell)
    (s, (REAL *)((char *)f->arg0 + i * stride), (REAL *)((char *)f->rest + f->rows[i] * stride),
     (REAL *)((char *)f->arg1 + i * stride), NULL, NULL);
    cell_evaluations += n;
}

static void T(cell_lin)(const deq_frame *f, int64_t n) {
    const T(record) *s = f->shared;
    int64_t stride = BYTES(s->d), tape = T(cell_tape_bytes)(s->d);
    for (int64_t i = 0; i < n; i++) {
        char *t = (char *)f->tape + i * tape;
        const REAL *z = (REAL *)((char *)f->arg0 + i * stride);
        memcpy(t + BYTES(s->d * s->d) + stride, z, (size_t)stride);
        T(cell)
        (s, z, (REAL *)((char *)f->rest + f->rows[i] * stride), (REAL *)((char *)f->arg1 + i * stride), (REAL *)t,
         (REAL *)(t + BYTES(s->d * s->d)));
    }
    cell_linearised += n;
}

static void T(cell_jvp)(const deq_frame *f, int64_t n) {
    const T(record) *s = f->shared;
    int d = s->d;
    int64_t stride = BYTES(d), tape = T(cell_tape_bytes)(d);
    for (int64_t i = 0; i < n; i++) {
        const REAL *J = (const REAL *)((char *)f->tape + i * tape), *v = (const REAL *)((char *)f->arg0 + i * stride);
        REAL *out = (REAL *)((char *)f->arg1 + i * stride);
        for (int k = 0; k < stride / (int64_t)sizeof(REAL); k++) {
            double sum = 0;
            for (int j = 0; k < d && j < d; j++) sum += (double)J[k * d + j] * (double)v[j];
            out[k] = (REAL)sum;
        }
    }
    cell_others += n;
}

static void T(cell_vjp)(const deq_frame *f, int64_t n, bool to_z, bool to_rest, bool to_shared) {
    const T(record) *s = f->shared;
    int d = s->d;
    int64_t stride = BYTES(d), tape = T(cell_tape_bytes)(d);
    for (int64_t i = 0; i < n; i++) {
        const char *t = (char *)f->tape + i * tape;
        const REAL *J = (const REAL *)t, *D = (const REAL *)(t + BYTES(d * d)),
                   *z = (const REAL *)(t + BYTES(d * d) + stride);
        const REAL *u = (const REAL *)((char *)f->arg0 + i * stride);
        REAL *out = (REAL *)((char *)f->arg1 + i * stride);
        for (int k = 0; to_z && k < stride / (int64_t)sizeof(REAL); k++) {
            double sum = 0;
            for (int j = 0; k < d && j < d; j++) sum += (double)J[j * d + k] * (double)u[j];
            out[k] = (REAL)sum;
        }
        REAL *drest = to_rest ? (REAL *)((char *)f->drest + f->rows[i] * stride) : NULL;
        for (int k = 0; to_rest && k < d; k++) drest[k] += D[k] * u[k];
        for (int k = 0; to_shared && k < d; k++)
            for (int j = 0; j < d; j++) ((REAL *)f->accum)[k * d + j] += D[k] * u[k] * z[j];
    }
    *(to_z ? &cell_products : &cell_others) += n;
}

static void T(cell_vjp_z)(const deq_frame *f, int64_t n) { T(cell_vjp)(f, n, true, false, false); }
static void T(cell_vjp_x)(const deq_frame *f, int64_t n) { T(cell_vjp)(f, n, false, true, false); }
static void T(cell_vjp_rest)(const deq_frame *f, int64_t n) { T(cell_vjp)(f, n, false, true, true); }
static void T(cell_vjp_zx)(const deq_frame *f, int64_t n) { T(cell_vjp)(f, n, true, true, false); }
static void T(cell_vjp_all)(const deq_frame *f, int64_t n) { T(cell_vjp)(f, n, true, true, true); }
static deq_fixed T(cell_fixed); /* the one descriptor of these tests */

static const deq_fixed *T(cell_describe)(int d) {
    T(cell_fixed) = (deq_fixed){.name = "Test_cell",
                                .state_bytes = BYTES(d),
                                .dimension = d,
                                .rest_bytes = BYTES(d),
                                .tape_bytes = T(cell_tape_bytes)(d),
                                .f = T(cell_f),
                                .lin = T(cell_lin),
                                .jvp = T(cell_jvp),
                                .vjp_z = T(cell_vjp_z),
                                .vjp_x = T(cell_vjp_x),
                                .vjp_rest = T(cell_vjp_rest),
                                .vjp_zx = T(cell_vjp_zx),
                                .vjp_all = T(cell_vjp_all)};
    return &T(cell_fixed);
}
#undef BYTES
