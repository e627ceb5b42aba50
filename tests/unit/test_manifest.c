/* The manifest: what pipeline_build writes, read back by the runtime's own reader. */
#include "elaborate_support.h"
#include "manifest.h"

static const char *const program =
    "import std.layers (Dense)\n"
    "import std.losses (cross_entropy, smoothed_cross_entropy)\n"
    "import std.metrics (confidence)\n"
    "import std.attacks (pgd, fgsm)\n"
    "import std.optimisers (adam, sgd)\n"
    "import std.schedules (cosine)\n"
    "import std.data (fashion_mnist)\n"
    "layer Body[I, H](x: f32[I]) -> f32[H] {\n"
    "  use mix = Dense[H, H]\n"
    "  use inject = Dense[I, H]\n"
    "  fixed point z: f32[H] {\n"
    "    z = tanh(mix(z) + inject(x))\n"
    "    forward: anderson(memory: 3, tol: 1e-3)\n"
    "  }\n"
    "  return z\n"
    "}\n"
    "layer Net[H = 8](image: f32[1, 28, 28]) -> f32[10] {\n"
    "  use body = Body[784, H]\n"
    "  use head = Dense[H, 10]\n"
    "  return image |> flatten |> body |> head\n"
    "}\n"
    "data fashion: (f32[1, 28, 28], label[10]) = fashion_mnist(path: \"/somewhere\")\n"
    "schedule slow = cosine(from: 1e-2, to: 1e-4)\n"
    "attack strong = pgd(radius: 8 / 255, step: 2 / 255, iterations: 10)\n"
    "attack exact = strong with { gradient: implicit(gmres(tol: 1e-6)) }\n"
    "train base = Net on fashion.train[0..1000] {\n"
    "  loss: cross_entropy\n"
    "  optimise: adam(rate: slow)\n"
    "  batch: 32\n"
    "  epochs: 3\n"
    "  seed: 7\n"
    "  examples: 500\n"
    "  gradient: phantom.unroll(steps: 3)\n"
    "  attack: strong\n"
    "  validate: fashion.test[10..20]\n"
    "}\n"
    "experiment sweep_them {\n"
    "  sweep mode in [implicit(), phantom.unroll(steps: 5, damping: 0.5), jfb()]\n"
    "  sweep seed in 1..3\n"
    "  sweep hit in [strong, fgsm(radius: 0.1)]\n"
    "  let epochs = 2 * 2\n"
    "  train m = Net[16] on fashion.train {\n"
    "    loss: smoothed_cross_entropy(amount: 0.2)\n"
    "    optimise: sgd(rate: 0.1 * seed)\n"
    "    gradient: mode\n"
    "    epochs: epochs\n"
    "    seed: seed\n"
    "  }\n"
    "  let clean = accuracy(m, fashion.test[0..100])\n"
    "  let robust = accuracy(m with { body.forward.tol: 1e-5; forward.max: 50 }, fashion.test under hit)\n"
    "  let sure = confidence(base, fashion.test)\n"
    "  let gap = clean - robust\n"
    "  table \"them\" {\n"
    "    rows: [mode, hit]\n"
    "    columns: [clean, robust, gap, sure, m.fixed.steps, clean.residual, 1 - clean / robust]\n"
    "    cells: mean_std(seed)\n"
    "  }\n"
    "}\n"
    "test \"agrees\" { check: gradcheck(Body[6, 4], directions: 3, tol: 1e-5) }\n";

