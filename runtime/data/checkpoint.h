/* checkpoint.h - parameters (and a run's state) in one file of the safetensors layout.
 *
 *   u64 header length, little-endian | JSON header, padded with spaces to 8 bytes | data
 *
 * The header names each tensor: "body.W": {"dtype": "F32", "shape": [128, 128], "data_offsets": [0, 65536]}; "previous"
 * are the examples' last states, "average" the moving average of the parameters, "perturbation" that of
 * the inputs; the optimiser's vectors are "optimiser.0", "optimiser.1", ...  Its "__metadata__"
 * (texts only, as the format asks) holds "format", "net", "net_hash", "epoch", "step", "state" (what the training loop
 * wants back, JSON), "settings" (what the net was trained as, JSON: {"body.finish": "apply(steps: 1)", ..}), "version"
 * (the program's), "key" (what decides the training) and "checksum" (XXH3-64 of the data and of the header without it). */
#ifndef DEQ_RUNTIME_CHECKPOINT_H
#define DEQ_RUNTIME_CHECKPOINT_H
#include "manifest.h"

/* Further vectors that a run goes on with: X(name, what). */
#define DEQ_CHECKPOINT_VECTORS(X)                                                                                      \
    X(previous, "last states of the examples (`start: previous`)")                                                     \
    X(average, "the moving average of the parameters (`average:`)")                                                    \
    X(perturbation, "of a batch's places (`replay:`)")
typedef enum deq_vector {
#define X(name, what) DEQ_VECTOR_##name,
    DEQ_CHECKPOINT_VECTORS(X)
#undef X
        DEQ_VECTORS
} deq_vector;

typedef struct deq_checkpoint {
    int64_t epoch, step; /* finished epochs, and finished batches of the next one */
    const char *key;     /* of the entry of the cache that it is; NULL: none is written, any file may be read */
    json_t *state;       /* the training loop's own, or NULL; owned by whoever holds the struct */
    json_t *settings;    /* texts by path, of every fixed point; NULL: an older file; owned likewise */
    void *parameters;    /* laid out as the engine's vector; deq_net_vector_bytes of it */
    void *states;        /* optimiser vectors one after the other, or NULL when there are none */
    int64_t state_bytes;
    int nstates;
    struct {
        void *values; /* or NULL: it is not there */
        int64_t bytes;
    } more[DEQ_VECTORS];
} deq_checkpoint;

/* Bytes of the parameter vector together with the buffers after it. */
int64_t deq_net_vector_bytes(const deq_net_spec *net, int real_bits);

bool deq_checkpoint_write(const char *path, const deq_net_spec *net, int real_bits, const deq_checkpoint *c,
                          deq_error *e);

/* Reads and verifies everything before it writes anything: c->parameters (and c->states, when not NULL: then nstates
 * vectors of state_bytes together must be there), epoch, step, state.  `resume`: also asks that the net's hash is the
 * same, which matters for going on with a run, not for using its parameters.  All tensors that do not fit are named at
 * once.  Parameters of the other precision are converted, unless `resume` or c->key asks for the very bits.  With
 * c->key the file is an entry of the cache: it must be this user's own, carry that key, and be this version's. */
bool deq_checkpoint_read(const char *path, const deq_net_spec *net, int real_bits, bool resume, deq_checkpoint *c,
                         deq_error *e);
/* Lets go of what a read allocated, state and settings; the vectors are the caller's. */
void deq_checkpoint_drop(deq_checkpoint *c);
/* Whether the bytes of a checkpoint are those that were written. */
bool deq_checkpoint_intact(const char *path, deq_error *e);
#endif
