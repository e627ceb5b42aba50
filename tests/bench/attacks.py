#!/usr/bin/env python3
"""AutoAttack and its parts on 1000 images of the quickstart's net: seconds, processor seconds, what is left.

usage: tests/bench/attacks.py [--threads 2,1] [--parts APGD-CE,..] [--deq build/deq] [--folder build/bench-attacks]

Trains the net of examples/autoattack.deq once, into the folder; later runs take it from there.  Each part runs in a
process of its own, its code compiled beforehand, with nothing in the cache but that.  What a run without an attack
takes (start, data, clean accuracy) is taken off.  Where other programs run beside it, processor seconds divided by the
threads say what an idle machine needs at least."""
import argparse, csv, os, resource, shutil, subprocess, sys, time

here = os.path.dirname(os.path.abspath(__file__))
root = os.path.dirname(os.path.dirname(here))
# part, what it is, the most seconds that it should take on two idle threads
PARTS = [("APGD-CE", "restarts(apgd(radius: 0.1, iterations: 100), 5)", 3),
         ("APGD-T", "apgd_t(radius: 0.1, iterations: 100, targets: 9)", 5.5),
         ("FAB-T", "fab_t(radius: 0.1, iterations: 100, targets: 9)", 15),
         ("Square", "square(radius: 0.1, queries: 5000)", 35),
         ("standard", "autoattack(radius: 0.1)", 45)]
IMPORTS = "import std.attacks (apgd, apgd_t, autoattack, fab_t, pgd, square)"
START = """train net = Net on fashion.train[0..55000] {
  loss:     cross_entropy
  start:    weights("net.safetensors")
  gradient: phantom.unroll(steps: 5, damping: 0.5)
"""
TRAINED = """experiment trained {
  let clean = accuracy(net, fashion.test[0..1000])

  table "trained" { columns: [clean] }
}
"""

def run(deq, folder, cache, script, *flags):
    """Seconds and processor seconds of `deq run`."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run([deq, "run", script, "--quiet", *flags], cwd=folder, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, env={**os.environ, "XDG_CACHE_HOME": cache})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{script}: exit {done.returncode}\n{done.stderr}")
    return time.monotonic() - began, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

def measured(deq, folder, name, head, attack, threads):
    """Seconds, processor seconds and the accuracy of one evaluation, from a cache that holds its code alone."""
    under = f" under {attack}" if attack else ""
    script = os.path.join(folder, name + ".deq")
    with open(script, "w") as f:
        f.write(head + TRAINED.replace("[0..1000]", "[0..1000]" + under))
    cache = os.path.join(folder, "cache")
    shutil.rmtree(cache, ignore_errors=True)
    flags = ("--threads", str(threads), "--results", os.path.join(folder, "results"))
    run(deq, folder, cache, script, "--stop-after=compile", *flags)
    wall, used = run(deq, folder, cache, script, *flags)
    with open(os.path.join(folder, "results", name, "trained.csv")) as f:
        return wall, used, float(next(csv.DictReader(f))["clean"])

def main():
    p = argparse.ArgumentParser()
    p.add_argument("--threads", default="2")
    p.add_argument("--parts", default=",".join(name for name, _, _ in PARTS))
    p.add_argument("--deq", default=os.path.join(root, "build", "deq"))
    p.add_argument("--folder", default=os.path.join(root, "build", "bench-attacks"))
    o = p.parse_args()
    deq, folder = os.path.abspath(o.deq), os.path.abspath(o.folder)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(root, "examples", "autoattack.deq")) as f:
        text = f.read()
    lines = text[:text.index("attack first")].splitlines()
    text = "\n".join(IMPORTS if line.startswith("import std.attacks") else line for line in lines) + "\n\n"
    net = os.path.join(folder, "net.safetensors")
    if not os.path.exists(net):
        with open(os.path.join(folder, "train.deq"), "w") as f:
            f.write(text + TRAINED)
        results = os.path.join(folder, "results")
        run(deq, folder, os.path.join(folder, "cache"), "train.deq", "--results", results)
        shutil.copy(os.path.join(results, "train", "net.safetensors"), net)
    start, end = text.index("train net"), text.index("}\n", text.index("train net"))
    head = text[:start] + START + text[end:]
    for threads in map(int, o.threads.split(",")):
        wall0, used0, clean = measured(deq, folder, "clean", head, None, threads)
        print(f"threads: {threads}; clean accuracy {100 * clean:.1f} %; "
              f"taken off: {wall0:.2f} s, {used0:.2f} s of processor time\n")
        print("| part | s | processor s | processor s / threads | at most, on two idle threads | left |")
        print("|---|--:|--:|--:|--:|--:|", flush=True)
        for name, attack, most in PARTS:
            if name not in o.parts.split(","):
                continue
            wall, used, left = measured(deq, folder, name, head, attack, threads)
            used -= used0
            print(f"| {name} | {wall - wall0:.1f} | {used:.1f} | {used / threads:.1f} | {most} | {100 * left:.1f} % |",
                  flush=True)
        print()

if __name__ == "__main__":
    main()
