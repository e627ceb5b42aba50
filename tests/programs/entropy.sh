#!/usr/bin/env bash
# lower_entropy of std.defences: on two classes every pixel moves by the way that is allowed, where the box lets it.  And
# the same along one solve, whose state has the input.
source "$(dirname "$0")/lib.sh"
data 400
expect 0 '' timeout 200 "$DEQ" run "$PROGRAMS/entropy.deq" --precision f64
table=results/entropy/entropies.csv
# moved COLUMN BY: the output is larger by BY, but for pixels at the edge of the box
moved() {
  awk -v a="$(cell $table 1 near)" -v b="$(cell $table 1 "$1")" -v by="$2" 'BEGIN { exit !(b - a <= by * (1 + 1e-9) && b - a > 0.9 * by) }' ||
    fail "$1 is $(cell $table 1 "$1"), near $(cell $table 1 near): not larger by $2"
  checks=$((checks + 1))
}
moved far 0.045   # 1.5 radius: three steps of 0.02 end at the radius 0.03
moved half 0.0225 # 1.5 times three steps of 0.005
awk -v a="$(cell $table 1 before)" -v b="$(cell $table 1 after)" 'BEGIN { exit !(b > 0 && b < 0.9 * a) }' || fail "the entropy was $(cell $table 1 before), and is $(cell $table 1 after)"
# attacks on the defended net: one that ends with the defence hurts, and one that looks through it is not the weaker one
awk -v p="$(cell $table 1 purified)" -v u="$(cell $table 1 unaware)" -v k="$(cell $table 1 known)" 'BEGIN { exit !(k > 0 && u < p - 0.1 && k <= u + 0.01) }' ||
  fail "the defended net has $(cell $table 1 purified), $(cell $table 1 unaware) under an attack, $(cell $table 1 known) under one that knows the defence"
awk -v u="$(cell $table 1 unaware.margin)" -v k="$(cell $table 1 known.margin)" 'BEGIN { exit !(k < u) }' || fail "an attack that knows the defence leaves a larger margin"
# Along one solve, of a net whose cell forgets its state: 30 steps before the last evaluation, as in one go.
column() { cell results/$1/along.csv 1 "$2"; }
sed 's/normal(std: 0.1)/zeros()/; s/epochs: 4;/& freeze: [W];/' "$PROGRAMS/along.deq" >forgets.deq
expect 0 'guarded: Guarded begins with the weights of net' timeout 200 "$DEQ" run forgets.deq --precision f64
awk -v a="$(column forgets after)" -v b="$(column forgets separate)" -v c="$(column forgets before)" 'BEGIN { exit !(a - b < 1e-8 && b - a < 1e-8 && a < 0.95 * c) }' ||
  fail "the entropy was $(column forgets before), is $(column forgets after), in one go $(column forgets separate)"
# One that remembers: the way there lowers the entropy, and an attack through it is one.
expect 0 '' timeout 200 "$DEQ" run "$PROGRAMS/along.deq"
awk -v a="$(column along after)" -v b="$(column along before)" -v c="$(column along known)" -v d="$(column along clean)" 'BEGIN { exit !(a < 0.9 * b && c < d - 0.1) }' ||
  fail "the entropy was $(column along before), is $(column along after); $(column along known) of $(column along clean) are left"
checks=$((checks + 4))
done_testing
