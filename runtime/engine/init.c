/* init.c - initialisers of parameters. */
#include "init.h"
#include "families.h"
#include "random.h"
#include "reals.h"
#include <math.h>
#include <stdio.h>

typedef struct Fan {
    double in, out;
    int64_t columns, matrix; /* elements of the last axis and of the last two */
} Fan;

static Fan fan_of(const int64_t *shape, int rank) {
    int64_t field = 1;
    for (int i = 0; i < rank - 2; i++) field *= shape[i];
    Fan f = {.in = rank < 2 ? 1 : (double)(field * shape[rank - 2]),
             .out = rank < 1 ? 1 : (double)(field * shape[rank - 1]),
             .columns = rank < 2 ? 1 : shape[rank - 1]};
    f.matrix = rank < 2 ? 1 : shape[rank - 2] * f.columns;
    if (rank == 4) { /* weights of a convolution: [out, in, rows, columns] */
        f.in = (double)(shape[1] * shape[2] * shape[3]);
        f.out = (double)(shape[0] * shape[2] * shape[3]);
    }
    return f;
}

/* ---- each initialiser: what it draws, and element i of it, whose draw is `drawn`: one for each row of
 * initialisers.def ---- */
typedef struct drawing {
    enum { NOTHING, UNIFORM, NORMAL } draws;
    double (*element)(const deq_initialiser *a, const Fan *f, double drawn, int64_t i);
} drawing;

static double scaled_normal(const deq_initialiser *a, const Fan *f, double drawn, int64_t i) {
    (void)f, (void)i;
    return a->std * drawn;
}
static double between(const deq_initialiser *a, const Fan *f, double drawn, int64_t i) {
    (void)f, (void)i;
    return a->low + (a->high - a->low) * drawn;
}
static double within_glorot(const deq_initialiser *a, const Fan *f, double drawn, int64_t i) {
    (void)a, (void)i;
    double bound = sqrt(6 / (f->in + f->out));
    return bound * (2 * drawn - 1);
}
static double he_normal(const deq_initialiser *a, const Fan *f, double drawn, int64_t i) {
    (void)i;
    double deviation = sqrt(2 / f->in);
    return a->scale * deviation * drawn;
}
static double zero(const deq_initialiser *a, const Fan *f, double drawn, int64_t i) {
    (void)a, (void)f, (void)drawn, (void)i;
    return 0;
}
static double one(const deq_initialiser *a, const Fan *f, double drawn, int64_t i) {
    (void)a, (void)f, (void)drawn, (void)i;
    return 1;
}
static double given_value(const deq_initialiser *a, const Fan *f, double drawn, int64_t i) {
    (void)f, (void)drawn, (void)i;
    return a->value;
}
static double on_diagonal(const deq_initialiser *a, const Fan *f, double drawn, int64_t i) {
    (void)drawn;
    return i % f->matrix / f->columns == i % f->columns ? a->scale : 0;
}

static const drawing draw_normal = {NORMAL, scaled_normal}, draw_uniform = {UNIFORM, between},
                     draw_glorot = {UNIFORM, within_glorot}, draw_he = {NORMAL, he_normal},
                     draw_zeros = {NOTHING, zero}, draw_ones = {NOTHING, one}, draw_constant = {NOTHING, given_value},
                     draw_identity = {NOTHING, on_diagonal};

static const drawing *const drawings[] = {
#define INIT(name, rule, signature, doc) &draw_##name,
#include "initialisers.def"
};

static bool needs_matrix(deq_initialiser_kind kind) {
    enum { INIT, INIT_UNIFORM, INIT_MATRIX, INIT_SQUARE };
    static const int rules[] = {
#define INIT(name, rule, signature, doc) rule,
#include "initialisers.def"
    };
    return rules[kind] == INIT_SQUARE;
}

bool deq_initialiser_parse(const char *text, deq_initialiser *out, deq_error *e) {
    deq_call call;
    deq_complaint why;
    const deq_argument *a;
    if (!deq_call_parse(deq_part_of(text), &call, e)) return false;
    if (!deq_row_known(&deq_initialiser_family, call.name, 0, &why)) return deq_complain(e, &why);
    const deq_row *row = deq_row_find(&deq_initialiser_family, call.name);
    deq_initialiser made = {.kind = (deq_initialiser_kind)(row - deq_initialiser_family.rows)};
    deq_arguments_default(&deq_initialiser_family, row, &made);
    for (int i = 0; i < call.count; i++) {
        a = deq_argument_at(&deq_initialiser_family, row, INIT_IN_TEXT, i);
        deq_part name = call.arguments[i].name.length || !a ? call.arguments[i].name : deq_part_of(a->name);
        if (!deq_arguments_set(&deq_initialiser_family, row, INIT_IN_TEXT, name, call.arguments[i].value, &made, e))
            return false;
    }
    for (int i = 0; (a = deq_argument_at(&deq_initialiser_family, row, INIT_IN_TEXT, i)); i++)
        if (isnan(*(const double *)((const char *)&made + a->offset)))
            return deq_fail(e, DEQ_SETTING, "'%s' needs '%s'", row->name, a->name);
    *out = made;
    return true;
}

void deq_initialiser_print(const deq_initialiser *a, char *out, size_t size) {
    const deq_row *row = &deq_initialiser_family.rows[a->kind];
    size_t at = (size_t)snprintf(out, size, "%s", row->name);
    if (at < size) deq_arguments_print(&deq_initialiser_family, row, INIT_IN_TEXT, false, a, out + at, size - at);
}

#define DRAWN 512 /* numbers at a time */

bool deq_initialise(const char *text, const int64_t *shape, int rank, uint64_t seed, const char *path, int real_bits,
                    void *out, deq_error *e) {
    deq_initialiser a;
    deq_error own = {0};
    if (!deq_initialiser_parse(text, &a, &own)) return deq_fail(e, own.failure, "parameter %s: %s", path, own.text);
    if (needs_matrix(a.kind) && rank < 2)
        return deq_fail(e, DEQ_SETTING, "the initialiser `%s` needs a matrix (parameter %s)",
                        deq_initialiser_family.rows[a.kind].name, path);
    const Fan f = fan_of(shape, rank);
    const uint64_t key = deq_key_text(seed, path);
    int64_t count = 1;
    for (int i = 0; i < rank; i++) count *= shape[i];
    const drawing *d = drawings[a.kind];
    double drawn[DRAWN] = {0};
    for (int64_t i = 0; i < count; i++) {
        const int64_t left = count - i;
        if (d->draws != NOTHING && i % DRAWN == 0)
            deq_stream(key, (uint64_t)i, left < DRAWN ? left : DRAWN, d->draws == NORMAL, drawn);
        const double value = d->element(&a, &f, drawn[i % DRAWN], i);
        deq_real_put(real_bits, out, i, value);
    }
    return true;
}
