"""A net compiled by deq: outputs, gradients, states and attacks, on numpy arrays and torch tensors.

    from PACKAGE import Net
    net = Net("net.safetensors")
    logits = net(images)                      # numpy in, numpy out; torch in, torch out, with autograd

Arrays have the net's real type (Net.dtype) and the shape [n, *Net.input_shape]: one example after another, n may be 0.
Contiguous arrays are used where they are; others are copied first. An array of another type is a TypeError, of another
shape a ValueError; what the net itself refuses (NaN among the inputs, a label that is none, a checkpoint of another net)
is an Error with deq's code. Arrays that are given are only read. A net is used by one thread at a time; see Net.share.
"""
import collections
import ctypes
import json
import operator
import os
import re
import sys
import weakref

__all__ = ["Net", "Error", "Solve", "Status"]
_HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(_HERE, "net.json"), encoding="utf-8") as _file:
    _PACKAGE = json.load(_file)
_NAME, _SPEC = _PACKAGE["name"], _PACKAGE["net"]
_WIDE = _PACKAGE["real"] == "f64"
_REAL, _BYTES, _DTYPE = (ctypes.c_double, 8, "float64") if _WIDE else (ctypes.c_float, 4, "float32")
_LABELS = _SPEC["target"].get("label")


class Error(RuntimeError):
    """What the net refused. `code` is deq's ("E0804"); `deq explain CODE` tells more."""

    def __init__(self, text):
        super().__init__(text)
        self.code = text.split(":", 1)[0]


class _CStatus(ctypes.Structure):
    _fields_ = [("solves", ctypes.c_int64), ("unconverged", ctypes.c_int64), ("diverged", ctypes.c_int64),
                ("mean_steps", ctypes.c_double), ("mean_residual", ctypes.c_double), ("worst_residual", ctypes.c_double),
                ("worst_example", ctypes.c_int64), ("adjoint_solves", ctypes.c_int64),
                ("adjoint_unconverged", ctypes.c_int64), ("adjoint_mean_steps", ctypes.c_double),
                ("adjoint_worst_residual", ctypes.c_double)]


class _CExample(ctypes.Structure):
    _fields_ = [("steps", ctypes.c_int64), ("residual", ctypes.c_double), ("converged", ctypes.c_int32),
                ("diverged", ctypes.c_int32)]


class _COptions(ctypes.Structure):
    _fields_ = [("threads", ctypes.c_int), ("seed", ctypes.c_uint64)]


Status = collections.namedtuple("Status", [name for name, _ in _CStatus._fields_])
Status.__doc__ = "How the solves of the last call went: counts, means over examples, the worst residual and its example."
Solve = collections.namedtuple("Solve", "equilibrium states residuals steps residual converged diverged")
Solve.__doc__ = """What Net.solve found. Of n examples, with states of d elements and m states asked for:
equilibrium [n, d]; states [n, m, d] or None; residuals [n, m] (float32, NaN after an example's end) or None; steps [n]
(int64); residual [n] (float64); converged [n] and diverged [n] (bool)."""


def _open():
    library = ctypes.CDLL(os.path.join(_HERE, "lib%s.so" % _NAME))
    if not hasattr(library, _NAME + "_abi") or getattr(library, _NAME + "_abi")() != _PACKAGE["abi"]:
        raise ImportError("lib%s.so has another interface than this package: build both with the same deq" % _NAME)
    pointer, whole, text, status = ctypes.c_void_p, ctypes.c_int64, ctypes.c_char_p, ctypes.POINTER(_CStatus)
    number = ctypes.c_int
    table = {
        "new": (pointer, [ctypes.POINTER(_COptions)]), "share": (pointer, [pointer, ctypes.POINTER(_COptions)]),
        "free": (None, [pointer]), "error": (text, [pointer]), "load": (number, [pointer, text]),
        "set": (number, [pointer, text, text]), "threads": (number, [pointer]), "prepare": (number, [pointer]),
        "parameters": (pointer, [pointer]), "parameter_size": (whole, [pointer]), "state_size": (whole, [pointer, text]),
        "forward": (number, [pointer, whole, pointer, pointer, status]),
        "forward_keep": (pointer, [pointer, whole, pointer, pointer, status]), "kept_free": (None, [pointer]),
        "vjp": (number, [pointer, whole, pointer, pointer, pointer, pointer, status]),
        "vjp_kept": (number, [pointer, pointer, pointer, pointer, pointer, status]),
        "gradient": (number, [pointer, whole, pointer, pointer, text, pointer, pointer, pointer, status]),
        "solve": (number, [pointer, whole, pointer, text, number, number, pointer, pointer, pointer, pointer, status]),
        "attack_name": (text, [pointer, number]),
        "attack": (number, [pointer, text, whole, pointer, pointer, ctypes.c_uint64, pointer, status]),
        "journal": (number, [pointer, text, whole, pointer, pointer, ctypes.c_uint64, pointer]),
    }
    if _LABELS:
        for name in ("gradient", "attack", "journal"):
            table[name + "_labels"] = table[name]
    functions = {}
    for name, (result, arguments) in table.items():
        function = getattr(library, "%s_%s" % (_NAME, name))
        function.restype, function.argtypes = result, arguments
        functions[name] = function
    return collections.namedtuple("Functions", functions)(**functions)


