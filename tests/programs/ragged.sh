#!/usr/bin/env bash
# A sweep whose length depends on sweeps above it: what is beyond does not exist, in any view of the results.
source "$(dirname "$0")/lib.sh"
data 64
cp "$PROGRAMS"/{shared,ragged}.deq .
expect 0 'in all 2 trainings and 22 evaluations, which share 8 attacks' "$DEQ" run ragged.deq --plan
grep -q '  state: 6 evaluations over config, n, under attack' out || fail "two states of one net, four of the other"
expect 0 '' "$DEQ" run ragged.deq
[[ $(grep -c '^state of ' out) == 6 ]] || fail "six states"
[[ $(grep -v '^#' results/ragged/F.csv | wc -l) == 7 ]] || fail "a row for each state that there is"
grep -q '^long,4,' results/ragged/F.csv || fail "the last state of the longer net"
grep -q '^short,3,' results/ragged/F.csv && fail "a state beyond the end of the shorter net"
[[ -z $(cell results/ragged/N.csv 3 'state (short)') && -n $(cell results/ragged/N.csv 3 'state (long)') ]] || fail "an empty cell where there is no state"
grep -q '^| 3  *|  *- |' results/ragged/N.md || fail "Markdown has a dash there"
[[ $(cell results/ragged/F.csv 1 scaled) == 0.5 && $(cell results/ragged/F.csv 3 scaled) == 0.25 ]] || fail "n / net.forward.max in each cell"
grep -q 'Each row is the mean over 2 to 4 runs' results/ragged/J.md || fail "rows of different lengths are said to have as many runs"
for row in 1 2; do # the maximum goes over the states that there are
  best=$(cell results/ragged/C.csv $row best)
  most=$(for n in 1 2 3 4; do cell results/ragged/C.csv $row "state ($n)"; done | sort -g | tail -1)
  [[ $best == "$most" ]] || fail "the best state has $best, the largest of the row is $most"
done
[[ $(grep -c '^"all","config' results/ragged/claims.csv) == 6 ]] || fail "a claim is judged in the cells that there are"
[[ $(cell results/ragged/S.csv 4 'robust (short)') == '' ]] || fail "a family that is shorter for one net"
[[ $(cell results/ragged/R.csv 2 falls) == -1 ]] || fail "the residual falls along the states that there are"
[[ $(cell results/ragged/R.csv 1 rises) == 1 ]] || fail "a sweep's own numbers rise"
grep -q '^"falling","config = short",holds' results/ragged/claims.csv || fail "a rank correlation in a claim"
# `ready` is the gradient that the net has: the evaluation that is there already
[[ $(cell results/ragged/S.csv 1 'robust (long)') == $(cell results/ragged/C.csv 2 last) ]] || fail "net.gradient is another gradient than the net's own"
sed 's/e\[config: long, n: 4\]/e[config: short, n: 4]/' ragged.deq >beyond.deq
expect 2 "E0533.*'n' has no value 4 with the other labels" "$DEQ" run beyond.deq --plan
no_partial_files
done_testing
