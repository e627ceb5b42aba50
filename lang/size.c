/* size.c - polynomials over size parameters; see size.h. */
#include "size.h"
#include <stdio.h>
#include <string.h>

typedef enum AtomKind { ATOM_VARIABLE, ATOM_QUOTIENT, ATOM_FLOOR } AtomKind;
typedef struct Atom {
    AtomKind kind;
    const Ast *variable;
    const Size *top, *bottom; /* QUOTIENT: top / bottom; FLOOR: floor(top) */
    uint32_t weight;          /* atoms in it: sizes share structure, so what is small in memory may be large to walk */
} Atom;
typedef struct Factor {
    Atom atom;
    uint32_t power;
} Factor;
typedef struct Term { /* num / den times the product of factors; factors sorted, den >= 1, num != 0 */
    int64_t num, den;
    uint32_t nfactors;
    Factor *factors;
} Term;
struct Size { /* terms sorted by their factors, the constant last; no two with equal factors */
    bool invalid;
    uint32_t nterms;
    Term *terms;
};

static const Size size_broken = {.invalid = true};
enum { TERMS_LIMIT = 256, WEIGHT_LIMIT = 4096 }; /* beyond these a size is not something a person wrote */

static int64_t gcd(int64_t a, int64_t b) {
    uint64_t x = a < 0 ? -(uint64_t)a : (uint64_t)a, y = b < 0 ? -(uint64_t)b : (uint64_t)b;
    while (y) {
        uint64_t r = x % y;
        x = y, y = r;
    }
    return x > INT64_MAX ? 1 : (int64_t)x;
}

/* Brings num / den to lowest terms with den >= 1; false on overflow. */
static bool rational_reduce(int64_t *num, int64_t *den) {
    if (*den == 0 || *den == INT64_MIN || *num == INT64_MIN) return false;
    if (*den < 0) *num = -*num, *den = -*den;
    int64_t g = gcd(*num, *den);
    if (g > 1) *num /= g, *den /= g;
    return true;
}

static int size_order(const Size *x, const Size *y);

static int atom_order(const Atom *a, const Atom *b) {
    if (a->kind != b->kind) return a->kind < b->kind ? -1 : 1;
    if (a->kind == ATOM_VARIABLE) {
        if (a->variable == b->variable) return 0;
        int c = strcmp(a->variable->name ? a->variable->name : "", b->variable->name ? b->variable->name : "");
        if (c) return c;
        if (a->variable->range.start != b->variable->range.start)
            return a->variable->range.start < b->variable->range.start ? -1 : 1;
        return (uintptr_t)a->variable < (uintptr_t)b->variable ? -1 : 1;
    }
    int c = size_order(a->top, b->top);
    return c || a->kind == ATOM_FLOOR ? c : size_order(a->bottom, b->bottom);
}

/* Terms with more factors first, so that the constant comes last. */
static int factors_order(const Term *a, const Term *b) {
    for (uint32_t i = 0; i < a->nfactors && i < b->nfactors; i++) {
        int c = atom_order(&a->factors[i].atom, &b->factors[i].atom);
        if (c) return c;
        if (a->factors[i].power != b->factors[i].power) return a->factors[i].power > b->factors[i].power ? -1 : 1;
    }
    return a->nfactors == b->nfactors ? 0 : a->nfactors > b->nfactors ? -1 : 1;
}

static int size_order(const Size *x, const Size *y) {
    for (uint32_t i = 0; i < x->nterms && i < y->nterms; i++) {
        int c = factors_order(&x->terms[i], &y->terms[i]);
        if (c) return c;
        if (x->terms[i].num != y->terms[i].num) return x->terms[i].num < y->terms[i].num ? -1 : 1;
        if (x->terms[i].den != y->terms[i].den) return x->terms[i].den < y->terms[i].den ? -1 : 1;
    }
    return x->nterms == y->nterms ? 0 : x->nterms < y->nterms ? -1 : 1;
}

static Size *size_empty(Arena *a, uint32_t capacity) {
    Size *s = arena_alloc(a, sizeof *s);
    s->terms = arena_alloc(a, sizeof(Term) * (capacity ? capacity : 1));
    return s;
}

