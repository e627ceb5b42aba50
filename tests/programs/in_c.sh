#!/usr/bin/env bash
# Gradients written in C: linked as objects, archives and shared libraries, run, trained with, attacked through, compared,
# built into programs and libraries; what does not fit is refused with its line and the remedy.
source "$(dirname "$0")/lib.sh"
data 300
cp "$PROGRAMS"/in_c.deq "$PROGRAMS"/in_c.c .
include=(-I . -I "$SOURCE/runtime/include")
# compile OUT BITS [FLAG...]
compile() {
  local out=$1 bits=$2
  shift 2
  cc -std=c11 -Wall -Wextra -Werror -O2 -fPIC -c "${include[@]}" -DDEQ_REAL_BITS="$bits" "$@" in_c.c -o "$out" || fail "in_c.c does not compile: $*"
}

# ---- the header ----
expect 0 'pair_gradient_signature "size F; size C; number gain; param A\[C, F\]; param B\[F, C\]; buffer offset\[C\]; input x\[F\]; state a\[F\]; state b\[C\]"' "$DEQ" header in_c.deq
expect 0 '' "$DEQ" header in_c.deq -o in_c.h
printf 'layer Flat(x: f32[3]) -> f32[3] { return x }\n' >none.deq
expect 2 'takes no gradient from C' "$DEQ" header none.deq
compile c32.o 32
compile c64.o 64
both=(--link c32.o --link c64.o)

# ---- it is the derived gradient ----
exact='forward.tol: 1e-13; forward.max: 200'
expect 0 '1 of 1 tests passed' "$DEQ" gradcheck in_c.deq "Pair[4, 3] with { gradient: pair; $exact }" "${both[@]}"
[[ $(grep -c 'agrees: relative error' out) == 3 ]] || fail "not A, B and the input"
cat >>in_c.deq <<'D'

check derived {
  compare: gradients(Pair[6, 4] with { forward.tol: 1e-15; forward.max: 300 }) {
    modes:     [pair]
    reference: implicit(lu())
  }
}
D
expect 0 'pair' "$DEQ" compare in_c.deq "${both[@]}"
error=$(awk -F'",|,' '/"pair/ && /all parameters/ { print $7 }' results/in_c/compare.csv)
input=$(awk -F'",|,' '/"pair/ && /"input/ { print $7 }' results/in_c/compare.csv)
awk -v e="${error:-none}" -v i="${input:-none}" 'BEGIN { exit !(e != "none" && i != "none" && e + 0 < 1e-13 && i + 0 < 1e-13) }' || fail "relative errors '$error', '$input'"

# ---- training, attacks; threads; the cache knows the file ----
expect 0 '' "$DEQ" run in_c.deq "${both[@]}" --threads 1
# table OUT: the accuracies, without the modes' names (they hold commas) and the times
table() { grep -v '^#' results/in_c/modes.csv | sed 's/^"[^"]*"/mode/' | cut -d, -f1-5 >"$1"; }
table one.csv
[[ $(wc -l <one.csv) == 3 ]] || fail "not two rows"
expect 0 '' "$DEQ" run in_c.deq "${both[@]}" --threads 2 --fresh
table two.csv
cmp -s one.csv two.csv || fail "two threads give another table"
expect 0 '' "$DEQ" run in_c.deq "${both[@]}"
[[ $(grep -c 'found in the cache (' out) == 2 ]] || fail "two nets trained again"
compile other.o 32 -O1
cmp -s other.o c32.o && fail "the same object"
expect 0 '' "$DEQ" run in_c.deq --link other.o
grep -q 'found in the cache (' out && fail "a net trained with another file was used"

# ---- archives, shared libraries, programs, libraries ----
ar rcs both.a c32.o c64.o && cc -shared -o both.so c32.o c64.o
expect 0 '1 of 1 tests passed' "$DEQ" gradcheck in_c.deq "Pair[4, 3] with { gradient: pair; $exact }" --link both.a
expect 0 '1 of 1 tests passed' "$DEQ" gradcheck in_c.deq "Pair[4, 3] with { gradient: pair; $exact }" --link both.so
for file in both.a both.so c32.o; do
  expect 0 '' "$DEQ" build in_c.deq --link $file -o program
  rm -rf results
  expect 0 '' ./program --fresh
  table two.csv
  cmp -s one.csv two.csv || fail "the program built with $file gives another table"
