#!/usr/bin/env bash
# Numbers and settings that cannot be meant are refused before anything runs, at their line; what is accepted has its effect.
source "$(dirname "$0")/lib.sh"
data 64
tiny=$PROGRAMS/tiny.deq
changed() { sed "$1" "$tiny" >changed.deq && ! cmp -s changed.deq "$tiny" || fail "nothing to change: $1"; }
refused() { # SED TEXT: the changed script is refused with TEXT, and only with errors of that code
  changed "$1"
  expect 2 "$2" "$DEQ" run changed.deq
  [[ ! -e results ]] || fail "results were written: $1"
  [[ $(grep -o 'error\[E....\]' out | sort -u | wc -l) == 1 ]] || fail "one mistake gives several errors: $1"
}

# ---- in the script ----
refused 's|radius: 0.02, step: 0.01, iterations: 3|radius: 0 / 0, step: 0.01, iterations: 3|' 'deq:31:27: error.E0412.*radius'
refused 's|iterations: 3)|iterations: -3)|' 'deq:31:57: error.E0412.*iterations'
refused 's|iterations: 3)|iterations: 2000000000)|' 'E0412.*iterations'
refused 's|adam(rate: 1e-2)|adam(rate: 0 / 0)|' 'E0412.*rate'
refused 's|adam(rate: 1e-2)|adam(rate: 1e-2, beta1: 0 / 0)|' 'E0412.*beta1'
refused 's|normal(std: 0.3 / sqrt(H))|normal(std: -1)|' 'E0412.*std'
refused 's|normal(std: 0.3 / sqrt(H))|constant(inf)|' 'E0412.*value'
refused 's|= zeros()|= uniform(bound: -1)|' 'E0412.*bound'
refused 's|= zeros()|= uniform(low: 1, high: 0)|' 'E0412.*low'
{ sed '/^train/,$d' "$tiny"; sed -n '/^experiment/,/^}/p' "$tiny"; sed -n '/^train/,/^}/p' "$tiny"; } >late.deq
expect 2 'E0205' "$DEQ" check late.deq

# examples beyond the data: where the reader says how many there are, without opening any file
fashion() { # SLICE EXAMPLES TEST
  cat >fashion.deq <<END
import std.losses (cross_entropy)
import std.metrics (accuracy)
import std.optimisers (sgd)
import std.data (fashion_mnist)

layer Net(x: f32[1, 28, 28]) -> f32[10] {
  param W: f32[784, 10] = glorot()
  return flatten(x) @ W
}

data fashion: (f32[1, 28, 28], label[10]) = fashion_mnist("none")

train net = Net on fashion.train$1 {
  loss:     cross_entropy
  optimise: sgd(rate: 0.1)
  epochs:   1
  examples: $2
}

experiment e { let a = accuracy(net, fashion.test$3) }
END
}
fashion '[0..60000]' 60000 '[0..10000]' && expect 0 '' "$DEQ" check fashion.deq
fashion '[59000..60001]' 10 '' && expect 2 'deq:13:20: error.E0507.*fashion.train.59000..60001. reaches past the end.*60000 examples' "$DEQ" check fashion.deq
fashion '[0..100]' 101 '' && expect 2 'deq:17:[0-9]*: error.E0507.*an epoch of 101 examples, of 100 that' "$DEQ" check fashion.deq
fashion '' 60001 '' && expect 2 'E0507.*an epoch of 60001 examples, of 60000' "$DEQ" check fashion.deq
fashion '' 1 '[0..10001]' && expect 2 'deq:20:[0-9]*: error.E0507.*fashion.test.0..10001. reaches past' "$DEQ" check fashion.deq
# and where the files say it, before anything runs, with the line
changed 's|epochs:   3|epochs:   3; examples: 65|' && expect 3 'changed.deq:3[0-9]: .*E0805\|E0805.*65 examples an epoch, of 64' "$DEQ" run changed.deq
changed 's|quadrants.test\[0..100\]|quadrants.test[0..201]|' && expect 3 'E0805.*reaches past the end: there are 200' "$DEQ" run changed.deq
[[ ! -e results ]] || fail "results were written"