static uint32_t size_weight(const Size *x) {
    uint32_t weight = 0;
    for (uint32_t i = 0; x && i < x->nterms; i++)
        for (uint32_t k = 0; k < x->terms[i].nfactors; k++) weight += x->terms[i].factors[k].atom.weight;
    return weight;
}

static const Size *size_of_atom(Arena *a, Atom atom) {
    atom.weight = 1 + size_weight(atom.top) + size_weight(atom.bottom);
    if (atom.weight > WEIGHT_LIMIT) return &size_broken;
    Size *s = size_empty(a, 1);
    s->nterms = 1;
    s->terms[0] = (Term){1, 1, 1, arena_alloc(a, sizeof(Factor))};
    s->terms[0].factors[0] = (Factor){atom, 1};
    return s;
}

const Size *size_constant(Arena *a, int64_t value) {
    Size *s = size_empty(a, 1);
    if (value) {
        s->nterms = 1;
        s->terms[0] = (Term){value, 1, 0, NULL};
    }
    return s;
}

const Size *size_variable(Arena *a, const Ast *declaration) {
    return size_of_atom(a, (Atom){ATOM_VARIABLE, declaration, NULL, NULL, 0});
}

bool size_valid(const Size *x) { return x && !x->invalid; }

/* x + sign * y by merging two sorted lists. */
static const Size *size_merge(Arena *a, const Size *x, const Size *y, int sign) {
    if (!size_valid(x) || !size_valid(y)) return &size_broken;
    Size *s = size_empty(a, x->nterms + y->nterms);
    uint32_t i = 0, j = 0;
    while (i < x->nterms || j < y->nterms) {
        int c = i == x->nterms ? 1 : j == y->nterms ? -1 : factors_order(&x->terms[i], &y->terms[j]);
        Term t;
        if (c < 0) {
            t = x->terms[i++];
        } else if (c > 0) {
            t = y->terms[j++];
            t.num *= sign;
        } else {
            const Term *p = &x->terms[i++], *q = &y->terms[j++];
            int64_t l, r;
            t = *p;
            if (__builtin_mul_overflow(p->num, q->den, &l) || __builtin_mul_overflow(q->num * sign, p->den, &r) ||
                __builtin_add_overflow(l, r, &t.num) || __builtin_mul_overflow(p->den, q->den, &t.den) ||
                !rational_reduce(&t.num, &t.den))
                return &size_broken;
            if (t.num == 0) continue;
        }
        s->terms[s->nterms++] = t;
    }
    return s->nterms > TERMS_LIMIT || size_weight(s) > WEIGHT_LIMIT ? &size_broken : s;
}

const Size *size_add(Arena *a, const Size *x, const Size *y) { return size_merge(a, x, y, 1); }

const Size *size_subtract(Arena *a, const Size *x, const Size *y) { return size_merge(a, x, y, -1); }

static bool term_multiply(Arena *a, const Term *x, const Term *y, Term *out) {
    /* reducing across first keeps intermediate products small */
    int64_t xn = x->num, xd = x->den, yn = y->num, yd = y->den;
    if (!rational_reduce(&xn, &yd) || !rational_reduce(&yn, &xd)) return false;
    if (__builtin_mul_overflow(xn, yn, &out->num) || __builtin_mul_overflow(xd, yd, &out->den) ||
        !rational_reduce(&out->num, &out->den))
        return false;
    out->nfactors = 0;
    out->factors = arena_alloc(a, sizeof(Factor) * (x->nfactors + y->nfactors + 1));
    uint32_t i = 0, j = 0;
    while (i < x->nfactors || j < y->nfactors) {
        int c = i == x->nfactors ? 1 : j == y->nfactors ? -1 : atom_order(&x->factors[i].atom, &y->factors[j].atom);
        Factor f = c <= 0 ? x->factors[i++] : y->factors[j++];
        if (c == 0) f.power += y->factors[j++].power;
        if (f.power > 64) return false;
        out->factors[out->nfactors++] = f;
    }
    return true;
}

