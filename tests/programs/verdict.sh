#!/usr/bin/env bash
# The verdict on accuracies under attack: a healthy one is reliable; attacks without gradients, on purpose and through a
# loss that saturates, are masked, in every file that holds the accuracy; --strict makes that exit code 5.
source "$(dirname "$0")/lib.sh"
data 400
expect 0 'robust of net.*; reliable$' "$DEQ" run "$PROGRAMS/tiny.deq" --strict
[[ $(cell results/tiny/tiny.csv 1 'robust verdict') == reliable ]] || fail "no verdict in the table"
grep -q '^The accuracies under attack are reliable' results/tiny/tiny.md || fail "no verdict in the Markdown"
if head -1 results/tiny/tiny.csv | grep -q 'clean verdict'; then fail "a verdict on an accuracy without an attack"; fi
checks=$((checks + 3))

# the clean accuracy that it is compared with may stand below it, and in a sweep
sed '/^  let clean = /d; s/^  let robust = .*/  sweep turns in [6, 30]\n&\n  let clean = accuracy(net with { body.forward.max: turns }, quadrants.test)/; s/accuracy(net, quadrants.test under exact)/accuracy(net with { body.forward.max: turns }, quadrants.test under exact)/; s/columns: \[.*/rows: turns; columns: [robust, clean]/' "$PROGRAMS/tiny.deq" >below.deq
expect 0 'robust of net' "$DEQ" run below.deq
[[ $(grep -c ' of net.* on 200 examples' out) == 4 ]] || fail "an evaluation is made twice, or not"
[[ $(grep -c 'above_clean -0' results/below/tiny.csv) == 2 ]] || fail "the clean accuracy below an attacked one is not compared with it"
checks=$((checks + 2))

evaluation='  let blind = accuracy(net with { body.forward: anderson(memory: 4, tol: 1e-7, max: 2); body.on_fail: zero_gradient }, quadrants.test under exact)'
sed "s|^  let robust = .*|&\n$evaluation|; s|columns: \[.*|columns: [clean, robust, blind, clean - blind]|" "$PROGRAMS/tiny.deq" >unsaid.deq
expect 2 'unsaid.deq:.*error.E0521.*zero_gradient' "$DEQ" run unsaid.deq
[[ ! -e results/unsaid ]] || fail "results of a script that was refused"
expect 64 'on_fail: zero_gradient.*allow_masking' "$DEQ" run "$PROGRAMS/tiny.deq" --set net.body.on_fail=zero_gradient
expect 0 'robust of net.*; reliable$' "$DEQ" run "$PROGRAMS/tiny.deq" --set net.body.on_fail=zero_gradient --set tiny.allow_masking=true
expect 64 'true or false' "$DEQ" run "$PROGRAMS/tiny.deq" --set tiny.allow_masking=perhaps
expect 0 'blind of net.*; masked: ' "$DEQ" run unsaid.deq --set tiny.allow_masking=true
sed 's/^experiment tiny {/&\n  allow_masking: true/' unsaid.deq >blind.deq
expect 2 'blind.deq:.*error.E0521' "$DEQ" run blind.deq --set tiny.allow_masking=true --set tiny.allow_masking=false
expect 0 'blind of net.*; masked: .*% of the examples are right, but at least half of their gradients were not finite, or cut to zero' \
  "$DEQ" run blind.deq
grep -q '^\*\*clean - blind\*\* is masked: ' results/blind/tiny.md || fail "a difference hides that one side is masked"
grep -q '^\*\*blind\*\* is masked: ' results/blind/tiny.md || fail "no reasons in the Markdown"
[[ $(cell results/blind/tiny.csv 1 'blind verdict') == masked ]] || fail "not masked in the table"
[[ $(cell results/blind/tiny.csv 1 'robust verdict') == reliable ]] || fail "the healthy evaluation beside it"
cp results/blind/tiny.csv first.csv
rm -r results/blind
expect 5 'E0961.*1 of the accuracies under attack is masked' "$DEQ" run blind.deq --strict
same first.csv results/blind/tiny.csv
"$DEQ" run blind.deq --json >events || fail "the run with --json"
grep '"name": *"blind"' events | grep -q '"verdict": *"masked"' || fail "no verdict in the events"
grep '"name": *"blind"' events | grep -q '"asked": *{.*"lost_gradients": *1[.0]*[,}]' || fail "no statistics of the attack in the events"
grep '"name": *"blind"' events | grep -q '"check": *"lost_gradients"' || fail "no reasons in the events"
checks=$((checks + 5))

