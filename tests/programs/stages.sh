#!/usr/bin/env bash
# Nets that begin with others of the same experiment, cell by cell: each is made once, and a run that is stopped goes on.
source "$(dirname "$0")/lib.sh"
data 64
cp "$PROGRAMS"/{shared,stages}.deq .
expect 0 'in all 16 trainings and 15 evaluations' "$DEQ" run stages.deq --plan
expect 0 '^b (seed = 1, rate = 0.2): Net begins with the weights of a (seed = 1)$' "$DEQ" run stages.deq
grep -q '^c (seed = 0, rate = 0.05): Net begins with the weights of b (seed = 0, rate = 0.05)$' out || fail "a net taken as it is"
grep -q '^d: Net begins with the weights of shared.base$' out || fail "a net of a module"
grep -q '^e (stages.seed = 1, stages.rate = 0.2): Net begins with the weights of b (seed = 1, rate = 0.2)$' out || fail "a net of another experiment"
[[ $(grep -c ': trained in' out) == 12 ]] || fail "$(grep -c ": trained in" out) trainings instead of 12"
cp results/stages/S.csv first.csv
expect 0 '' "$DEQ" run stages.deq
[[ $(grep -c ': trained in' out) == 0 ]] || fail "a net is trained again"
same first.csv results/stages/S.csv
# what begins with a net is another one where that is
expect 0 '' "$DEQ" run stages.deq stages --set a.epochs=2 --results changed
[[ $(grep -c '^[ab] .*: trained in' out) == 6 ]] || fail "what begins with a net is not trained again with it"
# a run that is stopped on the way goes on where it was
interrupted "$DEQ" run stages.deq stages --set b.epochs=100 --results stopped
expect 0 '^[ab] (seed = .*): resumed after epoch' "$DEQ" run stages.deq stages --set b.epochs=100 --results stopped
cp "$(made)/S.csv" stopped.csv
expect 0 '' "$DEQ" run stages.deq stages --set b.epochs=100 --results stopped --fresh
same stopped.csv "$(made)/S.csv"
expect 0 '' "$DEQ" fmt --check stages.deq
no_partial_files
done_testing
