#!/usr/bin/env bash
# Convolutional equilibria: gradients in double precision, training on tiny data, same bits for any number of threads.
source "$(dirname "$0")/lib.sh"
data 300

expect 0 '4 of 4 tests passed' "$DEQ" test "$PROGRAMS/convolution.deq"
expect 0 '' "$DEQ" run "$PROGRAMS/convolution.deq" --threads 1
table=results/convolution/convolution.csv
above $table clean 0.6 # chance is 0.25
cp $table first.csv
cp results/convolution/net.safetensors .
expect 0 '' "$DEQ" run "$PROGRAMS/convolution.deq" --threads 2 --fresh
same first.csv $table
cmp -s net.safetensors results/convolution/net.safetensors || fail "two threads give other parameters"
# An argument of the run's own mode is the run's; the net's own mode, which evaluations take, has no such argument.
expect 0 '' "$DEQ" run "$PROGRAMS/convolution.deq" --set net.gradient.steps=2 --set net.epochs=1
grep -q 'phantom.unroll(steps: 2' "$(made)/settings.json" || fail "--set did not reach the run's own gradient mode"
# Narrower vectors of other processors compile, too.
for cpu in x86-64 x86-64-v3 x86-64-v4; do
  expect 0 '' "$DEQ" build "$PROGRAMS/convolution.deq" --target-cpu $cpu --emit=asm -o net.s
done
# LLVM's time grows with the square of the stores in a block: the weights of the adjoint once had 576 in one.
expect 0 '' "$DEQ" build "$SOURCE/tests/bench/conv32.deq" --target-cpu x86-64-v4 --emit=ll -o net.ll
most=$(awk '/^[A-Za-z0-9_.]+:|^define|^}/ { stores = 0 } / store / { if (++stores > most) most = stores } END { print most + 0 }' net.ll)
((most >= 16 && most <= 64)) || fail "a block of $most stores"
done_testing
