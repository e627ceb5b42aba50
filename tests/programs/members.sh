#!/usr/bin/env bash
# Members of evaluations: what an example costs is counted exactly, and does not change with the threads or the cache.
source "$(dirname "$0")/lib.sh"
data 64
cp "$PROGRAMS"/{shared,members}.deq .
expect 0 'claim "bytes" holds' "$DEQ" run members.deq
cp results/members/F.csv first.csv

# ---- logs of training ----
grep -q 'claim "the loss falls" holds' out || fail "claims of a log"
grep -q 'claim "a number of the log" holds' out || fail "a pick of a number of a log"
log=results/members/log-net-short-log.csv
[[ $(cell results/members/L.csv 1 net.log.epoch) == 3 ]] || fail "the last epoch is the third"
[[ $(cell results/members/L.csv 1 'loss (2)') == "$(cell results/members/L.csv 1 'net.log[2].loss')" ]] || fail "the loss of epoch 2"
[[ $(cell results/members/L.csv 2 'loss (3)') == "$(cell results/members/L.csv 2 net.log.loss)" ]] || fail "without a number it is the last epoch"
[[ -z $(cell results/members/L.csv 1 'loss (4)') ]] || fail "there is no fourth epoch"
[[ -n $(cell results/members/L.csv 1 "shifted low") ]] || fail "what is computed of a log alone stands between a value and its interval"
[[ $(grep -vc '^#' results/members/E4.csv) == 7 ]] || fail "a curve of three epochs for each net"
printf '%.6g\n' "$(cell "$log" 2 loss)" >a; printf '%.6g\n' "$(cell results/members/L.csv 1 'loss (2)')" >b
cmp -s a b || fail "the log says $(cat a), the table $(cat b)"
# short: two steps of a solver that evaluates f at their end, and what the residual and the value take
[[ $(cell first.csv 1 clean.evaluations) == 4 ]] || fail "the clean prediction of the short net takes $(cell first.csv 1 clean.evaluations) evaluations of f"
for row in 1 2 3 4 5 6 7 8 9 10 11 12; do
  awk -v e="$(cell first.csv $row r.evaluations)" -v c="$(cell first.csv $row clean.evaluations)" 'BEGIN { exit !(e > c) }' || fail "row $row: an attack costs evaluations"
  awk -v s="$(cell first.csv $row r.seconds)" 'BEGIN { exit !(s > 0) }' || fail "row $row: no time, though its attack was run for another evaluation"
done
[[ $(cell first.csv 7 r.products) == 4 ]] || fail "two gradients through two steps are four products"
# an evaluation whose attack another one has run costs what it would have cost
[[ $(cell first.csv 1 r.products) == "$(cell first.csv 4 r.products)" ]] || fail "the defence changes what the attack costs"
[[ $(cell results/members/P.csv 1 'r[defence: early].bytes') == "$(cell first.csv 1 r.bytes)" ]] || fail "a member of a pick"
[[ $(cell results/members/P.csv 4 early.evaluations) == "$(cell first.csv 7 r.evaluations)" ]] || fail "a member of a name for a pick"
awk -v l="$(cell first.csv 1 r.loss)" 'BEGIN { exit !(l > 1) }' || fail "the loss under the attack"
# ---- gradients beside each other ----
grep -q 'claim "C20" holds' out || fail "the adjoint state nears the implicit gradient step by step"
grep -q 'claim "the exact one is itself" holds' out || fail "a gradient compared with itself"
[[ $(grep -vc '^#' results/members/G.csv) == 13 ]] || fail "a row for each net and state"
awk -v c="$(cell results/members/G.csv 1 'c (adjoint)')" -v r="$(cell results/members/G.csv 1 'r (adjoint)')" 'BEGIN { exit !(c > 0.9 && c < 1 && r > 0.1 && r < 1) }' || fail "cosine and relative error of the first adjoint state"
"$DEQ" journal "$(cell results/members/G.csv 1 journals | cut -d';' -f1)" --csv | grep -vc '^#' >n || true
[[ $(cat n) -ge 64 ]] || fail "a record for each example"

