/* Executing a manifest: training is deterministic, resumes to the same bits, stops where it must; results are cached,
 * tabulated and written whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <fcntl.h>
#include <unistd.h>
#include <sys/stat.h>
#include "adversarial.h"
#include "attacked.h"
#include "run.h"
#include "seal.h"
#include "manifest.h"
#include "output.h"
#include "preload.h"
#include "line_module.h"

static char folder[] = "/tmp/deq-test-app-XXXXXX";
static char manifest[16384];

static const char train_only[] = "\"trains\": [" LINE_TRAIN("net", "4") "], \"run\": [{\"train\": \"net\"}]}";
/* Two nets, and for each its accuracies and their difference. */
#define CLEAN                                                                                                          \
    "{\"name\": \"clean\", \"metric\": \"accuracy\", \"model\": \"m\", \"loss\": \"cross_entropy\", "                  \
    "\"data\": " LINE_SLICE("160", "200") ", \"attack\": null, \"overrides\": []}"
#define ROBUST                                                                                                         \
    "{\"name\": \"robust\", \"metric\": \"accuracy\", \"model\": \"m\", \"loss\": \"cross_entropy\", "                 \
    "\"data\": " LINE_SLICE("160", "200") ", \"attack\": " LINE_ATTACK ", \"overrides\": []}"
#define COLUMN(value, format) "{\"title\": \"" value "\", \"value\": \"" value "\", \"format\": \"" format "\"}"
static const char experiment[] =
    "\"trains\": [], \"experiments\": [{\"name\": \"robustness\", \"line\": 20, \"axes\": [{\"name\": \"seed\", "
    "\"values\": [\"4\", \"5\"]}],\n"
    "\"arrays\": [{\"name\": \"m\", \"kind\": \"train\", \"axes\": [0], \"trains\": [" LINE_TRAIN(
        "m", "4") ", " LINE_TRAIN("m", "5") "]},\n"
                                            "{\"name\": \"clean\", \"kind\": \"evaluate\", \"axes\": [0], \"cells\": "
                                            "[" CLEAN ", " CLEAN "]},\n"
                                            "{\"name\": \"robust\", \"kind\": \"evaluate\", \"axes\": [0], \"cells\": "
                                            "[" ROBUST ", " ROBUST "]},\n"
                                            "{\"name\": \"gap\", \"kind\": \"expression\", \"axes\": [0], \"routine\": "
                                            "\"gap\", \"inputs\": "
                                            "[\"clean\", \"robust\"]}],\n"
                                            "\"tables\": [{\"name\": \"robustness\", \"rows\": [[0]], \"columns\": "
                                            "[" COLUMN("clean", "percent") ", " COLUMN("robust", "percent") ", " COLUMN(
                                                "gap", "number") "], \"join\": [], \"cells\": null}]}], \"run\": "
                                                                 "[{\"experiment\": \"robustness\"}]}";

/* The module of a manifest whose text after "nets" is `tail`. */
static deq_module module_of(const char *tail) {
    char *to = stpcpy(line_begin(manifest, sizeof manifest, folder), tail);
    assert_true(to < manifest + sizeof manifest);
    return line_module(manifest);
}

static char *in_folder(const char *name) { return deq_path_join(folder, name, NULL); }

static char *content(const char *name, size_t *size) {
    char *path = in_folder(name), *text = deq_read_whole(path, 1 << 24, size);
    free(path);
    return text;
}

static bool exists(const char *name) {
    size_t size;
    char *text = content(name, &size);
    free(text);
    return text != NULL;
}

static int run(const char *tail, const char *where, bool fresh, const char *set) {
    char *results = in_folder(where), *cache = deq_path_join(folder, where, "cache", NULL);
    deq_module module = module_of(tail);
    deq_app_options options = {.threads = 2,
                               .results = results,
                               .cache = cache,
                               .fresh = fresh,
                               .quiet = true,
                               .set = &set,
                               .nset = set != NULL};
    int code = deq_app_run(&module, &options);
    free(results);
    free(cache);
    return code;
}

static void same_parameters(const char *a, const char *b) {
    size_t na, nb;
    char *x = content(a, &na), *y = content(b, &nb);
    assert_non_null(x);
    assert_non_null(y);
    assert_int_equal(na, nb);
    assert_memory_equal(x, y, na);
    free(x);
    free(y);
}

