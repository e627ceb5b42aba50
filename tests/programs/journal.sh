#!/usr/bin/env bash
# The journal of an evaluation: kept when the run is killed in its middle, read by deq journal, filtered, exported, merged.
source "$(dirname "$0")/lib.sh"
"$MAKE_IDX" train-images train-labels 200 1
"$MAKE_IDX" test-images test-labels 2200 2
sed 's/iterations: 5/iterations: 120/' "$PROGRAMS/tiny.deq" >tiny.deq
tiny=(timeout 200 "$DEQ" run tiny.deq --set net.epochs=1 --set net.body.forward.max=30)
table=results/tiny/tiny.csv

# lines FILE: its lines but the titles
lines() { tail -n +2 "$1" | wc -l; }
# fields FILE NAME..: these columns of a CSV
fields() {
  awk -F, -v names="${*:2}" 'NR == 1 { n = split(names, name, " "); for (i = 1; i <= NF; i++) at[$i] = i }
    { for (k = 1; k <= n; k++) printf "%s ", $at[name[k]]; print "" }' "$1"
}

# ---- an undisturbed run, and one that is killed in the middle of the attacked evaluation ----
expect 0 'clean' "${tiny[@]}" --json
cp "$table" undisturbed.csv
IFS=';' read -r clean robust < <(cell "$table" 1 journals)
[[ $clean =~ ^[0-9a-f]{32}$ && $robust =~ ^[0-9a-f]{32}$ && $clean != "$robust" ]] || fail "the table names the journals '$clean' and '$robust'"
for key in $clean $robust; do
  grep -q "\"event\":\"value\".*\"key\":\"$key\".*\"journal\":\"$XDG_CACHE_HOME/deq/journal/$key.journal\"" out || fail "no event names the journal $key"
done
whole=$XDG_CACHE_HOME/deq/journal/$robust.journal
header=$(head -n 1 "$whole" | wc -c)

cp -r "$XDG_CACHE_HOME" killed && rm -r killed/deq/journal killed/deq/attacked
export XDG_CACHE_HOME=$WORK/killed
half=$XDG_CACHE_HOME/deq/journal/$robust.journal
killed "$header" "$half" "$DEQ" run tiny.deq --set net.epochs=1 --set net.body.forward.max=30 --threads 1
"$DEQ" journal "$half" --csv >half.csv
count=$(lines half.csv)
((count >= 1 && count < 2200)) || fail "$count examples in the journal of a run that was killed"
[[ $(fields half.csv id | sed -n '2p;$p' | tr -d '\n') == "0 $((count - 1)) " ]] || fail "not the first examples"

expect 0 'robust' "${tiny[@]}"
same undisturbed.csv "$table"
"$DEQ" journal "$half" --csv >resumed.csv
[[ $(lines resumed.csv) == 2200 ]] || fail "$(lines resumed.csv) examples after the second run"
cmp -s half.csv <(head -n $((count + 1)) resumed.csv) || fail "examples were made again that the journal had"
"$DEQ" journal "$whole" --csv >whole.csv
cmp -s <(untimed whole.csv) <(untimed resumed.csv) || fail "the records differ from those of an undisturbed run"

# ---- the summary: by key and by path, and as the table says ----
expect 0 '2200 examples' "$DEQ" journal "$robust"
revision=$(sed -n 's/^#define DEQ_RECORDS_REVISION //p' "$SOURCE/runtime/record/record.h")
grep -q "^  revision  *$revision$" out || fail "the key of a journal does not have the revision of what records mean"
for word in 'written by *deq [0-9]' 'net ' 'model ' 'metric ' 'attack .*pgd' 'split *test' 'seed *7' 'body.forward *anderson' 'mean loss'; do
  grep -q "  $word" out || fail "the summary does not say '$word'"
done
shown=$(sed -n 's/^  mean metric *\([0-9.]*\) \[\([0-9.]*\), \([0-9.]*\)\]$/\1 \2 \3/p' out)
printf '%.4g %.4g %.4g\n' "$(cell "$table" 1 robust)" "$(cell "$table" 1 'robust low')" "$(cell "$table" 1 'robust high')" >of_table
[[ $shown == "$(<of_table)" ]] || fail "mean metric '$shown', in the table '$(<of_table)'"

# ---- where a single attack started: as the clean evaluation says, in every form, without being written twice ----
cmp -s <(fields resumed.csv id clean_metric clean_loss | tail -n +2) <("$DEQ" journal "$clean" --csv | fields /dev/stdin id metric loss | tail -n +2) ||
  fail "the records of the attack do not start where the clean evaluation is"
[[ $("$DEQ" journal "$robust" --csv --filter 'clean_loss=nan' | wc -l) == 1 ]] || fail "examples without a start"
"${tiny[@]}" --json --examples >examples 2>/dev/null || fail "the run with --examples"
started=$(grep '"event":"example"' examples | grep '"name":"robust"' | grep -c '"clean_loss":[0-9]')
[[ $started == 2200 ]] || fail "$started of 2200 examples have their start in the events"
mkdir alone elsewhere
cp "$half" alone/robust.journal
cp "$half" elsewhere/robust.journal && cp "$XDG_CACHE_HOME/deq/journal/$clean.journal" elsewhere/
[[ $(XDG_CACHE_HOME=$WORK/nothing "$DEQ" journal elsewhere/robust.journal --csv --filter 'clean_loss>0' | wc -l) == 2201 ]] || fail "the clean journal beside it is not found"
[[ $(XDG_CACHE_HOME=$WORK/nothing "$DEQ" journal alone/robust.journal --csv --filter 'clean_loss=nan' | wc -l) == 2201 ]] || fail "a start without a clean evaluation"
checks=$((checks + 5))

