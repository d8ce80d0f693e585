"""What do the nonlocal blocks of a network do to an image?  usage: audit_network.py [PAGE.html]

A small residual network with three of them: a block whose weight is negative and damps, a stage that grows without
bound, and a stage that is certified. One call finds them and says which is which.
"""

import sys

import torch
from torch import Tensor, nn

import nlmodel as nl


C = 16


class Residual(nn.Module):
    """Two convolutions with a short cut."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.short = nn.Conv2d(inputs, outputs, 1, stride=2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.short(x) + self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))))


def network() -> nn.Sequential:
    """A residual network, its blocks inserted where a user would."""
    net = nn.Sequential(Residual(3, C), Residual(C, C), Residual(C, C), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    nl.nn.insert_nonlocal(net, after="0", affinity="gaussian", scale=True)
    nl.nn.insert_nonlocal(net, after="1", blocks=2, scale=True, w_init=0.3)
    nl.nn.insert_nonlocal(net, after="2", blocks=2, scale=True, w_init="he", tie="psd", symmetric=True)
    damping, unstable, healthy = (net[n].nonlocal_block for n in range(3))
    with torch.no_grad():  # the training that went wrong
        damping.w_z.weight.copy_(-0.8 * damping.g.weight.T / torch.linalg.matrix_norm(damping.g.weight, 2) ** 2)
        unstable.w_g.copy_(-unstable.w_z.mT)
    nl.nn.certified(healthy, "contraction")
    return net


torch.manual_seed(0)
net = network()
report = nl.nn.audit(net, torch.randn(2, 3, 40, 40), name="a small residual network")
print(report.to_text())
print(report)
if len(sys.argv) > 1:
    report.save(sys.argv[1])
