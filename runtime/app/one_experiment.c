/* one_experiment.c - deq run FILE EXPERIMENT: of all that a script runs, one experiment and the training runs of the file
 * that it needs: those whose nets it evaluates or attacks through, and those that these start from. */
#include "app_state.h"
#include "nearest.h"
#include <stdlib.h>
#include <string.h>

static void need(const deq_manifest *m, bool *needed, const char *name);

static void need_of_attack(const deq_manifest *m, bool *needed, const deq_attack_spec *a) {
    for (; a; a = a->next) need(m, needed, a->against.model);
}

static void need_of_train(const deq_manifest *m, bool *needed, const deq_train_spec *t) {
    need(m, needed, t->start.train);
    need_of_attack(m, needed, t->attack);
}

/* A name that is no training run of the file is one of the experiment. */
static void need(const deq_manifest *m, bool *needed, const char *name) {
    for (int i = 0; name && i < m->nrun; i++) {
        const deq_train_spec *t = m->run[i].train;
        if (!t || needed[i] || strcmp(t->name, name)) continue;
        needed[i] = true;
        need_of_train(m, needed, t);
    }
}

static void need_of_array(const deq_manifest *m, bool *needed, const deq_array_spec *a) {
    need(m, needed, a->train);
    for (int c = 0; a->trains && c < a->nspecs; c++)
        if (a->trains[c].name) need_of_train(m, needed, &a->trains[c]);
    for (int c = 0; a->values && c < a->nspecs; c++) {
        if (!a->values[c].name) continue;
        need(m, needed, a->values[c].model);
        need_of_attack(m, needed, a->values[c].attack);
    }
}

/* "; the script has a, b", with the name that may have been meant. */
static bool unknown(const deq_manifest *m, const char *name, deq_error *e) {
    char list[300] = "";
    const char **names = calloc((size_t)m->nexperiments + 1, sizeof *names);
    for (int i = 0; i < m->nexperiments; i++) {
        const size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", m->experiments[i].name);
        if (names) names[i] = m->experiments[i].name;
    }
    const char *near = names ? deq_nearest(name, names, m->nexperiments) : NULL;
    free(names);
    return deq_fail(e, DEQ_SETTING, "there is no experiment '%s'%s%s%s; %s%s", name, near ? " (did you mean '" : "",
                    near ? near : "", near ? "'?)" : "", *list ? "the script has: " : "the script has none", list);
}

bool deq_app_one_experiment(deq_manifest *m, const char *name, deq_error *e) {
    if (!name) return true;
    int found = -1, kept = 0;
    for (int i = 0; i < m->nrun; i++)
        if (m->run[i].experiment && !strcmp(m->run[i].experiment->name, name)) found = i;
    if (found < 0) return unknown(m, name, e);
    bool *needed = calloc((size_t)m->nrun, sizeof *needed);
    if (!needed) return deq_fail(e, DEQ_MEMORY, "out of memory");
    const deq_experiment_spec *x = m->run[found].experiment;
    for (int i = 0; i < x->narrays; i++) need_of_array(m, needed, &x->arrays[i]);
    needed[found] = true;
    for (int i = 0; i < m->nrun; i++)
        if (needed[i]) m->run[kept++] = m->run[i];
    m->nrun = kept;
    free(needed);
    return true;
}
