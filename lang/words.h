/* words.h - the words of the grammar, for completion and for the grammars of editors.  Implemented in lex.l. */
#ifndef DEQ_LANG_WORDS_H
#define DEQ_LANG_WORDS_H
#include <stdbool.h>
#include <stdint.h>

/* The i-th word in alphabetical order, NULL past the end; *reserved: it cannot be a name. */
const char *language_word(uint32_t i, bool *reserved);
#endif
