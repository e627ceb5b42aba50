#!/usr/bin/env bash
# The benchmarks: their scripts are right.  Of time to a tolerance: what solves return meets it, as NumPy sees it in double
# precision from equations of its own; of both sides where there is python3-torch.  Times are not looked at.
# Skipped without Debian's python3-numpy.
source "$(dirname "$0")/lib.sh"
python=/usr/bin/python3
has() { "$python" -c "import $1" 2>/dev/null; }
has numpy || { echo "skipped: no numpy (Debian: python3-numpy)"; exit 77; }
grep -q __asan_init "$(dirname "$DEQ")/libdeqrt.a" && { echo "skipped: python3 is not sanitized"; exit 77; }
export PYTHONDONTWRITEBYTECODE=1
bench() { expect 0 '^load' "$python" "$SOURCE/tests/bench/tolerance.py" --deq "$DEQ" --rounds 1 --budget 0 --processor "$@"; }

# rows COUNT, each with all residuals below the tolerance on COUNT sides
met() {
  [[ $(grep -c '^| [a-z]*[0-9]* | [a-z]* | 1e-' out) == "$1" ]] || fail "not $1 rows"
  [[ $(grep -o '| all |' out | wc -l) == "$2" ]] || fail "not all residuals are below the tolerance"
}

bench --side deq --nets mlp128,conv32,mdeq --batch 1,8 --tol 1e-3
met 12 12
bench --side deq --nets mlp128 --batch 8 --tol 1e-3,1e-5 --solvers picard
met 2 2
if has torch; then
  bench --nets mlp128,conv32,mdeq --batch 8 --tol 1e-3
  met 6 12
  # the same rule on both sides: the mean counts of evaluations agree
  awk -F'|' '/ 1e-3 / { if ($8 - $12 > 0.3 || $12 - $8 > 0.3) exit 1; ++n } END { exit n != 6 }' out || fail "other counts of evaluations"
else
  echo "left out: no torch (Debian: python3-torch)"
fi

# the judge sees what is no equilibrium, and what is one in another order
"$DEQ" build "$SOURCE/tests/bench/conv32.deq" --python package >out 2>&1
PYTHONPATH=package:$SOURCE/tests/bench "$python" - <<'P' || fail "neutral.py"
import numpy as np
import neutral
from conv32 import Net
x = neutral.images(4)
net = Net(threads=1, settings={"forward": "broyden(tol: 1e-4, max: 50)", "finish": "none"})
z = net.solve(x).equilibrium
judge = lambda states: neutral.residuals("conv", net.arrays(), x, states)
assert (judge(z) < 1e-4).all()
assert (judge(z + 0.001) > 1e-4).all()
assert (judge(z.reshape(4, 196, 32).transpose(0, 2, 1).reshape(4, -1)) > 0.1).all()
assert (judge(np.roll(z, 1, 0)) > 1e-3).all()
P
for script in "$SOURCE"/tests/bench/*.deq; do expect 0 '' "$DEQ" check "$script"; done
done_testing
