/* Data files: good ones are read, every kind of bad one is refused with file and offset. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include "data_idx.h"
#include "dataset.h"
#include "tensors.h"

static char folder[] = "/tmp/deq-test-data-XXXXXX";

static const char *path_of(const char *name) {
    static char paths[4][300];
    static int turn;
    char *p = paths[turn++ & 3];
    snprintf(p, sizeof paths[0], "%s/%s", folder, name);
    return p;
}

static const char *put(const char *name, const void *bytes, size_t size) {
    const char *path = path_of(name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    fclose(f);
    return path;
}

static const char *put_gz(const char *name, const void *bytes, size_t size) {
    const char *path = path_of(name);
    gzFile f = gzopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(gzwrite(f, bytes, (unsigned)size), size);
    gzclose(f);
    return path;
}

/* Two 2 x 3 images. */
static const uint8_t images[] = {0, 0, 8, 3,  0,   0,   0,   2,   0, 0, 0, 2, 0, 0,
                                 0, 3, 0, 51, 102, 153, 204, 255, 1, 2, 3, 4, 5, 6};
static const uint8_t labels[] = {0, 0, 8, 1, 0, 0, 0, 2, 7, 9};

static void check_images(const char *path) {
    deq_array idx;
    deq_error e = {0};
    assert_true(deq_idx_read(path, &idx, &e));
    assert_int_equal(idx.rank, 3);
    assert_int_equal(idx.elements, 12);
    assert_true(deq_array_value(&idx, 0) == 0.0);
    assert_true(deq_array_value(&idx, 5) == 1.0);
    assert_true(fabs(deq_array_value(&idx, 1) - 0.2) < 1e-15);
    deq_array_free(&idx);
}

static void test_good(void **state) {
    (void)state;
    check_images(put("good", images, sizeof images));
    check_images(put_gz("good.gz", images, sizeof images));
    const uint8_t shorts[] = {0, 0, 0x0b, 1, 0, 0, 0, 2, 0xff, 0xfe, 1, 0};
    const uint8_t floats[] = {0, 0, 0x0d, 1, 0, 0, 0, 1, 0x3f, 0xc0, 0, 0};
    const uint8_t doubles[] = {0, 0, 0x0e, 1, 0, 0, 0, 1, 0xc0, 0, 0, 0, 0, 0, 0, 0};
    deq_array idx;
    deq_error e = {0};
    assert_true(deq_idx_read(put("shorts", shorts, sizeof shorts), &idx, &e));
    assert_true(deq_array_value(&idx, 0) == -2 && deq_array_value(&idx, 1) == 256);
    deq_array_free(&idx);
    assert_true(deq_idx_read(put("floats", floats, sizeof floats), &idx, &e));
    assert_true(deq_array_value(&idx, 0) == 1.5);
    deq_array_free(&idx);
    assert_true(deq_idx_read(put("doubles", doubles, sizeof doubles), &idx, &e));
    assert_true(deq_array_value(&idx, 0) == -2);
    deq_array_free(&idx);
}

static void refused(const char *path, deq_failure failure, const char *part) {
    deq_array idx;
    deq_error e = {0};
    assert_false(deq_idx_read(path, &idx, &e));
    assert_null(idx.values);
    assert_int_equal(e.failure, failure);
    if (!strstr(e.text, part) || !strstr(e.text, path)) fail_msg("expected '%s' and '%s' in: %s", part, path, e.text);
}

