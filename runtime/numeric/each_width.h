/* each_width.h - includes the file ROWS once for each width of vectors, with ROW_BYTES, `vec`, ROW(name), HOT_ROW
 * and the functions of row_functions.h.
 *
 * ROWS has functions `HOT_ROW result ROW(name)(..)`; FOR_WIDTH(name) is the one for this machine.  Rows are void
 * pointers there, since `vec` is not that of solve.h.  The wider ones give the same bits; the narrowest has no fused
 * operations. */
#include "vector.h"
#undef ROW_BYTES
#define vec ROW(vec)

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define ROW(name) name##_64
#define ROW_BYTES 64
#define HOT_ROW __attribute__((target("arch=x86-64-v4"), noinline)) static
typedef real vec __attribute__((vector_size(ROW_BYTES), may_alias));
#include "row_functions.h"
#include ROWS
#undef ROW
#undef ROW_BYTES
#undef HOT_ROW
#define ROW(name) name##_32
#define ROW_BYTES 32
#define HOT_ROW __attribute__((target("arch=x86-64-v3"), noinline)) static
typedef real vec __attribute__((vector_size(ROW_BYTES), may_alias));
#include "row_functions.h"
#include ROWS
#undef ROW
#undef ROW_BYTES
#undef HOT_ROW
#define FOR_WIDTH(name)                                                                                                \
    (__builtin_cpu_supports("x86-64-v4") ? name##_64 : __builtin_cpu_supports("x86-64-v3") ? name##_32 : name##_16)
#else
#define FOR_WIDTH(name) name##_16
#endif

#define ROW(name) name##_16
#define ROW_BYTES 16
#define HOT_ROW __attribute__((noinline)) static
typedef real vec __attribute__((vector_size(ROW_BYTES), may_alias));
#include "row_functions.h"
#include ROWS
#undef vec
#undef ROW
#undef ROW_BYTES
#undef HOT_ROW
#define ROW_BYTES 64
