/* parse.y - the grammar.  Conflict-free on purpose: use precedence or another form instead of raising %expect.
 *
 * Statements of all bodies share one rule; build_check_bodies() says which may stand where, with better words than a syntax
 * error.  Items never begin with a bare expression, so one token decides between `name: value` and `name = value`. */
%require "3.8"
%define api.pure full
%define api.prefix {deq_}
%define api.token.prefix {T_}
%define api.value.type {Ast *}
%define api.location.type {Loc}
%define parse.error custom
%define parse.lac full              /* exact sets of expected tokens */
%locations
%expect 0
%param { Parser *ps }

%code requires {
  #include "syntax.h"
  #define YYLLOC_DEFAULT(C, R, N) do { \
      (C).start = (N) ? YYRHSLOC(R, 1).start : YYRHSLOC(R, 0).end; \
      (C).end   = (N) ? YYRHSLOC(R, N).end   : YYRHSLOC(R, 0).end; } while (0)
}
%code {
  #include "foreign.h"
  #include <ctype.h>
  #include <string.h>
  static int deq_lex(Ast **value, Loc *at, Parser *ps) { *value = NULL; return scan_next(ps, at); }
  static void deq_error(Loc *at, Parser *ps, const char *message);
  static void by_hand(Parser *ps, const Ast *word);
  static void from_extern(Parser *ps, const Ast *word);
  static void is_approximate(Parser *ps, const Ast *word);
  static Ast *setting_of(Parser *ps, Ast *value, Loc at);
}

%token END 0 "end of file"
%token IDENT "a name" STRING "a string" NUMBER "a number" SEP "end of line"
/* Reserved words; layout.c takes them as the range IMPORT .. ON. */
%token IMPORT "import" FN "fn" LAYER "layer" LET "let" RETURN "return" PARAM "param" USE "use"
%token FIXED "fixed" IF "if" THEN "then" ELSE "else" FOR "for" IN "in" TRUE "true" FALSE "false"
%token AND "and" OR "or" NOT "not" WITH "with" UNDER "under" ON "on"
/* Words that are names too; layout.c takes them as the range POINT .. STATE. */
%token POINT "point" DATA "data" TRAIN "train" ATTACK "attack" DEFENCE "defence" OPTIMISER "optimiser"
%token SCHEDULE "schedule" EXPERIMENT "experiment" GRADIENT "gradient" SWEEP "sweep" TABLE "table" CHECK "check"
%token TEST "test" OF "of" BY "by" AS "as" BUFFER "buffer" CONST "const" UNTIL "until" FIGURE "figure"
%token CLAIM "claim" STATE "state"
%token REPEAT "repeat"              /* layout.c decides where it is a keyword */
%token ARROW "->" RANGE ".." EQ "==" NE "!=" LE "<=" GE ">=" PIPE "|>" POW "**"

%left PIPE
%precedence COND             /* if a then b else c takes everything to its right */
%left BY                     /* columns: [clean, robust by method] */
%left UNDER                  /* test_set under pgd with { .. }: the attack takes the settings */
%left WITH                   /* net with { .. } */
%left OR
%left AND
%precedence NOT
%nonassoc EQ NE '<' '>' LE GE
%nonassoc RANGE
%left '+' '-'
%left '*' '/' '@'
%precedence NEG
%right POW
%%
unit: decls;                    /* layout.c gives no SEP at the start of a file or block: the first token may be refused too */
decls: %empty
  | decls decl seps  { build_append(ps, ps->unit, build_document(ps, $decl), @decl); }
  | decls error recovered { build_append(ps, ps->unit, build_leaf(ps, AST_ERROR, @error), @error); }
  ;
decl:
    IMPORT path import_tail                { bool alias = $3 && $3->kind == AST_NAME;
                                             $$ = BUILD(IMPORT, @$, @path, build_path(ps, $path), alias ? NULL : $3, alias ? $3 : NULL); }
  | CONST name type_opt '=' expr           { $$ = BUILD_NAMED(CONST, @$, $name, $type_opt, $expr); }
  | fn
  | LAYER name sizes_opt params ARROW type block
                                           { $$ = BUILD_NAMED(LAYER, @$, $name, $sizes_opt, $params, $type, $block); }
  | DATA name ':' type '=' expr            { $$ = BUILD_NAMED(DATA, @$, $name, $type, $expr); }
  | ATTACK name '=' expr                   { $$ = BUILD_NAMED(ATTACK, @$, $name, $expr); }
  | ATTACK name params '=' expr            { $$ = BUILD_NAMED(ATTACK_DEF, @$, $name, NULL, $params, $expr); }
  | ATTACK name params_opt block           { $$ = BUILD_NAMED(ATTACK_DEF, @$, $name, NULL, $params_opt, $block); }
  | DEFENCE name '=' expr                  { $$ = BUILD_NAMED(DEFENCE, @$, $name, $expr); }
  | DEFENCE name params_opt block          { $$ = BUILD_NAMED(DEFENCE_DEF, @$, $name, $params_opt, $block); }
  | OPTIMISER name '=' expr                { $$ = BUILD_NAMED(OPTIMISER, @$, $name, $expr); }
  | OPTIMISER name params_opt block        { $$ = BUILD_NAMED(OPTIMISER_DEF, @$, $name, $params_opt, $block); }
  | SCHEDULE name '=' expr                 { $$ = BUILD_NAMED(SCHEDULE, @$, $name, $expr); }
  | SCHEDULE name params_opt block         { $$ = BUILD_NAMED(SCHEDULE_DEF, @$, $name, $params_opt, $block); }
  | train
  | GRADIENT name OF path worth BY name[hand] block
                                           { by_hand(ps, $hand); $$ = BUILD_NAMED(GRADIENT, @$, $2, $path, $block, NULL, $worth); }
  | GRADIENT name OF path worth '=' name[how] string
                                           { from_extern(ps, $how); $$ = BUILD_NAMED(GRADIENT, @$, $2, $path, NULL, $string, $worth); }
  | CHECK block                            { $$ = BUILD(CHECK, @$, @1, NULL, $block); }
  | CHECK name block                       { $$ = BUILD_NAMED(CHECK, @$, $name, $block); }
  | TEST string block                      { $$ = BUILD_NAMED(TEST, @$, $string, $block); }
  | EXPERIMENT name block                  { $$ = BUILD_NAMED(EXPERIMENT, @$, $name, $block); }
  ;
