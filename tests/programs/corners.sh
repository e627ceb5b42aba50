#!/usr/bin/env bash
# Numbers at their edges, as a run reports them: on data of a few bytes, where the right value is known.
source "$(dirname "$0")/lib.sh"
deq=(timeout 100 "$DEQ")

# idx FILE DIMS VALUES..: bytes in the IDX format; DIMS as "100 2"
idx() {
  local file=$1 dims=$2 d
  shift 2
  {
    printf "\\x00\\x00\\x08\\x$(printf %02x "$(wc -w <<<"$dims")")"
    for d in $dims; do printf "\\x00\\x00\\x$(printf %02x $((d / 256)))\\x$(printf %02x $((d % 256)))"; done
    for d in "$@"; do printf "\\x$(printf %02x "$d")"; done
  } >"$file"
}

# is FILE COLUMN VALUE: in the first row
is() { [[ $(cell "$1" 1 "$2") == "$3" ]] || fail "$2 in $1 is '$(cell "$1" 1 "$2")', expected $3"; checks=$((checks + 1)); }

# ---- gradients that are not finite are a share of all gradients, in every mode; and lost, not zero ----
# one example of 20 is zero, where the square root after the fixed point has no slope
values=(0 0) labels=(0)
for ((i = 1; i < 20; i++)); do values+=($((40 + 9 * i)) $((250 - 7 * i))) labels+=($((i % 2))); done
idx x.idx "20 2" "${values[@]}"
idx y.idx 20 "${labels[@]}"
cat >lost.deq <<'X'
import std.data (idx)
import std.losses (cross_entropy)
import std.metrics (accuracy)
import std.attacks (fgsm)
import std.optimisers (sgd)

layer Net(x: f32[2]) -> f32[2] {
  param W: f32[2] = ones()

  fixed point z: f32[2] {
    z = 0.5 * tanh(z) + W * x

    forward:  SOLVER()
    gradient: MODE
  }
  return sqrt(z)
}

data d: (f32[2], label[2]) = idx("x.idx", "y.idx")

attack a = fgsm(radius: 0)

train net = Net on d.train {
  loss:     cross_entropy
  optimise: sgd(rate: 0)
  attack:   a
  epochs:   1
}

experiment e {
  let v = accuracy(net, d.train under a)

  table "t" { columns: [v.attack.lost_gradients] }
}
X
for mode in 'jfb()' 'phantom.unroll()' 'phantom.neumann()' 'implicit(gmres())' 'shine()' 'unrolled(from: 1..3)' 'backprop()'; do
  [[ $mode == backprop* ]] && solver=picard || solver=broyden
  sed "s/MODE/$mode/; s/SOLVER/$solver/" lost.deq >this.deq
  expect 0 'net: in the last epoch 5% of the gradients were not finite, and were left out' "${deq[@]}" run this.deq --fresh
  grep -q "5% of the attack's gradients were not finite" out || fail "the attack's lost gradients under $mode"
  grep -q '100%.*gradients' out && fail "all gradients are lost under $mode"
  is "$(made)/t.csv" v.attack.lost_gradients 0.05
  expect 0 ' 5% of the gradients were not finite' "${deq[@]}" report "$(made)"
done

# ---- a training's attack has solves of its own, in the log and in the warnings ----
cat >attacked.deq <<'X'
import std.data (idx)
import std.losses (cross_entropy)
import std.attacks (pgd)
import std.optimisers (sgd)

layer Net(x: f32[2]) -> f32[2] {
  param W: f32[2, 2] = normal(std: 0.5)

  fixed point z: f32[2] {
    z = tanh(z @ W + x)

    gradient: jfb()
  }
  return z
}

data d: (f32[2], label[2]) = idx("x.idx", "y.idx")

train net = Net on d.train {
  loss:     cross_entropy
  optimise: sgd(rate: 0.1)
  attack:   pgd(radius: 0.1, step: 0.05, iterations: 3) with { gradient: implicit(picard(tol: 1e-6, max: 1)) }
  epochs:   1
}
X
expect 0 "100% of the attack's adjoint solves stopped short of their tolerance" "${deq[@]}" run attacked.deq
grep -q 'not finite' out && fail "gradients of the training are said to be lost"
is results/attacked/net-log.csv attack_adjoint_unconverged 1
is results/attacked/net-log.csv adjoint_unconverged ""
is results/attacked/net-log.csv lost_gradients 0

# ---- a metric is a share by its form: values that happen to be 0 make no Wilson's interval ----
sed -e '/^attack/d; /attack: /d; s/ under a)/)/' -e 's/^experiment e {/fn hit(o: f32[K], y: label[K]) -> f32 = if argmax(o) == y then 1 else 0\n\nfn none(o: f32[K], y: label[K]) -> f32 = relu(-abs(max(o)))\n\nfn lost(o: f32[K], y: label[K]) -> f32 = log(-1 - abs(max(o)))\n\n&/' \
  -e 's/^  let v = .*/  let share = hit(net, d.train)\n  let number = none(net, d.train)\n  let absent = lost(net, d.train)/' -e 's/\[v.attack.lost_gradients\]/[share, number, absent]/' \
  -e 's/MODE/jfb()/; s/SOLVER/broyden/; s/, *fgsm//; /std.attacks/d; /std.metrics/d; s/sqrt(z)/z/' lost.deq >shares.deq
expect 0 'number of net: 0 \[0, 0\] on 20 examples' "${deq[@]}" run shares.deq
grep -q 'share of net: 0.* \[0\.[0-9]*, 0\.[0-9]*\] on 20 examples' out || fail "the interval of a share"
grep -q 'absent of net: nan on 20 examples' out || fail "a metric that is no number is written with a sign: $(grep absent out)"

done_testing
