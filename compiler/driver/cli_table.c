#include "cli_table.h"
#include <stddef.h>

const CliVerb cli_verbs[VERB_COUNT] = {
#define VERB(id, name, arguments, summary, help) {name, arguments, summary, help},
#define FLAG(id, name, key, argument, verbs, doc)
#include "cli.def"
#undef VERB
#undef FLAG
};

#define V(id) (1u << VERB_##id)
const CliFlag cli_flags[FLAG_COUNT] = {
#define VERB(id, name, arguments, summary, help)
#define FLAG(id, name, key, argument, verbs, doc) {name, key, argument, verbs, doc},
#include "cli.def"
#undef VERB
#undef FLAG
};
