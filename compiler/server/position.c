/* position.c - see position.h. */
#include "position.h"

/* Bytes of the character that begins at p, and its UTF-16 units; a byte that begins none counts as one. */
static uint32_t character(const char *p, const char *end, uint32_t *units) {
    unsigned char c = (unsigned char)*p;
    uint32_t n = c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (p + n > end) n = 1; /* a text that was cut */
    *units = n == 4 ? 2 : 1;
    return n;
}

/* Where the line's text begins and ends. */
static void line_bounds(const Source *s, uint32_t line, uint32_t *start, uint32_t *end) {
    *start = s->lines[line];
    *end = line + 1 < s->nlines ? s->lines[line + 1] - 1 : s->length;
    if (*end > *start && line + 1 < s->nlines && s->text[*end - 1] == '\r') --*end;
}

uint32_t spot_offset(const Source *s, Spot spot) {
    source_position(s, 0); /* makes the table of lines */
    if (spot.line >= s->nlines) return s->length;
    uint32_t at, end, units;
    line_bounds(s, spot.line, &at, &end);
    for (uint32_t left = spot.character; at < end && left;) {
        uint32_t n = character(s->text + at, s->text + end, &units);
        if (units > left) break;
        left -= units, at += n;
    }
    return at;
}

Spot offset_spot(const Source *s, uint32_t offset) {
    if (offset > s->length) offset = s->length;
    Position p = source_position(s, offset);
    Spot spot = {p.line - 1, 0};
    uint32_t start, end, units;
    line_bounds(s, spot.line, &start, &end);
    if (offset > end) offset = end;
    for (uint32_t at = start; at < offset;) {
        at += character(s->text + at, s->text + end, &units);
        if (at <= offset) spot.character += units;
    }
    return spot;
}

static bool whole(const json_t *object, const char *key, uint32_t *out) {
    const json_t *value = json_object_get(object, key);
    json_int_t v = json_integer_value(value);
    if (!json_is_integer(value) || v < 0) return false;
    *out = v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
    return true;
}

bool spot_read(const json_t *position, Spot *out) {
    return whole(position, "line", &out->line) && whole(position, "character", &out->character);
}

json_t *spot_json(Spot spot) {
    return json_pack("{s:I, s:I}", "line", (json_int_t)spot.line, "character", (json_int_t)spot.character);
}

json_t *range_json(const Source *s, uint32_t start, uint32_t end) {
    return json_pack("{s:o, s:o}", "start", spot_json(offset_spot(s, start)), "end", spot_json(offset_spot(s, end)));
}
