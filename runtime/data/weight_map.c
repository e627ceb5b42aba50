/* weight_map.c - mapping files: which array of a file is which parameter (weights.h has the rules). */
#define _GNU_SOURCE
#include "output.h"
#include "weights.h"
#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#define MAP_LIMIT (16 << 20)

static const char *skip_space(const char *at) {
    while (*at == ' ' || *at == '\t' || *at == '\r') at++;
    return at;
}

/* A name: between double quotes as it is, else up to a space or one of `ends`.  NULL: there is none. */
static char *take_name(const char **at, const char *ends) {
    const char *from = skip_space(*at), *to;
    if (*from == '"') {
        to = strchr(++from, '"');
        if (!to || to == from) return NULL;
        *at = to + 1;
    } else {
        to = from;
        while (*to && !isspace((unsigned char)*to) && !strchr(ends, *to)) to++;
        if (to == from) return NULL;
        *at = to;
    }
    return strndup(from, (size_t)(to - from));
}

static bool take_axes(const char **at, deq_map_rule *rule) {
    const char *c = *at + 1;
    for (;;) {
        char *end;
        long axis = strtol(c, &end, 10);
        if (end == c || axis < 0 || axis >= DEQ_RANK || rule->naxes == DEQ_RANK) return false;
        for (int i = 0; i < rule->naxes; i++)
            if (rule->axes[i] == axis) return false;
        rule->axes[rule->naxes++] = (int)axis;
        c = skip_space(end);
        if (*c == ']') break;
        if (*c++ != ',') return false;
    }
    *at = c + 1;
    for (int i = 0; i < rule->naxes; i++)
        if (rule->axes[i] >= rule->naxes) return false;
    return true;
}

static int stars(const char *name) {
    int n = 0;
    for (; *name; name++) n += *name == '*';
    return n;
}

/* Why the line is no rule, or NULL. */
static const char *parse_rule(const char *line, deq_map_rule *rule) {
    rule->ours = take_name(&line, "=");
    line = skip_space(line);
    if (!rule->ours || *line++ != '=') return "expected NAME = NAME";
    rule->theirs = take_name(&line, "'[");
    if (!rule->theirs) return "expected a name after '='";
    if (*line == '\'') rule->transposed = true, line++;
    if (*line == '[' && (rule->transposed || !take_axes(&line, rule)))
        return "expected each axis once, such as [2, 3, 1, 0]";
    line = skip_space(line);
    if (*line && strncmp(line, "//", 2)) return "there is more after the rule";
    bool unused = !strcmp(rule->ours, "_"), kept = !strcmp(rule->theirs, "_");
    if (unused && kept) return "one side is a name";
    if ((unused || kept) && (rule->transposed || rule->naxes)) return "there is nothing to transpose";
    if (!unused && !kept && (stars(rule->ours) > 1 || stars(rule->ours) != stars(rule->theirs)))
        return "one '*' on each side, or none";
    if (kept && stars(rule->ours) > 1) return "one '*' at most";
    char **none = unused ? &rule->ours : kept ? &rule->theirs : NULL;
    if (none) {
        free(*none);
        *none = NULL;
    }
    return NULL;
}

static bool add_rule(deq_map *map, const deq_map_rule *rule) {
    if (map->count == map->cap) {
        int cap = map->cap ? 2 * map->cap : 32;
        deq_map_rule *grown = realloc(map->rules, (size_t)cap * sizeof *grown);
        if (!grown) return false;
        map->rules = grown;
        map->cap = cap;
    }
    map->rules[map->count++] = *rule;
    return true;
}

bool deq_map_parse(const char *path, const char *text, deq_map *out, deq_error *e) {
    deq_error_list wrong = {0};
    *out = (deq_map){.path = strdup(path)};
    if (!out->path) return deq_fail(e, DEQ_MEMORY, "out of memory reading '%s'", path);
    int number = 0;
    for (const char *at = text; *at; number++) {
        const char *end = strchrnul(at, '\n'), *first;
        char *line = strndup(at, (size_t)(end - at));
        deq_map_rule rule = {.line = number + 1};
        at = *end ? end + 1 : end;
        if (!line) return deq_fail(e, DEQ_MEMORY, "out of memory reading '%s'", path);
        first = skip_space(line);
        const char *why = *first && strncmp(first, "//", 2) ? parse_rule(first, &rule) : NULL;
        if (why) deq_error_add(&wrong, "%s:%d: %s", path, rule.line, why);
        for (int i = 0; !why && rule.ours && i < out->count; i++)
            if (out->rules[i].ours && !strcmp(out->rules[i].ours, rule.ours))
                deq_error_add(&wrong, "%s:%d: '%s' has a rule already, in line %d", path, rule.line, rule.ours,
                              out->rules[i].line);
        free(line);
        bool kept = !why && (rule.ours || rule.theirs) && add_rule(out, &rule);
        if (!kept) free(rule.ours), free(rule.theirs);
    }
    if (wrong.count) deq_fail(e, DEQ_WEIGHTS, "mapping file: %s", deq_error_text(&wrong));
    return !wrong.count;
}

