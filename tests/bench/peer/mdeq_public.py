"""MDEQ LARGE or XL in the public code of its authors (github.com/locuslab/deq): FOLDER NET BATCH THREADS.

FOLDER is a checkout; nothing of it is copied here.  A line on standard input names an op, a JSON line on standard output
says what one call of it took.  The network, its fixed point and its Broyden solver are the public code's.  What that code
lacks is here: phantom gradients, and an attack; and its exact gradient without the hook that calls CUDA."""
import argparse, importlib.util, json, os, sys, time, types


def stand_in(package, part, **members):
    """The public code imports it and needs nothing of it here: where it is not installed, an empty one will do."""
    if importlib.util.find_spec(package): return
    module = types.ModuleType(part)
    module.__dict__.update(members)
    sys.modules.update({package: sys.modules.get(package, module), part: module})


ap = argparse.ArgumentParser(description=__doc__)
ap.add_argument("folder"); ap.add_argument("net"); ap.add_argument("batch", type=int); ap.add_argument("threads", type=int)
a = ap.parse_args()
stand_in("termcolor", "termcolor", colored=lambda text, *_: text)
stand_in("scipy", "scipy.optimize", root=None)
vision = os.path.join(a.folder, "MDEQ-Vision")
sys.path[:0] = [a.folder, os.path.join(vision, "lib"), os.path.join(vision, "lib", "models")]
import torch
import torch.nn.functional as F
torch.set_num_threads(a.threads); torch.manual_seed(0)
from lib.layer_utils import list2vec, vec2list
from lib.solvers import broyden
from mdeq import MDEQClsNet

# channels of the branches, channels of the head, its last size, parameters: experiments/cifar/cls_mdeq_LARGE.yaml, and XL as std.mdeq has it
CHANNELS, HEAD, FINAL, COUNT = {"large": ([32, 64, 128, 256], [14, 28, 56, 112], 1680, 11097438),
                                "xl": ([72, 144, 288, 576], [20, 40, 80, 160], 1800, 48792098)}[a.net]
CONFIG = dict(
    MODEL=dict(NUM_LAYERS=10, NUM_CLASSES=10, NUM_GROUPS=8, DROPOUT=0.22, WNORM=True, DOWNSAMPLE_TIMES=0, EXPANSION_FACTOR=5, POST_GN_AFFINE=False,
               BLOCK_GN_AFFINE=True, FUSE_GN_AFFINE=True,
               EXTRA=dict(FULL_STAGE=dict(NUM_MODULES=1, NUM_BRANCHES=4, BLOCK="BASIC", BIG_KERNELS=[0] * 4, HEAD_CHANNELS=HEAD, FINAL_CHANSIZE=FINAL,
                                          NUM_BLOCKS=[1] * 4, NUM_CHANNELS=CHANNELS))),
    TRAIN=dict(PRETRAIN_STEPS=0), DEQ=dict(F_SOLVER="broyden", B_SOLVER="broyden", F_THRES=8, B_THRES=7, STOP_MODE="rel"))
net = MDEQClsNet(CONFIG)
net.init_weights()
count = sum(p.numel() for p in net.parameters())
if count != COUNT: sys.exit(f"MDEQ {a.net.upper()} has {COUNT} parameters, this network {count}")
optimiser = torch.optim.Adam(net.parameters(), lr=1e-9)  # every call finds the same network
x, y = torch.rand(a.batch, 3, 32, 32), torch.randint(10, (a.batch,))


def start(image):
    """f of this batch, its first state, and the shapes of the branches."""
    u = net.stage0(net.downsample(image))
    us, n = [u], len(net.num_channels)
    for i in range(1, n): us.append(u.new_zeros(len(u), net.num_channels[i], u.shape[2] >> i, u.shape[3] >> i))
    zs = [torch.zeros_like(q) for q in us]
    shapes = [tuple(q.shape[1:]) for q in zs]
    net.fullstage._reset(zs)  # masks of dropout, weights of their norms
    return (lambda z: list2vec(net.fullstage(vec2list(z, shapes), us))), list2vec(zs), shapes


def solve(f, z, steps):
    with torch.no_grad(): return broyden(f, z, threshold=steps, eps=0.0)["result"]


def phantom(image):
    f, z, shapes = start(image)
    z = solve(f, z, 8)
    for _ in range(5): z = 0.5 * f(z) + 0.5 * z
    return F.cross_entropy(net.predict(vec2list(z, shapes)), y)


def exact(image):
    f, z, shapes = start(image)
    z = solve(f, z, 8).requires_grad_()
    value = f(z)
    again = value.detach().requires_grad_()
    loss = F.cross_entropy(net.predict(vec2list(again, shapes)), y)
    return loss, value, z, again


def update(): optimiser.step()


def step_phantom(image=x):
    net.train(); optimiser.zero_grad()
    phantom(image).backward()
    update()


def step_exact():
    net.train(); optimiser.zero_grad()
    loss, value, z, again = exact(x)
    loss.backward()  # the head; then the adjoint solve, and its end through f and the injection
    cotangent = again.grad
    adjoint = broyden(lambda q: torch.autograd.grad(value, z, q, retain_graph=True)[0] + cotangent, torch.zeros_like(cotangent), threshold=7, eps=0.0)["result"]
    value.backward(adjoint)
    update()


def step_adversarial():
    net.eval()
    image = (x + (torch.rand_like(x) * 2 - 1) * 8 / 255).clamp(0, 1)
    for _ in range(10):
        image.requires_grad_()
        gradient = torch.autograd.grad(phantom(image), image)[0]
        image = image.detach() + 2 / 255 * gradient.sign()
        image = torch.minimum(torch.maximum(image, x - 8 / 255), x + 8 / 255).clamp(0, 1)
    step_phantom(image)


kept = []
def routine():
    """f at a state of noise, its first state put in place of it."""
    if not kept:
        net.eval()
        with torch.no_grad(): f, z, _ = start(x)
        z = torch.randn_like(z)
        point = z.clone().requires_grad_()
        kept.extend((f, z, point, f(point), torch.randn_like(z)))
    return kept


def call_f():
    f, z, *_ = routine()
    with torch.no_grad(): f(z)


def call_vjp():
    _, _, point, value, u = routine()
    torch.autograd.grad(value, point, u, retain_graph=True)


ops = dict(f=call_f, vjp=call_vjp, phantom=step_phantom, exact=step_exact, adversarial=step_adversarial)
print(json.dumps(dict(ready=True, torch=torch.__version__, onednn=torch.backends.mkldnn.is_available())), flush=True)
for line in sys.stdin:
    began, spent = time.perf_counter(), time.process_time()
    ops[line.strip()]()
    print(json.dumps(dict(wall=time.perf_counter() - began, processor=time.process_time() - spent)), flush=True)