_C = _open()


def _torch_of(x):
    """torch, where x is one of its tensors; else None. torch is not imported for this."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and isinstance(x, torch.Tensor) else None


class _Arrays:
    """Makes and reads arrays of one kind: numpy's, or torch's when `torch` is the module."""

    def __init__(self, torch):
        self.torch = torch
        if not torch:
            import numpy
            self.numpy = numpy

    def empty(self, shape, dtype=_DTYPE):
        if self.torch:
            return self.torch.empty(shape, dtype=getattr(self.torch, dtype))
        return self.numpy.empty(shape, dtype=dtype)

    def address(self, array):
        return array.data_ptr() if self.torch else array.ctypes.data

    def given(self, array, shape, what, dtype=_DTYPE):
        """The array, contiguous, after a look at its type and shape; shape without n."""
        if self.torch:
            if not isinstance(array, self.torch.Tensor):
                raise TypeError("%s is a %s; a torch.Tensor goes with the other tensor" % (what, type(array).__name__))
            if array.layout is not self.torch.strided:
                raise TypeError("%s is sparse; a net takes every element: .to_dense()" % what)
            if array.device.type != "cpu":
                raise TypeError("%s is on %s; a compiled net computes on the processor: .cpu()" % (what, array.device))
            array, have = array.detach(), str(array.dtype).replace("torch.", "")
        else:
            if _torch_of(array):
                raise TypeError("%s is a torch.Tensor; an array of numpy goes with the other array" % what)
            if not isinstance(array, self.numpy.ndarray):
                raise TypeError("%s is a %s, not an array of numpy or a tensor of torch" % (what, type(array).__name__))
            if isinstance(array, self.numpy.ma.MaskedArray):
                raise TypeError("%s is masked; a net takes every element: .filled(value)" % what)
            have = array.dtype.name if array.dtype.isnative else array.dtype.str
        whole = have.startswith(("int", "uint")) and dtype == "int64"
        if have != dtype and not whole:
            raise TypeError("%s has elements of type %s; %s takes %s" % (what, have, _NAME, dtype))
        if len(array.shape) != len(shape) + 1 or tuple(array.shape[1:]) != tuple(shape):
            raise ValueError("%s has the shape %s; %s takes [n%s]" % (
                what, list(array.shape), _NAME, "".join(", %d" % d for d in shape)))
        if have != dtype:
            array = array.to(self.torch.int64) if self.torch else array.astype("int64")
        return array.contiguous() if self.torch else self.numpy.require(array, requirements="CA")


def _word(value, what):
    """A text for the library, which takes it up to its first NUL."""
    if not isinstance(value, str):
        raise TypeError("%s is a %s, not a text" % (what, type(value).__name__))
    if "\0" in value:
        raise ValueError("%s has a NUL" % what)
    return value.encode()


def _number(value, what, most):
    """A whole number from 0: ctypes would cut off what is beyond."""
    value = operator.index(value)
    if not 0 <= value <= most:
        raise ValueError("%s is %d: it goes from 0 to %d" % (what, value, most))
    return value


_SEED = 2**64 - 1
_THREADS = 1024


def _arrays_like(x):
    return _Arrays(_torch_of(x))


class _Whole:
    """Something of the library's memory, by its address: a copy would be used after it is freed."""

    def __reduce_ex__(self, protocol):
        raise TypeError("a %s is neither copied nor pickled: Net.share() has the same parameters, Net.state_dict() what "
                        "to save" % type(self).__name__.lstrip("_"))


