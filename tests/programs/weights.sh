#!/usr/bin/env bash
# Weights out of one run and into another: by path, through a map, as NPZ and as safetensors; what does not fit is refused whole.
source "$(dirname "$0")/lib.sh"
data 400
tiny=$PROGRAMS/tiny.deq
expect 0 '' "$DEQ" run "$tiny" --set net.epochs=1
trained=results/tiny/net.safetensors
clean=$(cell results/tiny/tiny.csv 1 clean)
# the same script, its net taken as it is in a file
sed "s|^  optimise:.*|  start: weights(\"$trained\")|; /^  epochs:/d; s|^import std.optimisers.*||" "$tiny" >taken.deq

# taken FILE [MAP]: the net of FILE has the accuracy of the one that was trained
taken() {
  expect 0 'begins with the weights' "$DEQ" run taken.deq --results from --set "net.start=$1" ${2:+--set "net.start.map=$2"}
  [[ $(cell from/taken/tiny.csv 1 clean) == "$clean" ]] || fail "$1: accuracy $(cell from/taken/tiny.csv 1 clean), not $clean"
}

# ---- as it is, and by path ----
taken "$trained"
expect 0 'found in the cache' "$DEQ" run taken.deq
expect 0 '5 arrays' "$DEQ" export "$trained" -o net.npz
taken net.npz
expect 0 '' "$DEQ" export net.npz -o again.safetensors
taken again.safetensors

# ---- through a map, there and back ----
cat >names.map <<'MAP'
// ours = theirs
body.* = deq.cell.*
head.W = "fc weight"'   // PyTorch's Linear is [out, in]
head.b = fc.bias
_      = *.num_batches_tracked
MAP
expect 0 '' "$DEQ" export "$trained" -o torch.npz --map names.map
taken torch.npz names.map
expect 0 '' "$DEQ" export "$trained" -o torch.safetensors --map names.map
taken torch.safetensors names.map

# ---- training goes on from there; a parameter that the file lacks is initialised ----
sed 's|^  loss: .*|&\n  start:    weights("net.npz")|' "$tiny" >further.deq
expect 0 'net: trained' "$DEQ" run further.deq --set net.epochs=1
grep -v bias names.map >partial.map
echo 'head.b = _' >>partial.map
expect 0 '4 arrays' "$DEQ" export "$trained" -o partial.npz --map partial.map
expect 0 'mapped by partial.map' "$DEQ" run taken.deq --set net.start=partial.npz --set net.start.map=partial.map

