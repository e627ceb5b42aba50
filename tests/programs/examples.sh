#!/usr/bin/env bash
# Examples with little training: equilibria are found, what is learnt is far above chance, and attacks are ordered as
# they must be.
source "$(dirname "$0")/lib.sh"

# learns TABLE NET PERCENT: the net is right on at least so many of the test images, and 95 % of its solves converge
learns() {
  local accuracy converged
  accuracy=$(cell "$1" 1 "$2") converged=$(cell "$1" 1 "$2.converged")
  awk -v a="$accuracy" -v c="$converged" -v least="$3" 'BEGIN { exit !(100 * a >= least && 100 * c >= 95) }' ||
    fail "$2 has an accuracy of '$accuracy' (at least $3 % wanted), '$converged' of its solves converged"
  checks=$((checks + 1))
}

# brief NET..: settings that make the training of these nets short
brief() { for net in "$@"; do printf ' --set %s.epochs=2 --set %s.examples=1000' "$net" "$net"; done; }

if [[ -f /usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz ]]; then
  sed '/^experiment attacked/,$s|\[0\.\.1000\]|[0..60]|; s|\[0\.\.1000\]|[0..300]|; s|\[55000\.\.5[0-9]*\]|[55000..55050]|' "$SOURCE/examples/mdeq.deq" >mdeq.deq
  # shellcheck disable=SC2046
  expect 0 'results in' "$DEQ" run mdeq.deq --set training.iterations=1 --set pgd10.iterations=1 $(brief mdeq cell cnn)
  learns results/mdeq/clean.csv multiscale 60
  learns results/mdeq/clean.csv single 60
  grep -q unroll results/mdeq/attacked.csv || fail "no row for the phantom gradient"
  # the standard set: every part adds to those before it, and none by itself is stronger than all
  sed 's|\[0\.\.1000\]|[0..60]|; s|epochs: .*|epochs: 2|; s|examples: .*|examples: 2000|; s|iterations: 100)|iterations: 5)|
s|_t(radius: 0.1)|_t(radius: 0.1, iterations: 3, targets: 3)|; s|queries: 5000|queries: 100|
s|autoattack(radius: 0.1)|autoattack(radius: 0.1, iterations: 5, queries: 100)|; s|\[55000\.\.5[0-9]*\]|[55000..55050]|' "$SOURCE/examples/autoattack.deq" >autoattack.deq
  expect 0 'results in' "$DEQ" run autoattack.deq
  a() { cell results/autoattack/alone.csv 1 "$1"; }
  c() { cell results/autoattack/cumulative.csv 1 "$1"; }
  awk -v clean="$(a clean)" -v one="$(a apgd_ce)" -v squares="$(a squares)" -v fab="$(a fab)" -v first="$(c apgd_ce)" \
    -v second="$(c targeted)" -v third="$(c fab)" -v all="$(c standard)" 'BEGIN {
    exit !(clean > one && one == first && first >= second && second >= third && all <= squares && all <= fab && all < first + 1e-9) }' ||
    fail "the parts of the standard set do not add up: $(tail -n 1 results/autoattack/alone.csv results/autoattack/cumulative.csv)"
  # the three ways of training against attacks learn, and the attacks hurt
  sed 's|\[0\.\.2000\]|[0..100]|; s|epochs: .*|epochs: 2|; s|examples: .*|examples: 2000|; s|iterations: [0-9]*|iterations: 3|; s|audit: true||' \
    "$SOURCE/examples/trades.deq" >trades.deq
  expect 0 'results in' "$DEQ" run trades.deq
  for net in plain by_trades by_mart; do
    awk -v clean="$(cell results/trades/clean.csv 1 $net)" -v pgd="$(cell results/trades/attacked.csv 1 $net)" \
      -v strong="$(cell results/trades/attacked.csv 2 $net)" 'BEGIN { exit !(clean > 0.4 && pgd < clean && strong < clean) }' ||
      fail "$net: $(tail -n 3 results/trades/attacked.csv)"
  done
  # what knows the early exit finds more than what does not
  sed 's|\[0\.\.1000\]|[0..200]|; s|epochs: .*|epochs: 2|; s|examples: .*|examples: 2000|; s|iterations: [0-9]*|iterations: 5|; s|early_state(at: 3)|early_state(at: 1)|; s|audit: true||; s|\[55000\.\.5[0-9]*\]|[55000..55050]|' \
    "$SOURCE/examples/adaptive.deq" >adaptive.deq
  expect 0 'under after_exit against net with defence: states\[1\] through phantom' "$DEQ" run adaptive.deq
  d() { cell results/adaptive/adaptive.csv 1 "$1"; }
  awk -v clean="$(d clean)" -v unaware="$(d unaware)" -v exact="$(d exact)" -v phantom="$(d phantom)" -v all="$(d all)" 'BEGIN {
    exit !(clean > unaware && unaware > all && exact >= all && phantom >= all && (exact < unaware || phantom < unaware)) }' ||
    fail "the attack that knows the exit: $(tail -n 1 results/adaptive/adaptive.csv)"
  checks=$((checks + 5))
fi
done_testing
