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
