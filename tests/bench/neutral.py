"""f of the benchmark's nets in NumPy, in double precision: residuals of what either side found, and the images they are given.

Written from the equations in README.md, with no code of deq or of the peers.  Parameters have the names and shapes of the .deq files;
states stand as deq hands them out: images with their channels last, one part after the other."""
import gzip, os
import numpy as np

IMAGES = "/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz"
EPSILON = 1e-5  # of a group norm


def images(n):
    """The first test images of Fashion-MNIST, [n, 1, 28, 28]; where they are not, noise."""
    if not os.path.exists(IMAGES): return np.random.default_rng(0).random((n, 1, 28, 28), np.float32)
    with gzip.open(IMAGES) as f:
        f.read(16)
        return np.frombuffer(f.read(n * 784), np.uint8).reshape(n, 1, 28, 28).astype(np.float32) / 255


def conv(x, w, stride=1):
    """Correlation with w[O, I, K, K], zeros around x, odd K."""
    k = w.shape[2]
    x = np.pad(x, ((0, 0), (0, 0), (k // 2, k // 2), (k // 2, k // 2)))
    views = np.lib.stride_tricks.sliding_window_view(x, (k, k), (2, 3))[:, :, ::stride, ::stride]
    return np.tensordot(views, w, ((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2)


def norm(p, name, x, groups=8):
    g = x.reshape(len(x), groups, -1)
    g = (g - g.mean(2, keepdims=True)) / np.sqrt(g.var(2, keepdims=True) + EPSILON)
    per_channel = lambda v: v.reshape(1, -1, 1, 1)
    return g.reshape(x.shape) * per_channel(p[name + ".gain"]) + per_channel(p[name + ".bias"])


def relu(x): return np.maximum(x, 0)


def stem(p, image):
    u = conv(image, p["stem"]) + p["stemb"].reshape(1, -1, 1, 1)
    n, c, h, w = u.shape
    return u.reshape(n, c, h // 2, 2, w // 2, 2).mean((3, 5))


def part(z, c, side):
    """Of a state: images of c channels, channels first."""
    return z.reshape(len(z), side, side, c).transpose(0, 3, 1, 2)


def flat(x): return x.transpose(0, 2, 3, 1).reshape(len(x), -1)


def mlp(p, image):
    u = image.reshape(len(image), -1) @ p["cell.U"] + p["cell.b"]
    return lambda z: np.tanh(z @ p["cell.W"] + u)


def single_scale(p, image):
    u = stem(p, image)
    def f(z):
        z = part(z, *u.shape[1:3])
        h = norm(p, "cell.g1", relu(conv(z, p["cell.c1"])))
        return flat(norm(p, "cell.g3", relu(z + norm(p, "cell.g2", u + conv(h, p["cell.c2"])))))
    return f


def mdeq(p, image):
    u = stem(p, image)
    c1, c2, side = p["high.c1"].shape[0], p["low.c1"].shape[0], u.shape[2]
    def block(name, z, inject):
        h = relu(norm(p, name + ".g1", conv(z, p[name + ".c1"])))
        return norm(p, name + ".g3", relu(norm(p, name + ".g2", conv(h, p[name + ".c2"]) + inject) + z))
    def post(name, y): return norm(p, name + ".norm", conv(relu(y), p[name + ".weight"]), 4)
    def f(z):
        split = c1 * side * side
        high = block("high", part(z[:, :split], c1, side), u)
        low = block("low", part(z[:, split:], c2, side // 2), 0)
        up = norm(p, "gu", conv(low, p["up"])).repeat(2, 2).repeat(2, 3)
        down = norm(p, "gd", conv(high, p["down"], 2))
        return np.concatenate([flat(post("post1", high + up)), flat(post("post2", low + down))], 1)
    return f


CELLS = {"mlp": mlp, "conv": single_scale, "mdeq": mdeq}


def residuals(kind, parameters, image, states):
    """norm(f(z) - z) / (norm(f(z)) + 1e-9) of each example, as the language defines it."""
    p = {name: np.asarray(value, np.float64) for name, value in parameters.items()}
    found = []
    for at in range(0, len(image), 32):
        z = np.asarray(states[at:at + 32], np.float64)
        value = CELLS[kind](p, image[at:at + 32].astype(np.float64))(z)
        found.append(np.linalg.norm(value - z, axis=1) / (np.linalg.norm(value, axis=1) + 1e-9))
    return np.concatenate(found)
