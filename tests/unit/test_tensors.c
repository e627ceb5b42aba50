/* Files of arrays: what numpy and safetensors write is read; damaged, hostile and unusable ones are refused with the
 * reason; what is written is read again. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zip.h>
#include "tensors.h"
#include "weights.h"

static char folder[] = "/tmp/deq-test-tensors-XXXXXX";

static const char *path_of(const char *name) {
    static char path[300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* The one array, read, or the reason in e. */
static bool read_only(const void *bytes, size_t size, deq_array *out, deq_error *e) {
    deq_tensors file;
    *out = (deq_array){0};
    *e = (deq_error){0};
    if (!deq_tensors_open_memory("m", bytes, (int64_t)size, &file, e)) return false;
    bool ok = file.count == 1 && deq_tensors_read(&file, &file.list[0], out, e);
    deq_tensors_close(&file);
    return ok;
}

static void refused(const void *bytes, size_t size, const char *part) {
    deq_array a;
    deq_error e;
    assert_false(read_only(bytes, size, &a, &e));
    assert_int_equal(e.failure, DEQ_DATA_FORMAT);
    if (!strstr(e.text, part)) fail_msg("expected '%s' in: %s", part, e.text);
}

/* ---- NPY ---- */

static uint8_t buffer[1 << 16];

static size_t npy(int version, const char *dict, const void *data, size_t size) {
    size_t n = strlen(dict), at = version == 1 ? 10 : 12;
    memcpy(buffer, "\x93NUMPY", 6);
    buffer[6] = (uint8_t)version;
    buffer[7] = 0;
    for (size_t i = 8; i < at; i++) buffer[i] = (uint8_t)(n >> 8 * (i - 8));
    memcpy(buffer + at, dict, n);
    memcpy(buffer + at + n, data, size);
    return at + n + size;
}

static double element(size_t size, int64_t i) {
    deq_array a;
    deq_error e;
    if (!read_only(buffer, size, &a, &e)) fail_msg("%s", e.text);
    double v = deq_array_value(&a, i);
    deq_array_free(&a);
    return v;
}

static void test_npy(void **state) {
    (void)state;
    const float f[] = {1, 2, 3, 4, 5, 6};
    const double d[] = {0.1, -2};
    const uint8_t b[] = {0, 255, 1, 1};
    const uint8_t big[] = {0xff, 0xfe, 0, 5}, half[] = {0x00, 0x3c, 0x01, 0x00, 0x00, 0xfc, 0xff, 0x7b};
    assert_true(element(npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }   \n", f, 24), 4) == 5);
    assert_true(element(npy(2, "{'shape': (2,3), 'fortran_order': False, 'descr': \"<f4\"}\n", f, 24), 1) == 2);
    /* the first axis fastest: element [0][1] of a 2 x 3 array is the third of the file */
    assert_true(element(npy(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }\n", f, 24), 1) == 3);
    assert_true(element(npy(3, "{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }\n", d, 16), 0) == 0.1);
    assert_true(element(npy(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (), }\n", d, 8), 0) == 0.1);
    assert_true(element(npy(1, "{'descr': '|u1', 'fortran_order': False, 'shape': (4L,), }\n", b, 4), 1) == 1);
    assert_true(element(npy(1, "{'descr': '|b1', 'fortran_order': False, 'shape': (4,), }\n", b, 4), 3) == 1);
    assert_true(element(npy(1, "{'descr': '>i2', 'fortran_order': False, 'shape': (2,), }\n", big, 4), 0) == -2);
    size_t n = npy(1, "{'descr': '<f2', 'fortran_order': False, 'shape': (4,), }\n", half, 8);
    assert_true(element(n, 0) == 1 && element(n, 1) == 0x1p-24 && element(n, 2) < -1e300 && element(n, 3) == 65504);
}

static void bad_npy(const char *dict, const char *part) {
    const uint8_t data[64] = {0};
    refused(buffer, npy(1, dict, data, sizeof data), part);
}

static void test_bad_npy(void **state) {
    (void)state;
    bad_npy("{'descr': '|O', 'fortran_order': False, 'shape': (8,), }\n", "holds Python objects");
    bad_npy("{'descr': '<U4', 'fortran_order': False, 'shape': (4,), }\n", "has dtype '<U4'");
    bad_npy("{'descr': '<c8', 'fortran_order': False, 'shape': (8,), }\n", "has dtype '<c8'");
    bad_npy("{'descr': '', 'fortran_order': False, 'shape': (8,), }\n", "has dtype ''");
    bad_npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (8,), }\n", "structured dtype");
    bad_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (17,), }\n", "promises 68 bytes");
    bad_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (15,), }\n", "data should end at byte");
    bad_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 4), }\n", "more elements than");
    bad_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (92233720368547758070,), }\n", "damaged NPY header");
    bad_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,16), }\n", "damaged NPY header");
    bad_npy("{'descr': '<f4', 'fortran_order': 0, 'shape': (16,), }\n", "damaged NPY header");
    bad_npy("{'descr': '<f4', 'shape': (16,), }\n", "damaged NPY header");
    bad_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-16,), }\n", "damaged NPY header");
    bad_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (16,), 'more': 1}\n", "damaged NPY header");
    bad_npy("__import__('os').system('true')\n", "damaged NPY header");
    bad_npy("", "damaged NPY header");
    size_t n = npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n", "12345678", 8);
    refused(buffer, 40, "its header ends at byte");
    refused(buffer, 9, "header");
    buffer[6] = 9;
    refused(buffer, n, "version 9.0");
    memcpy(buffer, "\x80\x02}q\x00X\x06.....", 13);
    refused(buffer, 13, "Python pickle");
    refused("nonsense, plainly", 17, "no NPY, NPZ or safetensors file: byte 0 starts with 6e 6f");
    refused("short", 5, "only 5 bytes long");
}

