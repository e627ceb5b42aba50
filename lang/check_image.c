/* check_image.c - type rules of the built-in functions of images [C, H, W]: pooling and resizing. */
#include "checker.h"
#include <string.h>

/* A real tensor of three axes. */
static bool needs_image(Checker *c, Ast *x, const Builtin *b) {
    const Type *t = check_expr(c, x);
    if (t->kind == TYPE_ERROR) return false;
    if (t->kind == TYPE_TENSOR && type_is_real(t) && type_has_rank(t, 3)) return true;
    diag_help(diag_report(c->diags, DIAG_E0307, x->range, "'%s' needs an image f32[C, H, W], this is %s", b->name,
                          type_text(c->arena, t)),
              "it is %s", b->signature);
    return false;
}

/* The whole number an argument stands for as a size; `fallback` when it is left out; NULL on error. */
static const Size *count(Checker *c, Ast *e, const Size *fallback, int64_t least, const char *what) {
    if (!e) return fallback;
    const Size *s = size_of(c, e, true);
    int64_t num, den;
    if (s && size_rational(s, &num, &den) && (den != 1 || num < least)) {
        diag_report(c->diags, DIAG_E0309, e->range, "%s is a whole number from %lld", what, (long long)least);
        return NULL;
    }
    return s;
}

/* Windows of `kernel` along an axis of `size`, `stride` apart, with `padding` on both sides: floor((size + 2 padding -
 * kernel) / stride) + 1.  Without a stride they tile the axis: size / kernel, with the obligation that it is whole. */
static const Size *windows(Checker *c, Ast *x, const Size *size, const Size *kernel, const Size *stride,
                           const Size *padding) {
    Arena *a = c->arena;
    int64_t room, whole, den;
    const Size *padded = size_add(a, size, size_multiply(a, size_constant(a, 2), padding));
    const Size *rest = size_subtract(a, padded, kernel);
    if (size_number(rest, &room) && room < 0) {
        diag_report(c->diags, DIAG_E0330, x->range, "a window of %s does not fit into the padded size %s",
                    size_text(a, kernel), size_text(a, padded));
        return NULL;
    }
    if (!stride && !(size_number(padding, &whole) && whole == 0)) stride = kernel;
    if (stride) return size_add(a, size_floor(a, size_divide(a, rest, stride)), size_constant(a, 1));
    const Size *tiles = size_divide(a, size, kernel);
    if (size_rational(tiles, &whole, &den) && den != 1) {
        diag_help(diag_report(c->diags, DIAG_E0330, x->range, "windows of %s do not fill an axis of %s without a rest",
                              size_text(a, kernel), size_text(a, size)),
                  "pad the image, or give a stride of its own: then what is left over is dropped");
        return NULL;
    }
    return tiles;
}

static const Type *check_pool(Checker *c, const Builtin *b, Ast **args) {
    Arena *a = c->arena;
    if (!needs_image(c, args[0], b)) return &type_error;
    const Size *kernel = count(c, args[1], NULL, 1, "the kernel"), *stride = count(c, args[2], NULL, 1, "the stride");
    const Size *padding = count(c, args[3], size_constant(a, 0), 0, "the padding");
    if (!kernel || (args[2] && !stride) || !padding) return &type_error;
    const Type *t = args[0]->type;
    const Size *dims[3] = {t->dims[0], windows(c, args[0], t->dims[1], kernel, stride, padding), NULL};
    if (dims[1]) dims[2] = windows(c, args[0], t->dims[2], kernel, stride, padding);
    return dims[1] && dims[2] ? type_tensor(a, t->elem, 3, dims) : &type_error;
}

static const Type *check_upsample(Checker *c, const Builtin *b, Ast **args) {
    Arena *a = c->arena;
    if (!needs_image(c, args[0], b)) return &type_error;
    const Size *factor = count(c, args[1], NULL, 1, "the factor");
    if (!factor) return &type_error;
    const Type *t = args[0]->type;
    const Size *dims[3] = {t->dims[0], size_multiply(a, t->dims[1], factor), size_multiply(a, t->dims[2], factor)};
    return type_tensor(a, t->elem, 3, dims);
}

static const Type *check_bilinear(Checker *c, const Builtin *b, Ast **args) {
    if (!needs_image(c, args[0], b)) return &type_error;
    Ast *list = args[1];
    if ((list->kind != AST_ARRAY && list->kind != AST_TUPLE) || list->nkids != 2) {
        diag_help(diag_report(c->diags, DIAG_E0314, list->range, "'%s' takes the new height and width", b->name),
                  "it is %s", b->signature);
        return &type_error;
    }
    const Size *dims[3] = {args[0]->type->dims[0]};
    for (uint32_t k = 0; k < 2; k++)
        if (!(dims[1 + k] = count(c, list->kids[k], NULL, 1, "a size"))) return &type_error;
    list->type = type_of_items(c->arena, TYPE_LIST, 1, (const Type *[]){&type_int});
    return type_tensor(c->arena, args[0]->type->elem, 3, dims);
}

const Type *check_image(Checker *c, const Builtin *b, Ast **args) {
    switch (b->rule) {
    case RULE_POOL: return check_pool(c, b, args);
    case RULE_UPSAMPLE: return check_upsample(c, b, args);
    case RULE_BILINEAR: return check_bilinear(c, b, args);
    default: return &type_error;
    }
}