static deq_manifest *build_asked(Parsed *p, bool tests, const char *const *asked) {
    PipelineOptions o = {.layout = {.real_bytes = 4, .panel = 16},
                         .name = "them",
                         .target = "generic",
                         .options = "",
                         .tests = tests,
                         .asked = asked};
    Unit *unit = pipeline_build(p->program, &o);
    if (!unit) fail_msg("%s", messages(p));
    deq_module *module = arena_alloc(p->arena, sizeof *module);
    *module = (deq_module){.abi_version = DEQ_ABI_VERSION,
                           .real_bits = 32,
                           .manifest = unit->manifest,
                           .manifest_length = (int64_t)strlen(unit->manifest)};
    deq_routine *routines = arena_alloc(p->arena, unit->nroutines * sizeof *routines);
    for (uint32_t k = 0; k < unit->nroutines; k++) routines[k].name = unit->routines[k]->name;
    module->routines = routines;
    module->routine_count = unit->nroutines;
    deq_error e = {0};
    deq_manifest *m = deq_manifest_read(module, &e);
    if (!m) fail_msg("%s", e.text);
    /* every routine the manifest names exists in the unit */
    for (int k = 0; k < m->nnets; k++) {
        assert_non_null(deq_module_routine(module, m->nets[k].predict));
        for (int i = 0; i < m->nets[k].nlosses; i++) {
            assert_non_null(deq_module_routine(module, m->nets[k].losses[i].loss));
            assert_non_null(deq_module_routine(module, m->nets[k].losses[i].input));
            assert_non_null(deq_module_routine(module, m->nets[k].losses[i].parameters));
        }
        for (int i = 0; i < m->nets[k].nmetrics; i++)
            assert_non_null(deq_module_routine(module, m->nets[k].metrics[i].routine));
    }
    for (int k = 0; k < m->ntrains; k++) {
        assert_non_null(deq_module_routine(module, m->trains[k].optimiser.routine));
        if (m->trains[k].attack) assert_non_null(deq_module_routine(module, m->trains[k].attack->routine));
    }
    for (int k = 0; k < m->nexperiments; k++)
        for (int i = 0; i < m->experiments[k].narrays; i++) {
            const deq_array_spec *a = &m->experiments[k].arrays[i];
            if (a->routine) assert_non_null(deq_module_routine(module, a->routine));
            for (int c = 0; a->values && c < a->nspecs; c++)
                if (a->values[c].attack) assert_non_null(deq_module_routine(module, a->values[c].attack->routine));
        }
    return m;
}

static deq_manifest *build(Parsed *p, bool tests) { return build_asked(p, tests, NULL); }

static void a_training_run(void **state) {
    (void)state;
    Parsed p = parse_checked(program);
    deq_manifest *m = build(&p, false);
    assert_string_equal(m->name, "them");
    assert_string_equal(m->real, "f32");
    assert_int_equal(m->ndata, 1);
    assert_string_equal(m->data[0].reader, "fashion_mnist");
    assert_string_equal(json_string_value(json_object_get(m->data[0].arguments, "path")), "/somewhere");
    assert_int_equal(m->data[0].target.labels, 10);
    assert_int_equal(m->data[0].input.elements, 784);
    assert_int_equal(m->ntrains, 1);
    const deq_train_spec *t = &m->trains[0];
    assert_string_equal(t->name, "base");
    assert_string_equal(t->net->name, "Net");
    assert_int_equal(t->data.test, 0);
    assert_int_equal(t->data.to, 1000);
    assert_string_equal(t->loss, "cross_entropy");
    assert_int_equal(t->batch, 32);
    assert_int_equal(t->epochs, 3);
    assert_int_equal(t->examples, 500);
    assert_int_equal(t->seed, 7);
    assert_int_equal(t->validate->test, 1);
    assert_int_equal(t->validate->from, 10);
    assert_int_equal(t->validate->to, 20);
    assert_string_equal(t->optimiser.routine, "adam_cosine_update");
    assert_int_equal(t->optimiser.states, 2);
    assert_int_equal(t->optimiser.nscalars, 6);
    assert_string_equal(t->optimiser.scalars[1].name, "rate.to");
    assert_close("rate.to", t->optimiser.scalars[1].value, 1e-4);
    assert_int_equal(t->noverrides, 1);
    assert_string_equal(t->overrides[0].path, "body.gradient");
    assert_string_equal(t->overrides[0].value, "phantom.unroll(steps: 3)");
    assert_string_equal(t->attack->name, "strong");
    assert_string_equal(t->attack->definition, "pgd");
    assert_string_equal(t->attack->routine, "Net_cross_entropy_pgd");
    assert_null(t->attack->gradient);
    assert_close("radius", t->attack->scalars[0].value, 8.0 / 255);
    assert_int_equal(strlen(t->attack->hash), 32);
    assert_int_equal(t->net->nfixed, 1);
    assert_string_equal(t->net->fixed[0].forward, "anderson(memory: 3, tol: 0.001)");
    assert_int_equal(t->net->nparameters, 6);
    for (int k = 0; k < t->net->nparameters; k++) {
        assert_int_equal(t->net->parameters[k].offset % DEQ_ALIGN, 0);
        assert_true(t->net->parameters[k].offset + 4 * t->net->parameters[k].shape.elements <= t->net->parameter_bytes);
    }
    assert_int_equal(m->nrun, 2);
    assert_ptr_equal(m->run[0].train, t);
    assert_int_equal(m->ntests, 0);
    deq_manifest_free(m);
    parsed_free(&p);
}

