#!/usr/bin/env bash
# Every failure of a run ends in a message that names the cause, the documented exit code, and no half-written file.
source "$(dirname "$0")/lib.sh"
run=("$DEQ" run "$PROGRAMS/tiny.deq" --fresh)

# ---- data ----
expect 3 'E0801.*train-images' "${run[@]}"
data 64 truncated && expect 3 'E0802.*train-images' "${run[@]}"
data 64 magic && expect 3 'E0802.*train-images' "${run[@]}"
data 64 count && expect 3 'E0802.*labels' "${run[@]}"
data 64 label && expect 3 'E0804' "${run[@]}"
data 64 shape && expect 2 'E0803' "${run[@]}"
data 64 nan && expect 3 'E0804' "${run[@]}"
data 0 && expect 3 'no examples' "${run[@]}"
: >train-images && expect 3 'E0802.*train-images' "${run[@]}"
sed 's|idx(.*|fashion_mnist("/nonexistent")|; s|f32\[1, 8, 8\], label\[4\]|f32[1, 28, 28], label[10]|; s|Body\[64, 24\]|Body[784, 24]|; s|f32\[1, 8, 8\]|f32[1, 28, 28]|; s|f32\[4\]|f32[10]|; s|Dense\[24, 4\]|Dense[24, 10]|' \
  "$PROGRAMS/tiny.deq" >fashion.deq
expect 3 'dataset-fashion-mnist' "$DEQ" run fashion.deq

# ---- scripts ----
data 64
expect 1 '' "$DEQ" run absent.deq
: >empty.deq && expect 1 'empty' "$DEQ" run empty.deq
head -c 4096 /dev/urandom >binary.deq && expect 1 'not text' "$DEQ" check binary.deq
{ printf 'const a = '; printf '(%.0s' $(seq 100000); printf '1'; printf ')%.0s' $(seq 100000); echo; } >deep.deq
expect 1 'nest' "$DEQ" check deep.deq
expect 64 '' "$DEQ" run
expect 64 '' "$DEQ" frobnicate
expect 64 '' "$DEQ" run "$PROGRAMS/tiny.deq" --no-such-option

# ---- numbers ----
data 300
sed 's/rate: 1e-2/rate: 1e38/' "$PROGRAMS/tiny.deq" >huge.deq
expect 3 'E0911.*the loss became infinite at step 2 ' "$DEQ" run huge.deq --fresh
sed 's/rate: 1e-2/rate: 1e39/' "$PROGRAMS/tiny.deq" >endless.deq
expect 3 'E0911.*a parameter became NaN or infinite at step 1 ' "$DEQ" run endless.deq --fresh
sed 's/0.3 \/ sqrt(H)/9.0/; s/tanh(z @ W/(z @ W/; s/forward: .*/forward: picard(tol: 1e-6, max: 200)\n    on_fail: stop/' "$PROGRAMS/tiny.deq" >diverging.deq
expect 3 'E0912.*body' "$DEQ" run diverging.deq --fresh
grep -q 'example' out || fail "the worst example is not named"

# ---- output ----
if ((EUID != 0)); then
  mkdir locked && chmod a-w locked && expect 3 'E0821.*locked' "${run[@]}" --results locked
else # permissions do not bind root: a file where the folder should be, and a file system without room
  : >blocked && expect 3 'E0821.*blocked' "${run[@]}" --results blocked
  mkdir tiny_disk
  if mount -t tmpfs -o size=16k tmpfs tiny_disk 2>/dev/null; then
    head -c 12k /dev/zero >tiny_disk/filler
    got=0
    "${run[@]}" --results tiny_disk >out 2>&1 || got=$?
    left=$(find tiny_disk -type f -size +0 ! -name filler -name '*.tmp*')
    umount tiny_disk
    [[ $got == 3 ]] || fail "exit code $got on a full disk"
    grep -q E0821 out || fail "a full disk is not named"
    [[ -z $left ]] || fail "half-written files on the full disk: $left"
  fi
fi
no_partial_files
done_testing
