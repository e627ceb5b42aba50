#!/usr/bin/env bash
# The Debian package in a fresh Debian, made by debootstrap: apt installs it with what it needs, and the quickstart runs.  Takes
# minutes, root and the network: ctest -C long.  DEQ_FRESH_ROOT=FOLDER: a root that debootstrap has made is copied.
source "$(dirname "$0")/lib.sh"
source "$PROGRAMS/package_lib.sh"
[[ $(id -u) == 0 ]] || { echo "skipped: a fresh root needs root"; exit 77; }
if [[ -n ${DEQ_FRESH_ROOT:-} ]]; then
  cp -a "$DEQ_FRESH_ROOT" fresh
else
  command -v debootstrap >/dev/null || { echo "skipped: no debootstrap"; exit 77; }
  fast=()
  command -v eatmydata >/dev/null && fast=(eatmydata) # dpkg waits for the disk after every file
  "${fast[@]}" debootstrap --variant=minbase bookworm fresh >out 2>&1 || { echo "skipped: debootstrap makes no root: $(tail -1 out)"; exit 77; }
fi
echo 'force-unsafe-io' >fresh/etc/dpkg/dpkg.cfg.d/test
inside() { chroot fresh env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive "$@"; }
inside sh -c 'command -v deq || ls /usr/lib/*/libLLVM* /usr/lib/llvm*' >found 2>/dev/null && fail "the root is not fresh: $(head -1 found)"
pack deb
cp "$package" fresh/tmp/deq.deb
cp "$dev" fresh/tmp/deq-dev.deb
inside apt-get update >out 2>&1 || { echo "skipped: no network: $(tail -1 out)"; exit 77; }

# ---- deq alone: what its dependencies bring is enough to check, compile, train, attack ----
expect 0 '' inside apt-get install -y --no-install-recommends /tmp/deq.deb
expect 0 '"version": "[0-9.]*"' inside deq version --json
data 100
cp "$PROGRAMS/tiny.deq" t*-images t*-labels fresh/tmp
expect 0 'clean' inside sh -c 'cd /tmp && deq run tiny.deq --set net.epochs=1'
expect 3 'apt-get install dataset-fashion-mnist' inside sh -c 'cd /tmp && deq run /usr/share/doc/deq/examples/quickstart.deq'

# ---- the quickstart, as README says it ----
expect 0 '' inside apt-get install -y --no-install-recommends dataset-fashion-mnist
expect 0 'robust' inside sh -c 'mkdir -p /root/new/deep && cd /root/new/deep && cp /usr/share/doc/deq/examples/quickstart.deq . && deq run quickstart.deq'
[[ -s fresh/root/new/deep/results/quickstart/report.html || -n $(find fresh/root/new/deep/results -name '*.csv' -size +0) ]] || fail "the quickstart leaves no results"
echo "the quickstart in the fresh root:"
grep '^|' out

# ---- a program in C with what deq-dev needs ----
expect 0 '' inside apt-get install -y --no-install-recommends /tmp/deq-dev.deb gcc libc6-dev pkg-config
cp "$SOURCE/tests/library/vjp.c" fresh/tmp
expect 0 'Net.a' inside sh -c 'cd /tmp && mkdir lib && deq build --lib tiny.deq -o lib'
expect 0 'one product' inside sh -c 'cd /tmp && gcc -std=gnu11 -I lib vjp.c lib/Net.a $(pkg-config --cflags --libs deq) -lm -o linked && ./linked'

# ---- and gone again ----
expect 0 '' inside apt-get remove -y deq deq-dev
[[ -z $(find fresh/usr -name 'deq*' -not -path '*/doc/*' -o -name 'libdeq*') ]] || fail "left behind: $(find fresh/usr -name 'deq*' -o -name 'libdeq*' | head -3)"
done_testing
