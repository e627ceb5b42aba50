/* asked.h - settings that --set asks for and that have to be known while a script is compiled: those of attacks that
 * others are computed from (the settings of an attack made of others, and those that rounds of a loop depend on), and
 * whether an experiment's attacks may be masked, and whether those of a training run see the statistics of the batch. */
#ifndef DEQ_COMPILER_ASKED_H
#define DEQ_COMPILER_ASKED_H
#include "elaborate.h"

/* Those of the assignments PATH=VALUE, and those of constants (program_replace), NULL at the end.  needs: p resolved. */
const char *const *asked_settings(const Program *p, const char *const *set, int n);
/* The paths of settings of attacks made of others, NULL at the end: no attack of the manifest has them. */
const char *const *asked_paths(const Program *p);
/* The attack of this training run is read from here on: --set NAME.attack.SETTING is its; NULL: no more. */
void asked_train(Elab *e, const Ast *train, const char *name);
/* The value that e->asked has for a setting of the attack that is declared as this call, or trained against; false:
 * none. */
bool asked_value(const Elab *e, const Ast *call, const char *setting, double *value);
/* Whether the attacks of this experiment may be masked, when the script says `otherwise`. */
bool asked_masking(const Elab *e, const char *experiment, bool otherwise);
/* Whether the attack of the training run has `batch_statistics: train`, when the script says `otherwise`. */
bool asked_in_batch(const Elab *e, const char *train, bool otherwise);
#endif
