#!/usr/bin/env bash
# Attacks against another net: against the evaluated one they are what they are without it, on linear nets they are what
# the weights say, and a run that was killed goes on.
source "$(dirname "$0")/lib.sh"
"$MAKE_IDX" train-images train-labels 400 1
"$MAKE_IDX" test-images test-labels 300 2
cp "$PROGRAMS/against.deq" .
# journal KEY: its records by example: threads finish in any order
journal() { "$DEQ" journal "$1" --csv | { IFS= read -r titles && echo "$titles" && sort -t, -n; }; }
# records TABLE NUMBER: of that evaluation of the table's first row, without the times; counts of what was asked as well
records() { journal "$(cell "$1" 1 journals | cut -d';' -f"$2")" >records.csv && untimed records.csv; }
# outcomes TABLE NUMBER: of these, what does not depend on how the inputs were found
outcomes() { records "$@" | awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) keep[i] = $i ~ /^(id|prediction|metric|loss|margin|distance)/ } { for (i = 1; i <= NF; i++) if (keep[i]) printf "%s,", $i; print "" }'; }
same_files() {
  cmp -s "$1" "$2" || fail "$3: $(diff "$1" "$2" | head -4)"
  checks=$((checks + 1))
}
# attacks NAME: how often attacks of this evaluation were run and found, from the events in `out`
attacks() { sed -n "s/^{\"event\":\"value\".*\"name\":\"$1\".*\"attacks_run\":\([0-9]*\),\"attacks_found\":\([0-9]*\).*/\1 \2/p" out; }
check_attacks() {
  [[ $(attacks "$1") =~ ^$2$ ]] || fail "of $1 attacks were run and found: '$(attacks "$1")'; expected '$2'"
  checks=$((checks + 1))
}
results=results/against

# ---- against the same net: the same records, from the same inputs; and made alone ----
expect 0 '' "$DEQ" run against.deq --json
check_attacks white '300 0'
check_attacks itself '0 300'
records $results/identity.csv 1 >white
records $results/identity.csv 2 >itself
same_files white itself "against the net itself the records differ"
[[ $(cell $results/identity.csv 1 journals) =~ ^([^;]*)\;([^;]*)$ && ${BASH_REMATCH[1]} != "${BASH_REMATCH[2]}" ]] ||
  fail "two attacks have one journal"
rm -r "$XDG_CACHE_HOME/deq/journal" "$XDG_CACHE_HOME/deq/attacked"
sed '/let white/d; s/\[white, itself\]/[itself]/' against.deq >alone.deq
expect 0 '' "$DEQ" run alone.deq --json
check_attacks itself '300 0'
records results/alone/identity.csv 1 >alone
same_files white alone "against the net itself, made alone, the records differ"

# ---- inputs are those of the attack on the other net, found for every net that is judged on them ----
check_attacks there '300 0'
check_attacks moved '0 300'
check_attacks foreign '300 0'
check_attacks back '0 300'
expect 0 '' "$DEQ" export alone.deq --adversarial there -o there.npz
expect 0 '' "$DEQ" export alone.deq --adversarial moved -o moved.npz
rm -r "$XDG_CACHE_HOME/deq/attacked"
expect 0 '' "$DEQ" export alone.deq --adversarial moved -o again.npz
if command -v unzip >/dev/null; then
  unzip -p there.npz attacked.npy >there.npy && [[ -s there.npy ]] || fail "no inputs in there.npz"
  for file in moved again; do
    same_files there.npy <(unzip -p $file.npz attacked.npy) "transferred inputs in $file.npz are others"
  done
else
  echo "not tested: transferred inputs that are exported (no unzip)"
fi

# ---- linear nets: the inputs that the weights of the one give, judged by the other ----
outcomes $results/linear.csv 1 >crafted
outcomes $results/linear.csv 2 >written
outcomes $results/linear.csv 3 >own
(($(wc -l <crafted) == 301)) || fail "there are $(wc -l <crafted) lines of records"
same_files crafted written "what is crafted against a linear net is not what its weights say"
cmp -s crafted own && fail "the two linear nets are one"

# ---- the nets of an experiment: net is the one with seed 0, again that with seed 5 ----
moved_records() { journal "$(cell $results/cells.csv "$1" journals)" >records.csv && untimed records.csv; }
same_files white <(moved_records 1) "against the net of a cell the records differ"
records $results/others.csv 2 >moved
same_files moved <(moved_records 2) "against the net of another cell the records differ"

# ---- from outside ----
expect 0 '' "$DEQ" run against.deq --set transferred.against=net
records "$(made)/others.csv" 2 >set
same_files white set "against the net itself from outside the records differ"
expect 64 "the script trains no net 'nobody'" "$DEQ" run against.deq --set transferred.against=nobody
expect 64 "compiled for a net of Net and the loss cross_entropy; 'plain' is of Plain, with margin" "$DEQ" run against.deq --set transferred.against=plain
expect 64 'did you mean.*transferred.against' "$DEQ" run against.deq --set transferred.agains=net
expect 0 '' "$DEQ" run against.deq

# ---- transfer of std.attacks, without its copies, is momentum with a look ahead ----
outcomes $results/library.csv 1 >nesterov
outcomes $results/library.csv 2 >one
same_files nesterov one "transfer of one scale is another attack"
[[ $(sed '/^#/d' $results/library.csv | tail -n 1 | cut -d, -f3) != "" ]] || fail "no number of transfer"

