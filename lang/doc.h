/* doc.h - documentation of a module from its /// comments, and of the diagnostics. */
#ifndef DEQ_LANG_DOC_H
#define DEQ_LANG_DOC_H
#include "module.h"

/* Markdown: the module's text, then every declaration with its signature as written and its text. */
void document_module(const Module *m, FILE *out);
/* A declaration or item as it is written, without its body, on one line. */
void document_signature(const Ast *d, FILE *out);
/* `deq doc builtins`: the names of builtin.def with their arguments, by where they are known. */
void document_builtins(FILE *out);
/* `deq explain E0101`: title and explanation; false if there is no such code (nothing is written). */
bool explain_code(const char *name, FILE *out);
/* Every code with its title, one a line. */
void explain_list(FILE *out);
#endif
