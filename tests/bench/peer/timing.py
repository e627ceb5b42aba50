"""Command line and clock of the peers' benchmarks: KIND SIZE BATCH THREADS [--ops a,b] [--budget s]; a JSON line for each op."""
import argparse, gc, json, os, statistics, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))


def arguments(doc, more=()):
    ap = argparse.ArgumentParser(description=doc)
    ap.add_argument("kind"); ap.add_argument("size", type=int); ap.add_argument("batch", type=int); ap.add_argument("threads", type=int)
    ap.add_argument("--ops", default="", help="only these, separated by commas")
    ap.add_argument("--budget", type=float, default=0.8, help="seconds for an op, once it has been timed three times (twice where a call takes over a second, once over three)")
    for name, options in more: ap.add_argument(name, **options)
    a = ap.parse_args()
    a.ops = [o for o in a.ops.split(",") if o]
    return a


def wanted(a, name):
    return not a.ops or name.removesuffix("_jit") in a.ops


def status(key):
    """MB of a line of /proc/self/status."""
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) / 1024 for line in f if line.startswith(key))


def emit(a, name, **values):
    print(json.dumps(dict(kind=a.kind, size=a.size, batch=a.batch, threads=a.threads, op=name, **values)), flush=True)


def time_all(a, ops):
    """Median milliseconds of every op.  Ten identical attack steps of over 100 ms are reported as ten times the step measured before."""
    step = None
    for name, call in ops.items():
        if not wanted(a, name): continue
        if name.startswith("pgd10") and step and step[0] == name.removeprefix("pgd10") and step[1] > 100:
            emit(a, name, med_ms=round(10 * step[1], 4), min_ms=round(10 * step[2], 4), n=0, note="10 x attackstep")
            continue
        gc.collect()
        began = time.perf_counter(); call()
        if time.perf_counter() - began < a.budget: call()
        times, began = [], time.perf_counter()
        least = lambda seconds: 3 if seconds < 1 else 2 if seconds < 3 else 1
        while not times or len(times) < least(times[0]) or (time.perf_counter() - began < a.budget and len(times) < 400):
            start = time.perf_counter(); call(); times.append(time.perf_counter() - start)
        median = 1e3 * statistics.median(times)
        if name.startswith("attackstep"): step = (name.removeprefix("attackstep"), median, 1e3 * min(times))
        emit(a, name, med_ms=round(median, 4), min_ms=round(1e3 * min(times), 4), n=len(times))


def grow_all(a, ops):
    """Growth of the peak of resident memory in two calls of every op, each in a process of its own."""
    for name, call in ops.items():
        if not wanted(a, name): continue
        sys.stdout.flush(); pid = os.fork()
        if pid == 0:
            gc.collect(); base = status("VmRSS")
            with open("/proc/self/clear_refs", "w") as f: f.write("5")  # the peak is what is resident now
            call(); call()
            emit(a, name, rss_base_mb=round(base, 1), rss_delta_mb=round(status("VmHWM") - base, 1))
            os._exit(0)
        os.waitpid(pid, 0)
