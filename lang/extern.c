/* extern.c - see extern.h. */
#include "extern.h"
#include "type.h"
#include <string.h>

typedef struct Fields {
    Arena *arena;
    ExternField *items;
    uint32_t n, cap;
} Fields;

/* "[H, H]" of "f32[H, H]" */
static const char *shape_of(Arena *a, const Type *t) {
    const char *bracket = t ? strchr(type_text(a, t), '[') : NULL;
    return bracket ? bracket : "";
}

static void add(Fields *f, ExternKind kind, const Ast *decl) {
    *ARENA_PUSH(f->arena, f->items, f->n, f->cap) =
        (ExternField){kind, decl->name, kind <= EXTERN_NUMBER ? "" : shape_of(f->arena, decl->type), decl};
}

static void add_sizes(Fields *f, const Ast *list) {
    for (uint32_t k = 0; list && k < list->nkids; k++) add(f, EXTERN_SIZE, list->kids[k]);
}

static void add_inputs(Fields *f, const Ast *list, ExternKind kind) {
    for (uint32_t k = 0; list && k < list->nkids; k++) {
        const Ast *b = list->kids[k];
        if (b->kind != AST_BINDING || !b->type) continue;
        bool number = AST_SLOT(b, BINDING, fallback) || b->type->kind == TYPE_NUMBER || b->type->elem == ELEM_INT;
        if (number ? b->type->rank == 0 && b->type->elem != ELEM_BOOL && b->type->elem != ELEM_LABEL
                   : type_is_real(b->type))
            if (kind == (number ? EXTERN_NUMBER : EXTERN_INPUT)) add(f, kind, b);
    }
}

static void add_items(Fields *f, const Ast *body, AstKind item, ExternKind kind) {
    for (uint32_t k = 0; body && k < body->nkids; k++) {
        if (body->kids[k]->kind != item) continue;
        const Ast *state = item == AST_FIXED ? AST_SLOT(body->kids[k], FIXED, state) : NULL;
        if (!state) add(f, kind, body->kids[k]);
        for (uint32_t i = 0; state && i < state->nkids; i++) add(f, kind, state->kids[i]);
    }
}

static const char *signature_of(const Fields *f) {
    static const char *const words[] = {"size", "number", "param", "buffer", "input", "state"};
    const char *text = "";
    for (uint32_t k = 0; k < f->n; k++)
        text = arena_printf(f->arena, "%s%s%s %s%s", text, k ? "; " : "", words[f->items[k].kind], f->items[k].name,
                            f->items[k].shape);
    return text;
}

bool extern_gradient(Arena *a, const Ast *gradient, ExternGradient *out) {
    const Ast *symbol = gradient->kind == AST_GRADIENT ? AST_SLOT(gradient, GRADIENT, symbol) : NULL;
    const Ast *target = symbol ? AST_SLOT(gradient, GRADIENT, target) : NULL, *layer = target ? target->ref : NULL;
    if (!layer || layer->kind != AST_LAYER) return false;
    const Ast *sizes = AST_SLOT(layer, LAYER, sizes), *params = AST_SLOT(layer, LAYER, inputs);
    const Ast *body = AST_SLOT(layer, LAYER, body);
    Fields f = {.arena = a};
    if (sizes) add_sizes(&f, AST_SLOT(sizes, SIZES, given)), add_sizes(&f, AST_SLOT(sizes, SIZES, inferred));
    for (ExternKind kind = EXTERN_NUMBER; kind <= EXTERN_INPUT; kind++) {
        if (kind == EXTERN_PARAM) add_items(&f, body, AST_PARAM, kind);
        if (kind == EXTERN_BUFFER) add_items(&f, body, AST_BUFFER, kind);
        if (kind == EXTERN_PARAM || kind == EXTERN_BUFFER) continue;
        for (uint32_t part = 0; params && part < 2; part++) add_inputs(&f, params->kids[part], kind);
    }
    add_items(&f, body, AST_FIXED, EXTERN_STATE);
    *out = (ExternGradient){symbol->name, signature_of(&f), f.items, f.n};
    return true;
}

