#!/usr/bin/env bash
# Compilation as a user sees it: what is emitted, the object cache, programs and libraries.
source "$(dirname "$0")/../programs/lib.sh"
data 300
cp "$PROGRAMS/tiny.deq" .

# ---- stages ----
expect 0 'fixed point' "$DEQ" check --emit ast tiny.deq
expect 0 'tanh' "$DEQ" check --emit ir tiny.deq
for routine in f lin jvp vjp_z vjp_rest; do
  expect 0 "define.*Net_body_$routine(" "$DEQ" build --emit ll tiny.deq
done
grep -qE '(nnan|ninf|fast) ' out && fail "arithmetic flags that lose NaN"
expect 0 'Net_body_f' "$DEQ" build --emit asm tiny.deq
expect 0 '' "$DEQ" build --emit obj -o tiny.o tiny.deq
[[ $(head -c 4 tiny.o | tail -c 3) == ELF ]] || fail "no object"
# The graphs after each pass of the list; each has a line that says what it does.
expect 0 '^hoist  *[a-z]' "$DEQ" check --emit=passes
cut -d' ' -f1 out >passes
(($(wc -l <passes) > 20)) || fail "a list of passes: $(cat passes)"
while read -r pass; do
  expect 0 "^# .* after $pass\$" "$DEQ" check --emit=ir:"$pass" tiny.deq
done <passes
expect 0 '' "$DEQ" run --emit=ir:hoist tiny.deq -o hoist.ir
diff hoist.ir "$SOURCE/tests/golden/tiny-hoist.ir" >difference || fail "the graphs after hoist are others: $(cat difference)"
expect 64 "no pass 'hoits' (did you mean 'hoist'?)" "$DEQ" check --emit=ir:hoits tiny.deq
expect 64 "'irr'" "$DEQ" check --emit=irr tiny.deq
for pass in parse resolve check elaborate routines compile; do expect 0 '' "$DEQ" check --stop-after $pass tiny.deq; done
expect 0 'peak' "$DEQ" check --memory tiny.deq
expect 0 '' "$DEQ" build --target-cpu "$("$DEQ" version | sed -n 's/^target //p')" --emit obj -o host.o tiny.deq
expect 70 'no-such-cpu' "$DEQ" run --target-cpu no-such-cpu tiny.deq
expect 0 '' "$DEQ" build --target-cpu x86-64-v3 --emit obj -o tiny-v3.o tiny.deq
cmp -s tiny.o tiny-v3.o && fail "the target CPU makes no difference"

