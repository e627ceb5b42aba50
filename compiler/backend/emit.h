/* emit.h - the LLVM builder in the words of the lowering: reals, full vectors, counted loops.
 *
 * One Emit per compilation.  Everything is in one context; floating-point instructions carry `contract` and nothing
 * else (reassociation would make a row's bits depend on the code around it, and nnan would delete the solvers'
 * divergence tests). */
#ifndef DEQ_BACKEND_EMIT_H
#define DEQ_BACKEND_EMIT_H
#include "routine.h"
#include "target.h"
#include <llvm-c/Core.h>

typedef LLVMValueRef Value;

typedef struct Emit {
    Arena *arena;
    LLVMContextRef context;
    LLVMModuleRef module;
    LLVMBuilderRef builder;
    LLVMTypeRef none, i1, i8, i32, i64, ptr, real, vector,
        index_vector; /* vector: `lanes` reals; index_vector: as many i32 */
    uint32_t real_bytes, lanes, panel, tile_rows;
    bool libm;      /* --math=libm */
    bool profile;   /* timers around what is emitted */
    Value function; /* under construction */
    LLVMAttributeRef nounwind, noinline;
} Emit;

Emit *emit_new(Arena *a, const TargetShape *shape, uint32_t real_bytes, bool libm, const char *module_name);
void emit_free(Emit *e);

/* ---- constants ---- */
Value emit_i64(Emit *e, uint64_t value);
Value emit_i32(Emit *e, uint32_t value);
Value emit_real(Emit *e, double value);           /* scalar */
Value emit_splat_constant(Emit *e, double value); /* vector */
Value emit_lane_indices(Emit *e);                 /* <0, 1, .., lanes-1> of i32 */
Value emit_lane_mask(Emit *e, uint32_t live);     /* constant mask of the first `live` lanes */

/* ---- arithmetic; operands are scalars or vectors of reals, or i64 ---- */
Value emit_add(Emit *e, Value a, Value b);
Value emit_sub(Emit *e, Value a, Value b);
Value emit_mul(Emit *e, Value a, Value b);
Value emit_div(Emit *e, Value a, Value b);
Value emit_fma(Emit *e, Value a, Value b, Value c); /* a * b + c, fused where the target can */
Value emit_splat(Emit *e, Value scalar);
Value emit_compare(Emit *e, LLVMRealPredicate p, Value a, Value b); /* i1 or a vector of them */
Value emit_truth(Emit *e, Value condition, LLVMTypeRef type);       /* 1 and 0 */
Value emit_select(Emit *e, Value condition, Value a, Value b);
Value emit_intrinsic(Emit *e, const char *name, LLVMTypeRef type, Value *args,
                     uint32_t nargs); /* overloaded by `type` */
Value emit_index_add(Emit *e, Value a, Value b);
Value emit_index_mul(Emit *e, Value a, uint64_t b);
Value emit_index_mul_value(Emit *e, Value a, Value b);
Value emit_index_min(Emit *e, Value a, Value b);

/* ---- memory ---- */
Value emit_offset(Emit *e, Value base, Value bytes); /* base + bytes */
Value emit_offset_constant(Emit *e, Value base, uint64_t bytes);
Value emit_element(Emit *e, Value base, Value index); /* base + index * real_bytes */
Value emit_load(Emit *e, Value address);              /* one real */
void emit_store(Emit *e, Value v, Value address);
Value emit_load_vector(Emit *e, Value address, uint32_t align); /* `lanes` reals */
void emit_store_vector(Emit *e, Value v, Value address, uint32_t align);
#define LINE_BYTES 64 /* that the caches move at a time */
/* Of a whole line, past the caches: each part of one would be a transfer of its own.  What is written is not read before
 * emit_past_end, which comes after the last one. */
void emit_store_past(Emit *e, Value line, Value address);
void emit_past_end(Emit *e);
/* What is read later, 64 bytes of it, comes to the second-level cache; any address will do. */
void emit_fetch(Emit *e, Value address);
Value emit_load_masked(Emit *e, Value address, Value mask); /* zeros where masked */
void emit_store_masked(Emit *e, Value v, Value address, Value mask);
void emit_store_single(Emit *e, Value scalar, Value address, bool add); /* a one-element value: zeroes its padding */
void emit_zero_padding(Emit *e, Value address,
                       uint64_t count); /* zeroes the last 64 bytes when `count` reals end in them */
Value emit_alloca(Emit *e, LLVMTypeRef type, Value count, uint32_t align); /* in the entry block; constant count */

/* ---- functions, blocks, loops ---- */
Value emit_function(Emit *e, const char *name, LLVMTypeRef result, LLVMTypeRef *params,
                    uint32_t nparams); /* internal; positions at its entry */
/* A function that is emitted in the middle of another, once in a module, and not inlined.  `made`: it is not there yet,
 * and its body is to be emitted from its entry to emit_aside_end, which goes back. */
typedef struct Aside {
    bool made;
    Value outer;
    LLVMBasicBlockRef here;
} Aside;
Value emit_aside(Emit *e, const char *name, LLVMTypeRef result, LLVMTypeRef *params, uint32_t nparams, Aside *aside);
void emit_aside_end(Emit *e, const Aside *aside);
Value emit_declare(Emit *e, const char *name, LLVMTypeRef result, LLVMTypeRef *params, uint32_t nparams);
Value emit_call(Emit *e, Value function, Value *args, uint32_t nargs);
LLVMBasicBlockRef emit_block(Emit *e, const char *name);
void emit_at(Emit *e, LLVMBasicBlockRef block);
LLVMBasicBlockRef emit_here(Emit *e);

#define LOOP_VALUES 40
/* A counted loop, tested at its end.  Values carried around it: loop_carry before the body, loop_next in it, and
 * loop_result after loop_end. */
typedef struct Loop {
    Emit *e;
    Value index, end, step;
    bool once; /* known to run exactly once: no loop is emitted */
    LLVMBasicBlockRef before, body, after;
    uint32_t nvalues;
    Value phi[LOOP_VALUES], next[LOOP_VALUES];
} Loop;

/* index = start, start + step, .. while < end.  `guarded`: may run no times (then it carries no values). */
void loop_begin(Loop *l, Emit *e, Value start, Value end, Value step, bool guarded);
void loop_count(Loop *l, Emit *e, uint64_t count); /* 0 .. count-1, count >= 1 */
Value loop_carry(Loop *l, Value initial);          /* right after loop_begin */
void loop_next(Loop *l, uint32_t k, Value v);
void loop_end(Loop *l);
Value loop_result(const Loop *l, uint32_t k);
#endif
