#define _GNU_SOURCE
#include "table.h"
#include "number.h"
#include "result_files.h"
#include "seal.h"
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef char Text[DEQ_TABLE_TEXT];

/* By place: two values of a sweep may be called alike. */
static bool same_row(const deq_table *t, int a, int b) { return t->cells[a].row == t->cells[b].row; }

static bool counts(const deq_table *t, int cell, int column, int i) {
    const bool *repeats = t->cells[i].repeats;
    return same_row(t, i, cell) && !(repeats && repeats[column]);
}

bool deq_table_first(const deq_table *t, int cell) {
    for (int i = 0; i < cell; i++)
        if (same_row(t, i, cell)) return false;
    return true;
}

bool deq_table_bold(const deq_table *t, int cell, int column) {
    bool bold = t->cells[cell].bold && t->cells[cell].bold[column];
    for (int i = cell + 1; bold && i < t->ncells; i++) bold = !same_row(t, i, cell) || t->cells[i].bold[column];
    return bold;
}

typedef struct Mean {
    double mean, deviation;
    int n;
    deq_interval interval; /* of a single cell */
} Mean;

static Mean mean_of(const deq_table *t, int cell, int column) {
    Mean m = {0, 0, 0, t->cells[cell].intervals[column]};
    for (int i = cell; i < t->ncells; i++)
        if (counts(t, cell, column, i)) m.mean += t->cells[i].values[column], m.n++;
    m.mean /= m.n;
    for (int i = cell; i < t->ncells; i++)
        if (counts(t, cell, column, i))
            m.deviation += (t->cells[i].values[column] - m.mean) * (t->cells[i].values[column] - m.mean);
    m.deviation = m.n > 1 ? sqrt(m.deviation / (m.n - 1)) : NAN;
    return m;
}

/* As many decimals as the deviation has something to say about, at most four digits of the mean. */
static void print_spread(Text out, Mean m) {
    char mean[DEQ_NUMBER_TEXT], deviation[DEQ_NUMBER_TEXT];
    if (fabs(m.mean) < 0.01 || fabs(m.mean) >= 1e5 || !(m.deviation > 0)) {
        snprintf(out, sizeof(Text), "%s ± %s", deq_number_text(m.mean, 3, mean),
                 deq_number_text(m.deviation, 2, deviation));
        return;
    }
    int decimals = 1 - (int)floor(log10(m.deviation)), most = 3 - (int)floor(log10(fabs(m.mean)));
    if (decimals > most) decimals = most;
    if (decimals < 0) decimals = 0;
    snprintf(out, sizeof(Text), "%.*f ± %.*f", decimals, m.mean, decimals, m.deviation);
}

static const char *name_of(const deq_table_column *c, double place) {
    return isnan(place) ? "-" : c->names[(int)place];
}

/* "early", or "early (2 of 3)" where not all of a row's runs have it. */
static void print_name(Text out, const deq_table_column *c, double place, int count, int n) {
    if (count == n)
        snprintf(out, sizeof(Text), "%s", name_of(c, place));
    else
        snprintf(out, sizeof(Text), "%s (%d of %d)", name_of(c, place), count, n);
}

/* The worst word of a row's runs, and of how many it is: "masked (2 of 3)". */
static void print_worst(Text out, const deq_table *t, int cell, int column) {
    const deq_table_column *c = &t->columns[column];
    double worst = NAN;
    int n = 0, count = 0;
    for (int i = cell; i < t->ncells; i++) {
        const double value = t->cells[i].values[column];
        if (!counts(t, cell, column, i) || isnan(value)) continue;
        if (!(value <= worst)) worst = value, count = 0;
        count += value == worst;
        n++;
    }
    print_name(out, c, worst, count, n);
}

/* The choice of most of a row's runs, of equally many the first, and of how many it is: "early (2 of 3)". */
static void print_most(Text out, const deq_table *t, int cell, int column) {
    const deq_table_column *c = &t->columns[column];
    double most = NAN;
    int n = 0, count = 0;
    for (int i = cell; i < t->ncells; i++) {
        const double value = t->cells[i].values[column];
        if (!counts(t, cell, column, i) || isnan(value)) continue;
        int same = 0;
        for (int k = cell; k < t->ncells; k++)
            same += counts(t, cell, column, k) && t->cells[k].values[column] == value;
        if (same > count) most = value, count = same;
        n++;
    }
    print_name(out, c, most, count, n);
}

