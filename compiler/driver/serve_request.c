/* serve_request.c - a line of bytes becomes the command line of a verb: members are arguments and flags of cli.def. */
#include "serve.h"
#include "cli_table.h"
#include "diag.h"
#include "output.h"
#include "tensors.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Served {
    const char *name;
    Verb verb;
    const char *members, *flags;
} Served;

static const Served all[] = {
#define SERVED(name, verb, members, flags, doc) {#name, VERB_##verb, members, flags},
#define ALWAYS(flag)
#define FORM(flag)
#define PASSING(event)
#include "serve.def"
};
enum { ALL = sizeof all / sizeof *all };

static const bool always[FLAG_COUNT] = {
#undef SERVED
#undef ALWAYS
#define SERVED(name, verb, members, flags, doc)
#define ALWAYS(flag) [FLAG_##flag] = true,
#include "serve.def"
};

static const Flag forms[] = {
#undef ALWAYS
#undef FORM
#define ALWAYS(flag)
#define FORM(flag) FLAG_##flag,
#include "serve.def"
};

static const char *const passing[] = {
#undef FORM
#undef PASSING
#define FORM(flag)
#define PASSING(event) #event,
#include "serve.def"
#undef SERVED
#undef ALWAYS
#undef FORM
#undef PASSING
};

bool serve_passing(const json_t *object) {
    const char *event = json_string_value(json_object_get(object, "event"));
    for (size_t i = 0; event && i < sizeof passing / sizeof *passing; i++)
        if (!strcmp(event, passing[i])) return true;
    return false;
}

json_t *serve_ready(void) {
    json_t *verbs = json_array();
    for (int i = 0; i < ALL; i++) json_array_append_new(verbs, json_string(all[i].name));
    json_array_append_new(verbs, json_string("cancel"));
    return json_pack("{s:i, s:s, s:o}", "protocol", SERVE_PROTOCOL, "version", strchr(DEQ_VERSION, ' ') + 1, "verbs",
                     verbs);
}

/* ---- the command line ---- */
static void add(Request *r, char *word) {
    r->argv = realloc(r->argv, ((size_t)r->argc + 2) * sizeof *r->argv);
    if (!r->argv || !word) abort();
    r->argv[r->argc++] = word;
    r->argv[r->argc] = NULL;
}

static char *joined(const char *a, const char *b, const char *c, const char *d, const char *e) {
    const size_t n = strlen(a) + strlen(b) + strlen(c) + strlen(d) + strlen(e) + 1;
    char *out = malloc(n);
    if (!out) abort();
    snprintf(out, n, "%s%s%s%s%s", a, b, c, d, e);
    return out;
}

/* A text, a number or a truth as the command line has it; NULL: it is none of them.  free() it. */
static char *text_of_value(const json_t *v) {
    char number[64];
    if (json_is_string(v)) return joined(json_string_value(v), "", "", "", "");
    if (json_is_boolean(v)) return joined(json_is_true(v) ? "true" : "false", "", "", "", "");
    if (json_is_integer(v)) {
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(v));
        return joined(number, "", "", "", "");
    }
    if (!json_is_real(v)) return NULL;
    snprintf(number, sizeof number, "%.17g", json_real_value(v));
    return joined(number, "", "", "", "");
}

static bool add_flag(Request *r, const char *flag, const char *path, const json_t *value, deq_error *e) {
    char *text = text_of_value(value);
    if (!text) return deq_fail(e, DEQ_REQUEST, "'%s%s%s' is no text and no number", flag, *path ? "." : "", path);
    add(r, joined("--", flag, "=", path, *path ? "=" : ""));
    char *both = joined(r->argv[r->argc - 1], text, "", "", "");
    free(r->argv[r->argc - 1]);
    free(text);
    r->argv[r->argc - 1] = both;
    return true;
}