worth: %empty { $$ = NULL; } /* of a gradient: it is meant to be the derivative */
  | IDENT     { $$ = build_leaf(ps, AST_NAME, @1); is_approximate(ps, $$); }
  ;
import_tail: %empty { $$ = NULL; }
  | AS name         { $$ = $name; }
  | '(' names ')'   { $$ = $names; }
  ;
names: name_list | name_list ',';
name_list: name         { $$ = build_list(ps, @$, $1); }
  | name_list ',' name  { $$ = build_append(ps, $1, $3, @3); }
  ;

/* ---- types: f32, f32[C, H / 2], f32[C, ..S], label[10], (T, T), fn(T) -> T ---- */
type: path dims_opt  { $$ = BUILD(TYPE, @$, @path, build_path(ps, $path), $dims_opt); }
  | '(' types ')'    { $$ = $types; $$->range = $$->name_range = syntax_range(ps, @$); }
  | FN '(' type_list ')' ARROW type[result] { $$ = BUILD(FN_TYPE, @$, @1, NULL, $type_list, $result, NULL); }
  ;
type_list: type      { $$ = build_list(ps, @$, $1); }
  | type_list ',' type { $$ = build_append(ps, $1, $3, @3); }
  ;
types: type ',' type { $$ = build_append(ps, build_append(ps, build_leaf(ps, AST_TUPLE_TYPE, @$), $1, @1), $3, @3); }
  | types ',' type   { $$ = build_append(ps, $1, $3, @3); }
  ;
dims_opt: %empty       { $$ = NULL; }
  | '[' items_of ']'   { $$ = $items_of; }
  ;
type_opt: %empty       { $$ = NULL; }
  | ':' type           { $$ = $type; }
  ;
sizes_opt: %empty                       { $$ = NULL; }
  | '[' size_params ']'                 { $$ = BUILD(SIZES, @$, @$, NULL, $2, NULL); }
  | '[' size_params ';' size_names ']'  { $$ = BUILD(SIZES, @$, @$, NULL, $2, $4); }
  | '[' ';' size_names ']'              { $$ = BUILD(SIZES, @$, @$, NULL, build_list(ps, @1, NULL), $3); }
  ;
size_params: size_param        { $$ = build_list(ps, @$, $1); }
  | size_params ',' size_param { $$ = build_append(ps, $1, $3, @3); }
  ;
size_param: size_name          { $$ = $1; }
  | name '=' expr              { $$ = BUILD_NAMED(SIZE_PARAM, @$, $name, $expr); }
  ;
size_names: size_name          { $$ = build_list(ps, @$, $1); }
  | size_names ',' size_name   { $$ = build_append(ps, $1, $3, @3); }
  ;
size_name: name                { $$ = BUILD_NAMED(SIZE_PARAM, @$, $name, NULL); }
  ;

/* ---- functions and parameters; f(z; x): the state before ';' ---- */
fn: FN name sizes_opt params ARROW type fn_body { $$ = BUILD_NAMED(FN, @$, $name, $sizes_opt, $params, $type, $fn_body); };
fn_body: '=' expr              { $$ = $expr; }
  | block                      { $$ = $block; }
  ;
params_opt: %empty             { $$ = BUILD(PARAMS, @$, @$, NULL, NULL, build_list(ps, @$, NULL)); }
  | params
  ;
params: '(' ')'                     { $$ = BUILD(PARAMS, @$, @$, NULL, NULL, build_list(ps, @$, NULL)); }
  | '(' bindings ')'                { $$ = BUILD(PARAMS, @$, @$, NULL, NULL, $2); }
  | '(' bindings ';' ')'            { $$ = BUILD(PARAMS, @$, @$, NULL, $2, build_list(ps, @3, NULL)); }
  | '(' bindings ';' bindings ')'   { $$ = BUILD(PARAMS, @$, @$, NULL, $2, $4); }
  | '(' ';' bindings ')'            { $$ = BUILD(PARAMS, @$, @$, NULL, build_list(ps, @1, NULL), $3); }
  ;
