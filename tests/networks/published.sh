#!/usr/bin/env bash
# One MDEQ of the standard library at its published size, on two images of CIFAR-10: every gradient mode in f32, then the
# gradient checks in f64 (published.c says what they are).
# usage: published.sh PUBLISHED SOURCE_DIR Tiny|Large|ExtraLarge [IMAGES [check]]
#   IMAGES: of the gradient checks, 2 unless given; check: only these
# The images are those of $DEQ_CIFAR10, a folder of CIFAR-10's binary version, or of ../shared beside the sources; without
# either, noise.
set -euo pipefail
published=$1 source=$2 net=$3 images=${4:-2} what=${5:-all}
folder=${DEQ_CIFAR10:-$source/../shared/data/cifar-10-batches-bin}
if [[ ! -d $folder ]]; then
  echo "no CIFAR-10 at $folder: images are noise"
  folder=-
fi
status=0
if [[ $what == all ]]; then
  for mode in $("$published" modes); do # each in a process of its own, so that its peak is its own
    "$published" "$net" "$folder" run "$mode" || status=1
  done
fi
for check in steps equilibrium; do
  "$published" "$net" "$folder" "$check" "$images" || status=1
done
exit $status
