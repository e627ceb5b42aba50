#!/usr/bin/env bash
# Every C file passes the checks of .clang-tidy, a short list that is kept clean.  Skipped where clang-tidy is not
# version 14, Debian 12's: others have other checks.  The release build reads the files, once.
root=$3 build=$(dirname "$1")
clang-tidy --version 2>/dev/null | grep -q 'version 14\.' || { echo "skipped: no clang-tidy 14 (Debian: clang-tidy)"; exit 77; }
grep -q __asan_init "$build/libdeqrt.a" && { echo "skipped: a sanitizer build reads the same files"; exit 77; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT
find "$root"/{lang,compiler,runtime} -name '*.c' -print0 |
  xargs -0 -P "$(nproc)" -n 8 clang-tidy -p "$build" --quiet >"$log" 2>/dev/null
if grep -qE ' (error|warning): ' "$log"; then
  grep -E ' (error|warning): ' "$log" | sort -u
  exit 1
fi
