#!/usr/bin/env bash
# The page of a run: every part is in it, nothing in it is fetched, and a browser shows it without an error. The browser
# is Debian's chromium; without it that part is left out, and said so.
source "$(dirname "$0")/lib.sh"
"$MAKE_IDX" train-images train-labels 200 1
"$MAKE_IDX" test-images test-labels 100 2
cp "$PROGRAMS/tiny.deq" .
expect 0 '' "$DEQ" run tiny.deq --quiet --set net.epochs=2

expect 0 '^results/tiny/report.html$' "$DEQ" report results/tiny --html
page=results/tiny/report.html
for part in '<h1>tiny.deq</h1>' '<h2>tiny</h2>' '<h2>Net net</h2>' '<h3>Verdicts</h3>' 'verdict reliable">' 'forward steps' 'data:image/png;base64,' \
  'zero_gradients' '<summary>tiny.deq</summary>' 'layer Body\[I, H\](x: f32\[I\]) -&gt; f32\[H\]' 'Residual of the first' '10th to the 90th'; do
  [[ $part == data:* ]] && ! command -v gnuplot >/dev/null && continue
  grep -q "$part" $page || fail "the page has no '$part'"
done
[[ $(grep -c '<svg' $page) -ge 4 ]] || fail "curves are missing"
accuracy=$(grep -o '[0-9.]*% \[[0-9., ]*\]' results/tiny/tiny.md | head -n 1)
grep -qF "<td>$accuracy</td>" $page || fail "the table's '$accuracy' is not on the page"
grep -Eq '(src|href)="?(https?:|//)|@import|url\(' $page && fail "the page fetches something"

grep -q '[*][*]' $page && fail "bold text has its stars"

# ---- another name, the same bytes; what is not ours stays; what was changed is refused ----
expect 0 '^other.html$' "$DEQ" report results/tiny --html -o other.html
cmp -s $page other.html || fail "the same folder gives two pages"
echo mine >mine.html
expect 3 'E0821.*not made by deq' "$DEQ" report results/tiny --html -o mine.html
grep -qx mine mine.html || fail "a file of the user's was written over"
expect 64 'goes with --html' "$DEQ" report results/tiny -o other.html
expect 3 'E0822' "$DEQ" report . --html
# ---- cards: one for the attacked accuracy, in RobustBench's fields, and no claim of AutoAttack ----
expect 0 '^results/tiny/cards.json: 1 cards$' "$DEQ" report results/tiny --card
for part in '"name": "net"' '"architecture": "Net"' '"dataset": "quadrants"' '"eps": "0.02"' '"autoattack_acc": null' 'it is no result of AutoAttack' \
  '"verdict": "reliable"' '"unreliable": false' '"attack_name": "exact through' '"link": null' '"venue": null' '"reported": null' '"additional_data": null'; do
  grep -q "$part" results/tiny/cards.json || fail "the card has no $part"
done
for field in clean robust; do
  want=$(awk -v v="$(cell results/tiny/tiny.csv 1 $field)" 'BEGIN { printf "%.2f", 100 * v }')
  grep -q "\"${field}_acc\": \"$want\"" results/tiny/cards.json || fail "the card's $field accuracy is not $want"
