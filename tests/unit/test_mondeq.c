/* A monotone network with publicly trained weights (m = 20, where plain iteration diverges) classifies MNIST.  Data and
 * weights stand in ../shared beside the project; without them there is nothing to test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "compiled_net.h"
#include <zlib.h>

#define SHARED DEQ_SOURCE_DIR "/../shared/data/"
#define IMAGES 10000
#define PIXELS 784

static unsigned char *inflated(const char *path, size_t size) {
    gzFile f = gzopen(path, "rb");
    unsigned char *bytes = f ? malloc(size) : NULL;
    if (bytes && gzread(f, bytes, (unsigned)size) != (int)size) {
        free(bytes);
        bytes = NULL;
    }
    if (f) gzclose(f);
    return bytes;
}

/* Member NAME.npy of an archive without compression: `count` floats after its header. */
static bool member(const char *archive, size_t size, const char *name, float *out, size_t count) {
    size_t length = strlen(name);
    for (size_t at = 0; at + 30 + length < size && !memcmp(archive + at, "PK\3\4", 4);) {
        const unsigned char *h = (const unsigned char *)archive + at;
        size_t bytes = (size_t)h[18] | (size_t)h[19] << 8 | (size_t)h[20] << 16 | (size_t)h[21] << 24;
        size_t names = (size_t)h[26] | (size_t)h[27] << 8, extra = (size_t)h[28] | (size_t)h[29] << 8;
        if (bytes == 0xffffffff) memcpy(&bytes, h + 30 + names + 12, 8); /* ZIP64: sizes in the extra field */
        const char *data = archive + at + 30 + names + extra;
        if (names == length + 4 && !memcmp(h + 30, name, length)) {
            if (bytes < count * sizeof *out) return false;
            memcpy(out, data + bytes - count * sizeof *out, count * sizeof *out);
            return true;
        }
        at += 30 + names + extra + bytes;
    }
    return false;
}

static void load(CompiledNet *f) {
    static const char *const names[][2] = {{"A", "A.weight"}, {"B", "B.weight"},    {"U", "U.weight"},
                                           {"b", "U.bias"},   {"V", "Wout.weight"}, {"c", "Wout.bias"}};
    static char archive[200000];
    FILE *file = fopen(SHARED "mondeq/mondeq_h40_m20.npz", "rb");
    assert_non_null(file);
    size_t size = fread(archive, 1, sizeof archive, file), i;
    fclose(file);
    json_t *p;
    json_array_foreach(json_object_get(f->net, "parameters"), i, p) {
        const char *path = json_string_value(json_object_get(p, "path"));
        int64_t at = json_integer_value(json_object_get(p, "offset"));
        bool found = false;
        for (size_t k = 0; k < sizeof names / sizeof *names; k++)
            if (!strcmp(names[k][0], path))
                found = member(archive, size, names[k][1], (float *)((char *)deq_engine_parameters(f->engine) + at),
                               (size_t)json_count(json_object_get(p, "shape")));
        if (!found) fail_msg("no weights for %s", path);
    }
    deq_engine_prepare(f->engine);
}

static int correct(CompiledNet *f, const float *x, const unsigned char *labels, int n, deq_results *results) {
    float *y = malloc((size_t)n * 10 * sizeof *y);
    deq_error e = {0};
    int hits = 0;
    if (!deq_engine_forward(f->engine, n, x, y, results, &e)) fail_msg("%s", e.text);
    for (int i = 0; i < n; i++) {
        int best = 0;
        for (int k = 1; k < 10; k++) best = y[i * 10 + k] > y[i * 10 + best] ? k : best;
        hits += best == labels[i];
    }
    free(y);
    return hits;
}

static void trained_elsewhere(void **state) {
    (void)state;
    if (access(SHARED "mondeq/mondeq_h40_m20.npz", R_OK) || access(SHARED "mnist/t10k-images-idx3-ubyte.gz", R_OK))
        skip();
    unsigned char *images = inflated(SHARED "mnist/t10k-images-idx3-ubyte.gz", 16 + IMAGES * PIXELS),
                  *labels = inflated(SHARED "mnist/t10k-labels-idx1-ubyte.gz", 8 + IMAGES);
    assert_non_null(images);
    assert_non_null(labels);
    float *x = malloc(IMAGES * PIXELS * sizeof *x);
    for (int k = 0; k < IMAGES * PIXELS; k++) x[k] = (float)images[16 + k] / 255;
    CompiledNet f;
    deq_results results = {0};
    deq_error e = {0};
    double margin;
    net_open(&f, DEQ_SOURCE_DIR "/tests/programs/splitting.deq", "Net", false, 2, 0, 0);
    load(&f);
    int hits = correct(&f, x, labels + 8, IMAGES, &results);
    print_message("%.2f %% of the test images, %.1f steps\n", 100.0 * hits / IMAGES,
                  results.forward.steps / (double)results.forward.solves);
    assert_in_range(hits, 9555, 9565);
    assert_int_equal(results.forward.unconverged, 0);
    assert_true(deq_engine_margin(f.engine, 0, &margin, &e));
    assert_true(margin > 19.999 && margin < 20.1);
    net_set(&f, "forward", "picard(max: 100)");
    correct(&f, x, labels + 8, 200, &results);
    assert_int_equal(results.forward.unconverged, 200);
    net_close(&f);
    free(images);
    free(labels);
    free(x);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(trained_elsewhere)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