static void test_bad(void **state) {
    (void)state;
    refused(path_of("absent"), DEQ_DATA_MISSING, "No such file");
    refused(folder, DEQ_DATA_MISSING, "not a file");
    refused(put("empty", "", 0), DEQ_DATA_FORMAT, "byte 0 in the magic number");
    refused(put("magic", "GIF89a..", 8), DEQ_DATA_FORMAT, "byte 0 starts with 47 49 46 38");
    const uint8_t type[] = {0, 0, 0x0a, 1, 0, 0, 0, 0};
    refused(put("type", type, sizeof type), DEQ_DATA_FORMAT, "byte 2 names the element type 0x0a");
    const uint8_t rank[] = {0, 0, 8, 200};
    refused(put("rank", rank, sizeof rank), DEQ_DATA_FORMAT, "byte 3 says 200 dimensions");
    refused(put("header", images, 10), DEQ_DATA_FORMAT,
            "truncated: it ends at byte 10 in the dimensions, 2 bytes are missing");
    refused(put("data", images, sizeof images - 3), DEQ_DATA_FORMAT,
            "promises 12 bytes of data, the file cannot hold more than 9");
    refused(put_gz("data.gz", images, sizeof images - 3), DEQ_DATA_FORMAT, "truncated");
    uint8_t more[sizeof images + 1] = {0};
    memcpy(more, images, sizeof images);
    refused(put("more", more, sizeof more), DEQ_DATA_FORMAT, "data should end at byte 28");
    refused(put_gz("more.gz", more, sizeof more), DEQ_DATA_FORMAT, "data should end at byte 28");
    /* dimensions whose product overflows, and a huge claim in a tiny packed file: neither may allocate */
    uint8_t huge[] = {0, 0, 0x0e, 4, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 1, 1, 1};
    refused(put("huge", huge, sizeof huge), DEQ_DATA_FORMAT, "more elements than memory can address");
    const uint8_t claim[] = {0, 0, 8, 2, 0x10, 0, 0, 0, 0, 0, 1, 0};
    refused(put_gz("claim.gz", claim, sizeof claim), DEQ_DATA_FORMAT, "promises 68719476736 bytes");
    /* gzip cut short, and with a flipped byte */
    static uint8_t noise[5000], packed[6000];
    for (size_t i = 0; i < sizeof noise; i++) noise[i] = (uint8_t)(i * i * 31 >> 3);
    memcpy(noise, (uint8_t[]){0, 0, 8, 1, 0, 0, 0x13, 0x80}, 8);
    const char *path = put_gz("noise.gz", noise, sizeof noise);
    FILE *f = fopen(path, "rb");
    size_t size = fread(packed, 1, sizeof packed, f);
    fclose(f);
    refused(put("cut.gz", packed, size / 2), DEQ_DATA_FORMAT, "byte");
    packed[size - 6] ^= 0x40; /* the checksum */
    refused(put("flip.gz", packed, size), DEQ_DATA_FORMAT, "corrupt gzip");
}

static deq_data_spec spec_of(const char *x, const char *y, int64_t classes) {
    deq_data_spec spec = {.name = "d", .reader = "idx", .line = 7};
    spec.arguments = json_pack("{ssss}", "images", x, "labels", y);
    spec.input = (deq_shape){.rank = 3, .dim = {1, 2, 3}, .elements = 6};
    spec.target = (deq_target){.labels = classes};
    return spec;
}

static void dataset_refused(deq_data_spec spec, deq_failure failure, const char *part) {
    deq_error e = {0};
    deq_dataset *d = deq_dataset_new(&spec, NULL, &e);
    bool ok = d && deq_dataset_load(d, false, &e);
    assert_false(ok);
    deq_dataset_free(d);
    json_decref((json_t *)spec.arguments);
    assert_int_equal(e.failure, failure);
    if (!strstr(e.text, part)) fail_msg("expected '%s' in: %s", part, e.text);
}

