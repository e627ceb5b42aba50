"""The same cells under TorchDEQ: KIND SIZE BATCH THREADS [--ops a,b] [--budget s] [--torchdeq FOLDER]; prints a JSON line for each op.
The cells, their injection and head are those of models.py; solver, differentiation and the way the two meet are TorchDEQ's own."""
import sys
from timing import arguments, time_all

a = arguments(__doc__, [("--torchdeq", dict(help="folder that holds the package"))])
if a.torchdeq: sys.path.insert(0, a.torchdeq)
import torch
import torch.nn.functional as F
from torchdeq import get_deq
torch.set_num_threads(a.threads); torch.manual_seed(0)
import models as M

x, y = M.fmnist("train", a.batch)
make, inject, cell, head, start = M.MODELS[a.kind]
p = make(a.size)
LAST = dict(return_final=True)  # the last state, as the other sides take it, without a search for the best one


def deq(solver, steps, **more):
    """Tolerance 0: all steps are taken."""
    return get_deq(f_solver=solver, f_max_iter=steps, f_tol=0.0, b_solver="broyden", b_max_iter=20, b_tol=0.0, **more)


def loss_of(d, pixels):
    xi = inject(p, pixels)
    states, _ = d(lambda z: cell(p, z, xi), start(p, pixels), solver_kwargs=LAST)
    return F.cross_entropy(head(p, states[-1]), y)


def trainable(on):
    for v in p.values(): v.requires_grad_(on)


def solve(solver, steps):
    d = deq(solver, steps).eval()
    xi, z0 = inject(p, x).detach(), start(p, x)
    def call():
        trainable(False)
        with torch.no_grad(): return d(lambda z: cell(p, z, xi), z0, solver_kwargs=LAST)
    return call


def step(d):
    optimiser = torch.optim.SGD(p.values(), lr=0.0, momentum=0.9)
    def call():
        trainable(True)
        optimiser.zero_grad(set_to_none=True)
        loss_of(d, x).backward()
        optimiser.step()
    return call


def gradient(d, pixels):
    pixels = pixels.detach().requires_grad_()
    return torch.autograd.grad(loss_of(d, pixels), pixels)[0]


def attack_step(d):
    def call():
        trainable(False)
        return gradient(d, x)
    return call


def pgd(d, steps=10, radius=8 / 255, length=2 / 255):
    def call():
        trainable(False)
        adversarial = x.clone()
        for _ in range(steps):
            adversarial = adversarial + length * gradient(d, adversarial).sign()
            adversarial = torch.min(torch.max(adversarial, x - radius), x + radius).clamp_(0, 1)
        return adversarial
    return call


modes = dict(exact_18_20=deq("broyden", 18, ift=True), phantom_8_k5=deq("broyden", 8, grad=5, tau=0.5))
ops = {f"fwd_{how}_{n}": solve(how, n) for how in ("broyden", "anderson") for n in (8, 18, 50)}
ops.update({f"train_{name}": step(d) for name, d in modes.items()})
for name, d in modes.items():
    ops["attackstep_" + name] = attack_step(d)
    ops["pgd10_" + name] = pgd(d)
time_all(a, ops)
