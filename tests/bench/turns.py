"""Two sides measured in turns: a peer that waits, stopped, while deq runs, and rows of `deq bench` beside its."""
import json, os, signal, statistics, subprocess, sys
import measure

here = os.path.dirname(os.path.abspath(__file__))


class Peer:
    """A program of peer/ that answers lines with lines of JSON.  It is stopped between questions: its threads may spin when they have nothing
    to do."""
    def __init__(self, a, program, *arguments, threads):
        self.process = subprocess.Popen([a.python, os.path.join(here, "peer", program), *map(str, arguments)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, env=measure.environment(threads))
        self.name, self.warm = program, set()
        self.about = self.answer()
        self.process.send_signal(signal.SIGSTOP)

    def answer(self):
        line = self.process.stdout.readline()
        if not line: sys.exit(f"{self.name} ended with {self.process.wait()}")
        return json.loads(line)

    def ask(self, line):
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.write(line + "\n"); self.process.stdin.flush()
        answer = self.answer()
        self.process.send_signal(signal.SIGSTOP)
        return answer

    def seconds(self, a, row, calls, warm_up):
        """Of a call of this row, the least of so many; answers are {"wall": .., "processor": ..}."""
        if row not in self.warm and warm_up: self.ask(row)
        self.warm.add(row)
        return min(self.ask(row)["processor" if a.processor else "wall"] for _ in range(calls))

    def close(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.close()
        self.process.wait()


def ours(a, script, row, threads, budget, *more):
    """Seconds of the batch, and the share of the peak where deq knows it."""
    events = measure.output_of([a.deq, "bench", os.path.join(here, script), "--json", "--batch", str(a.batch), "--threads", str(threads), "--budget", str(budget),
                                "--rows", row, *more, *(["--processor"] if a.processor else [])])
    found = next(e for e in events if e["event"] == "bench" and e["name"] == row)
    return found["min"] * a.batch / found["examples"], found.get("share")


def rounds(a, deq, peer):
    """Both sides in turns: the least seconds of each, the median of the ratios, and the largest share of the peak."""
    pairs = []
    for _ in range(a.rounds): pairs.append((*deq(), peer()))
    return min(p[0] for p in pairs), min(p[2] for p in pairs), statistics.median(p[2] / p[0] for p in pairs), max((p[1] for p in pairs if p[1]), default=None)


def options(ap, rows):
    ap.add_argument("--batch", type=int, default=8); ap.add_argument("--threads", type=lambda s: list(map(int, s.split(","))), default=[1, 2])
    ap.add_argument("--rows", type=lambda s: s.split(","), default=rows); ap.add_argument("--rounds", type=int, default=2)
    ap.add_argument("--processor", action="store_true"); ap.add_argument("--deq", default="build/deq")


def prepare(a, what):
    """The paths, and PyTorch; says on what machine the numbers are measured."""
    a.deq, a.python = os.path.abspath(a.deq), measure.find_python()
    if not a.python: print("skipped: no Python here has PyTorch (Debian: python3-torch)"); sys.exit(77)
    about(a, what)


def about(a, what):
    print(f"{measure.machine(a)}; {what}; {'processor seconds' if a.processor else 'seconds of the clock'}; load {os.getloadavg()[0]:.1f}\n", flush=True)
