/* sample.c - how many examples what follows a training looks at.  From the sizes of the work alone, never from a clock:
 * so a run's files do not depend on the machine. */
#include "app_state.h"

#define OPERATIONS 3e10 /* well under a second of one core's */
#define SHARE 0.015     /* of the training's */

int64_t deq_app_sample(deq_app *app, const deq_model *model, double applications, int64_t least, int64_t most) {
    const deq_train_spec *t = model->spec;
    deq_error ignored = {0};
    deq_dataset *data = deq_app_data(app, t->data.data, &ignored);
    deq_engine *engine = deq_app_engine(app, t->net, &ignored);
    int64_t from = 0, to = 0;
    if (!data || !engine || !deq_dataset_slice(data, &t->data, &from, &to, &ignored)) return least;
    double each = 0, step = 0; /* operations: of an application to an example, of a training step to an example */
    for (int i = 0; i < t->net->nfixed; i++) {
        each += t->net->fixed[i].flops;
        step += t->net->fixed[i].flops * deq_engine_solver(engine, i)->max;
    }
    const int64_t examples = deq_train_examples(t, to - from);
    const double trained = SHARE * step * (double)t->epochs * (double)examples;
    const double fits = (trained > OPERATIONS ? trained : OPERATIONS) / (each * applications);
    if (!(fits < (double)most)) return most; /* no products at all: infinite */
    return fits < (double)least ? least : (int64_t)fits;
}
