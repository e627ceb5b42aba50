/* read_journals.c - deq journal: what journals of evaluations hold, as a summary, CSV, JSON, NPZ, or merged. */
#define _GNU_SOURCE
#include "app.h"
#include "clean_start.h"
#include "interval.h"
#include "journal.h"
#include "output.h"
#include "progress.h"
#include "selection.h"
#include "store.h"
#include "tensors.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct Part { /* of one journal: the records that are meant */
    const char *name;
    deq_journal *journal;
    deq_record *records;
    int64_t n;
} Part;

typedef struct Parts {
    Part *list;
    int n;
    deq_selection selection;
    const char *output;
} Parts;

/* ---- reading ---- */
static bool is_key(const char *name) {
    size_t n = strspn(name, "0123456789abcdef");
    return n == sizeof(deq_key) - 1 && !name[n];
}

/* A key that is no file here is an entry of the cache. */
static char *path_of(const char *name) {
    if (!is_key(name) || !access(name, F_OK)) return strdup(name);
    deq_store store;
    deq_store_open(&store, NULL, false);
    char *path = deq_store_path(&store, "journal", name, "journal");
    deq_store_close(&store);
    return path ? path : strdup(name);
}

/* All records of the journal at `path`; what they are merged to is what they are, without the clean evaluation's. */
static bool read_records(Part *p, const char *path, bool merges, deq_error *e) {
    if (!(p->journal = deq_journal_read(path, e))) return false;
    p->n = deq_journal_count(p->journal);
    p->records = malloc((size_t)(p->n + 1) * sizeof *p->records);
    for (int64_t i = 0; p->records && i < p->n; i++) {
        const deq_record *r = deq_journal_at(p->journal, i);
        if (!r) return deq_fail(e, DEQ_MEMORY, "out of memory for the records of %s", p->name);
        p->records[i] = *r;
    }
    if (!p->records) return deq_fail(e, DEQ_MEMORY, "out of memory for the records of %s", p->name);
    if (!merges) deq_clean_start(deq_journal_about(p->journal), path, p->records, p->n);
    return true;
}

static bool read_part(Part *p, const deq_selection *selection, bool merges, deq_error *e) {
    char *path = path_of(p->name);
    const bool ok = path ? read_records(p, path, merges, e) : deq_fail(e, DEQ_MEMORY, "out of memory");
    const int64_t all = ok ? p->n : 0;
    free(path);
    p->n = 0;
    for (int64_t i = 0; i < all; i++)
        if (deq_selected(selection, &p->records[i])) p->records[p->n++] = p->records[i];
    return ok;
}

/* ---- summary ---- */
static void print_fact(const char *name, const char *value) { printf("  %-22s %s\n", name, value); }

static void print_member(const char *name, const json_t *value) {
    char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    const char *shown = json_is_string(value) ? json_string_value(value) : text ? text : "";
    if (json_is_null(value) || !*shown) shown = "none";
    print_fact(name, shown);
    free(text);
}

static void print_about(const Part *p) {
    const char *name, *setting;
    json_t *value, *of;
    print_fact("key", deq_journal_key(p->journal));
    print_fact("written by", deq_journal_version(p->journal));
    json_object_foreach((json_t *)(uintptr_t)deq_journal_about(p->journal), name, value) {
        if (!strcmp(name, "kind")) continue;
        if (!strcmp(name, "files"))
            print_member("data", value);
        else if (!strcmp(name, "test"))
            print_fact("split", json_is_true(value) ? "test" : "train");
        else if (!strcmp(name, "settings"))
            json_object_foreach(value, setting, of) print_member(setting, of);
        else
            print_member(name, value);
    }
}

static void print_mean(const char *name, deq_interval v, double scale, const char *unit) {
    char text[100];
    if (isnan(v.value)) return;
    int n = snprintf(text, sizeof text, "%.4g%s", scale * v.value, unit);
    if (!isnan(v.low)) snprintf(text + n, sizeof text - (size_t)n, " [%.4g, %.4g]", scale * v.low, scale * v.high);
    print_fact(name, text);
}

/* Of a field's mean, with the evaluation's own key. */
static deq_interval mean_of(const Part *p, const char *field) {
    int count;
    const deq_record_field *f = &deq_record_fields(&count)[deq_record_field_named(field)];
    double *values = malloc((size_t)(p->n + 1) * sizeof *values);
    deq_interval out = {NAN, NAN, NAN};
    for (int64_t i = 0; values && i < p->n; i++) values[i] = deq_record_value(&p->records[i], f);
    const json_t *about = deq_journal_about(p->journal);
    const uint64_t key = (uint64_t)json_integer_value(json_object_get(about, "seed"));
    const bool share = !strcmp(field, "metric") && json_is_true(json_object_get(about, "share"));
    if (values) out = deq_mean_interval(values, p->n, key, share);
    free(values);
    return out;
}

