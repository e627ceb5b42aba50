/* labels.h - what the elements of a sweep's list are called: the name given, [exact: implicit()], else the text of a name
 * or a number.  A list in the list is a family: its elements have a label together, and are told apart by number.
 * And the words of verdicts.  Needs nothing but the tree. */
#ifndef DEQ_LANG_LABELS_H
#define DEQ_LANG_LABELS_H
#include "ast.h"

const char *label_of(const Ast *element);     /* NULL: it has none */
const Ast *element_value(const Ast *element); /* without its label */
bool says_none(const Ast *e);                 /* none: no attack, no defence, no penalty */
bool names_none(const Ast *e);                /* the same, or a const of it, or a sweep over nothing else */
bool is_family(const Ast *element);           /* a list, which is no list of penalties */
bool sweep_has_families(const Ast *sweep);
/* The place of the element that `label`, a name or a number, calls; of a range, of the number.  -1: none. */
int label_place(const Ast *sweep, const Ast *label);
/* The sweep whose values the expression has: its variable, argmax(v, over: s), a name or a pick of one; NULL: none.
 * `items`: of the experiment. */
const Ast *sweep_of_value(const Ast *items, const Ast *e);
/* cosine(net, d.test, of: jfb(), to: implicit()), relative_error(..): gradients beside each other. */
typedef struct GradientsCompared {
    const char *name;
    Ast *net, *examples, *of, *to;
    const Ast *more; /* an argument too many */
} GradientsCompared;
bool gradients_compared(const Ast *call, GradientsCompared *out);
/* v[s: label]: an INDEX whose items are ARGs. */
bool is_pick(const Ast *e);
/* Of `==` and its like: the sweep whose values both sides have, argmax(a, over: s) == argmax(b, over: s); NULL: none. */
const Ast *sweep_of_both(const Ast *items, const Ast *comparison);
/* The other side of `choice == label`, where one side has the values of a sweep, which is *sweep, and the other calls one
 * of them; NULL: it is no such comparison.  *place: of the label. */
const Ast *label_compared(const Ast *items, const Ast *comparison, const Ast **sweep, int *place);
/* Of `v == masked`: the side that is a verdict, robust.verdict, or a pick or name of one; *word is the other side, and
 * *place of it in verdicts.def: -1 where it is another verdict or no such word.  NULL: it is no such comparison. */
const Ast *verdict_compared(const Ast *items, const Ast *comparison, const Ast **word, int *place);
bool is_verdict(const Ast *items, const Ast *e);
int verdict_place(const Ast *word); /* in verdicts.def; -1: it is no such word */
#endif
