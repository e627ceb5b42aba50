/* Data files: good ones are read, every kind of bad one is refused with file and offset. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include "runtime/data_idx.h"
#include "runtime/dataset.h"

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
    deq_idx idx;
    deq_error e = {0};
    assert_true(deq_idx_read(path, &idx, &e));
    assert_int_equal(idx.rank, 3);
    assert_int_equal(idx.elements, 12);
    assert_true(deq_idx_value(&idx, 0) == 0.0);
    assert_true(deq_idx_value(&idx, 5) == 1.0);
    assert_true(fabs(deq_idx_value(&idx, 1) - 0.2) < 1e-15);
    deq_idx_free(&idx);
}

static void test_good(void **state) {
    (void)state;
    check_images(put("good", images, sizeof images));
    check_images(put_gz("good.gz", images, sizeof images));
    const uint8_t shorts[] = {0, 0, 0x0b, 1, 0, 0, 0, 2, 0xff, 0xfe, 1, 0};
    const uint8_t floats[] = {0, 0, 0x0d, 1, 0, 0, 0, 1, 0x3f, 0xc0, 0, 0};
    const uint8_t doubles[] = {0, 0, 0x0e, 1, 0, 0, 0, 1, 0xc0, 0, 0, 0, 0, 0, 0, 0};
    deq_idx idx;
    deq_error e = {0};
    assert_true(deq_idx_read(put("shorts", shorts, sizeof shorts), &idx, &e));
    assert_true(deq_idx_value(&idx, 0) == -2 && deq_idx_value(&idx, 1) == 256);
    deq_idx_free(&idx);
    assert_true(deq_idx_read(put("floats", floats, sizeof floats), &idx, &e));
    assert_true(deq_idx_value(&idx, 0) == 1.5);
    deq_idx_free(&idx);
    assert_true(deq_idx_read(put("doubles", doubles, sizeof doubles), &idx, &e));
    assert_true(deq_idx_value(&idx, 0) == -2);
    deq_idx_free(&idx);
}

static void refused(const char *path, deq_failure failure, const char *part) {
    deq_idx idx;
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
    assert_true(deq_dataset_slice(d, &(deq_slice){&spec, false, 0, -1}, &from, &to, &e) && from == 0 && to == 2);
    assert_false(deq_dataset_slice(d, &(deq_slice){&spec, false, 0, 3}, &from, &to, &e));
    assert_int_equal(e.failure, DEQ_DATA_EMPTY);
    e = (deq_error){0};
    assert_false(deq_dataset_slice(d, &(deq_slice){&spec, false, 1, 1}, &from, &to, &e));
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

int main(void) {
    if (!mkdtemp(folder)) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_bad),
                                       cmocka_unit_test(test_dataset), cmocka_unit_test(test_fashion)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) || failed;
}
