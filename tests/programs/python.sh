#!/usr/bin/env bash
# The Python package that `deq build --python` makes, on numpy arrays and torch tensors; the package deq; both installed by
# pip offline.
# Skipped without Debian's python3-numpy; what needs python3-torch, or python3-pip, is left out without it.
source "$(dirname "$0")/lib.sh"
python=/usr/bin/python3
has() { "$python" -c "import $1" 2>/dev/null; }
has numpy || { echo "skipped: no numpy (Debian: python3-numpy)"; exit 77; }
grep -q __asan_init "$(dirname "$DEQ")/libdeqrt.a" && { echo "skipped: python3 is not sanitized"; exit 77; }
torch=
if has torch; then torch=torch; else echo "left out: no torch (Debian: python3-torch)"; fi
data 64
cp "$PROGRAMS/tiny.deq" .
expect 0 '' "$DEQ" run tiny.deq --set net.epochs=1
checkpoint=$(made)/net.safetensors
sed 's/Body\[64, 24\]/Body[64, 20]/; s/Dense\[24, 4\]/Dense[20, 4]/' tiny.deq >narrow.deq
expect 0 '' "$DEQ" run narrow.deq --set net.epochs=1
export ANOTHER=$(made)/net.safetensors
expect 0 'package/net/__init__.py' "$DEQ" build tiny.deq --python package -N Net
export PYTHONDONTWRITEBYTECODE=1
PYTHONPATH=package expect 0 'check_threads' "$python" -W error::UserWarning "$SOURCE/tests/python/test_package.py" "$checkpoint" numpy $torch
[[ -z $torch ]] || grep -q check_torch out || fail "the checks with torch did not run"

# both packages on one path, in either order
for path in "$SOURCE/runtime/python:package" "package:$SOURCE/runtime/python"; do
  PYTHONPATH=$path expect 0 '^Net$' "$python" -c 'import deq; from net import Net; print(Net.name)'
done
# a module that has a name of Python's would take its place: with --python on the path, or installed by pip
sed 's/layer Net/layer Torch/; s/= Net /= Torch /' tiny.deq >torch.deq
expect 0 'taken/torch_net/__init__.py' "$DEQ" build torch.deq --python taken -N Torch
PYTHONPATH=taken expect 0 'Torch' "$python" -c 'import torch_net; print(torch_net.Net.name)'
"$python" - "$SOURCE/compiler/driver/python_names.def" >out <<'P' || fail "names that python_names.def lacks"
import keyword, re, sys
taken = set(re.findall(r"TAKEN\((\w+)\)", open(sys.argv[1]).read()))
lacks = {n.lower() for n in [*sys.stdlib_module_names, *keyword.kwlist, "numpy", "torch"] if n[0] != "_"} - taken
sys.exit(" ".join(sorted(lacks)) or 0)
P

# the examples
if [[ -n $torch ]]; then
  expect 0 '' "$DEQ" build "$PROGRAMS/torch_layers.deq" --python layers -N Layers
  PYTHONPATH=layers expect 0 'one state_dict' "$python" "$SOURCE/tests/python/torch_layers.py"
  expect 0 '' "$DEQ" build "$SOURCE/examples/python/layer.deq" --python layer -N Equilibrium
  PYTHONPATH=layer expect 0 'accuracy 9[0-9]\|accuracy 100' "$python" "$SOURCE/examples/python/around.py"
fi
"$python" -c 'import numpy as n; n.save("x.npy", n.random.default_rng(0).random((20, 1, 8, 8), n.float32)); n.save("y.npy", n.arange(20) % 4)'
"$python" -c 'import ast, sys; ast.parse(open(sys.argv[1]).read())' "$SOURCE/examples/python/public_autoattack.py" || fail "public_autoattack.py is no Python"
PYTHONPATH=package expect 0 '^signs *accuracy' "$python" "$SOURCE/examples/python/attack.py" "$checkpoint" weak 0.02 x.npy y.npy

# deq itself from Python: runs, tables, records, expressions, what is refused; from its folder and installed by pip
sed '/^experiment/,$d' tiny.deq >sweeps.deq
cat >>sweeps.deq <<'D'
experiment e {
  sweep how in [a: implicit(), b: jfb()]
  sweep k in 1..4
  let robust = accuracy(net, quadrants.test under pgd(radius: 0.02, step: 0.01, iterations: k) with { gradient: how })
  let best = argmin(robust, over: k)

  table "t" {
    rows: [k, how]
    columns: [robust, best]
  }
}
D
cp -r "$SOURCE/runtime/python" client
client=client
if has pip; then
  expect 0 'Successfully installed deq' "$python" -m pip install --no-index --disable-pip-version-check --root-user-action ignore --target installed ./client
  client=installed
fi
PYTHONPATH=$client DEQ=$DEQ expect 0 'check_version' "$python" "$SOURCE/tests/python/test_deq.py"

# installed without a network, by pip's own rules; made again over what is there, and never over what deq did not make
if has pip; then
  expect 0 'Successfully installed net' "$python" -m pip install --no-index --disable-pip-version-check --root-user-action ignore --target site ./package
  (cd site && PYTHONPATH=. "$python" -c 'from net import Net; print(Net().threads)') >out 2>&1 || fail "the installed package"
else
  echo "left out: no pip (Debian: python3-pip)"
fi
expect 0 '' "$DEQ" build tiny.deq --python package -N Net
echo 'mine = 1' >package/net/__init__.py
expect 3 'E0821.*__init__.py' "$DEQ" build tiny.deq --python package -N Net
done_testing
