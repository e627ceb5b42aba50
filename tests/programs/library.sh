#!/usr/bin/env bash
# Libraries made by `deq build --lib`: what they export, programs in C and C++ and with threads, what they refuse.
source "$(dirname "$0")/lib.sh"
data 64
cp "$PROGRAMS/tiny.deq" .
expect 0 '' "$DEQ" run tiny.deq --set net.epochs=1
checkpoint=$(made)/net.safetensors
[[ -s $checkpoint ]] || fail "training left no checkpoint: $(ls results)"
sanitize=() # a sanitized runtime needs sanitized programs
grep -q __asan_init "$(dirname "$DEQ")/libdeqrt.a" && sanitize=(-fsanitize=address,undefined)
strict=("${sanitize[@]}" -std=gnu11 -O1 -Wall -Wextra -Werror -Wstrict-prototypes -Wconversion -Wno-float-conversion)

# ---- one header, one library, only its own names ----
mkdir lib other
expect 0 'libNet.so' "$DEQ" build --lib tiny.deq -o lib
grep -q '#include "' lib/Net.h && fail "the header needs another one"
abi=$(sed -n 's/^#define DEQ_LIBRARY_ABI \([0-9][0-9]*\).*/\1/p' lib/Net.h)
[[ -n $abi ]] || fail "the header does not say its version"
nm -D --defined-only lib/libNet.so | awk '{ print $3 }' | grep -v -e "^Net_[a-z_]*@@DEQ_LIBRARY_$abi\$" -e "^DEQ_LIBRARY_$abi" -e __asan -e __odr >names || true
[[ ! -s names ]] || fail "the library exports $(head -3 names)"
readelf -d lib/libNet.so | grep -q 'soname: \[libNet.so\]' || fail "the library has no SONAME"
grep -q '"target":"x86-64-v3' lib/Net.json || [[ $(uname -m) != x86_64 ]] || fail "the library is made for this machine: $(grep -o '"target":"[^"]*"' lib/Net.json)"
expect 0 'W0831' "$DEQ" build --lib tiny.deq --target-cpu native -o other
# the same bytes wherever and whenever it is built
mkdir -p away/deep && (cd away && cp ../tiny.deq . && "$DEQ" build --lib tiny.deq -o deep >/dev/null)
for file in libNet.so Net.a Net.h Net.json; do cmp lib/$file away/deep/$file || fail "$file differs from one build to the next"; done

# ---- for several processors: the most able that this machine has is taken ----
if [[ $(uname -m) == x86_64 ]] && able=$(/lib64/ld-linux-x86-64.so.2 --help | sed -n 's/^ *\(x86-64-v[234]\) (supported.*/\1/p' | head -1) && [[ -n $able ]]; then
  cat >bits.c <<'C'
#include "Net.h"
#include <stdio.h>
int main(void) {
    static float x[8 * NET_INPUT], y[8 * NET_OUTPUT];
    for (int i = 0; i < 8 * NET_INPUT; i++) x[i] = (float)(i * 37 % 101) / 101;
    Net_ctx *net = Net_new(NULL);
    if (!net || Net_forward(net, 8, x, y, NULL)) return 1;
    for (int i = 0; i < 8 * NET_OUTPUT; i++) printf("%a\n", (double)y[i]);
    Net_free(net);
    return 0;
}
C
  for cpu in x86-64-v2 "$able" x86-64-v2,x86-64-v3,x86-64-v4; do
    expect 0 'libNet.so' "$DEQ" build --lib tiny.deq --target-cpu $cpu -o for-$cpu
    cc "${strict[@]}" -I for-$cpu bits.c -o bits for-$cpu/libNet.so -Xlinker -rpath -Xlinker "$PWD/for-$cpu" # a path with commas
    expect 0 '^0x' ./bits
    cp out bits-$cpu
  done
  cmp bits-$able bits-x86-64-v2,x86-64-v3,x86-64-v4 || fail "a library for several processors does not compute as that for $able"
  [[ $able == x86-64-v2 ]] || ! cmp -s bits-x86-64-v2 bits-$able || fail "the test cannot tell processors apart"
  nm -D --defined-only for-x86-64-v2,x86-64-v3,x86-64-v4/libNet.so | grep -v ' Net_\| DEQ_LIBRARY\|asan\|odr' | grep . && fail "modules of processors are exported"
fi
expect 64 'E0901.*at most four of x86-64' "$DEQ" build --lib tiny.deq --target-cpu x86-64-v3,znver3 -o several

# ---- programs ----
build() { # NAME FILE FLAGS: a program in C
  cc "${strict[@]}" -I lib "$SOURCE/tests/library/$2" -o "$1" "${@:3}" -lm || fail "$2 does not compile"
}
build client client.c lib/libNet.so -Wl,-rpath,"$PWD/lib"
expect 0 '^agree' ./client "$checkpoint"
build refused refused.c lib/libNet.so -Wl,-rpath,"$PWD/lib"
expect 0 '^refused' ./refused
# records are those of the run's own evaluation: of a library that is made for the same processor
cc "${strict[@]}" -I other "$SOURCE/tests/library/journal.c" -o journal other/libNet.so -Wl,-rpath,"$PWD/other" -lm || fail "journal.c does not compile"
expect 0 '^199,' ./journal "$checkpoint" test-images test-labels 7
cp out own.csv
key=$(grep -o '"journal": *"[0-9a-f]*"' "${checkpoint%/*}/tiny-table.json" | head -2 | tail -1 | cut -d'"' -f4) # of robust
expect 0 '' "$DEQ" journal "$key" --csv
awk -F, '/^#/ { next } !seen { for (i = 1; i <= NF; i++) at[$i] = i; seen = 1 }
  { print $at["id"] "," $at["label"] "," $at["prediction"] "," $at["metric"] "," $at["steps"] "," $at["queries"] "," $at["attack_solves"] "," $at["adjoint_solves"] }' out >run.csv
cmp own.csv run.csv || { diff own.csv run.csv | head -5 >out; fail "the records of Net_journal differ from those of deq run"; }
build vjp vjp.c lib/libNet.so -Wl,-rpath,"$PWD/lib"
expect 0 '^one product' ./vjp
build threads threads.c lib/libNet.so -Wl,-rpath,"$PWD/lib" -lpthread
OMP_WAIT_POLICY=PASSIVE expect 0 'the same bits' ./threads
if command -v g++ >/dev/null; then
  sed 's/layer Net/layer Other/; s/= Net /= Other /' tiny.deq >other.deq
  expect 0 'libOther.so' "$DEQ" build --lib other.deq -o lib
  g++ "${sanitize[@]}" -std=c++14 -Wall -Wextra -Werror -I lib "$SOURCE/tests/library/client.cpp" -o plus lib/libNet.so lib/libOther.so \
    -Wl,-rpath,"$PWD/lib" || fail "client.cpp does not compile"
  expect 0 'caught E0943' ./plus
else
  echo "skipped: no g++ for the C++ client"
fi

# ---- a net of an imported module: its name has a dot, the names in C do not ----
cp tiny.deq setup.deq
cat >over.deq <<'D'
import setup (net, quadrants)
import std.metrics (accuracy)

experiment over {
  let clean = accuracy(net, quadrants.test)
  table "T" { columns: [clean] }
}
D
expect 0 'libsetup_net.so' "$DEQ" build --lib over.deq --net setup.net -o lib
echo '#include "setup_net.h"' >over.c
echo 'int main(void) { setup_net_ctx *net = setup_net_new(NULL); return net ? setup_net_free(net), 0 : 1; }' >>over.c
sed -i '1i #include <stddef.h>' over.c
cc "${strict[@]}" -I lib over.c lib/libsetup_net.so -Wl,-rpath,"$PWD/lib" -o over || fail "the header of setup.net does not compile"
expect 0 '' ./over
# a net that is called as functions of the runtime begin
sed 's/layer Net(/layer deq(/; s/= Net on/= deq on/' tiny.deq >deq.deq
expect 0 'libnet_deq.so' "$DEQ" build --lib deq.deq --net deq -o lib
sed 's/setup_net/net_deq/g' over.c >called.c
cc "${strict[@]}" -I lib called.c lib/libnet_deq.so -Wl,-rpath,"$PWD/lib" -o called || fail "the header of a net called deq does not compile"
expect 0 '' ./called
# a net that is called net: the files that make the library are called otherwise
expect 0 'libnet.so' "$DEQ" build setup.deq --lib --net net -o lib
expect 0 'setup_net/__init__.py' "$DEQ" build --python over.package over.deq --net setup.net

# ---- the program of the page ----
block() { awk -v which="$1" '/^```c$/ { n++; inside = n == which; next } /^```$/ { inside = 0 } inside' "$SOURCE/runtime/include/README.md"; }
block 1 >page.c
{
  printf '#include "Net.h"\n#include <stddef.h>\n#include <stdio.h>\n'
  echo 'enum { N = 2 };'
  echo 'static void part(Net_ctx *net, const float *images, const float *cotangent, float *logits, float *dimages, float *dparameters) {'
  echo 'Net_status status;'
  block 2
  echo '}'
  echo 'static int records_of(Net_ctx *net, const float *images, const int64_t *labels) {'
  block 3
  echo 'return 0; }'
  echo 'int main(void) { (void)records_of; part(NULL, NULL, NULL, NULL, NULL, NULL); return 0; }'
} >part.c
cc "${strict[@]}" -fsyntax-only -I lib part.c || fail "the part of the page about products does not compile"
grep -q Net_vjp_kept part.c && grep -q Net_journal part.c || fail "the page has no part about products, or about records"
expect 0 '' "$DEQ" run tiny.deq
cc "${strict[@]}" -I lib page.c lib/libNet.so -Wl,-rpath,lib -o page || fail "the program of the page does not compile"
expect 0 '^2 solves, [1-9]' ./page

# ---- outputs that are not one for each class: joined attacks are made, since no output says that an answer is wrong ----
sed 's/^layer Net(.*/layer Net(image: f32[1, 8, 8]) -> f32[4 + 64] {/; s/return image |> flatten |> body |> head/return concat(head(body(flatten(image))), flatten(image))/
  s/^attack exact.*/attack exact = sequence(weak, weak)/; s/^train net = /fn ce(o: f32[68], y: label[4]) -> f32 = cross_entropy(o[0..4], y)\n\nfn acc(o: f32[68], y: label[4]) -> f32 = accuracy(o[0..4], y)\n\n&/
  s/loss:     cross_entropy/loss: ce\n  metric: acc/; s/accuracy(net, /acc(net, /' tiny.deq >heads.deq
expect 0 '' "$DEQ" run heads.deq --set net.epochs=1
heads=$(made)/net.safetensors
expect 0 'libNet.so' "$DEQ" build --lib heads.deq -o heads
cat >heads.c <<'C'
#include "Net.h"
#include <stdio.h>
#include <string.h>
int main(int argc, char **argv) {
  static float x[20 * NET_INPUT], attacked[20 * NET_INPUT];
  static int64_t labels[20];
  static Net_record records[20];
  Net_ctx *net = Net_new(NULL);
  int moved = 0, told = 0;
  if (argc != 2 || Net_load(net, argv[1])) return 1;
  for (int i = 0; i < 20 * NET_INPUT; i++) x[i] = (float)(i % 97) / 97;
  for (int i = 0; i < 20; i++) labels[i] = i % 4;
  if (Net_attack_labels(net, "exact", 20, x, labels, 7, attacked, NULL)) return 2;
  if (Net_journal_labels(net, "exact", 20, x, labels, 7, records)) return 3;
  for (int i = 0; i < 20; i++) {
    moved += memcmp(x + i * NET_INPUT, attacked + i * NET_INPUT, NET_INPUT * sizeof *x) != 0;
    told += records[i].prediction == (records[i].metric > 0 ? records[i].label : -2);
  }
  printf("%d moved, %d told\n", moved, told);
  Net_free(net);
  return 0;
}
C
cc "${strict[@]}" -I heads heads.c -o of_heads heads/libNet.so -Wl,-rpath,"$PWD/heads" || fail "heads.c does not compile"
expect 0 '^20 moved, 20 told' ./of_heads "$heads"

# ---- a library of another interface: a linked program does not start ----
echo "DEQ_LIBRARY_$((abi + 1)) { global: *; };" >version
echo 'int Net_abi(void); int Net_abi(void) { return 0; }' >another.c
mkdir newer
cc -shared -fPIC another.c -o newer/libNet.so -Wl,--version-script=version -Wl,-soname,libNet.so
cc "${strict[@]}" -I lib "$SOURCE/tests/library/threads.c" -o elsewhere lib/libNet.so -Wl,-rpath,"$PWD/newer" -lpthread || fail "threads.c does not compile"
expect 1 "version .DEQ_LIBRARY_$abi' not found" ./elsewhere
done_testing
