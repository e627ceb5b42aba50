#!/usr/bin/env bash
# Gradients as a user sees them: gradcheck of tests, nets and single layers, and what it says of a wrong one.
source "$(dirname "$0")/../programs/lib.sh"
data 300
cp "$PROGRAMS/tiny.deq" .

# ---- gradcheck ----
expect 0 '2 of 2 tests passed' "$DEQ" gradcheck tiny.deq
grep -q 'net net: Net under cross_entropy with body.gradient' out && fail "an override that the train does not make"
grep -q 'body.W  *cosine' out || fail "no cosine for the trained net's inexact mode"
expect 0 '1 of 1 tests passed' "$DEQ" gradcheck tiny.deq 'Body[6, 4] with { gradient: implicit(gmres()) }'
[[ $(grep -c 'agrees: relative error' out) == 4 ]] || fail "not W, U, b and the input"
expect 0 'cosine' "$DEQ" gradcheck tiny.deq 'Body[6, 4] with { gradient: jfb() }'
expect 0 '"passed": *true' "$DEQ" gradcheck --json tiny.deq 'Body[6, 4] with { gradient: implicit(gmres()) }'
awk '!/^\{.*\}$/ { exit 1 }' out || fail "gradcheck --json does not print one object a line"
expect 2 "did you mean 'Body'" "$DEQ" gradcheck tiny.deq 'Bodi[6, 4]'
expect 1 '' "$DEQ" gradcheck tiny.deq 'Body[6, 4'
expect 64 'FILE' "$DEQ" gradcheck
expect 64 'one argument too many' "$DEQ" gradcheck tiny.deq 'Body[6, 4]' more

cat >wrong.deq <<'D'
/// What its gradient says is not the derivative: the state's share in the output is hidden from it.
layer Cut[N](x: f32[N]) -> f32[N] {
  param W: f32[N, N] = normal(std: 0.3 / sqrt(N))

  fixed point z: f32[N] {
    z = tanh(z @ W + x)
    gradient: implicit(gmres())
  }
  return z + stop_gradient(z * z)
}

/// So rough that no difference can be taken.
layer Rough[N](x: f32[N]) -> f32[N] {
  param b: f32[N] = ones()
  return sin(1e8 * (x + b))
}

test "wrong" { check: gradcheck(Cut[4], directions: 3, tol: 1e-4) }
D
expect 4 'W .*FAILED in direction' "$DEQ" gradcheck wrong.deq
grep -q 'largest error: the derivative itself' out || fail "the gradient's own error is not named"
grep -q '"wrong": gradcheck of Cut_4' out || fail "the failed check is not named"
expect 4 'FAILED' "$DEQ" test wrong.deq
expect 4 'largest error: the truncation of the difference' "$DEQ" gradcheck wrong.deq 'Rough[4]'

# Modes that differentiate steps are compared with those steps: a wrong one fails, and no equilibrium is needed.
expect 4 'W .*FAILED in direction' "$DEQ" gradcheck wrong.deq 'Cut[4] with { gradient: jfb() }'
grep -q 'one step from the solver.s state, held constant' out || fail "not said what was compared"
grep -q 'largest error: the derivative itself' out || fail "the error of jfb's step is not named"
# A block that is inexact on purpose says so: its cosine is reported, in the language and by name elsewhere; without the
# word it fails.
expect 0 'tests passed' timeout 200 "$DEQ" gradcheck "$SOURCE/examples/gradients.deq"
expect 0 'cosine 0\.[0-9]*.*inexact mode' "$DEQ" gradcheck "$SOURCE/examples/gradients.deq" 'Tanh[6, 4] with { gradient: neumann }'
sed 's/ approximate by hand/ by hand/' "$SOURCE/examples/gradients.deq" >claims.deq
expect 4 'FAILED' "$DEQ" gradcheck claims.deq 'Tanh[6, 4] with { gradient: neumann }'
sed 's/ approximate by hand/ rough by hand/' "$SOURCE/examples/gradients.deq" >rough.deq
expect 1 "expected 'approximate', found name 'rough'" "$DEQ" check rough.deq
printf 'layer approximate(approximates: f32[3]) -> f32[3] {\n  let approximate = approximates\n  return approximate\n}\n' >name.deq
expect 0 '' "$DEQ" check name.deq
expect 0 '' "$DEQ" fmt --check "$SOURCE/examples/gradients.deq"

cat >wild.deq <<'D'
/// Far from a contraction: its iteration never settles.
layer Wild[N](x: f32[N]) -> f32[N] {
  param W: f32[N, N] = normal(std: 3 / sqrt(N))

  fixed point z: f32[N] {
    z = cos(3 * (z @ W) + x)
    forward: picard(tol: 1e-4, max: 6)
  }
  return z
}
D
for mode in 'jfb()' 'phantom.unroll(steps: 4, damping: 0.7, undamped_first: true)' 'backprop()' 'backprop(checkpoint: 2)'; do
  expect 0 '1 of 1 tests passed' "$DEQ" gradcheck wild.deq "Wild[5] with { gradient: $mode }"
  [[ $(grep -cE 'agrees.*(at most [0-9.]+e-(0[5-9]|1)|Taylor rate 1.9)' out) == 2 ]] || fail "not W and the input under $mode"
  grep -q cosine out && fail "a cosine to no equilibrium"
