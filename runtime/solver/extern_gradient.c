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

static bool check(const deq_module *module, const json_t *entry, const deq_extern *x, deq_error *e) {
    const char *place = json_string_value(json_object_get(entry, "place")),
               *signature = json_string_value(json_object_get(entry, "signature"));
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

static bool read_field(const json_t *item, deq_extern_field *f) {
    const char *in = json_string_value(json_object_get(item, "in"));
    json_t *size = json_object_get(item, "size"), *number = json_object_get(item, "number");
    f->name = json_string_value(json_object_get(item, "name"));
    if (size) return f->value.size = json_integer_value(size), true;
    if (number) return f->value.number = json_number_value(number), true;
    if (!in || !f->name) return false;
    f->place = !strcmp(in, "shared") ? DEQ_AT_SHARED : !strcmp(in, "rest") ? DEQ_AT_REST : DEQ_AT_STATE;
    f->offset = json_integer_value(json_object_get(item, "offset"));
    f->elements = json_integer_value(json_object_get(item, "elements"));
    f->accum = json_integer_value(json_object_get(item, "accum"));
    f->cotangent = json_is_true(json_object_get(item, "cotangent"));
    f->parameter = json_is_true(json_object_get(item, "parameter"));
    return f->elements > 0;
}

bool deq_extern_read(const deq_module *module, const json_t *entry, deq_extern *x, deq_error *e) {
    const json_t *list = json_object_get(entry, "fields"), *item;
    char name[512];
    size_t i;
    *x = (deq_extern){.name = json_string_value(json_object_get(entry, "name")),
                      .symbol = json_string_value(json_object_get(entry, "symbol"))};
    if (!x->name || !x->symbol || strlen(x->symbol) > 500)
        return deq_fail(e, DEQ_MODULE, "the manifest has no usable gradient in C");
    x->fields = calloc(json_array_size(list) + 1, sizeof *x->fields);
    if (!x->fields) return deq_fail(e, DEQ_MEMORY, "the arguments of gradient %s", x->name);
    json_array_foreach(list, i, item) {
        deq_extern_field *f = &x->fields[x->nfields++];
        if (!read_field(item, f)) return deq_fail(e, DEQ_MODULE, "gradient %s has no usable `fields`", x->name);
        x->nwords += 1 + (f->place == DEQ_AT_STATE || f->cotangent);
    }
    snprintf(name, sizeof name, "%s_f%d", x->symbol, (int)module->real_bits);
    x->definition = find(module, name);
    return check(module, entry, x, e);
}

void deq_extern_free(deq_extern *x) {
    free(x->fields);
    *x = (deq_extern){0};
}

bool deq_extern_check(const deq_module *module, deq_error *e) {
    json_t *manifest = json_loadb(module->manifest, (size_t)module->manifest_length, 0, NULL), *net, *fixed, *entry;
    size_t i, k, g;
    bool good = true;
    json_array_foreach(json_object_get(manifest, "nets"), i, net)
        json_array_foreach(json_object_get(net, "fixed"), k, fixed)
            json_array_foreach(json_object_get(fixed, "gradients"), g, entry) {
        deq_extern x;
        if (!good || !json_object_get(entry, "symbol")) continue;
        good = deq_extern_read(module, entry, &x, e);
        deq_extern_free(&x);
    }
    json_decref(manifest);
    return good;
}
