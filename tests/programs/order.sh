#!/usr/bin/env bash
# What an attack does to an example depends on no other example: not on which are evaluated with it, in which order, on
# how many threads.  Draws belong to the example's place in its split; attacks without draws go with the example itself.
source "$(dirname "$0")/lib.sh"
data 200
sed '/^experiment tiny/,$d; s/^import std.attacks.*/import std.attacks (apgd_t, bim, deepfool, fab_t, pgd, square)/' "$PROGRAMS/tiny.deq" >nets.deq
attacks=("square(radius: 0.03, queries: 20)" "restarts(pgd(radius: 0.03, step: 0.01, iterations: 3), 3)"
  "fab_t(radius: 0.05, iterations: 4)" "apgd_t(radius: 0.03, iterations: 6)" "sequence(bim(radius: 0.01, step: 0.005, iterations: 2), square(radius: 0.03, queries: 10))"
  "deepfool(radius: 0.05, iterations: 4)" "bim(radius: 0.03, step: 0.01, iterations: 4)")

# script NAME SLICE..: every attack on every slice, in this order
script() {
  local out=$1 columns=() slice i
  shift
  { cat nets.deq; echo "experiment order {"; } >"$out.deq"
  for slice in "$@"; do
    for i in "${!attacks[@]}"; do
      columns+=("v${i}_${#columns[@]}")
      echo "  let ${columns[-1]} = accuracy(net, quadrants.test[$slice] under ${attacks[i]})" >>"$out.deq"
    done
  done
  (IFS=,; echo "  table \"order\" { columns: [${columns[*]}] }"; echo "}") >>"$out.deq"
}
# records TABLE: of every attack, all that is known of its examples, but the times
records() {
  local keys key n=0
  IFS=';' read -r -a keys < <(cell "$1" 1 journals)
  for key in "${keys[@]:0:${#attacks[@]}}"; do
    "$DEQ" journal "$key" --csv >one.csv
    untimed one.csv >"records-$((n++))"
  done
}

script whole 0..48
expect 0 '' "$DEQ" run whole.deq --threads 2
records results/whole/order.csv
for i in "${!attacks[@]}"; do mv "records-$i" "whole-$i"; done
export XDG_CACHE_HOME=$WORK/other # nothing of the first run is found, but the same net is trained
script parts 29..48 0..7 7..29
expect 0 '' "$DEQ" run parts.deq --threads 1
records results/parts/order.csv
for i in "${!attacks[@]}"; do
  [[ $(wc -l <"whole-$i") == 49 ]] || fail "not 48 records of ${attacks[i]}"
  diff "whole-$i" "records-$i" || fail "${attacks[i]}: an example's outcome depends on the others"
  checks=$((checks + 1))
done

# the halves of the test images change places: an attack that draws nothing does to each what it did before
halves() { # FILE HEADER SIZE
  { head -c "$2" "$1"; tail -c "$((100 * $3))" "$1"; head -c "$(($2 + 100 * $3))" "$1" | tail -c +"$(($2 + 1))"; } >moved
  mv moved "$1"
}
attacks=("${attacks[@]:5}")
script still 0..200
expect 0 '' "$DEQ" run still.deq
records results/still/order.csv
for i in 0 1; do mv "records-$i" "still-$i"; done
halves test-images 16 64
halves test-labels 8 1
script moved 0..200
expect 0 '' "$DEQ" run moved.deq
records results/moved/order.csv
for i in 0 1; do
  { head -1 "still-$i"; tail -n 100 "still-$i"; sed -n 2,101p "still-$i"; } | cut -d, -f2- >want
  cut -d, -f2- "records-$i" >have
  diff want have || fail "${attacks[i]}: an example's outcome depends on its place"
  checks=$((checks + 1))
done
done_testing