static const deq_array_spec *array_named(const deq_experiment_spec *x, const char *name) {
    for (int i = 0; i < x->narrays; i++)
        if (!strcmp(x->arrays[i].name, name)) return &x->arrays[i];
    fail_msg("there is no array '%s'", name);
    return NULL;
}

/* A value has the axes that it mentions, and a specification for each of their cells: the last axis turns fastest. */
static void arrays_of_an_experiment(void **state) {
    (void)state;
    Parsed p = parse_checked(program);
    deq_manifest *m = build(&p, false);
    const deq_experiment_spec *x = m->run[1].experiment;
    assert_string_equal(x->name, "sweep_them");
    assert_int_equal(x->naxes, 3);
    assert_string_equal(x->axes[0].values[1], "phantom.unroll(steps: 5, damping: 0.5)");
    assert_string_equal(x->axes[1].values[1], "2");
    assert_string_equal(x->axes[2].values[1], "fgsm(radius: 0.1)");
    assert_int_equal(x->axes[2].choice, -1);
    const deq_array_spec *net = array_named(x, "m");
    assert_int_equal(net->kind, DEQ_ARRAY_train);
    assert_int_equal(net->naxes, 2);
    assert_int_equal(net->nspecs, 3 * 2);
    const deq_train_spec *t = &net->trains[3]; /* mode 1, seed 2 */
    assert_int_equal(t->seed, 2);
    assert_int_equal(t->epochs, 4);
    assert_int_equal(t->batch, 128);
    assert_string_equal(t->net->name, "Net_16");
    assert_string_equal(t->loss, "smoothed_cross_entropy");
    assert_close("rate", t->optimiser.scalars[0].value, 0.2);
    assert_string_equal(t->overrides[0].value, "phantom.unroll(steps: 5, damping: 0.5)");
    assert_string_equal(net->trains[0].overrides[0].value, "implicit(gmres(tol: 0.0001, max: 30))");
    assert_string_equal(net->trains[4].overrides[0].value, "jfb()");
    const deq_array_spec *clean = array_named(x, "clean"), *robust = array_named(x, "robust");
    assert_int_equal(clean->kind, DEQ_ARRAY_evaluate);
    assert_int_equal(clean->nspecs, 6);
    assert_string_equal(clean->values[3].metric, "accuracy");
    assert_string_equal(clean->values[3].model, "m");
    assert_int_equal(clean->values[3].data.to, 100);
    assert_null(clean->values[3].attack);
    assert_int_equal(robust->naxes, 3);
    assert_int_equal(robust->nspecs, 3 * 2 * 2);
    assert_string_equal(robust->values[7].attack->definition, "fgsm");
    assert_string_equal(robust->values[6].attack->definition, "pgd");
    assert_int_equal(robust->values[7].noverrides, 2);
    assert_string_equal(robust->values[7].overrides[0].path, "body.forward.tol");
    assert_string_equal(robust->values[7].overrides[0].value, "1e-05");
    assert_string_equal(robust->values[7].overrides[1].path, "body.forward.max");
    const deq_array_spec *sure = array_named(x, "sure"), *gap = array_named(x, "gap");
    assert_int_equal(sure->nspecs, 1); /* of a net of the file: no sweep changes it */
    assert_string_equal(sure->values[0].metric, "confidence");
    assert_string_equal(sure->values[0].model, "base");
    assert_int_equal(gap->kind, DEQ_ARRAY_expression);
    assert_int_equal(gap->naxes, 3);
    assert_int_equal(gap->ninputs, 2);
    assert_string_equal(x->arrays[gap->inputs[1]].name, "robust");
    const deq_array_spec *steps = array_named(x, "m.fixed.steps");
    assert_int_equal(steps->kind, DEQ_ARRAY_statistic);
    assert_string_equal(x->arrays[steps->inputs[0]].name, "clean");
    assert_string_equal(steps->what, "steps");
    assert_string_equal(array_named(x, "clean.residual")->what, "residual");
    assert_int_equal(x->narrays, 8);
    assert_int_equal(x->ntables, 1);
    const deq_table_spec *table = &x->tables[0];
    assert_int_equal(table->nrows, 2);
    assert_int_equal(table->rows[1].axes[0], 2);
    assert_int_equal(table->njoin, 1);
    assert_int_equal(table->join[0], 1);
    assert_int_equal(table->ncolumns, 7);
    assert_true(table->mean_std);
    static const bool percent[] = {true, true, true, false, false, false, false};
    for (int k = 0; k < 7; k++) assert_int_equal(table->columns[k].percent, percent[k]);
    assert_string_equal(table->columns[6].title, "1 - clean / robust");
    deq_manifest_free(m);
    parsed_free(&p);
}

