#!/usr/bin/env bash
# Attacks one after the other: what sequence, worst_of and restarts give follows from what their parts give.
source "$(dirname "$0")/lib.sh"
data 400
sed 's|^import std.attacks.*|import std.attacks (apgd, momentum_pgd, noise, pgd)|
s|^experiment tiny {|attack auto = apgd(radius: 0.06, iterations: 10)\n\nattack mild = momentum_pgd(radius: 0.04, step: 0.01, iterations: 5)\n\nattack random = noise(radius: 0.06)\n\nattack both = sequence(auto, mild, exact)\n\nfn missed(o: f32[K], y: label[K]) -> f32 = if argmax(o) == y then 0 else 1\n\n&|
s|^  let robust = .*|  let first = accuracy(net, quadrants.test under auto)\n  let second = accuracy(net, quadrants.test under mild)\n  let third = accuracy(net, quadrants.test under exact)\n  let all = accuracy(net, quadrants.test under both)\n  let worst = accuracy(net, quadrants.test under worst_of(auto, mild, exact))\n  let nested = accuracy(net, quadrants.test under sequence(worst_of(mild), sequence(exact, auto)))\n  let once = accuracy(net, quadrants.test under restarts(random, 1))\n  let often = accuracy(net, quadrants.test under restarts(random, count: 30))\n  let ce = cross_entropy(net, quadrants.test)\n  let ce_all = cross_entropy(net, quadrants.test under both)\n  let ce_worst = cross_entropy(net, quadrants.test under worst_of(auto, mild, exact))\n  let gone = missed(net, quadrants.test under both)|
s|columns: \[.*|columns: [clean, first, second, third, all, worst, nested, once, often, ce, ce_all, ce_worst, gone]|' "$PROGRAMS/tiny.deq" >joined.deq
expect 0 'all of net.*under both' "$DEQ" run joined.deq --threads 1
table=results/joined/tiny.csv
c() { cell "$table" 1 "$1"; }
awk -v clean="$(c clean)" -v a="$(c first)" -v b="$(c second)" -v d="$(c third)" -v all="$(c all)" -v w="$(c worst)" -v n="$(c nested)" -v once="$(c once)" -v often="$(c often)" 'BEGIN {
  low = a < b ? a : b; low = low < d ? low : d
  exit !(all <= low && all == w && all == n && once <= clean && often < once && all < clean && often > 0) }' ||
  fail "accuracies do not follow from each other: $(tail -1 "$table")"
# whatever the metric, the outcome is chosen by prediction and loss
awk -v all="$(c all)" -v gone="$(c gone)" -v ce="$(c ce)" -v seq="$(c ce_all)" -v worst="$(c ce_worst)" 'BEGIN {
  d = all + gone - 1; exit !(d < 1e-6 && d > -1e-6 && ce < seq && seq == worst) }' ||
  fail "metrics are not read at the chosen input: $(tail -1 "$table")"
