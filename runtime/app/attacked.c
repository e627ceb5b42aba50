/* attacked.c - see attacked.h: rows of attacked inputs in the cache, and their number of bytes kept below a bound. */
#define _GNU_SOURCE
#include "attacked.h"
#include "output.h"
#include "ranks.h"
#include "rows.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* All files together, and one of them: a whole test split of small images is 30 to 120 MB, so that the evaluations of a
 * large script find each other, and a cache stays smaller than the trained nets and data beside it may be. */
#define MOST_BYTES ((int64_t)4 << 30)
#define MOST_OF_ONE (MOST_BYTES / 4)

typedef struct Head { /* of a row; the input follows */
    int64_t id;
    deq_row_counts counts;
} Head;

struct deq_attacked {
    deq_rows *rows; /* NULL on the ranks that rank 0 tells what it knows */
    char *path;
    size_t row, input; /* bytes */
    char *block;       /* rows on their way to the file */
    int64_t capacity;
    bool added;
};

/* ---- what decides where an attack leads ---- */
static json_t *about(deq_app *app, deq_engine *engine, const deq_model *model, const deq_value_spec *v,
                     const deq_attack_spec *a, const char *fingerprint) {
    deq_attack_spec alone = *a; /* the part, not what it is joined with */
    alone.next = NULL;
    alone.joined = NULL;
    alone.all = false;
    json_t *settings = NULL;
    const char *loss = v->loss;
    if (a->against.found) { /* the evaluated net has no part in it: this is the key of the same attack on that net */
        settings = deq_app_asked_settings(app, a);
        model = a->against.found;
        loss = model->spec->loss;
        alone.against.found = NULL;
    } else {
        settings = deq_app_resolved(engine);
        json_object_del(settings, "defence"); /* attacks are of the undefended net */
    }
    json_t *what =
        json_pack("{s:i, s:i, s:s, s:s, s:s, s:s, s:s, s:b, s:I, s:o, s:o}", "abi", DEQ_ABI_VERSION, "revision",
                  DEQ_RECORDS_REVISION, "kind", "attacked", "net", model->spec->net->hash, "model", model->key, "loss",
                  loss ? loss : "", "files", fingerprint, "test", (int)v->data.test, "seed",
                  (json_int_t)model->spec->seed, "attack", deq_app_attack_key(app, &alone), "settings", settings);
    deq_app_link_key(app, model->spec->net, what);
    return what;
}

static json_t *fields_of(const deq_attacked *k) {
    return json_pack("[[s,s],[s,I],[s,I]]", "id", "i64", "counts", (json_int_t)sizeof(deq_row_counts), "input",
                     (json_int_t)k->input);
}

static deq_rows *open_rows(deq_app *app, const deq_attacked *k, const deq_key key, const json_t *what) {
    deq_error e = {0}, again = {0};
    json_t *fields = fields_of(k);
    const deq_rows_kind kind = {.what = "file of attacked inputs", .bytes = k->row, .fields = fields};
    deq_app_begin(app, key, k->path);
    deq_rows *rows = deq_rows_open(k->path, &kind, key, what, &e);
    if (!rows && e.failure == DEQ_JOURNAL) {
        deq_store_refuse(&app->store, k->path, e.text);
        unlink(k->path);
        rows = deq_rows_open(k->path, &kind, key, what, &again);
    }
    if (rows && deq_rows_damaged(rows))
        deq_store_refuse(&app->store, k->path, "it is damaged; the attacked inputs that are missing are made again");
    json_decref(fields);
    return rows;
}

deq_attacked *deq_attacked_open(deq_app *app, deq_engine *engine, const deq_model *model, const deq_value_spec *v,
                                const deq_attack_spec *a, const char *fingerprint) {
    deq_attacked *k = calloc(1, sizeof *k);
    deq_key key;
    if (!k && deq_ranks_count() > 1) deq_ranks_stop(deq_failure_exit(DEQ_MEMORY)); /* the others wait for it below */
    if (!k) return NULL;
    json_t *what = about(app, engine, model, v, a, fingerprint);
    deq_store_key(what, key);
    k->input = (size_t)model->spec->net->input.elements * (app->module->real_bits / 8);
    k->row = sizeof(Head) + ((k->input + 7) & ~(size_t)7);
    k->path = deq_store_path(&app->store, "attacked", key, "rows");
    if (k->path && deq_ranks_first()) k->rows = open_rows(app, k, key, what);
    json_decref(what);
    if (k->rows) utimensat(AT_FDCWD, k->path, NULL, 0); /* used now */
    if (deq_ranks_share_bool(k->rows != NULL)) return k;
    deq_attacked_close(k);
    return NULL;
}