bindings: binding_list | binding_list ',';
binding_list: binding          { $$ = build_list(ps, @$, $1); }
  | binding_list ',' binding   { $$ = build_append(ps, $1, $3, @3); }
  ;
binding: name ':' type bounds_opt           { $$ = BUILD_NAMED(BINDING, @$, $name, $type, NULL, $bounds_opt); }
  | name ':' type bounds_opt '=' expr       { $$ = BUILD_NAMED(BINDING, @$, $name, $type, $expr, $bounds_opt); }
  ;
bounds_opt: %empty               { $$ = NULL; }
  | IN expr                      { $$ = $expr; }
  ;

/* ---- statements and settings ---- */
block: '{' items '}'  { $$ = $items; $$->range = $$->name_range = syntax_range(ps, @$); };
items: %empty          { $$ = build_list(ps, @$, NULL); }
  | items item seps    { $$ = build_append(ps, $1, build_document(ps, $item), @item); }
  | items error recovered { $$ = build_append(ps, $1, build_leaf(ps, AST_ERROR, @error), @error); }
  ;
item:
    PARAM name ':' type '=' expr     { $$ = BUILD_NAMED(PARAM, @$, $name, $type, $expr); }
  | BUFFER name ':' type '=' expr    { $$ = BUILD_NAMED(BUFFER, @$, $name, $type, $expr); }
  | USE name '=' expr                { $$ = BUILD_NAMED(USE, @$, $name, $expr); }
  | LET name type_opt '=' expr       { $$ = BUILD(LET, @$, @name, NULL, $name, $type_opt, $expr); }
  | LET '(' names ')' '=' expr       { $$ = BUILD(LET, @$, @names, NULL, $names, NULL, $expr); }
  | fn
  | postfix '=' expr                 { $$ = BUILD(EQUATION, @$, @postfix, NULL, build_target(ps, $postfix), $expr); }
  | postfix ':' value                { $$ = $value; $$->range = syntax_range(ps, @$); $$->name_range = syntax_range(ps, @postfix);
                                       build_set(ps, $$, AST_SETTING_key, build_key(ps, $postfix)); }
  | RETURN expr                      { $$ = BUILD(RETURN, @$, @1, NULL, $expr); }
  | FOR name IN expr until_opt block { $$ = BUILD_NAMED(FOR, @$, $name, $expr, $until_opt, $block); }
  | FIXED POINT fixed_state block    { $$ = BUILD(FIXED, @$, @fixed_state, NULL, $fixed_state, $block); }
  | STATE name type_opt '=' expr     { $$ = BUILD_NAMED(STATE, @$, $name, $type_opt, $expr); }
  | REPEAT expr until_opt block      { $$ = BUILD(REPEAT, @$, @1, NULL, $expr, $until_opt, $block); }
  | train
  | SWEEP name IN expr               { $$ = BUILD_NAMED(SWEEP, @$, $name, $expr); }
  | TABLE string block               { $$ = BUILD_NAMED(TABLE, @$, $string, $block); }
  | RANGE postfix                    { $$ = BUILD(SPREAD, @$, @postfix, NULL, $postfix); }
  | FIGURE string block              { $$ = BUILD_NAMED(FIGURE, @$, $string, $block); }
  | CLAIM string ':' expr            { $$ = BUILD_NAMED(CLAIM, @$, $string, $expr); }
  ;
until_opt: %empty      { $$ = NULL; }
  | UNTIL expr         { $$ = $expr; }
  ;
fixed_state: binding   { $$ = build_list(ps, @$, $1); }
  | '(' bindings ')'   { $$ = $bindings; }
  ;
train: TRAIN name '=' expr[model] ON expr[data] block
                       { $$ = BUILD_NAMED(TRAIN, @$, $name, $model, $data, $block); };
value: chain           { $$ = setting_of(ps, $chain, @$); } /* `name: { .. }` too: settings are an operand */
  | expr block         { $$ = BUILD(SETTING, @$, @$, NULL, NULL, $expr, $block); }
  ;

/* ---- expressions ---- */
chain: expr                  /* anderson() else broyden(); not an operator of expr, where 'else' belongs to 'if' */
  | chain ELSE expr          { $$ = build_operator(ps, $1, @2, $3, @$); }
  ;
exprs: expr_list | expr_list ',';
expr_list: expr          { $$ = build_list(ps, @$, $1); }
  | expr_list ',' expr   { $$ = build_append(ps, $1, $3, @3); }
  ;
items_of: item_list | item_list ','; /* of a list, or dims: what stands behind '..' counts for all it holds */
item_list: list_item          { $$ = build_list(ps, @$, $1); }
  | item_list ',' list_item   { $$ = build_append(ps, $1, $3, @3); }
  ;
list_item: expr
  | name ':' expr        { $$ = BUILD_NAMED(ARG, @$, $name, $expr); }
  | RANGE postfix        { $$ = BUILD(SPREAD, @$, @1, NULL, $postfix); }
  ;
