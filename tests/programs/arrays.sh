#!/usr/bin/env bash
# Values of an experiment are arrays over the sweeps they mention: each cell is made once.
source "$(dirname "$0")/lib.sh"
data 64
cp "$PROGRAMS/arrays.deq" .
expect 0 '' "$DEQ" run arrays.deq
[[ $(grep -c ': trained' out) == 2 ]] || fail "a net for each seed, and no more"
[[ $(grep -c '^clean of ' out) == 2 ]] || fail "the clean accuracy has the axis of the seed alone"
[[ $(grep -c '^at_n of ' out) == 6 ]] || fail "a state's accuracy for each seed and state"
[[ $(grep -c '^robust of ' out) == 8 ]] || fail "robust: two seeds, two gradients, two lengths"
[[ $(grep -c '^early of ' out) == 4 ]] || fail "early waits for the choice of its seed, and runs once for each length"

# ---- reductions say what the cells say ----
for row in 1 2; do
  worst=$(cell results/arrays/chosen.csv $row worst)
  clean=$(cell results/arrays/chosen.csv $row clean)
  chosen=$(cell results/arrays/chosen.csv $row exit)
  next=$(cell results/arrays/chosen.csv $row 'exit + 1')
  [[ $next == $((chosen + 1)) ]] || fail "exit is $chosen, exit + 1 is $next"
  awk -v w="$worst" -v c="$clean" 'BEGIN { exit !(w <= c) }' || fail "the worst of several attacks is $worst, the clean accuracy $clean"
  grep -q "early of net (seed = $((row - 1))).*read off states\[$chosen\]" out || fail "early is not read off the chosen state $chosen"
done
# a choice among numbers is the number, not its place in the list: in a reduction, and in JSON
first=$(cell results/arrays/chosen.csv 1 exit) second=$(cell results/arrays/chosen.csv 2 exit)
tail -1 results/arrays/seeds.csv | grep -q "$(awk "BEGIN { printf \",%g,[a-z]*,%d,\", ($first + $second) / 2, ($first > $second ? $first : $second) }")" ||
  fail "exit is $first and $second: $(tail -1 results/arrays/seeds.csv)"
[[ $(tr -d ' \n' <results/arrays/chosen-table.json | grep -o '"title":"exit","value":[0-9.]*' | sed 's/.*://; s/\.0//' | tr '\n' ' ') == "$first $second " ]] || fail "the JSON says other choices"
# what does not change with the seed is one value, with its interval and without a deviation
grep -q '^| phantom.*± .*|  *[0-9.]*% \[[0-9.]*, [0-9.]*\] |$' results/arrays/all.md || fail "a column without the joined sweep has no interval of its own"
grep -q '^| phantom.*± [0-9.]*% |$' results/arrays/all.md && fail "a column without the joined sweep has a deviation"
grep -q '^In brackets: ' results/arrays/all.md || fail "the table does not say what is in brackets"
grep -q '^seed,clean,clean low,clean high,' results/arrays/chosen.csv || fail "the accuracies have their intervals"
[[ $(grep -vc '^#' results/arrays/seeds.csv) == 2 ]] || fail "without rows a table has one line"

# ---- a field in quotes is in quotes as a whole ----
grep -q ',"max(at_n, over: n) low",' results/arrays/chosen.csv || fail "the title of an interval"
for file in results/arrays/*.csv; do
  head -1 $file | sed 's/\(^\|,\)"\([^"]\|""\)*"/\1/g' | grep '"' >out && fail "$file has text behind a quote: $(cat out)"
done

# ---- what a sweep gives, the command line does not change ----
swept() { expect 64 "in experiment 'arrays' the $1 gives this setting of '$2'" "$DEQ" run arrays.deq "${@:3}"; }
swept "sweep 'seed'" net --seed 5
swept "sweep 'seed'" net --set net.seed=5
swept "sweep 'iterations'" pgd --set pgd.iterations=4
swept "sweep 'source'" pgd --set 'pgd.gradient=jfb()'
expect 0 '' "$DEQ" run arrays.deq --plan --set pgd.step=0.02 --set net.epochs=2 --set net.optimise.rate=0.1
sed '/^experiment/,$d' arrays.deq >swept.deq
cat >>swept.deq <<'END'
experiment one {
  sweep rate in [1e-2, 1e-3]
  sweep solver in [anderson(max: 20, tol: 1e-3), broyden(max: 30, tol: 1e-3)]
  sweep sight in [sees: { on_fail: warn }, blind: { forward.tol: 1e-2 }]
  train net = Net with { body.forward: solver } on quadrants.train { loss: cross_entropy; optimise: adam(rate: rate); epochs: 1; batch: 32 }
  let clean = accuracy(net with sight, quadrants.test)
  table "t" { rows: [rate, solver]; columns: [clean by sight] }
}
experiment two {
  train net = Net on quadrants.train { loss: cross_entropy; optimise: adam(rate: 1e-2); epochs: 1; batch: 32 }
  table "t" { columns: [accuracy(net, quadrants.test)] }
}
END
swept() { expect 64 "in experiment 'one' the sweep '$1' gives this setting" "$DEQ" run swept.deq one --set "$2"; }
swept rate net.optimise.rate=0.1
swept solver 'net.body.forward=picard()'
swept solver net.forward.max=5
swept sight net.body.forward.tol=0.1
expect 0 '' "$DEQ" run swept.deq one --plan --set net.seed=5 --set net.body.forward.memory=3
expect 0 '' "$DEQ" run swept.deq two --plan --set net.optimise.rate=0.1 --set net.forward.max=5
# Sweeps of one value give settings as well: through names, records, parts of calls and choices.
sed -i '/^experiment/,$d' swept.deq
cat >>swept.deq <<'END'
experiment one {
  sweep rate in [1e-2]
  sweep most in [20]
  sweep sight in [sees: { on_fail: warn; forward.tol: 1e-2 }]
  sweep seed in [3]
  sweep iterations in [4]
  sweep step in [0.05]
  train net = Net with { body.forward: anderson(max: most, tol: 1e-3) } on quadrants.train {
    loss: cross_entropy; optimise: adam(rate: rate); epochs: 1; batch: 32; seed: seed
  }
  let seen = net with sight
  let robust = accuracy(seen, quadrants.train under pgd(radius: 0.1, step: step, iterations: 4))
  let best = argmax(robust, over: step)
  let chosen = accuracy(net, quadrants.test under pgd(radius: 0.1, step: best, iterations: iterations))
  table "t" { rows: [rate, most, sight, seed, iterations]; columns: [chosen, max(robust, over: step)] }
}
END
swept rate net.optimise.rate=0.1
swept most net.body.forward.max=5
swept most 'net.forward=picard()'
swept sight net.body.forward.tol=0.1
swept sight net.on_fail=error
swept seed net.seed=5
swept iterations pgd.iterations=2
swept step pgd.step=0.01
expect 64 "the sweep 'seed' gives this setting" "$DEQ" run swept.deq one --seed 5
expect 0 '' "$DEQ" run swept.deq one --plan --set net.epochs=2 --set net.body.forward.memory=3 --set pgd.radius=0.2

# ---- again: nothing is made, and the files have the same bytes ----
cp results/arrays/chosen.csv before.csv
expect 0 '' "$DEQ" run arrays.deq
[[ $(grep -c 'found in the cache' out) -ge 20 ]] || fail "the second run makes something again"
sed 's/,[0-9.]*,[0-9.]*,reliable.*//' before.csv >a; sed 's/,[0-9.]*,[0-9.]*,reliable.*//' results/arrays/chosen.csv >b
cmp -s a b || fail "the second run gives other numbers"

