/* table_latex.c - an experiment's table for a paper: LaTeX with booktabs. */
#include "table.h"
#include <math.h>
#include <string.h>

static void put(FILE *out, const char *text) {
    for (; *text; text++) {
        const char *special = strchr("&%$#_{}", *text);
        if (special)
            fprintf(out, "\\%c", *text);
        else if (*text == '\\')
            fputs("\\textbackslash{}", out);
        else if (*text == '~' || *text == '^')
            fprintf(out, "\\%c{}", *text);
        else
            fputc(*text, out);
    }
}

/* How many columns from c on are one value, spread over sweeps. */
static int spread(const deq_table *t, int c) {
    int n = 1;
    if (!t->columns[c].value) return 1;
    while (c + n < t->ncolumns && t->columns[c + n].value && !strcmp(t->columns[c + n].value, t->columns[c].value)) n++;
    return n;
}

static void head(FILE *out, const deq_table *t) {
    bool two = false;
    for (int c = 0; c < t->ncolumns; c++) two = two || t->columns[c].value;
    for (int r = 0; two && r < t->nrows; r++) fputs(r ? " & " : "", out);
    for (int c = 0; two && c < t->ncolumns; c += spread(t, c)) {
        fputs(c || t->nrows ? " & " : "", out);
        if (!t->columns[c].value) continue;
        fprintf(out, "\\multicolumn{%d}{c}{", spread(t, c));
        put(out, t->columns[c].value);
        fputc('}', out);
    }
    if (two) fputs(" \\\\\n", out);
    for (int c = 0; two && c < t->ncolumns; c += spread(t, c))
        if (t->columns[c].value) fprintf(out, "\\cmidrule(lr){%d-%d}", t->nrows + c + 1, t->nrows + c + spread(t, c));
    if (two) fputc('\n', out);
    for (int r = 0; r < t->nrows; r++) fputs(r ? " & " : "", out), put(out, t->axes[t->rows[r]]);
    for (int c = 0; c < t->ncolumns; c++) {
        fputs(c || t->nrows ? " & " : "", out);
        put(out, t->columns[c].under ? t->columns[c].under : t->columns[c].title);
    }
    fputs(" \\\\\n\\midrule\n", out);
}

void deq_table_latex(FILE *out, const deq_table *t) {
    fprintf(out, "%% %s of %s.  \\usepackage{booktabs}\n\\begin{tabular}{", t->name, t->experiment);
    for (int r = 0; r < t->nrows; r++) fputc('l', out);
    for (int c = 0; c < t->ncolumns; c++) fputc('r', out);
    fputs("}\n\\toprule\n", out);
    head(out, t);
    for (int i = 0; i < t->ncells; i++) {
        if (!deq_table_first(t, i)) continue;
        for (int r = 0; r < t->nrows; r++) fputs(r ? " & " : "", out), put(out, t->cells[i].coordinates[t->rows[r]]);
        for (int c = 0; c < t->ncolumns; c++) {
            char text[DEQ_TABLE_TEXT];
            deq_table_text(t, i, c, text);
            const bool bold = deq_table_bold(t, i, c);
            fputs(c || t->nrows ? " & " : "", out);
            if (bold) fputs("\\textbf{", out);
            for (char *at = text, *sign; *at; at = sign) { /* the two signs that text and LaTeX write otherwise */
                sign = strstr(at, "±");
                if (!sign) sign = at + strlen(at);
                const char end = *sign;
                *sign = 0;
                put(out, at);
                *sign = end;
                if (end) fputs("$\\pm$", out), sign += strlen("±");
            }
            if (bold) fputc('}', out);
        }
        fputs(" \\\\\n", out);
    }
    fputs("\\bottomrule\n\\end{tabular}\n", out);
}
