#!/usr/bin/env bash
# The recipes of std.training in short, and `keep:`: the net has the parameters of the epoch that its log names best, also
# when the run was stopped and went on.
source "$(dirname "$0")/lib.sh"
data 400
cp "$PROGRAMS/keep.deq" .
deq=(timeout 200 "$DEQ")
expect 0 'by_pgd: keeps the parameters of epoch' "${deq[@]}" run keep.deq
table=results/keep/kept.csv

# best FILE COLUMN: the first of the best values of the training log
best() { awk -F, -v column="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == column) at = i; next } $at + 0 > most + 0 { most = $at } END { print most }' "$1"; }
close() { awk -v a="${1:-none}" -v b="${2:-none}" 'BEGIN { exit !(a != "none" && b != "none" && (a - b) ^ 2 < 1e-10) }'; }
log=results/keep/best-log.csv
close "$(cell $table 1 best_robust)" "$(best $log robust)" || fail "the net is not the most robust of its epochs: $(cell $table 1 best_robust), log: $(best $log robust)"
close "$(cell $table 1 clean_clean)" "$(best results/keep/clean-log.csv clean)" || fail "the net is not the best of its epochs"
close "$(best $log robust)" "$(tail -1 $log | cut -d, -f7)" && fail "the last epoch is the best: the test tests nothing"
for net in pgd trades mart fast free mix; do above $table ${net}_clean 0.5; done

# set, changed and refused from outside
expect 0 'best: trained' "${deq[@]}" run keep.deq --set best.keep=last
grep -q 'best: keeps' out && fail "--set best.keep=last keeps another epoch"
expect 64 'expected last, best_clean or best_robust' "${deq[@]}" run keep.deq --set best.keep=first
expect 64 'expected last or best_clean' "${deq[@]}" run keep.deq --set clean.keep=best_robust

# stopped and resumed: the same bits
awk '/^train/ { skip = !/best = / } /^experiment/ { exit } !skip' keep.deq | sed 's/epochs: 6/epochs: 60/; s/ (fast_at, free_at, mart_at, pgd_at, trades_at)/ (pgd_at)/' >long.deq
expect 0 'best: keeps' "${deq[@]}" run long.deq -t 1 --results whole
rm -rf cache
interrupted "${deq[@]}" run long.deq -t 1 --results parts
expect 0 'resumed' "${deq[@]}" run long.deq -t 2 --results parts
cmp whole/long/best.safetensors parts/long/best.safetensors || fail "a resumed run keeps other parameters"
[[ -z $(find cache -name '*.best') ]] || fail "a file is left in the cache"
done_testing
