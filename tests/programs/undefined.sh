#!/usr/bin/env bash
# What an attack asks for and that is no number: losses, objectives and outputs that are NaN or infinite, and gradients of
# objectives, also of those that never ask the net.  Each is counted by example, and named.
source "$(dirname "$0")/lib.sh"
data 64
deq=(timeout 200 "$DEQ")

cat >head.deq <<'X'
import std.layers (Dense)
import std.metrics (accuracy)
import std.data (idx)
import std.losses (cross_entropy)
import std.optimisers (sgd)

data quadrants: (f32[1, 8, 8], label[4]) = idx("train-images", "train-labels", "test-images", "test-labels")

layer Net(image: f32[1, 8, 8]) -> f32[4] {
  use head = Dense[64, 4]
  return image |> flatten |> head
}

train net = Net on quadrants.train { loss: cross_entropy; optimise: sgd(rate: 0.1); epochs: 1; batch: 16 }
X

# ---- objectives of a net whose outputs are numbers: on how many of the 20 examples, of one or two gradients each ----
{
  cat head.deq
  cat <<'X'

/// The slope is infinite, and the value -inf: the example itself is the point.  The net is never asked.
attack slope(x: f32[..S], y: label[K]; radius: f32) {
  fn far(v: f32[..S]) -> f32 = log(sum(abs(v - x)))
  return clamp(x + radius * sign(gradient(far, at: x)), 0, 1)
}

/// The value is NaN, its gradient is not.
attack value(x: f32[..S], y: label[K]; radius: f32) {
  let lost = log(-1 - sum(x * x))
  fn along(v: f32[..S]) -> f32 = sum(v) + lost
  return clamp(x + radius * sign(gradient(along, at: x)), 0, 1)
}

/// The value is infinite, and a gradient of the net's goes through a slope that is NaN.
attack through(x: f32[..S], y: label[K]; radius: f32) {
  fn onto(v: f32[..S]) -> f32 = logits(0.5 * v / (sum(abs(v - x)) / sum(abs(v - x))))[y]
  return clamp(x + radius * sign(gradient(onto, at: x)), 0, 1)
}

/// Of two gradients one is a number, and it is asked for last.
attack half(x: f32[..S], y: label[K]; radius: f32) {
  fn far(v: f32[..S]) -> f32 = log(sum(abs(v - x)))
  fn near(v: f32[..S]) -> f32 = logits(v)[y]
  let bad = gradient(far, at: x)
  let good = gradient(near, at: x)
  return if bad == bad then clamp(x + radius * sign(good), 0, 1) else x
}

/// A number everywhere.
attack good(x: f32[..S], y: label[K]; radius: f32) {
  fn near(v: f32[..S]) -> f32 = logits(tanh(v))[y]
  return clamp(x - radius * sign(gradient(near, at: x)), 0, 1)
}

experiment e {
  sweep a in [slope(radius: 0.1), value(radius: 0.1), through(radius: 0.1), half(radius: 0.1), good(radius: 0.1)]
  let v = accuracy(net, quadrants.test[0..20] under a)

  table "e" { rows: a; columns: [v, v.attack.gradients, v.attack.lost_gradients, v.attack.undefined_values] }
}
X
} >objectives.deq
expect 0 "v of net: 100% of the attack's gradients were not finite" "${deq[@]}" run objectives.deq
grep -q "v of net: 100% of the attack's losses, objectives or outputs were NaN or infinite" out || fail "objectives that are no numbers are not named"
# row: gradients, share of them lost, values that are none
for row in '1 1 1 1' '2 1 0 1' '3 1 1 1' '4 2 0.5 1' '5 1 0 0'; do
  read -r k gradients lost undefined <<<"$row"
  got="$(cell results/objectives/e.csv "$k" v.attack.gradients) $(cell results/objectives/e.csv "$k" v.attack.lost_gradients) $(cell results/objectives/e.csv "$k" v.attack.undefined_values)"
  [[ $got == "$gradients $lost $undefined" ]] || fail "row $k has $got, not $gradients $lost $undefined"
  checks=$((checks + 1))
done
[[ $(cell results/objectives/e.csv 2 'v verdict') != reliable && $(cell results/objectives/e.csv 5 'v verdict') == reliable ]] || fail "the verdicts"

