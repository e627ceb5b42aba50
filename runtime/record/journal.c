/* journal.c - see journal.h: the header line, chunks with checksums, the index by example. */
#define _GNU_SOURCE
#include "journal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define FORMAT 1
#define MAGIC 0x4a514544u /* "DEQJ" */
#define MOST_HEADER (1 << 20)
#define MOST_CHUNK (1 << 20) /* records */
#define MOST_ID ((int64_t)1 << 31)

typedef struct Chunk { /* before its records */
    uint32_t magic, count;
    uint64_t checksum;
} Chunk;

struct deq_journal {
    int file;
    char *path;
    json_t *header;
    uint64_t seed; /* of checksums: from the key */
    deq_record *records;
    int64_t n, capacity;
    int64_t *place; /* by id: index + 1 of its record in the order of appending; 0: none */
    int64_t ids;
    int64_t *sorted; /* ids in order, made when asked for */
    int64_t nsorted, damaged, end;
    bool read_only, existed;
};

/* ---- the index ---- */
static bool take(deq_journal *j, const deq_record *r) {
    if (r->id < 0 || r->id >= MOST_ID) return false;
    if (r->id >= j->ids) {
        int64_t ids = r->id + 1 > 2 * j->ids ? r->id + 1 : 2 * j->ids;
        int64_t *place = realloc(j->place, (size_t)ids * sizeof *place);
        if (!place) return false;
        memset(place + j->ids, 0, (size_t)(ids - j->ids) * sizeof *place);
        j->place = place, j->ids = ids;
    }
    if (j->place[r->id]) {
        j->records[j->place[r->id] - 1] = *r;
        return true;
    }
    if (j->n == j->capacity) {
        int64_t capacity = j->capacity ? 2 * j->capacity : 256;
        deq_record *records = realloc(j->records, (size_t)capacity * sizeof *records);
        if (!records) return false;
        j->records = records, j->capacity = capacity;
    }
    j->records[j->n++] = *r;
    j->place[r->id] = j->n;
    return true;
}

/* ---- reading ---- */
static uint64_t checksum(const deq_journal *j, const void *records, size_t bytes) {
    return (uint64_t)XXH3_64bits_withSeed(records, bytes, j->seed);
}

static uint64_t seed_of(const char *key) { return (uint64_t)XXH3_64bits(key, strlen(key)); }

/* The chunk at `at` of `bytes`: its size; 0: there is none. */
static size_t chunk_at(const deq_journal *j, const char *bytes, size_t size, size_t at) {
    Chunk c;
    if (size - at < sizeof c) return 0;
    memcpy(&c, bytes + at, sizeof c);
    if (c.magic != MAGIC || !c.count || c.count > MOST_CHUNK) return 0;
    size_t records = (size_t)c.count * sizeof(deq_record);
    if (size - at - sizeof c < records) return 0;
    return checksum(j, bytes + at + sizeof c, records) == c.checksum ? sizeof c + records : 0;
}

/* Chunks from `at` on.  Between those that are good, whatever cannot be read is one damage. */
static bool read_chunks(deq_journal *j, const char *bytes, size_t size, size_t at) {
    bool bad = false;
    j->end = (int64_t)at;
    while (at < size) {
        size_t length = chunk_at(j, bytes, size, at);
        if (!length) {
            j->damaged += !bad;
            bad = true;
            at++;
            continue;
        }
        bad = false;
        for (size_t k = at + sizeof(Chunk); k < at + length; k += sizeof(deq_record)) {
            deq_record r;
            memcpy(&r, bytes + k, sizeof r);
            if (!take(j, &r)) return false;
        }
        at += length;
        j->end = (int64_t)at; /* a torn end is cut off */
    }
    return true;
}

/* The fields as the header lists them: a file of others is of another format. */
static json_t *field_list(void) {
    int count;
    const deq_record_field *f = deq_record_fields(&count);
    static const char *const types[] = {"i64", "i32", "f64", "f32"};
    json_t *list = json_array();
    for (int i = 0; i < count; i++) json_array_append_new(list, json_pack("[s,s]", f[i].name, types[f[i].type]));
    return list;
}

