/* library_keep.c - vector-Jacobian products of a context, and kept forwards. */
#include "library_internal.h"
#include <stdlib.h>
#include <string.h>

struct deq_kept_forward {
    deq_library *library; /* that made it */
    int64_t n;
    uint64_t prepared; /* the parameters that it is of */
    deq_kept_states *states;
    char input[]; /* a copy: the caller's rows may change */
};

static bool product(deq_library *l, int64_t n, const void *input, const deq_kept_states *kept, const void *cotangent,
                    void *dinput, void *dparameters, deq_results *r) {
    const size_t size = (size_t)deq_library_parameter_size(l) * (size_t)(l->module->real_bits / 8);
    const size_t row = (size_t)l->net->input.elements * (size_t)(l->module->real_bits / 8);
    library_results results = library_results_of(l, false);
    bool ok = library_wait(l, &results, &dinput, n, row);
    if (ok && n) ok = deq_engine_vjp(l->engine, n, input, kept, cotangent, dinput, dparameters != NULL, r, &l->error);
    if (!library_hand_over(&results, ok)) return false;
    if (dparameters) memset(dparameters, 0, size);
    if (dparameters && n) memcpy(dparameters, deq_engine_gradients(l->engine), (size_t)l->net->parameter_bytes);
    return true;
}

static bool ready(deq_library *l, int64_t n, const void *cotangent) {
    return library_count(l, n) && library_ready(l) &&
           library_finite(l, n, cotangent, l->net->output.elements, "cotangent");
}

int deq_library_vjp(deq_library *l, int64_t n, const void *input, const void *cotangent, void *dinput,
                    void *dparameters, deq_status *status) {
    if (!library_enter(l)) return library_refused(l);
    deq_results r = {0};
    const bool ok = ready(l, n, cotangent) && library_finite(l, n, input, l->net->input.elements, "input") &&
                    product(l, n, input, NULL, cotangent, dinput, dparameters, &r);
    if (ok) library_status(status, &r);
    return library_leave(l, ok);
}

static deq_kept_forward *keep(deq_library *l, int64_t n, const void *input, void *output, deq_results *r) {
    const size_t bytes = (size_t)n * (size_t)l->net->input.elements * (size_t)(l->module->real_bits / 8);
    deq_kept_forward *kept = malloc(sizeof *kept + bytes);
    if (!kept) return deq_fail(&l->error, DEQ_MEMORY, "out of memory to keep %lld examples", (long long)n), NULL;
    *kept = (deq_kept_forward){.library = l, .n = n, .prepared = deq_engine_prepared(l->engine)};
    if (n == 0) return kept;
    memcpy(kept->input, input, bytes);
    library_results results = library_results_of(l, false);
    const size_t row = (size_t)l->net->output.elements * (size_t)(l->module->real_bits / 8);
    if (library_wait(l, &results, &output, n, row))
        kept->states = deq_engine_keep(l->engine, n, input, output, r, &l->error);
    if (library_hand_over(&results, kept->states != NULL)) return kept;
    free(kept);
    return NULL;
}

deq_kept_forward *deq_library_forward_keep(deq_library *l, int64_t n, const void *input, void *output,
                                           deq_status *status) {
    if (!library_enter(l)) return library_refused(l), NULL;
    deq_results r = {0};
    deq_kept_forward *kept = NULL;
    if (library_count(l, n) && library_ready(l) && library_finite(l, n, input, l->net->input.elements, "input") &&
        library_given(l, output, "output", n))
        kept = keep(l, n, input, output, &r);
    if (kept) library_status(status, &r);
    library_leave(l, kept != NULL);
    return kept;
}

int deq_library_vjp_kept(deq_library *l, const deq_kept_forward *kept, const void *cotangent, void *dinput,
                         void *dparameters, deq_status *status) {
    if (!library_enter(l)) return library_refused(l);
    deq_results r = {0};
    bool ok = library_given(l, kept, "kept", 1);
    if (ok && kept->library != l) ok = deq_fail(&l->error, DEQ_ARGUMENT, "'kept' is another context's");
    if (ok && kept->prepared != deq_engine_prepared(l->engine))
        ok = deq_fail(&l->error, DEQ_ARGUMENT, "the parameters have changed since the forward was kept");
    ok = ok && ready(l, kept->n, cotangent) &&
         product(l, kept->n, kept->input, kept->states, cotangent, dinput, dparameters, &r);
    if (ok) library_status(status, &r);
    return library_leave(l, ok);
}

void deq_library_kept_free(deq_kept_forward *kept) {
    if (!kept) return;
    deq_kept_states_free(kept->states);
    free(kept);
}
