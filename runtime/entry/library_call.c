/* library_call.c - what a context computes of examples: outputs, gradients, states. */
#include "dense.h"
#include "library_internal.h"
#include <stdlib.h>
#include <string.h>

/* What every function asks of its examples. */
static bool examples(deq_library *l, int64_t n, const void *input) {
    return library_count(l, n) && library_ready(l) && library_finite(l, n, input, l->net->input.elements, "input");
}

static int done(deq_library *l, bool ok, deq_status *status, const deq_results *r) {
    if (ok) library_status(status, r);
    return library_leave(l, ok);
}

static size_t real_bytes(const deq_library *l) { return (size_t)(l->module->real_bits / 8); }

int deq_library_forward(deq_library *l, int64_t n, const void *input, void *output, deq_status *status) {
    if (!library_enter(l)) return library_refused(l);
    deq_results r = {0};
    bool ok = examples(l, n, input) && library_given(l, output, "output", n);
    library_results results = library_results_of(l, false);
    ok = ok && library_wait(l, &results, &output, n, (size_t)l->net->output.elements * real_bytes(l));
    if (ok && n) ok = deq_engine_forward(l->engine, n, input, output, &r, &l->error);
    return done(l, library_hand_over(&results, ok), status, &r);
}

/* ---- gradients of a loss ---- */
static bool find_loss(deq_library *l, const char **loss) {
    bool known = false;
    if (!*loss && l->net->nlosses) *loss = l->net->losses[0].name;
    for (int i = 0; *loss && i < l->net->nlosses; i++) known |= !strcmp(l->net->losses[i].name, *loss);
    return known || deq_fail(&l->error, DEQ_SETTING, "'%s' was not compiled with the loss '%s'", l->net->name,
                             *loss ? *loss : "");
}

static bool parameter_gradient(deq_library *l, int64_t n, const void *input, const void *target, const char *loss,
                               deq_results *r) {
    deq_dense dense = {input, target, l->net->input.elements, deq_target_elements(&l->net->target)};
    deq_source source = deq_dense_source(&dense);
    int64_t *index = deq_index_range(n);
    if (!index) return deq_fail(&l->error, DEQ_MEMORY, "out of memory for %lld examples", (long long)n);
    const bool ok = deq_engine_gradient(l->engine, &source, index, n, loss, NULL, NULL, 0, 0, r, &l->error);
    free(index);
    return ok;
}

/* The gradient in the inputs is there before the one in the parameters may fail. */
static bool gradient(deq_library *l, int64_t n, const void *input, const void *target, const char *loss, double *losses,
                     void *dinput, void *dparameters, deq_results *r) {
    const size_t size = (size_t)deq_library_parameter_size(l) * real_bytes(l);
    library_results results = library_results_of(l, dparameters != NULL);
    void *own_losses = losses;
    bool ok = library_wait(l, &results, &own_losses, n, sizeof *losses) &&
              library_wait(l, &results, &dinput, n, (size_t)l->net->input.elements * real_bytes(l));
    r->loss = own_losses;
    if (ok && n && (dinput || !dparameters))
        ok = deq_engine_input_gradient(l->engine, n, input, target, loss, dinput, r, &l->error);
    if (ok && n && dparameters) ok = parameter_gradient(l, n, input, target, loss, r);
    r->loss = NULL;
    if (ok && dparameters) memset(dparameters, 0, size);
    if (ok && n && dparameters) memcpy(dparameters, deq_engine_gradients(l->engine), (size_t)l->net->parameter_bytes);
    return library_hand_over(&results, ok);
}

int deq_library_gradient(deq_library *l, int64_t n, const void *input, const void *target, const char *loss,
                         double *losses, void *dinput, void *dparameters, deq_status *status) {
    if (!library_enter(l)) return library_refused(l);
    deq_results r = {0};
    const bool ok = examples(l, n, input) && find_loss(l, &loss) && library_labels(l, n, target) &&
                    gradient(l, n, input, target, loss, losses, dinput, dparameters, &r);
    return done(l, ok, status, &r);
}

