/* data_readers.c - from a reader's arguments to the files of its splits; one function for each row of readers.def. */
#define _GNU_SOURCE
#include "dataset.h"
#include "output.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FASHION_MNIST_FOLDER "/usr/share/datasets/fashion-mnist"

static const char *argument(const deq_data_spec *spec, const char *name) {
    return json_string_value(json_object_get(spec->arguments, name));
}

/* folder/name, then packed, then with the dot that some distributions of MNIST have in place of the hyphen. */
static char *find_idx(const char *folder, const char *stem, const char *rank) {
    static const char *const forms[] = {"-%s-ubyte", "-%s-ubyte.gz", ".%s-ubyte", ".%s-ubyte.gz"};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        char ending[32], *path = NULL;
        snprintf(ending, sizeof ending, forms[i], rank);
        if (asprintf(&path, "%s/%s%s", folder, stem, ending) < 0) return NULL;
        if (!access(path, F_OK)) return path;
        free(path);
    }
    return NULL;
}

static bool find_mnist(const char *folder, deq_data_files *out) {
    static const char *const stems[2][2] = {{"train-images", "train-labels"}, {"t10k-images", "t10k-labels"}};
    for (int split = 0; split < 2; split++) {
        out->inputs[split] = find_idx(folder, stems[split][0], "idx3");
        out->targets[split] = find_idx(folder, stems[split][1], "idx1");
    }
    return (out->inputs[0] && out->targets[0]) || (out->inputs[1] && out->targets[1]);
}

static bool read_fashion_mnist(const deq_data_spec *spec, deq_data_files *out, deq_error *e) {
    const char *folder = argument(spec, "path");
    if (!folder) folder = FASHION_MNIST_FOLDER;
    if (find_mnist(folder, out)) return true;
    return deq_fail(
        e, DEQ_DATA_MISSING,
        "data '%s': no Fashion-MNIST files in '%s'; on Debian: apt-get install dataset-fashion-mnist (it fills %s)",
        spec->name, folder, FASHION_MNIST_FOLDER);
}

static bool read_mnist(const deq_data_spec *spec, deq_data_files *out, deq_error *e) {
    const char *folder = argument(spec, "path");
    if (!folder) return deq_fail(e, DEQ_MODULE, "data '%s': mnist without a path", spec->name);
    if (find_mnist(folder, out)) return true;
    return deq_fail(e, DEQ_DATA_MISSING,
                    "data '%s': no MNIST files (train-images-idx3-ubyte[.gz], t10k-images-idx3-ubyte[.gz] and their "
                    "labels) in '%s'; "
                    "Debian has no package of MNIST (dataset-fashion-mnist holds Fashion-MNIST, in the same format)",
                    spec->name, folder);
}

static bool read_idx(const deq_data_spec *spec, deq_data_files *out, deq_error *e) {
    static const char *const names[2][2] = {{"images", "labels"}, {"test_images", "test_labels"}};
    for (int split = 0; split < 2; split++)
        for (int which = 0; which < 2; which++) {
            const char *path = argument(spec, names[split][which]);
            if (!path && split == 0)
                return deq_fail(e, DEQ_MODULE, "data '%s': idx without %s", spec->name, names[split][which]);
            if (!path) continue;
            if (access(path, F_OK))
                return deq_fail(e, DEQ_DATA_MISSING, "data '%s': %s: there is no file '%s'", spec->name,
                                names[split][which], path);
            *(which ? &out->targets[split] : &out->inputs[split]) = strdup(path);
        }
    return true;
}

bool deq_data_find(const deq_data_spec *spec, deq_data_files *out, deq_error *e) {
    static const struct {
        const char *name;
        bool (*read)(const deq_data_spec *, deq_data_files *, deq_error *);
    } readers[] = {
#define READER(name, doc) {#name, read_##name},
#define READER_ARGUMENT(reader, name, kind, required, doc)
#include "readers.def"
#undef READER
#undef READER_ARGUMENT
    };
    *out = (deq_data_files){0};
    for (size_t i = 0; i < sizeof readers / sizeof readers[0]; i++)
        if (!strcmp(readers[i].name, spec->reader)) return readers[i].read(spec, out, e);
    return deq_fail(e, DEQ_MODULE, "data '%s': this runtime has no reader '%s'", spec->name, spec->reader);
}
