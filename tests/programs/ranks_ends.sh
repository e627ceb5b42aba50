#!/usr/bin/env bash
# How a run of several processes ends before its time: each way says why, in the code and in words, and keeps what is finished.
source "$(dirname "$0")/lib.sh"
source "$PROGRAMS/ranks_lib.sh"
data 200
sed 's/epochs: *3/epochs: 40/' "$PROGRAMS/ranks.deq" >long.deq

# compiles PROCESS...: one of them has loaded the part that compiles.  Before that a signal may find no handler, or ranks
# that have not met, and Open MPI's launcher then hangs at times (in PMIx_server_finalize, of 4.1.4).
compiles() {
  local p
  for p in "$@"; do
    if grep -qs libdeq_backend /proc/$p/maps; then return; fi
  done
  return 1
}

# ---- a batch system's signal asks for another try, before the run has begun and while a plan is timed ----
started "$DEQ" run long.deq
pid=$!
patiently eval "compiles $pid || gone $pid" && ! gone $pid || fail "one process does not compile"
kill -TERM $pid
got=0
wait $pid || got=$?
[[ $got == 75 ]] || fail "exit code $got after SIGTERM while one process compiles"
started "$MPIRUN" -n 2 "$DEQ" run long.deq
pid=$!
patiently eval "compiles \$(children $pid) || gone $pid" && ! gone $pid || fail "rank 0 does not compile"
kill -USR1 $pid
got=0
wait $pid || got=$?
[[ $got == 75 ]] || fail "exit code $got after SIGUSR1 while rank 0 compiles"
grep -q 'E0922.*before the run had begun' out || fail "a signal while the script is compiled is not told"
checks=$((checks + 3))

stop() { kill -USR1 "$1"; }
sed 's/in \[0.02, 0.05\]/in [0.0001 * k for k in 1..2000]/' long.deq >plan.deq
begun 75 'train coupled' "$MPIRUN" -n 2 "$DEQ" run plan.deq --threads 1 --plan
grep -q 'E0922.*plan' out || fail "a signal while a plan is timed is not told"

# ---- a rank that hangs ----
stop() { kill -STOP "$(children "$1" | tail -1)"; }
begun 3 'epoch 2/' "$MPIRUN" -n 3 "$DEQ" run long.deq --threads 1 --rank-limit 15 --results hung
grep -q 'E0945.*rank 2 (on .*) has not come for 1[5-9] seconds' out || fail "the rank that hangs is not named"
stop() { kill -USR1 "$1"; }
begun 75 'epoch [0-9]*/' "$MPIRUN" -n 2 "$DEQ" run long.deq --threads 1 --results hung
grep -q 'resumed after epoch' out || fail "the run that hung was not gone on with"
expect 64 'rank-limit takes seconds above 0' "$DEQ" run long.deq --rank-limit 0

# ---- a disk that is full at one rank ----
# small FOLDER COMMAND...: this process alone sees an almost full disk there
cat >small <<'S'
#!/bin/sh
mount -t tmpfs -o size=16k none "$1" && shift && exec "$@"
S
chmod +x small
if unshare -rm true 2>/dev/null; then
  export OMPI_MCA_btl_vader_single_copy_mechanism=none # processes of two namespaces do not read each other's memory
  mkdir -p full cache
  run=("$DEQ" run long.deq --set coupled.epochs=1 --set remembers.epochs=1 --threads 1)
  expect 3 'E0821' "$MPIRUN" -n 1 unshare -rm ./small full "${run[@]}" --results full : -n 1 "${run[@]}" --results full
  expect 0 'results in other' ranks 1 "${run[@]}" --results other : -n 1 unshare -rm ./small cache "${run[@]}" --results other
  expect 0 '' "${run[@]}" --fresh --results alone
  same_files alone/long other/long
else
  echo "left out: a full disk at one rank (no name spaces for mounts)"
fi

# ---- a solve that fails, of an example that one rank has ----
# fails_alike NET STEPS WHAT: what is told of it, WHAT, is what one rank tells
fails_alike() {
  local p why run=("$DEQ" run long.deq --fresh --threads 1 --set coupled.epochs=1 --set "$1.on_fail=stop" --set "$1.forward.max=$2")
  expect 3 'E0912' "${run[@]}"
  why=$(grep -o "$3" out)
  for p in 2 3; do
    expect 3 'E0912' ranks $p "${run[@]}"
    [[ -n $why && $(grep -o "$3" out) == "$why" ]] || fail "$p ranks tell another failure of $1 than one"
  done
}
# The example is the worst of its block, and attacks on a coupled batch have as many blocks as suit the cores.
fails_alike coupled 4 'E0912.*(max_steps)'
fails_alike remembers 5 'E0912.*(max_steps): example.*'

# ---- ranks that would not compute the same ----
sed 's/batch: *32/batch: 16/' long.deq >other.deq
expect 3 'E0945.*rank 1.*another script or settings' "$MPIRUN" -n 1 "$DEQ" run long.deq : -n 1 "$DEQ" run other.deq
# another version: its name alone differs
mkdir newer
LC_ALL=C sed 's/deq 0\.\([0-9]\)\.[0-9]/deq 0.\1.x/g' "$DEQ" >newer/deq
chmod +x newer/deq
ln -s "$(dirname "$(realpath "$DEQ")")"/libdeq_*.so newer/
expect 3 'E0945.*rank 1.*another version' "$MPIRUN" -n 1 "$DEQ" run long.deq : -n 1 newer/deq run long.deq
# another kind of processor: its name alone differs
cat >other.c <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
FILE *fopen(const char *path, const char *mode) {
    FILE *(*real)(const char *, const char *);
    *(void **)&real = dlsym(RTLD_NEXT, "fopen");
    return real(strcmp(path, "/proc/cpuinfo") ? path : "cpuinfo", mode);
}
C
echo 'model name	: A processor of another kind' >cpuinfo
cc -shared -fPIC -O1 other.c -o other.so -ldl
if ! sanitized; then # the sanitizer wants to be loaded first
  expect 3 'E0945.*rank 1.*another kind of processor.*A processor of another kind' \
    "$MPIRUN" -n 1 "$DEQ" run long.deq : -n 1 env LD_PRELOAD="$PWD/other.so" "$DEQ" run long.deq
fi
no_partial_files
done_testing
