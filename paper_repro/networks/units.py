"""Residual units with the norm and the ReLU before each convolution (He et al. 2016)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Unit(nn.Module):
    """x -> shortcut(x) + body(ReLU(BN(x))).

    Parameters
    ----------
    inputs, width : channels of x; of the inner convolutions.
    stride : 1, or 2 where the map is halved.
    preactivated : whether the projection of a shortcut starts from ReLU(BN(x)) or from x.
    """

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int, *, preactivated: bool, stride_at: str):
        super().__init__()
        outputs = width * self.expansion
        self.preactivated = preactivated
        self.norm = nn.BatchNorm2d(inputs)
        self.body = self.convolutions(inputs, width, stride, stride_at)
        changes = stride != 1 or inputs != outputs
        self.projection = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if changes else None

    def convolutions(self, inputs: int, width: int, stride: int, stride_at: str) -> nn.Sequential:
        """What is done to ReLU(BN(x)): two 3x3 convolutions."""
        return nn.Sequential(
            nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, width expansion, H / stride, W / stride)."""
        active = torch.relu_(self.norm(x))
        if self.projection is not None:
            x = self.projection(active if self.preactivated else x)
        return self.body(active).add_(x)  # in the memory of a convolution's output, which no gradient needs


class BasicUnit(Unit):
    """Two 3x3 convolutions."""


class BottleneckUnit(Unit):
    """1x1, 3x3 and 1x1 convolutions, the last with four times the channels; the stride is in the 3x3 or the first."""

    expansion = 4

    def convolutions(self, inputs: int, width: int, stride: int, stride_at: str) -> nn.Sequential:
        first, middle = (stride, 1) if stride_at == "1x1" else (1, stride)
        return nn.Sequential(
            nn.Conv2d(inputs, width, 1, first, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, middle, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width * self.expansion, 1, bias=False),
        )


UNITS: dict[str, type[Unit]] = {"basic": BasicUnit, "bottleneck": BottleneckUnit}
LAYERS_PER_ROUND = {"basic": 6, "bottleneck": 9}