# ---- objectives that are flat: where the answer is wrong already, which says nothing, and where it is right still, which
# hides it from the attack ----
{
  sed 's/^import std.losses (/&margin, /' head.deq
  cat <<'X'

/// Nothing is left to do where another class is ahead by half.
attack won(x: f32[..S], y: label[K]; radius: f32) {
  fn left(v: f32[..S]) -> f32 = max(0.5 - margin(logits(v), y), 0)
  state a = x
  repeat 20 {
    a = clamp(a - radius * sign(gradient(left, at: a)), 0, 1)
  }
  return a
}

/// Nothing can be seen where the answer is right.
attack blind(x: f32[..S], y: label[K]; radius: f32) {
  fn ahead(v: f32[..S]) -> f32 = max(margin(logits(v), y), 0)
  state a = x
  repeat 20 {
    a = clamp(a + radius * sign(gradient(ahead, at: a)), 0, 1)
  }
  return a
}

/// How many of the 20 gradients of `won` are zero, as the distance from the example in every element.
attack counted(x: f32[..S], y: label[K]; radius: f32) {
  fn left(v: f32[..S]) -> f32 = max(0.5 - margin(logits(v), y), 0)
  state a = x
  state flat = 0.0
  repeat 20 {
    let g = gradient(left, at: a)
    flat = flat + (if max(abs(g)) > 0 then 0.0 else 1.0)
    a = clamp(a - radius * sign(g), 0, 1)
  }
  return x + flat
}

experiment e {
  sweep a in [won(radius: 0.05), blind(radius: 0.05), counted(radius: 0.05)]
  let c = accuracy(net, quadrants.test)
  let v = accuracy(net, quadrants.test under a)

  table "e" { rows: a; columns: [c, v, v.attack.gradients, v.attack.zero_gradients] }
}
X
} >flat.deq
expect 0 '' "${deq[@]}" run flat.deq
[[ $(grep -c 'W0912.*exactly zero' out) == 1 ]] || fail "a flat objective is told where the attack has won, or a blind one is not"
clean=$(cell results/flat/e.csv 1 c)
[[ $(cell results/flat/e.csv 1 v) == 0 && $(cell results/flat/e.csv 1 v.attack.zero_gradients) == 0 ]] || fail "gradients that say nothing where the attack has won are counted"
[[ $(cell results/flat/e.csv 1 'v verdict') == reliable ]] || fail "an attack that won is not reliable"
[[ $(cell results/flat/e.csv 2 v) == "$clean" && $(cell results/flat/e.csv 2 v.attack.zero_gradients) == "$clean" ]] || fail "gradients that hide a right answer are not counted"
[[ $(cell results/flat/e.csv 2 'v verdict') == masked ]] || fail "an attack that sees nothing is not masked"
IFS=';' read -r _ counted < <(cell results/flat/e.csv 3 journals)
"$DEQ" journal "$counted" --csv >records.csv
awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "distance_inf") at = i; next } { n += $at } END { exit !(n > 20) }' records.csv || fail "few gradients of 'won' are zero: it tests nothing"
checks=$((checks + 6))

# ---- every attack of the library that goes on from where it was led: to inputs that are no grey levels, where every
# output is NaN ----
ATTACKS='pgd(radius: 0.1, step: 0.05, iterations: 2), bim(radius: 0.1, step: 0.05, iterations: 2), pgd_l1(radius: 1, step: 0.5, iterations: 2), pgd_restarts(radius: 0.1, step: 0.05, iterations: 2), pgd_t(radius: 0.1, step: 0.05, iterations: 2), momentum_pgd(radius: 0.1, step: 0.05, iterations: 2), transfer(radius: 0.1, iterations: 2), kl_pgd(radius: 0.1, step: 0.05, iterations: 2), random_search(radius: 0.1, queries: 3), apgd(radius: 0.1, iterations: 3), apgd_t(radius: 0.1, iterations: 3), fab(radius: 0.1, iterations: 3), fab_t(radius: 0.1, iterations: 3), square(radius: 0.1, queries: 3), square_l2(radius: 0.1, queries: 3), deepfool(radius: 0.1, iterations: 3), cw_l2(radius: 0.1, iterations: 3, searches: 2), eot(radius: 0.1, step: 0.05, iterations: 2)'
NAMES=$(sed 's/([^)]*)//g' <<<"$ATTACKS")
missing=$(grep -o '^attack [a-z_0-9]*(x' "$PROGRAMS/../../stdlib/attacks.deq" | sed 's/attack //; s/(x//' | grep -vxE "noise|fgsm|fab_on_loss|$(sed 's/, /|/g' <<<"$NAMES")" || true)
[[ -z $missing ]] || fail "not asked here: $missing"
{
  sed "s/^import std.losses/import std.attacks ($NAMES)\n&/" head.deq
  cat <<X

layer Lost(image: f32[1, 8, 8]) -> f32[4] {
  use head = Dense[64, 4]
  let grey = 255 * image
  return (image |> flatten |> head) * log(2.7 - 100 * max(abs(grey - round(grey))))
}

train lost = Lost on quadrants.train { start: net; optimise: sgd(rate: 0); epochs: 1; loss: cross_entropy }

experiment e {
  sweep a in [$(sed 's/\([a-z_0-9]*\)(/\1: \1(/g' <<<"$ATTACKS")]
  let v = accuracy(lost, quadrants.test[0..20] under a)

  table "e" { rows: a; columns: [v, v.attack.queries, v.attack.undefined_values] }
}
X
} >library.deq
rows=$(wc -w <<<"$NAMES")
expect 0 "v, $rows runs: up to [0-9.]*% of the attack's losses, objectives or outputs were NaN or infinite" "${deq[@]}" run library.deq
for ((k = 1; k <= rows; k++)); do
  queries=$(cell results/library/e.csv "$k" v.attack.queries) undefined=$(cell results/library/e.csv "$k" v.attack.undefined_values)
  awk -v q="$queries" -v u="$undefined" 'BEGIN { exit !(u > 0 && u <= q) }' ||
    fail "attack $k of $NAMES: $undefined of $queries answers are no numbers"
  checks=$((checks + 1))
done
done_testing
