#!/usr/bin/env bash
# Every function and table that a room offers to others is used by another file, or listed here with its reason.
source "$(dirname "$0")/../programs/lib.sh"
build=$(dirname "$DEQ")
command -v nm >/dev/null || exit 77

# What only tests call, on purpose; and what waits for its first caller ("awaited").
cat >known <<'K'
deq_dataset_count            tests read how many examples a file holds
deq_map_parse                fuzzed without a file
deq_philox                   compared with the published constants
deq_tensors_open_memory      fuzzed without a file
deq_initialiser_parse        tests read the texts of every row
deq_initialiser_print        tests write the texts of every row
deq_check_name               tests name the check that they expect
mode_argument                tests go through all modes
mode_at                      tests go through all modes
deq_attacked_trim            tests bound a folder of their own
deq_journal_read_memory      fuzzed without a file
foreign_table                tests go through all of its words
deq_transform_find           tests transform rows of their own
deq_transform_row            tests transform rows of their own
deq_diagnosis_curve          tests diagnose journals of their own
deq_diagnosis_epochs         tests diagnose journals of their own
server_begin                 fuzzed without a client
server_end                   fuzzed without a client
server_feed                  fuzzed without a client
server_idle                  fuzzed without a client
elaborate                    tests look at models before their routines
transpose                    tests transpose one linear operation
K

# The objects of this configuration, not what is left of files that have gone.
mapfile -t objects < <(sed -n 's/^ *"directory": "\(.*\)",$/\1/p; s/^ *"command": ".* -o \([^ ]*\.o\) .*/\1/p' "$build/compile_commands.json" |
  paste -d/ - - | grep -E "^$build/(compiler|runtime|lang)/" | grep -v '_shared\.dir')
((${#objects[@]} > 100)) || fail "only ${#objects[@]} object files in $build"
# Symbols from lexer and parser are Flex's and Bison's; those of include/ are the public interface; the rest are C's own.
ours() { grep -vE '^(deq_yy|deq_parse$|_|main$)' | sort -u; }
nm --defined-only --extern-only "${objects[@]}" 2>/dev/null | awk 'NF == 3 && $3 !~ /[.]/ { print $3 }' | ours >defined
nm --undefined-only "${objects[@]}" 2>/dev/null | awk 'NF == 2 { print $2 }' | ours >used
(($(wc -l <defined) > 500)) || fail "only $(wc -l <defined) symbols"
public=$(cat "$SOURCE"/runtime/include/*.h "$SOURCE"/runtime/include/*.def)
while read -r name; do
  grep -qw "$name" <<<"$public" || grep -q "^$name " known && continue
  grep -q "\"[^\"]*$name" "$SOURCE"/compiler/driver/*.c && continue # looked up by name, or in the text of a built program
  echo "$name"
done < <(comm -23 defined used) >out
[[ ! -s out ]] || fail "nobody outside of their files uses these: they are static, or gone, or in the list of $(basename "$0")"
# The list holds what is true only.
while read -r name why; do
  [[ -n $why ]] || fail "$name is listed without a reason"
  grep -qx "$name" defined || fail "$name is listed and does not exist"
  grep -qx "$name" used && fail "$name is listed and has a caller"
  [[ $why == awaited:* ]] || grep -rqw --include='*.[ch]' "$name" "$SOURCE/tests" || fail "$name is listed and no test uses it"
  checks=$((checks + 1))
done <known
done_testing
