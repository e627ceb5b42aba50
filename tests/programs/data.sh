#!/usr/bin/env bash
# Data of other formats, examples changed while a net trains, and where messages about data point.
source "$(dirname "$0")/lib.sh"
data 300
tiny=$PROGRAMS/tiny.deq

# ---- changed examples: another run, the same for any number of threads, and stopped runs go on with the same bits ----
sed 's|on quadrants.train {|on quadrants.train \|> flip \|> crop(pad: 1) \|> erase(size: 2) {|' "$tiny" >changed.deq
expect 0 '' "$DEQ" run "$tiny"
expect 0 '' "$DEQ" run changed.deq --threads 1
cp results/changed/net-log.csv one.csv
cp results/changed/net.safetensors one.safetensors
expect 0 '' "$DEQ" run changed.deq --threads 2 --fresh
same one.csv results/changed/net-log.csv
cmp -s one.safetensors results/changed/net.safetensors || fail "two threads give another net"
cmp -s one.safetensors results/tiny/net.safetensors && fail "the transformations change nothing"
grep -q '"crop"' results/changed/settings.json || fail "settings.json does not name the transformations"
expect 0 'found in the cache' "$DEQ" run changed.deq
sed 's|pad: 1|pad: 2|' changed.deq >wider.deq
expect 0 'net: trained' "$DEQ" run wider.deq
expect 2 'E0412.*pad' "$DEQ" check <(sed 's|pad: 1|pad: 0|' changed.deq)
expect 2 'E0304\|E0305\|no argument' "$DEQ" check <(sed 's|pad: 1|width: 1|' changed.deq)
expect 2 'E0530' "$DEQ" check <(sed 's|quadrants.test under exact|quadrants.test \|> flip under exact|' "$tiny")

# ---- CIFAR's records ----
cat >cifar.deq <<'DEQ'
import std.layers (Dense)
import std.losses (cross_entropy)
import std.data (cifar10, crop, flip, normalise_cifar10)
import std.optimisers (adam)

layer Net(image: f32[3, 32, 32]) -> f32[10] {
  use head = Dense[3072, 10]
  return image |> normalise_cifar10 |> flatten |> head
}

data c10: (f32[3, 32, 32], label[10]) = cifar10("batches")

train net = Net on c10.train[0..20] |> flip |> crop {
  loss:     cross_entropy
  optimise: adam(rate: 1e-4)
  batch:    8
  epochs:   2
}
DEQ
expect 3 'cifar.deq:11: error.E0801.*unpacks to a folder cifar-10-batches-bin' "$DEQ" run cifar.deq
mkdir batches
head -c 30730 /dev/zero >batches/data_batch_1.bin
expect 3 'cifar.deq:13: error.E0805.*there are 10 examples' "$DEQ" run cifar.deq
head -c 30731 /dev/zero >batches/data_batch_3.bin
expect 3 'cifar.deq:11: error.E0802.*data_batch_3.bin.*record 10 begins at byte 30730' "$DEQ" run cifar.deq
head -c 30730 /dev/zero | tr '\0' '\n' >batches/data_batch_3.bin
expect 3 'E0804.*data_batch_3.bin.*record 0 has label 10 (byte 0)' "$DEQ" run cifar.deq
head -c 30730 /dev/zero | tr '\0' '\5' >batches/data_batch_3.bin
expect 0 'net: trained' "$DEQ" run cifar.deq
real=$SOURCE/../shared/data/cifar-10-exact
if [[ -d $real ]]; then
  sed 's|c10.train\[0..20\]|c10.train|; s|batch:    8|batch:    64|; s|epochs:   2|epochs:   6\n  validate: c10.test|' cifar.deq >real.deq
  expect 0 '' "$DEQ" run real.deq --set "c10.path=$real"
  last=$(awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "clean") at = i } { v = $at } END { print v }' results/real/net-log.csv)
  awk -v v="$last" 'BEGIN { exit !(v > 0.25) }' || fail "a linear net reaches $last on CIFAR-10"
