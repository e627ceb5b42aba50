/* fmt.c - the formatter works on tokens, not on the tree: what it does not understand it cannot lose.
 *
 * 1. collect: tokens and comments in order, each with the line breaks before it
 * 2. lay out: cut into lines, choose the spaces between neighbours
 * 3. align: columns over runs of neighbouring lines of one kind
 * 4. verify that the tokens are the same as before */
#include "fmt.h"
#include "syntax.h"
#include "parse.h"
#include <stdlib.h>
#include <string.h>

enum { INDENT = 2, MAX_PADDING = 16, COMMENT_GAP = 2, MAX_COMMENT_PADDING = 40 };

typedef struct Item {
    int token; /* T_..., or 0 for a comment */
    uint32_t start, end;
    uint32_t newlines; /* before it in the source */
    bool statement;    /* a SEP stands before it */
    bool broken;       /* '{' whose block takes several lines */
    uint32_t partner;  /* index of the other bracket */
} Item;

typedef enum Column { NO_COLUMN, SETTING_COLUMN, PARAM_COLUMN, USE_COLUMN } Column;

typedef struct Line {
    uint32_t indent, length, text_cap;
    char *text;
    const char *comment; /* trailing, or NULL */
    uint32_t comment_length;
    bool blank_before;
    bool whole;    /* a statement of its own, begun and ended on this line */
    Column column; /* what is aligned with the lines around it */
    uint32_t at;   /* where padding goes in */
} Line;

typedef struct Formatter {
    Arena *arena;
    const Source *source;
    Item *items;
    uint32_t nitems, items_cap;
    Line *lines;
    uint32_t nlines, lines_cap;
} Formatter;

/* ---- 1. tokens and comments ---- */

/* Comments between two tokens; returns the line breaks after the last of them. */
static uint32_t collect_gap(Formatter *f, uint32_t from, uint32_t to) {
    const char *text = f->source->text;
    uint32_t newlines = 0;
    for (uint32_t i = from; i < to;) {
        if (text[i] == '\n') newlines++;
        if (text[i] != '/') {
            i++;
            continue;
        }
        uint32_t end = i;
        while (end < to && text[end] != '\n') end++;
        uint32_t next = end;
        while (end > i && strchr(" \t\r\f", text[end - 1])) end--;
        *ARENA_PUSH(f->arena, f->items, f->nitems, f->items_cap) = (Item){.start = i, .end = end, .newlines = newlines};
        newlines = 0;
        i = next;
    }
    return newlines;
}

static void collect(Formatter *f) {
    Parser *ps = arena_alloc(f->arena, sizeof *ps);
    scan_begin(ps, f->arena, NULL, f->source);
    uint32_t before = 0, stack[MAX_NESTING], depth = 0;
    bool statement = true;
    Loc at;
    for (int token; (token = scan_next(ps, &at)) != T_END;) {
        if (token == T_SEP) {
            statement = true;
            continue;
        }
        uint32_t newlines = collect_gap(f, before, at.start), self = f->nitems;
        *ARENA_PUSH(f->arena, f->items, f->nitems, f->items_cap) =
            (Item){.token = token, .start = at.start, .end = at.end, .newlines = newlines, .statement = statement};
        if (strchr("([{", token) && token < 128) {
            if (depth == MAX_NESTING) ICE("brackets are not matched");
            stack[depth++] = self;
        } else if (strchr(")]}", token) && token < 128) {
            if (!depth) ICE("brackets are not matched");
            uint32_t open = f->items[self].partner = stack[--depth];
            f->items[open].partner = self;
            for (uint32_t i = open + 1; i <= self; i++)
                f->items[open].broken |= f->items[i].newlines || !f->items[i].token;
        }
        before = at.end;
        statement = token == '{';
    }
    collect_gap(f, before, f->source->length);
    scan_end(ps);
}

/* ---- 2. lines ---- */

static bool is_open(int t) { return t == '(' || t == '[' || t == '{'; }
static bool is_close(int t) { return t == ')' || t == ']' || t == '}'; }
static bool is_name(int t) { return t == T_IDENT || (t >= T_POINT && t <= T_STATE); }

/* Can an operand end with this token?  Decides between the two kinds of '-' and of '('. */
static bool ends_operand(int t) {
    return is_name(t) || is_close(t) || t == T_NUMBER || t == T_STRING || t == T_TRUE || t == T_FALSE || t == '\'';
}

