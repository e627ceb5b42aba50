"""Runs the public AutoAttack (pip install autoattack) on a compiled net; each part alone, and what all of them leave.

    deq run examples/autoattack.deq
    deq build examples/autoattack.deq --python package -N Net
    PYTHONPATH=package python3 examples/python/public_autoattack.py results/autoattack/net.safetensors RADIUS IMAGES.npy LABELS.npy

IMAGES: float32 [n, 1, 28, 28] between 0 and 1, LABELS: integers [n]. The gradient is the one that the script's attacks take.
"""
import sys
import time

import numpy as np
import torch
from autoattack import AutoAttack
from net import Net

checkpoint, radius, images, labels = sys.argv[1:]
torch.set_num_threads(1)
net = Net(checkpoint, gradient="implicit(gmres(tol: 1e-3, max: 20))")
x, y = torch.from_numpy(np.load(images)), torch.from_numpy(np.load(labels)).long()
left = net(x).argmax(1) == y
print("clean      %.1f %%" % (100 * left.float().mean()))
for part in ("apgd-ce", "apgd-t", "fab-t", "square"):
    begin = time.process_time()
    attack = AutoAttack(net, norm="Linf", eps=float(radius), seed=1, version="standard", device="cpu", verbose=False)
    attack.version, attack.attacks_to_run = "custom", [part]
    attacked = attack.run_standard_evaluation(x, y, bs=len(x))
    with torch.no_grad():
        right = net(attacked).argmax(1) == y
    left &= right
    print("%-10s %.1f %%  %.0f s of processor time" % (part, 100 * right.float().mean(), time.process_time() - begin))
print("all        %.1f %%" % (100 * left.float().mean()))
