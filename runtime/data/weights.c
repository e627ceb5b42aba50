#define _GNU_SOURCE
#include "weights.h"
#include "checkpoint.h"
#include "output.h"
#include "reals.h"
#include "tensors.h"
#include "json_text.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static bool is_checkpoint(const deq_tensors *file) {
    const char *format = json_string_value(json_object_get(file->metadata, "format"));
    return format && !strncmp(format, "deq-checkpoint", 14);
}

/* Opens a file of arrays; a checkpoint of our own is verified, and its optimiser's vectors are no weights. */
static bool open_weights(const char *path, deq_tensors *file, deq_error *e) {
    deq_error own = {0};
    if (!deq_tensors_open(path, file, &own)) return deq_fail(e, DEQ_WEIGHTS, "weights: %s", own.text);
    if (!is_checkpoint(file)) return true;
    if (!deq_checkpoint_intact(path, e)) {
        deq_tensors_close(file);
        return false;
    }
    int kept = 0;
    for (int i = 0; i < file->count; i++)
        if (!strncmp(file->list[i].name, "optimiser.", 10))
            free(file->list[i].name), free(file->list[i].problem);
        else
            file->list[kept++] = file->list[i];
    file->count = kept;
    return true;
}

/* --- loading --- */

typedef struct Load {
    deq_tensors file;
    deq_map map;
    const deq_net_spec *net;
    int *source; /* of each parameter: its array in the file; -1: it keeps its value */
    bool *used;  /* of each array */
    deq_error_list wrong;
    json_t *fits; /* what fits is noted there; NULL: nobody asks */
} Load;

/* One thing that does not fit. */
static void complain(Load *l, const char *format, ...) {
    char *text = NULL;
    va_list ap;
    va_start(ap, format);
    if (vasprintf(&text, format, ap) < 0) text = NULL;
    va_end(ap);
    deq_error_add(&l->wrong, "%s", text ? text : "out of memory");
    if (l->fits) json_array_append_new(l->fits, json_pack("{s:o}", "problem", deq_json_string(text)));
    free(text);
}

/* "'U' (names.map:3)" */
static void print_rule(const Load *l, const deq_map_rule *rule, const char *name, char *out, size_t size) {
    if (rule)
        snprintf(out, size, "'%s'%s (%s:%d)", name, rule->transposed ? " transposed" : "", l->map.path, rule->line);
    else
        snprintf(out, size, "'%s'", name);
}

/* A parameter and its array, axis by axis. */
typedef struct Layout {
    int rank;
    int64_t ours[DEQ_RANK], theirs[DEQ_ARRAY_RANK];
    int axes[DEQ_RANK]; /* axis k of ours is axis axes[k] of theirs */
} Layout;

static bool same_sizes(const Layout *l) {
    bool same = true;
    for (int k = 0; k < l->rank; k++) same &= l->theirs[l->axes[k]] == l->ours[k];
    return same;
}

/* Without the axes of size 1. */
static int squeeze(const int64_t *dim, int rank, int64_t *out) {
    int n = 0;
    for (int k = 0; k < rank; k++)
        if (dim[k] != 1) out[n++] = dim[k];
    return n;
}

/* How the array is the parameter's by the rule: axis by axis, or, where the rule counts no axes, without those of size 1. */
static bool lay_out(const deq_map_rule *rule, const deq_shape *ours, const deq_array *theirs, Layout *out) {
    *out = (Layout){.rank = ours->rank};
    memcpy(out->ours, ours->dim, sizeof out->ours);
    memcpy(out->theirs, theirs->dim, sizeof out->theirs);
    if (theirs->rank == ours->rank && deq_map_axes(rule, ours->rank, out->axes) && same_sizes(out)) return true;
    if (!rule || rule->naxes) return false;
    out->rank = squeeze(ours->dim, ours->rank, out->ours);
    if (squeeze(theirs->dim, theirs->rank, out->theirs) != out->rank) return false;
    return deq_map_axes(out->rank < 2 ? NULL : rule, out->rank, out->axes) && same_sizes(out);
}

static bool turned(const deq_map_rule *rule, const deq_shape *ours, const deq_array *theirs) {
    return ours->rank == 2 && theirs->rank == 2 && !(rule && (rule->transposed || rule->naxes)) &&
           theirs->dim[0] == ours->dim[1] && theirs->dim[1] == ours->dim[0];
}

