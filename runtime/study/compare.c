/* compare.c - `deq compare`: the gradient of a net by every mode, beside a tight implicit one or finite differences.
 *
 * Every mode runs with the script's own forward settings, in an engine of its own; the reference is taken at states
 * solved as far as the precision goes.  What a mode's row shows is therefore the whole distance to the true gradient:
 * the mode's own error and that of the state it starts from.  The sweep over states separates them: state n is what the
 * forward solver has after n steps. */
#include "compare.h"
#include "run.h"
#include "sort.h"
#include "study.h"
#include "checkpoint.h"
#include "output.h"
#include "reals.h"
#include "results.h"
#include "settings.h"
#include "signals.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_EXAMPLES 64
#define TOY_EXAMPLES 8
#define MOST_STATES 40
#define REPEATS 9
#define SECONDS_EACH 0.5

static const char *const modes[] = {
#define MODE(id, spelling, traits, forward, doc) spelling,
#include "modes.def"
};
#define NMODES ((int)(sizeof modes / sizeof *modes))

/* ---- settings ---- */

static const char *setting_now(const json_t *settings, const char *path, const char *key) {
    char name[300];
    snprintf(name, sizeof name, "%s%s%s", path, *path ? "." : "", key);
    const char *text = json_string_value(json_object_get(settings, name));
    return text ? text : "";
}

/* The script's settings for the subject; a solve that fails is counted, never the end. */
bool compare_script_settings(const CompareWork *w, deq_probe *p, deq_error *e) {
    const CompareSubject *s = &w->subject;
    if (s->train && !deq_app_in_training(p->engine, s->train, e)) return false;
    if (s->check && !deq_app_override(p->engine, s->check->overrides, s->check->noverrides, e)) return false;
    deq_finish *finishes = deq_engine_finishes(p->engine); /* of the script, whatever mode is compared */
    if (!finishes) return deq_fail(e, DEQ_MEMORY, "settings");
    deq_engine_settle_finishes(p->engine, finishes);
    free(finishes);
    return !s->net->nfixed || deq_engine_set(p->engine, "on_fail", "warn", e);
}

/* The forward solver that the mode needs, where the script has another; says so in `note`. */
static bool needed_forward(deq_probe *p, const char *needed, char *note, size_t size, deq_error *e) {
    bool ok = true, changed = false;
    char text[300] = "";
    json_t *settings = deq_app_resolved(p->engine);
    for (int i = 0; ok && i < p->net->nfixed; i++) {
        const char *path = p->net->fixed[i].path, *now = setting_now(settings, path, "forward");
        deq_solver solver;
        ok = deq_solver_parse(now, false, &solver, e);
        if (!ok) break;
        if (deq_mode_takes(needed, &solver)) continue;
        snprintf(text, sizeof text, "%.*s(tol: %g, max: %d)", (int)strcspn(needed, "|"), needed, solver.tol,
                 solver.max < 100 ? 100 : solver.max);
        ok = deq_probe_set(p, path, "forward", text, e);
        changed = true;
    }
    json_decref(settings);
    if (changed) snprintf(note, size, "forward: %s", text);
    return ok;
}

/* The same for the mode's text; a gradient written by hand, which only its fixed point knows, takes any solver. */
bool compare_fitting_forward(deq_probe *p, const char *text, char *note, size_t size, deq_error *e) {
    deq_mode mode;
    deq_error unknown = {0};
    if (!deq_mode_parse(text, &mode, &unknown) || !strcmp(deq_mode_forward(&mode), "any")) return true;
    return needed_forward(p, deq_mode_forward(&mode), note, size, e);
}

/* ---- one mode ---- */

static bool copy_point(const CompareWork *w, deq_probe *p) {
    int64_t real = p->real_bits / 8;
    memcpy(deq_engine_parameters(p->engine), deq_engine_parameters(w->probe.engine),
           (size_t)deq_net_vector_bytes(p->net, p->real_bits));
    deq_engine_prepare(p->engine);
    memcpy(p->x, w->probe.x, (size_t)(p->n * p->inputs * real));
    memcpy(p->y, w->probe.y, (size_t)(p->n * p->targets * real));
    return true;
}

