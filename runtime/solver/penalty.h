/* penalty.h - terms added to the training loss at a fixed point, from text such as "jacobian(weight: 0.4, samples: 2)",
 * "[jacobian(weight: 0.4), spectral(weight: 0.1)]" or "none": names, defaults and ranges from penalties.def. */
#ifndef DEQ_RUNTIME_PENALTY_H
#define DEQ_RUNTIME_PENALTY_H
#include "error.h"
#include "records.h"
#include <stddef.h>
#include <stdint.h>

#define DEQ_PENALTIES_TEXT 512

bool deq_penalties_parse(const char *text, deq_penalties *out, deq_error *e);
/* `key` is "weight", of the only penalty, or "jacobian.weight". */
bool deq_penalties_set(deq_penalties *p, const char *key, const char *value, deq_error *e);
void deq_penalties_print(const deq_penalties *p, char *out, size_t size); /* canonical text, every argument */
bool deq_penalties_given(const deq_penalties *p);
bool deq_penalties_of_jacobian(const deq_penalties *p); /* one that needs second derivatives */
/* Whether one of them sends a cotangent into the state. */
bool deq_penalties_reach_state(const deq_penalties *p);
/* The weight of a penalty in training step `step` (from 1) of the fixed point called `name`; 0: the step goes without.
 */
double deq_penalty_weight(const deq_penalties *p, deq_penalty_kind kind, uint64_t seed, uint64_t step,
                          const char *name);
/* The last state of the solver that the correction reads; 0: there is none. */
int deq_penalties_least(const deq_penalties *p);
/* w of the correction at state `step`, without the weight of the whole; 0: not one of its states. */
double deq_correction_weight(const deq_penalty *p, int step);
/* Site of its random vectors in the stream of (seed, site, example, step). */
int64_t deq_penalty_site(deq_penalty_kind kind, const char *name);
#endif
