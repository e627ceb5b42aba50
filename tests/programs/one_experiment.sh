#!/usr/bin/env bash
# deq run FILE EXPERIMENT: one experiment, the training runs that it needs, and nothing else.
source "$(dirname "$0")/lib.sh"
data 100
awk '/^test/ { exit } { print }' "$PROGRAMS/tiny.deq" >several.deq
cat >>several.deq <<'D'
train later = Net on quadrants.train { start: net; loss: cross_entropy; optimise: adam(rate: 1e-3); batch: 32; epochs: 1 }

train other = Net on quadrants.train { loss: cross_entropy; optimise: adam(rate: 1e-3); batch: 32; epochs: 1; seed: 8 }

data absent: (f32[1, 8, 8], label[4]) = idx("none", "none", "none", "none")

train unread = Net on absent.train { loss: cross_entropy; optimise: adam(rate: 1e-3); epochs: 1 }

experiment started {
  let clean = accuracy(later, quadrants.test)
  table "started" { columns: [clean] }
}

experiment transferred {
  let robust = accuracy(net, quadrants.test under weak with { against: other })
  table "transferred" { columns: [robust] }
}

experiment inside {
  train own = Net on quadrants.train { start: other; loss: cross_entropy; optimise: adam(rate: 1e-3); epochs: 1 }
  let clean = accuracy(own, quadrants.test)
  table "inside" { columns: [clean] }
}

experiment logged {
  let last = net.log.loss
  table "logged" { columns: [last] }
}

experiment missing {
  let clean = accuracy(unread, absent.test)
  table "missing" { columns: [clean] }
}
D
# trains NAMES: the training runs of the plan of an experiment, in order
trains() {
  local experiment=$1 names
  shift
  names=$("$DEQ" run several.deq "$experiment" --plan | sed -n 's/^train //p' | tr '\n' ' ')
  [[ $names == "$* " ]] || fail "$experiment trains '$names', not '$*'"
  checks=$((checks + 1))
}
trains tiny net
trains started net later
trains transferred net other
trains inside other
trains logged net
expect 3 'data .absent.: images: there is no file' "$DEQ" run several.deq missing --plan

expect 0 'results in' "$DEQ" run several.deq tiny
[[ -e results/several/tiny.csv && ! -e results/several/started.csv ]] || fail "not the tables of this experiment alone"
grep -q '^later\|^other' out && fail "a net was trained that nobody asked for"
expect 0 'net: found in the cache' "$DEQ" run several.deq started
[[ -e results/several/tiny.csv && -e results/several/started.csv ]] || fail "the results of the first experiment are gone"
expect 0 '"event":"table","name":"inside"' "$DEQ" run several.deq inside --json
grep -q '"event":"table","name":"\(tiny\|started\|transferred\|logged\)"' out && fail "tables of other experiments are made"
expect 64 "no experiment 'stated' (did you mean 'started'?); the script has: tiny, started, transferred, inside, logged, missing" "$DEQ" run several.deq stated
sed '/^experiment/,$d' several.deq >none.deq
expect 64 "no experiment 'tiny'; the script has none" "$DEQ" run none.deq tiny
[[ ! -e results/none ]] || fail "results of a run that was refused"
expect 64 'one argument too many' "$DEQ" run several.deq tiny started
no_partial_files
done_testing
