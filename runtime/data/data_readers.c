/* data_readers.c - from a reader's arguments to the files of its splits; one function for each row of readers.def. */
#define _GNU_SOURCE
#include "dataset.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FASHION_MNIST_FOLDER "/usr/share/datasets/fashion-mnist"

static const char *argument(const deq_data_spec *spec, const char *name) {
    return json_string_value(json_object_get(spec->arguments, name));
}

static bool add_file(deq_data_part *part, deq_data_format format, char *path) {
    if (!path) return false;
    part->format = format;
    part->paths[part->npaths++] = path;
    return true;
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
        (void)add_file(&out->inputs[split], DEQ_FORMAT_IDX, find_idx(folder, stems[split][0], "idx3"));
        (void)add_file(&out->targets[split], DEQ_FORMAT_IDX, find_idx(folder, stems[split][1], "idx1"));
    }
    return (out->inputs[0].npaths && out->targets[0].npaths) || (out->inputs[1].npaths && out->targets[1].npaths);
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

/* The files that arguments name: inputs and targets of training, then of test. */
static const char *const file_arguments[2][2] = {{"images", "labels"}, {"test_images", "test_labels"}};

static bool find_files(const deq_data_spec *spec, deq_data_format format, deq_data_files *out, deq_error *e) {
    for (int split = 0; split < 2; split++)
        for (int which = 0; which < 2; which++) {
            const char *name = file_arguments[split][which], *path = argument(spec, name);
            if (!path && split == 0)
                return deq_fail(e, DEQ_MODULE, "data '%s': %s without %s", spec->name, spec->reader, name);
            if (!path) continue;
            if (access(path, F_OK))
                return deq_fail(e, DEQ_DATA_MISSING, "data '%s': %s: there is no file '%s'", spec->name, name, path);
            if (!add_file(which ? &out->targets[split] : &out->inputs[split], format, strdup(path)))
                return deq_fail(e, DEQ_MEMORY, "out of memory opening '%s'", path);
        }
    return true;
}

static bool read_idx(const deq_data_spec *spec, deq_data_files *out, deq_error *e) {
    return find_files(spec, DEQ_FORMAT_IDX, out, e);
}

static bool read_npy(const deq_data_spec *spec, deq_data_files *out, deq_error *e) {
    return find_files(spec, DEQ_FORMAT_ARRAY, out, e);
}

/* One file of several arrays, whose names the arguments give. */
static bool find_arrays(const deq_data_spec *spec, deq_data_files *out, deq_error *e) {
    const char *path = argument(spec, "path");
    if (!path) return deq_fail(e, DEQ_MODULE, "data '%s': %s without a path", spec->name, spec->reader);
    if (access(path, F_OK)) return deq_fail(e, DEQ_DATA_MISSING, "data '%s': there is no file '%s'", spec->name, path);
    for (int split = 0; split < 2; split++)
        for (int which = 0; which < 2; which++) {
            const char *name = argument(spec, file_arguments[split][which]);
            deq_data_part *part = which ? &out->targets[split] : &out->inputs[split];
            if (!name) continue;
            if (!add_file(part, DEQ_FORMAT_ARRAY, strdup(path)) || !(part->array = strdup(name)))
                return deq_fail(e, DEQ_MEMORY, "out of memory opening '%s'", path);
        }
    return true;
}

static bool read_npz(const deq_data_spec *spec, deq_data_files *out, deq_error *e) { return find_arrays(spec, out, e); }

static bool read_safetensors(const deq_data_spec *spec, deq_data_files *out, deq_error *e) {
    return find_arrays(spec, out, e);
}

/* --- CIFAR: records of the labels and 3 x 32 x 32 bytes --- */

#define PIXELS (3 * 32 * 32)

