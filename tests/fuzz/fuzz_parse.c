/* fuzz_parse.c - any bytes: no crash, no hang, and what holds for every program:
 * an error is reported exactly when the tree has an ERROR; every range lies in the text; a program without errors can
 * be formatted, keeps its hash by it, and formatting again changes nothing. */
#include "fuzz.h"
#include "fmt.h"
#include "doc.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool check_tree(const Ast *node, uint32_t depth) {
    FUZZ_REQUIRE(depth < AST_MAX_DEPTH + 2);
    FUZZ_REQUIRE(node->range.start <= node->range.end && node->range.end <= node->range.source->length);
    FUZZ_REQUIRE(node->name_range.end <= node->range.source->length);
    bool error = node->kind == AST_ERROR;
    for (uint32_t i = 0; i < node->nkids; i++)
        if (node->kids[i]) {
            FUZZ_REQUIRE(node->kids[i]->depth < node->depth);
            error |= check_tree(node->kids[i], depth + 1);
        }
    return error;
}

static char *format(const Program *p) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    FUZZ_REQUIRE(out != NULL);
    FUZZ_REQUIRE(format_module(p->main->source, p->main->unit, out));
    fclose(out);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = fuzz_text(data, size);
    Arena *a = arena_new();
    Diags *ds = diags_new(a);
    /* Only this text: an import is an error here, and not one of syntax. */
    Program *p = program_load_text(a, ds, "fuzz.deq", text);
    bool broken = check_tree(p->main->unit, 1);
    FUZZ_REQUIRE(!broken || diags_errors(ds) > 0);

    char *printed = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&printed, &length);
    FUZZ_REQUIRE(out != NULL);
    diags_print(ds, out, true);
    diags_print_json(ds, out);
    ast_print(p->main->unit, out);
    document_module(p->main, out);
    fclose(out);
    free(printed);

    if (!broken) {
        char *once = format(p);
        Program *q = program_load_text(a, diags_new(a), "fuzz.deq", once);
        FUZZ_REQUIRE(!check_tree(q->main->unit, 1));
        FUZZ_REQUIRE(!strcmp(program_hash(p), program_hash(q)));
        char *twice = format(q);
        FUZZ_REQUIRE(!strcmp(once, twice));
        free(once);
        free(twice);
    }
    arena_free(a);
    free(text);
    return 0;
}
