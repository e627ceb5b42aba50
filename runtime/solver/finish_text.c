/* finish_text.c - `finish:` from text and back, and what it is by default. */
#include "settings.h"
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
    deq_finish f; /* compared bytewise: its padding is zero too */
    const deq_row *row;
    if (!deq_record_parse(&deq_finish_family, text, &f, sizeof f, &row, e)) return false;
    f.kind = (deq_finish_kind)(row - deq_finish_family.rows);
    memcpy(out, &f, sizeof f);
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
    deq_record_print(&deq_finish_family, row_of(f->kind), f, out, size);
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
