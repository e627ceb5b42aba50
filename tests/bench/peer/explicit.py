"""ResNet-18 or WideResNet-34-10 of tests/python/published.py: NET BATCH THREADS.

A line on standard input names an op, a JSON line on standard output says what one call of it took.  Tensors are channels last where that is
faster here."""
import json, os, sys, time
import torch
import torch.nn.functional as F
sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python"))
import published

name, batch, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(threads); torch.manual_seed(0)
published.K = 10
if name == "resnet18": net, parameters = published.ResNet((64, 128, 256, 512)), 11173962
else:
    net, parameters = published.WideResNet((16, 160, 320, 640)), 46160474
    del net.sub_block1  # of the public files, never used
count = sum(p.numel() for p in net.parameters())
if count != parameters: sys.exit(f"{name} has {parameters} parameters, this network {count}")
optimiser = torch.optim.SGD(net.parameters(), lr=1e-9, momentum=0.9, weight_decay=5e-4)  # every call finds the same network
x, y = torch.rand(batch, 3, 32, 32), torch.randint(10, (batch,))


def step(image=None):
    net.train(); optimiser.zero_grad(set_to_none=True)
    F.cross_entropy(net(x if image is None else image), y).backward()
    optimiser.step()


def attack():
    net.eval().requires_grad_(False)  # gradients of weights are not asked for
    image = (x + (torch.rand_like(x) * 2 - 1) * 8 / 255).clamp(0, 1)
    for _ in range(10):
        image.requires_grad_()
        gradient = torch.autograd.grad(F.cross_entropy(net(image), y), image)[0]
        image = image.detach() + 2 / 255 * gradient.sign()
        image = torch.minimum(torch.maximum(image, x - 8 / 255), x + 8 / 255).clamp(0, 1)
    net.requires_grad_()
    return image


def adversarial(): step(attack())


def timed(call):
    began, spent = time.perf_counter(), time.process_time()
    call()
    return dict(wall=time.perf_counter() - began, processor=time.process_time() - spent)


def use(memory_format):
    global x, net
    net, x = net.to(memory_format=memory_format), x.contiguous(memory_format=memory_format)


took = {}
for memory_format in (torch.contiguous_format, torch.channels_last):
    use(memory_format); step()
    took[memory_format] = min(timed(step)["processor"] for _ in range(2))
use(min(took, key=took.get))
ops = dict(step=step, adversarial=adversarial)
print(json.dumps(dict(ready=True, torch=torch.__version__, layouts={str(k): v for k, v in took.items()})), flush=True)
for line in sys.stdin: print(json.dumps(timed(ops[line.strip()])), flush=True)