static void tests_alone(void **state) {
    (void)state;
    Parsed p = parse_checked(program);
    deq_manifest *m = build(&p, true);
    assert_int_equal(m->nrun, 0);
    assert_int_equal(m->nnets, 1);
    assert_int_equal(m->ntests, 1);
    assert_string_equal(m->tests[0].net->name, "Body_6_4");
    assert_string_equal(m->tests[0].loss, "projection");
    assert_int_equal(m->tests[0].directions, 3);
    assert_close("tol", m->tests[0].tol, 1e-5);
    assert_int_equal(m->tests[0].net->target.labels, 0);
    assert_int_equal(m->tests[0].net->target.shape.elements, 4);
    deq_manifest_free(m);
    parsed_free(&p);
}

/* What decides a routine decides its hash, and nothing else: layout and other declarations do not retrain a net. */
static void hashes(void **state) {
    (void)state;
    const char *again[2] = {"\n// moved\n", ""};
    char *changed[2];
    const char *net[3], *attack[3];
    Arena *kept = arena_new();
    changed[0] = arena_printf(kept, "%s%s", again[0], program);
    changed[1] = arena_strdup(kept, program);
    char *radius = strstr(changed[1], "tanh(mix(z)");
    memcpy(radius, "relu", 4);
    for (int k = 0; k < 3; k++) {
        Parsed p = parse_checked(k == 0 ? program : changed[k - 1]);
        deq_manifest *m = build(&p, false);
        net[k] = arena_strdup(kept, m->trains[0].net->hash);
        attack[k] = arena_strdup(kept, m->trains[0].attack->hash);
        deq_manifest_free(m);
        parsed_free(&p);
    }
    assert_string_equal(net[0], net[1]);
    assert_string_not_equal(net[0], net[2]);
    assert_string_equal(attack[0], attack[1]);
    assert_string_equal(attack[0], attack[2]);
    arena_free(kept);
}

/* ---- nets of modules, asked for where a run's own settings are read ---- */
static const char *const shared =
    "import std.layers (Dense)\n"
    "import std.losses (cross_entropy)\n"
    "import std.optimisers (sgd)\n"
    "import std.data (fashion_mnist)\n"
    "data fashion: (f32[1, 28, 28], label[10]) = fashion_mnist()\n"
    "const verdict = 3\n"
    "attack rounds(x: f32[..S], y: label[K]; n: int, size: f32) {\n"
    "  state a = x\n"
    "  repeat 2 * n {\n"
    "    a = a + size * sign(gradient(loss, at: a))\n"
    "  }\n"
    "  return a\n"
    "}\n"
    "layer Net[H = 4](image: f32[1, 28, 28]) -> f32[10] {\n"
    "  use a = Dense[784, H]\n"
    "  use b = Dense[H, 10]\n"
    "  return image |> flatten |> a |> b\n"
    "}\n"
    "train net = Net on fashion.train { loss: cross_entropy; optimise: sgd(rate: 0.1); epochs: 1; "
    "attack: rounds(n: 1, size: 0.1) }\n";

static Parsed parse_modules(const char *main, const OpenText *modules, uint32_t n) {
    Parsed p = {.arena = arena_new()};
    OpenText texts[4] = {{"/nowhere/test.deq", main}};
    p.diags = diags_new(p.arena);
    for (uint32_t k = 0; k < n; k++) texts[k + 1] = modules[k];
    p.program = program_load_open(p.arena, p.diags, texts[0].path, texts, n + 1, NULL, 0);
    if (diags_errors(p.diags) || !program_resolve(p.program) || !program_check(p.program))
        fail_msg("the program is wrong:\n%s", messages(&p));
    return p;
}

