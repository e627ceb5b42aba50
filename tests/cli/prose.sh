#!/usr/bin/env bash
# The pages that people read: no line of prose above 120 characters, every relative link leads somewhere, and every file
# and folder named in `backticks` exists.  The documentation of the library and of the examples: no line above 120
# characters.
# Tables and blocks of code may be wider; the target of a link does not count, since it cannot be broken.
source "$(dirname "$0")/../programs/lib.sh"

# What programs write, what users own, and what a page uses as an example: not part of the repository.
elsewhere=' build/ results/ my/ compare.md compare.csv compare.png compare-states.csv scaling.csv scaling.png
  settings.json bench.json
  new.json old.json Net.h program.c TABLE.md EXPERIMENT-NAME.md '

(cd "$SOURCE" && find . \( -name .git -o -name 'build*' -o -name results -o -name shared \) -prune -o -print) |
  sed 's:^\./::' >present

# links, paths and lengths of the document $1, one a line: LINE, what it is, the text
words_of() {
  LC_ALL=C awk '
    /^ *```/ { inside = !inside; next }
    inside { next }
    {
      text = $0
      while (match(text, /\]\([^)]*\)/)) {
        print NR, "link", substr(text, RSTART + 2, RLENGTH - 3)
        text = substr(text, 1, RSTART) substr(text, RSTART + RLENGTH)
      }
      if (match(text, /src="[^"]*"/)) print NR, "link", substr(text, RSTART + 5, RLENGTH - 6)
      visible = text
      gsub(/[\200-\277]/, "", visible) # a character of several bytes counts once
      if (visible !~ /^ *\|/ && length(visible) > 120) print NR, "long", length(visible)
      while (match(text, /`[^`]+`/)) {
        count = split(substr(text, RSTART + 1, RLENGTH - 2), word, " ")
        for (i = 1; i <= count; i++) print NR, "word", word[i]
        text = substr(text, RSTART + RLENGTH)
      }
    }' "$1"
}

# anchors DOCUMENT: the names by which its headings can be linked
anchors() {
  awk '/^```/ { inside = !inside } !inside && /^#+ /' "$1" |
    sed -E 's/^#+ //' | tr 'A-Z' 'a-z' | sed -E 's/[^a-z0-9 _-]//g; s/ /-/g'
}

# names_a_path WORD: it is written like a file or a folder of this repository
names_a_path() {
  [[ $1 =~ ^[A-Za-z0-9_.*/-]+$ && ! $1 =~ ^[-/.*]+$ ]] || return 1
  [[ $1 =~ [A-Za-z0-9_*]\.(c|h|def|y|l|sh|py|deq|md|txt|supp)$ || $1 == */ || $1 =~ ^(lang|compiler|runtime|stdlib|tests|examples)/ ]]
}

# placeholder WORD: a part in capitals stands for a name, as in NAME.deq
placeholder() { [[ ! $1 =~ \.md$ && $1 =~ (^|[/_.-])[A-Z][A-Z]+([/_.-]|$) ]]; }

# exists FOLDER WORD: in the document's folder, from the root, or somewhere below the document's folder
exists() {
  local word=${2%/} pattern
  compgen -G "$SOURCE/$1/$word" >matched || compgen -G "$SOURCE/$word" >matched && return 0
  pattern=$(sed -e 's/[.]/\\./g' -e 's/\*/[^\/]*/g' <<<"$word")
  grep -q -E "^${1/#./}.*/$pattern\$|^$1/$pattern\$" present
}

while read -r document; do
  folder=$(dirname "$document")
  while read -r line what text; do
    where="$document:$line"
    case $what in
      long)
        [[ $document == tests/bench/RESULTS.md ]] || # made by a program
          fail "$where: a line of $text characters"
        ;;
      link)
        [[ $text =~ ^[a-z]+: ]] && continue
        target=${text%%#*} anchor=
        [[ $text == *'#'* ]] && anchor=${text#*#}
        [[ -e $SOURCE/$folder/$target ]] || fail "$where: the link $text leads nowhere"
        [[ -z $target ]] && target=$(basename "$document")
        [[ -z $anchor ]] || anchors "$SOURCE/$folder/$target" | grep -q -x -e "$anchor" || fail "$where: no heading $text"
        ;;
      word)
        names_a_path "$text" || continue
        [[ $elsewhere == *" ${text%%/*}/ "* || $elsewhere == *[[:space:]]"$text"[[:space:]]* ]] && continue
        placeholder "$text" || exists "$folder" "$text" || fail "$where: there is no $text"
        ;;
    esac
    checks=$((checks + 1))
  done < <(words_of "$SOURCE/$document")
  pages=$((${pages:-0} + 1))
done < <(grep '\.md$' present)
while IFS=: read -r file line text; do
  ((${#text} <= 120)) || fail "$file:$line: a line of ${#text} characters"
  checks=$((checks + 1))
done < <(cd "$SOURCE" && grep -n '///' stdlib/*.deq examples/*.deq examples/*/*.deq)
((pages >= 6)) || fail "only ${pages:-0} pages found"
done_testing
