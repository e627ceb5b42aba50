#!/usr/bin/env python3
"""The benchmark against PyTorch: the same work, the same machine, one run.  Writes RESULTS.md, all of it; README.md says what may be compared.

usage: tests/bench/run.py [--models mlp128,..] [--batch 64,256] [--threads 1,2] [--side deq,peer,torchdeq,memory,startup] [--rows TEXT]
                          [--budget 0.4] [--minutes N] [--again] [--torchdeq FOLDER] [--deq build/deq] [--data FILE] [--out FILE]

Pieces (one model, batch, thread count and side each) are measured one after the other, deq and the peers of a model in turn, and kept in
the data file (bench.json beside deq), so that a run that was killed, or that --minutes ended, goes on where it stopped: pieces that are
there are not measured again unless --again says so, or deq has been built anew.  The first batch gets all rows, others fewer.  The report
is made of everything in the data file and says what it lacks.  Reports, never fails on a number.  Where no Python has PyTorch: exit 77,
unless --side leaves the peers out."""
import argparse, json, os, sys, time
import measure
from report import report
from rows import FEWER, MEMORY_MODELS, ROWS, TORCHDEQ, TORCHDEQ_FEWER, gflop

here = os.path.dirname(os.path.abspath(__file__))
SIDES = {"deq": measure.run_deq, "peer": measure.run_peer, "torchdeq": measure.run_torchdeq}


class Piece:
    """One measurement: a key of the data file, and what it takes."""
    def __init__(self, side, model=None, batch=0, threads=0, titles=()):
        self.side, self.model, self.batch, self.threads, self.titles = side, model, batch, threads, titles
        self.key = " ".join(map(str, filter(None, (side, model, batch, threads))))

    def measure(self, a):
        if self.side == "startup": return measure.startup(a)
        if self.side == "memory": return {"modes": measure.memory(a, self.model, self.batch)}
        return SIDES[self.side](a, self.model, self.batch, self.threads, self.titles)

    def estimate(self, a):
        """Seconds, roughly, on cores of 118 GFLOP/s; what was measured before corrects it."""
        if self.side == "startup": return 20
        if self.side == "memory": return 12
        f = gflop(self.model, self.batch) / (1 if self.threads == 1 else 1.9)
        speed = {"deq": 95, "peer": 30, "torchdeq": 15}[self.side]
        seconds = 2 if self.side == "deq" else 4
        for row in ROWS:
            if row.title not in self.titles: continue
            once = (row.work * f / speed) * (1 if row.group == "routine" else 1.2)
            if self.side == "deq": seconds += once if once > 8 * a.budget else max(1.05 * a.budget + once, min(4 * once, 8 * a.budget + 2 * once))
            elif row.peer.startswith("pgd10") and once > 1: continue
            else: seconds += max(1.2 * a.budget, (4 if once < 1 else 3) * once)
        return 0.62 * seconds  # rows are seldom as slow as that


def pieces(a):
    """In the order in which they are measured."""
    yield Piece("startup")
    for model in MEMORY_MODELS:
        if model in a.models: yield Piece("memory", model, a.batch[0])
    for batch in a.batch:
        for model in a.models:
            for threads in a.threads:
                for side in SIDES:
                    titles = [r.title for r in ROWS] if batch == a.batch[0] else FEWER
                    if side == "torchdeq": titles = (TORCHDEQ if threads == a.threads[0] else TORCHDEQ_FEWER) if batch == a.batch[0] else []
                    if a.rows: titles = [t for t in titles if a.rows in t]
                    if threads > 1: titles = [t for t in titles if t not in ("f", "vjp_z")]  # a block is one thread's
                    if titles: yield Piece(side, model, batch, threads, titles)


def merge(before, now):
    """Rows measured now replace those of before."""
    if before and "rows" in now: now["rows"] = {**before["rows"], **now["rows"]}
    return now


def done(a, piece, data):
    """The data file holds all of the piece, made by this build."""
    there = data["pieces"].get(piece.key)
    if not there or a.again: return False
    if piece.side not in ("peer", "torchdeq") and there["build"] != data["build"]: return False
    return "rows" not in there or all(t in there["rows"] or t in there["lacks"] for t in piece.titles)


def clock(seconds):
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def measure_all(a, data):
    left = [p for p in pieces(a) if p.side in a.side and not done(a, p, data)]
    began, spent, expected = time.time(), {}, {}
    scale = lambda p: spent[p.side] / expected[p.side] if expected.get(p.side) else 1
    while left:
        p = left.pop(0)
        seconds = p.estimate(a) * scale(p)
        remain = seconds + sum(q.estimate(a) * scale(q) for q in left)
        print(f"{clock(time.time() - began)}  {p.key}: about {seconds:.0f} s; {clock(remain)} until the end", file=sys.stderr, flush=True)
        if a.minutes and time.time() - began + seconds > 60 * a.minutes:
            print(f"--minutes {a.minutes:g} is too short for it: run again with the same data file for what is left", file=sys.stderr)
            continue
        start = time.time()
        now = merge(data["pieces"].get(p.key), p.measure(a))
        took = time.time() - start
        spent[p.side] = spent.get(p.side, 0) + took; expected[p.side] = expected.get(p.side, 0) + p.estimate(a)
        now.update(build=data["build"], start=start, end=time.time(), lacks=[t for t in p.titles if t not in now.get("rows", {})])
        data["pieces"][p.key] = now
        with open(a.data + ".new", "w") as f: json.dump(data, f)
        os.replace(a.data + ".new", a.data)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    text = lambda s: s.split(","); numbers = lambda s: list(map(int, s.split(",")))
    ap.add_argument("--models", type=text, default=text("mlp128,mlp512,mlp1024,conv32,conv64,mdeq")); ap.add_argument("--batch", type=numbers, default=[64, 256])
    ap.add_argument("--threads", type=numbers, default=[1, 2]); ap.add_argument("--side", type=text, default=[*SIDES, "memory", "startup"])
    ap.add_argument("--rows", help="only rows whose names hold this"); ap.add_argument("--budget", type=float, default=0.4, help="seconds for a row")
    ap.add_argument("--minutes", type=float, help="begin no piece that would end later"); ap.add_argument("--again", action="store_true")
    ap.add_argument("--torchdeq", help="folder that holds the package torchdeq"); ap.add_argument("--deq", default="build/deq")
    ap.add_argument("--data", help="default: bench.json beside deq"); ap.add_argument("--out", default=os.path.join(here, "RESULTS.md"))
    a = ap.parse_args()
    a.deq = os.path.abspath(a.deq)
    if not a.data: a.data = os.path.join(os.path.dirname(a.deq), "bench.json")
    a.python = measure.find_python()
    if a.python: print(f"PyTorch: {a.python}", file=sys.stderr)
    elif {"peer", "torchdeq"} & set(a.side): print("skipped: no Python here has PyTorch (Debian: python3-torch)"); sys.exit(77)
    version = measure.torchdeq_version(a)
    if not version and "torchdeq" in a.side:
        a.side.remove("torchdeq")
        print("TorchDEQ cannot be imported: left out", file=sys.stderr)
    data = {"pieces": {}}
    if os.path.exists(a.data):
        with open(a.data) as f: data = json.load(f)
    data.update(machine=measure.machine(a), build=measure.build_of(a.deq), torchdeq=version or data.get("torchdeq"))
    measure_all(a, data)
    with open(a.out, "w") as f: f.write(report(data, [p for p in pieces(a) if p.key not in data["pieces"]]))
    print(f"wrote {a.out}")


if __name__ == "__main__": main()
