/* app_main.h - main() of a program made by `deq build`. */
#ifndef DEQ_RUNTIME_APP_MAIN_H
#define DEQ_RUNTIME_APP_MAIN_H
#include "deq_runtime.h"

/* Parses --set, --seed, --threads, --results, --fresh, --json, --help; does what the module's manifest says.  Returns the
 * exit code (app.h). */
int deq_main(const deq_module *module, int argc, char **argv);
#endif
