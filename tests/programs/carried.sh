#!/usr/bin/env bash
# A checkpoint is a trained net: parameters, and the settings that it was trained with.  Scripts that take it as it is, what
# `deq export` writes of it, and C libraries that load it have its value, bit for bit.
source "$(dirname "$0")/lib.sh"
data 64
cp "$PROGRAMS/carried.deq" .
deq=(timeout 200 "$DEQ")
expect 0 '' "${deq[@]}" run carried.deq
table=results/carried/kept.csv
value() { cell "$table" 1 "$1"; } # of the script that trained

# ---- scripts ----
# taken NET FILE [SETTINGS]: loss, finish and steps of the net that a script takes from the file
taken() {
  awk '/^train/ { exit } { print }' carried.deq | grep -v -e std.optimisers -e std.metrics >taken.deq
  cat >>taken.deq <<DEQ
train m = $1 on quadrants.train { loss: cross_entropy; start: weights("$2") }
experiment e {
  let own = cross_entropy(m, quadrants.test)
  let changed = cross_entropy(m with { finish.steps: 9 }, quadrants.test)
  table "e" { columns: [own, own.steps, changed] }
}
DEQ
  expect 0 '' "${deq[@]}" run taken.deq "${@:3}"
}
# is COLUMN VALUE: of the table of the script that took
is() { [[ $(cell results/taken/e.csv 1 "$1") == "$2" ]] || fail "$1 is $(cell results/taken/e.csv 1 "$1"), not $2"; checks=$((checks + 1)); }

steps=results/carried/steps.safetensors long=results/carried/long.safetensors
[[ $(value steps_own) != "$(value long_own)" && $(value long_own) != "$(value long_raw)" ]] || fail "the values of the nets are the same"
[[ $(value again_own) == "$(value steps_own)" ]] || fail "a net that begins with another, and trains no further, has another value"
taken Net $steps
is own "$(value steps_own)"
grep -q '^note' out && fail "a note where nothing differs"
grep -q '"body.finish": "apply(steps: 3, damping: 0.5, undamped_first: true' results/taken/settings.json || fail "settings.json has another finish"

# what the script says holds, and is told
taken Net $long
is own.steps 3
grep -q 'note: m: results/carried/long.safetensors was trained with body.forward: broyden(.*max: 9); the script says broyden(.*max: 3), which holds' out ||
  fail "no note on the solver"
taken 'Net with { forward.max: 9 }' $long
is own "$(value long_own)"
is own.steps "$(value long_own.steps)"
grep -q '^note' out && fail "a note where the script says the same"
taken 'Net with { forward.max: 9; finish: apply() }' $steps
grep -q 'note: m: .*trained with body.finish: apply(steps: 3.*; the script says apply(steps: 1' out || fail "no note on the finish"
[[ $(cell results/taken/e.csv 1 own) != "$(value steps_own)" ]] || fail "the finish of the script does not hold"
taken 'Net with { forward.max: 9; finish: apply() }' $long
is own "$(value long_own)"

# changes begin at the net as it was trained, in the script and by --set
taken Net $steps
nine=$(cell results/taken/e.csv 1 changed)
[[ $nine != "$(value steps_own)" ]] || fail "finish.steps changes nothing"
taken Net $steps --set m.body.finish.steps=9 --results set
[[ $(cell set/*/e.csv 1 own) == "$nine" ]] || fail "--set finish.steps does not begin at the net's own finish"
taken Net net.npz --set m.start=$steps --results from # a file that only --set names
[[ $(cell from/*/e.csv 1 own) == "$(value steps_own)" ]] || fail "the file that --set names does not say the finish"

# ---- comparisons of gradients solve as each net was trained ----
expect 0 '' "${deq[@]}" compare carried.deq
steps_of() { awk -F'"' -v name="$1" '$2 == name && $4 ~ /^implicit/ { split($NF, rest, ","); print rest[8] }' results/carried/compare.csv | sort -u; }
[[ $(steps_of long) == 9 && $(steps_of steps) == 3 && $(steps_of again) == 3 ]] || fail "compare: $(steps_of long), $(steps_of steps) and $(steps_of again) steps"
checks=$((checks + 1))

# ---- exported: safetensors says it, NPZ cannot, and that is told ----
expect 0 '' "${deq[@]}" export $steps -o out.safetensors
taken Net out.safetensors
is own "$(value steps_own)"
expect 0 'note: net.npz does not say that the net was trained with body.finish: apply(steps: 3' "${deq[@]}" export $steps -o net.npz
taken Net net.npz
[[ $(cell results/taken/e.csv 1 own) != "$(value steps_own)" ]] || fail "an NPZ file has settings"
taken 'Net with { finish: apply(steps: 3, damping: 0.5, undamped_first: true) }' net.npz
is own "$(value steps_own)"

# what a file says must mean something
sed 's/apply(steps: 3/apply(steps: 0/' out.safetensors >bad.safetensors
sed "s/out.safetensors/bad.safetensors/; s/net.npz/bad.safetensors/" taken.deq >refused.deq
expect 3 'E0812.*m of .bad.safetensors. was trained with .body.finish: apply(steps: 0.*lies between 1 and 1000' "${deq[@]}" run refused.deq

# ---- libraries ----
sanitize=()
grep -q __asan_init "$(dirname "$DEQ")/libdeqrt.a" && sanitize=(-fsanitize=address,undefined)
sed '/^train long/,/^}/d; /long_/d; s/, long_own.*\]/]/; /^  table/s/again_own/again_own]/; s/\]\]*/]/' carried.deq >one.deq
expect 0 'libNet.so' "${deq[@]}" build --lib --net Net one.deq --target-cpu native -o lib
cc "${sanitize[@]}" -std=c11 -I lib "$SOURCE/tests/library/value.c" -o client lib/libNet.so -Wl,-rpath,"$PWD/lib" -lm || fail "value.c does not compile"

# predicted NUMBER: records of an evaluation of the table, by its place, as the program in C prints them
predicted() {
  "${deq[@]}" journal "$(cell $table 1 journals | cut -d';' -f"$1")" --csv | awk -F, '
    !titles { for (i = 1; i <= NF; i++) at[$i] = i; titles = 1; next }
    { print $at["prediction"] "," $at["loss"] "," $at["margin"] }' >records
  [[ $(wc -l <records) == 200 ]] || fail "evaluation $1 has $(wc -l <records) records"
}
agree() { diff client.out records >differences || fail "$1: the library and the run disagree: $(head -4 differences)"; checks=$((checks + 1)); }
for net in steps:1 long:4; do
  predicted "${net#*:}"
  ./client results/carried/"${net%:*}".safetensors test-images test-labels >client.out || fail "the program in C ends with $?"
  agree "${net%:*}"
done
# what the program has said itself stays
predicted 5
./client $long test-images test-labels body.finish none >client.out || fail "the program in C ends with $?"
agree 'a setting of the program'
done_testing
