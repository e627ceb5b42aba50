/* weights.h - parameters of nets trained elsewhere: in from NPZ, NPY and safetensors files, out to NPZ and safetensors.
 *
 * A mapping file says which array of the file is which parameter (path) of the net; without a line for it, a parameter
 * has its own path as name.  One rule a line, text after // and blank lines do not count:
 *
 *     body.U      = layers.0.weight'        // transposed: the last two axes exchanged (PyTorch's Linear is [out, in])
 *     stem.kernel = conv1.weight[2, 3, 1, 0]   // axis 0 of ours is axis 2 of theirs, and so on
 *     block.*.b   = blocks.*.bias           // one * on each side stands for the same text; whole names go first
 *     head.gain   = _                       // not in the file: keeps its initial value
 *     _           = *.num_batches_tracked   // in the file, of no use here
 *     body.W      = "name with 'signs'"     // between quotes: taken as it is
 *
 * A rule that counts no axes does not count those of size 1: a gain [24] is theirs of [24, 1, 1, 1].
 * Maps of published code are part of the program: std.maps.resnet18, of stdlib/maps/resnet18.map.
 *
 * Files: weights.c, weight_map.c (the mapping file). */
#ifndef DEQ_RUNTIME_WEIGHTS_H
#define DEQ_RUNTIME_WEIGHTS_H
#include "manifest.h"

typedef struct deq_map_rule {
    char *ours, *theirs; /* ours NULL: `_`, theirs is of no use; theirs NULL: `_`, ours keeps its value */
    bool transposed;
    int naxes; /* 0: in the same order */
    int axes[DEQ_RANK];
    int line;
    bool used;
} deq_map_rule;

typedef struct deq_map {
    char *path; /* NULL: no file, every name is the same on both sides */
    deq_map_rule *rules;
    int count, cap;
} deq_map;

/* DEQ_WEIGHTS with every line that is wrong.  `path`: a file, or std.maps.NAME; NULL: the empty map. */
bool deq_map_read(const char *path, deq_map *out, deq_error *e);
bool deq_map_parse(const char *path, const char *text, deq_map *out, deq_error *e);
void deq_map_free(deq_map *map);
char *deq_map_text(const char *path, size_t *size); /* free() it; NULL with errno: there is none */
/* The rule for a parameter, and in `theirs` its name in the file; NULL: none, the name is the same.  Marks it used. */
deq_map_rule *deq_map_find(deq_map *map, const char *ours, char *theirs, size_t size);
bool deq_map_ignores(const deq_map *map, const char *theirs); /* by a rule `_ = ..` */
/* Which axis of theirs each axis of ours is; false when the rule does not fit the rank. */
bool deq_map_axes(const deq_map_rule *rule, int rank, int axes[DEQ_RANK]);

/* Reads every parameter of the net from `path` into the engine's vector (the initial values are there already, for
 * rules `= _`).  DEQ_WEIGHTS lists all mismatches of names, shapes, types and values; then nothing is written. */
bool deq_weights_load(const char *path, const char *map, const deq_net_spec *net, int real_bits, void *parameters,
                      deq_error *e);
/* The same, which notes everything in `fits` (an array): {"parameter", "shape", "from" (its name in the file; null: it keeps
 * its initial value), "file_shape", "axes" (only where they are exchanged)} of what fits, {"problem"} of what does not. */
bool deq_weights_fit(const char *path, const char *map, const deq_net_spec *net, int real_bits, void *parameters,
                     json_t *fits, deq_error *e);
/* XXH3-128 of the bytes of both files, in hex: part of the key of what is made from them. */
bool deq_weights_sum(const char *path, const char *map, char out[33], deq_error *e);
/* What the net of these weights was trained as (checkpoint.h): of a checkpoint, or of one that was exported as
 * safetensors.  NULL: the file does not say, or cannot be read.  json_decref it. */
json_t *deq_weights_settings(const char *path);
/* Copies the arrays of a checkpoint (or of any file of arrays) to `to`, .npz or .safetensors, under the names and in
 * the layout of the other side of the map.  A safetensors file keeps the settings. */
bool deq_weights_export(const char *from, const char *map, const char *to, int64_t *arrays, deq_error *e);
#endif
