/* page_figure.c - lines and a band over rows of numbers, as a drawing inside the page (SVG). */
#include "page.h"
#include "training_log.h"
#include <math.h>
#include <string.h>

/* The drawing in its own units; the page scales it. */
enum { WIDTH = 520, HEIGHT = 300, LEFT = 58, RIGHT = 12, TOP = 30, BOTTOM = 44 };

typedef struct Axis {
    double low, high, step; /* as drawn: of a logarithmic axis the powers of ten */
    bool logarithmic;
} Axis;

static double number(const json_t *row, const char *key) {
    return key ? deq_json_double(json_object_get(row, key)) : NAN;
}

static double drawn(const Axis *a, double v) { return !a->logarithmic ? v : v > 0 ? log10(v) : NAN; }

static void widen(Axis *a, double v) {
    v = drawn(a, v);
    if (!isfinite(v)) return;
    if (!(a->low <= v)) a->low = v;
    if (!(a->high >= v)) a->high = v;
}

/* Ends and steps that are round numbers: 1, 2 or 5 times a power of ten, at most six steps. */
static void round_off(Axis *a) {
    if (!(a->high > a->low)) a->low -= 0.5, a->high += 0.5;
    double power = pow(10, floor(log10((a->high - a->low) / 5))), step = power;
    const double by[] = {2, 5, 10};
    for (int i = 0; i < 3 && (a->high - a->low) / step > 6; i++) step = by[i] * power;
    if (a->logarithmic) step = fmax(1, ceil(step));
    a->step = step;
    a->low = floor(a->low / step + 1e-9) * step;
    a->high = ceil(a->high / step - 1e-9) * step;
}

static double across(const Axis *a, double v) {
    return LEFT + (drawn(a, v) - a->low) / (a->high - a->low) * (WIDTH - LEFT - RIGHT);
}
static double down(const Axis *a, double v) {
    return HEIGHT - BOTTOM - (drawn(a, v) - a->low) / (a->high - a->low) * (HEIGHT - TOP - BOTTOM);
}

static void put_number(FILE *out, const Axis *a, double v) {
    if (a->logarithmic)
        fprintf(out, "10<tspan dy=\"-5\" font-size=\"8\">%.0f</tspan>", v);
    else
        fprintf(out, "%.4g", fabs(v) < a->step / 2 ? 0 : v);
}

static void put_axes(FILE *out, const PageFigure *f, const Axis *x, const Axis *y) {
    const double bottom = HEIGHT - BOTTOM;
    for (double v = y->low; v <= y->high + y->step / 2; v += y->step) {
        const double at = bottom - (v - y->low) / (y->high - y->low) * (HEIGHT - TOP - BOTTOM);
        fprintf(out,
                "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/><text x=\"%d\" y=\"%.1f\" "
                "text-anchor=\"end\">",
                LEFT, WIDTH - RIGHT, at, at, LEFT - 6, at + 4);
        put_number(out, y, v);
        fputs("</text>\n", out);
    }
    for (double v = x->low; v <= x->high + x->step / 2; v += x->step) {
        const double at = across(x, v);
        fprintf(out,
                "<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.0f\" y2=\"%.0f\"/><text x=\"%.1f\" y=\"%.0f\" "
                "text-anchor=\"middle\">",
                at, at, bottom, bottom + 4, at, bottom + 17);
        put_number(out, x, v);
        fputs("</text>\n", out);
    }
    fprintf(out, "<path class=\"axis\" d=\"M%d %d V%.0f H%d\"/>\n<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">", LEFT,
            TOP, bottom, WIDTH - RIGHT, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8);
    page_text(out, f->x_title);
    fprintf(out, "</text>\n<text transform=\"translate(13 %d) rotate(-90)\" text-anchor=\"middle\">",
            (TOP + HEIGHT - BOTTOM) / 2);
    page_text(out, f->y_title);
    fputs("</text>\n", out);
}

static bool there(const PageFigure *f, const Axis *x, const Axis *y, const json_t *row, const char *key) {
    return isfinite(drawn(x, number(row, f->x))) && isfinite(drawn(y, number(row, key)));
}

