/* context.c - what a place in a text calls for: found by looking back from it, so that the text need not parse. */
#include "answers.h"
#include "type.h"
#include <ctype.h>
#include <string.h>

enum { LOOK_BACK = 64 << 10 };

static bool is_word(char c) { return isalnum((unsigned char)c) || c == '_'; }

/* The text from `from` up to the place with comments and strings as blanks; *silent: the place is inside of one. */
static char *code_before(Arena *a, const Source *s, uint32_t from, uint32_t offset, bool *silent) {
    char *code = arena_strndup(a, s->text + from, offset - from);
    bool comment = false, string = false;
    for (char *p = code; *p; p++) {
        bool was = comment || string;
        if (*p == '\n') {
            comment = string = was = false;
        } else if (string) {
            string = *p != '"';
            if (*p == '\\' && p[1] && p[1] != '\n') *p++ = ' ';
        } else if (!comment) {
            comment = p[0] == '/' && p[1] == '/';
            string = *p == '"';
        }
        if (was || comment || string) *p = ' ';
    }
    *silent = comment || string;
    return code;
}

static bool ends_with_word(const char *code, const char *end, const char *word) {
    size_t n = strlen(word);
    return (size_t)(end - code) >= n && strncmp(end - n, word, n) == 0 &&
           (end - n == code || !is_word(end[-(long)n - 1]));
}

/* The dotted name that ends at `end`, sizes in [ ] left out: "layers.Dense" of layers.Dense[4, 2]. */
static const char *name_before(Arena *a, const char *code, const char *end) {
    while (end > code && end[-1] == ' ') end--;
    if (end > code && end[-1] == ']') {
        int depth = 0;
        while (end > code) {
            end--;
            depth += *end == ']' ? 1 : *end == '[' ? -1 : 0;
            if (!depth) break;
        }
    }
    const char *start = end;
    while (start > code && (is_word(start[-1]) || start[-1] == '.')) start--;
    return start == end ? NULL : arena_strndup(a, start, (size_t)(end - start));
}

/* `name:` that the text between holds alone: what stands behind it is the value. */
static const char *key_of(Arena *a, const char *start, const char *end) {
    const char *colon = memchr(start, ':', (size_t)(end - start));
    if (!colon) return NULL;
    while (start < colon && isspace((unsigned char)*start)) start++;
    const char *stop = colon;
    while (stop > start && stop[-1] == ' ') stop--;
    for (const char *p = start; p < stop; p++)
        if (!is_word(*p) && *p != '.') return NULL;
    return stop > start ? arena_strndup(a, start, (size_t)(stop - start)) : NULL;
}

/* Whether the place behind `part` is that of a type: `param W: `, or in `fn f(` behind the name of an input. */
static bool calls_for_type(Arena *a, const char *code, const char *part, const char *word, bool in_call) {
    static const char *const statements[] = {"let", "param", "buffer", "state", "const", "data"};
    static const char *const callables[] = {"fn", "layer", "attack", "defence", "optimiser", "schedule"};
    const char *const *words = in_call ? callables : statements;
    const char *start = part;
    while (in_call && start > code && start[-1] != '\n') start--;
    while (start < word && isspace((unsigned char)*start)) start++;
    for (int i = 0; i < 6; i++) {
        size_t n = strlen(words[i]);
        if (strncmp(start, words[i], n) != 0 || start[n] != ' ') continue;
        const char *colon = key_of(a, in_call ? part : start + n, word)
                                ? memchr(in_call ? part : start, ':', (size_t)(word - start))
                                : NULL;
        return colon && !memchr(colon, '=', (size_t)(word - colon)) &&
               strspn(colon + 1, " ") == (size_t)(word - colon - 1);
    }
    return false;
}

static void look_at_import(Arena *a, const char *line, const char *end, Context *c) {
    while (line < end && *line == ' ') line++;
    if (strncmp(line, "import ", 7) != 0 || end - line < 7) return;
    const char *bracket = memchr(line, '(', (size_t)(end - line));
    if (!bracket) {
        c->import = "";
        return;
    }
    const char *start = line + 7;
    while (start < bracket && *start == ' ') start++;
    const char *stop = start;
    while (stop < bracket && (is_word(*stop) || *stop == '.')) stop++;
    c->import = arena_strndup(a, start, (size_t)(stop - start));
}

/* Whether a statement or declaration begins here, so that a bracket above it was forgotten. */
static bool starts_statement(const char *p) {
    static const char *const words[] = {"let",        "param",   "buffer",    "use",    "return", "fixed",
                                        "for",        "layer",   "fn",        "import", "train",  "attack",
                                        "experiment", "data",    "table",     "state",  "repeat", "sweep",
                                        "const",      "defence", "optimiser", "test",   "check",  "figure"};
    while (*p == ' ' || *p == '\t') p++;
    size_t n = 0;
    while (is_word(p[n])) n++;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (n == strlen(words[i]) && strncmp(p, words[i], n) == 0) return p[n] == ' ';
    return false;
}

/* The ( or [ that is open at the word; NULL: there is none in its statement.  *argument: where the argument begins that
 * holds the word, behind so many commas. */
static const char *bracket_around(const char *code, const char *word, const char **argument, uint32_t *commas) {
    int depth = 0; /* of brackets that are closed again */
    *argument = NULL, *commas = 0;
    for (const char *p = word; p > code; p--) {
        switch (p[-1]) {
        case ')':
        case ']':
        case '}': depth++; break;
        case '{':
            if (!depth) return NULL;
            depth--;
            break;
        case '(':
        case '[':
            if (depth) {
                depth--;
                break;
            }
            if (!*argument) *argument = p;
            return p - 1;
        case ',':
            if (depth) break;
            if (!*argument) *argument = p;
            ++*commas;
            break;
        case '\n':
            if (starts_statement(p)) return NULL;
            break;
        }
    }
    return NULL;
}

