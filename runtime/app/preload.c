#include "preload.h"
#include "app_state.h"
#include "signals.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct deq_preload {
    deq_module module; /* a manifest without routines */
    char *text;
    deq_manifest *manifest;
    deq_store store;
    deq_dataset **data; /* by position in the manifest; NULL: not read */
    const deq_app_options *options;
    pthread_t thread;
    bool running;
    char refused[700]; /* the first entry of the cache that was; told by who takes the data */
};

static void note_refused(void *context, const char *text) {
    deq_preload *p = context;
    if (!*p->refused) snprintf(p->refused, sizeof p->refused, "%s", text);
}

/* Failures are kept quiet: who needs the data reads them again, and says what is wrong. */
static void read_slice(deq_preload *p, const deq_slice *slice) {
    deq_error e = {0};
    deq_dataset **slot = &p->data[slice->data - p->manifest->data];
    if (!*slot) *slot = deq_dataset_new(slice->data, &p->store, &e);
    if (*slot && deq_dataset_load(*slot, slice->test, &e)) return;
    if (*slot) deq_dataset_free(*slot);
    *slot = NULL;
}

/* Epochs of the run that --set or the script says; a value that is no number is refused later. */
static int64_t epochs_of(const deq_train_spec *t, const deq_app_options *o) {
    int64_t epochs = t->epochs;
    size_t length = strlen(t->name);
    for (int i = 0; i < o->nset; i++)
        if (!strncmp(o->set[i], t->name, length) && !strncmp(o->set[i] + length, ".epochs=", 8))
            epochs = strtoll(o->set[i] + length + 8, NULL, 10);
    return epochs;
}

static void *read_all(void *argument) {
    deq_preload *p = argument;
    const deq_manifest *m = p->manifest;
    for (int i = 0; i < m->nrun; i++) {
        const deq_train_spec *t = m->run[i].train;
        if (!t || !epochs_of(t, p->options)) continue; /* a run without epochs only loads weights */
        read_slice(p, &t->data);
        if (t->validate) read_slice(p, t->validate);
    }
    return NULL;
}

/* --set DATA.path=..: then the data may be others. */
static bool redirected(const deq_manifest *m, const deq_app_options *o) {
    for (int i = 0; i < o->nset; i++)
        for (int k = 0; k < m->ndata; k++) {
            size_t length = strlen(m->data[k].name);
            if (!strncmp(o->set[i], m->data[k].name, length) && o->set[i][length] == '.') return true;
        }
    return false;
}

static bool start_thread(deq_preload *p) {
    sigset_t before;
    deq_signals_withhold(&before);
    p->running = pthread_create(&p->thread, NULL, read_all, p) == 0;
    deq_signals_give_back(&before);
    return p->running;
}

deq_preload *deq_preload_start(const char *manifest, const deq_app_options *options) {
    deq_error e = {0};
    deq_preload *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->text = strdup(manifest);
    p->options = options;
    p->module = (deq_module){.abi_version = DEQ_ABI_VERSION,
                             .real_bits = 32,
                             .manifest = p->text,
                             .manifest_length = p->text ? (int64_t)strlen(p->text) : 0};
    deq_store_open(&p->store, options->cache, options->fresh);
    p->store.refused = note_refused;
    p->store.context = p;
    p->manifest = p->text ? deq_manifest_read(&p->module, &e) : NULL;
    p->data = p->manifest ? calloc((size_t)p->manifest->ndata + 1, sizeof *p->data) : NULL;
    if (p->data && deq_app_one_experiment(p->manifest, options->only, &e) && p->manifest->nrun &&
        !redirected(p->manifest, options) && start_thread(p))
        return p;
    deq_preload_free(p);
    return NULL;
}

static void wait_for(deq_preload *p) {
    if (p->running) pthread_join(p->thread, NULL);
    p->running = false;
}

deq_dataset *deq_preload_take(deq_preload *p, const deq_data_spec *spec, deq_store *store) {
    if (!p) return NULL;
    wait_for(p);
    if (*p->refused && store->refused) store->refused(store->context, p->refused);
    *p->refused = 0;
    for (int i = 0; i < p->manifest->ndata; i++) {
        deq_dataset *d = p->data[i];
        const deq_data_spec *mine = &p->manifest->data[i];
        if (!d || strcmp(mine->name, spec->name) || strcmp(mine->reader, spec->reader) ||
            !json_equal(mine->arguments, spec->arguments))
            continue;
        p->data[i] = NULL;
        deq_dataset_rebind(d, spec, store);
        return d;
    }
    return NULL;
}

void deq_preload_free(deq_preload *p) {
    if (!p) return;
    wait_for(p);
    for (int i = 0; p->data && i < p->manifest->ndata; i++)
        if (p->data[i]) deq_dataset_free(p->data[i]);
    free(p->data);
    deq_manifest_free(p->manifest);
    deq_store_close(&p->store);
    free(p->text);
    free(p);
}
