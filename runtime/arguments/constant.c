#include "constant.h"
#include <math.h>
#include <string.h>

bool deq_constant(const char *name, int operands, double x, double y, double *value) {
#define CONSTANT(spelling, of, result)                                                                                 \
    if (operands == (of) && !strcmp(name, spelling)) return *value = (result), true;
#include "constants.def"
#undef CONSTANT
    return false;
}
