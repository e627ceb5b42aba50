"""Logits of a compiled net and of PyTorch's (published.py), in double precision.  usage: agree.py NAME"""
import importlib
import sys

import numpy as np

name = sys.argv[1]
Net = importlib.import_module(name).Net
x, want = np.load(name + ".x.npy"), np.load(name + ".y.npy")
settings = {"body.forward": "picard(tol: 1e-30, max: 3, return: last)", "body.finish": "none"} if Net.fixed_points else {}
error = abs(Net(name + ".ours.safetensors", settings=settings)(x) - want).max()
assert error <= 1e-14, "%s differs by %g" % (name, error)
assert abs(Net(seed=1, settings=settings)(x) - want).max() > 1e-2  # other parameters are told apart
print("%s agrees: %g" % (name, error))