static void test_dataset(void **state) {
    (void)state;
    char x[300], y[300];
    strcpy(x, put("x", images, sizeof images));
    strcpy(y, put("y", labels, sizeof labels));
    deq_data_spec spec = spec_of(x, y, 10);
    deq_error e = {0};
    deq_dataset *d = deq_dataset_new(&spec, NULL, &e);
    assert_non_null(d);
    assert_true(deq_dataset_load(d, false, &e));
    assert_int_equal(deq_dataset_count(d, false), 2);
    deq_source source = deq_dataset_source(d, false);
    float rows[2][16], target[2][16];
    memset(rows, 0xff, sizeof rows);
    memset(target, 0xff, sizeof target);
    source.gather(source.context, (int64_t[]){1, 0}, 2, 32, rows, 64, target, 64);
    assert_true(rows[0][5] == 6.0f / 255.0f && rows[1][5] == 1.0f && rows[0][6] == 0 && rows[1][15] == 0);
    assert_true(target[0][0] == 9 && target[1][0] == 7 && target[0][1] == 0);
    double wide[8];
    source.gather(source.context, (int64_t[]){0}, 1, 64, wide, 64, NULL, 0);
    assert_true(wide[1] == 51 / 255.0 && wide[6] == 0);
    int64_t from, to;
    assert_true(deq_dataset_slice(d, &(deq_slice){.data = &spec, .test = false, .from = 0, .to = -1}, &from, &to, &e) &&
                from == 0 && to == 2);
    assert_false(deq_dataset_slice(d, &(deq_slice){.data = &spec, .test = false, .from = 0, .to = 3}, &from, &to, &e));
    assert_int_equal(e.failure, DEQ_DATA_EMPTY);
    e = (deq_error){0};
    assert_false(deq_dataset_slice(d, &(deq_slice){.data = &spec, .test = false, .from = 1, .to = 1}, &from, &to, &e));
    assert_int_equal(e.failure, DEQ_DATA_EMPTY);
    e = (deq_error){0};
    assert_false(deq_dataset_check(d, true, &e));
    assert_int_equal(e.failure, DEQ_DATA_MISSING);
    char one[33], two[33];
    e = (deq_error){0};
    assert_true(deq_dataset_fingerprint(d, false, one, &e));
    deq_dataset_free(d);
    uint8_t other[sizeof labels];
    memcpy(other, labels, sizeof labels);
    other[9] = 8;
    put("y", other, sizeof other);
    d = deq_dataset_new(&spec, NULL, &e);
    assert_true(deq_dataset_fingerprint(d, false, two, &e));
    assert_string_not_equal(one, two);
    deq_dataset_free(d);
    json_decref((json_t *)spec.arguments);

    dataset_refused(spec_of(x, y, 8), DEQ_DATA_VALUE, "example 1 of");
    deq_data_spec shape = spec_of(x, y, 10);
    shape.input = (deq_shape){.rank = 2, .dim = {3, 2}, .elements = 6};
    dataset_refused(shape, DEQ_DATA_SHAPE, "declares inputs [3, 2]");
    dataset_refused(spec_of(x, put("y3", (uint8_t[]){0, 0, 8, 1, 0, 0, 0, 3, 1, 2, 3}, 11), 10), DEQ_DATA_FORMAT,
                    "2 examples");
    dataset_refused(spec_of(x, x, 10), DEQ_DATA_SHAPE, "declares label[10]");
    const uint8_t none[] = {0, 0, 8, 3, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 3}, nobody[] = {0, 0, 8, 1, 0, 0, 0, 0};
    strcpy(y, put("y0", nobody, sizeof nobody));
    dataset_refused(spec_of(put("x0", none, sizeof none), y, 10), DEQ_DATA_EMPTY, "no examples");
    dataset_refused(spec_of(path_of("nowhere"), y, 10), DEQ_DATA_MISSING, "nowhere");
    const uint8_t nan[] = {0, 0, 0x0d, 2, 0, 0, 0, 2, 0, 0, 0, 1, 0x3f, 0x80, 0, 0, 0x7f, 0xc0, 0, 0};
    deq_data_spec bad = spec_of(put("nan", nan, sizeof nan), path_of("y"), 10);
    bad.input = (deq_shape){.rank = 1, .dim = {1}, .elements = 1};
    dataset_refused(bad, DEQ_DATA_VALUE, "example 1 of");
    deq_data_spec fashion = {.name = "f", .reader = "fashion_mnist", .target = {.labels = 10}};
    fashion.arguments = json_pack("{ss}", "path", folder);
    dataset_refused(fashion, DEQ_DATA_MISSING, "apt-get install dataset-fashion-mnist");
}

/* --- the unpacked copy of a packed file --- */

enum { MANY = 3000, SIDE = 20, PIXELS_EACH = SIDE * SIDE };

static void count_refusal(void *context, const char *text) {
    if (strstr(text, ".idx")) ++*(int *)context;
}