# ---- verdicts ----
grep -q 'claim "what is cut to zero is masked" holds' out || fail "a verdict in a claim"
grep -q 'claim "and never else" holds' out || fail "a verdict that is compared from the right"
V=results/members/V
[[ $(cell $V.csv 2 'doubt (pgd2)') == masked && $(cell $V.csv 1 'doubt (pgd2)') == suspect ]] || fail "the word of a verdict in a table"
[[ $(cell $V.csv 1 'doubt (none)') == - ]] || fail "a verdict on what is under no attack"
[[ $(cell $V.csv 2 weakest.verdict) == masked ]] || fail "of equally strong attacks the worst verdict counts"
[[ $(cell $V.csv 4 'robust[attack: pgd4].verdict') == masked ]] || fail "the verdict on a pick"
[[ $(cell results/members/VN.csv 1 'if hidden then 1 else 0') == 1 ]] || fail "a verdict in a number"
grep -q '^blind & masked ' results/members/VM.tex || fail "the word of a verdict in LaTeX"
grep -q 'the mean over' results/members/VM.md && fail "the mean of words"
grep -q '"name": *"masked"' results/members/V-table.json || fail "the word of a verdict in JSON"

# figures name their nets, journals and attacks as tables do, and their reasons; claims what they rest on
FV=results/members/FV FS=results/members/FS
for c in seeds nets 'robust attack' 'robust verdict' 'robust reasons' 'robust checks'; do
  [[ -n $(cell $FV.csv 5 "$c") ]] || fail "no $c in the CSV of a figure"
done
[[ $(cell $FV.csv 5 journals) == "$(cell $V.csv 2 journals | cut -d';' -f3)" ]] || fail "the journal of a bar is that of the cell"
[[ $(cell $FS.csv 5 seeds) == '0;1' ]] || fail "a bar over two seeds rests on both"
[[ -z $(cell $FV.csv 1 'robust attack') ]] || fail "what is under no attack"
grep -q '"check": *"lost_gradients"' $FV-figure.json || fail "the checks of a figure's values"
[[ $(cell results/members/doubts-claims.csv 1 accuracies) == masked ]] || fail "a claim rests on what is masked"
grep -q '^\*\*it withstands\*\* rests on an accuracy under attack that is masked: .*cut to zero by on_fail' results/members/doubts-claims.md || fail "why a claim is in doubt"
expect 0 '^  - robust (seed = 0, sight = blind, attack = pgd2): .* is masked: .*cut to zero by on_fail' "$DEQ" report results/members
grep -A3 '^## Other accuracies under attack of doubts' out | grep -q '^- unseen (seed = 0): .* is masked: ' || fail "values in no table or figure"
grep -q '^- it withstands: holds, .*; its accuracies under attack are masked: ' out || fail "claims in the report"
expect 0 '' "$DEQ" report results/members --html -o page.html
grep -q '<h2>Other accuracies under attack of doubts</h2>' page.html || fail "values in no table or figure on the page"
[[ $(grep -c '<h3>Verdicts</h3>' page.html) -ge 4 ]] || fail "the verdicts of figures on the page"
expect 0 '' "$DEQ" run members.deq
# ---- where a gradient was not made, nothing is compared ----
cat >cut.deq <<'D'
import shared (Net, learn, test, recipe, short)
import std.metrics (accuracy)

experiment cut {
  train net = Net with short on learn { ..recipe }
  let failing = net with { forward: broyden(tol: 1e-12, max: 2) }
  let cut = net with { forward: broyden(tol: 1e-12, max: 2); on_fail: zero_gradient }
  let used = cosine(failing, test[0..64], of: jfb(), to: jfb())
  let c = cosine(cut, test[0..64], of: jfb(), to: jfb())
  let r = relative_error(cut, test[0..64], of: jfb(), to: implicit(gmres()))
  table "cut" { columns: [used, c, r] }
}
D
expect 0 'a gradient that was not finite and left out, or that on_fail cut to zero: nothing can be compared' "$DEQ" run cut.deq
[[ $(cell results/cut/cut.csv 1 used) == 1 ]] || fail "a gradient of a solve that fell short is not itself"
[[ -z $(cell results/cut/cut.csv 1 c) && -z $(cell results/cut/cut.csv 1 r) ]] || fail "gradients that were cut are compared"

# from the cache: the same, with the seconds of the first time
expect 0 '' "$DEQ" run members.deq
cut -d, -f1-14 first.csv >a; cut -d, -f1-14 results/members/F.csv >b
cmp -s a b || fail "values from the cache differ"
# with one thread: all but the seconds
expect 0 '' "$DEQ" run members.deq --threads 1 --fresh
same first.csv results/members/F.csv
no_partial_files
done_testing
