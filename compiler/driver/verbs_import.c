/* verbs_import.c - deq import: the net of a script gets the weights of others.  Only its manifest is made, no code. */
#include "app.h"
#include "compile.h"
#include "header.h"
#include "verbs.h"
#include <string.h>

static int import(const Cli *cli, const Compilation *c) {
    const char *manifest = c->unit->manifest;
    json_t *root = json_loads(manifest, 0, NULL), *net = root ? header_find(root, cli->net) : NULL;
    if (!net) {
        deq_error e = {0};
        deq_fail(&e, DEQ_NET, "the script has no net for the weights; name a layer with --net");
        json_decref(root);
        return verb_failed(&e);
    }
    const deq_module module = {.abi_version = DEQ_ABI_VERSION,
                               .real_bits = cli->precision && strcmp(cli->precision, "f64") == 0 ? 64 : 32,
                               .manifest = manifest,
                               .manifest_length = (int64_t)strlen(manifest)};
    int code = deq_app_import(
        &module, json_string_value(json_object_get(net, "name")),
        &(deq_import){cli->files[0], cli->map, .to = cli->output, .json = cli->json, .quiet = cli->quiet});
    json_decref(root);
    return code;
}

int verb_import(const Cli *cli) {
    if (!cli->into) {
        fputs("deq import: --into SCRIPT says whose net the weights are for\n", stderr);
        return EXIT_USAGE;
    }
    Compilation c;
    CompileOptions options = verb_options(cli, STAGE_routines);
    options.path = cli->into;
    options.use_cache = false;
    if (cli->net && trains_net(&options, cli->net)) options.only = NULL;
    int code = compile(&options, &c);
    verb_diagnostics(cli, &c);
    if (code == 0) code = import(cli, &c);
    compile_free(&c);
    return code;
}
