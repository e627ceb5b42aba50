#!/usr/bin/env bash
# Verbs about the text, and bad input to every verb: messages and exit codes.
source "$(dirname "$0")/../programs/lib.sh"

# ---- usage ----
expect 64 'usage: deq VERB' "$DEQ"
expect 0 'First steps' "$DEQ" --help
expect 64 "did you mean 'check'" "$DEQ" chekc x.deq
expect 64 '' "$DEQ" run --no-such-flag x.deq
expect 64 'FILE is missing' "$DEQ" run
expect 64 'whole number' "$DEQ" run --threads many x.deq
expect 64 'PATH=VALUE' "$DEQ" run --set epochs x.deq
expect 64 'one argument too many' "$DEQ" check a.deq b.deq
# The table of the command line: every verb is listed, aligned, and every flag of a verb stands in its help.
"$DEQ" --help >usage
table=$SOURCE/compiler/driver/cli.def
sed -n 's/^VERB(\([a-z]*\), .*/\1/p' "$table" >verbs
(($(wc -l <verbs) > 10)) || fail "the verbs of cli.def: $(cat verbs)"
[[ $(grep -cE '^  [a-z]+ +[a-z]' usage) == "$(($(wc -l <verbs) + 2))" ]] || fail "verbs and first steps: $(cat usage)"
column=$(sed -n 's/^\(  gradcheck  *\).*/\1/p' usage | wc -c)
while read -r verb; do
  line=$(grep -E "^  $verb +[^ ]" usage) || fail "deq --help does not list $verb"
  [[ $(sed -n 's/^\(  [a-z]*  *\).*/\1/p' <<<"$line" | wc -c) == "$column" ]] || fail "not aligned: $line"
  expect 0 "deq $verb" "$DEQ" "$verb" --help
  awk 'length > 120 { exit 1 }' out || fail "deq $verb --help has lines above 120 characters"
  sed -n "s/^FLAG([a-z_]*, \"\([a-z-]*\)\".*V($verb).*/\1/p" "$table" >flags
  while read -r flag; do
    grep -qE "^  -., --$flag(=[^ ]+)?( |\$)" out || fail "deq $verb --help does not show --$flag: $(cat out)"
  done <flags
  [[ $(grep -cE '^  -., --' out) == "$(($(wc -l <flags) + 1))" ]] || fail "deq $verb --help shows other flags than cli.def: $(cat out)"
done <verbs
# a letter means one flag; -V and -? are --version and --help
letters=$(sed -n "s/^FLAG([a-z_]*, \"[a-z-]*\", '\(.\)'.*/\1/p" "$table" | sort)
[[ -n $letters && $letters == "$(uniq <<<"$letters")" ]] || fail "a letter of two flags: $(uniq -d <<<"$letters")"
! grep -q '[V?]' <<<"$letters" || fail "a flag has the letter of --version or --help"
"$DEQ" bench --help | tr -s ' \n' ' ' >out
for network in $(sed -n 's/^NETWORK(\([^,]*\),.*/\1/p' "$SOURCE/runtime/include/networks.def"); do
  grep -q "[ ,]$network," out || fail "deq bench --help does not name the network $network"
done
"$DEQ" check --help >out
for word in $(sed -n 's/^EMIT(\([a-z]*\),.*/\1/p; s/^STAGE(\([a-z]*\)).*/\1/p' "$SOURCE/compiler/driver/stages.def"); do
  grep -qw "$word" out || fail "deq check --help does not name $word"
done
expect 64 'takes parse, resolve, .* or compile, not' "$DEQ" check --stop-after never x.deq
expect 64 'takes f32 or f64, not' "$DEQ" check --precision f16 x.deq
expect 0 'target' "$DEQ" version

# ---- files that are no programs ----
expect 1 'cannot' "$DEQ" check no-such-file.deq
: >empty.deq && expect 1 'empty' "$DEQ" check empty.deq
head -c 4096 /dev/urandom >noise && printf '\0' >>noise && expect 1 'not text' "$DEQ" check noise
head -c 100000 /dev/zero | tr '\0' '(' >deep && { printf 'const a = '; cat deep; } >deep.deq
expect 1 'deep' "$DEQ" check deep.deq
{ printf 'const a = '; head -c 100000 /dev/zero | tr '\0' '-'; echo 1; } >minus.deq
"$DEQ" check minus.deq >out 2>&1 || (($? <= 2)) || fail "a chain of minus signs crashes"
head -c 17000000 /dev/zero | tr '\0' ' ' >large.deq && expect 1 'larger than 16 MiB' "$DEQ" check large.deq
mkdir folder && expect 1 '' "$DEQ" check folder

