# Sourced by the tests of several processes after lib.sh: they are skipped by name where there is no MPI.
# DEQ_TEST_MPIRUN is the launcher of the MPI that libdeq_mpi.so was built with, where that is another than mpirun.
MPIRUN=${DEQ_TEST_MPIRUN:-mpirun}
command -v "$MPIRUN" >/dev/null || { echo "skipped: no mpirun (Debian: openmpi-bin)"; exit 77; }
[[ -e $(dirname "$DEQ")/libdeq_mpi.so ]] || { echo "skipped: built without MPI (Debian: libopenmpi-dev)"; exit 77; }
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
# Open MPI frees little of what it makes: other tests look for leaks of deq's own
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
# ranks COUNT COMMAND...: as many processes.  Open MPI 4.1 says of one process in some thousands that it has not finalized
# although it has, and fails (its issues 7833 and 9389): then once more.  A process that never does fails the second time too.
ranks() {
  local code=0
  "$MPIRUN" -n "$@" >said 2>&1 || code=$?
  if ((code)) && grep -q 'due to process rank [0-9]* with PID 0 on' said && grep -q 'exiting improperly' said; then
    code=0
    "$MPIRUN" -n "$@" >said 2>&1 || code=$?
  fi
  cat said
  return $code
}
# A sanitizer build takes twice as long; what it looks for does not need many ranks.
sanitized() { grep -q __asan_init "$(dirname "$DEQ")/libdeqrt.a"; }
many=(4 8 16)
sanitized && many=()

# same_files FOLDER FOLDER: parameters to the bit, and all that is in no way a time
same_files() {
  local file
  [[ $(cd "$1" && ls) == $(cd "$2" && ls) ]] || fail "$1 and $2 hold other files"
  for file in "$1"/*.safetensors "$1"/*.md; do
    cmp -s "$file" "$2/${file##*/}" || fail "$file differs in $2"
  done
  for file in "$1"/*.csv; do same "$file" "$2/${file##*/}"; done
}

# begun CODE TEXT COMMAND...: the function `stop` gets the process once the output holds TEXT, and sends what ends the run.
# CODE may be A|B: after a kill each launcher has its own.
begun() {
  local want=$1 text=$2 got=0 pid
  shift 2
  started "$@"
  pid=$!
  patiently eval "grep -q '$text' out || gone $pid" && ! gone $pid || fail "the run ended before it could be stopped"
  stop $pid
  wait $pid || got=$?
  [[ $got =~ ^($want)$ ]] || fail "exit code $got instead of $want"
  checks=$((checks + 1))
}
# children PROCESS: the processes of its job that run deq
children() {
  local p
  for p in $(pgrep -P "$1"); do
    if [[ $(cat /proc/$p/comm 2>/dev/null) == deq ]]; then echo $p; else children $p; fi
  done
}
