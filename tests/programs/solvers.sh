#!/usr/bin/env bash
# First states and chains: gradients agree with differences, warm starts save steps, threads and interruptions change no bit.
source "$(dirname "$0")/lib.sh"
data 400
program=$PROGRAMS/solvers.deq

last_steps() { # of a solve, in the last epoch
  awk -F, '/^#/ { next } !t { for (i = 1; i <= NF; i++) if ($i == "steps") c = i; t = 1; next } { s = $c } END { print s }' "$(made)/net-log.csv"
}

expect 0 'passed' "$DEQ" test "$program"
expect 0 '' "$DEQ" run "$program" --threads 1
above results/solvers/solvers.csv clean 0.7
cp results/solvers/net.safetensors one.safetensors
cp results/solvers/solvers.csv one.csv
warm=$(last_steps)
expect 0 '' "$DEQ" run "$program" --threads 2 --fresh
cmp -s one.safetensors results/solvers/net.safetensors || fail "two threads train other parameters"
same one.csv results/solvers/solvers.csv

# From zero the same training takes more steps.
expect 0 '' "$DEQ" run "$program" --set net.body.start=zeros
cold=$(last_steps)
awk -v w="$warm" -v c="$cold" 'BEGIN { exit !(w > 0 && w < c) }' || fail "a warm start takes $warm steps, a cold one $cold"
checks=$((checks + 1))

# An interrupted run goes on with the examples' last states.
sed 's/epochs: *3/epochs: 40/' "$program" >long.deq
interrupted "$DEQ" run long.deq --threads 2
expect 0 'resum' "$DEQ" run long.deq --threads 2
cp results/long/net.safetensors resumed.safetensors
expect 0 '' "$DEQ" run long.deq --threads 1 --fresh
cmp -s resumed.safetensors results/long/net.safetensors || fail "a resumed run gives other parameters than an uninterrupted one"
checks=$((checks + 1))

# What does not fit is refused by name.
expect 64 'start: given' "$DEQ" run "$program" --set net.body.start=given
expect 64 "'start' is zeros" "$DEQ" run "$program" --set net.body.start=ones
expect 64 'this is a chain' "$DEQ" run "$program" --set 'net.gradient=shine()'
no_partial_files
done_testing
