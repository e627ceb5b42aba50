/* keep.c - the parameters of the epoch that did best on the validation examples. */
#include "keep.h"
#include "ranks.h"
#include "training_log.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How well an epoch did: the metric on `validate` where that is a share of the examples, else how small the loss is. */
static double score(const deq_best *k, const json_t *row) {
    deq_log_row at = deq_log_row_of(row);
    bool robust = k->train->keep == DEQ_KEEP_best_robust;
    double metric = deq_train_share(k->train) ? (robust ? at.robust : at.clean) : NAN;
    return isnan(metric) ? -(robust ? at.robust_loss : at.validation_loss) : metric;
}

/* The first of the best epochs, from 1; 0: none. */
static int64_t best(const deq_best *k, const json_t *log) {
    double most = -INFINITY;
    int64_t epoch = 0;
    for (size_t i = 0; i < json_array_size(log); i++) {
        double now = score(k, json_array_get(log, i));
        if (now > most) most = now, epoch = (int64_t)i + 1;
    }
    return epoch;
}

/* KEY.partial.safetensors.best; NULL: out of memory. */
static char *file_beside(const char *partial) {
    char *path = malloc(strlen(partial) + sizeof ".best");
    if (path) strcpy(path, partial), strcat(path, ".best");
    return path;
}

bool deq_best_begin(deq_best *k, const deq_train_spec *t, const char *key, int real_bits) {
    if (t->keep == DEQ_KEEP_last) return true;
    *k = (deq_best){t, key, real_bits, NULL, deq_net_vector_bytes(t->net, real_bits), 0};
    k->parameters = malloc((size_t)k->bytes);
    return k->parameters != NULL;
}

bool deq_best_epoch(deq_best *k, const json_t *log, const void *parameters, const char *partial, deq_error *e) {
    int64_t epoch = (int64_t)json_array_size(log);
    if (!k->parameters || best(k, log) != epoch) return true;
    memcpy(k->parameters, parameters, (size_t)k->bytes);
    k->epoch = epoch;
    if (epoch == k->train->epochs) return true;
    deq_checkpoint c = {.epoch = epoch, .parameters = k->parameters, .key = k->key};
    char *path = file_beside(partial);
    bool ok = path ? deq_checkpoint_write(path, k->train->net, k->real_bits, &c, e)
                   : deq_fail(e, DEQ_MEMORY, "out of memory");
    free(path);
    return ok;
}

bool deq_best_resume(deq_best *k, const json_t *log, const char *partial) {
    if (!k->parameters || !best(k, log)) return true;
    deq_error ignored = {0};
    deq_checkpoint c = {.parameters = k->parameters, .key = k->key};
    char *path = file_beside(partial);
    bool ok = path && deq_ranks_first() && deq_checkpoint_read(path, k->train->net, k->real_bits, true, &c, &ignored);
    /* The file may be ahead of the position: that epoch is made again, to the same bits. */
    if (ok) k->epoch = best(k, log);
    if (ok) deq_checkpoint_drop(&c);
    free(path);
    ok = deq_ranks_share_bool(ok);
    if (!ok) return false;
    deq_ranks_share(&k->epoch, sizeof k->epoch);
    deq_ranks_share(k->parameters, k->bytes);
    return true;
}

bool deq_best_take(const deq_best *k, void *parameters) {
    if (!k->parameters || !k->epoch) return false;
    memcpy(parameters, k->parameters, (size_t)k->bytes);
    return true;
}

void deq_best_drop(deq_best *k, const char *partial) {
    char *path = k->parameters && partial ? file_beside(partial) : NULL;
    if (path && deq_ranks_first()) unlink(path);
    free(path);
    free(k->parameters);
    k->parameters = NULL;
}
