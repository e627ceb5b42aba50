#!/usr/bin/env bash
# Outputs: only absent files, empty ones and deq's own are written; a limit on the size of files is said and leaves
# nothing half-written.
source "$(dirname "$0")/lib.sh"
data 64
cp "$PROGRAMS/tiny.deq" tiny.deq
cp "$PROGRAMS/in_c.deq" in_c.deq
run=(timeout 100 "$DEQ" run tiny.deq --set net.epochs=1)
deq=(timeout 60 "$DEQ")

# untouched FILE COMMAND..: refused with a message that names the file, which stays as it is
untouched() {
  local file=$1
  shift
  echo 'mine, for years' >"$file"
  expect 3 "E0821.*'[^']*$file' exists and was not made by deq" "$@"
  [[ $(cat "$file") == 'mine, for years' ]] || fail "$* changed $file"
  rm "$file"
}

# ---- what is no file ----
mkfifo pipe && mkdir folder && ln -s pipe link
places=(pipe folder link)
((EUID == 0)) && mknod null c 1 3 2>/dev/null && places+=(null)
expect 0 'clean' "${run[@]}"
net=results/tiny/net.safetensors
for place in "${places[@]}"; do
  before=$(stat -c '%F %i' "$place")
  expect 3 "E0821.*$place'" "${deq[@]}" build tiny.deq -o "$place"
  expect 3 "E0821.*$place'" "${deq[@]}" check --emit ir tiny.deq -o "$place"
  expect 3 "E0821.*$place'" "${deq[@]}" header in_c.deq -o "$place"
  [[ $(stat -c '%F %i' "$place") == "$before" ]] || fail "$place was replaced"
done
mkfifo pipe.npz && expect 3 'E0821.*pipe.npz' "${deq[@]}" export "$net" -o pipe.npz
mkfifo Net.json && expect 3 'E0821.*Net.json' "${deq[@]}" build --lib tiny.deq
[[ ! -e libNet.so ]] || fail "a part of the library was written"
rm Net.json

# ---- files that deq did not make ----
untouched notes "${deq[@]}" build tiny.deq -o notes
untouched notes "${deq[@]}" check --emit ir tiny.deq -o notes
untouched notes.h "${deq[@]}" header in_c.deq -o notes.h
untouched data.npz "${deq[@]}" export "$net" -o data.npz
untouched data.safetensors "${deq[@]}" export "$net" -o data.safetensors
untouched Net.h "${deq[@]}" build --lib tiny.deq
for what in ast ir ll asm; do expect 3 'E0821.*tiny.deq' "${deq[@]}" check --emit $what tiny.deq -o tiny.deq; done
expect 3 'E0821.*tiny.deq' "${deq[@]}" build tiny.deq -o tiny.deq
cmp -s tiny.deq "$PROGRAMS/tiny.deq" || fail "the script was written to"
cp "$net" kept && expect 3 'E0821' "${deq[@]}" export "$net" -o "$net" && cmp -s "$net" kept || fail "the trained net was replaced"

# ---- its own are replaced; a name is no option ----
: >program
for _ in 1 2; do
  expect 0 '' "${deq[@]}" build tiny.deq -o program
  expect 0 '' "${deq[@]}" build --lib tiny.deq
  expect 0 '' "${deq[@]}" check --emit ll tiny.deq -o tiny.ll
  expect 0 '' "${deq[@]}" header in_c.deq -o made.h
  expect 0 '' "${deq[@]}" export "$net" -o made.npz
  expect 0 '' "${deq[@]}" export "$net" -o made.safetensors
done
expect 0 '' "${deq[@]}" build tiny.deq -o -shared
expect 0 'usage' ./-shared --help
mv tiny.deq script && ln -s script tiny.deq && sed -i 's/^/ /' script && expect 0 '' "${deq[@]}" fmt tiny.deq
[[ -L tiny.deq ]] && cmp -s script "$PROGRAMS/tiny.deq" || fail "fmt replaced a link by a file"

# ---- ulimit -f ----
limited() { (ulimit -f "$1" && shift && exec "$@"); }
mkdir small
expect 3 'E0821.*File too large' limited 1 "${run[@]}" --results small --fresh
[[ -z $(find small -name '*.csv' -o -name '*.md' -o -name '*.safetensors') ]] || fail "results beyond the limit"
expect 3 '' limited 1 "${deq[@]}" build tiny.deq -o limited
[[ ! -e limited ]] || fail "a program beyond the limit"
expect 3 'E0821.*File too large' limited 1 ./program --fresh --results small
# what a file cannot hold is an error for pictures too, which gnuplot draws: with a limit above the other files
if command -v gnuplot >/dev/null; then
  expect 0 '' "${run[@]}" --results whole
  limit=$(find whole -type f ! -name '*.png' ! -name '*.rgb' -printf '%s\n' | sort -n | tail -1)
  expect 3 'E0821.*[.]png.*File too large' limited $((limit / 1024 + 1)) "${run[@]}" --results pictured
else
  echo "skipped: a picture beyond the limit (no gnuplot)"
fi
no_partial_files
done_testing