/* Sets mode and solver.  False with a DEQ_SETTING error: this net cannot have the mode. */
static bool set_mode(const CompareWork *w, deq_probe *p, const char *text, deq_compared *row, deq_error *e) {
    if (!compare_script_settings(w, p, e)) return false;
    if (!text) return true;
    return compare_fitting_forward(p, text, row->note, sizeof row->note, e) &&
           deq_engine_set(p->engine, "gradient", text, e);
}

/* The mode as every fixed point has it now; false when they differ. */
static bool mode_text(const deq_probe *p, char *out, size_t size) {
    bool same = true;
    if (p->net->nfixed) deq_mode_print_brief(deq_engine_mode(p->engine, 0), out, size);
    for (int i = 1; i < p->net->nfixed; i++) {
        char text[DEQ_SETTING_TEXT];
        deq_mode_print_brief(deq_engine_mode(p->engine, i), text, size < sizeof text ? size : sizeof text);
        same = same && !strcmp(out, text);
    }
    if (!same) snprintf(out, size, "as in the script");
    return same;
}

static bool time_gradient(deq_probe *p, deq_compared *row, deq_error *e) {
    double times[REPEATS], began = deq_now();
    int count = 0;
    deq_source source = deq_dense_source(&p->data);
    while (count < REPEATS && (count < 3 || deq_now() - began < SECONDS_EACH)) {
        double start = deq_now();
        if (!deq_engine_gradient(p->engine, &source, p->index, p->n, p->loss, NULL, NULL, 0, 0, NULL, e)) return false;
        times[count++] = deq_now() - start;
    }
    deq_sort(times, (size_t)count);
    row->seconds = times[count / 2];
    return true;
}

/* A mode that takes gradients at states of the solver is asked for the one at state n.  The adjoint of `simultaneous`
 * rides along all the same: u_n has come from z_0 to z_n.  `augmented` has an iteration of its own. */
static bool ask_for_state(deq_probe *p, int n, deq_error *e) {
    char state[16];
    snprintf(state, sizeof state, "%d", n);
    for (int i = 0; i < p->net->nfixed; i++) {
        const char *argument = deq_mode_state_argument(deq_engine_mode(p->engine, i));
        char key[64];
        snprintf(key, sizeof key, "gradient.%s", argument ? argument : "");
        if (argument && !deq_probe_set(p, p->net->fixed[i].path, key, state, e)) return false;
    }
    return true;
}

/* 1 - cosine at every state of the forward solve: the solver stops after n steps, wherever it is, so that z_n is the
 * same for every mode, and so is what reads it. */
static bool sweep_states(CompareWork *w, deq_probe *p, deq_compared *row, deq_error *e) {
    deq_comparison *c = w->c;
    for (int k = 0; k < 2; k++) {
        row->by_state[k] = calloc((size_t)c->states + 1, sizeof(double));
        if (!row->by_state[k]) return deq_fail(e, DEQ_MEMORY, "out of memory for a comparison");
    }
    for (int n = 1; n <= c->states; n++) {
        char most[16];
        deq_error own = {0};
        snprintf(most, sizeof most, "%d", n);
        if (deq_interrupted()) return deq_fail(e, DEQ_INTERRUPTED, "stopped during a comparison");
        bool ok = deq_engine_set(p->engine, "forward.tol", "0", &own) &&
                  deq_engine_set(p->engine, "forward.max", most, &own) &&
                  deq_engine_set(p->engine, "forward.return", "last", &own) && ask_for_state(p, n, &own) &&
                  deq_probe_gradient(p, w->gradient, &own);
        if (!ok && own.failure != DEQ_SETTING) return deq_fail(e, own.failure, "%s", own.text);
        row->by_state[0][n - 1] = ok ? compare_agreement(w, c->ngroups - 1, w->gradient).angle : NAN;
        row->by_state[1][n - 1] = ok ? compare_agreement(w, c->ngroups - 2, w->gradient).angle : NAN;
    }
    return true;
}

