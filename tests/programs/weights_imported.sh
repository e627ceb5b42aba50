#!/usr/bin/env bash
# deq import: what fits, what does not, the checkpoint; and published nets of PyTorch through the maps of the library, whose
# logits are PyTorch's own.  These need Debian's python3-torch and are left out by name without it.
source "$(dirname "$0")/lib.sh"
data 200
cp "$PROGRAMS/tiny.deq" .
expect 0 '' "$DEQ" run tiny.deq --set net.epochs=1
trained=results/tiny-net.epochs-1/net.safetensors
[[ -s $trained ]] || trained=$(find results -name net.safetensors | head -1)
cat >names.map <<'MAP'
body.* = deq.cell.*
head.W = "fc weight"'
head.b = fc.bias
_      = *.num_batches_tracked
MAP
expect 0 '' "$DEQ" export "$trained" -o theirs.safetensors --map names.map

# ---- what fits, and a checkpoint with the same parameters ----
expect 0 'head.W \[24, 4\] = fc weight \[4, 24\], its axes \[1, 0\]' "$DEQ" import theirs.safetensors --into tiny.deq --map names.map
grep -q 'Net: 5 of 5 arrays fit$' out || fail "not all fits"
[[ -z $(find . -name 'ours*') ]] || fail "a checkpoint without -o"
expect 0 'ours.safetensors: a checkpoint of Net' "$DEQ" import theirs.safetensors --into tiny.deq --net net --map names.map -o ours.safetensors
expect 0 '' "$DEQ" export "$trained" -o was.npz
expect 0 '' "$DEQ" export ours.safetensors -o is.npz
expect 0 'a checkpoint of Net' "$DEQ" import theirs.safetensors --into tiny.deq --map names.map -o ours.safetensors # again
cp "$trained" own.safetensors
expect 0 'a checkpoint of Net' "$DEQ" import theirs.safetensors --into tiny.deq --map names.map -o own.safetensors # of a run
cmp was.npz is.npz || fail "the parameters changed on their way"
expect 0 '' "$DEQ" import ours.safetensors --into tiny.deq -q
[[ ! -s out ]] || fail "--quiet is not quiet"
expect 0 '"event":"import".*"fits":true,"parameters":5,"found":5,"initial":0,"checkpoint":"again.safetensors"' \
  "$DEQ" import theirs.safetensors --into tiny.deq --map names.map -o again.safetensors --json
grep -q '"event":"parameter".*"parameter":"head.W","shape":"\[24, 4\]","from":"fc weight","file_shape":"\[4, 24\]","axes":\[1,0\]}' out ||
  fail "no object of head.W"
cmp ours.safetensors again.safetensors || fail "two checkpoints of the same arrays differ"
expect 0 'begins with the weights of ours.safetensors' "$DEQ" run <(sed 's|^  optimise:.*|  start: weights("ours.safetensors")|; /^  epochs:/d; s|^import std.optimisers.*||' tiny.deq)
# what the file lacks by a rule keeps its initial value; a layer that nobody trains
{ grep -v bias names.map && echo 'head.b = _' && echo '_ = fc.bias'; } >partial.map
expect 0 '1 are not in the file and have their initial values' "$DEQ" import theirs.safetensors --into tiny.deq --map partial.map -o partial.safetensors
printf 'W = "fc weight"%s\nb = fc.bias\n_ = deq.*\n' \' >dense.map
expect 0 'Dense_24_4: 2 of 2' "$DEQ" import theirs.safetensors --into tiny.deq --net 'Dense[24, 4]' --map dense.map

# ---- what does not: all of it, exit code 3, nothing written ----
refused() { # TEXT COMMAND...
  local text=$1
  shift
  expect 3 "$text" "$DEQ" import "$@" -o refused.safetensors
  [[ ! -e refused.safetensors ]] || fail "refused and written: $*"
}
refused "E0812.*do not fit 'Net'" theirs.safetensors --into tiny.deq
for text in "0 of 5 arrays fit" "10 do not; nothing is written" "  parameter 'body.W': the file has no 'body.W'" "  the file's 'deq.cell.U' \[64, 24\] is no parameter"; do
  grep -q "$text" out || fail "no '$text'"
done
expect 3 '"event":"problem","problem":"parameter .body.W.: the file has no .body.W.' "$DEQ" import theirs.safetensors --into tiny.deq --json
sed 's/Body\[64, 24\]/Body[64, 20]/; s/Dense\[24, 4\]/Dense[20, 4]/' tiny.deq >narrow.deq
refused "parameter 'body.W' is \[20, 20\], 'deq.cell.W' (names.map:1) is \[24, 24\]" theirs.safetensors --into narrow.deq --map names.map
grep -q 'Net: 1 of 5 arrays fit' out || fail "the one that fits is not counted"
head -c 3000 theirs.safetensors >cut.safetensors
refused "E0812.*truncated\|E0812.*claims bytes" cut.safetensors --into tiny.deq --map names.map
LC_ALL=C sed 's/"dtype":"F32","shape":\[4\]/"dtype":"I32","shape":[4]/' theirs.safetensors >whole.safetensors
refused "'fc.bias' (names.map:3) holds I32: parameters are floating-point numbers" whole.safetensors --into tiny.deq --map names.map
LC_ALL=C sed 's/"dtype":"F32","shape":\[4\]/"dtype":"F16","shape":[8]/' theirs.safetensors >half.safetensors
refused "parameter 'head.b' is \[4\], 'fc.bias' (names.map:3) is \[8\]" half.safetensors --into tiny.deq --map names.map
printf '\x80\x02}q\x00.........' >pickle.pth
refused 'Python pickle' pickle.pth --into tiny.deq
"$DEQ" import --help | grep -E '^  (state|numpy[.]savez)' | sed 's/^ *//' >lines.py # the lines of Python of the help
[[ $(wc -l <lines.py) == 2 ]] || fail "the help does not say how a pickle is turned into arrays"
refused 'cannot open' absent.npz --into tiny.deq
refused "there is no map 'std.maps.resnet50'; the library has .*std.maps.resnet18" theirs.safetensors --into tiny.deq --map std.maps.resnet50
refused "cannot read the mapping file 'nowhere.map'" theirs.safetensors --into tiny.deq --map nowhere.map
echo mine >mine.safetensors
expect 3 'E0821' "$DEQ" import theirs.safetensors --into tiny.deq --map names.map -o mine.safetensors
[[ $(cat mine.safetensors) == mine ]] || fail "a file of somebody else was replaced"
expect 3 '"event":"import".*"fits":true,"parameters":5,"found":5,"initial":0,"checkpoint":null' \
  "$DEQ" import theirs.safetensors --into tiny.deq --map names.map -o mine.safetensors --json # all fits, and writing fails
