"""Attacks a compiled net with an attack written in Python, beside an attack of its script.

    deq build net.deq --python package
    PYTHONPATH=package python3 examples/python/attack.py net.safetensors ATTACK RADIUS IMAGES.npy LABELS.npy
"""
import sys

import numpy as np
from net import Net


def sign_attack(net, x, y, radius, steps=10):
    """Signs of the gradient of the loss, with momentum, inside the ball of this radius."""
    adversarial, momentum = x.copy(), np.zeros_like(x)
    for _ in range(steps):
        momentum = 0.9 * momentum + net.gradient(adversarial, y)[1]
        adversarial = np.clip(adversarial + 2 * radius / steps * np.sign(momentum), x - radius, x + radius).clip(0, 1)
    return adversarial.astype(x.dtype)


checkpoint, name, radius, images, labels = sys.argv[1:]
net = Net(checkpoint)
x, y = np.load(images), np.load(labels)
for title, attacked in (("clean", x), (name, net.attack(name, x, y)),
                        ("signs", sign_attack(net, x, y, float(radius)))):
    print("%-10s accuracy %.1f %%" % (title, 100 * (net(attacked).argmax(1) == y).mean()))