expr:
    expr PIPE expr   { $$ = build_operator(ps, $1, @2, $3, @$); }
  | expr OR expr     { $$ = build_operator(ps, $1, @2, $3, @$); }
  | expr AND expr    { $$ = build_operator(ps, $1, @2, $3, @$); }
  | expr EQ expr     { $$ = build_operator(ps, $1, @2, $3, @$); }
  | expr NE expr     { $$ = build_operator(ps, $1, @2, $3, @$); }
  | expr '<' expr    { $$ = build_operator(ps, $1, @2, $3, @$); }
  | expr '>' expr    { $$ = build_operator(ps, $1, @2, $3, @$); }
  | expr LE expr     { $$ = build_operator(ps, $1, @2, $3, @$); }
  | expr GE expr     { $$ = build_operator(ps, $1, @2, $3, @$); }
  | expr RANGE expr  { $$ = build_operator(ps, $1, @2, $3, @$); }
  | expr '+' expr    { $$ = build_operator(ps, $1, @2, $3, @$); }
  | expr '-' expr    { $$ = build_operator(ps, $1, @2, $3, @$); }
  | expr '*' expr    { $$ = build_operator(ps, $1, @2, $3, @$); }
  | expr '/' expr    { $$ = build_operator(ps, $1, @2, $3, @$); }
  | expr '@' expr    { $$ = build_operator(ps, $1, @2, $3, @$); }
  | expr POW expr    { $$ = build_operator(ps, $1, @2, $3, @$); }
  | NOT expr         { $$ = build_operator(ps, NULL, @1, $2, @$); }
  | '-' expr %prec NEG                         { $$ = build_operator(ps, NULL, @1, $2, @$); }
  | IF expr[c] THEN expr[yes] ELSE expr[no] %prec COND { $$ = BUILD(IF, @$, @1, NULL, $c, $yes, $no); }
  | expr WITH block          { $$ = BUILD(WITH, @$, @2, NULL, $1, $block); }
  | expr WITH path           { $$ = BUILD(WITH, @$, @2, NULL, $1, build_list(ps, @path, BUILD(SPREAD, @path, @path, NULL, $path))); }
  | expr UNDER expr          { $$ = BUILD(UNDER, @$, @2, NULL, $1, $3); }
  | expr BY expr             { $$ = build_operator(ps, $1, @2, $3, @$); }
  | postfix
  ;
postfix: primary
  | postfix call             { $$ = $call; $$->range = syntax_range(ps, @$); $$->name_range = $1->name_range;
                               build_set(ps, $$, AST_CALL_callee, $1); }
  | postfix '[' picks ']'    { $$ = BUILD(INDEX, @$, @1, NULL, $1, $picks); $$->name_range = $1->name_range; }
  | postfix '.' name         { $$ = BUILD_NAMED(MEMBER, @$, $name, $1); }
  | postfix '\''             { $$ = BUILD(TRANSPOSE, @$, @2, NULL, $1); }
  ;
picks: pick_list | pick_list ',';    /* indices, sizes, or labels of sweeps: v[mode: jfb] */
pick_list: pick              { $$ = build_list(ps, @$, $1); }
  | pick_list ',' pick       { $$ = build_append(ps, $1, $3, @3); }
  ;
pick: expr
  | name ':' expr            { $$ = BUILD_NAMED(ARG, @$, $name, $expr); }
  ;
call: '(' ')'                { $$ = BUILD(CALL, @$, @$, NULL, NULL, NULL, build_list(ps, @$, NULL)); }
  | '(' args ')'             { $$ = BUILD(CALL, @$, @$, NULL, NULL, NULL, $args); }
  | '(' args ';' ')'         { $$ = BUILD(CALL, @$, @$, NULL, NULL, $args, build_list(ps, @3, NULL)); }
  | '(' args ';' args ')'    { $$ = BUILD(CALL, @$, @$, NULL, NULL, $2, $4); }
  ;
args: arg_list | arg_list ',';
arg_list: arg                { $$ = build_list(ps, @$, $1); }
  | arg_list ',' arg         { $$ = build_append(ps, $1, $3, @3); }
  ;
arg: chain                   { $$ = BUILD(ARG, @$, @$, NULL, $1); }
  | name ':' chain           { $$ = BUILD_NAMED(ARG, @$, $name, $chain); }
  | RETURN ':' expr          { $$ = BUILD_NAMED(ARG, @$, build_leaf(ps, AST_NAME, @1), $expr); }
  ;
