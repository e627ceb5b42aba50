/* page_markdown.c - the Markdown that deq itself writes, as HTML: headings, paragraphs, lists and tables. */
#include "page.h"
#include <stdlib.h>
#include <string.h>

typedef enum Block { NOTHING, PARAGRAPH, LIST, TABLE } Block;

static const char *const begins[] = {"", "<p>", "<ul>\n", "<div class=\"wide\"><table>\n"};
static const char *const ends[] = {"", "</p>\n", "</ul>\n", "</tbody></table></div>\n"};

typedef struct Writer {
    FILE *out;
    Block block;
    int row; /* of the table */
} Writer;

static void go_to(Writer *w, Block block) {
    if (w->block == block) return;
    fputs(ends[w->block], w->out);
    fputs(begins[block], w->out);
    w->block = block;
    w->row = 0;
}

/* Text in which what stands between two stars on either side is bold; stars without a partner stay. */
static void put_text(FILE *out, char *text) {
    for (char *start, *end; (start = strstr(text, "**")) && (end = strstr(start + 2, "**")); text = end + 2) {
        *start = *end = 0;
        page_text(out, text);
        fputs("<b>", out);
        page_text(out, start + 2);
        fputs("</b>", out);
    }
    page_text(out, text);
}

/* "|--:|" and its like: the line between the titles and the rows. */
static bool is_rule(const char *line) { return strspn(line, "|:- ") == strlen(line); }

/* Ends the cell that `text` begins with, at a bar that is none of its text, "\\|", and takes the backslashes of those
 * away.  Returns what is behind it; NULL: nothing. */
static char *end_cell(char *text) {
    char *to = text;
    for (; *text && *text != '|'; text++) {
        if (*text == '\\' && text[1] == '|') text++;
        *to++ = *text;
    }
    char *next = *text ? text + 1 : NULL;
    *to = 0;
    return next;
}

/* One row: "| a | b |"; cells of titles are `th`. */
static void put_row(Writer *w, char *line) {
    const char *cell = w->row ? "td" : "th";
    if (is_rule(line)) return;
    fputs(w->row ? "<tr>" : "<thead><tr>", w->out);
    for (char *text = line + 1, *next; text && *text; text = next) {
        next = end_cell(text);
        text += strspn(text, " ");
        for (size_t n = strlen(text); n && text[n - 1] == ' ';) text[--n] = 0;
        fprintf(w->out, "<%s>", cell);
        put_text(w->out, text);
        fprintf(w->out, "</%s>", cell);
    }
    fputs(w->row ? "</tr>\n" : "</tr></thead><tbody>\n", w->out);
    w->row++;
}

static void put_line(Writer *w, char *line) {
    const size_t level = strspn(line, "#");
    if (!*line) {
        go_to(w, NOTHING);
    } else if (level && line[level] == ' ') {
        const int heading = level < 4 ? (int)level + 1 : 5; /* the page has its own first heading */
        go_to(w, NOTHING);
        fprintf(w->out, "<h%d>", heading);
        page_text(w->out, line + level + 1);
        fprintf(w->out, "</h%d>\n", heading);
    } else if (*line == '|') {
        go_to(w, TABLE);
        put_row(w, line);
    } else if (!strncmp(line, "- ", 2)) {
        go_to(w, LIST);
        fputs("<li>", w->out);
        put_text(w->out, line + 2);
        fputs("</li>\n", w->out);
    } else {
        go_to(w, PARAGRAPH);
        put_text(w->out, line);
        fputc('\n', w->out);
    }
}

void page_markdown(FILE *out, const char *markdown) {
    Writer w = {.out = out};
    char *copy = strdup(markdown);
    for (char *line = copy, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = 0;
        put_line(&w, line);
    }
    go_to(&w, NOTHING);
    free(copy);
}