/* The log without its two columns of time, and what seals it: the checksum is of them too. */
static void same_log(const char *a, const char *b) {
    size_t n;
    char *x = content(a, &n), *y = content(b, &n), *p = NULL, *q = NULL;
    assert_non_null(x);
    assert_non_null(y);
    for (char *l = strtok_r(x, "\n", &p), *m = strtok_r(y, "\n", &q); l || m;
         l = strtok_r(NULL, "\n", &p), m = strtok_r(NULL, "\n", &q)) {
        assert_true(l && m);
        for (int i = 0; i < 4; i++) *strrchr(l, ',') = *strrchr(m, ',') = 0;
        assert_string_equal(l, m);
    }
    free(x);
    free(y);
}

static void test_train(void **state) {
    (void)state;
    line_updates = 0;
    assert_int_equal(run(train_only, "a", false, NULL), 0);
    assert_int_equal(line_updates, 3 * 7); /* 100 examples in batches of 16, three epochs */
    assert_true(exists("a/line/net-log.csv") && exists("a/line/settings.json") && exists("a/line/net.safetensors"));
    assert_int_equal(run(train_only, "a", false, NULL), 0);
    assert_int_equal(line_updates, 3 * 7); /* found in the cache */
    assert_int_equal(run(train_only, "a", true, NULL), 0);
    assert_int_equal(line_updates, 6 * 7); /* fresh */
    assert_int_equal(run(train_only, "b", false, NULL), 0);
    same_parameters("a/line/net.safetensors", "b/line/net.safetensors");
    same_log("a/line/net-log.csv", "b/line/net-log.csv");
    /* it learns: the classes are separable */
    size_t n;
    char *log = content("a/line/net-log.csv", &n), *last = strrchr(log, '\n');
    assert_non_null(last);
    double loss, accuracy, validation, clean;
    *last = 0;
    assert_int_equal(sscanf(strrchr(log, '\n'), "\n3,21,%lf,%lf,%lf,%lf", &loss, &accuracy, &validation, &clean), 4);
    assert_true(clean > 0.9 && loss < 0.6);
    free(log);
}

/* Data are read ahead for a run that trains; one without epochs only loads weights. */
static void test_preload(void **state) {
    (void)state;
    char *cache = deq_path_join(folder, "preload", "cache", NULL);
    const char *sets[] = {"net.epochs=0", "other.epochs=0", "net.epochs=2"};
    for (int i = 0; i < 4; i++) {
        deq_module module = module_of(train_only);
        deq_error e = {0};
        deq_app_options options = {.cache = cache, .set = &sets[i % 3], .nset = i < 3};
        deq_manifest *m = deq_manifest_read(&module, &e);
        assert_non_null(m);
        deq_preload *p = deq_preload_start(manifest, &options);
        assert_non_null(p);
        deq_dataset *d = deq_preload_take(p, &m->data[0], NULL);
        assert_int_equal(d != NULL, i != 0);
        if (d) deq_dataset_free(d);
        deq_preload_free(p);
        deq_manifest_free(m);
    }
    free(cache);
}

static void test_resume(void **state) {
    (void)state;
    for (int at = 1; at <= 20; at += 4) {
        char where[16], path[64], log[64];
        snprintf(where, sizeof where, "r%d", at);
        line_updates = 0;
        line_signal_at = at;
        assert_int_equal(run(train_only, where, false, NULL), 130);
        line_signal_at = -1;
        assert_int_equal(line_updates, at);
        assert_int_equal(run(train_only, where, false, NULL), 0);
        assert_int_equal(line_updates, 21); /* no step twice */
        snprintf(path, sizeof path, "%s/line/net.safetensors", where);
        snprintf(log, sizeof log, "%s/line/net-log.csv", where);
        same_parameters("a/line/net.safetensors", path);
        same_log("a/line/net-log.csv", log);
    }
}

static void test_divergence(void **state) {
    (void)state;
    assert_int_equal(run(train_only, "d", false, "net.optimise.rate=1e39"), 3);
    assert_false(exists("d/line/net.safetensors"));
    char command[300];
    snprintf(command, sizeof command, "test \"$(ls %s/d/cache/nets/*.partial.safetensors | wc -l)\" = 1", folder);
    assert_int_equal(system(command), 0); /* the last good parameters */
}