primary: name
  | NUMBER                   { $$ = build_leaf(ps, AST_NUMBER, @1); }
  | string
  | TRUE                     { $$ = build_leaf(ps, AST_BOOL, @1); }
  | FALSE                    { $$ = build_leaf(ps, AST_BOOL, @1); }
  | '(' chain ')'            { $$ = $chain; }
  | '(' expr ',' exprs ')'   { $$ = build_leaf(ps, AST_TUPLE, @$); build_append(ps, $$, $expr, @expr);
                               for (uint32_t i = 0; i < $exprs->nkids; i++) build_append(ps, $$, $exprs->kids[i], @exprs);
                               $$->range = $$->name_range = syntax_range(ps, @$); }
  | '[' ']'                  { $$ = build_leaf(ps, AST_ARRAY, @$); }
  | '[' items_of ']'         { $$ = $items_of; $$->kind = AST_ARRAY; $$->range = $$->name_range = syntax_range(ps, @$); }
  | block                    { $$ = BUILD(RECORD, @$, @$, NULL, $block); }
  | '[' expr each ']'        { $$ = BUILD(EACH, @$, @$, NULL, $expr, $each); }
  ;
each: FOR name IN expr       { $$ = build_list(ps, @$, BUILD_NAMED(SWEEP, @$, $name, $expr)); }
  | each FOR name IN expr    { $$ = build_append(ps, $1, BUILD_NAMED(SWEEP, @$, $name, $expr), @$); }
  ;
string: STRING               { $$ = build_leaf(ps, AST_STRING, @1); };

path: name                   { $$ = $1; }
  | path '.' name            { $$ = BUILD_NAMED(MEMBER, @$, $name, $1); }
  ;
name: word                   { $$ = build_leaf(ps, AST_NAME, @1); };
word: IDENT | POINT | DATA | TRAIN | ATTACK | DEFENCE | OPTIMISER | SCHEDULE | EXPERIMENT | GRADIENT | SWEEP | TABLE
  | CHECK | TEST | OF | BY | AS | BUFFER | CONST | UNTIL | FIGURE | CLAIM | STATE;
/* Reduced before the next token is read, so that an error there is reported too; only after a SEP was consumed: before
 * it, recovery loops for ever. */
recovered: SEP { yyerrok; };
seps: SEP | seps SEP;
%%
static void expect_word(Parser *ps, const Ast *word, const char *wanted)
{
    if (strcmp(word->name, wanted) != 0)
        syntax_error(ps, DIAG_E0101, (Loc){word->range.start, word->range.end}, "expected '%s', found name '%s'", wanted, word->name);
}
static void by_hand(Parser *ps, const Ast *word) { expect_word(ps, word, "hand"); }
static void is_approximate(Parser *ps, const Ast *word) { expect_word(ps, word, "approximate"); }
static void from_extern(Parser *ps, const Ast *word) { expect_word(ps, word, "extern"); }

/* A setting whose key follows: settings in braces are its block. */
static Ast *setting_of(Parser *ps, Ast *value, Loc at)
{
    Ast *block = value->kind == AST_RECORD ? AST_SLOT(value, RECORD, settings) : NULL;
    return BUILD(SETTING, at, at, NULL, NULL, block ? NULL : value, block);
}

/* Bison's own messages: only "memory exhausted" is left when errors are custom. */
static void deq_error(Loc *at, Parser *ps, const char *message)
{
    (void)message;
    Diagnostic *d = syntax_error(ps, DIAG_E0104, *at, "this is nested too deeply to be read");
    if (d) diag_help(d, "name the inner parts with 'let'");
    ps->stop = true;
}

/* ---- the wording of syntax errors: "expected A, B or C, found D" ---- */

typedef struct Expected {
    bool has[YYNTOKENS];
    const char *texts[8];
    uint32_t n;
} Expected;

static const yysymbol_kind_t names[] = {
    YYSYMBOL_IDENT, YYSYMBOL_POINT, YYSYMBOL_DATA, YYSYMBOL_TRAIN, YYSYMBOL_ATTACK, YYSYMBOL_DEFENCE, YYSYMBOL_OPTIMISER,
    YYSYMBOL_SCHEDULE, YYSYMBOL_EXPERIMENT, YYSYMBOL_GRADIENT, YYSYMBOL_SWEEP, YYSYMBOL_TABLE, YYSYMBOL_CHECK, YYSYMBOL_TEST,
    YYSYMBOL_OF, YYSYMBOL_BY, YYSYMBOL_AS, YYSYMBOL_BUFFER, YYSYMBOL_CONST, YYSYMBOL_UNTIL, YYSYMBOL_FIGURE, YYSYMBOL_CLAIM, YYSYMBOL_STATE,
    YYSYMBOL_YYEMPTY};
/* In Bison's numbering a one-character token is named after its place in the grammar, so go through the token numbers. */
static const char operators[] = "<>+-*/@.'([";
static const int operator_words[] = {T_PIPE, T_BY, T_WITH, T_UNDER, T_OR, T_AND, T_EQ, T_NE, T_LE, T_GE, T_RANGE, T_POW};
static const int operand_words[] = {T_NUMBER, T_STRING, T_TRUE, T_FALSE, T_NOT, T_IF};
static const int statement_words[] = {T_PARAM, T_BUFFER, T_USE, T_LET, T_FN, T_RETURN, T_FOR, T_FIXED, T_STATE, T_REPEAT, T_TRAIN,
                                      T_SWEEP, T_TABLE, T_FIGURE, T_CLAIM, T_RANGE, T_NUMBER, T_STRING, T_TRUE, T_FALSE, '(', '[', '{'};
