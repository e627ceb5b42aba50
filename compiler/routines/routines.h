/* routines.h - from a model to its routines: the door of this room. */
#ifndef DEQ_COMPILER_ROUTINES_H
#define DEQ_COMPILER_ROUTINES_H
#include "routine.h"

typedef struct SharedSlot {
    const char *what;
    uint64_t offset, bytes;
    int64_t accum;
} SharedSlot; /* accum: -1 none */

typedef struct FieldPlace { /* where an argument of a gradient in C stands, and its cotangent goes */
    const char *where;      /* "shared", "rest", "state"; NULL: it is a number */
    int64_t offset, accum;  /* accum: of a shared value that is trained, else -1 */
} FieldPlace;

typedef struct ModelRoutines {   /* result of model_routines() */
    uint64_t parameter_bytes;    /* the parameter vector: shared[0 .. parameter_bytes), padded to DEQ_CHUNK elements;
                                    gradients have the same layout in accum[0 .. parameter_bytes) */
    uint64_t *parameter_offsets; /* of each model parameter, in shared and in accum; buffers follow the trained ones,
                                    outside [0, parameter_bytes), in shared only */
    uint64_t shared_bytes, accum_bytes;
    FixedLayout *fixed;
    uint32_t nfixed;
    bool has_finish;     /* NET_finish exists (derived shared values with cotangents) */
    FieldPlace **hands;  /* of each gradient in C, by field; NULL for the others */
    bool has_statistics; /* NET_statistics exists */
    SharedSlot *slots;   /* for --memory */
    uint32_t nslots;
} ModelRoutines;

/* Model -> routines, appended to the unit: hoists what the state does not touch, differentiates, splits by what is
 * known when, packs weights, lays out records.
 * needs: verified graphs.  ensures: every routine of the list in routine.h for the net, each graph verified. */
ModelRoutines *model_routines(Unit *unit, const Model *model);
#endif
