"""A Pygments lexer for deq: pygmentize -x -l deq_lexer.py:DeqLexer FILE.

The lists of words are those of the language's tables (unit.test_editors)."""
from pygments.lexer import RegexLexer, bygroups, words
from pygments.token import Comment, Keyword, Name, Number, Operator, Punctuation, String, Text

__all__ = ["DeqLexer"]

WORDS = (
    "and as attack buffer by check claim const data defence else experiment false figure fixed fn for "
    "gradient if import in layer let not of on optimiser or param point repeat return schedule state sweep "
    "table test then train true under until use with "
).split()
TYPES = (
    "bool f32 f64 int label schedule "
).split()
ROWS = (
    "adjoint_broyden anderson apply augmented backprop bicgstab broyden correction douglas_rachford "
    "forward_backward gmres implicit jacobian jfb lu neumann newton_krylov none peaceman_rachford phantom "
    "picard shine simultaneous spectral trained unroll unrolled "
).split()
BUILTINS = (
    "abs accuracy across_batch argmax average_pool batch_norm bilinear clamp concat constant conv cos d dot "
    "dropout exp expm1 final finite_difference flatten floor glorot gradcheck gradient gradients he identity "
    "indices inf log log1p log_softmax logits logsumexp loss max max_pool mean min norm normal one_hot ones "
    "outer pad pi ranked relu reshape restarts round sequence sigmoid sign sin softmax softplus solve sort "
    "sqrt states statistic steps stop_gradient sum t tanh transpose uniform upsample vjp w weights worst_of "
    "wrong zeros "
).split()


class DeqLexer(RegexLexer):
    name = "deq"
    aliases = ["deq"]
    filenames = ["*.deq"]
    tokens = {
        "root": [
            (r"^([ \t]*)([A-Za-z_][\w.]*)([ \t]*)(:)", bygroups(Text, Name.Attribute, Text, Punctuation)),
            (r"\n|[ \t\r\f]+", Text),
            (r"///.*$", String.Doc),
            (r"//.*$", Comment.Single),
            (r'"(?:[^"\\\n]|\\.)*"?', String.Double),
            (
                r"\b(layer|fn|attack|defence|optimiser|schedule|data|train|experiment|gradient|const)(\s+)([A-Za-z_]\w*)",
                bygroups(Keyword.Declaration, Text, Name.Function),
            ),
            (words(WORDS, prefix=r"\b", suffix=r"\b"), Keyword),
            (words(TYPES, prefix=r"\b", suffix=r"\b"), Keyword.Type),
            (words(ROWS, prefix=r"\b", suffix=r"\b"), Name.Constant),
            (words(BUILTINS, prefix=r"\b", suffix=r"\b"), Name.Builtin),
            (r"\d+(?:\.\d+)?(?:[eE][-+]?\d+)?\b", Number),
            (r"[A-Za-z_]\w*", Name),
            (r"\|>|->|\*\*|\.\.|[=!<>]=|[-+*/@<>=']", Operator),
            (r"[()\[\]{},;:.]", Punctuation),
        ]
    }