# ---- from a net trained above: as it is, and further; its settings decide what the other is ----
sed 's|^experiment tiny.*|train taken = Net on quadrants.train { loss: cross_entropy; start: net }\n\ntrain further = Net on quadrants.train {\n  start: net; loss: cross_entropy; optimise: adam(rate: 1e-2); batch: 32; epochs: 3 }\n\n&|
  s|^  let clean.*|&\n  let same = accuracy(taken, quadrants.test)\n  let more = accuracy(further, quadrants.test)|; s|columns: \[clean|columns: [clean, same, more|' "$tiny" >chain.deq
expect 0 'taken: Net begins with the weights of net' "$DEQ" run chain.deq --set net.epochs=1
grep -q 'further: Net begins with the weights of net' out || fail "further does not begin with net"
[[ $(cell results/chain/tiny.csv 1 same) == "$clean" ]] || fail "taken is right on $(cell results/chain/tiny.csv 1 same), net on $clean"
above results/chain/tiny.csv more "$clean"
grep -q '"train": "net"' results/chain/*.json || fail "the record does not name the net that further begins with"
expect 0 'further.*found in the cache' "$DEQ" run chain.deq --set net.epochs=1
expect 0 'further: Net begins with the weights of net' "$DEQ" run chain.deq --set net.epochs=2
expect 2 ":45:68: error.E0504.*'further' is not trained yet" "$DEQ" run <(sed 's|start: net }|start: further }|' chain.deq)
expect 2 "E0504.*'net' has the parameters of Net, this net is Body" \
  "$DEQ" run <(sed 's|^train taken|train other = Body[64, 4] on flat.train { loss: cross_entropy; start: net }\n\n&|; s|^attack weak|data flat: (f32[64], label[4]) = idx("train-images", "train-labels", "test-images", "test-labels")\n\n&|' chain.deq)

# ---- everything that does not fit is told at once, with the line; nothing runs ----
rm -rf results/taken
refused() { # CODE FILE MAP TEXT...
  local code=$1 file=$2 map=$3
  shift 3
  expect 3 "taken.deq:35: error.$code" "$DEQ" run taken.deq --set "net.start=$file" ${map:+--set "net.start.map=$map"}
  for text in "$@"; do grep -q -e "$text" out || fail "no '$text' in the refusal of $file"; done
  [[ ! -e results/taken ]] || fail "$file was refused and left results"
}
{ printf 'PK\005\006'; head -c 18 /dev/zero; } >nothing.npz
refused E0812 nothing.npz '' 'an archive without any array'
refused E0812 torch.npz '' "parameter 'body.W': the file has no 'body.W'" "parameter 'head.b'" "file's 'deq.cell.U' \[64, 24\] is no parameter"
sed "s/'   .*//; s/head.b = fc.bias/head.c = fc.bias/; s/^_.*/body.W deq/" names.map >bad.map
refused E0812 torch.npz bad.map 'bad.map:5: expected NAME = NAME'
sed -i '$d' bad.map
refused E0812 torch.npz bad.map "parameter 'head.W' is \[24, 4\], 'fc weight' (bad.map:3) is \[4, 24\] in the file (transposed?" \
  "bad.map:4: 'head.c' is no parameter of 'Net'" "the file's 'fc.bias' \[4\] is no parameter"
refused E0812 absent.npz '' "cannot open 'absent.npz'"
head -c 3000 torch.npz >cut.npz
refused E0812 cut.npz names.map "'cut.npz' is a damaged zip archive"
printf '\x80\x02}q\x00.........' >pickle.pt
refused E0812 pickle.pt '' 'Python pickle'
{ head -c -1 "$trained" && printf X; } >flipped.safetensors
cmp -s "$trained" flipped.safetensors && fail "the damaged byte is the same"
refused E0811 flipped.safetensors '' 'checksum does not match'

# ---- settings ----
expect 64 'cannot be given epochs' "$DEQ" run taken.deq --set net.epochs=2
expect 2 "E0502.*'epochs'" "$DEQ" check <(sed 's|^  epochs:.*|  start: weights("net.npz")|' "$tiny")
expect 2 'E0504.*weights of a file' "$DEQ" check <(sed 's|^  loss: .*|&\n  start: "net.npz"|' "$tiny")
expect 64 '' "$DEQ" export "$trained"
expect 3 'neither in .npz nor in .safetensors' "$DEQ" export "$trained" -o net.txt
expect 3 'E0812.*cannot read the mapping file' "$DEQ" export "$trained" -o net.npz --map nowhere.map

# ---- a monotone net trained elsewhere, where its file is ----
mondeq=$SOURCE/../shared/data/mondeq/mondeq_h40_m20.npz
if [[ -r $mondeq ]]; then
  cat >mondeq.map <<'MAP'
body.U = U.weight'
body.b = U.bias
body.A = A.weight'
body.B = B.weight'
head.W = Wout.weight'
head.b = Wout.bias
MAP
  expect 0 '' "$DEQ" run "$PROGRAMS/mondeq.deq" --set "mondeq.start=$mondeq" --set "digits.path=$SOURCE/../shared/data/mnist"
  above results/mondeq/mondeq.csv clean 0.9555
  above results/mondeq/mondeq.csv mixed 0.9555
  above results/mondeq/mondeq.csv clean.converged 1
  # Broyden's residuals grow a millionfold before they fall, in some 300 steps: it must not give up, nor forget
  # updates: with 128 of them none of the 20 converges.  Rounding may keep one of them from it.
  above results/mondeq/mondeq.csv secant.converged 0.9
  [[ $(cell results/mondeq/mondeq.csv 1 plain.converged) == 0 ]] || fail "plain iteration converges on the monotone net"
  expect 0 'certify: monotone(20) is proved by the form of the equation, which gives 20; measured margin 20' "$DEQ" report results/mondeq
fi
no_partial_files
done_testing