static bool measure(CompareWork *w, deq_probe *p, const char *text, deq_compared *row, deq_error *e) {
    deq_comparison *c = w->c;
    if (!copy_point(w, p) || !set_mode(w, p, text, row, e)) return false;
    mode_text(p, row->mode, sizeof row->mode);
    if (!text) snprintf(row->note, sizeof row->note, "the script's own setting");
    if (!deq_probe_gradient(p, w->gradient, e)) return false;
    const deq_solve_statistics *f = &p->last.forward, *a = &p->last.adjoint;
    row->forward_steps = f->solves ? f->steps / (double)f->solves : NAN;
    row->forward_residual = f->solves ? f->worst_residual : NAN;
    row->adjoint_steps = a->solves ? a->steps / (double)a->solves : NAN;
    row->adjoint_residual = a->solves ? a->worst_residual : NAN;
    row->unconverged = f->solves ? (double)(f->unconverged + a->unconverged) / (double)(f->solves + a->solves) : 0;
    for (int g = 0; g < c->ngroups; g++) row->groups[g] = compare_agreement(w, g, w->gradient);
    if (!time_gradient(p, row, e)) return false;
    row->bytes = deq_engine_memory(p->engine);
    return !c->states || sweep_states(w, p, row, e);
}

/* A mode that does not fit the net is a row that says so; other errors end the comparison. */
static bool add_mode(CompareWork *w, const char *text, deq_error *e) {
    deq_comparison *c = w->c;
    deq_compared *grown = realloc(c->modes, (size_t)(c->nmodes + 1) * sizeof *grown);
    if (!grown) return deq_fail(e, DEQ_MEMORY, "out of memory for a comparison");
    c->modes = grown;
    deq_compared *row = &c->modes[c->nmodes];
    *row = (deq_compared){.groups = calloc((size_t)c->ngroups, sizeof *row->groups)};
    c->nmodes++;
    if (!row->groups) return deq_fail(e, DEQ_MEMORY, "out of memory for a comparison");
    snprintf(row->mode, sizeof row->mode, "%s", text ? text : "");
    if (deq_interrupted()) return deq_fail(e, DEQ_INTERRUPTED, "stopped during a comparison");
    deq_probe p;
    deq_error own = {0};
    bool ok = deq_probe_open(&p, w->app->module, w->subject.net, w->subject.loss, c->examples, w->app->options->threads,
                             0, &own) &&
              measure(w, &p, text, row, &own);
    deq_probe_close(&p);
    if (ok) return true;
    row->failed = true;
    snprintf(row->note, sizeof row->note, "%.290s", own.text);
    return own.failure == DEQ_SETTING || own.failure == DEQ_NOT_CONVERGED || own.failure == DEQ_MEMORY
               ? true
               : deq_fail(e, own.failure, "%s", own.text);
}

/* Every gradient written by hand of the net's fixed points, once. */
static bool add_hands(CompareWork *w, deq_error *e) {
    const deq_net_spec *net = w->subject.net;
    for (int i = 0; i < net->nfixed; i++)
        for (int k = 0; k < net->fixed[i].nhands; k++) {
            const char *name = net->fixed[i].hands[k].name;
            bool done = false;
            for (int m = 0; !done && m < w->c->nmodes; m++)
                done = !strcmp(w->c->modes[m].mode, name) ||
                       (!strncmp(w->c->modes[m].mode, name, strlen(name)) && w->c->modes[m].mode[strlen(name)] == '(');
            if (!done && !add_mode(w, name, e)) return false;
        }
    return true;
}