void deq_attacked_close(deq_attacked *k) {
    if (!k) return;
    if (k->rows) deq_rows_close(k->rows);
    char *end = k->added ? strrchr(k->path, '/') : NULL;
    if (end) {
        *end = 0;
        deq_attacked_trim(k->path, MOST_BYTES);
    }
    free(k->block);
    free(k->path);
    free(k);
}

/* ---- rows ---- */
/* Room for n rows: one block's worth, used again for every block. */
static bool room(deq_attacked *k, int64_t n) {
    if (n <= k->capacity) return true;
    char *grown = realloc(k->block, (size_t)n * k->row);
    if (!grown) return false;
    k->block = grown;
    k->capacity = n;
    return true;
}

void deq_attacked_get(const deq_attacked *k, const int64_t *ids, int64_t n, bool *there, void *inputs,
                      deq_row_counts *counts) {
    char *row = k->rows ? malloc(k->row) : NULL;
    int64_t known = 0;
    for (int64_t i = 0; i < n; i++) {
        there[i] = row && deq_rows_has(k->rows, ids[i]) && deq_rows_get(k->rows, ids[i], row);
        if (!there[i]) continue;
        Head head;
        memcpy(&head, row, sizeof head);
        memcpy((char *)inputs + (size_t)known * k->input, row + sizeof head, k->input);
        counts[known++] = head.counts;
    }
    free(row);
    deq_ranks_share(&known, sizeof known);
    if (!known) { /* as most often; `there` may be another rank's wish */
        memset(there, 0, (size_t)n * sizeof *there);
        return;
    }
    deq_ranks_share(there, n * (int64_t)sizeof *there);
    deq_ranks_share(inputs, known * (int64_t)k->input);
    deq_ranks_share(counts, known * (int64_t)sizeof *counts);
}

void deq_attacked_keep(deq_attacked *k, const int64_t *ids, const void *inputs, size_t apart,
                       const deq_row_counts *counts, int64_t n) {
    deq_error e = {0};
    if (!k->rows) return;
    if ((deq_rows_count(k->rows) + n) * (int64_t)k->row > MOST_OF_ONE) return;
    if (!room(k, n)) return;
    for (int64_t i = 0; i < n; i++) {
        char *at = k->block + (size_t)i * k->row;
        Head head;
        memset(&head, 0, sizeof head); /* padding too: rows have checksums */
        head.id = ids[i];
        head.counts = counts[i];
        memcpy(at, &head, sizeof head);
        memcpy(at + sizeof head, (const char *)inputs + (size_t)i * apart, k->input);
        memset(at + sizeof head + k->input, 0, k->row - sizeof head - k->input);
    }
    if (deq_rows_append(k->rows, k->block, n, &e)) k->added = true;
}

/* ---- the bound ---- */
typedef struct Kept {
    char *path;
    int64_t bytes, used; /* nanoseconds */
} Kept;

static int by_use(const void *a, const void *b) {
    const Kept *x = a, *y = b;
    return (x->used > y->used) - (x->used < y->used);
}

static int64_t list_files(const char *folder, Kept **out) {
    DIR *d = opendir(folder);
    int64_t n = 0, capacity = 0;
    for (struct dirent *f; d && (f = readdir(d));) {
        struct stat s;
        char *path = deq_path_join(folder, f->d_name, NULL);
        if (n == capacity) {
            Kept *grown = realloc(*out, (size_t)(capacity = 2 * capacity + 16) * sizeof *grown);
            if (!grown) break;
            *out = grown;
        }
        if (path && !lstat(path, &s) && S_ISREG(s.st_mode))
            (*out)[n++] = (Kept){path, (int64_t)s.st_size, s.st_mtim.tv_sec * 1000000000 + s.st_mtim.tv_nsec};
        else
            free(path);
    }
    if (d) closedir(d);
    return n;
}

void deq_attacked_trim(const char *folder, int64_t most) {
    Kept *files = NULL;
    int64_t n = list_files(folder, &files), bytes = 0;
    for (int64_t i = 0; i < n; i++) bytes += files[i].bytes;
    if (n) qsort(files, (size_t)n, sizeof *files, by_use);
    for (int64_t i = 0; i < n; i++) {
        if (bytes > most && !unlink(files[i].path)) bytes -= files[i].bytes;
        free(files[i].path);
    }
    free(files);
}
