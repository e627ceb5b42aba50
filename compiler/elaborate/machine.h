/* machine.h - routines made of straight pieces and loops: what attacks, optimisers and scalar functions have in common.
 *
 * A piece is one graph; between pieces values live in storage (row buffers, scalars).  Storage is named by the inputs
 * of a graph that is never compiled, `leaf`: importing such a value into a piece makes an input of the piece bound to
 * the place.  A value of an earlier piece that a later one reads is spilled to a buffer of its own. */
#ifndef DEQ_COMPILER_MACHINE_H
#define DEQ_COMPILER_MACHINE_H
#include "deq_runtime.h"
#include "elaborate.h"

typedef struct Piece Piece;
typedef struct Part Part; /* a piece or a loop */

typedef struct Cell { /* a variable: `state` of an attack or optimiser, w, a loop counter */
    const char *name;
    NodeId leaf;
    Shape shape;
    uint32_t classes; /* of a label; 0: it is none */
    Value pending;    /* assigned, not yet in force: updates are simultaneous */
} Cell;

typedef struct Machine {
    Elab *elab;
    const char *name; /* of the definition: keys its random draws */
    Build *leaf;
    struct Slot {
        Place place;
        uint32_t index;
    } * slots; /* by leaf node */
    uint32_t nslots, slots_cap;
    Piece *piece;        /* being built */
    Part *first, **next; /* list being filled */
    Cell *cells;         /* in scope */
    uint32_t ncells, cells_cap;
    uint32_t base; /* the first cell of the attack being written out: those before it are an outer attack's */
    uint32_t *block_counts;
    uint32_t nblocks, blocks_cap, draws;
    struct Spill {
        Build *build;
        NodeId node, leaf;
    } * spills;
    uint32_t nspills, spills_cap;
    Shape row; /* shape of flex values */
    void *host;
} Machine;

Machine *machine_new(Elab *e, const char *name, Shape row);
/* A value that stands in storage. */
Value machine_leaf(Machine *m, Place place, uint32_t index, Shape shape, bool batched, const char *name);
Build *machine_build(Machine *m); /* of the piece being built */
/* A new variable in a buffer of its own, with its first value. */
bool machine_declare(Machine *m, Scope *s, const char *name, Value first, Range at);
void machine_add_cell(Machine *m, Scope *s, const char *name, Value leaf);
/* Both take effect at machine_settle. */
bool machine_assign(Machine *m, Scope *s, const Ast *equation);
bool machine_assign_value(Machine *m, Scope *s, const Ast *target, Value v, Range at);
/* The names a `let` has just bound: what is read from storage is read now, not when the storage has changed. */
void machine_hold(Machine *m, Scope *s, const Ast *let);
void machine_settle(Machine *m, Scope *s);
/* Around the body of a loop; the trip count is frame->scalars[trip]. */
typedef struct LoopMark {
    Part *part;
    Part **next;
    Env *env;
    uint32_t ncells;
} LoopMark;
LoopMark machine_loop_begin(Machine *m, Scope *s, uint32_t trip);
void machine_loop_end(Machine *m, Scope *s, LoopMark mark);
/* In a loop: examples for which `done` is 1 leave it here. */
bool machine_drop(Machine *m, Scope *s, Value done, Range at);
/* Writes `v` to a place at the end of the current piece. */
bool machine_store(Machine *m, Scope *s, Value v, Place place, uint32_t index, Range at);
Routine *machine_finish(Machine *m, const char *symbol, bool rows);
uint64_t machine_row_bytes(const Machine *m, Shape s); /* padded */
#endif
