"""Runs `deq` and the peers and reads what they say; each function makes one piece of the benchmark."""
import hashlib, json, os, platform, shutil, signal, statistics, subprocess, sys, tempfile, time
from rows import BY_TITLE, MEMORY, ROWS, split_model

here = os.path.dirname(os.path.abspath(__file__))
OPENMP_BLAS = f"/usr/lib/{platform.machine()}-linux-gnu/openblas-openmp"
MODELS = os.path.join(here, "{}.deq")
QUICKSTART = os.path.join(here, "..", "..", "examples", "quickstart.deq")
LARGE = os.path.join(here, "large.deq")


def find_python(*modules):
    """A Python that has these modules, else torch and numpy; None where there is none."""
    for python in dict.fromkeys((sys.executable, "/usr/bin/python3")):
        if python and subprocess.run([python, "-c", "import " + ", ".join(modules or ("torch", "numpy"))], capture_output=True).returncode == 0: return python
    return None


def settings(threads, tuned=True):
    """A peer at its fastest here.  PyTorch's own loops run on OpenMP's threads: a BLAS with threads of its own (libopenblas0-pthread)
    makes two pools that wait for each other on the same cores, with stalls of tens of milliseconds.  tuned: glibc keeps large
    temporaries; where memory is measured it must not."""
    env = dict(OPENBLAS_NUM_THREADS=str(threads), OMP_NUM_THREADS=str(threads))
    if tuned: env.update(MALLOC_MMAP_THRESHOLD_="2147483648", MALLOC_TRIM_THRESHOLD_="4294967296", MALLOC_TOP_PAD_="67108864")
    with open("/proc/cpuinfo") as f:
        if "avx512f" in f.read(): env["ATEN_CPU_CAPABILITY"] = "avx512"
    if os.path.isdir(OPENMP_BLAS): env.update(LD_LIBRARY_PATH=OPENMP_BLAS, OMP_WAIT_POLICY="active", OMP_PROC_BIND="true")
    elif threads > 1: env.update(OMP_WAIT_POLICY="passive")
    return env


def environment(threads, tuned=True):
    env = dict(os.environ, **settings(threads, tuned))
    env.pop("OPENBLAS_CORETYPE", None)  # naming an older kernel would halve OpenBLAS
    return env


def output_of(command, env=None):
    p = subprocess.run(command, capture_output=True, text=True, env=env)
    if p.returncode: sys.exit(f"{' '.join(command)} failed with {p.returncode}:\n{p.stderr or p.stdout}")
    return [json.loads(line) for line in p.stdout.splitlines() if line.startswith("{")]


def build_of(deq):
    """What distinguishes one build of deq from another."""
    digest = hashlib.sha256()
    for name in ("deq", "libdeq_backend.so"):
        path = os.path.join(os.path.dirname(deq), name)
        if os.path.exists(path):
            with open(path, "rb") as f: digest.update(f.read())
    return digest.hexdigest()[:12]


def run_deq(a, model, batch, threads, titles):
    events = output_of([a.deq, "bench", MODELS.format(model), "--json", "--batch", str(batch), "--threads", str(threads),
                        "--budget", str(a.budget), "--rows", "|".join(BY_TITLE[t].deq for t in titles)])
    rows = [e for e in events if e["event"] == "bench"]
    named = {t: next((r for r in rows if r["name"].endswith(BY_TITLE[t].deq)), None) for t in titles}
    return {"machine": next(e for e in events if e["event"] == "bench_machine"), "rows": {t: r for t, r in named.items() if r}}


def run_python(a, script, model, batch, threads, titles, more=()):
    kind, size = split_model(model)
    events = output_of([a.python, os.path.join(here, "peer", script), kind, str(size), str(batch), str(threads), "--budget", str(a.budget),
                        "--ops", ",".join(BY_TITLE[t].peer for t in titles), *more], environment(threads))
    best = {}
    for r in events:
        name = r["op"].removesuffix("_jit")  # the traced variant competes for the same row
        if name not in best or r["med_ms"] < best[name]["med_ms"]: best[name] = r
    return {"settings": settings(threads), "rows": {t: best[BY_TITLE[t].peer] for t in titles if BY_TITLE[t].peer in best}}


def run_peer(a, model, batch, threads, titles):
    return run_python(a, "bench.py", model, batch, threads, titles)


def run_torchdeq(a, model, batch, threads, titles):
    return run_python(a, "torchdeq_bench.py", model, batch, threads, titles, ("--torchdeq", a.torchdeq) if a.torchdeq else ())


