#!/usr/bin/env bash
# Constants that are no numbers: a script that names them has the results of one that writes them out, from a module too,
# where the script's own names are others; their names are labels, and --set gives them other values.
source "$(dirname "$0")/lib.sh"
data 64
deq=(timeout 200 "$DEQ")
sed '/^import std.attacks/d; /^attack/d; /^  attack:/d; /^experiment tiny/,$d; s/epochs:   3/epochs:   1/' "$PROGRAMS/tiny.deq" >head.deq
cat >shared.deq <<'END'
import std.attacks (pgd)
import std.losses (margin)

const base = 0.05
const radii = [base, 2 * base]
const few = anderson(memory: 3, tol: 1e-4, max: 30)
const solvers = [few, other: broyden(tol: 1e-4, max: 30)]
const plain = pgd(radius: base, step: 0.02, iterations: 3)
const attacks = [none, plain, on_margin: plain with { loss: margin }]
const grid = [pgd(radius: q, step: 0.02, iterations: n) for q in radii for n in [1, 2]]
const measure = margin
END
cat >shown.deq <<'END' # "picked": names of constants are labels

  table "solvers" { rows: [s, r]; columns: [by_solver by base] }
  table "attacks" { rows: a; columns: [by_attack, measured] }
  table "grid" { rows: g; columns: [by_grid] }
  table "picked" { rows: r; columns: [by_solver[s: few] by base] }
}
END
{
  cat head.deq
  cat <<'END'
import std.attacks (pgd)
import shared (radii, solvers, few, attacks, grid)
import shared as shared

experiment e {
  sweep base in [0.01]  // of the module's constant this says nothing
  sweep r in radii
  sweep s in solvers
  sweep a in attacks
  sweep g in grid
  let by_solver = accuracy(net with { forward: s }, quadrants.test[0..50] under pgd(radius: r, step: base, iterations: 3))
  let by_attack = cross_entropy(net with { forward: few }, quadrants.test[0..50] under a)
  let by_grid = cross_entropy(net, quadrants.test[0..50] under g)
  let measured = shared.measure(net, quadrants.test[0..50] under shared.plain)
END
  cat shown.deq
} >named.deq
{
  cat head.deq
  cat <<'END'
import std.attacks (pgd)
import std.losses (margin)

experiment e {
  sweep base in [0.01]
  sweep r in [0.05, 2 * 0.05]
  sweep s in [few: anderson(memory: 3, tol: 1e-4, max: 30), other: broyden(tol: 1e-4, max: 30)]
  sweep a in [none, plain: pgd(radius: 0.05, step: 0.02, iterations: 3), on_margin: pgd(radius: 0.05, step: 0.02, iterations: 3) with { loss: margin }]
  sweep g in [pgd(radius: q, step: 0.02, iterations: n) for q in [0.05, 2 * 0.05] for n in [1, 2]]
  let by_solver = accuracy(net with { forward: s }, quadrants.test[0..50] under pgd(radius: r, step: base, iterations: 3))
  let by_attack = cross_entropy(net with { forward: anderson(memory: 3, tol: 1e-4, max: 30) }, quadrants.test[0..50] under a)
  let by_grid = cross_entropy(net, quadrants.test[0..50] under g)
  let measured = margin(net, quadrants.test[0..50] under pgd(radius: 0.05, step: 0.02, iterations: 3))
END
  cat shown.deq
} >written.deq
numbers() { grep -v '^#' "$1" | sed '1d; s/0.05/base/' | cut -d, -f"$2"; }
expect 0 '' "${deq[@]}" run named.deq
named=$(made)
expect 0 '' "${deq[@]}" run written.deq
written=$(made)
while read -r table columns rows; do
  diff <(numbers "$named/$table.csv" "$columns") <(numbers "$written/$table.csv" "$columns") || fail "named and written out, $table differ"
  [[ $(numbers "$named/$table.csv" 1 | wc -l) == "$rows" ]] || fail "$table has other than $rows rows"
  checks=$((checks + 1))
done <<'END'
solvers 1-5 4
attacks 1-7 3
grid 1-4 4
picked 1-4 2
END
expect 0 '' "${deq[@]}" run named.deq --set 'shared.radii=[0.02]'
[[ $(numbers "$(made)/grid.csv" 1 | wc -l) == 2 ]] || fail "--set of a list: $(cat "$(made)/grid.csv")"

# ---- what is named again and again has a bound; several mistakes are told, each once ----
echo 'const a0 = [1, 2]' >long.deq
for k in $(seq 1 30); do echo "const a$k = [x: a$((k - 1)), y: a$((k - 1))]"; done >>long.deq
expect 2 'E0601.*is too long to be written out' timeout 60 "$DEQ" check long.deq

# ---- every cell of an experiment is as large as it is by itself: large grids are no reason to refuse ----
{
  sed '/^import std.attacks/d; /^attack/d; /^  attack:/d; /^experiment tiny/,$d' "$PROGRAMS/tiny.deq"
  echo 'import std.attacks (pgd)'
  echo 'fn r0(x: f32) -> f32 = x'
  for k in $(seq 1 9); do echo "fn r$k(x: f32) -> f32 = r$((k - 1))(x) / 2 + r$((k - 1))(x) / 2"; done
  cat <<'END'
experiment many {
  sweep k in 1..401 // each asks r9 for more than 2500 evaluations
  let robust = accuracy(net, quadrants.test[0..50] under pgd(radius: r9(0.001 * k), step: 0.01, iterations: 1))
  table "many" { rows: k; columns: [robust] }
}
END
} >many.deq
expect 0 '' "${deq[@]}" check many.deq
done_testing