# a shape that fits with a number that does not: NaN in the bias
header=$(od -An -t u4 -N 4 theirs.safetensors)
at=$(LC_ALL=C sed -n 's/.*"fc.bias":{[^}]*"data_offsets":\[\([0-9]*\),.*/\1/p' theirs.safetensors | head -1)
cp theirs.safetensors nan.safetensors
printf '\x00\x00\xc0\x7f' | dd of=nan.safetensors bs=1 seek=$((8 + header + at)) conv=notrunc status=none
refused "element 0 of 'fc.bias' is nan" nan.safetensors --into tiny.deq --map names.map
grep -q '4 of 5 arrays fit' out && grep -q '1 do not; nothing is written' out || fail "an array that does not fit is counted among those that do"
expect 3 '"fits":false,"parameters":5,"found":4' "$DEQ" import nan.safetensors --into tiny.deq --map names.map --json
# a name that is no UTF-8 is told all the same
LC_ALL=C sed 's/body\.b\.npy/\xff\xfe\xff\xfeab.npy/g' is.npz >bytes.npz
expect 3 '"event":"problem","problem":"the file.s .\\\\xff\\\\xfe\\\\xff\\\\xfeab. ' "$DEQ" import bytes.npz --into tiny.deq --json
for name in out.npz out.txt safetensors; do
  expect 3 'E0821.*ends in .safetensors' "$DEQ" import theirs.safetensors --into tiny.deq --map names.map -o $name
  [[ ! -e $name ]] || fail "a checkpoint called $name"
done
expect 64 '--into SCRIPT' "$DEQ" import theirs.safetensors
expect 64 'CHECKPOINT is missing' "$DEQ" import --into tiny.deq
expect 2 "E0201\|unknown" "$DEQ" import theirs.safetensors --into tiny.deq --net Nowhere
expect 2 '' "$DEQ" import theirs.safetensors --into <(echo 'layer Net(x: f32[4]) -> f32[3] { return x }')
no_partial_files

# ---- the maps of the library: every map is tested below, and found by its name as a setting of a script too ----
for map in "$SOURCE"/stdlib/maps/*.map; do
  name=$(basename "$map" .map)
  grep -q "^layer $name(" "$PROGRAMS/imported.deq" || fail "no net here is imported through $name"
  refused "E0812.*do not fit '$name'" theirs.safetensors --into "$PROGRAMS/imported.deq" --net "$name" --map "std.maps.$name"
done
python=/usr/bin/python3
if ! "$python" -c 'import torch, numpy' 2>/dev/null; then
  echo "left out: published nets (Debian: python3-torch)"
elif grep -q __asan_init "$(dirname "$DEQ")/libdeqrt.a"; then
  echo "left out: published nets; python3 is not sanitized"
else
  export PYTHONDONTWRITEBYTECODE=1
  # ---- what torch.save writes: refused as it is, and turned into arrays by the lines of the help ----
  "$python" "$SOURCE/tests/python/pickles.py"
  for file in whole half brain strided shared; do
    refused "'$file.pth' is a Python pickle (it holds '.*data.pkl')" $file.pth --into tiny.deq --map names.map
    sed "s/theirs/$file/g" lines.py | cat <(echo 'import numpy, torch') - >save.py
    expect 0 '' "$python" save.py
    expect 0 'Net: 5 of 5 arrays fit' "$DEQ" import $file.npz --into tiny.deq --map names.map -o $file.safetensors
    expect 0 '' "$DEQ" export $file.safetensors -o $file.ours.npz
  done
  refused "is a Python pickle (byte 0 is 80)" old.pth --into tiny.deq --map names.map
  for file in strided shared; do cmp whole.ours.npz $file.ours.npz || fail "$file: other parameters"; done
  sed "s/theirs/hostile/g" lines.py | cat <(echo 'import numpy, torch') - >save.py
  expect 1 'UnpicklingError' "$python" save.py
  [[ ! -e ran ]] || fail "the lines of the help ran the code of a file"
  expect 0 'mdeq_large' "$python" -W ignore "$SOURCE/tests/python/published.py" .
  for map in "$SOURCE"/stdlib/maps/*.map; do
    name=$(basename "$map" .map)
    expect 0 "a checkpoint of $name" "$DEQ" import "$name.safetensors" --into "$PROGRAMS/imported.deq" --net "$name" \
      --map "std.maps.$name" --precision f64 -o "$name.ours.safetensors"
    expect 0 '' "$DEQ" build "$PROGRAMS/imported.deq" --python package --net "$name" --precision f64 -O1
    PYTHONPATH=package expect 0 "^$name agrees" "$python" "$SOURCE/tests/python/agree.py" "$name"
    rm -r package
  done
fi
done_testing