static void test_settings(void **state) {
    (void)state;
    assert_int_equal(run(train_only, "s", false, "net.epoch=3"), 64);
    assert_int_equal(run(train_only, "s", false, "net.epochs=three"), 64);
    assert_int_equal(run(train_only, "s", false, "net.batch=0"), 64);
    assert_int_equal(run(train_only, "s", false, "nets"), 64);
    assert_int_equal(run(train_only, "s", false, "net.body.forward.tol=1"), 64);
    assert_int_equal(run(train_only, "s", false, "points.images=/nowhere"), 3);
    line_updates = 0;
    assert_int_equal(run(train_only, "s", false, "net.epochs=1"), 0);
    assert_int_equal(line_updates, 7);
    assert_int_equal(run(train_only, "s", false, "Line.examples=16"), 0);
    assert_int_equal(line_updates, 10);
}

static void test_experiment(void **state) {
    (void)state;
    line_updates = 0;
    assert_int_equal(run(experiment, "e", false, NULL), 0);
    assert_int_equal(line_updates, 42);
    size_t n;
    char *table = content("e/line/robustness.md", &n), *csv = content("e/line/robustness.csv", &n);
    assert_non_null(table);
    assert_non_null(csv);
    char heads[3][16];
    assert_int_equal(sscanf(table, "| %15s | %15s | %15s |", heads[0], heads[1], heads[2]), 3);
    assert_true(!strcmp(heads[0], "seed") && !strcmp(heads[1], "clean") && !strcmp(heads[2], "robust"));
    assert_non_null(strstr(table, "\n| 4    |"));
    assert_non_null(strstr(table, "\n| 5    |"));
    assert_non_null(strstr(table, "intervals of 95% over 40 examples"));
    double seed, clean, clean_low, clean_high, robust, robust_low, robust_high, gap;
    char verdict[16];
    assert_non_null(strstr(csv, "robust high,robust verdict,"));
    assert_int_equal(sscanf(strchr(csv, '\n'), "\n%lf,%lf,%lf,%lf,%lf,%lf,%lf,%15[a-z],%lf", &seed, &clean, &clean_low,
                            &clean_high, &robust, &robust_low, &robust_high, verdict, &gap),
                     9);
    assert_string_equal(verdict, "reliable");
    assert_true(clean_low < clean && clean <= clean_high && robust_low <= robust && robust < robust_high);
    assert_true(seed == 4 && clean >= robust && fabs(gap - (clean - robust)) < 1e-6);
    assert_int_equal(run(experiment, "e", false, NULL), 0);
    assert_int_equal(line_updates, 42);
    char *again = content("e/line/robustness.csv", &n);
    assert_string_equal(csv, again); /* raw values, keys and times come from the cache */
    free(table);
    free(csv);
    free(again);
}

static void test_output(void **state) {
    (void)state;
    deq_error e = {0};
    char *plain = in_folder("e/line/settings.json"), *below = deq_path_join(plain, "results", NULL);
    deq_module module = module_of(train_only);
    deq_app_options options = {.results = below, .cache = folder, .quiet = true};
    assert_int_equal(deq_app_run(&module, &options), 3);
    assert_false(deq_output_write(below, "x", 1, &e));
    assert_int_equal(e.failure, DEQ_OUTPUT);
    assert_non_null(strstr(e.text, "settings.json"));
    free(below);
    e = (deq_error){0};
    assert_false(deq_output_write("/dev/full", "x", 1, &e));
    assert_int_equal(e.failure, DEQ_OUTPUT);
    assert_non_null(strstr(e.text, "it is a device")); /* which is never replaced, nor written to */
    e = (deq_error){0};
    assert_false(deq_output_write(folder, "x", 1, &e));
    assert_int_equal(e.failure, DEQ_OUTPUT);
    /* an abandoned write leaves the old file and no temporary */
    deq_output out;
    e = (deq_error){0};
    char *kept = in_folder("kept/file"), command[300];
    assert_true(deq_output_write(kept, "old", 3, &e));
    assert_true(deq_output_open(&out, kept, &e));
    fputs("new", out.file);
    deq_output_abandon(&out);
    size_t n;
    char *text = content("kept/file", &n);
    assert_string_equal(text, "old");
    snprintf(command, sizeof command, "test \"$(ls -A %s/kept)\" = file", folder);
    assert_int_equal(system(command), 0);
    free(text);
    free(kept);
    free(plain);
    /* a cache that cannot be written is done without */
    char *results = in_folder("nocache"), *cache = in_folder("e/line/settings.json/cache");
    options = (deq_app_options){.results = results, .cache = cache, .quiet = true};
    assert_int_equal(deq_app_run(&module, &options), 0);
    assert_true(exists("nocache/line/net.safetensors"));
    assert_false(exists("nocache/line/net.partial.safetensors"));
    free(results);
    free(cache);
}

