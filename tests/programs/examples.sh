#!/usr/bin/env bash
# The convolutional examples with little training: their equilibria are found, and what is learnt is far above chance.
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
  # shellcheck disable=SC2046
  expect 0 'results in' "$DEQ" run "$SOURCE/examples/mdeq.deq" --set training.iterations=1 --set pgd10.iterations=1 $(brief mdeq cell cnn)
  learns results/mdeq/clean.csv multiscale 60
  learns results/mdeq/clean.csv single 60
  grep -q unroll results/mdeq/attacked.csv || fail "no row for the phantom gradient"
fi
done_testing
