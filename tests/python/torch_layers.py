"""torch_layers.deq in torch: each takes the other's state_dict as it is, and computes the same."""
import torch
from layers import Net


class Layers(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.group = torch.nn.Conv2d(2, 4, 3, padding=1), torch.nn.BatchNorm2d(4), torch.nn.GroupNorm(2, 4)
        self.mix, self.even, self.head = torch.nn.Linear(64, 6, bias=False), torch.nn.LayerNorm(6), torch.nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.even(self.mix(torch.relu(self.group(self.norm(self.conv(x)))).flatten(1))))


torch.manual_seed(1)
x, theirs, ours = torch.randn(5, 2, 4, 4), Layers(), Net(threads=1)
theirs.train()(3 * x + 1)  # statistics that are not those of the beginning
theirs.eval()
assert list(ours.state_dict()) == [name for name in theirs.state_dict() if name != "norm.num_batches_tracked"]
assert not torch.allclose(ours(x), theirs(x), atol=1e-2)
ours.load_state_dict(theirs.state_dict())
assert torch.allclose(ours(x), theirs(x), atol=1e-5)
other = Net(threads=1, seed=3)
theirs.load_state_dict(other.state_dict())
assert torch.allclose(other(x), theirs(x), atol=1e-5)
assert not list(ours.fixed_points)
try:
    ours.solve(x)
except ValueError as error:
    assert str(error).endswith(" has no fixed point"), error
print("one state_dict")