done
expect 3 'E0942' "$DEQ" build in_c.deq --lib --net Net -o first
[[ -s first/Net_gradients.h ]] || fail "build --lib wrote no header to compile against"
diff <(grep -v '^/\*' in_c.h) <(grep -v '^/\*' first/Net_gradients.h) >/dev/null || fail "build --lib writes another header than deq header"
expect 0 'libNet.so' "$DEQ" build in_c.deq --lib --link c32.o -o lib
cat >client.c <<'C'
#include "Net.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
int main(void) {
    Net_ctx *c = Net_new(&(Net_options){.threads = 1});
    if (!c) return printf("%s\n", Net_error(NULL)), 1;
    float *x = calloc(3 * Net_INPUT_SIZE, sizeof *x), y[3] = {0, 1, 2}, *d[2];
    for (int i = 0; i < 3 * Net_INPUT_SIZE; i++) x[i] = sinf((float)i);
    for (int k = 0; k < 2; k++) {
        d[k] = calloc(3 * Net_INPUT_SIZE, sizeof **d);
        if (Net_set(c, "body.gradient", k ? "pair" : "implicit(gmres(tol: 1e-6, max: 40))") ||
            Net_gradient(c, 3, x, y, NULL, NULL, d[k], NULL, NULL))
            return printf("%s\n", Net_error(c)), 1;
    }
    double apart = 0, size = 0;
    for (int i = 0; i < 3 * Net_INPUT_SIZE; i++) apart = fmax(apart, fabs(d[0][i] - d[1][i])), size = fmax(size, fabs(d[0][i]));
    printf(apart < 1e-4 * size ? "agree\n" : "apart by %g of %g\n", apart, size);
    free(x), free(d[0]), free(d[1]);
    Net_free(c);
    return 0;
}
C
grep -oE 'NET_[A-Z]+ = [0-9]+' lib/Net.h >sizes || fail "no sizes in the header"
sed -i 's/Net_INPUT_SIZE/NET_INPUT/g' client.c
sanitize=()
grep -q __asan_init "$(dirname "$DEQ")/libdeqrt.a" && sanitize=(-fsanitize=address,undefined)
cc "${sanitize[@]}" -std=c11 -I lib "${include[@]}" client.c -o shared lib/libNet.so -Wl,-rpath,"$PWD/lib" -lm || fail "does not link with libNet.so"
expect 0 '^agree' ./shared
cc "${sanitize[@]}" -std=c11 -I lib "${include[@]}" client.c -o static lib/Net.a "$(dirname "$DEQ")/libdeqrt.a" -ljansson -lxxhash -lminizip -lz -lpthread -lm || fail "does not link with Net.a"
expect 0 '^agree' ./static

# ---- what does not fit, before anything runs ----
expect 3 'in_c.deq:24: gradient .pair.: no linked file defines pair_gradient_f32: compile .*-DDEQ_REAL_BITS=32' "$DEQ" run in_c.deq
expect 3 'no linked file defines pair_gradient_f64' "$DEQ" gradcheck in_c.deq 'Pair[4, 3]' --link c32.o
expect 3 'no linked file defines pair_gradient_f32' "$DEQ" build in_c.deq --link c64.o -o program
sed 's/DEQ_GRADIENT_ABI 1/DEQ_GRADIENT_ABI 9/' "$SOURCE/runtime/include/deq_gradient.h" >deq_gradient.h
compile abi.o 32
rm deq_gradient.h
expect 3 'in_c.deq:24: .*pair_gradient_f32 was compiled for version 9 of deq_gradient.h, this is version 1: compile its C file again' "$DEQ" run in_c.deq --link abi.o
cp in_c.h kept.h
sed -i 's/ param B\[F, C\];//' in_c.h
compile less.o 32
expect 3 "in_c.deq:24: .*written for another layer: it does not know the 'param B\[F, C\]'; write its header again" "$DEQ" run in_c.deq --link less.o
sed 's/ buffer offset/ param V[C]; buffer offset/' kept.h >in_c.h
compile more.o 32
expect 3 "the layer has no 'param V\[C\]'" "$DEQ" run in_c.deq --link more.o
sed 's/param A\[C, F\]; param B\[F, C\]/param B[F, C]; param A[C, F]/' kept.h >in_c.h
compile order.o 32
expect 3 'in another order' "$DEQ" run in_c.deq --link order.o
cp kept.h in_c.h
expect 3 "error.E0942.: cannot open 'nothing.o' to link it" "$DEQ" run in_c.deq --link nothing.o
expect 3 'it is no object file, static archive or shared library' "$DEQ" run in_c.deq --link in_c.c
head -c 400 c32.o >broken.o
expect 3 'error.E0946.: cc failed' "$DEQ" run in_c.deq --link broken.o

