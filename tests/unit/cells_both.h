/* cells_both.h - the cells of cells.h in both precisions. */
#ifndef DEQ_TEST_CELLS_BOTH_H
#define DEQ_TEST_CELLS_BOTH_H
#include "worker.h"
#include <math.h>
#include <string.h>

#define CELL_MOST 30 /* elements of a state */
typedef enum cell_kind { CELL_LINEAR, CELL_TANH, CELL_COSINE, CELL_SQUARE, CELL_KINSOL, CELL_NAN } cell_kind;
static _Atomic int64_t cell_evaluations, cell_products; /* rows of f, and of vjp_z */
/* Those of f with its tape, and of products that are not vjp_z: to the rest, and J v. */
static _Atomic int64_t cell_linearised __attribute__((unused)), cell_others __attribute__((unused));

#define REAL float
#define T(name) name##_f32
#include "cells.h"
#undef REAL
#undef T
#define REAL double
#define T(name) name##_f64
#include "cells.h"
#undef REAL
#undef T
#endif