def memory(a, model, batch):
    """Growth of the peak of resident memory in two training steps, bytes, on either side in processes of their own."""
    kind, size = split_model(model)
    events = output_of([a.deq, "bench", MODELS.format(model), "--json", "--batch", str(batch), "--threads", "1", "--budget", "0.001",
                        "--rows", "|".join("memory, " + m for m in MEMORY)])
    ours = {m: next((e for e in events if e["event"] == "bench_memory" and e["name"].endswith(", " + m)), None) for m in MEMORY}
    theirs = {}
    if a.python:
        peer = output_of([a.python, os.path.join(here, "peer", "bench.py"), kind, str(size), str(batch), "1", "--rss", "--ops", ",".join(MEMORY.values())],
                         environment(1, tuned=False))
        theirs = {m: next((1e6 * r["rss_delta_mb"] for r in peer if r["op"] == op), None) for m, op in MEMORY.items()}
    return {m: {"deq": ours[m]["growth"], "planned": ours[m]["planned"], "peer": theirs.get(m)} for m in MEMORY if ours[m]}


def first_step(deq, script, cache, folder):
    """Seconds from the start of `deq run` to the end of its first training step, by its own clock; None where it does not get there."""
    p = subprocess.Popen([deq, "run", script, "--json", "--results", folder], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                         env=dict(os.environ, XDG_CACHE_HOME=cache))
    seconds = None
    for line in p.stdout:
        event = json.loads(line) if line.startswith("{") else {}
        if event.get("event") == "first_step":
            seconds = event["since_start"]
            break
    p.send_signal(signal.SIGKILL)  # nothing is kept of the training, so that the next one does not go on with it
    p.wait()
    p.stdout.close()
    return seconds


def cold_compile(deq, script):
    """Wall seconds of compiling everything a script runs, with nothing in the cache."""
    with tempfile.TemporaryDirectory() as cache:
        began = time.perf_counter()
        p = subprocess.run([deq, "run", script, "--stop-after", "compile"], capture_output=True, text=True, env=dict(os.environ, XDG_CACHE_HOME=cache))
        if p.returncode: sys.exit(f"{script} does not compile:\n{p.stderr}")
        return time.perf_counter() - began


def startup(a):
    """Seconds; medians of a few attempts."""
    result, folder = {}, tempfile.mkdtemp()
    try:
        cold = [first_step(a.deq, QUICKSTART, os.path.join(folder, f"cold{k}"), folder) for k in range(3)]
        cache = os.path.join(folder, "warm")  # filled by a run that ends
        subprocess.run([a.deq, "run", QUICKSTART, "--set", "net.epochs=1", "--set", "net.examples=64", "--quiet", "--results", folder],
                       capture_output=True, env=dict(os.environ, XDG_CACHE_HOME=cache))
        warm = [first_step(a.deq, QUICKSTART, cache, folder) for _ in range(7)]
        if None not in cold + warm: result.update(cold_first_step=statistics.median(cold), warm_first_step=statistics.median(warm))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    result["cold_quickstart"] = statistics.median(cold_compile(a.deq, QUICKSTART) for _ in range(3))
    large = [cold_compile(a.deq, LARGE)]
    if large[0] < 5: large += [cold_compile(a.deq, LARGE) for _ in range(2)]
    result["cold_large"] = statistics.median(large)
    return result


def machine(a):
    """One line: processor, system, versions."""
    with open("/proc/cpuinfo") as f: cpu = next((l.split(":", 1)[1].strip() for l in f if l.startswith("model name")), platform.machine())
    version = subprocess.run([a.deq, "version"], capture_output=True, text=True).stdout.split("\n")
    text = f"{cpu}, {os.cpu_count()} processors, Linux {platform.release()}; {version[0]} ({version[2] if len(version) > 2 else '?'})"
    if not a.python: return text + "; PyTorch is not installed"
    code = ("import ctypes, torch; l = ctypes.CDLL('libopenblas.so.0'); l.openblas_get_corename.restype = ctypes.c_char_p; l.openblas_get_config.restype = ctypes.c_char_p; "
            "print(torch.__version__ + ' with OpenBLAS ' + l.openblas_get_config().decode().split()[1] + ', core ' + l.openblas_get_corename().decode())")
    torch = subprocess.run([a.python, "-c", code], capture_output=True, text=True, env=environment(1)).stdout.strip()
    blas = ("libopenblas0-openmp, threads bound and spinning" if os.path.isdir(OPENMP_BLAS) else
            "libopenblas0-pthread with passive OpenMP threads (libopenblas0-openmp, which is faster at two threads, is not installed)")
    return f"{text}; PyTorch {torch} ({blas})"


def torchdeq_version(a):
    """With the commit where --torchdeq names a checkout; None where TorchDEQ cannot be imported."""
    if not a.python: return None
    path = f"import sys; sys.path.insert(0, {a.torchdeq!r}); " if a.torchdeq else ""
    p = subprocess.run([a.python, "-c", path + "import torchdeq; print(getattr(torchdeq, '__version__', 'of unknown version'))"], capture_output=True, text=True)
    if p.returncode: return None
    commit = subprocess.run(["git", "-C", a.torchdeq, "rev-parse", "--short=8", "HEAD"], capture_output=True, text=True) if a.torchdeq else None
    return p.stdout.strip() + (f" (source at {commit.stdout.strip()})" if commit and commit.returncode == 0 else "")
