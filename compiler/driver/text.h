/* text.h - a text as printf makes it.  malloc'ed; the program ends when memory is short. */
#ifndef DEQ_COMPILER_TEXT_H
#define DEQ_COMPILER_TEXT_H

char *text_of(const char *format, ...) __attribute__((format(printf, 1, 2)));
#endif
