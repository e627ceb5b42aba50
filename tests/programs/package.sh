#!/usr/bin/env bash
# The Debian package: the same bytes twice, nothing of the build's folder in it, lintian content, the program where it was
# unpacked.  fresh_root.sh installs it.
source "$(dirname "$0")/lib.sh"
source "$PROGRAMS/package_lib.sh"

# ---- the package, twice ----
expect 1 'set SOURCE_DATE_EPOCH' env -u SOURCE_DATE_EPOCH sh -c "cd '$build' && cpack -G DEB -B '$WORK/undated'"
pack again
first=$(cat "$package" "$dev" | sha256sum)
pack deb
[[ $(cat "$package" "$dev" | sha256sum) == "$first" ]] || fail "two packages of one build have other bytes"
dpkg-deb -f "$package" Depends | grep -q 'libllvm19' || fail "the package does not depend on LLVM: $(dpkg-deb -f "$package" Depends)"
dpkg-deb -f "$package" Depends | grep -q 'libjansson4 (>= ' || fail "dpkg-shlibdeps did not run"
version=$(dpkg-deb -f "$package" Version)
dpkg-deb -f "$dev" Depends | grep -q "deq (= $version)" || fail "deq-dev goes with any deq: $(dpkg-deb -f "$dev" Depends)"
for each in "$package" "$dev"; do
  dpkg-deb -c "$each" | awk '$2 != "root/root"' | grep -q . && fail "files that are not root's"
done
dpkg-deb -x "$package" root
find root -name '*.h' -o -name '*.pc' -o -name '*.cmake' -o -name libdeqrt.so | grep . && fail "what is for programs in C is in deq"
grep -rlF "$build" root >found || true
[[ ! -s found ]] || fail "the folder of the build is in $(head -3 found)"
grep -rlF "$SOURCE" root >found || true
[[ ! -s found ]] || fail "the folder of the sources is in $(head -3 found)"
if command -v lintian >/dev/null; then
  lintian --fail-on error,warning "$package" "$dev" >out 2>&1 || fail "lintian"
  grep -E '^[EW]:' out && fail "lintian has something to say"
  checks=$((checks + 1))
else
  echo "left out: lintian"
fi
for file in doc/deq/copyright doc/deq/changelog.gz man/man1/deq.1.gz man/man1/deq-run.1.gz bash-completion/completions/deq doc/deq/examples/quickstart.deq; do
  [[ -s root/usr/share/$file ]] || fail "$file is not in the package"
done

# ---- the files of editors, where these look for them ----
for file in vim/vimfiles/syntax/deq.vim nvim/site/lua/deq.lua emacs/site-lisp/deq-mode.el deq/editors/helix/languages.toml deq/editors/vscode/package.json; do
  [[ -s root/usr/share/$file ]] || fail "$file is not in the package"
done
: >script.deq
kind() { # TEXT COMMAND...: the editor that begins so takes script.deq for one of deq
  rm -f kind
  "${@:2}" -c 'filetype on' -c 'edit script.deq' -c "call writefile([$1], 'kind')" -c 'qa!' >out 2>&1 </dev/null || true
  grep -qx 'deq' kind || fail "$2 does not know the file type: $(cat kind)"
  checks=$((checks + 1))
}
if command -v vim >/dev/null; then
  kind '&filetype' vim -e -s -u NONE --cmd "set nocompatible runtimepath^=$PWD/root/usr/share/vim/vimfiles"
else
  echo "left out: vim"
fi
if command -v nvim >/dev/null; then
  kind "&filetype, luaeval('type(require(\"deq\").setup)')" nvim --headless -u NONE --cmd "set runtimepath^=$PWD/root/usr/share/nvim/site"
  grep -qx function kind || fail "Neovim does not find the module deq: $(cat kind)"
else
  echo "left out: nvim"
fi

# ---- the program, where the package was unpacked ----
quickstart() { # FOLDER of the root, COMMAND...: by which deq is called
  expect 0 '' "${@:2}" check "$1/usr/share/doc/deq/examples/quickstart.deq"
  expect 0 '"version": "[0-9.]*"' "${@:2}" version --json
}
quickstart root root/usr/bin/deq
data 100
cp "$PROGRAMS/tiny.deq" .
expect 0 'clean' root/usr/bin/deq run tiny.deq --no-cache --set net.epochs=1

# ---- with deq-dev a program in C links a net, by pkg-config, and finds the header of gradients in C ----
dpkg-deb -x "$dev" root
for file in include/deq/deq_gradient.h include/deq/library.def lib/pkgconfig/deq.pc lib/cmake/deq/deqConfig.cmake lib/libdeqrt.so share/doc/deq-dev/copyright; do
  [[ -e root/usr/$file ]] || fail "$file is not in deq-dev"
done
mkdir lib
expect 0 'Net.a' root/usr/bin/deq build --lib tiny.deq -o lib
export PKG_CONFIG_PATH=$PWD/root/usr/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$PWD/root
read -ra linked < <(PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1 PKG_CONFIG_ALLOW_SYSTEM_LIBS=1 pkg-config --cflags --libs deq)
cc -std=gnu11 -I lib "$SOURCE/tests/library/vjp.c" lib/Net.a "${linked[@]}" "-Wl,-rpath,$PWD/root/usr/lib" -lm -o linked || fail "does not link as deq-dev says"
expect 0 'one product' ./linked

done_testing
