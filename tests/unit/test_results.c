/* Checkpoints, the cache and tables: round trips, every corruption refused, texts as they should be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "checkpoint.h"
#include "training_log.h"
#include "names.h"
#include "number.h"
#include "output.h"
#include "random.h"
#include "seal.h"
#include "store.h"
#include "table.h"

static char folder[] = "/tmp/deq-test-results-XXXXXX";

static deq_parameter parameters[] = {{"body.W", NULL, {2, {3, 2}, 6}, 0, true},
                                     {"body.b", NULL, {1, {2}, 2}, 64, true},
                                     {"mean", NULL, {0, {0}, 1}, 128, false}};
static deq_net_spec net = {.name = "Net",
                           .hash = "abcdef0123456789",
                           .parameters = parameters,
                           .nparameters = 3,
                           .parameter_bytes = 128,
                           .shared_bytes = 192};

static void test_checkpoint(void **state) {
    (void)state;
    float values[48] = {1, 2, 3, 4, 5, 6}, back[48] = {0}, states[64], states_back[64] = {0};
    values[16] = -1, values[17] = -2, values[32] = 42;
    for (int i = 0; i < 64; i++) states[i] = (float)i / 3;
    assert_int_equal(deq_net_vector_bytes(&net, 32), 132);
    char *path = deq_path_join(folder, "net.safetensors", NULL);
    deq_error e = {0};
    deq_checkpoint c = {.epoch = 3,
                        .step = 17,
                        .state = json_pack("{s:f}", "sum", 1.0 / 3),
                        .settings = json_pack("{s:s}", "body.finish", "none"),
                        .parameters = values,
                        .states = states,
                        .state_bytes = 256,
                        .nstates = 2};
    assert_true(deq_checkpoint_write(path, &net, 32, &c, &e));
    deq_checkpoint r = {.parameters = back, .states = states_back, .state_bytes = 256, .nstates = 2};
    assert_true(deq_checkpoint_read(path, &net, 32, true, &r, &e));
    assert_int_equal(r.epoch, 3);
    assert_int_equal(r.step, 17);
    assert_true(json_number_value(json_object_get(r.state, "sum")) == 1.0 / 3);
    assert_string_equal(json_string_value(json_object_get(r.settings, "body.finish")), "none");
    assert_memory_equal(values, back, 24);
    assert_memory_equal(values + 16, back + 16, 8);
    assert_true(back[32] == 42);
    assert_memory_equal(states, states_back, 256);
    deq_checkpoint_drop(&r);
    deq_checkpoint_drop(&c);

    /* every byte counts, and so does every length */
    size_t size;
    char *bytes = deq_read_whole(path, 1 << 20, &size), *bad = deq_path_join(folder, "bad.safetensors", NULL);
    memset(back, 0, sizeof back);
    r = (deq_checkpoint){.parameters = back};
    for (size_t i = 0; i < size; i++)
        for (int bit = 0; bit < 8; bit += 3) {
            deq_error own = {0};
            bytes[i] ^= (char)(1 << bit);
            FILE *f = fopen(bad, "wb");
            fwrite(bytes, 1, size, f);
            fclose(f);
            bytes[i] ^= (char)(1 << bit);
            if (deq_checkpoint_read(bad, &net, 32, false, &r, &own)) fail_msg("byte %zu, bit %d: accepted", i, bit);
            assert_int_equal(own.failure, DEQ_CHECKPOINT);
        }
    for (size_t n = 0; n < size; n += 7) {
        deq_error own = {0};
        assert_true(deq_output_write(bad, bytes, n, &own));
        assert_false(deq_checkpoint_read(bad, &net, 32, false, &r, &own));
        assert_int_equal(own.failure, DEQ_CHECKPOINT);
    }
    for (int i = 0; i < 48; i++) assert_true(back[i] == 0); /* nothing was loaded */
    free(bytes);

    /* a file of somebody else's, in the same layout */
    const char foreign[] = "{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}  ";
    uint8_t file[8 + sizeof foreign - 1 + 4] = {sizeof foreign - 1};
    memcpy(file + 8, foreign, sizeof foreign - 1);
    assert_true(deq_output_write(bad, file, sizeof file, &e));
    assert_false(deq_checkpoint_read(bad, &net, 32, false, &r, &e));
    assert_non_null(strstr(e.text, "not written by deq"));

    /* another net: all that does not fit is named at once */
    deq_parameter others[] = {{"body.W", NULL, {2, {2, 3}, 6}, 0, true}, {"body.c", NULL, {1, {2}, 2}, 64, true}};
    deq_net_spec other = net;
    other.hash = "1";
    other.parameters = others;
    other.nparameters = 2;
    e = (deq_error){0};
    assert_false(deq_checkpoint_read(path, &other, 32, true, &r, &e));
    const char *const parts[] = {"belongs to another net", "'body.W' has shape [3, 2], the net's is [2, 3]",
                                 "'body.c' is missing", "'body.b' is no parameter", "'mean' is no parameter"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (!strstr(e.text, parts[i])) fail_msg("'%s' is not in: %s", parts[i], e.text);
    e = (deq_error){0};
    assert_false(deq_checkpoint_read(path, &net, 64, true, &r, &e)); /* a run does not go on in other bits */
    assert_non_null(strstr(e.text, "is F32, the net works in F64"));
    deq_parameter wide[] = {{"body.W", NULL, {2, {3, 2}, 6}, 0, true},
                            {"body.b", NULL, {1, {2}, 2}, 64, true},
                            {"mean", NULL, {0, {0}, 1}, 128, false}};
    deq_net_spec doubles = net;
    doubles.parameters = wide;
    double widened[24] = {0};
    deq_checkpoint w = {.parameters = widened};
    e = (deq_error){0};
    assert_true(deq_checkpoint_read(path, &doubles, 64, false, &w, &e)); /* parameters are converted */
    for (int i = 0; i < 6; i++) assert_true(widened[i] == (double)values[i]);
    assert_true(widened[8] == -1 && widened[9] == -2 && widened[16] == 42);
    deq_checkpoint_drop(&w);
    char *doubled = deq_path_join(folder, "doubled.safetensors", NULL);
    assert_true(deq_checkpoint_write(doubled, &doubles, 64, &w, &e));
    memset(back, 0, sizeof back);
    assert_true(deq_checkpoint_read(doubled, &net, 32, false, &r, &e));
    assert_memory_equal(values, back, 24);
    deq_checkpoint_drop(&r);
    free(doubled);
    other = net;
    other.hash = "1";
    e = (deq_error){0};
    assert_true(deq_checkpoint_read(path, &other, 32, false, &r, &e)); /* parameters may move to a recompiled net... */
    deq_checkpoint_drop(&r);
    assert_false(deq_checkpoint_read(path, &other, 32, true, &r, &e)); /* ...but a run does not go on in one */
    free(path);
    free(bad);
}

