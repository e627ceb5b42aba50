/* extern_gradient.c - the offered symbols, and what a gradient in C must agree on before it is called. */
#include "extern_gradient.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is offered ---- */
typedef struct Offer {
    const deq_module *module;
    const deq_symbol *symbols;
    const char *content;
    struct Offer *next;
} Offer;

static Offer *offers;
static pthread_mutex_t offers_lock = PTHREAD_MUTEX_INITIALIZER;

static Offer *offer_of(const deq_module *module) {
    for (Offer *o = offers; o; o = o->next)
        if (o->module == module) return o;
    return NULL;
}

void deq_extern_offer(const deq_module *module, const deq_symbol *symbols, const char *content) {
    pthread_mutex_lock(&offers_lock);
    Offer *o = offer_of(module);
    if (!o && (o = calloc(1, sizeof *o))) {
        o->module = module;
        o->next = offers;
        offers = o;
    }
    if (o) o->symbols = symbols, o->content = content;
    pthread_mutex_unlock(&offers_lock);
}

static const deq_gradient_definition *find(const deq_module *module, const char *name) {
    const deq_gradient_definition *found = NULL;
    pthread_mutex_lock(&offers_lock);
    const Offer *o = offer_of(module);
    for (const deq_symbol *s = o ? o->symbols : NULL; s && s->name && !found; s++)
        if (!strcmp(s->name, name)) found = s->definition;
    pthread_mutex_unlock(&offers_lock);
    return found;
}

const char *deq_extern_content(const deq_module *module) {
    pthread_mutex_lock(&offers_lock);
    const Offer *o = offer_of(module);
    pthread_mutex_unlock(&offers_lock);
    return o && o->content ? o->content : "";
}

/* ---- from the manifest ---- */

/* The first item of `list` ("param W[H, H]; ..") that `other` does not have; length 0: none. */
static const char *missing_item(const char *list, const char *other, int *length) {
    for (const char *at = list; *at;) {
        size_t n = strcspn(at, ";");
        bool there = false;
        for (const char *o = other; *o && !there;) {
            size_t m = strcspn(o, ";");
            there = m == n && !strncmp(at, o, n);
            o += m;
            o += strspn(o, "; ");
        }
        *length = (int)n;
        if (!there) return at;
        at += n;
        at += strspn(at, "; ");
    }
    *length = 0;
    return "";
}

static bool check(const deq_module *module, const deq_hand_spec *spec, const deq_extern *x, deq_error *e) {
    const char *place = spec->where, *signature = spec->signature;
    const deq_gradient_definition *d = x->definition;
    int bits = (int)module->real_bits, length;
    if (!d)
        return deq_fail(e, DEQ_EXTERN,
                        "%s: gradient '%s': no linked file defines %s_f%d: compile its C file with -DDEQ_REAL_BITS=%d "
                        "against the header that `deq header` writes, and give it with --link FILE",
                        place, x->name, x->symbol, bits, bits);
    if (d->abi != DEQ_GRADIENT_ABI)
        return deq_fail(e, DEQ_EXTERN,
                        "%s: gradient '%s': %s_f%d was compiled for version %lld of deq_gradient.h, this is version "
                        "%d: compile its C file again with this version's header",
                        place, x->name, x->symbol, bits, (long long)d->abi, DEQ_GRADIENT_ABI);
    if (d->real_bits != bits || !d->function || !d->signature)
        return deq_fail(e, DEQ_EXTERN,
                        "%s: gradient '%s': %s_f%d is not a gradient of %d bits: define it with DEQ_GRADIENT and "
                        "compile with -DDEQ_REAL_BITS=%d",
                        place, x->name, x->symbol, bits, bits, bits);
    if (!strcmp(d->signature, signature)) return true;
    const char *lacks = missing_item(signature, d->signature, &length);
    bool ours = length > 0;
    if (!ours) lacks = missing_item(d->signature, signature, &length);
    if (length == 0)
        return deq_fail(e, DEQ_EXTERN,
                        "%s: gradient '%s': %s_f%d takes the layer's values in another order: write its header again "
                        "with `deq header` and compile its C file again",
                        place, x->name, x->symbol, bits);
    return deq_fail(e, DEQ_EXTERN,
                    "%s: gradient '%s': %s_f%d was written for another layer: %s '%.*s'; write its header again with "
                    "`deq header`, let the C file serve it, and compile it again",
                    place, x->name, x->symbol, bits, ours ? "it does not know the" : "the layer has no", length, lacks);
}

bool deq_extern_find(const deq_module *module, const deq_hand_spec *spec, deq_extern *x, deq_error *e) {
    char name[512];
    *x = (deq_extern){.name = spec->name, .symbol = spec->symbol, .fields = spec->fields, .nfields = spec->nfields};
    if (strlen(x->symbol) > 500) return deq_fail(e, DEQ_MODULE, "the manifest has no usable gradient in C");
    for (int k = 0; k < x->nfields; k++)
        x->nwords += 1 + (x->fields[k].place == DEQ_AT_STATE || x->fields[k].cotangent);
    snprintf(name, sizeof name, "%s_f%d", x->symbol, (int)module->real_bits);
    x->definition = find(module, name);
    return check(module, spec, x, e);
}

bool deq_extern_check(const deq_module *module, deq_error *e) {
    deq_manifest *m = deq_manifest_read(module, e);
    bool good = m != NULL;
    for (int i = 0; good && i < m->nnets; i++)
        for (int k = 0; k < m->nets[i].nfixed; k++)
            for (int h = 0; good && h < m->nets[i].fixed[k].nhands; h++) {
                const deq_hand_spec *spec = &m->nets[i].fixed[k].hands[h];
                deq_extern x;
                good = !spec->symbol || deq_extern_find(module, spec, &x, e);
            }
    deq_manifest_free(m);
    return good;
}
