"""Trains a torch network around a compiled equilibrium: two spirals, told apart by 32 units.

    deq build examples/python/layer.deq --python layer -N Equilibrium
    PYTHONPATH=layer python3 examples/python/around.py
"""
import torch
from equilibrium import Net

torch.manual_seed(0)
angle = torch.rand(400) * 9
side = torch.arange(400) % 2
points = torch.stack([angle * torch.cos(angle + side * 3.1416), angle * torch.sin(angle + side * 3.1416)], 1) / 9

layer = Net(threads=1, seed=1)
before, after = torch.nn.Linear(2, 32), torch.nn.Linear(32, 2)
parameters = [*before.parameters(), *layer.parameters(), *after.parameters()]
optimiser = torch.optim.Adam(parameters, lr=3e-3)
for step in range(400):
    logits = after(layer(before(points * 6)))
    loss = torch.nn.functional.cross_entropy(logits, side)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    if step % 100 == 99:
        print("step %d: loss %.3f, %.1f solver steps" % (step + 1, loss, layer.status.mean_steps))
accuracy = (after(layer(before(points * 6))).argmax(1) == side).float().mean()
print("accuracy %.1f %%" % (100 * accuracy))
