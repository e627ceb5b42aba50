" Vim syntax file: the lists of words are those of the language's tables (unit.test_editors).
if exists("b:current_syntax")
  finish
endif

syn keyword deqWord and as attack buffer by check claim const data defence else experiment false figure fixed
syn keyword deqWord fn for gradient if import in layer let not of on optimiser or param point repeat return
syn keyword deqWord schedule state sweep table test then train true under until use with
syn keyword deqType bool f32 f64 int label schedule
syn keyword deqRow adjoint_broyden anderson apply augmented backprop bicgstab broyden correction
syn keyword deqRow douglas_rachford forward_backward gmres implicit jacobian jfb lu neumann newton_krylov none
syn keyword deqRow peaceman_rachford phantom picard shine simultaneous spectral trained unroll unrolled
syn keyword deqBuiltin abs accuracy across_batch argmax average_pool batch_norm bilinear clamp concat constant
syn keyword deqBuiltin conv cos d dot dropout exp expm1 final finite_difference flatten floor glorot gradcheck
syn keyword deqBuiltin gradient gradients he identity indices inf log log1p log_softmax logits logsumexp loss
syn keyword deqBuiltin max max_pool mean min norm normal one_hot ones outer pad pi ranked relu reshape
syn keyword deqBuiltin restarts round sequence sigmoid sign sin softmax softplus solve sort sqrt states
syn keyword deqBuiltin statistic steps stop_gradient sum t tanh transpose uniform upsample vjp w weights
syn keyword deqBuiltin worst_of wrong zeros

syn match deqNumber "\<\d\+\(\.\d\+\)\=\([eE][-+]\=\d\+\)\=\>"
syn match deqSetting "^\s*\zs[A-Za-z_][A-Za-z0-9_.]*\ze\s*:"
syn match deqOperator "|>\|->\|\*\*\|\.\.\|[-+*@<>='!/]"
syn region deqString start=+"+ skip=+\\.+ end=+"+ oneline
syn match deqComment "//.*$" contains=deqTodo,@Spell
syn match deqDocumentation "///.*$" contains=@Spell
syn keyword deqTodo TODO FIXME contained

hi def link deqWord Keyword
hi def link deqType Type
hi def link deqRow Constant
hi def link deqBuiltin Function
hi def link deqNumber Number
hi def link deqSetting Identifier
hi def link deqOperator Operator
hi def link deqString String
hi def link deqComment Comment
hi def link deqDocumentation SpecialComment
hi def link deqTodo Todo

let b:current_syntax = "deq"
