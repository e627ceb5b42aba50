#include "checkpoint.h"
#include "output.h"
#include "own.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define FORMAT "deq-checkpoint 1"
#define HEADER_LIMIT (64 << 20)

int64_t deq_net_vector_bytes(const deq_net_spec *net, int real_bits) {
    int64_t bytes = net->parameter_bytes;
    for (int i = 0; i < net->nparameters; i++) {
        int64_t end = net->parameters[i].offset + net->parameters[i].shape.elements * (real_bits / 8);
        if (end > bytes) bytes = end;
    }
    return bytes;
}

static const char *dtype(int real_bits) { return real_bits == 64 ? "F64" : "F32"; }

static json_t *tensor(int real_bits, const deq_shape *shape, int64_t from, int64_t to) {
    json_t *dims = json_array();
    for (int i = 0; i < shape->rank; i++) json_array_append_new(dims, json_integer(shape->dim[i]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype(real_bits), "shape", dims, "data_offsets", (json_int_t)from,
                     (json_int_t)to);
}

static const char *const vector_names[DEQ_VECTORS] = {
#define X(name, what) #name,
    DEQ_CHECKPOINT_VECTORS(X)
#undef X
};

static deq_shape state_shape(int64_t bytes, int nstates, int real_bits) {
    int64_t elements = bytes / nstates / (real_bits / 8);
    return (deq_shape){.rank = 1, .dim = {elements}, .elements = elements};
}

/* Header and data in memory: parameters are a few megabytes at most per gigabyte of work. */
static uint8_t *pack(const deq_net_spec *net, int real_bits, const deq_checkpoint *c, json_t *header, int64_t *size) {
    int64_t total = c->states ? c->state_bytes : 0, at = 0;
    for (int i = 0; i < DEQ_VECTORS; i++) total += c->more[i].values ? c->more[i].bytes : 0;
    for (int i = 0; i < net->nparameters; i++) total += net->parameters[i].shape.elements * (real_bits / 8);
    uint8_t *data = malloc(total ? (size_t)total : 1);
    if (!data) return NULL;
    for (int i = 0; i < net->nparameters; i++) {
        const deq_parameter *p = &net->parameters[i];
        int64_t bytes = p->shape.elements * (real_bits / 8);
        memcpy(data + at, (const char *)c->parameters + p->offset, (size_t)bytes);
        json_object_set_new(header, p->path, tensor(real_bits, &p->shape, at, at + bytes));
        at += bytes;
    }
    for (int i = 0; c->states && i < c->nstates; i++) {
        char name[32];
        int64_t bytes = c->state_bytes / c->nstates;
        deq_shape shape = state_shape(c->state_bytes, c->nstates, real_bits);
        snprintf(name, sizeof name, "optimiser.%d", i);
        memcpy(data + at, (const char *)c->states + i * bytes, (size_t)bytes);
        json_object_set_new(header, name, tensor(real_bits, &shape, at, at + bytes));
        at += bytes;
    }
    for (int i = 0; i < DEQ_VECTORS; i++) {
        if (!c->more[i].values) continue;
        deq_shape shape = state_shape(c->more[i].bytes, 1, real_bits);
        memcpy(data + at, c->more[i].values, (size_t)c->more[i].bytes);
        json_object_set_new(header, vector_names[i], tensor(real_bits, &shape, at, at + c->more[i].bytes));
        at += c->more[i].bytes;
    }
    *size = total;
    return data;
}

/* Of everything the file says: the data, and the header as canonical JSON without the checksum itself. */
static bool checksum(const json_t *header, const void *data, int64_t size, char out[17]) {
    json_t *copy = json_deep_copy(header);
    json_object_del(json_object_get(copy, "__metadata__"), "checksum");
    char *text = json_dumps(copy, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(copy);
    if (!text) return false;
    uint64_t seed = XXH3_64bits(text, strlen(text));
    free(text);
    snprintf(out, 17, "%016" PRIx64, (uint64_t)XXH3_64bits_withSeed(data, (size_t)size, seed));
    return true;
}

bool deq_checkpoint_write(const char *path, const deq_net_spec *net, int real_bits, const deq_checkpoint *c,
                          deq_error *e) {
    json_t *header = json_object();
    int64_t size = 0;
    uint8_t *data = pack(net, real_bits, c, header, &size);
    char *state = c->state ? json_dumps(c->state, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL, *text = NULL;
    char *settings = c->settings ? json_dumps(c->settings, JSON_COMPACT) : NULL;
    bool ok = false;
    if (data && (state || !c->state) && (settings || !c->settings)) {
        char sum[17], epoch[24], step[24];
        snprintf(epoch, sizeof epoch, "%" PRId64, c->epoch);
        snprintf(step, sizeof step, "%" PRId64, c->step);
        json_t *meta = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s*, s:s*}", "format", FORMAT, "net", net->name,
                                 "net_hash", net->hash, "epoch", epoch, "step", step, "state", state ? state : "null",
                                 "version", DEQ_VERSION, "key", c->key, "settings", settings);
        json_object_set_new(header, "__metadata__", meta);
        if (checksum(header, data, size, sum) && !json_object_set_new(meta, "checksum", json_string(sum)))
            text = json_dumps(header, JSON_COMPACT);
    }
    if (!text) {
        deq_fail(e, DEQ_MEMORY, "out of memory writing '%s'", path);
    } else {
        deq_output out;
        uint64_t length = strlen(text), padded = (length + 7) & ~(uint64_t)7;
        uint8_t prefix[8];
        for (int i = 0; i < 8; i++) prefix[i] = (uint8_t)(padded >> 8 * i);
        if ((ok = deq_output_open(&out, path, e))) {
            (void)!fwrite(prefix, 1, 8, out.file);
            (void)!fwrite(text, 1, length, out.file);
            (void)!fwrite("        ", 1, padded - length, out.file);
            (void)!fwrite(data, 1, (size_t)size, out.file);
            ok = deq_output_commit(&out, e);
        }
    }
    free(text);
    free(settings);
    free(state);
    free(data);
    json_decref(header);
    return ok;
}

static bool shape_is(const json_t *dims, const deq_shape *shape) {
    if (!json_is_array(dims) || json_array_size(dims) != (size_t)shape->rank) return false;
    for (int i = 0; i < shape->rank; i++)
        if (json_integer_value(json_array_get(dims, (size_t)i)) != shape->dim[i]) return false;
    return true;
}

static bool is_dtype(const char *type, int real_bits) { return type && !strcmp(type, dtype(real_bits)); }

/* Where the tensor's bytes are and how wide its numbers are, or -1 with a reason.  Parameters of the other precision are
 * converted; what a run goes on with is not, since its bits would change. */
static int64_t locate(const json_t *header, const char *name, const deq_shape *shape, int real_bits, bool convert,
                      int64_t size, int *bits, deq_error_list *r) {
    const json_t *t = json_object_get(header, name), *dims = json_object_get(t, "shape");
    if (!t) {
        deq_error_add(r, "'%s' is missing", name);
        return -1;
    }
    const char *type = json_string_value(json_object_get(t, "dtype"));
    char want[128], *have = NULL;
    if (!shape_is(dims, shape)) {
        deq_shape_print(shape, want, sizeof want);
        have = json_dumps(dims, JSON_ENCODE_ANY);
        deq_error_add(r, "'%s' has shape %s, the net's is %s", name, have ? have : "?", want);
        free(have);
        return -1;
    }
    *bits = convert && is_dtype(type, 96 - real_bits) ? 96 - real_bits : real_bits; /* 32 and 64 */
    if (!is_dtype(type, *bits)) {
        deq_error_add(r, "'%s' is %s, the net works in %s", name, type ? type : "?", dtype(real_bits));
        return -1;
    }
    const json_t *offsets = json_object_get(t, "data_offsets");
    int64_t from = json_integer_value(json_array_get(offsets, 0)), to = json_integer_value(json_array_get(offsets, 1));
    if (from < 0 || to > size || to - from != shape->elements * (*bits / 8)) {
        deq_error_add(r, "'%s' has impossible offsets %" PRId64 " to %" PRId64, name, from, to);
        return -1;
    }
    return from;
}

static void copy_reals(void *to, int to_bits, const uint8_t *from, int from_bits, int64_t n) {
    if (to_bits == from_bits) memcpy(to, from, (size_t)n * (size_t)(to_bits / 8));
    for (int64_t i = 0; to_bits != from_bits && i < n; i++) {
        float single;
        double wide;
        if (from_bits == 32) {
            memcpy(&single, from + 4 * i, sizeof single);
            ((double *)to)[i] = (double)single;
        } else {
            memcpy(&wide, from + 8 * i, sizeof wide);
            ((float *)to)[i] = (float)wide;
        }
    }
}

static bool refuse(deq_error *e, const char *path, const char *why) {
    return deq_fail(e, DEQ_CHECKPOINT, "checkpoint '%s' refused: %s", path, why);
}

static const char *meta(const json_t *header, const char *key) {
    const char *text = json_string_value(json_object_get(json_object_get(header, "__metadata__"), key));
    return text ? text : "";
}

static json_t *read_header(const char *path, const uint8_t *file, size_t size, int64_t *start, deq_error *e) {
    uint64_t length = 0;
    if (size < 8) {
        refuse(e, path, "it is shorter than a header (truncated, or not a checkpoint)");
        return NULL;
    }
    for (int i = 0; i < 8; i++) length |= (uint64_t)file[i] << 8 * i;
    if (length > HEADER_LIMIT || length > size - 8) {
        refuse(e, path, "its header is longer than the file (truncated, or not a checkpoint)");
        return NULL;
    }
    json_error_t error;
    json_t *header = json_loadb((const char *)file + 8, length, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(header))
        refuse(e, path, "its header is not JSON (corrupt, or not a checkpoint)");
    else if (strcmp(meta(header, "format"), FORMAT))
        refuse(e, path,
               "it was not written by deq (no format '" FORMAT
               "' in its header); `deq import` makes one of other weights");
    else {
        *start = 8 + (int64_t)length;
        return header;
    }
    json_decref(header);
    return NULL;
}

static bool verify(const char *path, const json_t *header, const uint8_t *data, int64_t size, const deq_net_spec *net,
                   int real_bits, bool resume, const deq_checkpoint *c, int64_t *offsets, int *bits, deq_error *e) {
    char sum[17];
    if (!checksum(header, data, size, sum)) return deq_fail(e, DEQ_MEMORY, "out of memory reading '%s'", path);
    if (strcmp(sum, meta(header, "checksum")))
        return refuse(e, path, "its checksum does not match: truncated or corrupt");
    if (c->key && strcmp(meta(header, "version"), DEQ_VERSION)) return refuse(e, path, "another version wrote it");
    if (c->key && strcmp(meta(header, "key"), c->key))
        return refuse(e, path, "it is the entry of another training run under this name");
    deq_error_list r = {0};
    if (resume && strcmp(meta(header, "net_hash"), net->hash))
        deq_error_add(&r, "it belongs to another net ('%s', hash %.16s; this is '%s', hash %.16s)", meta(header, "net"),
                      meta(header, "net_hash"), net->name, net->hash);
    for (int i = 0; i < net->nparameters; i++)
        offsets[i] = locate(header, net->parameters[i].path, &net->parameters[i].shape, real_bits, !resume && !c->key,
                            size, &bits[i], &r);
    for (int i = 0; c->states && i < c->nstates; i++) {
        char name[32];
        deq_shape shape = state_shape(c->state_bytes, c->nstates, real_bits);
        snprintf(name, sizeof name, "optimiser.%d", i);
        offsets[net->nparameters + i] =
            locate(header, name, &shape, real_bits, false, size, &bits[net->nparameters + i], &r);
    }
    for (int i = 0; i < DEQ_VECTORS; i++) {
        if (!c->more[i].values) continue;
        deq_shape shape = state_shape(c->more[i].bytes, 1, real_bits);
        int at = net->nparameters + c->nstates + i;
        offsets[at] = locate(header, vector_names[i], &shape, real_bits, false, size, &bits[at], &r);
    }
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)header, name, value) {
        bool known = !strcmp(name, "__metadata__") || !strncmp(name, "optimiser.", 10);
        for (int i = 0; !known && i < DEQ_VECTORS; i++) known = !strcmp(name, vector_names[i]);
        for (int i = 0; !known && i < net->nparameters; i++) known = !strcmp(name, net->parameters[i].path);
        if (!known) deq_error_add(&r, "'%s' is no parameter of '%s'", name, net->name);
    }
    return r.count ? refuse(e, path, deq_error_text(&r)) : true;
}

