#!/usr/bin/env python3
"""MDEQ LARGE, or XL, at its published size beside the public code of its authors: the same work, in turns, in one run.  Prints a table.

usage: tests/bench/published.py FOLDER [--net large] [--batch 8] [--threads 1,2] [--rows f,vjp,phantom,exact,adversarial] [--rounds 2] [--processor] [--deq build/deq]

FOLDER is a checkout of github.com/locuslab/deq.  Each round measures a row on one side and then on the other, so that other work on the
machine touches both; the table gives the least time of each side, and the median of the rounds' ratios.  --processor: seconds that processors
spend instead of the clock's, for machines with other work; with two threads they are those of both.  Exit 77 where no Python has PyTorch."""
import argparse, os
import turns

# a row's title, and what deq calls it
ROWS = {"f": ("f", "body.f (one block)"),
        "vjp": ("J'u", "body.vjp_z (one block)"),
        "phantom": ("training step, phantom 8+5", "train {}: step, phantom 8+5"),
        "exact": ("training step, exact 8/7", "train {}: step, exact 8/7"),
        "adversarial": ("training step against PGD-10, phantom 8+5", "train {}: step under pgd10")}
SHORT = ("f", "vjp")


def ours(a, row, threads):
    """In predict.deq solves take all their steps.  A call of more than 8 budgets is no warm-up, but counts (deq bench); steps under attack have
    a budget that keeps theirs, which touches a gigabyte and more: on the other side other steps have done so before."""
    budget = 0.5 if row in SHORT else max(8, a.batch / 3) if row == "adversarial" else 4
    return turns.ours(a, "predict.deq", ROWS[row][1].format(a.net), threads, budget, "--net", a.net)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("folder"); ap.add_argument("--net", choices=["large", "xl"], default="large"); turns.options(ap, list(ROWS))
    a = ap.parse_args()
    turns.prepare(a, f"batch {a.batch}")
    print(f"| MDEQ {a.net.upper()} | threads | deq ms | public code ms | ratio | of the peak |\n|---|--:|--:|--:|--:|--:|", flush=True)
    for threads in a.threads:
        peer = turns.Peer(a, "mdeq_public.py", os.path.abspath(a.folder), a.net, a.batch, threads, threads=threads)
        for row in a.rows:
            if threads > 1 and row in SHORT: continue  # deq's row is one block, on one thread
            mine, theirs, ratio, share = turns.rounds(a, lambda: ours(a, row, threads), lambda: peer.seconds(a, row, 5 if row in SHORT else 1, row != "adversarial"))
            print(f"| {ROWS[row][0]} | {threads} | {1e3 * mine:.0f} | {1e3 * theirs:.0f} | {ratio:.2f} | {f'{100 * share:.0f}%' if share else ''} |", flush=True)
        peer.close()
    print(f"\nload {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__": main()
