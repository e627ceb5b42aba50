#include "data_idx.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define DEFLATE_LIMIT 1032 /* most bytes one byte of deflate data can unpack to */
#define PIECE (1u << 20)

/* What zlib reads ahead, in bytes of the file.  Each read unpacks twice as much, so a header alone takes the smaller
 * one: checking four packed files otherwise unpacks 2 MB for 56 bytes. */
#define HEADER_BUFFER (1u << 10)
#define VALUES_BUFFER (1u << 18)

/* The element type of an IDX code; DEQ_ELEMENTS: there is none. */
static deq_element element_of(uint8_t code) {
    static const uint8_t codes[] = {
#define ELEMENT(id, bytes, whole, safetensors, numpy, idx) idx,
#include "elements.def"
#undef ELEMENT
    };
    for (int i = 0; i < DEQ_ELEMENTS; i++)
        if (code && codes[i] == code) return (deq_element)i;
    return DEQ_ELEMENTS;
}

uint8_t deq_idx_code(deq_element type) {
    switch (type) {
#define ELEMENT(id, bytes, whole, safetensors, numpy, idx)                                                             \
    case DEQ_##id:                                                                                                     \
        return idx;
#include "elements.def"
#undef ELEMENT
    case DEQ_ELEMENTS: break;
    }
    return 0;
}

/* Reads exactly n bytes, or records why not. */
static bool take(gzFile file, const char *path, void *out, int64_t n, int64_t *offset, const char *what, deq_error *e) {
    uint8_t *to = out;
    while (n > 0) {
        int got = gzread(file, to, n < PIECE ? (unsigned)n : PIECE);
        if (got > 0) {
            to += got;
            n -= got;
            *offset += got;
            continue;
        }
        int code = Z_OK;
        const char *why = gzerror(file, &code);
        if (code == Z_ERRNO)
            return deq_fail(e, DEQ_DATA_FORMAT, "'%s' cannot be read at byte %lld: %s", path, (long long)*offset,
                            strerror(errno));
        if (code != Z_OK && code != Z_BUF_ERROR)
            return deq_fail(e, DEQ_DATA_FORMAT, "'%s' is corrupt gzip data after byte %lld of the unpacked file (%s)",
                            path, (long long)*offset, why);
        return deq_fail(e, DEQ_DATA_FORMAT, "'%s' is truncated: it ends at byte %lld in %s, %lld bytes are missing",
                        path, (long long)*offset, what, (long long)n);
    }
    return true;
}

static gzFile open_file(const char *path, unsigned buffer, int64_t *most, deq_error *e) {
    struct stat st;
    gzFile file = NULL;
    if (!stat(path, &st)) {
        if (!S_ISREG(st.st_mode)) {
            deq_fail(e, DEQ_DATA_MISSING, "'%s' is not a file", path);
            return NULL;
        }
        file = gzopen(path, "rb");
    }
    if (!file) {
        deq_fail(e, DEQ_DATA_MISSING, "cannot open '%s': %s", path, strerror(errno ? errno : ENOMEM));
        return NULL;
    }
    gzbuffer(file, buffer);
    /* gzdirect looks at the first bytes: a plain file holds what it holds, a packed one at most DEFLATE_LIMIT times it
     */
    *most = gzdirect(file) ? (int64_t)st.st_size : (int64_t)st.st_size * DEFLATE_LIMIT;
    return file;
}

