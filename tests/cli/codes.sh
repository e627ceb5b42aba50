#!/usr/bin/env bash
# Every code that the sources print is explained by `deq explain`, and every code that is explained is printed somewhere.
source "$(dirname "$0")/../programs/lib.sh"

sources() { find "$SOURCE/lang" "$SOURCE/compiler" "$SOURCE/runtime" -name '*.[chyl]' -print0 | xargs -0 cat; }
sources >all
"$DEQ" explain | awk '{ print $1 }' | sort >explained
grep -oE '\b[EW]0[0-9]{3}\b' all | sed 's/^DIAG_//' | sort -u >mentioned
grep -oE '\bDIAG_[EW]0[0-9]{3}\b' all | sed 's/^DIAG_//' | sort -u >>mentioned
[[ $(wc -l <explained) -gt 100 && $(wc -l <mentioned) -gt 100 ]] || fail "the lists of codes are too short to be right"

while read -r code; do
  grep -qx "$code" explained || fail "the sources print $code, which 'deq explain' does not know"
  expect 0 "^$code: " "$DEQ" explain "$code"
  (($(wc -l <out) > 2)) || fail "'deq explain $code' says nothing"
done <mentioned

# A failure of the runtime is used by its name, DEQ_DATA_MISSING.
sed -nE 's/^FAILURE\(([A-Z_]+), (E[0-9]+),.*/\2 DEQ_\1/p' "$SOURCE/runtime/include/failures.def" >names
while read -r code; do
  name=$(awk -v code="$code" '$1 == code { print $2 }' names)
  grep -qE "\\bDIAG_$code\\b|\"$code\"|\\b${name:-none at all}\\b" all || fail "$code is explained, but nothing prints it"
done <explained
done_testing
