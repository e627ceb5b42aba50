#!/usr/bin/env bash
# Where memory is limited (ulimit -v) a run ends, well or with E0931, within its time; it is never taken for interrupted.
source "$(dirname "$0")/lib.sh"
data 64
expect 0 '' "$DEQ" run "$PROGRAMS/tiny.deq" --set net.epochs=1
grep -q __asan_init "$(dirname "$DEQ")/libdeqrt.a" && { echo "the sanitizer needs terabytes of addresses: nothing to see here"; exit 0; }

# ends KILOBYTES FLAG..: code 0 with results, code 3 with E0931 or the loader's own words
ends() {
  local got=0
  rm -rf results
  (ulimit -v "$1" && shift && exec timeout 60 "$DEQ" run "$PROGRAMS/tiny.deq" --set net.epochs=1 --fresh --threads 1 "$@") >out 2>&1 || got=$?
  case $got in
    0) [[ -s results/tiny/tiny.csv ]] || fail "no table under $1 kB" ;;
    3) grep -q 'E0931' out || fail "exit code 3 without E0931 under $1 kB" ;;
    127) grep -q -i 'cannot allocate memory\|failed to map' out || fail "exit code 127 under $1 kB" ;; # before main, or by the loader
    *) fail "exit code $got under $1 kB ${*:2}" ;;
  esac
  checks=$((checks + 1))
}
for kilobytes in 60000 100000 200000 280000 350000; do ends $kilobytes; done
for kilobytes in 60000 150000 200000 205000 210000 220000 240000 260000 280000 350000; do ends $kilobytes --no-cache; done
expect 0 '' bash -c "ulimit -v 4000000; exec '$DEQ' run '$PROGRAMS/tiny.deq' --set net.epochs=1 --fresh --no-cache --threads 1"
expect 3 'error.E0931.: out of memory' bash -c "ulimit -v 150000; exec '$DEQ' run '$PROGRAMS/tiny.deq' --fresh --no-cache --threads 1"
no_partial_files
done_testing