/* ---- safetensors ---- */

static size_t safe(const char *header, size_t data) {
    size_t n = strlen(header);
    for (int i = 0; i < 8; i++) buffer[i] = (uint8_t)(n >> 8 * i);
    memcpy(buffer + 8, header, n);
    memset(buffer + 8 + n, 0x40, data);
    return 8 + n + data;
}

static void bad_safe(const char *header, size_t data, const char *part) { refused(buffer, safe(header, data), part); }

#define ENTRY(name, shape, from, to)                                                                                   \
    "\"" name "\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":[" #from "," #to "]}"

static void test_safetensors(void **state) {
    (void)state;
    deq_tensors file;
    deq_error e = {0};
    size_t n =
        safe("{\"__metadata__\":{\"format\":\"pt\"}," ENTRY("b", "[2]", 8, 16) "," ENTRY("a", "[1,2]", 0, 8) "}  ", 16);
    if (!deq_tensors_open_memory("m", buffer, (int64_t)n, &file, &e)) fail_msg("%s", e.text);
    assert_true(file.count == 2 && deq_tensors_find(&file, "a")->array.rank == 2);
    deq_array a;
    assert_true(deq_tensors_read(&file, deq_tensors_find(&file, "b"), &a, &e));
    assert_true(deq_array_value(&a, 1) > 3.0 && deq_array_value(&a, 1) < 3.01);
    deq_array_free(&a);
    deq_tensors_close(&file);

    bad_safe("{" ENTRY("a", "[2]", 0, 8) "," ENTRY("b", "[2]", 4, 12) "}", 12, "overlap those of 'a'");
    bad_safe("{" ENTRY("a", "[2]", 0, 8) "," ENTRY("b", "[2]", 0, 8) "}", 8, "overlap");
    bad_safe("{" ENTRY("a", "[4]", 0, 16) "}", 12, "claims bytes 0 to 16 of the data, which are 12 bytes long");
    bad_safe("{" ENTRY("a", "[2]", 0, 8) "," ENTRY("b", "[2]", 12, 20) "}", 20, "belong to no entry");
    bad_safe("{" ENTRY("a", "[2]", 0, 8) "}", 12, "the data end at byte");
    bad_safe("{" ENTRY("a", "[4611686018427387904, 2]", 0, 8) "}", 8, "more elements than memory can address");
    bad_safe("{" ENTRY("a", "[9223372036854775808]", 0, 8) "}", 8, "is not the JSON object");
    bad_safe("{" ENTRY("a", "[9223372036854775807]", 0, 8) "}", 8, "more elements than memory can address");
    bad_safe("{" ENTRY("a", "[3]", 0, 8) "}", 8, "claims 3 elements of F32, which are 12 bytes");
    bad_safe("{" ENTRY("a", "[-2]", 0, 8) "}", 8, "no list of at most 8 sizes");
    bad_safe("{" ENTRY("a", "[2]", 8, 0) "}", 8, "no range of bytes");
    bad_safe("{" ENTRY("a", "[2]", 0, 8) "," ENTRY("a", "[2]", 0, 8) "}", 8, "is not the JSON object");
    bad_safe("{\"a\":{\"dtype\":\"F32\"}}", 8, "has not the members");
    bad_safe("{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[8],\"data_offsets\":[0,8]}}", 8, "has dtype 'F8_E4M3'");
    bad_safe("{\"a\":", 8, "is not the JSON object");
    n = safe("{" ENTRY("a", "[2]", 0, 8) "}", 8);
    refused(buffer, 20, "is truncated: bytes 0 to 7 claim a header of");
    buffer[6] = 1;
    refused(buffer, n, "claim a header of 281474976710");
    /* no element: nothing to read, nothing to refuse */
    n = safe("{" ENTRY("a", "[0, 3]", 0, 0) "}", 0);
    assert_true(deq_tensors_open_memory("m", buffer, (int64_t)n, &file, &e));
    deq_tensors_close(&file);
}

