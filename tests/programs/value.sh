#!/usr/bin/env bash
# One value: a trained net is evaluated at the state that it was trained at, whatever gradient is asked beside it.
source "$(dirname "$0")/lib.sh"
data 64
cp "$PROGRAMS/value.deq" .
deq=(timeout 200 "$DEQ")

# equal FILE ROW COLUMN COLUMN, differ FILE ROW COLUMN COLUMN
equal() { [[ -n $(cell "$1" "$2" "$3") && $(cell "$1" "$2" "$3") == "$(cell "$1" "$2" "$4")" ]] || fail "$3 and $4 differ in row $2 of $1"; checks=$((checks + 1)); }
differ() { [[ $(cell "$1" "$2" "$3") != "$(cell "$1" "$2" "$4")" ]] || fail "$3 and $4 are equal in row $2 of $1"; checks=$((checks + 1)); }

expect 0 '' "${deq[@]}" run value.deq
table=results/value/values.csv
equal $table 1 exact_own exact_said
equal $table 1 exact_own exact_mode
differ $table 1 exact_own exact_raw
equal $table 1 steps_own steps_said
differ $table 1 steps_own steps_more
grep -q '"body.finish": "apply(steps: 3, damping: 0.5, undamped_first: true' results/value/settings.json || fail "settings.json does not say the finish"

modes=results/value/modes.csv
for row in 1 2 3 4 5 6 7 8; do
  equal $modes $row alone beside
  equal $modes $row judged judged_beside
  equal $modes $row logit logit_beside
  equal $modes $row kept kept_own # of an iterate whose logits are asked for, beside its gradient or by themselves
done
for row in 1 3 4 7; do equal $modes $row alone judged; done  # modes that differentiate at the value
for row in 2 5 6 8; do differ $modes $row alone judged; done # steps and states of their own

# --set changes the value like every setting; threads do not
cp $table first.csv && cp $modes second.csv
expect 0 '' "${deq[@]}" run value.deq --threads 2 --fresh
same first.csv $table
same second.csv $modes
expect 0 '' "${deq[@]}" run value.deq --set exact.body.finish=none --results raw
[[ $(cell raw/*/values.csv 1 exact_own) == "$(cell raw/*/values.csv 1 exact_raw)" ]] || fail "--set finish=none is not in force"
expect 64 "'appl' is not a finish; did you mean 'apply'" "${deq[@]}" run value.deq --set exact.body.finish=appl
expect 64 "lies between 1 and 1000" "${deq[@]}" run value.deq --set exact.body.finish.steps=0

# what a prediction costs, as benchmarks say: the solver's steps, Broyden's last state, the steps of the finish but the first
cost() {
  local name=$1 evaluations=$2
  shift 2
  "${deq[@]}" bench value.deq --batch 8 --threads 1 --budget 0.01 --rows ': predict' --json "$@" >costs.json || fail "bench of predictions"
  grep -q "\"name\":\"train $name: predict\".*\"evaluations\":$evaluations[.,}]" costs.json || fail "$name: not $evaluations evaluations in $(cat costs.json)"
  checks=$((checks + 1))
}
cost exact 4
# of one net or training run alone
rows() {
  "${deq[@]}" bench value.deq --batch 8 --threads 1 --budget 0.01 --rows 'train|Net' --json --net "$1" >rows.json || fail "bench --net $1"
  grep -o '"name":"train [a-z_]*' rows.json | sort -u | tr -d '\n'
}
[[ $(rows exact) == '"name":"train exact' ]] || fail "bench --net exact: $(cat rows.json)"
cost steps 7
cost exact 4 --set exact.body.finish=none
cost exact 7 --set 'exact.body.finish=apply(steps: 4, damping: 0.5)'
cost exact 9 --set 'exact.body.forward=picard(tol: 0, max: 8)'
cost exact 8 --set 'exact.body.forward=picard(tol: 0, max: 8)' --set exact.body.finish=none

# a gradient through all that makes the value, which is far from an equilibrium; and an exact one at it
for finish in none 'apply()' 'apply(steps: 3, damping: 0.5)' 'apply(steps: 3, damping: 0.5, undamped_first: true, always: true)'; do
  expect 0 '1 of 1 tests passed' "${deq[@]}" gradcheck value.deq "Body[6, 5] with { forward: picard(tol: 0, max: 3); gradient: backprop(); finish: $finish }"
  expect 0 '1 of 1 tests passed' "${deq[@]}" gradcheck value.deq "Body[6, 5] with { gradient: implicit(lu()); finish: $finish }"
done
done_testing
