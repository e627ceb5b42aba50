/* compare_write.c - comparisons as Markdown, CSV and pictures. */
#define _GNU_SOURCE
#include "compare.h"
#include "output.h"
#include "seal.h"
#include "plot.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* "0.9876", or "1 - 2.3e-08" where four digits would hide it. */
static const char *cosine_text(char *out, size_t size, const deq_agreement *a) {
    if (!isfinite(a->cosine))
        snprintf(out, size, "-");
    else if (a->angle < 1e-4 && a->angle > 0)
        snprintf(out, size, "1 - %.1e", a->angle);
    else
        snprintf(out, size, "%.4f", a->cosine);
    return out;
}

static const char *number_text(char *out, size_t size, const char *format, double v) {
    if (isfinite(v))
        snprintf(out, size, format, v);
    else
        snprintf(out, size, isnan(v) ? "-" : "inf");
    return out;
}

static const char *bytes_text(char *out, size_t size, int64_t bytes) {
    snprintf(out, size, bytes < 10000000 ? "%.1f MB" : "%.0f MB", (double)bytes / 1e6);
    return out;
}

/* Elements without the padding between parameters. */
static int64_t elements(const deq_comparison *c, int group) {
    if (group < c->ngroups - 1) return c->groups[group].count;
    int64_t n = 0;
    for (int g = 0; g + 2 < c->ngroups; g++) n += c->groups[g].count;
    return n;
}

static void write_reference(FILE *f, const deq_comparison *c) {
    char a[40], b[40];
    fprintf(f, "Reference: %s", c->reference);
    if (c->net->nfixed)
        fprintf(f, ", at states with residuals up to %s", number_text(a, sizeof a, "%.1e", c->reference_residual));
    if (isfinite(c->reference_adjoint))
        fprintf(f, ", adjoint residual up to %s", number_text(b, sizeof b, "%.1e", c->reference_adjoint));
    if (isfinite(c->reference_error))
        fprintf(f,
                isfinite(c->reference_adjoint) || !strncmp(c->reference, "implicit", 8)
                    ? "; finite differences agree to %.1e"
                    : "; their own error is %.1e",
                c->reference_error);
    fputs(".\n\n", f);
}

static void write_modes(FILE *f, const deq_comparison *c) {
    char t[8][40];
    int all = c->ngroups - 1, input = c->ngroups - 2;
    fputs("| mode | parameters: cosine | rel. error | inputs: cosine | rel. error | forward steps | adjoint steps | "
          "adjoint residual | unconverged | ms | memory |\n"
          "|:--|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
          f);
    for (int i = 0; i < c->nmodes; i++) {
        const deq_compared *m = &c->modes[i];
        if (m->failed) {
            fprintf(f, "| %s | - | - | - | - | - | - | - | - | - | - |\n", m->mode);
            continue;
        }
        fprintf(f, "| %s | %s | %s | %s | %s | %s | %s | %s | %.3g%% | %.2f | %s |\n", m->mode,
                cosine_text(t[0], 40, &m->groups[all]), number_text(t[1], 40, "%.1e", m->groups[all].error),
                cosine_text(t[2], 40, &m->groups[input]), number_text(t[3], 40, "%.1e", m->groups[input].error),
                number_text(t[4], 40, "%.1f", m->forward_steps), number_text(t[5], 40, "%.1f", m->adjoint_steps),
                number_text(t[6], 40, "%.1e", m->adjoint_residual), 100 * m->unconverged, 1e3 * m->seconds,
                bytes_text(t[7], 40, m->bytes));
    }
    fputc('\n', f);
    for (int i = 0; i < c->nmodes; i++)
        if (*c->modes[i].note) fprintf(f, "- %s: %s\n", c->modes[i].mode, c->modes[i].note);
}

static void write_groups(FILE *f, const deq_comparison *c) {
    char t[2][40];
    fputs("\nCosine and relative error of each part:\n\n| part | elements | norm |", f);
    for (int i = 0; i < c->nmodes; i++)
        if (!c->modes[i].failed) fprintf(f, " %s |", c->modes[i].mode);
    fputs("\n|:--|--:|--:|", f);
    for (int i = 0; i < c->nmodes; i++)
        if (!c->modes[i].failed) fputs("--:|", f);
    fputc('\n', f);
    for (int g = 0; g < c->ngroups; g++) {
        bool first = true;
        for (int i = 0; i < c->nmodes; i++) {
            const deq_compared *m = &c->modes[i];
            if (m->failed) continue;
            if (first)
                fprintf(f, "| %s | %lld | %s%.3g |", c->groups[g].name, (long long)elements(c, g),
                        m->groups[g].estimated ? "about " : "", m->groups[g].reference);
            first = false;
            fprintf(f, " %s, %s |", cosine_text(t[0], 40, &m->groups[g]),
                    number_text(t[1], 40, "%.1e", m->groups[g].error));
        }
        if (!first) fputc('\n', f);
    }
}

static bool is_shown(const deq_compared *m) { return !m->failed && m->by_state[1]; }

