#!/usr/bin/env bash
# An installed deq, away from its build folder, checks, runs and builds.
source "$(dirname "$0")/lib.sh"
data 300
cp "$PROGRAMS/tiny.deq" .
cmake --install "$(dirname "$DEQ")" --prefix "$WORK/usr" >out 2>&1 || fail "cmake --install"
for file in bin/deq lib/deq/libdeq_backend.so lib/libdeqrt.a lib/libdeqrt.so include/deq/deq_runtime.h include/deq/deq_library.h; do
  [[ -s usr/$file ]] || fail "$file was not installed"
done
expect 0 '' usr/bin/deq check tiny.deq
expect 0 'clean' usr/bin/deq run tiny.deq --no-cache --set net.epochs=1
expect 0 '' usr/bin/deq build tiny.deq -o program
expect 0 'clean' ./program --fresh --set net.epochs=1 --results elsewhere
done_testing
