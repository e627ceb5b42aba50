/* items.h - what an experiment is made of: its own items, and those of other experiments that it names.
 *
 * `table2.robust` is an item of the experiment `table2`, of this module or one that is imported: a MEMBER whose base refers
 * to an EXPERIMENT and whose `ref` is the item's SWEEP or TRAIN, or the NAME in the pattern of its LET.  Such an item and
 * what it mentions in its own experiment stand before the items of the experiment that names it; what is not named, its
 * tables, figures and claims, does not.  Needs a resolved experiment. */
#ifndef DEQ_LANG_ITEMS_H
#define DEQ_LANG_ITEMS_H
#include "ast.h"

typedef struct Items {
    const Ast *list; /* LIST: of each experiment in the order of the script, behind those whose items it names */
    const Ast *const *owners; /* of each: the EXPERIMENT that declares it */
} Items;

void items_of_experiment(Arena *a, const Ast *experiment, Items *out);
/* The EXPERIMENT whose item `e` names, table2.robust; NULL: it names none. */
const Ast *item_experiment(const Ast *e);
/* What the name of `ref` is declared by: the LET of a pattern, else `ref` itself. */
bool item_declares(const Ast *item, const Ast *ref);
/* What stands for the item in another experiment: "table2.robust". */
const char *item_path(Arena *a, const Ast *e);
/* The SWEEP of this name that `e`, in the experiment, mentions, through names of items too; own ones first.  NULL: none. */
const Ast *sweep_mentioned(Arena *a, const Ast *experiment, const Ast *e, const char *name);
#endif
