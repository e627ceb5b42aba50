#!/usr/bin/env bash
# Figures: the numbers that are drawn are those of the tables, pictures are of their kinds, and what cannot be drawn is said.
source "$(dirname "$0")/lib.sh"
data 64
cp "$PROGRAMS/figures.deq" .
expect 0 '^figure intervals: results/figures/intervals\.' "$DEQ" run figures.deq
results=results/figures
unsealed() { sed 's/,[^,]*,[^,]*$//' "$results/$1.csv"; } # without version and checksum

# ---- numbers that need no net ----
diff - <(unsealed products) <<'END' || fail "the numbers of 'products'"
k,n,n * k
0,1,0
0,2,0
0,3,0
1,1,1
1,2,2
1,3,3
100,1,100
100,2,200
100,3,300
END
diff - <(unsealed trajectory) <<'END' || fail "the numbers of 'trajectory'"
k,n,n * n,n * k
0,1,1,0
0,2,4,0
0,3,9,0
1,1,1,1
1,2,4,2
1,3,9,3
100,1,1,100
100,2,4,200
100,3,9,300
END

# ---- a figure draws what a table shows: the same values and intervals in the same cells ----
column() { awk -F, -v c="$2" '/^#/ { next } !t { for (i = 1; i <= NF; i++) if ($i == c) at = i; t = 1; next } { print $at }' "$results/$1.csv"; }
for c in seed n at_n 'at_n low' 'at_n high'; do
  diff <(column states "$c") <(column intervals "$c") || fail "'$c' in the figure is not that of the table"
done
for c in at_n.residual 'at_n.residual low' 'at_n.residual high'; do # means over examples have intervals too
  [[ $(column states "$c") == *[1-9]* ]] || fail "'$c' is empty"
  diff <(column states "$c") <(column intervals-of-means "$c") || fail "'$c' in the figure is not that of the table"
done
grep -q '^k = 1,' $results/members.csv && grep -q '^k = 2,' $results/members.csv || fail "members of one family: $(cat $results/members.csv)"
diff <(column states exit | sed -n '1p;4p') <(column choice exit) || fail "a choice is drawn as its number"
diff <(column sources all) <(column families all) || fail "bars have the values of the table"
grep -q 'low' $results/families.csv && fail "band: none leaves no interval"

# ---- bands: over two seeds the mean and both of them; over examples, quantiles in order, and a difference paired ----
for n in 1 2 3; do
  a=$(cell $results/states.csv $n at_n) b=$(cell $results/states.csv $((n + 3)) at_n)
  awk -v a="$a" -v b="$b" -v v="$(cell $results/seeds.csv $n at_n)" -v l="$(cell $results/seeds.csv $n 'at_n low')" -v h="$(cell $results/seeds.csv $n 'at_n high')" \
    'BEGIN { lo = a < b ? a : b; hi = a < b ? b : a; exit !((v - (a + b) / 2) ^ 2 < 1e-12 && (l - lo) ^ 2 < 1e-12 && (h - hi) ^ 2 < 1e-12) }' ||
    fail "the band over the seeds at n = $n"
done
for row in 1 2 3 4 5 6; do
  awk -v v="$(cell $results/residuals.csv $row at_n.residual)" -v l="$(cell $results/residuals.csv $row 'at_n.residual low')" -v h="$(cell $results/residuals.csv $row 'at_n.residual high')" \
    'BEGIN { exit !(0 < l && l < v && v < h) }' || fail "the quantiles of the residual in row $row"
done
[[ $(cell "$results/per-example.csv" 1 'at_n.residual - e[n: 1] high') == 0 ]] || fail "of each example, a value less itself is 0"
mean=$(cell $results/states.csv 2 at_n.residual) first=$(cell $results/states.csv 1 at_n.residual)
awk -v v="$(cell "$results/per-example.csv" 2 'at_n.residual - e[n: 1]')" -v a="$mean" -v b="$first" 'BEGIN { exit !((v - a + b) ^ 2 < 1e-10) }' ||
  fail "the mean of the differences is not the difference of the means"
grep -q '"caption": *"median over examples; bands: quantiles 0.1 to 0.9"' $results/residuals-figure.json || fail "the figure says what its band is"

# ---- cells that do not exist are left out, and grey in a heat map ----
[[ $(grep -c '^short,' $results/ragged.csv) == 3 && $(grep -c '^long,' $results/ragged.csv) == 6 ]] || fail "a line for each state that there is"
[[ $(sed -n '/missing << EOD/,/^EOD/p' $results/ragged-heat.gp | grep -vc 'EOD\|^-9') == 3 ]] || fail "three cells of the heat map are missing"

# ---- the script: zeros on a logarithmic axis, names of places, each line with a colour and a dash of its own ----
grep -q "'≤ 0'" $results/products.gp || fail "what is not above 0 has a tick on a logarithmic axis"
grep -q "'unrolled (k = 2)' 2" $results/families.gp || fail "the members of a family have a place each"
grep -q "'share and residual'" $results/mixed.gp || fail "values of which some are no shares have no axis in percent"
grep -q "'no values'" $results/nothing.gp || fail "a figure of nothing says so"
[[ $(grep -o "lc rgb '#[0-9a-f]*' lw [0-9.]* dt [^ ]*" $results/products.gp | sort -u | wc -l) == 3 ]] || fail "three lines look different"

