/* number.h - a number as people read it: in tables, on the terminal, on pages.  Files for programs have all digits. */
#ifndef DEQ_RUNTIME_NUMBER_H
#define DEQ_RUNTIME_NUMBER_H
#include <math.h>
#include <stdbool.h>
#include <stdio.h>

#define DEQ_NUMBER_TEXT 32 /* room for one */

/* With so many significant digits, as %g; but whole numbers, and what has more digits before the point, in full below 1e9. */
static inline const char *deq_number_text(double v, int digits, char out[DEQ_NUMBER_TEXT]) {
    const double size = fabs(v);
    const bool in_full = size < 1e9 && (v == floor(v) || size >= pow(10, digits) - 0.5);
    if (in_full)
        snprintf(out, DEQ_NUMBER_TEXT, "%.0f", v);
    else
        snprintf(out, DEQ_NUMBER_TEXT, "%.*g", digits, v);
    return out;
}
#endif