/* Adds folder/name to the split when it is there; label number `which` of `nlabels` bytes. */
static bool add_batch(const char *folder, const char *name, int nlabels, int which, int classes, deq_data_part *inputs,
                      deq_data_part *targets) {
    char *path = NULL;
    if (asprintf(&path, "%s/%s", folder, name) < 0) return false;
    if (!access(path, F_OK) && add_file(inputs, DEQ_FORMAT_RECORDS, path)) {
        inputs->record = targets->record = nlabels + PIXELS;
        inputs->offset = nlabels;
        inputs->length = PIXELS;
        targets->offset = which;
        targets->length = 1;
        targets->classes = classes;
        return add_file(targets, DEQ_FORMAT_RECORDS, strdup(path));
    }
    free(path);
    return true;
}

static bool missing_cifar(const deq_data_spec *spec, const char *folder, const char *set, const char *files,
                          const char *sample, const char *unpacked, deq_error *e) {
    char *python = NULL;
    bool pickled = asprintf(&python, "%s/%s", folder, sample) >= 0 && !access(python, F_OK);
    free(python);
    return deq_fail(e, DEQ_DATA_MISSING,
                    "data '%s': no %s files (%s) in '%s'; %sthe binary version of https://www.cs.toronto.edu/~kriz/"
                    "cifar.html unpacks to a folder %s: name that folder",
                    spec->name, set, files, folder,
                    pickled ? "it holds the version for Python, which is not read; " : "", unpacked);
}

static bool read_cifar10(const deq_data_spec *spec, deq_data_files *out, deq_error *e) {
    const char *folder = argument(spec, "path");
    if (!folder) return deq_fail(e, DEQ_MODULE, "data '%s': cifar10 without a path", spec->name);
    bool ok = true;
    for (int i = 1; i <= 5; i++) {
        char name[32];
        snprintf(name, sizeof name, "data_batch_%d.bin", i);
        ok = ok && add_batch(folder, name, 1, 0, 10, &out->inputs[0], &out->targets[0]);
    }
    ok = ok && add_batch(folder, "test_batch.bin", 1, 0, 10, &out->inputs[1], &out->targets[1]);
    if (!ok) return deq_fail(e, DEQ_MEMORY, "out of memory opening '%s'", folder);
    return out->inputs[0].npaths || out->inputs[1].npaths ||
           missing_cifar(spec, folder, "CIFAR-10", "data_batch_1.bin to data_batch_5.bin, test_batch.bin",
                         "data_batch_1", "cifar-10-batches-bin", e);
}

static bool find_cifar100(const deq_data_spec *spec, bool coarse, deq_data_files *out, deq_error *e) {
    const char *folder = argument(spec, "path");
    if (!folder) return deq_fail(e, DEQ_MODULE, "data '%s': %s without a path", spec->name, spec->reader);
    int classes = coarse ? 20 : 100;
    if (!add_batch(folder, "train.bin", 2, !coarse, classes, &out->inputs[0], &out->targets[0]) ||
        !add_batch(folder, "test.bin", 2, !coarse, classes, &out->inputs[1], &out->targets[1]))
        return deq_fail(e, DEQ_MEMORY, "out of memory opening '%s'", folder);
    return out->inputs[0].npaths || out->inputs[1].npaths ||
           missing_cifar(spec, folder, "CIFAR-100", "train.bin, test.bin", "train", "cifar-100-binary", e);
}

static bool read_cifar100(const deq_data_spec *spec, deq_data_files *out, deq_error *e) {
    return find_cifar100(spec, false, out, e);
}

static bool read_cifar100_coarse(const deq_data_spec *spec, deq_data_files *out, deq_error *e) {
    return find_cifar100(spec, true, out, e);
}

bool deq_data_find(const deq_data_spec *spec, deq_data_files *out, deq_error *e) {
    static const struct {
        const char *name;
        bool (*read)(const deq_data_spec *, deq_data_files *, deq_error *);
    } readers[] = {
#define READER(name, elements, classes, train, test, doc) {#name, read_##name},
#include "readers.def"
    };
    *out = (deq_data_files){0};
    for (size_t i = 0; i < sizeof readers / sizeof readers[0]; i++)
        if (!strcmp(readers[i].name, spec->reader)) return readers[i].read(spec, out, e);
    return deq_fail(e, DEQ_MODULE, "data '%s': this runtime has no reader '%s'", spec->name, spec->reader);
}