/* ---- NPZ ---- */

static uint8_t *read_back(const char *path, size_t *size) {
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    *size = fread(buffer, 1, sizeof buffer, f);
    fclose(f);
    return buffer;
}

/* An archive of one entry, packed at `level` (0: stored). */
static uint8_t *archive(const char *entry, const void *bytes, size_t n, int level, size_t *size) {
    const char *path = path_of("archive.npz");
    unlink(path);
    zipFile zip = zipOpen64(path, APPEND_STATUS_CREATE);
    assert_non_null(zip);
    assert_int_equal(zipOpenNewFileInZip64(zip, entry, NULL, NULL, 0, NULL, 0, NULL, level ? Z_DEFLATED : 0, level, 0),
                     0);
    assert_int_equal(zipWriteInFileInZip(zip, bytes, (unsigned)n), 0);
    assert_int_equal(zipCloseFileInZip(zip), 0);
    assert_int_equal(zipClose(zip, NULL), 0);
    return read_back(path, size);
}

static void put32(uint8_t *at, uint32_t v) {
    for (int i = 0; i < 4; i++) at[i] = (uint8_t)(v >> 8 * i);
}

/* Where the archive's directory begins: its entry, and the end record, are found by their signatures. */
static uint8_t *find(uint8_t *bytes, size_t size, const char *signature) {
    uint8_t *at = memmem(bytes, size, signature, 4);
    assert_non_null(at);
    return at;
}

