/* experiment_claim.c - claims: the condition, and the number that it is about. */
#include "experiment_parts.h"
#include <string.h>

static bool is_order(const char *op) { return strcmp(op, "<") == 0 || strcmp(op, ">") == 0 || op[1] == '='; }

/* Of `a > b` the difference a - b; of `a > 0.05` a.  NULL: the condition is no comparison of numbers. */
static const Ast *subject_of(Experiment *x, const Ast *condition, const char **name) {
    Arena *a = x->pipe->elab->arena;
    *name = NULL;
    if (condition->kind != AST_BINARY || !strchr("<>", condition->name[0]) || !is_order(condition->name)) return NULL;
    const Ast *left = AST_SLOT(condition, BINARY, left), *right = AST_SLOT(condition, BINARY, right);
    Scope s = experiment_scope(x);
    if (!experiment_runs(x, &s, right)) return left;
    if (!experiment_runs(x, &s, left)) return right;
    Ast *difference = arena_copy(a, condition, sizeof *condition);
    difference->name = "-";
    difference->type = left->type;
    *name = arena_printf(a, "%s - (%s)", range_text(a, left->range), range_text(a, right->range));
    return difference;
}

json_t *experiment_claim(Experiment *x, const Ast *claim) {
    const Ast *condition = AST_SLOT(claim, CLAIM, condition);
    const char *of = experiment_value(x, condition, NULL), *name, *value = NULL;
    if (!of) return NULL;
    const json_t *inputs = json_object_get(experiment_array_json(x, of), "inputs");
    if (inputs && !json_array_size(inputs)) {
        Scope s = experiment_scope(x);
        elab_error(&s, DIAG_E0516, condition->range, "a claim is about values of the experiment: this mentions none");
        return NULL;
    }
    const Ast *subject = subject_of(x, condition, &name);
    if (subject && !(value = name ? experiment_value(x, subject, name) : experiment_number(x, subject))) return NULL;
    return json_pack("{s:s, s:i, s:s, s:o, s:s}", "text", claim->name, "line", json_line(claim), "condition", of,
                     "value", value ? json_string(value) : json_null(), "format",
                     value && experiment_array(x, value)->percent ? "percent" : "number");
}
