#!/usr/bin/env bash
# An experiment takes values, nets and sweeps of another one, in a module beside it, and makes nothing again.
source "$(dirname "$0")/lib.sh"
data 64
cp "$PROGRAMS"/{shared,first,second}.deq .
expect 0 'in all 4 trainings and 56 evaluations, which share 28 attacks' "$DEQ" run first.deq --plan
expect 0 'in all 6 trainings and 62 evaluations, which share 32 attacks' "$DEQ" run second.deq --plan
grep -q 'first.unused' out && fail "what nothing names is planned"
# two experiments of one script share what they have together
{ cat first.deq; echo 'experiment more { table "M" { rows: [first.config, first.seed]; columns: [first.clean, first.unused] } }'; } >both.deq
expect 0 'in all 4 trainings and 56 evaluations, which share 28 attacks' "$DEQ" run both.deq --plan
expect 0 '' "$DEQ" run second.deq
[[ $(grep -c ': trained in' out) == 6 ]] || fail "a net for each configuration and seed of first, and for each own seed"
expect 0 '' "$DEQ" run second.deq
[[ $(grep -c ': trained in' out) == 0 ]] || fail "a net is trained again"
expect 0 '' "$DEQ" run first.deq
[[ $(grep -c ': trained in' out) == 0 ]] || fail "the nets of first are those that second has trained"
# clean, robust and strongest were made by second; only `unused` is new, and its attack is that of `again`
expect 0 '' "$DEQ" run first.deq --json
ran=$(sed -n 's/.*"attacks_run": *\([0-9]*\).*/\1/p' out | awk '{ n += $1 } END { print n + 0 }')
[[ $ran == 0 ]] || fail "$ran examples are attacked again"
for row in 1 2 3 4; do
  [[ $(cell results/second/S-first.csv $row first.clean) == $(cell results/first/F.csv $((2 * row - 1)) clean) ]] || fail "the clean accuracy of first"
  [[ $(cell results/second/S-first.csv $row 'first.few + 1') == 4 ]] || fail "a number of first"
  early=$(cell results/first/F.csv $((2 * row - 1)) 'strongest (two)') ensemble=$(cell results/first/F.csv $((2 * row)) 'strongest (two)')
  both=$(cell results/second/S-first.csv $row 'both (two)')
  awk -v a="$early" -v b="$ensemble" -v c="$both" 'BEGIN { exit !(c == (a > b ? a : b)) }' || fail "the better of $early and $ensemble is $both"
done
grep -q '^first.config,first.seed,first.clean,' results/second/S-first.csv || fail "rows are sweeps of the other experiment"
grep -q '^"competitive","first.config = short",holds' results/second/claims.csv || fail "a claim is judged in the cells of the other experiment"
expect 0 '' "$DEQ" fmt --check second.deq
no_partial_files
done_testing
