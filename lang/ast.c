/* ast.c - making nodes, their names, and the printer behind --emit=ast and the golden tests. */
#include "ast.h"
#include <string.h>

static const char *const kind_names[AST_COUNT] = {
#define NODE(kind, printed, doc) printed,
#define SLOT(kind, index, name)
#include "ast.def"
#undef NODE
#undef SLOT
};

static const struct {
    AstKind kind;
    uint32_t index;
    const char *name;
} slot_names[] = {
#define NODE(kind, printed, doc)
#define SLOT(kind, index, name) {AST_##kind, index, #name},
#include "ast.def"
#undef NODE
#undef SLOT
};

const char *ast_kind_name(AstKind kind) { return (unsigned)kind < AST_COUNT ? kind_names[kind] : "unknown node"; }

Ast *ast_new(Arena *a, AstKind kind, Range range, uint32_t nkids) {
    Ast *node = arena_alloc(a, sizeof *node);
    node->kind = kind;
    node->nkids = nkids;
    node->depth = 1;
    node->range = node->name_range = range;
    if (nkids) node->kids = arena_alloc(a, nkids * sizeof *node->kids);
    return node;
}

static const char *slot_name(AstKind kind, uint32_t index) {
    for (size_t i = 0; i < sizeof slot_names / sizeof *slot_names; i++)
        if (slot_names[i].kind == kind && slot_names[i].index == index) return slot_names[i].name;
    return NULL;
}

static void print_text(const char *text, FILE *out) {
    fputc('"', out);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '\n')
            fputs("\\n", out);
        else if (c == '\t')
            fputs("\\t", out);
        else if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20)
            fprintf(out, "\\x%02x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

/* kind  slot=  "name"  line:column-line:column  doc="..." ; a NUMBER prints its spelling, a BOOL its value. */
static void print_node(const Ast *node, const char *slot, int indent, FILE *out) {
    fprintf(out, "%*s", indent * 2, "");
    if (slot) fprintf(out, "%s: ", slot);
    if (!node) {
        fputs("-\n", out);
        return;
    }
    fputs(ast_kind_name(node->kind), out);
    if (node->kind == AST_STRING && node->name) {
        fputc(' ', out);
        print_text(node->name, out);
    } else if (node->kind == AST_BOOL) {
        fputs(node->number != 0 ? " true" : " false", out);
    } else if (node->name) {
        fprintf(out, " %s", node->name);
    }
    if (node->range.source) {
        Position start = source_position(node->range.source, node->range.start);
        Position end = source_position(node->range.source, node->range.end);
        fprintf(out, " @%u:%u-%u:%u", start.line, start.column, end.line, end.column);
    }
    if (node->doc) {
        fputs(" doc=", out);
        print_text(node->doc, out);
    }
    fputc('\n', out);
    for (uint32_t i = 0; i < node->nkids; i++) {
        const char *name = slot_name(node->kind, i);
        if (node->kids[i] || name) print_node(node->kids[i], name, indent + 1, out);
    }
}

void ast_print(const Ast *unit, FILE *out) { print_node(unit, NULL, 0, out); }

static bool append_path(const Ast *node, char *buffer, size_t size, size_t *n) {
    if (node->kind == AST_MEMBER) {
        const Ast *base = AST_SLOT(node, MEMBER, base);
        if (!base || !append_path(base, buffer, size, n) || *n + 1 >= size) return false;
        buffer[(*n)++] = '.';
    } else if (node->kind != AST_NAME) {
        return false;
    }
    size_t length = strlen(node->name);
    if (*n + length >= size) return false;
    memcpy(buffer + *n, node->name, length + 1);
    *n += length;
    return true;
}

bool ast_is_infinity(const Ast *node) { return node && node->kind == AST_NAME && strcmp(node->name, "inf") == 0; }

const Ast *ast_argument(const Ast *args, const Ast *params, uint32_t i) {
    for (uint32_t k = 0; k < args->nkids; k++)
        if (args->kids[k]->name && strcmp(args->kids[k]->name, params->kids[i]->name) == 0) return args->kids[k];
    return i < args->nkids && !args->kids[i]->name ? args->kids[i] : NULL;
}

bool ast_path(const Ast *node, char *buffer, size_t size) {
    size_t n = 0;
    return node && append_path(node, buffer, size, &n);
}

Ast *ast_setting(const Ast *list, const char *key) {
    for (uint32_t i = 0; list && i < list->nkids; i++) {
        const Ast *name = list->kids[i]->kind == AST_SETTING ? AST_SLOT(list->kids[i], SETTING, key) : NULL;
        if (name && name->kind == AST_NAME && strcmp(name->name, key) == 0) return list->kids[i];
    }
    return NULL;
}

Ast *ast_setting_value(const Ast *list, const char *key) {
    const Ast *setting = ast_setting(list, key);
    return setting ? AST_SLOT(setting, SETTING, value) : NULL;
}

bool ast_declares(const Ast *d) {
    switch (d->kind) {
    case AST_CONST:
    case AST_FN:
    case AST_LAYER:
    case AST_DATA:
    case AST_ATTACK_DEF:
    case AST_ATTACK:
    case AST_DEFENCE_DEF:
    case AST_DEFENCE:
    case AST_OPTIMISER_DEF:
    case AST_OPTIMISER:
    case AST_SCHEDULE_DEF:
    case AST_SCHEDULE:
    case AST_TRAIN:
    case AST_GRADIENT:
    case AST_EXPERIMENT: return d->name != NULL;
    default: return false;
    }
}

Ast *ast_params(const Ast *d) {
    switch (d->kind) {
    case AST_FN: return AST_SLOT(d, FN, inputs);
    case AST_LAYER: return AST_SLOT(d, LAYER, inputs);
    case AST_ATTACK_DEF: return AST_SLOT(d, ATTACK_DEF, inputs);
    case AST_DEFENCE_DEF: return AST_SLOT(d, DEFENCE_DEF, inputs);
    case AST_OPTIMISER_DEF: return AST_SLOT(d, OPTIMISER_DEF, inputs);
    case AST_SCHEDULE_DEF: return AST_SLOT(d, SCHEDULE_DEF, inputs);
    default: return NULL;
    }
}