checks=$((checks + 1))
cp "$table" one.csv
expect 0 '' "$DEQ" run joined.deq --threads 2 --fresh
same one.csv "$table"
expect 0 'all of net.*found in the cache' "$DEQ" run joined.deq
# a part's setting from outside reaches it wherever it is used
expect 0 '' "$DEQ" run joined.deq --set auto.radius=0.5
table=$(made)/tiny.csv
[[ $(c all) < $(cell one.csv 1 all) && $(c worst) == $(c all) ]] || fail "--set auto.radius does not reach the sequences"
expect 64 'E0901.*number' "$DEQ" run joined.deq --set mild.radius=nan
expect 2 'E0504.*trains against one attack' "$DEQ" check <(sed 's|attack:   weak|attack:   both|' joined.deq)
expect 2 'E0412.*count' "$DEQ" check <(sed 's|restarts(random, 1)|restarts(random, 0)|' joined.deq)
expect 2 'E0303.*sequence' "$DEQ" check <(sed 's|^attack both = .*|attack both = sequence()|' joined.deq)
expect 2 'E0307.*an attack' "$DEQ" check <(sed 's|^attack both = .*|attack both = sequence(auto, 3)|' joined.deq)
expect 2 'E0431' "$DEQ" check <(sed 's|^attack both = .*|attack both = sequence(auto, mild with { gradient: backprop() })|' joined.deq)
# example by example: an attack that goes downhill finds nothing worse than the input as given, but it did change it; one
# that stays is told; a metric that is no accuracy takes the worst also of examples that are wrong already
sed 's|^experiment tiny {|attack down(x: f32[..S], y: label[K]; radius: f32) { return clamp(x - radius * sign(gradient(loss, at: x)), 0, 1) }\n\nattack still(x: f32[..S], y: label[K];) { return x + 0 * gradient(loss, at: x) }\n\n&|
s|^  let robust = .*|  let easier = accuracy(net, quadrants.test under sequence(down(radius: 0.02), down(radius: 0.01)))\n  let same = accuracy(net, quadrants.test under sequence(still))\n  let ce = cross_entropy(net, quadrants.test)\n  let ce_one = cross_entropy(net, quadrants.test under weak)\n  let ce_first = cross_entropy(net, quadrants.test under sequence(weak))|
s|columns: \[.*|columns: [clean, easier, same, ce, ce_one, ce_first]|' "$PROGRAMS/tiny.deq" >worst.deq
expect 0 'easier of net.*; reliable$' "$DEQ" run worst.deq --set net.epochs=1
expect 0 'same of net.*; suspect: .*right, and the attack did not change them' "$DEQ" run worst.deq --set net.epochs=1
table=$(made)/tiny.csv
[[ $(c clean) == "$(c easier)" && $(c clean) == "$(c same)" ]] || fail "an attack that finds nothing worse changes the accuracy"
IFS=';' read -r clean easier _ given one first < <(cell "$table" 1 journals)
column() { "$DEQ" journal "$1" --csv | awk -F, -v name="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) at = i; next } { print $at }'; }
paste -d' ' <(column "$easier" distance_inf) <(column "$easier" reach_inf) <(column "$clean" prediction) <(column "$clean" label) |
  awk '$3 == $4 { n++; if ($1 != 0 || $2 < 0.0199 || $2 > 0.0201) exit bad = 1 } END { exit bad || n < 20 }' || fail "how far attacks went"
for of in $given $one $first; do paste -d' ' <(column "$of" metric) <(column "$of" prediction) <(column "$of" label) >"of-$of"; done
paste -d' ' "of-$given" "of-$one" "of-$first" | awk '
  { a = $2 != $3; b = $5 != $6; want = a != b ? (a ? $1 : $4) : $1 > $4 ? $1 : $4; grown += a && $7 > $1
    if ($7 != want) exit bad = 1 } END { exit bad || !grown }' || fail "the worst of a joined attack is not what cross_entropy measures"
checks=$((checks + 3))
# a random search: no gradients, better than the noise it begins with, inside of both balls
sed 's|^import std.attacks.*|import std.attacks (pgd, pgd_l1, random_search)|
s|^  let robust = .*|  let start = accuracy(net, quadrants.test under random_search(radius: 0.04, queries: 0))\n  let found = accuracy(net, quadrants.test under random_search(radius: 0.04, queries: 60))\n  let short = accuracy(net, quadrants.test under random_search(radius: 0.04, euclidean: 0.1, queries: 60))\n  let thin = accuracy(net, quadrants.test under random_search(radius: 0.04, total: 0.5, queries: 60))\n  let sparse = accuracy(net, quadrants.test under pgd_l1(radius: 1.5, step: 0.2, iterations: 20))|
s|columns: \[.*|columns: [start, found, short, thin, sparse, found.attack.gradients, found.attack.queries]|' "$PROGRAMS/tiny.deq" >search.deq
expect 0 '' "$DEQ" run search.deq --json
table=results/search/tiny.csv
awk -v s="$(c start)" -v f="$(c found)" -v r="$(c short)" -v g="$(c found.attack.gradients)" -v q="$(c found.attack.queries)" 'BEGIN {
  exit !(f < s && f <= r && g == 0 && q == 61) }' || fail "the search does not search: $(tail -1 "$table")"
for field in distance_inf=0.040001:found distance_2=0.100001:short distance_1=0.500001:thin distance_1=1.500003:sparse; do
  which=${field#*:} field=${field%:*}
  key=$(grep "\"name\": *\"$which\"" out | grep -o '"key": *"[0-9a-f]*"' | head -1 | grep -o '[0-9a-f]\{32\}')
  [[ -n $key ]] || fail "no journal of $which"
  [[ $("$DEQ" journal "$key" --filter "${field%=*}>${field#*=}" --csv | wc -l) == 1 ]] || fail "$which leaves the ball"
done
key=$(grep '"name": *"sparse"' out | grep -o '"key": *"[0-9a-f]*"' | head -1 | grep -o '[0-9a-f]\{32\}')
"$DEQ" journal "$key" --csv >sparse.csv
awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
  { d1 = $at["distance_1"]; d2 = $at["distance_2"]; most = $at["distance_inf"]; n++; far += d1 > 1.49
    if (!(most <= d2 * 1.00001 && d2 <= d1 * 1.00001 && d1 <= 64 * most && $at["reach_1"] == d1)) bad = 1 }
  END { exit bad || n < 20 || far < n / 2 }' sparse.csv || fail "sums of changes"
checks=$((checks + 4))
no_partial_files
done_testing
