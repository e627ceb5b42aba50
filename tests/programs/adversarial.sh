#!/usr/bin/env bash
# Attacked examples out: deq export --adversarial, pictures, records on standard output; and results that are sealed.
source "$(dirname "$0")/lib.sh"
"$MAKE_IDX" train-images train-labels 200 1
"$MAKE_IDX" test-images test-labels 300 2
cp "$PROGRAMS/tiny.deq" tiny.deq
settings=(--set net.epochs=1)
table=results/tiny/tiny.csv

# ---- records on standard output ----
expect 64 'examples goes with --json' "$DEQ" run tiny.deq --examples
expect 0 '' "$DEQ" run tiny.deq "${settings[@]}" --json --examples
[[ $(grep -c '^{"event":"example".*"name":"robust".*"outcome":"\(right\|wrong\)".*"id":[0-9]*,"label":[0-3],"prediction":[0-3],.*"loss":.*"margin":.*"queries":[1-9]' out) == 300 ]] ||
  fail "not a line for each of 300 examples"
right=$(grep -c '^{"event":"example".*"name":"robust".*"outcome":"right"' out)
awk -v r="$right" -v v="$(cell $table 1 robust)" 'BEGIN { exit !(r / 300 - v < 1e-6 && v - r / 300 < 1e-6) }' || fail "$right examples are right"

# ---- attacked inputs as arrays ----
expect 0 'robust.npz: 300 attacked inputs of robust under exact' "$DEQ" export tiny.deq --adversarial robust "${settings[@]}" -o robust.npz
grep -q 'rounded to 8 bits: accuracy 0.[0-9]* \[0.[0-9]*, 0.[0-9]*\]; the largest change of an element is 0.0[12]' out || fail "nothing about rounded inputs"
rounded=$(sed -n 's/.*rounded to 8 bits: accuracy \(0[.0-9]*\) .*/\1/p' out)
grep -q "accuracy $(printf %.4g "$(cell $table 1 robust)") " out || fail "another accuracy than the table's"
expect 0 '"event":"exported".*"rounded":{"value":' "$DEQ" export tiny.deq --adversarial robust "${settings[@]}" --json -o robust.npz
if command -v unzip >/dev/null; then
  # numbers NAME TYPE BYTES: the values of an array, a line each
  numbers() {
    unzip -p robust.npz "$1.npy" >"$1.npy"
    od -An -v -w"$3" -t "$2" -j $((10 + $(od -An -t u2 -j 8 -N 2 "$1.npy"))) "$1.npy" | tr -d ' '
  }
  "$DEQ" journal "$(cell $table 1 journals | cut -d';' -f2)" --csv >records.csv
  cmp -s <(paste -d, <(numbers id d8 8) <(numbers label d4 4) <(numbers prediction d4 4)) <(tail -n +2 records.csv | cut -d, -f1-3) ||
    fail "ids, labels and predictions are not those of the journal"
  paste <(numbers clean f4 4) <(numbers attacked f4 4) <(numbers attacked_8bit u1 1) >inputs
  [[ $(wc -l <inputs) == 19200 ]] || fail "not 300 inputs of 64 elements"
  awk '{ d = $2 - $1; if (d < 0) d = -d; if (d > 0.02 + 1e-6 || $2 < 0 || $2 > 1) exit 1; moved += d > 0
    r = 255 * $2 - $3; if (r > 0.5001 || r < -0.5001) exit 1 } END { exit !(moved > 9600) }' inputs || fail "inputs beyond the radius, or rounded to others"
  paste <(numbers label d4 4) <(numbers prediction_8bit d4 4) | awk -v v="$rounded" '$1 == $2 { n++ } END { d = n / 300 - v; exit !(d < 1e-3 && d > -1e-3) }' ||
    fail "predictions of rounded inputs do not give the accuracy $rounded"
  numbers attacked f4 4 >found
  rm -r "$XDG_CACHE_HOME/deq/attacked"
  expect 0 'rounded' "$DEQ" export tiny.deq --adversarial robust "${settings[@]}" -o robust.npz
  cmp -s found <(numbers attacked f4 4) || fail "the attack leads elsewhere when it is run again"
fi

# joined attacks and a sweep: each example has the input that decided it
sed 's/^experiment tiny {/attack joined = sequence(weak, exact)\n\nexperiment swept {\n  sweep n in 1..3\n  let hit = accuracy(net with { forward.max: 20 + n }, quadrants.test under joined)\n\n  table "swept" {\n    rows:    n\n    columns: [hit]\n  }\n}\n\n&/' tiny.deq >swept.deq
expect 64 "means 2 evaluations: 'swept.hit (n = 1)', 'swept.hit (n = 2)'" "$DEQ" export swept.deq --adversarial hit "${settings[@]}" -o hit.npz
expect 64 "is called 'hid'; there are 'swept.hit (n = 1)', 'swept.hit (n = 2)', 'tiny.robust'" "$DEQ" export swept.deq --adversarial hid "${settings[@]}" -o hit.npz
[[ ! -e hit.npz ]] || fail "a refused export left a file"
expect 0 'attacked inputs of hit under joined' "$DEQ" export swept.deq --adversarial 'hit (n = 2)' "${settings[@]}" -o hit.npz

