#!/usr/bin/env python3
"""The benchmark against hand-written PyTorch: the same work, the same machine, one run.

usage: tests/bench/run.py [--deq build/deq] [--models mlp128,mlp512,mlp1024,conv32,conv64,mdeq] [--batch 64,256] [--threads 1,2] [--budget 0.5]
                          [--side both|deq|peer] [--rows TEXT] [--data FILE] [--out tests/bench/RESULTS.md]

Times `deq bench` and peer/bench.py (Debian's python3-torch, its fastest settings) one after the other for every model, batch and
thread count, and writes Markdown: milliseconds of either, their ratio, the share of the machine's peak, the least a row can take.
Reports, never fails on a number.  Prints "skipped" and exits 77 when PyTorch is not installed.

A whole run takes half an hour.  With --data it can be made in pieces: measurements are added to that JSON file (those made before of
the same model, batch, threads and side are replaced; with --rows only deq's rows whose names hold TEXT are), and the report is
written from everything in it.

What differs: deq's rows of solves include the injection x U and the head, those of the peer do not; both do the same number
of evaluations of f, but Broyden on the adjoint (deq 20 products with J', the peer 21) and unrolled steps (deq's first step from a
state uses the evaluation that the solver made there)."""
import argparse, datetime, json, math, os, platform, subprocess, sys

here = os.path.dirname(os.path.abspath(__file__))
PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable
OPENMP_BLAS = f"/usr/lib/{platform.machine()}-linux-gnu/openblas-openmp"

# row: name in deq's output (suffix), name in the peer's
ROWS = [
    ("f", ".f (one block)", "f"),
    ("vjp_z", ".vjp_z (one block)", "vjp"),
    *[(f"{s} {n}", f"predict, {s} {n}", f"fwd_{s}_{n}") for s in ("broyden", "anderson", "picard") for n in (8, 18, 50)],
    ("training step, exact 18/20", ": step, exact 18/20", "train_exact_18_20"),
    ("training step, phantom 8+5", ": step, phantom 8+5", "train_phantom_8_k5"),
    ("input gradient, exact 18/20", "input gradient, exact 18/20", "attackstep_exact_18_20"),
    ("input gradient, phantom 8+5", "input gradient, phantom 8+5", "attackstep_phantom_8_k5"),
    ("input gradient, adjoint ensemble 8", "input gradient, simultaneous ensemble 8", "attackstep_simadj_ens_8"),
    ("input gradient, unrolled ensemble 8 x 5", "input gradient, unrolled ensemble 8 x 5", "attackstep_unrolled_ens_8_k5"),
    ("PGD-10, exact 18/20", "attack ten, exact 18/20", "pgd10_exact_18_20"),
    ("PGD-10, phantom 8+5", "attack ten, phantom 8+5", "pgd10_phantom_8_k5"),
    ("PGD-10, adjoint ensemble 8", "attack ten, simultaneous ensemble 8", "pgd10_simadj_ens_8"),
    ("PGD-10, unrolled ensemble 8 x 5", "attack ten, unrolled ensemble 8 x 5", "pgd10_unrolled_ens_8_k5"),
]
ROUTINES = ("f", "vjp_z")
SOLVES = [t for t, _, _ in ROWS if t.split()[0] in ("broyden", "anderson")]


def run_deq(deq, model, batch, threads, budget, only, before):
    command = [deq, "bench", os.path.join(here, model + ".deq"), "--json", "--batch", str(batch), "--threads", str(threads), "--budget", str(budget)]
    if only: command += ["--rows", only]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    events = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    rows = [e for e in events if e["event"] == "bench"]
    kept = [r for r in before["rows"] if only not in r["name"]] if only and before else []
    return {"machine": next(e for e in events if e["event"] == "bench_machine"), "rows": kept + rows}


def peer_settings(threads):
    """The peer at its fastest here.  PyTorch's own loops run on OpenMP's threads: a BLAS with threads of its own (libopenblas0-pthread)
    makes two pools that wait for each other on the same cores, with stalls of tens of milliseconds."""
    env = dict(MALLOC_MMAP_THRESHOLD_="2147483648", MALLOC_TRIM_THRESHOLD_="4294967296", MALLOC_TOP_PAD_="67108864",
               OPENBLAS_NUM_THREADS=str(threads), OMP_NUM_THREADS=str(threads))
    if "avx512f" in open("/proc/cpuinfo").read(): env["ATEN_CPU_CAPABILITY"] = "avx512"
    if os.path.isdir(OPENMP_BLAS): env.update(LD_LIBRARY_PATH=OPENMP_BLAS, OMP_WAIT_POLICY="active", OMP_PROC_BIND="true")
    elif threads > 1: env.update(OMP_WAIT_POLICY="passive")
    return env