static void keep_text(void *context, const char *text) { snprintf(context, 700, "%s", text); }

static void test_store(void **state) {
    (void)state;
    deq_store s;
    deq_key a, b;
    json_t *one = json_pack("{s:i, s:f}", "x", 1, "y", 0.1), *two = json_pack("{s:f, s:i}", "y", 0.1, "x", 1);
    deq_store_key(one, a);
    deq_store_key(two, b);
    assert_string_equal(a, b);
    json_object_set_new(two, "x", json_integer(2));
    deq_store_key(two, b);
    assert_string_not_equal(a, b);
    char *where = deq_path_join(folder, "cache", NULL);
    deq_store_open(&s, where, false);
    assert_true(s.usable);
    assert_null(deq_store_get(&s, "values", a));
    deq_store_put(&s, "values", a, one);
    json_t *back = deq_store_get(&s, "values", a);
    assert_true(json_equal(one, back));
    json_decref(back);
    s.fresh = true;
    assert_null(deq_store_get(&s, "values", a));
    s.fresh = false;
    char *path = deq_store_path(&s, "values", a, "json");
    size_t size;
    char *text = deq_read_whole(path, 1 << 16, &size), *digit = strstr(text, "\"x\": 1");
    assert_non_null(digit);
    digit[5] = '7';
    deq_error e = {0};
    char said[700] = "";
    s.refused = keep_text;
    s.context = said;
    assert_true(deq_output_write(path, text, size, &e));
    assert_null(deq_store_get(&s, "values", a)); /* damaged: as if it were not there, and said */
    assert_non_null(strstr(said, "damaged"));
    digit[5] = '1';
    char *other = deq_store_path(&s, "values", b, "json");
    assert_true(deq_output_write(other, text, size, &e));
    assert_null(deq_store_get(&s, "values", b)); /* whole, but another's */
    assert_non_null(strstr(said, "another entry under this name"));
    free(other);
    free(text);
    free(path);
    deq_store_close(&s);
    free(where);
    json_decref(one);
    json_decref(two);
}