# a net of a cell that begins with another one of it: both have the names of the cell
sed '/^experiment tiny {/,$d' tiny.deq >cells.deq
cat >>cells.deq <<'END'
experiment cells {
  sweep seed in [0, 1]
  train pre = Net on quadrants.train { loss: cross_entropy; optimise: adam(rate: 1e-2); batch: 50; epochs: 1; seed: seed }
  train fine = Net on quadrants.train { start: pre; loss: cross_entropy; optimise: adam(rate: 1e-2); batch: 50; epochs: 1; seed: seed }
  let robust = accuracy(fine, quadrants.test[0..40] under weak)
  table "cells" { rows: seed; columns: [robust] }
}
END
expect 0 'attacked inputs of robust' "$DEQ" export cells.deq --adversarial 'robust (seed = 1)' -o cells.npz
[[ $(cd results/cells && echo *.safetensors) == 'fine-1.safetensors pre-1.safetensors' ]] || fail "nets of a cell are called $(cd results/cells && echo *.safetensors)"

# what is refused
expect 64 'where the attacked inputs go' "$DEQ" export tiny.deq --adversarial robust
expect 64 'as NPZ' "$DEQ" export tiny.deq --adversarial robust -o tiny.safetensors
expect 64 'of no use with --adversarial' "$DEQ" export tiny.deq --adversarial robust --map names -o x.npz
expect 64 'go with --adversarial' "$DEQ" export results/tiny/net.safetensors --threads 2 -o x.npz
echo mine >mine.npz
expect 3 'E0821' "$DEQ" export tiny.deq --adversarial robust "${settings[@]}" -o mine.npz
[[ $(<mine.npz) == mine ]] || fail "a file of the user's was replaced"

# ---- pictures ----
picture=$(make_run() { "$DEQ" run tiny.deq "${settings[@]}" >out 2>&1; }; make_run && made)/robust-attacked.png
script=${picture%.png}.gp colours=${picture%.png}.rgb
grep -q '^set title "robust under exact ' "$script" && grep -q '^set label 1 "[0-9]*:\\n[0-3] as [0-3]"' "$script" || fail "the picture does not say what it shows"
[[ $(stat -c %s "$colours") == "$(sed -n 's/.*array=(\([0-9]*\),\([0-9]*\)).*/\1 \2/p' "$script" | awk '{ print 3 * $1 * $2 }')" ]] || fail "not a colour for each pixel"
if command -v gnuplot >/dev/null; then
  [[ $(head -c 4 "$picture" | tail -c 3) == PNG ]] || fail "no picture $picture"
  touch -d '2001-01-01' "$picture"
  expect 0 '' "$DEQ" run tiny.deq "${settings[@]}"
  [[ $(stat -c %Y "$picture") == $(date -d 2001-01-01 +%s) ]] || fail "the same picture was drawn again"
fi
# the inputs are bytes: in the first row they stand as they are
if command -v unzip >/dev/null; then
  id=$(sed -n 's/^set label 1 "\([0-9]*\):.*/\1/p' "$script") width=$(sed -n 's/.*array=(\([0-9]*\),.*/\1/p' "$script")
  at=$(numbers id d8 8 | grep -n "^$id$" | cut -d: -f1)
  numbers clean f4 4 | sed -n "$((64 * (at - 1) + 1)),$((64 * (at - 1) + 8))p" | awk '{ printf "%.0f\n", 255 * $1 }' >first
  cmp -s first <(od -An -v -w3 -t u1 -j $((3 * (width + 1))) -N 24 "$colours" | awk '{ print $1 }') || fail "the first row of the picture is not the input"
fi
[[ ! -e $(dirname "$picture")/clean-attacked.png ]] || fail "a picture of an evaluation without attack"

# ---- results are as they were written, or refused ----
folder=$(dirname "$picture")
expect 0 'plain iteration' "$DEQ" report "$folder"
grep -q '"version": "deq [0-9]' "$folder/settings.json" && grep -q ",deq [0-9.]*,[0-9a-f]\{16\}$" "$folder/tiny.csv" || fail "results do not say what wrote them"
# refused FILE COMMAND..: after the command deq report refuses the file, which is then put back
refused() {
  cp -r "$folder" kept
  "${@:2}"
  expect 3 "E0822.*$1' is not as deq wrote it" "$DEQ" report "$folder"
  rm -r "$folder" && mv kept "$folder"
}
refused net-solves.json sed -i 's/"examples": 100/"examples": 101/' "$folder/net-solves.json"
refused net-log.csv sed -i '2s/^1,/2,/' "$folder/net-log.csv"
refused net-log.csv truncate -s -9 "$folder/net-log.csv"
refused settings.json sed -i 's/"set": \[/"set": ["net.seed=3", /' "$folder/settings.json"
refused tiny.csv sed -i '2s/^0[.]/1./' "$folder/tiny.csv"
refused other.csv cp "$folder/tiny.csv" "$folder/other.csv"
refused other-solves.json mv "$folder/net-solves.json" "$folder/other-solves.json"
echo 'a,b' >"$folder/own.csv"
expect 0 'plain iteration' "$DEQ" report "$folder" # a file of the user's is left alone
no_partial_files
done_testing
