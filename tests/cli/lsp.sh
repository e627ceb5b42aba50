#!/usr/bin/env bash
# The language server, as editors use it: every method, bad requests, typing in unfinished scripts, memory, time.
# Skipped without python3 (its standard library only).
source "$(dirname "$0")/../programs/lib.sh"
python3=/usr/bin/python3
[[ -x $python3 ]] || { echo "skipped: no python3 (Debian: python3)"; exit 77; }
export PYTHONPATH=$SOURCE/tests/lsp PYTHONDONTWRITEBYTECODE=1 TMPDIR=$PWD
parts=(methods bad typing memory speed)
# what a sanitizer keeps of freed memory, and its time, say nothing of the server's
! grep -q __asan_init "$(dirname "$DEQ")/libdeqrt.a" || parts=(methods bad typing)
for part in "${parts[@]}"; do
  "$python3" "$SOURCE/tests/lsp/$part.py" "$DEQ" "$SOURCE" >out 2>&1 || fail "tests/lsp/$part.py: $(tail -3 out)"
  [[ $part != speed && $part != memory ]] || cat out
  checks=$((checks + 1))
done
expect 64 "one argument too many" "$DEQ" lsp file
done_testing