static int count_files(const char *path) {
    int n = 0;
    DIR *d = opendir(path);
    assert_non_null(d);
    for (struct dirent *entry; (entry = readdir(d));) n += *entry->d_name != '.';
    closedir(d);
    return n;
}

/* Temporaries of processes that are gone are removed; those of living ones and other files stay. */
static void test_sweep(void **state) {
    (void)state;
    char *where = deq_path_join(folder, "sweep", NULL), *path = deq_path_join(where, "net.json", NULL);
    char *mine = deq_temporary_name(path);
    deq_error e = {0};
    deq_output out;
    pid_t child = fork();
    if (child == 0) {
        char *inner = deq_temporary_name(path), *file = deq_path_join(inner, "part.o", NULL);
        bool ok = deq_output_open(&out, path, &e) && fputs("half", out.file) > 0 && !fflush(out.file);
        char *beside = deq_path_join(where, "linked", NULL);
        free(inner);
        inner = deq_temporary_name(beside);
        free(file);
        file = deq_path_join(inner, "part.o", NULL);
        _exit(ok && deq_output_write(file, "x", 1, &e) ? 0 : 1); /* killed before the commit */
    }
    int status = 1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(deq_output_write(mine, "mine", 4, &e));
    char *foreign = deq_path_join(where, "net.json.00000000.999999999.tmp", NULL);
    char *users = deq_path_join(where, "notes.tmp", NULL);
    assert_true(deq_output_write(foreign, "x", 1, &e) && deq_output_write(users, "x", 1, &e));
    assert_int_equal(count_files(where), 5);
    deq_temporaries_sweep(where);
    assert_int_equal(count_files(where), 3);
    assert_int_equal(access(mine, F_OK) | access(foreign, F_OK) | access(users, F_OK), 0);
    free(where), free(path), free(mine), free(foreign), free(users);
}

/* Two files that belong together, the second beyond the limit: neither is there, and no temporary is left. */
static void test_together(void **state) {
    (void)state;
    char *where = deq_path_join(folder, "together", NULL), *first = deq_path_join(where, "a.md", NULL);
    char *second = deq_path_join(where, "a.csv", NULL), *large = calloc(1, 1 << 16);
    const deq_output_text old[] = {{first, "old", 3}, {second, "old", 3}};
    const deq_output_text new[] = {{first, "new", 3}, {second, large, 1 << 16}};
    deq_error e = {0};
    assert_true(deq_output_write_all(old, 2, &e));
    struct rlimit before, limit;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    limit = before;
    limit.rlim_cur = 4096;
    setrlimit(RLIMIT_FSIZE, &limit);
    assert_false(deq_output_write_all(new, 2, &e));
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(e.failure, DEQ_OUTPUT);
    assert_non_null(strstr(e.text, "a.csv"));
    size_t size;
    char *text = deq_read_whole(first, 100, &size);
    assert_string_equal(text, "old");
    assert_int_equal(count_files(where), 2);
    free(text), free(where), free(first), free(second), free(large);
}

