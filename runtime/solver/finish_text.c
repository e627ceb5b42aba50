/* finish_text.c - `finish:` from text and back, and what it is by default. */
#include "settings.h"
#include <stdio.h>
#include <string.h>

static const deq_row *row_of(deq_finish_kind kind) { return &deq_finish_family.rows[kind]; }

static deq_finish made(deq_finish_kind kind) {
    deq_finish f;
    memset(&f, 0, sizeof f); /* compared bytewise: padding too */
    f.kind = kind;
    deq_arguments_default(&deq_finish_family, row_of(kind), &f);
    return f;
}

bool deq_finish_parse(const char *text, deq_finish *out, deq_error *e) {
    deq_call call;
    deq_complaint why;
    if (!deq_call_parse(deq_part_of(text), &call, e)) return false;
    if (!deq_row_known(&deq_finish_family, call.name, 0, &why)) return deq_complain(e, &why);
    const deq_row *row = deq_row_find(&deq_finish_family, call.name);
    deq_finish f = made((deq_finish_kind)(row - deq_finish_family.rows));
    for (int i = 0; i < call.count; i++)
        if (!deq_arguments_set(&deq_finish_family, row, 0, call.arguments[i].name, call.arguments[i].value, &f, e))
            return false;
    *out = f;
    return true;
}

bool deq_finish_set(deq_fixed_settings *s, const char *argument, const char *value, deq_error *e) {
    deq_finish f = deq_finish_of(s);
    if (f.kind != DEQ_FINISH_apply)
        return deq_fail(e, DEQ_SETTING, "`finish` is none here, without `%s`: say finish: apply(%s: %s)", argument,
                        argument, value);
    if (!deq_arguments_set(&deq_finish_family, row_of(f.kind), 0, deq_part_of(argument), deq_part_of(value), &f, e))
        return false;
    s->finish = f;
    return true;
}

void deq_finish_print(const deq_finish *f, char *out, size_t size) {
    const deq_row *row = row_of(f->kind);
    size_t at = (size_t)snprintf(out, size, "%s", row->name);
    if (f->kind == DEQ_FINISH_apply && at < size)
        deq_arguments_print(&deq_finish_family, row, 0, false, f, out + at, size - at);
}

deq_finish deq_finish_of(const deq_fixed_settings *s) {
    const deq_mode *m = &s->gradient;
    if (s->finish.kind != DEQ_FINISH_trained) return s->finish;
    if (deq_mode_has(m, TRAIT_UNROLLS | TRAIT_LOSS)) return made(DEQ_FINISH_none);
    deq_finish f = made(DEQ_FINISH_apply);
    if (deq_mode_has(m, TRAIT_AFTER)) {
        f.steps = m->steps;
        f.damping = m->damping;
        f.undamped_first = m->undamped_first;
    }
    return f;
}

int deq_finish_steps(const deq_finish *f) { return f->kind == DEQ_FINISH_apply ? f->steps + f->undamped_first : 0; }

double deq_finish_share(const deq_finish *f, int step) { return step == 0 && f->undamped_first ? 1 : f->damping; }
