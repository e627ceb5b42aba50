/* modes.c - the table of gradient modes as data: what everything but a mode's own file knows of it. */
#include "hand.h"
#include "settings.h"

static const struct {
    const char *spelling, *forward;
    int traits;
} modes[] = {
#define MODE(id, spelling, traits, forward, doc) [DEQ_MODE_##id] = {spelling, forward, traits},
#define MODE_NAMED(id, traits, forward, doc) [DEQ_MODE_##id] = {#id, forward, traits},
#include "modes.def"
};

const char *deq_mode_name(const deq_mode *m) { return m->hand ? m->hand->name : modes[m->kind].spelling; }

bool deq_mode_has(const deq_mode *m, int traits) {
    int own = modes[m->kind].traits;
    if (m->hand && m->hand->approximate) own &= ~TRAIT_EXACT; /* it does not claim to be */
    return (own & traits) != 0;
}

bool deq_mode_has_adjoint(const deq_mode *m) {
    return deq_mode_has(m, TRAIT_ADJOINT) && (!m->hand || m->hand->nsolves > 0);
}

const char *deq_mode_forward(const deq_mode *m) { return modes[m->kind].forward; }

const char *deq_mode_state_argument(const deq_mode *m) {
    static const char *const arguments[] = {
        [sizeof modes / sizeof *modes] = NULL,
#define MODE_STATES(id, name, first, limit, doc) [DEQ_MODE_##id] = #name,
#include "modes.def"
    };
    return deq_mode_has(m, TRAIT_JOINT) ? "steps" : arguments[m->kind];
}
