/* rows.c - see rows.h: the header line, chunks with checksums, rows by id. */
#define _GNU_SOURCE
#include "rows.h"
#include "row_index.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <xxhash.h>

#define FORMAT 1
#define MAGIC 0x4a514544u /* "DEQJ" */
#define MOST_HEADER (1 << 20)
#define MOST_CHUNK (1 << 20) /* rows */

typedef struct Chunk { /* before its rows */
    uint32_t magic, count;
    uint64_t checksum;
} Chunk;

struct deq_rows {
    deq_rows_kind kind;
    int file;
    char *path;
    json_t *header;
    uint64_t seed; /* of checksums: from the key */
    deq_row_index index;
    char *memory; /* rows, where they are kept; then a place is a row's number, else its offset in the file */
    int64_t n, capacity;
    int64_t damaged, end;
    bool read_only, existed;
};

/* ---- rows by id ---- */
static int64_t id_of(const void *row) {
    int64_t id;
    memcpy(&id, row, sizeof id);
    return id;
}

static bool room(deq_rows *r) {
    if (r->n < r->capacity) return true;
    const int64_t capacity = r->capacity ? 2 * r->capacity : 256;
    char *memory = realloc(r->memory, (size_t)capacity * r->kind.bytes);
    if (!memory) return false;
    r->memory = memory, r->capacity = capacity;
    return true;
}

static bool take(deq_rows *r, const void *row, int64_t offset) {
    const int64_t id = id_of(row);
    if (id < 0) return true; /* nothing that was written: of no example */
    if (!r->kind.kept) return deq_row_index_put(&r->index, id, offset);
    int64_t place = deq_row_index_find(&r->index, id);
    if (place < 0) {
        if (!room(r) || !deq_row_index_put(&r->index, id, r->n)) return false;
        place = r->n++;
    }
    memcpy(r->memory + (size_t)place * r->kind.bytes, row, r->kind.bytes);
    return true;
}

static bool take_all(deq_rows *r, const char *rows, int64_t n, int64_t offset, deq_error *e) {
    for (int64_t i = 0; i < n; i++) {
        const size_t at = (size_t)i * r->kind.bytes;
        if (!take(r, rows + at, offset + (int64_t)at))
            return deq_fail(e, DEQ_MEMORY, "out of memory for the records of %s", r->path);
    }
    return true;
}

/* ---- reading ---- */
static uint64_t checksum(const deq_rows *r, const void *rows, size_t bytes) {
    return (uint64_t)XXH3_64bits_withSeed(rows, bytes, r->seed);
}

static const char *key_of(const deq_rows *r) { return json_string_value(json_object_get(r->header, "key")); }
static uint64_t seed_of(const char *key) { return (uint64_t)XXH3_64bits(key, strlen(key)); }

/* The rows of the chunk at `at` of `bytes`; 0: there is none. */
static int64_t chunk_at(const deq_rows *r, const char *bytes, size_t size, size_t at) {
    Chunk c;
    if (size - at < sizeof c) return 0;
    memcpy(&c, bytes + at, sizeof c);
    if (c.magic != MAGIC || !c.count || c.count > MOST_CHUNK) return 0;
    if ((size - at - sizeof c) / r->kind.bytes < c.count) return 0;
    return checksum(r, bytes + at + sizeof c, c.count * r->kind.bytes) == c.checksum ? (int64_t)c.count : 0;
}

/* Chunks from `at` on.  Between those that are good, whatever cannot be read is one damage. */
static bool read_chunks(deq_rows *r, const char *bytes, size_t size, size_t at, deq_error *e) {
    bool bad = false;
    r->end = (int64_t)at;
    while (at < size) {
        const int64_t count = chunk_at(r, bytes, size, at);
        if (!count) {
            r->damaged += !bad;
            bad = true;
            at++;
            continue;
        }
        bad = false;
        at += sizeof(Chunk);
        if (!take_all(r, bytes + at, count, (int64_t)at, e)) return false;
        at += (size_t)count * r->kind.bytes;
        r->end = (int64_t)at; /* a torn end is cut off */
    }
    return true;
}