static void test_manifest(void **state) {
    (void)state;
    deq_app_options options = {.results = folder, .cache = folder, .quiet = true};
    const char *const bad[] = {
        "",
        "{",
        "[]",
        "{\"abi\": 1}",
        "{" MANIFEST_ABI ", \"name\": \"x\"}",
        "{" MANIFEST_ABI ", \"name\": \"x\", \"real\": \"f64\", \"hash\": \"1\"}",
        "{" MANIFEST_ABI ", \"name\": \"x\", \"real\": \"f32\", \"hash\": \"1\", \"run\": [{\"train\": \"none\"}]}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        deq_module module = line_module(bad[i]);
        assert_int_equal(deq_app_run(&module, &options), 70);
    }
    /* data that disagrees with its type is refused before anything is written */
    deq_module module = module_of(train_only);
    char *shape = strstr(manifest, "\"input\": [2]");
    memcpy(shape, "\"input\": [3]", 12);
    char *results = in_folder("shape");
    options.results = results;
    assert_int_equal(deq_app_run(&module, &options), 2);
    assert_false(exists("shape/line/settings.json"));
    free(results);
}

/* 200 points of two classes, x0 > x1 or not, as f32 IDX. */
static int make_data(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return 1;
    uint8_t x[12 + 200 * 8] = {0, 0, 0x0d, 2, 0, 0, 0, 200, 0, 0, 0, 2}, y[8 + 200] = {0, 0, 8, 1, 0, 0, 0, 200};
    uint32_t random = 1;
    for (int i = 0; i < 200; i++) {
        float point[2];
        for (int k = 0; k < 2; k++) {
            random = random * 1664525u + 1013904223u;
            point[k] = (float)(random >> 8) / (float)(1 << 23) - 1;
            uint32_t bits;
            memcpy(&bits, &point[k], 4);
            for (int b = 0; b < 4; b++) x[12 + 8 * i + 4 * k + b] = (uint8_t)(bits >> (24 - 8 * b));
        }
        y[8 + i] = point[0] > point[1];
    }
    deq_error e = {0};
    char *path = in_folder("x"), *labels = in_folder("y");
    bool ok = deq_output_write(path, x, sizeof x, &e) && deq_output_write(labels, y, sizeof y, &e);
    free(path);
    free(labels);
    return !ok;
}

