"""The rows of the benchmark: what they are called in the report, in deq's output and in the peers', and how much work they are."""
from collections import namedtuple

# title: in the report; deq: how the row's name ends; peer: in the peers' output; work: evaluations of f and products with J'
Row = namedtuple("Row", "title deq peer work group")

ROWS = [
    Row("f", "f (one block)", "f", 1, "routine"),
    Row("vjp_z", "vjp_z (one block)", "vjp", 1, "routine"),
    *[Row(f"{s} {n}", f"predict, {s} {n}", f"fwd_{s}_{n}", n + 1, "picard" if s == "picard" else "solve") for s in ("broyden", "anderson", "picard") for n in (8, 18, 50)],
    Row("training step, exact 18/20", ": step, exact 18/20", "train_exact_18_20", 42, "gradient"),
    Row("training step, phantom 8+5", ": step, phantom 8+5", "train_phantom_8_k5", 23, "gradient"),
    Row("input gradient, exact 18/20", ": input gradient, exact 18/20", "attackstep_exact_18_20", 41, "gradient"),
    Row("PGD-10, exact 18/20", "attack ten, exact 18/20", "pgd10_exact_18_20", 410, "gradient"),
    Row("input gradient, phantom 8+5", ": input gradient, phantom 8+5", "attackstep_phantom_8_k5", 18, "gradient"),
    Row("PGD-10, phantom 8+5", "attack ten, phantom 8+5", "pgd10_phantom_8_k5", 180, "gradient"),
    Row("input gradient, adjoint ensemble 8", ": input gradient, simultaneous ensemble 8", "attackstep_simadj_ens_8", 18, "gradient"),
    Row("PGD-10, adjoint ensemble 8", "attack ten, simultaneous ensemble 8", "pgd10_simadj_ens_8", 180, "gradient"),
    Row("input gradient, unrolled ensemble 8 x 5", ": input gradient, unrolled ensemble 8 x 5", "attackstep_unrolled_ens_8_k5", 75, "gradient"),
    Row("PGD-10, unrolled ensemble 8 x 5", "attack ten, unrolled ensemble 8 x 5", "pgd10_unrolled_ens_8_k5", 750, "gradient"),
]
BY_TITLE = {r.title: r for r in ROWS}
ROUTINES = [r.title for r in ROWS if r.group == "routine"]
SOLVES = [r.title for r in ROWS if r.group == "solve"]
GRADIENTS = [r.title for r in ROWS if r.group == "gradient"]
WHOLE = [r.title for r in ROWS if r.group != "routine"]
# Batches but the first get these: time is short, and more examples change little.
FEWER = ROUTINES + ["broyden 18", "anderson 18", "training step, exact 18/20", "training step, phantom 8+5"]
# What TorchDEQ can do; its other attacks would be the user's own code.
TORCHDEQ = SOLVES + ["training step, exact 18/20", "training step, phantom 8+5", "input gradient, exact 18/20", "PGD-10, exact 18/20", "input gradient, phantom 8+5", "PGD-10, phantom 8+5"]
TORCHDEQ_FEWER = ["broyden 18", "anderson 18", *TORCHDEQ[-6:-2]]  # with more than one thread
MEMORY = {"exact 18/20": "train_exact_18_20", "phantom 8+5": "train_phantom_8_k5"}  # deq's name, the peer's
MEMORY_MODELS = ("conv64", "mdeq")


def split_model(model):
    """'conv64' -> ('conv', 64), 'mdeq' -> ('mdeq', 0)"""
    kind = model.rstrip("0123456789")
    return kind, int(model[len(kind):] or 0)


def gflop(model, batch):
    """Operations of one f on a batch, 10^9, as peer/models.py counts them."""
    kind, size = split_model(model)
    if kind == "mlp": return 2e-9 * batch * size * size
    if kind == "conv": return 2e-9 * batch * 196 * 9 * size * size * 2
    return 2e-9 * batch * (2 * 196 * 9 * 32 * 32 + 2 * 49 * 9 * 64 * 64 + 49 * 9 * 32 * 64 + 49 * 32 * 64 + 196 * 32 * 32 + 49 * 64 * 64)