/* x times y where y is a quotient whose divisor divides x: groups * (C / groups) is C.  NULL: it is not so. */
static const Size *size_cancel(Arena *a, const Size *x, const Size *y) {
    if (y->nterms != 1 || y->terms[0].nfactors != 1 || y->terms[0].factors[0].power != 1 || x->nterms == 0) return NULL;
    const Atom *atom = &y->terms[0].factors[0].atom;
    if (atom->kind != ATOM_QUOTIENT) return NULL;
    const Size *rest = size_divide(a, x, atom->bottom);
    if (!size_valid(rest)) return NULL;
    for (uint32_t i = 0; i < rest->nterms; i++)
        for (uint32_t k = 0; k < rest->terms[i].nfactors; k++)
            if (rest->terms[i].factors[k].atom.kind == ATOM_QUOTIENT) return NULL;
    Term scale = {y->terms[0].num, y->terms[0].den, 0, NULL};
    Size factor = {.nterms = 1, .terms = &scale};
    return size_multiply(a, size_multiply(a, rest, atom->top), &factor);
}

const Size *size_multiply(Arena *a, const Size *x, const Size *y) {
    if (size_valid(x) && size_valid(y)) {
        const Size *cancelled = size_cancel(a, x, y);
        if (!cancelled) cancelled = size_cancel(a, y, x);
        if (cancelled) return cancelled;
    }
    if (!size_valid(x) || !size_valid(y) || x->nterms * y->nterms > TERMS_LIMIT) return &size_broken;
    const Size *sum = size_empty(a, 0);
    for (uint32_t i = 0; i < x->nterms; i++)
        for (uint32_t j = 0; j < y->nterms; j++) {
            Size *t = size_empty(a, 1);
            t->nterms = 1;
            if (!term_multiply(a, &x->terms[i], &y->terms[j], &t->terms[0])) return &size_broken;
            sum = size_add(a, sum, t);
        }
    return sum;
}

bool size_rational(const Size *x, int64_t *num, int64_t *den) {
    if (!size_valid(x) || x->nterms > 1 || (x->nterms == 1 && x->terms[0].nfactors)) return false;
    *num = x->nterms ? x->terms[0].num : 0;
    *den = x->nterms ? x->terms[0].den : 1;
    return true;
}

bool size_number(const Size *x, int64_t *value) {
    int64_t den;
    return size_rational(x, value, &den) && den == 1;
}

const Size *size_divide(Arena *a, const Size *x, const Size *y) {
    int64_t num, den;
    if (!size_valid(x) || !size_valid(y) || y->nterms == 0) return &size_broken;
    if (size_rational(y, &num, &den)) {
        Size *inverse = size_empty(a, 1);
        inverse->nterms = 1;
        inverse->terms[0] = (Term){den, num, 0, NULL};
        if (!rational_reduce(&inverse->terms[0].num, &inverse->terms[0].den)) return &size_broken;
        return size_multiply(a, x, inverse);
    }
    if (x->nterms == 0) return x;
    if (size_equal(x, y)) return size_constant(a, 1);
    if (y->nterms == 1) { /* (C * H) / C: cancel when every term holds the divisor's factors */
        const Term *d = &y->terms[0];
        Size *q = size_empty(a, x->nterms);
        for (uint32_t i = 0; i < x->nterms; i++) {
            Term t = x->terms[i];
            t.factors = arena_copy(a, t.factors ? (const void *)t.factors : (const void *)&t,
                                   t.factors ? sizeof(Factor) * t.nfactors : 1);
            for (uint32_t k = 0; k < d->nfactors; k++) {
                uint32_t f = 0;
                while (f < t.nfactors && atom_order(&t.factors[f].atom, &d->factors[k].atom) != 0) f++;
                if (f == t.nfactors || t.factors[f].power < d->factors[k].power)
                    return size_of_atom(a, (Atom){ATOM_QUOTIENT, NULL, x, y, 0});
                t.factors[f].power -= d->factors[k].power;
                if (t.factors[f].power == 0) {
                    memmove(t.factors + f, t.factors + f + 1, sizeof(Factor) * (t.nfactors - f - 1));
                    t.nfactors--;
                }
            }
            if (__builtin_mul_overflow(t.num, d->den, &t.num) || __builtin_mul_overflow(t.den, d->num, &t.den) ||
                !rational_reduce(&t.num, &t.den))
                return &size_broken;
            Size one = {.nterms = 1, .terms = &t};
            q = (Size *)size_add(a, q, &one);
        }
        return q;
    }
    return size_of_atom(a, (Atom){ATOM_QUOTIENT, NULL, x, y, 0});
}