# ---- with --set ----
set() { expect 64 "$2" "$DEQ" run "$tiny" --set "$1"; [[ ! -e results ]] || fail "results were written: --set $1"; }
set net.attack.radius=nan 'E0901.*number'
set net.attack.iterations=2.5 'E0901.*integer'
set net.attack.iterations=-1 'E0901.*rounds'
set net.attack.gradient=nonsense 'E0901.*nonsense'
set 'net.attack.gradient=backprop()' 'E0901.*picard'
set 'net.body.gradient=backprop()' 'E0901.*picard'
set net.optimise.rate=nan 'E0901.*number'
set net.optimise.rate=-1 "E0901.*'rate' is at least 0"
set net.optimiser.rate=1e-3 'E0901.*did you mean net.optimise.rate?'
set net.body.gradient=implict "E0901.*'implict' is not a gradient mode; did you mean 'implicit(..)'?"
set 'net.body.gradient=implicit(gmress())' "E0901.*'gmress' is not a solver; did you mean 'gmres()'?"
set 'net.body.forward=newton()' "E0901.*'newton' is not a solver; solvers: "
set net.epochs=0 'E0901.*at least 1'
# rounds computed from an argument: the script is compiled again, and refused as if it were written so
sed 's|^attack weak.*|attack twice(x: f32[..S], y: label[K]; n: int) {\n  state a = x\n  repeat 2 * n {\n    a = a + 0.01 * sign(gradient(loss, at: a))\n  }\n  return a\n}\n\nattack weak = twice(n: 2)|' "$tiny" >twice.deq
expect 2 "E0412.*counts the rounds of a 'repeat'.*not at -2" "$DEQ" run twice.deq --set net.attack.n=-1
expect 2 "E0301.*'n' is a whole number" "$DEQ" run twice.deq --set net.attack.n=0.3
expect 0 '' "$DEQ" check twice.deq

# ---- an attack's settings by its name, wherever it is used ----
set exact.radius=nan 'E0901.*number'
set exact.radius=-0.1 "E0901.*'radius' lies between 0 and 1"
set exact.step=inf "E0901.*'step' is a finite number"
set exact.iterations=0 "E0901.*'iterations' is at least 1"
set exact.p=3 "E0901.*'p' is one of 2, inf"
# a bound that another argument moves: by all that --set says, in any order; named is the --set that is to blame
set exact.radius=3 "E0901.*--set exact.radius=3: 'radius' lies between 0 and 1, where p is inf, and it is 3"
expect 64 "'radius' lies between 0 and 1, where p is inf" "$DEQ" run "$tiny" --set exact.radius=3 --set exact.p=inf
for order in 'exact.radius=3 exact.p=2' 'exact.p=2 exact.radius=3'; do
  expect 0 '' "$DEQ" run "$tiny" --set net.epochs=1 --set "${order% *}" --set "${order#* }" --results wide
done
rm -r wide
set exact.raduis=0.1 'did you mean exact.radius'
set 'exact.gradient=backprop()' 'E0901.*picard'
expect 0 '' "$DEQ" run "$tiny" --set net.epochs=1
expect 0 '' "$DEQ" run "$tiny" --set net.epochs=1 --set exact.radius=0.5 --set exact.step=0.2 --results strong
awk -v weak="$(cell results/tiny/tiny.csv 1 robust)" -v strong="$(cell strong/tiny/tiny.csv 1 robust)" \
  'BEGIN { exit !(strong + 0.2 < weak) }' || fail "a radius of 0.5 is no stronger than one of 0.02"
rm -r results

# ---- bounds that depend on other settings: by --set, of a sweep, with all that such a bound may say ----
sed -e 's|^import std.attacks.*|&\n\nattack stuck(x: f32[..S], y: label[K]; a: f32 in -p..(if p < 2 then min(p, 4) + 1 else 10 * sqrt(p) ** 2), p: f32 in 0..inf = 1, n: int in 0..3 * p = 1) {\n  return x + 0 * (a + p + n)\n}\n|' \
  -e 's|^attack weak = .*|&\n\nattack low = stuck(a: 2)|' -e 's|under exact)|under low)|' "$tiny" >moved.deq
grep -q 'under low' moved.deq || fail "nothing is under the attack"
moved() { # CODE TEXT ASSIGNMENT..
  local code=$1 text=$2 sets=() s
  shift 2
  for s; do sets+=(--set "$s"); done
  expect "$code" "$text" "$DEQ" run moved.deq --set net.epochs=1 "${sets[@]}"
}
moved 0 ''
moved 0 '' low.a=-1
moved 64 "low.a=-1.5: 'a' lies between -1 and 2, where p is 1, and it is -1.5" low.a=-1.5
moved 64 "low.p=0.5: 'a' lies between -0.5 and 1.5, where p is 0.5, and it is 2" low.p=0.5
moved 64 "low.p=0.5: 'n' lies between 0 and 0.5, where p is 0.5, and it is 1" low.p=0.5 low.a=0
moved 0 '' low.p=9 low.a=90 low.n=26
moved 64 "low.n=27: 'n' lies between 0 and 26, where p is 9, and it is 27" low.p=9 low.n=27
moved 64 "'n' lies between 0 and 2, where p is 1" low.n=3
# a function of another module, with a helper, a constant and a default that only its module knows
cat >lim.deq <<'END'
const top = 3
fn half() -> f32 = 0.5
fn twice(q: f32, by: f32 = top - 1) -> f32 = by * q
fn limit(p: f32, most: f32 = twice(p, by: top)) -> f32 = if p == inf then half() else if p == top then top else most
END
rm -rf results*
sed -e 's|^import std.attacks.*|&\nimport lim (limit)\n\nattack stuck(x: f32[..S], y: label[K]; a: f32 in 0..limit(p), p: f32 = inf) {\n  return x + 0 * (a + p)\n}\n|' \
  -e 's|^attack weak = .*|&\n\nattack low = stuck(a: 0.5)|' -e 's|under exact)|under low)|' "$tiny" >moved.deq
