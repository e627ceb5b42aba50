#!/usr/bin/env bash
# Evaluations under a defence, for every solver: the same numbers as the plain net stopped where the defence reads.
source "$(dirname "$0")/lib.sh"
data 600

# close COLUMN COLUMN: the first row's values agree to seven digits, and are numbers
close() {
  local a b
  a=$(cell $table 1 "$1") b=$(cell $table 1 "$2")
  awk -v a="${a:-nan}" -v b="${b:-nan}" 'BEGIN { d = a - b; if (d < 0) d = -d; exit !(a > 0 && b > 0 && d <= 1e-7 * a) }' ||
    fail "$1 is $a and $2 is $b under $solver"
  checks=$((checks + 1))
}

# differ COLUMN COLUMN
differ() {
  [[ $(cell $table 1 "$1") != "$(cell $table 1 "$2")" ]] || fail "$1 and $2 are equal under $solver"
  checks=$((checks + 1))
}

for solver in "anderson(memory: 4, " "broyden(" "picard("; do
  sed "s/anderson(memory: 4, /$solver/" "$PROGRAMS/defences.deq" >defences.deq
  table=results/defences/defences.csv
  expect 0 'third of net: .* read off states\[3\]' "$DEQ" run defences.deq --threads 1
  grep -q 'warning\[W0913\]: beyond of net is read off state 50, but Net_body makes at most 30 steps' out ||
    fail "no warning of a state that is never made"
  [[ $(cell $table 1 third) == "$(cell $table 1 stopped)" ]] || fail "state 3 is not the state after 3 steps under $solver"
  [[ $(cell $table 1 beyond) == "$(cell $table 1 last)" ]] || fail "state 50 of 30 is not the last under $solver"
  close mean3 spelled
  differ value third
  differ value all
  differ value halfway
  [[ $(cell $table 1 value) == "$(cell $table 1 named)" ]] || fail "'final' is not the value under $solver"
  [[ $(cell $table 1 value.steps) == "$(cell $table 1 halfway.steps)" ]] || fail "a value beside a state takes other steps under $solver"
  grep -q 'halfway of net: .*, read off 0.5 \* final + 0.5 \* states\[1\]' out || fail "the log does not say what is read"
  differ all mean3
  close third.residual stopped.residual # of the state that is read
  [[ $(cell $table 1 third.steps) == 3 && $(cell $table 1 third.converged) == 1 ]] || fail "an early state took other steps"
  above $table robust 0.4
  grep -q '^3,' results/defences/exits.csv && [[ $(cell results/defences/exits.csv 3 exit.steps) == 3 ]] ||
    fail "a sweep over states is not in its table"
  # the early state, as a column of the first table and as a row of the sweep over defences
  [[ $(cut -d, -f2 results/defences/kinds.csv | sed -n 2p) == "$(cell $table 1 guarded)" ]] ||
    fail "a defence under attack differs between two tables"
done

# The cache knows the defence: once more the same numbers, found there; other threads, the same bits.
cp $table first.csv
expect 0 'third of net: .*found in the cache' "$DEQ" run defences.deq --threads 1
same first.csv $table
expect 0 '' "$DEQ" run defences.deq --threads 2 --fresh
same first.csv $table

expect 64 'net.defence' "$DEQ" run defences.deq '--set=net.defence=states[2]'
done_testing