static void print_value(Text out, Mean m, const deq_table_column *c, bool deviation) {
    const deq_interval *i = &m.interval;
    const bool percent = c->percent;
    char text[DEQ_NUMBER_TEXT], low[DEQ_NUMBER_TEXT], high[DEQ_NUMBER_TEXT];
    bool interval = m.n == 1 && !isnan(i->low);
    if (isnan(m.mean))
        snprintf(out, sizeof(Text), "-");
    else if (percent && deviation && m.n > 1)
        snprintf(out, sizeof(Text), "%.1f ± %.1f%%", 100 * m.mean, 100 * m.deviation);
    else if (percent && interval)
        snprintf(out, sizeof(Text), "%.1f%% [%.1f, %.1f]", 100 * m.mean, 100 * i->low, 100 * i->high);
    else if (percent)
        snprintf(out, sizeof(Text), "%.1f%%", 100 * m.mean);
    else if (deviation && m.n > 1)
        print_spread(out, m);
    else if (interval)
        snprintf(out, sizeof(Text), "%s [%s, %s]", deq_number_text(m.mean, 3, text), deq_number_text(i->low, 3, low),
                 deq_number_text(i->high, 3, high));
    else
        snprintf(out, sizeof(Text), "%s", deq_number_text(m.mean, 3, text));
}

void deq_table_text(const deq_table *t, int cell, int column, char out[DEQ_TABLE_TEXT]) {
    if (t->columns[column].ordered)
        print_worst(out, t, cell, column);
    else if (t->columns[column].names)
        print_most(out, t, cell, column);
    else
        print_value(out, mean_of(t, cell, column), &t->columns[column], t->mean_std);
}

static void make_bold(Text text) {
    Text copy;
    memcpy(copy, text, sizeof copy);
    snprintf(text, sizeof(Text), "**%.*s**", (int)sizeof(Text) - 5, copy);
}

/* Columns on the screen, counting UTF-8 characters, as deq_markdown_cell writes it. */
static int width(const char *text) {
    int n = 0;
    for (; *text; text++) n += (*text & 0xc0) != 0x80, n += *text == '|';
    return n;
}

static void put(FILE *out, const char *text, int columns, bool right) {
    int pad = columns - width(text);
    fputs("| ", out);
    if (right) fprintf(out, "%*s", pad, "");
    deq_markdown_cell(out, text);
    if (!right) fprintf(out, "%*s", pad, "");
    fputc(' ', out);
}

static void note(FILE *out, const deq_table *t) {
    int64_t fewest = 0, most = 0;
    int runs = 1, least = INT_MAX;
    for (int i = 0; i < t->ncells; i++) {
        if (!deq_table_first(t, i)) continue;
        int own = 1;
        for (int c = 0; c < t->ncolumns; c++) {
            Mean m = mean_of(t, i, c);
            if (m.n > own) own = m.n;
            if (m.n > 1 || isnan(m.interval.low) || t->columns[c].examples <= 0) continue;
            if (!fewest || t->columns[c].examples < fewest) fewest = t->columns[c].examples;
            if (t->columns[c].examples > most) most = t->columns[c].examples;
        }
        if (own > runs) runs = own;
        if (own < least) least = own;
    }
    int64_t undefined = 0;
    for (int i = 0; i < t->ncells; i++) undefined += t->cells[i].rests.undefined;
    if (undefined)
        fprintf(out, "\n%lld predictions in this table are not a number (NaN); they count as wrong.\n",
                (long long)undefined);
    if (fewest) {
        fprintf(out, "\nIn brackets: intervals of 95%% over %lld", (long long)fewest);
        if (fewest < most) fprintf(out, " to %lld", (long long)most);
        fputs(" examples (Wilson's for shares, else by bootstrap; differences are paired by example).\n", out);
    }
    bool numbers = false, words = false, choices = false;
    for (int c = 0; c < t->ncolumns; c++) {
        numbers = numbers || !t->columns[c].names;
        words = words || t->columns[c].ordered;
        choices = choices || (t->columns[c].names && !t->columns[c].ordered);
    }
    if (runs == 1) return;
    char many[60]; /* rows differ where a list is shorter for some of them */
    if (least < runs)
        snprintf(many, sizeof many, "%d to %d runs", least, runs);
    else
        snprintf(many, sizeof many, "%d runs", runs);
    if (numbers)
        fprintf(out, "\nEach row is the mean over %s%s.\n", many, t->mean_std ? ", ± their standard deviation" : "");
    if (words) fprintf(out, "\nOf the verdicts of %s the worst is shown, with how many have it.\n", many);
    if (choices) fprintf(out, "\nOf the choices of %s the most frequent is shown, with how many have it.\n", many);
}

