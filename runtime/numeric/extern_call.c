/* extern_call.c - a gradient written in C, called for one example after the other.
 *
 * Its cotangents go to buffers that hold a NaN of their own before each call, so that what the function leaves
 * unwritten is seen; then they are added to drest and accum, in the order of the examples. */
#include "extern_call.h"
#include "guard.h"
#include "hand.h"
#include <math.h>
#include <string.h>

#if DEQ_REAL == 32
typedef uint32_t bits;
#define UNWRITTEN 0x7fde90ddu
#else
typedef uint64_t bits;
#define UNWRITTEN 0x7ffde90dde90ddeaull
#endif

typedef struct Host { /* call->host */
    deq_frame frame;
    const deq_fixed *fixed;
    const deq_extern *x;
    void *in, *out; /* padded state rows */
    bool linearised;
} Host;

typedef struct Room {
    Host *host;
    char *call; /* deq_gradient_call and its words */
    void **outs;
    char *cotangents, *in, *out, *tape;
} Room;

static size_t padded(int64_t elements) {
    return ((size_t)elements * sizeof(real) + DEQ_ALIGN - 1) / DEQ_ALIGN * DEQ_ALIGN;
}

static Room take_room(const deq_fixed *fixed, const deq_extern *x, deq_space *space) {
    size_t bytes = 0;
    for (int k = 0; k < x->nfields; k++)
        if (x->fields[k].cotangent) bytes += padded(x->fields[k].elements);
    Room r;
    r.host = deq_space_take(space, sizeof *r.host);
    r.call = deq_space_take(space, sizeof(deq_gradient_call) + (size_t)x->nwords * sizeof(void *));
    r.outs = deq_space_take(space, (size_t)(x->nfields + 1) * sizeof *r.outs);
    r.cotangents = deq_space_take(space, bytes);
    r.in = deq_space_take(space, (size_t)fixed->state_bytes);
    r.out = deq_space_take(space, (size_t)fixed->state_bytes);
    r.tape = deq_space_take(space, (size_t)fixed->tape_bytes);
    return r;
}

size_t NAME(extern_bytes)(const deq_fixed *fixed, const deq_extern *x) {
    deq_space space = {NULL, 0};
    take_room(fixed, x, &space);
    return space.used;
}

/* ---- what the C function may call ---- */
static void spread(const Host *h, void *row, const void *dense) {
    const char *from = dense;
    memset(row, 0, (size_t)h->fixed->state_bytes);
    for (int k = 0; k < h->x->nfields; k++) {
        const deq_extern_field *f = &h->x->fields[k];
        if (f->place != DEQ_AT_STATE) continue;
        memcpy((char *)row + f->offset, from, (size_t)f->elements * sizeof(real));
        from += (size_t)f->elements * sizeof(real);
    }
}

static void gather(const Host *h, void *dense, const void *row) {
    char *to = dense;
    for (int k = 0; k < h->x->nfields; k++) {
        const deq_extern_field *f = &h->x->fields[k];
        if (f->place != DEQ_AT_STATE) continue;
        memcpy(to, (const char *)row + f->offset, (size_t)f->elements * sizeof(real));
        to += (size_t)f->elements * sizeof(real);
    }
}

static void run(const deq_gradient_call *call, deq_routine_fn *routine, bool linear, const void *in, void *out) {
    Host *h;
    memcpy(&h, &call->host, sizeof h);
    deq_frame frame = h->frame;
    if (linear && !h->linearised) { /* once an example, when first asked for */
        frame.arg1 = h->out;
        deq_linearise(h->fixed, &frame, 1);
        h->linearised = true;
    }
    spread(h, h->in, in);
    frame.arg0 = h->in;
    frame.arg1 = h->out;
    if (linear)
        deq_count_products(&frame, 1);
    else
        deq_count_evaluations(&frame, 1);
    routine(&frame, 1);
    gather(h, out, h->out);
}

static const Host *host_of(const deq_gradient_call *call) { return call->host; }
static void call_f(const deq_gradient_call *call, const void *z, void *out) {
    run(call, host_of(call)->fixed->f, false, z, out);
}
static void call_jacobian(const deq_gradient_call *call, const void *dz, void *out) {
    run(call, host_of(call)->fixed->jvp, true, dz, out);
}
static void call_transposed(const deq_gradient_call *call, const void *u, void *out) {
    run(call, host_of(call)->fixed->vjp_z, true, u, out);
}

/* ---- one example ---- */

/* The words of the struct that `deq header` declares: values, cotangents of states, cotangents of inputs, of
 * parameters. outs[k]: where field k's cotangent is written, or NULL. */