static bool add_modes(CompareWork *w, deq_error *e) {
    const deq_check_spec *check = w->subject.check;
    for (int i = 0; check && i < check->nmodes; i++)
        if (!add_mode(w, check->modes[i], e)) return false;
    if (check) return true;
    if (!add_mode(w, NULL, e)) return false; /* the script's own */
    deq_mode own;
    deq_error unused = {0};
    bool known = deq_mode_parse(w->c->modes[0].mode, &own, &unused);
    for (int i = 0; w->subject.net->nfixed && i < NMODES; i++) {
        deq_mode mode;
        char text[400], of_script[400];
        if (!deq_mode_parse(modes[i], &mode, e)) return false;
        deq_mode_print(&mode, text, sizeof text);
        if (known) deq_mode_print(&own, of_script, sizeof of_script);
        if (known && !strcmp(text, of_script)) continue;
        if (!add_mode(w, text, e)) return false;
    }
    return add_hands(w, e);
}

/* ---- where it is measured ---- */

/* Parameters from one module's layout and precision to another's. */
static void convert(const deq_net_spec *from, int from_bits, const void *values, const deq_net_spec *to, int to_bits,
                    void *out) {
    for (int i = 0; i < to->nparameters; i++)
        for (int k = 0; k < from->nparameters; k++) {
            const deq_parameter *p = &to->parameters[i], *q = &from->parameters[k];
            if (strcmp(p->path, q->path)) continue;
            const char *a = (const char *)values + q->offset;
            char *b = (char *)out + p->offset;
            for (int64_t j = 0; j < p->shape.elements && j < q->shape.elements; j++) {
                deq_real_put(to_bits, b, j, deq_real_get(from_bits, a, j));
            }
        }
}

static bool from_checkpoint(CompareWork *w, const deq_net_spec *net, int bits, const char *what, deq_error *e) {
    deq_checkpoint c = {.parameters = calloc(1, (size_t)deq_net_vector_bytes(net, bits))};
    bool ok = c.parameters && deq_checkpoint_read(w->checkpoint, net, bits, false, &c, e);
    if (ok) {
        convert(net, bits, c.parameters, w->subject.net, w->probe.real_bits, deq_engine_parameters(w->probe.engine));
        snprintf(w->c->parameters, sizeof w->c->parameters, "parameters of %s", what);
    }
    deq_checkpoint_drop(&c);
    free(c.parameters);
    return ok;
}

/* The same training run in the module that trains. */
static deq_train_spec *same_train(deq_manifest *m, const deq_train_spec *t) {
    deq_train_spec *of_file = deq_manifest_train(m, t->name, NULL);
    if (of_file) return of_file;
    for (int x = 0; x < m->nexperiments; x++)
        for (int i = 0; i < m->experiments[x].narrays; i++)
            if (m->experiments[x].arrays[i].trains && !strcmp(m->experiments[x].arrays[i].name, t->name))
                return m->experiments[x].arrays[i].trains;
    return NULL;
}

static bool trained_parameters(CompareWork *w, deq_error *e) {
    deq_train_spec *t = same_train(w->trainer->manifest, w->subject.train);
    int bits = (int)w->trainer->module->real_bits;
    if (!t) return deq_fail(e, DEQ_MODULE, "the module that trains has no training run '%s'", w->subject.train->name);
    if (w->checkpoint) {
        deq_error own = {0};
        const char *name = strrchr(w->checkpoint, '/') ? strrchr(w->checkpoint, '/') + 1 : w->checkpoint;
        return from_checkpoint(w, t->net, bits, name, &own) ||
               (bits != w->probe.real_bits && from_checkpoint(w, w->subject.net, w->probe.real_bits, name, e)) ||
               deq_fail(e, own.failure, "%s", own.text);
    }
    char *stem = deq_path_component(t->name);
    deq_model *model = stem ? deq_app_train(w->trainer, t, t->name, stem, e) : NULL;
    free(stem);
    if (!model) return false;
    convert(t->net, bits, model->parameters, w->subject.net, w->probe.real_bits,
            deq_engine_parameters(w->probe.engine));
    snprintf(w->c->parameters, sizeof w->c->parameters, "trained for %lld epochs", (long long)t->epochs);
    return true;
}