/* Whether the column has that attack in some cell. */
static bool under(const deq_table *t, int column, const char *text) {
    for (int i = 0; i < t->ncells; i++)
        if (t->cells[i].attacks[column] && !strcmp(t->cells[i].attacks[column], text)) return true;
    return false;
}

/* Every attack once, with the columns that are under it. */
static void note_attacks(FILE *out, const deq_table *t) {
    const int columns = t->ncolumns;
    for (int at = 0; at < t->ncells * columns; at++) {
        const int first = at / t->ncells, cell = at % t->ncells;
        const char *text = t->cells[cell].attacks[first];
        bool seen = !text;
        for (int c = 0; c < first && !seen; c++) seen = under(t, c, text);
        for (int i = 0; i < cell && !seen; i++)
            seen = t->cells[i].attacks[first] && !strcmp(t->cells[i].attacks[first], text);
        if (seen) continue;
        fprintf(out, "\nUnder %s:", text);
        for (int c = first, n = 0; c < columns; c++)
            if (under(t, c, text)) fprintf(out, "%s %s", n++ ? "," : "", t->columns[c].title);
        fputs(".\n", out);
    }
}

/* The cell with the worst verdict in this column, the first of several; -1: none was judged. */
static int worst_cell(const deq_table *t, int column) {
    int worst = -1;
    deq_verdict_level most = DEQ_UNJUDGED;
    for (int i = 0; i < t->ncells; i++)
        if (t->cells[i].verdicts[column].level > most) worst = i, most = t->cells[i].verdicts[column].level;
    return worst;
}

/* "**robust** is masked in 2 of 4 runs; in that of mode = jfb(): ..", of the column's worst cell. */
static void doubt(FILE *out, const deq_table *t, int column, int cell) {
    const deq_verdict *v = &t->cells[cell].verdicts[column];
    int count = 0;
    for (int i = 0; i < t->ncells; i++) count += t->cells[i].verdicts[column].level == v->level;
    fprintf(out, "\n**%s** is %s", t->columns[column].title, deq_verdict_name(v->level));
    if (t->ncells > 1) fprintf(out, " in %d of %d runs; in that of", count, t->ncells);
    for (int s = 0; s < t->naxes; s++)
        fprintf(out, "%s %s = %s", s ? "," : "", t->axes[s], t->cells[cell].coordinates[s]);
    fputs(": ", out);
    deq_verdict_reasons(out, v);
    fputs(".\n", out);
}

/* What the checks of the column's worst cell have counted. */
static void numbers(FILE *out, const deq_table *t, int column, int cell) {
    const deq_verdict *v = &t->cells[cell].verdicts[column];
    bool any = false;
    for (deq_check k = 0; k < DEQ_CHECKS; k++) any = any || !isnan(v->numbers[k]);
    if (!any) return;
    fprintf(out, "\nChecks of %s", t->columns[column].title);
    if (v->audited) fprintf(out, ", up to %lld examples attacked again", (long long)v->audited);
    if (t->ncells > 1) fputs(" (worst run)", out);
    fputs(": ", out);
    deq_verdict_numbers(out, v, ", ");
    fputs(".\n", out);
}

static void verdicts(FILE *out, const deq_table *t) {
    bool judged = false, reliable = true, audited = false;
    for (int c = 0; c < t->ncolumns; c++) {
        int cell = worst_cell(t, c);
        if (cell < 0) continue;
        judged = true;
        for (int i = 0; i < t->ncells; i++) audited = audited || t->cells[i].verdicts[c].audited;
        if (t->cells[cell].verdicts[c].level == DEQ_RELIABLE) continue;
        reliable = false;
        doubt(out, t, c, cell);
    }
    if (judged && reliable)
        fprintf(out, "\nThe accuracies under attack are reliable by what their own solves and gradients say%s\n",
                audited ? ", and by other attacks on a sample of their examples."
                        : ". No sample was attacked again in other ways.");
    for (int c = 0; c < t->ncolumns; c++)
        if (worst_cell(t, c) >= 0) numbers(out, t, c, worst_cell(t, c));
}

