"""Published nets, as their public PyTorch code builds and names them, at small widths: what weights_imported.sh imports.

usage: published.py FOLDER

For each net NAME: NAME.safetensors, its state_dict as safetensors.torch writes it; NAME.x.npy and NAME.y.npy, inputs and
logits in double precision, in evaluation mode.  An equilibrium is three applications of its equation from zero.
"""
import json
import struct
import sys

import numpy as np
import torch
from torch import nn
from torch.nn.functional import relu
from torch.nn.utils import weight_norm

STEPS, K = 3, 5


def conv(i, o, kernel=3, stride=1, bias=False):
    return nn.Conv2d(i, o, kernel, stride=stride, padding=kernel // 2, bias=bias)


# ---- ResNet-18 (pytorch-cifar) ----
class BasicBlock(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.conv1, self.bn1 = conv(i, o, stride=stride), nn.BatchNorm2d(o)
        self.conv2, self.bn2 = conv(o, o), nn.BatchNorm2d(o)
        self.shortcut = nn.Sequential()
        if i != o:
            self.shortcut = nn.Sequential(conv(i, o, 1, stride), nn.BatchNorm2d(o))

    def forward(self, x):
        return relu(self.bn2(self.conv2(relu(self.bn1(self.conv1(x))))) + self.shortcut(x))


class ResNet(nn.Module):
    def __init__(self, widths=(4, 6, 8, 10)):
        super().__init__()
        self.conv1, self.bn1 = conv(3, widths[0]), nn.BatchNorm2d(widths[0])
        before = widths[0]
        for n, width in enumerate(widths):
            stride = 2 if n else 1
            setattr(self, "layer%d" % (n + 1), nn.Sequential(BasicBlock(before, width, stride), BasicBlock(width, width, 1)))
            before = width
        self.linear = nn.Linear(widths[-1], K)

    def forward(self, x):
        x = relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.linear(x.mean((2, 3)))


# ---- WideResNet-34 (TRADES) ----
class WideBlock(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(i), conv(i, o, stride=stride)
        self.bn2, self.conv2 = nn.BatchNorm2d(o), conv(o, o)
        self.convShortcut = nn.Conv2d(i, o, 1, stride=stride, bias=False) if i != o else None

    def forward(self, x):
        a = relu(self.bn1(x))
        rest = self.conv2(relu(self.bn2(self.conv1(a))))
        return rest + (x if self.convShortcut is None else self.convShortcut(a))


class NetworkBlock(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.layer = nn.Sequential(*[WideBlock(i if k == 0 else o, o, stride if k == 0 else 1) for k in range(5)])

    def forward(self, x):
        return self.layer(x)


class WideResNet(nn.Module):
    def __init__(self, widths=(3, 4, 6, 8)):
        super().__init__()
        self.conv1 = conv(3, widths[0])
        self.block1 = NetworkBlock(widths[0], widths[1], 1)
        self.sub_block1 = NetworkBlock(widths[0], widths[1], 1)  # never used, and in every published file
        self.block2 = NetworkBlock(widths[1], widths[2], 2)
        self.block3 = NetworkBlock(widths[2], widths[3], 2)
        self.bn1 = nn.BatchNorm2d(widths[3])
        self.fc = nn.Linear(widths[3], K)

    def forward(self, x):
        x = self.block3(self.block2(self.block1(self.conv1(x))))
        return self.fc(relu(self.bn1(x)).mean((2, 3)))


# ---- MDEQ (DEQ-Vision) ----
GROUPS = 4


class MdeqBlock(nn.Module):
    def __init__(self, c, wide):
        super().__init__()
        self.conv1, self.gn1 = weight_norm(conv(c, wide * c)), nn.GroupNorm(GROUPS, wide * c)
        self.conv2, self.gn2 = weight_norm(conv(wide * c, c)), nn.GroupNorm(GROUPS, c)
        self.gn3 = nn.GroupNorm(GROUPS, c)

    def forward(self, x, injection):
        out = self.conv2(relu(self.gn1(self.conv1(x)))) + injection
        return self.gn3(relu(self.gn2(out) + x))


class Branch(nn.Module):
    def __init__(self, c, wide):
        super().__init__()
        self.blocks = nn.ModuleList([MdeqBlock(c, wide)])


class Down(nn.Module):
    def __init__(self, i, o, levels):
        super().__init__()
        steps = []
        for k in range(levels):
            to = o if k == levels - 1 else i
            step = nn.Sequential()
            step.add_module("conv", conv(i, to, stride=2))
            step.add_module("gnorm", nn.GroupNorm(GROUPS, to))
            if k < levels - 1:
                step.add_module("relu", nn.ReLU())
            steps.append(step)
        self.net = nn.Sequential(*steps)

    def forward(self, x):
        return self.net(x)


class Up(nn.Module):
    def __init__(self, i, o, levels):
        super().__init__()
        self.net = nn.Sequential()
        self.net.add_module("conv", conv(i, o, 1))
        self.net.add_module("gnorm", nn.GroupNorm(GROUPS, o))
        self.net.add_module("upsample", nn.Upsample(scale_factor=2**levels, mode="nearest"))

    def forward(self, x):
        return self.net(x)


class Stage(nn.Module):
    def __init__(self, channels, wide):
        super().__init__()
        n = len(channels)
        self.branches = nn.ModuleList([Branch(c, wide) for c in channels])
        self.fuse_layers = nn.ModuleList([
            nn.ModuleList([
                None if i == j else Up(channels[j], channels[i], j - i) if j > i else Down(channels[j], channels[i], i - j)
                for j in range(n)
            ]) for i in range(n)
        ])
        self.post_fuse_layers = nn.ModuleList()
        for c in channels:
            post = nn.Sequential()
            post.add_module("relu", nn.ReLU())
            post.add_module("conv", weight_norm(conv(c, c, 1)))
            post.add_module("gnorm", nn.GroupNorm(GROUPS // 2, c, affine=False))
            self.post_fuse_layers.append(post)

    def forward(self, z, injection):
        y = [branch.blocks[0](state, u) for branch, state, u in zip(self.branches, z, injection)]
        fused = [sum(y[j] if i == j else self.fuse_layers[i][j](y[j]) for j in range(len(y))) for i in range(len(y))]
        return [post(f) for post, f in zip(self.post_fuse_layers, fused)]


class Bottleneck(nn.Module):
    def __init__(self, c, n):
        super().__init__()
        self.conv1, self.bn1 = conv(c, n, 1), nn.BatchNorm2d(n, affine=False)
        self.conv2, self.bn2 = conv(n, n), nn.BatchNorm2d(n, affine=False)
        self.conv3, self.bn3 = conv(n, 4 * n, 1), nn.BatchNorm2d(4 * n, affine=False)
        self.downsample = nn.Sequential(conv(c, 4 * n, 1), nn.BatchNorm2d(4 * n))

    def forward(self, x):
        h = relu(self.bn2(self.conv2(relu(self.bn1(self.conv1(x))))))
        return relu(self.bn3(self.conv3(h)) + self.downsample(x))


class Mdeq(nn.Module):
    def __init__(self, channels, heads, final, wide=5):
        super().__init__()
        c = channels[0]
        self.downsample = nn.Sequential(conv(3, c), nn.BatchNorm2d(c), nn.ReLU(), conv(c, c), nn.BatchNorm2d(c), nn.ReLU())
        if len(channels) > 2:
            self.stage0 = nn.Sequential(conv(c, c, 1), nn.BatchNorm2d(c), nn.ReLU())
        self.fullstage = Stage(channels, wide)
        self.incre_modules = nn.ModuleList([nn.Sequential(Bottleneck(c, n)) for c, n in zip(channels, heads)])
        self.downsamp_modules = nn.ModuleList([
            nn.Sequential(conv(4 * a, 4 * b, stride=2, bias=True), nn.BatchNorm2d(4 * b), nn.ReLU()) for a, b in zip(heads, heads[1:])
        ])
        self.final_layer = nn.Sequential(conv(4 * heads[-1], final, 1, bias=True), nn.BatchNorm2d(final), nn.ReLU())
        self.classifier = nn.Linear(final, K)
        self.channels = channels

    def forward(self, x):
        u = self.downsample(x)
        if len(self.channels) > 2:
            u = self.stage0(u)
        n, _, h, w = u.shape
        z = [u.new_zeros(n, c, h >> k, w >> k) for k, c in enumerate(self.channels)]
        injection = [u] + [torch.zeros_like(s) for s in z[1:]]
        for _ in range(STEPS):
            z = self.fullstage(z, injection)
        y = self.incre_modules[0](z[0])
        for down, increase, state in zip(self.downsamp_modules, self.incre_modules[1:], z[1:]):
            y = increase(state) + down(y)
        return self.classifier(self.final_layer(y).mean((2, 3)))


def save(state, path):
    """As safetensors.torch.save_file does: {"format": "pt"}, the arrays one after another, little-endian."""
    names = {torch.float64: "F64", torch.float32: "F32", torch.int64: "I64"}
    header, data, at = {"__metadata__": {"format": "pt"}}, [], 0
    for name, tensor in state.items():
        bytes_ = tensor.detach().contiguous().numpy().tobytes()
        header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [at, at + len(bytes_)]}
        data.append(bytes_)
        at += len(bytes_)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(data))


def disturb(net):
    """No statistic and no gain is what it was initialised to."""
    state = net.state_dict()
    for name, value in state.items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
        elif value.is_floating_point() and (value.dim() == 1 or name.endswith("weight_g")):
            value.add_(torch.empty_like(value).uniform_(0.05, 0.2))
    net.load_state_dict(state)


def main(folder):
    torch.manual_seed(1)
    torch.set_default_dtype(torch.float64)
    for name, size, net in (("resnet18", 16, ResNet()), ("wide_resnet34", 8, WideResNet()),
                            ("mdeq_tiny", 8, Mdeq([8, 12], [2, 3], 7)), ("mdeq_large", 16, Mdeq([4, 8, 12, 16], [1, 2, 3, 4], 9))):
        disturb(net)
        net.eval()
        x = torch.rand(3, 3, size, size)
        with torch.no_grad():
            y = net(x)
        save(net.state_dict(), "%s/%s.safetensors" % (folder, name))
        np.save("%s/%s.x.npy" % (folder, name), x.numpy())
        np.save("%s/%s.y.npy" % (folder, name), y.numpy())
        print(name, "%d parameters" % sum(p.numel() for p in net.parameters()))


if __name__ == "__main__":
    main(sys.argv[1])