static void fill(const Room *r, const deq_extern *x, const deq_frame *frame, const deq_fixed *fixed, int64_t row,
                 void **words) {
    const char *rest = (const char *)frame->rest + row * fixed->rest_bytes;
    const char *z = (const char *)frame->arg0 + row * fixed->state_bytes;
    char *u = (char *)frame->arg1 + row * fixed->state_bytes, *cotangent = r->cotangents;
    for (int k = 0; k < x->nfields; k++) {
        const deq_extern_field *f = &x->fields[k];
        const void *at = f->place == DEQ_AT_SHARED ? (const char *)frame->shared + f->offset
                         : f->place == DEQ_AT_REST ? rest + f->offset
                                                   : z + f->offset;
        if (f->place == DEQ_AT_NUMBER) at = NULL;
        memcpy(words, f->place == DEQ_AT_NUMBER ? (const void *)&f->value : (const void *)&at, sizeof *words);
        words++;
        r->outs[k] = NULL;
    }
    for (int k = 0; k < x->nfields; k++)
        if (x->fields[k].place == DEQ_AT_STATE) *words++ = u + x->fields[k].offset;
    for (int shared = 0; shared < 2; shared++) /* as the header lists them: inputs, then parameters */
        for (int k = 0; k < x->nfields; k++) {
            const deq_extern_field *f = &x->fields[k];
            if (!f->cotangent || f->parameter != shared) continue;
            if (!shared || frame->accum) {
                bits *b = (bits *)(void *)cotangent;
                for (int64_t i = 0; i < f->elements; i++) b[i] = UNWRITTEN;
                r->outs[k] = cotangent;
                cotangent += padded(f->elements);
            }
            *words++ = r->outs[k];
        }
}

/* What is wrong with a cotangent: 0 nothing, 1 it is not finite, 2 an element was not written. */
static int inspect(const void *values, int64_t n) {
    const bits *b = values;
    const real *v = values;
    int worst = 0;
    for (int64_t i = 0; i < n; i++) {
        if (b[i] == UNWRITTEN) return 2;
        if (!isfinite(v[i])) worst = 1;
    }
    return worst;
}

HOT static void add_to(real *restrict sum, const real *restrict v, int64_t n) {
    for (int64_t i = 0; i < n; i++) sum[i] += v[i];
}

/* False: the gradient's own fault, in worker->error. */
static bool deliver(const Room *r, const deq_extern *x, const deq_frame *frame, const deq_fixed *fixed, int64_t row,
                    bool *finite) {
    deq_worker *worker = frame->host;
    *finite = true;
    for (int k = 0; k < x->nfields; k++) {
        int wrong = r->outs[k] ? inspect(r->outs[k], x->fields[k].elements) : 0;
        if (wrong == 2)
            return deq_fail(
                &worker->error, DEQ_EXTERN,
                "gradient '%s': the C function of \"%s\" did not write d_%s for example %lld: it must write "
                "the whole of every cotangent that is not NULL",
                x->name, x->symbol, x->fields[k].name, (long long)(frame->example ? frame->example[row] : row));
        *finite = *finite && !wrong;
    }
    for (int k = 0; *finite && k < x->nfields; k++) {
        const deq_extern_field *f = &x->fields[k];
        if (!r->outs[k]) continue;
        if (f->place == DEQ_AT_REST)
            add_to((real *)(void *)((char *)frame->drest + row * fixed->rest_bytes + f->offset), r->outs[k],
                   f->elements);
        else if (frame->accum && f->accum >= 0)
            add_to((real *)(void *)((char *)frame->accum + f->accum), r->outs[k], f->elements);
    }
    return true;
}

void NAME(extern_gradient)(const deq_frame *frame, const deq_fixed *fixed, int64_t n) {
    deq_worker *worker = frame->host;
    const deq_kept *kept = &worker->kept[fixed->index];
    const deq_extern *x = &kept->mode.hand->in_c;
    bool zeroed = worker->request.settings[fixed->index].on_fail == DEQ_ZERO_GRADIENT;
    deq_space space = {worker->hand, 0};
    Room r = take_room(fixed, x, &space);
    for (int64_t row = 0; row < n && worker->error.failure == DEQ_OK; row++) {
        if (zeroed && kept->failed[row]) continue; /* nothing flows through what did not converge */
        double residual = 0;
        int64_t steps = 0;
        *r.host = (Host){.frame = *frame, .fixed = fixed, .x = x, .in = r.in, .out = r.out};
        r.host->frame.accum = r.host->frame.drest = NULL;
        r.host->frame.rows = worker->identity + row;
        r.host->frame.tape = r.tape;
        r.host->frame.scratch = worker->scratch;
        r.host->frame.example = NULL;
        r.host->frame.arg0 = (char *)frame->arg0 + row * fixed->state_bytes;
        deq_gradient_call call = {.host = r.host,
                                  .example = frame->example ? frame->example[row] : row,
                                  .dimension = fixed->dimension,
                                  .f = call_f,
                                  .jacobian = call_jacobian,
                                  .transposed = call_transposed,
                                  .residual = &residual,
                                  .steps = &steps};
        memcpy(r.call, &call, sizeof call);
        fill(&r, x, frame, fixed, row, (void **)(void *)(r.call + sizeof call));
        deq_guard_enter(x->name, x->symbol);
        bool failed = x->definition->function(r.call) != 0, finite;
        deq_guard_leave();
        if (!deliver(&r, x, frame, fixed, row, &finite)) return;
        if (!finite) {
            deq_worker_left_out(worker, fixed, row, call.example);
        } else if (failed || steps > 0) {
            deq_reason reason = failed ? DEQ_REASON_max_steps : DEQ_REASON_converged;
            deq_worker_record(worker, fixed, true, row, call.example, (int)steps, residual, reason, failed);
            if (failed) deq_worker_stop(worker, fixed, true, call.example, (int)steps, residual, reason);
        }
    }
}
