#!/usr/bin/env bash
# Nets of two classes under the attacks with targets: there is one target, and no third logit.  Ensembles of gradients
# serve objectives with targets.
source "$(dirname "$0")/lib.sh"
data 200
for labels in train-labels test-labels; do # of four classes, 0 and 1 stay; their headers hold no such bytes
  LC_ALL=C tr '\002\003' '\000\001' <$labels >two
  mv two $labels
done
sed 's/f32\[4\]/f32[2]/; s/Dense\[24, 4\]/Dense[24, 2]/; s/label\[4\]/label[2]/
s/^import std.attacks.*/import std.attacks (apgd, apgd_t, autoattack, fab_t, pgd_t, plus)/; s/^import std.losses.*/import std.losses (cross_entropy, dlr, dlr_to)/
/^attack/d; s/anderson(memory: 4, /broyden(/; s/^  attack: .*//; /^experiment tiny/,$d' "$PROGRAMS/tiny.deq" >two.deq
cp two.deq net.deq
cat >>two.deq <<'END'
experiment two {
  let clean = accuracy(net, quadrants.test[0..60])
  let likeliest = accuracy(net, quadrants.test[0..60] under apgd_t(radius: 0.2, iterations: 8))
  let one = accuracy(net, quadrants.test[0..60] under apgd_t(radius: 0.2, iterations: 8, targets: 1))
  let by_step = accuracy(net, quadrants.test[0..60] under pgd_t(radius: 0.2, step: 0.05, iterations: 8))
  let nearest = accuracy(net, quadrants.test[0..60] under fab_t(radius: 0.2, iterations: 8))
  let all = accuracy(net, quadrants.test[0..60] under autoattack(radius: 0.2, iterations: 8, queries: 20))
  let to_first = accuracy(net, quadrants.test[0..60] under (apgd(radius: 0.2, iterations: 8) with { loss: dlr_to(target: 0) }))
  let through_states = accuracy(net, quadrants.test[0..60] under (apgd_t(radius: 0.2, iterations: 8) with { gradient: simultaneous(states: 1..6) }))
  let through_unrolled = accuracy(net, quadrants.test[0..60] under (apgd_t(radius: 0.2, iterations: 8) with { gradient: unrolled(from: 1..4, steps: 3) }))

  table "two" { columns: [clean, likeliest, one, by_step, nearest, all, to_first, through_states, through_unrolled, likeliest.attack.gradients, one.attack.gradients, through_states.attack.zero_gradients] }
}
END
expect 0 '' "$DEQ" run two.deq
table=$(made)/two.csv
c() { cell "$table" 1 "$1"; }
[[ $(c likeliest) == "$(c one)" && $(c likeliest.attack.gradients) == "$(c one.attack.gradients)" ]] || fail "two classes have another number of targets than one"
for attack in likeliest by_step nearest through_states through_unrolled; do
  awk -v clean="$(c clean)" -v a="$(c $attack)" -v all="$(c all)" 'BEGIN { exit !(a < clean - 0.1 && all <= a + 0.1) }' || fail "$attack: $(c $attack) of $(c clean)"
  checks=$((checks + 1))
done
awk -v all="$(c all)" -v likeliest="$(c likeliest)" -v first="$(c to_first)" 'BEGIN { exit !(all <= likeliest && first > all) }' || fail "one class alone is no weaker: $(tail -1 "$table")"
[[ $(c through_states.attack.zero_gradients) == 0 ]] || fail "an ensemble has no gradient of an objective"
checks=$((checks + 3))
for attack in 'apgd(radius: 0.2, iterations: 8) with { loss: dlr }' 'autoattack(radius: 0.2, version: plus)' 'apgd_t(radius: 0.2, targets: 9)'; do
  { cat net.deq; echo "experiment e { let a = accuracy(net, quadrants.test under ($attack)) }"; } >few.deq
  expect 2 'error.E0314' "$DEQ" check few.deq
done
done_testing
