/* answer_tokens.c - the kind of every name, as the protocol wants it: five numbers each, places relative to the last. */
#include "answers.h"
#include "tables.h"
#include "type.h"
#include <string.h>

typedef enum Token {
#define REQUEST(id, method, capability, doc)
#define NOTICE(id, method, doc)
#define TOKEN(id, name) TOKEN_##id,
#include "lsp.def"
#undef REQUEST
#undef NOTICE
#undef TOKEN
    TOKENS
} Token;

static Token token_of(const Mention *m) {
    const Ast *d = m->decl;
    if (!d) { /* the language's own */
        const char *name = m->node->name;
        const Builtin *b = name && m->node->kind == AST_NAME ? builtin_find(name, CTX_ANY) : NULL;
        if (m->node->kind == AST_ARG) return TOKEN_parameter;
        if (b) return builtin_is_value(b) ? TOKEN_variable : TOKEN_function;
        if (name &&
            (solver_find(name) || mode_find(name) || penalty_find(name) || finish_find(name) || reader_find(name)))
            return TOKEN_word;
        return TOKENS;
    }
    switch (d->kind) {
    case AST_IMPORT: return TOKEN_module;
    case AST_LAYER: return TOKEN_layer;
    case AST_FN:
    case AST_ATTACK_DEF:
    case AST_DEFENCE_DEF:
    case AST_OPTIMISER_DEF:
    case AST_SCHEDULE_DEF:
    case AST_GRADIENT: return TOKEN_function;
    case AST_BINDING: return TOKEN_parameter;
    case AST_PARAM:
    case AST_BUFFER: return TOKEN_weight;
    case AST_SIZE_PARAM: return TOKEN_size;
    case AST_ERROR: return TOKENS;
    default: return TOKEN_variable;
    }
}

json_t *answer_tokens(Server *s, const json_t *params, Refusal *why) {
    Document *d = document_asked(s, params, why);
    if (!d) return NULL;
    json_t *data = json_array();
    Spot last = {0, 0};
    for (uint32_t i = 0; i < d->now->places.n; i++) {
        const Mention *m = &d->now->places.mentions[i];
        const Token token = token_of(m);
        if (token == TOKENS) continue;
        const Spot start = offset_spot(d->now->source, m->at.start), end = offset_spot(d->now->source, m->at.end);
        if (end.line != start.line) continue; /* std . layers over several lines */
        const uint32_t five[] = {start.line - last.line,
                                 start.line == last.line ? start.character - last.character : start.character,
                                 end.character - start.character, (uint32_t)token, 0};
        for (int k = 0; k < 5; k++) json_array_append_new(data, json_integer(five[k]));
        last = start;
    }
    return json_pack("{s:o}", "data", data);
}
