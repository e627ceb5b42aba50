/* layout.c - from raw tokens to what the grammar sees: ends of statements, matched brackets, documentation.
 *
 * Lines.  A newline ends a statement (SEP) outside ( ) and [ ], after a token that can end one, unless the next line
 * goes on with something no statement begins with (an operator, `then`, `{`, ...).  `}` ends the statement before it.
 *
 * Brackets.  The parser always sees balanced brackets: a forgotten one is reported once, at the bracket that lacks its
 * partner, and closed where the next statement or declaration begins, so that one slip is one error. */
#include "syntax.h"
#include "parse.h"
#include <string.h>

static bool ends_statement(int t) {
    switch (t) {
    case T_IDENT:
    case T_NUMBER:
    case T_STRING:
    case T_TRUE:
    case T_FALSE:
    case T_RETURN:
    case ')':
    case ']':
    case '}':
    case '\'': return true;
    }
    return t >= T_POINT && t <= T_STATE; /* unreserved keywords are names */
}

bool scan_is_reserved(int t) { return t >= T_IMPORT && t <= T_ON; }

static bool in_brackets(const Parser *ps) { return ps->nbrackets && ps->brackets[ps->nbrackets - 1].kind != '{'; }

static uint32_t braces(const Parser *ps) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < ps->nbrackets; i++) n += ps->brackets[i].kind == '{';
    return n;
}

/* Number of brackets up to and including the innermost '{'; 0 if none is open. */
static uint32_t brace_level(const Parser *ps) {
    uint32_t n = ps->nbrackets;
    while (n && ps->brackets[n - 1].kind != '{') n--;
    return n;
}

static char closer(char opener) { return opener == '(' ? ')' : opener == '[' ? ']' : '}'; }

Range syntax_range(const Parser *ps, Loc at) { return (Range){ps->source, at.start, at.end}; }

Diagnostic *syntax_error(Parser *ps, DiagCode code, Loc at, const char *format, ...) {
    if (!ps->diags || ps->stop) return NULL;
    if (++ps->errors >= MAX_SYNTAX_ERRORS) ps->stop = true;
    if (code == DIAG_E0102 || code == DIAG_E0103) {
        const char *end = memchr(ps->source->text + at.start, '\n', ps->source->length - at.start);
        ps->muted_until = end ? (uint32_t)(end - ps->source->text) : ps->source->length;
    }
    va_list args;
    va_start(args, format);
    const char *message = arena_vprintf(ps->arena, format, args);
    va_end(args);
    return diag_report(ps->diags, code, syntax_range(ps, at), "%s", message);
}

/* ---- documentation ---- */

static void doc_line(Parser *ps) {
    Loc at = ps->raw_at;
    bool adjacent = ps->doc.end && at.start > ps->doc.end;
    for (uint32_t i = ps->doc.end, lines = 0; adjacent && i < at.start; i++)
        if (ps->source->text[i] == '\n' && ++lines > 1) adjacent = false;
    if (adjacent) {
        ps->doc.end = at.end;
        return;
    }
    if (ps->doc.end && !ps->last && !ps->module_doc.end) ps->module_doc = ps->doc; /* a block of its own at the top */
    ps->doc = (DocBlock){at.start, at.end, 0};
}

static void attach_doc(Parser *ps, uint32_t next) {
    if (!ps->doc.end) return;
    ps->doc.next = next;
    *ARENA_PUSH(ps->arena, ps->docs, ps->ndocs, ps->docs_cap) = ps->doc;
    ps->doc = (DocBlock){0};
}

const char *scan_doc_text(Parser *ps, DocBlock block) {
    char *text = arena_alloc(ps->arena, block.end - block.start + 1), *out = text;
    for (const char *p = ps->source->text + block.start, *end = ps->source->text + block.end; p < end;) {
        const char *line_end = memchr(p, '\n', (size_t)(end - p));
        if (!line_end) line_end = end;
        while (p < line_end && *p != '/') p++;
        p += 3;
        if (p < line_end && *p == ' ') p++;
        const char *stop = line_end;
        while (stop > p && (stop[-1] == ' ' || stop[-1] == '\r' || stop[-1] == '\t')) stop--;
        if (out != text) *out++ = '\n';
        if (stop > p) {
            memcpy(out, p, (size_t)(stop - p));
            out += stop - p;
        }
        p = line_end + 1;
    }
    *out = 0;
    return text;
}

