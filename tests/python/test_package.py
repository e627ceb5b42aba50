"""The package that `deq build --python` makes of tests/programs/tiny.deq.

usage: ANOTHER=CHECKPOINT test_package.py CHECKPOINT numpy|torch...; ANOTHER is a narrower net's; every check is a function whose name begins with check_.
"""
import copy
import ctypes
import gc
import json
import os
import pickle
import sys
import threading
import weakref

import numpy as np
from net import Error, Net

CHECKPOINT = sys.argv[1]
N = 5
X = (np.arange(N * 64, dtype=np.float32) * 37 % 101 / 101).reshape(N, 1, 8, 8)
Y = np.array([0, 1, 2, 3, 0])
EXACT = {"body.forward": "anderson(tol: 1e-6, max: 200)"}


def exact(**arguments):
    return Net(CHECKPOINT, threads=1, settings=EXACT, gradient="implicit(gmres(tol: 1e-6, max: 200))", **arguments)


def raises(kind, text, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except kind as error:
        assert text in str(error), "%r is not in %r" % (text, str(error))
        return error
    raise AssertionError("no %s" % kind.__name__)


def check_shapes_and_outputs():
    net = exact()
    assert (Net.name, Net.dtype, Net.input_shape, Net.output_shape) == ("Net", "float32", (1, 8, 8), (4,))
    assert (Net.labels, Net.losses, Net.fixed_points) == (4, ("cross_entropy",), ("body",))
    y = net(X)
    assert y.shape == (N, 4) and y.dtype == np.float32
    assert net.status.solves == N and net.status.unconverged == 0
    assert np.array_equal(net(X[2:3]), y[2:3])  # no result depends on the other examples
    assert net(X[:0]).shape == (0, 4)
    assert not np.array_equal(Net(CHECKPOINT, seed=3)(X), Net(seed=3)(X))


def check_vjp_and_gradient():
    net = exact()
    v = np.random.default_rng(1).standard_normal((N, 4)).astype(np.float32)
    dx, d = net.vjp(X, v, parameters=True)
    direction = np.random.default_rng(2).standard_normal(X.shape).astype(np.float32)
    h = np.float32(1e-2)
    difference = float(((net(X + h * direction) - net(X - h * direction)) * v).sum() / (2 * h))
    assert abs(difference - float((dx * direction).sum())) < 2e-2 * abs(difference) + 1e-3
    outputs, kept = net.keep(X)
    again, e = net.vjp(kept, v, parameters=True)
    assert np.array_equal(outputs, net(X)) and np.array_equal(again, dx)
    assert set(d) == {"body.W", "body.U", "body.b", "head.W", "head.b"}
    assert all(np.array_equal(d[k], e[k]) for k in d)
    assert np.allclose(d["head.b"], v.sum(0), atol=1e-5)
    losses, g = net.gradient(X, Y)
    p = np.exp(outputs - outputs.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    assert np.allclose(losses, -np.log(p[np.arange(N), Y]), atol=1e-5) and losses.dtype == np.float64
    p[np.arange(N), Y] -= 1
    assert np.allclose(g, net.vjp(X, p.astype(np.float32)), atol=1e-5)
    assert np.array_equal(g, net.gradient(X, Y.astype(np.uint8))[1])


def check_parameters():
    net = exact()
    arrays = net.arrays()
    before = net(X)
    kept = net.keep(X)[1]
    arrays["head.b"][1] += 1
    net.prepare()
    assert np.allclose(net(X)[:, 1], before[:, 1] + 1, atol=1e-5)
    assert raises(Error, "changed", net.vjp, kept, before).code == "E0943"
    state = net.state_dict()
    assert state["head.weight"].shape == (4, 24) and list(state) == [
        "body.W", "body.U", "body.b", "head.weight", "head.bias"]
    other = Net(threads=1, settings=EXACT)
    other.load_state_dict(state)
    assert np.array_equal(other(X), net(X))
    raises(ValueError, "head.bias is missing", other.load_state_dict, {k: v for k, v in state.items() if k != "head.bias"})
    raises(ValueError, "has the shape [3]", other.load_state_dict, {**state, "head.bias": state["head.bias"][:3]})
    raises(ValueError, "head.bias has elements of type int64", other.load_state_dict, {**state, "head.bias": np.arange(4)})
    raises(ValueError, "num_batches_tracked is unknown", other.load_state_dict, {**state, "head.num_batches_tracked": Y})
    assert np.array_equal(other(X), net(X))
    weights = net.arrays()["head.W"]
    del net, arrays, state
    gc.collect()
    assert np.isfinite(weights.sum())  # a view keeps the memory alive


def check_solves_and_attacks():
    net = exact()
    s = net.solve(X, "body", states=(2, 60))
    assert s.equilibrium.shape == (N, 24) and s.states.shape == (N, 59, 24) and s.residuals.shape == (N, 59)
    assert s.converged.all() and not s.diverged.any() and (s.steps > 1).all() and (s.residual < 1e-5).all()
    assert np.allclose(s.states[:, -1], s.equilibrium, atol=1e-4)
    assert np.isnan(s.residuals[:, -1]).all() and (s.residuals[:, 0] > s.residual).all()
    z = s.equilibrium
    a = net.arrays()
    assert np.allclose(np.tanh(z @ a["body.W"] + X.reshape(N, 64) @ a["body.U"] + a["body.b"]), z, atol=1e-4)
    assert net.solve(X).states is None
    raises(ValueError, "it has: body", net.solve, X, "boddy")
    assert net.attacks == ["weak", "exact"]
    adversarial = net.attack("exact", X, Y, seed=7)
    assert 0.01 < np.abs(adversarial - X).max() < 0.0201
    assert (net.gradient(adversarial, Y)[0] > net.gradient(X, Y)[0]).all()
    assert np.array_equal(adversarial[:1], net.attack("exact", X[:1], Y[:1], seed=7))
    assert raises(Error, "weak, exact", net.attack, "strong", X, Y).code == "E0901"
    for attack, inputs in ((None, X), ("exact", adversarial)):
        records = net.journal(X, Y, attack, seed=7)
        assert records.dtype.names[:4] == ("id", "label", "prediction", "metric") and (records["id"] == np.arange(len(X))).all()
        assert (records["prediction"] == net(inputs).argmax(1)).all() and (records["label"] == Y).all()
        assert (records["metric"] == (records["prediction"] == Y)).all()
        assert np.allclose(records["loss"], net.gradient(inputs, Y)[0], rtol=1e-6)
        assert (records["queries"] == (5 if attack else 0)).all() and (records["processor_seconds"] > 0).all()
    assert raises(Error, "weak, exact", net.journal, X, Y, "strong").code == "E0901"


def check_bad_input():
    net = exact()
    raises(TypeError, "float64; Net takes float32", net, X.astype(np.float64))
    raises(TypeError, ">f4", net, X.astype(">f4"))
    raises(TypeError, "list", net, X.tolist())
    raises(ValueError, "[n, 1, 8, 8]", net, X[0])
    raises(ValueError, "[5, 64]", net, X.reshape(N, 64))
    wrong = X.copy()
    wrong[1, 0, 0, 5] = np.nan
    assert raises(Error, "element 5 of 'input' of example 1", net, wrong).code == "E0804"
    raises(Error, "not a label below 4", net.gradient, X, Y + 1)
    raises(ValueError, "y has 4 examples, x has 5", net.gradient, X, Y[:4])
    raises(TypeError, "float32; Net takes int64", net.gradient, X, Y.astype(np.float32))
    raises(ValueError, "cotangent has 2 examples", net.vjp, X, np.zeros((2, 4), np.float32))
    raises(Error, "is inf", net.vjp, X, np.full((N, 4), np.inf, np.float32))
    strided = np.asfortranarray(X)  # not contiguous: copied
    assert np.array_equal(net(strided), net(X)) and np.array_equal(net(X[::-1])[::-1], net(X))
    fixed = X.copy()
    fixed.flags.writeable = False  # arrays that are given are only read
    assert np.array_equal(net(fixed), net(X)) and net.gradient(fixed, Y)[1].flags.writeable
    apart = np.frombuffer(b"\0" + X.tobytes(), np.float32, offset=1).reshape(X.shape)  # between two addresses of floats
    assert np.array_equal(net(apart), net(X))
    raises(TypeError, "x is masked", net, np.ma.array(X, mask=True))
    raises(TypeError, "loss is a int", net.gradient, X, Y, loss=3)
    raises(TypeError, "name is a NoneType", net.attack, None, X, Y)
    raises(TypeError, "attack is a int", net.journal, X, Y, 3)
    raises(TypeError, "states is a number", net.solve, X, states="all")
    raises(TypeError, "fixed is a int", net.solve, X, 1)
    for seed in (-1, 2**64):  # as it is or not at all: two seeds are two
        raises(ValueError, "seed is %d" % seed, net.attack, "weak", X, Y, seed=seed)
        raises(ValueError, "seed is %d" % seed, net.journal, X, Y, seed=seed)
        raises(ValueError, "seed is %d" % seed, Net, seed=seed)
    for threads in (-1, 10**6):
        raises(ValueError, "threads is %d" % threads, Net, threads=threads)
        raises(ValueError, "threads is %d" % threads, net.share, threads)
    raises(ValueError, "has a NUL", net.set, "gradient", "jfb()\0")
    raises(ValueError, "has a NUL", net.load, "net.safetensors\0")
    assert raises(Error, "checkpoint", net.load, __file__).code == "E0811"
    assert raises(Error, "toll", net.set, "body.forward.toll", 1).code == "E0901"
    raises(Error, "", Net, os.devnull)
    before = net(X)
    assert raises(Error, "'body.W' has shape [20, 20]", net.load, os.environ["ANOTHER"]).code == "E0811"
    assert np.array_equal(net(X), before)


def check_copies():
    """A copy would be used after the net's memory is freed."""
    net = exact()
    for whole in (net, net.keep(X)[1]):
        for call in (copy.copy, copy.deepcopy, pickle.dumps):
            raises(TypeError, "neither copied nor pickled", call, whole)
    raises(TypeError, "neither copied nor pickled", pickle.dumps, {"net": net})


def check_another_library():
    """A library of another interface, or of another net, is no Net."""
    import importlib.util
    import net as package
    folder = os.path.dirname(package.__file__)
    description = json.load(open(os.path.join(folder, "net.json")))
    os.makedirs("other", exist_ok=True)
    for name in ("__init__.py", "libNet.so"):
        open("other/" + name, "wb").write(open(os.path.join(folder, name), "rb").read())
    json.dump({**description, "abi": description["abi"] + 1}, open("other/net.json", "w"))
    spec = importlib.util.spec_from_file_location("other", "other/__init__.py")
    raises(ImportError, "another interface", spec.loader.exec_module, importlib.util.module_from_spec(spec))


def check_threads():
    net, results = exact(), {}
    expected = net(X)
    shared = [net.share() for _ in range(3)]
    workers = [threading.Thread(target=lambda i=i: results.update({i: shared[i](X)})) for i in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all(np.array_equal(results[i], expected) for i in range(3)) and shared[0].threads == 1


def check_fork():
    """The threads of a net do not follow a fork: the child is told so."""
    net = exact()
    child = os.fork()
    if child == 0:
        try:
            raises(Error, "E0943: the context was made before a fork", net, X)
            os._exit(0 if exact()(X).shape == (N, 4) else 1)
        except BaseException:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0


def check_torch():
    import torch
    net = exact()
    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    assert torch.equal(net(x), torch.from_numpy(net(X))) and not net(x).requires_grad
    x.requires_grad_()
    loss = torch.nn.functional.cross_entropy(net(x), y, reduction="sum")
    loss.backward()
    assert torch.allclose(x.grad, torch.from_numpy(net.gradient(X, Y)[1]), atol=1e-5)
    with torch.no_grad():
        assert not net(x).requires_grad
    raises(TypeError, "float64", net, x.detach().double())
    raises(TypeError, "x is sparse", net, x.detach().to_sparse())
    raises(TypeError, "y is a torch.Tensor", net.gradient, X, y)
    # torch would take the gradient for a constant in what is differentiated again
    slope, = torch.autograd.grad(net(x).square().sum(), x, create_graph=True)
    raises(NotImplementedError, "first derivatives only", (net(x).sum() + slope.norm()).backward)
    assert torch.equal(slope, torch.autograd.grad(net(x).square().sum(), x)[0])
    raises(NotImplementedError, "first derivatives only", torch.autograd.functional.hessian, lambda v: net(v).sum(), x)
    raises(NotImplementedError, "first derivatives only", torch.autograd.functional.jvp, net, x, torch.ones_like(x))
    assert torch.autograd.functional.jacobian(net, x[:1]).shape == (1, 4, 1, 1, 8, 8)
    raises(TypeError, "y is a ndarray", net.gradient, x.detach(), Y)
    # parameters share the memory; an optimiser's step is a step of the net
    parameters = dict(net.named_parameters())
    assert torch.equal(parameters["head.W"].detach(), torch.from_numpy(net.arrays()["head.W"]))
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    optimiser.zero_grad()
    torch.nn.functional.cross_entropy(net(x), y).backward()
    _, _, d = net.gradient(X, Y, parameters=True)
    for path, p in parameters.items():
        assert torch.allclose(p.grad, torch.from_numpy(d[path]), atol=1e-5), path
    before = net.gradient(X, Y)[0].mean()
    optimiser.step()
    assert net.gradient(X, Y)[0].mean() < before
    # two outputs of one net in one graph, and a net between torch's own layers
    front = torch.nn.Linear(3, 64)
    out = net(front(torch.ones(2, 3)).reshape(2, 1, 8, 8)).sum() + net(x[:2]).sum()
    out.backward()
    assert front.weight.grad.abs().sum() > 0 and parameters["body.W"].grad is not None
    output = net(x)
    with torch.no_grad():
        parameters["head.b"].add_(1)
    net(x.detach())
    raises(Error, "changed", output.sum().backward)
    state = net.state_dict()
    layer = torch.nn.Linear(24, 4)
    layer.load_state_dict({"weight": state["head.weight"], "bias": state["head.bias"]})
    z = net.solve(x.detach()).equilibrium
    assert torch.allclose(layer(z), net(x.detach()), atol=1e-5)
    net.load_state_dict({k: v.clone() for k, v in state.items()})
    with_own = exact()
    list(with_own.parameters())[0].data = torch.zeros(24, 24)  # as .to() and .double() of a module do
    raises(RuntimeError, "body.W is no longer in the net's memory", with_own, x)
    # a step through one net is a step of those that share its parameters; nothing of them stays when all are gone
    other = net.share()
    assert dict(other.named_parameters())["head.b"] is parameters["head.b"]
    with torch.no_grad():
        parameters["head.b"].add_(1)
    assert torch.allclose(other(x.detach()), output + 2, atol=1e-5)
    gone = weakref.ref(other._context.owner)
    assert torch.equal(net.attack("weak", x.detach(), y), torch.from_numpy(net.attack("weak", X, Y)))
    del net, other, optimiser, parameters, state, output, out, loss, layer, p, slope
    gc.collect()
    assert gone() is None


if __name__ == "__main__":
    for name, check in list(globals().items()):
        if name.startswith("check_") and (name != "check_torch" or "torch" in sys.argv[2:]):
            check()
            print(name)