/* For whoever asks what fits: {"parameter": .., "shape": .., "from": .., "file_shape": .., "axes": [..]}; `theirs` NULL:
 * it keeps its initial value. */
static void note_fit(Load *l, const deq_parameter *p, const char *theirs, const int *axes, int rank, const char *have,
                     const char *want) {
    if (!l->fits) return;
    json_t *moved = NULL;
    for (int k = 0; k < rank; k++)
        if (axes[k] != k && !moved) moved = json_array();
    for (int k = 0; moved && k < rank; k++) json_array_append_new(moved, json_integer(axes[k]));
    json_array_append_new(l->fits, json_pack("{s:s, s:s, s:o, s:s*, s:o*}", "parameter", p->path, "shape", want, "from",
                                             deq_json_string(theirs), "file_shape", have, "axes", moved));
}

/* Its shape does fit, and its numbers do not. */
static void forget_fit(Load *l, const deq_parameter *p) {
    for (size_t i = 0; i < json_array_size(l->fits); i++) {
        const char *of = json_string_value(json_object_get(json_array_get(l->fits, i), "parameter"));
        if (of && !strcmp(of, p->path)) json_array_remove(l->fits, i--);
    }
}

static void match_parameter(Load *l, int i) {
    const deq_parameter *p = &l->net->parameters[i];
    char theirs[1024], what[1400], have[128], want[128];
    Layout layout;
    deq_map_rule *rule = deq_map_find(&l->map, p->path, theirs, sizeof theirs);
    l->source[i] = -1;
    deq_shape_print(&p->shape, want, sizeof want);
    if (rule && !rule->theirs) {
        note_fit(l, p, NULL, NULL, 0, NULL, want);
        return;
    }
    print_rule(l, rule, theirs, what, sizeof what);
    deq_tensor *t = deq_tensors_find(&l->file, theirs);
    if (!t) {
        complain(l, "parameter '%s': the file has no %s", p->path, what);
        return;
    }
    l->used[t - l->file.list] = true;
    l->source[i] = (int)(t - l->file.list);
    deq_dims_print(t->array.dim, t->array.rank, have, sizeof have);
    if (t->problem) {
        complain(l, "%s %s", what, t->problem);
    } else if (deq_element_whole(t->array.type)) {
        complain(l, "%s holds %s: parameters are floating-point numbers", what, deq_element_name(t->array.type));
    } else if (!lay_out(rule, &p->shape, &t->array, &layout)) {
        complain(l, "parameter '%s' is %s, %s is %s in the file%s", p->path, want, what, have,
                 turned(rule, &p->shape, &t->array) ? " (transposed? then write its name with ' in the map)" : "");
    } else {
        note_fit(l, p, theirs, layout.axes, layout.rank, have, want);
    }
}

static void find_leftovers(Load *l) {
    for (int i = 0; i < l->file.count; i++)
        if (!l->used[i] && !deq_map_ignores(&l->map, l->file.list[i].name)) {
            char have[128];
            deq_dims_print(l->file.list[i].array.dim, l->file.list[i].array.rank, have, sizeof have);
            complain(l, "the file's '%s' %s is no parameter of '%s'", l->file.list[i].name, have, l->net->name);
        }
    for (int i = 0; i < l->map.count; i++)
        if (l->map.rules[i].ours && !l->map.rules[i].used)
            complain(l, "%s:%d: '%s' is no parameter of '%s'", l->map.path, l->map.rules[i].line, l->map.rules[i].ours,
                     l->net->name);
}

/* Copies a into the layout of ours.  The element (of a) that is not finite, or -1. */
static int64_t convert(const deq_array *a, const Layout *l, int real_bits, void *to) {
    int64_t stride[DEQ_RANK], index[DEQ_RANK] = {0};
    for (int k = 0; k < l->rank; k++) {
        stride[k] = 1;
        for (int j = l->axes[k] + 1; j < l->rank; j++) stride[k] *= l->theirs[j];
    }
    for (int64_t i = 0, at = 0; i < a->elements; i++) {
        double v = deq_array_plain(a, at);
        if (real_bits == 64 ? !isfinite(v) : !isfinite((float)v)) return at;
        deq_real_put(real_bits, to, i, v);
        for (int k = l->rank; k-- > 0;) {
            at += stride[k];
            if (++index[k] < l->ours[k]) break;
            at -= l->ours[k] * stride[k];
            index[k] = 0;
        }
    }
    return -1;
}

