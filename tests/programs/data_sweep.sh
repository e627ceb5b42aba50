#!/usr/bin/env bash
# Sweeps over examples, over data and over the sizes of layers: what is trained and evaluated on each is what it is
# without the sweep.
source "$(dirname "$0")/lib.sh"
data 120
sed '/^experiment tiny/,$d' "$PROGRAMS/tiny.deq" >data.deq
cat >>data.deq <<'END'
data turned: (f32[1, 8, 8], label[4]) = idx("test-images", "test-labels", "train-images", "train-labels")

experiment data {
  sweep part in [seen: quadrants.train[0..60], new: quadrants.test]
  sweep source in [quadrants, turned]
  let robust = accuracy(net, part under weak)
  let first = accuracy(net, quadrants.train[0..60] under weak)
  let second = accuracy(net, quadrants.test under weak)
  train k = Net on source.train { loss: cross_entropy; optimise: adam(rate: 1e-2); epochs: 1; batch: 16 }
  let other = accuracy(k, source.test)
  train same = Net on turned.train { loss: cross_entropy; optimise: adam(rate: 1e-2); epochs: 1; batch: 16 }
  let right = accuracy(same, turned.test)
  let gap = robust[part: seen] - robust[part: new]

  table "parts" { rows: part; columns: [robust] }
  table "data" { rows: source; columns: [other] }
  table "alone" { columns: [first, second, right, gap] }
}
END
expect 0 '' "$DEQ" run data.deq
alone() { cell results/data/alone.csv 1 "$1"; }
[[ $(cell results/data/parts.csv 1 robust) == "$(alone first)" && $(cell results/data/parts.csv 2 robust) == "$(alone second)" ]] || fail "the examples of a sweep are others"
[[ $(cell results/data/data.csv 2 other) == "$(alone right)" ]] || fail "the data of a sweep are others"
[[ $(alone first) != "$(alone second)" && $(cell results/data/data.csv 1 other) != "$(alone right)" ]] || fail "the values tell nothing apart"
checks=$((checks + 3))
sed 's/let gap = .*/let gap = worst_of(robust, over: part)/' data.deq >worst.deq
expect 2 "worst.deq:.*error.E0536.: worst_of goes over the same examples: these are evaluations of" "$DEQ" check worst.deq
sed 's/new: quadrants.test\]/new: few.test]/; s/^data turned/data few: (f32[1, 4, 4], label[4]) = idx("train-images", "train-labels", "test-images", "test-labels")\n\n&/' data.deq >types.deq
expect 2 'types.deq:.*error.E0301.: an element of this list is examples of' "$DEQ" check types.deq

# ---- numbers of a sweep are sizes, in the layer that is trained and in a list of layers ----
sed 's/^layer Net(/layer Net[H](/; s/Body\[64, 24\]/Body[64, H]/; s/Dense\[24, 4\]/Dense[H, 4]/; /^train net/,$d' "$PROGRAMS/tiny.deq" >sizes.deq
cp sizes.deq net.deq
cat >>sizes.deq <<'END'
const recipe = { loss: cross_entropy; optimise: adam(rate: 1e-2); epochs: 1; batch: 16 }

experiment sizes {
  sweep h in [4, 6]
  sweep more in 1..3
  sweep layer_of in [Net[n] for n in [5, 8]]
  train swept = Net[h + more] on quadrants.train { ..recipe }
  train listed = layer_of on quadrants.train { ..recipe }
  train five = Net[5] on quadrants.train { ..recipe }
  train eight = Net[8] on quadrants.train { ..recipe }
  let s = cross_entropy(swept, quadrants.test under weak)
  let l = cross_entropy(listed, quadrants.test under weak)
  let f = cross_entropy(five, quadrants.test under weak)
  let e = cross_entropy(eight, quadrants.test under weak)

  table "swept" { rows: [h, more]; columns: [s, swept.parameters] }
  table "listed" { rows: layer_of; columns: [l, listed.parameters] }
  table "single" { columns: [f, e, five.parameters, eight.parameters] }
}
END
expect 0 '' "$DEQ" run sizes.deq
sizes() { cell "results/sizes/$1.csv" "$2" "$3"; }
[[ $(sizes swept 1 s) == "$(sizes single 1 f)" && $(sizes swept 4 s) == "$(sizes single 1 e)" ]] || fail "sizes of a sweep are others"
[[ $(cut -d, -f2 results/sizes/listed.csv | sed '/^#/d; 1d' | wc -l) == 2 ]] || fail "a list of layers: $(cat results/sizes/listed.csv)"
[[ $(sizes listed 1 l) == "$(sizes single 1 f)" && $(sizes listed 2 l) == "$(sizes single 1 e)" ]] || fail "sizes in a list are others"
[[ $(sizes swept 1 swept.parameters) == "$(sizes single 1 five.parameters)" && $(sizes swept 1 s) != "$(sizes swept 4 s)" ]] || fail "sizes tell nothing apart"
checks=$((checks + 4))
for size in 0.5 0 -3; do
  { cat net.deq; echo "experiment e { sweep h in [$size, 4]; train m = Net[h] on quadrants.train { loss: cross_entropy; optimise: adam(rate: 1e-2); epochs: 1 } }"; } >wrong.deq
  expect 2 "wrong.deq:.*E0310.: this size is $size: sizes are positive whole numbers" "$DEQ" check wrong.deq
done
{ cat net.deq; echo 'experiment e { sweep h in [implicit(), jfb()]; train m = Net[h] on quadrants.train { loss: cross_entropy; optimise: adam(rate: 1e-2); epochs: 1 } }'; } >wrong.deq
expect 2 'wrong.deq:.*E0309.: this is not a size' "$DEQ" check wrong.deq
done_testing
