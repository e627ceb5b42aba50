#!/usr/bin/env python3
"""MDEQ LARGE at its published size beside the public code of its authors: the same work, in turns, in one run.  Prints a table.

usage: tests/bench/published.py FOLDER [--batch 8] [--threads 1,2] [--rows f,vjp,phantom,exact,adversarial] [--rounds 2] [--processor] [--deq build/deq]

FOLDER is a checkout of github.com/locuslab/deq.  Each round measures a row on one side and then on the other, so that other work on the
machine touches both; the table gives the least time of each side, and the median of the rounds' ratios.  --processor: seconds that processors
spend instead of the clock's, for machines with other work; with two threads they are those of both.  Exit 77 where no Python has PyTorch."""
import argparse, json, os, signal, statistics, subprocess, sys
import measure

here = os.path.dirname(os.path.abspath(__file__))
# a row's title, and what deq calls it
ROWS = {"f": ("f", "body.f (one block)"),
        "vjp": ("J'u", "body.vjp_z (one block)"),
        "phantom": ("training step, phantom 8+5", "train large: step, phantom 8+5"),
        "exact": ("training step, exact 8/7", "train large: step, exact 8/7"),
        "adversarial": ("training step against PGD-10, phantom 8+5", "train large: step under pgd10")}


class Peer:
    """The public code in a process that waits, stopped, while deq runs: its threads may spin when they have nothing to do."""
    def __init__(self, a, threads):
        self.process = subprocess.Popen([a.python, os.path.join(here, "peer", "mdeq_public.py"), a.folder, str(a.batch), str(threads)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=measure.environment(threads))
        self.about = self.answer()
        self.warm = set()
        self.process.send_signal(signal.SIGSTOP)

    def answer(self):
        line = self.process.stdout.readline()
        if not line: sys.exit(f"the public code ended with {self.process.wait()}")
        return json.loads(line)

    def call(self, row):
        self.process.stdin.write(row + "\n"); self.process.stdin.flush()
        return self.answer()

    def measure(self, a, row):
        """Seconds of a call, the least of a few where calls are short."""
        self.process.send_signal(signal.SIGCONT)
        if row not in self.warm and row != "adversarial": self.call(row)
        self.warm.add(row)
        times, count = [], 5 if row in ("f", "vjp") else 1
        while len(times) < count: times.append(self.call(row)["processor" if a.processor else "wall"])
        self.process.send_signal(signal.SIGSTOP)
        return min(times)

    def close(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.close()
        self.process.wait()


def ours(a, row, threads):
    """Seconds of the batch, and the share of the peak where deq knows it.  A step against an attack takes all eight
    steps of its solves, as the others do."""
    events = measure.output_of([a.deq, "bench", os.path.join(here, "large.deq"), "--json", "--batch", str(a.batch), "--threads", str(threads), "--budget",
                                "0.5" if row in ("f", "vjp") else "0.01", "--rows", ROWS[row][1], "--set", "large.body.forward.tol=0", *(["--processor"] if a.processor else [])])
    found = next(e for e in events if e["event"] == "bench" and e["name"] == ROWS[row][1])
    return found["min"] * a.batch / found["examples"], found.get("share")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("folder"); ap.add_argument("--batch", type=int, default=8); ap.add_argument("--threads", type=lambda s: list(map(int, s.split(","))), default=[1, 2])
    ap.add_argument("--rows", type=lambda s: s.split(","), default=list(ROWS)); ap.add_argument("--rounds", type=int, default=2)
    ap.add_argument("--processor", action="store_true"); ap.add_argument("--deq", default="build/deq")
    a = ap.parse_args()
    a.deq, a.folder, a.python = os.path.abspath(a.deq), os.path.abspath(a.folder), measure.find_python()
    if not a.python: print("skipped: no Python here has PyTorch (Debian: python3-torch)"); sys.exit(77)
    print(f"{measure.machine(a)}; batch {a.batch}; {'processor seconds' if a.processor else 'seconds of the clock'}; load {os.getloadavg()[0]:.1f}", flush=True)
    print("\n| MDEQ LARGE | threads | deq ms | public code ms | ratio | of the peak |\n|---|--:|--:|--:|--:|--:|", flush=True)
    for threads in a.threads:
        peer = Peer(a, threads)
        for row in a.rows:
            if threads > 1 and row in ("f", "vjp"): continue  # deq's row is one block, on one thread
            pairs = []
            for _ in range(a.rounds): pairs.append((*ours(a, row, threads), peer.measure(a, row)))
            best = min(p[0] for p in pairs)
            share = max((p[1] for p in pairs if p[1]), default=None)
            print(f"| {ROWS[row][0]} | {threads} | {1e3 * best:.0f} | {1e3 * min(p[2] for p in pairs):.0f} | {statistics.median(p[2] / p[0] for p in pairs):.2f} | "
                  f"{f'{100 * share:.0f}%' if share else ''} |", flush=True)
        peer.close()
    print(f"\nload {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__": main()
