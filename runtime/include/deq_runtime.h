/* deq_runtime.h - the binary interface between generated code and the runtime, and nothing else.
 *
 * A generated object exports one symbol, `deq_module`: a manifest (JSON, see runtime/MANIFEST.md), a table of routines,
 * and the descriptors of its fixed points.  Everything numeric is in the routines; everything else in the manifest. */
#ifndef DEQ_RUNTIME_H
#define DEQ_RUNTIME_H
#include <stdint.h>

#define DEQ_ABI_VERSION 16
#define DEQ_ALIGN 64            /* bytes: alignment of bases, strides and offsets */
#define DEQ_RESOLVENT_MOST 2048 /* elements of a state for which splitting solvers invert I + step (I - L) */
#define DEQ_CHUNK 1024          /* elements of one row of an optimiser routine; the parameter vector is padded to it */

typedef struct deq_frame deq_frame;

/* Every generated routine: processes rows (examples) 0..n-1.  Rows are independent: the result of a row does not depend
 * on n or on the other rows, bit for bit; sums over examples add rows in order.
 * Padding: elements past a value's count in its last 64 bytes are written as zero and ignored when read. */
typedef void deq_routine_fn(const deq_frame *frame, int64_t n);

struct deq_frame {
#define FRAME(field, type, doc) type field;
#include "frame.def"
#undef FRAME
};

typedef struct deq_fixed {
#define FIXED(field, type, doc) type field;
#include "fixed.def"
#undef FIXED
} deq_fixed;

typedef struct deq_routine {
    const char *name;
    deq_routine_fn *function;
    int64_t row_bytes, base_bytes; /* scratch needed: base_bytes + n * row_bytes */
} deq_routine;

/* A piece of code that is timed, in objects compiled for `deq profile`; written by deq_profile_leave only. */
typedef struct deq_profile_site {
    const char *routine, *operations, *file; /* file: NULL where the code comes from no line */
    int64_t line;
    int64_t calls, nanoseconds, own; /* own: without the pieces that ran inside */
    struct deq_profile_site *next;   /* of those that ran */
} deq_profile_site;

typedef struct deq_module {
    int64_t abi_version;  /* DEQ_ABI_VERSION of the compiler that made it */
    int64_t real_bits;    /* 32 or 64: the working type of every routine */
    const char *manifest; /* NUL-terminated JSON */
    int64_t manifest_length;
    const deq_routine *routines;
    int64_t routine_count;
    const deq_fixed *const *fixed;
    int64_t fixed_count;
} deq_module;

_Static_assert(sizeof(deq_fixed) % 8 == 0 && sizeof(deq_frame) % 8 == 0, "every field is 8 bytes");

#define P(name) , void *name
#define I(name) , int64_t name
#define DEQ_LIST_(...) __VA_ARGS__
#define DEQ_TAIL_(first, ...) __VA_ARGS__
#define DEQ_EXPAND_(...) DEQ_TAIL_(__VA_ARGS__)
#define DEQ_FN(name, result, count, parameters, doc) void name(DEQ_EXPAND_(0 DEQ_LIST_ parameters));
#include "abi.def"
#undef DEQ_FN
#undef DEQ_EXPAND_
#undef DEQ_TAIL_
#undef DEQ_LIST_
#undef P
#undef I
#endif