static int shown_modes(const deq_comparison *c) {
    int n = 0;
    for (int i = 0; i < c->nmodes; i++) n += is_shown(&c->modes[i]);
    return n;
}

/* The paper's Fig. 1 in numbers: cosines of the input gradient at some states of the forward solve. */
static void write_sweep(FILE *f, const deq_comparison *c) {
    fputs("\nCosine of the inputs' gradient at state n of the forward solve: z_n is the same state for every mode, but "
          "for those "
          "with another forward solver (see above) and `augmented`, which iterates on its own.\n\n| n |",
          f);
    for (int i = 0; i < c->nmodes; i++)
        if (is_shown(&c->modes[i])) fprintf(f, " %s |", c->modes[i].mode);
    fputs("\n|--:|", f);
    for (int i = 0; i < c->nmodes; i++)
        if (is_shown(&c->modes[i])) fputs("--:|", f);
    fputc('\n', f);
    for (int n = 1; n <= c->states; n++) {
        char text[40];
        if (n > 10 && n % 5 && n != c->states) continue;
        fprintf(f, "| %d |", n);
        for (int i = 0; i < c->nmodes; i++) {
            if (!is_shown(&c->modes[i])) continue;
            double angle = c->modes[i].by_state[1][n - 1];
            fprintf(f, " %s |", cosine_text(text, sizeof text, &(deq_agreement){.cosine = 1 - angle, .angle = angle}));
        }
        fputc('\n', f);
    }
}

static void write_markdown(FILE *f, deq_app *app, const deq_comparison *list, int n) {
    fprintf(f, "# Gradients of %s, compared\n\n%s; memory and times are of this precision and of %s.\n",
            app->manifest->name, app->manifest->real, app->options->threads == 1 ? "one thread" : "all threads used");
    for (int i = 0; i < n; i++) {
        const deq_comparison *c = &list[i];
        fprintf(f, "\n## %s: %s under %s\n\n%s, %s. ", c->label, c->net->name, c->loss, c->batch, c->parameters);
        write_reference(f, c);
        write_modes(f, c);
        write_groups(f, c);
        if (c->states && shown_modes(c)) write_sweep(f, c);
        if (c->states) fprintf(f, "\n![cosine by state](compare%s.png)\n", c->stem);
    }
}

static void csv_number(FILE *f, double v) {
    fputc(',', f);
    if (isfinite(v)) fprintf(f, "%.9g", v);
}

static void write_csv(FILE *f, const deq_comparison *list, int n) {
    fputs("comparison,mode,part,elements,norm,reference_norm,relative_error,cosine,one_minus_cosine,forward_steps,"
          "forward_residual,adjoint_steps,adjoint_residual,unconverged,bytes,seconds,reference_norm_estimated\n",
          f);
    for (int i = 0; i < n; i++)
        for (int k = 0; k < list[i].nmodes; k++)
            for (int g = 0; g < list[i].ngroups && !list[i].modes[k].failed; g++) {
                const deq_compared *m = &list[i].modes[k];
                const deq_agreement *a = &m->groups[g];
                fprintf(f, "\"%s\",\"%s\",\"%s\",%lld", list[i].label, m->mode, list[i].groups[g].name,
                        (long long)elements(&list[i], g));
                const double columns[] = {
                    a->norm,          a->reference,        a->error,         a->cosine,           a->angle,
                    m->forward_steps, m->forward_residual, m->adjoint_steps, m->adjoint_residual, m->unconverged,
                    (double)m->bytes, m->seconds};
                for (size_t j = 0; j < sizeof columns / sizeof *columns; j++) csv_number(f, columns[j]);
                fprintf(f, ",%d\n", a->estimated);
            }
}

/* state, then two columns a mode: 1 - cosine of parameters and inputs. */
static void write_states(FILE *f, const deq_comparison *c) {
    fputs("state", f);
    for (int i = 0; i < c->nmodes; i++)
        if (is_shown(&c->modes[i]))
            fprintf(f, ",\"%s: parameters\",\"%s: inputs\"", c->modes[i].mode, c->modes[i].mode);
    fputc('\n', f);
    for (int s = 0; s < c->states; s++) {
        fprintf(f, "%d", s + 1);
        for (int i = 0; i < c->nmodes; i++)
            for (int k = 0; k < 2; k++)
                if (is_shown(&c->modes[i])) csv_number(f, c->modes[i].by_state[k][s]);
        fputc('\n', f);
    }
}