void deq_checkpoint_drop(deq_checkpoint *c) {
    json_decref(c->state);
    json_decref(c->settings);
    c->state = c->settings = NULL;
}

bool deq_checkpoint_read(const char *path, const deq_net_spec *net, int real_bits, bool resume, deq_checkpoint *c,
                         deq_error *e) {
    size_t size = 0;
    int64_t start = 0;
    deq_error own = {0};
    uint8_t *file =
        (uint8_t *)(c->key ? deq_own_read(path, SIZE_MAX / 2, &size, &own) : deq_read_whole(path, SIZE_MAX / 2, &size));
    if (!file) return refuse(e, path, own.failure ? own.text : strerror(errno));
    json_t *header = read_header(path, file, size, &start, e);
    size_t count = (size_t)(net->nparameters + c->nstates + DEQ_VECTORS + 1);
    int64_t *offsets = header ? calloc(count, sizeof *offsets) : NULL;
    int *bits = header ? calloc(count, sizeof *bits) : NULL;
    bool ok = offsets && bits &&
              verify(path, header, file + start, (int64_t)size - start, net, real_bits, resume, c, offsets, bits, e);
    if (ok) {
        for (int i = 0; i < net->nparameters; i++) {
            const deq_parameter *p = &net->parameters[i];
            copy_reals((char *)c->parameters + p->offset, real_bits, file + start + offsets[i], bits[i],
                       p->shape.elements);
        }
        for (int i = 0; c->states && i < c->nstates; i++)
            memcpy((char *)c->states + i * (c->state_bytes / c->nstates), file + start + offsets[net->nparameters + i],
                   (size_t)(c->state_bytes / c->nstates));
        for (int i = 0; i < DEQ_VECTORS; i++)
            if (c->more[i].values)
                memcpy(c->more[i].values, file + start + offsets[net->nparameters + c->nstates + i],
                       (size_t)c->more[i].bytes);
        c->epoch = strtoll(meta(header, "epoch"), NULL, 10);
        c->step = strtoll(meta(header, "step"), NULL, 10);
        c->state = json_loads(meta(header, "state"), JSON_DECODE_ANY, NULL);
        c->settings = json_loads(meta(header, "settings"), 0, NULL);
    }
    free(offsets);
    free(bits);
    json_decref(header);
    free(file);
    return ok;
}

bool deq_checkpoint_intact(const char *path, deq_error *e) {
    size_t size = 0;
    int64_t start = 0;
    char sum[17];
    uint8_t *file = (uint8_t *)deq_read_whole(path, SIZE_MAX / 2, &size);
    if (!file) return refuse(e, path, strerror(errno));
    json_t *header = read_header(path, file, size, &start, e);
    bool ok = header && checksum(header, file + start, (int64_t)size - start, sum);
    if (ok && strcmp(sum, meta(header, "checksum")))
        ok = refuse(e, path, "its checksum does not match: truncated or corrupt");
    json_decref(header);
    free(file);
    return ok;
}
