/* verbs_summary.c - deq check --summary: every layer of every net, from the manifest; and what its fixed points keep.
 */
#include "compile.h"
#include "settings.h"
#include "worker.h"
#include "verbs.h"
#include <jansson.h>
#include <stdio.h>
#include <string.h>

const char *bytes_text(char *buffer, size_t size, double n) {
    static const char *const units[] = {"B", "kB", "MB", "GB"};
    int u = 0;
    while (n >= 10000 && u < 3) n /= 1024, u++;
    snprintf(buffer, size, "%.0f %s", n, units[u]);
    return buffer;
}

static const FixedLayout *layout_named(const Compilation *c, const char *name) {
    for (uint32_t k = 0; k < c->unit->nfixed; k++)
        if (strcmp(c->unit->fixed[k]->name, name) == 0) return c->unit->fixed[k];
    return NULL;
}

/* Bytes of the solver's history for one example, and of what a gradient keeps: by the settings of the script. */
static void print_fixed_memory(const Compilation *c, const json_t *fixed) {
    char state[32], history[32], tape[32];
    deq_solver s;
    deq_error error = {0};
    const FixedLayout *f = layout_named(c, json_string_value(json_object_get(fixed, "name")));
    if (!f || !deq_solver_parse(json_string_value(json_object_get(fixed, "forward")), false, &s, &error)) return;
    int64_t rows = s.kind == DEQ_SOLVER_anderson  ? 2 * s.memory
                   : s.kind == DEQ_SOLVER_broyden ? deq_history_capacity(&s, false)
                                                  : 0;
    printf("  fixed point %-28s state %s, history %s, tape %s for each linearisation, of one example\n",
           json_string_value(json_object_get(fixed, "path")), bytes_text(state, sizeof state, (double)f->state_bytes),
           bytes_text(history, sizeof history, (double)(rows * (int64_t)f->state_bytes)),
           bytes_text(tape, sizeof tape, (double)f->tape_bytes));
}

/* Thousands apart: 11,097,438. */
static const char *count_text(char *buffer, size_t size, int64_t n) {
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)n), at = 0;
    for (int k = 0; k < length && at + 2 < (int)size; k++) {
        if (k && (length - k) % 3 == 0) buffer[at++] = ',';
        buffer[at++] = digits[k];
    }
    buffer[at] = 0;
    return buffer;
}

static const char *shapes_text(char *buffer, size_t size, const json_t *shapes) {
    size_t i, k, at = 0;
    json_t *dims, *d;
    *buffer = 0;
    json_array_foreach(shapes, i, dims) {
        at += (size_t)snprintf(buffer + at, at < size ? size - at : 0, "%s", i ? " " : "");
        json_array_foreach(dims, k, d) at +=
            (size_t)snprintf(buffer + at, at < size ? size - at : 0, "%s%lld", k ? "x" : "", json_integer_value(d));
        if (at >= size) break;
    }
    return buffer;
}

void print_summary(const Compilation *c) {
    char parameters[40], work[40], shape[80];
    json_t *manifest = json_loads(c->unit->manifest, 0, NULL), *net, *layer, *fixed;
    size_t i, k;
    json_array_foreach(json_object_get(manifest, "nets"), i, net) {
        printf("%snet %s\n  %-32s %-24s %-24s %12s %16s\n", i ? "\n" : "",
               json_string_value(json_object_get(net, "name")), "path", "layer", "shape", "parameters",
               "multiply-adds");
        json_array_foreach(json_object_get(net, "layers"), k, layer) {
            const char *path = json_string_value(json_object_get(layer, "path"));
            printf("  %-32s %-24s %-24s %12s %16s%s\n", *path ? path : "(all)",
                   json_string_value(json_object_get(layer, "layer")),
                   shapes_text(shape, sizeof shape, json_object_get(layer, "shapes")),
                   count_text(parameters, sizeof parameters, json_integer_value(json_object_get(layer, "parameters"))),
                   count_text(work, sizeof work, json_integer_value(json_object_get(layer, "multiply_adds"))),
                   json_is_true(json_object_get(layer, "in_fixed")) ? " each step" : "");
        }
        json_array_foreach(json_object_get(net, "fixed"), k, fixed) print_fixed_memory(c, fixed);
    }
    if (json_array_size(json_object_get(manifest, "nets")) == 0)
        printf("no nets: nothing is trained or tested in this file\n");
    json_decref(manifest);
}
