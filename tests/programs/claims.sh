#!/usr/bin/env bash
# Claims are judged on resamples: the same bits each time, and with --strict one that fails is the exit code.
source "$(dirname "$0")/lib.sh"
data 64
cp "$PROGRAMS/claims.deq" .
expect 0 'claim "an attack costs accuracy" holds: true in' "$DEQ" run claims.deq
claim() { grep "^\"$1\",\"\"," results/claims/claims.csv | cut -d, -f3; }
[[ $(claim 'an attack costs accuracy') == holds ]] || fail "an attack does not cost accuracy"
[[ $(claim 'more than all of it') == fails ]] || fail "an attack costs more than half"
[[ $(claim 'solves are short') == holds ]] || fail "means of solves are no values of a claim"
grep -q '^"an attack costs accuracy","defence = early",holds,0' results/claims/claims.csv || fail "a cell of a claim has its number"
for pick in 'picks leave out the others' 'of what they leave nothing is seen'; do
  [[ $(claim "$pick") == holds ]] || fail "cells that a pick leaves out are judged: $pick is $(claim "$pick")"
done
# of a share that is 0 in all examples every resample is the same: Wilson's interval of 50
grep -q '^"nothing withstands","",holds,0,0,0.0713[0-9]*,' results/claims/claims.csv || fail "$(grep 'nothing withstands' results/claims/claims.csv)"
# seeds are drawn among those that the pick keeps, and only where a mean or a deviation is taken over them
[[ $(grep -c '^"of one seed","[^"]*",holds,[^,]*,[^,]*,[^,]*,1.0000,[0-9]*,1,' results/claims/claims.csv) == 3 ]] || fail "$(grep 'of one seed' results/claims/claims.csv)"
grep -q '^"of the worst seed","",holds,[^,]*,[^,]*,[^,]*,1.0000,[0-9]*,0,' results/claims/claims.csv || fail "a least draws no seeds: $(grep 'worst seed' results/claims/claims.csv)"
# a choice among numbers is judged as the number; it rests on what it chose by
number() { grep "^\"$1\"" results/claims/claims.csv | cut -d, -f3-9,12; }
[[ $(claim 'a choice') == holds && $(number 'a choice') == "$(number 'its number')" ]] || fail "$(number 'a choice') is not $(number 'its number')"
number 'a choice' | grep -q ',\(reliable\|suspect\|masked\|broken\)$' || fail "a choice by accuracies under attack has no verdict"
# what was not measured is neither true nor false, and the others are judged
for nothing in 'not measured' 'in no seed' 'nothing is left'; do
  [[ $(claim "$nothing") == undecided ]] || fail "$nothing is $(claim "$nothing")"
  grep -q "^\"$nothing\",\"\",undecided,,,,,0," results/claims/claims.csv || fail "$(grep "$nothing" results/claims/claims.csv)"
done
grep -q 'claim "nothing is left" is undecided: it is about nothing: none of its cells has a value' out || fail "not said of the claim that is about nothing"
grep -q '^\*\*in no seed\*\*: nothing was measured in 2 of its 2 cells' results/claims/claims.md || fail "$(grep 'in no seed' results/claims/claims.md)"
[[ $(grep -c '^"picks leave out the others","' results/claims/claims.csv) == 3 ]] || fail "a claim has cells that its pick leaves out"
grep -q '| 2 | [^|]* |$' results/claims/claims.md || fail "claims say over how many seeds they are"
# an undecided claim says how many would decide it, as its share says: (1.96 / z)^2 times as many, rounded up to two digits
awk -F, '/^"the early exit loses more","method = one",undecided/ { share = $7; n = $8; seeds = $9; needs = $10; more = $11 }
  END {
    low = 0; high = 5; p = share < 0.5 ? share : 1 - share # z by halving; the tail of a normal by Simpson on [z, z + 8]
    for (k = 0; k < 40; k++) { z = (low + high) / 2; t = 0
      for (i = 0; i <= 800; i++) t += exp(-(z + i / 100) ^ 2 / 2) * (i == 0 || i == 800 ? 1 : i % 2 ? 4 : 2)
      if (t / 300 / sqrt(2 * 3.14159265358979) > p) low = z; else high = z }
    times = (1.959964 / z) ^ 2
    exit !(needs > n && needs >= 0.99 * times * n && needs <= 1.11 * times * n && more >= 0.99 * times * seeds && more <= 1.11 * times * seeds + 1)
  }' results/claims/claims.csv || fail "$(grep 'loses more' results/claims/claims.csv)"
sed 's/"[^"]*"/text/g' results/claims/claims.csv | awk -F, 'NR > 1 && ($3 == "holds" || $3 == "fails") && $10 $11 != "" { exit 1 }' || fail "a claim that is decided needs more"
grep -q '^| the early exit loses more | undecided | .* | [0-9]* examples, [0-9]* seeds |$' results/claims/claims.md || fail "the Markdown does not say what would decide"
grep -q '^| a bar \\| in the text | holds | ' results/claims/claims.md || fail "a bar in a claim's text ends its cell"
cp results/claims/claims.csv before.csv
expect 4 'E0962' "$DEQ" run claims.deq --strict
cmp -s before.csv results/claims/claims.csv || fail "the second run judges otherwise"
expect 4 'E0962' "$DEQ" run claims.deq --strict --threads 1
cmp -s before.csv results/claims/claims.csv || fail "threads change the resamples"

# the page of the run has them, and does not show changed ones
expect 0 '' "$DEQ" report results/claims --html -o claims.html
grep -q '<td>an attack costs accuracy</td><td>holds</td>' claims.html || fail "the page has no claims"
grep -q '<td>a bar | in the text</td><td>holds</td>' claims.html || fail "the page's row of a claim with a bar is shifted"
cp -r results/claims changed && sed -i 's/,fails,/,holds,/' changed/claims.csv
expect 3 'E0822.*claims.csv' "$DEQ" report changed --html
expect 0 '"event": *"claim"' "$DEQ" run claims.deq --json
no_partial_files
done_testing
