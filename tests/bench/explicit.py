#!/usr/bin/env python3
"""ResNet-18 and WideResNet-34-10 beside the same networks in PyTorch: the same work, in turns, in one run.  Prints a table.

usage: tests/bench/explicit.py [--nets resnet18,wide_resnet34] [--batch 8] [--threads 1,2] [--rows step,adversarial] [--rounds 2] [--processor] [--deq build/deq]

The peer's are the modules of tests/python/published.py.  As published.py here, which has what the columns mean.  A WideResNet's step against
PGD-10 takes 20 s of a processor on each side.  Exit 77 where no Python has PyTorch."""
import argparse, os
import turns

NETS = {"resnet18": "ResNet-18", "wide_resnet34": "WideResNet-34-10"}
# a row's title, and what deq calls it
ROWS = {"step": ("training step", "train clean: step"), "adversarial": ("training step against PGD-10", "train attacked: step under pgd10")}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--nets", type=lambda s: s.split(","), default=list(NETS)); turns.options(ap, list(ROWS))
    a = ap.parse_args()
    turns.prepare(a, f"batch {a.batch}")
    print("| net | row | threads | deq ms | PyTorch ms | ratio |\n|---|---|--:|--:|--:|--:|", flush=True)
    for net in a.nets:
        for threads in a.threads:
            peer = turns.Peer(a, "explicit.py", net, a.batch, threads, threads=threads)
            for row in a.rows:
                title, name = ROWS[row]
                heavy = net != "resnet18" and row == "adversarial"
                mine, theirs, ratio, _ = turns.rounds(a, lambda: turns.ours(a, f"{net}.deq", name, threads, 2),
                                                      lambda: peer.seconds(a, row, 1 if heavy else 2, not heavy))
                print(f"| {NETS[net]} | {title} | {threads} | {1e3 * mine:.0f} | {1e3 * theirs:.0f} | {ratio:.2f} |", flush=True)
            peer.close()
    print(f"\nload {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__": main()