static int remove_data(void **state) {
    (void)state;
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

/* Which inputs are pictures, and which of them came from bytes. */
static void test_planes(void **state) {
    (void)state;
    const deq_shape grey = {.rank = 3, .dim = {1, 2, 3}, .elements = 6}, colour = {.rank = 3, .dim = {3, 2, 2}},
                    plane = {.rank = 2, .dim = {4, 5}}, flat = {.rank = 1, .dim = {64}},
                    deep = {.rank = 3, .dim = {16, 8, 8}}, column = {.rank = 2, .dim = {7, 1}};
    assert_int_equal(deq_planes_of(&grey).count, 1);
    assert_true(deq_planes_of(&grey).height == 2 && deq_planes_of(&grey).width == 3);
    assert_int_equal(deq_planes_of(&colour).count, 3);
    assert_int_equal(deq_planes_of(&plane).count, 1);
    assert_true(!deq_planes_of(&flat).count && !deq_planes_of(&deep).count && !deq_planes_of(&column).count);
    float values[6] = {0, 1 / 255.0f, 100 / 255.0f, 254 / 255.0f, 1, 0.6f};
    deq_adversarial a = {.n = 1, .elements = 6, .real_bits = 32, .clean = values};
    assert_true(deq_adversarial_bytes(&a, &grey) && !deq_adversarial_bytes(&a, &flat)); /* 0.6 is 153 / 255 */
    values[2] = 0.25f;
    assert_false(deq_adversarial_bytes(&a, &grey));
    values[2] = -1 / 255.0f;
    assert_false(deq_adversarial_bytes(&a, &grey));
}

/* A title with an ending is one field: quotes stand around both. */
static void test_csv_titles(void **state) {
    (void)state;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    deq_csv_title(out, "robust", " low"), fputc(',', out);
    deq_csv_title(out, "early[n: 1, c: 1]", " low"), fputc(',', out);
    deq_csv_title(out, "\"a\"", " high"), fputc(',', out);
    deq_csv_text(out, "x");
    fclose(out);
    assert_string_equal(text, "robust low,\"early[n: 1, c: 1] low\",\"\"\"a\"\" high\",x");
    free(text);
}

/* What is sealed comes back; a byte changed anywhere, or another name, is noticed. */
static void test_seal(void **state) {
    (void)state;
    static const char csv[] = "a,b\n1,\"two\nlines, \"\"quoted\"\"\"\n3,4\n";
    size_t size;
    char *file = in_folder("s.csv"), *other = in_folder("t.csv"), *text = deq_seal_csv(csv, file, &size), *back;
    deq_error e = {0};
    assert_true(deq_output_write(file, text, size, &e));
    assert_true(deq_csv_is_sealed(file));
    assert_non_null(back = deq_sealed_csv(file, &e));
    assert_string_equal(back, csv);
    free(back);
    for (size_t i = 0; i < size; i++) {
        deq_error own = {0};
        text[i] ^= 1;
        assert_true(deq_output_write(other, text, size, &own) && !rename(other, file));
        assert_null(deq_sealed_csv(file, &own));
        assert_int_equal(own.failure, DEQ_REPORT);
        text[i] ^= 1;
    }
    assert_true(deq_output_write(other, text, size, &e));
    assert_null(deq_sealed_csv(other, &e)); /* under another name */
    free(text);
    json_t *o = json_pack("{s:f, s:i, s:[f]}", "x", 1.0 / 3, "n", 7, "list", 1e-300), *read;
    e = (deq_error){0};
    assert_non_null(text = deq_seal_json(o, file));
    assert_true(deq_output_write(file, text, strlen(text), &e));
    assert_non_null(read = deq_sealed_json(file, &e));
    assert_true(json_integer_value(json_object_get(read, "n")) == 7);
    json_decref(read);
    *strchr(text, '7') = '8';
    assert_true(deq_output_write(file, text, strlen(text), &e));
    assert_null(deq_sealed_json(file, &e));
    e = (deq_error){0};
    assert_null(deq_sealed_json("/none", &e)); /* nothing there is no failure */
    assert_int_equal(e.failure, DEQ_OK);
    json_decref(o);
    free(text);
    free(file);
    free(other);
}

/* Files not used for longest go first, and no more of them than must. */
static void test_trim(void **state) {
    (void)state;
    char *in = in_folder("attacked"), *path[4];
    static const char bytes[1000];
    deq_error e = {0};
    for (int i = 0; i < 4; i++) {
        char name[] = {(char)('a' + i), 0};
        path[i] = deq_path_join(in, name, NULL);
        assert_true(deq_output_write(path[i], bytes, sizeof bytes, &e));
        const struct timespec used[2] = {{.tv_sec = 100 * (i * 3 % 4)}, {.tv_sec = 100 * (i * 3 % 4)}}; /* 0, 3, 2, 1 */
        assert_int_equal(utimensat(AT_FDCWD, path[i], used, 0), 0);
    }
    deq_attacked_trim(in, 4000);
    for (int i = 0; i < 4; i++) assert_int_equal(access(path[i], F_OK), 0);
    deq_attacked_trim(in, 2500);
    for (int i = 0; i < 4; i++) assert_true((access(path[i], F_OK) == 0) == (i == 1 || i == 2));
    for (int i = 0; i < 4; i++) free(path[i]);
    free(in);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_train),      cmocka_unit_test(test_preload),    cmocka_unit_test(test_resume),
        cmocka_unit_test(test_divergence), cmocka_unit_test(test_settings),   cmocka_unit_test(test_experiment),
        cmocka_unit_test(test_output),     cmocka_unit_test(test_manifest),   cmocka_unit_test(test_trim),
        cmocka_unit_test(test_planes),     cmocka_unit_test(test_csv_titles), cmocka_unit_test(test_seal)};
    return cmocka_run_group_tests(tests, make_data, remove_data);
}
