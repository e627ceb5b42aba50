/* product.h - the files that `deq build --lib` and `--python` leave: where they go and what stands in the texts. */
#ifndef DEQ_COMPILER_PRODUCT_H
#define DEQ_COMPILER_PRODUCT_H
#include "error.h"

typedef struct Product {
    char *folders[2];       /* to be made, in this order */
    char *shared, *archive; /* of the linker; archive NULL: there is none */
    struct {
        char *path, *text;
    } files[8];
    int nfolders, nfiles;
} Product;

/* Of the net `net` of the manifest (header_net): a library with its header, in `folder`.  The C identifier `id` stands
 * in the names of files and functions. */
void product_library(Product *p, const char *manifest, const char *net, const char *id, const char *folder);
/* A Python package of one module, in `folder`. */
void product_python(Product *p, const char *manifest, const char *net, const char *id, const char *folder);
/* Makes the folders and looks whether all files may be replaced. */
bool product_ready(const Product *p, deq_error *e);
void product_free(Product *p);
#endif