Context context_at(Arena *a, const Source *s, uint32_t offset) {
    Context c = {0};
    uint32_t from = offset > LOOK_BACK ? offset - LOOK_BACK : 0;
    while (from > 0 && s->text[from - 1] != '\n') from--;
    const char *code = code_before(a, s, from, offset, &c.silent), *end = code + (offset - from), *word = end;
    while (word > code && is_word(word[-1])) word--;
    c.word = offset - (uint32_t)(end - word);
    if (c.silent) return c;
    if (word > code && word[-1] == '.' && !(word - 1 > code && word[-2] == '.')) {
        const char *path = name_before(a, code, word - 1);
        c.path = path ? path : "";
        if (isdigit((unsigned char)*c.path)) c.path = NULL, c.silent = true; /* 4. is a number that goes on */
    }
    const char *part, *bracket = bracket_around(code, word, &part, &c.argument);
    const bool in_call = bracket != NULL;
    if (in_call && *bracket == '(') c.callee = name_before(a, code, bracket);
    if (!in_call) {
        c.argument = 0;
        part = word;
        while (part > code && !strchr("\n{;", part[-1])) part--;
    }
    const char *key = key_of(a, part, word);
    if (in_call)
        c.named = key;
    else
        c.key = key;
    const char *blank = part;
    while (blank < word && isspace((unsigned char)*blank)) blank++;
    c.begins = !in_call && blank == word;
    const char *before = word;
    while (before > code && before[-1] == ' ') before--;
    c.type = ends_with_word(code, before, "->") || calls_for_type(a, code, part, word, in_call);
    const char *line = word;
    while (line > code && line[-1] != '\n') line--;
    look_at_import(a, line, word, &c);
    return c;
}

/* ---- blocks of settings ---- */

static const char *block_of(const Ast *const *around, uint32_t n) {
    for (uint32_t k = n; k-- > 0;) {
        switch (around[k]->kind) {
        case AST_TRAIN: return "train";
        case AST_TABLE: return "table";
        case AST_FIGURE: return "figure";
        case AST_TEST: return "test";
        case AST_CHECK: return "check";
        case AST_FIXED: return "fixed";
        case AST_EXPERIMENT: return "experiment";
        case AST_WITH: {
            const Ast *base = AST_SLOT(around[k], WITH, base);
            return base && base->type && base->type->kind == TYPE_ATTACK ? "attack_with" : "net_with";
        }
        case AST_RECORD: return "train";
        case AST_LAYER:
        case AST_FN:
        case AST_ATTACK_DEF: return "";
        default: break;
        }
    }
    return NULL;
}

const char *block_at(const Document *d, uint32_t offset) {
    const Ast *around[128];
    uint32_t n = places_around(d->now->module, offset, around, 128);
    const char *block = block_of(around, n);
    if (block || !d->good || d->good == d->now) return block;
    return block_of(around, places_around(d->good->module, document_to_good(d, offset), around, 128));
}

/* ---- names ---- */

static const Ast *visible_in(Arena *a, const Analysis *n, uint32_t offset, const char *name, bool *found) {
    uint32_t count;
    const Visible *all = places_visible(a, n->module, offset, &count);
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(all[i].name, name) == 0) return *found = true, all[i].decl;
    return NULL;
}

const Ast *declaration_at(Arena *a, Document *d, uint32_t offset, const char *path, const Analysis **from) {
    const char *first = arena_strndup(a, path, strcspn(path, "."));
    bool found = false;
    *from = d->now;
    const Ast *decl = visible_in(a, d->now, offset, first, &found);
    if (!found && d->good && d->good != d->now) {
        *from = d->good;
        decl = visible_in(a, d->good, document_to_good(d, offset), first, &found);
    }
    if (!path[strlen(first)] || !decl) return decl;
    if (decl->kind != AST_IMPORT) return NULL;
    const Module *m = imported_by((*from)->module, decl);
    return m ? module_find(m, path + strlen(first) + 1, NULL) : NULL;
}

/* ---- rows of the tables ---- */

const deq_family *family_of(Kind kind) {
    switch (kind) {
    case KIND_FORWARD: return &deq_solver_family;
    case KIND_MODE:
    case KIND_MODES:
    case KIND_REFERENCE: return &deq_mode_family;
    case KIND_FINISH: return &deq_finish_family;
    case KIND_PENALTY: return &deq_penalty_family;
    case KIND_CLIP: return &deq_clip_family;
    case KIND_AVERAGE: return &deq_average_family;
    case KIND_REPLAY: return &deq_replay_family;
    case KIND_INTERMEDIATE: return &deq_intermediate_family;
    default: return NULL;
    }
}

const deq_row *language_row(const char *name, const deq_family **family) {
    static const deq_family *const all[] = {&deq_solver_family,   &deq_mode_family,        &deq_finish_family,
                                            &deq_penalty_family,  &deq_initialiser_family, &deq_reader_family,
                                            &deq_transform_family};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const deq_row *row = deq_row_find(all[i], deq_part_of(name));
        if (row) return *family = all[i], row;
    }
    return NULL;
}

const char *row_help(Arena *a, const deq_family *f, const deq_row *row) {
    const char *text = arena_printf(a, "`%s`: %s of the language", row->name, f->what);
    const deq_argument *one;
    for (int i = 0; (one = deq_argument_at(f, row, 0, i)); i++)
        text = arena_printf(a, "%s\n- `%s`: %s", text, one->name, one->doc);
    return text;
}