static bool spaced(const Formatter *f, uint32_t i, int first_of_statement) {
    int a = f->items[i - 1].token, b = f->items[i].token, before = i >= 2 ? f->items[i - 2].token : 0;
    if (b == '}') return a != '{';
    if (a == '{' || b == '{') return true;
    if (is_open(a) || is_close(b) || b == ',' || b == ';' || b == ':') return false;
    if (b == T_RANGE) return a == ','; /* f32[C, ..S], and 0..4 */
    if (a == '.' || b == '.' || a == T_RANGE || b == '\'') return false;
    if (a == '-' && !ends_operand(before)) return false; /* a sign */
    if (b == '(' || b == '[') {
        if (first_of_statement == T_IMPORT && b == '(') return true;
        if (a == T_POINT && before == T_FIXED) return true;
        if (a == T_FN) return false; /* a type: fn(T) -> T */
        if (a == T_BY && ends_operand(before)) return true;
        return !ends_operand(a);
    }
    return true;
}

static void append(Formatter *f, Line *line, const char *text, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) *ARENA_PUSH(f->arena, line->text, line->length, line->text_cap) = text[i];
}

static Line *new_line(Formatter *f, uint32_t indent, bool blank) {
    Line *line = ARENA_PUSH(f->arena, f->lines, f->nlines, f->lines_cap);
    *line = (Line){.indent = indent, .blank_before = blank && f->nlines > 1};
    return line;
}

/* Does item i begin a new line? */
static bool breaks(const Formatter *f, uint32_t i, const Item *block) {
    const Item *item = &f->items[i], *previous = &f->items[i - 1];
    if (!item->token) return item->newlines > 0;
    if (!previous->token) return true;
    if (item->token == '{') return false;
    if (previous->token == '{') return previous->broken;
    if (item->token == '}') return f->items[item->partner].broken;
    if (item->statement) return !block || block->broken;
    return item->newlines > 0;
}

static uint32_t next_token(const Formatter *f, uint32_t i) {
    while (i < f->nitems && !f->items[i].token) i++;
    return i;
}

/* The column that a statement beginning at item i takes part in. */
static Column column_of(const Formatter *f, uint32_t i) {
    int t = f->items[i].token, next = i + 1 < f->nitems ? f->items[i + 1].token : 0;
    if (t == T_PARAM || (t == T_BUFFER && is_name(next))) return PARAM_COLUMN;
    if (t == T_USE) return USE_COLUMN;
    if (!is_name(t) || is_name(next) || next == T_STRING) return NO_COLUMN;
    for (uint32_t k = i + 1; k < f->nitems && !f->items[k].statement; k++) {
        t = f->items[k].token;
        if (t == ':') return SETTING_COLUMN;
        if (t == '(' || t == '[')
            k = f->items[k].partner;
        else if (t != '.' && !is_name(t))
            return NO_COLUMN;
    }
    return NO_COLUMN;
}

typedef struct Open {
    const Item *item;
    uint32_t indent; /* of the line it stands on */
} Open;

static void lay_out(Formatter *f) {
    Open *stack = arena_alloc(f->arena, (MAX_NESTING + 1) * sizeof *stack);
    uint32_t depth = 0, column_depth = 0;
    int first = 0; /* token that began the statement */
    Line *line = NULL;
    for (uint32_t i = 0; i < f->nitems; i++) {
        const Item *item = &f->items[i];
        const char *text = f->source->text + item->start;
        const Item *block = depth ? stack[depth - 1].item : NULL;
        bool statement = item->statement && !is_close(item->token);
        bool broken = i == 0 || breaks(f, i, block);
        if (broken) {
            uint32_t indent = depth ? stack[depth - 1].indent + INDENT : 0, next = next_token(f, i);
            bool after_open = i && f->items[i - 1].token == '{', last = next == f->nitems;
            if (is_close(item->token))
                indent = stack[depth - 1].indent;
            else if (!last && !f->items[next].statement && !is_close(f->items[next].token) &&
                     (!block || block->token == '{'))
                indent += INDENT; /* goes on with the statement of the line before */
            if (line) line->whole &= last || f->items[next].statement || f->items[next].token == '}';
            line = new_line(f, indent, item->newlines > 1 && !after_open && item->token != '}');
            line->whole = statement;
        }
        if (statement) first = item->token;
        if (!item->token) {
            if (broken) {
                append(f, line, text, item->end - item->start);
            } else {
                line->comment = text;
                line->comment_length = item->end - item->start;
            }
            continue;
        }
        if (!broken && statement && i && f->items[i - 1].token != '{')
            append(f, line, "; ", 2);
        else if (!broken && spaced(f, i, first))
            append(f, line, " ", 1);
        if (broken && statement) {
            line->column = column_of(f, i);
            column_depth = depth;
        }
        if (line->column && !line->at && depth == column_depth) {
            if (line->column == SETTING_COLUMN && item->token == ':')
                line->at = line->length + 1;
            else if (line->column != SETTING_COLUMN && item->token == '=')
                line->at = line->length;
        }
        append(f, line, text, item->end - item->start);
        if (is_open(item->token)) {
            if (depth == MAX_NESTING) ICE("brackets are not matched");
            stack[depth++] = (Open){item, line->indent};
        } else if (is_close(item->token)) {
            depth--;
        }
    }
}

