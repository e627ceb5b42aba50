/* product.c - see product.h.  A package for Python is the module runtime/python/compiled_net.py with what it has to know
 * of the net, the library, and a build back end of its own, so that pip needs neither network nor other packages. */
#define _GNU_SOURCE
#include "product.h"
#include "deq_types.h"
#include "header.h"
#include "output.h"
#include "text.h"
#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

extern const char python_module[], python_backend[]; /* runtime/python/compiled_net.py and build_backend.py */

/* Both are the product's from then on. */
static void add(Product *p, char *path, char *content) {
    if (p->nfiles == (int)(sizeof p->files / sizeof *p->files)) abort();
    p->files[p->nfiles].path = path;
    p->files[p->nfiles++].text = content;
}

void product_library(Product *p, const char *manifest, const char *net, const char *id, const char *folder) {
    char *header = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&header, &size);
    if (!out || !header_write(manifest, net, id, out) || fclose(out) != 0) abort();
    *p = (Product){.folders = {text_of("%s", folder)},
                   .nfolders = 1,
                   .shared = text_of("%s/lib%s.so", folder, id),
                   .archive = text_of("%s/%s.a", folder, id)};
    add(p, text_of("%s/%s.h", folder, id), header);
    add(p, text_of("%s/%s.json", folder, id), text_of("%s", manifest));
}

/* ---- Python ---- */

/* Of the manifest, what compiled_net.py reads, and what it hands over of records. */
static char *description(const char *manifest, const char *named, const char *id) {
    static const char *const wanted[] = {"input", "output", "target", "parameters", "losses", "fixed", "layers"};
    json_t *root = json_loads(manifest, 0, NULL), *net = header_find(root, named), *own = json_object();
    if (!net || !own) abort();
    for (size_t k = 0; k < sizeof wanted / sizeof *wanted; k++)
        json_object_set(own, wanted[k], json_object_get(net, wanted[k]));
    json_t *out = json_pack("{s:s, s:i, s:O, s:O, s:o, s:o}", "name", id, "abi", DEQ_LIBRARY_ABI, "real",
                            json_object_get(root, "real"), "compiler", json_object_get(root, "compiler"), "net", own,
                            "record", header_records());
    char *content = out ? json_dumps(out, JSON_COMPACT) : NULL;
    if (!content) abort();
    json_decref(out);
    json_decref(root);
    return content;
}

/* The net's name in small letters; one that Python has otherwise would take the place of what it means there. */
static char *module_name(const char *id) {
    static const char *const taken[] = {
#define TAKEN(name) #name,
#include "python_names.def"
#undef TAKEN
    };
    char *name = text_of("%s", id);
    for (char *c = name; *c; c++) *c = (char)tolower((unsigned char)*c);
    for (size_t k = 0; k < sizeof taken / sizeof *taken; k++) {
        if (strcmp(taken[k], name) != 0) continue;
        free(name);
        return text_of("%s_net", taken[k]);
    }
    return name;
}

void product_python(Product *p, const char *manifest, const char *net, const char *id, const char *folder) {
    const char *version = strchr(DEQ_VERSION, ' ') + 1, *mark = "# " DEQ_MADE_BY "\n";
    char *package = module_name(id);
    struct utsname machine;
    if (uname(&machine) != 0) abort();
    *p = (Product){.folders = {text_of("%s", folder), text_of("%s/%s", folder, package)},
                   .nfolders = 2,
                   .shared = text_of("%s/%s/lib%s.so", folder, package, id)};
    add(p, text_of("%s/%s/__init__.py", folder, package), text_of("%s%s", python_module, mark));
    add(p, text_of("%s/%s/net.json", folder, package), description(manifest, net, id));
    add(p, text_of("%s/build_backend.py", folder), text_of("%s%s", python_backend, mark));
    add(p, text_of("%s/package_name.py", folder),
        text_of("%sNAME, VERSION, TAG = \"%s\", \"%s\", \"py3-none-linux_%s\"\n", mark, package, version,
                machine.machine));
    add(p, text_of("%s/pyproject.toml", folder),
        text_of("%s[build-system]\nrequires = []\nbuild-backend = \"build_backend\"\nbackend-path = [\".\"]\n\n"
                "[project]\nname = \"%s\"\nversion = \"%s\"\n",
                mark, package, version));
    free(package);
}

/* ---- all of them ---- */
bool product_ready(const Product *p, deq_error *e) {
    for (int k = 0; k < p->nfolders; k++) /* not those above them: that would be a slip of the pen */
        if (mkdir(p->folders[k], 0777) != 0 && errno != EEXIST)
            return deq_fail(e, DEQ_OUTPUT, "cannot make the folder '%s': %s", p->folders[k], strerror(errno));
    if (!deq_output_replaceable(p->shared, NULL, 0, e)) return false;
    if (p->archive && !deq_output_replaceable(p->archive, NULL, 0, e)) return false;
    for (int k = 0; k < p->nfiles; k++)
        if (!deq_output_replaceable(p->files[k].path, NULL, 0, e)) return false;
    return true;
}

void product_free(Product *p) {
    for (int k = 0; k < p->nfolders; k++) free(p->folders[k]);
    for (int k = 0; k < p->nfiles; k++) {
        free(p->files[k].path);
        free(p->files[k].text);
    }
    free(p->shared);
    free(p->archive);
}
