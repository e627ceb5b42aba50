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
/* The members of deq_record in the header, [name, type in C] each. */
json_t *header_records(void);
/* Is it a layer with its sizes, L[3]?  That is compiled alone, under a name of its own, L_3. */
bool header_alone(const char *wanted);
/* Of the manifest, as JSON: the net of that name, or of the training run of that name; the last one for NULL and for a
 * layer with its sizes.  NULL: there is none. */
json_t *header_find(json_t *manifest, const char *wanted);
/* What a library is made of: `wanted`, if it is the name of a net or a training run, else the name of the net that
 * header_find gives.  malloc'ed; NULL when there is none. */
char *header_net(const char *manifest, const char *wanted);
/* Two training runs, "a and b", that give the net of that name different settings.  malloc'ed; NULL: there are none. */
char *header_trains_apart(const char *manifest, const char *name);
#endif