# ---- the old form of an attack: the message shows the new line ----
printf 'attack mine[C, H, W](radius: f32) {\n  return x\n}\n' >old.deq
expect 1 'attack mine(x: f32\[C, H, W\], y: label\[K\]; radius: f32)' "$DEQ" check old.deq
printf 'attack mine(radius: f32) {\n  return x\n}\n' >old.deq
expect 2 'attack mine(x: f32\[..S\], y: label\[K\]; radius: f32)' "$DEQ" check old.deq

# ---- diagnostics ----
cat >wrong.deq <<'D'
layer Wrong(x: f32[3]) -> f32[4] {
  param W: f32[4, 4] = zeros()
  return x @ W
}
layer Also(x: f32[3]) -> f32[3] {
  param W: f32[4, 4] = zeros()
  return W @ x
}
D
expect 2 'wrong.deq:3:' "$DEQ" check wrong.deq
grep -q 'wrong.deq:7:' out || fail "the second error is not reported"
printf 'fn f(x: f32) -> f32 = tanj(x)\n' >name.deq && expect 2 "did you mean 'tanh'" "$DEQ" check name.deq
expect 2 'wrong.deq:3:' "$DEQ" check wrong.deq
grep -q 'deq explain E03' out || fail "the message does not say where to read more"
expect 2 '"line": *3' "$DEQ" check --json wrong.deq
awk '!/^\{.*\}$/ { exit 1 }' out || fail "check --json does not print one object a line"
code=$(sed -n 's/.*"code": *"\(E03[0-9]*\)".*/\1/p' out | head -1)
expect 0 "$code" "$DEQ" explain "$code"
expect 0 'E0802' "$DEQ" explain E0802
expect 0 'E0101' "$DEQ" explain
expect 64 'E9999' "$DEQ" explain E9999

# A training run may have the name of a function of the language: a call of that is told who hides it.
cat >hides.deq <<'D'
import std.losses (mean_squared_error)
import std.optimisers (sgd)

layer Net(x: f32[4]) -> f32[4] {
  param W: f32[4] = zeros()
  return tanh(W * x)
}

data d: (f32[4], f32[4]) = npy("x.npy", "y.npy", "x.npy", "y.npy")

train tanh = Net on d.train { loss: mean_squared_error; optimise: sgd(rate: 1e-3); epochs: 1 }
D
expect 2 'E0206' "$DEQ" check hides.deq
grep -q "line 11: by way of this 'tanh', which hides the function of the language" out || fail "not told what hides tanh"
{ sed 's/tanh(W/relu(W/' hides.deq; printf '\nfn f(x: f32) -> f32 = tanh(x)\n'; } >called.deq
expect 2 'E0302' "$DEQ" check called.deq
grep -q "line 11: this 'tanh' hides the function of the language" out || fail "not told what hides tanh in a call"

# Nothing uses an experiment, so its name hides nothing that is built in.
cat >named.deq <<'D'
import std.layers (Dense)
import std.losses (cross_entropy)
import std.optimisers (adam)

layer Net(image: f32[1, 8, 8]) -> f32[4] {
  use head = Dense[8, 4]
  return mean(image, axes: [0, 1]) |> head
}

data quadrants: (f32[1, 8, 8], label[4]) = idx("train-images", "train-labels", "test-images", "test-labels")

experiment mean {
  train m = Net on quadrants.train { loss: cross_entropy; optimise: adam(rate: 1e-3); epochs: 1 }
  let clean = accuracy(m, quadrants.test)

  table "mean" { columns: [clean] }
}
D
expect 0 '' "$DEQ" check named.deq
[[ ! -s out ]] || fail "an experiment named like a built-in function: $(cat out)"

# ---- fmt and doc ----
printf 'const   a=1\n' >ugly.deq && chmod 640 ugly.deq
expect 1 'layout differs' "$DEQ" fmt --check ugly.deq
expect 0 'ugly.deq' "$DEQ" fmt ugly.deq
grep -qx 'const a = 1' ugly.deq || fail "fmt wrote: $(cat ugly.deq)"
[[ $(stat -c %a ugly.deq) == 640 ]] || fail "fmt changed the file's mode"
expect 0 '' "$DEQ" fmt --check ugly.deq
cp wrong.deq before.deq && printf 'layer (' >>wrong.deq && cp wrong.deq before.deq
expect 1 '' "$DEQ" fmt wrong.deq
cmp -s wrong.deq before.deq || fail "fmt changed a file it could not parse"
expect 0 'Dense' "$DEQ" doc std.layers
# Accuracy is measured where the outputs are the classes' and not looked at where they are more.
cat >heads.deq <<'D'
import std.losses (cross_entropy)
import std.metrics (accuracy)
import std.optimisers (adam)
import std.data (idx)