static void test_npz(void **state) {
    (void)state;
    uint8_t array[4200] = {0};
    deq_array a;
    deq_error e;
    size_t size, n = npy(1, "{'descr': '<i2', 'fortran_order': False, 'shape': (2000,), }\n", array, 4000);
    for (int i = 0; i < 4000; i++) buffer[n - 4000 + (size_t)i] = (uint8_t)(i % 2 ? 0 : i / 40);
    memcpy(array, buffer, n);
    for (int level = 0; level < 10; level += 9) {
        archive("x.npy", array, n, level, &size);
        assert_true(level ? size < 2000 : size > 4000);
        if (!read_only(buffer, size, &a, &e)) fail_msg("%s", e.text);
        assert_true(deq_array_value(&a, 1999) == 99);
        deq_array_free(&a);
        /* every truncation is refused, wherever it is; the last four bytes only say how long a comment follows */
        for (size_t cut = 0; cut < size - 4; cut += 7)
            if (read_only(buffer, cut, &a, &e)) fail_msg("cut to %zu of %zu", cut, size);
        uint8_t *data = buffer + 30 + 5; /* after the local header and the name */
        data[level ? 60 : 300] ^= 0x10;
        assert_false(read_only(buffer, size, &a, &e));
        assert_int_equal(e.failure, DEQ_DATA_FORMAT);
    }
    archive("x.npy", array, n, 9, &size);
    uint8_t *entry = find(buffer, size, "PK\1\2");
    entry[8] |= 1;
    refused(buffer, size, "is encrypted");
    entry[8] &= 0xfe;
    entry[10] = 12;
    refused(buffer, size, "a method other than deflate");
    entry[10] = 8;
    put32(entry + 24, 0x7fffffff); /* a bomb says how large it is */
    refused(buffer, size, "claims to unpack to more than its packed bytes can hold");
    put32(entry + 24, (uint32_t)n);
    put32(entry + 20, 0x7fffffff);
    refused(buffer, size, "claims to be longer than the archive");
    archive("x.npy", array, n, 9, &size);
    put32(find(buffer, size, "PK\5\6") + 8, 0xffff0001);
    assert_false(read_only(buffer, size, &a, &e));
    assert_int_equal(e.failure, DEQ_DATA_FORMAT);
    /* a bomb that hides its size: only what the header of the array claims is unpacked, and that is compared first */
    static uint8_t zeros[60000];
    size_t most = npy(1, "{'descr': '|u1', 'fortran_order': False, 'shape': (100,), }\n", zeros, 100);
    memcpy(zeros, buffer, most);
    archive("x.npy", zeros, sizeof zeros, 9, &size);
    refused(buffer, size, "data should end at byte");
    archive("notes.txt", "text", 4, 0, &size);
    refused(buffer, size, "is an archive without any array");
    archive("theirs/data.pkl", "\x80\x02}q", 4, 0, &size); /* of torch.save */
    refused(buffer, size, "is a Python pickle (it holds 'theirs/data.pkl')");
    archive("x.npy", "no array", 8, 0, &size);
    refused(buffer, size, "does not begin with a NPY header");
}

/* ---- written and read again ---- */

static void test_write(void **state) {
    (void)state;
    float f[6] = {1, -2, 3e-30f, 4, 5, 6};
    double d[1] = {0.1};
    deq_tensor_out list[] = {{"body.W", {.type = DEQ_F32, .rank = 2, .dim = {2, 3}, .elements = 6, .values = f}},
                             {"gain", {.type = DEQ_F64, .rank = 0, .elements = 1, .values = d}}};
    const char *names[] = {"w.npz", "w.safetensors"};
    for (int i = 0; i < 2; i++) {
        deq_error e = {0};
        deq_tensors file;
        deq_array a, b;
        size_t once, again;
        assert_true(deq_tensors_write(path_of(names[i]), list, 2, NULL, &e));
        static uint8_t first[sizeof buffer];
        memcpy(first, read_back(path_of(names[i]), &once), sizeof first);
        assert_true(deq_tensors_write(path_of(names[i]), list, 2, NULL, &e));
        read_back(path_of(names[i]), &again);
        assert_true(once == again && !memcmp(first, buffer, once)); /* the same bytes every time */
        if (!deq_tensors_open(path_of(names[i]), &file, &e)) fail_msg("%s", e.text);
        assert_true(file.count == 2);
        assert_true(deq_tensors_read(&file, deq_tensors_find(&file, "body.W"), &a, &e));
        assert_true(deq_tensors_read(&file, deq_tensors_find(&file, "gain"), &b, &e));
        assert_true(a.rank == 2 && a.dim[1] == 3 && !memcmp(a.values, f, sizeof f) && b.rank == 0);
        assert_true(deq_array_value(&b, 0) == 0.1);
        deq_array_free(&a);
        deq_array_free(&b);
        deq_tensors_close(&file);
    }
    deq_error e = {0};
    assert_false(deq_tensors_write(path_of("w.txt"), list, 2, NULL, &e) || e.failure != DEQ_OUTPUT);
    e = (deq_error){0};
    assert_false(deq_tensors_write(path_of("w.npz/x.npz"), list, 2, NULL, &e) || e.failure != DEQ_OUTPUT);
}

/* ---- weights ---- */

