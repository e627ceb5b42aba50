#!/usr/bin/env bash
# Ctrl-C: a clean stop that says what was kept; the next run goes on from there and ends like an uninterrupted one.
source "$(dirname "$0")/lib.sh"
data 2000
sed 's/epochs: *3/epochs: 40/' "$PROGRAMS/tiny.deq" >long.deq

interrupted "$DEQ" run long.deq --threads 2
grep -q -i 'kept' out || fail "the message does not say what was kept"
no_partial_files

expect 0 'resum' "$DEQ" run long.deq --threads 2
cp results/long/tiny.csv resumed.csv
cp results/long/net.safetensors resumed.safetensors
expect 0 '' "$DEQ" run long.deq --threads 2 --fresh
same resumed.csv results/long/tiny.csv
cmp -s resumed.safetensors results/long/net.safetensors || fail "a resumed run gives other parameters than an uninterrupted one"
done_testing