/* ---- lines ---- */

static const char *skip_blank(const char *p) {
    while (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\f') p++;
    return p;
}

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c >= '0' && c <= '9');
}

static bool word_at(const char *p, const char *word) {
    size_t n = strlen(word);
    return !strncmp(p, word, n) && !is_word(p[n]);
}

/* Does the text after this newline continue the statement? */
static bool continued(Parser *ps) {
    if (ps->pos <= ps->continued_until) return true;
    const char *p = ps->source->text + ps->pos;
    for (;;) {
        p = skip_blank(p);
        if (*p == '\n')
            p++;
        else if (p[0] == '/' && p[1] == '/' && (p[2] != '/' || p[3] == '/'))
            p += strcspn(p, "\n");
        else
            break;
    }
    static const char *const words[] = {"then", "else", "and", "or", "with", "under", "in", "on"};
    bool yes = *p && strchr("+-*@<>=!.{|", *p) && (p[0] != '.' || p[1] != '.'); /* `..r` begins a statement */
    yes |= p[0] == '/' && p[1] != '/';
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) yes |= word_at(p, words[i]);
    if (yes) ps->continued_until = (uint32_t)(p - ps->source->text);
    return yes;
}

/* ---- tokens out ---- */

static int emit(Parser *ps, int token, Loc at, bool synthetic, Loc *out) {
    ps->before_last = ps->last;
    ps->before_last_end = ps->last_end;
    ps->last = token;
    ps->last_end = at.end;
    ps->synthetic = synthetic;
    *out = at;
    return token;
}

static bool needs_separator(const Parser *ps) { return ps->last && ps->last != T_SEP && ps->last != '{'; }

/* True: a SEP was given.  False: it would stand inside a construct that recovery skips. */
static bool separate(Parser *ps, Loc *out) {
    if (ps->recovering && braces(ps) > ps->recover_braces) {
        ps->last = T_SEP;
        return false;
    }
    ps->recovering = false;
    emit(ps, T_SEP, (Loc){ps->last_end, ps->last_end}, false, out);
    return true;
}

static void report_unclosed(Parser *ps, const char *found) {
    Bracket *b = &ps->brackets[ps->nbrackets - 1];
    uint32_t at = b->at;
    if (b->kind == '{') ps->unbalanced = true;
    if (!b->reported) {
        /* A '}' that is indented unlike the line of its '{' probably belongs to an outer one: that '{' lacks its own.
         */
        bool moved = b->kind == '{' && ps->odd_close;
        if (moved) at = ps->odd_open;
        Diagnostic *d = syntax_error(ps, DIAG_E0105, (Loc){at, at + 1}, "'%c' is never closed", b->kind);
        Loc odd = {ps->odd_close, ps->odd_close + 1};
        if (d && moved)
            diag_note(d, syntax_range(ps, odd), "this '}' closes it, but is indented for an outer one");
        else if (d)
            diag_help(d, "add '%c' before %s", closer(b->kind), found);
    }
    for (uint32_t i = 0; i < ps->nbrackets; i++) ps->brackets[i].reported = true; /* one slip, one error */
}

/* Closes the innermost bracket for the parser; 0 if nothing was given yet. */
static int close_top(Parser *ps, Loc *out) {
    Bracket *b = &ps->brackets[ps->nbrackets - 1];
    ps->held = true;
    ps->closing = true;
    if (b->kind == '{' && needs_separator(ps)) return separate(ps, out) ? T_SEP : 0;
    char c = closer(b->kind);
    ps->nbrackets--;
    return emit(ps, c, (Loc){ps->last_end, ps->last_end}, true, out);
}