/* The run that is being made is not the last one there is, where its settings ask for a net of a module. */
static void a_setting_asks_for_a_net(void **state) {
    (void)state;
    static const char *const settings[] = {"clip: norm(m.net.parameters / 1000)",
                                           "rates: { a: m.net.parameters / 1e5 }"};
    Arena *kept = arena_new();
    for (int k = 0; k < 2; k++) {
        Parsed p = parse_modules(CAPTURE(kept, out,
                                         fprintf(out,
                                                 "import m\n"
                                                 "import std.losses (cross_entropy)\n"
                                                 "import std.metrics (accuracy)\n"
                                                 "import std.optimisers (adam)\n"
                                                 "experiment e {\n"
                                                 "  train b = m.Net on m.fashion.train { loss: cross_entropy; "
                                                 "optimise: adam(rate: 1e-3); epochs: 1; %s }\n"
                                                 "  let a = accuracy(b, m.fashion.test)\n"
                                                 "  let c = accuracy(m.net, m.fashion.test)\n"
                                                 "  table \"t\" { columns: [a, c] }\n"
                                                 "}\n",
                                                 settings[k])),
                                 &(OpenText){"/nowhere/m.deq", shared}, 1);
        deq_manifest *m = build(&p, false);
        assert_int_equal(m->ntrains, 1);
        assert_string_equal(m->trains[0].name, "m.net");
        assert_string_equal(array_named(m->run[1].experiment, "b")->trains[0].name, "b");
        assert_string_equal(array_named(m->run[1].experiment, "a")->values[0].model, "b");
        assert_string_equal(array_named(m->run[1].experiment, "c")->values[0].model, "m.net");
        deq_manifest_free(m);
        parsed_free(&p);
    }
    arena_free(kept);
}

static double scalar_of(const deq_train_spec *t, const char *name) {
    for (int k = 0; k < t->attack->nscalars; k++)
        if (strcmp(t->attack->scalars[k].name, name) == 0) return t->attack->scalars[k].value;
    fail_msg("the attack of '%s' has no '%s'", t->name, name);
    return 0;
}

/* What --set asks of a run's attack reaches it, though the attack's settings make another run on the way. */
static void asked_of_an_attack(void **state) {
    (void)state;
    static const char *const program =
        "import m\n"
        "import std.losses (cross_entropy)\n"
        "import std.optimisers (sgd)\n"
        "train net = m.Net on m.fashion.train { loss: cross_entropy; optimise: sgd(rate: 0.1); epochs: 1; "
        "attack: m.rounds(size: m.net.parameters / 1e6, n: 1) }\n";
    static const char *const set[] = {"net.attack.n=5", NULL};
    for (int k = 0; k < 2; k++) {
        Parsed p = parse_modules(program, &(OpenText){"/nowhere/m.deq", shared}, 1);
        deq_manifest *m = build_asked(&p, false, k ? set : NULL);
        assert_string_equal(m->trains[1].name, "net");
        assert_close("rounds of m.net", scalar_of(&m->trains[0], "n"), 1);
        assert_close("rounds", scalar_of(&m->trains[1], "n"), k ? 5 : 1);
        deq_manifest_free(m);
        parsed_free(&p);
    }
}

