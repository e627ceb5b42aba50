# Sourced by the program tests: a scratch folder with data, and checks that name what failed.
# usage of a test: NAME.sh DEQ MAKE_IDX SOURCE_DIR
set -euo pipefail
DEQ=$1 MAKE_IDX=$2 SOURCE=$3
PROGRAMS=$SOURCE/tests/programs
WORK=$(mktemp -d)
trap 'chmod -R u+w "$WORK" 2>/dev/null; rm -rf "$WORK"' EXIT
export XDG_CACHE_HOME=$WORK/cache
cd "$WORK"
checks=0

fail() {
  echo "FAILED: $*" >&2
  [[ -f out ]] && { echo "--- output" >&2; head -c 4000 out >&2; }
  exit 1
}

# data COUNT [WHAT]: train and test IDX files in the working folder; WHAT damages the training files
data() {
  "$MAKE_IDX" train-images train-labels "$1" 1 "${2:-}"
  "$MAKE_IDX" test-images test-labels 200 2
}

# expect CODE TEXT COMMAND...: the command ends with exit code CODE and its output holds TEXT (a basic regular expression)
expect() {
  local want=$1 text=$2 got=0
  shift 2
  "$@" >out 2>&1 || got=$?
  [[ $got == "$want" ]] || fail "exit code $got instead of $want: $*"
  [[ -z $text ]] || grep -q -e "$text" out || fail "no '$text' in the output of: $*"
  checks=$((checks + 1))
}

# patiently COMMAND...: waits until the command succeeds.  False after four minutes: what a busy machine does not reach
patiently() {
  local end=$((SECONDS + 240))
  until "$@"; do
    ((SECONDS < end)) || return 1
    sleep 0.02
  done
}
gone() { ! kill -0 "$1" 2>/dev/null; }

# damage FILE OFFSET: the byte there is another one than it was
damage() {
  local byte
  byte=$(od -An -tu1 -j "$2" -N 1 "$1")
  printf "\\x$(printf %02x $((byte ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# made: the folder that the run whose output is in `out` left its results in
made() { sed -n 's|^results in \(.*\)/$|\1|p' out; }

# cell FILE ROW COLUMN: a field of a CSV table by the column's title; rows from 1
cell() {
  awk -F, -v row="$2" -v column="$3" '
    /^#/ { next }
    !titles { for (i = 1; i <= NF; i++) if ($i == column) at = i; titles = 1; next }
    ++n == row { if (at) print $at }' "$1"
}

# above FILE COLUMN MINIMUM: the first row's value is at least MINIMUM
above() {
  local value
  value=$(cell "$1" 1 "$2")
  awk -v v="${value:-none}" -v m="$3" 'BEGIN { exit !(v != "none" && v + 0 >= m) }' || fail "$2 in $1 is '${value:-absent}', expected at least $3"
  checks=$((checks + 1))
}

# same FILE FILE: two CSV tables agree in everything but the times
untimed() {
  awk -F, '!titles { for (i = 1; i <= NF; i++) timed[i] = $i ~ /second/; sealed = $NF == "checksum"; titles = 1 }
    { for (i = 1; i <= NF - sealed; i++) if (!timed[i]) printf "%s,", $i; print "" }' "$1"
}
same() {
  diff <(untimed "$1") <(untimed "$2") >differences || fail "$1 and $2 differ: $(head -5 differences)"
  checks=$((checks + 1))
}

# started COMMAND...: it runs on and writes to `out`, which is empty at once: the shell may look there before the command
# has been started, and would see what ran before; its number is $!
started() {
  : >out
  "$@" >out 2>&1 &
}

# interrupted COMMAND...: the command, a run, is interrupted after its first epoch and ends as such; its output is in `out`
interrupted() {
  local pid got=0
  started "$@"
  pid=$!
  patiently eval "grep -qE 'epoch +[0-9]' out || gone $pid" && ! gone $pid || fail "the run could not be interrupted"
  sleep 0.3
  kill -INT $pid
  wait $pid || got=$?
  [[ $got == 130 ]] || fail "exit code $got after SIGINT"
  checks=$((checks + 1))
}

# kill_now PID...: who is killed in the middle of a write leaves its temporary file, which no_partial_files takes away
killed=()
kill_now() {
  killed+=("$@")
  kill -KILL "$@" 2>/dev/null
}

# killed BYTES 'FILES' COMMAND...: the command, a run, is killed (-9) as soon as the files of this pattern hold more bytes
killed() {
  local bytes=$1 files=$2 pid
  shift 2
  started "$@"
  pid=$!
  patiently eval "((\$(cat $files 2>/dev/null | wc -c) > $bytes)) || gone $pid" && kill_now $pid ||
    fail "the run could not be killed in its middle"
  wait $pid 2>/dev/null || true
}

no_partial_files() {
  local found pid
  for pid in "${killed[@]}"; do find "$WORK" -name "*.$pid.tmp" -exec rm -rf {} +; done
  found=$(find "$WORK" -name '*.tmp*' -o -name '*.partial' | head -3)
  [[ -z $found ]] || fail "half-written files left: $found"
  checks=$((checks + 1))
}

done_testing() { echo "$checks checks passed"; }
