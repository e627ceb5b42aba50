#!/usr/bin/env bash
# Values of an experiment are arrays over the sweeps they mention: each cell is made once.
source "$(dirname "$0")/lib.sh"
data 64
cp "$PROGRAMS/arrays.deq" .
expect 0 '' "$DEQ" run arrays.deq
[[ $(grep -c ': trained' out) == 2 ]] || fail "a net for each seed, and no more"
[[ $(grep -c '^clean of ' out) == 2 ]] || fail "the clean accuracy has the axis of the seed alone"
[[ $(grep -c '^at_n of ' out) == 6 ]] || fail "a state's accuracy for each seed and state"
[[ $(grep -c '^robust of ' out) == 8 ]] || fail "robust: two seeds, two gradients, two lengths"
[[ $(grep -c '^early of ' out) == 4 ]] || fail "early waits for the choice of its seed, and runs once for each length"

# ---- reductions say what the cells say ----
for row in 1 2; do
  worst=$(cell results/arrays/chosen.csv $row worst)
  clean=$(cell results/arrays/chosen.csv $row clean)
  chosen=$(cell results/arrays/chosen.csv $row exit)
  next=$(cell results/arrays/chosen.csv $row 'exit + 1')
  [[ $next == $((chosen + 1)) ]] || fail "exit is $chosen, exit + 1 is $next"
  awk -v w="$worst" -v c="$clean" 'BEGIN { exit !(w <= c) }' || fail "the worst of several attacks is $worst, the clean accuracy $clean"
  grep -q "early of net (seed = $((row - 1))).*read off states\[$chosen\]" out || fail "early is not read off the chosen state $chosen"
done
grep -q '^seed,clean,clean low,clean high,' results/arrays/chosen.csv || fail "the accuracies have their intervals"
[[ $(grep -vc '^#' results/arrays/seeds.csv) == 2 ]] || fail "without rows a table has one line"

# ---- again: nothing is made, and the files have the same bytes ----
cp results/arrays/chosen.csv before.csv
expect 0 '' "$DEQ" run arrays.deq
[[ $(grep -c 'found in the cache' out) -ge 20 ]] || fail "the second run makes something again"
sed 's/,[0-9.]*,[0-9.]*,reliable.*//' before.csv >a; sed 's/,[0-9.]*,[0-9.]*,reliable.*//' results/arrays/chosen.csv >b
cmp -s a b || fail "the second run gives other numbers"
no_partial_files
done_testing