def run_peer(kind, size, batch, threads, budget):
    settings = peer_settings(threads)
    env = dict(os.environ, **settings)
    env.pop("OPENBLAS_CORETYPE", None)  # naming an older kernel would halve OpenBLAS
    p = subprocess.run([PYTHON, os.path.join(here, "peer", "bench.py"), kind, str(size), str(batch), "plain", str(threads), "--budget", str(budget)],
                       capture_output=True, text=True, env=env)
    if p.returncode: sys.exit(f"the peer failed:\n{p.stderr}")
    best = {}
    for line in p.stdout.splitlines():
        r = json.loads(line)
        name = r["op"].removesuffix("_jit")  # the traced variant competes for the same row
        if name not in best or r["med_ms"] < best[name]["med_ms"]: best[name] = r
    return {"settings": settings, "rows": best}


def machine(deq):
    cpu = next((l.split(":", 1)[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.machine())
    torch = subprocess.run([PYTHON, "-c", "import torch; print(torch.__version__)"], capture_output=True, text=True).stdout.strip()
    env = {k: v for k, v in dict(os.environ, **peer_settings(1)).items() if k != "OPENBLAS_CORETYPE"}
    core = subprocess.run([PYTHON, "-c", "import ctypes; l = ctypes.CDLL('libopenblas.so.0'); l.openblas_get_corename.restype = ctypes.c_char_p; l.openblas_get_config.restype = ctypes.c_char_p; print(l.openblas_get_config().decode().split()[1] + ', core ' + l.openblas_get_corename().decode())"],
                          capture_output=True, text=True, env=env).stdout.strip()
    blas = ("libopenblas0-openmp, threads bound and spinning" if os.path.isdir(OPENMP_BLAS) else
            "libopenblas0-pthread with passive OpenMP threads (libopenblas0-openmp, which is faster at two threads, is not installed)")
    version = subprocess.run([deq, "version"], capture_output=True, text=True).stdout.split("\n")
    return (f"{cpu}, {os.cpu_count()} processors, Linux {platform.release()}; {version[0]} ({version[2] if len(version) > 2 else '?'}); "
            f"PyTorch {torch} with OpenBLAS {core} ({blas})")


def mean(values):
    return math.exp(sum(map(math.log, values)) / len(values)) if values else float("nan")


def key_of(model, batch, threads):
    return f"{model} {batch} {threads}"


class Config:
    """Both sides of one model, batch and thread count."""
    def __init__(self, name, sides):
        self.model, self.batch, self.threads = name.split()[0], int(name.split()[1]), int(name.split()[2])
        self.deq, self.peer = sides.get("deq"), sides.get("peer")

    def ours(self, row):
        suffix = next(m for t, m, _ in ROWS if t == row)
        return next((r for r in self.deq["rows"] if r["name"].endswith(suffix)), None) if self.deq else None

    def ms(self, row):
        r = self.ours(row)
        if not r or (row in ROUTINES and self.threads > 1): return None  # one worker's block: no second thread in it
        return 1e3 * r["median"] * self.batch / r["examples"]

    def peer_ms(self, row):
        r = self.peer["rows"].get(next(p for t, _, p in ROWS if t == row)) if self.peer else None
        return r["med_ms"] if r else None

    def ratio(self, row):
        a, b = self.ms(row), self.peer_ms(row)
        return b / a if a and b else None

    def ratios(self, rows=None):
        return [q for q in (self.ratio(t) for t, _, _ in ROWS if t not in ROUTINES and (rows is None or t in rows)) if q]

    def table(self):
        text = ["| row | deq ms | spread | PyTorch ms | ratio | GFLOP/s | of peak | least ms | over |", "|---|--:|--:|--:|--:|--:|--:|--:|--:|"]
        for row, _, _ in ROWS:
            ms, theirs, r = self.ms(row), self.peer_ms(row), self.ours(row)
            if not ms: continue
            cells = [row, f"{ms:.3f}", f"{100 * r['spread']:.0f}%", f"{theirs:.3f}" if theirs else "", f"{self.ratio(row):.2f}" if theirs else "",
                     f"{r['gflops']:.0f}" if "gflops" in r else "", f"{100 * r['share']:.0f}%" if "share" in r else "",
                     f"{1e3 * r['bound']:.3f}" if "bound" in r else "", f"{100 * r['overhead']:.0f}%" if "overhead" in r else ""]
            text.append("| " + " | ".join(cells) + " |")
        return text


def summary(configs):
    text = ["| model | batch | threads | all rows | solves | least row | f, vjp_z of peak | 2 threads over 1 |", "|---|--:|--:|--:|--:|---|---|--:|"]
    for c in configs:
        ratios = [(c.ratio(t), t) for t, _, _ in ROWS if t not in ROUTINES and c.ratio(t)]
        if not ratios: continue
        worst = min(ratios)
        shares = ", ".join(f"{100 * c.ours(r)['share']:.0f}%" for r in ROUTINES if c.ms(r))
        one = next((o for o in configs if (o.model, o.batch, o.threads) == (c.model, c.batch, 1)), None)
        both = [one.ms(t) / c.ms(t) for t, _, _ in ROWS if one and c.threads == 2 and t not in ROUTINES and one.ms(t) and c.ms(t)]
        scale = f"{mean(both):.2f} ({min(both):.2f} to {max(both):.2f})" if both else ""
        text.append(f"| {c.model} | {c.batch} | {c.threads} | {mean(c.ratios()):.2f} | {mean(c.ratios(SOLVES)):.2f} | {worst[0]:.2f}, {worst[1]} | {shares} | {scale} |")
    return text


def report(data, notes):
    configs = [Config(k, v) for k, v in sorted(data["runs"].items(), key=lambda kv: (kv[0].split()[0].rstrip("0123456789") != "mlp", kv[0].split()[0].rstrip("0123456789"), int("".join(filter(str.isdigit, kv[0].split()[0])) or 0), *map(int, kv[0].split()[1:])))]
    peaks = [c.deq["machine"] for c in configs if c.deq]
    one, two = (max((p[k] for p in peaks if n is None or p["threads"] == n), default=float("nan")) for k, n in (("peak_gflops", None), ("peak_gflops_threads", 2)))
    text = ["# deq against hand-written PyTorch", "", "Made by `tests/bench/run.py`; [README.md](README.md) says how, and what may be compared.", "",
            data["machine"] + f"; {data['date']}.", "", f"Peak of multiply-adds in registers: {one:.0f} GFLOP/s on one thread, {two:.0f} on two.", "",
            "`ratio`: the peer's time over deq's; above 1 deq is faster. `spread`: between the quartiles, over the median. `of peak`: of the machine's peak on one thread, measured in the same run.",
            "`least`: evaluations of f and products with J' at their own times, plus everything that one evaluation brings with it (injection, head, gathering; for a training step also the update);",
            "`over`: what the row takes beyond that, which is all that a better solver or engine could still gain.", "",
            "## Ratios (geometric means)", ""]
    text += summary(configs) + [""]
    if notes and os.path.exists(notes): text += [open(notes).read().strip(), ""]
    for c in configs:
        text += [f"## {c.model}, batch {c.batch}, {c.threads} thread{'s' * (c.threads > 1)}", ""] + c.table() + [""]
    return "\n".join(text)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--deq", default="build/deq"); ap.add_argument("--batch", default="64,256"); ap.add_argument("--threads", default="1,2")
    ap.add_argument("--budget", type=float, default=0.5); ap.add_argument("--models", default="mlp128,mlp512,mlp1024,conv32,conv64,mdeq")
    ap.add_argument("--side", choices=("both", "deq", "peer"), default="both"); ap.add_argument("--data"); ap.add_argument("--rows")
    ap.add_argument("--notes", default=os.path.join(here, "NOTES.md")); ap.add_argument("--out", default=os.path.join(here, "RESULTS.md"))
    a = ap.parse_args()
    if subprocess.run([PYTHON, "-c", "import torch, numpy"], capture_output=True).returncode:
        print("skipped: PyTorch is not installed (Debian: python3-torch)"); sys.exit(77)
    data = json.load(open(a.data)) if a.data and os.path.exists(a.data) else {"runs": {}}
    data.update(machine=machine(a.deq), date=str(datetime.date.today()))
    for model in filter(None, a.models.split(",")):
        kind, size = model.rstrip("0123456789"), int(model[len(model.rstrip("0123456789")):] or 0)
        for batch in map(int, a.batch.split(",")):
            for threads in map(int, a.threads.split(",")):
                print(f"{model}, batch {batch}, {threads} threads", file=sys.stderr, flush=True)
                run = data["runs"].setdefault(key_of(model, batch, threads), {})
                if a.side != "peer": run["deq"] = run_deq(a.deq, model, batch, threads, a.budget, a.rows, run.get("deq"))
                if a.side != "deq": run["peer"] = run_peer(kind, size, batch, threads, a.budget)
                if a.data:
                    with open(a.data, "w") as f: json.dump(data, f)
    with open(a.out, "w") as f: f.write(report(data, a.notes))
    print(f"wrote {a.out}")


if __name__ == "__main__": main()
