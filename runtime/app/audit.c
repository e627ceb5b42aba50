/* audit.c - attacks a sample of an evaluation's examples again in other ways (reattacks.def): what the verdict weighs it by.
 *
 * Every way is an evaluation of the sample like any other, with its own journal: an audit that is interrupted goes on
 * where it stopped, and one that is repeated costs nothing.  The sample depends on the seed and the examples only. */
#define _GNU_SOURCE
#include "app_state.h"
#include "random.h"
#include "reals.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LONGER 4           /* times the steps of a solver */
#define MORE 3             /* times the iterations of an attack */
#define TIGHTER 0.01       /* of the tolerance */
#define OTHER_DRAWS 100000 /* restarts of a script are fewer */
#define FEWEST_QUERIES 50
#define MOST_QUERIES 300
#define SEARCH_SHARE 0.5 /* of what the evaluation has asked of the net, at most, unless that is too few */

typedef struct Audit {
    deq_app *app;
    const deq_model *model;
    const deq_value_spec *value;
    const deq_evaluation *whole;
    deq_engine *engine; /* with the settings of the evaluation */
    deq_audit *out;
    int64_t *ids;
    double reach_inf, reach_2, reach_1; /* of what the attack has changed: the ball that is searched */
    bool other;                         /* a part of the attack asks another net, or a defence */
    bool transfers; /* another net: what the evaluated one answers says nothing of how it searched */
    bool thorough;  /* no way is left at the first half */
    bool mixed;     /* parts ask different nets, so that no change of settings is one of all */
    deq_error *e;
} Audit;

/* ---- the sample ---- */
typedef struct Drawn {
    double draw;
    int64_t row;
} Drawn;

static int by_draw(const void *a, const void *b) {
    const Drawn *x = a, *y = b;
    return x->draw != y->draw ? (x->draw > y->draw) - (x->draw < y->draw) : (x->row > y->row) - (x->row < y->row);
}

static int by_row(const void *a, const void *b) {
    const Drawn *x = a, *y = b;
    return (x->row > y->row) - (x->row < y->row);
}

static int64_t first_half(const deq_audit *a) { return (a->n + 1) / 2; }

/* The examples with the smallest draws: first the half of them that every way is tried on, each half in its order. */
static bool draw_sample(Audit *u) {
    const int64_t all = u->whole->examples;
    deq_audit *a = u->out;
    a->n = all < DEQ_AUDIT_EXAMPLES ? all : DEQ_AUDIT_EXAMPLES;
    const uint64_t key = deq_key_text(u->model->spec->seed, "audit");
    Drawn *drawn = malloc((size_t)(all + 1) * sizeof *drawn);
    a->rows = malloc((size_t)(a->n + 1) * sizeof *a->rows);
    u->ids = malloc((size_t)(a->n + 1) * sizeof *u->ids);
    bool ok = drawn && a->rows && u->ids;
    for (int64_t i = 0; ok && i < all; i++) drawn[i] = (Drawn){deq_uniform(key, (uint64_t)u->whole->records[i].id), i};
    if (ok) qsort(drawn, (size_t)all, sizeof *drawn, by_draw);
    if (ok) qsort(drawn, (size_t)first_half(a), sizeof *drawn, by_row);
    if (ok) qsort(drawn + first_half(a), (size_t)(a->n - first_half(a)), sizeof *drawn, by_row);
    for (int64_t i = 0; ok && i < a->n; i++) {
        a->rows[i] = drawn[i].row;
        u->ids[i] = u->whole->records[drawn[i].row].id;
    }
    free(drawn);
    return ok || deq_fail(u->e, DEQ_MEMORY, "out of memory for an audit");
}

/* ---- copies with changes ---- */
static const char *keep(Audit *u, const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = deq_manifest_alloc(u->app->manifest, size);
    if (copy)
        memcpy(copy, text, size);
    else
        deq_fail(u->e, DEQ_MEMORY, "out of memory for an audit");
    return copy;
}

static deq_attack_spec *copied(Audit *u, const deq_attack_spec *a) {
    deq_attack_spec *copy = deq_attack_copy(u->app->manifest, a);
    if (!copy) deq_fail(u->e, DEQ_MEMORY, "out of memory for an audit");
    return copy;
}

/* Settings that hold beyond those of the evaluation. */
typedef struct Changes {
    deq_override *items;
    int n;
    bool crafting; /* while the attack works; what it made is judged by the evaluation's own */
} Changes;

