#!/usr/bin/env bash
# An installed deq, away from its build folder: checks, runs and builds; manual pages, completions, pkg-config and CMake.
source "$(dirname "$0")/lib.sh"
data 300
cp "$PROGRAMS/tiny.deq" .
cmake --install "$(dirname "$DEQ")" --prefix "$WORK/usr" >out 2>&1 || fail "cmake --install"
for file in bin/deq lib/deq/libdeq_backend.so lib/libdeqrt.a lib/libdeqrt.so include/deq/deq_runtime.h include/deq/deq_library.h \
  share/man/man1/deq.1 share/bash-completion/completions/deq share/zsh/vendor-completions/_deq \
  share/fish/vendor_completions.d/deq.fish lib/pkgconfig/deq.pc lib/cmake/deq/deqConfig.cmake share/deq/python/deq/__init__.py share/doc/deq/examples/quickstart.deq; do
  [[ -s usr/$file ]] || fail "$file was not installed"
done
expect 0 '' usr/bin/deq check tiny.deq
expect 0 'clean' usr/bin/deq run tiny.deq --no-cache --set net.epochs=1
expect 0 '' usr/bin/deq build tiny.deq -o program
expect 0 'clean' ./program --fresh --set net.epochs=1 --results elsewhere
version=$(usr/bin/deq version | sed -n '1s/deq //p')
expect 0 "^{\"version\": \"$version\", \"abi\": [0-9]*, \"library_abi\": [0-9]*, \"target\": \"[a-z0-9-]*\", \"ranks\": .*}$" usr/bin/deq version --json
abi=$(usr/bin/deq version | sed -n 's/binary interface //p')
readelf -d usr/lib/libdeqrt.so | grep -q "soname: \[libdeqrt.so.$abi\]" || fail "the SONAME of libdeqrt.so is not that of the binary interface, $abi"

# ---- manual pages and completions say what --help says ----
verbs=$(usr/bin/deq --help | sed -n '/^usage/,/^deq VERB/s/^  \([a-z]*\) .*/\1/p')
[[ $(wc -w <<<"$verbs") -gt 10 ]] || fail "the help lists few verbs: $verbs"
complete() { # WORDS...: what bash would offer for the last one
  bash -c 'source "$0"; COMP_WORDS=(deq "$@"); COMP_CWORD=$#; _deq; echo "${COMPREPLY[*]}"' usr/share/bash-completion/completions/deq "$@"
}
for verb in $verbs; do
  page=usr/share/man/man1/deq-$verb.1
  [[ -s $page ]] || fail "deq $verb has no manual page"
  grep -q "deq\\\\-$verb" usr/share/man/man1/deq.1 || fail "deq(1) does not name $verb"
  if command -v man >/dev/null; then
    LC_ALL=C.UTF-8 MANWIDTH=100 man --warnings -E UTF-8 -l "$page" >shown 2>warned || fail "man cannot show $page"
    [[ ! -s warned ]] || fail "$page: $(head -1 warned)"
  fi
  flags=$(usr/bin/deq "$verb" --help | sed -nE 's/^ +-[^?V], (--[a-z-]+).*/\1/p' | sort)
  [[ $(sed -nE 's/^\\fB\\-.\\fR, \\fB(\\-\\-[a-z\\-]+)\\fR.*/\1/p' "$page" | tr -d '\\' | sort) == "$flags" ]] || fail "$page has other flags than --help"
  [[ $(complete "$verb" -- | tr ' ' '\n' | grep -vx -e --help | sort) == "$flags" ]] || fail "bash completes other flags of deq $verb"
  [[ $(sed -n "s/.*seen_subcommand_from $verb' -l \([a-z-]*\) .*/--\1/p" usr/share/fish/vendor_completions.d/deq.fish | sort) == "$flags" ]] ||
    fail "fish completes other flags of deq $verb"
  [[ $(sed -nE "/^    $verb\)/,/;;/s/^ *'(--[a-z-]+)[=[].*/\1/p" usr/share/zsh/vendor-completions/_deq | sort) == "$flags" ]] ||
    fail "zsh completes other flags of deq $verb"
  checks=$((checks + 6))
done
[[ $(complete chec) == check && $(complete check --stop-after elab) == elaborate && $(complete run tin) == tiny.deq ]] || fail "bash completes badly"
# what the other shells think of theirs, where they are
! command -v zsh >/dev/null || zsh -n usr/share/zsh/vendor-completions/_deq || fail "zsh cannot read its completion"
! command -v fish >/dev/null || fish -n usr/share/fish/vendor_completions.d/deq.fish || fail "fish cannot read its completion"

# ---- pkg-config ----
export PKG_CONFIG_PATH=$WORK/usr/lib/pkgconfig
[[ $(pkg-config --modversion deq) == "$version" ]] || fail "pkg-config: $(pkg-config --modversion deq)"
mkdir lib
expect 0 '' usr/bin/deq build --lib tiny.deq -o lib
sanitize=()
grep -q __asan_init usr/lib/libdeqrt.a && sanitize=(-fsanitize=address,undefined)
read -ra linked < <(pkg-config --cflags --libs deq)
cc "${sanitize[@]}" -std=gnu11 -I lib "$SOURCE/tests/library/vjp.c" lib/Net.a "${linked[@]}" "-Wl,-rpath,$WORK/usr/lib" -lm -o linked || fail "does not link as pkg-config says"
expect 0 'one product' ./linked

# ---- CMake: an installed deq makes the library of a script ----
mkdir client
cp tiny.deq "$SOURCE/tests/library/vjp.c" client
cat >client/CMakeLists.txt <<'C'
cmake_minimum_required(VERSION 3.18)
project(client C)
find_package(deq 0.2 REQUIRED)
deq_library(Net SCRIPT tiny.deq)
add_executable(client vjp.c)
target_link_libraries(client PRIVATE Net m)
add_executable(alone ${CMAKE_CURRENT_BINARY_DIR}/alone.c)
file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/alone.c "#include <deq_library.h>\nint main(void) { return deq_library_error(0) == 0; }\n")
target_link_libraries(alone PRIVATE deq::runtime)
C
(cd client && CFLAGS="${sanitize[*]}" cmake -B build -DCMAKE_PREFIX_PATH="$WORK/usr" && cmake --build build) >out 2>&1 || fail "find_package(deq)"
expect 0 'one product' client/build/client
expect 0 '' client/build/alone
sed -i 's/SCRIPT tiny.deq/SCRIPT/' client/CMakeLists.txt
expect 1 'SCRIPT is missing' cmake -S client -B client/again -DCMAKE_PREFIX_PATH="$WORK/usr"
done_testing
