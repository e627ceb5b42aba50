#!/usr/bin/env bash
# Parameters that are functions: what is passed acts as if it were written out, to the last digit; its settings are data.
source "$(dirname "$0")/lib.sh"
data 64
cp "$PROGRAMS/functions.deq" .
deq=(timeout 200 "$DEQ")
expect 0 '' "${deq[@]}" run functions.deq
table=results/functions/e.csv
# equal COLUMN COLUMN, or a column of another row: in row 1
equal() {
  local a b
  a=$(cell $table 1 "$1") b=$(cell $table "${3:-1}" "$2")
  [[ -n $a && $a == "$b" ]] || fail "$1 is ${a:-missing}, $2 is ${b:-missing}"
  checks=$((checks + 1))
}
equal clean clean2
equal default default2
equal margin1 margin2
equal two two2
equal thrice_one one
equal thrice_two two
equal made made2
equal default swept 1
equal margin1 swept 2
equal two swept 3
[[ $(cell $table 1 one) != $(cell $table 1 two) ]] || fail "the setting of the objective changes nothing"
[[ $(cell $table 1 stepped) != $(cell $table 1 clean) ]] || fail "the attack with a step changes nothing"

# one routine for both targets, and --set reaches it
"${deq[@]}" run functions.deq --emit=ir >ir 2>out || fail "functions.deq does not compile"
both=$(grep -c '^routine ' ir)
sed 's/^attack to_two .*/attack to_two = to_one/' functions.deq >one.deq
"${deq[@]}" run one.deq --emit=ir >ir 2>out || fail "one.deq does not compile"
[[ $(grep -c '^routine ' ir) == "$both" ]] || fail "two targets make $both routines, one $(grep -c '^routine ' ir)"
expect 0 '' "${deq[@]}" run functions.deq --set to_one.objective.target=2 --results set
[[ $(cell set/*/e.csv 1 one) == $(cell $table 1 two) ]] || fail "--set to_one.objective.target=2 gives $(cell set/*/e.csv 1 one)"
expect 64 'did you mean to_one.objective.target' "${deq[@]}" run functions.deq --set to_one.objective.targe=2
expect 64 "target=4: .* lies between 0 and 3" "${deq[@]}" run functions.deq --set to_one.objective.target=4
expect 64 "target=1.5: expected an integer" "${deq[@]}" run functions.deq --set to_one.objective.target=1.5
expect 0 '' "${deq[@]}" fmt --check functions.deq
checks=$((checks + 4))
done_testing