# ---- filters ----
wrong=$(fields resumed.csv label metric | awk 'NR > 1 && $2 == 0' | wc -l)
of_class=$(fields resumed.csv label metric | awk 'NR > 1 && $2 == 0 && $1 > 1' | wc -l)
((wrong > of_class && of_class > 0)) || fail "$wrong wrong examples, $of_class of the classes above 1: nothing to filter"
"$DEQ" journal "$robust" --filter 'metric=0' --csv >wrong.csv
[[ $(lines wrong.csv) == "$wrong" ]] || fail "$(lines wrong.csv) wrong examples instead of $wrong"
"$DEQ" journal "$robust" --filter 'metric = 0, label > 1' --json >wrong.json
[[ $(grep -c "^{\"journal\":\"$robust\",\"id\":" wrong.json) == "$of_class" ]] || fail "not $of_class lines of JSON"
expect 0 "2200 examples, of which $wrong are meant" "$DEQ" journal "$robust" --filter 'metric!=1'
expect 0 'of which 2200 are' "$DEQ" journal "$clean" --filter 'clean_metric=nan'
expect 64 "E0901.*did you mean 'margin'" "$DEQ" journal "$robust" --filter 'margn>0'
expect 64 "E0901.*not with 'x'" "$DEQ" journal "$robust" --filter 'margin>x'
expect 64 "E0901.*'margin' is none" "$DEQ" journal "$robust" --filter 'margin'

# ---- files ----
expect 0 '' "$DEQ" journal "$robust" --csv -o table.csv
cmp -s table.csv resumed.csv || fail "-o and standard output differ"
expect 0 '' "$DEQ" journal "$robust" --csv -o table.csv
echo mine >mine.csv
expect 3 'E0821' "$DEQ" journal "$robust" --csv -o mine.csv
expect 0 '' "$DEQ" journal "$clean" "$robust" --csv -o both.csv
[[ $(lines both.csv) == 4400 && $(grep -c "^$clean," both.csv) == 2200 ]] || fail "two journals in one table"
expect 0 '' "$DEQ" journal "$robust" --npz arrays.npz
[[ $(head -c 2 arrays.npz) == PK ]] || fail "no archive was written"
# array NAME BYTES: the whole numbers of an array
array() {
  unzip -p arrays.npz "$1.npy" >array.npy
  grep -a -q "'<i$2'.*(2200,)" array.npy || fail "the array $1 has another type or shape"
  od -An -v -w"$2" -t "d$2" -j $((10 + $(od -An -t u2 -j 8 -N 2 array.npy))) array.npy | tr -d ' '
}
if command -v unzip >/dev/null; then
  [[ $(unzip -Z1 arrays.npz | tr '\n' ' ') == "$(head -n 1 resumed.csv | sed 's/,/.npy /g').npy " ]] || fail "other arrays than the fields"
  for column in 'id 8' 'label 4' 'prediction 4' 'queries 4'; do
    cmp -s <(array $column) <(fields resumed.csv "${column% *}" | tail -n +2 | tr -d ' ') || fail "the array of ${column% *}"
  done
fi

# ---- parts of one evaluation ----
cp "$half" part.journal
truncate -s -$((100 * (($(stat -c %s "$half") - header) / 2200))) part.journal
damage part.journal $((header + 99))
expect 0 'damaged chunks were passed over' "$DEQ" journal part.journal
expect 0 'W0822' "$DEQ" journal part.journal --csv -o part.csv
(($(lines part.csv) > 0 && $(lines part.csv) < 2100)) || fail "$(lines part.csv) examples in a damaged part"
"$DEQ" journal "$half" --filter 'id<1000' --merge -o first.journal >out || fail "a part could not be made"
expect 0 '1000 examples' "$DEQ" journal first.journal
expect 0 "2200 examples of 3 journals" "$DEQ" journal --merge -o all.journal part.journal first.journal "$whole"
"$DEQ" journal all.journal --csv >all.csv
cmp -s all.csv whole.csv || fail "later records do not win"
expect 0 '2200 examples of 2' "$DEQ" journal --merge -o all.journal all.journal first.journal
expect 3 'E0824.*only parts of one evaluation' "$DEQ" journal --merge -o none.journal "$clean" "$robust"
[[ ! -e none.journal ]] || fail "a refused merge left a file"
expect 3 'E0824.*no journal' "$DEQ" journal tiny.deq
expect 64 'OUT.journal says where' "$DEQ" journal --merge "$whole"
expect 64 'only one of' "$DEQ" journal --csv --json "$whole"
expect 64 'one journal' "$DEQ" journal --npz two.npz "$clean" "$robust"
no_partial_files
done_testing
