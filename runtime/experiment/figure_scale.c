/* figure_scale.c - ends and ticks of a figure's axis: round numbers around what is drawn.  On a logarithmic axis what is not
 * above 0 stands at the low end, at a tick of its own. */
#include "figure.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Shares of a logarithmic axis with values that are not above 0: from where these stand to the least other one, and at
 * the least to the next tick, so that one is not written over the other. */
#define BELOW 0.13
#define APART 0.1

deq_figure_scale deq_scale_begin(bool percent, bool logarithmic) {
    return (deq_figure_scale){.percent = percent,
                              .logarithmic = logarithmic,
                              .least = INFINITY,
                              .most = -INFINITY,
                              .all_least = INFINITY,
                              .all_most = -INFINITY};
}

void deq_scale_take(deq_figure_scale *s, double v) {
    if (!isfinite(v)) return;
    if (s->percent) v *= 100;
    s->broken = s->broken || s->percent || v != floor(v);
    s->all_least = fmin(s->all_least, v);
    s->all_most = fmax(s->all_most, v);
    if (s->logarithmic && v <= 0) {
        s->below = true;
        return;
    }
    s->least = fmin(s->least, v);
    s->most = fmax(s->most, v);
}

static void add_tick(deq_figure_scale *s, double tick) {
    if (s->nticks < DEQ_MOST_TICKS) s->ticks[s->nticks++] = tick;
}

/* 1, 2 or 5 times a power of ten, so that at most `most` steps make the length. */
static double round_step(double length, int most) {
    const double power = pow(10, floor(log10(length / most)));
    const double by[] = {1, 2, 5, 10};
    for (int i = 0; i < 4; i++)
        if (length / (by[i] * power) <= most + 1e-9) return by[i] * power;
    return 10 * power;
}

static void end_linear(deq_figure_scale *s, deq_zero zero) {
    const bool shown = zero == DEQ_ZERO_SHOWN;
    double low = shown ? fmin(s->least, 0) : s->least, high = shown ? fmax(s->most, 0) : s->most;
    const bool equal = high - low <= 1e-9 * fmax(fabs(low), fabs(high)); /* but for rounding */
    const double alone = s->percent && fabs(high) <= 100 ? 5 : fmax(0.1 * fabs(high), 0.5),
                 pad = equal ? alone : 0.06 * (high - low);
    if (!(shown && low == 0)) low = zero != DEQ_ZERO_FREE && s->least >= 0 ? fmax(low - pad, 0) : low - pad;
    if (!(shown && high == 0)) high = s->percent && s->most <= 100 ? fmin(high + pad, 100) : high + pad;
    const double round = round_step(high - low, 6), step = s->broken ? round : fmax(round, 1);
    s->low = low;
    s->high = high;
    for (double k = ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) add_tick(s, k * step);
}

/* Whole powers of ten where there are several, else 1, 2 and 5 times them. */
static void end_logarithmic(deq_figure_scale *s) {
    const double first = floor(log10(s->least) + 1e-9), last = ceil(log10(s->most) - 1e-9);
    s->low = s->least / 1.3;
    s->high = s->most * 1.3;
    if (last - first >= 3) {
        const int every = (int)ceil((last - first) / 8);
        for (double k = first; k <= last; k++)
            if ((int)fabs(k) % every == 0) add_tick(s, pow(10, k));
    } else {
        static const double by[] = {1, 2, 5};
        for (double k = first; k <= last; k++)
            for (int i = 0; i < 3; i++) add_tick(s, by[i] * pow(10, k));
    }
    if (s->below) s->low = s->least / fmax(3, pow(s->high / s->least, BELOW / (1 - BELOW)));
    const double lowest = s->below ? s->low * pow(s->high / s->low, APART) : s->low;
    int kept = 0;
    for (int i = 0; i < s->nticks; i++)
        if (s->ticks[i] >= lowest && s->ticks[i] <= s->high) s->ticks[kept++] = s->ticks[i];
    s->nticks = kept;
    if (kept >= 2) return;
    s->nticks = 0; /* a short piece of the axis is nearly linear */
    const double step = round_step(s->high - lowest, 5);
    for (double k = ceil(lowest / step - 1e-9); k * step <= s->high; k++) add_tick(s, k * step);
}

