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
no_partial_files
done_testing