/* Does a declaration begin at this word, in column 1?  Then every open bracket was forgotten. */
static bool starts_declaration(const Parser *ps) {
    if (ps->raw_at.start != ps->line_begin) return false;
    switch (ps->raw) {
    case T_IMPORT:
    case T_LAYER: return true;
    case T_DATA:
    case T_ATTACK:
    case T_DEFENCE:
    case T_OPTIMISER:
    case T_SCHEDULE:
    case T_GRADIENT:
    case T_EXPERIMENT:
    case T_CONST:
    case T_TEST:
    case T_CHECK: {
        const char *p = skip_blank(ps->source->text + ps->raw_at.end); /* a name after a name: never inside a block */
        return p > ps->source->text + ps->raw_at.end && (*p == '"' || is_word(*p));
    }
    }
    return false;
}

/* A reserved word that begins a statement, as the first of its line. */
static bool starts_statement(const Parser *ps) {
    switch (ps->raw) {
    case T_LET:
    case T_PARAM:
    case T_USE:
    case T_FOR:
    case T_FIXED:
    case T_IMPORT:
    case T_LAYER:
    case T_FN: return true;
    case T_RETURN: return *skip_blank(ps->source->text + ps->raw_at.end) != ':'; /* f(return: best) */
    }
    return false;
}

/* Number of brackets to keep open before this token. */
static uint32_t level_for(const Parser *ps) {
    if (!ps->nbrackets || !ps->raw_first) return ps->nbrackets;
    if (starts_declaration(ps)) return 0;
    if (!in_brackets(ps)) return ps->nbrackets;
    const Bracket *b = &ps->brackets[ps->nbrackets - 1];
    const bool further_in = ps->raw_at.start - ps->line_begin > b->indent;
    if (ps->raw == T_FOR && b->kind == '[' && further_in)
        return ps->nbrackets; /* [f(n) for n in A] on lines of its own */
    if (starts_statement(ps)) return brace_level(ps);
    /* Two operands in a row, the second no further in than the line of the bracket: a new statement. */
    bool word = is_word(ps->source->text[ps->raw_at.start]) && !(scan_is_reserved(ps->raw) && ps->raw != T_NOT);
    if (word && ends_statement(ps->last) && !further_in) return brace_level(ps);
    return ps->nbrackets;
}

static int open_bracket(Parser *ps, char c, Loc *out) {
    if (ps->nbrackets == MAX_NESTING) {
        Diagnostic *d = syntax_error(ps, DIAG_E0104, ps->raw_at, "brackets are nested more than %d deep", MAX_NESTING);
        if (d) diag_help(d, "name the inner parts with 'let'");
        ps->stop = true;
        return 0;
    }
    ps->brackets[ps->nbrackets++] = (Bracket){.kind = c, .at = ps->raw_at.start, .indent = ps->indent};
    return emit(ps, c, ps->raw_at, false, out);
}

/* 0: the bracket was dropped, or another token must come first. */
static int close_bracket(Parser *ps, char c, Loc *out) {
    char opener = c == ')' ? '(' : c == ']' ? '[' : '{';
    uint32_t floor = c == '}' ? 0 : brace_level(ps), partner = ps->nbrackets;
    while (partner > floor && ps->brackets[partner - 1].kind != opener) partner--;
    if (partner > floor && partner < ps->nbrackets) {
        report_unclosed(ps, c == '}' ? "this '}'" : c == ')' ? "this ')'" : "this ']'");
        return close_top(ps, out);
    }
    if (partner == floor) {
        if (c != '}' && in_brackets(ps)) { /* f(a] */
            Bracket *b = &ps->brackets[ps->nbrackets - 1];
            Diagnostic *d =
                b->reported ? NULL
                            : syntax_error(ps, DIAG_E0105, ps->raw_at, "expected '%c', found '%c'", closer(b->kind), c);
            if (d) diag_note(d, syntax_range(ps, (Loc){b->at, b->at + 1}), "to close this '%c'", b->kind);
            ps->nbrackets--;
            return emit(ps, closer(b->kind), ps->raw_at, false, out);
        }
        if (!ps->recovering) syntax_error(ps, DIAG_E0105, ps->raw_at, "'%c' closes nothing", c);
        if (c == '}') ps->unbalanced = true;
        return 0;
    }
    if (c == '}') {
        if (needs_separator(ps)) {
            ps->held = true;
            return separate(ps, out) ? T_SEP : 0;
        }
        Bracket *b = &ps->brackets[ps->nbrackets - 1];
        if (ps->raw_first && !ps->odd_close && ps->raw_at.start - ps->line_begin != b->indent) {
            ps->odd_open = b->at;
            ps->odd_close = ps->raw_at.start;
        }
    }
    ps->nbrackets--;
    return emit(ps, c, ps->raw_at, false, out);
}

