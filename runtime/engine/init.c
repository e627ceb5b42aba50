/* init.c - initialisers of parameters. */
#include "init.h"
#include "call.h"
#include "random.h"
#include <math.h>

enum {
#define INIT(name, doc) INIT_##name,
#define INIT_ARGUMENT(name, argument, fallback)
#include "initialisers.def"
#undef INIT
#undef INIT_ARGUMENT
};

static const char *const names[] = {
#define INIT(name, doc) #name,
#define INIT_ARGUMENT(name, argument, fallback)
#include "initialisers.def"
#undef INIT
#undef INIT_ARGUMENT
};

static const struct {
    int init;
    const char *name;
    double fallback;
} arguments[] = {
#define INIT(name, doc)
#define INIT_ARGUMENT(name, argument, fallback) {INIT_##name, #argument, fallback},
#include "initialisers.def"
#undef INIT
#undef INIT_ARGUMENT
};

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))
#define MOST_ARGUMENTS 2

/* Fills values[] with the arguments of `init` in the order of the table. */
static bool read_arguments(int init, const deq_call *call, double *values, deq_error *e) {
    int count = 0;
    bool used[DEQ_CALL_ARGUMENTS] = {false};
    for (int i = 0; i < COUNT(arguments); i++) {
        if (arguments[i].init != init) continue;
        double value = arguments[i].fallback;
        for (int k = 0; k < call->count; k++) {
            deq_part name = call->arguments[k].name;
            if (name.length ? !deq_part_is(name, arguments[i].name) : k != count) continue;
            used[k] = true;
            if (!deq_part_number(call->arguments[k].value, &value))
                return deq_fail(e, DEQ_SETTING, "`%s` of the initialiser `%s` needs a number", arguments[i].name,
                                names[init]);
        }
        if (isnan(value))
            return deq_fail(e, DEQ_SETTING, "the initialiser `%s` needs `%s`", names[init], arguments[i].name);
        values[count++] = value;
    }
    for (int k = 0; k < call->count; k++)
        if (!used[k])
            return deq_fail(e, DEQ_SETTING, "the initialiser `%s` has no argument `%.*s`", names[init],
                            (int)call->arguments[k].name.length, call->arguments[k].name.text);
    return true;
}

bool deq_initialise(const char *text, const int64_t *shape, int rank, uint64_t seed, const char *path, int real_bits,
                    void *out, deq_error *e) {
    deq_call call;
    int init = 0;
    if (!deq_call_parse(deq_part_of(text), &call, e)) return false;
    while (init < COUNT(names) && !deq_part_is(call.name, names[init])) init++;
    if (init == COUNT(names))
        return deq_fail(e, DEQ_SETTING, "there is no initialiser `%.*s` (parameter %s)", (int)call.name.length,
                        call.name.text, path);
    double a[MOST_ARGUMENTS] = {0, 0};
    if (!read_arguments(init, &call, a, e)) return false;
    if (init == INIT_identity && rank < 2)
        return deq_fail(e, DEQ_SETTING, "the initialiser `identity` needs a matrix (parameter %s)", path);

    int64_t count = 1, field = 1;
    for (int i = 0; i < rank; i++) count *= shape[i];
    for (int i = 0; i < rank - 2; i++) field *= shape[i];
    double fan_in = rank < 2 ? 1 : (double)(field * shape[rank - 2]);
    double fan_out = rank < 1 ? 1 : (double)(field * shape[rank - 1]);
    if (rank == 4) { /* weights of a convolution: [out, in, rows, columns] */
        fan_in = (double)(shape[1] * shape[2] * shape[3]);
        fan_out = (double)(shape[0] * shape[2] * shape[3]);
    }
    int64_t columns = rank < 2 ? 1 : shape[rank - 1], matrix = rank < 2 ? 1 : shape[rank - 2] * columns;
    uint64_t key = deq_key_text(seed, path);
    double bound = sqrt(6 / (fan_in + fan_out)), deviation = sqrt(2 / fan_in);
    for (int64_t i = 0; i < count; i++) {
        double value = 0;
        switch (init) {
        case INIT_normal: value = a[0] * deq_normal(key, (uint64_t)i); break;
        case INIT_uniform: value = a[0] + (a[1] - a[0]) * deq_uniform(key, (uint64_t)i); break;
        case INIT_glorot: value = bound * (2 * deq_uniform(key, (uint64_t)i) - 1); break;
        case INIT_he: value = a[0] * deviation * deq_normal(key, (uint64_t)i); break;
        case INIT_ones: value = 1; break;
        case INIT_constant: value = a[0]; break;
        case INIT_identity: value = i % matrix / columns == i % columns ? a[0] : 0; break;
        default: break;
        }
        if (real_bits == 32)
            ((float *)out)[i] = (float)value;
        else
            ((double *)out)[i] = value;
    }
    return true;
}
