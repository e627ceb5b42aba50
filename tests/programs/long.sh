#!/usr/bin/env bash
# examples/long.deq in its short form: begun by two processes, stopped, gone on with by one, and the same in the end as never
# stopped.  Needs the images: the folder $DEQ_CIFAR10, or shared/ beside the sources.
source "$(dirname "$0")/lib.sh"
source "$PROGRAMS/ranks_lib.sh"
images=${DEQ_CIFAR10:-$SOURCE/../shared/data/cifar-10-batches-bin}
[[ -f $images/data_batch_1.bin ]] || { echo "skipped: no images of CIFAR-10"; exit 77; }
cp "$SOURCE/examples/long.deq" .
# the settings that examples/README.md gives
read -ra short <<<"$(grep -A1 'long.deq .*--set images=' "$SOURCE/examples/README.md" | tr -d '\\\n' | sed 's/.*FOLDER//')"
((${#short[@]} == 12)) || fail "examples/README.md has no short form of long.deq: ${short[*]}"
short+=(--set "c10.path=$images" --set last=$(($(cat "$images"/data_batch_*.bin | wc -c) / 3073)))

stop() { kill -USR1 "$1"; }
begun 75 '^net *epoch 1/' "$MPIRUN" -n 2 "$DEQ" run long.deq --threads 1 "${short[@]}" --results pieces
expect 0 'net: .*resumed after epoch' "$DEQ" run long.deq --threads 2 "${short[@]}" --results pieces
expect 0 '^net: ranks: 2, ' ranks 2 "$DEQ" run long.deq --threads 1 "${short[@]}" --fresh --results whole
same_files whole/long pieces/long
no_partial_files
done_testing
