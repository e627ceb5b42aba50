#!/usr/bin/env bash
# What sweeps compile: numbers, those of losses too, solvers and modes nothing, a loss its own function and the attack on
# it.  --set of attacks that are made of others, that are parts of others, and whose rounds are computed.
source "$(dirname "$0")/lib.sh"
data 64
cp "$PROGRAMS/sweeps.deq" .
deq=(timeout 200 "$DEQ")

# routines SWEEP LIST..: how many the script has with these lists in place of its own
routines() {
  sed 's/^import std.losses.*/import std.losses (cross_entropy, dlr, margin, smoothed_cross_entropy)/' sweeps.deq >sweep.deq
  while (($#)); do
    sed -i "s/  sweep $1 in .*/  sweep $1 in $2/" sweep.deq
    shift 2
  done
  "${deq[@]}" run sweep.deq --emit=ir >ir 2>out || fail "sweep.deq does not compile"
  grep -c '^routine ' ir
}
plain=$(routines)
many=$(routines radius '[0.1, 0.2, 0.3]' solver '[anderson(), broyden(), (picard() else broyden())]')
[[ $many == "$plain" ]] || fail "a sweep over radii and solvers makes $many routines of $plain"
# Any objective of the net needs two routines of it (its input's, its states'), once; each loss its function and an attack.
three=$(routines l '[cross_entropy, margin, dlr]' radius '[0.1, 0.2, 0.3]')
[[ $three == $((plain + 2 + 2 * 2)) ]] || fail "three losses and three radii make $three routines of $plain"
amounts=$(routines l '[smoothed_cross_entropy(amount: 0.1), smoothed_cross_entropy(amount: 0.2), smoothed_cross_entropy(amount: 0.3)]')
[[ $amounts == $((plain + 2 + 2)) ]] || fail "three settings of one loss make $amounts routines of $plain"
places=$(routines l '[behind(place: 0), behind(place: 1)]') # a whole number decides what the loss is
[[ $places == $((plain + 2 + 2 * 2)) ]] || fail "two places of a loss make $places routines of $plain"
sed -i 's/  sweep l in .*/  sweep l in [cross_entropy, margin, dlr]/' sweep.deq
expect 0 '| dlr ' "${deq[@]}" run sweep.deq
# Settings of a loss of two outputs are data as well: trainings that differ in them share its functions.
trades() {
  sed "s/^import std.losses.*/import std.losses (cross_entropy, trades)/; s/^train net .*/train net = Net on quadrants.train { loss: trades(beta: $1); attack: pgd(radius: 0.1, step: 0.05, iterations: 2) with { loss: cross_entropy }; optimise: adam(rate: 1e-2); epochs: 1; batch: 16 }\ntrain second = Net on quadrants.train { loss: trades(beta: $2); attack: pgd(radius: 0.1, step: 0.05, iterations: 2) with { loss: cross_entropy }; optimise: adam(rate: 1e-2); epochs: 1; batch: 16 }/" sweeps.deq |
    sed '/^attack wide/,$d' >trades.deq
  printf '%s\n' 'experiment t {' '  let first = cross_entropy(net, quadrants.test)' '  let other = cross_entropy(second, quadrants.test)' '  table "t" { columns: [first, other] }' '}' >>trades.deq
  "${deq[@]}" run trades.deq --emit=ir >ir 2>out || fail "trades.deq does not compile"
  grep -c '^routine ' ir
}
shared=$(trades 1 1)
[[ $(trades 1 6) == "$shared" ]] || fail "trades(beta: 1) and trades(beta: 6) do not share their routines"
expect 0 '' "${deq[@]}" run trades.deq
one=$(cell results/trades/t.csv 1 first) six=$(cell results/trades/t.csv 1 other)
[[ -n $one && $one != "$six" ]] || fail "beta changes nothing: $one"
trades 6 1 >/dev/null
expect 0 '' "${deq[@]}" run trades.deq
[[ $(cell results/trades/t.csv 1 first) == "$six" && $(cell results/trades/t.csv 1 other) == "$one" ]] || fail "the trainings have each other's beta"
checks=$((checks + 7))
# So are numbers of a loss of output and target.  With the solved gradient, with those that ask for the loss at states on
# the way, with a correction and with the attack on the loss, each training is that of the loss with its number written
# out.
{
  sed '/^train net/,$d; /std.metrics/d; s/^import std.losses.*/import std.losses (cross_entropy, smoothed_cross_entropy)/; s/^    z = .*/&\n    forward: broyden(tol: 1e-9, max: 40)/' sweeps.deq
  cat <<'END'
fn tenth(z: f32[K], y: label[K]) -> f32 = smoothed_cross_entropy(z, y, amount: 0.1)
fn fifth(z: f32[K], y: label[K]) -> f32 = smoothed_cross_entropy(z, y, amount: 0.2)
attack hit = pgd(radius: 0.1, step: 0.05, iterations: 2)
const recipe = { attack: hit; optimise: adam(rate: 1e-2); epochs: 1; batch: 16 }
experiment t {
  sweep mode in [implicit(), simultaneous(states: 3), unrolled(steps: 3)]
  train a = Net with { penalty: correction(weight: 0.1) } on quadrants.train { ..recipe; loss: smoothed_cross_entropy(amount: 0.1); gradient: mode }
  train b = Net with { penalty: correction(weight: 0.1) } on quadrants.train { ..recipe; loss: smoothed_cross_entropy(amount: SECOND); gradient: mode }
  let first = cross_entropy(a, quadrants.test under apgd(radius: 0.1, iterations: 3))
  let other = cross_entropy(b, quadrants.test under apgd(radius: 0.1, iterations: 3))
  table "t" { rows: mode; columns: [first, other] }
}
END
} >plain.deq
amounts() { "${deq[@]}" run "$1.deq" --emit=ir 2>out | grep -c '^routine '; }
sed 's/SECOND/0.1/' plain.deq >one.deq
sed 's/SECOND/0.2/' plain.deq >two.deq
sed 's/smoothed_cross_entropy(amount: 0.1); g/tenth; g/; s/smoothed_cross_entropy(amount: SECOND); g/fifth; g/' plain.deq >written.deq
[[ $(amounts one) -gt 10 && $(amounts one) == "$(amounts two)" ]] || fail "another number of a loss adds routines"
for file in two written; do expect 0 '' "${deq[@]}" run $file.deq -q -P f64; done
for row in 1 2 3; do
  for column in first other; do
    data=$(cell results/two/t.csv $row $column) written=$(cell results/written/t.csv $row $column)
    [[ -n $data && $data == "$written" ]] || fail "row $row: $column is $data, with the number written out $written"
    checks=$((checks + 1))
  done
  [[ $(cell results/two/t.csv $row first) != $(cell results/two/t.csv $row other) ]] || fail "row $row: the number changes nothing"
done

# ---- a sweep over nets ----
{
  sed -n '/^import/p; /^data/p' sweeps.deq
  cat <<'END'
import std.baselines (Mlp)
layer Linear4[K](image: f32[1, 8, 8]) -> f32[K] {
  use head = Dense[64, K]
  return image |> flatten |> head
}
const recipe = { loss: cross_entropy; optimise: adam(rate: 1e-2); epochs: 1; batch: 16 }
train mlp = Mlp[1, 8, 16, 4] on quadrants.train { ..recipe }
train linear = Linear4[4] on quadrants.train { ..recipe }
experiment alone {
  let mlp = accuracy(mlp, quadrants.test under pgd(radius: 0.02, step: 0.01, iterations: 2))
  let linear = accuracy(linear, quadrants.test under pgd(radius: 0.02, step: 0.01, iterations: 2))
  table "alone" { columns: [mlp, linear] }
}
experiment swept {
  sweep model in [mlp: Mlp[1, 8, 16, 4], linear: Linear4[4]]
  train net = model on quadrants.train { ..recipe }
  let robust = accuracy(net, quadrants.test under pgd(radius: 0.02, step: 0.01, iterations: 2))
  table "swept" { rows: model; columns: [robust] }
}
END
} >nets.deq
expect 0 '^| linear ' "${deq[@]}" run nets.deq
for row in 1 2; do
  name=$(cell results/nets/swept.csv $row model) here=$(cell results/nets/swept.csv $row robust)
  [[ -n $here && $here == "$(cell results/nets/alone.csv 1 "$name")" ]] || fail "$name in a sweep has $here, another value than alone"
  checks=$((checks + 1))
done

# ---- settings of a net that are tensors, written out and by the value of a sweep ----
{
  sed -n '/^import/p; /^data/p' sweeps.deq
  cat <<'END'
layer Scaled[K](image: f32[1, 8, 8], scale: f32[K] = ones) -> f32[K] {
  use head = Dense[64, K]
  return scale * (image |> flatten |> head)
}
const recipe = { loss: cross_entropy; optimise: adam(rate: 1e-2); epochs: 1; batch: 16 }
train as_is = Scaled[4](scale: ones) on quadrants.train { ..recipe }
train nothing = Scaled[4](scale: 0 * ones) on quadrants.train { ..recipe }
experiment alone {
  let as_is = cross_entropy(as_is, quadrants.test)
  let nothing = cross_entropy(nothing, quadrants.test)
  table "alone" { columns: [as_is, nothing] }
}
experiment swept {
  sweep k in [0, 1]
  train net = Scaled[4](scale: k * ones) on quadrants.train { ..recipe }
  let value = cross_entropy(net, quadrants.test)
  table "swept" { rows: k; columns: [value] }
}
experiment again {
  train other = Scaled[4](scale: swept.k * ones) on quadrants.train { ..recipe }
  let value = cross_entropy(other, quadrants.test)
  table "again" { rows: swept.k; columns: [value] }
}
END
} >scaled.deq
expect 0 '' "${deq[@]}" run scaled.deq
nothing=$(cell results/scaled/alone.csv 1 nothing) as_is=$(cell results/scaled/alone.csv 1 as_is)
awk -v v="$nothing" 'BEGIN { exit !((v - log(4)) ^ 2 < 1e-10) }' || fail "a net whose outputs are zero has the loss $nothing"
[[ $(cell results/scaled/swept.csv 1 value) == "$nothing" && $(cell results/scaled/swept.csv 2 value) == "$as_is" ]] || fail "the nets of a sweep are not those written out"
[[ $(cell results/scaled/again.csv 1 value) == "$nothing" && $(cell results/scaled/again.csv 2 value) == "$as_is" ]] || fail "the nets of a sweep of another experiment are not those written out"
checks=$((checks + 3))

# ---- none: no attack, no defence ----
{
  sed '/^attack wide/,$d' sweeps.deq | sed 's/^import std.losses.*/&\nimport std.defences (early_state)/'
  cat <<'DEQ'
experiment n {
  sweep start in [plain: none, hit: pgd(radius: 0.3, step: 0.1, iterations: 2)]
  sweep defence in [none, early_state(at: 2)]
  train m = Net on quadrants.train { loss: cross_entropy; attack: start; optimise: adam(rate: 1e-2); epochs: 1; batch: 16 }
  let trained = cross_entropy(m, quadrants.test)
  let attacked = cross_entropy(net, quadrants.test under start)
  let defended = cross_entropy(net with { defence: defence }, quadrants.test)
  let clean = cross_entropy(net, quadrants.test)
  table "n" { rows: [start, defence]; columns: [trained, attacked, defended, clean] }
}
DEQ
} >none.deq
expect 0 '' "${deq[@]}" run none.deq -n
at() { cell results/none/n.csv "$1" "$2"; }
[[ $(at 1 trained) == $(at 1 clean) && $(at 1 attacked) == $(at 1 clean) && $(at 1 defended) == $(at 1 clean) ]] || fail "none is not nothing"
[[ $(at 3 trained) != $(at 1 trained) && $(at 3 attacked) != $(at 1 attacked) && $(at 2 defended) != $(at 1 defended) ]] || fail "what is not none changes nothing"
checks=$((checks + 6))

# ---- --set through attacks ----
# changes COLUMN SET..: the column with the settings, which is another than without
expect 0 '' "${deq[@]}" run sweeps.deq
changes() {
  local column=$1 was now
  shift
  was=$(cell results/sweeps/attacked.csv 1 "$column")
  rm -rf set
  expect 0 '' "${deq[@]}" run sweeps.deq "${@/#/--set=}" --results set
  now=$(cell set/*/attacked.csv 1 "$column")
  [[ -n $now && $now != "$was" ]] || fail "$*: $column is $now, as without"
}
changes by_three wide.radius=0.3
changes by_both first.radius=0.3 first.step=0.3
changes by_double double.radius=0.3
changes by_double.attack.gradients double.n=3
[[ $(cell set/*/attacked.csv 1 by_double.attack.gradients) == 6 ]] || fail "the rounds of the loop are not those asked for"
changes by_three.attack.gradients wide.iterations=1
[[ $(cell results/sweeps/attacked.csv 1 by_pick.attack.gradients) == 1 ]] || fail "another attack is chosen"
changes by_pick.attack.gradients pick.rounds=7
# the same in a training run: the value of the net is that of a script that says so; `record`: the attack stands in one
record=
trained() {
  local settings="attack: $1"
  shift
  sed '/^train net/d; /^experiment/,$d' sweeps.deq >hit.deq
  [[ -z $record ]] || { echo "const hit = { $settings }" >>hit.deq && settings='..hit'; }
  echo "train net = Net on quadrants.train { loss: cross_entropy; $settings; optimise: adam(rate: 1e-2); epochs: 2; batch: 16 }" >>hit.deq
  printf '%s\n' 'attack single(r: f32 in 0..1, n: int) = doubled(radius: 2 * r, n: n)' 'experiment t {' '  let value = cross_entropy(net, quadrants.test)' '  table "t" { columns: [value] }' '}' >>hit.deq
  rm -rf hit
  expect 0 '' "${deq[@]}" run hit.deq --results hit "$@"
  cell hit/*/t.csv 1 value
}
once=$(trained 'doubled(radius: 0.02, n: 1)') more=$(trained 'doubled(radius: 0.02, n: 3)') strong=$(trained 'doubled(radius: 0.2, n: 1)')
[[ -n $once && -n $more && $once != "$more" && $once != "$strong" ]] || fail "the attack of a training changes nothing: $once $more $strong"
[[ $(trained 'doubled(radius: 0.02, n: 1)' --set net.attack.n=3) == "$more" ]] || fail "--set net.attack.n=3 is not n: 3"
[[ $(record=yes; trained 'doubled(radius: 0.02, n: 1)' --set net.attack.n=3) == "$more" ]] || fail "--set net.attack.n=3 does not reach a record"
[[ $(record=yes; trained 'single(r: 0.01, n: 1)' --set net.attack.r=0.1) == "$strong" ]] || fail "--set net.attack.r=0.1 does not reach a record"
[[ $(trained double --set net.attack.n=3 --set net.attack.radius=0.02) == "$more" ]] || fail "--set net.attack.n=3 is not n: 3 of a declared attack"
[[ $(trained double --set double.n=3 --set double.radius=0.02) == "$more" ]] || fail "--set double.n=3 does not reach the training"
[[ $(trained 'single(r: 0.01, n: 1)' --set net.attack.r=0.1) == "$strong" ]] || fail "--set net.attack.r=0.1 of an attack made of others"
expect 64 'did you mean net.attack.r' "${deq[@]}" run hit.deq --set net.attack.q=1
expect 2 "'r' of 'single' lies between 0 and 1, this is 4" "${deq[@]}" run hit.deq --set net.attack.r=4
checks=$((checks + 7))
{ # where a sweep gives what others are computed from, it stays
  sed '/^train net /d; /^experiment/,$d' hit.deq
  printf '%s\n' 'experiment t {' '  sweep r in [0.1, 0.2]'
  sed -n 's/single(r: 0.01,/single(r: r,/; s/^train net /  &/p' hit.deq
  printf '%s\n' '  table "t" { rows: r; columns: [cross_entropy(net, quadrants.test)] }' '}'
} >swept.deq
expect 0 '' "${deq[@]}" check swept.deq
expect 64 'no such setting' "${deq[@]}" run swept.deq --set net.attack.r=0.1
expect 2 "'radius' of 'three' lies between 0 and 1, this is 2" "${deq[@]}" run sweeps.deq --set wide.radius=2
expect 64 'did you mean wide.radius' "${deq[@]}" run sweeps.deq --set wide.radus=0.1
done_testing
