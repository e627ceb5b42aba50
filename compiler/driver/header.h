/* header.h - the C header of a library made by `deq build --lib`. */
#ifndef DEQ_COMPILER_HEADER_H
#define DEQ_COMPILER_HEADER_H
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* Writes NET.h, which needs no other header, for the net of that name in the manifest; false when there is none.  `identifier` prefixes its
 * functions. */
bool header_write(const char *manifest, const char *net, const char *identifier, FILE *out);
/* C text that defines the functions of that header by those of deq_library.h; `deq_module` and `offer` come before it.
 * malloc'ed. */
char *header_definitions(const char *manifest, const char *net, const char *identifier);
/* The net of that name, or of the training run of that name, of the manifest as JSON; NULL: there is none. */
json_t *header_find(json_t *manifest, const char *wanted);
/* What a library is made of: `wanted`, which is a net or a training run, or the manifest's last net.  malloc'ed; NULL
 * when there is none. */
char *header_net(const char *manifest, const char *wanted);
/* Two training runs, "a and b", that give the net of that name different settings.  malloc'ed; NULL: there are none. */
char *header_trains_apart(const char *manifest, const char *name);
#endif