const Size *size_floor(Arena *a, const Size *x) {
    int64_t num, den;
    if (!size_valid(x)) return x;
    if (size_rational(x, &num, &den)) return size_constant(a, num / den - (num % den < 0));
    /* Variables are whole numbers, so only fractions need the floor: floor(4 R - 1 / 2) is 4 R - 1. */
    const Size *whole = size_empty(a, 0), *rest = size_empty(a, 0);
    for (uint32_t i = 0; i < x->nterms; i++) {
        Term t = x->terms[i];
        Size one = {.nterms = 1, .terms = &t};
        bool fraction = t.den != 1;
        for (uint32_t k = 0; k < t.nfactors; k++) fraction = fraction || t.factors[k].atom.kind == ATOM_QUOTIENT;
        if (fraction && t.nfactors == 0) { /* the constant: its whole part is exact too */
            const Size *down = size_constant(a, t.num / t.den - (t.num % t.den < 0));
            whole = size_add(a, whole, down);
            rest = size_add(a, rest, size_subtract(a, &one, down));
        } else if (fraction)
            rest = size_add(a, rest, &one);
        else
            whole = size_add(a, whole, &one);
    }
    if (!size_rational(rest, &num, &den))
        rest = size_of_atom(a, (Atom){ATOM_FLOOR, NULL, rest, NULL, 0});
    else
        rest = size_constant(a, 0); /* from 0, below 1 */
    return size_add(a, whole, rest);
}

bool size_equal(const Size *x, const Size *y) {
    return x == y || (size_valid(x) && size_valid(y) && size_order(x, y) == 0);
}

static const Size *atom_substitute(Arena *a, const Atom *atom, const SizeBinding *b, uint32_t n) {
    if (atom->kind == ATOM_VARIABLE) {
        for (uint32_t i = 0; i < n; i++)
            if (b[i].var == atom->variable && b[i].value) return b[i].value;
        return size_of_atom(a, *atom);
    }
    const Size *top = size_substitute(a, atom->top, b, n);
    return atom->kind == ATOM_FLOOR ? size_floor(a, top) : size_divide(a, top, size_substitute(a, atom->bottom, b, n));
}

const Size *size_substitute(Arena *a, const Size *x, const SizeBinding *b, uint32_t n) {
    if (!size_valid(x) || n == 0) return x;
    const Size *sum = size_empty(a, 0);
    for (uint32_t i = 0; i < x->nterms; i++) {
        Size *t = size_empty(a, 1);
        t->nterms = 1;
        t->terms[0] = (Term){x->terms[i].num, x->terms[i].den, 0, NULL};
        const Size *product = t;
        for (uint32_t k = 0; k < x->terms[i].nfactors; k++) {
            const Size *value = atom_substitute(a, &x->terms[i].factors[k].atom, b, n);
            for (uint32_t power = 0; power < x->terms[i].factors[k].power; power++)
                product = size_multiply(a, product, value);
        }
        sum = size_add(a, sum, product);
    }
    return sum;
}

const Ast *size_as_variable(const Size *x) {
    if (!size_valid(x) || x->nterms != 1) return NULL;
    const Term *t = &x->terms[0];
    if (t->num != 1 || t->den != 1 || t->nfactors != 1 || t->factors[0].power != 1) return NULL;
    return t->factors[0].atom.kind == ATOM_VARIABLE ? t->factors[0].atom.variable : NULL;
}

