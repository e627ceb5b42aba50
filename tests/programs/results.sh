#!/usr/bin/env bash
# A folder of results is one script's with one set of settings: another script of that name, and other settings, get a
# folder beside it, whose name says why, and replace nothing.
source "$(dirname "$0")/lib.sh"
data 64
epochs='s|epochs: *[0-9]*|epochs:   1|'
sed "$epochs" "$PROGRAMS/tiny.deq" >small.deq
mkdir b c && cp small.deq b/small.deq && cp small.deq c/small.deq
cp small.deq 'a b.deq' && cp small.deq "a'b.deq"
deq=(timeout 60 "$DEQ")

# lands FOLDER COMMAND..: the run leaves its results there, and changes nothing that was there before
lands() {
  local folder=$1
  shift
  mkdir -p results
  find results -type f ! -path "$folder/*" -exec md5sum {} + | sort -k2 >before
  expect 0 "^results in $folder/" "$@"
  [[ -s $folder/tiny.csv && -s $folder/net.safetensors ]] || fail "no results in $folder"
  find results -type f ! -path "$folder/*" -exec md5sum {} + | sort -k2 | cmp -s before - || fail "other results changed: $*"
}

lands results/small "${deq[@]}" run small.deq
lands results/small-net.epochs-2 "${deq[@]}" run small.deq --set net.epochs=2
grep -q "results/small/ holds the results of $PWD/small.deq, as written; those of this run go to results/small-net.epochs-2/" out || fail "nothing is said"
lands results/small-seed-3 "${deq[@]}" run small.deq --seed 3
lands results/small-b "${deq[@]}" run b/small.deq
lands results/small-c "${deq[@]}" run c/small.deq
lands results/small-b-net.epochs-2 "${deq[@]}" run b/small.deq --set net.epochs=2
# each again where it was, from wherever it is called
lands results/small "${deq[@]}" run small.deq --threads 1
lands results/small "${deq[@]}" run "$PWD/b/../small.deq"
lands results/small-b "${deq[@]}" run b/small.deq
lands results/small-net.epochs-2 "${deq[@]}" run small.deq --set net.epochs=2
# names that differ only in what a file's name cannot hold
lands results/a-b "${deq[@]}" run 'a b.deq'
lands "results/a-b-$(basename "$PWD" | tr -c 'A-Za-z0-9._\n-' -)" "${deq[@]}" run "a'b.deq"
# settings first, then none
rm -rf results
lands results/small "${deq[@]}" run small.deq --set net.epochs=2
lands results/small-as-written "${deq[@]}" run small.deq
expect 0 'written: results/small-as-written/compare.md' "${deq[@]}" compare small.deq
# a project that moved finds its own
mkdir project && cp small.deq project/small.deq
(cd project && ln -s ../train-* ../test-* . && "${deq[@]}" run small.deq >/dev/null) || fail "the run in a project"
mv project elsewhere
(cd elsewhere && lands results/small "${deq[@]}" run small.deq)
# a record that cannot be read is somebody's
rm -rf results && lands results/small "${deq[@]}" run b/small.deq
echo '{' >results/small/origin.json && cp results/small/tiny.csv kept
lands results/small-b "${deq[@]}" run b/small.deq
cmp -s kept results/small/tiny.csv || fail "results with a damaged record were replaced"
no_partial_files
done_testing