static bool header_fits(const deq_rows *r, const json_t *header) {
    const char *version = json_string_value(json_object_get(header, "version"));
    return json_integer_value(json_object_get(header, "format")) == FORMAT &&
           json_integer_value(json_object_get(header, "record_bytes")) == (json_int_t)r->kind.bytes &&
           json_equal(json_object_get(header, "fields"), r->kind.fields) &&
           json_is_string(json_object_get(header, "key")) && version && !strcmp(version, DEQ_VERSION);
}

static char *read_file(int file, size_t *size) {
    struct stat s;
    if (fstat(file, &s)) return NULL;
    char *bytes = malloc((size_t)s.st_size + 1);
    *size = 0;
    while (bytes && *size < (size_t)s.st_size) {
        ssize_t got = pread(file, bytes + *size, (size_t)s.st_size - *size, (off_t)*size);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        *size += (size_t)got;
    }
    return bytes;
}

enum { SUM_BYTES = 32 };

/* How a header ends whose other `length` bytes are these: ,"checksum":"0123456789abcdef"} */
static void header_end(const char *bytes, size_t length, char end[SUM_BYTES]) {
    snprintf(end, SUM_BYTES, ",\"checksum\":\"%016llx\"}", (unsigned long long)XXH3_64bits(bytes, length));
}

/* Those of 0.2.0 before it had checksums are taken as they are. */
static bool is_undamaged(const json_t *header, const char *bytes, size_t length) {
    if (!json_object_get(header, "checksum")) return true;
    char end[SUM_BYTES];
    if (length < SUM_BYTES) return false;
    const size_t rest = length - (SUM_BYTES - 1);
    header_end(bytes, rest, end);
    return memcmp(bytes + rest, end, SUM_BYTES - 1) == 0;
}

/* The header of what the file holds and where its chunks begin; NULL: nothing that this version has written.
 * `foreign`: it is no header at all, of no version, or a damaged one. */
static json_t *read_header(const deq_rows *r, const char *bytes, size_t size, size_t *chunks, bool *foreign) {
    const char *line = memchr(bytes, '\n', size < MOST_HEADER ? size : MOST_HEADER);
    *foreign = true;
    if (!line) return NULL;
    json_t *header = json_loadb(bytes, (size_t)(line - bytes), JSON_REJECT_DUPLICATES, NULL);
    *chunks = (size_t)(line - bytes) + 1;
    const bool good = header && is_undamaged(header, bytes, (size_t)(line - bytes));
    *foreign = !good || !json_is_integer(json_object_get(header, "format"));
    if (good && header_fits(r, header)) return header;
    json_decref(header);
    return NULL;
}

/* What is in the bytes of a file; not `readable`: nothing of this kind and format. */
static bool load_bytes(deq_rows *r, const char *bytes, size_t size, bool *readable, deq_error *e) {
    size_t chunks = 0;
    bool foreign = false;
    r->header = read_header(r, bytes, size, &chunks, &foreign);
    r->damaged = foreign && r->existed;
    *readable = r->header != NULL;
    if (!r->header) return true;
    r->seed = seed_of(key_of(r));
    return read_chunks(r, bytes, size, chunks, e);
}

static bool load(deq_rows *r, bool *readable, deq_error *e) {
    size_t size = 0;
    char *bytes = read_file(r->file, &size);
    bool ok =
        bytes ? load_bytes(r, bytes, size, readable, e) : deq_fail(e, DEQ_MEMORY, "out of memory reading %s", r->path);
    free(bytes);
    return ok;
}

