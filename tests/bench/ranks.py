#!/usr/bin/env python3
"""Several processes of deq beside one, on this machine; a report in Markdown.

1. P ranks of one thread beside P threads of one process: steps of the two nets of ranks.deq, by turns.
2. The model of `deq bench --predict` beside steps over a network that the MPI plug-in makes slower (DEQ_TEST_NETWORK),
   with few examples, so that ranks which share a core disturb each other little.

Needs mpirun.  Exits 77 without it.  Numbers of the clock: they mean something on an idle machine only, so the load is told.
"""
import argparse, json, os, pathlib, resource, shutil, statistics, subprocess, sys, tempfile

HERE = pathlib.Path(__file__).resolve().parent
NETS = ("apart", "together")
BATCH, FEW, STEPS = 64, 16, 4  # a batch of the two parts; steps of an epoch

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--deq", default=HERE.parents[1] / "build" / "deq", type=pathlib.Path)
parser.add_argument("--ranks", default="1,2", help="of the first comparison; empty: none")
parser.add_argument("--nodes", default="2,4", help="of the second one")
parser.add_argument("--networks", default="0.02,1e6 0.05,3e5", help="seconds of a message, bytes a second; several")
parser.add_argument("--repeats", default=5, type=int)
parser.add_argument("--epochs", default=5, type=int)
parser.add_argument("--mpirun", default=os.environ.get("DEQ_TEST_MPIRUN", "mpirun"))
options = parser.parse_args()
if not shutil.which(options.mpirun):
    sys.exit(77)

deq = options.deq.resolve()
os.environ |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1",
               "OMPI_MCA_hwloc_base_binding_policy": "none"}


def lines(command, **more):
    run = subprocess.run([str(c) for c in command], capture_output=True, text=True, env=os.environ | more)
    if run.returncode:
        sys.exit(f"{' '.join(map(str, command))}: exit code {run.returncode}\n{run.stdout}{run.stderr}")
    return [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]


def processors():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def train(launch, threads, epochs, batch=BATCH, **more):
    """Seconds of a step of each net, the median over its epochs; processor seconds of the whole run."""
    before = processors()
    command = launch + [deq, "run", "ranks.deq", "--threads", threads, "--fresh", "--json"]
    for net in NETS:
        command += [f"--set={net}.epochs={epochs}", f"--set={net}.batch={batch}", f"--set={net}.examples={STEPS * batch}"]
    rates = {net: [] for net in NETS}
    for event in lines(command, **more):
        if event["event"] == "epoch":
            rates[event["name"]].append(batch / event["examples_per_second"])
    return {net: statistics.median(rates[net]) for net in NETS}, processors() - before


def several(ranks):
    return [options.mpirun, "-n", ranks]


def beside():
    steps = (options.epochs - 1) * len(NETS) * STEPS
    print(f"| ranks or threads | net | ranks, ms a step | threads, ms a step | over | least over | processor ms a step, both nets: ranks | threads |")
    print("|--:|---|--:|--:|--:|--:|--:|--:|")
    for p in map(int, filter(None, options.ranks.split(","))):
        found = {"ranks": [], "threads": []}
        used = {"ranks": [], "threads": []}
        for turn in range(options.repeats):
            for kind in (("ranks", "threads"), ("threads", "ranks"))[turn % 2]:
                how = (several(p), 1) if kind == "ranks" else ([], p)
                _, start = train(*how, 1)
                step, all_of_it = train(*how, options.epochs)
                found[kind].append(step)
                used[kind].append(1e3 * (all_of_it - start) / steps)
        for net in NETS:
            ranks, threads = ([1e3 * run[net] for run in found[kind]] for kind in ("ranks", "threads"))
            m, n = statistics.median(ranks), statistics.median(threads)
            print(f"| {p} | {net} | {m:.2f} | {n:.2f} | {100 * (m / n - 1):+.1f} % | {100 * (min(ranks) / min(threads) - 1):+.1f} % "
                  f"| {statistics.median(used['ranks']):.2f} | {statistics.median(used['threads']):.2f} |", flush=True)


def model():
    print("\n| network | ranks | net | predicted, ms a step | measured | over | reductions | meetings |")
    print("|---|--:|---|--:|--:|--:|--:|--:|")
    for network in options.networks.split():
        rows = {}
        for event in lines([deq, "bench", "ranks.deq", "--predict", network, "--nodes", options.nodes, "--cores", 1,
                            "--threads", 1, "--batch", FEW, "--json"] +
                           [f"--set={net}.batch={FEW}" for net in NETS]):
            if event["event"] == "predict":
                rows[event["name"], event["nodes"]] = event
        for p in map(int, options.nodes.split(",")):
            runs = [train(several(p), 1, options.epochs, FEW, DEQ_TEST_NETWORK=network.replace(",", " "))[0] for _ in range(2)]
            for net in NETS:
                row, got = rows[net, p], min(run[net] for run in runs)
                print(f"| {network} | {p} | {net} | {1e3 * row['step']:.1f} | {1e3 * got:.1f} | {100 * (got / row['step'] - 1):+.1f} % "
                      f"| {1e3 * row['reductions']:.1f} | {1e3 * row['meetings']:.1f} |", flush=True)


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    os.environ["XDG_CACHE_HOME"] = folder
    shutil.copy(HERE / "ranks.deq", ".")
    for split, count in (("train", STEPS * BATCH), ("test", 64)):
        subprocess.run([deq.parent / "tests" / "make_idx", f"{split}-images", f"{split}-labels", str(count), "1"], check=True)
    print(f"{os.cpu_count()} cores, load {', '.join(f'{v:.1f}' for v in os.getloadavg())}\n")
    train([], 1, 1)  # compiled from now on
    beside()
    model()
