#!/usr/bin/env bash
# The main job on tiny data: accuracy, files, cache, same bits with other thread counts, seeds.
source "$(dirname "$0")/lib.sh"
data 600

expect 0 '' "$DEQ" run "$PROGRAMS/tiny.deq" --threads 1
table=results/tiny/tiny.csv
[[ -s $table && -s results/tiny/tiny.md ]] || fail "no table was written"
above $table clean 0.6 # chance is 0.25
above $table robust 0.4
grep -q '| *clean' results/tiny/tiny.md || fail "the Markdown table has no column clean"
for file in net-log.csv net-residual.csv net-training.png net-residual.png net.safetensors tiny.deq settings.json; do
  [[ -s results/tiny/$file || ($file == *.png && -z $(command -v gnuplot)) ]] || fail "results/tiny/$file was not written"
done
cp $table first.csv
cp results/tiny/net.safetensors results/tiny/net-log.csv .

# Once more: served from the cache, the same numbers.
expect 0 'cache' "$DEQ" run "$PROGRAMS/tiny.deq" --threads 1
same first.csv $table

# Same bits for another number of threads, from scratch.
expect 0 '' "$DEQ" run "$PROGRAMS/tiny.deq" --threads 2 --fresh
same first.csv $table
same net-log.csv results/tiny/net-log.csv
cmp -s net.safetensors results/tiny/net.safetensors || fail "two threads give other parameters"

# Another seed gives another net; settings can be changed from outside, and wrong ones are refused.
expect 0 '' "$DEQ" run "$PROGRAMS/tiny.deq" --seed 8 --results other
cmp -s net.safetensors other/tiny/net.safetensors && fail "another seed gave the same parameters"
expect 0 '' "$DEQ" run "$PROGRAMS/tiny.deq" --set net.epochs=1 --results short
expect 64 'epoch' "$DEQ" run "$PROGRAMS/tiny.deq" --set net.epoch=1
expect 0 '' "$DEQ" test "$PROGRAMS/tiny.deq"
no_partial_files
done_testing
