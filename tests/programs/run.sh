#!/usr/bin/env bash
# The main job on tiny data: accuracy, files, cache, same bits with other thread counts, seeds.
source "$(dirname "$0")/lib.sh"
data 600

expect 0 '' "$DEQ" run "$PROGRAMS/tiny.deq" --threads 1
table=results/tiny/tiny.csv
[[ -s $table && -s results/tiny/tiny.md ]] || fail "no table was written"
above $table clean 60 # chance is 25
above $table robust 50
grep -q '| *clean' results/tiny/tiny.md || fail "the Markdown table has no column clean"
ls results/tiny/*.csv | grep -qv tiny.csv || fail "no training log"
cp $table first.csv

# Once more: served from the cache, the same numbers.
expect 0 'cache' "$DEQ" run "$PROGRAMS/tiny.deq" --threads 1
cmp -s first.csv $table || fail "the second run's table differs"

# Same bits for another number of threads, from scratch.
expect 0 '' "$DEQ" run "$PROGRAMS/tiny.deq" --threads 2 --fresh
cmp -s first.csv $table || fail "two threads give another table: $(diff first.csv $table | head -5)"

# Another seed gives another net; settings can be changed from outside, and wrong ones are refused.
expect 0 '' "$DEQ" run "$PROGRAMS/tiny.deq" --seed 8 --results other
cmp -s first.csv other/tiny/tiny.csv && fail "another seed gave the same table"
expect 0 '' "$DEQ" run "$PROGRAMS/tiny.deq" --set net.epochs=1 --results short
expect 64 'epoch' "$DEQ" run "$PROGRAMS/tiny.deq" --set net.epoch=1
expect 0 '' "$DEQ" test "$PROGRAMS/tiny.deq"
no_partial_files
done_testing
