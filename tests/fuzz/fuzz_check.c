/* fuzz_check.c - any program: the checker neither crashes nor hangs, and says no without a reason never. */
#include "fuzz.h"
#include "check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = fuzz_text(data, size);
    Arena *a = arena_new();
    Diags *ds = diags_new(a);
    Program *p = program_load_text(a, ds, "fuzz.deq", text);
    /* The compiler stops after errors of syntax; here the passes must bear any tree. */
    bool parsed = diags_errors(ds) == 0, good = program_resolve(p);
    good = program_check(p) && good;
    FUZZ_REQUIRE(good || diags_errors(ds) > 0);
    FUZZ_REQUIRE(!parsed || good == (diags_errors(ds) == 0));
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