/* A flag without a value is a truth; PATH=VALUE is an object; one that can be repeated takes a list too. */
static bool take_member(Request *r, const CliFlag *f, json_t *value, deq_error *e) {
    if (!f->argument) {
        if (!json_is_boolean(value)) return deq_fail(e, DEQ_REQUEST, "'%s' is true or false", f->name);
        if (json_is_true(value)) add(r, joined("--", f->name, "", "", ""));
        return true;
    }
    if (strchr(f->argument, '=')) {
        const char *path;
        json_t *setting;
        if (!json_is_object(value)) return deq_fail(e, DEQ_REQUEST, "'%s' is an object: {PATH: VALUE}", f->name);
        json_object_foreach(value, path, setting) if (!add_flag(r, f->name, path, setting, e)) return false;
        return true;
    }
    if (json_is_array(value) && strstr(f->doc, "(repeatable)")) {
        size_t i;
        json_t *one;
        json_array_foreach(value, i, one) if (!add_flag(r, f->name, "", one, e)) return false;
        return true;
    }
    return add_flag(r, f->name, "", value, e);
}

/* no-cache is no_cache. */
static bool is_member(const char *flag, const char *member) {
    for (; *flag && *member; flag++, member++)
        if (*member != (*flag == '-' ? '_' : *flag)) return false;
    return !*flag && !*member;
}

static bool stands_in(const char *list, const char *word) {
    const size_t n = strlen(word);
    for (const char *c = list; (c = strstr(c, word)); c += n)
        if ((c == list || c[-1] == ' ') && (!c[n] || strchr(" ?*", c[n]))) return true;
    return false;
}

