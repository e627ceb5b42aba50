#!/usr/bin/env bash
# Adding things is short: no recipe ("**To add ..**" and its numbered list, in the README of a room) names more than four
# files of code, or five for a gradient mode; tests and pages do not count.  That the files exist is checked by prose.sh.
source "$(dirname "$0")/../programs/lib.sh"

# recipes DOCUMENT: the files of code that each recipe of it names, one a line: NUMBER, FILE; and NUMBER, title
recipes() {
  awk '
    /^(\*\*To add |## To add )/ { n++; print n, "title", $0; inside = 1; next }
    /^(#|\*\*)/ { inside = 0 }
    inside && /^( *[0-9]+\. |   )/ {
      text = $0
      while (match(text, /`[^`]+`/)) {
        word = substr(text, RSTART + 1, RLENGTH - 2)
        text = substr(text, RSTART + RLENGTH)
        if (word ~ /\.(c|h|def|y|l|deq)$/ && word !~ /test/) print n, "file", word
      }
    }' "$1"
}

found=0
for document in "$SOURCE"/{lang,compiler,runtime,stdlib,tests}/README.md; do
  recipes "$document" >list
  for n in $(cut -d' ' -f1 list | sort -un); do
    title=$(awk -v n="$n" '$1 == n && $2 == "title" { $1 = $2 = ""; print; exit }' list)
    files=$(awk -v n="$n" '$1 == n && $2 == "file" { print $3 }' list | sed 's:.*/::' | sort -u)
    count=$(grep -c . <<<"$files" || true)
    limit=4
    [[ $title == *'gradient mode'* ]] && limit=5
    ((count > 0)) || [[ $document == */tests/* || $document == */stdlib/* ]] ||
      fail "$document:$title names no file"
    ((count <= limit)) || fail "$document:$title names $count files of code, more than $limit: $files"
    found=$((found + 1))
    checks=$((checks + 1))
  done
done
# The ten things that people add, each with a recipe somewhere.
for what in operation solver 'gradient mode' reader transformation verb 'error code' built-in layer 'target processor'; do
  grep -qE "^(\*\*|## )To add .*$what" "$SOURCE"/{lang,compiler,runtime,stdlib}/README.md || fail "no recipe says how to add a $what"
  checks=$((checks + 1))
done
done_testing