int deq_library_gradient_labels(deq_library *l, int64_t n, const void *input, const int64_t *labels, const char *loss,
                                double *losses, void *dinput, void *dparameters, deq_status *status) {
    if (!library_enter(l)) return library_refused(l);
    deq_results r = {0};
    void *target = library_reals_of(l, n, labels);
    const bool ok = target && examples(l, n, input) && find_loss(l, &loss) && library_labels(l, n, target) &&
                    gradient(l, n, input, target, loss, losses, dinput, dparameters, &r);
    free(target);
    return done(l, ok, status, &r);
}

/* ---- states ---- */
static bool find_fixed(const deq_library *l, const char *path, int *out) {
    for (*out = 0; *out < l->net->nfixed; (*out)++)
        if (!path || !strcmp(l->net->fixed[*out].path, path)) return true;
    return false;
}

int64_t deq_library_state_size(const deq_library *l, const char *path) {
    int fixed;
    return l && find_fixed(l, path, &fixed) ? deq_engine_dimension(l->engine, fixed) : -1;
}

static bool look(deq_library *l, int64_t n, const void *input, const deq_state_rows *rows, deq_example *out,
                 deq_results *r) {
    deq_dense dense = {input, NULL, l->net->input.elements, 0};
    deq_source source = deq_dense_source(&dense);
    deq_state_rows wanted = *rows;
    if (out) wanted.records = malloc((size_t)l->net->nfixed * (size_t)n * sizeof *wanted.records);
    if (out && !wanted.records) return deq_fail(&l->error, DEQ_MEMORY, "out of memory for %lld examples", (long long)n);
    const bool ok = deq_engine_states(l->engine, &source, n, &wanted, r, &l->error);
    for (int64_t i = 0; ok && out && i < n; i++) {
        const deq_solve_record *s = &wanted.records[rows->fixed * n + i];
        out[i] = (deq_example){.steps = (int64_t)s->steps,
                               .residual = (double)s->residual,
                               .converged = s->solved && !s->failed,
                               .diverged = s->reason == DEQ_REASON_diverged};
    }
    free(wanted.records);
    return ok;
}

int deq_library_solve(deq_library *l, int64_t n, const void *input, const char *fixed, int first, int last,
                      void *states, float *residuals, void *equilibrium, deq_example *out, deq_status *status) {
    if (!library_enter(l)) return library_refused(l);
    deq_results r = {0};
    deq_state_rows rows = {
        .first = first, .last = last, .states = states, .residuals = residuals, .equilibrium = equilibrium};
    bool ok = examples(l, n, input);
    if (ok && !find_fixed(l, fixed, &rows.fixed))
        ok = deq_fail(&l->error, DEQ_SETTING, "net %s has no fixed point '%s'", l->net->name, fixed ? fixed : "");
    if (ok && (states || residuals) && !(first >= 1 && first <= last && last <= 100000))
        ok = deq_fail(&l->error, DEQ_ARGUMENT, "states %d to %d: the first is 1, the last at most 100000", first, last);
    library_results results = library_results_of(l, false);
    if (ok && n) {
        const int64_t states_each = last - first + 1;
        const size_t state = (size_t)deq_engine_dimension(l->engine, rows.fixed) * real_bytes(l);
        void *own_residuals = residuals;
        ok = library_wait(l, &results, &rows.states, n, (size_t)states_each * state) &&
             library_wait(l, &results, &own_residuals, n, (size_t)states_each * sizeof *residuals) &&
             library_wait(l, &results, &rows.equilibrium, n, state);
        rows.residuals = own_residuals;
        ok = ok && look(l, n, input, &rows, out, &r);
    }
    return done(l, library_hand_over(&results, ok), status, &r);
}
