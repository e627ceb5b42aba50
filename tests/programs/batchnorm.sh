#!/usr/bin/env bash
# Statistics of the batch in a whole job: it learns, running statistics are kept, nothing depends on threads.
source "$(dirname "$0")/lib.sh"
data 600

expect 0 '' "$DEQ" run "$PROGRAMS/batchnorm.deq" --threads 1
table=results/batchnorm/batchnorm.csv
above $table clean 0.6 # chance is 0.25
above $table robust 0.4
cp $table first.csv
cp results/batchnorm/net.safetensors results/batchnorm/net-log.csv .
grep -q 'first.running_variance' net.safetensors || fail "the checkpoint has no running statistics"

for threads in 2 4; do
  expect 0 '' "$DEQ" run "$PROGRAMS/batchnorm.deq" --threads $threads --fresh
  same first.csv $table
  same net-log.csv results/batchnorm/net-log.csv
  cmp -s net.safetensors results/batchnorm/net.safetensors || fail "$threads threads give other parameters"
done

# tensor FILE NAME: its values, one a line (safetensors: the header's length, the header, the data)
tensor() {
  local length from to
  length=$(od -A n -t u8 -N 8 "$1" | tr -d ' ')
  read -r from to < <(head -c $((8 + length)) "$1" | tail -c "$length" | grep -o "\"$2\":{[^}]*}" |
    sed 's/.*"data_offsets":\[\([0-9]*\),\([0-9]*\)\].*/\1 \2/')
  od -A n -v -t f4 -w4 -j $((8 + length + from)) -N $((to - from)) "$1"
}
# The running statistics have left where they started.
for pair in first.running_mean:0 second.running_variance:1; do
  tensor net.safetensors "${pair%:*}" >values
  [[ $(wc -l <values) == 6 ]] || fail "${pair%:*} has $(wc -l <values) values"
  awk -v start="${pair#*:}" '{ d = $1 - start; if (d < 0) d = -d; if (!(d > 1e-4 && d < 100)) bad = 1 } END { exit bad }' values ||
    fail "${pair%:*} has not moved: $(tr '\n' ' ' <values)"
  checks=$((checks + 1))
done
# An attack in training that sees the statistics of the batch: another net, the same for any threads (ranks.sh: and ranks).
expect 0 '' "$DEQ" run "$PROGRAMS/seen.deq" --threads 1
cmp -s net.safetensors results/seen/net.safetensors && fail "batch_statistics: train changes nothing"
above results/seen/seen.csv robust 0.4
cp results/seen/net.safetensors seen.safetensors
cp results/seen/net-log.csv seen-log.csv
for threads in 2 4; do
  expect 0 '' "$DEQ" run "$PROGRAMS/seen.deq" --threads $threads --fresh
  cmp -s seen.safetensors results/seen/net.safetensors || fail "$threads threads give other parameters in the batch"
  same seen-log.csv results/seen/net-log.csv
done
sed 's/^  attack:   weak/  attack:   weak with { gradient: unrolled(from: 2) }\n  batch_statistics: train/' "$PROGRAMS/batchnorm.deq" >refused.deq
expect 2 'E0504.*batch_statistics: train' "$DEQ" run refused.deq
expect 64 'batch_statistics: train' "$DEQ" run "$PROGRAMS/seen.deq" --set 'net.gradient=unrolled(from: 2)'
# --set says it as the script does: the same bits, either way; what a sweep gives stays as it is.
sed '/^  batch_statistics/d' "$PROGRAMS/seen.deq" >unseen.deq
expect 0 '' "$DEQ" run unseen.deq --set net.batch_statistics=train
cmp -s seen.safetensors results/unseen/net.safetensors || fail "--set net.batch_statistics=train gives other parameters than the script's"
expect 0 '' "$DEQ" run "$PROGRAMS/seen.deq" --set net.batch_statistics=eval
cp results/seen/net.safetensors eval.safetensors
expect 0 '' "$DEQ" run unseen.deq --fresh
cmp -s eval.safetensors results/unseen/net.safetensors || fail "--set net.batch_statistics=eval gives other parameters than the default"
expect 64 'expected eval or train' "$DEQ" run unseen.deq --set net.batch_statistics=both
expect 64 'by the name of the training run' "$DEQ" run unseen.deq --set Net.batch_statistics=train
expect 0 '' "$DEQ" run unseen.deq --plan --set Net.batch_statistics=eval # as it is
sed '/^train net/,/^}/d; s/^experiment seen {/&\n  sweep how in [kept: { batch_statistics: eval }, own: { batch_statistics: train }]\n  train net = Net on quadrants.train { loss: cross_entropy; optimise: adam(rate: 1e-2); attack: weak; ..how; batch: 64; epochs: 1 }/; s/table.*/table "seen" { rows: how; columns: [clean, robust] }/' "$PROGRAMS/seen.deq" >swept.deq
expect 0 '' "$DEQ" run swept.deq
expect 64 'change it in the script' "$DEQ" run swept.deq --set net.batch_statistics=eval
# What a step costs is measured with the attack that it has.
expect 0 'the attack in the batch and the gradient' "$DEQ" bench "$PROGRAMS/seen.deq" --processor --budget 0.01 --predict 10GbE
expect 0 '(attack ' "$DEQ" bench "$PROGRAMS/batchnorm.deq" --processor --budget 0.01 --predict 10GbE
expect 0 'passed' "$DEQ" test "$PROGRAMS/training.deq"
no_partial_files
done_testing