# ---- what goes wrong while it runs ----
sed 's/sweep mode in .*/sweep mode in [pair]/' in_c.deq >pair.deq # --set does not change what a sweep gives
compile forget.o 32 -DFORGET
expect 3 "gradient .pair.: the C function of .pair_gradient. did not write d_B for example [0-9]*" "$DEQ" run pair.deq --link forget.o --fresh
compile nan.o 32 -DNOT_A_NUMBER
expect 0 'W0912' "$DEQ" run pair.deq --link nan.o --fresh
grep -qi 'nan' "results/pair/modes.csv" && fail "NaN reached the table"
compile give_up.o 32 -DGIVE_UP
expect 0 'W0912' "$DEQ" run pair.deq --link give_up.o --fresh
expect 3 'E0912.*adjoint' "$DEQ" run pair.deq --link give_up.o --fresh --set net.body.on_fail=stop

# A function that ends the program is named, whichever way it does; the code of the end is not 0, and there is no table.
ends() { # CODE TEXT STATEMENT
  rm -rf ended
  compile ends.o 32 -DENDS="$3" -Wno-error
  expect "$1" "E0942.*gradient 'pair': its C function (pair_gradient) $2" "$DEQ" run pair.deq --link ends.o --fresh --results ended --threads 2
  [[ -z $(find ended -name '*.csv') ]] || fail "a table in spite of $3"
}
ends 3 'ended the program' 'exit(0)'
ends 3 'ended the program' '_exit(0)'
ends 3 'ended the program' '_Exit(0)'
ends 3 'ended the program' 'quick_exit(0)'
ends 134 'called abort' 'abort()'
ends 136 'crashed.*SIGFPE' 'raise(SIGFPE)'
ends 139 'crashed.*SIGSEGV' '*(volatile int *)8 = 1'
ends 139 'crashed.*SIGSEGV' 'deeper(NULL)'
compile ends.o 32 -DENDS='_exit(0)' -Wno-error
expect 0 '' "$DEQ" build pair.deq --link ends.o -o ending
expect 3 "E0942.*gradient 'pair'" ./ending --fresh --results ended
[[ -z $(find ended -name '*.csv') ]] || fail "a table of a built program that was ended"

# ---- the example ----
mkdir example && cd example && cp "$SOURCE"/examples/gradients_c/* .
expect 0 '' "$DEQ" header gradients.deq -o gradients.h
for bits in 32 64; do cc -std=c11 -Wall -Wextra -Werror -O2 -fPIC -c "${include[@]}" -DDEQ_REAL_BITS=$bits tanh.c -o tanh$bits.o || fail "the example does not compile"; done
expect 0 '2 of 2 tests passed' "$DEQ" test gradients.deq --link tanh32.o --link tanh64.o
expect 0 'factored' "$DEQ" compare gradients.deq --link tanh32.o --link tanh64.o
rows=$(awk -F'",|,' '/"(factored|series)/ && ($7 + 0 < 1e-14)' results/gradients/compare.csv | wc -l)
[[ $rows == 10 ]] || fail "$rows of 10 parts agree to rounding: $(cut -c1-90 results/gradients/compare.csv)"
cd ..
no_partial_files
done_testing
