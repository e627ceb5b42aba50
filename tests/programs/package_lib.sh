# Sourced by the tests of the Debian package, after lib.sh: skips where none can be made, and makes it.
for tool in cpack dpkg-deb dpkg-shlibdeps file; do
  command -v $tool >/dev/null || { echo "skipped: no $tool (Debian: cmake dpkg-dev file)"; exit 77; }
done
build=$(dirname "$DEQ")
grep -q __asan_init "$build/libdeqrt.a" && { echo "skipped: a sanitized program is no package"; exit 77; }
grep -q '^CMAKE_BUILD_TYPE:STRING=Release' "$build/CMakeCache.txt" || { echo "skipped: packages are of the release build"; exit 77; }

# pack FOLDER: $package and $dev, made there
pack() {
  (cd "$build" && SOURCE_DATE_EPOCH=1700000000 cpack -G DEB -B "$WORK/$1") >out 2>&1 || fail "cpack"
  package=$(echo "$WORK/$1"/deq_*.deb) dev=$(echo "$WORK/$1"/deq-dev_*.deb)
  [[ -s $package && -s $dev ]] || fail "cpack made no package: $(ls "$WORK/$1")"
}