/* ---- 3. columns ---- */

static void pad(Formatter *f, Line *line, uint32_t n) {
    char *text = arena_alloc(f->arena, line->length + n + 1);
    memcpy(text, line->text, line->at);
    memset(text + line->at, ' ', n);
    memcpy(text + line->at + n, line->text + line->at, line->length - line->at);
    line->text = text;
    line->length += n;
    line->text_cap = line->length;
}

static bool same_run(const Line *a, const Line *b) {
    return b->column == a->column && b->indent == a->indent && b->whole && b->at && !b->blank_before;
}

static void align_columns(Formatter *f) {
    for (uint32_t i = 0, end; i < f->nlines; i = end) {
        Line *first = &f->lines[i];
        end = i + 1;
        if (!first->column || !first->whole || !first->at) continue;
        uint32_t least = first->at, most = first->at;
        for (; end < f->nlines && same_run(first, &f->lines[end]); end++) {
            if (f->lines[end].at < least) least = f->lines[end].at;
            if (f->lines[end].at > most) most = f->lines[end].at;
        }
        if (most - least > MAX_PADDING) continue;
        for (uint32_t k = i; k < end; k++) pad(f, &f->lines[k], most - f->lines[k].at);
    }
}

static uint32_t width(const Line *line) {
    uint32_t n = line->indent;
    for (uint32_t i = 0; i < line->length; i++) n += ((unsigned char)line->text[i] & 0xc0) != 0x80;
    return n;
}

static void align_comments(Formatter *f) {
    for (uint32_t i = 0, end; i < f->nlines; i = end) {
        end = i + 1;
        if (!f->lines[i].comment) continue;
        uint32_t least = width(&f->lines[i]), most = least;
        for (; end < f->nlines && f->lines[end].comment && !f->lines[end].blank_before; end++) {
            uint32_t w = width(&f->lines[end]);
            if (w < least) least = w;
            if (w > most) most = w;
        }
        for (uint32_t k = i; k < end; k++) {
            Line *line = &f->lines[k];
            uint32_t gap = COMMENT_GAP + (most - least > MAX_COMMENT_PADDING ? 0 : most - width(line));
            while (gap--) append(f, line, " ", 1);
            append(f, line, line->comment, line->comment_length);
        }
    }
}

/* ---- 4. the whole ---- */

static bool has_error(const Ast *node) {
    if (!node) return false;
    if (node->kind == AST_ERROR) return true;
    for (uint32_t i = 0; i < node->nkids; i++)
        if (has_error(node->kids[i])) return true;
    return false;
}

static bool same_tokens(Arena *a, const Source *left, const Source *right) {
    Parser *p = arena_alloc(a, sizeof *p), *q = arena_alloc(a, sizeof *q);
    scan_begin(p, a, NULL, left);
    scan_begin(q, a, NULL, right);
    bool same = true;
    for (Loc at, to; same;) {
        int s = scan_next(p, &at), t = scan_next(q, &to);
        same = s == t && (s == T_SEP || (at.end - at.start == to.end - to.start &&
                                         !memcmp(left->text + at.start, right->text + to.start, at.end - at.start)));
        if (s == T_END) break;
    }
    scan_end(p);
    scan_end(q);
    return same;
}

bool format_module(const Source *s, const Ast *unit, FILE *out) {
    if (has_error(unit)) return false;
    Formatter f = {.arena = arena_new(), .source = s};
    collect(&f);
    lay_out(&f);
    align_columns(&f);
    align_comments(&f);
    char *text = NULL;
    size_t length = 0;
    FILE *memory = open_memstream(&text, &length);
    if (!memory) ICE("out of memory");
    for (uint32_t i = 0; i < f.nlines; i++) {
        const Line *line = &f.lines[i];
        if (line->blank_before) fputc('\n', memory);
        fprintf(memory, "%*s%.*s\n", (int)line->indent, "", (int)line->length, line->text);
    }
    fclose(memory);
    if (!same_tokens(f.arena, s, source_from_text(f.arena, s->path, text)))
        ICE("formatting would change '%s'", s->path);
    fwrite(text, 1, length, out);
    free(text);
    arena_free(f.arena);
    return true;
}
