#!/usr/bin/env bash
# An experiment takes values, nets and sweeps of another one, in a module beside it, and makes nothing again.
source "$(dirname "$0")/lib.sh"
data 64
cp "$PROGRAMS"/{shared,first,second,named}.deq .
expect 0 'in all 4 trainings and 56 evaluations, which share 28 attacks' "$DEQ" run first.deq --plan
expect 0 'in all 6 trainings and 62 evaluations, which share 32 attacks' "$DEQ" run second.deq --plan
grep -q 'first.unused' out && fail "what nothing names is planned"
# two experiments of one script share what they have together
{ cat first.deq; echo 'experiment more { table "M" { rows: [first.config, first.seed]; columns: [first.clean, first.unused] } }'; } >both.deq
expect 0 'in all 4 trainings and 56 evaluations, which share 28 attacks' "$DEQ" run both.deq --plan
expect 0 '' "$DEQ" run second.deq
[[ $(grep -c ': trained in' out) == 6 ]] || fail "a net for each configuration and seed of first, and for each own seed"
expect 0 '' "$DEQ" run second.deq
[[ $(grep -c ': trained in' out) == 0 ]] || fail "a net is trained again"
expect 0 '' "$DEQ" run first.deq
[[ $(grep -c ': trained in' out) == 0 ]] || fail "the nets of first are those that second has trained"
# clean, robust and strongest were made by second; only `unused` is new, and its attack is that of `again`
expect 0 '' "$DEQ" run first.deq --json
ran=$(sed -n 's/.*"attacks_run": *\([0-9]*\).*/\1/p' out | awk '{ n += $1 } END { print n + 0 }')
[[ $ran == 0 ]] || fail "$ran examples are attacked again"
grep -q '"event":"value"' out || fail "no evaluation is told"
grep -q '"event":"epoch"' out && fail "an epoch is trained again"
for row in 1 2 3 4; do
  [[ $(cell results/second/S-first.csv $row first.clean) == $(cell results/first/F.csv $((2 * row - 1)) clean) ]] || fail "the clean accuracy of first"
  [[ $(cell results/second/S-first.csv $row 'first.few + 1') == 4 ]] || fail "a number of first"
  early=$(cell results/first/F.csv $((2 * row - 1)) 'strongest (two)') ensemble=$(cell results/first/F.csv $((2 * row)) 'strongest (two)')
  both=$(cell results/second/S-first.csv $row 'both (two)')
  awk -v a="$early" -v b="$ensemble" -v c="$both" 'BEGIN { exit !(c == (a > b ? a : b)) }' || fail "the better of $early and $ensemble is $both"
done
grep -q '^first.config,first.seed,first.clean,' results/second/S-first.csv || fail "rows are sweeps of the other experiment"
grep -q '^"competitive","first.config = short",holds' results/second/claims.csv || fail "a claim is judged in the cells of the other experiment"
expect 0 '' "$DEQ" fmt --check second.deq
# nets that a module trains: once, and those that are named
cp "$PROGRAMS/third.deq" .
expect 0 'in all 3 trainings and 4 evaluations' "$DEQ" run third.deq --plan
expect 0 '^own: Net begins with the weights of shared.base' "$DEQ" run third.deq
[[ $(grep -c ': trained in' out) == 3 ]] || fail "the module's nets are trained once"
grep -q '^shared.tuned: Net begins with the weights of shared.base' out || fail "a net of the module begins with another"
[[ $(cell results/third/O.csv 1 clean) == "$(cell results/third/T.csv 1 clean)" ]] || fail "the same net in two experiments"
[[ $(cell results/third/O.csv 1 s.base.forward.max) == 2 ]] || fail "settings of a net of a module"
expect 0 '' "$DEQ" run third.deq two
[[ $(grep -c ': trained in' out) == 0 ]] || fail "a net of a module is trained again"
expect 0 '^shared.base .*epoch 2/2' "$DEQ" run third.deq two --set shared.base.epochs=2
[[ $(grep -c ': trained in' out) == 3 ]] || fail "what begins with a net is trained again as well"
expect 0 '^shared.base: .* trained\|^shared.base: trained' "$DEQ" run third.deq one --set shared.base.attack.iterations=3
expect 64 'no such setting; did you mean shared.base.epochs' "$DEQ" run third.deq --set shared.base.epoch=2
# a setting of a net is that of the same net where another experiment names it
expect 0 'first.net .*epoch 2/2' "$DEQ" run second.deq --set net.epochs=2
expect 0 '' "$DEQ" gradcheck third.deq
expect 0 '' "$DEQ" fmt --check third.deq

