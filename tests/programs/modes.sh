#!/usr/bin/env bash
# Every gradient mode from a script: attacks succeed, training learns, the number of threads changes nothing.
source "$(dirname "$0")/lib.sh"
data 600

expect 0 '' "$DEQ" run "$PROGRAMS/modes.deq" --threads 1
# column FILE COLUMN: its values, "mode<tab>value"
column() {
  awk -v want="$2" '
    function fields(line,  n) { # modes hold commas: they are quoted
      n = 0
      while (match(line, /^("[^"]*"|[^,]*),?/)) {
        if (RLENGTH == 0) break
        f[++n] = substr(line, 1, RLENGTH); sub(/,$/, "", f[n]); gsub(/"/, "", f[n])
        line = substr(line, RLENGTH + 1)
      }
      return n
    }
    /^#/ { next }
    { n = fields($0) }
    !titles { for (i = 1; i <= n; i++) if (f[i] == want) at = i; titles = 1; next }
    { print f[1] "\t" f[at] }' "$1"
}

column results/modes/training.csv clean >training.txt
column results/modes/attacks.csv robust >attacks.txt

rows=0
while IFS=$'\t' read -r mode value; do
  awk -v v="$value" 'BEGIN { exit !(v + 0 >= 0.6) }' || fail "trained by $mode the accuracy is '$value'"
  rows=$((rows + 1))
done < training.txt
[[ $rows == 6 ]] || fail "the table training has $rows rows"
checks=$((checks + rows)) rows=0

exact=$(awk -F'\t' '$1 ~ /^implicit\(lu/ { print $2 }' attacks.txt)
while IFS=$'\t' read -r mode value; do
  awk -v v="$value" -v e="$exact" 'BEGIN { exit !(v != "" && v - e < 0.1 && e - v < 0.1) }' ||
    fail "attacked through $mode the accuracy is '$value', through the exact gradient '$exact'"
  rows=$((rows + 1))
done < attacks.txt
[[ $rows == 13 ]] || fail "the table attacks has $rows rows"
awk -v e="$exact" 'BEGIN { exit !(e < 0.65) }' || fail "the exact attack leaves '$exact'"
checks=$((checks + rows))

expect 0 '' "$DEQ" run "$PROGRAMS/modes.deq" --threads 2 --fresh
column results/modes/training.csv clean | cmp -s - training.txt || fail "two threads train to another accuracy"
column results/modes/attacks.csv robust | cmp -s - attacks.txt || fail "two threads attack to another accuracy"

# Several gradients in one step of an attack are each of their own point.
expect 0 '' "$DEQ" run "$PROGRAMS/queries.deq"
sed 's/^"[^"]*"/mode/' results/queries/queries.csv | grep -v '^#' >queries.csv
[[ $(wc -l <queries.csv) == 6 ]] || fail "the table of queries has not five rows"
awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) { if ($i == "alone") a = i; if ($i == "among") b = i } next } $a != $b || $a == "" || $a > 0.999 { exit 1 }' queries.csv ||
  fail "a gradient asked for among others is another one: $(cat queries.csv)"

# What shine does where its estimate is not plausible is called by its name.
expect 0 'W0912.*in the last epoch [0-9.]*% of the gradients by shine fell back' "$DEQ" run "$PROGRAMS/modes.deq" --set 'net.gradient=shine(ratio: 1)'

# What does not fit is refused before anything runs, by name.
expect 64 'asks for state 20' "$DEQ" run "$PROGRAMS/modes.deq" --set 'net.gradient=simultaneous(states: 1..21)'
expect 64 'needs the forward solver picard' "$DEQ" run "$PROGRAMS/modes.deq" --set 'net.gradient=backprop()'
expect 64 "no argument 'stats'" "$DEQ" run "$PROGRAMS/modes.deq" --set 'net.gradient=simultaneous(stats: 3)'
expect 0 '' "$DEQ" run "$PROGRAMS/modes_chain.deq"
expect 64 'Net_first: gradient unrolled .* Net_second reads its state' "$DEQ" run "$PROGRAMS/modes_chain.deq" --set 'net.gradient=unrolled(from: 2)'
expect 0 '' "$DEQ" run "$PROGRAMS/modes_chain.deq" --set 'net.second.gradient=simultaneous(states: 1..5)'
no_partial_files
done_testing
