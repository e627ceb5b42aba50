/* journal.h - the records of one evaluation in a file (rows.h): appended as blocks of examples are finished, found again
 * by id.  A journal holds its file while it is open: another process waits for it. */
#ifndef DEQ_RUNTIME_JOURNAL_H
#define DEQ_RUNTIME_JOURNAL_H
#include "error.h"
#include "record.h"

typedef struct deq_rows deq_journal;

/* Opens the journal of `key` (32 hex digits) at `path`, made when it is not there or is one of another format.  `about`:
 * what the key is made from, kept in the file for readers.  Waits for another process that holds it.  DEQ_JOURNAL names a
 * file that is another key's, not ours or no regular file; DEQ_OUTPUT when it cannot be written. */
deq_journal *deq_journal_open(const char *path, const char *key, const json_t *about, deq_error *e);
/* The same for reading only, whatever its key. */
deq_journal *deq_journal_read(const char *path, deq_error *e);
/* The same of bytes in memory; `name` is for messages. */
deq_journal *deq_journal_read_memory(const char *name, const void *bytes, size_t size, deq_error *e);
void deq_journal_close(deq_journal *j);

const json_t *deq_journal_about(const deq_journal *j);
const char *deq_journal_key(const deq_journal *j);
const char *deq_journal_version(const deq_journal *j); /* of the program that began it */
int64_t deq_journal_count(const deq_journal *j);       /* examples with a record */
int64_t deq_journal_damaged(const deq_journal *j);     /* chunks passed over when it was opened */
/* The record of example `id`; NULL: there is none.  Until the next append. */
const deq_record *deq_journal_find(const deq_journal *j, int64_t id);
/* Record number i of deq_journal_count, in the order of their ids. */
const deq_record *deq_journal_at(deq_journal *j, int64_t i);
/* One chunk more.  On failure nothing of it stays in the file. */
bool deq_journal_append(deq_journal *j, const deq_record *records, int64_t n, deq_error *e);
#endif