static deq_parameter parameters[] = {{"a.W", NULL, {2, {2, 3}, 6}, 0, true}, {"a.b", NULL, {1, {3}, 3}, 64, true}};
static const deq_net_spec net = {.name = "Net", .parameters = parameters, .nparameters = 2, .parameter_bytes = 128};

static void test_weights(void **state) {
    (void)state;
    float w[6] = {1, 2, 3, 4, 5, 6}, b[3] = {7, 8, 9}, vector[32] = {0};
    double wide[6] = {1, 2, 3, 4, 5, 1e300};
    deq_tensor_out good[] = {{"W", {.type = DEQ_F32, .rank = 2, .dim = {3, 2}, .elements = 6, .values = w}},
                             {"b", {.type = DEQ_F32, .rank = 1, .dim = {3}, .elements = 3, .values = b}}};
    char path[300], map[300];
    strcpy(path, path_of("weights.npz"));
    strcpy(map, path_of("names.map"));
    deq_error e = {0};
    assert_true(deq_tensors_write(path, good, 2, NULL, &e));
    FILE *f = fopen(map, "w");
    fputs("a.W = W'\na.* = *\n", f);
    fclose(f);
    if (!deq_weights_load(path, map, &net, 32, vector, &e)) fail_msg("%s", e.text);
    assert_true(vector[0] == 1 && vector[1] == 3 && vector[2] == 5 && vector[3] == 2 && vector[16] == 7);
    f = fopen(map, "w");
    fputs("a.W = W[1, 0]\na.b = _\n_ = b\n", f);
    fclose(f);
    vector[16] = -1;
    assert_true(deq_weights_load(path, map, &net, 32, vector, &e));
    assert_true(vector[1] == 3 && vector[16] == -1);

    /* axes of size 1 do not count in a rule, unless it counts axes; without a rule they do */
    deq_tensor_out ones[] = {{"W", {.type = DEQ_F32, .rank = 4, .dim = {3, 2, 1, 1}, .elements = 6, .values = w}},
                             {"g", {.type = DEQ_F32, .rank = 3, .dim = {3, 1, 1}, .elements = 3, .values = b}}};
    assert_true(deq_tensors_write(path, ones, 2, NULL, &e));
    f = fopen(map, "w");
    fputs("a.W = W'\na.b = g\n", f);
    fclose(f);
    memset(vector, 0, sizeof vector);
    if (!deq_weights_load(path, map, &net, 32, vector, &e)) fail_msg("%s", e.text);
    assert_true(vector[0] == 1 && vector[1] == 3 && vector[2] == 5 && vector[3] == 2 && vector[16] == 7 &&
                vector[18] == 9);
    f = fopen(map, "w");
    fputs("a.W = W[1, 0]\na.b = g\n", f);
    fclose(f);
    assert_false(deq_weights_load(path, map, &net, 32, vector, &e));
    assert_non_null(strstr(e.text, "parameter 'a.W' is [2, 3], 'W' ("));
    assert_non_null(strstr(e.text, "is [3, 2, 1, 1] in the file"));
    e = (deq_error){0};
    ones[0].name = "a.W", ones[1].name = "a.b";
    assert_true(deq_tensors_write(path, ones, 2, NULL, &e));
    assert_false(deq_weights_load(path, NULL, &net, 32, vector, &e));
    assert_non_null(strstr(e.text, "parameter 'a.b' is [3], 'a.b' is [3, 1, 1] in the file"));
    e = (deq_error){0};

    /* all that is wrong at once, and nothing is written */
    deq_tensor_out bad[] = {{"a.W", {.type = DEQ_F32, .rank = 2, .dim = {3, 2}, .elements = 6, .values = w}},
                            {"more", {.type = DEQ_F32, .rank = 1, .dim = {3}, .elements = 3, .values = b}}};
    assert_true(deq_tensors_write(path, bad, 2, NULL, &e));
    memset(vector, 0, sizeof vector);
    assert_false(deq_weights_load(path, NULL, &net, 32, vector, &e));
    assert_int_equal(e.failure, DEQ_WEIGHTS);
    assert_non_null(strstr(e.text, "parameter 'a.W' is [2, 3], 'a.W' is [3, 2] in the file (transposed?"));
    assert_non_null(strstr(e.text, "parameter 'a.b': the file has no 'a.b'"));
    assert_non_null(strstr(e.text, "the file's 'more' [3] is no parameter of 'Net'"));
    assert_true(vector[0] == 0 && vector[16] == 0);

    /* too large for the precision: an error in 32 bits, fine in 64 */
    deq_tensor_out large[] = {{"a.W", {.type = DEQ_F64, .rank = 2, .dim = {2, 3}, .elements = 6, .values = wide}},
                              {"a.b", {.type = DEQ_F32, .rank = 1, .dim = {3}, .elements = 3, .values = b}}};
    e = (deq_error){0};
    assert_true(deq_tensors_write(path, large, 2, NULL, &e));
    assert_false(deq_weights_load(path, NULL, &net, 32, vector, &e));
    assert_non_null(strstr(e.text, "element 5 of 'a.W' is 1e+300: no number of 32 bits"));
    assert_true(vector[0] == 0);
    e = (deq_error){0};
    assert_true(deq_weights_load(path, NULL, &net, 64, vector, &e));
    assert_true(((double *)vector)[5] == 1e300);

    /* whole numbers are no parameters */
    size_t size = npy(1, "{'descr': '<i8', 'fortran_order': False, 'shape': (3,), }\n", "123456781234567812345678", 24);
    f = fopen(path_of("a.b.npy"), "wb");
    fwrite(buffer, 1, size, f);
    fclose(f);
    e = (deq_error){0};
    assert_false(deq_weights_load(path_of("a.b.npy"), NULL, &net, 32, vector, &e));
    assert_non_null(strstr(e.text, "'a.b' holds I64: parameters are floating-point numbers"));
}