/* ---- writing ---- */
/* Two parts, one after the other; the first may be empty. */
static bool write_parts(deq_rows *r, const void *first, size_t length, const void *bytes, size_t size, deq_error *e) {
    size_t done = 0;
    while (done < length + size) {
        const bool skipped = done >= length;
        const size_t past = skipped ? done - length : 0;
        struct iovec parts[2] = {{0}, {(char *)(uintptr_t)bytes + past, size - past}};
        if (!skipped) parts[0] = (struct iovec){(char *)(uintptr_t)first + done, length - done};
        ssize_t n = pwritev(r->file, parts + skipped, 2 - skipped, (off_t)((size_t)r->end + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            int problem = n < 0 ? errno : ENOSPC;
            if (ftruncate(r->file, (off_t)r->end))
                problem = errno; /* the half chunk would be noticed, but why keep it */
            return deq_fail(e, DEQ_OUTPUT, "%s: %s", r->path, strerror(problem));
        }
        done += (size_t)n;
    }
    r->end += (int64_t)(length + size);
    return true;
}

static bool begin(deq_rows *r, const char *key, const json_t *about, deq_error *e) {
    r->header = json_pack("{s:i, s:s, s:s, s:O, s:I, s:O}", "format", FORMAT, "version", DEQ_VERSION, "key", key,
                          "about", about, "record_bytes", (json_int_t)r->kind.bytes, "fields", r->kind.fields);
    char *text = r->header ? json_dumps(r->header, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    size_t length = text ? strlen(text) - 1 : 0; /* without the last brace */
    char *whole = text ? malloc(length + SUM_BYTES + 1) : NULL;
    r->end = 0;
    bool ok = whole || deq_fail(e, DEQ_MEMORY, "out of memory for the %s %s", r->kind.what, r->path);
    if (ok && ftruncate(r->file, 0)) ok = deq_fail(e, DEQ_OUTPUT, "%s: %s", r->path, strerror(errno));
    if (ok) {
        char end[SUM_BYTES];
        header_end(text, length, end);
        const int n = snprintf(whole, length + SUM_BYTES + 1, "%.*s%s\n", (int)length, text, end);
        ok = write_parts(r, NULL, 0, whole, (size_t)n, e);
    }
    free(whole);
    free(text);
    return ok;
}

/* ---- opening ---- */
static bool ours(int file, deq_error *e) {
    struct stat s;
    if (fstat(file, &s)) return deq_fail(e, DEQ_JOURNAL, "%s", strerror(errno));
    if (!S_ISREG(s.st_mode)) return deq_fail(e, DEQ_JOURNAL, "it is no regular file");
    if (s.st_uid != geteuid()) return deq_fail(e, DEQ_JOURNAL, "it belongs to another user");
    return true;
}

static deq_rows *unopened(const char *path, const deq_rows_kind *kind, deq_error *e) {
    deq_rows *r = calloc(1, sizeof *r);
    char *copy = strdup(path);
    if (!r || !copy) {
        free(r);
        free(copy);
        deq_fail(e, DEQ_MEMORY, "out of memory for the %s %s", kind->what, path);
        return NULL;
    }
    r->kind = *kind;
    r->kind.fields = json_incref((json_t *)(uintptr_t)kind->fields);
    r->path = copy;
    r->file = -1;
    return r;
}

static deq_rows *made(const char *path, const deq_rows_kind *kind, int flags, deq_error *e) {
    deq_rows *r = unopened(path, kind, e);
    if (!r) return NULL;
    r->read_only = (flags & O_ACCMODE) == O_RDONLY;
    const int how = flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    r->file = open(path, how & ~O_CREAT);
    r->existed = r->file >= 0;
    if (!r->existed && errno == ENOENT) r->file = open(path, how, 0600);
    if (r->file >= 0) return r;
    deq_fail(e, r->read_only ? DEQ_JOURNAL : DEQ_OUTPUT, "%s: %s", path, strerror(errno));
    deq_rows_close(r);
    return NULL;
}

static bool hold(const deq_rows *r, deq_error *e) {
    while (flock(r->file, r->kind.waits ? LOCK_EX : LOCK_EX | LOCK_NB))
        if (errno != EINTR) return deq_fail(e, DEQ_OUTPUT, "%s cannot be locked: %s", r->path, strerror(errno));
    return true;
}

deq_rows *deq_rows_open(const char *path, const deq_rows_kind *kind, const char *key, const json_t *about,
                        deq_error *e) {
    deq_rows *r = made(path, kind, O_RDWR | O_CREAT, e);
    if (!r) return NULL;
    bool readable = false, ok = ours(r->file, e) && hold(r, e) && load(r, &readable, e);
    if (ok && readable && strcmp(key_of(r), key))
        ok = deq_fail(e, DEQ_JOURNAL, "another entry under this name: the records of %s", key_of(r));
    if (ok && readable && ftruncate(r->file, (off_t)r->end))
        ok = deq_fail(e, DEQ_OUTPUT, "%s: %s", path, strerror(errno));
    r->seed = seed_of(key);
    if (ok && !readable) ok = begin(r, key, about, e);
    if (ok) return r;
    deq_rows_close(r);
    return NULL;
}

static deq_rows *only_readable(deq_rows *r, bool ok, bool readable, deq_error *e) {
    if (ok && readable) return r;
    if (ok) deq_fail(e, DEQ_JOURNAL, "%s is no %s that this version of deq reads", r->path, r->kind.what);
    deq_rows_close(r);
    return NULL;
}

deq_rows *deq_rows_read(const char *path, const deq_rows_kind *kind, deq_error *e) {
    deq_rows *r = made(path, kind, O_RDONLY, e);
    bool readable = false;
    if (!r) return NULL;
    const bool ok = ours(r->file, e) && load(r, &readable, e);
    return only_readable(r, ok, readable, e);
}

deq_rows *deq_rows_read_memory(const char *name, const deq_rows_kind *kind, const void *bytes, size_t size,
                               deq_error *e) {
    deq_rows *r = unopened(name, kind, e);
    bool readable = false;
    if (!r) return NULL;
    r->read_only = true;
    const bool ok = load_bytes(r, bytes, size, &readable, e);
    return only_readable(r, ok, readable, e);
}

void deq_rows_close(deq_rows *r) {
    if (!r) return;
    if (r->file >= 0) close(r->file);
    json_decref(r->header);
    json_decref((json_t *)(uintptr_t)r->kind.fields);
    free(r->path);
    free(r->memory);
    deq_row_index_free(&r->index);
    free(r);
}

/* ---- what it holds ---- */
const json_t *deq_rows_header(const deq_rows *r) { return r->header; }
int64_t deq_rows_count(const deq_rows *r) { return r->index.n; }
int64_t deq_rows_damaged(const deq_rows *r) { return r->damaged; }
bool deq_rows_has(const deq_rows *r, int64_t id) { return deq_row_index_find(&r->index, id) >= 0; }
int64_t deq_rows_id(deq_rows *r, int64_t i) { return deq_row_index_at(&r->index, i); }

const void *deq_rows_find(const deq_rows *r, int64_t id) {
    const int64_t place = deq_row_index_find(&r->index, id);
    return place < 0 || !r->kind.kept ? NULL : r->memory + (size_t)place * r->kind.bytes;
}

bool deq_rows_get(const deq_rows *r, int64_t id, void *out) {
    const int64_t place = deq_row_index_find(&r->index, id);
    if (place < 0) return false;
    if (r->kind.kept) {
        memcpy(out, r->memory + (size_t)place * r->kind.bytes, r->kind.bytes);
        return true;
    }
    ssize_t got;
    do got = pread(r->file, out, r->kind.bytes, (off_t)place);
    while (got < 0 && errno == EINTR);
    return got == (ssize_t)r->kind.bytes && id_of(out) == id;
}

bool deq_rows_append(deq_rows *r, const void *rows, int64_t n, deq_error *e) {
    if (r->read_only) return deq_fail(e, DEQ_OUTPUT, "%s is open for reading", r->path);
    for (int64_t from = 0; from < n; from += MOST_CHUNK) {
        const int64_t count = n - from < MOST_CHUNK ? n - from : MOST_CHUNK;
        const size_t bytes = (size_t)count * r->kind.bytes;
        const char *of = (const char *)rows + (size_t)from * r->kind.bytes;
        const Chunk head = {MAGIC, (uint32_t)count, checksum(r, of, bytes)};
        if (!write_parts(r, &head, sizeof head, of, bytes, e) || !take_all(r, of, count, r->end - (int64_t)bytes, e))
            return false;
    }
    return true;
}