# what asks nothing of the net is a baseline: no accuracy under it is reliable, with an audit or without
sed 's/^import std.attacks (/&noise, /; s/under exact)/under noise(radius: 0.02))/' "$PROGRAMS/tiny.deq" >baseline.deq
for audit in '' --audit; do
  expect 0 'robust of net.*; suspect: .*made without asking the net' "$DEQ" run baseline.deq $audit
done

# a training whose attack is cut says that its log is masked, also when it is found in the cache; warn cuts nothing
short=(--set net.epochs=1 --set net.body.forward.max=2 --set tiny.allow_masking=true)
for time in 1 2; do
  expect 0 'warning.W0915.*net: what its log says of attacked examples (train [0-9.]*%, robust [0-9.]*%) is masked: on_fail cut [0-9.]*% of' \
    "$DEQ" run "$PROGRAMS/tiny.deq" "${short[@]}" --set net.body.on_fail=zero_gradient --results cut
done
"$DEQ" run "$PROGRAMS/tiny.deq" "${short[@]}" --results uncut >out 2>&1 || fail "the run with on_fail: warn"
grep -q W0915 out && fail "a log is called masked where nothing was cut"

# logits times a large number: the same predictions, a loss at its floor, gradients that are exactly zero
sed 's/body |> head$/body |> head |> loud/; s/^layer Net(/fn loud(o: f32[4]) -> f32[4] = 1000000 * o\n\n&/' "$PROGRAMS/tiny.deq" >loud.deq
expect 5 'robust of net.*; masked: .*at its rounding floor' "$DEQ" run loud.deq --strict

