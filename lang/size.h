/* size.h - sizes of tensors: polynomials over size parameters in normal form.
 *
 * A size is a sum of monomials with rational coefficients over atoms; an atom is a variable (the declaration of a size
 * parameter, an int argument or a loop variable) or a quotient that does not reduce to a coefficient.  Two sizes are
 * equal for every choice of the variables iff size_equal says so.  `H / 2` is a legal size that carries the obligation
 * 2 | H: it is discharged when the variables become numbers (size_number).
 * Needs the arena.  Ensures: sizes are immutable; overflow makes a size invalid (size_valid), never wrong. */
#ifndef DEQ_LANG_SIZE_H
#define DEQ_LANG_SIZE_H
#include "ast.h"

typedef struct Size Size;
typedef struct SizeBinding { /* var = value; var is the declaring node */
    const Ast *var;
    const Size *value; /* NULL: not known yet */
    const Type *axes;  /* of a pack of axes: a tensor with those that it stands for */
} SizeBinding;

const Size *size_constant(Arena *a, int64_t value);
const Size *size_variable(Arena *a, const Ast *declaration);
const Size *size_add(Arena *a, const Size *x, const Size *y);
const Size *size_subtract(Arena *a, const Size *x, const Size *y);
const Size *size_multiply(Arena *a, const Size *x, const Size *y);
const Size *size_divide(Arena *a, const Size *x, const Size *y); /* exact; dividing by zero is invalid */
const Size *size_floor(Arena *a, const Size *x);                 /* the largest integer that is not above x */
bool size_valid(const Size *x);
bool size_equal(const Size *x, const Size *y);
/* True when x has no variable left; then *num / *den is its value in lowest terms, den >= 1. */
bool size_rational(const Size *x, int64_t *num, int64_t *den);
/* True when x is a whole number, then *value is it. */
bool size_number(const Size *x, int64_t *value);
/* Replaces the variables that have a value in `b`. */
const Size *size_substitute(Arena *a, const Size *x, const SizeBinding *b, uint32_t n);
/* The variable x consists of (coefficient 1, power 1), or NULL. */
const Ast *size_as_variable(const Size *x);
/* Does x mention `var`? */
bool size_mentions(const Size *x, const Ast *var);
/* The nth distinct variable of x, or NULL. */
const Ast *size_variable_at(const Size *x, uint32_t n);
/* Solves x == target for `var`, in which x is linear with a constant coefficient; NULL if it is not. */
const Size *size_solve(Arena *a, const Size *x, const Size *target, const Ast *var);
const char *size_text(Arena *a, const Size *x); /* "2 * H / 3 + 1" */
#endif