/* Calls `visit` on every variable of x until it returns true. */
static bool size_any(const Size *x, bool (*visit)(const Ast *, void *), void *data) {
    if (!size_valid(x)) return false;
    for (uint32_t i = 0; i < x->nterms; i++)
        for (uint32_t k = 0; k < x->terms[i].nfactors; k++) {
            const Atom *atom = &x->terms[i].factors[k].atom;
            if (atom->kind == ATOM_VARIABLE
                    ? visit(atom->variable, data)
                    : size_any(atom->top, visit, data) || (atom->bottom && size_any(atom->bottom, visit, data)))
                return true;
        }
    return false;
}

static bool is_variable(const Ast *v, void *wanted) { return v == wanted; }

bool size_mentions(const Size *x, const Ast *var) { return size_any(x, is_variable, (void *)(uintptr_t)var); }

typedef struct Distinct {
    const Ast *seen[32];
    uint32_t n;
} Distinct;

static bool collect(const Ast *v, void *data) {
    Distinct *d = data;
    for (uint32_t i = 0; i < d->n; i++)
        if (d->seen[i] == v) return false;
    if (d->n < 32) d->seen[d->n++] = v;
    return false;
}

const Ast *size_variable_at(const Size *x, uint32_t n) {
    Distinct d = {.n = 0};
    size_any(x, collect, &d);
    return n < d.n ? d.seen[n] : NULL;
}

const Size *size_solve(Arena *a, const Size *x, const Size *target, const Ast *var) {
    if (!size_valid(x) || !size_valid(target)) return NULL;
    const Size *rest = size_empty(a, 0), *slope = NULL;
    for (uint32_t i = 0; i < x->nterms; i++) {
        Size one = {.nterms = 1, .terms = &x->terms[i]};
        if (!size_mentions(&one, var)) {
            rest = size_add(a, rest, &one);
            continue;
        }
        const Term *t = &x->terms[i];
        if (slope || t->nfactors != 1 || t->factors[0].power != 1 || t->factors[0].atom.kind != ATOM_VARIABLE)
            return NULL;
        Size *c = size_empty(a, 1);
        c->nterms = 1;
        c->terms[0] = (Term){t->num, t->den, 0, NULL};
        slope = c;
    }
    return slope ? size_divide(a, size_subtract(a, target, rest), slope) : NULL;
}

static const char *quotient_text(Arena *a, const Atom *q, bool alone) {
    bool simple = size_as_variable(q->top) && size_as_variable(q->bottom);
    const char *format = simple && alone ? "%s / %s" : simple ? "(%s / %s)" : "((%s) / (%s))";
    return arena_printf(a, format, size_text(a, q->top), size_text(a, q->bottom));
}

static const char *term_text(Arena *a, const Term *t, bool absolute) {
    int64_t num = absolute && t->num < 0 ? -t->num : t->num;
    const char *s = t->nfactors && num == 1    ? ""
                    : t->nfactors && num == -1 ? "-"
                                               : arena_printf(a, "%lld", (long long)num);
    for (uint32_t k = 0; k < t->nfactors; k++) {
        const Atom *atom = &t->factors[k].atom;
        const char *f = atom->kind == ATOM_VARIABLE ? atom->variable->name
                        : atom->kind == ATOM_FLOOR  ? arena_printf(a, "floor(%s)", size_text(a, atom->top))
                                                    : quotient_text(a, atom, t->nfactors == 1 && num == 1);
        for (uint32_t power = 0; power < t->factors[k].power; power++)
            s = arena_printf(a, "%s%s%s", s, *s && strcmp(s, "-") != 0 ? " * " : "", f);
    }
    return t->den == 1 ? s : arena_printf(a, "%s / %lld", s, (long long)t->den);
}

const char *size_text(Arena *a, const Size *x) {
    if (!size_valid(x)) return "?";
    if (x->nterms == 0) return "0";
    const char *s = term_text(a, &x->terms[0], false);
    for (uint32_t i = 1; i < x->nterms; i++)
        s = arena_printf(a, "%s %c %s", s, x->terms[i].num < 0 ? '-' : '+', term_text(a, &x->terms[i], true));
    return s;
}