/* Loads the packed images with the store and compares all of them with `want`. */
static void check_packed(const deq_data_spec *spec, deq_store *store, const uint8_t *want) {
    static float values[MANY * PIXELS_EACH];
    static int64_t index[MANY];
    deq_error e = {0};
    deq_dataset *d = deq_dataset_new(spec, store, &e);
    assert_non_null(d);
    if (!deq_dataset_load(d, false, &e)) fail_msg("%s", e.text);
    assert_int_equal(deq_dataset_count(d, false), MANY);
    for (int i = 0; i < MANY; i++) index[i] = i;
    deq_source source = deq_dataset_source(d, false);
    source.gather(source.context, index, MANY, 32, values, PIXELS_EACH * sizeof values[0], NULL, 0);
    for (int i = 0; i < MANY * PIXELS_EACH; i++) assert_true(values[i] == (float)want[i] / 255.0f);
    deq_dataset_free(d);
}

/* The only file of the store's unpacked copies, or "". */
static void find_copy(const char *cache, char *out, size_t size) {
    glob_t found = {0};
    char pattern[400];
    snprintf(pattern, sizeof pattern, "%s/data/*.idx", cache);
    int failed = glob(pattern, 0, NULL, &found);
    assert_true(failed == GLOB_NOMATCH || (!failed && found.gl_pathc == 1));
    snprintf(out, size, "%s", failed ? "" : found.gl_pathv[0]);
    globfree(&found);
}

static void set_byte(const char *path, long at, int xor) {
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    fseek(f, at, SEEK_SET);
    int c = fgetc(f);
    fseek(f, at, SEEK_SET);
    fputc(c ^ xor, f);
    assert_int_equal(fclose(f), 0);
}

/* A packed file is unpacked once; its copy is used only while every byte of it is what was written. */
static void test_unpacked(void **state) {
    (void)state;
    static uint8_t file[16 + MANY * PIXELS_EACH] = {0, 0, 8, 3,    0, 0, MANY >> 8, MANY & 255,
                                                    0, 0, 0, SIDE, 0, 0, 0,         SIDE},
                                    targets[8 + MANY] = {0, 0, 8, 1, 0, 0, MANY >> 8, MANY & 255};
    uint32_t number = 1;
    for (int i = 0; i < MANY * PIXELS_EACH; i++)
        file[16 + i] = (uint8_t)((number = number * 1664525 + 1013904223) >> 24);
    char x[300], y[300], cache[300], copy[400];
    strcpy(x, put_gz("many.gz", file, sizeof file));
    strcpy(y, put("targets", targets, sizeof targets));
    strcpy(cache, path_of("cache"));
    deq_data_spec spec = spec_of(x, y, 10);
    spec.input = (deq_shape){.rank = 3, .dim = {1, SIDE, SIDE}, .elements = PIXELS_EACH};
    deq_store store;
    deq_store_open(&store, cache, false);
    assert_true(store.usable);
    int refusals = 0;
    store.refused = count_refusal;
    store.context = &refusals;
    find_copy(cache, copy, sizeof copy);
    assert_string_equal(copy, "");
    check_packed(&spec, &store, file + 16);
    find_copy(cache, copy, sizeof copy);
    assert_string_not_equal(copy, "");
    check_packed(&spec, &store, file + 16);
    assert_int_equal(refusals, 0);
    /* A number of the shape, which the length contradicts then, and values: refused, said, and put right. */
    const long places[] = {15, 16, sizeof file / 2, sizeof file - 1};
    for (int i = 0; i < 4; i++) {
        set_byte(copy, places[i], 1);
        check_packed(&spec, &store, file + 16);
        assert_int_equal(refusals, i + 1);
        check_packed(&spec, &store, file + 16);
        assert_int_equal(refusals, i + 1);
    }
    assert_int_equal(truncate(copy, sizeof file - 1), 0);
    check_packed(&spec, &store, file + 16);
    assert_int_equal(refusals, 5);
    /* As many values in another shape. */
    set_byte(copy, 11, SIDE ^ 10);
    set_byte(copy, 15, SIDE ^ 40);
    check_packed(&spec, &store, file + 16);
    assert_int_equal(refusals, 6);
    /* What others can write to could change at any time. */
    assert_int_equal(chmod(copy, 0666), 0);
    check_packed(&spec, &store, file + 16);
    assert_int_equal(refusals, 7);
    deq_store_close(&store);
    json_decref((json_t *)spec.arguments);
}

