/* hot.h - one body, compiled for the vector width of the machine it runs on. */
#ifndef DEQ_RUNTIME_HOT_H
#define DEQ_RUNTIME_HOT_H

/* A function of AVX-512, AVX2 and the base machine; the loader takes one.  Sanitizers start after the resolvers of such
 * functions run, hence not there. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) &&               \
    !defined(__SANITIZE_THREAD__)
#define HOT __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"), noinline))
#else
#define HOT
#endif
#define INLINE static inline __attribute__((always_inline))
#endif
