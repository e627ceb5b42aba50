#!/usr/bin/env bash
# run.sh TARGET SECONDS [FOLDER]: fuzzes lang/ with clang's libFuzzer; 77 (skipped) where clang has none.
# TARGET is parse or check.  New inputs are collected in FOLDER (a temporary one by default); crashes land in it too.
set -euo pipefail
target=$1 seconds=$2
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=${3:-$(mktemp -d)}
mkdir -p "$work/new"
clang=$(command -v clang-19 || command -v clang) || { echo "skipped: no clang"; exit 77; }
echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return d && n ? 0 : 0; }' >"$work/probe.c"
"$clang" -fsanitize=fuzzer "$work/probe.c" -o "$work/probe" 2>/dev/null || { echo "skipped: clang without libFuzzer (Debian: libclang-rt-19-dev)"; exit 77; }

bison --header="$work/parse.h" -o "$work/parse.c" "$root/lang/parse.y"
flex -o "$work/lex.c" "$root/lang/lex.l"
cmake -DOUT="$work/stdlib.c" -DROOT="$root/stdlib" -P "$root/lang/embed.cmake"
"$clang" -std=gnu11 -g -O1 -w -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -I"$root" -I"$root/lang" -I"$work" \
  "$here/fuzz_$target.c" "$root"/lang/*.c "$work"/{parse,lex,stdlib}.c -o "$work/fuzz_$target" -ljansson -lxxhash -lm
# Words in double quotes are the grammar's tokens.
grep -o '"[^" ]*"' "$root/lang/parse.y" | grep -v '[%\\.]c\|\.h' | sort -u >"$work/words.dict"
cd "$work"
"./fuzz_$target" -dict=words.dict -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=8192 -print_final_stats=1 \
  new "$here/corpus" "$root/examples" "$root/stdlib" "$root/tests/golden" "$root/tests/errors"