/* How many rows have a number in this column. */
static int count(const PageFigure *f, const Axis *x, const Axis *y, const json_t *rows, const char *key) {
    size_t i;
    json_t *row;
    int n = 0;
    json_array_foreach(rows, i, row) n += there(f, x, y, row, key);
    return n;
}

/* A line breaks where a number is missing. */
static void put_line(FILE *out, const PageFigure *f, const Axis *x, const Axis *y, const json_t *rows, int k) {
    const char *key = f->lines[k].column;
    bool pen = false;
    size_t i;
    json_t *row;
    fprintf(out, "<path class=\"line l%d\" d=\"", k);
    json_array_foreach(rows, i, row) {
        const bool on = there(f, x, y, row, key);
        if (on) fprintf(out, "%s%.1f %.1f", pen ? " L" : " M", across(x, number(row, f->x)), down(y, number(row, key)));
        pen = on;
    }
    fputs("\"/>\n", out);
    json_array_foreach(rows, i, row) {
        if (!there(f, x, y, row, key)) continue;
        fprintf(out, "<circle class=\"l%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"2.2\"><title>", k, across(x, number(row, f->x)),
                down(y, number(row, key)));
        page_text(out, f->lines[k].title);
        fprintf(out, ", %s %g: %.4g</title></circle>\n", f->x_title, number(row, f->x), number(row, key));
    }
}

static void put_band(FILE *out, const PageFigure *f, const Axis *x, const Axis *y, const json_t *rows) {
    const char *command = "M";
    size_t i;
    json_t *row;
    fputs("<path class=\"band\" d=\"", out);
    json_array_foreach(rows, i, row) {
        if (!there(f, x, y, row, f->high)) continue;
        fprintf(out, "%s%.1f %.1f ", command, across(x, number(row, f->x)), down(y, number(row, f->high)));
        command = "L";
    }
    for (i = json_array_size(rows); i-- > 0;) {
        row = json_array_get(rows, i);
        if (there(f, x, y, row, f->low))
            fprintf(out, "L%.1f %.1f ", across(x, number(row, f->x)), down(y, number(row, f->low)));
    }
    fputs("Z\"/>\n", out);
}

/* Names above the drawing, beside a piece of their line. */
static void put_legend(FILE *out, const PageFigure *f, const bool *shown) {
    int at = LEFT;
    for (int k = 0; k < 4 && f->lines[k].title; k++) {
        if (!shown[k]) continue;
        fprintf(out, "<path class=\"line l%d\" d=\"M%d 14 h18\"/><text x=\"%d\" y=\"18\">", k, at, at + 23);
        page_text(out, f->lines[k].title);
        fputs("</text>\n", out);
        at += 40 + 7 * (int)strlen(f->lines[k].title);
    }
}

void page_figure(FILE *out, const PageFigure *f, const json_t *rows) {
    Axis x = {NAN, NAN, 1, false}, y = {NAN, NAN, 1, f->logarithmic};
    bool shown[4] = {false}, any = false;
    size_t i;
    json_t *row;
    for (int k = 0; k < 4 && f->lines[k].title; k++) {
        shown[k] = count(f, &x, &y, rows, f->lines[k].column) > 0;
        any = any || shown[k];
        json_array_foreach(rows, i, row) {
            if (!there(f, &x, &y, row, f->lines[k].column)) continue;
            widen(&x, number(row, f->x));
            widen(&y, number(row, f->lines[k].column));
            widen(&y, number(row, f->low));
            widen(&y, number(row, f->high));
        }
    }
    if (!any) return;
    const double first = x.low, last = x.high;
    round_off(&x);
    if (last > first) x.low = first, x.high = fmax(last, first + x.step); /* from the first row to the last */
    round_off(&y);
    fprintf(out, "<figure><svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", WIDTH, HEIGHT);
    page_text(out, f->caption);
    fputs("\">\n", out);
    put_axes(out, f, &x, &y);
    if (f->low && f->high) put_band(out, f, &x, &y, rows);
    for (int k = 0; k < 4 && f->lines[k].title; k++)
        if (shown[k]) put_line(out, f, &x, &y, rows, k);
    put_legend(out, f, shown);
    fputs("</svg><figcaption>", out);
    page_text(out, f->caption);
    fputs("</figcaption></figure>\n", out);
}
