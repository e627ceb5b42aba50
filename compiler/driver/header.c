/* header.c - see header.h.  The functions and their text are those of library.def, typed and named for the net. */
#define _GNU_SOURCE
#include "header.h"
#include "deq_types.h"
#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH 116
#define TIED '\1' /* a space where no line ends */

static const struct function {
    const char *result, *name, *parameters, *arguments, *doc;
    bool labels; /* of nets whose target is a label */
} functions[] = {
#define LIBRARY(result, function, parameters, arguments, doc) {#result, #function, #parameters, #arguments, doc, false},
#define LABELS(result, function, parameters, arguments, doc) {#result, #function, #parameters, #arguments, doc, true},
#include "library.def"
#undef LIBRARY
};
enum { FUNCTIONS = sizeof functions / sizeof *functions };

extern const char library_types[]; /* deq_types.h, as it is written */

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

bool header_alone(const char *wanted) { return wanted && strpbrk(wanted, "[("); }

json_t *header_find(json_t *manifest, const char *wanted) {
    json_t *net = find_named(manifest, "nets", header_alone(wanted) ? NULL : wanted);
    json_t *train = net ? NULL : find_named(manifest, "trains", wanted);
    return train ? find_named(manifest, "nets", member(train, "net")) : net;
}

char *header_net(const char *manifest, const char *wanted) {
    json_t *root = json_loads(manifest, 0, NULL), *net = root ? header_find(root, wanted) : NULL;
    char *name = net ? strdup(wanted && !header_alone(wanted) ? wanted : member(net, "name")) : NULL;
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

/* ---- the text of a row, with the net's names ---- */
typedef struct Names {
    const char *id;                    /* for NET in a doc */
    const char *context, *kept, *real; /* for CTX, KEPT, REAL */
} Names;

static bool in_word(char c) { return isalnum((unsigned char)c) || c == '_'; }

/* `text` with its words CTX, KEPT, REAL and, at the beginning of a word, NET replaced.  malloc'ed. */
static char *named(const char *text, const Names *n) {
    const char *const words[][2] = {{"CTX", n->context}, {"KEPT", n->kept}, {"REAL", n->real}, {"NET", n->id}};
    char *out = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&out, &size);
    if (!f) abort();
    for (const char *c = text; *c; c++) {
        int found = -1;
        for (int w = 0; w < 4 && (c == text || !in_word(c[-1])); w++)
            if (!strncmp(c, words[w][0], strlen(words[w][0])) && (w == 3 || !in_word(c[strlen(words[w][0])])))
                found = w;
        if (found < 0)
            fputc(*c, f);
        else {
            fputs(words[found][1], f);
            c += strlen(words[found][0]) - 1;
        }
    }
    if (fclose(f) != 0) abort();
    return out;
}

/* The text in lines of at most WIDTH, broken at spaces; lines after the first begin with `next`. */
static void print_wrapped(FILE *out, size_t column, const char *text, const char *next) {
    while (*text) {
        size_t length = strcspn(text, " ");
        if (column > strlen(next) && column + length > WIDTH) {
            while (*text == ' ') text++, length = strcspn(text, " ");
            fprintf(out, "\n%s", next);
            column = strlen(next);
        }
        for (size_t k = 0; k < length; k++) fputc(text[k] == TIED ? ' ' : text[k], out);
        column += length;
        text += length;
        if (*text == ' ' && text[strspn(text, " ")] && column + 1 + strcspn(text + strspn(text, " "), " ") <= WIDTH) {
            size_t spaces = strspn(text, " ");
            fprintf(out, "%.*s", (int)spaces, text);
            column += spaces;
            text += spaces;
        } else if (*text) {
            text += strspn(text, " ");
            if (*text) fprintf(out, "\n%s", next), column = strlen(next);
        }
    }
}

static const char *short_name(const struct function *f) { return f->name + strlen("deq_library_"); }

/* "int Net_forward(Net_ctx *context, ..": without an end. */
static void print_prototype(FILE *out, const struct function *f, const Names *n) {
    char *result = named(f->result, n), *parameters = named(f->parameters, n), *line;
    if (asprintf(&line, "%s%s%s_%s%s", result, strchr(result, '*') ? "" : " ", n->id, short_name(f), parameters) < 0)
        abort();
    for (char *c = line; *c; c++) /* a line ends after a parameter */
        if (*c == ' ' && (c == line || c[-1] != ',')) *c = TIED;
    print_wrapped(out, 0, line, "    ");
    free(line);
    free(result);
    free(parameters);
}

static void print_doc(FILE *out, const char *doc, const Names *n) {
    char *text = named(doc, n), *line;
    if (asprintf(&line, "/* %s */", text) < 0) abort();
    print_wrapped(out, 0, line, " * ");
    fputc('\n', out);
    free(line);
    free(text);
}