fi

# ---- a message points at the declaration or the use ----
data 64 shape
expect 2 'tiny.deq:29: error.E0803' "$DEQ" run "$tiny" --fresh
expect 2 '"file":.*"line": *29' "$DEQ" run "$tiny" --fresh --json
data 64
sed 's|on quadrants.train {|on quadrants.train[0..65] {|' "$tiny" >beyond.deq
expect 3 'beyond.deq:35: error.E0805' "$DEQ" run beyond.deq
sed 's|accuracy(net, quadrants.test)|accuracy(net, quadrants.test[0..1000])|' "$tiny" >tested.deq
expect 3 'tested.deq:46: error.E0805' "$DEQ" run tested.deq

# ---- a training run is named by the sweeps before it ----
sed '/^train net/,/^}/d; s|^experiment tiny {|&\n  sweep seed in 0..2\n  train net = Net on quadrants.train {\n    loss: cross_entropy\n    optimise: adam(rate: 1e-2)\n    epochs: 1\n    seed: seed\n  }\n  sweep n in 1..3|; s|under exact|under pgd(radius: 0.02, step: 0.01, iterations: n)|' "$tiny" >later.deq
expect 0 '' "$DEQ" run later.deq
[[ -s results/later/net-0.safetensors && -s results/later/net-1.safetensors ]] || fail "the nets are not called net-0 and net-1"
[[ $(find results/later -name '*.safetensors' | wc -l) == 2 ]] || fail "a net has a file for each later sweep"
grep -q 'net (seed = 1): trained' out || fail "the label names a later sweep"
# ---- a loss of the label and of a part of the outputs, on the weights of an NPZ file; two heads in one net ----
cat >heads.deq <<'X'
import std.data (idx)
import std.optimisers (sgd)

layer Net(image: f32[1, 8, 8]) -> f32[8] {
  param W: f32[64, 8] = glorot()
  return flatten(image) @ W
}

data quadrants: (f32[1, 8, 8], label[4]) = idx("train-images", "train-labels", "test-images", "test-labels")

fn first(out: f32[8], y: label[4]) -> f32 = logsumexp(out[0..4]) - dot(out[0..4], one_hot(y))

fn second(out: f32[8], y: label[4]) -> f32 {
  let mine = out[4..8]
  return logsumexp(mine) - mine[y]
}

train made = Net on quadrants.train { loss: first; optimise: sgd(rate: 0.1); batch: 8; epochs: 5 }
X
expect 0 '' "$DEQ" run heads.deq
expect 0 '' "$DEQ" export results/heads/made.safetensors -o x.npz
sed -e '/^import std.optimisers/d; /^train made/d' heads.deq >taken.deq
cat >>taken.deq <<'X'
layer One(image: f32[1, 8, 8]) -> f32[4] {
  param W: f32[64, 8] = glorot()
  return (flatten(image) @ W)[0..4]
}

fn plain(z: f32[4], y: label[4]) -> f32 = logsumexp(z) - z[y]

train net = Net on quadrants.train { loss: first; start: weights("x.npz") }

train one = One on quadrants.train { loss: plain; start: weights("x.npz") }

experiment heads {
  let a = first(net, quadrants.test)
  let b = plain(one, quadrants.test)
  let untrained = second(net, quadrants.test)

  table "heads" { columns: [a, b, untrained] }
}
X
expect 0 'net: Net begins with the weights of x.npz' "$DEQ" run taken.deq
of() { cell results/taken/heads.csv 1 "$1"; }
[[ -n $(of a) && $(of a) == "$(of b)" ]] || fail "a loss of half of the outputs is $(of a), that of a net of this half $(of b)"
awk -v a="$(of a)" -v other="$(of untrained)" 'BEGIN { exit !(a < 0.9 * other) }' || fail "the head that was trained has a loss of $(of a), the other of $(of untrained)"
no_partial_files
done_testing
