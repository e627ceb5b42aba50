/* fuzz_journal.c - any bytes as a journal, as damage to a good one, and as a filter: no crash, no hang; what a damaged
 * journal gives is a record that was written. */
#define _GNU_SOURCE
#include "fuzz.h"
#include "journal.h"
#include "output.h"
#include "selection.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

enum { CHUNKS = 4, OF_A_CHUNK = 5, MOST_DAMAGE = 1 << 16 };

static deq_record written[CHUNKS * OF_A_CHUNK];
static char *good;
static size_t good_size;

/* A journal of some chunks, as the program writes it. */
static void make_good(void) {
    char folder[] = "/tmp/deq-fuzz-XXXXXX", path[64];
    deq_error e = {0};
    json_t *about = json_pack("{s:s, s:b}", "net", "net", "test", 1);
    FUZZ_REQUIRE(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/j", folder);
    deq_journal *j = deq_journal_open(path, "00112233445566778899aabbccddeeff", about, &e);
    FUZZ_REQUIRE(j);
    for (int i = 0; i < CHUNKS * OF_A_CHUNK; i++) {
        written[i] = deq_record_empty(i);
        written[i].label = i % 10;
        written[i].loss = 0.5 * i;
    }
    for (int c = 0; c < CHUNKS; c++) FUZZ_REQUIRE(deq_journal_append(j, written + c * OF_A_CHUNK, OF_A_CHUNK, &e));
    deq_journal_close(j);
    FUZZ_REQUIRE((good = deq_read_whole(path, 1 << 20, &good_size)));
    unlink(path);
    rmdir(folder);
    json_decref(about);
}

/* Reads it; the records that it holds, -1: it is refused, with a reason. */
static int64_t read_journal(const void *bytes, size_t size, bool own) {
    deq_error e = {0};
    deq_journal *j = deq_journal_read_memory("fuzz", bytes, size, &e);
    if (!j) {
        FUZZ_REQUIRE(e.failure == DEQ_JOURNAL && e.text[0]);
        return -1;
    }
    int64_t n = deq_journal_count(j), last = -1;
    FUZZ_REQUIRE(deq_journal_key(j) && deq_journal_version(j) && n >= 0 && deq_journal_damaged(j) >= 0);
    FUZZ_REQUIRE((uint64_t)n * sizeof(deq_record) <= size);
    for (int64_t i = 0; i < n; i++) {
        const deq_record *r = deq_journal_at(j, i);
        FUZZ_REQUIRE(r && r->id > last && deq_journal_find(j, r->id) == r);
        if (own) FUZZ_REQUIRE(r->id < CHUNKS * OF_A_CHUNK && !memcmp(r, &written[r->id], sizeof *r));
        last = r->id;
    }
    FUZZ_REQUIRE(!deq_journal_at(j, n) && (last == INT64_MAX || !deq_journal_find(j, INT64_MAX)) &&
                 !deq_journal_find(j, -1));
    deq_journal_close(j);
    return n;
}

/* The input is how much of the good journal stands, then which of its bytes are others. */
static void read_damaged(const uint8_t *data, size_t size) {
    if (size < 2) return;
    const size_t stays = (size_t)(data[0] << 8 | data[1]) * good_size / 0xffff;
    char *bytes = malloc(good_size + 1);
    FUZZ_REQUIRE(bytes);
    memcpy(bytes, good, good_size);
    for (size_t i = 2; i + 2 < size && i < MOST_DAMAGE; i += 3)
        bytes[(size_t)(data[i] << 8 | data[i + 1]) % good_size] = (char)data[i + 2];
    read_journal(bytes, stays, true);
    free(bytes);
}

/* A chunk in good order whose record has any id: it costs no more memory than another. */
static void read_id(const uint8_t *data, size_t size) {
    const size_t header = (size_t)((char *)memchr(good, '\n', good_size) + 1 - good);
    deq_record r = deq_record_empty(0);
    memcpy(&r.id, data, size < sizeof r.id ? size : sizeof r.id);
    const uint32_t magic_count[2] = {0x4a514544u, 1}; /* rows.c */
    const char *key = "00112233445566778899aabbccddeeff";
    const uint64_t sum = XXH3_64bits_withSeed(&r, sizeof r, XXH3_64bits(key, strlen(key)));
    char *bytes = malloc(header + 16 + sizeof r);
    FUZZ_REQUIRE(bytes);
    memcpy(bytes, good, header);
    memcpy(bytes + header, magic_count, 8);
    memcpy(bytes + header + 8, &sum, 8);
    memcpy(bytes + header + 16, &r, sizeof r);
    FUZZ_REQUIRE(read_journal(bytes, header + 16 + sizeof r, false) == (r.id >= 0));
    free(bytes);
}

static void read_filter(const char *text) {
    deq_selection s;
    deq_error e = {0};
    if (!deq_selection_parse(text, &s, &e)) {
        FUZZ_REQUIRE(e.failure == DEQ_SETTING && e.text[0]);
        return;
    }
    FUZZ_REQUIRE(s.n >= 0 && s.n <= DEQ_MOST_CONDITIONS && (s.n > 0 || !*text));
    for (int i = 0; i < CHUNKS * OF_A_CHUNK; i++) (void)deq_selected(&s, &written[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!good) {
        make_good();
        FUZZ_REQUIRE(read_journal(good, good_size, true) == CHUNKS * OF_A_CHUNK);
    }
    read_journal(data, size, false);
    read_damaged(data, size);
    read_id(data, size);
    char *text = fuzz_text(data, size);
    read_filter(text);
    free(text);
    return 0;
}