/* ---- the header ---- */

/* A name that C reserves, or that another member has, gets a `_`. */
static const char *member(const ExternGradient *g, Arena *a, uint32_t field, const char *prefix) {
    static const char *const reserved[] = {
        "auto",     "break",  "case",     "char",  "const",    "continue", "default", "do",
        "double",   "enum",   "extern",   "float", "goto",     "inline",   "int",     "long",
        "register", "signed", "restrict", "short", "sizeof",   "static",   "struct",  "switch",
        "typedef",  "union",  "unsigned", "void",  "volatile", "while",    "call"};
    const char *name = arena_printf(a, "%s%s", prefix, g->fields[field].name);
    bool taken = false;
    for (size_t k = 0; k < sizeof reserved / sizeof *reserved; k++) taken = taken || !strcmp(name, reserved[k]);
    for (uint32_t k = 0; *prefix && k < g->nfields; k++) taken = taken || !strcmp(name, g->fields[k].name);
    return taken ? arena_printf(a, "%s_", name) : name;
}

static void print_member(FILE *out, const char *type, const char *name, const ExternField *f, const char *what) {
    int width = fprintf(out, "    %s%s;", type, name);
    fprintf(out, "%*s/* %s%s%s */\n", width < 32 ? 32 - width : 1, "", f->shape, *f->shape ? " " : "", what);
}

static void print_gradient(FILE *out, Arena *a, const Ast *gradient, const ExternGradient *g) {
    fprintf(out,
            "/* gradient %s of %s.  Write DEQ_GRADIENT(%s) { .. return 0; } */\n"
            "#define %s_signature \"%s\"\ntypedef struct %s_call {\n    deq_gradient_call call;\n",
            gradient->name, AST_SLOT(gradient, GRADIENT, target)->name, g->symbol, g->symbol, g->signature, g->symbol);
    for (uint32_t k = 0; k < g->nfields; k++) {
        static const char *const types[] = {"int64_t ",         "double ",          "const deq_real *",
                                            "const deq_real *", "const deq_real *", "const deq_real *"};
        static const char *const what[] = {"size", "number", "param", "buffer", "input", "equilibrium"};
        print_member(out, types[g->fields[k].kind], member(g, a, k, ""), &g->fields[k], what[g->fields[k].kind]);
    }
    for (uint32_t k = 0; k < g->nfields; k++)
        if (g->fields[k].kind == EXTERN_STATE)
            print_member(out, "const deq_real *", member(g, a, k, "d_"), &g->fields[k], "its cotangent");
    for (uint32_t k = 0; k < g->nfields; k++)
        if (g->fields[k].kind == EXTERN_INPUT)
            print_member(out, "deq_real *", member(g, a, k, "d_"), &g->fields[k], "to write");
    for (uint32_t k = 0; k < g->nfields; k++)
        if (g->fields[k].kind == EXTERN_PARAM)
            print_member(out, "deq_real *", member(g, a, k, "d_"), &g->fields[k], "to write, unless it is NULL");
    fprintf(out, "} %s_call;\n\n", g->symbol);
}

bool extern_header(const Program *program, FILE *out) {
    bool any = false;
    for (uint32_t m = 0; m < program->nmodules; m++) {
        const Ast *unit = program->modules[m]->unit;
        for (uint32_t k = 0; k < unit->nkids; k++) {
            ExternGradient g;
            if (!extern_gradient(program->arena, unit->kids[k], &g)) continue;
            if (!any)
                fprintf(
                    out,
                    "/* Gradients in C that %s declares; made by deq header.  Compile with -DDEQ_REAL_BITS=32\n"
                    " * for deq run, with 64 for deq test, gradcheck and compare, and link both: see deq_gradient.h. "
                    "*/\n"
                    "#ifdef __cplusplus\n#error \"this header is for C\"\n#endif\n"
                    "#include \"deq_gradient.h\"\n\n",
                    program->main->path);
            any = true;
            print_gradient(out, program->arena, unit->kids[k], &g);
        }
    }
    return any;
}
