/* model.h - what the elaborator hands over: a net with its losses, as graphs.
 *
 * model->graph is one graph for one example: inputs are the parameters and buffers (unbatched), x and y (batched);
 * it holds the net's output, and for every loss and metric a batched scalar.  Fixed points are `fixed` nodes whose
 * bodies are graphs of their own. */
#ifndef DEQ_COMPILER_MODEL_H
#define DEQ_COMPILER_MODEL_H
#include "graph.h"

typedef struct Parameter {
    const char *path; /* "body.W": instance path inside the net */
    Shape shape;
    NodeId node;      /* input of model->graph */
    const char *init; /* initialiser, sizes and defaults evaluated: "normal(std: 0.0441941738)"; see runtime/init */
    bool trained;     /* false: a buffer */
    Range loc;
} Parameter;

typedef struct Certificate { /* certify: monotone(margin) or contraction(bound) */
    const char *kind;        /* "monotone", "contraction"; NULL: none */
    double claimed;
    double proved; /* by the form of the equation; NaN: nothing */
} Certificate;

typedef struct FixedPoint {
    const char *name; /* "Net_body": C identifier, prefix of the routines; unique in the unit */
    const char *path; /* "body": prefix of its settings in overrides ("body.forward.tol") */
    Range loc;
    Graph *body; /* inputs: the state components, then the captured values (same order and batching as the
                    arguments of the `fixed` node); outputs: the next state components */
    uint32_t nstate;
    const char **state_names;
    NodeId fixed_node; /* in model->graph */
    /* Settings as canonical text with every argument evaluated: "anderson(memory: 5, tol: 0.0001, max: 40)". */
    const char *forward, *gradient, *finish, *start, *on_fail;
    const char *penalty; /* "[jacobian(weight: 0.4), spectral()]", "none" */
    Certificate certificate;
    NodeId *starts; /* start: "given": the first state, a batched node of model->graph for each component; else NULL */
} FixedPoint;

/* A gradient written by hand, of one fixed point.  Its nodes stand in model->graph and are reached from the values. */
typedef struct HandCotangent { /* d(p) */
    int64_t parameter;         /* index; -1: an input of the layer */
    NodeId input;              /* that input */
    NodeId value;              /* of p's shape; batched, or a sum over examples */
} HandCotangent;

typedef enum HandFieldKind { FIELD_SIZE, FIELD_NUMBER, FIELD_ITEM, FIELD_BUFFER, FIELD_STATE } HandFieldKind;

typedef struct HandField { /* an argument of a gradient written in C */
    HandFieldKind kind;
    const char *name;
    double number;  /* SIZE, NUMBER */
    uint32_t index; /* ITEM: in items; BUFFER: parameter; STATE: component */
    uint64_t elements;
} HandField;

typedef struct HandGradient {
    const char *name;    /* "paper": what `gradient:` calls it */
    const char *routine; /* "Net_body_paper": prefix of its routines */
    uint32_t fixed;
    NodeId *incoming; /* for each state an `input` of model->graph: d(z) */
    HandCotangent *items;
    uint32_t nitems;
    uint32_t first_map, nmaps; /* its solves */
    Range loc;
    bool approximate;               /* not meant to be the derivative: gradcheck reports it and does not judge */
    const char *symbol, *signature; /* written in C (lang/extern.h): its values are zeros and no routine is made */
    HandField *fields;              /* the arguments of the C function */
    uint32_t nfields;
} HandGradient;

typedef struct LinearMap { /* K of solve(K, b, SOLVER): attr.solve.map */
    const char *name;      /* prefix of its routine, unique in the unit */
    Graph *body;           /* inputs: v, then the captured values (the node's arguments after b); output: K v */
    const char *solver;    /* canonical text */
    Range loc;
} LinearMap;

typedef struct Loss {
    const char *name; /* "cross_entropy": C identifier */
    NodeId node;      /* batched scalar of model->graph */
    /* Batched scalars, inputs of model->graph: settings of the loss that are data.  Its routines read them in
     * frame->scalars, in this order; FIXED_LOSS_* in the rest record. */
    NodeId *settings;
    uint32_t nsettings;
    bool objective; /* it is the function that frame->objective names: of its routines only those that are asked for */
    bool share;     /* of a metric: it is 0 or 1 by its form, so that its mean is a share of the examples */
    bool replays;   /* a training run carries a perturbation on: NAME_replay is asked for too */
    bool trains, outside; /* of an objective: NAME_parameters, NAME_vjp are asked for too */
    const char *hash;     /* of a metric, beside the net's */
} Loss;

typedef struct Model {
    Arena *arena;
    const char *name; /* "Net": C identifier, prefix of its routines */
    Graph *graph;
    NodeId x, y; /* y NODE_NONE when there is no loss */
    NodeId output;
    Parameter *parameters;
    uint32_t nparameters;
    FixedPoint *fixed;
    uint32_t nfixed;
    HandGradient *hands;
    LinearMap *maps;
    uint32_t nhands, nmaps;
    Loss *losses, *metrics;
    uint32_t nlosses, nmetrics;
    bool training;    /* computes something else in training: there are `in_training` nodes */
    bool coupled;     /* some of them are statistics of the batch: a training batch is one block */
    bool in_batch;    /* an attack sees these: what it asks for is made with them too, NAME_in_batch */
    bool penalised;   /* some run has a penalty on J: NAME_vjp_jvp is made */
    bool corrections; /* some run asks for `penalty: correction(..)`: NAME_LOSS_correction is made */
} Model;
#endif