/* `repeat` begins a statement only where one can begin, and not before what makes it a name. */
static int repeat_or_name(const Parser *ps) {
    bool start = !needs_separator(ps);
    const char *p = skip_blank(ps->source->text + ps->raw_at.end);
    return start && (*p == '(' || *p == '"' || is_word(*p)) ? T_REPEAT : T_IDENT;
}

int scan_next(Parser *ps, Loc *out) {
    for (;;) {
        if (ps->stop) {
            *out = (Loc){ps->last_end, ps->last_end};
            return T_END;
        }
        if (!ps->held) {
            ps->raw = deq_raw(ps->flex);
            if (ps->raw == 0) ps->raw_at = (Loc){ps->source->length, ps->source->length};
            ps->raw_first = false;
            if (ps->raw > 0 && ps->line_start) {
                ps->raw_first = true;
                ps->line_start = false;
                ps->indent = ps->raw_at.start - ps->line_begin;
            }
        }
        ps->held = false;
        int token = ps->raw;
        switch (token) {
        case RAW_NEWLINE:
            ps->line_start = true;
            ps->line_begin = ps->pos;
            if (!in_brackets(ps) && ends_statement(ps->last) && !continued(ps) && separate(ps, out)) return T_SEP;
            continue;
        case RAW_DOC:
            if (ps->line_start) doc_line(ps);
            continue;
        case RAW_COMMENT: continue;
        case 0:
            if (ps->nbrackets) {
                report_unclosed(ps, "the end of the file");
                if ((token = close_top(ps, out))) return token;
                continue;
            }
            if (needs_separator(ps)) {
                ps->held = true;
                if (separate(ps, out)) return T_SEP;
                continue;
            }
            if (ps->doc.end && !ps->last && !ps->module_doc.end) ps->module_doc = ps->doc;
            *out = (Loc){ps->last_end, ps->last_end};
            return T_END;
        }

        uint32_t level = level_for(ps);
        if (level < ps->nbrackets) {
            report_unclosed(ps, level ? "the next statement" : "the next declaration");
            if ((token = close_top(ps, out))) return token;
            continue;
        }
        /* The statement before this one ended with a bracket that had to be closed, or is incomplete. */
        if (ps->raw_first && token != '}' && needs_separator(ps) && !in_brackets(ps) &&
            (ps->closing || starts_statement(ps) || starts_declaration(ps))) {
            ps->held = true;
            if (separate(ps, out)) return T_SEP;
            continue;
        }
        ps->closing = false;
        attach_doc(ps, ps->raw_at.start);
        switch (token) {
        case '(':
        case '[':
        case '{': token = open_bracket(ps, (char)token, out); break;
        case ')':
        case ']':
        case '}': token = close_bracket(ps, (char)token, out); break;
        case ';':
            if (!in_brackets(ps)) {
                token = needs_separator(ps) && separate(ps, out) ? T_SEP : 0;
                break;
            }
            token = emit(ps, ';', ps->raw_at, false, out);
            break;
        default:
            if (ps->last == '.' && is_word(ps->source->text[ps->raw_at.start]) && token != T_NUMBER)
                token = T_IDENT;
            else if (token == T_REPEAT)
                token = repeat_or_name(ps);
            token = emit(ps, token, ps->raw_at, false, out);
        }
        if (token) return token;
    }
}

void scan_syntax_error(Parser *ps, int token) {
    /* The statement around the error is skipped.  Where the next line begins inside a bracket, the bracket is
     * taken as closed; everything between braces that open after the error belongs to what is skipped. */
    if (token == T_SEP || token == T_END) return;
    if (ps->raw_first && in_brackets(ps)) ps->nbrackets = brace_level(ps);
    for (uint32_t i = brace_level(ps); i < ps->nbrackets; i++) ps->brackets[i].reported = true;
    ps->recovering = true;
    ps->recover_braces = braces(ps) - (token == '{');
}