done
for mode in 'implicit(gmres())' 'phantom.neumann()'; do
  expect 4 'FAILED: cannot be checked: 2 of 2 forward solves did not converge' "$DEQ" gradcheck wild.deq "Wild[5] with { gradient: $mode }"
done

cat >twice.deq <<'D'
layer Body[H](x: f32[H]) -> f32[H] {
  param W: f32[H, H] = normal(std: 0.4 / sqrt(H))

  fixed point z: f32[H] {
    z = tanh(z @ W + x)
  }
  return z
}

layer Twice[H](x: f32[H]) -> f32[H] {
  use body = Body[H]
  return body(x) * body(3 * x)
}

test "a layer that is called twice" { check: gradcheck(Twice[5] with { body.gradient: phantom.unroll(steps: 60, damping: 1.0) }, directions: 4, tol: 1e-6) }
D
expect 0 'Twice_5' "$DEQ" gradcheck twice.deq
grep -q 'only reaches' out && fail "a setting reaches one of the two fixed points of a layer that is called twice"
[[ $(grep -o 'cosine [^ ]*' out | grep -cE '1\.0000|1 -') == 2 ]] || fail "not both gradients: $(cat out)"

# ---- compare ----
expect 0 'written: results/tiny/compare.md' "$DEQ" compare tiny.deq
grep -q 'net: trained in' out || fail "the net was not trained"
grep -q 'finite differences agree to [0-9.]*e-\(08\|09\|1.\)' out || fail "the reference is not verified"
expect 0 'found in the cache' "$DEQ" compare tiny.deq
# column MODE PART COLUMN: a field of compare.csv
column() { awk -v mode="$1" -v part="$2" -v want="$3" '
    NR == 1 { n = split($0, title, ","); for (i = 1; i <= n; i++) if (title[i] == want) at = i; next }
    { line = $0; k = 0; while (length(line)) { if (substr(line, 1, 1) == "\"") { match(line, /^"[^"]*"/); f = substr(line, 2, RLENGTH - 2); line = substr(line, RLENGTH + 2) } else { i = index(line, ","); if (!i) i = length(line) + 1; f = substr(line, 1, i - 1); line = substr(line, i + 1) } field[++k] = f }
      if (index(field[2], mode) == 1 && field[3] == part) { print field[at]; exit } }' results/tiny/compare.csv; }
between() { awk -v v="${2:-none}" -v low="$3" -v high="$4" 'BEGIN { exit !(v != "none" && v + 0 >= low && v + 0 <= high) }' || fail "$1 is '$2', not between $3 and $4"; checks=$((checks + 1)); }
between "error of implicit" "$(column 'implicit(gmres' 'all parameters' relative_error)" 0 1e-3
between "error of backprop" "$(column 'backprop' input relative_error)" 0 1e-2
between "cosine of jfb" "$(column 'jfb' body.W cosine)" 0.5 0.99
between "error of jfb in the head" "$(column 'jfb' head.W relative_error)" 0 1e-4
between "adjoint steps of implicit" "$(column 'implicit(gmres' input adjoint_steps)" 2 40
between "memory of backprop" "$(column 'backprop' input bytes)" 1e6 1e9
[[ $(wc -l <results/tiny/compare-states.csv) == 31 ]] || fail "not one row for each of the 30 states"
command -v gnuplot >/dev/null && { head -c 4 results/tiny/compare.png | grep -q PNG || fail "no picture"; }
grep -q "^Cosine of the inputs' gradient at state n" results/tiny/compare.md || fail "no table of states"
# state MODE N: 1 - cosine of the inputs' gradient at state N
state() { awk -v mode="$1" -v n="$2" '
    { line = $0; k = 0; while (length(line)) { if (substr(line, 1, 1) == "\"") { match(line, /^"[^"]*"/); f = substr(line, 2, RLENGTH - 2); line = substr(line, RLENGTH + 2) } else { i = index(line, ","); if (!i) i = length(line) + 1; f = substr(line, 1, i - 1); line = substr(line, i + 1) } field[++k] = f } }
    NR == 1 { for (i = 1; i <= k; i++) if (index(field[i], mode) == 1 && field[i] ~ /inputs$/) at = i }
    NR == n + 1 { print field[at] }' results/tiny/compare-states.csv; }
# Every state has its gradient: the adjoint that rides along comes to the exact one, and steps from z_n are as good everywhere.
between "simultaneous at state 1" "$(state simultaneous 1)" 1e-3 2
between "simultaneous at state 20" "$(state simultaneous 20)" 0 1e-4
between "unrolled at state 1" "$(state unrolled 1)" 1e-9 0.3
between "unrolled at state 30" "$(state unrolled 30)" 1e-9 0.1
between "augmented at state 30" "$(state augmented 30)" 0 1e-3
between "neumann and unrolled at state 30" "$(awk -v a="$(state 'phantom.neumann' 30)" -v b="$(state unrolled 30)" 'BEGIN { print a / b }')" 0.99 1.01
cp results/tiny/compare.csv trained.csv
expect 0 '"mode": *"jfb()"' "$DEQ" compare --json tiny.deq --checkpoint results/tiny/net.safetensors
diff <(cut -d, -f1-9 trained.csv) <(cut -d, -f1-9 results/tiny/compare.csv) >/dev/null || fail "the checkpoint gives other gradients than the cache"
expect 3 'refused' "$DEQ" compare tiny.deq --checkpoint train-images
expect 0 'f32; memory' "$DEQ" compare tiny.deq --precision f32
between "error of implicit in f32" "$(column 'implicit(gmres' 'all parameters' relative_error)" 0 1e-2

cat >>tiny.deq <<'D'

check small {
  compare: gradients(Body[6, 5]) {
    modes: [implicit(gmres(tol: 1e-12, max: 60)), jfb(), backprop()]
    reference: finite_difference(directions: 6)
  }
}

check trained {
  compare: gradients(net) {
    modes: [phantom.unroll(steps: 2, damping: 1.0), phantom.unroll(steps: 9, damping: 1.0)]
    reference: implicit(gmres(tol: 1e-10, max: 100))
  }
}
D
expect 0 'small: 8 random examples' "$DEQ" compare tiny.deq
grep -q 'finite differences in 6 directions' out || fail "the reference of the block is not used"
grep -q 'found in the cache' out || fail "the check of a layer changed the net's key"
# norms are those of whole gradients, not of the slopes in six directions
between "norm of the reference" "$(awk -v a="$(column 'implicit(gmres' W norm)" -v b="$(column 'implicit(gmres' W reference_norm)" 'BEGIN { print a / b }')" 0.99999 1.00001
grep -q '^trained: examples 0 to 31 of quadrants.train' out || fail "the trained net is not compared on its data"
between "long phantom beside short" "$(awk -v a="$(column 'phantom.unroll(steps: 2' input one_minus_cosine)" -v b="$(column 'phantom.unroll(steps: 9' input one_minus_cosine)" 'BEGIN { print (a > 4 * b) }')" 1 1
[[ -f results/tiny/compare-1-small-states.csv && -f results/tiny/compare-2-trained-states.csv ]] || fail "not a sweep each"
printf 'layer Flat(x: f32[3]) -> f32[3] { return x }\n' >nothing.deq
expect 0 'nothing to compare' "$DEQ" compare nothing.deq
expect 0 '' "$DEQ" run tiny.deq --quiet

# ---- report ----
expect 0 '| body | [0-9]* / [0-9]* | .* | 0% | 0\.[0-9]* / 0\.[0-9]* | [0-9.]* / [0-9.]* | [0-9.]* / [0-9.]* | - | - | - |' "$DEQ" report results/tiny
expect 0 'after n iterations, median: 1: ' "$DEQ" report results/tiny
expect 0 '"radius": *\[' "$DEQ" report --json results/tiny
expect 0 'radius 0\.' "$DEQ" run tiny.deq --set net.spectrum=8 --set net.epochs=2 --results spectrum
between "radius in the log" "$(cell spectrum/tiny/net-log.csv 2 radius)" 0.1 1
between "norm in the log" "$(cell spectrum/tiny/net-log.csv 2 norm2)" 0.1 3
[[ -z $(cell results/tiny/net-log.csv 1 radius) ]] || fail "a radius without 'spectrum'"
expect 0 '' "$DEQ" run tiny.deq --quiet --results short --set net.epochs=1 --set net.body.forward.max=2 --set 'net.body.gradient=implicit(neumann(max: 2))'
expect 0 '100% of forward solves hit max: 2 ' "$DEQ" report short/tiny
grep -q '100% of backward solves hit max: 2 (.* Raise max, use gmres, or use phantom.unroll' out || fail "the adjoint solves are not named"
expect 3 'E0822' "$DEQ" report .
expect 64 'FOLDER' "$DEQ" report

# ---- names that are values beside names that are called: d and d(z), picard and picard(..) ----
cat >shadow.deq <<'D'
layer Res[I, H](x: f32[I]) -> f32[H] {
  param W: f32[H, H] = normal(std: 0.5 / sqrt(H))
  param U: f32[I, H] = glorot()
  let picard = x @ U
  fixed point z: f32[H] {
    z = tanh(z @ W + picard)

    forward: picard(tol: 1e-10, max: 200, stop: absolute)
  }
  return z
}
gradient right of Res by hand {
  let d = 1 - z * z
  fn K(v: f32[H]) -> f32[H] = v - (d * v) @ W'
  let u = d * solve(K, d(z), gmres(tol: 1e-10, max: 60))
  d(W) = outer(z, u)
  d(U) = outer(x, u)
  d(x) = u @ U'
}
test "right" { check: gradcheck(Res[6, 5] with { gradient: right }, directions: 4, tol: 1e-5) }
D
expect 0 '' "$DEQ" test shadow.deq
no_partial_files
done_testing
