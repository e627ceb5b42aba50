/* cli_table.h - verbs and flags of the command line, from cli.def: for the parser (cli.c), and for the pages and
 * completions that are installed (../install). */
#ifndef DEQ_COMPILER_CLI_TABLE_H
#define DEQ_COMPILER_CLI_TABLE_H

typedef enum Verb {
#define VERB(id, name, arguments, summary, help) VERB_##id,
#define FLAG(id, name, key, argument, verbs, doc)
#include "cli.def"
#undef VERB
#undef FLAG
    VERB_COUNT
} Verb;

typedef enum Flag {
#define VERB(id, name, arguments, summary, help)
#define FLAG(id, name, key, argument, verbs, doc) FLAG_##id,
#include "cli.def"
#undef VERB
#undef FLAG
    FLAG_COUNT
} Flag;

typedef struct CliVerb {
    const char *name, *arguments, *summary, *help;
} CliVerb;

typedef struct CliFlag {
    const char *name;
    int key;              /* the letter behind one hyphen */
    const char *argument; /* NULL: it takes none */
    unsigned verbs;       /* bit VERB_x: that verb takes it */
    const char *doc;
} CliFlag;

extern const CliVerb cli_verbs[VERB_COUNT];
extern const CliFlag cli_flags[FLAG_COUNT];
#endif