static bool unknown(const Served *s, const char *member, deq_error *e) {
    const char *names[FLAG_COUNT];
    uint32_t n = 0;
    for (int f = 0; f < FLAG_COUNT; f++)
        if (!always[f] && cli_flags[f].verbs & (1u << s->verb)) names[n++] = cli_flags[f].name;
    const char *near = diag_nearest(member, names, n);
    return deq_fail(e, DEQ_REQUEST, "'%s' has no member '%.100s'%s%s%s", s->name, member,
                    near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static bool add_members(Request *r, const Served *s, deq_error *e) {
    static const char *const common[] = {"id", "do", "protocol", "events", "working_folder"};
    const char *member;
    json_t *value;
    json_object_foreach(r->message, member, value) {
        bool known = *member && stands_in(s->members, member);
        for (size_t i = 0; i < sizeof common / sizeof *common; i++) known = known || !strcmp(member, common[i]);
        known = known || (s->verb == VERB_eval && !strcmp(member, "arrays"));
        int f = 0;
        while (!known && f < FLAG_COUNT &&
               (always[f] || !(cli_flags[f].verbs & (1u << s->verb)) || !is_member(cli_flags[f].name, member)))
            f++;
        if (known) continue;
        if (f == FLAG_COUNT) return unknown(s, member, e);
        if (!take_member(r, &cli_flags[f], value, e)) return false;
    }
    return true;
}

/* The arguments in their order, behind "--": none of them is taken for a flag. */
static bool add_arguments(Request *r, const Served *s, deq_error *e) {
    add(r, joined("--", "", "", "", ""));
    for (const char *c = s->members; *c; c += *c == ' ') {
        char name[32];
        const size_t n = strcspn(c, " ?*");
        snprintf(name, sizeof name, "%.*s", (int)n, c);
        c += n;
        const bool optional = *c == '?', many = *c == '*';
        c += optional || many;
        const json_t *value = json_object_get(r->message, name);
        if (!value && optional) continue;
        if (!value) return deq_fail(e, DEQ_REQUEST, "'%s' needs the member '%s'", s->name, name);
        const size_t count = many && json_is_array(value) ? json_array_size(value) : 1;
        for (size_t i = 0; i < count; i++) {
            const char *text = json_string_value(many && json_is_array(value) ? json_array_get(value, i) : value);
            if (!text || !*text) return deq_fail(e, DEQ_REQUEST, "'%s' is no text, or an empty one", name);
            add(r, joined(text, "", "", "", ""));
        }
    }
    return true;
}

/* ---- arrays ---- */
/* {shape: [2, 3], values: [..]}, row by row; with `out` its values as well. */
static bool read_array(const json_t *v, const char *name, deq_array *out, deq_error *e) {
    const json_t *shape = json_object_get(v, "shape"), *values = json_object_get(v, "values");
    const size_t rank = json_array_size(shape), n = json_array_size(values);
    deq_array a = {.type = DEQ_F64, .rank = (int)rank};
    if (!json_is_array(shape) || !json_is_array(values) || rank > DEQ_ARRAY_RANK)
        return deq_fail(e, DEQ_REQUEST,
                        "the array '%.100s' is the path of a file, or {shape: [..], values: [..]} of at most %d axes",
                        name, DEQ_ARRAY_RANK);
    for (size_t k = 0; k < rank; k++) {
        const json_t *d = json_array_get(shape, k);
        a.dim[k] = json_integer_value(d);
        if (!json_is_integer(d) || a.dim[k] < 0 || a.dim[k] > INT32_MAX)
            return deq_fail(e, DEQ_REQUEST, "axis %zu of the array '%.100s' has no length", k, name);
    }
    if (!deq_array_count(&a) || a.elements != (int64_t)n)
        return deq_fail(e, DEQ_REQUEST, "the array '%.100s' has %zu values, its shape asks for another number", name,
                        n);
    for (size_t k = 0; k < n; k++)
        if (!json_is_number(json_array_get(values, k)))
            return deq_fail(e, DEQ_REQUEST, "value %zu of the array '%.100s' is no number", k, name);
    if (!out) return true;
    if (!deq_array_allocate(&a, name, e)) return false;
    for (size_t k = 0; k < n; k++) ((double *)a.values)[k] = json_number_value(json_array_get(values, k));
    *out = a;
    return true;
}

/* Before the arguments: behind "--" no flag is one. */
static void add_file(Request *r, const char *name, const char *path) {
    add(r, joined("--array=", name, "=", path, ""));
    char *word = r->argv[r->argc - 1];
    memmove(r->argv + 3, r->argv + 2, (size_t)(r->argc - 3) * sizeof *r->argv);
    r->argv[2] = word;
}

static bool take_arrays(Request *r, deq_error *e) {
    const json_t *arrays = json_object_get(r->message, "arrays");
    const char *name;
    json_t *v;
    if (!arrays) return true;
    if (!json_is_object(arrays)) return deq_fail(e, DEQ_REQUEST, "'arrays' is an object: {NAME: ARRAY}");
    json_object_foreach((json_t *)(uintptr_t)arrays, name, v) {
        if (!*name || strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != strlen(name))
            return deq_fail(e, DEQ_REQUEST, "'%.100s' is no name for an array", name);
        if (json_is_string(v)) {
            add_file(r, name, json_string_value(v));
            continue;
        }
        const json_t *target = json_object_get(v, "target");
        if (!read_array(v, name, NULL, e) || (target && !read_array(target, name, NULL, e))) return false;
        if (!r->arrays) r->arrays = json_object();
        json_object_set(r->arrays, name, v);
    }
    return true;
}

static bool write_array(const char *path, const char *name, const json_t *v, deq_error *e) {
    const json_t *target = json_object_get(v, "target");
    deq_tensor_out list[] = {{"input", {0}}, {"target", {0}}};
    bool ok = read_array(v, name, &list[0].array, e) && (!target || read_array(target, name, &list[1].array, e)) &&
              deq_tensors_write(path, list, target ? 2 : 1, NULL, e);
    for (int k = 0; k < 2; k++) deq_array_free(&list[k].array);
    return ok;
}

bool request_write_arrays(Request *r, const char *folder, deq_error *e) {
    const char *name;
    json_t *v;
    json_object_foreach(r->arrays, name, v) {
        char *path = joined(folder, "/", name, ".npz", "");
        const bool ok = write_array(path, name, v, e);
        if (ok) add_file(r, name, path);
        free(path);
        if (!ok) return false;
    }
    return true;
}

/* ---- requests ---- */
static bool is_id(const json_t *v) { return json_is_string(v) || json_is_number(v); }

static bool cancels(Request *r, deq_error *e) {
    r->name = "cancel";
    r->of = json_object_get(r->message, "of");
    return is_id(r->of) || deq_fail(e, DEQ_REQUEST, "'cancel' needs the member 'of': the id of a request");
}

bool request_read(const char *line, size_t size, Request *r, deq_error *e) {
    json_error_t wrong;
    *r = (Request){.id = json_null()};
    r->message = json_loadb(line, size, JSON_REJECT_DUPLICATES, &wrong);
    if (!r->message) return deq_fail(e, DEQ_REQUEST, "the line is no JSON: %s (byte %d)", wrong.text, wrong.position);
    if (!json_is_object(r->message))
        return deq_fail(e, DEQ_REQUEST, "a request is an object: {\"id\": 1, \"do\": \"check\", ..}");
    json_t *id = json_object_get(r->message, "id"), *protocol = json_object_get(r->message, "protocol"),
           *events = json_object_get(r->message, "events"), *folder = json_object_get(r->message, "working_folder");
    const char *name = json_string_value(json_object_get(r->message, "do"));
    if (id && !is_id(id)) return deq_fail(e, DEQ_REQUEST, "'id' is a text or a number");
    if (id) r->id = id;
    if (protocol && (!json_is_integer(protocol) || json_integer_value(protocol) != SERVE_PROTOCOL))
        return deq_fail(e, DEQ_REQUEST, "this server speaks protocol %d", SERVE_PROTOCOL);
    if (events && !json_is_boolean(events)) return deq_fail(e, DEQ_REQUEST, "'events' is true or false");
    if (folder && !json_string_length(folder))
        return deq_fail(e, DEQ_REQUEST, "'working_folder' is the path of a folder");
    if (!name) return deq_fail(e, DEQ_REQUEST, "'do' is missing: the name of what is asked for");
    r->events = json_is_true(events);
    r->folder = json_string_value(folder);
    if (!strcmp(name, "cancel")) return cancels(r, e);
    const Served *s = NULL;
    const char *names[ALL];
    for (int i = 0; i < ALL; i++) {
        names[i] = all[i].name;
        if (!strcmp(all[i].name, name)) s = &all[i];
    }
    if (!s) {
        const char *near = diag_nearest(name, names, ALL);
        return deq_fail(e, DEQ_REQUEST, "there is no '%.100s'%s%s%s", name, near ? "; did you mean '" : "",
                        near ? near : "", near ? "'?" : "");
    }
    r->name = s->name;
    add(r, joined("deq", "", "", "", ""));
    add(r, joined(cli_verbs[s->verb].name, "", "", "", ""));
    bool json = cli_flags[FLAG_json].verbs & (1u << s->verb);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        json = json && !json_object_get(r->message, cli_flags[forms[i]].name);
    if (json) add(r, joined("--json", "", "", "", ""));
    if (!r->events && cli_flags[FLAG_quiet].verbs & (1u << s->verb)) add(r, joined("--quiet", "", "", "", ""));
    if (s->flags) add(r, joined(s->flags, "", "", "", ""));
    return add_members(r, s, e) && take_arrays(r, e) && add_arguments(r, s, e);
}

void request_free(Request *r) {
    for (int i = 0; i < r->argc; i++) free(r->argv[i]);
    free(r->argv);
    json_decref(r->arrays);
    json_decref(r->message);
    *r = (Request){0};
}