# ---- the same numbers from the cache, from a program, and whatever the flags ----
expect 0 'clean' "$DEQ" run tiny.deq --fresh
cp results/tiny/tiny.csv cold.csv
[[ -n $(find cache/deq/objects -name '*.so') ]] || fail "nothing in the cache of objects"
expect 0 'clean' "$DEQ" run tiny.deq --fresh
same() { diff <(grep -v '^#' cold.csv | cut -d, -f1-4) <(grep -v '^#' "$1" | cut -d, -f1-4) >/dev/null || fail "another table: $2"; checks=$((checks + 1)); }
same results/tiny/tiny.csv "warm"
for entry in cache/deq/objects/*.so; do printf 'damage' >"$entry"; done
expect 0 'clean' "$DEQ" run tiny.deq --fresh
same results/tiny/tiny.csv "after a damaged cache entry"
expect 0 '' "$DEQ" build tiny.deq -o program
rm -rf results
expect 0 'clean' ./program --fresh
same results/tiny/tiny.csv "built program"
expect 0 '' ./program --help
expect 64 '' ./program --set net.epohcs=1
expect 64 '' "$DEQ" run tiny.deq --set net.epohcs=1
expect 0 '' ./program --fresh --threads 1 --set net.epochs=1 --seed 3

# ---- profile: the same run, and where its time went ----
expect 0 'clean' "$DEQ" run tiny.deq --fresh --set net.epochs=1 --results plain
expect 0 'by fixed point' "$DEQ" profile tiny.deq --set net.epochs=1 --results profiled
grep -q 'solve Net_body' out || fail "the profile names no solve"
grep -q 'Net_body_f' out || fail "the profile names no routine"
grep -q 'tanh .*tiny.deq:15 *z = tanh(z @ W + x @ U + b)' out || fail "the profile shows no line of the script"
diff <(grep -v '^#' plain/tiny/tiny.csv | cut -d, -f1-4) <(grep -v '^#' profiled/tiny/tiny.csv | cut -d, -f1-4) >/dev/null || fail "the profiled run gives other numbers"
expect 0 '"event":"profile","routine":"Net_body_f".*"own"' "$DEQ" profile tiny.deq --set net.epochs=1 --results profiled --json
expect 0 'clean' "$DEQ" run tiny.deq --fresh --set net.epochs=1 --results plain
grep -q 'by fixed point' out && fail "a run without timers reports times"

# ---- bench: rows, the peak, bounds; two reports compared ----
expect 0 'peak of multiply-adds in registers' "$DEQ" bench tiny.deq --batch 8 --threads 1 --rows 'one block'
"$DEQ" bench tiny.deq --batch 8 --threads 1 --rows 'one block' --json >old.json 2>err || fail "bench: $(cat err)"
grep -q '"event":"bench_machine".*"peak_gflops"' old.json || fail "bench names no peak"
grep -q '"name":"body.f (one block)".*"share"' old.json || fail "f without its share of the peak"
"$DEQ" bench tiny.deq --batch 8 --threads 1 --rows 'predict, broyden 8' --budget 0.01 --json >bound.json || fail "bench of a solve"
grep -q '"bound".*"overhead"' bound.json || fail "a solve without a bound"
expect 64 'a network is one of 1GbE, .*HDR' "$DEQ" bench tiny.deq --batch 8 --threads 1 --predict Ethernet
expect 64 'numbers from 1 to 100000' "$DEQ" bench tiny.deq --batch 8 --threads 1 --predict 10GbE --nodes 1,x
expect 64 'go with --predict' "$DEQ" bench tiny.deq --cores 4
expect 64 'scaling does not' "$DEQ" bench tiny.deq --predict HDR --scaling
expect 0 'hours, all cores busy' "$DEQ" bench tiny.deq --batch 8 --threads 1 --budget 0.01 --predict 1e-3,1e6 --nodes 1,3 --cores 2
[[ $(grep -cE '^ +[13] +[1-9]' out) == 2 ]] || fail "no row for each number of nodes"
# evaluations of f for a prediction: the steps, Broyden's last state, and three of the finish, the first one free after Broyden
"$DEQ" bench tiny.deq --batch 8 --threads 1 --rows 'predict, broyden 8|predict, picard 8' --budget 0.01 --json >costs.json || fail "bench of two solves"
grep -q '"name":"predict, broyden 8".*"evaluations":11[.,}]' costs.json || fail "broyden 8: $(grep -o '"evaluations":[0-9.]*' costs.json)"
grep -q '"name":"predict, picard 8".*"evaluations":11[.,}]' costs.json || fail "picard 8: $(grep -o '"evaluations":[0-9.]*' costs.json)"
"$DEQ" bench tiny.deq --batch 8 --threads 1 --rows 'memory, phantom|predict, broyden 8|entropy: loss' --budget 0.01 --json >several.json || fail "bench of several rows"
[[ $(grep -c '"event":"bench_memory".*"growth":[1-9]' several.json) == 1 ]] || fail "bench: the memory of one training step"
[[ $(grep -c '"event":"bench",' several.json) == 2 ]] || fail "bench: the rows of two names: $(cat several.json)"
expect 64 'budget' "$DEQ" bench tiny.deq --budget 0
# processors' time
"$DEQ" bench tiny.deq --batch 8 --threads 1 --rows 'predict, broyden 8' --budget 0.01 --processor --json >spent.json || fail "bench --processor"
grep -q '"name":"predict, broyden 8".*"median":[0-9.e-]*[1-9]' spent.json || fail "bench --processor: no time"
# cost against size, examples, steps and threads: the exponents are those of the points in the table
cat >sizes.deq <<'END'
import std.data (fashion_mnist)
import std.layers (Dense)
import std.losses (cross_entropy)
import std.optimisers (sgd)
layer Cell[D](x: f32[1, 28, 28]) -> f32[10] {
  use into = Dense[784, D]
  use turn = Dense[D, D]
  use head = Dense[D, 10]
  let u = x |> flatten |> into
  fixed point (z: f32[D]) { z = tanh(0.1 * turn(z) + u) }
  return head(z)
}
data fashion: (f32[1, 28, 28], label[10]) = fashion_mnist()
END
for size in 16 8 32; do
  printf 'train n%d = Cell[%d] on fashion.train {\n  loss:     cross_entropy\n  optimise: sgd(rate: 0)\n  epochs:   1\n}\n' $size $size >>sizes.deq
done
"$DEQ" bench sizes.deq --scaling --batch 3 --threads 2 --budget 0.001 --json >scaling.json 2>err || fail "bench --scaling: $(cat err)"
for axis in size batch steps threads; do grep -q "\"event\":\"bench_scaling\",\"axis\":\"$axis\"" scaling.json || fail "bench --scaling: no $axis"; done
[[ $(grep '^size,' results/sizes/scaling.csv | cut -d, -f3 | paste -sd' ') == '8 16 32' ]] || fail "bench --scaling: sizes $(cat results/sizes/scaling.csv)"
[[ $(grep '^batch,"Cell_16: training step"' results/sizes/scaling.csv | cut -d, -f3 | paste -sd' ') == '1 2 3' ]] || fail "bench --scaling: batches"
grep -q '^batch,"Cell_8' results/sizes/scaling.csv && fail "bench --scaling: another axis for each size"
exponent=$(grep '^steps,"Cell_16: broyden"' results/sizes/scaling.csv | awk -F, '{ x = log($3); y = log($4); n++; sx += x; sy += y; xx += x * x; xy += x * y } END { print (xy - sx * sy / n) / (xx - sx * sx / n) }')
grep '"name":"Cell_16: broyden"' scaling.json | grep -o '"exponent":[-0-9.e]*' | cut -d: -f2 | awk -v e="$exponent" '{ found = 1; d = $1 - e; exit !(d < 1e-3 && d > -1e-3) } END { if (!found) exit 1 }' ||
  fail "bench --scaling: the exponent of the points is $exponent: $(cat scaling.json)"
if command -v gnuplot >/dev/null; then head -c 4 results/sizes/scaling.png | grep -q PNG || fail "bench --scaling: no picture"; fi
sed 's/"median":[0-9.e-]*/"median":1000.0/' old.json >new.json
expect 0 'slower' "$DEQ" bench --compare old.json new.json
grep -q 'f (one block)' out || fail "the comparison names no row"
expect 0 '"ratio"' "$DEQ" bench --compare old.json new.json --json
expect 0 ' 0 slower' "$DEQ" bench --compare old.json old.json
echo 'no report' >broken.json
expect 3 'E0822.*broken.json' "$DEQ" bench --compare old.json broken.json
expect 3 'E0822.*absent.json' "$DEQ" bench --compare absent.json old.json