static bool change(Audit *u, Changes *c, const char *fixed, const char *key, const char *value) {
    char path[512];
    snprintf(path, sizeof path, "%s%s%s", fixed, *fixed ? "." : "", key);
    const char *kept = keep(u, path), *text = kept ? keep(u, value) : NULL;
    if (text) c->items[c->n++] = (deq_override){kept, text};
    return text != NULL;
}

static bool make_changes(Audit *u, const deq_net_spec *net, Changes *c) {
    const size_t most = 3 * (size_t)net->nfixed + 1;
    *c = (Changes){deq_manifest_alloc(u->app->manifest, most * sizeof *c->items), 0, false};
    return c->items || deq_fail(u->e, DEQ_MEMORY, "out of memory for an audit");
}

/* A solver that makes exactly `max` steps is what the net is: it stays. */
static void lengthen(deq_solver *s, double tighter) {
    if (s->tol > 0) s->max *= LONGER, s->tol *= tighter;
    for (int i = 0; i < s->links; i++)
        if (s->then[i].tol > 0) s->then[i].max *= LONGER, s->then[i].tol *= tighter;
}

/* Of the net as its engine is set now. */
static bool longer_solves(Audit *u, const deq_engine *engine, const deq_net_spec *net, Changes *c, double tighter) {
    char text[DEQ_SETTING_TEXT];
    if (!make_changes(u, net, c)) return false;
    for (int i = 0; i < net->nfixed; i++) {
        const char *path = net->fixed[i].path;
        deq_solver s = *deq_engine_solver(engine, i);
        deq_mode m = *deq_engine_mode(engine, i);
        lengthen(&s, tighter);
        deq_chain_print(&s, false, false, text, sizeof text);
        if (!change(u, c, path, "forward", text) || !change(u, c, path, "on_fail", "warn")) return false;
        if (!deq_mode_has_adjoint(&m) || m.hand) continue;
        lengthen(&m.adjoint, 1);
        deq_mode_print(&m, text, sizeof text);
        if (!change(u, c, path, "gradient", text)) return false;
    }
    return true;
}

/* ---- the ways ---- */
static bool measure_rows(Audit *u, const deq_attack_spec *attack, const Changes *c, const char *way, const int64_t *ids,
                         int64_t n, deq_record *records) {
    deq_value_spec v = *u->value;
    char *name = NULL;
    v.attack = (deq_attack_spec *)(uintptr_t)attack;
    if (asprintf(&name, "%s (audit: %s)", v.name, way) < 0) name = NULL;
    v.name = name;
    bool ok = name ? deq_app_measure(u->app, u->model, &v, c ? c->items : NULL, c ? c->n : 0, c && c->crafting, ids, n,
                                     records, u->e)
                   : deq_fail(u->e, DEQ_MEMORY, "out of memory for an audit");
    free(name);
    return ok;
}

static deq_record *room_for(Audit *u, int64_t n) {
    deq_record *records = malloc((size_t)(n + 1) * sizeof *records);
    if (!records) deq_fail(u->e, DEQ_MEMORY, "out of memory for an audit");
    return records;
}

/* Whether the way may still find something after the first half.  One that does no better than the attack there does not:
 * of two attacks of one strength every other is left at that, and one that takes 5 points or more, and gives none back,
 * is missed once in 170 times (0.95 to the power of 100). */
static bool promises(const Audit *u, deq_reattack way, const deq_record *found, int64_t n) {
    int64_t right = 0, before = 0;
    if (u->thorough || way == DEQ_REATTACK_tighter) return true;
    for (int64_t i = 0; i < n; i++) {
        right += !deq_record_wrong(&found[i]);
        before += !deq_record_wrong(&u->whole->records[u->out->rows[i]]);
    }
    return way == DEQ_REATTACK_unbounded ? right * u->out->classes > n : right < before;
}

static bool again(Audit *u, deq_reattack way, const deq_attack_spec *attack, const Changes *c) {
    static const char *const names[] = {
#define REATTACK(id, doc) #id,
#include "reattacks.def"
#undef REATTACK
    };
    const int64_t first = first_half(u->out), rest = u->out->n - first;
    deq_record *found = u->out->again[way] = room_for(u, u->out->n);
    if (!found || !measure_rows(u, attack, c, names[way], u->ids, first, found)) return false;
    if (rest && promises(u, way, found, first))
        return measure_rows(u, attack, c, names[way], u->ids + first, rest, found + first);
    u->out->made[way] = first;
    return true;
}

static bool uncut(Audit *u) {
    Changes c;
    if (u->other) return true; /* changes are of the evaluated net */
    if (!deq_app_cuts_gradients(u->engine, u->model->spec->net)) return true;
    if (!make_changes(u, u->model->spec->net, &c)) return false;
    for (int i = 0; i < u->model->spec->net->nfixed; i++)
        if (!change(u, &c, u->model->spec->net->fixed[i].path, "on_fail", "warn")) return false;
    return again(u, DEQ_REATTACK_uncut, u->value->attack, &c);
}

