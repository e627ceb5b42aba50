#!/usr/bin/env python3
"""Time to a tolerance beside PyTorch: from images to states that meet it, example by example.  The same weights, images, tolerance, stopping
rule and solvers on both sides; every residual is judged by one neutral program (neutral.py).  Prints a table.

usage: tests/bench/tolerance.py [--nets mlp128,mlp512,conv32,mdeq] [--solvers broyden,anderson] [--tol 1e-3,1e-5] [--batch 1,64,256] [--threads 1]
                                [--rounds 3] [--budget 0.2] [--processor] [--side deq,peer] [--deq build/deq]

Both sides are measured in turns, --budget seconds each; the table gives the least time of each and the median of the rounds' ratios.
--processor: seconds that processors spend instead of the clock's, for machines with other work.  Where no Python has PyTorch and numpy:
exit 77; --side deq needs numpy only."""
import argparse, ctypes, importlib, json, os, statistics, sys, tempfile
import measure, turns
from peer.tolerance_clock import least
from rows import split_model

MOST = 50  # steps


class Deq:
    """A compiled net, called through its C interface: the Python package would add its own making of arrays."""
    def __init__(self, a, name, folder, images):
        measure.output_of([a.deq, "build", measure.MODELS.format(name), "--python", os.path.join(folder, name), "--target-cpu", "native"])
        sys.path.insert(0, os.path.join(folder, name))
        self.module = importlib.import_module(name)
        self.net = self.module.Net(threads=a.threads)
        self.path = f"{self.net.fixed_points[0]}.".lstrip(".")
        self.net.set(self.path + "finish", "none")
        self.images = images

    def measure(self, r, states):
        """Seconds of a call; with `states` also what it found, and how often f was evaluated for each example."""
        import numpy as np
        self.net.set(self.path + "forward", f"{r['solver']}(tol: {r['tol']}, max: {r['most']})")
        x = self.images[:r["batch"]]
        size = self.module._C.state_size(self.net._pointer, None)
        z, status = np.empty((len(x), size), np.float32), ctypes.byref(self.net._status)
        arguments = self.net._pointer, len(x), x.ctypes.data, None, 1, 1, None, None, z.ctypes.data, None, status
        answer = dict(seconds=least(lambda: self.net._check(self.module._C.solve(*arguments)), r))
        if states:
            steps = self.net.solve(x).steps
            answer.update(states=z, evaluations=steps + (r["solver"] == "broyden"))  # Broyden evaluates its last state
        return answer


class Peer:
    """PyTorch's solves, in a process of their own."""
    def __init__(self, a): self.process = turns.Peer(a, "tolerance.py", a.threads, threads=a.threads)

    def ask(self, **request): return self.process.ask(json.dumps(request))

    def measure(self, r, states):
        import numpy as np
        answer = self.ask(**r, **(dict(states=states) if states else {}))
        if states: answer["states"] = np.load(states)
        return answer


def met(share): return "all" if share == 1 else f"{100 * share:.1f} %"


def ms(seconds): return f"{1e3 * seconds:.3g}" if seconds < 1 else f"{1e3 * seconds:.0f}"


def row(a, sides, r, judge, states):
    """A line of the table: both sides in turns."""
    rounds = []
    for k in range(a.rounds):
        rounds.append({name: side.measure(r, states if k == 0 else None) for name, side in sides.items()})
    cells = [r["solver"], f"{r['tol']:.0e}".replace("e-0", "e-"), str(r["batch"])]
    for name in sides:
        first, seconds = rounds[0][name], min(now[name]["seconds"] for now in rounds)
        share = float((judge(first["states"]) <= r["tol"]).mean())
        cells += [ms(seconds), f"{r['batch'] / seconds:.0f}", f"{statistics.fmean(map(int, first['evaluations'])):.1f}", met(share)]
    if len(sides) > 1:
        cells += [rounds[0]["peer"]["form"], f"{statistics.median(now['peer']['seconds'] / now['deq']['seconds'] for now in rounds):.2f}"]
    return cells


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    text = lambda s: s.split(","); whole = lambda s: list(map(int, s.split(",")))
    ap.add_argument("--nets", type=text, default=["mlp128", "mlp512", "conv32", "mdeq"]); ap.add_argument("--solvers", type=text, default=["broyden", "anderson"])
    ap.add_argument("--tol", type=lambda s: list(map(float, s.split(","))), default=[1e-3, 1e-5]); ap.add_argument("--batch", type=whole, default=[1, 64, 256])
    ap.add_argument("--threads", type=int, default=1); ap.add_argument("--rounds", type=int, default=3); ap.add_argument("--budget", type=float, default=0.2)
    ap.add_argument("--processor", action="store_true"); ap.add_argument("--side", type=text, default=["deq", "peer"]); ap.add_argument("--deq", default="build/deq")
    a = ap.parse_args()
    if "peer" in a.side and not set(a.solvers) <= {"broyden", "anderson"}: ap.error("the peer has broyden and anderson; --side deq takes all that need no arguments")
    a.deq, a.python = os.path.abspath(a.deq), measure.find_python("numpy", *(["torch"] if "peer" in a.side else []))
    if not a.python: print("skipped: no Python here has numpy and PyTorch (Debian: python3-torch)"); sys.exit(77)
    if a.python != sys.executable: os.execv(a.python, [a.python, *sys.argv])
    import numpy as np
    import neutral
    images = neutral.images(max(a.batch))
    titles = ["net", "solver", "tolerance", "batch"]
    for side in a.side: titles += [f"{side} ms" if side == "deq" else "PyTorch ms", "examples/s", "evaluations", "met"]
    if len(a.side) > 1: titles += ["its form", "ratio"]
    turns.about(a, f"{a.threads} thread{'s' * (a.threads > 1)}")
    print(f"| {' | '.join(titles)} |\n|---|---|--:|--:|{'--:|--:|--:|--:|' * len(a.side)}{'---|--:|' if len(a.side) > 1 else ''}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        peer = Peer(a) if "peer" in a.side else None
        np.save(os.path.join(folder, "images.npy"), images)
        for name in a.nets:
            deq = Deq(a, name, folder, images)
            parameters, (kind, size) = deq.net.arrays(), split_model(name)
            if peer:
                np.savez(os.path.join(folder, "weights.npz"), **parameters)
                peer.ask(net=[kind, size], weights=os.path.join(folder, "weights.npz"), images=os.path.join(folder, "images.npy"))
            sides = {side: {"deq": deq, "peer": peer}[side] for side in a.side}
            for solver in a.solvers:
                for tol in a.tol:
                    for batch in a.batch:
                        r = dict(row=f"{solver} {tol} {batch}", solver=solver, tol=tol, most=MOST, batch=batch, seconds=a.budget, processor=a.processor)
                        judge = lambda states: neutral.residuals(kind, parameters, images[:batch], states)
                        print(f"| {' | '.join([name, *row(a, sides, r, judge, os.path.join(folder, 'states.npy'))])} |", flush=True)
        if peer: peer.process.close()
    print(f"\nload {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__": main()