static bool read_parameter(Load *l, int i, int real_bits, char *vector, deq_error *e) {
    const deq_parameter *p = &l->net->parameters[i];
    const deq_tensor *t = &l->file.list[l->source[i]];
    char theirs[1024];
    Layout layout;
    deq_array a;
    deq_error own = {0};
    if (!deq_tensors_read(&l->file, t, &a, &own)) return deq_fail(e, DEQ_WEIGHTS, "weights: %s", own.text);
    lay_out(deq_map_find(&l->map, p->path, theirs, sizeof theirs), &p->shape, &a, &layout);
    int64_t bad = convert(&a, &layout, real_bits, vector + p->offset);
    if (bad >= 0) forget_fit(l, p);
    if (bad >= 0)
        complain(l, "element %" PRId64 " of '%s' is %g: no number of %d bits", bad, t->name, deq_array_plain(&a, bad),
                 real_bits);
    deq_array_free(&a);
    return true;
}

bool deq_weights_fit(const char *path, const char *map, const deq_net_spec *net, int real_bits, void *parameters,
                     json_t *fits, deq_error *e) {
    Load l = {.net = net, .fits = fits};
    if (!deq_map_read(map, &l.map, e)) return false;
    bool ok = open_weights(path, &l.file, e);
    size_t bytes = (size_t)deq_net_vector_bytes(net, real_bits);
    char *vector = NULL;
    if (ok) {
        l.source = calloc((size_t)net->nparameters + 1, sizeof *l.source);
        l.used = calloc((size_t)l.file.count + 1, sizeof *l.used);
        vector = malloc(bytes ? bytes : 1);
        ok = (l.source && l.used && vector) || deq_fail(e, DEQ_MEMORY, "out of memory loading '%s'", path);
    }
    if (ok) {
        memcpy(vector, parameters, bytes);
        for (int i = 0; i < net->nparameters; i++) match_parameter(&l, i);
        find_leftovers(&l);
    }
    for (int i = 0; ok && !l.wrong.count && i < net->nparameters; i++)
        if (l.source[i] >= 0) ok = read_parameter(&l, i, real_bits, vector, e);
    if (ok && l.wrong.count)
        ok = fits ? deq_fail(e, DEQ_WEIGHTS, "weights '%s' do not fit '%s'", path, net->name)
                  : deq_fail(e, DEQ_WEIGHTS, "weights '%s' do not fit '%s': %s", path, net->name,
                             deq_error_text(&l.wrong));
    if (ok) memcpy(parameters, vector, bytes);
    free(vector);
    free(l.source);
    free(l.used);
    deq_tensors_close(&l.file);
    deq_map_free(&l.map);
    return ok;
}

bool deq_weights_load(const char *path, const char *map, const deq_net_spec *net, int real_bits, void *parameters,
                      deq_error *e) {
    return deq_weights_fit(path, map, net, real_bits, parameters, NULL, e);
}

json_t *deq_weights_settings(const char *path) {
    deq_tensors file;
    deq_error unread = {0}; /* whoever loads the weights says why */
    if (!deq_tensors_open(path, &file, &unread)) return NULL;
    const char *text = json_string_value(json_object_get(file.metadata, "settings"));
    json_t *settings = text ? json_loads(text, 0, NULL) : NULL;
    deq_tensors_close(&file);
    if (json_is_object(settings)) return settings;
    json_decref(settings);
    return NULL;
}

bool deq_weights_sum(const char *path, const char *map, char out[33], deq_error *e) {
    XXH3_state_t *state = XXH3_createState();
    bool ok = state != NULL || deq_fail(e, DEQ_MEMORY, "out of memory");
    if (ok) XXH3_128bits_reset(state);
    for (int i = 0; ok && i < 2; i++) {
        const char *file = i ? map : path;
        size_t size = 0;
        char *bytes = !file ? NULL : i ? deq_map_text(file, &size) : deq_read_whole(file, SIZE_MAX / 2, &size);
        ok = bytes || !file ||
             deq_fail(e, DEQ_WEIGHTS, "%s '%s' cannot be read: %s", i ? "the mapping file" : "weights", file,
                      strerror(errno));
        uint64_t length = size;
        if (ok) XXH3_128bits_update(state, &length, sizeof length);
        if (bytes) XXH3_128bits_update(state, bytes, size);
        free(bytes);
    }
    if (ok) {
        XXH128_hash_t h = XXH3_128bits_digest(state);
        snprintf(out, 33, "%016" PRIx64 "%016" PRIx64, (uint64_t)h.high64, (uint64_t)h.low64);
    }
    XXH3_freeState(state);
    return ok;
}

