/* fuzz_request.c - any bytes as a request of deq serve: no crash, no hang; a request that cannot be met says why, and
 * what becomes of one that can is a command line whose arguments stand behind "--". */
#include "fuzz.h"
#include "serve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Request r;
    deq_error e = {0};
    const bool met = request_read((const char *)data, size, &r, &e);
    FUZZ_REQUIRE(r.id && met == (e.failure == DEQ_OK));
    if (!met) FUZZ_REQUIRE(e.failure == DEQ_REQUEST && e.text[0]);
    if (met && !r.of) {
        int at = 0;
        FUZZ_REQUIRE(r.name && r.argc >= 3 && !r.argv[r.argc]);
        while (at < r.argc && strcmp(r.argv[at], "--") != 0) at++;
        FUZZ_REQUIRE(at < r.argc && !strcmp(r.argv[0], "deq"));
        for (int i = 2; i < at; i++) FUZZ_REQUIRE(!strncmp(r.argv[i], "--", 2));
    }
    request_free(&r);
    return 0;
}