class _Context(_Whole):
    """A context of the library: freed with its last reference, after those that share its parameters. What is used
    through it without the Net, views of its memory, refers to it."""

    def __init__(self, pointer, owner=None):
        self.pointer, self.owner = pointer, owner
        weakref.finalize(self, _C.free, pointer)


class _Kept(_Whole):
    """A kept forward: freed with its last reference, before its context."""

    def __init__(self, net, pointer, n, make):
        self.net, self.context, self.pointer, self.n, self.make = net, net._context, pointer, n, make
        weakref.finalize(self, _C.kept_free, pointer)


class _Shared:
    """What nets that share parameters have in common: torch's parameters, and their versions when last looked at."""

    torch, seen, places = (), [], []

    def versions(self):
        """Of parameters that are still where the net reads them."""
        for (path, p), place in zip(self.torch, self.places):
            if p.data_ptr() != place:
                raise RuntimeError("the parameter %s is no longer in the net's memory: its .data was replaced, as .to() "
                                   "and .double() do" % path)
        return [p._version for _, p in self.torch]


# PyTorch's names for the parameters of the library's layers, and whether PyTorch has them transposed.
_TORCH_NAMES = {
    "Dense": {"W": ("weight", True), "b": ("bias", False)}, "Linear": {"W": ("weight", True)},
    "Conv": {"b": ("bias", False)}, "LayerNorm": {"gain": ("weight", False)}, "GroupNorm": {"gain": ("weight", False)},
    "ImageLayerNorm": {"gain": ("weight", False)},
    "BatchNorm": {"gain": ("weight", False), "running_variance": ("running_var", False)},
}
_LAYERS = {layer["path"]: re.sub("(_[0-9]+)+$", "", layer["layer"]) for layer in _SPEC["layers"]}