static bool converged(Audit *u) {
    const deq_attack_totals *t = &u->whole->attack;
    Changes c;
    if (!t->solves) return true;
    if (!t->unconverged && !t->adjoints_unconverged) return u->out->same[DEQ_REATTACK_converged] = true;
    if (u->mixed) return true;
    deq_attack_spec *attack = copied(u, u->value->attack);
    deq_asked asked;
    const bool made = attack && deq_app_ask(u->app, attack, u->engine, u->model, &asked, u->e) &&
                      longer_solves(u, asked.engine, asked.model->spec->net, &c, 1);
    if (attack) deq_app_asked(&asked);
    if (!made) return false;
    for (deq_attack_spec *a = attack; a; a = a->next) { /* one with a gradient of its own */
        char text[DEQ_SETTING_TEXT];
        deq_mode m;
        deq_error unknown = {0};
        if (!a->gradient || !deq_mode_parse(a->gradient, &m, &unknown) || !deq_mode_has_adjoint(&m)) continue;
        lengthen(&m.adjoint, 1);
        deq_mode_print(&m, text, sizeof text);
        if (!(a->gradient = keep(u, text))) return false;
    }
    c.crafting = true; /* converged solves may predict otherwise: that would be another net */
    return again(u, DEQ_REATTACK_converged, attack, &c);
}

/* Whether every part that follows gradients has them by this mode already, on the net that they ask. */
static bool goes_through(const Audit *u, const deq_asked *asked, deq_mode_kind kind) {
    for (const deq_attack_spec *a = u->value->attack; a; a = a->next) {
        deq_mode own;
        deq_error unknown = {0};
        if (!a->differentiates) continue;
        if (a->gradient && (!deq_mode_parse(a->gradient, &own, &unknown) || own.kind != kind)) return false;
        for (int i = 0; !a->gradient && i < asked->model->spec->net->nfixed; i++)
            if (deq_engine_mode(asked->engine, i)->kind != kind) return false;
    }
    return true;
}

static bool through(Audit *u, deq_reattack way, deq_mode_kind kind, const char *mode) {
    deq_error refused = {0};
    deq_asked asked;
    if (u->mixed || !u->whole->attack.gradients) return true;
    bool ok = deq_app_ask(u->app, u->value->attack, u->engine, u->model, &asked, u->e), new = false;
    if (ok && asked.model->spec->net->nfixed) {
        u->out->same[way] = goes_through(u, &asked, kind);
        new =
            !u->out->same[way] && deq_engine_check_settings(asked.engine, mode, &refused); /* else: not this solver's */
    }
    deq_app_asked(&asked);
    if (!ok || !new) return ok;
    deq_attack_spec *attack = copied(u, u->value->attack);
    for (deq_attack_spec *a = attack; a; a = a->next) a->gradient = mode;
    return attack && again(u, way, attack, NULL);
}

/* What the script would write as `with { against: net with { defence: d } }`. */
static bool defended(Audit *u) {
    if (u->transfers || !deq_value_defence(u->value)) return true;
    deq_attack_spec *attack = copied(u, u->value->attack);
    for (deq_attack_spec *a = attack; a; a = a->next) {
        if (deq_attack_knows_defence(a)) return true;
        if (a->surrogate) return true; /* its iterates are judged at other states than the defence's */
        a->against.model = u->model->spec->name;
        a->against.settings = u->value->overrides;
        a->against.nsettings = u->value->noverrides;
        a->against.found = u->model;
    }
    return attack && again(u, DEQ_REATTACK_defended, attack, NULL);
}

/* The parts are those of the evaluation's attack, but for what they ask for. */
static bool margin(Audit *u) {
    const deq_attack_spec *own = u->value->attack;
    deq_attack_spec *attack = u->value->audit.margin ? copied(u, u->value->audit.margin) : NULL;
    if (!u->value->audit.margin) return true;
    if (!attack) return false;
    if (!strcmp(attack->routine, own->routine)) return u->out->same[DEQ_REATTACK_margin] = true;
    for (deq_attack_spec *a = attack; a && own; a = a->next, own = own->next) {
        a->gradient = own->gradient;
        for (int i = 0; i < a->nscalars && i < own->nscalars; i++) a->scalars[i].value = own->scalars[i].value;
    }
    return again(u, DEQ_REATTACK_margin, attack, NULL);
}