static const int declaration_words[] = {T_IMPORT, T_CONST, T_FN, T_LAYER, T_DATA, T_ATTACK, T_DEFENCE, T_OPTIMISER, T_SCHEDULE,
                                        T_TRAIN, T_GRADIENT, T_CHECK, T_TEST, T_EXPERIMENT};

#define HAS(e, token) ((e)->has[YYTRANSLATE(token)])
#define DROP_ALL(e, tokens) for (size_t k_ = 0; k_ < sizeof(tokens) / sizeof *(tokens); k_++) HAS(e, (tokens)[k_]) = false

static void drop_names(Expected *e)
{
    for (size_t i = 0; names[i] != YYSYMBOL_YYEMPTY; i++) e->has[names[i]] = false;
}

static void add(Expected *e, const char *text)
{
    if (e->n < sizeof e->texts / sizeof *e->texts) e->texts[e->n] = text;
    e->n++;
}

/* Turns the set of tokens into at most a few words; `after` is the token before the error. */
static void summarise(Parser *ps, Expected *e, int after)
{
    if (HAS(e, T_PIPE)) { /* a complete expression: any operator could follow, which is no news */
        DROP_ALL(e, operator_words);
        for (const char *c = operators; *c; c++) HAS(e, (unsigned char)*c) = false;
    } else if (HAS(e, T_LET)) {
        add(e, "a statement");
        DROP_ALL(e, statement_words);
        drop_names(e);
    } else if (HAS(e, T_LAYER)) {
        add(e, "a declaration");
        DROP_ALL(e, declaration_words);
    } else if (HAS(e, T_NOT)) {
        add(e, "an expression");
        DROP_ALL(e, operand_words);
        drop_names(e);
        HAS(e, '(') = HAS(e, '[') = HAS(e, '-') = HAS(e, '{') = false;
        if (HAS(e, T_RETURN)) HAS(e, T_RETURN) = false; /* f(return: best) */
    } else if (HAS(e, T_IDENT) && HAS(e, '(') && (after == ':' || after == T_ARROW)) {
        add(e, "a type");
        drop_names(e);
        HAS(e, '(') = HAS(e, T_FN) = false;
    } else if (HAS(e, T_IDENT)) {
        add(e, "a name");
        drop_names(e);
    } else if (HAS(e, '\'')) { /* the left side of an equation or setting */
        HAS(e, '(') = HAS(e, '[') = HAS(e, '.') = HAS(e, '\'') = false;
    }
    if (e->n) HAS(e, T_SEP) = HAS(e, T_END) = false;
    static const int last[] = {T_SEP, T_END}; /* named after the others */
    bool end = HAS(e, T_SEP) || HAS(e, T_END);
    DROP_ALL(e, last);
    for (int s = 0; s < YYNTOKENS; s++) {
        if (!e->has[s] || s == YYSYMBOL_YYerror || s == YYSYMBOL_YYUNDEF) continue;
        const char *name = yysymbol_name((yysymbol_kind_t)s);
        if (name[0] == '\'' || name[0] == 'a') add(e, name);
        else add(e, arena_printf(ps->arena, "'%s'", name));
    }
    if (end) add(e, "end of line");
}

static const char *describe(Parser *ps, yysymbol_kind_t found, Loc at)
{
    const char *text = ps->source->text + at.start;
    int n = at.end - at.start > 40 ? 40 : (int)(at.end - at.start);
    if (found == YYSYMBOL_SEP || found == YYSYMBOL_YYEOF || found == YYSYMBOL_YYEMPTY) {
        while (*text == ' ' || *text == '\t' || *text == '\r') text++;
        return ps->raw == 0 ? "end of file" : *text == '}' ? "'}'" : *text == ';' ? "';'" : "end of line";
    }
    if (found == YYSYMBOL_NUMBER) return arena_printf(ps->arena, "number %.*s", n, text);
    if (found == YYSYMBOL_STRING) return "a string";
    if (found == YYSYMBOL_IDENT) return arena_printf(ps->arena, "name '%.*s'", n, text);
    return arena_printf(ps->arena, "'%.*s'", n, text);
}

/* What surrounds a refused token, and what is said about it. */
typedef struct Refused {
    yysymbol_kind_t found;
    int token, after;   /* the token, and the one before it */
    Loc at;
    const char *what;   /* found, in words */
    bool operand;       /* an expression was expected */
    bool complete;      /* one was complete */
    bool begins;        /* a statement or declaration could begin here */
    bool target;        /* the left side of an equation or setting stands before it */
    bool in_call, bare_else, name_wanted;
} Refused;

/* The word that the text from `start` begins with, in the arena. */
static const char *word_from(Parser *ps, uint32_t start)
{
    const char *text = ps->source->text;
    uint32_t end = start;
    while (end < ps->source->length && (isalnum((unsigned char)text[end]) || text[end] == '_')) end++;
    return arena_strndup(ps->arena, text + start, end - start);
}

/* Where the statement that holds `at` begins: behind the line's start, a '{' or a ';'. */
static uint32_t statement_start(const Parser *ps, uint32_t at)
{
    const char *text = ps->source->text;
    while (at > 0 && !strchr("\n{;", text[at - 1])) at--;
    while (text[at] == ' ' || text[at] == '\t') at++;
    return at;
}