static const char *const axes[] = {"mode", "seed"};
static const int rows[] = {0};
static const char *const at[4][2] = {{"jfb()", "0"},
                                     {"jfb()", "1"},
                                     {"implicit(gmres(tol: 1e-4, max: 30))", "0"},
                                     {"implicit(gmres(tol: 1e-4, max: 30))", "1"}};
static const deq_table_column columns[] = {{.title = "clean", .percent = true, .examples = 1000},
                                           {.title = "steps, mean"}};

static void test_table(void **state) {
    (void)state;
    const double values[4][2] = {{0.80, 10.25}, {0.82, 11.75}, {0.5, NAN}, {0.5, NAN}};
    deq_interval intervals[4][2];
    for (int i = 0; i < 4; i++) {
        intervals[i][0] = deq_wilson((int64_t)round(1000 * values[i][0]), 1000);
        intervals[i][1] = (deq_interval){NAN, NAN, NAN};
    }
    deq_verdict verdicts[4][2] = {0};
    for (int i = 0; i < 4; i++) {
        verdicts[i][0].level = DEQ_RELIABLE;
        for (deq_check k = 0; k < DEQ_CHECKS; k++) verdicts[i][0].numbers[k] = NAN;
    }
    verdicts[0][0].numbers[DEQ_CHECK_unmoved] = 0.001;
    verdicts[0][0].audited = 200;
    verdicts[0][0].numbers[DEQ_CHECK_margin] = -0.02;
    char jfb[] = "pgd7 through jfb()", exact[] = "pgd7 through implicit(gmres(tol: 1e-4, max: 30))";
    char *none[2] = {NULL, NULL}, *attacks[2][2] = {{jfb, NULL}, {exact, NULL}};
    static const deq_data_spec data = {.name = "d"};
    static const deq_evaluation made = {.key = "r1", .slice = {.data = &data, .test = true, .from = 7, .to = 50}};
    static const deq_evaluation *const whose[4][2] = {{&made, NULL}, {&made, NULL}, {&made, NULL}, {NULL, NULL}};
    const deq_table_cell measured[4] = {
        {at[0],
         values[0],
         intervals[0],
         {"0", "k0", "r0", 1.5, 0.25, 0},
         attacks[0],
         verdicts[0],
         NULL,
         whose[0],
         0,
         NULL},
        {at[1],
         values[1],
         intervals[1],
         {"1", "k1", "r1", 1.5, 0.25, 0},
         attacks[0],
         verdicts[1],
         NULL,
         whose[1],
         0,
         NULL},
        {at[2],
         values[2],
         intervals[2],
         {"0", "k2", "r2", 1.5, 0.25, 0},
         attacks[1],
         verdicts[2],
         NULL,
         whose[2],
         1,
         NULL},
        {at[3], values[3], intervals[3], {"1", "k3", "r3", 2, 0.5, 3}, none, verdicts[3], NULL, whose[3], 1, NULL}};
    deq_table t = {"robustness", "e", axes, 2, rows, 1, columns, 2, true, measured, 4};
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    deq_table_markdown(f, &t);
    fclose(f);
    assert_string_equal(text, "| mode                                |       clean | steps, mean |\n"
                              "|:------------------------------------|------------:|------------:|\n"
                              "| jfb()                               | 81.0 ± 1.4% |  11.0 ± 1.1 |\n"
                              "| implicit(gmres(tol: 1e-4, max: 30)) | 50.0 ± 0.0% |           - |\n"
                              "\n3 predictions in this table are not a number (NaN); they count as wrong.\n"
                              "\nEach row is the mean over 2 runs, ± their standard deviation.\n"
                              "\nUnder pgd7 through jfb(): clean.\n"
                              "\nUnder pgd7 through implicit(gmres(tol: 1e-4, max: 30)): clean.\n"
                              "\nThe accuracies under attack are reliable by what their own solves and gradients say, "
                              "and by other attacks on a sample of their examples.\n"
                              "\nChecks of clean, up to 200 examples attacked again (worst run): unmoved 0.001, margin "
                              "-0.02.\n");
    free(text);
    f = open_memstream(&text, &size);
    verdicts[1][0].level = verdicts[1][0].levels[DEQ_CHECK_lost_gradients] = DEQ_MASKED;
    verdicts[1][0].numbers[DEQ_CHECK_lost_gradients] = 0.41;
    verdicts[2][0].level = verdicts[2][0].levels[DEQ_CHECK_unconverged] = DEQ_SUSPECT;
    verdicts[2][0].numbers[DEQ_CHECK_unconverged] = 0.25;
    deq_table_csv(f, &t);
    fclose(f);
    assert_string_equal(
        text,
        "mode,seed,clean,clean low,clean high,clean verdict,\"steps, mean\",seeds,nets,journals,undefined "
        "predictions,train seconds,evaluation seconds,clean attack,clean reasons,clean checks\n"
        "jfb(),0,0.8,0.774081035,0.82362291,reliable,10.25,0,k0,r0,0,1.500,0.250,pgd7 through jfb(),,unmoved 0.001; "
        "margin -0.02\n"
        "jfb(),1,0.82,0.794977767,0.842573107,masked,11.75,1,k1,r1,0,1.500,0.250,pgd7 through jfb(),\"41% of the "
        "examples are right, but at least half of their gradients were not finite, or cut to zero by "
        "on_fail\",lost_gradients 0.41\n"
        "\"implicit(gmres(tol: 1e-4, max: 30))\",0,0.5,0.4690696,0.5309304,suspect,,0,k2,r2,0,1.500,0.250,"
        "\"pgd7 through implicit(gmres(tol: 1e-4, max: 30))\",25% of the attack's forward solves stopped short of "
        "their tolerance,unconverged 0.25\n"
        "\"implicit(gmres(tol: 1e-4, max: 30))\",1,0.5,0.4690696,0.5309304,reliable,,1,k3,r3,3,2.000,0.500,,,\n");
    free(text);
    f = open_memstream(&text, &size);
    deq_table_latex(f, &t);
    fclose(f);
    assert_string_equal(text, "% robustness of e.  \\usepackage{booktabs}\n\\begin{tabular}{lrr}\n\\toprule\n"
                              "mode & clean & steps, mean \\\\\n\\midrule\n"
                              "jfb() & 81.0 $\\pm$ 1.4\\% & 11.0 $\\pm$ 1.1 \\\\\n"
                              "implicit(gmres(tol: 1e-4, max: 30)) & 50.0 $\\pm$ 0.0\\% & - \\\\\n"
                              "\\bottomrule\n\\end{tabular}\n");
    free(text);
    text = deq_table_json(&t, "t-table.json");
    json_t *json = json_loads(text, 0, NULL), *cell = json_array_get(json_object_get(json, "cells"), 1);
    json_t *masked = json_array_get(json_object_get(cell, "values"), 0);
    assert_string_equal(json_string_value(json_object_get(masked, "verdict")), "masked");
    assert_int_equal(json_array_size(json_object_get(masked, "checks")), 1);
    assert_true(json_is_null(json_object_get(json_array_get(json_object_get(cell, "values"), 1), "low")));
    assert_null(json_object_get(json_array_get(json_object_get(cell, "values"), 1), "verdict"));
    assert_string_equal(json_string_value(json_object_get(masked, "journal")), "r1");
    json_t *slice = json_pack("{s:s, s:s, s:i, s:i}", "data", "d", "split", "test", "from", 7, "to", 50);
    assert_true(json_equal(json_object_get(masked, "slice"), slice));
    json_decref(slice);
    assert_null(json_object_get(json_array_get(json_object_get(cell, "values"), 1), "journal"));
    json_decref(json);
    free(text);
    f = open_memstream(&text, &size);
    deq_table_markdown(f, &t);
    fclose(f);
    assert_non_null(strstr(text, "\n**clean** is masked in 1 of 4 runs; in that of mode = jfb(), seed = 1: 41% of the "
                                 "examples are right, but at least half of their gradients were not finite, or cut to "
                                 "zero by on_fail.\n"));
    assert_null(strstr(text, "are reliable"));
    free(text);
    bool one[2] = {true, false}, both[2] = {true, true}; /* of joined runs all are bold, or the row is not */
    deq_table_cell bolds[2] = {measured[0], measured[1]};
    bolds[0].bold = both;
    bolds[1].bold = one;
    const deq_table joined = {"bold", "e", axes, 2, rows, 1, columns, 2, true, bolds, 2};
    assert_true(deq_table_bold(&joined, 0, 0));
    assert_false(deq_table_bold(&joined, 0, 1));
    /* Rows are told apart by place, not by what their values are called; a cell that several of a row have counts once. */
    deq_table_cell alike[3] = {measured[0], measured[0], measured[1]};
    const bool again[2] = {true, true};
    alike[1].row = 1;
    alike[2].repeats = again;
    const deq_table rowed = {"alike", "e", axes, 2, rows, 1, columns, 2, true, alike, 3};
    char shown[DEQ_TABLE_TEXT];
    assert_true(deq_table_first(&rowed, 1));
    assert_false(deq_table_first(&rowed, 2));
    deq_table_text(&rowed, 0, 0, shown);
    assert_string_equal(shown, "80.0% [77.4, 82.4]");
    t.ncells = 1; /* a row of one run has its intervals */
    f = open_memstream(&text, &size);
    deq_table_markdown(f, &t);
    fclose(f);
    assert_string_equal(text, "| mode  |              clean | steps, mean |\n"
                              "|:------|-------------------:|------------:|\n"
                              "| jfb() | 80.0% [77.4, 82.4] |        10.2 |\n"
                              "\nIn brackets: intervals of 95% over 1000 examples (Wilson's for shares, else by "
                              "bootstrap; differences are paired by example).\n"
                              "\nUnder pgd7 through jfb(): clean.\n"
                              "\nThe accuracies under attack are reliable by what their own solves and gradients say, "
                              "and by other attacks on a sample of their examples.\n"
                              "\nChecks of clean, up to 200 examples attacked again: unmoved 0.001, margin -0.02.\n");
    free(text);
}

