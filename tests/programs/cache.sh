#!/usr/bin/env bash
# What is remembered is what was computed: entries of the cache that are damaged, exchanged, linked, another user's or in
# a folder that others can write to are noticed, said and computed again; the table stays the same.
source "$(dirname "$0")/lib.sh"
data 200
tiny=(timeout 100 "$DEQ" run "$PROGRAMS/tiny.deq" --set net.epochs=1)
cache=$XDG_CACHE_HOME/deq table=results/tiny/tiny.csv

# exchange A B: two files, which keep their own bytes and times
exchange() { mv "$1" "$1.other" && mv "$2" "$1" && mv "$1.other" "$2"; }
# again TEXT WHAT: the run says TEXT, gives the same table, and is quiet the next time
again() {
  expect 0 "$1" "${tiny[@]}"
  same first.csv "$table"
  expect 0 'found in the cache' "${tiny[@]}"
  grep -q 'warning\[W08' out && fail "$2: warned of again"
  return 0
}

umask 022
expect 0 'clean' "${tiny[@]}"
cp "$table" first.csv
[[ -z $(find "$XDG_CACHE_HOME" -type d ! -perm 0700) ]] || fail "folders of the cache are open: $(find "$XDG_CACHE_HOME" -type d ! -perm 0700 | head -3)"
journals=("$cache"/journal/*.journal)
((${#journals[@]} >= 2)) || fail "less than two evaluations in the cache"
head -n 1 "${journals[0]}" | grep -q '"version"' || fail "a journal without the program's version"

# ---- records of evaluations ----
exchange "${journals[0]}" "${journals[1]}"
again 'W0822.*another entry under this name' "journals exchanged"
damage "${journals[0]}" $(($(stat -c %s "${journals[0]}") - 99))
again 'W0822.*damaged' "a record changed"
at=$(head -n 1 "${journals[0]}" | grep -bo '"seed":[0-9]' | head -1 | cut -d: -f1)
damage "${journals[0]}" $((at + 7)) # another number in what it says that it is of
expect 3 'E0824.*is no journal' "$DEQ" journal "${journals[0]}"
again 'W0822.*damaged' "what a journal is of changed"
truncate -s 100 "${journals[1]}"
again 'W0822.*damaged' "a journal truncated"
: >"${journals[1]}"
again 'W0822.*damaged' "an empty journal"
mv "${journals[0]}" elsewhere.journal && ln -s "$PWD/elsewhere.journal" "${journals[0]}"
again 'W0822.*link' "a journal that is a link"
rm "${journals[0]}" && mkfifo "${journals[0]}"
again 'W0822.*no regular file' "a journal that is a pipe"

# ---- other values: the residuals of a trained net ----
values=("$cache"/values/*.json)
[[ -f ${values[0]} ]] || fail "no values in the cache"
grep -q '"version"' "${values[0]}" || fail "an entry without the program's version"
truncate -s 100 "${values[0]}"
again 'W0822.*damaged' "a value truncated"

# ---- trained parameters ----
expect 0 'clean' "${tiny[@]}" --seed 5 --results other
nets=("$cache"/nets/*.safetensors)
[[ ${#nets[@]} == 2 ]] || fail "${#nets[@]} nets in the cache"
exchange "${nets[0]}" "${nets[1]}"
again 'W0811.*another training run' "nets exchanged"
for net in "${nets[@]}"; do damage "$net" 2000; done
again 'W0811.*checksum' "a net damaged"

# ---- compiled objects ----
sed 's/tanh/relu/' "$PROGRAMS/tiny.deq" >other.deq
expect 0 '' "$DEQ" run other.deq --set net.epochs=1
objects=("$cache"/objects/*.so)
[[ ${#objects[@]} == 2 ]] || fail "${#objects[@]} compiled objects in the cache"
exchange "${objects[0]}" "${objects[1]}"
again 'W0822.*another entry under this name' "objects exchanged"
for object in "${objects[@]}"; do damage "$object" 5000; done
again 'W0822.*damaged' "an object damaged"
for object in "${objects[@]}"; do ln -sf /dev/zero "$object"; done
again 'W0822.*link' "an object that links to a device"

# ---- whose it is ----
if ((EUID == 0)); then
  chown 65534 "$cache"/values/*.json "$cache"/journal/*.journal "$cache"/nets/*.safetensors "$cache"/objects/*.so
  expect 0 'W0822.*another user' "${tiny[@]}"
  grep -q 'W0811.*another user' out || fail "a net of another user's was loaded"
  same first.csv "$table"
fi
chmod o+w "$cache"/values
expect 0 'W0821.*others can write to the folder' "${tiny[@]}"
same first.csv "$table"
chmod 0700 "$cache"/values
chmod g+w "$cache"/objects && rm -f "$cache"/objects/*
expect 0 '' "${tiny[@]}"
[[ -z $(ls "$cache"/objects) ]] || fail "objects are stored where others can write"

# ---- every warning that is printed is explained ----
codes=$(grep -rhoE '\bW[0-9]{4}\b' "$SOURCE/runtime" "$SOURCE/compiler" --include=*.c | sort -u)
[[ $codes == *W0822* ]] || fail "the codes of warnings were not found"
for code in $codes; do expect 0 "$code: " "$DEQ" explain "$code"; done
no_partial_files
done_testing