/* ---- the header ---- */
static void print_dims(FILE *out, const json_t *dims) {
    size_t i;
    json_t *d;
    fprintf(out, "n");
    json_array_foreach(dims, i, d) fprintf(out, ", %lld", (long long)json_integer_value(d));
}

static void print_constant(FILE *out, const char *id, const char *what, long long value) {
    fprintf(out, "    ");
    for (const char *s = id; *s; s++) fputc(toupper((unsigned char)*s), out);
    fprintf(out, "_%s = %lld,\n", what, value);
}

static long long count(const json_t *dims) {
    long long n = 1;
    size_t i;
    json_t *d;
    json_array_foreach(dims, i, d) n *= json_integer_value(d);
    return n;
}

static void print_shapes(FILE *out, const json_t *net, const char *real) {
    const json_t *target = json_object_get(net, "target"), *label = json_object_get(target, "label");
    size_t i;
    json_t *one;
    fprintf(out, "/* Arrays of n examples: input %s[", real);
    print_dims(out, json_object_get(net, "input"));
    fprintf(out, "], output %s[", real);
    print_dims(out, json_object_get(net, "output"));
    fprintf(out, "], target ");
    if (label) {
        fprintf(out, "n labels below %lld", (long long)json_integer_value(label));
    } else {
        fprintf(out, "%s[", real);
        print_dims(out, json_object_get(target, "shape"));
        fputc(']', out);
    }
    fprintf(out, ".\n * Losses:");
    json_array_foreach(json_object_get(net, "losses"), i, one) fprintf(out, "%s %s", i ? "," : "", member(one, "name"));
    fprintf(out, "%s.\n * Fixed points:", json_array_size(json_object_get(net, "losses")) ? "" : " none");
    json_array_foreach(json_object_get(net, "fixed"), i, one)
        fprintf(out, "%s \"%s\"", i ? "," : "", member(one, "path"));
    fprintf(out, "%s. */\n", json_array_size(json_object_get(net, "fixed")) ? "" : " none");
}

static const struct {
    const char *type, *name, *doc;
} record_fields[] = {
#define I64 int64_t
#define I32 int32_t
#define F64 double
#define F32 float
#define TEXT(word) #word
#define FIELD(name, type, empty, doc) {TEXT(type), #name, doc},
#include "record.def"
#undef FIELD
#undef TEXT
#undef I64
#undef I32
#undef F64
#undef F32
};

static const struct {
    const char *name, *doc;
} reasons[] = {
#define REASON(name, falls_short, doc) {#name, doc},
#include "reasons.def"
#undef REASON
};

json_t *header_records(void) {
    json_t *all = json_array();
    for (size_t k = 0; k < sizeof record_fields / sizeof *record_fields; k++)
        json_array_append_new(all, json_pack("[s, s]", record_fields[k].name, record_fields[k].type));
    return all;
}

/* The struct of record.def: a program may include the headers of several nets. */
static void print_records(FILE *out, const Names *n) {
    fprintf(out, "#ifndef DEQ_RECORD\n#define DEQ_RECORD\n");
    print_doc(out, "What is known of one example, clean or attacked: what `deq journal` shows of an evaluation.", n);
    fprintf(out, "typedef struct deq_record {\n");
    for (size_t k = 0; k < sizeof record_fields / sizeof *record_fields; k++) {
        char *doc;
        if (asprintf(&doc, "/* %s */", record_fields[k].doc) < 0) abort();
        fprintf(out, "    ");
        print_wrapped(out, 4, doc, "     * ");
        fprintf(out, "\n    %s %s;\n", record_fields[k].type, record_fields[k].name);
        free(doc);
    }
    fprintf(out, "} deq_record;\nenum { /* deq_record.reason; 0: no fixed point */\n");
    for (size_t k = 0; k < sizeof reasons / sizeof *reasons; k++)
        fprintf(out, "    DEQ_RECORD_%s = %zu, /* %s */\n", reasons[k].name, k + 1, reasons[k].doc);
    fprintf(out, "};\n#endif\ntypedef deq_record %s_record;\n\n", n->id);
}

static void print_parameters(FILE *out, const json_t *net, int bytes) {
    size_t i, k;
    json_t *parameter, *d;
    fprintf(out, "/* Parameters: path, shape, first element in the parameter vector.\n");
    json_array_foreach(json_object_get(net, "parameters"), i, parameter) {
        fprintf(out, " *   %-24s [", member(parameter, "path"));
        json_array_foreach(json_object_get(parameter, "shape"), k, d)
            fprintf(out, "%s%lld", k ? ", " : "", (long long)json_integer_value(d));
        fprintf(out, "] at %lld\n", (long long)json_integer_value(json_object_get(parameter, "offset")) / bytes);
    }
    fprintf(out, " */\n");
}

/* The net's names: its types in NET.h, or what these are underneath. */
static Names names_of(const json_t *root, const char *id, char *context, char *kept, size_t size) {
    const char *real = member(root, "real");
    snprintf(context, size, "%s_ctx", id);
    snprintf(kept, size, "%s_kept", id);
    return (Names){id, context, kept, real && strcmp(real, "f64") == 0 ? "double" : "float"};
}

