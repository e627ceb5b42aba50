#!/usr/bin/env bash
# Every C file has the layout of .clang-format.  Skipped where clang-format is not version 14, Debian 12's: others lay out differently.
root=$3
clang-format --version 2>/dev/null | grep -q 'version 14\.' || { echo "skipped: no clang-format 14 (Debian: clang-format)"; exit 77; }
find "$root"/{lang,compiler,runtime,tests,examples} -name '*.[ch]' -print0 | xargs -0 clang-format --dry-run -Werror
