/* export.c - deq export: parameters out, as arrays. */
#include "app.h"
#include "progress.h"
#include "weights.h"

int deq_app_export(const char *from, const char *map, const char *to) {
    deq_reporter r;
    deq_error e = {0};
    int64_t arrays = 0;
    deq_reporter_open(&r, false, false);
    bool ok = deq_weights_export(from, map, to, &arrays, &e);
    if (ok)
        deq_report(&r, "%s: %lld arrays of %s", to, (long long)arrays, from);
    else
        deq_report_error(&r, &e);
    return ok ? 0 : deq_failure_exit(e.failure);
}