static bool take_point(CompareWork *w, deq_error *e) {
    const deq_train_spec *t = w->subject.train;
    deq_comparison *c = w->c;
    int64_t from, to;
    if (!t) {
        snprintf(c->batch, sizeof c->batch, "%d random examples", TOY_EXAMPLES);
        snprintf(c->parameters, sizeof c->parameters, "random parameters");
        c->examples = TOY_EXAMPLES;
        return deq_probe_open(&w->probe, w->app->module, w->subject.net, w->subject.loss, c->examples,
                              w->app->options->threads, 0, e) &&
               deq_probe_random(&w->probe, 1, e);
    }
    deq_dataset *data = deq_app_data(w->app, t->data.data, e);
    if (!data || !deq_dataset_slice(data, &t->data, &from, &to, e) || !deq_dataset_load(data, t->data.test, e))
        return false;
    c->examples = to - from < t->batch ? to - from : t->batch;
    if (c->examples > MOST_EXAMPLES) c->examples = MOST_EXAMPLES;
    snprintf(c->batch, sizeof c->batch, "examples %lld to %lld of %s.%s", (long long)from,
             (long long)(from + c->examples - 1), t->data.data->name, t->data.test ? "test" : "train");
    if (!deq_probe_open(&w->probe, w->app->module, w->subject.net, w->subject.loss, c->examples,
                        w->app->options->threads, 0, e))
        return false;
    deq_source source = deq_dataset_source(data, t->data.test);
    int64_t *index = deq_index_range(c->examples);
    for (int64_t i = 0; index && i < c->examples; i++) index[i] += from;
    bool ok = index ? deq_probe_examples(&w->probe, &source, index, e)
                    : deq_fail(e, DEQ_MEMORY, "out of memory for a comparison");
    free(index);
    ok = ok && trained_parameters(w, e);
    if (ok) deq_engine_prepare(w->probe.engine);
    return ok;
}

static void plan_states(CompareWork *w) {
    json_t *settings = deq_app_resolved(w->probe.engine);
    for (int i = 0; i < w->subject.net->nfixed; i++) {
        deq_solver solver;
        deq_error e = {0};
        if (deq_solver_parse(setting_now(settings, w->subject.net->fixed[i].path, "forward"), false, &solver, &e) &&
            solver.max > w->c->states)
            w->c->states = solver.max < MOST_STATES ? solver.max : MOST_STATES;
    }
    json_decref(settings);
}

static bool compare(CompareWork *w, deq_error *e) {
    deq_comparison *c = w->c;
    c->net = w->subject.net;
    c->loss = w->subject.loss;
    if (!take_point(w, e)) return false;
    c->groups = calloc((size_t)w->probe.ngroups + 1, sizeof *c->groups);
    w->gradient = calloc((size_t)w->probe.length, sizeof(double));
    if (!c->groups || !w->gradient) return deq_fail(e, DEQ_MEMORY, "out of memory for a comparison");
    memcpy(c->groups, w->probe.groups, (size_t)w->probe.ngroups * sizeof *c->groups);
    c->ngroups = w->probe.ngroups;
    c->groups[c->ngroups++] = (deq_group){"all parameters", 0, w->probe.parameters, false};
    if (!compare_script_settings(w, &w->probe, e)) return false;
    plan_states(w);
    deq_report(&w->app->reporter, "%s: %s, %s", c->label, c->batch, c->parameters);
    return compare_take_reference(w, e) && add_modes(w, e);
}

static void comparison_free(deq_comparison *c) {
    for (int i = 0; i < c->nmodes; i++) {
        free(c->modes[i].groups);
        free(c->modes[i].by_state[0]);
        free(c->modes[i].by_state[1]);
    }
    free(c->modes);
    free(c->groups);
}