grep -q 'under low' moved.deq || fail "nothing is under the attack"
moved 0 ''
moved 64 "low.a=0.6: 'a' lies between 0 and 0.5, where p is inf, and it is 0.6" low.a=0.6
moved 0 '' low.p=2 low.a=6
moved 64 "low.a=6.5: 'a' lies between 0 and 6, where p is 2, and it is 6.5" low.p=2 low.a=6.5
moved 64 "low.a=3.5: 'a' lies between 0 and 3, where p is 3, and it is 3.5" low.a=3.5 low.p=3
rm -rf results*
sed 's|^  let robust.*|  sweep r in [0.3, 3]\n  sweep norm in [2, inf]\n  let robust = accuracy(net, quadrants.test under exact_of)|; s|under exact_of|under pgd(radius: r, step: 0.1, iterations: 2, p: norm)|' "$tiny" >swept.deq
grep -q 'p: norm' swept.deq || fail "no sweep of the norm"
expect 2 "swept.deq:[0-9]*:[0-9]*: error.E0412.*'radius' of 'pgd' lies between 0 and 1, where p is inf, this is 3" "$DEQ" check swept.deq
sed -i 's|\[2, inf\]|[2]|' swept.deq
expect 0 '' "$DEQ" check swept.deq

# ---- --json: an object a line, errors of the compiler too ----
changed 's|Body\[64, 24\]|Body[63, 24]|'
for verb in run test; do
  expect 2 '"event":"error".*"line":26' "$DEQ" $verb --json changed.deq
  awk '!/^\{.*\}$/ { exit 1 }' out || fail "$verb --json does not print one object a line"
done

# ---- initialisers do what they say ----
sed 's|use head = .*|param V: f32[24, 4] = uniform(bound: 0.25)\n  param E: f32[24, 24] = identity(scale: 3)|; s/return image.*/let z = image |> flatten |> body\n  return (z @ E) @ V/; s/adam(rate: 1e-2)/adam(rate: 0)/; s/epochs:   3/epochs:   1/' "$tiny" >drawn.deq
expect 0 '' "$DEQ" run drawn.deq
od -An -v -tf4 -w4 results/drawn/net.safetensors | awk '$1 == 3 { n++ } END { exit n != 24 }' || fail "identity(scale: 3) has not 24 threes"

# ---- two experiments with the same names keep their files apart ----
sed 's|^experiment tiny {|experiment first {\n  let clean = accuracy(net, quadrants.test[0..50])\n\n  table "tiny" { columns: [clean] }\n}\n\nexperiment second {|' "$tiny" >both.deq
expect 0 '' "$DEQ" run both.deq --set net.epochs=1
[[ -s results/both/first-tiny.csv && -s results/both/second-tiny.csv ]] || fail "one table replaced the other"
grep -q robust results/both/second-tiny.csv && ! grep -q robust results/both/first-tiny.csv || fail "the tables are exchanged"
# ---- a full cache is a warning, and the run goes on ----
mkdir small
if ((EUID == 0)) && mount -t tmpfs -o size=8k tmpfs small 2>/dev/null; then
  XDG_CACHE_HOME=$PWD/small expect 0 'W0821' "$DEQ" run "$tiny" --fresh --results spared --set net.epochs=2
  umount small
  [[ -s spared/tiny/tiny.csv ]] || fail "no table when the cache is full"
  [[ ! -e spared/tiny/net.partial.safetensors ]] || fail "the checkpoint of a finished run is left"
fi
# ---- a program takes the same short flags; a library makes its folder ----
expect 0 '' "$DEQ" build "$tiny" -o program
expect 0 '' ./program -q -f --set net.epochs=1
expect 0 'libNet.so' "$DEQ" build "$tiny" --lib -o 'a new folder'
expect 3 'cannot make the folder' "$DEQ" build "$tiny" --lib -o none/such
sed '/^test/,$d' "$tiny" >untested.deq
expect 0 'no .test. block' "$DEQ" test untested.deq
# ---- a table says over how many examples, also when its columns differ ----
sed 's|accuracy(net, quadrants.test)|accuracy(net, quadrants.test[0..50])|' "$tiny" >mixed.deq
expect 0 'over 50 to 200 examples' "$DEQ" run mixed.deq --set net.epochs=1
no_partial_files
done_testing
