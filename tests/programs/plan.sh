#!/usr/bin/env bash
# deq run --plan: how much of a script the cache holds, and what the rest takes.  No results are written; the cache keeps
# the compiled script and unpacked data.
source "$(dirname "$0")/lib.sh"
data 400
# field NAME: of the plan, by --json
field() { sed -n 's/^{"event":"plan".*"'"$1"'": *\([0-9.e+-]*\)[,}].*/\1/p' out; }
is() { [[ $(field "$1") == "$2" ]] || fail "$1 is '$(field "$1")', not $2"; checks=$((checks + 1)); }
plan=("$DEQ" run "$PROGRAMS/tiny.deq" --plan)

expect 0 'the cache holds 0 of the trainings, and 0 of 400 evaluated examples' "${plan[@]}"
[[ ! -e results && -z $(find cache -name '*.safetensors' -o -name '*.journal' -o -name '*.rows') ]] || fail "a plan leaves something"
expect 0 '' "${plan[@]}" --json
is trainings 1
is trainings_found 0
is examples 400
few=$(field seconds) bytes=$(field bytes)
expect 0 '' "${plan[@]}" --json --set net.epochs=3000 # a thousand times as many, measured anew
awk -v few="$few" -v many="$(field seconds)" 'BEGIN { exit !(few > 0 && many > 30 * few) }' || fail "$few s, and $(field seconds) s for a thousand times as many epochs"
# with `replay` the attack only validates: how long it takes is no matter to a step
sed 's/^  attack:   weak/&\n  replay:   free(2, radius: 0.02, step: 0.01)/' "$PROGRAMS/tiny.deq" >replayed.deq
for iterations in 1 1000; do
  expect 0 '' "$DEQ" run replayed.deq --plan --json --set weak.iterations=$iterations --set net.epochs=300
  field seconds >"seconds-$iterations"
done
awk -v few="$(cat seconds-1)" -v many="$(cat seconds-1000)" 'BEGIN { exit !(few > 0 && many < 10 * few) }' || fail "$(cat seconds-1) s with one step of the attack, $(cat seconds-1000) s with a thousand"
checks=$((checks + 1))
# a record and an attacked input for each example, and the net twice
inputs=$((200 * 64 * 4))
((bytes > inputs && bytes < 6 * inputs)) || fail "$bytes bytes are expected"
checks=$((checks + 3))

expect 0 '' "$DEQ" run "$PROGRAMS/tiny.deq"
cp results/tiny/tiny.csv before.csv
expect 0 'the cache holds 1 of the trainings, and 400 of 400 evaluated examples' "${plan[@]}"
expect 0 '' "${plan[@]}" --json
is seconds 0.0
is bytes 0
cmp -s before.csv results/tiny/tiny.csv || fail "a plan changes the results"
# other examples, another training, another attack are not found; --fresh finds nothing
expect 0 'holds 1 of the trainings, and 200 of 400 ' "${plan[@]}" --set exact.iterations=6
expect 0 'holds 0 of the trainings, and 0 of 400 ' "${plan[@]}" --set net.epochs=4
expect 0 'holds 0 of the trainings, and 0 of 400 ' "${plan[@]}" --fresh
sed 's/let clean = accuracy(net, quadrants.test)/let clean = accuracy(net, quadrants.test[0..50])/; s/quadrants.test under exact/quadrants.test[100..200] under exact/' "$PROGRAMS/tiny.deq" >less.deq
expect 0 'holds 1 of the trainings, and 150 of 150 ' "$DEQ" run less.deq --plan

# an interrupted evaluation is known in part: a journal with its last records cut off
journal=$(find cache -name '*.journal' -size +1k | head -1)
truncate -s $(($(stat -c %s "$journal") - 100)) "$journal"
expect 0 '' "${plan[@]}" --json
found=$(field examples_found)
((found >= 200 && found < 400)) || fail "$found of 400 examples are known"

# Attacks that leave out what is broken are not short on a net that is not trained yet, and mostly wrong: a search by
# queries stops at the first that breaks, and few pictures of the trained net are broken within so small a radius.
sed 's/^attack exact.*/attack exact = square(radius: 1e-6, queries: 500)/; s/^import std.attacks.*/import std.attacks (pgd, square)/' "$PROGRAMS/tiny.deq" >queries.deq
expect 0 'takes at most about .*timed as if no example broke' "$DEQ" run queries.deq --plan --set net.epochs=1 --set net.seed=8
expect 0 '"at_most": *true' "$DEQ" run queries.deq --plan --json --set net.epochs=1 --set net.seed=8
untrained=$(field seconds)
expect 0 '"at_most": *false' "$DEQ" run queries.deq --plan --json
awk -v untrained="$untrained" -v trained="$(field seconds)" 'BEGIN { exit !(trained > 0 && untrained > trained / 2) }' || fail "$untrained s before training, $(field seconds) s after"
checks=$((checks + 1))

# equal by their settings: one net, under two names, and one evaluation of it; called by its text where it has no name
sed '/^train/,$d' "$PROGRAMS/tiny.deq" >equal.deq
cat >>equal.deq <<'END'
const recipe = { loss: cross_entropy; optimise: adam(rate: 1e-2); batch: 32; epochs: 1 }
train net = Net on quadrants.train { ..recipe }
experiment equal {
  sweep steps in [3, 30]
  train own = Net with { forward.max: steps } on quadrants.train { ..recipe }
  table "t" { rows: steps; columns: [accuracy(own, quadrants.test), accuracy(own, quadrants.test under weak)] }
  table "u" { columns: [accuracy(net, quadrants.test), accuracy(net, quadrants.test under weak)] }
}
END
expect 0 '  accuracy(own, quadrants.test under weak): 2 evaluations over steps, under attack' "$DEQ" run equal.deq --plan
expect 0 'in all 2 trainings and 4 evaluations, which share 2 attacks' "$DEQ" run equal.deq --plan
expect 0 '' "$DEQ" run equal.deq
[[ $(grep -c ': trained in' out) == 2 && $(grep -c '^accuracy.*found in the cache' out) == 2 ]] || fail "the plan is not what was made"
[[ $(grep -c '^accuracy.* of ' out) == 6 ]] || fail "six cells"

# what waits for a choice is found as an earlier run has chosen
data 64
cp "$PROGRAMS/claims.deq" .
expect 0 '' "$DEQ" run claims.deq
# a grid tells how far it is
grep -q '^cell 1 of 52: claims (seed = 0, ' out && grep -q '^cell 2 of 52, [0-9.e-]* s each, about [0-9:]* left: claims (' out || fail "cells are not told with what is left"
expect 0 '' "$DEQ" run claims.deq --plan --json
is examples_found "$(field examples)"
is trainings_found 2
expect 0 '"event":"cell","experiment":"claims","label":"claims (seed = 0, .*"number":1,"of":52,"seconds":[0-9.e-]*,"left":null' "$DEQ" run claims.deq --json --fresh
no_partial_files
done_testing