# ---- pictures of their kinds, drawn once ----
if command -v gnuplot >/dev/null; then
  for name in intervals intervals-of-means members seeds residuals per-example bars families heat exchange choice products trajectory mixed margins nothing ragged ragged-heat; do
    [[ $(head -c 8 $results/$name.png | od -An -tx1 | tr -d ' \n') == 89504e470d0a1a0a ]] || fail "$name.png is no PNG"
    head -c 5 $results/$name.pdf | grep -q '%PDF-' || fail "$name.pdf is no PDF"
    grep -q '<svg ' $results/$name.svg || fail "$name.svg is no SVG"
    grep -q 'width="0"' $results/$name.svg && fail "$name.svg has no width"
  done
  grep -q 'seed = 1' $results/intervals.svg || fail "the legend names the lines"
  for row in 1 2 3 4 5 6; do
    number=$(awk -v v="$(cell $results/heat.csv $row robust)" 'BEGIN { printf "%.1f", 100 * v }')
    times=$(for other in 1 2 3 4 5 6; do cell $results/heat.csv $other robust; done | awk -v n="$number" 'sprintf("%.1f", 100 * $1) == n' | wc -l)
    [[ $(grep -o ">$number<" $results/heat.svg | wc -l) -ge $times ]] || fail "$number does not stand in $times cells of the heat map"
  done
  touch -d '2000-01-01' $results/heat.png
  expect 0 '' "$DEQ" run figures.deq
  [[ $(stat -c %Y $results/heat.png) == $(date -d '2000-01-01' +%s) ]] || fail "a picture is drawn again with nothing changed"
fi

# ---- deq report names them ----
expect 0 "^- residuals: $results/residuals\..*csv; median over examples; bands: quantiles 0.1 to 0.9" "$DEQ" report $results

# ---- the page of the run: drawings in the page itself, numbers with their intervals; changed numbers are refused ----
expect 0 '' "$DEQ" report $results --html -o page.html
grep -q '<h2>Figures</h2>' page.html || fail "the page has no figures"
[[ $(grep -c '<figure class="drawn"' page.html) == 18 ]] || fail "the page shows each figure once"
value=$(awk -F, 'NR == 2 { printf "%.4g \\[%.4g, %.4g\\]", $3, $4, $5 }' $results/intervals.csv)
grep -q "<td>$value</td>" page.html || fail "'$value' of a figure is not on the page"
grep -q 'bands: intervals of 95 %' page.html || fail "the page says what bands are"
if command -v gnuplot >/dev/null; then
  [[ $(grep -c 'src="data:image/svg+xml;base64,' page.html) == 18 ]] || fail "drawings are in the page"
  sed -n 's/.*alt="intervals" .*svg+xml;base64,\([^"]*\)".*/\1/p' page.html | base64 -d >drawing.svg
  cmp -s drawing.svg $results/intervals.svg || fail "the drawing in the page is the figure's"
  grep -q 'alt="intervals" src="data:image/png' page.html && fail "a figure is shown twice"
fi
grep -Eq '(src|href)="?(https?:|//)' page.html && fail "the page fetches something"
cp -r $results changed && sed -i 's/"seed": *"0"/"seed": "7"/' changed/intervals-figure.json
expect 3 'E0822.*intervals-figure.json' "$DEQ" report changed --html

# ---- without gnuplot: a note once, the numbers and the script ----
mkdir path && for tool in bash env; do ln -s "$(command -v $tool)" path/; done
rm -r results
expect 0 'note: no pictures, gnuplot is not installed' env PATH="$PWD/path" "$DEQ" run figures.deq
[[ $(grep -c 'no pictures' out) == 1 ]] || fail "the note is printed once"
[[ -s $results/heat.gp && -s $results/heat.csv && ! -e $results/heat.png ]] || fail "what stays without gnuplot"
if command -v gnuplot >/dev/null; then
  (cd $results && gnuplot heat.gp && gnuplot -e "format='svg'" heat.gp) || fail "the script does not draw on its own"
  [[ -s $results/heat.png && -s $results/heat.svg ]] || fail "the script's pictures"
fi

# ---- what stands in the way of a file is told, and the run fails ----
rm -r results
expect 0 '' "$DEQ" run figures.deq
rm $results/bars.csv && mkdir $results/bars.csv
expect 3 'bars.csv' "$DEQ" run figures.deq
rmdir $results/bars.csv
if [[ $(id -u) != 0 ]]; then
  chmod a-w $results
  expect 3 'figures/' "$DEQ" run figures.deq
  chmod u+w $results
fi

# ---- events, and the same name in two experiments ----
expect 0 '"event": *"figure"' "$DEQ" run figures.deq --json
{ sed '/^experiment figures/,$d' figures.deq; echo 'experiment one { sweep k in 1..3; figure "f" { lines: k * k; x: k } }
experiment two { sweep k in 1..3; table "f" { rows: k; columns: [2 * k] } }'; } >twice.deq
expect 0 '^figure f: results/twice/one-f\.' "$DEQ" run twice.deq
[[ -s results/twice/one-f.csv && -s results/twice/two-f.csv && ! -e results/twice/f.csv ]] || fail "names of files that two experiments use"
no_partial_files
done_testing
