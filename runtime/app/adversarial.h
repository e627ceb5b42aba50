/* adversarial.h - attacked examples out: as inputs, as a file of arrays, as a grid of pictures.
 * Files: adversarial.c, export_adversarial.c, grid.c. */
#ifndef DEQ_RUNTIME_ADVERSARIAL_H
#define DEQ_RUNTIME_ADVERSARIAL_H
#include "app_state.h"

/* Examples of one evaluation under an attack, as given and as attacked: dense rows of the module's reals. */
typedef struct deq_adversarial {
    const deq_record *records; /* of the evaluation */
    int64_t n, elements;       /* of an input */
    int real_bits;
    void *clean, *attacked;
    void *targets; /* as a source gives them */
    int64_t target_elements;
} deq_adversarial;

/* The inputs at which these n records were made: found in the cache, or by the attack once more.  free with
 * deq_adversarial_free. */
bool deq_adversarial_read(deq_app *app, const deq_model *model, const deq_value_spec *value, const deq_record *records,
                          int64_t n, deq_adversarial *out, deq_error *e);
void deq_adversarial_free(deq_adversarial *a);
double deq_adversarial_value(const deq_adversarial *a, const void *rows, int64_t row, int64_t element);
/* Inputs of this shape are pictures: [height, width], or one or three such planes. */
typedef struct deq_planes {
    int count; /* 0: they are none */
    int64_t height, width;
} deq_planes;
deq_planes deq_planes_of(const deq_shape *shape);
/* They are pictures whose clean values are bytes divided by 255, to which attacked ones can be rounded. */
bool deq_adversarial_bytes(const deq_adversarial *a, const deq_shape *shape);

/* RESULTS/STEM-attacked.png, by its script and colours beside it: of up to eight examples the input, the attacked input,
 * and ten times the difference on grey, examples that the attack made wrong first.  Nothing is drawn where inputs are no
 * images ([height, width], one or three of them), and one that is there already stays. */
bool deq_app_grid(deq_app *app, const deq_model *model, const deq_value_spec *value, const deq_evaluation *v,
                  const char *stem, deq_error *e);
#endif