static deq_interval share_wrong(const Part *p) {
    int64_t wrong = 0, labelled = 0;
    for (int64_t i = 0; i < p->n; i++) {
        labelled += p->records[i].label >= 0 && p->records[i].prediction != DEQ_PREDICTION_NONE;
        wrong += deq_record_wrong(&p->records[i]);
    }
    return deq_wilson(wrong, labelled);
}

static bool summarise(const Parts *parts, deq_error *e) {
    (void)e;
    for (int k = 0; k < parts->n; k++) {
        const Part *p = &parts->list[k];
        const int64_t all = deq_journal_count(p->journal), damaged = deq_journal_damaged(p->journal);
        printf("%s%s: %lld examples", k ? "\n" : "", p->name, (long long)all);
        if (parts->selection.n) printf(", of which %lld are meant by --filter", (long long)p->n);
        if (damaged) printf("; %lld damaged chunks were passed over", (long long)damaged);
        putchar('\n');
        print_about(p);
        print_mean("mean metric", mean_of(p, "metric"), 1, "");
        print_mean("mean loss", mean_of(p, "loss"), 1, "");
        print_mean("share wrong", share_wrong(p), 100, "%");
    }
    return true;
}

/* ---- CSV and JSON ---- */
static void csv_value(FILE *out, const deq_record *r, const deq_record_field *f) {
    const double v = deq_record_value(r, f);
    switch (f->type) {
    case DEQ_RECORD_I64:
    case DEQ_RECORD_I32: fprintf(out, "%lld", (long long)v); break;
    case DEQ_RECORD_F64: isnan(v) ? 0 : fprintf(out, "%.17g", v); break;
    case DEQ_RECORD_F32: isnan(v) ? 0 : fprintf(out, "%.9g", v); break;
    }
}

static void write_csv(FILE *out, const Parts *parts) {
    int count;
    const deq_record_field *fields = deq_record_fields(&count);
    const bool several = parts->n > 1;
    if (several) fputs("journal,", out);
    for (int f = 0; f < count; f++) fprintf(out, "%s%c", fields[f].name, f + 1 < count ? ',' : '\n');
    for (int k = 0; k < parts->n; k++)
        for (int64_t i = 0; i < parts->list[k].n; i++) {
            if (several) fprintf(out, "%s,", deq_journal_key(parts->list[k].journal));
            for (int f = 0; f < count; f++) {
                csv_value(out, &parts->list[k].records[i], &fields[f]);
                fputc(f + 1 < count ? ',' : '\n', out);
            }
        }
}

static void write_json(FILE *out, const Parts *parts) {
    for (int k = 0; k < parts->n; k++)
        for (int64_t i = 0; i < parts->list[k].n; i++) {
            json_t *o = json_pack("{s:s}", "journal", deq_journal_key(parts->list[k].journal));
            json_t *record = deq_record_json(&parts->list[k].records[i]);
            json_object_update(o, record);
            json_dumpf(o, out, JSON_COMPACT | JSON_REAL_PRECISION(17));
            fputc('\n', out);
            json_decref(record);
            json_decref(o);
        }
}

/* To standard output, or to a file that is of the same kind when there is one: it begins with `begins`. */
static bool write_text(const Parts *parts, void (*write)(FILE *, const Parts *), const char *begins, deq_error *e) {
    deq_output out;
    if (!parts->output) {
        write(stdout, parts);
        return true;
    }
    if (!deq_output_replaceable(parts->output, begins, strlen(begins), e) || !deq_output_open(&out, parts->output, e))
        return false;
    write(out.file, parts);
    return deq_output_commit(&out, e);
}

static bool csv(const Parts *parts, deq_error *e) {
    return write_text(parts, write_csv, parts->n > 1 ? "journal,id," : "id,label,", e);
}

static bool json(const Parts *parts, deq_error *e) { return write_text(parts, write_json, "{\"journal\":", e); }

/* ---- NPZ ---- */
static bool column(const Part *p, const deq_record_field *f, deq_tensor_out *out, deq_error *e) {
    static const deq_element types[] = {DEQ_I64, DEQ_I32, DEQ_F64, DEQ_F32};
    *out = (deq_tensor_out){f->name, {.type = types[f->type], .rank = 1, .dim = {p->n}}};
    if (!deq_array_count(&out->array) || !deq_array_allocate(&out->array, "the arrays of a journal", e)) return false;
    const size_t size = (size_t)deq_element_bytes(out->array.type);
    for (int64_t i = 0; i < p->n; i++)
        memcpy((char *)out->array.values + (size_t)i * size, (const char *)&p->records[i] + f->offset, size);
    return true;
}