# ---- a C program links the library ----
printf 'layer L[H](x: f32[H]) -> f32[H] { return tanh(x) }\n' >sized.deq
expect 0 'libL_3.so' "$DEQ" build sized.deq --lib -N 'L[3]' -o "$WORK"
expect 2 "'L' needs its size 'H'" "$DEQ" build sized.deq --lib -N L -o "$WORK"
expect 2 "unknown name 'M'" "$DEQ" build sized.deq --lib -N 'M[3]' -o "$WORK"
mkdir lib && expect 0 'libNet.so' "$DEQ" build --lib tiny.deq -o lib
checkpoint=$(find results -name '*.safetensors' | head -1)
[[ -n $checkpoint ]] || fail "training left no checkpoint"
sanitize=() # a sanitized runtime needs sanitized programs
grep -q __asan_init "$(dirname "$DEQ")/libdeqrt.a" && sanitize=(-fsanitize=address,undefined)
include=(-I lib)
cc "${sanitize[@]}" -std=c11 -Wall -Wextra -Werror "${include[@]}" "$SOURCE/tests/library/client.c" -o shared lib/libNet.so -Wl,-rpath,"$PWD/lib" -lm || fail "does not link with libNet.so"
expect 0 'agree' ./shared "$checkpoint"
cc "${sanitize[@]}" -std=c11 -Wall -Wextra -Werror "${include[@]}" "$SOURCE/tests/library/client.c" -o static lib/Net.a "$(dirname "$DEQ")/libdeqrt.a" -ljansson -lxxhash -lminizip -lz -lpthread -lm || fail "does not link with Net.a"
expect 0 'agree' ./static "$checkpoint"
# ---- the library of a named net that the script trains has the script's losses, and takes parameters of either precision
mkdir named && expect 0 'libNet.so' "$DEQ" build --lib -N Net tiny.deq -o named
grep -q cross_entropy named/Net.json || fail "the library of a named net has lost the script's losses"
cc "${sanitize[@]}" -std=c11 -Wall -Wextra -Werror -I named "$SOURCE/tests/library/client.c" -o named/client named/libNet.so -Wl,-rpath,"$PWD/named" -lm || fail "does not link with the library of a named net"
expect 0 'agree' named/client "$checkpoint"
printf '\nlayer Flat(x: f32[3]) -> f32[3] {\n  return x\n}\n' | cat tiny.deq - >two.deq
expect 0 'libFlat.so' "$DEQ" build --lib -N Flat two.deq -o named
mkdir wide && expect 0 'libNet.so' "$DEQ" build --lib --precision f64 tiny.deq -o wide
cc "${sanitize[@]}" -std=c11 -Wall -Wextra -Werror -DREAL=double -I wide "$SOURCE/tests/library/client.c" -o wide/client wide/libNet.so -Wl,-rpath,"$PWD/wide" -lm || fail "does not link with the library in double precision"
expect 0 'agree' wide/client "$checkpoint"
# ---- a cold run reads its data beside the compiler; other data where --set says so ----
rm -rf cache
expect 0 '"event":"first_step".*"since_start"' "$DEQ" run tiny.deq --json --set net.epochs=1 --results cold
rm -rf cache
cp train-images other-images && printf 'damage' >>other-images
expect 3 'E0802.*other-images' "$DEQ" run tiny.deq --set quadrants.images=other-images
mv train-images kept && cp other-images train-images
rm -rf cache
expect 3 'E0802.*train-images' "$DEQ" run tiny.deq
mv kept train-images

no_partial_files
done_testing
