#!/usr/bin/env python3
"""The benchmark against hand-written PyTorch: the same work, the same machine, one run.

usage: tests/bench/run.py [--deq build/deq] [--batch 64,256] [--threads 1,2] [--budget 0.8] [--models mlp128,mlp512,mlp1024] [--out tests/bench/RESULTS.md]

Times `deq bench` and peer/bench.py (Debian's python3-torch, its fastest settings) one after the other for every model, batch and
thread count, and writes one Markdown table: milliseconds of either and their ratio.  Reports, never fails on a number.
Prints "skipped" and exits 77 when PyTorch is not installed.

What differs: the rows of deq for solves include the injection x U and the head, those of the peer do not; both do the same number
of evaluations of f but for Broyden on the adjoint (deq 20 products with J', the peer 21)."""
import argparse, json, os, platform, subprocess, sys, datetime, math

here = os.path.dirname(os.path.abspath(__file__))
PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable

# row: name in deq's output (suffix), name in the peer's, rows per deq call relative to the batch
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


def run_deq(deq, model, batch, threads):
    out = subprocess.run([deq, "bench", os.path.join(here, model + ".deq"), "--json", "--batch", str(batch), "--threads", str(threads)],
                         capture_output=True, text=True, check=True).stdout
    rows = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    return [r for r in rows if "median" in r]


def run_peer(kind, size, batch, threads, budget):
    env = dict(os.environ, MALLOC_MMAP_THRESHOLD_="2147483648", MALLOC_TRIM_THRESHOLD_="4294967296",
               MALLOC_TOP_PAD_="67108864", OPENBLAS_NUM_THREADS=str(threads), OMP_NUM_THREADS=str(threads))
    env.pop("OPENBLAS_CORETYPE", None)  # naming an older kernel would halve OpenBLAS
    if "avx512f" in open("/proc/cpuinfo").read(): env["ATEN_CPU_CAPABILITY"] = "avx512"
    p = subprocess.run([PYTHON, os.path.join(here, "peer", "bench.py"), kind, str(size), str(batch), "plain", str(threads), "--budget", str(budget)],
                       capture_output=True, text=True, env=env)
    if p.returncode: sys.exit(f"the peer failed:\n{p.stderr}")
    best = {}
    for line in p.stdout.splitlines():
        r = json.loads(line)
        name = r["op"].removesuffix("_jit")  # the traced variant competes for the same row
        if name not in best or r["med_ms"] < best[name]["med_ms"]: best[name] = r
    return best


def machine(deq):
    cpu = next((l.split(":", 1)[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.machine())
    torch = subprocess.run([PYTHON, "-c", "import torch; print(torch.__version__)"], capture_output=True, text=True).stdout.strip()
    core = subprocess.run([PYTHON, "-c", "import ctypes; l = ctypes.CDLL('libopenblas.so.0'); l.openblas_get_corename.restype = ctypes.c_char_p; print(l.openblas_get_corename().decode())"],
                          capture_output=True, text=True, env={k: v for k, v in os.environ.items() if k != "OPENBLAS_CORETYPE"}).stdout.strip()
    version = subprocess.run([deq, "version"], capture_output=True, text=True).stdout.split("\n")
    return f"{cpu}, {os.cpu_count()} processors; {version[0]} ({version[2] if len(version) > 2 else '?'}); PyTorch {torch}; OpenBLAS core {core}; Linux {platform.release()}; {datetime.date.today()}"


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--deq", default="build/deq"); ap.add_argument("--batch", default="64,256"); ap.add_argument("--threads", default="1,2")
    ap.add_argument("--budget", type=float, default=0.8); ap.add_argument("--models", default="mlp128,mlp512,mlp1024")
    ap.add_argument("--out", default=os.path.join(here, "RESULTS.md"))
    a = ap.parse_args()
    if subprocess.run([PYTHON, "-c", "import torch, numpy"], capture_output=True).returncode:
        print("skipped: PyTorch is not installed (Debian: python3-torch)"); sys.exit(77)
    text = ["# deq against hand-written PyTorch", "", machine(a.deq), "",
            "Medians in milliseconds. Ratio: the peer's time over deq's; above 1 deq is faster. Made by `tests/bench/run.py`.",
            "Solves of deq include the injection x U and the head, those of the peer do not; f and vjp_z are scaled to the batch from one block.", ""]
    for model in a.models.split(","):
        kind, size = model.rstrip("0123456789"), int(model[len(model.rstrip("0123456789")):])
        for batch in map(int, a.batch.split(",")):
            for threads in map(int, a.threads.split(",")):
                print(f"{model}, batch {batch}, {threads} threads", file=sys.stderr, flush=True)
                ours, theirs = run_deq(a.deq, model, batch, threads), run_peer(kind, size, batch, threads, a.budget)
                load = os.getloadavg()[0]
                text += [f"## {model}, batch {batch}, {threads} thread{'s' * (threads > 1)} (load {load:.1f})", "", "| row | deq | PyTorch | ratio | GFLOP/s |", "|---|--:|--:|--:|--:|"]
                logs = []
                for title, mine, peers in ROWS:
                    o = next((r for r in ours if r["name"].endswith(mine)), None)
                    t = theirs.get(peers)
                    if not o or not t: continue
                    ms = 1e3 * o["median"] * batch / o["examples"]
                    if mine.endswith("(one block)") and threads > 1: continue  # one worker's block: no second thread in it
                    ratio = t["med_ms"] / ms
                    if title not in ("f", "vjp_z"): logs.append(math.log(ratio))
                    text.append(f"| {title} | {ms:.3f} | {t['med_ms']:.3f} | {ratio:.1f} | {o['gflops']:.0f} |" if "gflops" in o else f"| {title} | {ms:.3f} | {t['med_ms']:.3f} | {ratio:.1f} | |")
                if logs: text += ["", f"Geometric mean of the ratios, f and vjp_z aside: {math.exp(sum(logs) / len(logs)):.1f}."]
                text.append("")
    with open(a.out, "w") as f: f.write("\n".join(text))
    print(f"wrote {a.out}")


main()