static bool header_fits(const json_t *header) {
    json_t *fields = field_list();
    const char *version = json_string_value(json_object_get(header, "version"));
    bool fits = json_integer_value(json_object_get(header, "format")) == FORMAT &&
                json_integer_value(json_object_get(header, "record_bytes")) == (json_int_t)sizeof(deq_record) &&
                json_equal(json_object_get(header, "fields"), fields) &&
                json_is_string(json_object_get(header, "key")) && version && !strcmp(version, DEQ_VERSION);
    json_decref(fields);
    return fits;
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

/* The header of what the file holds and where its chunks begin; NULL: nothing that this version has written.
 * `foreign`: it is no header at all, of no version. */
static json_t *read_header(const char *bytes, size_t size, size_t *chunks, bool *foreign) {
    const char *line = memchr(bytes, '\n', size < MOST_HEADER ? size : MOST_HEADER);
    *foreign = true;
    if (!line) return NULL;
    json_t *header = json_loadb(bytes, (size_t)(line - bytes), JSON_REJECT_DUPLICATES, NULL);
    *chunks = (size_t)(line - bytes) + 1;
    *foreign = !json_is_integer(json_object_get(header, "format"));
    if (header && header_fits(header)) return header;
    json_decref(header);
    return NULL;
}

/* ---- opening ---- */
static bool ours(int file, deq_error *e) {
    struct stat s;
    if (fstat(file, &s)) return deq_fail(e, DEQ_JOURNAL, "%s", strerror(errno));
    if (!S_ISREG(s.st_mode)) return deq_fail(e, DEQ_JOURNAL, "it is no regular file");
    if (s.st_uid != geteuid()) return deq_fail(e, DEQ_JOURNAL, "it belongs to another user");
    return true;
}

static bool write_all(deq_journal *j, const void *bytes, size_t size, deq_error *e) {
    size_t done = 0;
    while (done < size) {
        ssize_t n = pwrite(j->file, (const char *)bytes + done, size - done, (off_t)((size_t)j->end + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            int problem = n < 0 ? errno : ENOSPC;
            if (ftruncate(j->file, (off_t)j->end))
                problem = errno; /* the half chunk would be noticed, but why keep it */
            return deq_fail(e, DEQ_OUTPUT, "%s: %s", j->path, strerror(problem));
        }
        done += (size_t)n;
    }
    j->end += (int64_t)size;
    return true;
}

static bool begin(deq_journal *j, const char *key, const json_t *about, deq_error *e) {
    j->header = json_pack("{s:i, s:s, s:s, s:O, s:I, s:o}", "format", FORMAT, "version", DEQ_VERSION, "key", key,
                          "about", about, "record_bytes", (json_int_t)sizeof(deq_record), "fields", field_list());
    char *text = j->header ? json_dumps(j->header, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    size_t length = text ? strlen(text) : 0;
    j->end = 0;
    bool ok = text || deq_fail(e, DEQ_MEMORY, "out of memory for the journal %s", j->path);
    if (ok && ftruncate(j->file, 0)) ok = deq_fail(e, DEQ_OUTPUT, "%s: %s", j->path, strerror(errno));
    if (ok) text[length] = '\n'; /* in the place of the NUL */
    ok = ok && write_all(j, text, length + 1, e);
    free(text);
    return ok;
}

static deq_journal *unopened(const char *path, deq_error *e) {
    deq_journal *j = calloc(1, sizeof *j);
    char *copy = strdup(path);
    if (!j || !copy) {
        free(j);
        free(copy);
        deq_fail(e, DEQ_MEMORY, "out of memory for the journal %s", path);
        return NULL;
    }
    j->path = copy;
    j->file = -1;
    return j;
}

static deq_journal *made(const char *path, int flags, deq_error *e) {
    deq_journal *j = unopened(path, e);
    if (!j) return NULL;
    j->read_only = (flags & O_ACCMODE) == O_RDONLY;
    const int how = flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    j->file = open(path, how & ~O_CREAT);
    j->existed = j->file >= 0;
    if (!j->existed && errno == ENOENT) j->file = open(path, how, 0600);
    if (j->file < 0) {
        deq_fail(e, j->read_only ? DEQ_JOURNAL : DEQ_OUTPUT, "%s: %s", path, strerror(errno));
        deq_journal_close(j);
        return NULL;
    }
    return j;
}

/* What is in the bytes of a file; not `readable`: no journal of this format. */
static bool load_bytes(deq_journal *j, const char *bytes, size_t size, bool *readable, deq_error *e) {
    size_t chunks = 0;
    bool foreign = false;
    j->header = read_header(bytes, size, &chunks, &foreign);
    j->damaged = foreign && j->existed;
    *readable = j->header != NULL;
    bool ok = true;
    if (j->header) {
        j->seed = seed_of(deq_journal_key(j));
        ok = read_chunks(j, bytes, size, chunks) ||
             deq_fail(e, DEQ_MEMORY, "out of memory for the records of %s", j->path);
    }
    return ok;
}

static bool load(deq_journal *j, bool *readable, deq_error *e) {
    size_t size = 0;
    char *bytes = read_file(j->file, &size);
    bool ok =
        bytes ? load_bytes(j, bytes, size, readable, e) : deq_fail(e, DEQ_MEMORY, "out of memory reading %s", j->path);
    free(bytes);
    return ok;
}

deq_journal *deq_journal_open(const char *path, const char *key, const json_t *about, deq_error *e) {
    deq_journal *j = made(path, O_RDWR | O_CREAT, e);
    if (!j) return NULL;
    bool readable = false, ok = ours(j->file, e);
    while (ok && flock(j->file, LOCK_EX))
        if (errno != EINTR) ok = deq_fail(e, DEQ_OUTPUT, "%s cannot be locked: %s", path, strerror(errno));
    ok = ok && load(j, &readable, e);
    if (ok && readable && strcmp(deq_journal_key(j), key))
        ok = deq_fail(e, DEQ_JOURNAL, "another entry under this name: the records of %s", deq_journal_key(j));
    if (ok && readable && ftruncate(j->file, (off_t)j->end))
        ok = deq_fail(e, DEQ_OUTPUT, "%s: %s", path, strerror(errno));
    j->seed = seed_of(key);
    if (ok && !readable) ok = begin(j, key, about, e);
    if (ok) return j;
    deq_journal_close(j);
    return NULL;
}

deq_journal *deq_journal_read(const char *path, deq_error *e) {
    deq_journal *j = made(path, O_RDONLY, e);
    if (!j) return NULL;
    bool readable = false, ok = ours(j->file, e) && load(j, &readable, e);
    if (ok && readable) return j;
    if (ok) deq_fail(e, DEQ_JOURNAL, "%s is no journal that this version of deq reads", path);
    deq_journal_close(j);
    return NULL;
}

deq_journal *deq_journal_read_memory(const char *name, const void *bytes, size_t size, deq_error *e) {
    deq_journal *j = unopened(name, e);
    if (!j) return NULL;
    j->read_only = true;
    bool readable = false, ok = load_bytes(j, bytes, size, &readable, e);
    if (ok && readable) return j;
    if (ok) deq_fail(e, DEQ_JOURNAL, "%s is no journal that this version of deq reads", name);
    deq_journal_close(j);
    return NULL;
}

void deq_journal_close(deq_journal *j) {
    if (!j) return;
    if (j->file >= 0) close(j->file);
    json_decref(j->header);
    free(j->path);
    free(j->records);
    free(j->place);
    free(j->sorted);
    free(j);
}

/* ---- what it holds ---- */
const json_t *deq_journal_about(const deq_journal *j) { return json_object_get(j->header, "about"); }
const char *deq_journal_key(const deq_journal *j) { return json_string_value(json_object_get(j->header, "key")); }
const char *deq_journal_version(const deq_journal *j) {
    return json_string_value(json_object_get(j->header, "version"));
}
int64_t deq_journal_count(const deq_journal *j) { return j->n; }
int64_t deq_journal_damaged(const deq_journal *j) { return j->damaged; }

const deq_record *deq_journal_find(const deq_journal *j, int64_t id) {
    return id >= 0 && id < j->ids && j->place[id] ? &j->records[j->place[id] - 1] : NULL;
}

const deq_record *deq_journal_at(const deq_journal *journal, int64_t i) {
    deq_journal *j = (deq_journal *)(uintptr_t)journal; /* the order is made when it is first asked for */
    if (i < 0 || i >= j->n) return NULL;
    if (j->nsorted != j->n) {
        int64_t *sorted = realloc(j->sorted, (size_t)j->n * sizeof *sorted), n = 0;
        if (!sorted) return NULL;
        for (int64_t id = 0; id < j->ids; id++)
            if (j->place[id]) sorted[n++] = id;
        j->sorted = sorted, j->nsorted = n;
    }
    return deq_journal_find(j, j->sorted[i]);
}

bool deq_journal_append(deq_journal *j, const deq_record *records, int64_t n, deq_error *e) {
    if (j->read_only) return deq_fail(e, DEQ_OUTPUT, "%s is open for reading", j->path);
    for (int64_t from = 0; from < n; from += MOST_CHUNK) {
        int64_t count = n - from < MOST_CHUNK ? n - from : MOST_CHUNK;
        size_t bytes = (size_t)count * sizeof *records;
        char *chunk = malloc(sizeof(Chunk) + bytes);
        if (!chunk) return deq_fail(e, DEQ_MEMORY, "out of memory for the journal %s", j->path);
        Chunk head = {MAGIC, (uint32_t)count, checksum(j, records + from, bytes)};
        memcpy(chunk, &head, sizeof head);
        memcpy(chunk + sizeof head, records + from, bytes);
        bool ok = write_all(j, chunk, sizeof head + bytes, e);
        free(chunk);
        if (!ok) return false;
        for (int64_t i = from; i < from + count; i++)
            if (!take(j, &records[i])) return deq_fail(e, DEQ_MEMORY, "out of memory for the records of %s", j->path);
    }
    return true;
}
