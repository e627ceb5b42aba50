/* header.c - see header.h.  The functions are inline wrappers of deq_library.h, typed and named for the net. */
#define _GNU_SOURCE
#include "header.h"
#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *member(const json_t *o, const char *key) { return json_string_value(json_object_get(o, key)); }

/* The last of that name in "nets" or "trains"; the last of all for NULL. */
static json_t *find_named(json_t *manifest, const char *list, const char *name) {
    json_t *all = json_object_get(manifest, list);
    for (size_t i = json_array_size(all); i-- > 0;) {
        json_t *one = json_array_get(all, i);
        if (!name || strcmp(member(one, "name"), name) == 0) return one;
    }
    return NULL;
}

/* The net of that name, or of the training run of that name. */
static json_t *find_net(json_t *manifest, const char *wanted) {
    json_t *net = find_named(manifest, "nets", wanted);
    json_t *train = net ? NULL : find_named(manifest, "trains", wanted);
    return train ? find_named(manifest, "nets", member(train, "net")) : net;
}

char *header_net(const char *manifest, const char *wanted) {
    json_t *root = json_loads(manifest, 0, NULL), *net = root ? find_net(root, wanted) : NULL;
    char *name = net ? strdup(wanted ? wanted : member(net, "name")) : NULL;
    json_decref(root);
    return name;
}

char *header_trains_apart(const char *manifest, const char *name) {
    json_t *root = json_loads(manifest, 0, NULL), *train, *first = NULL;
    char *text = NULL;
    size_t i;
    json_array_foreach(json_object_get(root, "trains"), i, train) {
        if (strcmp(member(train, "net"), name) != 0) continue;
        if (!first) first = train;
        if (json_equal(json_object_get(train, "settings"), json_object_get(first, "settings"))) continue;
        if (asprintf(&text, "%s and %s", member(first, "name"), member(train, "name")) < 0) abort();
        break;
    }
    json_decref(root);
    return text;
}

static void print_dims(FILE *out, const json_t *dims) {
    fprintf(out, "n");
    size_t i;
    json_t *d;
    json_array_foreach(dims, i, d) fprintf(out, ", %lld", (long long)json_integer_value(d));
}

static void print_macro(FILE *out, const char *identifier, const char *what, long long value) {
    for (const char *s = identifier; *s; s++) fputc(toupper((unsigned char)*s), out);
    fprintf(out, "_%s = %lld,\n", what, value);
}

static long long count(const json_t *dims) {
    long long n = 1;
    size_t i;
    json_t *d;
    json_array_foreach(dims, i, d) n *= json_integer_value(d);
    return n;
}

bool header_write(const char *manifest, const char *wanted, const char *id, FILE *out) {
    json_t *root = json_loads(manifest, 0, NULL), *net = root ? find_net(root, wanted) : NULL;
    if (!net) {
        json_decref(root);
        return false;
    }
    const char *real_name = json_string_value(json_object_get(root, "real"));
    const char *real = real_name && strcmp(real_name, "f64") == 0 ? "double" : "float";
    const char *name = json_string_value(json_object_get(net, "name"));
    json_t *input = json_object_get(net, "input"), *output = json_object_get(net, "output");
    json_t *target = json_object_get(net, "target"), *label = json_object_get(target, "label");
    fprintf(out,
            "/* %s.h - the net %s of %s, made by %s.  Link with lib%s.so, or with %s.a and libdeqrt.\n"
            " *\n"
            " * Arrays are dense and row-major, one example after another.  Functions return 0, or a negative number "
            "after\n"
            " * which %s_error() tells why.  Use one %s_ctx in each thread. */\n"
            "#ifndef DEQ_NET_%s_H\n#define DEQ_NET_%s_H\n#include \"deq_library.h\"\n\n",
            id, name, json_string_value(json_object_get(root, "source")),
            json_string_value(json_object_get(root, "compiler")), id, id, id, id, id, id);
    fprintf(out, "const deq_module *%s_module(void);\n", id);
    fprintf(out, "typedef deq_library %s_ctx;             /* opaque */\ntypedef deq_library_options %s_options;\n\n",
            id, id);
    fprintf(out, "enum {\n    ");
    print_macro(out, id, "INPUT", count(input));
    fprintf(out, "    ");
    print_macro(out, id, "OUTPUT", count(output));
    fprintf(out, "};\n\n");
    fprintf(out, "/* options NULL: all cores, seed 0.  NULL on failure: %s_error(NULL) says why. */\n", id);
    fprintf(out,
            "static inline %s_ctx *%s_new(const %s_options *options) { return deq_library_new(%s_module(), \"%s\", "
            "options); }\n",
            id, id, id, id, wanted ? wanted : name);
    fprintf(out, "static inline void %s_free(%s_ctx *c) { deq_library_free(c); }\n", id, id);
    fprintf(out, "static inline const char *%s_error(const %s_ctx *c) { return deq_library_error(c); }\n", id, id);
    fprintf(
        out,
        "static inline int %s_load(%s_ctx *c, const char *checkpoint) { return deq_library_load(c, checkpoint); }\n",
        id, id);
    fprintf(out, "/* \"body.forward.tol\", \"1e-5\" */\n");
    fprintf(out,
            "static inline int %s_set(%s_ctx *c, const char *path, const char *value) { return deq_library_set(c, "
            "path, value); }\n",
            id, id);
    fprintf(out, "static inline int %s_forward(%s_ctx *c, int64_t n, const %s *input /* ", id, id, real);
    print_dims(out, input);
    fprintf(out, " */,\n                              %s *output /* ", real);
    print_dims(out, output);
    fprintf(out, " */, deq_status *status) {\n    return deq_library_forward(c, n, input, output, status);\n}\n");
    fprintf(out, "/* Loss and its gradient in each example's input, and the mean gradient in the parameters; any "
                 "output may be NULL.\n"
                 " * loss NULL: the net's first");
    size_t i;
    json_t *loss;
    json_array_foreach(json_object_get(net, "losses"), i, loss)
        fprintf(out, "%s %s", i ? "," : " of:", json_string_value(json_object_get(loss, "name")));
    fprintf(out, ". */\nstatic inline int %s_gradient(%s_ctx *c, int64_t n, const %s *input, const %s *target /* ", id,
            id, real, real);
    if (label)
        fprintf(out, "n labels below %lld", (long long)json_integer_value(label));
    else
        print_dims(out, json_object_get(target, "shape"));
    fprintf(
        out,
        " */,\n                               const char *loss, double *losses /* n */, %s *dinput, %s *dparameters,\n"
        "                               deq_status *status) {\n"
        "    return deq_library_gradient(c, n, input, target, loss, losses, dinput, dparameters, status);\n}\n",
        real, real);
    fprintf(out, "\n/* Parameters: path, shape, first element in the parameter vector (deq_library_parameters).\n");
    json_t *parameter;
    json_array_foreach(json_object_get(net, "parameters"), i, parameter) {
        fprintf(out, " *   %-24s [", json_string_value(json_object_get(parameter, "path")));
        size_t k;
        json_t *d;
        json_array_foreach(json_object_get(parameter, "shape"), k, d)
            fprintf(out, "%s%lld", k ? ", " : "", (long long)json_integer_value(d));
        fprintf(out, "] at %lld\n",
                (long long)json_integer_value(json_object_get(parameter, "offset")) / (real[0] == 'd' ? 8 : 4));
    }
    fprintf(out, " */\n#endif\n");
    json_decref(root);
    return true;
}