/* Cosines above, 1 - cosine below: exact modes meet in the first and part in the second. */
static void write_plot(FILE *f, const deq_comparison *c, const char *data) {
    static const char *const colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                          "#e69f00", "#56b4e9", "#999999", "#000000"};
    static const char *const titles[] = {"parameters", "inputs"};
    int rows = shown_modes(c);
    fprintf(f,
            "set key off\nset xrange [0.5:%d.5]\n"
            "set multiplot layout 2,2 margins char 11, char 2, char %d, char 2.5 spacing char 12, char 4.5\n",
            c->states, rows + 4);
    for (int panel = 0; panel < 4; panel++) {
        int part = panel % 2, column = 2 + part, shown = 0;
        bool angle = panel >= 2;
        if (panel == 2) fputs("set logscale y\nset format y '10^{%T}'\nset xlabel 'state of the forward solve'\n", f);
        if (panel == 3) fprintf(f, "set key at screen 0.5, screen 0.01 center bottom Left reverse maxrows %d\n", rows);
        if (angle)
            fputs("unset title\n", f);
        else
            fprintf(f, "set title 'gradient of %s' noenhanced\n", titles[part]);
        fprintf(f, "set ylabel '%s'\n", part ? "" : angle ? "1 - cosine" : "cosine to the reference");
        fputs("plot ", f);
        for (int i = 0; i < c->nmodes; i++) {
            if (!is_shown(&c->modes[i])) continue;
            fprintf(f, "%s'%s' using 1:(%s$%d) every ::1 with linespoints lc rgb '%s' lw 2 pt %d ps 0.6 title \"%s\"",
                    shown ? ", \\\n     " : "", data, angle ? "" : "1 - ", column, colours[shown % 8], 4 + shown % 10,
                    c->modes[i].mode);
            column += 2;
            shown++;
        }
        fputc('\n', f);
    }
    fputs("unset multiplot\n", f);
}

static bool plot(deq_app *app, const deq_comparison *c, deq_error *e) {
    char *data = NULL, *text = NULL, name[200], stem[150], picture[40];
    size_t data_size = 0, size = 0;
    if (!c->states || !shown_modes(c)) return true;
    snprintf(stem, sizeof stem, "compare%s", c->stem);
    snprintf(name, sizeof name, "%s-states.csv", stem);
    FILE *f = open_memstream(&data, &data_size), *g = open_memstream(&text, &size);
    if (!f || !g) return deq_fail(e, DEQ_MEMORY, "out of memory for a picture");
    write_states(f, c);
    snprintf(picture, sizeof picture, "1150,%d", 760 + 18 * shown_modes(c));
    deq_plot_begin(g, c->label, stem, "", picture, 11);
    write_plot(g, c, name);
    fclose(f);
    fclose(g);
    char *path = deq_app_file(app, name, "");
    bool ok = path && deq_output_write(path, data, data_size, e) && deq_plot_draw(app, stem, "", text, size, false, e);
    free(path);
    free(data);
    free(text);
    return ok;
}

static void report_events(deq_app *app, const deq_comparison *c) {
    for (int i = 0; i < c->nmodes; i++) {
        const deq_compared *m = &c->modes[i];
        json_t *parts = json_array();
        for (int g = 0; g < c->ngroups && !m->failed; g++) {
            json_t *part = json_pack("{s:s}", "part", c->groups[g].name);
            json_object_set_new(part, "norm", deq_json_number(m->groups[g].norm));
            json_object_set_new(part, "cosine", deq_json_number(m->groups[g].cosine));
            json_object_set_new(part, "relative_error", deq_json_number(m->groups[g].error));
            json_array_append_new(parts, part);
        }
        json_t *o = json_pack("{s:s, s:s, s:s, s:b, s:s, s:o}", "comparison", c->label, "net", c->net->name, "mode",
                              m->mode, "failed", m->failed, "note", m->note, "parts", parts);
        json_object_set_new(o, "adjoint_steps", deq_json_number(m->adjoint_steps));
        json_object_set_new(o, "adjoint_residual", deq_json_number(m->adjoint_residual));
        json_object_set_new(o, "seconds", deq_json_number(m->seconds));
        json_object_set_new(o, "bytes", json_integer(m->bytes));
        deq_report_event(&app->reporter, "compare", o);
    }
}

bool deq_compare_write(deq_app *app, const deq_comparison *list, int n, deq_error *e) {
    char *text = NULL, *csv = NULL;
    size_t size = 0, csv_size = 0;
    FILE *f = open_memstream(&text, &size), *g = open_memstream(&csv, &csv_size);
    if (!f || !g) return deq_fail(e, DEQ_MEMORY, "out of memory for a table");
    write_markdown(f, app, list, n);
    write_csv(g, list, n);
    fclose(f);
    fclose(g);
    char *md = deq_app_file(app, "compare", ".md"), *table = deq_app_file(app, "compare", ".csv");
    deq_report(&app->reporter, "\n%s", text);
    for (int i = 0; i < n; i++) report_events(app, &list[i]);
    char *sealed = table && csv ? deq_seal_csv(csv, table, &csv_size) : NULL;
    const deq_output_text both[] = {{md, text, size}, {table, sealed, csv_size}};
    bool ok = md && sealed ? deq_output_write_all(both, 2, e) : deq_fail(e, DEQ_MEMORY, "out of memory for a table");
    for (int i = 0; ok && i < n; i++) ok = plot(app, &list[i], e);
    if (ok) deq_report(&app->reporter, "written: %s, %s", md, table);
    free(md);
    free(table);
    free(text);
    free(csv);
    free(sealed);
    return ok;
}
