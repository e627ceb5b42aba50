/* The C library's calls, and gradcheck: a right gradient passes, one that is a tenth off in one parameter does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#define LINE_REAL double
#define LINE_REAL_NAME "f64"
#include "line_module.h"
#include "deq_library.h"
#include "study.h"

static char manifest[8192];

static deq_module module_with(const char *tail) {
    strcpy(line_begin(manifest, sizeof manifest, "/nowhere"), tail);
    return line_module(manifest);
}

static int gradcheck(double error) {
    deq_module module = module_with(
        "\"tests\": [{\"name\": \"line\", \"check\": \"gradcheck\", \"net\": \"Line\", \"loss\": \"cross_entropy\","
        " \"directions\": 4, \"tol\": 0.001, \"overrides\": [], \"line\": 1}]}");
    deq_app_options options = {.threads = 1, .quiet = true, .cache = "/tmp/deq-test-library-cache"};
    line_error = error;
    int code = deq_app_test(&module, &options);
    line_error = 0;
    return code;
}

static void test_gradcheck(void **state) {
    (void)state;
    assert_int_equal(gradcheck(0), 0);
    assert_int_equal(gradcheck(0.1), 4);
    assert_int_equal(gradcheck(0.01), 4);
    assert_int_equal(gradcheck(-2), 4);   /* a wrong sign */
    assert_int_equal(gradcheck(1e-5), 0); /* below the tolerance of the test */
}

static void test_calls(void **state) {
    (void)state;
    deq_module module = module_with("\"trains\": []}");
    deq_library *l = deq_library_new(&module, NULL, &(deq_library_options){.threads = 2, .seed = 3});
    if (!l) fail_msg("%s", deq_library_error(NULL));
    assert_int_equal(deq_library_input_size(l), 2);
    assert_int_equal(deq_library_target_size(l), 1);
    assert_int_equal(deq_library_output_size(l), 2);
    assert_int_equal(deq_library_parameter_size(l), DEQ_CHUNK);
    int64_t elements, b = deq_library_parameter(l, "b", &elements);
    assert_int_equal(b, ROW);
    assert_int_equal(elements, 2);
    assert_int_equal(deq_library_parameter(l, "c", NULL), -1);
    double *w = deq_library_parameters(l);
    const double values[4] = {1, -1, 0.5, 2};
    memcpy(w, values, sizeof values);
    w[b] = 0.25, w[b + 1] = -0.25;
    deq_library_prepare(l);

    enum { N = 100 };
    double x[N][2], y[N], out[N][2], loss[N], dx[N][2], *dp = calloc(DEQ_CHUNK, sizeof *dp), db = 0;
    for (int i = 0; i < N; i++) x[i][0] = i * 0.01, x[i][1] = 1 - i * 0.02, y[i] = i % 2;
    deq_status status;
    assert_int_equal(deq_library_forward(l, N, x, out, &status), 0);
    assert_int_equal(status.solves, 0);
    assert_int_equal(deq_library_gradient(l, N, x, y, NULL, loss, dx, dp, &status), 0);
    for (int i = 0; i < N; i++) {
        double o0 = x[i][0] + 0.5 * x[i][1] + 0.25, o1 = -x[i][0] + 2 * x[i][1] - 0.25;
        double p1 = 1 / (1 + exp(o0 - o1)), g1 = p1 - y[i];
        assert_true(fabs(out[i][0] - o0) < 1e-12 && fabs(out[i][1] - o1) < 1e-12);
        assert_true(fabs(loss[i] + log(y[i] > 0 ? p1 : 1 - p1)) < 1e-12);
        assert_true(fabs(dx[i][0] - (-1 * g1 - g1)) < 1e-12 && fabs(dx[i][1] - (2 * g1 - 0.5 * g1)) < 1e-12);
        db += g1 / N;
    }
    assert_true(fabs(dp[b + 1] - db) < 1e-12 && fabs(dp[b] + db) < 1e-12);

    y[7] = 2;
    assert_int_not_equal(deq_library_gradient(l, N, x, y, NULL, loss, dx, dp, NULL), 0);
    assert_non_null(strstr(deq_library_error(l), "target 7 is 2"));
    assert_int_not_equal(deq_library_gradient(l, N, x, y, "mse", loss, dx, dp, NULL), 0);
    assert_non_null(strstr(deq_library_error(l), "'mse'"));
    assert_int_equal(deq_library_forward(l, 0, x, out, NULL), 0);
    assert_int_not_equal(deq_library_forward(l, -1, x, out, NULL), 0);
    assert_int_not_equal(deq_library_load(l, "/nowhere/net.safetensors"), 0);
    assert_non_null(strstr(deq_library_error(l), "/nowhere/net.safetensors"));
    assert_int_not_equal(deq_library_set(l, "body.forward.tol", "1"), 0);
    free(dp);
    deq_library_free(l);
    assert_null(deq_library_new(&module, "Other", NULL));
    assert_non_null(strstr(deq_library_error(NULL), "'Other'"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gradcheck), cmocka_unit_test(test_calls)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return system("rm -rf /tmp/deq-test-library-cache") || failed;
}
