#!/usr/bin/env bash
# What the compiler does not check of the rooms of lang/, compiler/ and runtime/: a header is implemented in its own room, and
# by one file of its name, or its head comment names the files; names of headers differ; no include has a folder in it;
# every script is a test, or is sourced by them (lib.sh, ranks_lib.sh).
# (An include upwards does not build: deq_room in CMakeLists.txt.)  Skipped without nm, which reads the objects of the build.
root=$3
build=$(dirname "$1")
failed=0
complain() { echo "house: $*"; failed=1; }

cd "$root" || exit 1
files() { find lang compiler runtime tests -name "$1" -type f; }

while read -r count name; do
  ((count == 1)) || complain "$count headers are called $name"
done < <(files '*.h' | sed 's,.*/,,' | sort | uniq -c)
while read -r count name; do
  ((count < 3)) || complain "$count sources are called $name: their names should tell them apart"
done < <(files '*.c' | sed 's,.*/,,' | sort | uniq -c)
while read -r line; do
  complain "an include has a folder in it: $line"
done < <(files '*.[chly]' | xargs grep -nE '^ *# *include "[^"]*/' | grep -v '"deq/')
for script in tests/programs/*.sh tests/cli/*.sh; do
  name=${script#tests/}
  grep -q "$name\|${name%.sh}:" tests/CMakeLists.txt || [[ $name == programs/*lib.sh ]] || complain "nothing runs $script"
done

command -v nm >/dev/null || { echo "skipped: no nm (Debian: binutils)"; exit $((failed ? 1 : 77)); }

# NAME FILE for every function and variable that an object gives to others.
symbols() {
  find "$build"/{lang,compiler,runtime} -name '*.c.o' -print0 | xargs -0 nm -A -g --defined-only |
    sed -E "s,^$build/,,; s,CMakeFiles/[^/]*\.dir/,,; s,^[a-z]*/__/,,; s,^([^:]*)\.o:.* ([^ ]+)\$,\2 \1," | sort -u |
    while read -r symbol file; do # objects of files that have moved stay in a build folder
      [[ ! -e $root/$file && $file != *"/CMakeFiles/"* && $file != */parse.c && $file != */lex.c && $file != */stdlib.c ]] || echo "$symbol $file"
    done
}

# NAME HEADER for every function and variable that a header declares; what macros make is not seen.
declarations() {
  for header in $(files '*.h' | grep -E '^(lang|compiler|runtime)/' | grep -v '^runtime/include/'); do
    awk -v header="$header" '
      BEGIN { RS = "\001" }
      function declared(s) {
        gsub(/__attribute__ *\(\([^()]*(\([^()]*\)[^()]*)*\)\)/, "", s)
        if (s ~ /(^|[^a-z_])(typedef|static|_Static_assert)[^a-z_]/) return
        if (match(s, /[A-Za-z_][A-Za-z_0-9]* *\(/)) name = substr(s, RSTART, RLENGTH - 1)
        else if (s ~ /(^|[^a-z_])extern[^a-z_]/ && match(s, /[A-Za-z_][A-Za-z_0-9]* *(\[[^]]*\])* *$/)) name = substr(s, RSTART)
        else return
        sub(/[ [].*/, "", name)
        if (name ~ /[a-z]/) print name, header
      }
      {
        gsub(/\\\n/, " ")
        while (start = index($0, "/*")) $0 = substr($0, 1, start - 1) " " substr($0, start + 1 + index(substr($0, start + 2), "*/") + 2)
        n = split($0, lines, "\n"); text = ""
        for (k = 1; k <= n; k++) if (lines[k] !~ /^ *#/) text = text " " lines[k]
        depth = 0; statement = ""
        for (k = 1; k <= length(text); k++) {
          c = substr(text, k, 1)
          if (c == "{") { depth++; body = statement !~ /(typedef|struct|union|enum|=)[^()]*$/ }
          else if (c == "}") { if (--depth == 0 && body) statement = "" }
          else if (depth == 0 && c == ";") { declared(statement); statement = "" }
          else if (depth == 0) statement = statement c
        }
      }' "$header"
  done
}

symbols >"${TMPDIR:-/tmp}/house.$$.symbols"
declarations >"${TMPDIR:-/tmp}/house.$$.declared"
[[ -s ${TMPDIR:-/tmp}/house.$$.symbols && $(wc -l <"${TMPDIR:-/tmp}/house.$$.declared") -gt 300 ]] || complain "no symbols or no declarations were found"
while read -r problem; do complain "$problem"; done < <(
  awk '
    function room(file) { sub(/\/[^\/]*$/, "", file); return file }
    function base(file) { sub(/.*\//, "", file); sub(/\.[ch]$/, "", file); return file }
    function named(file, text) { # by its name, or as PREFIX*.c
      if (text ~ "(^|[^a-z_])" file "\\.[cly]") return 1
      while (match(text, /[a-z_]+\*\.c/)) {
        if (index(file, substr(text, RSTART, RLENGTH - 3)) == 1) return 1
        text = substr(text, RSTART + RLENGTH)
      }
    }
    function head(file,   line, text) {
      while ((getline line < file) > 0) { text = text line; if (line ~ /\*\//) break }
      close(file); return text
    }
    NR == FNR { found[$1] = found[$1] " " $2; next }
    {
      n = split($1 in found ? found[$1] : found[$1 "_f32"], files, " ") # real.h names what has two precisions
      if (n == 0) print "nothing implements " $1 ", which " $2 " declares"
      for (k = 1; k <= n; k++)
        if (room(files[k]) != room($2)) print $1 " is declared in " $2 " and implemented in " files[k]
        else if (!seen[$2, files[k]]++ && base(files[k]) != base($2) && !named(base(files[k]), head($2)))
          print $2 " does not say in its head that " base(files[k]) ".c implements " $1
    }' "${TMPDIR:-/tmp}/house.$$.symbols" "${TMPDIR:-/tmp}/house.$$.declared"
)
rm -f "${TMPDIR:-/tmp}/house.$$".*
exit $failed
