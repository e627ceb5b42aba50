"""Weights as torch.save writes them, for tiny.deq through names.map of weights_imported.sh: whole, of other precisions, over
strides, over one storage, in the format before zip; and a file whose pickle runs code.
"""
import torch


class Hostile:
    def __reduce__(self):
        return open, ("ran", "w")


torch.manual_seed(1)
shapes = {"deq.cell.W": (24, 24), "deq.cell.U": (64, 24), "deq.cell.b": (24,), "fc weight": (4, 24), "fc.bias": (4,)}
state = {name: torch.randn(shape) / 4 for name, shape in shapes.items()}
storage = torch.cat([value.flatten() for value in state.values()])
shared, at = {}, 0
for name, value in state.items():
    shared[name] = torch.nn.Parameter(storage[at:at + value.numel()].view(value.shape))
    at += value.numel()
torch.save(state, "whole.pth")
torch.save({**{name: value.half() for name, value in state.items()}, "bn.num_batches_tracked": torch.tensor(3)}, "half.pth")
torch.save({name: value.bfloat16() for name, value in state.items()}, "brain.pth")
torch.save({name: value.t().contiguous().t() if value.dim() == 2 else torch.stack([value, value], 1)[:, 0]
            for name, value in state.items()}, "strided.pth")
torch.save(shared, "shared.pth")
torch.save(state, "old.pth", _use_new_zipfile_serialization=False)
torch.save({**state, "more": Hostile()}, "hostile.pth")