static bool is_operator(int token)
{
    return strchr("+-*/@<>", token < 128 ? token : 0) != NULL || token == T_POW || token == T_EQ || token == T_NE || token == T_LE ||
           token == T_GE || token == T_PIPE || token == T_AND || token == T_OR || token == T_NOT || token == T_RANGE;
}

/* def f(x), print(x): a statement whose first word is another language's. */
static Diagnostic *refuse_foreign(Parser *ps, const Refused *r)
{
    uint32_t start = r->begins ? r->at.start : statement_start(ps, r->at.start);
    const char *word = word_from(ps, start);
    const Foreign *row = (r->begins && r->found == YYSYMBOL_IDENT) || r->target ? foreign_find(FOREIGN_STATEMENT, word) : NULL;
    if (!row) return NULL;
    Loc at = {start, start + (uint32_t)strlen(word)};
    Diagnostic *d = syntax_error(ps, DIAG_E0101, at, "'%s' begins no statement here", word);
    if (d) foreign_help(d, ps->arena, row, NULL);
    return d;
}

/* let a = x + : the operator is pointed at, not the end of its line. */
static Diagnostic *refuse_dangling(Parser *ps, const Refused *r)
{
    bool line_ends = r->found == YYSYMBOL_SEP || r->found == YYSYMBOL_YYEOF || ps->raw_first;
    if (!r->operand || !line_ends || !is_operator(r->after)) return NULL;
    uint32_t end = ps->before_last_end, start = end - 1;
    const char *text = ps->source->text;
    while (start > 0 && !isspace((unsigned char)text[start - 1]) && !isalnum((unsigned char)text[start - 1]) == !isalnum((unsigned char)text[start]) &&
           !strchr(")]'", text[start - 1]))
        start--;
    Diagnostic *d = syntax_error(ps, DIAG_E0101, (Loc){start, end}, "nothing follows '%.*s': expected an expression, found %s",
                                 (int)(end - start), text + start, r->what);
    if (d) diag_help(d, "write its right side, or remove the '%.*s'", (int)(end - start), text + start);
    return d;
}

/* u += 1 */
static Diagnostic *refuse_update(Parser *ps, const Refused *r)
{
    const char *text = ps->source->text + r->at.start;
    if (!r->target || !strchr("+-*/@", *text) || text[1] != '=') return NULL;
    const char *name = word_from(ps, statement_start(ps, r->at.start));
    Diagnostic *d = syntax_error(ps, DIAG_E0101, (Loc){r->at.start, r->at.start + 2}, "names are not reassigned: there is no '%.2s'", text);
    if (d) diag_help(d, "give the new value a name of its own: let %s2 = %s %c ..", name, name, *text);
    return d;
}

static bool in_square(const Parser *ps) { return ps->nbrackets && ps->brackets[ps->nbrackets - 1].kind == '['; }

static bool word_before(const Parser *ps, const char *word)
{
    size_t n = strlen(word);
    return ps->before_last_end >= n && memcmp(ps->source->text + ps->before_last_end - n, word, n) == 0;
}

/* A help line for a slip that has a name of its own, or NULL. */
static const char *slip(Parser *ps, const Refused *r)
{
    const char *first = word_from(ps, statement_start(ps, r->at.start)), *line = ps->source->text + r->at.start;
    bool param = !strcmp(first, "param") || !strcmp(first, "buffer");
    if (r->bare_else) return "'if' is an expression: it always has an 'else'";
    if (r->token == '=' && r->in_call) return "a named argument is written 'name: value'";
    if (r->begins && r->token == T_IF) return "'if' is an expression: let y = if x > 0 then a else b";
    if (r->begins && r->token == T_ELSE) return "'if' is an expression: let y = if x > 0 then a else b";
    if (r->complete && r->token == T_IF) return "write 'if c then a else b'";
    if (r->operand && r->token == '\'') return "a string stands between '\"'";
    if (r->operand && r->token == T_PARAM) return "a param is a statement of its own: param W: f32[N, N] = glorot()";
    if (r->operand && r->token == T_USE) return "'use' is a statement of its own: use head = Dense[N, K]";
    if (r->operand && r->token == T_FN) return "a function has a name: fn f(v: f32[N]) -> f32[N] = tanh(v)";
    if ((r->token == ':' && in_square(ps)) || (r->operand && r->token == T_RANGE && in_square(ps)))
        return "a slice is written with both ends: x[0..3] holds x[0], x[1] and x[2]";
    if (param && r->token == '=' && !r->complete) return "its type stands before '=': param W: f32[N, N] = glorot()";
    if (param && (r->found == YYSYMBOL_SEP || r->found == YYSYMBOL_YYEOF)) return "it starts from an initialiser: param W: f32[N, N] = glorot()";
    if (r->token == '(' && (word_before(ps, "f32") || word_before(ps, "f64") || word_before(ps, "label")))
        return "sizes of a type stand in [ ]: f32[N]";
    if (r->token == '[' && r->after == T_IDENT && !strcmp(first, "attack"))
        return "it has no sizes: they are those of its example: attack mine(x: f32[C, H, W], y: label[K]; radius: f32) { .. }";
    if (r->token == '[' && r->after == T_IDENT && (!strcmp(first, "defence") || !strcmp(first, "optimiser")))
        return "it has no sizes: it takes those of the net that it is used on: defence mine(share: f32) { .. }";
    if ((!strcmp(first, "fn") || !strcmp(first, "layer")) && r->token == ':' && r->after == ')')
        return "the type of the result follows '->'";
    if ((!strcmp(first, "fn") || !strcmp(first, "layer")) && (r->token == ')' || r->token == ',') && r->after != ',' && r->after != '(')
        return "every input has a type: x: f32[N]";
    if ((!strcmp(first, "fn") || !strcmp(first, "layer")) && (r->token == '{' || r->token == '=') && r->after == ')')
        return "the type of the result follows '->': fn f(x: f32[N]) -> f32[N]";
    if (r->begins && !strncmp(line, "..", 2)) return "'..' stands between two numbers: 0..4";
    if (r->target) return "a line is an equation 'name = value', a setting 'name: value' or begins with a word such as 'let'";
    return NULL;
}

