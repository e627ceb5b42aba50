#!/usr/bin/env bash
# deq run --watch: a changed setting, a mistake in between, a module, one that is missing, one with a mistake, a link, a save
# without a change, Ctrl-C while it waits, while it runs, before it runs, and twice; a folder that cannot be watched.
source "$(dirname "$0")/lib.sh"
data 100
sed 's|^layer Net.*|import widths (hidden)\n\n&|; s|Body\[64, 24\]|Body[64, hidden]|; s|Dense\[24, 4\]|Dense[hidden, 4]|; s|epochs:   3|epochs:   1|' "$PROGRAMS/tiny.deq" |
  awk '/^import/ { print; next } { rest = rest $0 "\n" } END { printf "%s", rest }' >tiny.deq
echo 'const hidden: int = 24' >widths.deq
"$DEQ" check tiny.deq >out 2>&1 || fail "the script of this test"
watching=
# the run that it has started; empty: none
child() { tr -d ' ' <"/proc/$watching/task/$watching/children" 2>/dev/null || true; }
# clear: leaves no process, whatever these do
clear() {
  local left
  kill -0 "$watching" 2>/dev/null || return 0
  left=$(child)
  kill -TERM "$watching"
  for _ in $(seq 60); do
    kill -0 "$watching" 2>/dev/null || return 0
    sleep 0.05
  done
  kill -KILL "$watching" ${left:+-"$left"} 2>/dev/null || true
}
trap 'if [[ -n $watching ]]; then clear; fi; rm -rf "$WORK"' EXIT
# until_child: there is a run; its process is in `run`
until_child() { patiently eval 'run=$(child); [[ -n $run ]]' || fail "it started no run"; }
# ends CODE WHEN: it ends with that code, and leaves no run
ends() {
  local got=0
  patiently gone "$watching" || { cp said out; fail "it does not end after Ctrl-C $2"; }
  wait "$watching" || got=$?
  [[ $got == "$1" ]] || { cp said out; fail "exit code $got after Ctrl-C $2"; }
  [[ -z $run ]] || ! kill -0 "$run" 2>/dev/null || fail "a run is left after Ctrl-C $2"
  checks=$((checks + 1))
}

# until_said TEXT COUNT: what is said holds TEXT that often
said() { (($(grep -c -e "$1" said) >= $2)); }
said_or_gone() { said "$@" || gone "$watching"; }
until_said() {
  patiently said_or_gone "$@" && said "$@" || { cp said out; fail "it did not say '$1' $2 times"; }
  checks=$((checks + 1))
}
: >said
"$DEQ" run tiny.deq --watch >>said 2>&1 &
watching=$!
until_said 'watching tiny.deq and 1 module; Ctrl-C ends' 1
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
# a module that is missing, its folder too, is waited for; one that has come with a mistake as well
cp tiny.deq whole
sed -i '1i import parts.more (unused)' tiny.deq
until_said 'error\[E0112\]' 1
until_said 'tiny.deq and 1 module; Ctrl-C ends' 5
mkdir parts
echo 'cons unused: int = 1' >parts/more.deq
until_said 'error\[E0101\]' 2
until_said 'tiny.deq and 2 modules; Ctrl-C ends' 1
echo 'const unused: int = 1' >parts/more.deq
until_said 'tiny.deq and 2 modules; Ctrl-C ends' 2
# what a link leads to is watched where it is
mkdir away
mv whole away/tiny.deq
ln -s away/tiny.deq link && mv -T link tiny.deq
until_said 'tiny.deq and 1 module; Ctrl-C ends' 6
sed 's|radius: 0.03|radius: 0.04|' away/tiny.deq >other
mv other away/tiny.deq
until_said 'tiny.deq and 1 module; Ctrl-C ends' 7
[[ $(grep -c 'net: trained' said) == 2 ]] || { cp said out; fail "a net was trained again without need"; }
run=
kill -INT $watching
ends 0 "while it waits"
cp --remove-destination away/tiny.deq tiny.deq

# Ctrl-C while it runs stops the run as such; a save while it runs stops it and begins again
: >said
sed -i 's|epochs:   1|epochs:   100000|' tiny.deq
"$DEQ" run tiny.deq --watch >>said 2>&1 &
watching=$!
until_said '[Ee]poch 1/' 1
sed -i 's|rate: 1e-2|rate: 2e-2|' tiny.deq
until_said 'was stopped' 1
until_said '[Ee]poch 1/' 2
until_child
kill -INT $watching
ends 130 "while it runs"
[[ $(grep -c 'was stopped' said) == 2 ]] || { cp said out; fail "the second run was not stopped"; }

no_partial_files

# Ctrl-C at once, before the run has said what Ctrl-C does to it
for _ in 1 2 3; do
  "$DEQ" run tiny.deq --watch >>said 2>&1 &
  watching=$!
  until_child
  kill -INT $watching
  ends 130 "before it runs"
done
# a run that does not stop is killed by the second Ctrl-C, not by the first
: >said
"$DEQ" run tiny.deq --watch >>said 2>&1 &
watching=$!
until_said 'net  epoch [0-9]*/' 1
until_child
kill -STOP "$run"
kill -INT $watching
sleep 1
kill -0 "$run" || fail "the first Ctrl-C killed the run"
kill -INT $watching
ends 137 "twice"
watching=

# a folder that cannot be read cannot be watched; what root may do is left out
as=()
[[ $(id -u) != 0 ]] || as=(setpriv --bounding-set -all)
mkdir locked
cp tiny.deq widths.deq locked
chmod u-r locked
expect 3 'cannot be watched: Permission denied' timeout 60 "${as[@]}" "$DEQ" run locked/tiny.deq --watch
chmod u+r locked

expect 64 "unrecognized option" "$DEQ" check tiny.deq --watch
done_testing
