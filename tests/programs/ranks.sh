#!/usr/bin/env bash
# Several processes on one run (mpirun): the bits of one, whatever is dealt; killed, stopped, and gone on with by others.
source "$(dirname "$0")/lib.sh"
command -v mpirun >/dev/null || { echo "skipped: no mpirun (Debian: openmpi-bin)"; exit 77; }
[[ -e $(dirname "$DEQ")/libdeq_mpi.so ]] || { echo "skipped: built without MPI (Debian: libopenmpi-dev)"; exit 77; }
data 200
cp "$PROGRAMS/ranks.deq" .
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
# Open MPI frees little of what it makes: other tests look for leaks of deq's own
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
ranks() { mpirun --oversubscribe -n "$@"; }

expect 0 'several processes: by .*MPI' "$DEQ" version

# same_files FOLDER FOLDER: parameters to the bit, and all that is in no way a time
same_files() {
  local file
  [[ $(cd "$1" && ls) == $(cd "$2" && ls) ]] || fail "$1 and $2 hold other files"
  for file in "$1"/*.safetensors "$1"/*.md; do
    cmp -s "$file" "$2/${file##*/}" || fail "$file differs in $2"
  done
  for file in "$1"/*.csv; do same "$file" "$2/${file##*/}"; done
}

expect 0 '' "$DEQ" run ranks.deq --threads 2 --results alone
for p in 1 2 3 4; do
  expect 0 "results in by$p" ranks $p "$DEQ" run ranks.deq --threads 1 --fresh --results by$p
  ((p == 1)) || grep -q "^ranks: $p, .*[1-9][0-9]* kB sent" out || fail "nothing was dealt to $p ranks"
  [[ $(grep -c '^results in' out) == 1 ]] || fail "more than one rank speaks"
  same_files alone/ranks by$p/ranks
done
[[ -z $(find cache -name '*.ranks') ]] || fail "journals of ranks are left"
# what they have made is found by one process, and by several
expect 0 'found in the cache' "$DEQ" run ranks.deq --results by4
expect 0 'found in the cache' ranks 2 "$DEQ" run ranks.deq --results by4
no_partial_files

# long.deq: a training that can be stopped, and an evaluation that can
sed 's/epochs: *3/epochs: 40/' ranks.deq >long.deq
# begun CODE COMMAND...: `signal` sends what ends the run once the first epochs are there
begun() {
  local want=$1 got=0 pid
  shift
  "$@" >out 2>&1 &
  pid=$!
  patiently eval "grep -q 'epoch 2/' out || gone $pid" && ! gone $pid || fail "the run ended before it could be stopped"
  stop $pid
  wait $pid || got=$?
  [[ $got == "$want" ]] || fail "exit code $got instead of $want"
  checks=$((checks + 1))
}
# the processes of mpirun's job that run deq
children() { pgrep -P "$1" -x deq; }

stop() { kill -KILL "$(children "$1" | tail -1)"; }
begun 137 mpirun --oversubscribe -n 3 "$DEQ" run long.deq --threads 1 --results stopped
stop() { kill -USR1 "$1"; }
begun 75 mpirun --oversubscribe -n 2 "$DEQ" run long.deq --threads 1 --results stopped
grep -q 'resumed after epoch' out || fail "the killed run was not gone on with"
grep -q 'E0922.*run the same command again' out || fail "SIGUSR1 does not say what was kept"
expect 0 'resumed after epoch' "$DEQ" run long.deq --threads 1 --results stopped
expect 0 '' "$DEQ" run long.deq --threads 2 --fresh --results whole
same_files whole/long stopped/long

# ranks that would not compute the same
sed 's/batch: *32/batch: 16/' ranks.deq >other.deq
expect 3 'E0945.*rank 1.*another script or settings' mpirun --oversubscribe -n 1 "$DEQ" run ranks.deq : -n 1 "$DEQ" run other.deq
expect 64 'work for one process' ranks 2 "$DEQ" test ranks.deq
no_partial_files
done_testing
