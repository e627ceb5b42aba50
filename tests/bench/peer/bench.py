"""The fastest hand-written PyTorch: KIND SIZE BATCH THREADS [--ops a,b] [--budget s] [--rss]; prints a JSON line for each op.
Leave OPENBLAS_CORETYPE unset and set ATEN_CPU_CAPABILITY=avx512 where the processor has it (run.py does)."""
import warnings
from timing import arguments, grow_all, time_all

a = arguments(__doc__, [("--rss", dict(action="store_true", help="growth of the peak of memory instead of time (THREADS 1, and malloc as it is by default)"))])
import torch
torch.set_num_threads(a.threads); torch.manual_seed(0)
import models as M
import plain as P

x, y = M.fmnist("train", a.batch)
m = P.make(a.kind, a.size); xi = m.inj(x); z0 = m.z0(x); z = torch.randn_like(z0); opt = P.Sgd(m)
u = torch.randn_like(z)


def traced(how):
    """A whole solve with a fixed count of steps as one graph: no Python between operators.  Traced when first called."""
    made = []
    def run():
        if not made:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                made.append(torch.jit.trace(lambda q, c: P.solve(m, c, q, how, 18), (z0, xi), check_trace=False))
        with torch.jit.optimized_execution(False): return made[0](z0, xi)
    return run


ops = {"f": lambda: m.f(z, xi)}
linear = []
def vjp():
    if not linear: linear.append(m.lin(z, xi))
    return linear[0][1](u)
ops["vjp"] = vjp
for how in ("broyden", "anderson", "picard"):
    for n in (8, 18, 50): ops[f"fwd_{how}_{n}"] = lambda how=how, n=n: P.solve(m, xi, z0, how, n)
    if a.kind == "mlp": ops[f"fwd_{how}_18_jit"] = traced(how)
ops["train_exact_18_20"] = lambda: P.step_exact(m, x, y, opt)
ops["train_phantom_8_k5"] = lambda: P.step_phantom(m, x, y, opt)
for name, gradient in dict(exact_18_20=P.grad_exact, phantom_8_k5=P.grad_phantom, simadj_ens_8=P.grad_sim_adjoint, unrolled_ens_8_k5=P.grad_unrolled_inter).items():
    ops["attackstep_" + name] = lambda g=gradient: g(m, x, y)
    ops["pgd10_" + name] = lambda g=gradient: P.pgd(g, m, x, y)
(grow_all if a.rss else time_all)(a, ops)