/* The scalar that says how many rounds there are; NULL: none. */
static deq_named *rounds(deq_attack_spec *a) {
    deq_named *s = deq_attack_scalar(a, "iterations");
    for (int i = 0; !s && i < a->nscalars; i++)
        if (a->scalars[i].count && !a->scalars[i].computed) s = &a->scalars[i];
    return s && !s->computed ? s : NULL;
}

static bool longer(Audit *u) {
    deq_attack_spec *attack = copied(u, u->value->attack);
    for (deq_attack_spec *a = attack; a; a = a->next) {
        deq_named *s = rounds(a);
        if (s) s->value = fmin(fmin(MORE * s->value, s->high), 1e9);
        a->restart += OTHER_DRAWS;
    }
    return attack && again(u, DEQ_REATTACK_longer, attack, NULL);
}

/* Whether all inputs of the sample lie in [0, 1]. */
static bool in_unit(Audit *u, bool *yes) {
    deq_dataset *data = deq_app_data(u->app, u->value->data.data, u->e);
    const int64_t elements = u->model->spec->net->input.elements;
    const int bits = (int)u->app->module->real_bits;
    const int64_t bytes = (elements * bits / 8 + DEQ_ALIGN - 1) & ~(int64_t)(DEQ_ALIGN - 1);
    if (!data || !deq_dataset_load(data, u->value->data.test, u->e)) return false;
    void *x = aligned_alloc(DEQ_ALIGN, (size_t)bytes + DEQ_ALIGN);
    if (!x) return deq_fail(u->e, DEQ_MEMORY, "out of memory for an audit");
    deq_source source = deq_dataset_source(data, u->value->data.test);
    *yes = true;
    for (int64_t i = 0; *yes && i < u->out->n; i++) {
        source.gather(source.context, &u->ids[i], 1, bits, x, bytes, NULL, 0);
        for (int64_t k = 0; *yes && k < elements; k++) {
            const double v = deq_real_get(bits, x, k);
            *yes = v >= -1e-6 && v <= 1 + 1e-6;
        }
    }
    free(x);
    return true;
}

static bool unbounded(Audit *u) {
    const double elements = (double)u->model->spec->net->input.elements;
    deq_attack_spec *attack = copied(u, u->value->attack);
    bool unit = false;
    if (!attack) return false;
    if (u->transfers) return true; /* what leads far away from another net need not from this one */
    for (deq_attack_spec *a = attack; a; a = a->next) {
        deq_named *radius = deq_attack_scalar(a, "radius"), *step = deq_attack_scalar(a, "step");
        if (!radius || radius->computed || !(radius->value > 0) || (step && step->computed))
            return true; /* no radius to set */
        double most = u->reach_1 <= 1.001 * radius->value   ? elements
                      : u->reach_2 <= 1.001 * radius->value ? sqrt(elements)
                                                            : 1;
        const double wanted = fmin(most, radius->high);
        if (step) step->value = fmin(step->value * wanted / radius->value, step->high);
        radius->value = wanted;
    }
    return in_unit(u, &unit) && (!unit || again(u, DEQ_REATTACK_unbounded, attack, NULL));
}

/* ---- without gradients ---- */
static deq_attack_spec *search_of(Audit *u, double queries) {
    deq_attack_spec *a = copied(u, u->value->audit.search);
    deq_named *radius = a ? deq_attack_scalar(a, "radius") : NULL,
              *euclidean = a ? deq_attack_scalar(a, "euclidean") : NULL,
              *total = a ? deq_attack_scalar(a, "total") : NULL, *count = a ? deq_attack_scalar(a, "queries") : NULL;
    if (!radius || !euclidean || !total || !count) return NULL;
    if (u->other && !u->transfers && !u->mixed) a->against = u->value->attack->against; /* it knows the defence too */
    radius->value = u->reach_inf;
    euclidean->value = u->reach_2;
    total->value = u->reach_1;
    count->value = queries;
    return a;
}

