#!/usr/bin/env bash
# Ctrl-C: a clean stop that says what was kept; the next run goes on from there and ends like an uninterrupted one.
source "$(dirname "$0")/lib.sh"
data 2000
sed 's/epochs: *3/epochs: 40/' "$PROGRAMS/tiny.deq" >long.deq

"$DEQ" run long.deq --threads 2 >out 2>&1 &
pid=$!
for _ in $(seq 600); do # wait for the first epoch's line
  grep -q -i 'epoch' out && break
  kill -0 $pid 2>/dev/null || fail "the run ended before it could be interrupted"
  sleep 0.05
done
sleep 0.3
kill -INT $pid
got=0
wait $pid || got=$?
[[ $got == 130 ]] || fail "exit code $got after SIGINT"
grep -q -i 'kept' out || fail "the message does not say what was kept"
no_partial_files

expect 0 'resum' "$DEQ" run long.deq --threads 2
cp results/long/tiny.csv resumed.csv
cp results/long/net.safetensors resumed.safetensors
expect 0 '' "$DEQ" run long.deq --threads 2 --fresh
same resumed.csv results/long/tiny.csv
cmp -s resumed.safetensors results/long/net.safetensors || fail "a resumed run gives other parameters than an uninterrupted one"
done_testing
