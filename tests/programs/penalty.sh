#!/usr/bin/env bash
# Penalties from a script: they lower what they penalise, are logged by themselves, are part of a run's key, and can be set.
source "$(dirname "$0")/lib.sh"
data 600

expect 0 'penalty [0-9]' "$DEQ" run "$PROGRAMS/penalty.deq" --threads 1
expect 0 '' "$DEQ" run "$PROGRAMS/penalty.deq" --json
results=results/penalty
ls $results/*.csv >/dev/null || fail "no logs in $results"
# last LOG COLUMN: of its last epoch
last() { cell "$1" "$(($(wc -l <"$1") - 1))" "$2"; }
log() { echo "$results/$1-log.csv"; }
ls $results >out
plain=$(log m-none) jacobian=$(ls $results/m-jacobian*-log.csv) spectral=$(ls $results/m-spectral*-log.csv)

# ratio LOG COLUMN MOST: at most that share of the unpenalised net's
ratio() {
  awk -v a="$(last "$1" "$2")" -v b="$(last "$plain" "$2")" -v m="$3" 'BEGIN { exit !(a > 0 && b > 0 && a <= m * b) }' ||
    fail "$2 with a penalty is $(last "$1" "$2"), without $(last "$plain" "$2")"
  checks=$((checks + 1))
}
ratio "$jacobian" frobenius 0.7
ratio "$jacobian" radius 0.9
ratio "$spectral" norm2 0.7
[[ -z $(last "$plain" penalty) ]] || fail "a net without penalty logs one"
above "$jacobian" penalty 1e-3
above "$spectral" penalty 1e-3
above $results/regularised.csv clean 0.6

above $(log corrected) correction 0.1
[[ -z $(last "$(log corrected)" penalty) || $(last "$(log corrected)" penalty) == 0 ]] || fail "a correction counts as a penalty on J"
above $results/early.csv with_correction 0.5
expect 64 'reads state 70' "$DEQ" run "$PROGRAMS/penalty.deq" --set 'corrected.penalty=correction(states: 70)'

# A script that names no penalty gets one by --set.
expect 0 'penalty [0-9].*correction [0-9]' "$DEQ" run "$PROGRAMS/tiny.deq" --set 'net.penalty=[jacobian(weight: 1), correction(states: 1..3)]'

# The same on photographs, where they are installed.
if [[ -f /usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz ]]; then
  sed 's|idx(.*|fashion_mnist()|; s|std.data (idx)|std.data (fashion_mnist)|; s|\[1, 8, 8\]|[1, 28, 28]|; s|label\[4\]|label[10]|; s|Body\[64, 24\]|Body[784, 24]|
    s|f32\[4\]|f32[10]|; s|Dense\[24, 4\]|Dense[24, 10]|; s|    epochs:   3|    epochs:   3; examples: 500|' "$PROGRAMS/penalty.deq" >fashion.deq
  expect 0 'penalty [0-9]' "$DEQ" run fashion.deq
  plain=results/fashion/m-none-log.csv
  ratio results/fashion/m-jacobian*-log.csv frobenius 0.7
  ratio results/fashion/m-jacobian*-log.csv radius 0.9
  ratio results/fashion/m-spectral*-log.csv norm2 0.7
fi

# A cached run is found again only under the same penalties; an override by path is another run.
expect 0 'both: found in the cache' "$DEQ" run "$PROGRAMS/penalty.deq"
first=$(last $results/both-log.csv penalty)
expect 0 'both: trained' "$DEQ" run "$PROGRAMS/penalty.deq" --set both.body.penalty.jacobian.weight=3
second=$(last "$(made)/both-log.csv" penalty)
awk -v a="$first" -v b="$second" 'BEGIN { exit !(b > 1.5 * a) }' || fail "penalty $first became $second under six times the weight"
expect 0 'both: trained' "$DEQ" run "$PROGRAMS/penalty.deq" --set 'both.body.penalty=jacobian(weight: 1, detach: true)'
grep -q 'detach: true' "$(made)/settings.json" || fail "the resolved settings do not say the penalty"
expect 0 'both: trained' "$DEQ" run "$PROGRAMS/penalty.deq" --set both.penalty=none
[[ -z $(last "$(made)/both-log.csv" penalty) ]] || fail "penalty=none still logs one"

# Two threads: the same bits.
cp "$jacobian" one.csv
expect 0 '' "$DEQ" run "$PROGRAMS/penalty.deq" --threads 2 --fresh
same one.csv "$jacobian"

expect 64 "'trace' is not a penalty" "$DEQ" run "$PROGRAMS/penalty.deq" --set 'both.body.penalty=trace()'
expect 64 'of which penalty' "$DEQ" run "$PROGRAMS/penalty.deq" --set both.body.penalty.weight=1
expect 64 "'weight' of 'jacobian' lies between 0 and 1e+09, this is -1" "$DEQ" run "$PROGRAMS/penalty.deq" --set both.body.penalty.jacobian.weight=-1
expect 64 'detach: true' "$DEQ" run "$PROGRAMS/penalty.deq" --set 'both.gradient=unrolled(from: 1..3)'
no_partial_files
done_testing
