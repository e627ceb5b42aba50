#!/usr/bin/env bash
# Settings behind attacks made of others reach every part that says nothing itself: the evaluations are those of attacks
# written out, so that one journal serves both.
source "$(dirname "$0")/lib.sh"
data 64
cp "$PROGRAMS/parts.deq" .
deq=(timeout 200 "$DEQ")
expect 0 'on_margin' "${deq[@]}" run parts.deq
IFS=';' read -ra journals <<<"$(cell results/parts/e.csv 1 journals)"
((${#journals[@]} == 8)) || fail "there are ${#journals[@]} journals"
for pair in '1 2 loss' '3 4 gradient' '5 6 against'; do
  read -r made written what <<<"$pair"
  [[ ${journals[made]} == "${journals[written]}" ]] || fail "$what behind an attack made of others is not what its parts say"
  [[ ${journals[made]} != "${journals[0]}" ]] || fail "$what behind an attack made of others changes nothing"
  checks=$((checks + 2))
done
sed 's/ with { unbounded: true }//' parts.deq >bound.deq
expect 2 "'radius' of 'made' lies between 0 and 1, this is 2" "${deq[@]}" run bound.deq
sed 's/gradient: jfb(); judge/gradent: jfb(); judge/' parts.deq >key.deq
expect 2 'gradent' "${deq[@]}" run key.deq
sed 's/^train net *= Net .*/&\ntrain hit = Net on quadrants.train { loss: cross_entropy; attack: on_margin; optimise: adam(rate: 1e-2); epochs: 1; batch: 16 }/' parts.deq >hit.deq
expect 2 "a net trains against one attack" "${deq[@]}" run hit.deq
done_testing