static bool read_header(gzFile file, const char *path, deq_array *out, int64_t *offset, deq_error *e) {
    uint8_t magic[4];
    if (!take(file, path, magic, 4, offset, "the magic number", e)) return false;
    if (magic[0] || magic[1])
        return deq_fail(e, DEQ_DATA_FORMAT,
                        "'%s' is not an IDX file: byte 0 starts with %02x %02x %02x %02x, expected 00 00", path,
                        magic[0], magic[1], magic[2], magic[3]);
    out->type = element_of(magic[2]);
    out->rank = magic[3];
    if (out->type == DEQ_ELEMENTS)
        return deq_fail(e, DEQ_DATA_FORMAT, "'%s': byte 2 names the element type 0x%02x, which IDX does not have", path,
                        magic[2]);
    if (out->rank < 1 || out->rank > DEQ_ARRAY_RANK)
        return deq_fail(e, DEQ_DATA_FORMAT, "'%s': byte 3 says %d dimensions, expected 1 to %d", path, out->rank,
                        DEQ_ARRAY_RANK);
    out->elements = 1;
    for (int i = 0; i < out->rank; i++) {
        uint8_t b[4];
        if (!take(file, path, b, 4, offset, "the dimensions", e)) return false;
        out->dim[i] = (int64_t)b[0] << 24 | (int64_t)b[1] << 16 | (int64_t)b[2] << 8 | b[3];
        if (__builtin_mul_overflow(out->elements, out->dim[i], &out->elements) || out->elements > INT64_MAX / 16)
            return deq_fail(e, DEQ_DATA_FORMAT,
                            "'%s': dimension %d at byte %d is %lld: more elements than memory can address", path, i,
                            4 + 4 * i, (long long)out->dim[i]);
    }
    out->start = *offset;
    return true;
}

static bool read_values(gzFile file, const char *path, int64_t most, int64_t offset, deq_array *out, deq_error *e) {
    int64_t size = deq_element_bytes(out->type), bytes = out->elements * size;
    if (offset + bytes > most)
        return deq_fail(e, DEQ_DATA_FORMAT,
                        "'%s' is truncated: its header (bytes 0 to %lld) promises %lld bytes of data, the file cannot "
                        "hold more than %lld",
                        path, (long long)offset - 1, (long long)bytes, (long long)(most - offset));
    out->values = malloc(bytes ? (size_t)bytes : 1);
    if (!out->values)
        return deq_fail(e, DEQ_MEMORY, "out of memory for the %lld bytes of '%s'", (long long)bytes, path);
    if (!take(file, path, out->values, bytes, &offset, "the data", e)) return false;
    uint8_t more;
    int got = gzread(file, &more, 1), code = Z_OK;
    if (got == 1)
        return deq_fail(e, DEQ_DATA_FORMAT, "'%s' is longer than its header says: data should end at byte %lld", path,
                        (long long)offset);
    const char *why = gzerror(file, &code);
    if (got < 0 || (code != Z_OK && code != Z_STREAM_END))
        return deq_fail(e, DEQ_DATA_FORMAT, "'%s' is corrupt gzip data after byte %lld of the unpacked file (%s)", path,
                        (long long)offset, code == Z_BUF_ERROR ? "the file ends early" : why);
    if (size > 1 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) deq_swap_bytes(out->values, out->elements, size);
    return true;
}

static bool read_file(const char *path, bool values, deq_array *out, deq_error *e) {
    *out = (deq_array){0};
    int64_t most = 0, offset = 0;
    gzFile file = open_file(path, values ? VALUES_BUFFER : HEADER_BUFFER, &most, e);
    if (!file) return false;
    bool ok = read_header(file, path, out, &offset, e) && (!values || read_values(file, path, most, offset, out, e));
    gzclose(file);
    if (!ok) deq_array_free(out);
    return ok;
}

bool deq_idx_header(const char *path, deq_array *out, deq_error *e) { return read_file(path, false, out, e); }
bool deq_idx_read(const char *path, deq_array *out, deq_error *e) { return read_file(path, true, out, e); }

bool deq_idx_map(const char *path, deq_array *out, deq_error *e) {
    if (!deq_idx_header(path, out, e)) return false;
    int64_t offset = 4 + 4 * out->rank, bytes = offset + out->elements;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool fits = fd >= 0 && !fstat(fd, &st) && st.st_size == bytes && deq_element_bytes(out->type) == 1;
    void *map = fits ? mmap(NULL, (size_t)bytes, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    if (fd >= 0) close(fd);
    if (map == MAP_FAILED)
        return deq_fail(e, DEQ_DATA_FORMAT, "'%s' cannot be mapped: not %lld bytes long", path, (long long)bytes);
    out->map = map;
    out->map_bytes = bytes;
    out->values = (char *)map + offset;
    return true;
}