static bool search(Audit *u) {
    deq_audit *a = u->out;
    const deq_attack_totals *t = &u->whole->attack;
    if (!u->value->audit.search || !(u->reach_inf > 0)) return true;
    deq_attack_spec *noise = search_of(u, 0);
    if (!noise || !again(u, DEQ_REATTACK_noise, noise, NULL)) return false;
    if (u->transfers) return true; /* a search asks the net itself, and finds more than what is transferred */
    int64_t *ids = malloc((size_t)(a->n + 1) * sizeof *ids), n = 0;
    deq_record *all = malloc((size_t)(a->n + 1) * sizeof *all), *found = NULL;
    for (int64_t i = 0; ids && all && i < a->n; i++) {
        all[i] = u->whole->records[a->rows[i]];
        if (!deq_record_wrong(&all[i])) ids[n++] = u->ids[i];
    }
    double asked = SEARCH_SHARE * (double)(t->queries + t->gradients) / (double)(n ? n : 1);
    if (u->thorough) asked = MOST_QUERIES;
    deq_attack_spec *attack = search_of(u, fmin(fmax(floor(asked), FEWEST_QUERIES), MOST_QUERIES));
    bool ok = (ids && all && attack) || deq_fail(u->e, DEQ_MEMORY, "out of memory for an audit");
    if (ok && n) ok = (found = room_for(u, n)) && measure_rows(u, attack, NULL, "search", ids, n, found);
    for (int64_t i = 0, k = 0; ok && i < a->n; i++)
        if (!deq_record_wrong(&all[i])) all[i] = found[k++];
    if (ok) a->again[DEQ_REATTACK_search] = all, all = NULL;
    free(found);
    free(all);
    free(ids);
    return ok;
}

static bool tighter(Audit *u) {
    Changes c;
    if (!u->model->spec->net->nfixed || deq_value_defence(u->value)) return true;
    u->out->clean = room_for(u, u->out->n);
    return u->out->clean && measure_rows(u, NULL, NULL, "clean", u->ids, u->out->n, u->out->clean) &&
           longer_solves(u, u->engine, u->model->spec->net, &c, TIGHTER) && again(u, DEQ_REATTACK_tighter, NULL, &c);
}

/* Whom the parts of the attack ask. */
static void find_asked(Audit *u) {
    const deq_attack_spec *first = u->value->attack;
    u->transfers = deq_attack_transfers(first, u->model);
    for (const deq_attack_spec *a = first; a; a = a->next) {
        u->other = u->other || a->against.model;
        u->mixed =
            u->mixed || a->against.found != first->against.found || a->against.nsettings != first->against.nsettings;
        for (int i = 0; !u->mixed && i < a->against.nsettings; i++) {
            const deq_override *x = &a->against.settings[i], *y = &first->against.settings[i];
            u->mixed = strcmp(x->path, y->path) || strcmp(x->value, y->value);
        }
    }
}

static bool all_ways(Audit *u) {
    return uncut(u) && converged(u) &&
           through(u, DEQ_REATTACK_implicit, DEQ_MODE_implicit, "implicit(gmres(max: 100))") &&
           through(u, DEQ_REATTACK_phantom, DEQ_MODE_phantom, "phantom.unroll(steps: 5, damping: 0.5)") &&
           through(u, DEQ_REATTACK_jfb, DEQ_MODE_jfb, "jfb()") && defended(u) && margin(u) && longer(u) &&
           unbounded(u) && search(u) && tighter(u);
}

bool deq_app_audit(deq_app *app, const deq_model *model, const deq_value_spec *v, const deq_evaluation *x, bool whole,
                   deq_audit **out, deq_error *e) {
    *out = NULL;
    /* An attack that asks nothing of the net is a baseline, and without labels nothing is right or wrong. */
    if (!v->attack || !x->examples || !(x->attack.queries + x->attack.gradients) || !model->spec->net->target.labels)
        return true;
    Audit u = {.app = app,
               .model = model,
               .value = v,
               .whole = x,
               .thorough = whole,
               .engine = deq_app_engine(app, model->spec->net, e),
               .out = calloc(1, sizeof(deq_audit)),
               .e = e};
    if (!u.engine || !u.out) {
        free(u.out);
        return u.engine ? deq_fail(e, DEQ_MEMORY, "out of memory for an audit") : false;
    }
    find_asked(&u);
    u.out->classes = model->spec->net->target.labels;
    for (int64_t i = 0; i < x->examples; i++) {
        u.reach_inf = fmax(u.reach_inf, (double)x->records[i].reach_inf);
        u.reach_2 = fmax(u.reach_2, (double)x->records[i].reach_2);
        u.reach_1 = fmax(u.reach_1, (double)x->records[i].reach_1);
    }
    const double began = deq_now();
    uint32_t token = deq_engine_save_settings(u.engine);
    bool ok =
        deq_app_as_trained(u.engine, model->spec, v->overrides, v->noverrides, e) && draw_sample(&u) && all_ways(&u);
    deq_engine_restore_settings(u.engine, token);
    free(u.ids);
    if (ok)
        deq_report(&app->reporter, "%s of %s: attacked again on a sample of up to %lld examples (%.1f s)", v->name,
                   model->label, (long long)u.out->n, deq_now() - began);
    if (ok)
        *out = u.out;
    else
        deq_audit_free(u.out);
    return ok;
}