void deq_scale_end(deq_figure_scale *s, deq_zero zero) {
    if (s->logarithmic && !(s->most > 0)) { /* nothing above 0 */
        s->logarithmic = false;
        s->least = s->all_least;
        s->most = s->all_most;
    }
    if (!(s->most >= s->least)) s->least = 0, s->most = 1; /* nothing at all */
    if (s->logarithmic)
        end_logarithmic(s);
    else
        end_linear(s, zero);
}

void deq_scale_ticks(deq_figure_scale *s, const double *values, int n) {
    enum { MOST = 8 };
    double own[MOST];
    int found = 0;
    bool whole = true, fits = true;
    const double apart = 0.08 * (s->logarithmic ? log(s->high / s->low) : s->high - s->low);
    for (int i = 0; i < n; i++) {
        bool seen = !isfinite(values[i]) || (s->logarithmic && values[i] <= 0);
        whole = whole && (seen || values[i] == floor(values[i]));
        for (int k = 0; k < found && !seen; k++) {
            seen = own[k] == values[i];
            fits = fits && (seen || fabs(s->logarithmic ? log(own[k] / values[i]) : own[k] - values[i]) > apart);
        }
        fits = fits && (seen || found < MOST);
        if (!seen && fits) own[found++] = values[i];
    }
    if (fits && found) {
        memcpy(s->ticks, own, (size_t)found * sizeof *own);
        s->nticks = found;
        return;
    }
    int kept = 0;
    for (int i = 0; i < s->nticks; i++)
        if (!whole || fabs(s->ticks[i] - round(s->ticks[i])) < 1e-9) s->ticks[kept++] = s->ticks[i];
    s->nticks = kept;
}

double deq_scale_drawn(const deq_figure_scale *s, double v) {
    if (s->logarithmic && v <= 0) return s->low;
    return s->percent ? 100 * v : v;
}

/* "0.5", "2·10^{-3}" in the enhanced form of gnuplot. */
static void tick_text(const deq_figure_scale *s, double tick, char out[32]) {
    char text[32];
    const bool powers = s->logarithmic && (s->most > 99999 || s->least < 0.001);
    snprintf(text, sizeof text, powers ? "%.5e" : "%.6g",
             !s->logarithmic && fabs(tick) < 1e-9 * (s->high - s->low) ? 0 : tick);
    char *e = strchr(text, 'e');
    if (!e || tick == 0) {
        snprintf(out, 32, "%s", text);
        return;
    }
    const int power = atoi(e + 1);
    *e = 0;
    const double front = atof(text);
    if (power == 0)
        snprintf(out, 32, "%.6g", front);
    else if (front == 1)
        snprintf(out, 32, "10^{%d}", power);
    else
        snprintf(out, 32, "%.6g·10^{%d}", front, power);
}

int deq_scale_width(const deq_figure_scale *s) {
    int widest = s->below && s->logarithmic ? 2 : 1;
    for (int i = 0; i < s->nticks; i++) {
        char text[32];
        int braces = 0;
        tick_text(s, s->ticks[i], text);
        for (const char *c = text; *c; c++) braces += *c == '^' || *c == '{' || *c == '}';
        const int width = deq_text_width(text) - braces;
        if (width > widest) widest = width;
    }
    return widest;
}

void deq_scale_print(FILE *out, const deq_figure_scale *s, const char *name) {
    if (s->logarithmic) fprintf(out, "set logscale %s\n", name);
    fprintf(out, "set %srange [%.9g:%.9g]\nset %stics (", name, s->low, s->high, name);
    for (int i = 0; i < s->nticks; i++) {
        char text[32];
        tick_text(s, s->ticks[i], text);
        fprintf(out, "%s'%s' %.9g", i ? ", " : "", text, s->ticks[i]);
    }
    if (s->logarithmic && s->below) fprintf(out, "%s'≤ 0' %.9g", s->nticks ? ", " : "", s->low);
    fputs(")\n", out);
}
