/* settings_value.h - settings as a value: const r = { epochs: 3; ..q }, net with r, train n = Net on d.train { ..r; seed: 1 }.
 *
 * A record has no type of its own.  Its names are resolved where it is written, its keys where it is used.  Wherever a
 * block of settings is read, settings_flatten puts those of its records in their place; a later one replaces an earlier
 * one of the same key.  File: settings_value.c. */
#ifndef DEQ_LANG_SETTINGS_VALUE_H
#define DEQ_LANG_SETTINGS_VALUE_H
#include "ast.h"

typedef struct RecordReader {
    Arena *arena;
    /* What a name stands for that is a sweep's variable: one of its values.  NULL: nothing. */
    const Ast *(*meaning)(void *data, const Ast *name);
    void *data;
    uint32_t left; /* records that may still be put in place: 0 at the end says that there were more */
    bool written;  /* values from a record become WRITTEN nodes: to be read in the module of their const */
} RecordReader;

/* The RECORD that an expression is or names, following consts and `meaning`; NULL: it is none.  *from: the CONST it is
 * the value of, NULL: it stands in place. */
const Ast *record_of(const RecordReader *r, const Ast *e, const Ast **from);
bool settings_spread(const Ast *list);              /* is there a `..r` among them? */
bool settings_same_key(const Ast *a, const Ast *b); /* two settings, of one path */
/* needs: a LIST of settings whose names are resolved.  Gives it back if it has no `..r`, else a copy with the settings
 * of its records; `ref` of a SETTING is then the SPREAD of `list` that brought it in, NULL for its own.  What is no
 * record is left out: the checker has reported it. */
Ast *settings_flatten(RecordReader *r, Ast *list);
#endif