# ---- families, picks, columns spread over sweeps ----
cp "$PROGRAMS/families.deq" .
expect 0 'in all 2 trainings and 58 evaluations, which share 26 attacks' "$DEQ" run families.deq --plan
[[ ! -e results/families ]] || fail "--plan has made results"
rm -r "$XDG_CACHE_HOME"
expect 0 '' "$DEQ" run families.deq --json
# attacks are counted by example and part: 2 of 100 examples, 24 of 200
ran=$(sed -n 's/.*"attacks_run": *\([0-9]*\).*/\1/p' out | awk '{ n += $1 } END { print n }')
[[ $ran == $((2 * 100 + 24 * 200)) ]] || fail "$ran examples were attacked, which is not what the plan says"
rm -r "$XDG_CACHE_HOME" results
expect 0 '' "$DEQ" run families.deq
[[ $(grep -c '^robust of ' out) == 48 ]] || fail "robust: two seeds, two defences, six gradients, two attacks"
[[ $(grep -c '^clean of ' out) == 4 ]] || fail "the clean accuracy does not change with the attack"
grep -q '^| seed | defence |  *clean |  *least |  *worst | strongest (one, ready) | strongest (one, unrolled) |' results/families/T2.md || fail "the columns of T2"
grep -q '^| unrolled (k = 1, d = 0.5) |' results/families/attacks.md || fail "a row for each member of a family"
grep -q '\\multicolumn{6}{c}{strongest}' results/families/T2.tex || fail "LaTeX has a head for what is spread"
grep -q '\\textbf{[0-9.]*\\% \[' results/families/T2.tex || fail "LaTeX has bold cells with intervals"
grep -q '\*\*[0-9.]*% \[' results/families/T2.md || fail "Markdown has bold cells"
for row in 1 2 3 4; do # the strongest of all is the least of the strongest of each family, and more than example by example
  least=$(cell results/families/T2.csv $row least) worst=$(cell results/families/T2.csv $row worst)
  awk -v l="$least" -v w="$worst" 'BEGIN { exit !(w <= l) }' || fail "the worst example by example is $worst, the least $least"
done
# members alone are called as in their family; rows turn as they are written; what picks leave out has no row and no column
[[ $(head -1 results/families/members.csv | grep -o 'unrolled\] (k = [12], d = [01.5]*)",' | sort -u | wc -l) == 4 ]] || fail "the members of a family that is picked"
grep -q '| *k = [12], d = [01.5]* |$' results/families/members.md || fail "a choice among members is called by its place"
[[ $(grep -c '^| k = [12], d = [01.5]* *|' results/families/single.md) == 4 ]] || fail "rows of a family's members"
[[ $(sed -n 's/^\(one\|three\),\([01]\),.*/\1\2/p' results/families/turned.csv | tr '\n' ' ') == 'one0 one1 three0 three1 ' ]] || fail "rows are not in the order of 'rows'"
[[ $(grep -c '^one,\|^three,' results/families/kept.csv) == 1 && $(head -1 results/families/kept.csv) == *'(early)'* && $(head -1 results/families/kept.csv) != *'(final)'* ]] || fail "a pick leaves a row or a column of nothing"
grep -q '| *[123]\( ([12] of [12])\)\? |$' results/families/means.md || fail "a choice that is joined shows nothing"
grep -q 'Of the choices of 2 runs the most frequent is shown' results/families/means.md || fail "it is not said what is shown of choices"
grep -q 'ready\|unrolled\|fast' results/families/found.csv || fail "a choice is called by its label"
no_partial_files
done_testing
