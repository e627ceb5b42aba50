#!/usr/bin/env bash
# Two modules that end alike: their nets and constants have whole paths in logs and for --set, which reaches one of them.
source "$(dirname "$0")/lib.sh"
data 100
mkdir one two
sed '/^experiment tiny/,$d; s/epochs:   3/epochs:   rounds/; s/^train net/const rounds = 1\n\n&/' "$PROGRAMS/tiny.deq" >one/setup.deq
sed 's/rate: 1e-2/rate: 2e-2/' one/setup.deq >two/setup.deq
cat >both.deq <<'END'
import std.metrics (accuracy)
import one.setup as a
import two.setup as b
import two.setup (quadrants)

experiment both {
  let first = accuracy(a.net, quadrants.test[0..20])
  let second = accuracy(b.net, quadrants.test[0..20])

  table "both" { columns: [first, second] }
}
END
trained() { # ONE TWO: epochs of each net; cached where nothing of it changed
  local epochs
  epochs="$(sed -n 's/^one.setup.net: .*[ (]\([0-9]*\) epochs.*/\1/p' out) $(sed -n 's/^two.setup.net: .*[ (]\([0-9]*\) epochs.*/\1/p' out)"
  [[ $epochs == "$1 $2" ]] || fail "epochs of the two nets: $epochs, not $1 $2"
  checks=$((checks + 1))
}
expect 0 'second of two.setup.net' "$DEQ" run both.deq
trained 1 1
expect 0 'one.setup.net: found in the cache' "$DEQ" run both.deq --set two.setup.net.epochs=2
trained 1 2
expect 0 'two.setup.net: found in the cache' "$DEQ" run both.deq --set one.setup.rounds=2
trained 2 1
expect 0 'one.setup.net: found in the cache' "$DEQ" run both.deq --set two.setup.net.attack.iterations=2
expect 64 'E0901.*did you mean one.setup.net.epochs, two.setup.net.epochs' "$DEQ" run both.deq --set setup.net.epochs=2
expect 64 'E0901.*did you mean one.setup.rounds, two.setup.rounds' "$DEQ" run both.deq --set setup.rounds=2
sed '/two.setup as b/d; /second = /d; s/, second//; s/import two.setup (/import one.setup (/; s/one.setup as a/one.setup as c/; s/a[.]net/c.net/' both.deq >single.deq
expect 0 'first of setup.net' "$DEQ" run single.deq --set setup.net.epochs=1 --set setup.rounds=2
done_testing
