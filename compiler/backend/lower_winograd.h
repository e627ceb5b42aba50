/* lower_winograd.h - private to the lowering of convolutions in Winograd's form (winograd.h): tiles, their
 * transforms, and the products between.  Files: lower_conv_winograd.c, lower_conv_winograd_weight.c,
 * lower_pack_winograd.c, winograd_transform.c. */
#ifndef DEQ_BACKEND_LOWER_WINOGRAD_H
#define DEQ_BACKEND_LOWER_WINOGRAD_H
#include "conv_plan.h"
#include "lower.h"

#define SIDE WINOGRAD_TAPS

/* ---- winograd_transform.c: functions of the module, one each for all shapes ---- */
typedef enum WinogradKind {
    WINOGRAD_PIXELS,    /* V = B' d B of every tile, by channel */
    WINOGRAD_PRODUCTS,  /* y = A' M A, by filter */
    WINOGRAD_COTANGENTS /* W = A u A' */
} WinogradKind;

enum { /* arguments; distances in bytes */
       T_IMAGE,
       T_OUTSIDE, /* what is read, or room for what is written, in rows outside the image */
       T_TAPS,
       T_HEIGHT,
       T_WIDTH,
       T_PIXEL, /* from pixel to pixel */
       T_CHANNELS,
       T_TOP, /* place in the image of the first tile's first pixel */
       T_LEFT,
       T_ROWS, /* of tiles */
       T_COLUMNS,
       T_TILE, /* from tile to tile */
       T_TAP,  /* from tap to tap */
       T_COUNT
};

/* Of whole tiles (tall, wide), or of short ones down or across. */
Value winograd_transform(Emit *e, WinogradKind kind, bool tall, bool wide);

/* w[tap, row, column] += G' U G for the transformed taps U of each row (of `columns` reals, padded).  U_ROW, U_TAP and
 * U_TO_ROW, U_TO_TAP: bytes from row to row and from tap to tap of U and of w. */
enum { U_TAPS, U_WEIGHTS, U_ROWS, U_COLUMNS, U_ROW, U_TAP, U_TO_ROW, U_TO_TAP, U_COUNT };
Value winograd_transform_weights(Emit *e);

/* ---- lower_conv_winograd.c ---- */
enum {
    W_IMAGE,
    W_WEIGHTS,
    W_RESULT,
    W_WORK,
    W_ONE_IMAGE, /* so many arguments, unless several images share a call */
    W_IMAGES = W_ONE_IMAGE,
    W_IMAGE_ROW, /* bytes from image to image, and from result to result */
    W_RESULT_ROW,
    W_COUNT
};

typedef struct Part { /* of the channels, or of the filters */
    Value first;
    uint32_t count;
} Part;

typedef struct Slice {
    Emit *e;
    const WinogradPlan *p;
    Value args[W_COUNT], first; /* first row of tiles */
    uint32_t rows;              /* of whole tiles */
    Part channels, filters;     /* all, or those that are summed */
    bool last;                  /* with the row of short tiles, if there is one */
} Slice;

/* The function `what` of the module for this shape, made when it is first asked for; `body` emits it.  Its arguments
 * are W_IMAGE to W_WORK; the cotangent of a weight adjoint stands where the result of a convolution does. */
Value winograd_function(Emit *e, const WinogradPlan *p, const char *what, void (*body)(Slice *s));
/* Calls it for the images of the site's tile, or for that of its row; these are rows of node `image`, their results or
 * cotangents rows of node `result`. */
void winograd_call(const Site *s, const WinogradPlan *p, Value f, Value args[W_ONE_IMAGE], NodeId image, NodeId result);
/* All slices, in turn; `run` emits one. */
void winograd_slices(Slice *s, void (*run)(const Slice *s));
/* All tiles of a slice, of its channels or filters. */
void winograd_transform_slice(const Slice *s, WinogradKind kind);
/* All taps; `multiply` emits the product of one, for `tiles` tiles from `first` on. */
void winograd_taps(const Slice *s, void (*multiply)(const Slice *s, Value tap, uint64_t first, uint64_t tiles));
/* The convolution's workspace in the tile. */
Value winograd_workspace(const Site *s);
/* Bytes of all panels of a tap of transformed weights, which lie side by side (conv.h). */
uint64_t winograd_tap_bytes(const Emit *e, uint64_t columns, uint64_t inner);
#endif
