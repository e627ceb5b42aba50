/* fuzz_elaborate.c - any program that the checker accepts: elaboration, differentiation and layout end in a unit or in
 * a diagnostic, never in an internal error. */
#include "fuzz.h"
#include "pipeline.h"
#include "check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = fuzz_text(data, size);
    bool accepted = true; /* by the checker, which takes no notice of `tests` */
    for (int tests = 0; tests < 2 && accepted; tests++) {
        Arena *a = arena_new();
        Diags *ds = diags_new(a);
        Program *p = program_load_text(a, ds, "fuzz.deq", text);
        accepted = diags_errors(ds) == 0 && program_resolve(p) && program_check(p);
        if (accepted) {
            PipelineOptions o = {.layout = {.real_bytes = 4, .panel = 16},
                                 .name = "fuzz",
                                 .target = "generic",
                                 .options = "",
                                 .tests = tests};
            const Unit *unit = pipeline_build(p, &o);
            FUZZ_REQUIRE((unit != NULL) == (diags_errors(ds) == 0));
        }
        arena_free(a);
    }
    free(text);
    return 0;
}
