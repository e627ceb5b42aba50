/* document.h - the scripts that a client has open: their text, and what is known of each version of it.
 *
 * An Analysis is one version, read and checked, in an arena of its own.  A document has that of its text, and the last
 * one whose text parsed: while a line is being typed, its symbols stand in for those that the parser had to leave out.
 * No more than these two are kept. */
#ifndef DEQ_COMPILER_DOCUMENT_H
#define DEQ_COMPILER_DOCUMENT_H
#include "pipeline.h"
#include "places.h"
#include "position.h"

typedef struct Analysis {
    Arena *arena;
    Diags *diags;
    Program *program;
    const Module *module; /* of the document */
    const Source *source; /* its text; what is no text in it stands there as a blank */
    Places places;
    bool parsed;     /* the document's own text is read without an error */
    bool clean;      /* everything has been checked, without an error */
    bool elaborated; /* what depends on sizes has been looked at; then the nets are here */
    Elaborated look;
} Analysis;

typedef struct Document {
    struct Document *next;
    char *uri, *path;
    char *text;
    size_t length;
    json_int_t version;
    bool changed;         /* since `now` was made */
    bool costly;          /* making its nets took longer than an answer may: they are made when it is opened or saved */
    bool due;             /* it was opened or saved since they were made */
    bool told;            /* the client has the diagnostics of `now` */
    Analysis *now, *good; /* good: the last that parsed, perhaps `now` itself; NULL: none did */
    uint32_t before, behind; /* so many bytes at the beginning and at the end of both texts are equal */
} Document;

typedef struct Documents {
    Document *first;
    const char *const *include;
    uint32_t ninclude;
} Documents;

Document *documents_find(const Documents *all, const char *uri);
/* A document that is open already takes the new text. */
Document *documents_open(Documents *all, const char *uri, const char *text, size_t length, json_int_t version);
void documents_close(Documents *all, Document *d);
void documents_free(Documents *all);
/* Scripts that import the file are looked at again: it, or the text that stands for it, is another now.  NULL: any file. */
void documents_imports_changed(Documents *all, const char *file);

/* A range is replaced by the text. */
void document_replace(Document *d, Spot start, Spot end, const char *text, size_t length);
void document_set(Document *d, const char *text, size_t length);
/* The program of the texts, with names and types also where something could not be read: then they are no news, and what
 * is wrong with them goes to diagnostics of the program's own.  *clean: there is no error. */
Program *program_read_open(const Documents *all, Arena *a, Diags *ds, const char *path, const OpenText *open,
                           uint32_t nopen, bool *clean);
/* What is known of the text as it is. */
const Analysis *document_now(const Documents *all, Document *d);
/* Whether the nets can be made: the script is without errors, and making them does not keep a client waiting. */
bool document_may_elaborate(const Document *d);
/* Makes them; what is found in them is not yet told.  False: they may not be made now. */
bool document_elaborate(Document *d);

/* A place in the text as one of `good`, and back: between what is equal before and behind, the nearest. */
uint32_t document_to_good(const Document *d, uint32_t offset);
uint32_t document_from_good(const Document *d, uint32_t offset);

/* The URI of a file, as the client has called it where it has opened it; free() it. */
char *path_uri(const Documents *all, const char *path);
#endif