static void test_fashion(void **state) {
    (void)state;
    const char *path = "/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz";
    if (access(path, R_OK)) skip();
    deq_data_spec spec = {
        .name = "f", .reader = "fashion_mnist", .input = {3, {1, 28, 28}, 784}, .target = {.labels = 10}};
    deq_error e = {0};
    deq_dataset *d = deq_dataset_new(&spec, NULL, &e);
    assert_non_null(d);
    assert_true(deq_dataset_check(d, false, &e) && deq_dataset_count(d, false) == 60000);
    assert_true(deq_dataset_load(d, true, &e) && deq_dataset_count(d, true) == 10000);
    deq_source source = deq_dataset_source(d, true);
    int64_t total = 0;
    for (int64_t i = 0; i < 10000; i++) {
        float x[784], y[16];
        source.gather(source.context, &i, 1, 32, x, sizeof x, y, 64);
        total += y[0] == 3;
    }
    assert_int_equal(total, 1000); /* every class has 1,000 test images */
    deq_dataset_free(d);
}

/* ---- CIFAR ---- */

/* A batch of n records; the label of record `at` is `label`, others are their number modulo 10; pixels tell which they
 * are. */
static void put_batch(const char *name, int n, int nlabels, int at, int label, int cut) {
    static uint8_t bytes[8 * 3074];
    int record = nlabels + 3072;
    for (int i = 0; i < n; i++) {
        uint8_t *r = bytes + i * record;
        for (int k = 0; k < nlabels; k++) r[k] = (uint8_t)(i == at ? label : i % 10 + k);
        for (int p = 0; p < 3072; p++) r[nlabels + p] = (uint8_t)(i * 31 + p / 1024 * 100 + p % 7);
    }
    put(name, bytes, (size_t)(n * record - cut));
}

static deq_data_spec cifar(const char *reader, const char *path, int64_t classes) {
    deq_data_spec spec = {.name = "c", .reader = reader, .input = {3, {3, 32, 32}, 3072}, .line = 7};
    spec.target = (deq_target){.labels = classes};
    spec.arguments = json_pack("{ss}", "path", path);
    return spec;
}

static void test_cifar(void **state) {
    (void)state;
    char here[300], batch[300];
    snprintf(here, sizeof here, "%s/cifar", folder);
    assert_int_equal(mkdir(here, 0700), 0);
    dataset_refused(cifar("cifar10", here, 10), DEQ_DATA_MISSING, "unpacks to a folder cifar-10-batches-bin");
    put("cifar/data_batch_1", "pickle", 6);
    dataset_refused(cifar("cifar10", here, 10), DEQ_DATA_MISSING, "it holds the version for Python");
    put_batch("cifar/data_batch_2.bin", 3, 1, -1, 0, 0); /* some batches are enough */
    put_batch("cifar/data_batch_4.bin", 4, 1, -1, 0, 0);
    deq_data_spec spec = cifar("cifar10", here, 10);
    deq_error e = {0};
    deq_dataset *d = deq_dataset_new(&spec, NULL, &e);
    assert_non_null(d);
    assert_true(deq_dataset_load(d, false, &e));
    assert_int_equal(deq_dataset_count(d, false), 7);
    assert_false(deq_dataset_check(d, true, &e));
    assert_int_equal(e.failure, DEQ_DATA_MISSING); /* no test_batch.bin */
    static float x[2][3072], y[2][16];
    deq_source source = deq_dataset_source(d, false);
    source.gather(source.context, (int64_t[]){6, 1}, 2, 32, x, sizeof x[0], y, sizeof y[0]);
    assert_true(y[0][0] == 3 && y[1][0] == 1);
    assert_true(x[0][0] == 93 / 255.0f && x[0][1024] == 195 / 255.0f && x[1][2048 + 8] == 236 / 255.0f);
    deq_dataset_free(d);
    json_decref((json_t *)spec.arguments);
    spec = cifar("cifar10", here, 10);
    spec.input = (deq_shape){3, {3, 28, 28}, 3 * 28 * 28};
    dataset_refused(spec, DEQ_DATA_SHAPE, "declares inputs [3, 28, 28]");

    put_batch("cifar/data_batch_4.bin", 4, 1, 2, 10, 0);
    snprintf(batch, sizeof batch, "data_batch_4.bin': record 2 has label 10 (byte %d), labels are 0 to 9", 2 * 3073);
    dataset_refused(cifar("cifar10", here, 10), DEQ_DATA_VALUE, batch);
    put_batch("cifar/data_batch_4.bin", 4, 1, -1, 0, 100);
    snprintf(batch, sizeof batch, "record 3 begins at byte %d and ends after 2973 bytes", 3 * 3073);
    dataset_refused(cifar("cifar10", here, 10), DEQ_DATA_FORMAT, batch);

    put_batch("cifar/train.bin", 3, 2, -1, 0, 0); /* coarse label, then fine label */
    for (int coarse = 0; coarse < 2; coarse++) {
        spec = cifar(coarse ? "cifar100_coarse" : "cifar100", here, coarse ? 20 : 100);
        e = (deq_error){0};
        d = deq_dataset_new(&spec, NULL, &e);
        assert_true(d && deq_dataset_load(d, false, &e));
        source = deq_dataset_source(d, false);
        source.gather(source.context, (int64_t[]){2}, 1, 32, x, sizeof x[0], y, sizeof y[0]);
        assert_true(y[0][0] == 3 - (float)coarse && x[0][0] == 62 / 255.0f);
        deq_dataset_free(d);
        json_decref((json_t *)spec.arguments);
    }
    put_batch("cifar/train.bin", 3, 2, 1, 30, 0);
    dataset_refused(cifar("cifar100_coarse", here, 20), DEQ_DATA_VALUE, "record 1 has label 30 (byte 3074)");
}

