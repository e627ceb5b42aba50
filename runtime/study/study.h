/* study.h - what is asked of nets beside training and experiments: one function a verb, each returns an exit code (app.h).
 * Files: gradcheck.c, compare.c, report.c, bench.c, bench_compare.c. */
#ifndef DEQ_RUNTIME_STUDY_H
#define DEQ_RUNTIME_STUDY_H
#include "app.h"

int deq_app_test(const deq_module *module, const deq_app_options *options); /* "tests" of the manifest */
/* Gradients by every mode beside a reference, on the nets that `trains` trains (or on the parameters of `checkpoint`)
 * and on "checks", in the precision of `module`: both are compiled from one script. */
int deq_app_compare(const deq_module *trains, const deq_module *module, const char *checkpoint,
                    const deq_app_options *options);
/* What a run left in `folder`, and what is wrong with it; needs no module. */
int deq_app_report(const char *folder, const deq_app_options *options);
/* Times f, vjp_z, solves, gradients and attacks of each net. */
int deq_app_bench(const deq_module *module, const deq_app_options *options);
/* Two reports of `deq bench --json`, row by row; needs no module. */
int deq_app_bench_compare(const char *before, const char *after, const deq_app_options *options);
#endif