static bool npz(const Parts *parts, deq_error *e) {
    int count;
    const deq_record_field *fields = deq_record_fields(&count);
    if (parts->n > 1) return deq_fail(e, DEQ_SETTING, "--npz takes one journal; --merge makes one of several");
    if (!deq_output_replaceable(parts->output, NULL, 0, e)) return false;
    deq_tensor_out *list = calloc((size_t)count, sizeof *list);
    bool ok = list || deq_fail(e, DEQ_MEMORY, "out of memory for the arrays of a journal");
    for (int f = 0; ok && f < count; f++) ok = column(&parts->list[0], &fields[f], &list[f], e);
    ok = ok && deq_npz_write(parts->output, list, count, e);
    for (int f = 0; list && f < count; f++) deq_array_free(&list[f].array);
    free(list);
    return ok;
}

/* ---- merging ---- */
static bool same_evaluation(const Parts *parts, deq_error *e) {
    const Part *first = &parts->list[0];
    for (int k = 1; k < parts->n; k++) {
        const Part *p = &parts->list[k];
        if (!strcmp(deq_journal_key(p->journal), deq_journal_key(first->journal))) continue;
        return deq_fail(e, DEQ_JOURNAL,
                        "only parts of one evaluation can be merged: %s has the key %s, and %s has %s; without "
                        "options, deq journal says in what they differ",
                        first->name, deq_journal_key(first->journal), p->name, deq_journal_key(p->journal));
    }
    return true;
}

/* The merged journal as bytes: written beside the output, where there is room for it. */
static char *merged(const Parts *parts, size_t *size, int64_t *examples, deq_error *e) {
    char *folder = deq_temporary_folder(parts->output, e), *bytes = NULL;
    char *path = folder ? deq_path_join(folder, "merged.journal", NULL) : NULL;
    const Part *first = &parts->list[0];
    deq_journal *j =
        path ? deq_journal_open(path, deq_journal_key(first->journal), deq_journal_about(first->journal), e) : NULL;
    bool ok = j != NULL;
    for (int k = 0; ok && k < parts->n; k++) ok = deq_journal_append(j, parts->list[k].records, parts->list[k].n, e);
    *examples = ok ? deq_journal_count(j) : 0;
    deq_journal_close(j);
    if (ok && !(bytes = deq_read_whole(path, SIZE_MAX / 2, size)))
        deq_fail(e, DEQ_MEMORY, "out of memory for the journal %s", parts->output);
    if (folder) deq_temporary_folder_remove(folder);
    free(path);
    free(folder);
    return bytes;
}

static bool merge(const Parts *parts, deq_error *e) {
    size_t size = 0;
    int64_t examples = 0;
    const char *begins = "{\"format\":";
    if (!same_evaluation(parts, e) || !deq_output_replaceable(parts->output, begins, strlen(begins), e)) return false;
    char *bytes = merged(parts, &size, &examples, e);
    bool ok = bytes && deq_output_write(parts->output, bytes, size, e);
    if (ok) printf("%s: %lld examples of %d journals\n", parts->output, (long long)examples, parts->n);
    free(bytes);
    return ok;
}

int deq_app_journals(const char *const *names, int n, const deq_journals_options *options) {
    static bool (*const forms[])(const Parts *, deq_error *) = {summarise, csv, json, npz, merge};
    deq_error e = {0};
    deq_reporter reporter;
    Parts parts = {.list = calloc((size_t)n + 1, sizeof(Part)), .n = n, .output = options->output};
    deq_reporter_open(&reporter, false, false);
    bool ok = parts.list ? deq_selection_parse(options->filter, &parts.selection, &e)
                         : deq_fail(&e, DEQ_MEMORY, "out of memory");
    for (int k = 0; ok && k < n; k++) {
        parts.list[k].name = names[k];
        ok = read_part(&parts.list[k], &parts.selection, options->form == DEQ_JOURNALS_MERGED, &e);
        if (ok && options->form != DEQ_JOURNALS_SUMMARY && deq_journal_damaged(parts.list[k].journal))
            deq_report_warning(&reporter, "W0822", "%s is damaged; the examples that are missing are left out",
                               names[k]);
    }
    ok = ok && forms[options->form](&parts, &e);
    if (!ok) deq_report_error(&reporter, &e);
    for (int k = 0; parts.list && k < n; k++) {
        deq_journal_close(parts.list[k].journal);
        free(parts.list[k].records);
    }
    free(parts.list);
    return ok ? 0 : deq_failure_exit(e.failure);
}