# a value that is called like a statistic; settings of a net of the other experiment, in each of its cells; whether attacks
# may be masked, which is asked of the experiment that makes the attack
cat >called.deq <<'END'
import shared (Net, learn, test, recipe, short, long, pgd2)
import std.metrics (accuracy)

const few = { ..recipe; keep: last }
train net = Net with { on_fail: zero_gradient } on learn { ..few }

experiment one {
  sweep config in [short, long]
  train swept = Net with config on learn { ..few }
  let robust = accuracy(net, test under pgd2)
  let steps = robust.steps + 1
  table "one" { columns: [steps] }
}

experiment two {
  train own = Net with { forward.max: one.swept.forward.max } on learn { ..few }
  let used = accuracy(own, test).steps
  table "two" { columns: [one.steps, one.robust] }
  table "own" { rows: one.config; columns: [used] }
}
END
expect 2 'E0521' "$DEQ" run called.deq --plan --set two.allow_masking=true
expect 0 '' "$DEQ" run called.deq --set one.allow_masking=true
[[ $(cell results/called/two.csv 1 one.steps) == "$(cell results/called/one.csv 1 steps)" ]] || fail "the value called steps"
[[ $(cell results/called/own.csv 1 used),$(cell results/called/own.csv 2 used) == 2,4 ]] || fail "a setting of the net in each cell"
cat >plain.deq <<'END'
import shared (Net, learn, recipe, short)
experiment plain {
  train net = Net with short on learn { ..recipe }
}
END
cat >own.deq <<'END'
import shared (Net, learn, recipe)
import plain (plain)
experiment own {
  train net = Net with { forward.max: plain.net.forward.max } on learn { ..recipe }
  sweep n in 0..plain.net.forward.max
  let clean = accuracy(net, learn[0..16 * (n + 1)])
}
END
expect 0 'clean: 2 evaluations over n' "$DEQ" run own.deq --plan # the first item already reads the other net
checks=$((checks + 2))

# ---- names that members and settings have too; --set lets masks pass where the value is declared ----
expect 0 '' "$DEQ" run named.deq
for row in 1 2; do
  for column in loss loss.steps blind; do
    [[ -n $(cell results/named/plain.csv $row $column) && $(cell results/named/plain.csv $row $column) == "$(cell results/named/named.csv $row plain.$column)" ]] || fail "plain.$column in row $row"
  done
  [[ $(cell results/named/named.csv $row clean) == "$(cell results/named/named.csv $row solved)" ]] || fail "row $row: forward.max and forward are not of the same sweep"
done
[[ $(cell results/named/plain.csv 1 loss.steps) == 2 && $(cell results/named/plain.csv 2 loss.steps) == 4 ]] || fail "steps of a loss"
expect 64 'true or false' "$DEQ" run named.deq named --set plain.allow_masking=yes
# cut by --set: refused when it runs, unless the experiment that declares the attacked value allows it
sed 's/ with { on_fail: zero_gradient }//; /^  allow_masking/d' named.deq >set.deq
cut=(--set plain.net.on_fail=zero_gradient)
expect 64 "say .allow_masking: true. in the experiment" "$DEQ" run set.deq named -q "${cut[@]}" --set named.allow_masking=true
expect 0 '' "$DEQ" run set.deq named -q "${cut[@]}" --set plain.allow_masking=true
no_partial_files
done_testing