/* The real files, where they are: every class is there, pixels use the whole range. */
static void test_real_cifar(void **state) {
    (void)state;
    const char *path = DEQ_SOURCE_DIR "/../shared/data/cifar-10-exact";
    if (access(path, R_OK)) skip();
    deq_data_spec spec = cifar("cifar10", path, 10);
    deq_error e = {0};
    deq_dataset *d = deq_dataset_new(&spec, NULL, &e);
    assert_non_null(d);
    assert_true(deq_dataset_load(d, false, &e) && deq_dataset_count(d, false) == 4660);
    assert_true(deq_dataset_load(d, true, &e) && deq_dataset_count(d, true) == 932);
    deq_source source = deq_dataset_source(d, true);
    static float x[3072], y[16];
    int seen[10] = {0};
    float low = 1, high = 0;
    for (int64_t i = 0; i < 932; i++) {
        source.gather(source.context, &i, 1, 32, x, sizeof x, y, sizeof y);
        seen[(int)y[0]]++;
        for (int p = 0; p < 3072; p++) low = fminf(low, x[p]), high = fmaxf(high, x[p]);
    }
    for (int k = 0; k < 10; k++) assert_true(seen[k] > 50);
    assert_true(low == 0 && high == 1);
    deq_dataset_free(d);
    json_decref((json_t *)spec.arguments);
}

/* ---- arrays of NumPy ---- */

/* A NPY file: header by hand, data as they are. */
static size_t npy(uint8_t *out, const char *dict, const void *data, size_t size) {
    size_t n = strlen(dict);
    memcpy(out, "\x93NUMPY\1\0", 8);
    out[8] = (uint8_t)n;
    out[9] = (uint8_t)(n >> 8);
    memcpy(out + 10, dict, n);
    memcpy(out + 10 + n, data, size);
    return 10 + n + size;
}