static void bad_map(const char *text, const char *part) {
    deq_map map;
    deq_error e = {0};
    assert_false(deq_map_parse("m", text, &map, &e));
    if (!strstr(e.text, part)) fail_msg("expected '%s' in: %s", part, e.text);
    deq_map_free(&map);
}

static void test_map(void **state) {
    (void)state;
    deq_map map;
    deq_error e = {0};
    char theirs[64];
    int axes[DEQ_RANK];
    assert_true(deq_map_parse(
        "m", "\n// all\r\n a.W=x.weight' // turned\n b.*.W = \"b *\"[2,0 , 1]\n b.1.W = one\n _ = *.n\n", &map, &e));
    assert_true(deq_map_find(&map, "a.W", theirs, sizeof theirs)->transposed);
    assert_string_equal(theirs, "x.weight");
    deq_map_rule *r = deq_map_find(&map, "b.22.W", theirs, sizeof theirs);
    assert_string_equal(theirs, "b 22");
    assert_true(deq_map_axes(r, 3, axes) && axes[0] == 2 && axes[1] == 0 && axes[2] == 1);
    assert_false(deq_map_axes(r, 2, axes));
    deq_map_find(&map, "b.1.W", theirs, sizeof theirs);
    assert_string_equal(theirs, "one");
    assert_null(deq_map_find(&map, "c", theirs, sizeof theirs));
    assert_string_equal(theirs, "c");
    assert_true(deq_map_ignores(&map, "x.y.n") && !deq_map_ignores(&map, "n.x"));
    deq_map_free(&map);
    bad_map("a\n = b\nc = \n", "m:1: expected NAME = NAME; m:2: expected NAME = NAME; m:3: expected a name");
    bad_map("a = b\na = c\n", "m:2: 'a' has a rule already, in line 1");
    bad_map("a = b[0, 0]\n", "each axis once");
    bad_map("a = b[0, 2]\n", "each axis once");
    bad_map("a = b[0, 1\n", "each axis once");
    bad_map("a = b' c\n", "there is more");
    bad_map("a.* = b\n", "one '*' on each side");
    bad_map("_ = _\n", "one side is a name");
    bad_map("a = _'\n", "nothing to transpose");
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_npy),         cmocka_unit_test(test_bad_npy),
                                       cmocka_unit_test(test_safetensors), cmocka_unit_test(test_npz),
                                       cmocka_unit_test(test_write),       cmocka_unit_test(test_weights),
                                       cmocka_unit_test(test_map)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) || failed;
}