/* One for each check; without checks one for each training run, of an experiment those of its first cell. */
static CompareSubject *subjects(deq_manifest *m, int *n, deq_error *e) {
    int most = m->nchecks + m->ntrains + 1;
    for (int x = 0; x < m->nexperiments; x++) most += m->experiments[x].narrays;
    CompareSubject *list = calloc((size_t)most, sizeof *list);
    *n = 0;
    if (!list) deq_fail(e, DEQ_MEMORY, "out of memory for a comparison");
    for (int i = 0; list && i < m->nchecks; i++) {
        const deq_check_spec *c = &m->checks[i];
        list[(*n)++] = (CompareSubject){c, c->train ? deq_manifest_train(m, c->train, NULL) : NULL, c->net, c->loss};
    }
    if (!list || *n) return list;
    for (int i = 0; i < m->ntrains; i++)
        list[(*n)++] = (CompareSubject){NULL, &m->trains[i], m->trains[i].net, m->trains[i].loss};
    for (int x = 0; x < m->nexperiments; x++)
        for (int i = 0; i < m->experiments[x].narrays; i++) {
            const deq_train_spec *t = m->experiments[x].arrays[i].trains;
            if (t) list[(*n)++] = (CompareSubject){NULL, t, t->net, t->loss};
        }
    return list;
}

static void name_comparison(deq_comparison *c, const CompareSubject *s, int i, int n) {
    const char *own = s->check && *s->check->name ? s->check->name : s->train ? s->train->name : s->net->name;
    snprintf(c->label, sizeof c->label, "%s", own);
    char *part = deq_path_component(own);
    if (n > 1) snprintf(c->stem, sizeof c->stem, "-%d-%.80s", i + 1, part ? part : "");
    free(part);
}

static bool compare_all(deq_app *app, deq_app *trainer, const char *checkpoint, deq_error *e) {
    int n;
    CompareSubject *list = subjects(app->manifest, &n, e);
    deq_comparison *all = list ? calloc((size_t)n + 1, sizeof *all) : NULL;
    bool ok = all != NULL;
    if (ok && !n) deq_report(&app->reporter, "%s: nothing to compare (no check, no train)", app->manifest->name);
    for (int i = 0; ok && i < n; i++) {
        CompareWork w = {.app = app, .trainer = trainer, .checkpoint = checkpoint, .subject = list[i], .c = &all[i]};
        name_comparison(&all[i], &list[i], i, n);
        ok = compare(&w, e);
        deq_probe_close(&w.probe);
        free(w.reference);
        free(w.differences);
        free(w.norms);
        free(w.gradient);
        free(w.direction);
    }
    ok = ok && (!n || deq_compare_write(app, all, n, e));
    for (int i = 0; all && i < n; i++) comparison_free(&all[i]);
    free(all);
    free(list);
    return ok;
}

/* Both write where `deq run` of the same settings does. */
static bool share_results(deq_app *app, deq_app *trainer, deq_error *e) {
    if (!deq_results_claim(trainer, e)) return false;
    free(app->results);
    app->results = strdup(trainer->results);
    return app->results ? true : deq_fail(e, DEQ_MEMORY, "out of memory for a path");
}

int deq_app_compare(const deq_module *trains, const deq_module *module, const char *checkpoint,
                    const deq_app_options *options) {
    deq_app app = {0}, trainer = {0};
    deq_error e = {0};
    deq_signals_install();
    bool ok = deq_app_open(&app, module, options, &e) && deq_app_open(&trainer, trains, options, &e) &&
              deq_app_apply_settings(&app, &e) && deq_app_apply_settings(&trainer, &e) && deq_app_check(&app, &e) &&
              share_results(&app, &trainer, &e) && compare_all(&app, &trainer, checkpoint, &e);
    if (!ok) deq_report_error(&app.reporter, &e);
    deq_app_close(&trainer);
    deq_app_close(&app);
    deq_signals_restore();
    return ok ? 0 : deq_failure_exit(e.failure);
}