static int yyreport_syntax_error(const yypcontext_t *context, Parser *ps)
{
    yysymbol_kind_t list[YYNTOKENS];
    Refused r = {.found = yypcontext_token(context), .token = ps->last, .after = ps->before_last, .at = *yypcontext_location(context)};
    bool silent = ps->stop || ps->synthetic || (ps->muted_until && r.at.start <= ps->muted_until);
    int n = silent ? 0 : yypcontext_expected_tokens(context, list, YYNTOKENS);
    Expected e = {0};
    for (int i = 0; i < n; i++) e.has[list[i]] = true;
    r.operand = HAS(&e, T_NOT);
    r.complete = HAS(&e, T_PIPE);
    r.begins = HAS(&e, T_LET) || HAS(&e, T_LAYER);
    r.name_wanted = HAS(&e, T_IDENT) && !r.operand && !HAS(&e, T_LET);
    r.in_call = HAS(&e, ',') && HAS(&e, ')');
    r.bare_else = HAS(&e, T_ELSE) && !HAS(&e, T_SEP) && !HAS(&e, ')');
    r.target = HAS(&e, '=') && HAS(&e, ':') && HAS(&e, '\'') && !r.complete;
    bool reserved = scan_is_reserved(r.token) && r.found != YYSYMBOL_SEP && r.found != YYSYMBOL_YYEOF;
    if (!r.bare_else) HAS(&e, T_ELSE) = false; /* another solver could follow, which is no news */
    summarise(ps, &e, r.after);

    r.what = describe(ps, r.found, r.at);
    Loc at = r.at;
    if (ps->raw_first && r.found != YYSYMBOL_SEP && r.found != YYSYMBOL_YYEOF && r.after && r.after != T_SEP && r.after != '{') {
        at = (Loc){ps->before_last_end, ps->before_last_end}; /* the slip is at the end of the line before */
        r.what = arena_printf(ps->arena, "%s on the next line", r.what);
    }
    uint32_t before = ps->errors;
    if (!silent && !refuse_foreign(ps, &r) && !refuse_dangling(ps, &r) && !refuse_update(ps, &r) && ps->errors == before) {
        Diagnostic *d = NULL;
        if (reserved && r.name_wanted) {
            d = syntax_error(ps, DIAG_E0116, at, "%s is a reserved word and cannot be a name", r.what);
        } else if (e.n == 0 || e.n > 4) {
            d = syntax_error(ps, DIAG_E0101, at, "unexpected %s", r.what);
        } else {
            const char *text = e.texts[0];
            for (uint32_t i = 1; i < e.n; i++) text = arena_printf(ps->arena, "%s%s%s", text, i + 1 == e.n ? " or " : ", ", e.texts[i]);
            d = syntax_error(ps, DIAG_E0101, at, "expected %s, found %s", text, r.what);
        }
        const char *help = d ? slip(ps, &r) : NULL;
        if (help) diag_help(d, "%s", help);
    }
    scan_syntax_error(ps, r.token);
    return 0;
}

Ast *parse_source(Arena *a, Diags *ds, const Source *s)
{
    Parser *ps = arena_alloc(a, sizeof *ps);
    scan_begin(ps, a, ds, s);
    Ast *unit = ps->unit = build_leaf(ps, AST_UNIT, (Loc){0, 0});
    deq_parse(ps);
    if (!ps->unbalanced && !ps->stop) build_check_bodies(ps, unit);
    scan_end(ps);
    if (ps->errors) build_append(ps, unit, build_leaf(ps, AST_ERROR, (Loc){s->length, s->length}), (Loc){s->length, s->length});
    if (ps->module_doc.end) unit->doc = scan_doc_text(ps, ps->module_doc);
    else if (unit->nkids && unit->kids[0]->kind == AST_IMPORT) unit->doc = unit->kids[0]->doc; /* imports need none */
    unit->range = unit->name_range = (Range){s, 0, s->length};
    return unit;
}