class Net(_Whole):
    """The net, with parameters of its own and worker threads.

    checkpoint  what a training run of this net wrote (NET.safetensors), in either precision; None: parameters as the
                script draws them, by `seed`
    threads     worker threads, of which the caller's is one; 1: only that; 0: one for each processor
    gradient    the gradient mode of every fixed point, as in a script: "implicit(gmres(tol: 1e-5))", "jfb()"
    settings    other settings by their paths: {"body.forward.tol": "1e-6"}
    """

    name = _NAME
    dtype = _DTYPE
    input_shape = tuple(_SPEC["input"])
    output_shape = tuple(_SPEC["output"])
    labels = _LABELS  # classes of the target; None: the target has target_shape
    target_shape = () if _LABELS else tuple(_SPEC["target"]["shape"])
    losses = tuple(loss["name"] for loss in _SPEC["losses"])
    fixed_points = tuple(dict.fromkeys(fixed["path"] for fixed in _SPEC["fixed"]))

    def __init__(self, checkpoint=None, *, threads=0, seed=0, gradient=None, settings=None, _context=None, _shared=None):
        self._status, self._shared = _CStatus(), _shared or _Shared()
        pointer = _context.pointer if _context else _C.new(ctypes.byref(
            _COptions(_number(threads, "threads", _THREADS), _number(seed, "seed", _SEED))))
        if not pointer:
            raise Error(_C.error(None).decode())
        self._pointer, self._context = pointer, _context or _Context(pointer)
        if checkpoint is not None:
            self.load(checkpoint)
        for path, value in (settings or {}).items():
            self.set(path, value)
        if gradient is not None:
            self.set("gradient", gradient)

    def share(self, threads=1):
        """Another Net with the same parameters in the same memory and the settings of now, for another thread."""
        pointer = _C.share(self._pointer, ctypes.byref(_COptions(_number(threads, "threads", _THREADS), 0)))
        if not pointer:
            raise Error(_C.error(self._pointer).decode())
        return Net(_context=_Context(pointer, self._context.owner or self._context), _shared=self._shared)

    def _check(self, code):
        if code:
            raise Error(_C.error(self._pointer).decode())

    # ---- settings and parameters ----
    def load(self, checkpoint):
        """Parameters from a checkpoint of this net; one that does not fit changes nothing (Error, E0811)."""
        path = os.fsencode(checkpoint)
        if b"\0" in path:
            raise ValueError("the checkpoint's path has a NUL")
        self._check(_C.load(self._pointer, path))
        self._note()

    def set(self, path, value):
        """A setting of a fixed point, as in a script: set("body.forward.tol", 1e-6), set("gradient", "jfb()")."""
        self._check(_C.set(self._pointer, _word(path, "path"), _word(str(value), path)))

    @property
    def threads(self):
        """Worker threads, the caller's among them."""
        return _C.threads(self._pointer)

    @property
    def status(self):
        """Status of the solves of the last call."""
        return Status(*(getattr(self._status, name) for name in Status._fields))

    @property
    def attacks(self):
        """Names of the attacks that the script trains or evaluates this net with."""
        names, index = [], 0
        while True:
            name = _C.attack_name(self._pointer, index)
            if name is None:
                return names
            names.append(name.decode())
            index += 1

    def _memory(self):
        size = _C.parameter_size(self._pointer)
        memory = (_REAL * size).from_address(_C.parameters(self._pointer))
        memory._context = self._context.owner or self._context  # a view keeps it alive
        return memory

    @staticmethod
    def _views(vector, trained):
        for p in _SPEC["parameters"]:
            if trained is not None and p["trained"] != trained:
                continue
            count = 1
            for d in p["shape"]:
                count *= d
            at = p["offset"] // _BYTES
            yield p["path"], vector[at:at + count].reshape(tuple(p["shape"]))

    def arrays(self):
        """Every parameter and buffer by its path, as numpy arrays that share the net's memory, in the script's shapes.
        Call prepare() after writing into them."""
        import numpy
        return dict(self._views(numpy.frombuffer(self._memory(), dtype=_DTYPE), None))

    def prepare(self):
        """Takes note of parameters that were written through arrays() or .data."""
        self._check(_C.prepare(self._pointer))
        self._note()

    def named_parameters(self):
        """(path, torch.nn.Parameter) of every trained parameter, in the script's shapes; they share the net's memory, so
        that an optimiser's step is a step of the net. From then on net(x) has gradients in them."""
        import torch
        if not self._shared.torch:
            vector = torch.frombuffer(self._memory(), dtype=getattr(torch, _DTYPE))
            self._shared.torch = [(path, torch.nn.Parameter(view)) for path, view in self._views(vector, True)]
            self._shared.places = [p.data_ptr() for _, p in self._shared.torch]
            self._note()
        return iter(self._shared.torch)

    def parameters(self):
        """The same without their paths, for an optimiser: torch.optim.Adam(net.parameters())."""
        return (p for _, p in self.named_parameters())

    def _note(self):
        self._shared.seen = self._shared.versions()

    def _ready(self):
        """Parameters that torch has written since are taken note of."""
        if self._shared.versions() != self._shared.seen:
            self.prepare()

    def state_dict(self):
        """Parameters and buffers by PyTorch's names and in its layout: of the library's Dense, Linear, Conv and norms
        `weight`, `bias`, `running_var`, matrices as [out, in]; others by the script's path. Tensors of torch (arrays of
        numpy where torch is not installed) that share the net's memory."""
        try:
            import torch
            vector = torch.frombuffer(self._memory(), dtype=getattr(torch, _DTYPE))
        except ImportError:
            import numpy
            vector = numpy.frombuffer(self._memory(), dtype=_DTYPE)
        out = collections.OrderedDict()
        for path, view in self._views(vector, None):
            layer, _, last = path.rpartition(".")
            name, transposed = _TORCH_NAMES.get(_LAYERS.get(layer), {}).get(last, (last, False))
            out[layer + "." + name if layer else name] = view.T if transposed else view
        return out

    def load_state_dict(self, state):
        """Takes every value of a state_dict of these names and shapes; nothing is changed where one does not fit. What
        PyTorch counts in a batch norm (num_batches_tracked) is of no use here."""
        own = self.state_dict()
        counts = {(path + "." if path else "") + "num_batches_tracked" for path in _LAYERS if _LAYERS[path] == "BatchNorm"}
        wrong = ["%s is missing" % k for k in own if k not in state]
        wrong += ["%s is unknown" % k for k in state if k not in own and k not in counts]
        wrong += ["%s has elements of type %s, no floating-point numbers" % (k, state[k].dtype)
                  for k in own if k in state and "float" not in str(state[k].dtype)]
        wrong += ["%s has the shape %s, not %s" % (k, list(state[k].shape), list(v.shape))
                  for k, v in own.items() if k in state and tuple(state[k].shape) != tuple(v.shape)]
        if wrong:
            raise ValueError("the state does not fit %s: %s" % (_NAME, "; ".join(wrong)))
        for name, view in own.items():
            value = state[name]
            view[...] = value.detach() if hasattr(value, "detach") else value
        self.prepare()

    # ---- outputs and gradients ----
    def __call__(self, x):
        """Outputs [n, *output_shape] of x [n, *input_shape]. A tensor that requires gradients, or parameters() of which
        some do, make the result part of torch's graph, unless under torch.no_grad(). The gradient is of the net's mode;
        its backward does not solve again. A derivative of the gradient is a NotImplementedError."""
        torch = _torch_of(x)
        if torch and torch.is_grad_enabled():
            parameters = [p for _, p in self._shared.torch]
            if x.requires_grad or any(p.requires_grad for p in parameters):
                return _function(torch).apply(self, x, *parameters)
        make = _Arrays(torch)
        x = make.given(x, self.input_shape, "x")
        self._ready()
        output = make.empty((x.shape[0],) + self.output_shape)
        self._check(_C.forward(self._pointer, x.shape[0], make.address(x), make.address(output),
                               ctypes.byref(self._status)))
        return output

    def keep(self, x):
        """(outputs, kept): the outputs of x, and what vjp needs to go back from them without solving again."""
        make = _arrays_like(x)
        x = make.given(x, self.input_shape, "x")
        self._ready()
        output = make.empty((x.shape[0],) + self.output_shape)
        pointer = _C.forward_keep(self._pointer, x.shape[0], make.address(x), make.address(output),
                                  ctypes.byref(self._status))
        if not pointer:
            raise Error(_C.error(self._pointer).decode())
        return output, _Kept(self, pointer, x.shape[0], make)

    def vjp(self, x, cotangent, parameters=False):
        """The vector-Jacobian product in the net's gradient mode: the gradient of sum(cotangent * net(x)) in x, of x's
        shape; with `parameters` a pair of it and {path: gradient summed over the examples}. x may be what keep() gave
        as `kept`; then nothing is solved again, and parameters written since are an Error (E0943)."""
        kept = x if isinstance(x, _Kept) else None
        make = kept.make if kept else _arrays_like(x)
        x = None if kept else make.given(x, self.input_shape, "x")
        cotangent = make.given(cotangent, self.output_shape, "cotangent")
        n = kept.n if kept else x.shape[0]
        if cotangent.shape[0] != n:
            raise ValueError("cotangent has %d examples, x has %d" % (cotangent.shape[0], n))
        self._ready()
        dx, vector = make.empty((n,) + self.input_shape), self._vector(make, parameters)
        ends = (make.address(cotangent), make.address(dx), make.address(vector) if parameters else None,
                ctypes.byref(self._status))
        self._check(_C.vjp_kept(self._pointer, kept.pointer, *ends) if kept else
                    _C.vjp(self._pointer, n, make.address(x), *ends))
        return (dx, dict(self._views(vector, True))) if parameters else dx

    def _vector(self, make, wanted):
        return make.empty((_C.parameter_size(self._pointer),)) if wanted else None

    def _target(self, make, y, n):
        y = make.given(y, self.target_shape, "y", "int64" if _LABELS else _DTYPE)
        if y.shape[0] != n:
            raise ValueError("y has %d examples, x has %d" % (y.shape[0], n))
        return y

    def gradient(self, x, y, loss=None, parameters=False):
        """(losses [n] float64, gradient of each example's own loss in x); with `parameters` also {path: mean over the
        examples of the gradient}, as in training. y: labels [n] of any integer type, or [n, *target_shape]. loss: one
        of Net.losses, None the first."""
        make, loss = _arrays_like(x), None if loss is None else _word(loss, "loss")
        x = make.given(x, self.input_shape, "x")
        n = x.shape[0]
        y = self._target(make, y, n)
        self._ready()
        losses, dx, vector = make.empty((n,), "float64"), make.empty(x.shape), self._vector(make, parameters)
        call = _C.gradient_labels if _LABELS else _C.gradient
        self._check(call(self._pointer, n, make.address(x), make.address(y), loss,
                         make.address(losses), make.address(dx), make.address(vector) if parameters else None,
                         ctypes.byref(self._status)))
        return (losses, dx, dict(self._views(vector, True))) if parameters else (losses, dx)

    # ---- states and attacks ----
    def solve(self, x, fixed=None, states=None):
        """Solve of the fixed point at the path `fixed` (None: the first). states: (first, last), from 1, or a number of
        states from the first; z_k is what the solver returns after k steps."""
        make = _arrays_like(x)
        x = make.given(x, self.input_shape, "x")
        n, path = x.shape[0], None if fixed is None else _word(fixed, "fixed")
        size = _C.state_size(self._pointer, path)
        if size < 0:
            raise ValueError("%s has no fixed point%s" % (_NAME, " %r (it has: %s)" % (fixed, ", ".join(self.fixed_points))
                                                          if self.fixed_points else ""))
        if not (states is None or isinstance(states, int) or (isinstance(states, (tuple, list)) and len(states) == 2)):
            raise TypeError("states is a number of them, or (first, last)")
        first, last = (1, states) if isinstance(states, int) else states or (1, 1)
        m = max(0, last - first + 1)
        self._ready()
        equilibrium, rows = make.empty((n, size)), (_CExample * max(n, 1))()
        z = make.empty((n, m, size)) if states else None
        residuals = make.empty((n, m), "float32") if states else None
        self._check(_C.solve(self._pointer, n, make.address(x), path, first, last, make.address(z) if states else None,
                             make.address(residuals) if states else None, make.address(equilibrium), rows,
                             ctypes.byref(self._status)))
        def column(field, dtype):
            values = [getattr(rows[i], field) for i in range(n)]
            if make.torch:
                return make.torch.tensor(values, dtype=getattr(make.torch, dtype))
            return make.numpy.array(values, dtype=dtype)
        return Solve(equilibrium, z, residuals, column("steps", "int64"), column("residual", "float64"),
                     column("converged", "bool"), column("diverged", "bool"))

    def attack(self, name, x, y, seed=0):
        """What the script's attack `name` (one of net.attacks) makes of x, of x's shape. y as for gradient(). Random
        draws depend on the seed and on an example's position in x."""
        make, name, seed = _arrays_like(x), _word(name, "name"), _number(seed, "seed", _SEED)
        x = make.given(x, self.input_shape, "x")
        n = x.shape[0]
        y = self._target(make, y, n)
        self._ready()
        out = make.empty(x.shape)
        call = _C.attack_labels if _LABELS else _C.attack
        self._check(call(self._pointer, name, n, make.address(x), make.address(y), seed, make.address(out),
                         ctypes.byref(self._status)))
        return out

    def journal(self, x, y, attack=None, seed=0):
        """What the journal of an evaluation holds of each example, clean or under an attack (one of net.attacks): a
        structured array of numpy [n] with the fields of `deq journal`, among them prediction, metric, loss, steps,
        residual, queries, zero_gradients. y and seed as for attack()."""
        import numpy
        make, seed = _arrays_like(x), _number(seed, "seed", _SEED)
        attack = None if attack is None else _word(attack, "attack")
        x = make.given(x, self.input_shape, "x")
        n = x.shape[0]
        y = self._target(make, y, n)
        self._ready()
        kinds = {"int64_t": "i8", "int32_t": "i4", "double": "f8", "float": "f4"}
        names, types = zip(*_PACKAGE["record"])
        out = numpy.empty(n, numpy.dtype({"names": names, "formats": [kinds[t] for t in types]}, align=True))  # as in C
        call = _C.journal_labels if _LABELS else _C.journal
        self._check(call(self._pointer, attack, n, make.address(x), make.address(y),
                         seed, out.ctypes.data))
        return out


