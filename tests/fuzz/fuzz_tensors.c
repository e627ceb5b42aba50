/* fuzz_tensors.c - any bytes as a file of arrays and as a mapping file: no crash, no hang, no memory beyond what the
 * bytes can hold; what can be read has as many elements as its header says, all of them readable. */
#include "fuzz.h"
#include "tensors.h"
#include "weights.h"

enum { DEFLATE_LIMIT = 1032 };

static void read_arrays(const uint8_t *data, size_t size) {
    deq_tensors file;
    deq_error e = {0};
    if (!deq_tensors_open_memory("fuzz", data, (int64_t)size, &file, &e)) {
        FUZZ_REQUIRE(e.failure != DEQ_OK && e.text[0]);
        return;
    }
    for (int i = 0; i < file.count; i++) {
        deq_array a;
        deq_error own = {0};
        const deq_tensor *t = &file.list[i];
        if (!deq_tensors_read(&file, t, &a, &own)) {
            FUZZ_REQUIRE(own.failure != DEQ_OK && own.text[0]);
            continue;
        }
        FUZZ_REQUIRE(a.rank >= 0 && a.rank <= DEQ_ARRAY_RANK);
        FUZZ_REQUIRE(a.elements * deq_element_bytes(a.type) <= (int64_t)size * DEFLATE_LIMIT);
        static volatile double sink; /* every element is there to be read */
        for (int64_t k = 0; k < a.elements; k++) sink = deq_array_value(&a, k);
        (void)sink;
        deq_array_free(&a);
    }
    deq_tensors_close(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    read_arrays(data, size);
    char *text = fuzz_text(data, size), theirs[256];
    deq_map map;
    deq_error e = {0};
    if (deq_map_parse("fuzz", text, &map, &e)) {
        deq_map_rule *rule = deq_map_find(&map, "body.U", theirs, sizeof theirs);
        int axes[DEQ_RANK];
        for (int rank = 0; rank <= DEQ_RANK; rank++)
            if (deq_map_axes(rule, rank, axes))
                for (int k = 0; k < rank; k++) FUZZ_REQUIRE(axes[k] >= 0 && axes[k] < rank);
        (void)deq_map_ignores(&map, "running.num_batches_tracked");
    } else {
        FUZZ_REQUIRE(e.failure == DEQ_WEIGHTS && e.text[0]);
    }
    deq_map_free(&map);
    free(text);
    return 0;
}
