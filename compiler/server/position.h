/* position.h - places of a client in a text: lines from 0, and in them UTF-16 code units from 0.
 *
 * Lines end at '\n'; a '\r' before it does not belong to the line.  A place behind the end of its line is that end, one
 * behind the last line the end of the text, and one inside a character its beginning. */
#ifndef DEQ_COMPILER_POSITION_H
#define DEQ_COMPILER_POSITION_H
#include "source.h"
#include <jansson.h>

typedef struct Spot {
    uint32_t line, character;
} Spot;

uint32_t spot_offset(const Source *s, Spot spot);
Spot offset_spot(const Source *s, uint32_t offset);
/* {"line": .., "character": ..}; false when it is none. */
bool spot_read(const json_t *position, Spot *out);
json_t *spot_json(Spot spot);
json_t *range_json(const Source *s, uint32_t start, uint32_t end);
#endif
