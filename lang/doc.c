/* doc.c - `deq doc` and `deq explain`. */
#include "doc.h"
#include "tables.h"
#include <string.h>

/* Where the signature ends and the body begins. */
static uint32_t signature_end(const Ast *d) {
    const Ast *last = NULL;
    switch (d->kind) {
    case AST_FN: last = AST_SLOT(d, FN, result); break;
    case AST_LAYER: last = AST_SLOT(d, LAYER, result); break;
    case AST_ATTACK_DEF:
    case AST_DEFENCE_DEF:
    case AST_OPTIMISER_DEF:
    case AST_SCHEDULE_DEF: last = ast_params(d); break;
    case AST_GRADIENT:
        last = AST_SLOT(d, GRADIENT, symbol) ? AST_SLOT(d, GRADIENT, symbol) : AST_SLOT(d, GRADIENT, target);
        break;
    case AST_TRAIN: last = AST_SLOT(d, TRAIN, data); break;
    case AST_EXPERIMENT: return d->name_range.end;
    default: break;
    }
    return last ? last->range.end : d->range.end;
}

/* The source text on one line, comments left out. */
static void print_signature(Range r, FILE *out) {
    const char *p = r.source->text + r.start, *end = r.source->text + r.end;
    bool gap = false, string = false;
    char last = 0;
    while (p < end) {
        if (!string && p[0] == '/' && p + 1 < end && p[1] == '/') {
            while (p < end && *p != '\n') p++;
            continue;
        }
        if (!string && strchr(" \t\r\n\f", *p)) {
            gap = true;
            p++;
            continue;
        }
        if (*p == '"' && last != '\\') string = !string;
        if (gap && last && !strchr("([", last) && !strchr(")]", *p)) fputc(' ', out);
        gap = false;
        last = *p;
        fputc(*p++, out);
    }
}

void document_signature(const Ast *d, FILE *out) {
    print_signature((Range){d->range.source, d->range.start, signature_end(d)}, out);
}

/* A record of settings: line for line, as it is written. */
static bool print_record(const Ast *d, FILE *out) {
    const Ast *value = d->kind == AST_CONST ? AST_SLOT(d, CONST, value) : NULL;
    if (!value || value->kind != AST_RECORD) return false;
    fwrite(d->range.source->text + d->range.start, 1, d->range.end - d->range.start, out);
    return true;
}

/* Documented params, buffers and functions of a layer, and states of an attack, as a list. */
static void print_items(const Ast *d, FILE *out) {
    const Ast *body = d->nkids ? d->kids[d->nkids - 1] : NULL;
    bool any = false;
    for (uint32_t i = 0; body && body->kind == AST_LIST && i < body->nkids; i++) {
        const Ast *item = body->kids[i];
        if (!item->doc || !item->name) continue;
        fprintf(out, "%s- `", any ? "" : "\n");
        any = true;
        document_signature(item, out);
        fputs("`: ", out);
        for (const char *p = item->doc; *p; p++) fputc(*p == '\n' ? ' ' : *p, out);
        fputc('\n', out);
    }
}

void document_module(const Module *m, FILE *out) {
    fprintf(out, "# %s\n", m->path);
    if (m->unit->doc) fprintf(out, "\n%s\n", m->unit->doc);
    for (uint32_t i = 0; i < m->unit->nkids; i++) {
        const Ast *d = m->unit->kids[i];
        if (!ast_declares(d)) continue;
        fprintf(out, "\n## %s\n\n```\n", d->name);
        if (!print_record(d, out)) document_signature(d, out);
        fputs("\n```\n", out);
        if (d->doc) fprintf(out, "\n%s\n", d->doc);
        print_items(d, out);
    }
}

/* Where a row of builtin.def is known, in words. */
static const struct {
    unsigned contexts;
    const char *title;
} places[] = {
    {CTX_ATTACK, "In an attack"},
    {CTX_OPTIMISER | CTX_SCHEDULE, "In an optimiser or schedule"},
    {CTX_DEFENCE, "In a defence"},
    {CTX_INIT, "Initialisers of a param or buffer"},
    {CTX_GRADIENT, "In a gradient by hand"},
    {CTX_LAYER, "In a layer"},
    {CTX_PIPELINE, "In experiments, tests and checks"},
};

void document_builtins(FILE *out) {
    fputs("# builtins\n\nNames that no module declares.\n\n## Everywhere\n\n", out);
    for (const Builtin *b = builtin_table; b->name; b++)
        if (b->contexts == CTX_ANY) fprintf(out, "- `%s`: %s\n", b->signature, b->doc);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        fprintf(out, "\n## %s\n\n", places[i].title);
        for (const Builtin *b = builtin_table; b->name; b++)
            if (b->contexts != CTX_ANY && b->contexts & places[i].contexts)
                fprintf(out, "- `%s`: %s\n", b->signature, b->doc);
    }
}

bool explain_code(const char *name, FILE *out) {
    DiagCode code;
    if (!diag_code_find(name, &code)) return false;
    fprintf(out, "%s: %s\n\n%s\n", diag_code_name(code), diag_code_title(code), diag_code_explanation(code));
    return true;
}

void explain_list(FILE *out) {
    for (int i = 0; i < DIAG_COUNT; i++)
        fprintf(out, "%s  %s\n", diag_code_name((DiagCode)i), diag_code_title((DiagCode)i));
}