/* --- export --- */

/* The array as the other side of the rule has it: its axis axes[k] is axis k of ours. */
static bool export_array(const deq_array *a, const deq_map_rule *rule, const char *name, deq_array *out, deq_error *e) {
    int axes[DEQ_RANK];
    Layout back = {.rank = a->rank};
    if (!deq_map_axes(rule, a->rank, axes))
        return deq_fail(e, DEQ_WEIGHTS, "the map's line %d rearranges axes that '%s' does not have", rule->line, name);
    *out = (deq_array){.type = a->type == DEQ_F64 ? DEQ_F64 : DEQ_F32, .rank = a->rank, .elements = a->elements};
    for (int k = 0; k < a->rank; k++) {
        out->dim[axes[k]] = a->dim[k];
        back.axes[axes[k]] = k;
        back.theirs[k] = a->dim[k];
        back.ours[axes[k]] = a->dim[k];
    }
    if (!deq_array_allocate(out, name, e)) return false;
    int64_t bad = convert(a, &back, out->type == DEQ_F64 ? 64 : 32, out->values);
    if (bad < 0) return true;
    deq_array_free(out);
    return deq_fail(e, DEQ_WEIGHTS, "element %" PRId64 " of '%s' is %g: not exported", bad, name,
                    deq_array_plain(a, bad));
}

bool deq_weights_export(const char *from, const char *map_path, const char *to, int64_t *arrays, deq_error *e) {
    deq_map map;
    deq_tensors file = {0};
    if (!deq_output_replaceable(to, NULL, 0, e) || !deq_map_read(map_path, &map, e)) return false;
    bool ok = open_weights(from, &file, e);
    deq_tensor_out *list = ok ? calloc((size_t)file.count + 1, sizeof *list) : NULL;
    int n = 0;
    if (ok && !list) ok = deq_fail(e, DEQ_MEMORY, "out of memory exporting '%s'", from);
    for (int i = 0; ok && i < file.count; i++) {
        char theirs[1024];
        const deq_tensor *t = &file.list[i];
        deq_map_rule *rule = deq_map_find(&map, t->name, theirs, sizeof theirs);
        if (rule && !rule->theirs) continue; /* not on the other side */
        deq_array a;
        deq_error own = {0};
        if (!deq_tensors_read(&file, t, &a, &own)) {
            ok = deq_fail(e, DEQ_WEIGHTS, "weights: %s", own.text);
            break;
        }
        if (deq_element_whole(a.type))
            ok = deq_fail(e, DEQ_WEIGHTS, "'%s' holds %s: only floating-point arrays are exported", t->name,
                          deq_element_name(a.type));
        for (int k = 0; ok && k < n; k++)
            if (!strcmp(list[k].name, theirs))
                ok = deq_fail(e, DEQ_WEIGHTS, "two arrays would be called '%s'; the second is '%s'", theirs, t->name);
        ok = ok && export_array(&a, rule, t->name, &list[n].array, e);
        deq_array_free(&a);
        if (!ok) break;
        list[n].name = strdup(theirs);
        if (!list[n++].name) ok = deq_fail(e, DEQ_MEMORY, "out of memory exporting '%s'", from);
    }
    for (int i = 0; ok && i < map.count; i++)
        if (map.rules[i].ours && !map.rules[i].used)
            ok = deq_fail(e, DEQ_WEIGHTS, "%s:%d: '%s' has no array '%s'", map.path, map.rules[i].line, from,
                          map.rules[i].ours);
    ok = ok && deq_tensors_write(to, list, n, json_string_value(json_object_get(file.metadata, "settings")), e);
    *arrays = n;
    for (int i = 0; i < n; i++) {
        free((char *)(uintptr_t)list[i].name);
        deq_array_free(&list[i].array);
    }
    free(list);
    deq_tensors_close(&file);
    deq_map_free(&map);
    return ok;
}