void deq_table_markdown(FILE *out, const deq_table *t) {
    int columns = t->nrows + t->ncolumns;
    int *widths = calloc((size_t)columns + 1, sizeof *widths);
    if (!widths) return;
    for (int pass = 0; pass < 2; pass++) { /* first the widths, then the text */
        for (int c = 0; c < columns; c++) {
            const char *title = c < t->nrows ? t->axes[t->rows[c]] : t->columns[c - t->nrows].title;
            if (!pass)
                widths[c] = width(title) > 3 ? width(title) : 3;
            else
                put(out, title, widths[c], c >= t->nrows);
        }
        if (pass) {
            fputs("|\n", out);
            for (int c = 0; c < columns; c++) {
                fputs(c < t->nrows ? "|:" : "|-", out);
                for (int i = 0; i < widths[c]; i++) fputc('-', out);
                fputs(c < t->nrows ? "-" : ":", out);
            }
            fputs("|\n", out);
        }
        for (int i = 0; i < t->ncells; i++) {
            if (!deq_table_first(t, i)) continue;
            for (int c = 0; c < columns; c++) {
                Text text;
                if (c < t->nrows) {
                    snprintf(text, sizeof text, "%s", t->cells[i].coordinates[t->rows[c]]);
                } else {
                    deq_table_text(t, i, c - t->nrows, text);
                    if (deq_table_bold(t, i, c - t->nrows)) make_bold(text);
                }
                if (pass)
                    put(out, text, widths[c], c >= t->nrows);
                else if (width(text) > widths[c])
                    widths[c] = width(text);
            }
            if (pass) fputs("|\n", out);
        }
    }
    free(widths);
    note(out, t);
    note_attacks(out, t);
    verdicts(out, t);
}

/* Whether some cell has an interval in this column. */
static bool has_interval(const deq_table *t, int column) {
    for (int i = 0; i < t->ncells; i++)
        if (!isnan(t->cells[i].intervals[column].low)) return true;
    return false;
}

static bool is_attacked(const deq_table *t, int column) {
    for (int i = 0; i < t->ncells; i++)
        if (t->cells[i].attacks[column]) return true;
    return false;
}

static void csv_number(FILE *out, double v) {
    if (!isnan(v)) fprintf(out, "%.9g", v);
    fputc(',', out);
}

void deq_table_csv(FILE *out, const deq_table *t) {
    for (int s = 0; s < t->naxes; s++) deq_csv_text(out, t->axes[s]), fputc(',', out);
    for (int c = 0; c < t->ncolumns; c++) {
        deq_csv_text(out, t->columns[c].title);
        fputc(',', out);
        if (has_interval(t, c)) {
            deq_csv_title(out, t->columns[c].title, " low"), fputc(',', out);
            deq_csv_title(out, t->columns[c].title, " high"), fputc(',', out);
        }
        if (worst_cell(t, c) >= 0) deq_csv_title(out, t->columns[c].title, " verdict"), fputc(',', out);
    }
    fputs(DEQ_SOURCES_TITLES, out);
    for (int c = 0; c < t->ncolumns; c++)
        if (is_attacked(t, c)) fputc(',', out), deq_csv_title(out, t->columns[c].title, " attack");
    for (int c = 0; c < t->ncolumns; c++)
        if (worst_cell(t, c) >= 0) {
            fputc(',', out), deq_csv_title(out, t->columns[c].title, " reasons");
            fputc(',', out), deq_csv_title(out, t->columns[c].title, " checks");
        }
    fputc('\n', out);
    for (int i = 0; i < t->ncells; i++) {
        for (int s = 0; s < t->naxes; s++) deq_csv_text(out, t->cells[i].coordinates[s]), fputc(',', out);
        for (int c = 0; c < t->ncolumns; c++) {
            if (t->columns[c].names)
                deq_csv_text(out, name_of(&t->columns[c], t->cells[i].values[c])), fputc(',', out);
            else
                csv_number(out, t->cells[i].values[c]);
            if (has_interval(t, c)) {
                csv_number(out, t->cells[i].intervals[c].low);
                csv_number(out, t->cells[i].intervals[c].high);
            }
            if (worst_cell(t, c) >= 0) fprintf(out, "%s,", deq_verdict_name(t->cells[i].verdicts[c].level));
        }
        deq_sources_csv(out, &t->cells[i].rests);
        for (int c = 0; c < t->ncolumns; c++)
            if (is_attacked(t, c))
                fputc(',', out), deq_csv_text(out, t->cells[i].attacks[c] ? t->cells[i].attacks[c] : "");
        for (int c = 0; c < t->ncolumns; c++)
            if (worst_cell(t, c) >= 0) fputc(',', out), deq_verdict_csv(out, &t->cells[i].verdicts[c]);
        fputc('\n', out);
    }
}
