#!/usr/bin/env bash
# deq eval: outputs, states, gradients, constants; inputs of data, of files and drawn; what it refuses.
source "$(dirname "$0")/lib.sh"
data 60
cp "$PROGRAMS/tiny.deq" .
eval_() { "$DEQ" eval tiny.deq "$@"; }

# ---- what is known exactly ----
cat >known.deq <<'D'
const radius: f32 = 8 / 255

layer Twice(x: f32[2, 3]) -> f32[2, 3] {
  return 2 * x
}

layer Half(x: f32[3]) -> f32[3] {
  fixed point z: f32[3] {
    z = 0.5 * z + x

    forward: picard(tol: 1e-9, max: 60)
  }
  return 10 * z
}
D
expect 0 '^4 \* radius + sqrt(9): 3.1254901960784314$' "$DEQ" eval known.deq '4 * radius + sqrt(9)'
expect 0 '"type":"f64","shape":\[\],"value":0.5}' "$DEQ" eval known.deq '1 / 2' --json
expect 0 'Twice(random(2)): f32\[2, 2, 3\]' "$DEQ" eval known.deq 'Twice(random(2))' -o twice.npz
expect 0 '' "$DEQ" eval known.deq 'Twice("twice.npz")' --json
cp out first
expect 0 '' "$DEQ" eval known.deq 'Twice(random(2))' --json # the same numbers, from the file and drawn again
[[ $(sed 's/.*"shape"//' out) == "$(sed 's/.*"shape"//' first)" ]] || fail "inputs of a file and drawn ones differ"
expect 0 '' "$DEQ" eval known.deq 'Twice(random(2))' --seed 1 --json
[[ $(sed 's/.*"shape"//' out) != "$(sed 's/.*"shape"//' first)" ]] || fail "the seed does not count"
expect 0 '^  1: ' "$DEQ" eval known.deq 'Half(random(2))' --precision f64 -o half.npz
expect 0 '"solves":2,"unconverged":0' "$DEQ" eval known.deq 'Half(random(2))' --precision f64 --json
expect 0 'f32\[1, 3\]' "$DEQ" eval known.deq 'Half.z(random(1))' -o state.npz # of the net's own layer, by its state
python=/usr/bin/python3
if "$python" -c 'import numpy' 2>/dev/null; then
  "$python" -c '
import numpy as n
t, h, z = n.load("twice.npz"), n.load("half.npz"), n.load("state.npz")
assert abs(z["value"] - 2 * z["input"]).max() < 1e-5
assert t["value"].dtype == n.float32 and t["value"].shape == (2, 2, 3) and (t["value"] == 2 * t["input"]).all()
assert h["value"].dtype == n.float64 and abs(h["value"] - 20 * h["input"]).max() < 1e-7 and 0 <= h["input"].min() < h["input"].max() < 1
n.save("one.npy", n.zeros((2, 3), n.float32)); n.save("wide.npy", n.zeros((2, 4), n.float32))' || fail "values are not what they should be"
  expect 0 'f32\[1, 2, 3\]' "$DEQ" eval known.deq 'Twice("one.npy")'
  expect 2 'E0803.*holds \[2, 4\]; an input of .Twice. is \[2, 3\]' "$DEQ" eval known.deq 'Twice("wide.npy")'
else
  echo "left out: values with numpy (Debian: python3-numpy)"
fi

# ---- a trained net: its outputs are those of its checkpoint, its state is that of its fixed point, its gradient has a direction ----
expect 0 '' "$DEQ" run tiny.deq --set net.epochs=1
checkpoint=$(made)/net.safetensors
expect 0 'net(quadrants.test\[0..3\]): f32\[3, 4\]' eval_ 'net(quadrants.test[0..3])'
grep -q 'parameters are initial ones (seed 0)' out || fail "whose parameters is not said"
cp out first
expect 0 '3 solves, 0 did not converge' eval_ 'net(quadrants.test[0..3])' -k "$checkpoint"
! grep -q 'initial ones' out || fail "the checkpoint is not used"
[[ $(sed -n 2p out) != "$(sed -n 2p first)" ]] || fail "the checkpoint changes nothing"
# what the cache has of the run that --set describes is the same net; another run is not there
cp out taken
expect 0 'those that deq run has trained' eval_ 'net(quadrants.test[0..3])' --set net.epochs=1
[[ $(sed -n 2,4p out) == "$(sed -n 2,4p taken)" ]] || fail "the cache has another net than the checkpoint"
expect 0 'initial ones' eval_ 'net(quadrants.test[0..3])' --set net.epochs=1 --fresh
expect 64 'E0901' eval_ 'net(quadrants.test[0..3])' --set nett.epochs=1
expect 0 'initial ones' eval_ 'net(random(1))' --set net.body.forward.max=1 --set net.body.forward.tol=0
grep -q ' 1 steps each' out || fail "--set does not reach the net"
expect 0 'f32\[3, 4, 24\]' eval_ 'states(net.body(quadrants.test[0..3]), 1..5)' -k "$checkpoint" -o states.npz
expect 0 'f32\[3, 40\]' eval_ 'residuals(net(quadrants.test[0..3]), 1..41)' -k "$checkpoint" -o residuals.npz
expect 0 'f32\[3\]' eval_ 'loss(cross_entropy, net(quadrants.test[0..3]))' -k "$checkpoint" -o loss.npz
expect 0 '' eval_ 'net(quadrants.test[0..3])' -k "$checkpoint" -o logits.npz
expect 0 '' eval_ 'states(net.body(quadrants.test[0..3]), 1..41)' -k "$checkpoint" -o all.npz
expect 0 '' eval_ 'net.body(quadrants.test[0..3])' -k "$checkpoint" -o body.npz
if "$python" -c 'import numpy' 2>/dev/null; then
  "$python" -c '
