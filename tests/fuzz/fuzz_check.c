/* fuzz_check.c - any program: the checker neither crashes nor hangs, and says no without a reason never. */
#include "fuzz.h"
#include "lang/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = fuzz_text(data, size);
    Arena *a = arena_new();
    Diags *ds = diags_new(a);
    Program *p = program_load_text(a, ds, "fuzz.deq", text);
    if (diags_errors(ds) == 0) {
        bool good = program_resolve(p) && program_check(p);
        FUZZ_REQUIRE(good == (diags_errors(ds) == 0));
    }
    char *printed = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&printed, &length);
    FUZZ_REQUIRE(out != NULL);
    diags_print(ds, out, false);
    diags_print_json(ds, out);
    fclose(out);
    free(printed);
    arena_free(a);
    free(text);
    return 0;
}
