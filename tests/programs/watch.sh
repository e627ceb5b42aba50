#!/usr/bin/env bash
# deq run --watch: a changed setting, a mistake in between, a module, a save without a change, Ctrl-C while it waits and while
# it runs.
source "$(dirname "$0")/lib.sh"
data 100
sed 's|^layer Net.*|import widths (hidden)\n\n&|; s|Body\[64, 24\]|Body[64, hidden]|; s|Dense\[24, 4\]|Dense[hidden, 4]|; s|epochs:   3|epochs:   1|' "$PROGRAMS/tiny.deq" |
  awk '/^import/ { print; next } { rest = rest $0 "\n" } END { printf "%s", rest }' >tiny.deq
echo 'const hidden: int = 24' >widths.deq
"$DEQ" check tiny.deq >out 2>&1 || fail "the script of this test"
watching=
trap 'if [[ -n $watching ]]; then kill -TERM $watching 2>/dev/null || true; wait; fi; rm -rf "$WORK"' EXIT

# until_said TEXT COUNT: what is said holds TEXT that often
until_said() {
  for _ in $(seq 1600); do
    (($(grep -c -e "$1" said) >= $2)) && { checks=$((checks + 1)); return 0; }
    kill -0 "$watching" 2>/dev/null || { cp said out; fail "it ended before it said '$1' $2 times"; }
    sleep 0.05
  done
  cp said out
  fail "it did not say '$1' $2 times"
}
: >said
"$DEQ" run tiny.deq --watch >>said 2>&1 &
watching=$!
until_said 'watching tiny.deq and 1 modules; Ctrl-C ends' 1
grep -q 'net: trained' said || { cp said out; fail "the first run did not train"; }
# a mistake is told, and waited out; the setting that is there afterwards is another one; editors save by renaming
sed 's|radius: 0.02, step: 0.01, iterations: 5|radius: 0.03, step: 0.01, iterations: 5|' tiny.deq >other
sed 's|^layer Net|lyer Net|' tiny.deq >broken && cp broken tiny.deq
until_said 'error\[E0101\]' 1
until_said 'Ctrl-C ends' 2
mv other tiny.deq
until_said 'Ctrl-C ends' 3
until_said 'found in the cache' 1 # the training did not change
[[ $(grep -c 'net: trained' said) == 1 ]] || { cp said out; fail "a net was trained again without need"; }
# a save that changes nothing runs nothing; a module is watched too
cp widths.deq same && mv same widths.deq
sleep 1
[[ $(grep -c 'Ctrl-C ends' said) == 3 ]] || fail "a save without a change ran something"
echo 'const hidden: int = 20' >widths.deq
until_said 'net: trained' 2
until_said 'Ctrl-C ends' 4
got=0
kill -INT $watching
wait $watching || got=$?
[[ $got == 0 ]] || { cp said out; fail "exit code $got after Ctrl-C while it waits"; }

# Ctrl-C while it runs stops the run as such; a save while it runs stops it and begins again
: >said
sed -i 's|epochs:   1|epochs:   100000|' tiny.deq
"$DEQ" run tiny.deq --watch >>said 2>&1 &
watching=$!
until_said '[Ee]poch 1/' 1
sed -i 's|rate: 1e-2|rate: 2e-2|' tiny.deq
until_said 'was stopped' 1
until_said '[Ee]poch 1/' 2
got=0
kill -INT $watching
wait $watching || got=$?
[[ $got == 130 ]] || { cp said out; fail "exit code $got after Ctrl-C while it runs"; }
[[ $(grep -c 'was stopped' said) == 2 ]] || { cp said out; fail "the second run was not stopped"; }
pgrep -f "$DEQ run tiny.deq --watch" >left && grep -q . left && [[ $(readlink "/proc/$(head -1 left)/cwd") == "$WORK" ]] && fail "a run is left"

expect 64 "unrecognized option" "$DEQ" check tiny.deq --watch
no_partial_files
done_testing
