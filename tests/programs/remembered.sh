#!/usr/bin/env bash
# What decides a net is all that makes its training anew: another column or attack in a script leaves what is trained and
# evaluated in the cache, with the bits that a new run gives; another line of a gradient or a metric does not.
source "$(dirname "$0")/lib.sh"
data 200
# holds TRAININGS EXAMPLES SCRIPT: so many of the trainings, and "N of M" of the evaluated examples, are in the cache
holds() { expect 0 "the cache holds $1 of the trainings, and $2 evaluated" "$DEQ" run "$3" --plan; }
paper='gradient paper of Body by hand {\n  let s = 1 - z * z\n  fn K(v: f32[H]) -> f32[H] = v - (s * v) @ W'"'"'\n  let u = s * solve(K, d(z), gmres(tol: 1e-4, max: 20))\n  d(W) = outer(z, u)\n  d(U) = outer(x, u)\n  d(b) = u\n  d(x) = u @ U'"'"'\n}\n'
near='fn near(logits: f32[K], y: label[K]) -> f32 = 2 * logits[y]\n'
sed "s/^layer Net/$paper\n$near\n&/; s/^  epochs: .*/  epochs:   1\n  gradient: paper/; s/^  let robust/  let close = near(net, quadrants.test)\n&/; s/clean.residual/&, close/" "$PROGRAMS/tiny.deq" >first.deq
expect 0 clean "$DEQ" run first.deq
cp results/first/tiny.csv before.csv
holds 1 '600 of 600' first.deq

# another attack, which asks for gradients of its own, and another metric
sed 's/^attack weak/attack far = apgd_t(radius: 0.02, iterations: 5, targets: 3)\n\n&/; s/(pgd)/(apgd_t, pgd)/; s/(accuracy)/(accuracy, confidence)/; s/^  let robust/  let sure = confidence(net, quadrants.test)\n  let worse = accuracy(net, quadrants.test under far)\n&/; s/, close/&, sure, worse/' first.deq >more.deq
holds 1 '600 of 1000' more.deq
expect 0 clean "$DEQ" run more.deq --fresh
mkdir fresh
mv results/more fresh
expect 0 clean "$DEQ" run more.deq
same fresh/more/tiny.csv results/more/tiny.csv
parameters() { tail -c $((4 * (24 * 24 + 64 * 24 + 24 + 24 * 4 + 4))) "$1"; }
cmp -s <(parameters fresh/more/net.safetensors) <(parameters results/first/net.safetensors) || fail "the net is another one beside other attacks"

# a gradient's linear map is part of its net
sed 's/v - (s \* v) @/v - (0.5 * s * v) @/' first.deq >slope.deq
holds 0 '0 of 600' slope.deq
# a metric decides its own evaluation
sed 's/2 \* logits\[y\]/3 * logits[y]/' first.deq >metric.deq
holds 1 '400 of 600' metric.deq
no_partial_files
done_testing
