/* json_text.h - texts of others, names in files and paths, as JSON takes them. */
#ifndef DEQ_RUNTIME_JSON_TEXT_H
#define DEQ_RUNTIME_JSON_TEXT_H
#include <jansson.h>

/* The text as a JSON string, its bytes that are no UTF-8 as "\xff"; jansson refuses such a text, and with it the whole
 * object that it was to stand in.  null: `text` is NULL, or out of memory. */
json_t *deq_json_string(const char *text);
#endif
