/* version.h - the compiler's version; in cache keys, manifests and `deq version`. */
#define DEQ_VERSION "deq 0.1.0"
