/* lower_profile.c - timers around groups and block operations, for `deq profile`: each gets a site (deq_profile_site)
 * that says what stands there, and two calls of the runtime. */
#include "lower.h"
#include <string.h>

static const int costs[] = {
#define OP(name, arity, class, shape, linear, cost, view, doc) cost,
#include "ops.def"
#undef OP
};

static Value text(Emit *e, const char *s) {
    Value v = LLVMConstStringInContext2(e->context, s, strlen(s), false);
    Value g = LLVMAddGlobal(e->module, LLVMTypeOf(v), "profile_text");
    LLVMSetInitializer(g, v);
    LLVMSetLinkage(g, LLVMPrivateLinkage);
    LLVMSetGlobalConstant(g, true);
    return g;
}

static uint64_t line_of(Range at) {
    uint64_t line = 1;
    for (uint32_t k = 0; at.source && k < at.start; k++) line += at.source->text[k] == '\n';
    return at.source ? line : 0;
}

/* "add tanh mul": each operation once, what costs nothing left out. */
static char *operations(const Lower *l, const NodeId *members, uint32_t n) {
    char *out = arena_strdup(l->e->arena, "");
    for (uint32_t k = 0; k < n; k++) {
        Op op = lower_node_of(l, members[k])->op;
        bool seen = false;
        for (uint32_t j = 0; j < k; j++) seen = seen || lower_node_of(l, members[j])->op == op;
        if (!seen) out = arena_printf(l->e->arena, "%s%s%s", out, *out ? " " : "", lower_op_name(op));
    }
    return out;
}

/* Solves and gradients are named after their fixed point. */
static const char *block_name(const Lower *l, NodeId id) {
    const Node *n = lower_node_of(l, id);
    const FixedLayout *fixed = l->routine->routine->fixed;
    Arena *a = l->e->arena;
    switch (n->op) {
    case OP_fixed: return arena_printf(a, "solve %s", fixed[n->attr.fixed.index].name);
    case OP_solve: return arena_printf(a, "linear solve %s", fixed[n->attr.solve.map].name);
    case OP_fixed_gradient:
        return arena_printf(a, "gradient %s", fixed[lower_node_of(l, lower_argument(l, id, 0))->attr.fixed.index].name);
    default: return lower_op_name(n->op);
    }
}

static Value make_site(Lower *l, const char *what, Range loc) {
    Emit *e = l->e;
    Value words[8] = {text(e, l->routine->routine->name),
                      text(e, what),
                      loc.source ? text(e, loc.source->path) : LLVMConstNull(e->ptr),
                      emit_i64(e, line_of(loc)),
                      emit_i64(e, 0),
                      emit_i64(e, 0),
                      emit_i64(e, 0),
                      LLVMConstNull(e->ptr)};
    Value initial = LLVMConstStructInContext(e->context, words, 8, false);
    Value site = LLVMAddGlobal(e->module, LLVMTypeOf(initial), "profile_site");
    LLVMSetInitializer(site, initial);
    LLVMSetLinkage(site, LLVMInternalLinkage);
    emit_call(e, lower_runtime(e, "deq_profile_enter"), &site, 1);
    return site;
}
_Static_assert(sizeof(deq_profile_site) == 64, "make_site writes these fields");

Value lower_profile_group(Lower *l, const Group *g) {
    if (!l->e->profile) return NULL;
    NodeId main = g->nmembers ? g->members[0] : g->stores[0].node;
    for (uint32_t k = 1; k < g->nmembers; k++) /* the line of what costs most */
        if (costs[lower_node_of(l, g->members[k])->op] > costs[lower_node_of(l, main)->op]) main = g->members[k];
    return make_site(l, g->nmembers ? operations(l, g->members, g->nmembers) : "store", lower_node_of(l, main)->loc);
}

Value lower_profile_block(Lower *l, NodeId id) {
    return l->e->profile ? make_site(l, block_name(l, id), lower_node_of(l, id)->loc) : NULL;
}

void lower_profile_end(Lower *l, Value site) {
    if (site) emit_call(l->e, lower_runtime(l->e, "deq_profile_leave"), &site, 1);
}
