#!/usr/bin/env bash
# Every block of code in the documents is checked, and every .deq file of the repository is formatted and checks.
# A block that starts with ```deq is a whole module that checks; ```deq error CODE must give that error; blocks in other
# languages (and plain ```) are not programs.
source "$(dirname "$0")/lib.sh"

for document in README.md lang/README.md stdlib/README.md tests/README.md; do
  [[ -f $SOURCE/$document ]] || continue
  prefix=$(tr / _ <<<"${document%.md}")
  awk -v prefix="$prefix" '
    /^```deq/ { n++; file = sprintf("%s_%03d.deq", prefix, n); print "// line " NR > (file ".origin"); want = $3; print want > (file ".want"); inside = 1; printf "" > file; next }
    /^```/ && inside { inside = 0; close(file); next }
    inside { print > file }' "$SOURCE/$document"
done
blocks=0 whole=() # whole: those without an error
for file in *.deq; do
  [[ -f $file ]] || continue
  want=$(cat "$file.want")
  where="${file%.deq} ($(cat "$file.origin"))"
  got=0
  "$DEQ" check "$file" >out 2>&1 || got=$?
  if [[ -n $want ]]; then
    [[ $got != 0 ]] || fail "$where checks, but should give $want"
    grep -q "$want" out || fail "$where does not give $want"
  else
    [[ $got == 0 ]] || fail "$where does not check"
    whole+=("$file")
    if grep -q '^test "' "$file"; then expect 0 'passed' "$DEQ" test "$file"; fi
  fi
  blocks=$((blocks + 1))
done
((${#whole[@]} > 0)) || fail "no blocks found"
"$DEQ" fmt --check "${whole[@]}" >out 2>&1 || fail "a block is not formatted"

mapfile -t files < <(find "$SOURCE/stdlib" "$SOURCE/examples" "$SOURCE/tests/programs" "$SOURCE/tests/bench" -name '*.deq')
"$DEQ" fmt --check "${files[@]}" >out 2>&1 || fail "a file is not formatted"
for file in "${files[@]}"; do
  "$DEQ" check "$file" >out 2>&1 || fail "$file does not check"
  # tests on gradients in C need them compiled: in_c.sh
  if grep -q '^test "' "$file" && ! grep -q '= extern "' "$file"; then expect 0 'passed' "$DEQ" test "$file"; fi
  checks=$((checks + 1))
done

# The reference has every gradient mode with every argument.
awk '/^## Gradients$/ { inside = 1 } /^## Losses/ { inside = 0 } inside' "$SOURCE/lang/README.md" >gradients.txt
while read -r mode argument; do
  grep -q -e "\`$mode(.*$argument: " gradients.txt || fail "lang/README.md has no '$argument' of $mode"
  checks=$((checks + 1))
done < <(awk -F'[(,]' '/^MODE\(/ { gsub(/[ "]/, "", $3); spelling[$2] = $3 }
  /^MODE_(OPTION|FLAG|WORD|STATES)\(/ { gsub(/ /, "", $3); print spelling[$2], $3 }' "$SOURCE/runtime/include/modes.def")

# Every mode has a row there, which says whether it is exact as its traits do, and one in the table of the runtime.
while IFS=$'\t' read -r id mode exact; do
  grep -q -e "^| \`$mode(.* | $exact |\$" gradients.txt || fail "lang/README.md has no row of $mode that says '$exact'"
  grep -q -e "^| \`$mode\` | \`mode_$id.c\` |" "$SOURCE/runtime/README.md" || fail "runtime/README.md has no row of $mode"
  checks=$((checks + 1))
done < <(awk -F', ' '/^MODE\(/ { gsub(/MODE\(/, "", $1); gsub(/"/, "", $2); print $1 "\t" $2 "\t" ($3 ~ /TRAIT_EXACT/ ? "yes" : "no") }' \
  "$SOURCE/runtime/include/modes.def")

# Modes differ by their traits and their own files: nothing else asks which one it is.
grep -rnE '(case |[=!]= *)DEQ_MODE_[a-z]' "$SOURCE/lang" "$SOURCE/compiler" "$SOURCE/runtime" >asked && fail "a mode is asked for by name: $(cat asked)"
checks=$((checks + 1))

# The README shows lines of the quickstart as they are, in their order: at most 40, and a whole module.
awk '/^```deq/ && !seen { seen = inside = 1; next } /^```/ { inside = 0 } inside' "$SOURCE/README.md" >shown.deq
awk 'NR == FNR { line[++n] = $0; next } { while (++at <= n && line[at] != $0); if (at > n) { print; exit } }' \
  "$SOURCE/examples/quickstart.deq" shown.deq >other
[[ -s shown.deq && ! -s other ]] || fail "the README's script has a line that is not in examples/quickstart.deq: $(cat other)"
shown=$(wc -l <shown.deq)
((shown <= 40)) || fail "the README shows $shown lines"
lines=$(wc -l <"$SOURCE/examples/quickstart.deq")
((lines <= 60)) || fail "the quickstart has $lines lines"
echo "$blocks blocks"
done_testing