# outputs that are not one for each class: the metric says what is right, and what masks is seen there too
sed 's/-> f32\[4\] {$/-> f32[4 + 64] {/; s/^layer Body\(.*\)f32\[4 + 64\]/layer Body\1f32[H]/; s/return image |> flatten |> body |> head/return concat(1e6 * head(body(flatten(image))), 1e7 * flatten(image))/
  s/^train net = /fn ce(o: f32[68], y: label[4]) -> f32 = cross_entropy(o[0..4], y)\n\nfn acc(o: f32[68], y: label[4]) -> f32 = accuracy(o[0..4], y)\n\nfn size(o: f32[68], y: label[4]) -> f32 = mean(abs(o)) + 0 * cross_entropy(o[0..4], y)\n\n&/
  s/loss:     cross_entropy/loss: ce\n  metric: acc/; s/accuracy(net, /acc(net, /; s/^  let robust = .*/&\n  let other = size(net, quadrants.test under exact)/; s/columns: \[.*/columns: [clean, robust, other]/' "$PROGRAMS/tiny.deq" >heads.deq
for audit in '' --audit; do
  expect 0 'robust of net.*; masked: [0-9.]*% of the examples are right, but at least half of their gradients were exactly zero' "$DEQ" run heads.deq $audit
  grep -q '^\*\*other\*\* is masked: [0-9.]*% of .*gradients were exactly zero[^;]*\.$' results/heads/tiny.md || fail "a metric that says neither right nor wrong is judged by something else"
done
IFS=';' read -r _ robust other < <(sed -n '2s/.*,\([0-9a-f]\{32\};[0-9a-f;]*\),.*/\1/p' results/heads/tiny.csv)
"$DEQ" journal "$robust" --csv | awk -F, 'NR > 1 { n += $3 != ($4 == 1 ? $2 : -2) } END { exit n > 0 }' || fail "predictions are not what the metric says"
[[ $("$DEQ" journal "$other" --csv --filter 'prediction=-3' | wc -l) == 201 ]] || fail "a prediction that nothing says"
checks=$((checks + 4))

# an audit attacks again: the honest net is reliable, also cut to two steps; what masks is named with its number
expect 0 'robust of net.*; reliable$' "$DEQ" run "$PROGRAMS/tiny.deq" --audit --strict
grep -q '^net: found in the cache' out || fail "an audited net is trained again"
grep -q '^Checks of robust, up to 200 examples attacked again: zero_gradients 0, .*, converged 0, implicit 0, phantom -0.*, jfb -0.*, margin .*, longer .*, unbounded -0.*, noise -0.*, search .*, tighter 0' \
  results/tiny/tiny.md || fail "not every check with its number"
cp results/tiny/tiny.md once.md
expect 0 '' "$DEQ" run "$PROGRAMS/tiny.deq" --set tiny.audit=true --threads 1 --fresh
diff once.md results/tiny/tiny.md || fail "an audit depends on the threads, or on the way it is asked for"
records() { find cache -name '*.journal' -print0 | xargs -0 cat | wc -c; }
half=$(records)
expect 0 'robust of net.*; reliable$' "$DEQ" run "$PROGRAMS/tiny.deq" --set tiny.audit=whole
whole=$(records) # two ways at least on 100 more examples, with 100 bytes each
((whole > half + 20000)) || fail "an audit on the whole sample makes no more records: $half, $whole bytes"
expect 0 '' "$DEQ" run "$PROGRAMS/tiny.deq" --set tiny.audit=whole
[[ $(records) == "$whole" ]] || fail "an audit is made twice"
# gradients that point anywhere: 50 queries are too few to see it
sed 's/image |> flatten |> body/(image + 0.01 * sin(2000 * image)) |> flatten |> body/' "$PROGRAMS/tiny.deq" >shattered.deq
expect 0 'robust of net.*; suspect: .*a random search lowers it by' "$DEQ" run shattered.deq --set tiny.audit=whole
expect 64 'true or false, or whole' "$DEQ" run "$PROGRAMS/tiny.deq" --set tiny.audit=half
two='  let two = accuracy(net with { body.forward: anderson(memory: 4, tol: 1e-7, max: 2) }, quadrants.test under exact)'
sed "s|^  let robust = .*|&\n$evaluation\n$two|; s|columns: \[.*|columns: [robust, blind, two]|; s/^experiment tiny {/&\n  allow_masking: true\n  audit: true/" "$PROGRAMS/tiny.deq" >audited.deq
expect 5 'blind of net.*; masked: .*gradients that on_fail does not cut, the attack lowers it by' "$DEQ" run audited.deq --strict
[[ $(cell results/audited/tiny.csv 1 'two verdict') != masked ]] || fail "a net of two steps is masked"
[[ $(cell results/audited/tiny.csv 1 'robust verdict') == reliable ]] || fail "an honest net is not reliable"
expect 0 '^- blind: .* is masked: .*[Uu]p to 200 examples attacked again; checks: .*lost_gradients 0[.].*, uncut 0[.]' "$DEQ" report results/audited
grep -q ',zero_gradients 0; .*; converged 0' results/audited/tiny.csv || fail "no checks in the table"
expect 5 'robust of net.*; masked: .*on the margin in place of the loss, the attack lowers it by' "$DEQ" run loud.deq --audit --strict
checks=$((checks + 4))

# warnings: the largest share first, what was done about it, and what concerns few at the end
expect 0 '' "$DEQ" run "$PROGRAMS/tiny.deq" -q --set net.body.forward.max=7 --set 'exact.gradient=implicit(gmres(tol: 1.8e-4, max: 9))'
grep W0912 out | grep 'robust of net' >warnings
grep -q '^[^:]*: [^:]*: robust of net: [0-9.]*% of the .*tolerance.*used as they were$' <(head -1 warnings) || fail "not what was done"
grep -q 'robust of net: a few: 0[.][0-9]*% of the attack.s adjoint solves' <(tail -1 warnings) || fail "few are not told at the end"
expect 0 'blind of net: 100% of the attack.s forward solves .*; their gradients were cut to zero' "$DEQ" run blind.deq -q --fresh
checks=$((checks + 2))

# statistics of an attack are those of its records, apart from the prediction's; also of several together
sed 's/body |> head$/body |> head |> loud/; s/^layer Net(/fn loud(o: f32[4]) -> f32[4] = 400 * o\n\n&/; s/^experiment/attack both = sequence(weak, exact)\n\n&/
  s/^  let robust = .*/&\n  let joined = accuracy(net, quadrants.test under both)/; s/columns: \[.*/columns: [COLUMNS]/' "$PROGRAMS/tiny.deq" >asked.deq
names=(converged adjoint_converged zero_gradients lost_gradients gradients)
columns=robust,joined,robust.converged
for name in "${names[@]}"; do columns+=,robust.attack.$name,joined.attack.$name; done
sed -i "s/COLUMNS/$columns/" asked.deq
expect 0 '' "$DEQ" run asked.deq --set net.body.forward.max=7 --set 'exact.gradient=implicit(gmres(tol: 1.8e-4, max: 4))'
asked=$(made)/tiny.csv
IFS=';' read -r _ robust joined < <(cell "$asked" 1 journals)
for value in robust joined; do
  "$DEQ" journal "${!value}" --csv >records.csv
  sum() { awk -F, -v column="$1" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == column) at = i; next } { n += $at } END { print n + 0 }' records.csv; }
  while read -r name count of invert; do
    awk -v have="$(cell "$asked" 1 "$value.attack.$name")" -v n="$(sum "$count")" -v of="$([[ $of == examples ]] && echo 200 || sum "$of")" -v invert="$invert" \
      'BEGIN { want = invert ? 1 - n / of : n / of; exit !(of > 0 && have != "" && (have - want) ^ 2 < 1e-12) }' ||
      fail "$value.attack.$name is '$(cell "$asked" 1 "$value.attack.$name")', the records have $(sum "$count") of $of"
    checks=$((checks + 1))
  done <<END
converged attack_unconverged attack_solves 1
adjoint_converged adjoint_unconverged adjoint_solves 1
zero_gradients zero_gradients gradients 0
lost_gradients lost_gradients gradients 0
gradients gradients examples 0
END
done
for name in converged adjoint_converged zero_gradients; do
  awk -v v="$(cell "$asked" 1 "robust.attack.$name")" 'BEGIN { exit !(v > 0 && v < 1) }' || fail "robust.attack.$name is all or nothing: it tests nothing"
done
[[ $(cell "$asked" 1 robust.converged) != "$(cell "$asked" 1 robust.attack.converged)" ]] || fail "solves of the attack are those of the prediction"

# a training says it of its attack, whose gradient is not its own
expect 0 "W0912.*net: in the last epoch 100% of the attack.s adjoint solves .*tolerance; the gradients found were used as they were$" \
  "$DEQ" run "$PROGRAMS/tiny.deq" -q --set net.epochs=1 --set 'weak.gradient=implicit(gmres(tol: 1e-12, max: 1))' --results words
grep -q 'attack.s gradients were not finite' out && fail "gradients that were not lost are told as lost"

# two fixed points that both fall short: each gradient is lost once
{ sed 's/^import std.data/import std.attacks (pgd)\nimport std.metrics (accuracy)\n&/' "$PROGRAMS/modes_chain.deq"
  cat <<'DEQ'

experiment two {
  allow_masking: true
  let cut = accuracy(net with { forward: broyden(tol: 1e-9, max: 1); on_fail: zero_gradient },
    quadrants.test under pgd(radius: 0.1, step: 0.05, iterations: 3))
  table "two" { columns: [cut.attack.lost_gradients, cut.attack.gradients] }
}
DEQ
} >two.deq
expect 0 'masked' "$DEQ" run two.deq
[[ $(cell results/two/two.csv 1 'cut.attack.lost_gradients') == 1 ]] || fail "gradients lost more than once, or not"
[[ $(cell results/two/two.csv 1 'cut.attack.gradients') == 3 ]] || fail "not a gradient a step"
checks=$((checks + 2))
no_partial_files
done_testing
