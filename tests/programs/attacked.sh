#!/usr/bin/env bash
# One run of an attack serves every evaluation that differs only in the defence or the metric: the same records as
# without the cache, also after a run that was killed, and with attacked inputs that are damaged.
source "$(dirname "$0")/lib.sh"
"$MAKE_IDX" train-images train-labels 200 1
"$MAKE_IDX" test-images test-labels 900 2
sed '/^experiment defences/,$d; s/iterations: 3/iterations: 120/; s/^import std.attacks (pgd)/import std.attacks (fgsm, pgd)/' "$PROGRAMS/defences.deq" >shared.deq
cat >>shared.deq <<'END'
attack quick = fgsm(radius: 0.02)
attack both = sequence(quick, weak)

experiment shared {
  let plain = accuracy(net, quadrants.test under weak)
  let first = accuracy(net with { defence: early }, quadrants.test under weak)
  let all = accuracy(net with { defence: ensemble() }, quadrants.test under weak)
  let loss = cross_entropy(net, quadrants.test under weak)
  let joined = accuracy(net with { defence: early }, quadrants.test under both)
  let worst = accuracy(net, quadrants.test under both)

  table "shared" { columns: [plain, first, all, loss, joined, worst] }
}
END
table=results/shared/shared.csv

# attacks NAME: how often attacks of this evaluation were run and found, from the events in `out`
attacks() { sed -n "s/^{\"event\":\"value\".*\"name\":\"$1\".*\"attacks_run\":\([0-9]*\),\"attacks_found\":\([0-9]*\).*/\1 \2/p" out; }
# check_attacks NAME PATTERN
check_attacks() {
  [[ $(attacks "$1") =~ ^$2$ ]] || fail "of $1 attacks were run and found: '$(attacks "$1")'; expected '$2'"
  checks=$((checks + 1))
}
# records NAME TABLE: of the evaluation number NAME (from 1), without the times
records() { "$DEQ" journal "$(cell "$2" 1 journals | cut -d';' -f"$1")" --csv >records.csv && untimed records.csv; }

# ---- with and without the cache ----
expect 0 '' "$DEQ" run shared.deq --json --threads 1
check_attacks plain '900 0'
for name in first all loss; do check_attacks $name '0 900'; done
check_attacks joined '[1-9][0-9]* [1-9][0-9]*' # fgsm is run, pgd is known
check_attacks worst '[0-9]* [1-9][0-9]*'
cp $table with.csv
for k in 1 2 3 4 5 6; do records $k $table >with$k; done
: >file
XDG_CACHE_HOME=$WORK/file expect 0 'W0821' "$DEQ" run shared.deq --json
for name in plain first all loss; do check_attacks $name '900 0'; done
same with.csv $table

# ---- --fresh: once a run ----
expect 0 '' "$DEQ" run shared.deq --json --fresh
check_attacks plain '900 0'
check_attacks first '0 900'
same with.csv $table

# ---- killed while the attacks of joined ones run: what was done is found ----
attacked=$XDG_CACHE_HOME/deq/attacked
sizes() { cat "$attacked"/*.rows 2>/dev/null | wc -c; }
rm -r "$XDG_CACHE_HOME/deq/attacked" "$XDG_CACHE_HOME/deq/journal"
killed 5000 "$attacked/*.rows" "$DEQ" run shared.deq --threads 1
before=$(sizes)
expect 0 '' "$DEQ" run shared.deq --json
check_attacks plain '[1-9][0-9]* [0-9]*'
(($(sizes) > before)) || fail "nothing was added to what the killed run had left"
same with.csv $table
for k in 1 2 3 4 5 6; do cmp -s with$k <(records $k $table) || fail "the records of evaluation $k differ after a run that was killed"; done

# ---- records lost, attacked inputs found; damage is noticed ----
rm -r "$XDG_CACHE_HOME/deq/journal"
expect 0 '' "$DEQ" run shared.deq --json
for name in plain first all loss; do check_attacks $name '0 900'; done
same with.csv $table
rm -r "$XDG_CACHE_HOME/deq/journal"
for file in "$attacked"/*.rows; do
  damage "$file" $(($(head -n 1 "$file" | wc -c) + 999))
done
expect 0 'W0822.*attacked inputs that are missing are made again' "$DEQ" run shared.deq --json
check_attacks plain '[1-9][0-9]* [1-9][0-9]*'
check_attacks first '0 900'
same with.csv $table

# ---- another net's under this name is refused ----
rm -r "$XDG_CACHE_HOME/deq/journal"
first=$(ls "$attacked" | head -n 1) last=$(ls "$attacked" | tail -n 1)
cp "$attacked/$first" "$attacked/$last"
expect 0 'W0822.*another entry under this name' "$DEQ" run shared.deq --json
same with.csv $table
no_partial_files
done_testing
