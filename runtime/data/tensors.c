#define _GNU_SOURCE
#include "tensors.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

deq_tensor *deq_tensors_add(deq_tensors *file, const char *name) {
    if (file->count == file->cap) {
        int cap = file->cap ? 2 * file->cap : 32;
        deq_tensor *grown = realloc(file->list, (size_t)cap * sizeof *grown);
        if (!grown) return NULL;
        file->list = grown;
        file->cap = cap;
    }
    deq_tensor *t = &file->list[file->count];
    *t = (deq_tensor){.name = strdup(name)};
    if (!t->name) return NULL;
    file->count++;
    return t;
}

static bool open_npy(deq_tensors *file, deq_error *e) {
    const char *slash = strrchr(file->path, '/'), *base = slash ? slash + 1 : file->path;
    deq_tensor *t = deq_tensors_add(file, base);
    if (!t) return deq_fail(e, DEQ_MEMORY, "out of memory opening '%s'", file->path);
    char *dot = strrchr(t->name, '.');
    if (dot && dot > t->name) *dot = 0;
    file->format = DEQ_NPY;
    t->problem = deq_npy_header(file->bytes, file->size, file->size, t);
    return true;
}

bool deq_refuse_pickle(const deq_tensors *file, const char *sign, deq_error *e) {
    return deq_fail(e, DEQ_DATA_FORMAT,
                    "'%s' is a Python pickle (%s): reading one can run code in it, so it is refused; `deq import "
                    "--help` has the lines of Python that save its arrays",
                    file->path, sign);
}

static bool open_bytes(deq_tensors *file, deq_error *e) {
    const uint8_t *b = file->bytes;
    if (file->size >= 6 && !memcmp(b, "\x93NUMPY", 6)) return open_npy(file, e);
    if (file->size >= 4 && (!memcmp(b, "PK\3\4", 4) || !memcmp(b, "PK\5\6", 4))) {
        file->format = DEQ_NPZ;
        return deq_npz_open(file, e);
    }
    if (file->size >= 9 && b[8] == '{') {
        file->format = DEQ_SAFETENSORS;
        return deq_safetensors_open(file, e);
    }
    if (file->size < 9)
        return deq_fail(e, DEQ_DATA_FORMAT, "'%s' is only %lld bytes long: no NPY, NPZ or safetensors file", file->path,
                        (long long)file->size);
    if (b[0] == 0x80) return deq_refuse_pickle(file, "byte 0 is 80", e);
    return deq_fail(e, DEQ_DATA_FORMAT,
                    "'%s' is no NPY, NPZ or safetensors file: byte 0 starts with %02x %02x %02x %02x", file->path, b[0],
                    b[1], b[2], b[3]);
}

bool deq_tensors_open_memory(const char *name, const void *bytes, int64_t size, deq_tensors *out, deq_error *e) {
    *out = (deq_tensors){.path = strdup(name), .bytes = bytes, .size = size};
    bool ok = out->path ? open_bytes(out, e) : deq_fail(e, DEQ_MEMORY, "out of memory opening '%s'", name);
    if (!ok) deq_tensors_close(out);
    return ok;
}

bool deq_tensors_open(const char *path, deq_tensors *out, deq_error *e) {
    struct stat st;
    *out = (deq_tensors){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st)) {
        deq_fail(e, DEQ_DATA_MISSING, "cannot open '%s': %s", path, strerror(errno));
        if (fd >= 0) close(fd);
        return false;
    }
    void *map = MAP_FAILED;
    bool file = S_ISREG(st.st_mode);
    if (file && st.st_size) map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (!file) return deq_fail(e, DEQ_DATA_MISSING, "'%s' is not a file", path);
    if (!st.st_size) return deq_fail(e, DEQ_DATA_FORMAT, "'%s' is empty", path);
    if (map == MAP_FAILED) return deq_fail(e, DEQ_DATA_MISSING, "cannot read '%s': %s", path, strerror(errno));
    if (deq_tensors_open_memory(path, map, st.st_size, out, e)) {
        out->mapped = true;
        return true;
    }
    munmap(map, (size_t)st.st_size);
    return false;
}

void deq_tensors_close(deq_tensors *file) {
    if (file->archive || file->stream) deq_npz_close(file);
    for (int i = 0; i < file->count; i++) {
        free(file->list[i].name);
        free(file->list[i].problem);
    }
    free(file->list);
    free(file->path);
    json_decref(file->metadata);
    if (file->mapped) munmap((void *)(uintptr_t)file->bytes, (size_t)file->size);
    *file = (deq_tensors){0};
}

deq_tensor *deq_tensors_find(const deq_tensors *file, const char *name) {
    for (int i = 0; i < file->count; i++)
        if (!strcmp(file->list[i].name, name)) return &file->list[i];
    return NULL;
}

/* "'file.npz' (array 'x')", "'x.npy'": for messages. */
static void deq_tensors_place(const deq_tensors *file, const deq_tensor *t, char *out, size_t size) {
    if (file->format == DEQ_NPY)
        snprintf(out, size, "'%s'", file->path);
    else
        snprintf(out, size, "'%s' (array '%s')", file->path, t->name);
}

/* From an order in which the first axis runs fastest to one in which the last does. */
static bool row_by_row(deq_array *a, const char *place, deq_error *e) {
    int64_t size = deq_element_bytes(a->type), index[DEQ_ARRAY_RANK] = {0};
    if (a->rank < 2 || !a->elements) return true;
    char *from = a->values;
    if (!deq_array_allocate(a, place, e)) {
        a->values = from;
        return false;
    }
    for (int64_t i = 0; i < a->elements; i++) {
        int64_t at = 0;
        for (int k = a->rank; k-- > 0;) at = at * a->dim[k] + index[k];
        memcpy((char *)a->values + i * size, from + at * size, (size_t)size);
        for (int k = a->rank; k-- > 0;) {
            if (++index[k] < a->dim[k]) break;
            index[k] = 0;
        }
    }
    free(from);
    return true;
}

bool deq_tensors_read(deq_tensors *file, const deq_tensor *t, deq_array *out, deq_error *e) {
    char place[600];
    deq_tensors_place(file, t, place, sizeof place);
    *out = t->array;
    if (t->problem) return deq_fail(e, DEQ_DATA_FORMAT, "%s %s", place, t->problem);
    int64_t size = deq_element_bytes(out->type), bytes = out->elements * size;
    if (!deq_array_allocate(out, place, e)) return false;
    bool ok = true;
    if (file->format == DEQ_NPZ)
        ok = deq_npz_read(file, t, out->values, bytes, e);
    else
        memcpy(out->values, file->bytes + out->start, (size_t)bytes); /* inside the file: checked with its header */
    if (ok && size > 1 && t->big_endian != (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__))
        deq_swap_bytes(out->values, out->elements, size);
    ok = ok && (!t->fortran || row_by_row(out, place, e));
    if (!ok) deq_array_free(out);
    return ok;
}

bool deq_tensors_write(const char *path, const deq_tensor_out *list, int n, const char *settings, deq_error *e) {
    const char *dot = strrchr(path, '.');
    if (dot && !strcmp(dot, ".npz")) return deq_npz_write(path, list, n, e);
    if (dot && !strcmp(dot, ".safetensors")) return deq_safetensors_write(path, list, n, settings, e);
    return deq_fail(e, DEQ_OUTPUT, "'%s': the name ends neither in .npz nor in .safetensors", path);
}