import numpy as n
of = lambda name: n.load(name + ".npz")["value"]
y = n.frombuffer(open("test-labels", "rb").read()[8:11], n.uint8)
z = of("logits").astype(float)
assert abs(of("loss") - (n.log(n.exp(z).sum(1)) - z[n.arange(3), y])).max() < 1e-5
assert (of("all")[:, :4] == of("states")).all() and abs(of("all")[:, -1] - of("body")).max() < 1e-3
r = of("residuals")
assert r[:, 0].min() > 1e-3 and n.nanmin(r) < 1e-3 and n.isnan(r[:, -1]).all()
n.savez("both.npz", input=n.load("logits.npz")["input"], target=y)
n.savez("less.npz", input=n.load("logits.npz")["input"], target=y[:2])' || fail "states, residuals and losses are not what they should be"
  expect 0 '' eval_ 'loss(cross_entropy, net(x))' --array x=both.npz -k "$checkpoint" -o again.npz
  "$python" -c 'import numpy as n; assert (n.load("again.npz")["value"] == n.load("loss.npz")["value"]).all()' || fail "targets of a file are others"
  expect 2 'E0803.*3 inputs and 2 targets' eval_ 'loss(cross_entropy, net(x))' --array x=less.npz
fi
expect 2 'E0208' eval_ 'states(net.body(quadrants.test[0]), 0..3)'
expect 64 'NAME=FILE' eval_ 'net(x)' --array x
# of a module, by its name with a point
cp tiny.deq setup.deq
cat >over.deq <<'D'
import setup (net, quadrants)
import std.metrics (accuracy)

experiment over {
  let clean = accuracy(net, quadrants.test)
  table "T" { columns: [clean] }
}
D
expect 0 'f32\[1, 4\]' "$DEQ" eval over.deq 'setup.net(random(1))'
expect 0 'f32\[1, 24\]' "$DEQ" eval over.deq 'setup.net.body(random(1))'
expect 0 'f32\[1, 2, 24\]' "$DEQ" eval over.deq 'states(setup.net.body(random(1)), 1..3)'
expect 0 'f32\[1, 24\]' eval_ 'net.body(quadrants.test[2])' -k "$checkpoint"
expect 0 'f32\[2, 1, 8, 8\]' eval_ 'gradient(cross_entropy, net(quadrants.train[0..2]))' -k "$checkpoint"
expect 0 'f64\[1, 6\]' eval_ 'Body[8, 6](random(1))' --precision f64
for text in 'Body[8, 4](random(1))' 'Body[8,4]( random(1))'; do # the draw is the same however it is written
  expect 0 'f32\[1, 4\]' eval_ "$text"
  sed -n '2,$p' out >drawn
  [[ ! -e before ]] || cmp before drawn || fail "'$text' is asked at another input"
  cp drawn before
done
expect 0 'and 12 more' eval_ 'net(quadrants.test[0..20])'