bool header_write(const char *manifest, const char *wanted, const char *id, FILE *out) {
    json_t *root = json_loads(manifest, 0, NULL), *net = root ? header_find(root, wanted) : NULL;
    char context[300], kept[300];
    if (net) {
        const Names n = names_of(root, id, context, kept, sizeof context);
        const bool labels = json_object_get(json_object_get(net, "target"), "label") != NULL;
        fprintf(
            out,
            "/* %s.h - the net %s of %s, made by %s.  Link with lib%s.so, or with %s.a and libdeqrt.\n"
            " *\n"
            " * Arrays are dense and row-major, one example after another.  Functions that return int return 0, or\n"
            " * -N for the failure E0N, after which nothing was computed and %s_error() tells why.  n = 0 succeeds.\n"
            " * A call may come from any thread; those on one context wait for each other. */\n"
            "#ifndef DEQ_NET_%s_H\n#define DEQ_NET_%s_H\n\n",
            id, member(net, "name"), member(root, "source"), member(root, "compiler"), id, id, id, id, id);
        fprintf(out, "%s\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n", library_types);
        fprintf(out, "typedef struct %s %s;\ntypedef struct %s %s;\ntypedef deq_library_options %s_options;\n",
                n.context, n.context, n.kept, n.kept, id);
        fprintf(out, "typedef deq_status %s_status;\ntypedef deq_example %s_example;\n\n", id, id);
        print_records(out, &n);
        print_shapes(out, net, n.real);
        fprintf(out, "enum {\n");
        print_constant(out, id, "ABI", DEQ_LIBRARY_ABI);
        print_constant(out, id, "INPUT", count(json_object_get(net, "input")));
        print_constant(out, id, "OUTPUT", count(json_object_get(net, "output")));
        fprintf(out, "};\n\n");
        print_doc(
            out,
            "The library's number of this interface.  A program that opens it by dlopen compares it with its own; one "
            "that is linked with another interface does not start.",
            &n);
        fprintf(out, "int %s_abi(void);\n", id);
        print_doc(out,
                  "A context: the net with its settings, parameters drawn by the seed, and worker threads.  options "
                  "NULL: all cores, seed 0.  NULL on failure: NET_error(NULL) says why.",
                  &n);
        fprintf(out, "%s *%s_new(const deq_library_options *options);\n", n.context, id);
        for (int k = 0; k < FUNCTIONS; k++) {
            if (functions[k].labels && !labels) continue;
            print_doc(out, functions[k].doc, &n);
            print_prototype(out, &functions[k], &n);
            fprintf(out, ";\n");
        }
        fputc('\n', out);
        print_parameters(out, net, n.real[0] == 'd' ? 8 : 4);
        fprintf(out, "#ifdef __cplusplus\n}\n#endif\n#endif\n");
    }
    json_decref(root);
    return net;
}

char *header_definitions(const char *manifest, const char *wanted, const char *id) {
    char *text = NULL, context[300], kept[300];
    size_t size = 0;
    json_t *root = json_loads(manifest, 0, NULL), *net = root ? header_find(root, wanted) : NULL;
    FILE *out = open_memstream(&text, &size);
    if (!net || !out) abort();
    const Names own = names_of(root, id, context, kept, sizeof context), under = {id, "void", "void", "void"};
    const bool labels = json_object_get(json_object_get(net, "target"), "label") != NULL;
    fprintf(out, "%s\ntypedef struct %s %s;\ntypedef struct %s %s;\n", library_types, own.context, own.context,
            own.kept, own.kept);
    fprintf(out, "struct deq_record;\n");
    fprintf(out, "void *deq_library_new(const void *, const char *, const deq_library_options *);\n");
    fprintf(out, "int %s_abi(void) { return DEQ_LIBRARY_ABI; }\n", id);
    fprintf(out,
            "%s *%s_new(const deq_library_options *options) {\n    offer(deq_module);\n"
            "    return deq_library_new(deq_module, \"%s\", options);\n}\n",
            own.context, id, wanted ? wanted : member(net, "name"));
    for (int k = 0; k < FUNCTIONS; k++) {
        const struct function *f = &functions[k];
        if (f->labels && !labels) continue;
        char *result = named(f->result, &under), *parameters = named(f->parameters, &under);
        fprintf(out, "%s %s%s;\n", result, f->name, parameters);
        print_prototype(out, f, &own);
        const bool pointer = strchr(f->result, '*') != NULL, nothing = strcmp(f->result, "void") == 0;
        fprintf(out, " {\n    %s%s%s;\n}\n",
                pointer   ? "return (void *)"
                : nothing ? ""
                          : "return ",
                f->name, f->arguments);
        free(result);
        free(parameters);
    }
    json_decref(root);
    if (fclose(out) != 0) abort();
    return text;
}
