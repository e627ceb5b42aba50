/* conv_plan.h - how a convolution is divided into calls of its kernel: no LLVM here.
 *
 * Every convolution that is channels last becomes sums of the form
 *     c[line, pixel, column] = sum over y, x, q of a[line, pixel, y, x, q] b[y, x, q, column]
 * with constant distances between neighbours of each index: the image with a border of zeros is a, packed weights are
 * b. The adjoint in x of a convolution of stride s is s * s such sums, one for each phase of a pixel's place modulo s.
 */
#ifndef DEQ_BACKEND_CONV_PLAN_H
#define DEQ_BACKEND_CONV_PLAN_H
#include "conv.h"

typedef struct ConvBorder { /* the image with zeros around it */
    bool needed;            /* else it is read where it stands */
    uint32_t top, left, height, width;
} ConvBorder;

typedef struct ConvPhase { /* distances in elements */
    uint64_t lines, pixels;
    uint64_t a, a_line, a_pixel, b, c, c_line, c_pixel;
    uint64_t ny, nx, nq; /* none of them zero */
    int64_t a_y, a_x, b_y, b_x;
} ConvPhase;

/* Border of the image that is read: x, or y for conv_input. */
ConvBorder conv_border(Op op, const ConvShape *c);
/* Elements of the bordered image. */
uint64_t conv_border_count(Op op, const ConvShape *c);
uint32_t conv_phases(Op op, const ConvShape *c); /* at most; see conv_phase */
/* Phase k of conv or conv_input; b distances for panels of `panel` columns.  False: nothing reaches its pixels. */
bool conv_phase(Op op, const ConvShape *c, uint32_t panel, uint32_t k, ConvPhase *out);

/* ---- Winograd: one pixel apart, 3 x 3 taps, no groups ---- */
typedef struct WinogradPlan {
    uint32_t channels, height, width; /* of the image that is read: x, or y for conv_input */
    uint32_t filters, out_height, out_width;
    int64_t before;               /* rows above and columns left of the image that the first tile reads */
    uint32_t rows, columns;       /* of whole tiles */
    uint32_t slice;               /* rows of whole tiles that run at a time */
    bool short_row, short_column; /* a last row and column of short tiles */
    uint32_t images;              /* at most, whose tiles run together; if several, each has whole tiles in one slice */
    uint64_t v_tile, v_tap, m_tile,
        m_tap; /* bytes from tile to tile and from tap to tap: transformed pixels, products */
    uint64_t discard, v, products, weights; /* places in the workspace, after zeros: room for what lies outside, .. */
    uint64_t w_tap;                         /* bytes from tap to tap of the sums at `weights` */
    uint32_t some_channels, some_filters;   /* that are summed at a time */
    bool kept;                              /* the pixels of all channels are transformed once, else of some */
    uint64_t bytes;                         /* of the workspace */
} WinogradPlan;

/* How a convolution with transformed weights runs, for panels of `panel` columns. */
WinogradPlan winograd_plan(Op op, const ConvShape *c, uint32_t real_bytes, uint32_t panel);
/* The adjoint in the weights, whose products are cotangents by tile and whose sums stand at `weights`.  False: it runs
 * directly. */
bool winograd_weight_plan(const ConvShape *c, uint32_t real_bytes, uint32_t panel, WinogradPlan *out);
#endif