# ---- data of another net: its examples and, for a gradient, its targets are those of the net, axis by axis ----
cat >>tiny.deq <<'D'
data folded: (f32[8, 8, 1], label[4]) = idx("train-images", "train-labels", "test-images", "test-labels")
data few: (f32[1, 8, 8], label[6]) = idx("train-images", "train-labels", "test-images", "test-labels")
data same: (f32[1, 8, 8], f32[1, 8, 8]) = idx("train-images", "train-images", "test-images", "test-images")
layer Folded(image: f32[8, 8, 1]) -> f32[4] {
  use head = Dense[64, 4]
  return image |> flatten |> head
}
layer Six(image: f32[1, 8, 8]) -> f32[6] {
  use head = Dense[64, 6]
  return image |> flatten |> head
}
layer Scale(image: f32[1, 8, 8]) -> f32[1, 8, 8] {
  param w: f32[1, 8, 8] = zeros()
  return w * image
}
train of_folded = Folded on folded.train { loss: cross_entropy; optimise: adam(rate: 1e-2); batch: 32; epochs: 1 }
train of_few = Six on few.train { loss: cross_entropy; optimise: adam(rate: 1e-2); batch: 32; epochs: 1 }
train of_same = Scale on same.train { loss: mean_squared_error; optimise: adam(rate: 1e-2); batch: 32; epochs: 1 }
D
sed -i 's/^import std.losses .*/import std.losses (cross_entropy, mean_squared_error)/' tiny.deq
expect 0 '' eval_ 'gradient(mean_squared_error, of_same(same.test[0]))'
expect 2 "E0803.*target of 'quadrants' is label\[4\], one of 'Scale' is \[1, 8, 8\]" \
  eval_ 'gradient(mean_squared_error, of_same(quadrants.test[0..60]))'
expect 0 '' eval_ 'gradient(cross_entropy, of_few(few.test[0]))'
expect 2 "E0803.*example of 'folded' is \[8, 8, 1\], an input of 'Net' is \[1, 8, 8\]" eval_ 'net(folded.test[0])'
expect 2 "E0803.*target of 'few' is label\[6\], one of 'Net' is label\[4\]" eval_ 'gradient(cross_entropy, net(few.test[0]))'
expect 0 '' eval_ 'net(few.test[0])'

# ---- what it refuses ----
expect 64 'EXPR is missing' "$DEQ" eval tiny.deq
expect 64 'a constant takes no --output' eval_ '1 / 2' -o number.npz
expect 64 'a constant takes no --checkpoint' eval_ '1 / 2' -k "$checkpoint"
expect 64 'at least one input' eval_ 'net(random(0))'
for n in '' -1 1.5 1e11 '1, 2' two; do
  expect 2 'E0310.*random(N) draws N inputs' eval_ "net(random($n))"
  [[ $(grep -c error out) == 1 ]] || fail "random($n) has more than one error"
done
expect 2 'random(2) draws two inputs' eval_ 'net(random)'
expect 2 'E0[0-9]*' eval_ 'gradient(cross_entropy, at: net(quadrants.test[0]))'
expect 1 'command line:2:1: error.E0101.: EXPR is one expression' eval_ $'1\nconst b: f32 = 2'
expect 1 '"code":"E0101"' eval_ $'1\nconst b: f32 = 2' --json
expect 2 "E0201.*there is no array 'imges'" eval_ 'net(imges)' --array images=train-images
grep -q "did you mean 'images'" out || fail "the array that was meant is not named"
expect 2 "there is no array 'x'" eval_ 'loss(cross_entropy, net.body(x))'
grep -q -e '--array x=FILE' out || fail "how to give an array is not said"
expect 2 "E0201.*'y'" eval_ 'sqrt(y)'
! grep -q array out || fail "an argument of a function of numbers is taken for an array"
expect 1 'command line:1:3: error.E0101' eval_ '1 +'
expect 2 "E0201.*'nett'" eval_ 'nett(quadrants.test[0])'
grep -q 'command line:1:1: error' out || fail "the mistake is not where it was written"
! grep -q compare out || fail "a line that nobody wrote is shown"
expect 2 "E0201.*'radius'" eval_ '2 * radius'
for kind in net '[1, 2]' 'anderson()' 'phantom.unroll(steps: 2)' none '"text"' cross_entropy weak 'Body[2, 2]'; do
  expect 2 'E0321.*: this is no number' eval_ "$kind"
done
{ echo 'const asked: f32 = 3'; cat tiny.deq; } >own.deq # no name of a script is that of the expression
expect 0 '^asked + 1: 4$' "$DEQ" eval own.deq 'asked + 1'
expect 2 "E0201.*'asked'" eval_ asked
expect 0 '^0 / 0: nan$' eval_ '0 / 0'
expect 3 'E0805' eval_ 'net(quadrants.test[0..3000])'
expect 64 "'quadrant' is no data" eval_ 'net(quadrant.test[0])'
expect 64 "needs targets" eval_ 'gradient(cross_entropy, net(random(1)))'
expect 64 "with the loss 'squared'" eval_ 'gradient(squared, net(quadrants.test[0]))'
expect 64 "no fixed point 'bodies'; there are: body" eval_ 'net.bodies(random(1))'
expect 3 'E0801\|E0802' eval_ 'net("absent.npy")'
expect 3 'E0811' eval_ 'net(random(1))' -k train-images
expect 3 '^{"event":"error","code":"E0[0-9]*",.*"exit":3}$' eval_ 'net(random(1))' -k nothere --json
echo mine >mine.npz
expect 3 'E0821' eval_ 'net(random(1))' -o mine.npz
no_partial_files
done_testing