done
expect 0 '"cards":1' "$DEQ" report results/tiny --card --json -o other.json
cmp -s results/tiny/cards.json other.json || fail "the same folder gives two cards"
expect 64 'not both' "$DEQ" report results/tiny --card --html
expect 3 'E0821' "$DEQ" report results/tiny --card -o mine.html
expect 3 'E0822' "$DEQ" report . --card
XDG_CACHE_HOME=$PWD/nowhere expect 3 'whose journal is in the cache' "$DEQ" report results/tiny --card -o none.json
[[ ! -e none.json ]] || fail "cards of nothing were written"
# ---- verdicts by journal: of a table, a figure, or neither, though their accuracies are equal; two runs of one net ----
sed '/^experiment tiny {/,$d' tiny.deq >cards.deq
cut='body.forward: anderson(memory: 4, tol: 1e-7, max: 2)'
cat >>cards.deq <<END
attack still = pgd(radius: 1e-7, step: 1e-7, iterations: 3)
data others: (f32[1, 8, 8], label[4]) = idx("train-images", "train-labels", "test-images", "test-labels")
train twin = Net on others.train { loss: cross_entropy; optimise: adam(rate: 1e-2); batch: 32; epochs: 1; seed: 8 }
experiment cards {
  allow_masking: true
  sweep size in [0.02, 0.03]
  let clean = accuracy(net, quadrants.test) // of the net as it is: the clean_acc of none that is cut
  let seen = accuracy(net with { $cut }, quadrants.test under still)
  let drawn = accuracy(net with { $cut; body.on_fail: zero_gradient }, quadrants.test under pgd(radius: size, step: 0.01, iterations: 4))
  let hidden = accuracy(net with { $cut; body.on_fail: zero_gradient }, quadrants.test under weak)
  table "shown" { columns: [seen] }
  figure "figure" { lines: drawn; x: size }
  claim "some": hidden > 0
}
END
expect 0 '' "$DEQ" run cards.deq --quiet --set net.epochs=2
expect 0 ': 4 cards$' "$DEQ" report results/cards --card
card() { # NAME FIELD [SIZE]: of the card of that evaluation
  awk -v name="        \"name\": \"$1\"," -v field="    \"$2\": " -v size="${3:+          \"size\": \"$3\"}" '
    /^  {/ { named = 0; sized = size == ""; value = "none" }
    $0 == name { named = 1 }
    $0 == size { sized = 1 }
    index($0, field) == 1 { value = substr($0, length(field) + 1); sub(/,$/, "", value) }
    /^  }/ && named && sized { print value }' results/cards/cards.json
}
for field in robust_acc name dataset clean_acc; do
  want=null
  [[ $field == robust_acc ]] && want=$(card seen robust_acc)
  [[ $field == dataset ]] && want='"quadrants"' # of the evaluation: one of the two nets is trained on another
  for of in seen hidden 'drawn 0.02' 'drawn 0.03'; do
    read -r name size <<<"$of"
    [[ $(card "$name" $field $size) == "$want" ]] || fail "$field of $of is not $want"
  done
done
[[ $(card seen verdict) == '"suspect"' && $(card seen unreliable) == true && $(card seen attack_name) == '"still'* ]] || fail "the verdict of a table"
for size in 0.02 0.03; do
  [[ $(card drawn verdict $size) == '"masked"' && $(card drawn eps $size) == "\"$size\"" ]] || fail "the verdict of a figure"
