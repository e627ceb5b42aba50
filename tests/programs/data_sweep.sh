#!/usr/bin/env bash
# Sweeps over examples and over data: what is trained and evaluated on each is what it is without the sweep.
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
done_testing