/* Generated from stdlib/maps/ by lang/embed.cmake; ends with a NULL path. */
typedef struct ShippedMap {
    const char *path, *text;
    size_t length;
} ShippedMap;
extern const ShippedMap deq_shipped_maps[];
#define SHIPPED "std.maps."

static bool is_shipped(const char *path) { return strncmp(path, SHIPPED, sizeof SHIPPED - 1) == 0; }

char *deq_map_text(const char *path, size_t *size) {
    if (!is_shipped(path)) return deq_read_whole(path, MAP_LIMIT, size);
    for (const ShippedMap *m = deq_shipped_maps; m->path; m++)
        if (!strcmp(m->path, path)) return *size = m->length, strdup(m->text);
    errno = ENOENT;
    return NULL;
}

static bool no_text(const char *path, deq_error *e) {
    const char *why = strerror(errno);
    if (!is_shipped(path)) return deq_fail(e, DEQ_WEIGHTS, "cannot read the mapping file '%s': %s", path, why);
    char names[600] = "";
    for (const ShippedMap *m = deq_shipped_maps; m->path; m++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", *names ? ", " : "", m->path);
    return deq_fail(e, DEQ_WEIGHTS, "there is no map '%s'; the library has %s", path, names);
}

bool deq_map_read(const char *path, deq_map *out, deq_error *e) {
    *out = (deq_map){0};
    if (!path) return true;
    size_t size = 0;
    char *text = deq_map_text(path, &size);
    if (!text) return no_text(path, e);
    bool ok = strlen(text) == size || deq_fail(e, DEQ_WEIGHTS, "the mapping file '%s' holds a zero byte", path);
    ok = ok && deq_map_parse(path, text, out, e);
    free(text);
    if (!ok) deq_map_free(out);
    return ok;
}

void deq_map_free(deq_map *map) {
    for (int i = 0; i < map->count; i++) {
        free(map->rules[i].ours);
        free(map->rules[i].theirs);
    }
    free(map->rules);
    free(map->path);
    *map = (deq_map){0};
}

/* The text that the * of the pattern stands for in `name`; false: they do not match. */
static bool match(const char *pattern, const char *name, const char **from, size_t *length) {
    const char *star = strchr(pattern, '*');
    size_t before = (size_t)(star - pattern), after = strlen(star + 1), whole = strlen(name);
    if (whole < before + after + 1 || strncmp(pattern, name, before) || strcmp(star + 1, name + whole - after))
        return false;
    *from = name + before;
    *length = whole - before - after;
    return true;
}

deq_map_rule *deq_map_find(deq_map *map, const char *ours, char *theirs, size_t size) {
    snprintf(theirs, size, "%s", ours);
    for (int pattern = 0; pattern < 2; pattern++)
        for (int i = 0; i < map->count; i++) {
            deq_map_rule *r = &map->rules[i];
            const char *from = "";
            size_t length = 0;
            if (!r->ours || (strchr(r->ours, '*') != NULL) != (pattern == 1)) continue;
            if (pattern ? !match(r->ours, ours, &from, &length) : strcmp(r->ours, ours) != 0) continue;
            r->used = true;
            if (r->theirs && pattern) {
                const char *star = strchr(r->theirs, '*');
                snprintf(theirs, size, "%.*s%.*s%s", (int)(star - r->theirs), r->theirs, (int)length, from, star + 1);
            } else if (r->theirs) {
                snprintf(theirs, size, "%s", r->theirs);
            }
            return r;
        }
    return NULL;
}

bool deq_map_ignores(const deq_map *map, const char *theirs) {
    for (int i = 0; i < map->count; i++)
        if (!map->rules[i].ours && !fnmatch(map->rules[i].theirs, theirs, FNM_NOESCAPE)) return true;
    return false;
}

bool deq_map_axes(const deq_map_rule *rule, int rank, int axes[DEQ_RANK]) {
    for (int k = 0; k < rank; k++) axes[k] = rule && rule->naxes ? rule->axes[k] : k;
    if (rule && rule->transposed) {
        if (rank < 2) return false;
        axes[rank - 1] = rank - 2;
        axes[rank - 2] = rank - 1;
    }
    return !rule || !rule->naxes || rule->naxes == rank;
}