/* Forty lets that each mention the one before twice: 2^40 mentions, if each were written out. */
static void lets_of_lets(void **state) {
    (void)state;
    Arena *kept = arena_new();
    const char *lets = "";
    for (int k = 1; k < 40; k++)
        lets = arena_printf(kept, "%slet a%d = a%d / 2 + a%d / 2\nlet b%d = b%d / 2 + b%d / 2\n", lets, k, k - 1, k - 1,
                            k, k - 1, k - 1);
    Parsed p = parse_modules(arena_printf(kept,
                                          "import m (net, fashion)\n"
                                          "import std.metrics (accuracy)\n"
                                          "experiment e {\n"
                                          "sweep n in [1, 2]\nlet c = accuracy(net, fashion.test)\n"
                                          "let a0 = 4\nlet b0 = n * 3\n%s"
                                          "sweep k in 0..a39\n"
                                          "let d = accuracy(net, fashion.test[0..a39 + b39 + k])\n"
                                          "table \"t\" { rows: n; columns: [c + a39, c - b39, b38] }\n"
                                          "}\n",
                                          lets),
                             &(OpenText){"/nowhere/m.deq", shared}, 1);
    deq_manifest *m = build(&p, false);
    const deq_array_spec *d = array_named(m->run[1].experiment, "d");
    assert_int_equal(d->nspecs, 2 * 4);
    assert_int_equal(d->values[0].data.to, 4 + 3);
    assert_int_equal(d->values[7].data.to, 4 + 6 + 3);
    assert_int_equal(array_named(m->run[1].experiment, "c - b39")->ninputs, 2);
    deq_manifest_free(m);
    parsed_free(&p);
    arena_free(kept);
}

/* A net begins with the parameters of another one only where these have the same shapes: the checker's word alone is not
 * taken, since bytes would be copied. */
static void starts(void **state) {
    (void)state;
    static const char more[] = "layer Again(image: f32[1, 28, 28]) -> f32[10] {\n"
                               "  use body = Body[784, 8]\n"
                               "  use head = Dense[8, 10]\n"
                               "  return image |> flatten |> body |> head\n"
                               "}\n"
                               "train next = Again on fashion.train {\n"
                               "  start: base\n"
                               "  loss: cross_entropy\n"
                               "  optimise: adam(rate: 0.01)\n"
                               "  batch: 32\n"
                               "  epochs: 1\n"
                               "}\n";
    Arena *kept = arena_new();
    Parsed p = parse_checked(arena_printf(kept, "%s%s", program, more));
    deq_manifest *m = build(&p, false);
    assert_ptr_equal(deq_manifest_train(m, "next", NULL)->start.of, deq_manifest_train(m, "base", NULL));
    json_t *changed = json_deep_copy(m->json), *net;
    deq_manifest_free(m);
    size_t k;
    int swapped = 0;
    json_array_foreach(json_object_get(changed, "nets"), k, net) {
        if (strcmp(json_string_value(json_object_get(net, "name")), "Again") != 0) continue;
        json_t *parameter;
        size_t i;
        json_array_foreach(json_object_get(net, "parameters"), i, parameter) {
            json_t *shape = json_object_get(parameter, "shape");
            if (json_array_size(shape) != 2) continue;
            json_t *first = json_incref(json_array_get(shape, 0));
            json_array_remove(shape, 0);
            json_array_append_new(shape, first);
            swapped++;
        }
    }
    assert_true(swapped > 0);
    char *text = json_dumps(changed, 0);
    const deq_module module = {
        .abi_version = DEQ_ABI_VERSION, .real_bits = 32, .manifest = text, .manifest_length = (int64_t)strlen(text)};
    deq_error e = {0};
    assert_null(deq_manifest_read(&module, &e));
    assert_non_null(strstr(e.text, "'next' cannot begin with the weights of 'base'"));
    free(text);
    json_decref(changed);
    parsed_free(&p);
    arena_free(kept);
}

/* A module's own `verdict` is no verdict: what it is compared with is a name, not one of its words. */
static void a_const_called_verdict(void **state) {
    (void)state;
    Parsed p = parse_modules("import m\n"
                             "import std.metrics (accuracy)\n"
                             "const lim = 3\n"
                             "experiment e {\n"
                             "let c = accuracy(m.net, m.fashion.test)\n"
                             "table \"t\" { columns: [if m.verdict == lim then c else 0] }\n"
                             "}\n",
                             &(OpenText){"/nowhere/m.deq", shared}, 1);
    deq_manifest *m = build(&p, false);
    assert_int_equal(m->run[1].experiment->narrays, 2);
    deq_manifest_free(m);
    parsed_free(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_training_run),
                                       cmocka_unit_test(arrays_of_an_experiment),
                                       cmocka_unit_test(tests_alone),
                                       cmocka_unit_test(hashes),
                                       cmocka_unit_test(a_setting_asks_for_a_net),
                                       cmocka_unit_test(asked_of_an_attack),
                                       cmocka_unit_test(lets_of_lets),
                                       cmocka_unit_test(a_const_called_verdict),
                                       cmocka_unit_test(starts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
