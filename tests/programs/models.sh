#!/usr/bin/env bash
# The models of the library: parameters to the digit, shapes and work, as deq check --summary prints them.
source "$(dirname "$0")/lib.sh"

"$DEQ" check --summary "$PROGRAMS/models.deq" >summary 2>&1 || { cp summary out; fail "models.deq has no summary"; }
cp summary out
# row NET PATH: "LAYER SHAPE... PARAMETERS MULTIPLY-ADDS" of a row
row() { awk -v net="$1" -v path="$2" '/^net / { inside = $2 == net } inside && $1 == path { $1 = ""; print; exit }' summary; }
# is NET PATH TEXT: the row holds the text, between spaces
is() {
  [[ " $(row "$1" "$2") " == *" $3 "* ]] || fail "$2 of $1 is '$(row "$1" "$2")', not with $3"
  checks=$((checks + 1))
}
is Tiny '(all)' 158,890
is Large '(all)' 11,097,438
is ExtraLarge '(all)' 48,792,098
is ResNet18_10 '(all)' 11,173,962
is WideResNet34_10 '(all)' 46,160,474
is Large body '32x32x32 64x16x16 128x8x8 256x4x4'
is Large body 8,715,232
is Large body 411,631,616
is Large stem 10,208
is Large inject 1,088
is Large body.block0 92,800
is Large body.block3 5,903,360
is ExtraLarge body 44,083,512
is ExtraLarge body 2,083,885,056
is ExtraLarge body.block3 29,871,360
is Tiny body 111,696
is Tiny body 68,567,040
is Tiny stem 5,928
is Tiny head.classify.scores 2,010
grep -q 'fixed point body .*state 240 kB, history 1920 kB, tape' summary || fail "the state of Large"
grep -q 'block0 .* each step' summary || fail "what runs in every step is not marked"
checks=$((checks + 2))
done_testing