done
[[ $(card hidden verdict) == '"masked"' && $(card hidden attack_name) == '"weak'* ]] || fail "the verdict of what stands in neither"
# without the file that has the verdict there is no card, and that is said
rm results/cards/figure-figure.json
expect 0 ': 2 cards$' "$DEQ" report results/cards --card
[[ $(grep -c 'W0822.*has no card: the file with its verdict is not there' out) == 2 ]] || fail "nothing is said of the two that are not there"
# ---- which examples: a journal has those of every slice that was evaluated, a card those of its value ----
sed '/^experiment tiny {/,$d' tiny.deq >slices.deq
cat >>slices.deq <<'END'
attack mixed = sequence(pgd(radius: 0.03, step: 0.01, iterations: 1), pgd(radius: 0.02, step: 0.01, iterations: 1), pgd(radius: 0.05, step: 0.01, iterations: 1))
experiment slices {
  let clean = accuracy(net, quadrants.test)
  let robust = accuracy(net, quadrants.test[10..40] under exact)
  let several = accuracy(net, quadrants.test[0..20] under mixed)
  table "slices" { columns: [clean, robust, several] }
}
END
expect 0 '' "$DEQ" run slices.deq --quiet --set net.epochs=2
expect 0 '^results/slices/cards.json: 2 cards$' "$DEQ" report results/slices --card
cp results/slices/cards.json results/cards/cards.json # where card() looks
want=$(awk -v v="$(cell results/slices/slices.csv 1 robust)" 'BEGIN { printf "\"%.2f\"", 100 * v }')
[[ $(card robust examples) == 30 && $(card robust robust_acc) == "$want" ]] || fail "the card of 30 examples is not of these"
[[ $(card robust clean_acc) == '"'* && $(card several clean_acc) == '"'* ]] || fail "no clean accuracy of a part of the examples"
[[ $(card robust eps) == '"0.02"' && $(card several eps) == null ]] || fail "attacks of several radii have one"
# of a journal that is damaged, gone, or another's there is no card, and that is said
key=$(sed -n 's/.*"journal": "\([0-9a-f]*\)".*/\1/p' results/slices/slices-table.json | sed -n 3p)
journal=$(find "$XDG_CACHE_HOME" -name "$key.journal")
cp "$journal" kept.journal
damage "$journal" $(($(stat -c %s "$journal") - 40))
expect 0 "W0822.*the journal $key is damaged" "$DEQ" report results/slices --card
grep -q "W0822.*'several' of 'slices' has no card: of its 20 records [1-9][0-9]* are not in the journal" out || fail "missing records are not told"
grep -q ': 1 cards$' out || fail "a card of a part of the records"
rm "$journal"
expect 0 "W0822.*'several' of 'slices' has no card: the cache has no journal $key" "$DEQ" report results/slices --card
mv kept.journal "$journal"
# ---- what a script no longer has does not stay among its results; another experiment's do, and files of the user ----
cat >>slices.deq <<'END'
experiment other {
  sweep size in [0.02, 0.03]
  let hard = accuracy(net, quadrants.test[0..20] under pgd(radius: size, step: 0.01, iterations: 1))
  claim "some": hard >= 0
  figure "drawn" { lines: hard; x: size }
}
END
expect 0 '' "$DEQ" run slices.deq --quiet --set net.epochs=2
for file in slices-table.json slices.md claims.json claims.csv claims.md drawn-figure.json drawn.csv; do
  [[ -s results/slices/$file ]] || fail "no $file"
done
sed -i 's/, several\]/]/; s/table "slices"/table "fewer"/' slices.deq
expect 0 '' "$DEQ" run slices.deq slices --quiet --set net.epochs=2
[[ -s results/slices/slices-verdicts.json && -s results/slices/fewer-table.json && -s results/slices/claims.json ]] || fail "results of one experiment are not all there"
[[ ! -e results/slices/slices-table.json && ! -e results/slices/slices.md && ! -e results/slices/slices.csv ]] || fail "a table that the script no longer has"
sed -i '/let several/d; /let robust/d; s/clean, robust/clean/; /^experiment other/,$d' slices.deq
echo '{"experiment": "slices"}' >results/slices/own-table.json
expect 0 '' "$DEQ" run slices.deq --quiet --set net.epochs=2
for file in slices-verdicts.json claims.json claims.csv claims.md drawn-figure.json drawn.csv; do
  [[ ! -e results/slices/$file ]] || fail "$file stays, which the script no longer has"
done
[[ -s results/slices/own-table.json && -s results/slices/fewer.csv && -s results/slices/fewer-table.json ]] || fail "too much was removed"
rm results/slices/own-table.json
# ---- what was changed is refused ----
sed -i 's/reliable/masked/' results/tiny/tiny-table.json
expect 3 'E0822.*tiny-table.json' "$DEQ" report results/tiny --card
expect 3 'E0822.*tiny-table.json' "$DEQ" report results/tiny --html -o changed.html
[[ ! -e changed.html ]] || fail "a page of changed results was written"

# ---- in a browser: its script ran, and nothing was complained of ----
browser=$(command -v chromium || command -v chromium-browser) || { echo "left out: no chromium (Debian: chromium)"; exit 0; }
timeout 120 "$browser" --headless --no-sandbox --disable-gpu --enable-logging=stderr --user-data-dir="$PWD/browser" --dump-dom "file://$PWD/other.html" >dom 2>log ||
  fail "the browser ended with $?"
grep -q 'class="sorts"' dom || fail "the page's script did not run"
grep 'CONSOLE' log && fail "the browser complains"
exit 0
