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

# checkpoints within an epoch: killed in its first one, the run goes on from a batch of it
killed 20000 'cache/deq/nets/*.partial.safetensors' "$DEQ" run long.deq --threads 2 --fresh --set net.checkpoint=0.0001 --set net.epochs=1 --set net.batch=1 --results early
expect 0 'resumed after epoch 0, batch [1-9]' "$DEQ" run long.deq --threads 1 --set net.epochs=1 --set net.batch=1 --results early
early=$(made)
expect 0 '' "$DEQ" run long.deq --threads 2 --fresh --set net.epochs=1 --set net.batch=1 --results late
same "$early/tiny.csv" late/long/tiny.csv
cmp -s "$early/net.safetensors" late/long/net.safetensors || fail "a run that was killed within an epoch ends with other parameters"
expect 0 'found in the cache' "$DEQ" run long.deq --set net.epochs=1 --set net.batch=1 --set net.checkpoint=5 --results late
expect 64 'minutes from 0' "$DEQ" run long.deq --set net.checkpoint=-1
expect 64 'minutes from 0' "$DEQ" run long.deq --set net.checkpoint=often
done_testing