# ---- names, and joined attacks part by part ----
grep -q '^Under transferred against again through phantom.unroll(.*): moved' $results/others.md || fail "the table does not say against what"
grep -q '^Under weak against again with body.forward.max: 3 through' $results/others.md || fail "the table does not say with what settings"
grep -q 'from_plain against plain, transferred against again.*, weak through .*: worst' $results/others.md || fail "parts are not told apart"
outcomes $results/others.csv 2 | cut -d, -f1,3 >moved
outcomes $results/others.csv 3 | cut -d, -f1,3 >foreign
outcomes $results/others.csv 5 | cut -d, -f1,3 >joined
paste -d, moved foreign | awk -F, 'NR == 1 { print "id,metric"; next } { print $1 "," ($2 && $4 ? $2 : 0) }' >least
same_files least <(sed 's/,1\.*0*$/,1/; s/,0\.*0*$/,0/' joined) "a sequence is not the worst of its parts on the evaluated net"

# ---- an attack that knows a defence: the loss is that of its predictions, the exact gradient that of this loss ----
cp "$PROGRAMS/knows.deq" .
expect 0 '' "$DEQ" run knows.deq
# column TABLE ROW NUMBER FIELD: of the evaluation NUMBER of a row, that field of every example
column() {
  journal "$(cell "$1" "$2" journals | cut -d';' -f"$3")" |
    awk -F, -v field="$4" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == field) at = i; next } { print $at }'
}
knows=results/knows/knows.csv
for row in $(seq 24); do
  paste -d' ' <(column $knows "$row" 1 loss) <(column $knows "$row" 2 distance_inf) |
    awk '{ d = $1 - $2; if (d < -1e-5 || d > 1e-5) bad++ } END { exit NR != 60 || bad > 0 }' ||
    fail "in row $row loss(x) is not the loss of what the defence predicts"
  [[ $(sed -n "/^#/d; $((row + 1))p" <(sed '/^#/d' $knows)) == *backprop* ]] || continue
  middle=$(column $knows "$row" 3 distance_inf | sort -g | sed -n 30p)
  awk -v m="$middle" 'BEGIN { exit !(m < 5e-3) }' || fail "in row $row the gradient is off by $middle"
  checks=$((checks + 1))
done
same_files <(column results/knows/aware.csv 1 1 loss) <(column results/knows/aware.csv 1 2 loss) "the attack on the net itself knows its defence"
paste -d' ' <(column results/knows/aware.csv 1 1 loss) <(column results/knows/aware.csv 1 3 loss) |
  awk '{ more += $2 > $1 } END { exit !(more > 0.7 * NR) }' || fail "an attack that knows the defence does no better"
grep -q 'weak against net with defence: states\[1\] through backprop' results/knows/aware.md || fail "the table does not name the defence that is known"
"$DEQ" run knows.deq --threads 1 --fresh >out 2>&1 || fail "a run with one thread fails"
cp $knows two.csv
"$DEQ" run knows.deq --threads 2 --fresh >out 2>&1 || fail "a run with two threads fails"
same $knows two.csv

# ---- audits: of the net itself as without it; what says nothing of a transferred attack has no number ----
# check NAME CHECK: its number for that evaluation, from the events in `out`
check() { sed -n "s/^{\"event\":\"value\".*\"name\":\"$1\".*{\"check\":\"$2\",[^}]*\"number\":\([^,}]*\)}.*/\1/p" out; }
expect 0 '' "$DEQ" run against.deq --json --audit
for name in implicit phantom jfb margin longer unbounded noise search tighter; do
  [[ -n $(check white $name) && $(check white $name) == "$(check itself $name)" ]] ||
    fail "$name of the attack is '$(check white $name)', and against the net itself '$(check itself $name)'"
done
awk -v t="$(check white tighter)" 'BEGIN { exit !(t < 0.02) }' || fail "tighter solves change $(check white tighter) of the predictions"
[[ $(check there search) == "0.0" ]] || fail "search of a white-box attack is '$(check there search)'"
for name in unbounded search saturated uncut; do
  [[ -z $(check moved $name) ]] || fail "$name of a transferred attack is '$(check moved $name)'"
done
for name in implicit jfb margin longer noise; do
  [[ -n $(check moved $name) ]] || fail "$name of a transferred attack has no number"
done
checks=$((checks + 4))

# ---- an attack that does not know the defence is made again, knowing it ----
expect 0 '' "$DEQ" run knows.deq --json --audit --set 'weak.radius=0.2'
[[ -n $(check unaware defended) && $(check unaware defended) == "$(check itself defended)" ]] ||
  fail "defended of the attack is '$(check unaware defended)', and against the net itself '$(check itself defended)'"
for name in knowing asked; do
  [[ -z $(check $name defended) ]] || fail "defended of an attack that knows the defence is '$(check $name defended)'"
done
checks=$((checks + 2))

# ---- killed, and gone on with ----
sed 's/iterations: 5/iterations: 400/; /^experiment identity/,/^}/d; /^experiment linear/,/^}/d; /let there/d; s/\[there, moved/[moved/' against.deq >long.deq
expect 0 '' "$DEQ" run long.deq --json
for k in 1 2 3 4 5; do records results/long/others.csv $k >long$k; done
rm -r "$XDG_CACHE_HOME/deq/attacked" "$XDG_CACHE_HOME/deq/journal"
killed 5000 "$XDG_CACHE_HOME/deq/attacked/*.rows" "$DEQ" run long.deq --threads 1
expect 0 '' "$DEQ" run long.deq --json
check_attacks moved '[0-9]* [1-9][0-9]*'
for k in 1 2 3 4 5; do same_files long$k <(records results/long/others.csv $k) "the records of evaluation $k differ after a run that was killed"; done
no_partial_files
done_testing
