#!/usr/bin/env bash
# Records of settings: a script that takes them in has the results of one that writes them out, and --set replaces what
# they brought.
source "$(dirname "$0")/lib.sh"
data 64
cp "$PROGRAMS/records.deq" "$PROGRAMS/recipes.deq" .
written='loss: cross_entropy; optimise: adam(rate: 1e-2); epochs: 1; validate: quadrants.test[0..150]; attack: pgd(radius: 0.1, step: 0.05, iterations: 2)'
unroll='gradient: phantom.unroll(steps: 3, damping: 0.5)'
{
  sed -n '/^layer Body/,/^data/p' records.deq | sed '1i import std.losses (cross_entropy)\nimport std.attacks (pgd)\nimport std.data (idx)\nimport std.optimisers (adam)'
  cat <<DEQ
attack linf = pgd(radius: 0.1, step: 0.05, iterations: 3) with { gradient: jfb(); judge: surrogate }
train net = Net with { forward.max: 3; $unroll } on quadrants.train { $written; batch: 32; seed: 2 }
train a = Net with { forward.max: 3; $unroll } on quadrants.train { $written; batch: 16 }
train b = Net with { $unroll; forward.max: 9 } on quadrants.train { $written; batch: 16 }
train c = Net with { forward.max: 4; on_fail: keep_best } on quadrants.train { $written; batch: 16 }
experiment e {
  let clean1 = cross_entropy(a, quadrants.test[0..150])
  let clean2 = cross_entropy(b, quadrants.test[0..150])
  let clean3 = cross_entropy(c, quadrants.test[0..150])
  let robust1 = cross_entropy(net with { forward.max: 3; gradient: jfb() }, quadrants.test[0..150] under linf)
  let robust2 = cross_entropy(net with { forward.max: 9; gradient: jfb() }, quadrants.test[0..150] under linf)
  let robust3 = cross_entropy(net with { forward.max: 4; on_fail: keep_best; gradient: jfb() }, quadrants.test[0..150] under linf)
  table "e" { columns: [clean1, clean2, clean3, robust1, robust2, robust3] }
}
DEQ
} >written.deq
deq=(timeout 200 "$DEQ")
expect 0 '' "${deq[@]}" run written.deq
expect 0 'm (config = r.long): found in the cache' "${deq[@]}" run records.deq
for row in 1 2 3; do
  for value in clean robust; do
    here=$(cell results/records/e.csv $row $value) there=$(cell results/written/e.csv 1 $value$row)
    [[ -n $here && $here == "$there" ]] || fail "row $row, $value: $here with records, ${there:-nothing} without"
    checks=$((checks + 1))
  done
done
[[ $(cell results/records/e.csv 2 clean) != $(cell results/records/e.csv 1 clean) ]] || fail "the records of a sweep change nothing"

# what a record brought in is replaced like what is written out
for script in written records; do
  expect 0 "" "${deq[@]}" run $script.deq --set net.epochs=2 --set net.attack.radius=0.05 --results set
done
[[ $(cell set/records*/e.csv 1 robust) == $(cell set/written*/e.csv 1 robust1) ]] || fail "--set of a setting from a record"
[[ $(cell set/records*/e.csv 1 robust) != $(cell results/records/e.csv 1 robust) ]] || fail "--set changes nothing"
expect 64 "E0901.*net.body.forward.max=2: in experiment 'e' the sweep 'config' gives this setting of 'net'" "${deq[@]}" run records.deq --set net.body.forward.max=2

# a constant of the script or of a module beside it has the value that --set gives, in all that mentions it
sed 's/rate: 1e-2/rate: 0.00625/; s/radius: 0.1, step: 0.05, iterations: 2/radius: 0.0625, step: 0.03125, iterations: 2/
     s/damping: 0.5/damping: 0.3125/; /let/s/0\.\.150/0..100/' written.deq >other.deq
expect 0 "" "${deq[@]}" run other.deq --results other
expect 0 "" "${deq[@]}" run records.deq --set recipes.bound=0.0625 --set 'most=quadrants.test[0..100]' --results constants
for row in 1 2 3; do
  here=$(cell constants/records/e.csv $row robust) there=$(cell other/other/e.csv 1 robust$row)
  [[ -n $here && $here == "$there" ]] || fail "row $row: $here with constants that --set gave, ${there:-nothing} without"
  checks=$((checks + 1))
done
expect 2 '^--set recipes.bound=many:1:15: error\[E0201\]' "$DEQ" run records.deq --set recipes.bound=many
expect 1 '^--set recipes.bound=(:1:15: error\[E0105\]' "$DEQ" run records.deq --set 'recipes.bound=('
expect 1 'error\[E0101\]: --set gives a constant one value' "$DEQ" run records.deq --set 'recipes.bound=2
const other = 3'
expect 64 'did you mean recipes.bound' "$DEQ" run records.deq --set recipes.bond=2

# documentation shows a record as it is written
expect 0 '^const long = { ..short; forward.max: 9 }$' "$DEQ" doc recipes.deq
grep -q 'What all of them share' out || fail "no documentation of a record"

# an error in a module's record stands there, and says where it was taken in
sed -i 's/epochs: 9/epoch: 9/' recipes.deq
expect 2 "recipes.deq:11:18: error\\[E0501\\]: train has no setting 'epoch'" "$DEQ" check records.deq
grep -q 'note: records.deq:[0-9]*:[0-9]*: among the settings that are taken in here' out || fail "no note at the place of use"

# records in records, as many as there are: the innermost is reached, and is reached in time where each takes two
{
  echo 'import std.losses (cross_entropy)'
  echo 'import std.data (idx)'
  echo 'const r0 = { epoch: 3 }'
  for i in $(seq 80); do echo "const r$i = { ..r$((i - 1)); batch: $i }"; done
  echo 'layer Net(x: f32[1, 8, 8]) -> f32[4] { return zeros([4]) }'
  echo 'data d: (f32[1, 8, 8], label[4]) = idx("train-images", "train-labels", "test-images", "test-labels")'
  echo 'train net = Net on d.train { ..r80 }'
} >deep.deq
expect 2 "deep.deq:3:14: error\[E0501\]: train has no setting 'epoch'" "$DEQ" check deep.deq
sed -i -E 's/^(const r[0-9]+ = \{ )(\.\.r[0-9]+);/\1\2; \2;/' deep.deq
expect 1 'E0104.*records in one another' timeout 20 "$DEQ" check deep.deq
done_testing
