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
grep -q '| 2 |$' results/claims/claims.md || fail "claims say over how many seeds they are"
cp results/claims/claims.csv before.csv
expect 4 'E0962' "$DEQ" run claims.deq --strict
cmp -s before.csv results/claims/claims.csv || fail "the second run judges otherwise"
expect 4 'E0962' "$DEQ" run claims.deq --strict --threads 1
cmp -s before.csv results/claims/claims.csv || fail "threads change the resamples"

# the page of the run has them, and does not show changed ones
expect 0 '' "$DEQ" report results/claims --html -o claims.html
grep -q '<td>an attack costs accuracy</td><td>holds</td>' claims.html || fail "the page has no claims"
cp -r results/claims changed && sed -i 's/,fails,/,holds,/' changed/claims.csv
expect 3 'E0822.*claims.csv' "$DEQ" report changed --html
expect 0 '"event": *"claim"' "$DEQ" run claims.deq --json
no_partial_files
done_testing