static void test_numbers(void **state) {
    (void)state;
    static const struct {
        double value;
        int digits;
        const char *text;
    } cases[] = {{169216, 3, "169216"},   {12345, 3, "12345"},   {1234.5, 3, "1234"},
                 {999.7, 3, "1000"},      {99.74, 3, "99.7"},    {0.0001, 3, "0.0001"},
                 {1.5e-7, 3, "1.5e-07"},  {-20000, 4, "-20000"}, {2e12, 3, "2e+12"},
                 {123456.7, 4, "123457"}, {0, 3, "0"},           {INFINITY, 3, "inf"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[DEQ_NUMBER_TEXT];
        assert_string_equal(deq_number_text(cases[i].value, cases[i].digits, text), cases[i].text);
    }
    /* as a table shows them: bytes of a solve, and an interval of them */
    const deq_table_column column = {.title = "bytes"};
    double values[1] = {169216};
    deq_interval intervals[1] = {{NAN, NAN, NAN}};
    deq_table_cell cell = {.values = values, .intervals = intervals};
    deq_table t = {.columns = &column, .ncolumns = 1, .cells = &cell, .ncells = 1};
    char text[DEQ_TABLE_TEXT];
    deq_table_text(&t, 0, 0, text);
    assert_string_equal(text, "169216");
    intervals[0] = (deq_interval){169216, 150000, 2.5e5};
    deq_table_text(&t, 0, 0, text);
    assert_string_equal(text, "169216 [150000, 250000]");
}

static void test_names(void **state) {
    (void)state;
    const char *const pairs[][2] = {{"net", "net"},    {"m-implicit(gmres(max: 20))", "m-implicit-gmres-max-20"},
                                    {"m--1", "m--1"},  {"../x", "-.-x"},
                                    {"", "-"},         {"///", "-"},
                                    {"a.b_c", "a.b_c"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        char *name = deq_path_component(pairs[i][0]);
        assert_string_equal(name, pairs[i][1]);
        free(name);
    }
    static const char *const under[][3] = {{"body.W", "body", "W"},    {"first.net.clip", "first.net", "clip"},
                                           {"body", "body", ""},       {"body.W", "", "body.W"},
                                           {"bodies.W", "body", NULL}, {"body", "body.W", NULL}};
    for (size_t i = 0; i < sizeof under / sizeof *under; i++) {
        const char *rest = deq_path_under(under[i][0], under[i][1]);
        assert_true(!rest == !under[i][2]);
        if (rest) assert_string_equal(rest, under[i][2]);
    }
}

static void test_permutation(void **state) {
    (void)state;
    enum { N = 1000 };
    int64_t p[N], q[N];
    deq_permutation(7, N, p);
    deq_permutation(7, N, q);
    assert_memory_equal(p, q, sizeof p);
    deq_permutation(8, N, q);
    int same = 0, seen[N] = {0}, ordered = 0;
    for (int i = 0; i < N; i++) {
        assert_true(p[i] >= 0 && p[i] < N);
        seen[p[i]]++;
        same += p[i] == q[i];
        ordered += p[i] == i;
    }
    for (int i = 0; i < N; i++) assert_int_equal(seen[i], 1);
    assert_true(same < 10 && ordered < 10); /* one is expected, by chance */
}

static void test_training_log(void **state) {
    (void)state;
    deq_log_row row = deq_log_empty();
    row.epoch = 1;
    row.loss = 0.1;
    json_t *rows = json_array();
    json_array_append_new(rows, deq_log_json(&row));
    deq_log_row back = deq_log_row_of(json_array_get(rows, 0));
    assert_true(back.loss == 0.1 && isnan(back.robust));
    char *path = deq_path_join(folder, "log.csv", NULL);
    deq_error e = {0};
    assert_true(deq_log_write(path, rows, "accuracy", &e));
    assert_true(deq_csv_is_sealed(path));
    char *text = deq_sealed_csv(path, &e);
    assert_non_null(text);
    assert_string_equal(
        text, "epoch,step,loss,accuracy,validation_loss,clean,robust,robust_loss,steps,residual,adjoint_steps,"
              "adjoint_residual,unconverged,"
              "adjoint_unconverged,radius,radius_most,norm2,frobenius,penalty,correction,lost_gradients,gradient_norm,"
              "clipped,attack_unconverged,"
              "attack_adjoint_unconverged,attack_zero_gradients,attack_lost_gradients,examples_per_second,seconds\n"
              "1,,0.1,,,,,,,,,,,,,,,,,,,,,,,,,,\n");
    free(text);
    free(path);
    json_decref(rows);
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checkpoint), cmocka_unit_test(test_store),       cmocka_unit_test(test_sweep),
        cmocka_unit_test(test_together),   cmocka_unit_test(test_table),       cmocka_unit_test(test_names),
        cmocka_unit_test(test_numbers),    cmocka_unit_test(test_permutation), cmocka_unit_test(test_training_log)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) || failed;
}