_FUNCTIONS = {}


def _function(torch):
    """The net as a torch.autograd.Function; made when first used, so that torch is not needed without it."""
    if torch not in _FUNCTIONS:
        class Apply(torch.autograd.Function):
            @staticmethod
            def forward(ctx, net, x, *parameters):
                ctx.given = (x, *parameters)
                output, ctx.kept = net.keep(x)
                return output

            @staticmethod
            def backward(ctx, cotangent):
                net, parameters = ctx.kept.net, any(ctx.needs_input_grad[2:])
                result = net.vjp(ctx.kept, cotangent, parameters)
                dx, d = result if parameters else (result, {})
                found = [dx, *(d.values() if parameters else [None] * len(ctx.needs_input_grad[2:]))]
                again = torch.is_grad_enabled()  # create_graph: torch may be asked for a derivative of this
                return (None, *(None if not wanted else Once.apply(g, cotangent, *ctx.given) if again else g
                                for g, wanted in zip(found, ctx.needs_input_grad[1:])))

        class Once(torch.autograd.Function):
            """A gradient as it is, and of what it is made; torch would take it for a constant."""

            @staticmethod
            def forward(ctx, gradient, *made_of):
                return gradient.clone()

            @staticmethod
            def backward(ctx, cotangent):
                raise NotImplementedError("the gradient of %s is not differentiated: it has first derivatives only" % _NAME)

        _FUNCTIONS[torch] = Apply
    return _FUNCTIONS[torch]