layer Net(image: f32[1, 8, 8]) -> f32[4 + 64] {
  param W: f32[64, 4] = glorot()
  return concat(flatten(image) @ W, flatten(image))
}
data d: (f32[1, 8, 8], label[4]) = idx("images", "labels", "images", "labels")
fn classes(o: f32[68], y: label[4]) -> f32 = cross_entropy(o[0..4], y)
fn right(o: f32[68], y: label[4]) -> f32 = accuracy(o[0..4], y)
train net = Net on d.train { loss: classes; optimise: adam(rate: 1e-3); epochs: 1 }
experiment e { table "e" { columns: [right(net, d.test)] } }
D
expect 0 '' "$DEQ" check heads.deq

expect 0 '`softplus(x)`: log(1 + exp(x))' "$DEQ" doc builtins
grep -q '^## Initialisers' out || fail "deq doc builtins does not say where its names are known"
# A name that is not where it is imported from: it is elsewhere, it had another name, it is built in, or it is misspelled.
imported() { echo "import $1" >imported.deq && expect 1 "$2" "$DEQ" check imported.deq; }
imported 'std.attacks (pgd_l2)' 'write pgd(radius: .., step: .., iterations: .., p: 2)'
imported 'std.attacks (apgd_l2)' 'write apgd(.*, p: 2)'
imported 'std.attacks (autoattack_l2)' 'write autoattack(.*, p: 2)'
imported 'std.losses (accuracy)' 'help: import std.metrics (accuracy)'
imported 'std.layers (ReLU)' "'relu' is built in: it needs no import"
imported 'std.attacks (FGSM)' "did you mean 'fgsm'"
imported 'std.attacks (apdg)' "did you mean 'apgd'"
imported 'std.attacks (cross_entrpy)' 'did you mean import std.losses (cross_entropy)?'
imported 'std.attacks (CrossEntropy)' 'did you mean import std.losses (cross_entropy)?'

# A mistake that shows inside the library stands at the line that uses it, with a note of the library's.
cat >within.deq <<'D'
import std.attacks (autoattack)
import std.losses (cross_entropy)
import std.metrics (accuracy)
import std.data (idx)

layer Net(x: f32[64]) -> f32[4] {
  param W: f32[64, 4] = glorot()
  return x @ W
}
data d: (f32[64], label[4]) = idx("images", "labels", "images", "labels")
train net = Net on d.train { loss: cross_entropy; start: weights("w.npz") }
attack all = autoattack(radius: 0.1)
experiment e { table "e" { columns: [accuracy(net, d.test under all)] } }
D
expect 2 "within.deq:12:14: error.E0505.*'square' takes x: f32.C, H, W., the input of 'Net' is f32.64." "$DEQ" check within.deq
grep -q "note: <std.attacks>:[0-9:]* the library's line" out && grep -q "note: line 12: in attack 'autoattack', used here" out || fail "the library's line is not told"
sed -i 's|(autoattack)|(pgd)|; s|(cross_entropy)|(cross_entropy, dlr)|; s|\[4\]|[2]|g; s|64, 4|64, 2|; s|autoattack(radius: 0.1)|pgd(radius: 0.1, step: 0.1, iterations: 1) with { loss: dlr }|' within.deq
expect 2 "within.deq:12:[0-9]*: error.E0314.*which has 2 elements" "$DEQ" check within.deq
grep -q "note: <std.losses>:[0-9:]* the library's line" out || fail "the line of the loss is not told"
cat >body.deq <<'D'
import std.losses (cross_entropy)
import std.metrics (accuracy)
import std.data (idx)

layer Net(x: f32[1, 8, 8]) -> f32[4] {
  param W: f32[64, 4] = glorot()
  return flatten(x) @ W
}
data d: (f32[1, 8, 8], label[4]) = idx("images", "labels", "images", "labels")
train net = Net on d.train { loss: cross_entropy; start: weights("w.npz") }
attack window(x: f32[C, H, W], y: label[K]; radius: f32) { return x + radius * sum(x[0..1, 0..9]) }
experiment e { table "e" { columns: [accuracy(net, d.test under window(radius: 0.1))] } }
D
expect 2 'body.deq:11:[0-9]*: error.E0314.*axis 1, which has 8 elements' "$DEQ" check body.deq
grep -q "note: line 12: in attack 'window', used here" out || fail "an attack's use is not told"
no_partial_files
done_testing
