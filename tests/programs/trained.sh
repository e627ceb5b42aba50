#!/usr/bin/env bash
# A trained net is what it was trained as: evaluations, attacks, comparisons, reports and libraries use the settings that
# stand before `on`; those of the run itself end with it.
source "$(dirname "$0")/lib.sh"
data 64
cp "$PROGRAMS/trained.deq" .
deq=(timeout 100 "$DEQ")

# is FILE COLUMN VALUE: in the first row
is() { [[ $(cell "$1" 1 "$2") == "$3" ]] || fail "$2 in $1 is '$(cell "$1" 1 "$2")', expected $3"; checks=$((checks + 1)); }

expect 0 '' "${deq[@]}" run trained.deq
table=results/trained/kept.csv
is $table bare.steps 9
is $table said.steps 9
is $table changed.steps 6
is $table declared.steps 4
is $table bare "$(cell $table 1 said)" # solver, and the gradient of the attack
[[ $(cell $table 1 changed) != "$(cell $table 1 bare)" ]] || fail "two solver steps less change nothing"
[[ $(awk 'END { print NR }' results/trained/long-residual.csv) -ge 10 ]] || fail "the residuals of 'long' stop before its 9 steps"

# attacks are named with their gradient, and the note says that the training's was another
own='steps through jfb()' exact='steps through implicit(gmres(tol: 1e-06, max: 40))'
expect 0 "long: .*against $own" "${deq[@]}" run trained.deq --fresh
grep -qF "bare of long: " out && grep -qF " under $exact" out || fail "the log does not name the attack's gradient"
grep -qF "note: bare of long is under $exact; the net was trained against $own" out || fail "no note on the other gradient"
grep -q 'note: declared' out && fail "a note on a net that no attack trained"
grep -qF "Under $exact; trained against $own: bare, said, changed." results/trained/kept.md || fail "the table does not name the attacks"
grep -qF "$exact; trained against $own" results/trained/kept.csv || fail "the CSV table does not name the attacks"
grep -qF "attacked by $own" results/trained/long-training.gp || fail "the picture does not name the attack"
grep -qF "\"in_force\": \"$own\"" results/trained/settings.json || fail "settings.json does not name the gradient in force"
expect 0 "\"attack\":\"steps through implicit" "${deq[@]}" run trained.deq --json

# --set comes after the settings of the script, and the run's own gradient is not the net's
expect 0 '' "${deq[@]}" run trained.deq --set long.body.forward.max=7 --results set
is set/*/kept.csv bare.steps 7
is set/*/kept.csv declared.steps 4
expect 0 '' "${deq[@]}" run trained.deq --set long.body.gradient=jfb --results mode
[[ $(cell mode/*/kept.csv 1 bare) != "$(cell $table 1 bare)" ]] || fail "the attack's gradient is the same through jfb"

# the report and the comparison
grep -q '"forward": "picard(.*max: 9' results/trained/long-solves.json || fail "the report of 'long' has another solver"
expect 0 '' "${deq[@]}" gradcheck trained.deq
grep -q 'net long.*body.forward.max: 9' out || fail "gradcheck of 'long' does not say its settings"

# without labels there is no accuracy: the loss is logged and drawn
# npy FILE SHIFT: 64 rows of two numbers
npy() {
  local header="{'descr': '<f4', 'fortran_order': False, 'shape': (64, 2), }"
  { printf '\x93NUMPY\x01\x00\x76\x00%-117s\n' "$header"; for ((i = 0; i < 128; i++)); do printf "\\x$(printf %02x $(((i * $2) % 256)))\\x00\\x00\\x3f"; done; } >"$1"
}
npy x.npy 37 && npy y.npy 91
cp "$PROGRAMS/regression.deq" .
expect 0 'clean loss [0-9.e-]*  robust loss [0-9]' "${deq[@]}" run regression.deq
grep -qE 'train [0-9.]+%|clean [0-9.]+%' out && fail "a regression has an accuracy in the log"
grep -q "column('robust_loss')" results/regression/net-training.gp || fail "the attacked validation loss is not drawn"
grep -q accuracy results/regression/net-training.gp && fail "a regression's picture has an accuracy"

# libraries: of a training run, or of a net when its runs agree
expect 2 'E0947.*Net is trained with different settings by short and long; name one of them with --net' "${deq[@]}" build trained.deq --lib -o lib
cat >client.c <<'C'
#include NET_HEADER
#include <stdio.h>
int main(void) {
    static float x[2 * NET(INPUT)], y[2 * NET(OUTPUT)];
    deq_status status;
    CONTEXT *l;
    for (int i = 0; i < 2 * NET(INPUT); i++) x[i] = (float)(i % 7) / 7;
    l = CALL(new)(&(deq_library_options){.threads = 1});
    if (!l || CALL(forward)(l, 2, x, y, &status)) return printf("%s\n", CALL(error)(l)), 1;
    printf("%g steps\n", status.mean_steps);
    CALL(free)(l);
    return 0;
}
C
sanitize=()
grep -q __asan_init "$(dirname "$DEQ")/libdeqrt.a" && sanitize=(-fsanitize=address,undefined)
for net in short:4 long:9; do
  name=${net%:*} upper=$(tr a-z A-Z <<<"${net%:*}")
  expect 0 "lib$name.so" "${deq[@]}" build trained.deq --lib --net "$name" -o lib
  cc "${sanitize[@]}" -std=c11 -I lib "-DNET_HEADER=\"$name.h\"" "-DNET(what)=${upper}_##what" \
    "-DCALL(what)=${name}_##what" -DCONTEXT="${name}_ctx" client.c -o client "lib/lib$name.so" -Wl,-rpath,"$PWD/lib" -lm || fail "does not link with lib$name.so"
  expect 0 "^${net#*:} steps" ./client
done
done_testing
