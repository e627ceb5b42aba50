/* A net as the engine takes it, from a module or from the JSON of one net: through the only reader of manifests. */
#ifndef DEQ_TESTS_NET_SPEC_H
#define DEQ_TESTS_NET_SPEC_H
#include "manifest.h"
#include <stdlib.h>
#include <string.h>

/* Manifests live until the program ends, as engines may. */
static deq_manifest *net_manifests[4096];
static int net_nmanifests;

static inline void net_manifests_free(void) {
    while (net_nmanifests) deq_manifest_free(net_manifests[--net_nmanifests]);
}

static inline const deq_manifest *net_manifest(const deq_module *module, deq_error *e) {
    deq_manifest *m = deq_manifest_read(module, e);
    if (net_nmanifests == 0) atexit(net_manifests_free);
    if (m && net_nmanifests < 4096) net_manifests[net_nmanifests++] = m;
    return m;
}

/* NULL when it cannot be read.  `net`: JSON; hash and the like are added. */
static inline const deq_net_spec *net_spec(const deq_module *module, const json_t *net, deq_error *e) {
    json_t *own = json_deep_copy(net);
    json_object_set_new(own, "hash", json_string("0"));
    json_t *all = json_pack("{s:i, s:s, s:s, s:s, s:[o]}", "abi", DEQ_ABI_VERSION, "name", "test", "hash", "0", "real",
                            module->real_bits == 64 ? "f64" : "f32", "nets", own);
    char *text = json_dumps(all, 0);
    deq_module copy = *module;
    copy.abi_version = DEQ_ABI_VERSION;
    copy.manifest = text;
    copy.manifest_length = (int64_t)strlen(text);
    const deq_manifest *m = net_manifest(&copy, e);
    free(text);
    json_decref(all);
    return m ? &m->nets[0] : NULL;
}
#endif