static void test_arrays(void **state) {
    (void)state;
    static uint8_t bytes[500];
    static const uint8_t pixels[] = {0, 51, 102, 153, 204, 255, 1, 2, 3, 4, 5, 6};
    static const int64_t classes[] = {7, 2};
    char x[300], y[300];
    size_t n = npy(bytes, "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 1, 2, 3), }\n", pixels, 12);
    strcpy(x, put("x.npy", bytes, n));
    n = npy(bytes, "{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }\n", classes, 16);
    strcpy(y, put("y.npy", bytes, n));
    deq_data_spec spec = spec_of(x, y, 10);
    spec.reader = "npy";
    deq_error e = {0};
    deq_dataset *d = deq_dataset_new(&spec, NULL, &e);
    assert_non_null(d);
    if (!deq_dataset_load(d, false, &e)) fail_msg("%s", e.text);
    float rows[2][16], target[2][16];
    deq_source source = deq_dataset_source(d, false);
    source.gather(source.context, (int64_t[]){1, 0}, 2, 32, rows, 64, target, 64);
    assert_true(rows[0][5] == 6.0f / 255.0f && rows[1][5] == 1.0f && rows[0][6] == 0 && target[0][0] == 2);
    deq_dataset_free(d);
    json_decref((json_t *)spec.arguments);

    spec = spec_of(x, y, 5);
    spec.reader = "npy";
    dataset_refused(spec, DEQ_DATA_VALUE, "has label 7 (byte 68)");
    n = npy(bytes, "{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }\n", classes, 16);
    spec = spec_of(x, put("reals.npy", bytes, n), 10);
    spec.reader = "npy";
    dataset_refused(spec, DEQ_DATA_SHAPE, "holds reals of [] (F64) an example, not one integer");
    const float bad[] = {1, 2, 3, 4, 5, NAN};
    n = npy(bytes, "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 6), }\n", bad, 24);
    spec = spec_of(put("nan.npy", bytes, n), y, 10);
    spec.reader = "npy";
    spec.input = (deq_shape){1, {6}, 6};
    n = npy(bytes, "{'descr': '<i8', 'fortran_order': False, 'shape': (1,), }\n", classes, 8);
    json_object_set_new((json_t *)spec.arguments, "labels", json_string(put("y1.npy", bytes, n)));
    dataset_refused(spec, DEQ_DATA_VALUE, "is NaN at element 5 (byte 90)");
    n = npy(bytes, "{'descr': '|O', 'fortran_order': False, 'shape': (2,), }\n", classes, 16);
    spec = spec_of(put("objects.npy", bytes, n), y, 10);
    spec.reader = "npy";
    dataset_refused(spec, DEQ_DATA_FORMAT, "holds Python objects");

    /* one archive of all, by name */
    deq_array a = {.type = DEQ_F32, .rank = 2, .dim = {2, 3}, .elements = 6}, b = a;
    float values[6] = {0, 0.25f, 0.5f, 0.75f, 1, 2}, targets[6] = {1, 2, 3, 4, 5, 6};
    a.values = values;
    b.values = targets;
    const char *files[] = {"both.npz", "both.safetensors"};
    for (int f = 0; f < 2; f++) {
        char path[300];
        strcpy(path, path_of(files[f]));
        e = (deq_error){0};
        assert_true(deq_tensors_write(path, (deq_tensor_out[]){{"x", a}, {"to", b}}, 2, NULL, &e));
        spec = (deq_data_spec){.name = "d", .reader = f ? "safetensors" : "npz", .input = {1, {3}, 3}, .line = 7};
        spec.target = (deq_target){.shape = {1, {3}, 3}};
        spec.arguments = json_pack("{ssssss}", "path", path, "images", "x", "labels", "to");
        d = deq_dataset_new(&spec, NULL, &e);
        assert_true(d && deq_dataset_load(d, false, &e));
        source = deq_dataset_source(d, false);
        source.gather(source.context, (int64_t[]){1}, 1, 32, rows, 64, target, 64);
        assert_true(rows[0][2] == 2 && target[0][0] == 4);
        char one[33], other[33];
        assert_true(deq_dataset_fingerprint(d, false, one, &e));
        deq_dataset_free(d);
        json_object_set_new((json_t *)spec.arguments, "images", json_string("to"));
        d = deq_dataset_new(&spec, NULL, &e);
        assert_true(deq_dataset_fingerprint(d, false, other, &e));
        assert_string_not_equal(one, other); /* another array is other data */
        deq_dataset_free(d);
        json_object_set_new((json_t *)spec.arguments, "images", json_string("z"));
        dataset_refused(spec, DEQ_DATA_MISSING, "holds no array 'z'; its arrays: 'x'; 'to'");
    }
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_good),    cmocka_unit_test(test_bad),
                                       cmocka_unit_test(test_dataset), cmocka_unit_test(test_fashion),
                                       cmocka_unit_test(test_cifar),   cmocka_unit_test(test_real_cifar),
                                       cmocka_unit_test(test_arrays),  cmocka_unit_test(test_unpacked)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) || failed;
}
