/* header.h - the C header of a library made by `deq build --lib`. */
#ifndef DEQ_COMPILER_HEADER_H
#define DEQ_COMPILER_HEADER_H
#include <stdbool.h>
#include <stdio.h>

/* Writes NET.h for the net of that name in the manifest; false when there is none.  `identifier` prefixes its
 * functions. */
bool header_write(const char *manifest, const char *net, const char *identifier, FILE *out);
/* The net a library is made of: `wanted`, or the manifest's last.  malloc'ed; NULL when there is none. */
char *header_net(const char *manifest, const char *wanted);
#endif
